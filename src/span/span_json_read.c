/* Spans that come back from an export. */
#include "span/span_json.h"

#include "base/timestamp.h"

#include <math.h>

enum member_kind {
    MEMBER_ID,
    MEMBER_TEXT,
    MEMBER_CONTENT,
    MEMBER_JSON,
    MEMBER_KIND,
    MEMBER_STATUS,
    MEMBER_TIME,
    MEMBER_NS,
    MEMBER_MS,
    MEMBER_DOUBLE,
    MEMBER_FLAG,
    MEMBER_TOKENS
};

#define AT(field) offsetof(struct span, field)
#define TEXT(col) (offsetof(struct span, text) + ((col)-COL_TEXT_FIRST) * sizeof(struct slice))

static const struct member {
    const char *name;
    enum member_kind kind;
    uint16_t offset; /* in struct span; of MEMBER_FLAG the flag */
    uint8_t size;    /* of an id */
} members[] = {
    {"trace_id", MEMBER_ID, AT(trace_id), TRACE_ID_SIZE},
    {"span_id", MEMBER_ID, AT(span_id), SPAN_ID_SIZE},
    {"parent_span_id", MEMBER_ID, AT(parent_span_id), SPAN_ID_SIZE},
    {"operation", MEMBER_TEXT, TEXT(COL_OPERATION), 0},
    {"kind", MEMBER_KIND, 0, 0},
    {"service", MEMBER_TEXT, TEXT(COL_SERVICE), 0},
    {"project", MEMBER_TEXT, TEXT(COL_PROJECT), 0},
    {"start", MEMBER_TIME, AT(start_ns), 0},
    {"start_ns", MEMBER_NS, AT(start_ns), 0}, /* stands behind start and says it better */
    {"duration_ms", MEMBER_MS, AT(duration_ns), 0},
    {"status", MEMBER_STATUS, 0, 0},
    {"error", MEMBER_TEXT, TEXT(COL_ERROR), 0},
    {"provider", MEMBER_TEXT, TEXT(COL_PROVIDER), 0},
    {"model", MEMBER_TEXT, TEXT(COL_MODEL), 0},
    {"tokens", MEMBER_TOKENS, 0, 0},
    {"cost_usd", MEMBER_DOUBLE, AT(cost_usd), 0},
    {"cost_reported", MEMBER_FLAG, SPAN_COST_REPORTED, 0},
    {"usage_restated", MEMBER_FLAG, SPAN_USAGE_RESTATED, 0},
    {"estimated", MEMBER_FLAG, SPAN_USAGE_ESTIMATED, 0},
    {"temperature", MEMBER_DOUBLE, AT(temperature), 0},
    {"ttft_ms", MEMBER_MS, AT(ttft_ns), 0},
    {"finish_reason", MEMBER_TEXT, TEXT(COL_FINISH_REASON), 0},
    {"sample_rate", MEMBER_DOUBLE, AT(sample_rate), 0},
    {"user_id", MEMBER_TEXT, TEXT(COL_USER_ID), 0},
    {"thread_id", MEMBER_TEXT, TEXT(COL_THREAD_ID), 0},
    {"turn_id", MEMBER_TEXT, TEXT(COL_TURN_ID), 0},
    {"prompt", MEMBER_CONTENT, TEXT(COL_PROMPT), 0},
    {"completion", MEMBER_CONTENT, TEXT(COL_COMPLETION), 0},
    {"attributes", MEMBER_JSON, TEXT(COL_ATTRIBUTES), '{'},
    {"events", MEMBER_JSON, TEXT(COL_EVENTS), '['},
    {"resource", MEMBER_JSON, TEXT(COL_RESOURCE), '{'},
};

static const struct {
    const char *name;
    uint16_t offset;
} token_members[] = {{"input", AT(tokens_input)},
                     {"output", AT(tokens_output)},
                     {"cached", AT(tokens_cached)},
                     {"cache_write", AT(tokens_cache_write)},
                     {"reasoning", AT(tokens_reasoning)}};

static void read_tokens(struct json_reader *r, struct span *span) {
    struct slice key;
    if (!json_object(r)) return;
    while (json_key(r, &key)) {
        int64_t *count = NULL;
        for (size_t i = 0; i < sizeof token_members / sizeof *token_members && !count; i++)
            if (slice_is(key, token_members[i].name))
                count = (int64_t *)(void *)((char *)span + token_members[i].offset);
        if (count)
            json_int64(r, count);
        else
            json_skip(r, NULL);
    }
}

/* Milliseconds with six digits behind the point are nanoseconds, exactly up to some hundred days. */
static void read_ms(struct json_reader *r, const char *name, int64_t *ns) {
    struct json_number number;
    if (!json_number(r, &number)) return;
    if (number.real >= 0 && number.real < 9e12)
        *ns = llround(number.real * NS_PER_MS);
    else
        json_fail(r, "%s: expected milliseconds of 0 or more", name);
}

static void read_word(struct json_reader *r, const char *name, int (*named)(struct slice), int64_t *value) {
    struct slice word;
    if (!json_string(r, &word)) return;
    int found = named(word);
    if (found < 0)
        json_fail(r, "%s: \"%.*s\" is not known", name, word.len > 40 ? 40 : (int)word.len, word.ptr);
    else
        *value = found;
}

static void read_member(struct json_reader *r, const struct member *m, struct span *span) {
    void *place = (char *)span + m->offset;
    struct json_number number;
    struct slice text, raw;
    bool flag;
    switch (m->kind) {
    case MEMBER_ID:
        if (json_string(r, &text) && !hex_decode(text, place, m->size))
            json_fail(r, "%s: expected %d hex digits", m->name, 2 * m->size);
        break;
    case MEMBER_TEXT: json_string(r, place); break;
    case MEMBER_CONTENT:
        if (json_peek(r) == JSON_STRING)
            json_string(r, place);
        else
            json_skip(r, place);
        break;
    case MEMBER_JSON:
        if (json_skip(r, &raw) && raw.ptr[0] != (char)m->size)
            json_fail(r, "%s: expected %s", m->name, m->size == '{' ? "an object" : "an array");
        else
            *(struct slice *)place = raw;
        break;
    case MEMBER_KIND: read_word(r, m->name, span_kind_named, &span->kind); break;
    case MEMBER_STATUS: read_word(r, m->name, span_status_named, &span->status); break;
    case MEMBER_TIME:
        if (json_string(r, &text) && !time_parse(text, place)) json_fail(r, "%s: expected a time in ISO 8601", m->name);
        break;
    case MEMBER_NS: json_int64(r, place); break;
    case MEMBER_MS: read_ms(r, m->name, place); break;
    case MEMBER_DOUBLE:
        if (json_number(r, &number)) *(double *)place = number.real;
        break;
    case MEMBER_FLAG:
        if (json_bool(r, &flag) && flag) span->flags |= m->offset;
        break;
    case MEMBER_TOKENS: read_tokens(r, span); break;
    }
}

bool span_read_json(struct json_reader *r, struct span *span) {
    enum { MEMBERS = sizeof members / sizeof *members };
    struct slice key;
    span_init(span);
    if (!json_object(r)) return false;
    for (int last = -1; json_key(r, &key);) {
        const struct member *m = NULL;
        for (int n = 0; n < MEMBERS && !m; n++) /* they come in the table's order */
            if (slice_is(key, members[(last + 1 + n) % MEMBERS].name)) m = &members[last = (last + 1 + n) % MEMBERS];
        if (!m || json_peek(r) == JSON_NULL)
            json_skip(r, NULL);
        else
            read_member(r, m, span);
    }
    return !json_failed(r);
}
