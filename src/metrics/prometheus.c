/* Observing spans: counters and histograms by their labels. */
#include "metrics/prometheus_internal.h"

#include <math.h>
#include <stdlib.h>

struct prometheus *prometheus_new(uint32_t series_max) {
    struct prometheus *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    if (!series_table_init(&p->table, series_max ? series_max : PROMETHEUS_SERIES_DEFAULT)) {
        series_table_free(&p->table);
        free(p);
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void prometheus_free(struct prometheus *p) {
    if (!p) return;
    pthread_mutex_destroy(&p->lock);
    series_table_free(&p->table);
    free(p);
}

static uint8_t *recent_slot(struct recent *r, const uint8_t *trace_id) {
    uint32_t hash;
    memcpy(&hash, trace_id + TRACE_ID_SIZE - sizeof hash, sizeof hash); /* the random end */
    return r->ids[hash % RECENT];
}
static void recent_add(struct recent *r, const uint8_t *trace_id) {
    memcpy(recent_slot(r, trace_id), trace_id, TRACE_ID_SIZE);
}
static bool recent_take(struct recent *r, const uint8_t *trace_id) {
    uint8_t *slot = recent_slot(r, trace_id);
    if (memcmp(slot, trace_id, TRACE_ID_SIZE) != 0) return false;
    memset(slot, 0, TRACE_ID_SIZE);
    return true;
}

static double weight_of(const struct span *span) {
    return span->sample_rate > 0 && span->sample_rate < 1 ? 1 / span->sample_rate : 1;
}

static void observe_usage(struct series *s, const struct span *span, double weight) {
    if (span->flags & SPAN_USAGE_RESTATED) return;
    if (span->tokens_input != SPAN_NO_INT) histogram_add(&s->input, token_bounds, (double)span->tokens_input, weight);
    if (span->tokens_output != SPAN_NO_INT)
        histogram_add(&s->output, token_bounds, (double)span->tokens_output, weight);
    if (!isnan(span->cost_usd)) s->cost_usd += span->cost_usd * weight;
}

/* A turn that succeeded although a call in it failed, in whichever order the two arrive; counted once a turn. */
static void observe_fallback(struct prometheus *p, struct series *s, const struct span *span, double weight) {
    if (span->kind == KIND_TURN) {
        if (span->status == STATUS_ERROR) return;
        if (recent_take(&p->failed_calls, span->trace_id))
            s->fallbacks += weight;
        else
            recent_add(&p->good_turns, span->trace_id);
    } else if (span->status == STATUS_ERROR) {
        if (!recent_take(&p->good_turns, span->trace_id)) {
            recent_add(&p->failed_calls, span->trace_id);
            return;
        }
        /* The turn came first: it is counted on its own series, which has only the service in common. */
        const struct slice labels[LABELS] = {
            [LABEL_SERVICE] = span_get_text(span, COL_SERVICE), [LABEL_STATUS] = SLICE("OK")};
        struct series *turn = series_table_get(&p->table, KIND_TURN, labels);
        if (turn) turn->fallbacks += weight;
    }
}

static void observe_span(struct prometheus *p, const struct span *span) {
    bool turn = span->kind == KIND_TURN, call = span->kind == KIND_LLM || span->kind == KIND_EMBEDDING;
    if (!turn && !call) return;
    const struct slice none = {NULL, 0};
    const struct slice labels[LABELS] = {
        [LABEL_SERVICE] = span_get_text(span, COL_SERVICE),
        [LABEL_PROVIDER] = call ? span_get_text(span, COL_PROVIDER) : none,
        [LABEL_MODEL] = call ? span_get_text(span, COL_MODEL) : none,
        [LABEL_OPERATION] = call ? span_get_text(span, COL_OPERATION) : none,
        /* Unset is OTel's word for "nothing went wrong". */
        [LABEL_STATUS] = span->status == STATUS_ERROR ? SLICE("ERROR") : SLICE("OK"),
    };
    struct series *s = series_table_get(&p->table, turn ? KIND_TURN : KIND_LLM, labels);
    if (!s) return;
    double weight = weight_of(span), seconds = (double)span->duration_ns / 1e9;
    s->count += weight;
    histogram_add(&s->duration, duration_bounds, seconds, weight);
    struct exemplar *exemplar = &s->exemplars[histogram_bucket(duration_bounds, seconds)];
    memcpy(exemplar->trace_id, span->trace_id, TRACE_ID_SIZE);
    exemplar->value = seconds;
    exemplar->at_ns = span->start_ns + span->duration_ns;
    if (call) observe_usage(s, span, weight);
    if (call && span->ttft_ns != SPAN_NO_INT)
        histogram_add(&s->ttft, duration_bounds, (double)span->ttft_ns / 1e9, weight);
    observe_fallback(p, s, span, weight);
}

void prometheus_observe(struct prometheus *p, const struct batch *batch) {
    pthread_mutex_lock(&p->lock);
    for (uint32_t i = 0; i < batch->count; i++) observe_span(p, &batch->spans[i]);
    pthread_mutex_unlock(&p->lock);
}
