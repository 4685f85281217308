/* gzip and zlib by libdeflate, which wants the whole output's room at once; zstd by its stream. */
#include "ingest/inflate.h"

#include <libdeflate.h>
#include <strings.h>
#include <zstd.h>

enum {
    DEFLATE_RATIO_MAX = 1032, /* what deflate can shrink at best */
    ROOM_MIN = 4096,
    ZSTD_WINDOW_LOG_MAX = 27 /* memory that a frame may ask for beside its output: 128 MiB */
};

static int too_long(uint64_t limit_bytes, struct error *err) {
    error_set(err, VT_ELIMIT, "the body is longer than %llu bytes when unpacked", (unsigned long long)limit_bytes);
    return error_hint(err, "send smaller batches, or raise --max-inflated");
}

static int broken(const char *what, const char *why, struct error *err) {
    return error_set(err, VT_EINVAL, "the body is not %s: %s", what, why);
}

/* Room for `want` bytes in all behind out->len, but never past the limit. False when memory ran out. */
static bool make_room(struct buf *out, uint64_t want, uint64_t limit_bytes) {
    uint64_t left = limit_bytes - out->len;
    return buf_reserve(out, (size_t)(want < left ? want : left));
}

static uint64_t room_of(const struct buf *out, uint64_t limit_bytes) {
    uint64_t room = out->cap - out->len, left = limit_bytes - out->len;
    return room < left ? room : left;
}

/* ---- gzip and deflate ---- */

enum container { GZIP, ZLIB, BARE };

static enum libdeflate_result unpack(struct libdeflate_decompressor *unpacker, enum container container,
                                     struct slice in, char *to, size_t room, size_t *taken, size_t *made) {
    switch (container) {
    case GZIP: return libdeflate_gzip_decompress_ex(unpacker, in.ptr, in.len, to, room, taken, made);
    case ZLIB: return libdeflate_zlib_decompress_ex(unpacker, in.ptr, in.len, to, room, taken, made);
    case BARE: break;
    }
    return libdeflate_deflate_decompress_ex(unpacker, in.ptr, in.len, to, room, taken, made);
}

/* The length that gzip's last four bytes claim is right for one member; a lie costs no more than what deflate could
 * really make. */
static uint64_t first_guess(enum container container, struct slice in) {
    uint64_t most = (uint64_t)in.len * DEFLATE_RATIO_MAX, guess = (uint64_t)in.len * 6;
    if (container == GZIP && in.len >= 18) {
        const uint8_t *tail = (const uint8_t *)in.ptr + in.len - 4;
        guess = (uint64_t)tail[0] | (uint64_t)tail[1] << 8 | (uint64_t)tail[2] << 16 | (uint64_t)tail[3] << 24;
    }
    if (guess < ROOM_MIN) guess = ROOM_MIN;
    return guess < most ? guess : most;
}

/* One member, appended; `in` moves behind it. Too small a room means a new start with twice as much. */
static int unpack_member(struct libdeflate_decompressor *unpacker, enum container container, struct slice *in,
                         uint64_t limit_bytes, struct buf *out, struct error *err) {
    static const char *const names[] = {"gzip", "deflate", "deflate"};
    size_t taken = 0, made = 0;
    for (uint64_t want = first_guess(container, *in);; want = want * 2 + ROOM_MIN) {
        if (!make_room(out, want, limit_bytes))
            return error_set(err, VT_ENOMEM, "no memory to unpack a body of %zu bytes", in->len);
        uint64_t room = room_of(out, limit_bytes);
        enum libdeflate_result result =
            unpack(unpacker, container, *in, out->ptr + out->len, (size_t)room, &taken, &made);
        if (result == LIBDEFLATE_SUCCESS) break;
        if (result != LIBDEFLATE_INSUFFICIENT_SPACE)
            return broken(names[container], "its data is broken or cut off", err);
        if (room == limit_bytes - out->len) return too_long(limit_bytes, err);
    }
    out->len += made;
    *in = slice_from(*in, taken);
    return 0;
}

static bool only_zeros(struct slice text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i]) return false;
    return true;
}

static int inflate_gzip(struct slice body, uint64_t limit_bytes, struct buf *out, struct error *err) {
    struct libdeflate_decompressor *unpacker = libdeflate_alloc_decompressor();
    if (!unpacker) return error_set(err, VT_ENOMEM, "no memory to unpack a body");
    int result;
    do result = unpack_member(unpacker, GZIP, &body, limit_bytes, out, err);
    while (result == 0 && body.len && !only_zeros(body)); /* zeros are padding */
    libdeflate_free_decompressor(unpacker);
    return result;
}

static int inflate_deflate(struct slice body, uint64_t limit_bytes, struct buf *out, struct error *err) {
    struct libdeflate_decompressor *unpacker = libdeflate_alloc_decompressor();
    if (!unpacker) return error_set(err, VT_ENOMEM, "no memory to unpack a body");
    /* A zlib header says method 8 and is a multiple of 31. */
    const uint8_t *head = (const uint8_t *)body.ptr;
    bool zlib = body.len > 2 && (head[0] & 15) == 8 && (head[0] * 256 + head[1]) % 31 == 0;
    int result = unpack_member(unpacker, zlib ? ZLIB : BARE, &body, limit_bytes, out, err);
    if (result == 0 && body.len) result = broken("deflate", "something follows its end", err);
    libdeflate_free_decompressor(unpacker);
    return result;
}

/* ---- zstd ---- */

static int inflate_zstd(struct slice body, uint64_t limit_bytes, struct buf *out, struct error *err) {
    ZSTD_DCtx *unpacker = ZSTD_createDCtx();
    if (!unpacker) return error_set(err, VT_ENOMEM, "no memory to unpack a body");
    ZSTD_DCtx_setParameter(unpacker, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    ZSTD_inBuffer in = {body.ptr, body.len, 0};
    unsigned long long claimed = ZSTD_getFrameContentSize(body.ptr, body.len);
    uint64_t want = claimed < UINT64_C(1) << 40 && claimed / 4096 < body.len ? claimed : (uint64_t)body.len * 4;
    size_t left = 1; /* what the unpacker still waits for; 0 at the end of a frame */
    int result = 0;
    while (result == 0 && (in.pos < in.size || left)) {
        if (!room_of(out, limit_bytes) && !make_room(out, want + ROOM_MIN, limit_bytes))
            result = error_set(err, VT_ENOMEM, "no memory to unpack a body of %zu bytes", body.len);
        want = out->len;
        uint64_t room = room_of(out, limit_bytes);
        char spare[1]; /* whether there is more than the limit shows in one byte beyond it */
        ZSTD_outBuffer to = {room ? out->ptr + out->len : spare, room ? (size_t)room : sizeof spare, 0};
        size_t before = in.pos;
        left = ZSTD_decompressStream(unpacker, &to, &in);
        if (ZSTD_isError(left))
            result = broken("zstd", ZSTD_getErrorName(left), err);
        else if (!room && to.pos)
            result = too_long(limit_bytes, err);
        else if (left && in.pos == before && !to.pos)
            result = broken("zstd", "its data is cut off", err);
        if (room) out->len += to.pos;
    }
    ZSTD_freeDCtx(unpacker);
    return result;
}

/* ---- the door ---- */

static const struct {
    const char *name;
    int (*unpack)(struct slice body, uint64_t limit_bytes, struct buf *out, struct error *err); /* NULL: as it is */
} encodings[] = {{"", NULL},
                 {"identity", NULL},
                 {"gzip", inflate_gzip},
                 {"x-gzip", inflate_gzip},
                 {"deflate", inflate_deflate},
                 {"zstd", inflate_zstd}};

static struct slice trim(struct slice text) {
    while (text.len && (*text.ptr == ' ' || *text.ptr == '\t')) text = slice_from(text, 1);
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) text.len--;
    return text;
}

int body_inflate(struct slice body, struct slice encoding, uint64_t limit_bytes, struct buf *out, struct error *err) {
    encoding = trim(encoding);
    if (limit_bytes > SIZE_MAX / 2) limit_bytes = SIZE_MAX / 2;
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
        if (strlen(encodings[i].name) != encoding.len ||
            (encoding.len && strncasecmp(encodings[i].name, encoding.ptr, encoding.len) != 0))
            continue;
        if (!encodings[i].unpack) return 0;
        if (!body.len) return broken(encodings[i].name, "it is empty", err);
        return encodings[i].unpack(body, limit_bytes, out, err);
    }
    error_set(err, VT_EUNSUPPORTED, "Content-Encoding \"%.*s\" is not known",
              encoding.len > 40 ? 40 : (int)encoding.len, encoding.ptr);
    return error_hint(err, "send gzip, deflate, zstd or no encoding");
}
