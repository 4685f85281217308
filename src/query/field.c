/* The table of fields. */
#include "query/field.h"

#include "base/json.h"

#include <stdio.h>
#include <strings.h>

#define MS 1e-6

struct named_field {
    const char *names; /* the one of the API first, then aliases */
    struct field field;
};

static const struct named_field fields[] = {
    {"trace_id trace", {.source = FIELD_COLUMN, .type = FIELD_TYPE_ID, .col = COL_TRACE_ID}},
    {"span_id span", {.source = FIELD_COLUMN, .type = FIELD_TYPE_ID, .col = COL_SPAN_ID}},
    {"parent_span_id parent", {.source = FIELD_COLUMN, .type = FIELD_TYPE_ID, .col = COL_PARENT_SPAN_ID}},
    {"operation op name", {.source = FIELD_COLUMN, .type = FIELD_TYPE_TEXT, .col = COL_OPERATION}},
    {"kind", {.source = FIELD_COLUMN, .type = FIELD_TYPE_WORD, .col = COL_KIND}},
    {"status", {.source = FIELD_COLUMN, .type = FIELD_TYPE_WORD, .col = COL_STATUS}},
    {"service", {.source = FIELD_COLUMN, .type = FIELD_TYPE_TEXT, .col = COL_SERVICE}},
    {"project", {.source = FIELD_COLUMN, .type = FIELD_TYPE_TEXT, .col = COL_PROJECT}},
    {"provider vendor", {.source = FIELD_COLUMN, .type = FIELD_TYPE_TEXT, .col = COL_PROVIDER}},
    {"model", {.source = FIELD_COLUMN, .type = FIELD_TYPE_TEXT, .col = COL_MODEL}},
    {"finish_reason finish", {.source = FIELD_COLUMN, .type = FIELD_TYPE_TEXT, .col = COL_FINISH_REASON}},
    {"user_id user", {.source = FIELD_COLUMN, .type = FIELD_TYPE_TEXT, .col = COL_USER_ID}},
    {"thread_id thread", {.source = FIELD_COLUMN, .type = FIELD_TYPE_TEXT, .col = COL_THREAD_ID}},
    {"turn_id turn", {.source = FIELD_COLUMN, .type = FIELD_TYPE_TEXT, .col = COL_TURN_ID}},
    {"error", {.source = FIELD_COLUMN, .type = FIELD_TYPE_WORDS, .col = COL_ERROR}},
    {"prompt", {.source = FIELD_COLUMN, .type = FIELD_TYPE_WORDS, .col = COL_PROMPT}},
    {"completion", {.source = FIELD_COLUMN, .type = FIELD_TYPE_WORDS, .col = COL_COMPLETION}},
    {"start", {.source = FIELD_COLUMN, .type = FIELD_TYPE_TIME, .col = COL_START_NS, .scale = MS}},
    {"duration_ms duration",
     {.source = FIELD_COLUMN, .type = FIELD_TYPE_DURATION, .col = COL_DURATION_NS, .scale = MS}},
    {"ttft_ms ttft", {.source = FIELD_COLUMN, .type = FIELD_TYPE_DURATION, .col = COL_TTFT_NS, .scale = MS}},
    {"tokens.total tokens", {.source = FIELD_TOKENS_TOTAL, .type = FIELD_TYPE_NUMBER, .scale = 1, .usage = true}},
    {"tokens.input",
     {.source = FIELD_COLUMN, .type = FIELD_TYPE_NUMBER, .col = COL_TOKENS_INPUT, .scale = 1, .usage = true}},
    {"tokens.output",
     {.source = FIELD_COLUMN, .type = FIELD_TYPE_NUMBER, .col = COL_TOKENS_OUTPUT, .scale = 1, .usage = true}},
    {"tokens.cached",
     {.source = FIELD_COLUMN, .type = FIELD_TYPE_NUMBER, .col = COL_TOKENS_CACHED, .scale = 1, .usage = true}},
    {"tokens.cache_write",
     {.source = FIELD_COLUMN, .type = FIELD_TYPE_NUMBER, .col = COL_TOKENS_CACHE_WRITE, .scale = 1, .usage = true}},
    {"tokens.reasoning",
     {.source = FIELD_COLUMN, .type = FIELD_TYPE_NUMBER, .col = COL_TOKENS_REASONING, .scale = 1, .usage = true}},
    {"cost_usd cost",
     {.source = FIELD_COLUMN, .type = FIELD_TYPE_NUMBER, .col = COL_COST_USD, .scale = 1, .usage = true}},
    {"temperature", {.source = FIELD_COLUMN, .type = FIELD_TYPE_NUMBER, .col = COL_TEMPERATURE, .scale = 1}},
    {"sample_rate", {.source = FIELD_COLUMN, .type = FIELD_TYPE_NUMBER, .col = COL_SAMPLE_RATE, .scale = 1}},
    {"estimated", {.source = FIELD_FLAG, .type = FIELD_TYPE_BOOL, .col = (enum col)SPAN_USAGE_ESTIMATED}},
    {"fallback", {.source = FIELD_FALLBACK, .type = FIELD_TYPE_BOOL}},
    {"root", {.source = FIELD_ROOT, .type = FIELD_TYPE_BOOL}},
};
enum { FIELD_COUNT = sizeof fields / sizeof *fields };

const char field_names_text[] =
    "trace, span, operation, kind, status, service, project, provider, model, finish_reason, user, "
    "thread, turn, error, prompt, completion, start, duration, ttft, tokens, cost, temperature, "
    "fallback, root or attr.KEY";

/* The next of the names separated by blanks; empty at the end. */
static struct slice next_name(const char **names) {
    const char *start = *names, *end = strchrnul(start, ' ');
    *names = *end ? end + 1 : end;
    return slice_make(start, (size_t)(end - start));
}

/* Letters to change, add or drop to get from a to b; only small ones matter. */
static unsigned distance(struct slice a, struct slice b) {
    enum { LONGEST = 24 };
    unsigned row[LONGEST + 1];
    if (a.len > LONGEST || b.len > LONGEST) return LONGEST;
    for (unsigned j = 0; j <= b.len; j++) row[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned swap = diagonal + ((a.ptr[i - 1] | 32) != (b.ptr[j - 1] | 32));
            diagonal = row[j];
            unsigned shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = swap < shift ? swap : shift;
        }
    }
    return row[b.len];
}

static void report_unknown(struct slice name, struct error *err) {
    struct slice nearest = {NULL, 0}, alias;
    unsigned best = 3;
    for (int i = 0; i < FIELD_COUNT; i++)
        for (const char *names = fields[i].names; (alias = next_name(&names)).len;) {
            unsigned far = distance(name, alias);
            if (far < best && far < name.len) best = far, nearest = alias;
        }
    int shown = name.len < 60 ? (int)name.len : 60;
    error_set(err, VT_EINVAL, "there is no field '%.*s'", shown, name.ptr);
    if (nearest.len)
        error_hint(err, "did you mean '%.*s'? An attribute is attr.%.*s", (int)nearest.len, nearest.ptr, shown,
                   name.ptr);
    else
        error_hint(err, "fields are %s", field_names_text);
}

static bool set_attr(struct slice key, struct field *out) {
    *out = (struct field){.name = "attr", .source = FIELD_ATTR, .type = FIELD_TYPE_TEXT, .scale = 1, .key = key};
    return key.len > 0;
}

static struct slice unquote(struct slice key) {
    bool quoted = key.len >= 2 && key.ptr[0] == '"' && key.ptr[key.len - 1] == '"';
    return quoted ? slice_make(key.ptr + 1, key.len - 2) : key;
}

bool field_named(struct slice name, bool bare_attrs, struct field *out, struct error *err) {
    static const struct slice prefixes[] = {{"attr.", 5}, {"attributes.", 11}};
    for (int i = 0; i < FIELD_COUNT; i++) {
        struct slice alias;
        for (const char *names = fields[i].names; (alias = next_name(&names)).len;)
            if (alias.len == name.len && strncasecmp(alias.ptr, name.ptr, name.len) == 0) {
                *out = fields[i].field;
                out->name = fields[i].names;
                return true;
            }
    }
    /* The columns' own names, as SQL and Parquet have them. */
    int col = span_column_named(name);
    for (int i = 0; col >= 0 && i < FIELD_COUNT; i++)
        if (fields[i].field.source == FIELD_COLUMN && (int)fields[i].field.col == col) {
            *out = fields[i].field;
            out->name = fields[i].names;
            return true;
        }
    for (int i = 0; i < 2; i++)
        if (slice_starts(name, prefixes[i]) && set_attr(unquote(slice_from(name, prefixes[i].len)), out)) return true;
    if (bare_attrs && set_attr(unquote(name), out)) return true;
    report_unknown(name, err);
    return false;
}

struct slice field_name(const struct field *field) {
    if (field->source == FIELD_ATTR) return field->key;
    const char *names = field->name;
    return next_name(&names);
}

uint64_t field_columns(const struct field *field) {
    static const uint64_t one = 1;
    uint64_t cols = field->usage ? one << COL_FLAGS : 0;
    switch (field->source) {
    case FIELD_COLUMN: return cols | one << field->col;
    case FIELD_TOKENS_TOTAL: return cols | one << COL_TOKENS_INPUT | one << COL_TOKENS_OUTPUT;
    case FIELD_FALLBACK:
    case FIELD_FLAG: return one << COL_FLAGS;
    case FIELD_ROOT: return one << COL_PARENT_SPAN_ID;
    case FIELD_ATTR: return one << COL_ATTRIBUTES | one << COL_RESOURCE;
    }
    return cols;
}
