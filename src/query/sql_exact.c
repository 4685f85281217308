/* Conditions that the scan alone answers: just the rows for which SQLite would find them true. What a column shows
 * never falls while the number it is read from rises, so where a condition begins and ends to hold is found by halving,
 * with SQLite's own way of comparing. */
#include "base/timestamp.h"
#include "query/sql_internal.h"

bool sql_exact_helps(const struct sql_column *column) {
    switch (column->form) {
    case SQL_START_MS:
    case SQL_TIME_US:
    case SQL_TIME_MS:
    case SQL_INT:
    case SQL_USAGE_INT:
    case SQL_MS:
    case SQL_DOUBLE:
    case SQL_USAGE_DOUBLE: return true;
    default: return false;
    }
}

bool sql_exact_op(unsigned char op) {
    switch (op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
    case SQLITE_INDEX_CONSTRAINT_GT:
    case SQLITE_INDEX_CONSTRAINT_GE:
    case SQLITE_INDEX_CONSTRAINT_LT:
    case SQLITE_INDEX_CONSTRAINT_LE:
    case SQLITE_INDEX_CONSTRAINT_ISNOTNULL: return true;
    default: return false;
    }
}

/* What is shown of `raw`, against the condition's value: negative, 0, positive. */
static int compare(const struct sql_constraint *k, int64_t raw) {
    enum sql_form form = k->column->form;
    if (form == SQL_TIME_US || form == SQL_TIME_MS) {
        char text[TIME_TEXT_MAX];
        size_t len = time_format(raw, form == SQL_TIME_US ? 6 : 3, text);
        size_t other = (size_t)sqlite3_value_bytes(k->value);
        int order = memcmp(text, sqlite3_value_text(k->value), len < other ? len : other);
        return order ? order : len < other ? -1 : len > other;
    }
    bool whole = sqlite3_value_type(k->value) == SQLITE_INTEGER;
    if (form == SQL_MS) {
        double shown = (double)raw / NS_PER_MS;
        long double value =
            whole ? (long double)sqlite3_value_int64(k->value) : (long double)sqlite3_value_double(k->value);
        return (long double)shown < value ? -1 : (long double)shown > value;
    }
    int64_t shown = form == SQL_START_MS ? raw / NS_PER_MS : raw;
    if (whole) {
        int64_t value = sqlite3_value_int64(k->value);
        return shown < value ? -1 : shown > value;
    }
    /* A double beyond all integers, or between two of them. */
    double value = sqlite3_value_double(k->value);
    if (value >= 0x1p63) return -1;
    if (value < -0x1p63) return 1;
    int64_t floored = (int64_t)floor(value);
    return shown < floored ? -1 : shown > floored ? 1 : (double)floored < value ? -1 : 0;
}

/* The least number that compares so (least = 0) or above (least = 1); INT64_MAX also when there is none: *any says. */
static int64_t first_with(const struct sql_constraint *k, int least, bool *any) {
    int64_t low = -INT64_MAX, high = INT64_MAX;
    *any = compare(k, high) >= least;
    while (*any && low < high) {
        int64_t mid = low + (int64_t)(((uint64_t)high - (uint64_t)low) / 2);
        if (compare(k, mid) >= least)
            high = mid;
        else
            low = mid + 1;
    }
    return high;
}

bool sql_exact_range(const struct sql_constraint *k, int64_t *low, int64_t *high) {
    bool text = k->column->form == SQL_TIME_US || k->column->form == SQL_TIME_MS, any;
    int type = sqlite3_value_type(k->value);
    *low = -INT64_MAX; /* SPAN_NO_INT, which is below, is NULL */
    *high = INT64_MAX;
    if (k->op == SQLITE_INDEX_CONSTRAINT_ISNOTNULL) return true;
    if (type == SQLITE_NULL) {
        *low = 1, *high = 0;
        return true;
    }
    if (text ? type != SQLITE_TEXT : type != SQLITE_INTEGER && type != SQLITE_FLOAT) return false;
    if (k->op != SQLITE_INDEX_CONSTRAINT_LT && k->op != SQLITE_INDEX_CONSTRAINT_LE) {
        *low = first_with(k, k->op == SQLITE_INDEX_CONSTRAINT_GT, &any);
        if (!any) *low = 1, *high = 0;
        if (!any) return true;
    }
    if (k->op != SQLITE_INDEX_CONSTRAINT_GT && k->op != SQLITE_INDEX_CONSTRAINT_GE) {
        int64_t end = first_with(k, k->op != SQLITE_INDEX_CONSTRAINT_LT, &any);
        if (any && end == -INT64_MAX)
            *low = 1, *high = 0;
        else if (any)
            *high = end - 1;
    }
    return true;
}
