/* See otlp_metrics.h. The numbers of the fields stand at their use, as the .proto files name them. */
#include "metrics/otlp_metrics.h"

#include "base/pb.h"
#include "metrics/dashboards.h"
#include "metrics/prometheus_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { CUMULATIVE = 2, NAME_MAX_BYTES = 192 };

struct exporter {
    struct buf *out;
    int64_t start_ns, now_ns;
    const struct series_table *table;
};

static void put_attribute(struct buf *out, uint32_t field, const char *key, struct slice value) {
    if (!value.len) return;
    size_t pair = pb_begin(out, field);
    pb_put_bytes(out, 1, slice_of(key)); /* key */
    size_t any = pb_begin(out, 2);       /* value */
    pb_put_bytes(out, 1, value);         /* string_value */
    pb_end(out, any);
    pb_end(out, pair);
}

static const char *const attribute_names[LABEL_STYLES][LABELS] = {
    {"service", "provider", "model", "operation", "status"},
    {"service.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.operation.name", "status"}};

struct extra {
    const char *key, *value; /* NULL: none */
};

static void put_attributes(struct exporter *x, uint32_t field, const struct series *s, enum label_style style,
                           struct extra extra) {
    for (int i = 0; i < LABELS; i++) put_attribute(x->out, field, attribute_names[style][i], s->labels[i]);
    /* What kind of error it was is on the span; the convention asks that the attribute be there. */
    if (style == LABELS_GENAI && slice_is(s->labels[LABEL_STATUS], "ERROR"))
        put_attribute(x->out, field, "error.type", SLICE("_OTHER"));
    if (extra.key) put_attribute(x->out, field, extra.key, slice_of(extra.value));
}

static void put_times(struct exporter *x) {
    pb_put_fixed64(x->out, 2, (uint64_t)x->start_ns); /* start_time_unix_nano */
    pb_put_fixed64(x->out, 3, (uint64_t)x->now_ns);   /* time_unix_nano */
}

static void put_exemplar(struct exporter *x, uint32_t field, const struct exemplar *e) {
    if (!e->at_ns) return;
    size_t exemplar = pb_begin(x->out, field);
    pb_put_fixed64(x->out, 2, (uint64_t)e->at_ns);                        /* time_unix_nano */
    pb_put_double(x->out, 3, e->value);                                   /* as_double */
    pb_put_bytes(x->out, 5, slice_make(e->trace_id, sizeof e->trace_id)); /* trace_id */
    pb_end(x->out, exemplar);
}

/* A metric is begun with its first point, so that none is empty. */
struct metric_mark {
    size_t metric, data;
    bool begun;
};

static void begin_metric(struct exporter *x, struct metric_mark *mark, const char *name, const char *help,
                         const char *unit, uint32_t data_field) {
    if (mark->begun) return;
    mark->begun = true;
    mark->metric = pb_begin(x->out, 2);        /* ScopeMetrics.metrics */
    pb_put_bytes(x->out, 1, slice_of(name));   /* name */
    pb_put_bytes(x->out, 2, slice_of(help));   /* description */
    pb_put_bytes(x->out, 3, slice_of(unit));   /* unit */
    mark->data = pb_begin(x->out, data_field); /* sum = 7, histogram = 9 */
}

static void end_metric(struct exporter *x, struct metric_mark *mark, bool sum) {
    if (!mark->begun) return;
    pb_put_uint(x->out, 2, CUMULATIVE); /* aggregation_temporality */
    if (sum) pb_put_uint(x->out, 3, 1); /* is_monotonic */
    pb_end(x->out, mark->data);
    pb_end(x->out, mark->metric);
}

static void put_number_point(struct exporter *x, const struct series *s, struct extra extra, double value) {
    size_t point = pb_begin(x->out, 1); /* data_points */
    put_attributes(x, 7, s, LABELS_STOREFRONT, extra);
    put_times(x);
    pb_put_double(x->out, 4, value); /* as_double */
    pb_end(x->out, point);
}

static void put_packed(struct buf *out, uint32_t field, const uint64_t *words, size_t count) {
    size_t list = pb_begin(out, field);
    buf_put(out, words, count * sizeof *words);
    pb_end(out, list);
}

static void put_histogram_point(struct exporter *x, const struct series *s, enum label_style style, struct extra extra,
                                const struct histogram *h, const double *bounds, const struct exemplar *exemplars) {
    uint64_t counts[HISTOGRAM_BUCKETS + 1], edges[HISTOGRAM_BUCKETS], total = 0;
    for (int i = 0; i <= HISTOGRAM_BUCKETS; i++) total += counts[i] = (uint64_t)llround(h->counts[i]);
    memcpy(edges, bounds, sizeof edges);
    size_t point = pb_begin(x->out, 1); /* data_points */
    put_attributes(x, 9, s, style, extra);
    put_times(x);
    pb_put_fixed64(x->out, 4, total);                     /* count */
    pb_put_double(x->out, 5, h->sum);                     /* sum */
    put_packed(x->out, 6, counts, HISTOGRAM_BUCKETS + 1); /* bucket_counts */
    put_packed(x->out, 7, edges, HISTOGRAM_BUCKETS);      /* explicit_bounds */
    for (int i = 0; exemplars && i <= HISTOGRAM_BUCKETS; i++) put_exemplar(x, 8, &exemplars[i]);
    pb_end(x->out, point);
}

/* ---- families ---- */

enum what { REQUESTS, ERRORS, TOKENS, COST, FALLBACKS, DURATION, TTFT, USAGE };

static const struct {
    const char *name, *unit, *help;
    int64_t kind;
    enum what what;
    enum label_style style; /* GenAI's have their whole name, the storefront's stand behind the service's */
} families[] = {
    {"gen_ai.client.operation.duration", "s", "GenAI operation duration.", KIND_LLM, DURATION, LABELS_GENAI},
    {"gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.", KIND_LLM, USAGE, LABELS_GENAI},
    {"gen_ai.server.time_to_first_token", "s", "Time to generate first token for successful responses.", KIND_LLM, TTFT,
     LABELS_GENAI},
    {"llm.requests", "{request}", "LLM calls.", KIND_LLM, REQUESTS, LABELS_STOREFRONT},
    {"llm.errors", "{error}", "LLM calls that failed.", KIND_LLM, ERRORS, LABELS_STOREFRONT},
    {"llm.tokens", "{token}", "Tokens read and written by models.", KIND_LLM, TOKENS, LABELS_STOREFRONT},
    {"llm.cost_usd", "{USD}", "Cost of LLM calls in US dollars.", KIND_LLM, COST, LABELS_STOREFRONT},
    {"llm.duration", "s", "Duration of LLM calls.", KIND_LLM, DURATION, LABELS_STOREFRONT},
    {"llm.ttft", "s", "Time from the start of an LLM call to its first token.", KIND_LLM, TTFT, LABELS_STOREFRONT},
    {"chat.turns", "{turn}", "Chat turns.", KIND_TURN, REQUESTS, LABELS_STOREFRONT},
    {"chat.errors", "{error}", "Chat turns that failed.", KIND_TURN, ERRORS, LABELS_STOREFRONT},
    {"chat.fallbacks", "{turn}", "Chat turns that succeeded although an LLM call in them failed.", KIND_TURN, FALLBACKS,
     LABELS_STOREFRONT},
    {"chat.duration", "s", "Duration of chat turns.", KIND_TURN, DURATION, LABELS_STOREFRONT},
};

static bool is_sum(enum what what) {
    return what != DURATION && what != TTFT && what != USAGE;
}

/* 0 for what has only succeeded so far, as /metrics has it. */
static void put_errors(struct exporter *x, const struct series *s) {
    if (slice_is(s->labels[LABEL_STATUS], "ERROR")) {
        put_number_point(x, s, (struct extra){0}, s->count);
        return;
    }
    struct series zero = {.kind = s->kind};
    memcpy(zero.labels, s->labels, sizeof zero.labels);
    zero.labels[LABEL_STATUS] = SLICE("ERROR");
    if (!series_table_find(x->table, zero.kind, zero.labels)) put_number_point(x, &zero, (struct extra){0}, 0);
}

static bool has_any(enum what what, const struct series *s) {
    bool tokens = s->input.total > 0 || s->output.total > 0;
    return what == TTFT                      ? s->ttft.total > 0
           : what == DURATION                ? s->duration.total > 0
           : what == TOKENS || what == USAGE ? tokens
                                             : true;
}

static void put_points(struct exporter *x, enum what what, enum label_style style, const struct series *s) {
    static const char *const type_keys[] = {"type", "gen_ai.token.type"};
    const struct extra none = {0}, input = {type_keys[style], "input"}, output = {type_keys[style], "output"};
    switch (what) {
    case REQUESTS: put_number_point(x, s, none, s->count); break;
    case ERRORS: put_errors(x, s); break;
    case COST: put_number_point(x, s, none, s->cost_usd); break;
    case FALLBACKS: put_number_point(x, s, none, s->fallbacks); break;
    case TOKENS:
        if (s->input.total > 0) put_number_point(x, s, input, s->input.sum);
        if (s->output.total > 0) put_number_point(x, s, output, s->output.sum);
        break;
    case DURATION: put_histogram_point(x, s, style, none, &s->duration, duration_bounds, s->exemplars); break;
    case TTFT: put_histogram_point(x, s, style, none, &s->ttft, duration_bounds, NULL); break;
    case USAGE:
        if (s->input.total > 0) put_histogram_point(x, s, style, input, &s->input, token_bounds, NULL);
        if (s->output.total > 0) put_histogram_point(x, s, style, output, &s->output, token_bounds, NULL);
        break;
    }
}

static void put_scope(struct exporter *x, struct series *const *all, uint32_t count) {
    char prefix[128], name[NAME_MAX_BYTES];
    metric_prefix(all[0]->labels[LABEL_SERVICE], prefix, sizeof prefix);
    size_t scope = pb_begin(x->out, 1);              /* scope */
    pb_put_bytes(x->out, 1, SLICE("vitrine"));       /* name */
    pb_put_bytes(x->out, 2, SLICE(VITRINE_VERSION)); /* version */
    pb_end(x->out, scope);
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        struct metric_mark mark = {0};
        bool own = families[f].style == LABELS_STOREFRONT, sum = is_sum(families[f].what);
        snprintf(name, sizeof name, "%s%s%s", own ? prefix : "", own ? "." : "", families[f].name);
        for (uint32_t i = 0; i < count; i++) {
            if (all[i]->kind != families[f].kind || !has_any(families[f].what, all[i])) continue;
            begin_metric(x, &mark, name, families[f].help, families[f].unit, sum ? 7 : 9);
            put_points(x, families[f].what, families[f].style, all[i]);
        }
        end_metric(x, &mark, sum);
    }
}

static int by_service(const void *a, const void *b) {
    struct slice x = (*(struct series *const *)a)->labels[LABEL_SERVICE],
                 y = (*(struct series *const *)b)->labels[LABEL_SERVICE];
    size_t len = x.len < y.len ? x.len : y.len;
    int order = len ? memcmp(x.ptr, y.ptr, len) : 0;
    return order ? order : (x.len > y.len) - (x.len < y.len);
}

void otlp_metrics_write(struct prometheus *p, int64_t start_ns, int64_t now_ns, struct buf *out) {
    struct exporter x = {out, start_ns, now_ns, &p->table};
    pthread_mutex_lock(&p->lock);
    uint32_t count = p->table.count, end;
    struct series **all = malloc(count * sizeof(struct series *) + 1);
    if (all) memcpy(all, p->table.all, count * sizeof(struct series *));
    if (all) qsort(all, count, sizeof(struct series *), by_service);
    for (uint32_t start = 0; all && start < count; start = end) {
        for (end = start + 1; end < count && by_service(&all[start], &all[end]) == 0;) end++;
        size_t resource_metrics = pb_begin(out, 1); /* resource_metrics */
        size_t resource = pb_begin(out, 1);         /* resource */
        struct slice service = all[start]->labels[LABEL_SERVICE];
        put_attribute(out, 1, "service.name", service.len ? service : SLICE("unknown_service"));
        pb_end(out, resource);
        size_t scope_metrics = pb_begin(out, 2); /* scope_metrics */
        put_scope(&x, all + start, end - start);
        pb_end(out, scope_metrics);
        pb_end(out, resource_metrics);
    }
    if (!all) out->failed = true;
    pthread_mutex_unlock(&p->lock);
    free(all);
}
