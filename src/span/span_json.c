/* Spans as JSON. */
#include "span/span_json.h"

#include "base/timestamp.h"

#include <stdio.h>

static void put_id(struct json_writer *w, const char *key, const uint8_t *id, size_t size) {
    char hex[2 * TRACE_ID_SIZE];
    if (id_is_zero(id, size)) return;
    hex_encode(id, size, hex);
    json_put_key(w, key);
    json_put_string(w, slice_make(hex, 2 * size));
}

static void put_text(struct json_writer *w, const struct span *span, enum col col) {
    struct slice text = span_get_text(span, col);
    if (!text.len) return;
    json_put_key(w, span_columns[col].name);
    json_put_string(w, text);
}

static void put_ms(struct json_writer *w, const char *key, int64_t ns) {
    if (ns == SPAN_NO_INT) return;
    json_put_key(w, key);
    json_put_double(w, (double)ns / NS_PER_MS);
}

/* The sum of what is known; SPAN_NO_INT when nothing is. */
static int64_t token_total(const struct span *span) {
    if (span->tokens_input == SPAN_NO_INT) return span->tokens_output;
    return span->tokens_output == SPAN_NO_INT ? span->tokens_input : span->tokens_input + span->tokens_output;
}

static void put_tokens(struct json_writer *w, const struct span *span) {
    const struct {
        const char *key;
        int64_t value;
    } parts[] = {{"input", span->tokens_input},         {"output", span->tokens_output},
                 {"cached", span->tokens_cached},       {"cache_write", span->tokens_cache_write},
                 {"reasoning", span->tokens_reasoning}, {"total", token_total(span)}};
    bool open = false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].value == SPAN_NO_INT) continue;
        if (!open) {
            json_put_key(w, "tokens");
            json_open(w, '{');
            open = true;
        }
        json_put_key(w, parts[i].key);
        json_put_int(w, parts[i].value);
    }
    if (open) json_close(w, '}');
}

static void put_number(struct json_writer *w, const char *key, double value) {
    if (isnan(value)) return;
    json_put_key(w, key);
    json_put_double(w, value);
}

static void put_flag(struct json_writer *w, const char *key, const struct span *span, enum span_flag flag) {
    if (!(span->flags & flag)) return;
    json_put_key(w, key);
    json_put_bool(w, true);
}

/* Start has microseconds; what lies below them is told apart, as text, since it is beyond a double's digits. */
static void put_start(struct json_writer *w, const struct span *span) {
    char start[TIME_TEXT_MAX];
    json_put_key(w, "start");
    json_put_string(w, slice_make(start, time_format(span->start_ns, 6, start)));
    if (span->start_ns % NS_PER_US == 0) return;
    json_put_key(w, "start_ns");
    json_put_string(w, slice_make(start, (size_t)snprintf(start, sizeof start, "%lld", (long long)span->start_ns)));
}

/* Members of JSON that we wrote ourselves at ingest. */
static void put_json(struct json_writer *w, const struct span *span, enum col col) {
    struct slice json = span_get_text(span, col);
    if (!json.len) return;
    json_put_key(w, span_columns[col].name);
    json_put_raw(w, json);
}

void span_put_json_content(struct json_writer *w, struct slice content) {
    struct json_reader r;
    struct arena arena = {0};
    bool messages = false;
    /* A text may begin with a bracket, too: only what really is a list goes out as one. */
    if (content.len > 1 && content.ptr[0] == '[') {
        json_reader_init(&r, content, &arena);
        messages = json_skip(&r, NULL) && json_end(&r);
        arena_free(&arena);
    }
    if (messages)
        json_put_raw(w, content);
    else
        json_put_string(w, content);
}

static void put_content(struct json_writer *w, const struct span *span, enum col col) {
    struct slice content = span_get_text(span, col);
    if (!content.len) return;
    json_put_key(w, span_columns[col].name);
    span_put_json_content(w, content);
}

void span_put_json_members(struct json_writer *w, const struct span *span) {
    put_id(w, "trace_id", span->trace_id, TRACE_ID_SIZE);
    put_id(w, "span_id", span->span_id, SPAN_ID_SIZE);
    put_id(w, "parent_span_id", span->parent_span_id, SPAN_ID_SIZE);
    put_text(w, span, COL_OPERATION);
    json_put_key(w, "kind");
    json_put_cstr(w, span_kind_names[span->kind >= 0 && span->kind < KIND_COUNT ? span->kind : KIND_OTHER]);
    put_text(w, span, COL_SERVICE);
    put_text(w, span, COL_PROJECT);
    put_start(w, span);
    put_ms(w, "duration_ms", span->duration_ns);
    json_put_key(w, "status");
    json_put_cstr(w, span_status_names[span->status >= 0 && span->status < STATUS_COUNT ? span->status : STATUS_UNSET]);
    put_text(w, span, COL_ERROR);
    put_text(w, span, COL_PROVIDER);
    put_text(w, span, COL_MODEL);
    put_tokens(w, span);
    put_number(w, "cost_usd", span->cost_usd);
    put_flag(w, "cost_reported", span, SPAN_COST_REPORTED);
    put_flag(w, "usage_restated", span, SPAN_USAGE_RESTATED);
    put_flag(w, "estimated", span, SPAN_USAGE_ESTIMATED);
    put_number(w, "temperature", span->temperature);
    put_ms(w, "ttft_ms", span->ttft_ns);
    put_text(w, span, COL_FINISH_REASON);
    if (span->sample_rate < 1) put_number(w, "sample_rate", span->sample_rate);
    put_text(w, span, COL_USER_ID);
    put_text(w, span, COL_THREAD_ID);
    put_text(w, span, COL_TURN_ID);
    put_content(w, span, COL_PROMPT);
    put_content(w, span, COL_COMPLETION);
    put_json(w, span, COL_ATTRIBUTES);
    put_json(w, span, COL_EVENTS);
    put_json(w, span, COL_RESOURCE);
}

void span_put_json(struct json_writer *w, const struct span *span) {
    json_open(w, '{');
    span_put_json_members(w, span);
    json_close(w, '}');
}
