/* Sums over some spans. */
#include "query/traces.h"

static const enum col token_cols[5] = {COL_TOKENS_INPUT, COL_TOKENS_OUTPUT, COL_TOKENS_CACHED, COL_TOKENS_CACHE_WRITE,
                                       COL_TOKENS_REASONING};

void totals_init(struct totals *totals) {
    memset(totals, 0, sizeof *totals);
    for (int i = 0; i < 5; i++) totals->tokens[i] = SPAN_NO_INT;
    totals->cost_usd = (double)NAN;
}

static void add_usage(struct totals *totals, const struct span *span) {
    if (span->flags & SPAN_USAGE_RESTATED) return;
    for (int i = 0; i < 5; i++) {
        int64_t value = span_get_int(span, token_cols[i]);
        if (value == SPAN_NO_INT) continue;
        totals->tokens[i] = totals->tokens[i] == SPAN_NO_INT ? value : totals->tokens[i] + value;
    }
    if (!isnan(span->cost_usd))
        totals->cost_usd = isnan(totals->cost_usd) ? span->cost_usd : totals->cost_usd + span->cost_usd;
}

static void add_model(struct totals *totals, struct slice model) {
    if (!model.len || totals->model_count == sizeof totals->models / sizeof *totals->models) return;
    for (uint32_t i = 0; i < totals->model_count; i++)
        if (slice_eq(totals->models[i], model)) return;
    totals->models[totals->model_count++] = model;
}

void totals_add(struct totals *totals, const struct span *span) {
    totals->spans++;
    add_usage(totals, span);
    add_model(totals, span_get_text(span, COL_MODEL));
    if (!totals->provider.len) totals->provider = span_get_text(span, COL_PROVIDER);
    if (span->kind != KIND_LLM) return;
    totals->llm_calls++;
    totals->errors += span->status == STATUS_ERROR;
}

void totals_put_tokens(const struct totals *totals, struct json_writer *w) {
    static const char *const keys[5] = {"input", "output", "cached", "cache_write", "reasoning"};
    int64_t input = totals->tokens[0], output = totals->tokens[1];
    bool open = false;
    for (int i = 0; i < 5; i++) {
        if (totals->tokens[i] == SPAN_NO_INT) continue;
        if (!open) json_put_key(w, "tokens"), json_open(w, '{');
        open = true;
        json_put_key(w, keys[i]);
        json_put_int(w, totals->tokens[i]);
    }
    if (input != SPAN_NO_INT || output != SPAN_NO_INT) {
        json_put_key(w, "total");
        json_put_int(w, (input == SPAN_NO_INT ? 0 : input) + (output == SPAN_NO_INT ? 0 : output));
    }
    if (open) json_close(w, '}');
}

void totals_put_models(const struct totals *totals, struct json_writer *w) {
    if (!totals->model_count) return;
    json_put_key(w, "models");
    json_open(w, '[');
    for (uint32_t i = 0; i < totals->model_count; i++) json_put_string(w, totals->models[i]);
    json_close(w, ']');
}
