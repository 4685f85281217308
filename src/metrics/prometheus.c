/* Observing spans and writing the text formats. */
#include "metrics/prometheus.h"

#include "metrics/dashboards.h"
#include "metrics/series.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { RECENT = 4096 }; /* traces remembered to tell a fallback, each side */

/* The last RECENT traces, by a slot of their id: a newer one takes an older one's place. */
struct recent {
    uint8_t ids[RECENT][TRACE_ID_SIZE];
};

struct prometheus {
    pthread_mutex_t lock; /* guards all below */
    struct series_table table;
    struct recent failed_calls; /* traces with a failed LLM call */
    struct recent good_turns;   /* traces whose turn succeeded before a failed call of theirs was seen */
};

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

/* ---- text ---- */

static void put_label_value(struct buf *out, struct slice value) {
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '\\' || c == '"')
            buf_putc(out, '\\'), buf_putc(out, c);
        else if (c == '\n')
            buf_puts(out, "\\n");
        else
            buf_putc(out, c);
    }
}

static void put_label(struct buf *out, bool *first, const char *name, struct slice value) {
    if (!value.len) return;
    buf_puts(out, *first ? "{" : ",");
    *first = false;
    buf_puts(out, name);
    buf_puts(out, "=\"");
    put_label_value(out, value);
    buf_putc(out, '"');
}

static void put_number(struct buf *out, double value) {
    char digits[20], *end = digits + sizeof digits, *at = end;
    if (value >= 0 && value < 1e15 && value == (double)(uint64_t)value) { /* nearly all are whole: not worth a printf */
        uint64_t rest = (uint64_t)value;
        do *--at = (char)('0' + rest % 10);
        while (rest /= 10);
        buf_put(out, at, (size_t)(end - at));
    } else if (isnan(value))
        buf_puts(out, "NaN");
    else if (isinf(value))
        buf_puts(out, value > 0 ? "+Inf" : "-Inf");
    else
        buf_printf(out, "%.15g", value);
}

void prometheus_put_type(struct buf *out, bool openmetrics, const char *family, const char *type, const char *help) {
    /* Prometheus text names a counter by its sample, OpenMetrics by its family. */
    const char *total = !openmetrics && strcmp(type, "counter") == 0 ? "_total" : "";
    buf_printf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", family, total, help, family, total, type);
}

void prometheus_put_sample(struct buf *out, const char *name, const char *const *labels, double value) {
    bool first = true;
    buf_puts(out, name);
    for (; labels && labels[0]; labels += 2) put_label(out, &first, labels[0], slice_of(labels[1]));
    buf_puts(out, first ? " " : "} ");
    put_number(out, value);
    buf_putc(out, '\n');
}

static const char *const label_names[LABELS] = {"service", "provider", "model", "operation", "status"};
static const char *const genai_names[LABELS] = {"service_name", "gen_ai_provider_name", "gen_ai_request_model",
                                                "gen_ai_operation_name", "status"};

struct writer {
    struct buf *out;
    bool openmetrics;
    const char *const *names; /* of the labels */
    const struct series_table *table;
};

/* name{labels,extra="…"} without the value; `extra` may be NULL. */
static void put_head(struct writer *w, const char *family, const char *suffix, const struct series *s,
                     const char *extra, struct slice extra_value) {
    bool first = true;
    buf_puts(w->out, family);
    buf_puts(w->out, suffix);
    for (int i = 0; i < LABELS; i++) put_label(w->out, &first, w->names[i], s->labels[i]);
    if (extra) put_label(w->out, &first, extra, extra_value);
    buf_puts(w->out, first ? " " : "} ");
}

static void put_sample(struct writer *w, const char *family, const char *suffix, const struct series *s,
                       const char *extra, struct slice extra_value, double value) {
    put_head(w, family, suffix, s, extra, extra_value);
    put_number(w->out, value);
    buf_putc(w->out, '\n');
}

static void put_exemplar(struct writer *w, const struct exemplar *e) {
    char hex[TRACE_ID_HEX];
    if (!w->openmetrics || !e || !e->at_ns) return;
    hex_encode(e->trace_id, TRACE_ID_SIZE, hex);
    buf_printf(w->out, " # {trace_id=\"%.*s\"} ", TRACE_ID_HEX, hex);
    put_number(w->out, e->value);
    buf_printf(w->out, " %lld.%03d", (long long)(e->at_ns / 1000000000), (int)(e->at_ns / 1000000 % 1000));
}

/* `token_type`: NULL, or one more label. */
static void put_histogram(struct writer *w, const char *family, const struct series *s, const struct histogram *h,
                          const double *bounds, const struct exemplar *exemplars, const char *token_type) {
    double below = 0;
    if (h->total <= 0) return;
    /* The labels are the same in each line but for le. */
    struct buf head = {0};
    bool first = true;
    buf_puts(&head, family);
    buf_puts(&head, "_bucket");
    for (int l = 0; l < LABELS; l++) put_label(&head, &first, w->names[l], s->labels[l]);
    if (token_type) put_label(&head, &first, "gen_ai_token_type", slice_of(token_type));
    buf_puts(&head, first ? "{le=\"" : ",le=\"");
    for (int i = 0; i <= HISTOGRAM_BUCKETS; i++) {
        char le[32];
        below += h->counts[i];
        snprintf(le, sizeof le,
                 i == HISTOGRAM_BUCKETS                      ? "+Inf"
                 : w->openmetrics && fmod(bounds[i], 1) == 0 ? "%.1f"
                                                             : "%.10g",
                 i == HISTOGRAM_BUCKETS ? 0 : bounds[i]);
        buf_put_slice(w->out, buf_slice(&head));
        buf_puts(w->out, le);
        buf_puts(w->out, "\"} ");
        put_number(w->out, below);
        put_exemplar(w, exemplars ? &exemplars[i] : NULL);
        buf_putc(w->out, '\n');
    }
    if (head.failed) w->out->failed = true;
    buf_free(&head);
    const char *extra = token_type ? "gen_ai_token_type" : NULL;
    put_sample(w, family, "_sum", s, extra, slice_of(token_type), h->sum);
    put_sample(w, family, "_count", s, extra, slice_of(token_type), h->total);
}

/* Errors of what has only succeeded so far are 0, not absent: otherwise an error rate shows nothing while all is well,
 * and increase() misses the first error, which would come with the series itself. */
static void put_errors(struct writer *w, const char *family, const struct series *s) {
    const struct slice none = {NULL, 0};
    if (slice_is(s->labels[LABEL_STATUS], "ERROR")) {
        put_sample(w, family, "_total", s, NULL, none, s->count);
        return;
    }
    struct series zero = {.kind = s->kind};
    memcpy(zero.labels, s->labels, sizeof zero.labels);
    zero.labels[LABEL_STATUS] = SLICE("ERROR");
    if (!series_table_find(w->table, zero.kind, zero.labels)) put_sample(w, family, "_total", &zero, NULL, none, 0);
}

enum family_form { FORM_COUNT, FORM_ERRORS, FORM_TOKENS, FORM_COST, FORM_FALLBACKS, FORM_DURATION, FORM_TTFT };

static void put_family_series(struct writer *w, enum family_form form, const char *family, const struct series *s) {
    const struct slice none = {NULL, 0};
    switch (form) {
    case FORM_COUNT: put_sample(w, family, "_total", s, NULL, none, s->count); break;
    case FORM_ERRORS: put_errors(w, family, s); break;
    case FORM_TOKENS:
        if (s->input.total > 0) put_sample(w, family, "_total", s, "type", SLICE("input"), s->input.sum);
        if (s->output.total > 0) put_sample(w, family, "_total", s, "type", SLICE("output"), s->output.sum);
        break;
    case FORM_COST: put_sample(w, family, "_total", s, NULL, none, s->cost_usd); break;
    case FORM_FALLBACKS: put_sample(w, family, "_total", s, NULL, none, s->fallbacks); break;
    case FORM_DURATION: put_histogram(w, family, s, &s->duration, duration_bounds, s->exemplars, NULL); break;
    case FORM_TTFT: put_histogram(w, family, s, &s->ttft, duration_bounds, NULL, NULL); break;
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

static void put_genai(struct prometheus *p, struct writer *w) {
    static const char tokens[] = "gen_ai_client_token_usage", duration[] = "gen_ai_client_operation_duration_seconds",
                      ttft[] = "gen_ai_server_time_to_first_token_seconds";
    w->names = genai_names;
    prometheus_put_type(w->out, w->openmetrics, tokens, "histogram", "Number of input and output tokens used.");
    for (uint32_t i = 0; i < p->table.count; i++) {
        const struct series *s = p->table.all[i];
        put_histogram(w, tokens, s, &s->input, token_bounds, NULL, "input");
        put_histogram(w, tokens, s, &s->output, token_bounds, NULL, "output");
    }
    prometheus_put_type(w->out, w->openmetrics, duration, "histogram", "GenAI operation duration.");
    for (uint32_t i = 0; i < p->table.count; i++)
        if (p->table.all[i]->kind == KIND_LLM)
            put_histogram(w, duration, p->table.all[i], &p->table.all[i]->duration, duration_bounds,
                          p->table.all[i]->exemplars, NULL);
    prometheus_put_type(w->out, w->openmetrics, ttft, "histogram",
                        "Time to generate first token for successful responses.");
    for (uint32_t i = 0; i < p->table.count; i++)
        put_histogram(w, ttft, p->table.all[i], &p->table.all[i]->ttft, duration_bounds, NULL, NULL);
    w->names = label_names;
}

enum { PREFIX_MAX = 128 };

struct named_series {
    char prefix[PREFIX_MAX];
    const struct series *series;
};

static int by_prefix(const void *a, const void *b) {
    return strcmp(((const struct named_series *)a)->prefix, ((const struct named_series *)b)->prefix);
}

static void put_service(struct writer *w, const struct named_series *named, uint32_t count) {
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        char family[PREFIX_MAX + 64];
        bool typed = false;
        snprintf(family, sizeof family, "%s_%s", named->prefix, families[f].suffix);
        for (uint32_t i = 0; i < count; i++) {
            if (named[i].series->kind != families[f].kind) continue;
            if (!typed) prometheus_put_type(w->out, w->openmetrics, family, families[f].type, families[f].help);
            typed = true;
            put_family_series(w, families[f].form, family, named[i].series);
        }
    }
}

/* Families are named by their service, and all series of a family must stand together: services whose names become the
 * same prefix ("a-b", "a_b") share it and differ by the label. */
static void put_services(struct prometheus *p, struct writer *w) {
    uint32_t count = p->table.count, end;
    struct named_series *named = calloc(count + 1, sizeof *named);
    if (!named) return;
    for (uint32_t i = 0; i < count; i++) {
        named[i].series = p->table.all[i];
        metric_prefix(named[i].series->labels[LABEL_SERVICE], named[i].prefix, PREFIX_MAX);
    }
    qsort(named, count, sizeof *named, by_prefix);
    for (uint32_t start = 0; start < count; start = end) {
        for (end = start + 1; end < count && strcmp(named[start].prefix, named[end].prefix) == 0;) end++;
        put_service(w, named + start, end - start);
    }
    free(named);
}

void prometheus_write(struct prometheus *p, bool openmetrics, struct buf *out) {
    struct writer w = {out, openmetrics, label_names, &p->table};
    pthread_mutex_lock(&p->lock);
    put_genai(p, &w);
    put_services(p, &w);
    prometheus_put_type(out, openmetrics, "vitrine_metric_series", "gauge", "Series of span metrics kept.");
    prometheus_put_sample(out, "vitrine_metric_series", NULL, p->table.count);
    prometheus_put_type(out, openmetrics, "vitrine_metric_overflow", "counter",
                        "Spans counted on an overflow series because there were too many label values.");
    prometheus_put_sample(out, "vitrine_metric_overflow_total", NULL, p->table.refused);
    pthread_mutex_unlock(&p->lock);
}
