/* Which way a sender counts is told, in this order, by proof, by the total, by provider and dialect. */
#include "span/usage.h"

static int64_t checked(int64_t count) {
    return count < 0 || count > (INT64_C(1) << 53) ? SPAN_NO_INT : count;
}
static int64_t or_zero(int64_t count) {
    return count == SPAN_NO_INT ? 0 : count;
}

/* Providers whose own APIs leave cached tokens out of the input; also by the model where the provider is not said. */
static bool provider_is_additive(const struct usage *usage) {
    if (slice_is(usage->provider, "anthropic") || slice_is(usage->provider, "bedrock")) return true;
    return !usage->provider.len &&
           (slice_starts(usage->model, SLICE("claude")) || slice_starts(usage->model, SLICE("anthropic")));
}

static bool input_is_additive(const struct usage *usage, int64_t cache, int64_t reasoning) {
    if (cache > usage->input) return true;
    if (usage->inclusive) return false;
    if (usage->total != SPAN_NO_INT && usage->output != SPAN_NO_INT) {
        int64_t sum = usage->input + usage->output;
        if (usage->total == sum + cache || (reasoning && usage->total == sum + cache + reasoning)) return true;
        /* A total without the cached part proves something only of those who add up by themselves. */
        bool adds_up = usage->dialect == DIALECT_OPENLLMETRY || usage->dialect == DIALECT_STOREFRONT ||
                       usage->disjoint || !provider_is_additive(usage);
        if (adds_up && (usage->total == sum || (reasoning && usage->total == sum + reasoning))) return false;
    }
    if (usage->dialect == DIALECT_OPENINFERENCE) return false; /* its specification: cache_read is a part of prompt */
    if (usage->disjoint) return true;
    return provider_is_additive(usage);
}

static bool output_is_additive(const struct usage *usage, int64_t input, int64_t reasoning) {
    if (reasoning > usage->output) return true;
    if (usage->total != SPAN_NO_INT && usage->input != SPAN_NO_INT) {
        if (usage->total == input + usage->output || usage->total == usage->input + usage->output) return false;
        if (usage->total == input + usage->output + reasoning ||
            usage->total == usage->input + usage->output + reasoning)
            return true;
    }
    return usage->disjoint || slice_is(usage->provider, "vertex");
}

void usage_to_span(struct usage usage, struct span *span) {
    int64_t *const counts[] = {&usage.input,  &usage.output,      &usage.total,
                               &usage.cached, &usage.cache_write, &usage.reasoning};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) *counts[i] = checked(*counts[i]);
    int64_t cache = or_zero(usage.cached) + or_zero(usage.cache_write), reasoning = or_zero(usage.reasoning);
    int64_t input = usage.input, output = usage.output;
    if (input != SPAN_NO_INT && cache && input_is_additive(&usage, cache, reasoning)) input += cache;
    if (output != SPAN_NO_INT && reasoning && output_is_additive(&usage, input, reasoning)) output += reasoning;
    if (usage.total != SPAN_NO_INT) {
        /* With the total known one side gives the other; alone it counts as input, so that sums stay right. */
        if (input == SPAN_NO_INT && output == SPAN_NO_INT)
            input = usage.total;
        else if (output == SPAN_NO_INT && usage.total > input)
            output = usage.total - input;
        else if (input == SPAN_NO_INT && usage.total > output)
            input = usage.total - output;
    }
    span->tokens_input = input;
    span->tokens_output = output;
    span->tokens_cached = usage.cached;
    span->tokens_cache_write = usage.cache_write;
    span->tokens_reasoning = usage.reasoning;
}
