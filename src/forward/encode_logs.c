/* Spans as logs of Datadog (Logs API v2) and New Relic (Log API v1): one log a span, with what links it to its trace.
 */
#include "forward/target.h"

#include "base/json.h"
#include "base/timestamp.h"
#include "span/span_json.h"

#include <inttypes.h>
#include <stdio.h>

/* What New Relic takes of a log; the rest of an overlong span stays out. */
enum { NEWRELIC_MEMBERS_MAX = 240, NEWRELIC_NAME_SIZE = 256, NEWRELIC_DEPTH_MAX = 8 };

static void put_member(struct json_writer *w, const char *key, struct slice text) {
    if (!text.len) return;
    json_put_key(w, key);
    json_put_string(w, text);
}

static void put_hex(struct json_writer *w, const char *key, const uint8_t *id, size_t size) {
    char hex[2 * TRACE_ID_SIZE];
    hex_encode(id, size, hex);
    put_member(w, key, slice_make(hex, 2 * size));
}

/* Datadog knows a span by the decimal of its id. */
static void put_decimal(struct json_writer *w, const char *key, const uint8_t *id) {
    uint64_t number = 0;
    char text[24];
    for (size_t i = 0; i < 8; i++) number = number << 8 | id[i];
    put_member(w, key, slice_make(text, (size_t)snprintf(text, sizeof text, "%" PRIu64, number)));
}

static void put_message(struct json_writer *w, const struct span *span) {
    struct buf text = {0};
    buf_puts(&text, "TRACE: ");
    buf_put_slice(&text, span_get_text(span, COL_OPERATION));
    put_member(w, "message", buf_slice(&text));
    buf_free(&text);
}

/* "env:prod,model:gpt-4o": commas and colons within a value would cut it. */
static void put_tags(struct json_writer *w, const struct span *span) {
    static const struct {
        const char *tag;
        enum col col;
    } tags[] = {
        {"service", COL_SERVICE}, {"provider", COL_PROVIDER}, {"model", COL_MODEL}, {"operation", COL_OPERATION}};
    struct buf text = {0};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        struct slice value = span_get_text(span, tags[i].col);
        if (!value.len) continue;
        buf_printf(&text, "%s%s:", text.len ? "," : "", tags[i].tag);
        for (size_t k = 0; k < value.len; k++)
            buf_putc(&text, value.ptr[k] == ',' || value.ptr[k] == ' ' ? '_' : value.ptr[k]);
    }
    put_member(w, "ddtags", buf_slice(&text));
    buf_free(&text);
}

void encode_datadog(const struct span *spans, uint32_t count, struct buf *out) {
    struct json_writer w = json_writer_on(out);
    json_open(&w, '[');
    for (uint32_t i = 0; i < count; i++) {
        const struct span *span = &spans[i];
        json_open(&w, '{');
        put_member(&w, "ddsource", SLICE("vitrine"));
        put_tags(&w, span);
        put_member(&w, "service", span_get_text(span, COL_SERVICE));
        put_message(&w, span);
        put_member(&w, "status", span->status == STATUS_ERROR ? SLICE("error") : SLICE("info"));
        json_put_key(&w, "timestamp");
        json_put_int(&w, span->start_ns / NS_PER_MS);
        put_hex(&w, "dd.trace_id", span->trace_id, TRACE_ID_SIZE);
        put_decimal(&w, "dd.span_id", span->span_id);
        json_put_key(&w, "duration"); /* nanoseconds, as Datadog's standard attribute is */
        json_put_int(&w, span->duration_ns);
        json_put_key(&w, "span");
        span_put_json(&w, span);
        json_close(&w, '}');
    }
    json_close(&w, ']');
}

/* {"tokens":{"input":1}} as "tokens.input":1, the names that queries use: New Relic keeps numbers, texts and truths.
 * Lists become their JSON. */
static void put_flat(struct json_writer *w, struct json_reader *r, const char *prefix, unsigned depth, unsigned *room) {
    struct slice key, text;
    json_object(r);
    while (json_key(r, &key)) {
        char name[NEWRELIC_NAME_SIZE];
        int len = snprintf(name, sizeof name, "%s%.*s", prefix, (int)(key.len < sizeof name ? key.len : sizeof name),
                           key.ptr);
        enum json_type type = json_peek(r);
        bool fits = len >= 0 && (size_t)len < sizeof name - 1;
        if (fits && type == JSON_OBJECT && depth) {
            memcpy(name + len, ".", 2);
            put_flat(w, r, name, depth - 1, room);
            continue;
        }
        if (type == JSON_STRING ? !json_string(r, &text) : !json_skip(r, &text)) return;
        if (!fits || type == JSON_NULL || !*room) continue;
        --*room;
        json_put_key(w, name);
        if (type == JSON_NUMBER || type == JSON_BOOL)
            json_put_raw(w, text);
        else
            json_put_string(w, text);
    }
}

/* All that is known of the span but its events. */
static void put_flat_span(struct json_writer *w, const struct span *span, struct buf *whole, struct arena *arena) {
    struct span told = *span;
    unsigned room = NEWRELIC_MEMBERS_MAX;
    struct json_reader r;
    *span_text(&told, COL_EVENTS) = (struct slice){NULL, 0};
    buf_clear(whole);
    struct json_writer writer = json_writer_on(whole);
    span_put_json(&writer, &told);
    arena_reset(arena);
    json_reader_init(&r, buf_slice(whole), arena);
    put_flat(w, &r, "", NEWRELIC_DEPTH_MAX, &room);
}

void encode_newrelic(const struct span *spans, uint32_t count, struct buf *out) {
    struct json_writer w = json_writer_on(out);
    struct buf whole = {0};
    struct arena arena = {0};
    json_open(&w, '[');
    json_open(&w, '{');
    json_put_key(&w, "common");
    json_open(&w, '{');
    json_put_key(&w, "attributes");
    json_open(&w, '{');
    put_member(&w, "logtype", SLICE("vitrine"));
    json_close(&w, '}');
    json_close(&w, '}');
    json_put_key(&w, "logs");
    json_open(&w, '[');
    for (uint32_t i = 0; i < count; i++) {
        const struct span *span = &spans[i];
        json_open(&w, '{');
        json_put_key(&w, "timestamp");
        json_put_int(&w, span->start_ns / NS_PER_MS);
        put_message(&w, span);
        json_put_key(&w, "attributes");
        json_open(&w, '{');
        put_member(&w, "service.name", span_get_text(span, COL_SERVICE));
        put_member(&w, "level", span->status == STATUS_ERROR ? SLICE("ERROR") : SLICE("INFO"));
        put_hex(&w, "trace.id", span->trace_id, TRACE_ID_SIZE);
        put_hex(&w, "span.id", span->span_id, SPAN_ID_SIZE);
        put_flat_span(&w, span, &whole, &arena);
        json_close(&w, '}');
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
    json_close(&w, ']');
    buf_free(&whole);
    arena_free(&arena);
}
