/* Numbers of conversations, people and the overview. */
#include "query/numbers.h"

#include "base/timestamp.h"
#include "query/filter_internal.h"

#include <math.h>
#include <stdlib.h>

int number_filters_make(struct ask *ask, struct number_filters *filters, struct error *err) {
    const struct {
        struct filter **filter;
        const char *text;
    } all[] = {{&filters->llm, "kind:llm"},
               {&filters->turns, "kind:turn"},
               {&filters->fallbacks, "fallback:true"},
               {&filters->threads, "has:thread"},
               {&filters->turns_of_threads, "kind:turn has:thread"},
               {&filters->called, "(kind:llm OR kind:embedding OR kind:retrieval) has:provider"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int code = filter_parse(slice_of(all[i].text), &ask->arena, all[i].filter, err);
        if (code) return code;
    }
    return 0;
}

struct agg_column number_column(enum agg_op op, const char *field, const struct filter *where) {
    struct agg_column column = {.op = op, .where = where};
    if (field) field_named(slice_of(field), false, &column.field, NULL);
    return column;
}

void numbers_columns(const struct number_filters *f, struct agg_column columns[NUMBER_COUNT]) {
    columns[NUMBER_CALLS] = number_column(AGG_COUNT, NULL, f->llm);
    columns[NUMBER_ERRORS] = number_column(AGG_ERRORS, NULL, f->llm);
    columns[NUMBER_FALLBACKS] = number_column(AGG_COUNT, NULL, f->fallbacks);
    columns[NUMBER_TURN_SPANS] = number_column(AGG_COUNT, NULL, f->turns);
    columns[NUMBER_INPUT] = number_column(AGG_SUM, "tokens.input", NULL);
    columns[NUMBER_OUTPUT] = number_column(AGG_SUM, "tokens.output", NULL);
    columns[NUMBER_CACHED] = number_column(AGG_SUM, "tokens.cached", NULL);
    columns[NUMBER_CACHE_WRITE] = number_column(AGG_SUM, "tokens.cache_write", NULL);
    columns[NUMBER_REASONING] = number_column(AGG_SUM, "tokens.reasoning", NULL);
    columns[NUMBER_TOTAL] = number_column(AGG_SUM, "tokens.total", NULL);
    columns[NUMBER_COST] = number_column(AGG_SUM, "cost_usd", NULL);
    columns[NUMBER_FIRST] = number_column(AGG_MIN, "start", NULL);
    columns[NUMBER_LAST] = number_column(AGG_MAX, "start", NULL);
    columns[NUMBER_THREADS] = number_column(AGG_DISTINCT, "thread_id", NULL);
    columns[NUMBER_TRACES] = number_column(AGG_DISTINCT, "trace_id", f->threads);
    columns[NUMBER_TURN_TRACES] = number_column(AGG_DISTINCT, "trace_id", f->turns_of_threads);
}

void numbers_of_group(const struct agg_result *result, uint32_t group, struct numbers *numbers) {
    for (uint32_t i = 0; i < result->spec->column_count; i++) numbers->of[i] = agg_total(result, group, i);
    double without = numbers->of[NUMBER_TRACES] - numbers->of[NUMBER_TURN_TRACES];
    numbers->turns = numbers->of[NUMBER_TURN_SPANS] + (without > 0 ? without : 0);
}

double share_of(double part, double whole) {
    return whole > 0 ? part / whole : (double)NAN;
}

void put_tokens(const double tokens[5], struct json_writer *w) {
    static const char *const keys[5] = {"input", "output", "cached", "cache_write", "reasoning"};
    bool open = false;
    for (int i = 0; i < 5; i++) {
        if (isnan(tokens[i])) continue;
        if (!open) json_put_key(w, "tokens"), json_open(w, '{');
        open = true;
        put_count(w, keys[i], tokens[i]);
    }
    if (!open) return;
    if (!isnan(tokens[0]) || !isnan(tokens[1]))
        put_count(w, "total", (isnan(tokens[0]) ? 0 : tokens[0]) + (isnan(tokens[1]) ? 0 : tokens[1]));
    json_close(w, '}');
}

void put_ms_time(struct json_writer *w, const char *key, double ms) {
    if (!isnan(ms)) put_time(w, key, (int64_t)llround(ms * 1000) * NS_PER_US);
}

int rank_order(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (isnan(x->value) != isnan(y->value)) return isnan(x->value) ? 1 : -1;
    if (!isnan(x->value) && x->value != y->value) return x->value > y->value ? -1 : 1;
    size_t common = x->key.len < y->key.len ? x->key.len : y->key.len;
    int order = common ? memcmp(x->key.ptr, y->key.ptr, common) : 0;
    return order ? order : x->key.len < y->key.len ? -1 : x->key.len > y->key.len;
}

void rank(struct ranked *list, uint32_t count) {
    if (count) qsort(list, count, sizeof *list, rank_order);
}

int filter_with_any(struct ask *ask, const struct filter *filter, enum col col, const struct slice *values,
                    uint32_t count, struct filter **out, struct error *err) {
    struct filter *both = *out = ask_alloc(ask, 1, sizeof *both, err);
    struct node *nodes = both ? ask_alloc(ask, (size_t)count + 3, sizeof *nodes, err) : NULL;
    struct term *terms = nodes ? ask_alloc(ask, (size_t)count + 1, sizeof *terms, err) : NULL;
    if (!terms) return err->code;
    for (uint32_t i = 0; i < count; i++) {
        terms[i] = (struct term){.type = TERM_TEXT,
                                 .field = {.name = span_columns[col].name, .source = FIELD_COLUMN, .col = col},
                                 .text = values[i]};
        nodes[i] = (struct node){.type = NODE_TERM, .term = &terms[i], .next = i + 1 < count ? &nodes[i + 1] : NULL};
    }
    struct node *any = &nodes[count], *all = &nodes[count + 1], *given = &nodes[count + 2];
    *any = (struct node){.type = NODE_OR, .first = count ? nodes : NULL};
    *all = (struct node){.type = NODE_AND, .first = any};
    both->root = any;
    both->columns = (uint64_t)1 << col;
    if (!filter || !filter->root) return 0;
    *given = *filter->root;
    given->next = NULL;
    any->next = given;
    both->root = all;
    both->columns |= filter->columns;
    both->reads_json = filter->reads_json;
    both->needs_traces = filter->needs_traces;
    return 0;
}
