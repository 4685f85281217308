/* Aggregates of parts: each step brings what some spans have in common, and how many they are. */
#include "query/sql_digest.h"
#include "query/sql_group.h"

#include <stdlib.h>

/* ---- sketches as bytes: least, greatest, then (distance to the next bucket, spans in it) as varints ---- */

static void put_varint(struct buf *out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) buf_putc(out, (char)(value | 0x80));
    buf_putc(out, (char)value);
}

static bool get_varint(struct slice *bytes, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; bytes->len && shift < 64; shift += 7) {
        unsigned char byte = (unsigned char)bytes->ptr[0];
        *bytes = slice_from(*bytes, 1);
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return true;
    }
    return false;
}

enum { BUCKET_BIAS = 1 << 20 }; /* buckets of negative values are negative */

bool sql_sketch_write(const struct sketch *sketch, struct buf *out) {
    int64_t last = -BUCKET_BIAS;
    buf_put(out, &sketch->min, sizeof sketch->min);
    buf_put(out, &sketch->max, sizeof sketch->max);
    for (uint32_t i = 0; i < sketch->count; i++) {
        if (!(sketch->weights[i] > 0)) continue;
        int64_t bucket = (int64_t)sketch->low + i;
        put_varint(out, (uint64_t)(bucket - last));
        put_varint(out, (uint64_t)sketch->weights[i]);
        last = bucket;
    }
    return !out->failed;
}

bool sql_sketch_merge(struct sketch *into, struct slice bytes, struct arena *arena) {
    double least, greatest;
    int64_t bucket = -BUCKET_BIAS;
    if (bytes.len < 2 * sizeof least) return false;
    memcpy(&least, bytes.ptr, sizeof least);
    memcpy(&greatest, bytes.ptr + sizeof least, sizeof greatest);
    bytes = slice_from(bytes, 2 * sizeof least);
    while (bytes.len) {
        uint64_t distance, spans;
        if (!get_varint(&bytes, &distance) || !get_varint(&bytes, &spans) || distance > 2 * BUCKET_BIAS) return false;
        bucket += (int64_t)distance;
        if (bucket > BUCKET_BIAS) return false;
        if ((uint32_t)((int32_t)bucket - into->low) >= into->count && !sketch_grow(into, (int32_t)bucket, arena))
            return false;
        into->weights[(int32_t)bucket - into->low] += (double)spans;
        into->total += (double)spans;
    }
    if (least < into->min) into->min = least;
    if (greatest > into->max) into->max = greatest;
    return true;
}

/* "~p"(sketch, quantile) */
static void step_p(sqlite3_context *c, int argc, sqlite3_value **args) {
    if (sql_is_null(args[0])) return;
    struct digest *digest = sql_digest(c);
    if (!digest) return;
    const void *bytes = sqlite3_value_blob(args[0]);
    struct slice blob = slice_make(bytes, bytes ? (size_t)sqlite3_value_bytes(args[0]) : 0);
    digest->quantile = sqlite3_value_double(args[1]);
    if (!sql_sketch_merge(&digest->sketch, blob, &digest->arena)) sql_digest_fail(c, digest);
}

/* ---- counts, sums and means ---- */

struct total {
    int64_t whole, known;
    double real;
    bool is_real, overflow;
};

/* "~count"(spans): 0 of nothing. */
static void step_count(sqlite3_context *c, int argc, sqlite3_value **args) {
    struct total *total = sqlite3_aggregate_context(c, sizeof *total);
    if (total) total->known += sqlite3_value_int64(args[0]);
}
static void final_count(sqlite3_context *c) {
    const struct total *total = sqlite3_aggregate_context(c, 0);
    sqlite3_result_int64(c, total ? total->known : 0);
}

/* "~count_of"(x, spans), "~countif"(condition, spans) */
static void step_count_of(sqlite3_context *c, int argc, sqlite3_value **args) {
    struct total *total = sqlite3_aggregate_context(c, sizeof *total);
    if (total && !sql_is_null(args[0])) total->known += sqlite3_value_int64(args[1]);
}
static void step_countif(sqlite3_context *c, int argc, sqlite3_value **args) {
    struct total *total = sqlite3_aggregate_context(c, sizeof *total);
    if (total && sqlite3_value_double(args[0]) != 0) total->known += sqlite3_value_int64(args[1]);
}

/* "~avg"(sum, spans) */
static void step_avg(sqlite3_context *c, int argc, sqlite3_value **args) {
    struct total *total = sqlite3_aggregate_context(c, sizeof *total);
    if (!total || sql_is_null(args[0])) return;
    total->real += sqlite3_value_double(args[0]);
    total->known += sqlite3_value_int64(args[1]);
}
static void final_avg(sqlite3_context *c) {
    const struct total *total = sqlite3_aggregate_context(c, 0);
    if (total && total->known) sqlite3_result_double(c, total->real / (double)total->known);
}

/* "~sum_of"(x, spans), "~total_of", "~avg_of": as SQLite's own of x, said so many times. */
static void step_sum_of(sqlite3_context *c, int argc, sqlite3_value **args) {
    struct total *total = sqlite3_aggregate_context(c, sizeof *total);
    int type = sqlite3_value_numeric_type(args[0]);
    int64_t spans = sqlite3_value_int64(args[1]), product;
    if (!total || type == SQLITE_NULL) return;
    total->known += spans;
    total->real += sqlite3_value_double(args[0]) * (double)spans;
    if (type != SQLITE_INTEGER)
        total->is_real = true;
    else if (__builtin_mul_overflow(sqlite3_value_int64(args[0]), spans, &product) ||
             __builtin_add_overflow(total->whole, product, &total->whole))
        total->overflow = true;
}
static void final_sum_of(sqlite3_context *c) {
    const struct total *total = sqlite3_aggregate_context(c, 0);
    if (!total || !total->known) return;
    if (total->is_real)
        sqlite3_result_double(c, total->real);
    else if (total->overflow)
        sqlite3_result_error(c, "integer overflow", -1);
    else
        sqlite3_result_int64(c, total->whole);
}
static void final_total_of(sqlite3_context *c) {
    const struct total *total = sqlite3_aggregate_context(c, 0);
    sqlite3_result_double(c, total ? total->real : 0);
}

int sql_group_functions_add(sqlite3 *db) {
    static const struct sql_function functions[] = {
        {.name = "~p", .args = 2, .step = step_p, .final = sql_digest_final},
        {.name = "~count", .args = 1, .step = step_count, .final = final_count},
        {.name = "~count_of", .args = 2, .step = step_count_of, .final = final_count},
        {.name = "~countif", .args = 2, .step = step_countif, .final = final_count},
        {.name = "~avg", .args = 2, .step = step_avg, .final = final_avg},
        {.name = "~avg_of", .args = 2, .step = step_sum_of, .final = final_avg},
        {.name = "~sum_of", .args = 2, .step = step_sum_of, .final = final_sum_of},
        {.name = "~total_of", .args = 2, .step = step_sum_of, .final = final_total_of},
    };
    return sql_functions_register(db, functions, sizeof functions / sizeof *functions, NULL);
}
