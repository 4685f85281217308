/* A monitor's query as a request of /api/v1/query, and its answer as readings. */
#include "alert/measure.h"

#include "base/json.h"
#include "base/timestamp.h"

#include <math.h>

enum { EVALUATE_TIMEOUT_S = 10, POINTS_MAX = 50000, READINGS_MAX = 10000 };

/* Datadog's tags ← fields of the filter language; every other tag is an attribute. */
static const struct {
    const char *tag, *field;
} tag_fields[] = {{"model", "model"},
                  {"provider", "provider"},
                  {"service", "service"},
                  {"operation", "operation"},
                  {"status", "status"},
                  {"kind", "kind"},
                  {"user", "user"},
                  {"user.id", "user"},
                  {"user_id", "user"},
                  {"thread", "thread"},
                  {"thread.id", "thread"},
                  {"thread_id", "thread"},
                  {"env", "attr.deployment.environment"},
                  {"version", "attr.service.version"}};

static void put_field(struct buf *out, struct slice tag) {
    for (size_t i = 0; i < sizeof tag_fields / sizeof *tag_fields; i++)
        if (slice_is(tag, tag_fields[i].tag)) {
            buf_puts(out, tag_fields[i].field);
            return;
        }
    buf_puts(out, "attr.");
    buf_put_slice(out, tag);
}

/* Metric names hold no dash: the service may have dashes, underscores or dots where the name has underscores. */
static void put_service(struct buf *out, struct slice service) {
    static const char written[] = {'_', '-', '.'};
    bool several = memchr(service.ptr, '_', service.len) != NULL;
    buf_putc(out, '(');
    for (size_t i = 0; i < (several ? sizeof written : 1); i++) {
        buf_puts(out, i ? " OR service:\"" : "service:\"");
        for (size_t k = 0; k < service.len; k++)
            buf_putc(out, several && service.ptr[k] == '_' ? written[i] : service.ptr[k]);
        buf_putc(out, '"');
    }
    buf_putc(out, ')');
}

static void put_scope(struct buf *out, const struct monitor_query *q) {
    for (uint32_t i = 0; i < q->tag_count; i++) {
        buf_puts(out, q->tags[i].negated ? " -" : " ");
        put_field(out, q->tags[i].tag);
        bool wildcard = memchr(q->tags[i].value.ptr, '*', q->tags[i].value.len) != NULL;
        buf_puts(out, wildcard ? ":" : ":\"");
        buf_put_slice(out, q->tags[i].value);
        if (!wildcard) buf_putc(out, '"');
    }
}

void monitor_where(const struct monitor_query *q, struct buf *out) {
    put_service(out, q->service);
    if (q->metric->where[0]) buf_putc(out, ' '), buf_puts(out, q->metric->where);
    put_scope(out, q);
}

static bool whole_window(const struct monitor_query *q) {
    enum aggr t = q->time_aggr, s = q->space_aggr;
    if (q->form != FORM_VALUE || t == AGGR_COUNT) return true;
    return (t == AGGR_SUM && (s == AGGR_SUM || s == AGGR_COUNT)) ||
           (t == s && (s == AGGR_AVG || s == AGGR_MIN || s == AGGR_MAX));
}

static void put_select(struct buf *out, const struct monitor_query *q) {
    enum aggr aggr = q->form == FORM_VALUE ? q->space_aggr : AGGR_SUM;
    if (!q->metric->value || q->space_aggr == AGGR_COUNT || q->time_aggr == AGGR_COUNT)
        buf_puts(out, "count");
    else
        buf_printf(out, "%s(%s)", aggr_name(aggr), q->metric->value);
}

static int64_t point_ns(const struct monitor_query *q) {
    return (q->window_ns >= INT64_C(300) * NS_PER_S ? 60 : 10) * (int64_t)NS_PER_S;
}

static void put_request(const struct monitor_query *q, int64_t now_ns, bool service_only, struct buf *out) {
    struct json_writer w = json_writer_on(out);
    struct buf text = {0};
    json_open(&w, '{');
    json_put_key(&w, "from");
    json_put_int(&w, (now_ns - q->window_ns) / NS_PER_MS);
    json_put_key(&w, "to");
    json_put_int(&w, now_ns / NS_PER_MS);
    json_put_key(&w, "where");
    if (service_only)
        put_service(&text, q->service);
    else
        monitor_where(q, &text);
    json_put_string(&w, buf_slice(&text));
    json_put_key(&w, "select");
    json_open(&w, '[');
    buf_clear(&text);
    if (service_only)
        buf_puts(&text, "count");
    else
        put_select(&text, q);
    json_put_string(&w, buf_slice(&text));
    json_close(&w, ']');
    if (!service_only && q->group_count) {
        json_put_key(&w, "group_by");
        json_open(&w, '[');
        for (uint32_t i = 0; i < q->group_count; i++) {
            buf_clear(&text);
            put_field(&text, q->groups[i]);
            json_put_string(&w, buf_slice(&text));
        }
        json_close(&w, ']');
        json_put_key(&w, "limit");
        json_put_int(&w, 1000);
    }
    if (!service_only && !whole_window(q)) {
        buf_clear(&text);
        buf_printf(&text, "%llds", (long long)(point_ns(q) / NS_PER_S));
        json_put_key(&w, "interval");
        json_put_string(&w, buf_slice(&text));
    }
    json_close(&w, '}');
    buf_free(&text);
}

/* Folds the points of a series as they come. */
struct fold {
    double sum, min, max, last;
    uint32_t count;
    int64_t last_ms;
};

static void fold_point(struct fold *f, int64_t at_ms, double value) {
    if (isnan(value)) return;
    f->sum += value;
    f->min = f->count && f->min < value ? f->min : value;
    f->max = f->count && f->max > value ? f->max : value;
    if (!f->count || at_ms >= f->last_ms) f->last = value, f->last_ms = at_ms;
    f->count++;
}

/* A total: nothing in a window is a known 0. */
static bool is_total(const struct monitor_query *q) {
    if (!q->metric->value || q->space_aggr == AGGR_COUNT || q->time_aggr == AGGR_COUNT) return true;
    return q->metric->additive && (q->space_aggr == AGGR_SUM || q->form != FORM_VALUE);
}

static double folded(const struct fold *f, const struct monitor_query *q) {
    bool total = is_total(q);
    double points = (double)(q->window_ns / point_ns(q));
    if (!f->count) return total ? 0 : (double)NAN;
    if (q->form == FORM_RATE) return f->sum / ((double)q->window_ns / 1e9);
    if (whole_window(q)) return f->last;
    switch (q->time_aggr) {
    case AGGR_SUM: return f->sum;
    /* Minutes in which nothing happened are zeros of a total, and no points of a duration. */
    case AGGR_AVG: return f->sum / (total ? points : f->count);
    case AGGR_MIN: return total && f->count < points && f->min > 0 ? 0 : f->min;
    case AGGR_MAX: return f->max;
    default: return f->last;
    }
}

static void read_points(struct json_reader *r, struct fold *fold) {
    uint32_t points = 0;
    if (!json_array(r)) return;
    while (json_item(r)) {
        struct json_number at = {0}, value = {0};
        bool known = false;
        if (++points > POINTS_MAX) json_fail(r, "more than %d points", POINTS_MAX);
        if (!json_array(r)) return;
        if (json_item(r)) json_number(r, &at);
        while (json_item(r)) {
            if (!known && json_peek(r) == JSON_NUMBER)
                known = json_number(r, &value);
            else
                json_skip(r, NULL);
        }
        if (known) fold_point(fold, at.is_int ? at.integer : (int64_t)at.real, value.real);
    }
}

/* {"model":"gpt-4o"} → "model:gpt-4o" with the monitor's own tag names, in its order. */
static struct slice read_group(struct json_reader *r, const struct monitor_query *q, struct arena *arena) {
    struct slice values[MONITOR_GROUPS_MAX] = {0}, key, value;
    struct buf text = {0}, field = {0};
    if (!json_object(r)) return (struct slice){NULL, 0};
    while (json_key(r, &key)) {
        value = (struct slice){NULL, 0};
        if (json_peek(r) == JSON_STRING)
            json_string(r, &value);
        else
            json_skip(r, &value);
        for (uint32_t i = 0; i < q->group_count; i++) {
            buf_clear(&field);
            put_field(&field, q->groups[i]);
            if (slice_eq(key, buf_slice(&field)) || slice_eq(key, q->groups[i])) values[i] = value;
        }
    }
    for (uint32_t i = 0; i < q->group_count; i++) {
        if (i) buf_putc(&text, ',');
        buf_put_slice(&text, q->groups[i]);
        buf_putc(&text, ':');
        buf_put_slice(&text, values[i].len ? values[i] : SLICE("none"));
    }
    struct slice group = arena_copy(arena, buf_slice(&text));
    buf_free(&text);
    buf_free(&field);
    return group;
}

static int call_engine(void *ctx, const struct api_request *request, struct buf *out, struct error *err) {
    return api_call(ctx, request, out, err);
}
struct asker asker_of_engine(struct engine *engine) {
    return (struct asker){call_engine, engine};
}

static int ask(const struct asker *asker, const struct monitor_query *q, int64_t now_ns, bool service_only,
               struct buf *answer, struct error *err) {
    struct buf body = {0};
    put_request(q, now_ns, service_only, &body);
    struct api_request request = {.method = SLICE("POST"),
                                  .path = SLICE("/api/v1/query"),
                                  .body = buf_slice(&body),
                                  .deadline_ns = time_monotonic_ns() + (int64_t)EVALUATE_TIMEOUT_S * NS_PER_S};
    int code = body.failed ? error_set(err, VT_ENOMEM, "no memory for a query")
                           : asker->call(asker->ctx, &request, answer, err);
    buf_free(&body);
    return code;
}

static int read_answer(struct slice answer, const struct monitor_query *q, struct arena *arena,
                       struct reading *readings, uint32_t *count, struct error *err) {
    struct json_reader r;
    struct slice key;
    json_reader_init(&r, answer, arena);
    if (json_object(&r))
        while (json_key(&r, &key)) {
            if (!slice_is(key, "series")) {
                json_skip(&r, NULL);
                continue;
            }
            if (!json_array(&r)) break;
            while (json_item(&r) && json_object(&r)) {
                struct fold fold = {0};
                struct slice group = {NULL, 0};
                while (json_key(&r, &key)) {
                    if (slice_is(key, "group"))
                        group = read_group(&r, q, arena);
                    else if (slice_is(key, "points"))
                        read_points(&r, &fold);
                    else
                        json_skip(&r, NULL);
                }
                if (*count < READINGS_MAX) readings[(*count)++] = (struct reading){group, folded(&fold, q)};
            }
        }
    if (json_end(&r)) return 0;
    *err = r.err;
    return err->code;
}

static int measure(const struct asker *asker, const struct monitor_query *q, int64_t now_ns, bool service_only,
                   struct arena *arena, struct reading *readings, uint32_t *count, struct error *err) {
    struct buf answer = {0};
    int code = ask(asker, q, now_ns, service_only, &answer, err);
    *count = 0;
    if (!code) code = read_answer(arena_copy(arena, buf_slice(&answer)), q, arena, readings, count, err);
    if (!code && !q->group_count && !*count)
        readings[(*count)++] = (struct reading){{NULL, 0}, folded(&(struct fold){0}, q)};
    buf_free(&answer);
    return code;
}

int monitor_measure(const struct asker *asker, const struct monitor *monitor, int64_t now_ns, struct arena *arena,
                    struct reading **readings, uint32_t *count, struct error *err) {
    const struct monitor_query *q = &monitor->query;
    *readings = arena_alloc(arena, READINGS_MAX * sizeof **readings);
    if (!*readings) return error_set(err, VT_ENOMEM, "no memory for readings");
    int code = measure(asker, q, now_ns, false, arena, *readings, count, err);
    if (code || !monitor->notify_no_data || q->group_count || !is_total(q) || (*readings)->value > 0) return code;
    /* Is the total 0 because nothing of this kind happened, or because the service says nothing at all? */
    struct reading *any = arena_alloc(arena, READINGS_MAX * sizeof *any);
    uint32_t any_count;
    if (!any) return error_set(err, VT_ENOMEM, "no memory for readings");
    struct monitor_query service = *q;
    service.space_aggr = AGGR_COUNT, service.time_aggr = AGGR_SUM, service.form = FORM_VALUE;
    if (!(code = measure(asker, &service, now_ns, true, arena, any, &any_count, err)) && !(any->value > 0))
        (*readings)->value = (double)NAN;
    return code;
}
