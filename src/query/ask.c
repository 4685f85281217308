/* What handlers read from a request, and members that several answers have. */
#include "query/engine.h"

#include "base/timestamp.h"
#include "query/spare.h"
#include "query/when.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>

int ask_check(const struct ask *ask, struct error *err) {
    if (ask->request->cancel && __atomic_load_n(ask->request->cancel, __ATOMIC_RELAXED))
        return error_set(err, VT_ECANCELLED, "the one who asked has gone");
    if (time_monotonic_ns() < ask->deadline_ns) return 0;
    error_set(err, VT_ETIMEOUT, "the answer was not ready in time, %llu spans were looked at",
              (unsigned long long)atomic_load(&ask->scanned));
    return error_hint(err, "a shorter time range or a narrower filter takes less");
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct slice percent_decode(struct arena *arena, struct slice text, bool plus) {
    char *out = arena_alloc(arena, text.len + 1);
    size_t len = 0;
    if (!out) return (struct slice){NULL, 0};
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%' && i + 2 < text.len && hex_digit(text.ptr[i + 1]) >= 0 && hex_digit(text.ptr[i + 2]) >= 0) {
            c = (char)(hex_digit(text.ptr[i + 1]) << 4 | hex_digit(text.ptr[i + 2]));
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        out[len++] = c;
    }
    out[len] = 0;
    return slice_make(out, len);
}

bool ask_param(struct ask *ask, const char *name, struct slice *value) {
    struct slice rest = ask->request->query;
    while (rest.len) {
        const char *end = memchr(rest.ptr, '&', rest.len);
        struct slice pair = slice_make(rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len);
        const char *equals = pair.len ? memchr(pair.ptr, '=', pair.len) : NULL;
        struct slice key = slice_make(pair.ptr, equals ? (size_t)(equals - pair.ptr) : pair.len);
        rest = slice_from(rest, pair.len + 1);
        if (!slice_is(percent_decode(&ask->arena, key, true), name)) continue;
        *value = percent_decode(&ask->arena, slice_from(pair, key.len + 1), true);
        return true;
    }
    return false;
}

int ask_param_word(struct ask *ask, const char *name, const char *const *words, int *index, struct error *err) {
    struct slice value;
    char list[200];
    size_t len = 0;
    if (!ask_param(ask, name, &value) || !value.len) return 0;
    for (int i = 0; words[i]; i++) {
        if (slice_is(value, words[i])) {
            *index = i;
            return 0;
        }
        if (len < sizeof list) len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", i ? ", " : "", words[i]);
    }
    return error_set(err, VT_EINVAL, "%s: expected one of %s, found '%.*s'", name, list,
                     value.len < 60 ? (int)value.len : 60, value.ptr);
}

int ask_read_when(struct ask *ask, const char *name, struct slice text, int64_t *ns, struct error *err) {
    if (!text.len || when_parse(text, ask->now_ns, ns)) return 0;
    error_set(err, VT_EINVAL, "%s: expected a moment, found '%.*s'", name, text.len < 60 ? (int)text.len : 60,
              text.ptr);
    return error_hint(err, "Unix milliseconds, ISO 8601 (2026-11-23T18:59:51Z) or relative (-1h, -7d, now)");
}

enum { INTERVAL_DAYS_MAX = 30 };

int ask_read_interval(const char *name, struct slice text, int64_t *ns, struct error *err) {
    int64_t value;
    if (!text.len) return 0;
    if (!duration_parse(text, 0, &value) || value < NS_PER_S || value > INTERVAL_DAYS_MAX * 86400 * (int64_t)NS_PER_S)
        return error_set(err, VT_EINVAL, "%s: expected a time from 1s to 30d such as 1m or 6h, found '%.*s'", name,
                         text.len < 60 ? (int)text.len : 60, text.ptr);
    *ns = value;
    return 0;
}

int ask_check_range(const struct ask *ask, struct error *err) {
    if (ask->from_ns < ask->to_ns) return 0;
    char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX];
    int from_len = (int)time_format(ask->from_ns, 3, from), to_len = (int)time_format(ask->to_ns, 3, to);
    return error_set(err, VT_EINVAL, "from: expected a moment before 'to', found %.*s and %.*s", from_len, from, to_len,
                     to);
}

int ask_parse_filter(struct ask *ask, const char *name, struct slice text, struct filter **filter, struct error *err) {
    char message[sizeof err->message];
    struct error own = {0};
    if (!err) err = &own;
    int code = filter_parse(text, &ask->arena, filter, err);
    if (!code) return 0;
    snprintf(message, sizeof message, "%s: %.480s", name, err->message);
    memcpy(err->message, message, sizeof message);
    if (!err->hint[0])
        snprintf(err->hint, sizeof err->hint, "filters look like: model:gpt-4o status:error duration:>2s");
    return code;
}

void *ask_alloc(struct ask *ask, size_t count, size_t size, struct error *err) {
    void *memory = arena_calloc(&ask->arena, count ? count : 1, size);
    if (!memory)
        error_set(err, VT_ELIMIT, "the request needs more than the %llu MiB that one may hold",
                  (unsigned long long)ask->engine->options.memory_bytes >> 20);
    return memory;
}

struct ask_arena {
    struct ask_arena *next;
    struct arena arena;
};

struct arena *ask_new_arena(struct ask *ask, struct error *err) {
    struct ask_arena *more = ask_alloc(ask, 1, sizeof *more, err);
    if (!more) return NULL;
    /* Threads have one each: together they stay near what one request may hold. */
    unsigned shares = ask->engine->options.threads > 1 ? ask->engine->options.threads : 1;
    spare_take(ask->engine->spare, &more->arena, ask->engine->options.memory_bytes / shares);
    more->next = ask->more_arenas;
    ask->more_arenas = more;
    return &more->arena;
}

int ask_hold(struct ask *ask, size_t before, size_t now, struct error *err) {
    enum { SMALL = 16, SOME = 8, LEAST = 96 << 20 }; /* several aggregations with a small limit each may have this */
    size_t most = ask->engine->options.memory_bytes, own_most = most + most / 4;
    if (own_most < LEAST) own_most = LEAST;
    if (most < LEAST) most = LEAST;
    if (now <= before) return 0;
    size_t held = atomic_fetch_add(&ask->held_bytes, now - before) + (now - before);
    size_t all = atomic_fetch_add(&ask->engine->held_bytes, now - before) + (now - before);
    if (held > own_most) {
        error_set(err, VT_ELIMIT, "the groups need more memory than the %zu MiB that one request may hold",
                  own_most >> 20);
        return error_hint(err, "group by fewer fields, take a longer interval or a shorter range");
    }
    if (all > most && all - held > most / SOME && held > most / SMALL) {
        error_set(err, VT_ELIMIT, "requests that run at the same time hold more than %zu MiB of memory together",
                  most >> 20);
        return error_hint(err, "ask again when the others are done, or for fewer groups");
    }
    return 0;
}

void ask_free_arenas(struct ask *ask) {
    enum { LARGE_BYTES = 96 << 20 };
    size_t held = ask->arena.total_bytes;
    for (const struct ask_arena *more = ask->more_arenas; more; more = more->next) held += more->arena.total_bytes;
    for (struct ask_arena *more = ask->more_arenas; more; more = more->next)
        spare_give(ask->engine->spare, &more->arena);
    arena_free(&ask->arena);
    atomic_fetch_sub(&ask->engine->held_bytes, atomic_exchange(&ask->held_bytes, 0));
    if (held > LARGE_BYTES) malloc_trim(0); /* else the heap keeps what such a request has taken */
}

void ask_put_tail(struct ask *ask, struct json_writer *w) {
    json_put_key(w, "scanned");
    json_put_int(w, (int64_t)atomic_load(&ask->scanned));
    json_put_key(w, "elapsed_ms");
    json_put_double(w, (double)((time_monotonic_ns() - ask->started_ns) / 10000) / 100);
}

int64_t interval_for(int64_t from_ns, int64_t to_ns, unsigned steps) {
    static const int64_t seconds[] = {1,    2,    5,    10,    15,    30,    60,    120,    300,    600,     900,
                                      1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000};
    size_t i = 0;
    while (i + 1 < sizeof seconds / sizeof *seconds && (to_ns - from_ns) / NS_PER_S > seconds[i] * (int64_t)steps) i++;
    return seconds[i] * NS_PER_S;
}

void put_ms(struct json_writer *w, const char *key, int64_t ns) {
    if (ns == SPAN_NO_INT) return;
    json_put_key(w, key);
    json_put_double(w, (double)ns / NS_PER_MS);
}

void put_time(struct json_writer *w, const char *key, int64_t ns) {
    char text[TIME_TEXT_MAX];
    if (ns == SPAN_NO_INT) return;
    json_put_key(w, key);
    json_put_string(w, slice_make(text, time_format(ns, 6, text)));
}

void put_text(struct json_writer *w, const char *key, struct slice text) {
    if (!text.len) return;
    json_put_key(w, key);
    json_put_string(w, text);
}

void put_number(struct json_writer *w, const char *key, double value) {
    if (isnan(value)) return;
    json_put_key(w, key);
    json_put_double(w, value);
}

void put_count(struct json_writer *w, const char *key, double value) {
    if (isnan(value)) return;
    json_put_key(w, key);
    if (value == floor(value) && fabs(value) < 9e15)
        json_put_int(w, (int64_t)value);
    else
        json_put_double(w, value);
}
