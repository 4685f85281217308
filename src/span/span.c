/* The table of columns. */
#include "span/span.h"

#include <strings.h>

#define AT(field) offsetof(struct span, field)
#define TEXT(col) (offsetof(struct span, text) + ((col)-COL_TEXT_FIRST) * sizeof(struct slice))

const struct column span_columns[COL_COUNT] = {
    [COL_TRACE_ID] = {"trace_id", COL_BYTES, AT(trace_id), TRACE_ID_SIZE, false},
    [COL_SPAN_ID] = {"span_id", COL_BYTES, AT(span_id), SPAN_ID_SIZE, false},
    [COL_PARENT_SPAN_ID] = {"parent_span_id", COL_BYTES, AT(parent_span_id), SPAN_ID_SIZE, true},
    [COL_START_NS] = {"start_ns", COL_INT, AT(start_ns), 0, false},
    [COL_DURATION_NS] = {"duration_ns", COL_INT, AT(duration_ns), 0, false},
    [COL_TTFT_NS] = {"ttft_ns", COL_INT, AT(ttft_ns), 0, true},
    [COL_TOKENS_INPUT] = {"tokens_input", COL_INT, AT(tokens_input), 0, true},
    [COL_TOKENS_OUTPUT] = {"tokens_output", COL_INT, AT(tokens_output), 0, true},
    [COL_TOKENS_CACHED] = {"tokens_cached", COL_INT, AT(tokens_cached), 0, true},
    [COL_TOKENS_CACHE_WRITE] = {"tokens_cache_write", COL_INT, AT(tokens_cache_write), 0, true},
    [COL_TOKENS_REASONING] = {"tokens_reasoning", COL_INT, AT(tokens_reasoning), 0, true},
    [COL_COST_USD] = {"cost_usd", COL_DOUBLE, AT(cost_usd), 0, true},
    [COL_TEMPERATURE] = {"temperature", COL_DOUBLE, AT(temperature), 0, true},
    [COL_SAMPLE_RATE] = {"sample_rate", COL_DOUBLE, AT(sample_rate), 0, true},
    [COL_KIND] = {"kind", COL_INT, AT(kind), 0, false},
    [COL_STATUS] = {"status", COL_INT, AT(status), 0, false},
    [COL_FLAGS] = {"flags", COL_INT, AT(flags), 0, false},
    [COL_PROJECT] = {"project", COL_DICT, TEXT(COL_PROJECT), 0, true},
    [COL_SERVICE] = {"service", COL_DICT, TEXT(COL_SERVICE), 0, true},
    [COL_OPERATION] = {"operation", COL_DICT, TEXT(COL_OPERATION), 0, true},
    [COL_PROVIDER] = {"provider", COL_DICT, TEXT(COL_PROVIDER), 0, true},
    [COL_MODEL] = {"model", COL_DICT, TEXT(COL_MODEL), 0, true},
    [COL_FINISH_REASON] = {"finish_reason", COL_DICT, TEXT(COL_FINISH_REASON), 0, true},
    [COL_USER_ID] = {"user_id", COL_DICT, TEXT(COL_USER_ID), 0, true},
    [COL_THREAD_ID] = {"thread_id", COL_DICT, TEXT(COL_THREAD_ID), 0, true},
    [COL_TURN_ID] = {"turn_id", COL_STRING, TEXT(COL_TURN_ID), 0, true},
    [COL_ERROR] = {"error", COL_STRING, TEXT(COL_ERROR), 0, true},
    [COL_PROMPT] = {"prompt", COL_STRING, TEXT(COL_PROMPT), 0, true},
    [COL_COMPLETION] = {"completion", COL_STRING, TEXT(COL_COMPLETION), 0, true},
    [COL_ATTRIBUTES] = {"attributes", COL_STRING, TEXT(COL_ATTRIBUTES), 0, true},
    [COL_EVENTS] = {"events", COL_STRING, TEXT(COL_EVENTS), 0, true},
    [COL_RESOURCE] = {"resource", COL_DICT, TEXT(COL_RESOURCE), 0, true},
};

const char *const span_kind_names[KIND_COUNT] = {"other",     "llm",       "turn",  "tool",
                                                 "retrieval", "embedding", "agent", "chain"};
const char *const span_status_names[STATUS_COUNT] = {"UNSET", "OK", "ERROR"};

void span_init(struct span *span) {
    memset(span, 0, sizeof *span);
    span->ttft_ns = SPAN_NO_INT;
    span->tokens_input = span->tokens_output = span->tokens_cached = SPAN_NO_INT;
    span->tokens_cache_write = span->tokens_reasoning = SPAN_NO_INT;
    span->cost_usd = span->temperature = span->sample_rate = (double)NAN;
}

int span_column_named(struct slice name) {
    for (int i = 0; i < COL_COUNT; i++)
        if (slice_is(name, span_columns[i].name)) return i;
    return -1;
}

static int word_index(struct slice word, const char *const *words, int count) {
    for (int i = 0; i < count; i++)
        if (strlen(words[i]) == word.len && strncasecmp(word.ptr, words[i], word.len) == 0) return i;
    return -1;
}

int span_kind_named(struct slice word) {
    return word_index(word, span_kind_names, KIND_COUNT);
}
int span_status_named(struct slice word) {
    return word_index(word, span_status_names, STATUS_COUNT);
}
