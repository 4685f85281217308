/* What was counted, as text. A hundred thousand lines are nothing unusual, so each is put together from pieces that
 * were made before: the labels when their series began, the rest once a histogram. */
#include "metrics/prometheus_internal.h"

#include "metrics/dashboards.h"
#include "metrics/exposition.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PREFIX_MAX = 128,
    FAMILY_MAX = PREFIX_MAX + 64,
    BOUND_MAX = 24,    /* of 67108864.0"} and its kin */
    EXEMPLAR_MAX = 128 /* of one with a trace id */
};

struct bound_text {
    char text[BOUND_MAX]; /* what follows le=" up to the number */
    size_t len;
};

struct writer {
    struct prometheus *prometheus;
    struct prometheus_sink *sink;
    struct buf *out;
    bool openmetrics;
    enum label_style style;
    struct bound_text bounds[2][HISTOGRAM_BUCKETS + 1]; /* of seconds, of tokens */
    struct buf head;                                    /* scratch: the start of a histogram's bucket lines */
};
enum unit { UNIT_SECONDS, UNIT_TOKENS };

static void make_bounds(struct writer *w) {
    const double *const bounds[] = {[UNIT_SECONDS] = duration_bounds, [UNIT_TOKENS] = token_bounds};
    for (int unit = 0; unit < 2; unit++)
        for (int i = 0; i <= HISTOGRAM_BUCKETS; i++) {
            struct bound_text *b = &w->bounds[unit][i];
            double bound = i == HISTOGRAM_BUCKETS ? 0 : bounds[unit][i];
            int len = i == HISTOGRAM_BUCKETS                  ? snprintf(b->text, sizeof b->text, "+Inf\"} ")
                      : w->openmetrics && fmod(bound, 1) == 0 ? snprintf(b->text, sizeof b->text, "%.1f\"} ", bound)
                                                              : snprintf(b->text, sizeof b->text, "%.10g\"} ", bound);
            b->len = len > 0 ? (size_t)len : 0;
        }
}

/* Between two series: what is there is taken away while nobody has to wait for the lock. */
static void drain(struct writer *w) {
    if (!w->sink->drain || w->out->len < PROMETHEUS_PIECE) return;
    pthread_mutex_unlock(&w->prometheus->lock);
    w->sink->drain(w->sink);
    pthread_mutex_lock(&w->prometheus->lock);
}

static inline char *put(char *at, struct slice text) {
    memcpy(at, text.ptr, text.len);
    return at + text.len;
}

/* family suffix{labels,extra} value */
static void put_sample(struct writer *w, const char *family, const char *suffix, struct slice labels, const char *extra,
                       double value) {
    struct slice name = slice_of(family), end = slice_of(suffix), more = slice_of(extra);
    if (!buf_reserve(w->out, name.len + end.len + labels.len + more.len + EXPOSITION_NUMBER_MAX + 8)) return;
    char *start = w->out->ptr + w->out->len, *at = put(put(start, name), end);
    *at++ = '{';
    at = put(at, labels);
    if (more.len) *at++ = ',', at = put(at, more);
    *at++ = '}', *at++ = ' ';
    at = exposition_number(at, value);
    *at++ = '\n';
    w->out->len += (size_t)(at - start);
}

static char *put_exemplar(char *at, const struct exemplar *e) {
    at = put(at, SLICE(" # {trace_id=\""));
    hex_encode(e->trace_id, TRACE_ID_SIZE, at);
    at = put(at + TRACE_ID_HEX, SLICE("\"} "));
    at = exposition_number(at, e->value);
    *at++ = ' ';
    return exposition_number(at, (double)(e->at_ns / 1000000) / 1e3);
}

/* `extra`: NULL, or one more label as it is written. */
static void put_histogram(struct writer *w, const char *family, const struct series *s, const struct histogram *h,
                          enum unit unit, const struct exemplar *exemplars, const char *extra) {
    struct slice labels = s->text[w->style];
    double below = 0;
    if (h->total <= 0) return;
    buf_clear(&w->head);
    buf_puts(&w->head, family);
    buf_puts(&w->head, "_bucket{");
    buf_put_slice(&w->head, labels);
    if (extra) buf_putc(&w->head, ','), buf_puts(&w->head, extra);
    buf_puts(&w->head, ",le=\"");
    size_t line_max = w->head.len + BOUND_MAX + EXPOSITION_NUMBER_MAX + EXEMPLAR_MAX;
    if (w->head.failed || !buf_reserve(w->out, (HISTOGRAM_BUCKETS + 1) * line_max)) {
        w->out->failed = true;
        return;
    }
    char *start = w->out->ptr + w->out->len, *at = start;
    for (int i = 0; i <= HISTOGRAM_BUCKETS; i++) {
        const struct bound_text *bound = &w->bounds[unit][i];
        below += h->counts[i];
        at = put(at, buf_slice(&w->head));
        memcpy(at, bound->text, BOUND_MAX);
        at = exposition_number(at + bound->len, below);
        if (w->openmetrics && exemplars && exemplars[i].at_ns) at = put_exemplar(at, &exemplars[i]);
        *at++ = '\n';
    }
    w->out->len += (size_t)(at - start);
    put_sample(w, family, "_sum", labels, extra, h->sum);
    put_sample(w, family, "_count", labels, extra, h->total);
}

/* Errors of what has only succeeded so far are 0, not absent: otherwise an error rate shows nothing while all is well,
 * and increase() misses the first error, which would come with the series itself. */
static void put_errors(struct writer *w, const char *family, const struct series *s) {
    if (slice_is(s->labels[LABEL_STATUS], "ERROR")) {
        put_sample(w, family, "_total", s->text[w->style], NULL, s->count);
        return;
    }
    struct series zero = {.kind = s->kind};
    memcpy(zero.labels, s->labels, sizeof zero.labels);
    zero.labels[LABEL_STATUS] = SLICE("ERROR");
    if (series_table_find(&w->prometheus->table, zero.kind, zero.labels)) return;
    buf_clear(&w->head);
    series_put_labels(&zero, w->style, &w->head);
    put_sample(w, family, "_total", buf_slice(&w->head), NULL, 0);
}

enum family_form { FORM_COUNT, FORM_ERRORS, FORM_TOKENS, FORM_COST, FORM_FALLBACKS, FORM_DURATION, FORM_TTFT };

static void put_family_series(struct writer *w, enum family_form form, const char *family, const struct series *s) {
    struct slice labels = s->text[w->style];
    switch (form) {
    case FORM_COUNT: put_sample(w, family, "_total", labels, NULL, s->count); break;
    case FORM_ERRORS: put_errors(w, family, s); break;
    case FORM_TOKENS:
        if (s->input.total > 0) put_sample(w, family, "_total", labels, "type=\"input\"", s->input.sum);
        if (s->output.total > 0) put_sample(w, family, "_total", labels, "type=\"output\"", s->output.sum);
        break;
    case FORM_COST: put_sample(w, family, "_total", labels, NULL, s->cost_usd); break;
    case FORM_FALLBACKS: put_sample(w, family, "_total", labels, NULL, s->fallbacks); break;
    case FORM_DURATION: put_histogram(w, family, s, &s->duration, UNIT_SECONDS, s->exemplars, NULL); break;
    case FORM_TTFT: put_histogram(w, family, s, &s->ttft, UNIT_SECONDS, NULL, NULL); break;
    }
}

static const struct {
    const char *suffix, *type, *help;
    int64_t kind;
    enum family_form form;
} families[] = {
    {"llm_requests", "counter", "LLM calls.", KIND_LLM, FORM_COUNT},
    {"llm_errors", "counter", "LLM calls that failed.", KIND_LLM, FORM_ERRORS},
    {"llm_tokens", "counter", "Tokens read (input) and written (output) by models.", KIND_LLM, FORM_TOKENS},
    {"llm_cost_usd", "counter", "Cost of LLM calls in US dollars.", KIND_LLM, FORM_COST},
    {"llm_duration_seconds", "histogram", "Duration of LLM calls.", KIND_LLM, FORM_DURATION},
    {"llm_ttft_seconds", "histogram", "Time from the start of an LLM call to its first token.", KIND_LLM, FORM_TTFT},
    {"chat_turns", "counter", "Chat turns.", KIND_TURN, FORM_COUNT},
    {"chat_errors", "counter", "Chat turns that failed.", KIND_TURN, FORM_ERRORS},
    {"chat_fallbacks", "counter", "Chat turns that succeeded although an LLM call in them failed.", KIND_TURN,
     FORM_FALLBACKS},
    {"chat_duration_seconds", "histogram", "Duration of chat turns.", KIND_TURN, FORM_DURATION},
};

/* `count` of the table, as it was at the start: series that come meanwhile are for the next time. */
static void put_genai(struct writer *w, uint32_t count) {
    static const char tokens[] = "gen_ai_client_token_usage", duration[] = "gen_ai_client_operation_duration_seconds",
                      ttft[] = "gen_ai_server_time_to_first_token_seconds";
    struct series *const *all = w->prometheus->table.all;
    w->style = LABELS_GENAI;
    prometheus_put_type(w->out, w->openmetrics, tokens, "histogram", "Number of input and output tokens used.");
    for (uint32_t i = 0; i < count; i++, drain(w)) {
        put_histogram(w, tokens, all[i], &all[i]->input, UNIT_TOKENS, NULL, "gen_ai_token_type=\"input\"");
        put_histogram(w, tokens, all[i], &all[i]->output, UNIT_TOKENS, NULL, "gen_ai_token_type=\"output\"");
    }
    prometheus_put_type(w->out, w->openmetrics, duration, "histogram", "GenAI operation duration.");
    for (uint32_t i = 0; i < count; i++, drain(w))
        if (all[i]->kind == KIND_LLM)
            put_histogram(w, duration, all[i], &all[i]->duration, UNIT_SECONDS, all[i]->exemplars, NULL);
    prometheus_put_type(w->out, w->openmetrics, ttft, "histogram",
                        "Time to generate first token for successful responses.");
    for (uint32_t i = 0; i < count; i++, drain(w))
        put_histogram(w, ttft, all[i], &all[i]->ttft, UNIT_SECONDS, NULL, NULL);
}

struct named_series {
    char prefix[PREFIX_MAX];
    const struct series *series;
};

static int by_prefix(const void *a, const void *b) {
    return strcmp(((const struct named_series *)a)->prefix, ((const struct named_series *)b)->prefix);
}

static void put_service(struct writer *w, const struct named_series *named, uint32_t count) {
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        char family[FAMILY_MAX];
        bool typed = false;
        snprintf(family, sizeof family, "%s_%s", named->prefix, families[f].suffix);
        for (uint32_t i = 0; i < count; i++, drain(w)) {
            if (named[i].series->kind != families[f].kind) continue;
            if (!typed) prometheus_put_type(w->out, w->openmetrics, family, families[f].type, families[f].help);
            typed = true;
            put_family_series(w, families[f].form, family, named[i].series);
        }
    }
}

/* Families are named by their service, and all series of a family must stand together: services whose names become the
 * same prefix ("a-b", "a_b") share it and differ by the label. */
static void put_services(struct writer *w, uint32_t count) {
    uint32_t end;
    struct named_series *named = calloc(count + 1, sizeof *named);
    if (!named) {
        w->out->failed = true;
        return;
    }
    w->style = LABELS_STOREFRONT;
    for (uint32_t i = 0; i < count; i++) {
        named[i].series = w->prometheus->table.all[i];
        metric_prefix(named[i].series->labels[LABEL_SERVICE], named[i].prefix, PREFIX_MAX);
    }
    qsort(named, count, sizeof *named, by_prefix);
    for (uint32_t start = 0; start < count; start = end) {
        for (end = start + 1; end < count && strcmp(named[start].prefix, named[end].prefix) == 0;) end++;
        put_service(w, named + start, end - start);
    }
    free(named);
}

void prometheus_write(struct prometheus *p, bool openmetrics, struct prometheus_sink *sink) {
    struct writer w = {.prometheus = p, .sink = sink, .out = &sink->text, .openmetrics = openmetrics};
    make_bounds(&w);
    pthread_mutex_lock(&p->lock);
    put_genai(&w, p->table.count);
    put_services(&w, p->table.count);
    prometheus_put_type(w.out, openmetrics, "vitrine_metric_series", "gauge", "Series of span metrics kept.");
    prometheus_put_sample(w.out, "vitrine_metric_series", NULL, p->table.count);
    prometheus_put_type(w.out, openmetrics, "vitrine_metric_overflow", "counter",
                        "Spans counted on an overflow series because there were too many label values.");
    prometheus_put_sample(w.out, "vitrine_metric_overflow_total", NULL, p->table.refused);
    pthread_mutex_unlock(&p->lock);
    buf_free(&w.head);
}
