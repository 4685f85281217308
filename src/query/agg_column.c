/* Aggregates by their names, and their values. */
#include "query/agg_internal.h"
#include "query/when.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    enum agg_op op;
} ops[] = {{"count", AGG_COUNT},       {"rate", AGG_RATE},
           {"errors", AGG_ERRORS},     {"error_rate", AGG_ERROR_RATE},
           {"sum", AGG_SUM},           {"avg", AGG_AVG},
           {"min", AGG_MIN},           {"max", AGG_MAX},
           {"distinct", AGG_DISTINCT}, {"histogram", AGG_HISTOGRAM}};

static int unknown(struct slice text, struct error *err) {
    error_set(err, VT_EINVAL, "expected an aggregate, found '%.*s'", text.len < 60 ? (int)text.len : 60, text.ptr);
    return error_hint(err, "count, rate, errors, error_rate, or of a field: sum, avg, min, max, p50 … p99.9, distinct, "
                           "histogram; such as p95(duration_ms)");
}

static bool find_op(struct slice name, struct agg_column *column) {
    double percent;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (slice_is(name, ops[i].name)) {
            column->op = ops[i].op;
            return true;
        }
    if (name.len < 2 || name.ptr[0] != 'p' || !number_parse(slice_from(name, 1), &percent) ||
        !(percent >= 0 && percent <= 100))
        return false;
    column->op = AGG_PERCENTILE;
    column->quantile = percent / 100;
    return true;
}

int agg_column_parse(struct slice text, struct agg_column *column, struct error *err) {
    const char *open = text.len ? memchr(text.ptr, '(', text.len) : NULL;
    struct slice name = slice_make(text.ptr, open ? (size_t)(open - text.ptr) : text.len), field = {NULL, 0};
    *column = (struct agg_column){0};
    if (!find_op(name, column)) return unknown(text, err);
    if (open) {
        if (text.ptr[text.len - 1] != ')')
            return error_set(err, VT_EINVAL, "'%.*s' lacks the ')' at its end", text.len < 60 ? (int)text.len : 60,
                             text.ptr);
        field = slice_make(open + 1, text.len - name.len - 2);
    }
    bool needs_field = column->op >= AGG_SUM;
    if (!needs_field && field.len && !slice_is(field, "*"))
        return error_set(err, VT_EINVAL, "%.*s counts spans and takes no field, found '%.*s'", (int)name.len, name.ptr,
                         field.len < 60 ? (int)field.len : 60, field.ptr);
    if (!needs_field) return 0;
    if (!field.len) {
        error_set(err, VT_EINVAL, "%.*s needs a field in parentheses", (int)name.len, name.ptr);
        return error_hint(err, "such as %.*s(duration_ms)", (int)name.len, name.ptr);
    }
    if (!field_named(field, false, &column->field, err)) return VT_EINVAL;
    bool number =
        field_is_number(&column->field) || column->field.type == FIELD_TYPE_TIME || column->field.source == FIELD_ATTR;
    if (column->op == AGG_DISTINCT || number) return 0;
    error_set(err, VT_EINVAL, "%.*s needs a number, but '%.*s' is none", (int)name.len, name.ptr, (int)field.len,
              field.ptr);
    return error_hint(err, "distinct(%.*s) counts its different values", (int)field.len, field.ptr);
}

/* ---- values ---- */

static double cell_value(const struct agg_column *column, const struct agg_cell *cell, double seconds) {
    switch (column->op) {
    case AGG_COUNT:
    case AGG_ERRORS: return cell->a;
    case AGG_RATE: return seconds > 0 ? cell->a / seconds : (double)NAN;
    case AGG_ERROR_RATE: return cell->b > 0 ? cell->a / cell->b : (double)NAN;
    case AGG_SUM: return cell->b > 0 ? cell->a : (double)NAN;
    case AGG_AVG: return cell->b > 0 ? cell->a / cell->b : (double)NAN;
    case AGG_MIN:
    case AGG_MAX: return cell->b > 0 ? cell->a : (double)NAN;
    case AGG_PERCENTILE:
        if (!cell->sketch) return (double)NAN;
        sketch_sum(cell->sketch);
        return sketch_quantile(cell->sketch, column->quantile);
    case AGG_DISTINCT: return cell->distinct ? distinct_count(cell->distinct) : 0;
    case AGG_HISTOGRAM: return (double)NAN;
    }
    return (double)NAN;
}

static const struct agg_cell *cell_of(const struct agg_result *result, const struct agg_point *point, uint32_t column) {
    return &result->cells[(size_t)point->state * result->slot_count + result->slots[column]];
}

/* Seconds of the range that a point covers: the first and the last step may be cut. */
static double seconds_of(const struct agg_result *result, const struct agg_point *point) {
    const struct agg_spec *spec = result->spec;
    int64_t from = spec->from_ns, to = spec->to_ns;
    if (spec->interval_ns && point->start_ns > from) from = point->start_ns;
    if (spec->interval_ns && point->start_ns + spec->interval_ns < to) to = point->start_ns + spec->interval_ns;
    return ((double)to - (double)from) * 1e-9;
}

double agg_value(const struct agg_result *result, const struct agg_point *point, uint32_t column) {
    return cell_value(&result->spec->columns[column], cell_of(result, point, column), seconds_of(result, point));
}

double agg_total(const struct agg_result *result, uint32_t group, uint32_t column) {
    const struct agg_spec *spec = result->spec;
    const struct agg_column *wanted = &spec->columns[column];
    const struct agg_point *points = &result->points[result->groups[group].first_point];
    uint32_t count = result->groups[group].point_count;
    double seconds = ((double)spec->to_ns - (double)spec->from_ns) * 1e-9;
    if (!count) return (double)NAN;
    if (count == 1) return cell_value(wanted, cell_of(result, points, column), seconds);
    struct agg_cell total = *cell_of(result, points, column);
    struct agg_slot slot = {SLOT_SUM, wanted};
    struct arena scratch = {0};
    struct sketch sketch;
    struct distinct distinct = {0};
    sketch_init(&sketch);
    bool done = true;
    switch (wanted->op) {
    case AGG_PERCENTILE:
    case AGG_HISTOGRAM:
        if (total.sketch) done = sketch_merge(&sketch, total.sketch, &scratch);
        slot.kind = SLOT_SKETCH;
        total.sketch = &sketch;
        break;
    case AGG_DISTINCT:
        if (total.distinct) done = distinct_merge(&distinct, total.distinct, &scratch);
        slot.kind = SLOT_DISTINCT;
        total.distinct = &distinct;
        break;
    case AGG_MIN: slot.kind = SLOT_MIN; break;
    case AGG_MAX: slot.kind = SLOT_MAX; break;
    default: break;
    }
    for (uint32_t i = 1; done && i < count; i++)
        done = cell_merge(&slot, &total, cell_of(result, &points[i], column), &scratch);
    double value = done ? cell_value(wanted, &total, seconds) : (double)NAN;
    arena_free(&scratch);
    return value;
}

void agg_put_number(double value, struct json_writer *w) {
    if (isnan(value) || isinf(value))
        json_put_null(w);
    else if (value == floor(value) && fabs(value) < 9e15)
        json_put_int(w, (int64_t)value);
    else
        json_put_double(w, value);
}

enum { BARS_MAX = 64 };

/* As many buckets to a bar as leave at most BARS_MAX of them; each bar begins at a multiple of its width. */
static void put_histogram(const struct sketch *sketch, struct json_writer *w) {
    int32_t width = 1, first = 0, last = -1;
    for (uint32_t i = 0; sketch && i < sketch->count; i++) {
        if (sketch_weight(sketch, i) == 0) continue;
        if (last < first) first = sketch->low + (int32_t)i;
        last = sketch->low + (int32_t)i;
    }
    while ((last - first) / width + 1 > BARS_MAX) width *= 2;
    json_open(w, '[');
    for (int32_t bar = first - ((first - 1) % width + width) % width; bar <= last; bar += width) {
        double count = 0;
        for (int32_t b = bar < first ? first : bar; b < bar + width && b <= last; b++)
            count += sketch_weight(sketch, (uint32_t)(b - sketch->low));
        if (count == 0) continue;
        json_open(w, '[');
        agg_put_number(sketch_border(bar), w);
        agg_put_number(sketch_border(bar + width), w);
        agg_put_number(count, w);
        json_close(w, ']');
    }
    json_close(w, ']');
}

void agg_put_value(const struct agg_result *result, const struct agg_point *point, uint32_t column,
                   struct json_writer *w) {
    if (result->spec->columns[column].op == AGG_HISTOGRAM)
        put_histogram(cell_of(result, point, column)->sketch, w);
    else
        agg_put_number(agg_value(result, point, column), w);
}

void agg_put_key(const struct agg_key *key, struct json_writer *w) {
    if (key->type == AGG_KEY_TEXT)
        json_put_string(w, key->text);
    else if (key->type == AGG_KEY_BOOL)
        json_put_bool(w, key->number != 0);
    else
        agg_put_number(key->number, w);
}

void agg_put_keys(const struct agg_result *result, uint32_t group, struct json_writer *w) {
    const struct agg_spec *spec = result->spec;
    json_open(w, '{');
    for (uint32_t f = 0; f < spec->group_by_count; f++) {
        const struct agg_key *key = &result->groups[group].keys[f];
        if (key->type == AGG_KEY_NONE) continue;
        json_put_key_slice(w, field_name(&spec->group_by[f]));
        agg_put_key(key, w);
    }
    json_close(w, '}');
}

/* ---- order ---- */

struct ranked {
    double value;
    uint32_t group, key_count;
    const struct agg_key *keys;
};

static int key_order(const struct agg_key *a, const struct agg_key *b) {
    if (a->type != b->type) return a->type < b->type ? -1 : 1;
    if (a->type != AGG_KEY_TEXT) return a->number < b->number ? -1 : a->number > b->number;
    size_t len = a->text.len < b->text.len ? a->text.len : b->text.len;
    int order = len ? memcmp(a->text.ptr, b->text.ptr, len) : 0;
    return order ? order : a->text.len < b->text.len ? -1 : a->text.len > b->text.len;
}

static int by_keys(const struct ranked *x, const struct ranked *y) {
    int order = 0;
    for (uint32_t f = 0; !order && f < x->key_count; f++) order = key_order(&x->keys[f], &y->keys[f]);
    return order;
}

static int ascending_order(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (isnan(x->value) != isnan(y->value)) return isnan(x->value) ? 1 : -1;
    if (x->value < y->value || x->value > y->value) return x->value < y->value ? -1 : 1;
    return by_keys(x, y);
}

static int descending_order(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (isnan(x->value) != isnan(y->value)) return isnan(x->value) ? 1 : -1;
    if (x->value < y->value || x->value > y->value) return x->value > y->value ? -1 : 1;
    return by_keys(x, y);
}

static void sift_down(struct ranked *heap, uint32_t count, uint32_t at, int (*order)(const void *, const void *)) {
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && order(&heap[child + 1], &heap[child]) > 0) child++;
        if (order(&heap[child], &heap[at]) <= 0) return;
        struct ranked swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
    }
}

uint32_t agg_top(const struct agg_result *result, uint32_t column, bool ascending, uint32_t limit, uint32_t *order) {
    int (*compare)(const void *, const void *) = ascending ? ascending_order : descending_order;
    uint32_t count = result->group_count < limit ? result->group_count : limit, held = 0;
    struct ranked *heap = malloc((count + 1) * sizeof *heap); /* the last of those held on top */
    for (uint32_t g = 0; g < count; g++) order[g] = g;
    for (uint32_t g = 0; heap && g < result->group_count; g++) {
        struct ranked next = {agg_total(result, g, column), g, result->spec->group_by_count, result->groups[g].keys};
        if (held < count) {
            heap[held++] = next;
            for (uint32_t i = held == count ? count / 2 : 0; i-- > 0;) sift_down(heap, count, i, compare);
        } else if (count && compare(&next, &heap[0]) < 0) {
            heap[0] = next;
            sift_down(heap, count, 0, compare);
        }
    }
    if (heap && held) qsort(heap, held, sizeof *heap, compare);
    for (uint32_t g = 0; heap && g < held; g++) order[g] = heap[g].group;
    free(heap);
    return count;
}
