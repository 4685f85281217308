/* See mask.h. The buffers are made at the first secret that a thread meets and kept as long as it lives. */
#include "sdk/mask.h"

#include "base/json.h"
#include "base/secrets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(VT_MASK_ALL == (1u << SECRET_COUNT) - 1 && VT_MASK_EMAIL == 1u << SECRET_EMAIL &&
                   VT_MASK_PHONE == 1u << SECRET_PHONE && VT_MASK_CARD == 1u << SECRET_CARD &&
                   VT_MASK_APIKEY == 1u << SECRET_APIKEY,
               "the public bits are those of the scanners");

static const struct slice nothing_kept = {"[masked]", sizeof "[masked]" - 1};

struct masker {
    struct buf steps[2];  /* of one kind after the other */
    struct buf json;      /* a whole text */
    struct buf given;     /* a text that came from these buffers */
    struct arena strings; /* unescaped, one at a time */
};

void masker_free(struct masker *m) {
    if (!m) return;
    buf_free(&m->steps[0]), buf_free(&m->steps[1]), buf_free(&m->json), buf_free(&m->given);
    arena_free(&m->strings);
    free(m);
}

static struct masker *masker_of(struct thread *self) {
    if (self && !self->masker) self->masker = calloc(1, sizeof *self->masker);
    return self ? self->masker : NULL;
}

static bool lies_in(const struct buf *buf, struct slice text) {
    return buf->ptr && text.ptr >= buf->ptr && text.ptr < buf->ptr + buf->cap;
}

/* ---- plain text ---- */

/* True, and *text is another now, when there was a secret in it. */
static bool mask_plain(struct masker *m, unsigned kinds, bool tagged, struct slice *text) {
    bool any = false;
    for (int kind = 0; kind < SECRET_COUNT; kind++) {
        if (!(kinds & 1u << kind)) continue;
        struct buf *to = &m->steps[lies_in(&m->steps[0], *text)];
        buf_clear(to);
        if (!secret_mask((enum secret)kind, *text, tagged, to)) continue;
        any = true;
        *text = to->failed ? nothing_kept : buf_slice(to);
    }
    return any;
}

/* ---- JSON ---- */

struct walk {
    struct masker *m;
    unsigned kinds;
    struct json_reader r;
    bool changed;
};

/* What the reader has taken since `start`, or its text without secrets. */
static void put(struct walk *w, const char *start, struct slice text) {
    struct buf *out = &w->m->json;
    if (mask_plain(w->m, w->kinds, false, &text)) {
        buf_putc(out, '"');
        json_escape(out, text);
        buf_putc(out, '"');
        w->changed = true;
    } else {
        buf_put(out, start, (size_t)(w->r.at - start));
    }
    arena_reset(&w->m->strings);
}

static void walk_value(struct walk *w);

static void walk_object(struct walk *w) {
    struct buf *out = &w->m->json;
    struct slice key;
    bool comma = false;
    json_object(&w->r);
    buf_putc(out, '{');
    while (json_key(&w->r, &key)) {
        if (comma) buf_putc(out, ',');
        comma = true;
        if (mask_plain(w->m, w->kinds, false, &key)) w->changed = true;
        buf_putc(out, '"');
        json_escape(out, key);
        buf_puts(out, "\":");
        arena_reset(&w->m->strings);
        walk_value(w);
    }
    buf_putc(out, '}');
}

static void walk_value(struct walk *w) {
    struct buf *out = &w->m->json;
    struct slice text = {NULL, 0};
    bool comma = false;
    enum json_type type = json_peek(&w->r); /* the reader stands at the value now */
    const char *start = w->r.at;
    switch (type) {
    case JSON_STRING:
        if (json_string(&w->r, &text)) put(w, start, text);
        break;
    case JSON_NUMBER:
        if (json_skip(&w->r, &text)) put(w, text.ptr, text);
        break;
    case JSON_OBJECT: walk_object(w); break;
    case JSON_ARRAY:
        json_array(&w->r);
        buf_putc(out, '[');
        while (json_item(&w->r)) {
            if (comma) buf_putc(out, ',');
            comma = true;
            walk_value(w);
        }
        buf_putc(out, ']');
        break;
    default:
        if (json_skip(&w->r, &text)) buf_put_slice(out, text);
    }
}

/* False when the text is no JSON after all. */
static bool mask_json(struct masker *m, unsigned kinds, struct slice *text) {
    struct walk w = {.m = m, .kinds = kinds};
    buf_clear(&m->json);
    json_reader_init(&w.r, *text, &m->strings);
    walk_value(&w);
    if (!json_end(&w.r)) return false;
    if (w.changed) *text = m->json.failed ? nothing_kept : buf_slice(&m->json);
    return true;
}

/* ---- both ---- */

static bool is_id(struct slice key) {
    static const char *const ids[] = {"user.id",        "enduser.id",   "chat.user_id",           "thread.id",
                                      "chat.thread_id", "chat.turn_id", "gen_ai.conversation.id", "session.id"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (slice_is(key, ids[i])) return true;
    return false;
}

static bool has_any(unsigned kinds, struct slice text) {
    struct slice found;
    for (int kind = 0; kind < SECRET_COUNT; kind++)
        if ((kinds & 1u << kind) && secret_find((enum secret)kind, text, 0, &found)) return true;
    return false;
}

struct slice mask_text(struct thread *self, unsigned kinds, struct slice key, struct slice text) {
    if (!text.len) return text;
    bool json = *text.ptr == '[' || *text.ptr == '{';
    /* Where there is nothing there is nothing to do; within JSON an escape may hide what it spells. */
    if (!has_any(kinds, text) && !(json && memchr(text.ptr, '\\', text.len))) return text;
    struct masker *m = masker_of(self);
    if (!m) return nothing_kept;
    if (lies_in(&m->steps[0], text) || lies_in(&m->steps[1], text) || lies_in(&m->json, text)) {
        buf_clear(&m->given);
        buf_put_slice(&m->given, text);
        if (m->given.failed) return nothing_kept;
        text = buf_slice(&m->given);
    }
    if (!json || !mask_json(m, kinds, &text)) mask_plain(m, kinds, is_id(key), &text);
    return text;
}

bool mask_number(struct thread *self, unsigned kinds, int64_t number, struct slice *text) {
    enum { LEAST = 1000000 }; /* shorter ones are nobody's */
    char digits[24];
    if (number > -LEAST && number < LEAST) return false;
    struct slice given = slice_make(digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, number));
    if (!has_any(kinds, given)) return false;
    struct masker *m = masker_of(self);
    if (!m || !mask_plain(m, kinds, false, &given)) given = nothing_kept;
    *text = given;
    return true;
}

void vt_mask(void *ctx, const char *key, const char **text, size_t *size) {
    const unsigned *kinds = ctx;
    if (!text || !*text || !size) return;
    struct slice masked =
        mask_text(thread_self(), kinds ? *kinds : VT_MASK_ALL, slice_of(key), slice_make(*text, *size));
    *text = masked.ptr;
    *size = masked.len;
}
