/* POST and GET /api/v1/scores, and scores within other answers. */
#include "query/score_json.h"

#include "base/timestamp.h"
#include "query/traces.h"

#include <stdlib.h>

/* ---- in answers ---- */

int score_list_load(struct ask *ask, const uint8_t trace_id[TRACE_ID_SIZE], struct score_list *list,
                    struct error *err) {
    struct score_query query = {.trace_id = trace_id, .project = ask->request->project};
    return scores_list(ask->engine->scores, &query, &ask->arena, &list->scores, &list->count, err);
}

static void put_members(const struct score *score, struct json_writer *w) {
    json_put_key(w, "name"), json_put_string(w, score->name);
    json_put_key(w, "value"), json_put_double(w, score->value);
    put_text(w, "comment", score->comment);
    put_text(w, "user_id", score->user_id);
    put_time(w, "time", score->time_ns);
}

void score_list_put(const struct score_list *list, const uint8_t *span_id, struct json_writer *w) {
    static const uint8_t none[SPAN_ID_SIZE];
    bool open = false;
    for (uint32_t i = 0; i < list->count; i++) {
        if (memcmp(list->scores[i].span_id, span_id ? span_id : none, SPAN_ID_SIZE) != 0) continue;
        if (!open) json_put_key(w, "scores"), json_open(w, '[');
        open = true;
        json_open(w, '{');
        put_members(&list->scores[i], w);
        json_close(w, '}');
    }
    if (open) json_close(w, ']');
}

/* ---- POST ---- */

struct given {
    struct slice trace_id, span_id;
    struct score score;
    bool has_value;
};

static void read_value(struct json_reader *r, struct given *given) {
    struct json_number number;
    bool truth;
    given->has_value = true;
    switch (json_peek(r)) {
    case JSON_NUMBER:
        if (json_number(r, &number)) given->score.value = number.real;
        break;
    case JSON_BOOL: /* a thumb up or down */
        if (json_bool(r, &truth)) given->score.value = truth;
        break;
    default: json_fail(r, "value: expected a number, or true or false"); break;
    }
}

static int read_given(struct ask *ask, struct given *given, struct error *err) {
    struct json_reader r;
    struct slice key;
    json_reader_init(&r, ask->request->body, &ask->arena);
    const struct {
        const char *name;
        struct slice *text;
    } texts[] = {{"trace_id", &given->trace_id},
                 {"span_id", &given->span_id},
                 {"name", &given->score.name},
                 {"comment", &given->score.comment},
                 {"user_id", &given->score.user_id}};
    enum { TEXTS = sizeof texts / sizeof *texts };
    if (json_object(&r))
        while (json_key(&r, &key)) {
            size_t i = 0;
            while (i < TEXTS && !slice_is(key, texts[i].name)) i++;
            if (slice_is(key, "value"))
                read_value(&r, given);
            else if (i == TEXTS)
                json_skip(&r, NULL);
            else if (json_peek(&r) == JSON_NULL)
                json_null(&r);
            else if (json_peek(&r) == JSON_STRING)
                json_string(&r, texts[i].text);
            else
                json_fail(&r, "%s: expected a text", texts[i].name);
        }
    if (!json_end(&r))
        error_set(err, VT_EINVAL, "body: %s", r.err.message);
    else if (!given->trace_id.len)
        error_set(err, VT_EINVAL, "trace_id is missing");
    else if (!given->score.name.len)
        error_set(err, VT_EINVAL, "name is missing; expected what the score measures, as \"helpful\"");
    else if (!given->has_value)
        error_set(err, VT_EINVAL, "value is missing; expected a number");
    else
        return 0;
    error_hint(err, "as in {\"trace_id\":\"…\",\"name\":\"helpful\",\"value\":1}");
    return err->code;
}

static void span_id_of(struct slice text, uint8_t id[SPAN_ID_SIZE]) {
    if (!hex_decode(text, id, SPAN_ID_SIZE)) id_from_text(text, id, SPAN_ID_SIZE);
}

/* The scored thing must be there; the score belongs to its project. */
static int find_scored(struct ask *ask, struct given *given, struct error *err) {
    struct trace *trace;
    int code = trace_named(ask, given->trace_id, (uint64_t)1 << COL_PROJECT, &trace, err);
    if (code) return code;
    memcpy(given->score.trace_id, trace->trace_id, TRACE_ID_SIZE);
    given->score.project = span_get_text(trace->root, COL_PROJECT);
    if (!given->span_id.len) return 0;
    span_id_of(given->span_id, given->score.span_id);
    for (uint32_t i = 0; i < trace->span_count; i++) {
        if (memcmp(trace->spans[i]->span_id, given->score.span_id, SPAN_ID_SIZE) != 0) continue;
        given->score.project = span_get_text(trace->spans[i], COL_PROJECT);
        return 0;
    }
    return error_set(err, VT_ENOTFOUND, "the trace has no span '%.*s'",
                     given->span_id.len < 100 ? (int)given->span_id.len : 100, given->span_id.ptr);
}

int scores_post(struct ask *ask, struct json_writer *w, struct error *err) {
    struct given given = {.score = {.time_ns = ask->now_ns}};
    int64_t id;
    int code = read_given(ask, &given, err);
    if (!code) code = find_scored(ask, &given, err);
    if (!code) code = scores_put(ask->engine->scores, &given.score, &id, err);
    if (code) return code;
    json_open(w, '{');
    json_put_key(w, "score_id"), json_put_int(w, id);
    json_close(w, '}');
    return 0;
}

/* ---- GET ---- */

static void put_id(struct json_writer *w, const char *key, const uint8_t *id, size_t size) {
    char hex[TRACE_ID_HEX];
    hex_encode(id, size, hex);
    if (!id_is_zero(id, size)) put_text(w, key, slice_make(hex, 2 * size));
}

static void put_row(const struct score *score, struct json_writer *w) {
    json_open(w, '{');
    json_put_key(w, "score_id"), json_put_int(w, score->id);
    put_id(w, "trace_id", score->trace_id, TRACE_ID_SIZE);
    put_id(w, "span_id", score->span_id, SPAN_ID_SIZE);
    put_members(score, w);
    json_close(w, '}');
}

/* The id behind which the page begins. */
static int read_cursor(const struct ask *ask, int64_t *after, struct error *err) {
    char text[24], *end = text;
    if (!ask->cursor.len) return 0;
    size_t len = ask->cursor.len < sizeof text - 1 ? ask->cursor.len : sizeof text - 1;
    memcpy(text, ask->cursor.ptr, len);
    text[len] = 0;
    *after = strtoll(text, &end, 10);
    if (!*end && *after >= 0) return 0;
    error_set(err, VT_EINVAL, "cursor: expected what the answer before gave as 'next', found '%s'", text);
    return error_hint(err, "leave it out for the first page");
}

int scores_get(struct ask *ask, struct json_writer *w, struct error *err) {
    struct score_query query = {.project = ask->request->project, .limit = ask->limit + 1};
    struct slice text;
    struct score *list;
    uint32_t count;
    uint8_t trace_id[TRACE_ID_SIZE];
    int code = read_cursor(ask, &query.after_id, err);
    if (code) return code;
    if (ask_param(ask, "trace_id", &text) && text.len) {
        struct trace *trace;
        query.trace_id = trace_id;
        if (!hex_decode(text, trace_id, TRACE_ID_SIZE)) {
            code = trace_named(ask, text, 0, &trace, err);
            if (code) return code;
            memcpy(trace_id, trace->trace_id, TRACE_ID_SIZE);
        }
    }
    ask_param(ask, "name", &query.name);
    if (ask_param(ask, "from", &text) && (code = ask_read_when(ask, "from", text, &query.from_ns, err))) return code;
    if (ask_param(ask, "to", &text) && (code = ask_read_when(ask, "to", text, &query.to_ns, err))) return code;
    if ((code = scores_list(ask->engine->scores, &query, &ask->arena, &list, &count, err))) return code;
    uint32_t shown = count < ask->limit ? count : ask->limit;
    json_open(w, '{');
    json_put_key(w, "scores");
    json_open(w, '[');
    for (uint32_t i = 0; i < shown; i++) put_row(&list[i], w);
    json_close(w, ']');
    if (count > shown) {
        json_put_key(w, "next");
        json_put_string(w, arena_printf(&ask->arena, "%lld", (long long)list[shown - 1].id));
    }
    ask_put_tail(ask, w);
    json_close(w, '}');
    return 0;
}
