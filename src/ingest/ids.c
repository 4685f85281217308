/* Hex, UUID, base64, or whatever the sender has. */
#include "ingest/ids.h"

#include "base/base64.h"

static bool read_uuid(struct slice text, uint8_t *id) {
    static const uint8_t dashes[] = {8, 13, 18, 23};
    char hex[TRACE_ID_HEX];
    size_t len = 0;
    if (text.len != TRACE_ID_HEX + sizeof dashes) return false;
    for (size_t i = 0; i < sizeof dashes; i++)
        if (text.ptr[dashes[i]] != '-') return false;
    for (size_t i = 0; i < text.len && len < sizeof hex; i++)
        if (text.ptr[i] != '-') hex[len++] = text.ptr[i];
    return len == sizeof hex && hex_decode(slice_make(hex, len), id, TRACE_ID_SIZE);
}

/* Only a text of exactly the id's length with or without its padding: base-36 ids of other lengths are letters and
 * digits, too. */
static bool read_base64(struct slice text, uint8_t *id, size_t size) {
    uint8_t bytes[TRACE_ID_SIZE + 4];
    size_t len = sizeof bytes, bare = (size * 8 + 5) / 6;
    if (text.len != BASE64_SIZE(size) && text.len != bare) return false;
    if (!base64_decode(text, bytes, &len) || len != size) return false;
    memcpy(id, bytes, size);
    return true;
}

enum id_form id_read(struct slice text, bool base64, uint8_t *id, size_t size) {
    enum id_form form = ID_SHORT;
    memset(id, 0, size);
    if (!text.len) return ID_NONE;
    if (hex_decode(text, id, size))
        form = ID_EXACT;
    else if (size == TRACE_ID_SIZE && hex_decode(text, id + TRACE_ID_SIZE - SPAN_ID_SIZE, SPAN_ID_SIZE))
        form = ID_SHORT;
    else if (size == TRACE_ID_SIZE && read_uuid(text, id))
        form = ID_SHORT;
    else if (base64 && read_base64(text, id, size))
        form = ID_SHORT;
    else
        form = ID_HASHED;
    if (form == ID_HASHED) {
        bool zeros = true;
        for (size_t i = 0; i < text.len; i++) zeros &= text.ptr[i] == '0';
        memset(id, 0, size);
        if (zeros) return ID_NONE;
        id_from_text(text, id, size);
    }
    return id_is_zero(id, size) ? ID_NONE : form;
}
