/* Spans of a block put together by the columns that a statement tells apart. */
#include "query/agg_internal.h"
#include "query/sql_group.h"

#include "base/timestamp.h"

struct group_sums {
    int64_t known; /* spans that know the value */
    union {
        int64_t whole; /* sum, least or greatest, as its measure says */
        double real;
        struct sketch *sketch;
    };
};

bool sql_group_is_key(const struct sql_column *column) {
    switch (column->form) {
    case SQL_KIND:
    case SQL_STATUS:
    case SQL_FLAG: return true;
    case SQL_TEXT: return span_columns[column->col].type == COL_DICT && column->col != COL_RESOURCE;
    default: return false;
    }
}

bool sql_group_is_number(const struct sql_column *column) {
    switch (column->form) {
    case SQL_INT:
    case SQL_USAGE_INT:
    case SQL_DOUBLE:
    case SQL_USAGE_DOUBLE:
    case SQL_TOKENS_TOTAL:
    case SQL_TOKENS_TOTAL_REPORTED:
    case SQL_START_MS:
    case SQL_END_MS:
    case SQL_MS:
    case SQL_WEIGHT: return true;
    default: return false;
    }
}

static void *take(struct block *block, size_t count, size_t size, struct error *err) {
    void *memory = arena_calloc(&block->arena, count + 1, size);
    if (!memory) {
        error_set(err, VT_ELIMIT, "sql: the groups need more memory than one request may hold");
        error_hint(err, "group by fewer columns");
    }
    return memory;
}

/* ---- values ---- */

/* A column's values by row number, as the statement would see them: one of the two. */
struct values {
    const int64_t *wholes; /* SPAN_NO_INT = NULL */
    const double *reals;   /* NaN = NULL */
};

static int read_totals(struct block *block, const uint32_t *rows, int64_t *out, struct error *err) {
    const struct vec *input = block_column(block, COL_TOKENS_INPUT, err),
                     *output = input ? block_column(block, COL_TOKENS_OUTPUT, err) : NULL;
    if (!output) return err->code;
    for (uint32_t i = 0; i < block->count; i++)
        out[rows[i]] = tokens_total(input->ints[rows[i]], output->ints[rows[i]]);
    return 0;
}

static int read_times(struct block *block, enum sql_form form, const uint32_t *rows, int64_t *out, struct error *err) {
    const struct vec *starts = block_column(block, COL_START_NS, err),
                     *durations = starts && form == SQL_END_MS ? block_column(block, COL_DURATION_NS, err) : starts;
    if (!durations) return err->code;
    for (uint32_t i = 0; i < block->count; i++) {
        int64_t ns = starts->ints[rows[i]];
        out[rows[i]] = (form == SQL_END_MS ? ns + durations->ints[rows[i]] : ns) / NS_PER_MS;
    }
    return 0;
}

static int read_ms(struct block *block, enum col col, const uint32_t *rows, double *out, struct error *err) {
    const struct vec *vec = block_column(block, col, err);
    if (!vec) return err->code;
    for (uint32_t i = 0; i < block->count; i++) {
        int64_t ns = vec->ints[rows[i]];
        out[rows[i]] = ns == SPAN_NO_INT ? (double)NAN : (double)ns / NS_PER_MS;
    }
    return 0;
}

static int read_weights(struct block *block, const uint32_t *rows, double *out, struct error *err) {
    const struct vec *rates = block_column(block, COL_SAMPLE_RATE, err);
    if (!rates) return err->code;
    for (uint32_t i = 0; i < block->count; i++) {
        double rate = rates->doubles[rows[i]];
        out[rows[i]] = rate > 0 && rate < 1 ? 1 / rate : 1;
    }
    return 0;
}

/* Usage that descendants report too is NULL. */
static int leave_out_restated(struct block *block, const uint32_t *rows, int64_t *wholes, double *reals,
                              struct error *err) {
    const struct vec *flags = block_column(block, COL_FLAGS, err);
    if (!flags) return err->code;
    for (uint32_t i = 0; i < block->count; i++) {
        if (!(flags->ints[rows[i]] & SPAN_USAGE_RESTATED)) continue;
        if (wholes)
            wholes[rows[i]] = SPAN_NO_INT;
        else
            reals[rows[i]] = (double)NAN;
    }
    return 0;
}

static int read_values(struct block *block, const struct sql_column *column, const uint32_t *rows,
                       struct values *values, struct error *err) {
    enum sql_form form = column->form;
    bool usage = form == SQL_USAGE_INT || form == SQL_USAGE_DOUBLE || form == SQL_TOKENS_TOTAL;
    bool plain = form == SQL_INT || form == SQL_DOUBLE || form == SQL_USAGE_INT || form == SQL_USAGE_DOUBLE;
    bool real = form == SQL_DOUBLE || form == SQL_USAGE_DOUBLE || form == SQL_MS || form == SQL_WEIGHT;
    const struct vec *vec = plain ? block_column(block, column->col, err) : NULL;
    *values = (struct values){0};
    if (plain && !vec) return err->code;
    if (plain && !usage) {
        values->wholes = real ? NULL : vec->ints;
        values->reals = real ? vec->doubles : NULL;
        return 0;
    }
    int64_t *wholes = real ? NULL : take(block, block->group->rows, sizeof *wholes, err);
    double *reals = real ? take(block, block->group->rows, sizeof *reals, err) : NULL;
    if (!wholes && !reals) return VT_ELIMIT;
    int code = 0;
    if (plain)
        memcpy(real ? (void *)reals : (void *)wholes, real ? (const void *)vec->doubles : (const void *)vec->ints,
               8 * (size_t)block->group->rows);
    else if (form == SQL_MS)
        code = read_ms(block, column->col, rows, reals, err);
    else if (form == SQL_WEIGHT)
        code = read_weights(block, rows, reals, err);
    else if (form == SQL_TOKENS_TOTAL || form == SQL_TOKENS_TOTAL_REPORTED)
        code = read_totals(block, rows, wholes, err);
    else
        code = read_times(block, form, rows, wholes, err);
    if (!code && usage) code = leave_out_restated(block, rows, wholes, reals, err);
    values->wholes = wholes;
    values->reals = reals;
    return code;
}

/* ---- sums ---- */

static int too_large(struct error *err) {
    return error_set(err, VT_EFULL, "sql: integer overflow");
}

static int fold_wholes(enum measure_kind kind, const int64_t *values, const uint32_t *rows, uint32_t count,
                       const uint32_t *of_row, struct group_sums *sums, struct error *err) {
    for (uint32_t i = 0; i < count; i++) {
        int64_t value = values[rows[i]];
        struct group_sums *s = &sums[of_row[rows[i]]];
        if (value == SPAN_NO_INT) continue;
        if (kind == MEASURE_SUM && __builtin_add_overflow(s->whole, value, &s->whole)) return too_large(err);
        if (kind == MEASURE_MIN && (!s->known || value < s->whole)) s->whole = value;
        if (kind == MEASURE_MAX && (!s->known || value > s->whole)) s->whole = value;
        s->known++;
    }
    return 0;
}

static void fold_reals(enum measure_kind kind, const double *values, const uint32_t *rows, uint32_t count,
                       const uint32_t *of_row, struct group_sums *sums) {
    for (uint32_t i = 0; i < count; i++) {
        double value = values[rows[i]];
        struct group_sums *s = &sums[of_row[rows[i]]];
        if (isnan(value)) continue;
        if (kind == MEASURE_SUM) s->real += value;
        if (kind == MEASURE_MIN && (!s->known || value < s->real)) s->real = value;
        if (kind == MEASURE_MAX && (!s->known || value > s->real)) s->real = value;
        s->known++;
    }
}

static int fold_sketches(struct block *block, const struct values *values, const uint32_t *rows, uint32_t count,
                         const uint32_t *of_row, struct group_sums *sums, struct error *err) {
    for (uint32_t i = 0; i < count; i++) {
        struct group_sums *s = &sums[of_row[rows[i]]];
        double value = values->reals                            ? values->reals[rows[i]]
                       : values->wholes[rows[i]] == SPAN_NO_INT ? (double)NAN
                                                                : (double)values->wholes[rows[i]];
        if (isnan(value)) continue;
        if (!s->known++) {
            if (!(s->sketch = take(block, 1, sizeof *s->sketch, err))) return VT_ELIMIT;
            sketch_init(s->sketch);
        }
        if (!sketch_add(s->sketch, value, 1, &block->arena))
            return error_set(err, VT_ELIMIT, "sql: the percentiles need more memory than one request may hold");
    }
    return 0;
}

/* How many know the value, of columns that are no numbers. */
static int count_known(struct block *block, const struct sql_column *column, const uint32_t *rows, uint32_t count,
                       const uint32_t *of_row, struct group_sums *sums, struct error *err) {
    bool id = column->form == SQL_ID, text = column->form == SQL_TEXT;
    const struct vec *vec = id || text ? block_column(block, column->col, err) : NULL;
    if ((id || text) && !vec) return err->code;
    size_t width = id ? span_columns[column->col].width : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = rows[i];
        bool known = true; /* kinds, flags and times always are */
        if (id)
            known = !id_is_zero(vec->bytes + row * width, width);
        else if (text)
            known = (vec->type == COL_DICT ? vec->dict[vec->codes[row]].len : vec->text[row].len) > 0;
        sums[of_row[row]].known += known;
    }
    return 0;
}

static int fold(struct block *block, const struct measure *measure, const uint32_t *rows, uint32_t count,
                const uint32_t *of_row, struct group_sums *sums, struct error *err) {
    const struct sql_column *column = &sql_span_columns.columns[measure->column];
    bool time = column->form == SQL_TIME_US || column->form == SQL_TIME_MS;
    struct values values;
    if (measure->kind == MEASURE_COUNT && !sql_group_is_number(column))
        return count_known(block, column, rows, count, of_row, sums, err);
    if (time) { /* least and greatest of the nanoseconds, shown as texts */
        const struct vec *starts = block_column(block, COL_START_NS, err);
        return starts ? fold_wholes(measure->kind, starts->ints, rows, count, of_row, sums, err) : err->code;
    }
    int code = read_values(block, column, rows, &values, err);
    if (code) return code;
    if (measure->kind == MEASURE_SKETCH) return fold_sketches(block, &values, rows, count, of_row, sums, err);
    if (values.wholes) return fold_wholes(measure->kind, values.wholes, rows, count, of_row, sums, err);
    fold_reals(measure->kind, values.reals, rows, count, of_row, sums);
    return 0;
}

/* ---- groups ---- */

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

/* Steps as codes from 0; what they stand for is told from the row again. */
static int time_part(struct block *block, const struct group_time *time, uint32_t *codes, uint32_t *code_count,
                     struct error *err) {
    const struct vec *starts = block_column(block, COL_START_NS, err);
    if (!starts) return err->code;
    int64_t step_ns = time->step_ms * NS_PER_MS, first = floor_div(block->group->min_start_ns, step_ns);
    int64_t last = floor_div(block->group->max_start_ns, step_ns), low = 1, high = 0;
    uint32_t code = 0;
    if (last - first >= UINT32_MAX / 2) return error_set(err, VT_EFULL, "sql: too many steps of time");
    for (uint32_t i = 0; i < block->count; i++) {
        int64_t start = starts->ints[block->rows[i]];
        if (start < low || start >= high) {
            low = floor_div(start, step_ns) * step_ns;
            high = low + step_ns;
            code = (uint32_t)(low / step_ns - first);
        }
        codes[block->rows[i]] = code;
    }
    *code_count = (uint32_t)(last - first + 1);
    return 0;
}

static int key_part(struct block *block, const struct sql_column *column, const uint32_t **codes, uint32_t *code_count,
                    struct error *err) {
    enum { WORDS = 256 };
    const struct vec *vec = block_column(block, column->form == SQL_FLAG ? COL_FLAGS : column->col, err);
    if (!vec) return err->code;
    if (vec->type == COL_DICT) {
        *codes = vec->codes;
        *code_count = vec->dict_count;
        return 0;
    }
    uint32_t *made = take(block, block->group->rows, sizeof *made, err);
    if (!made) return VT_ELIMIT;
    for (uint32_t i = 0; i < block->count; i++) {
        int64_t value = vec->ints[block->rows[i]];
        if (column->form == SQL_FLAG)
            made[block->rows[i]] = (value & (int64_t)column->col) != 0;
        else if (value >= 0 && value < WORDS)
            made[block->rows[i]] = (uint32_t)value;
        else
            return error_set(err, VT_EFULL, "sql: a kind that is not known");
    }
    *codes = made;
    *code_count = column->form == SQL_FLAG ? 2 : column->form == SQL_KIND ? KIND_COUNT : STATUS_COUNT;
    for (uint32_t i = 0; i < block->count; i++)
        if (made[block->rows[i]] >= *code_count) *code_count = WORDS;
    return 0;
}

static int number_groups(const struct group_plan *plan, struct block *block, struct dense_rows *dense,
                         struct error *err) {
    const uint32_t *codes[GROUP_KEYS_MAX];
    uint32_t counts[GROUP_KEYS_MAX], parts = 0;
    int code = 0;
    for (int k = 0; k < sql_span_columns.count && !code; k++) {
        if (!(plan->keys >> k & 1)) continue;
        code = key_part(block, &sql_span_columns.columns[k], &codes[parts], &counts[parts], err);
        parts++;
    }
    for (int t = 0; t < plan->time_count && !code; t++) {
        uint32_t *made = take(block, block->group->rows, sizeof *made, err);
        code = made ? time_part(block, &plan->times[t], made, &counts[parts], err) : VT_ELIMIT;
        codes[parts++] = made;
    }
    return code ? code : agg_number_rows(block, codes, counts, parts, dense, err);
}

int sql_group_block(const struct group_plan *plan, struct block *block, struct grouped *out, struct error *err) {
    struct dense_rows dense;
    *out = (struct grouped){.plan = plan};
    /* Whole milliseconds are rounded otherwise before 1970: SQLite shall do it. */
    if (block->group->min_start_ns < 0) return error_set(err, VT_EFULL, "sql: a time before 1970");
    int code = number_groups(plan, block, &dense, err);
    if (code) return code;
    const uint32_t *rows = block->rows;
    uint32_t count = block->count, kept = 0;
    int64_t *counts = take(block, dense.count, sizeof *counts, err);
    uint32_t *samples = take(block, dense.count, sizeof *samples, err);
    uint32_t *places = take(block, dense.count, sizeof *places, err);
    uint32_t *of_row = take(block, block->group->rows, sizeof *of_row, err);
    if (!counts || !samples || !places || !of_row) return VT_ELIMIT;
    for (uint32_t g = 0; g < dense.count; g++) {
        if (dense.samples[g] == UINT32_MAX) continue;
        samples[kept] = dense.samples[g];
        places[g] = kept++;
    }
    for (uint32_t i = 0; i < count; i++) {
        of_row[rows[i]] = places[dense.of_row[rows[i]]];
        counts[of_row[rows[i]]]++;
    }
    out->counts = counts;
    out->count = kept;
    if (!(out->groups = take(block, (size_t)kept * (size_t)plan->measure_count, sizeof *out->groups, err)))
        return VT_ELIMIT;
    for (int m = 0; m < plan->measure_count && !code; m++)
        code = fold(block, &plan->measures[m], rows, count, of_row, out->groups + (size_t)m * kept, err);
    block->rows = samples;
    block->count = kept;
    return code;
}

/* ---- showing ---- */

void sql_group_put_declaration(const struct group_plan *plan, struct buf *out) {
    sql_put_declaration(&sql_span_columns, out);
    out->len--;
    buf_puts(out, ", \"~n\"");
    for (int t = 0; t < plan->time_count; t++) buf_printf(out, ", \"~t%d\"", t);
    for (int m = 0; m < plan->measure_count; m++) buf_printf(out, ", \"~%d\"", m);
    buf_puts(out, ")");
}

static bool show_time(const struct group_time *time, struct sql_row *row, sqlite3_context *c) {
    const struct vec *starts = block_column(row->block, COL_START_NS, &row->session->err);
    char text[TIME_TEXT_MAX];
    if (!starts) return false;
    int64_t ms = starts->ints[row->row] / NS_PER_MS;
    ms -= ms % time->step_ms;
    if (time->text)
        sqlite3_result_text64(c, text, time_format(ms * NS_PER_MS, 3, text), SQLITE_TRANSIENT, SQLITE_UTF8);
    else
        sqlite3_result_int64(c, ms);
    return true;
}

static bool show_measure(const struct measure *measure, const struct group_sums *sums, struct sql_row *row,
                         sqlite3_context *c) {
    const struct sql_column *column = &sql_span_columns.columns[measure->column];
    enum sql_form form = column->form;
    char text[TIME_TEXT_MAX];
    if (measure->kind == MEASURE_COUNT) {
        sqlite3_result_int64(c, sums->known);
    } else if (!sums->known) {
        return true;
    } else if (measure->kind == MEASURE_SKETCH) {
        struct buf bytes = {0};
        bool done = sql_sketch_write(sums->sketch, &bytes);
        if (done) sqlite3_result_blob64(c, bytes.ptr, bytes.len, SQLITE_TRANSIENT);
        buf_free(&bytes);
        if (!done) error_set(&row->session->err, VT_ENOMEM, "sql: no memory for percentiles");
        return done;
    } else if (form == SQL_TIME_US || form == SQL_TIME_MS) {
        size_t len = time_format(sums->whole, form == SQL_TIME_US ? 6 : 3, text);
        sqlite3_result_text64(c, text, len, SQLITE_TRANSIENT, SQLITE_UTF8);
    } else if (form == SQL_DOUBLE || form == SQL_USAGE_DOUBLE || form == SQL_MS || form == SQL_WEIGHT) {
        sqlite3_result_double(c, sums->real);
    } else {
        sqlite3_result_int64(c, sums->whole);
    }
    return true;
}

bool sql_group_show(const struct grouped *grouped, struct sql_row *row, int i, uint32_t g, sqlite3_context *c) {
    const struct group_plan *plan = grouped->plan;
    if (i == 0) {
        sqlite3_result_int64(c, grouped->counts[g]);
        return true;
    }
    if (i <= plan->time_count) return show_time(&plan->times[i - 1], row, c);
    int m = i - 1 - plan->time_count;
    return show_measure(&plan->measures[m], &grouped->groups[(size_t)m * grouped->count + g], row, c);
}
