/* Tokens and cost as the sender tells them. */
#include "span/reading.h"

#include "base/json.h"
#include "span/usage.h"

#include <math.h>

static const struct {
    const char *key;
    uint8_t offset;
    bool disjoint; /* a name of Langfuse's own, whose counts do not overlap */
} usage_keys[] = {
#define USAGE(key, field, disjoint)                                                                                    \
    { key, offsetof(struct usage, field), disjoint }
    USAGE("input", input, true),
    USAGE("input_tokens", input, false),
    USAGE("prompt_tokens", input, false),
    USAGE("promptTokens", input, false),
    USAGE("inputTokens", input, false),
    USAGE("output", output, true),
    USAGE("output_tokens", output, false),
    USAGE("completion_tokens", output, false),
    USAGE("completionTokens", output, false),
    USAGE("outputTokens", output, false),
    USAGE("total", total, false),
    USAGE("total_tokens", total, false),
    USAGE("totalTokens", total, false),
    USAGE("input_cached_tokens", cached, true),
    USAGE("cache_read_input_tokens", cached, true),
    USAGE("input_cache_read", cached, true),
    USAGE("cached_tokens", cached, false),
    USAGE("cachedInputTokens", cached, false),
    USAGE("cache_creation_input_tokens", cache_write, true),
    USAGE("input_cache_creation", cache_write, true),
    USAGE("input_cache_write", cache_write, true),
    USAGE("output_reasoning_tokens", reasoning, true),
    USAGE("output_reasoning", reasoning, true),
    USAGE("reasoning_tokens", reasoning, false),
    USAGE("reasoningTokens", reasoning, false),
#undef USAGE
};

/* A JSON object of counts; details ({"prompt_tokens_details":{"cached_tokens":3}}) are looked into. */
static void read_usage_json(struct json_reader *r, struct usage *usage) {
    struct slice key;
    json_object(r);
    while (json_key(r, &key)) {
        enum json_type type = json_peek(r);
        if (type == JSON_OBJECT && r->depth < 4) {
            read_usage_json(r, usage);
            continue;
        }
        if (type != JSON_NUMBER) {
            json_skip(r, NULL);
            continue;
        }
        struct json_number number;
        json_number(r, &number);
        for (size_t i = 0; i < sizeof usage_keys / sizeof *usage_keys; i++) {
            if (!slice_is(key, usage_keys[i].key) || !(fabs(number.real) < 9e15)) continue;
            int64_t *count = (int64_t *)(void *)((char *)usage + usage_keys[i].offset);
            *count = (int64_t)number.real;
            if (usage_keys[i].offset == offsetof(struct usage, input)) usage->disjoint = usage_keys[i].disjoint;
        }
    }
}

void read_usage(struct reading *in) {
    struct span *span = in->span;
    struct usage usage = usage_none();
    struct json_reader r;
    if (in->picks[FIELD_USAGE].value) {
        usage.dialect = DIALECT_LANGFUSE;
        json_reader_init(&r, value_borrow(in->picks[FIELD_USAGE].value), &in->batch->arena);
        if (json_peek(&r) == JSON_OBJECT) read_usage_json(&r, &usage);
    }
    int64_t *const counts[] = {&usage.input,  &usage.output,      &usage.total,
                               &usage.cached, &usage.cache_write, &usage.reasoning};
    for (int i = 0; i < (int)(sizeof counts / sizeof *counts); i++) {
        const struct pick *pick = &in->picks[FIELD_INPUT + i];
        if (!pick->value) continue;
        int64_t count = value_int(pick->value);
        if (count == SPAN_NO_INT) continue;
        *counts[i] = count;
        if (i == 0) usage.dialect = pick->name->dialect, usage.disjoint = false;
        if (i == FIELD_TOTAL - FIELD_INPUT && pick->name->dialect == DIALECT_OPENLLMETRY)
            usage.dialect = DIALECT_OPENLLMETRY;
    }
    /* Who also tells the part that was not cached, or is known to follow the newer convention, counts inclusively. */
    struct slice scope = in->raw->resource ? in->raw->resource->scope_name : (struct slice){NULL, 0};
    usage.inclusive = in->picks[FIELD_UNCACHED].value || slice_is(scope, "pydantic-ai") || slice_is(scope, "gen_ai");
    usage.provider = span_get_text(span, COL_PROVIDER);
    usage.model = span_get_text(span, COL_MODEL);
    if (usage_given(&usage)) usage_to_span(usage, span);
}

void read_cost(struct reading *in) {
    double cost = value_double(in->picks[FIELD_COST].value);
    if (isnan(cost) && in->picks[FIELD_COSTS].value) {
        struct json_reader r;
        struct slice key;
        double sum = (double)NAN, total = (double)NAN;
        json_reader_init(&r, value_borrow(in->picks[FIELD_COSTS].value), &in->batch->arena);
        if (json_peek(&r) == JSON_OBJECT && json_object(&r))
            while (json_key(&r, &key)) {
                struct json_number number;
                if (json_peek(&r) != JSON_NUMBER)
                    json_skip(&r, NULL);
                else if (json_number(&r, &number)) {
                    if (slice_is(key, "total"))
                        total = number.real;
                    else
                        sum = isnan(sum) ? number.real : sum + number.real;
                }
            }
        cost = isnan(total) ? sum : total;
    }
    if (isnan(cost) || cost < 0) return;
    in->span->cost_usd = cost;
    in->span->flags |= SPAN_COST_REPORTED;
}
