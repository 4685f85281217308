/* A monitor's query as a request of /api/v1/query, and its answer as readings. */
#include "alert/measure_internal.h"

#include "base/json.h"
#include "base/timestamp.h"
#include "query/field.h"

#include <math.h>

enum { EVALUATE_TIMEOUT_S = 10, POINTS_MAX = 50000 };

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

bool measure_smallest(const struct monitor_query *q) {
    return q->compare == CMP_LT || q->compare == CMP_LE;
}

bool measure_is_whole(const struct monitor_query *q) {
    enum aggr t = q->time_aggr, s = q->space_aggr;
    if (q->form != FORM_VALUE || t == AGGR_COUNT) return true;
    return (t == AGGR_SUM && (s == AGGR_SUM || s == AGGR_COUNT)) ||
           (t == s && (s == AGGR_AVG || s == AGGR_MIN || s == AGGR_MAX));
}

bool measure_merges(const struct monitor_query *q) {
    bool average = q->form == FORM_VALUE && q->time_aggr == AGGR_AVG && q->space_aggr == AGGR_AVG;
    /* Each span has a duration, so the count tells over how many an average of them goes. */
    return !average || !q->metric->value || strcmp(q->metric->value, "duration_ms") == 0;
}

/* An average of all spans of a window is put together from its sum and count. */
static bool is_average(const struct monitor_query *q) {
    return measure_is_whole(q) && q->form == FORM_VALUE && q->space_aggr == AGGR_AVG && q->time_aggr == AGGR_AVG &&
           q->metric->value;
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

static void put_request(const struct monitor_query *q, const struct range *range, struct buf *out) {
    struct json_writer w = json_writer_on(out);
    struct buf text = {0};
    json_open(&w, '{');
    json_put_key(&w, "from");
    json_put_int(&w, range->from_ms);
    json_put_key(&w, "to");
    json_put_int(&w, range->to_ms);
    json_put_key(&w, "where");
    if (range->service_only)
        put_service(&text, q->service);
    else
        monitor_where(q, &text);
    json_put_string(&w, buf_slice(&text));
    json_put_key(&w, "select");
    json_open(&w, '[');
    buf_clear(&text);
    if (range->service_only)
        buf_puts(&text, "count");
    else if (range->mergeable && is_average(q))
        buf_printf(&text, "sum(%s)", q->metric->value);
    else
        put_select(&text, q);
    json_put_string(&w, buf_slice(&text));
    if (range->mergeable && is_average(q)) json_put_cstr(&w, "count");
    json_close(&w, ']');
    if (!range->service_only && q->group_count) {
        json_put_key(&w, "group_by");
        json_open(&w, '[');
        for (uint32_t i = 0; i < q->group_count; i++) {
            buf_clear(&text);
            put_field(&text, q->groups[i]);
            json_put_string(&w, buf_slice(&text));
        }
        json_close(&w, ']');
        json_put_key(&w, "limit");
        json_put_int(&w, range->mergeable ? PARTS_MAX : READINGS_MAX);
        if (measure_smallest(q)) json_put_key(&w, "order"), json_put_cstr(&w, "asc");
    }
    if (!range->service_only && !measure_is_whole(q)) {
        buf_clear(&text);
        buf_printf(&text, "%llds", (long long)(point_ns(q) / NS_PER_S));
        json_put_key(&w, "interval");
        json_put_string(&w, buf_slice(&text));
    }
    json_close(&w, '}');
    buf_free(&text);
}

void fold_merge(struct fold *f, const struct fold *more) {
    if (!more->count) return;
    f->sum += more->sum;
    f->weight += more->weight;
    f->min = f->count && f->min < more->min ? f->min : more->min;
    f->max = f->count && f->max > more->max ? f->max : more->max;
    if (!f->count || more->last_ms >= f->last_ms) f->last = more->last, f->last_ms = more->last_ms;
    f->count += more->count;
}

static void fold_point(struct fold *f, int64_t at_ms, double value) {
    if (isnan(value)) return;
    f->sum += value;
    f->min = f->count && f->min < value ? f->min : value;
    f->max = f->count && f->max > value ? f->max : value;
    if (!f->count || at_ms >= f->last_ms) f->last = value, f->last_ms = at_ms;
    f->count++;
}

/* A minute that is only begun has few of anything yet: the least and the last of a total are those of whole points. */
static bool wants_whole_points(const struct monitor_query *q) {
    return query_is_total(q) && !measure_is_whole(q) && (q->time_aggr == AGGR_MIN || q->time_aggr == AGGR_LAST);
}

/* The least or the last of the window's whole points, of which those without spans are zeros. */
static double of_whole_points(const struct fold *f, const struct monitor_query *q, int64_t now_ns) {
    int64_t point = point_ns(q), end = now_ns / point * point, count = (end - (now_ns - q->window_ns)) / point;
    if (q->time_aggr == AGGR_MIN) return f->count < count ? 0 : f->min;
    return f->last_ms == (end - point) / NS_PER_MS ? f->last : 0;
}

double fold_value(const struct fold *f, const struct monitor_query *q, int64_t now_ns, bool merged) {
    bool total = query_is_total(q);
    double points = (double)(q->window_ns / point_ns(q));
    if (!f->count) return total ? 0 : (double)NAN;
    if (q->form == FORM_RATE) return f->sum / ((double)q->window_ns / 1e9);
    if (measure_is_whole(q) && merged) {
        if (is_average(q)) return f->weight > 0 ? f->sum / f->weight : (double)NAN;
        bool extreme = q->form == FORM_VALUE && (q->time_aggr == AGGR_MIN || q->time_aggr == AGGR_MAX) &&
                       q->time_aggr == q->space_aggr && q->metric->value;
        return !extreme ? f->sum : q->time_aggr == AGGR_MIN ? f->min : f->max;
    }
    if (measure_is_whole(q)) return f->last;
    if (wants_whole_points(q)) return of_whole_points(f, q, now_ns);
    switch (q->time_aggr) {
    case AGGR_SUM: return f->sum;
    /* Minutes in which nothing happened are zeros of a total, and no points of a duration. */
    case AGGR_AVG: return f->sum / (total ? points : f->count);
    case AGGR_MIN: return f->min;
    case AGGR_MAX: return f->max;
    default: return f->last;
    }
}

/* [[t_ms, value, count?], …] */
static void read_points(struct json_reader *r, const struct monitor_query *q, const struct range *range,
                        struct fold *fold) {
    bool whole = wants_whole_points(q) && !range->service_only;
    uint32_t points = 0;
    if (!json_array(r)) return;
    while (json_item(r)) {
        struct json_number at = {0}, numbers[2] = {{0}, {0}};
        bool known = false;
        if (++points > POINTS_MAX) json_fail(r, "more than %d points", POINTS_MAX);
        if (!json_array(r)) return;
        if (json_item(r)) json_number(r, &at);
        for (int i = 0; json_item(r); i++) {
            if (i < 2 && json_peek(r) == JSON_NUMBER)
                known = json_number(r, &numbers[i]) && (i == 0 || known);
            else
                json_skip(r, NULL);
        }
        if (!known) continue;
        int64_t at_ms = at.is_int ? at.integer : (int64_t)at.real;
        if (whole && (at_ms < range->from_ms || at_ms + point_ns(q) / NS_PER_MS > range->to_ms)) continue;
        fold_point(fold, at_ms, numbers[0].real);
        fold->weight += numbers[1].real;
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
            struct field named;
            buf_clear(&field);
            put_field(&field, q->groups[i]);
            /* The answer has each field's own name: "user_id" for "user". */
            if (slice_eq(key, buf_slice(&field)) ||
                (field_named(buf_slice(&field), false, &named, NULL) && slice_eq(key, field_name(&named))))
                values[i] = value;
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

static int read_answer(struct slice answer, const struct monitor_query *q, const struct range *range,
                       struct arena *arena, struct part *parts, uint32_t *count, struct error *err) {
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
                struct part part = {0};
                while (json_key(&r, &key)) {
                    if (slice_is(key, "group"))
                        part.group = read_group(&r, q, arena);
                    else if (slice_is(key, "points"))
                        read_points(&r, q, range, &part.fold);
                    else
                        json_skip(&r, NULL);
                }
                if (*count < PARTS_MAX) parts[(*count)++] = part;
            }
        }
    if (json_end(&r)) return 0;
    if (err) *err = r.err;
    return r.err.code;
}

int measure_range(const struct asker *asker, const struct monitor_query *q, const struct range *range,
                  struct arena *arena, struct part *parts, uint32_t *count, struct error *err) {
    struct buf body = {0}, answer = {0};
    put_request(q, range, &body);
    struct api_request request = {.method = SLICE("POST"),
                                  .path = SLICE("/api/v1/query"),
                                  .body = buf_slice(&body),
                                  .deadline_ns = time_monotonic_ns() + (int64_t)EVALUATE_TIMEOUT_S * NS_PER_S};
    int code = body.failed ? error_set(err, VT_ENOMEM, "no memory for a query")
                           : asker->call(asker->ctx, &request, &answer, err);
    *count = 0;
    if (!code) code = read_answer(arena_copy(arena, buf_slice(&answer)), q, range, arena, parts, count, err);
    buf_free(&body);
    buf_free(&answer);
    return code;
}

/* Is the total 0 because nothing of this kind happened, or because the service says nothing at all? */
static int look_at_service(const struct asker *asker, const struct monitor_query *q, int64_t now_ns,
                           struct arena *arena, struct part *parts, bool *silent, struct error *err) {
    struct range range = {
        .from_ms = (now_ns - q->window_ns) / NS_PER_MS, .to_ms = now_ns / NS_PER_MS, .service_only = true};
    struct monitor_query service = *q;
    uint32_t count;
    service.group_count = 0;
    int code = measure_range(asker, &service, &range, arena, parts, &count, err);
    *silent = !code && !(count && parts[0].fold.sum > 0);
    return code;
}

static int measure_whole(const struct asker *asker, const struct monitor_query *q, int64_t now_ns, struct arena *arena,
                         struct part *parts, struct reading *readings, uint32_t *count, struct error *err) {
    struct range range = {.from_ms = (now_ns - q->window_ns) / NS_PER_MS, .to_ms = now_ns / NS_PER_MS};
    int code = measure_range(asker, q, &range, arena, parts, count, err);
    if (*count > READINGS_MAX) *count = READINGS_MAX;
    for (uint32_t i = 0; !code && i < *count; i++)
        readings[i] = (struct reading){parts[i].group, fold_value(&parts[i].fold, q, now_ns, false)};
    return code;
}

int monitor_measure(const struct asker *asker, const struct monitor *monitor, struct monitor_memory *memory,
                    int64_t now_ns, struct arena *arena, struct reading **readings, uint32_t *count,
                    struct error *err) {
    const struct monitor_query *q = &monitor->query;
    struct part *parts = arena_alloc(arena, PARTS_MAX * sizeof *parts);
    *readings = arena_alloc(arena, READINGS_MAX * sizeof **readings);
    if (!*readings || !parts) return error_set(err, VT_ENOMEM, "no memory for readings");
    int code = VT_EUNSUPPORTED;
    if (memory) code = measure_by_blocks(asker, q, memory, now_ns, arena, parts, *readings, count, err);
    if (code == VT_EUNSUPPORTED) code = measure_whole(asker, q, now_ns, arena, parts, *readings, count, err);
    if (!code && !q->group_count && !*count)
        (*readings)[(*count)++] = (struct reading){{NULL, 0}, fold_value(&(struct fold){0}, q, now_ns, false)};
    if (code || !monitor->notify_no_data || q->group_count || !query_is_total(q) || (*readings)->value > 0) return code;
    bool silent;
    code = look_at_service(asker, q, now_ns, arena, parts, &silent, err);
    if (silent) (*readings)->value = (double)NAN;
    return code;
}
