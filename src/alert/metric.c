/* The table of metrics. */
#include "alert/metric.h"

const struct metric metrics[] = {
    {"llm.duration", "millisecond", "kind:llm", "duration_ms", false},
    {"llm.ttft", "millisecond", "kind:llm", "ttft_ms", false},
    {"llm.requests", "request", "kind:llm", NULL, true},
    {"llm.errors", "error", "kind:llm status:error", NULL, true},
    {"llm.tokens", "token", "", "tokens.total", true},
    {"llm.cost", "dollar", "", "cost_usd", true},
    {"chat.turns", "turn", "kind:turn", NULL, true},
    {"chat.duration", "millisecond", "kind:turn", "duration_ms", false},
    {"chat.errors", "error", "kind:turn status:error", NULL, true},
    {"chat.fallbacks", "fallback", "fallback:true", NULL, true},
};
const uint32_t metric_count = sizeof metrics / sizeof *metrics;

const struct metric *metric_named(struct slice name) {
    for (uint32_t i = 0; i < metric_count; i++)
        if (slice_is(name, metrics[i].name)) return &metrics[i];
    return NULL;
}
