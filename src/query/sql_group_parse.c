/* Which SELECTs can read spans that are grouped already, and what becomes of their tokens. Strict: a column may stand
 * alone only where spans can be told apart by it, others only as what an aggregate is of, or in plain conditions of the
 * WHERE that the scan answers exactly; a word that might mean something else for single spans leaves all as it was. */
#include "base/timestamp.h"
#include "query/sql_group.h"
#include "query/when.h"

#include <stdio.h>
#include <strings.h>

enum { ALIASES_MAX = 64 };
enum clause { CLAUSE_SELECT, CLAUSE_FROM, CLAUSE_WHERE, CLAUSE_GROUP, CLAUSE_HAVING, CLAUSE_ORDER, CLAUSE_LIMIT };

struct parser {
    const struct sql_tokens *tokens;
    struct arena *arena;
    struct group_plan *plan;
    struct slice alias;                /* what spans are called */
    struct slice aliases[ALIASES_MAX]; /* names that AS gave to results, the first of them */
    unsigned alias_count;
    bool where_has_or;       /* … is no plain list of conditions */
    bool aggregates, failed; /* one was met; no memory */
};

/* ---- names ---- */

static bool same(struct slice a, const char *b) {
    return a.len == strlen(b) && strncasecmp(a.ptr, b, a.len) == 0;
}

static int column_named(struct slice name) {
    for (int i = 0; i < sql_span_columns.count; i++)
        if (same(name, sql_span_columns.columns[i].name)) return i;
    return -1;
}

static bool is_name(const struct token *token) {
    return token->type == TOKEN_NAME || token->type == TOKEN_QUOTED;
}

/* A column at `token`, perhaps behind the table's name; *last = its last token. -1: none is there. */
static int column_at(const struct parser *p, struct token *token, struct token **last) {
    struct token *next = token_after(token);
    *last = token;
    if (!is_name(token)) return -1;
    if (token_is_sign(next, '.')) {
        struct slice table = token_name(token);
        if (table.len != p->alias.len || strncasecmp(table.ptr, p->alias.ptr, table.len) != 0) return -1;
        *last = token_after(next);
        return is_name(*last) ? column_named(token_name(*last)) : -1;
    }
    return token_is_sign(next, '(') ? -1 : column_named(token_name(token));
}

static void become(struct parser *p, struct token *first, const struct token *last, struct slice text) {
    if (!text.ptr) p->failed = true;
    tokens_blank(first, last);
    first->becomes = text;
}

/* ---- what the plan needs ---- */

static bool add_key(struct parser *p, int column) {
    uint64_t bit = (uint64_t)1 << column;
    if (!sql_group_is_key(&sql_span_columns.columns[column])) return false;
    if (p->plan->keys & bit) return true;
    if (p->plan->key_count + p->plan->time_count == GROUP_KEYS_MAX) return false;
    p->plan->keys |= bit;
    p->plan->key_count++;
    return true;
}

/* The number of "~t…"; -1: too many. */
static int add_time(struct parser *p, int64_t step_ms, bool text) {
    struct group_plan *plan = p->plan;
    for (int t = 0; t < plan->time_count; t++)
        if (plan->times[t].step_ms == step_ms && plan->times[t].text == text) return t;
    if (plan->time_count == GROUP_TIMES_MAX || plan->key_count + plan->time_count == GROUP_KEYS_MAX) return -1;
    plan->times[plan->time_count] = (struct group_time){step_ms, text};
    return plan->time_count++;
}

/* The number of "~…"; -1: too many, or there is no such thing of this column. */
static int add_measure(struct parser *p, enum measure_kind kind, int column) {
    const struct sql_column *c = &sql_span_columns.columns[column];
    struct group_plan *plan = p->plan;
    bool time = c->form == SQL_TIME_US || c->form == SQL_TIME_MS;
    bool extreme = kind == MEASURE_MIN || kind == MEASURE_MAX;
    if (kind != MEASURE_COUNT && !sql_group_is_number(c) && !(extreme && time)) return -1;
    for (int m = 0; m < plan->measure_count; m++)
        if (plan->measures[m].kind == kind && plan->measures[m].column == column) return m;
    if (plan->measure_count == GROUP_MEASURES_MAX) return -1;
    plan->measures[plan->measure_count] = (struct measure){kind, column};
    return plan->measure_count++;
}

/* ---- steps of time ---- */

static bool whole_number(const struct token *token, int64_t *value) {
    *value = 0;
    if (token->type != TOKEN_NUMBER || token->text.len > 15) return false;
    for (size_t i = 0; i < token->text.len; i++) {
        if (!token_digit(token->text.ptr[i])) return false;
        *value = 10 * *value + (token->text.ptr[i] - '0');
    }
    return true;
}

static enum sql_form form_of(int column) {
    return sql_span_columns.columns[column].form;
}

/* start_ms / 60000, where nothing binds stronger: the same of the step's beginning. */
static struct token *divided_start(struct parser *p, struct token *first, struct token *last) {
    static const char *const before_words[] = {"SELECT", "DISTINCT", "BY", "WHEN", "THEN", "ELSE", NULL};
    static const char *const behind_words[] = {"AS", "FROM", "GROUP", "ORDER", "HAVING", "LIMIT", "ASC", "DESC", NULL};
    struct token *slash = token_after(last), *number = token_after(slash), *behind = token_after(number);
    struct token *previous = token_before(p->tokens, first);
    int64_t step_ms;
    if (!token_is_sign(slash, '/') || !whole_number(number, &step_ms) || !step_ms) return NULL;
    if (!previous ||
        !(token_is_sign(previous, '(') || token_is_sign(previous, ',') || token_is_one_of(previous, before_words)))
        return NULL;
    bool loose = behind->type == TOKEN_END || token_is_sign(behind, ')') || token_is_sign(behind, ',') ||
                 token_is_sign(behind, '*') || token_is_sign(behind, '+') || token_is_sign(behind, ';') ||
                 token_is_one_of(behind, behind_words);
    int t = loose ? add_time(p, step_ms, false) : -1;
    if (t < 0) return NULL;
    become(p, first, last, arena_printf(p->arena, "\"~t%d\"", t));
    return number;
}

/* A format of strftime that shows nothing below minutes. */
static bool is_coarse_format(const struct token *token) {
    if (token->type != TOKEN_STRING) return false;
    for (size_t i = 0; i + 1 < token->text.len; i++) {
        if (token->text.ptr[i] != '%') continue;
        if (!strchr("YmdHMjwW%", token->text.ptr[++i])) return false;
    }
    return true;
}

enum { MINUTE_MS = 60000, MINUTE_TEXT = 16 };

/* A function of time that tells no two moments of a minute (time_bucket: of its step) apart. The last token that was
 * dealt with; NULL: it is no such call. */
static struct token *time_call(struct parser *p, struct token *name) {
    static const char *const units[] = {"'MINUTE'", "'HOUR'",    "'DAY'",  "'WEEK'", "'ISOWEEK'",
                                        "'MONTH'",  "'QUARTER'", "'YEAR'", NULL};
    struct token *open = token_after(name), *close = token_closing(p->tokens, open), *first = token_after(open), *last;
    struct token *second = token_after(token_after(first)); /* where the first argument is one token */
    int64_t value;
    int column, t;
    if (close->type == TOKEN_END) return NULL;
    if (token_is_word(name, "time_bucket")) {
        int64_t step_ns;
        struct slice step = token_name(first);
        if (first->type != TOKEN_STRING || step.len < 3 || !token_is_sign(token_after(first), ',')) return NULL;
        step = slice_make(step.ptr + 1, step.len - 2);
        column = column_at(p, second, &last);
        if (column < 0 || token_after(last) != close || !duration_parse(step, NS_PER_MS, &step_ns) ||
            step_ns < NS_PER_MS)
            return NULL;
        bool text = form_of(column) == SQL_TIME_US;
        if (!text && form_of(column) != SQL_START_MS) return NULL;
        if ((t = add_time(p, step_ns / NS_PER_MS, text)) < 0) return NULL;
        become(p, name, close, arena_printf(p->arena, "\"~t%d\"", t));
        return close;
    }
    struct token *moment = first;
    bool coarse = false;
    if (token_is_word(name, "strftime") && is_coarse_format(first) && token_is_sign(token_after(first), ','))
        coarse = true, moment = second;
    column = column_at(p, moment, &last);
    if (column < 0 || form_of(column) != SQL_TIME_US) return NULL;
    struct token *behind = token_after(last), *argument = token_after(behind);
    if (token_is_word(name, "date")) coarse = true;
    if (token_is_word(name, "substr") && token_is_sign(behind, ',') && whole_number(argument, &value) && value == 1) {
        struct token *length = token_after(token_after(argument));
        coarse = token_is_sign(token_after(argument), ',') && whole_number(length, &value) && value <= MINUTE_TEXT &&
                 token_after(length) == close;
    }
    if (token_is_word(name, "timestamp_trunc") && token_is_sign(behind, ',') && token_after(argument) == close)
        for (const char *const *unit = units; *unit; unit++) coarse |= same(argument->text, *unit);
    /* "now" and modifiers such as '+1 day' keep whole minutes; seconds and 'localtime' may not. */
    if (coarse && !token_is_word(name, "substr") && !token_is_word(name, "timestamp_trunc") && behind != close)
        return NULL;
    if (!coarse || (t = add_time(p, MINUTE_MS, true)) < 0) return NULL;
    become(p, moment, last, arena_printf(p->arena, "\"~t%d\"", t));
    return close;
}

/* ---- aggregates ---- */

static const struct aggregate_name {
    const char *name;
    enum { OF_COUNT, OF_SUM, OF_TOTAL, OF_AVG, OF_MIN, OF_MAX, OF_COUNTIF, OF_ANY, OF_QUANTILE } of;
    double quantile;     /* NaN: the second argument says it, in percent */
    const char *of_each; /* the function that takes (x, spans); NULL: x as often as it comes is all the same */
} aggregate_names[] = {
    {"count", OF_COUNT, 0, "~count_of"},    {"sum", OF_SUM, 0, "~sum_of"},    {"total", OF_TOTAL, 0, "~total_of"},
    {"avg", OF_AVG, 0, "~avg_of"},          {"min", OF_MIN, 0, NULL},         {"max", OF_MAX, 0, NULL},
    {"countif", OF_COUNTIF, 0, "~countif"}, {"any_value", OF_ANY, 0, NULL},   {"p50", OF_QUANTILE, 0.5, NULL},
    {"p90", OF_QUANTILE, 0.9, NULL},        {"p95", OF_QUANTILE, 0.95, NULL}, {"p99", OF_QUANTILE, 0.99, NULL},
};

static const struct aggregate_name *aggregate_named(const struct token *name) {
    for (size_t i = 0; i < sizeof aggregate_names / sizeof *aggregate_names; i++)
        if (token_is_word(name, aggregate_names[i].name)) return &aggregate_names[i];
    return NULL;
}

static bool has_comma(const struct parser *p, struct token *open) {
    struct token *close = token_closing(p->tokens, open);
    for (struct token *t = token_after(open); t < close; t = token_after(t)) {
        if (token_is_sign(t, '(')) t = token_closing(p->tokens, t);
        if (token_is_sign(t, ',')) return true;
    }
    return false;
}

static bool plain_tokens(struct parser *p, struct token *from, const struct token *to, enum clause clause);

/* What of the column's parts the aggregate is put together of; false: it cannot be. `condition`: "CASE WHEN … THEN " or
 * nothing, `otherwise`: " END", " ELSE 0 END", … or nothing. */
struct of_column {
    int column;
    struct slice condition;
    bool zero_else; /* ELSE 0 */
};

static struct slice part_text(struct parser *p, const struct of_column *of, int measure, const char *otherwise) {
    if (!of->condition.len) return arena_printf(p->arena, "\"~%d\"", measure);
    return arena_printf(p->arena, "%.*s \"~%d\" %s%s END", (int)of->condition.len, of->condition.ptr, measure,
                        of->zero_else ? "ELSE " : "", of->zero_else ? otherwise : "");
}

static bool put_aggregate(struct parser *p, const struct aggregate_name *aggregate, const struct of_column *of,
                          struct token *name, struct token *close) {
    static const enum measure_kind kinds[] = {
        [OF_COUNT] = MEASURE_COUNT, [OF_SUM] = MEASURE_SUM, [OF_TOTAL] = MEASURE_SUM,      [OF_AVG] = MEASURE_SUM,
        [OF_MIN] = MEASURE_MIN,     [OF_MAX] = MEASURE_MAX, [OF_QUANTILE] = MEASURE_SKETCH};
    if (aggregate->of == OF_COUNTIF || aggregate->of == OF_ANY) return false;
    if (of->zero_else && aggregate->of == OF_QUANTILE) return false;
    int measure = add_measure(p, kinds[aggregate->of], of->column);
    int known = aggregate->of == OF_AVG ? add_measure(p, MEASURE_COUNT, of->column) : 0;
    if (measure < 0 || known < 0) return false;
    struct slice part = part_text(p, of, measure, aggregate->of == OF_COUNT ? "\"~n\"" : "0"), text;
    int len = (int)part.len;
    switch (aggregate->of) {
    case OF_COUNT: text = arena_printf(p->arena, "\"~count\"(%.*s)", len, part.ptr); break;
    case OF_AVG: {
        struct slice spans = part_text(p, of, known, "\"~n\"");
        text = arena_printf(p->arena, "\"~avg\"(%.*s, %.*s)", len, part.ptr, (int)spans.len, spans.ptr);
        break;
    }
    case OF_QUANTILE: text = arena_printf(p->arena, "\"~p\"(%.*s, %.17g)", len, part.ptr, aggregate->quantile); break;
    default: text = arena_printf(p->arena, "%s(%.*s)", aggregate->name, len, part.ptr); break;
    }
    become(p, name, close, text);
    return true;
}

/* CASE WHEN … THEN column [ELSE 0 | ELSE NULL] END, and nothing behind it. */
static bool case_of_column(struct parser *p, struct token *first, struct token *close, struct of_column *of) {
    struct token *then = NULL, *last, *end = token_before(p->tokens, close);
    if (!token_is_word(first, "CASE") || !token_is_word(token_after(first), "WHEN") || !token_is_word(end, "END"))
        return false;
    for (struct token *t = token_after(first); t < end; t = token_after(t)) {
        if (token_is_word(t, "CASE")) return false;
        if (!token_is_word(t, "THEN")) continue;
        if (then) return false;
        then = t;
    }
    if (!then || (of->column = column_at(p, token_after(then), &last)) < 0) return false;
    struct token *otherwise = token_after(last), *value = token_after(otherwise);
    int64_t zero;
    if (token_is_word(otherwise, "ELSE")) {
        of->zero_else = whole_number(value, &zero) && zero == 0;
        if ((!of->zero_else && !token_is_word(value, "NULL")) || token_after(value) != end) return false;
    } else if (otherwise != end) {
        return false;
    }
    if (!plain_tokens(p, token_after(token_after(first)), then, CLAUSE_SELECT)) return false;
    struct buf text = {0};
    for (struct token *t = first; t <= then; t++) buf_put_slice(&text, t->becomes);
    of->condition = text.failed ? (struct slice){NULL, 0} : arena_copy(p->arena, buf_slice(&text));
    buf_free(&text);
    return of->condition.ptr != NULL;
}

/* The last token that was dealt with; NULL: this aggregate is not taken. */
static struct token *aggregate_call(struct parser *p, const struct aggregate_name *aggregate, struct token *name) {
    struct token *open = token_after(name), *close = token_closing(p->tokens, open), *first = token_after(open), *last;
    struct of_column of = {0};
    if (close->type == TOKEN_END || has_comma(p, open)) return NULL;
    p->aggregates = true;
    bool all =
        aggregate->of == OF_COUNT && (first == close || (token_is_sign(first, '*') && token_after(first) == close));
    if (all) {
        become(p, name, close, SLICE("\"~count\"(\"~n\")"));
        return close;
    }
    if (token_is_word(first, "DISTINCT") || token_is_word(first, "ALL")) {
        bool each = aggregate->of == OF_QUANTILE || aggregate->of == OF_COUNTIF || token_is_word(first, "ALL");
        return !each && plain_tokens(p, token_after(first), close, CLAUSE_SELECT) ? close : NULL;
    }
    of.column = column_at(p, first, &last);
    bool alone = of.column >= 0 && token_after(last) == close;
    bool countable = aggregate->of == OF_COUNT;
    if (alone && (countable || !sql_group_is_key(&sql_span_columns.columns[of.column])))
        return put_aggregate(p, aggregate, &of, name, close) ? close : NULL;
    if (case_of_column(p, first, close, &of) && !sql_group_is_key(&sql_span_columns.columns[of.column]))
        return put_aggregate(p, aggregate, &of, name, close) ? close : NULL;
    /* An expression that is the same for all spans of a row. */
    if (aggregate->of == OF_QUANTILE || !plain_tokens(p, first, close, CLAUSE_SELECT)) return NULL;
    if (!aggregate->of_each) return close;
    name->becomes = arena_printf(p->arena, "\"%s\"", aggregate->of_each);
    close->becomes = SLICE(", \"~n\")");
    if (!name->becomes.ptr) p->failed = true;
    return close;
}

/* ---- all other tokens ---- */

/* Functions that see single spans, or see something else each time; aggregates that are not taken. */
static const char *const refused[] = {"group_concat",
                                      "string_agg",
                                      "json_group_array",
                                      "json_group_object",
                                      "percentile",
                                      "random",
                                      "randomblob",
                                      "approx_quantile",
                                      "median",
                                      "stdev",
                                      "variance",
                                      "raise",
                                      "last_insert_rowid",
                                      NULL};
static const char *const refused_words[] = {"rowid",     "_rowid_", "oid",    "OVER",  "WINDOW",  "UNION", "EXCEPT",
                                            "INTERSECT", "EXISTS",  "VALUES", "MATCH", "COLLATE", NULL};

/* A plain condition of the WHERE, that the scan can answer exactly (sql_bounds.c). */
static bool is_exact_condition(const struct parser *p, struct token *first, struct token *last, int column) {
    struct token *previous = token_before(p->tokens, first), *next = token_after(last);
    const struct sql_column *c = &sql_span_columns.columns[column];
    if (p->where_has_or || !sql_exact_helps(c)) return false;
    if (!token_is_word(previous, "WHERE") && !token_is_word(previous, "AND")) return false;
    if (token_is_word(next, "IS"))
        return token_is_word(token_after(next), "NOT") && token_is_word(token_after(token_after(next)), "NULL");
    return token_is_sign(next, '<') || token_is_sign(next, '>') || token_is_sign(next, '=') ||
           token_is_word(next, "BETWEEN") || token_is_word(next, "NOTNULL");
}

/* `AS name` names a result, whatever columns there are. */
static bool is_alias(struct parser *p, struct token *token, enum clause clause) {
    struct token *previous = token_before(p->tokens, token), *next = token_after(token);
    if (clause == CLAUSE_SELECT && previous && token_is_word(previous, "AS")) {
        if (p->alias_count < ALIASES_MAX) p->aliases[p->alias_count++] = token_name(token);
        return true;
    }
    /* ORDER BY looks among results before it looks among columns, when it is asked for nothing but a name. */
    bool whole =
        clause == CLAUSE_ORDER && (token_is_word(previous, "BY") || token_is_sign(previous, ',')) &&
        (next->type == TOKEN_END || token_is_sign(next, ',') || token_is_sign(next, ')') || token_is_sign(next, ';') ||
         token_is_word(next, "ASC") || token_is_word(next, "DESC") || token_is_word(next, "LIMIT"));
    struct slice name = token_name(token);
    for (unsigned i = 0; i < p->alias_count && whole; i++)
        if (p->aliases[i].len == name.len && strncasecmp(p->aliases[i].ptr, name.ptr, name.len) == 0) return true;
    return false;
}

/* Tokens of one clause, `to` not included. */
static bool plain_tokens(struct parser *p, struct token *from, const struct token *to, enum clause clause) {
    unsigned depth = 0;
    for (struct token *t = from->type == TOKEN_BLANK ? token_after(from) : from; t < to && !p->failed;
         t = token_after(t)) {
        struct token *last;
        if (token_is_sign(t, '(')) depth++;
        if (token_is_sign(t, ')')) depth--;
        if (t->type == TOKEN_NAME && token_is_one_of(t, refused_words)) return false;
        if (t->type == TOKEN_NAME && token_is_word(t, "SELECT")) return false;
        if (token_is_call(t)) {
            const struct aggregate_name *aggregate = aggregate_named(t);
            bool scalar =
                aggregate && (aggregate->of == OF_MIN || aggregate->of == OF_MAX) && has_comma(p, token_after(t));
            if (token_is_one_of(t, refused)) return false;
            if (aggregate && !scalar) {
                if (clause == CLAUSE_WHERE || !(t = aggregate_call(p, aggregate, t))) return false;
            } else if ((last = time_call(p, t))) {
                t = last;
            }
            continue;
        }
        if (is_name(t) && is_alias(p, t, clause)) continue;
        bool qualified = is_name(t) && token_is_sign(token_after(t), '.');
        int column = column_at(p, t, &last);
        if (qualified && column < 0) return false;
        if (column < 0) continue;
        /* COLLATE is refused above; a key is shown as it is in spans. */
        if (!add_key(p, column)) {
            struct token *end = form_of(column) == SQL_START_MS ? divided_start(p, t, last) : NULL;
            bool exact = clause == CLAUSE_WHERE && !depth && is_exact_condition(p, t, last, column);
            if (!end && !exact) return false;
            if (end) last = end;
        }
        t = last;
    }
    return !p->failed;
}

/* "*" as a column list shows every column. */
static bool selects_all(struct token *select, const struct token *from) {
    struct token *previous = select;
    for (struct token *t = token_after(select); t < from; previous = t, t = token_after(t))
        if (token_is_sign(t, '*') &&
            (previous == select || token_is_sign(previous, ',') || token_is_sign(previous, '.') ||
             token_is_word(previous, "DISTINCT") || token_is_word(previous, "ALL")))
            return true;
    return false;
}

/* ---- one SELECT ---- */

struct core {
    struct token *select, *from, *table, *alias, *end; /* alias: NULL = none */
    struct token *clauses[CLAUSE_LIMIT + 1];           /* where each begins; NULL = is not there */
};

/* Where its clauses are. False: it is no SELECT from spans alone. */
static bool find_core(const struct sql_tokens *tokens, struct token *select, struct core *core) {
    static const struct {
        const char *word;
        enum clause clause;
    } words[] = {{"FROM", CLAUSE_FROM},     {"WHERE", CLAUSE_WHERE}, {"GROUP", CLAUSE_GROUP},
                 {"HAVING", CLAUSE_HAVING}, {"ORDER", CLAUSE_ORDER}, {"LIMIT", CLAUSE_LIMIT}};
    static const char *const ends[] = {"UNION", "EXCEPT", "INTERSECT", NULL};
    enum clause now = CLAUSE_SELECT;
    struct token *t = token_after(select);
    *core = (struct core){.select = select, .clauses = {select}};
    for (; t->type != TOKEN_END && !token_is_sign(t, ')') && !token_is_sign(t, ';'); t = token_after(t)) {
        if (token_is_one_of(t, ends)) return false;
        if (token_is_sign(t, '(')) {
            t = token_closing(tokens, t);
            if (t->type == TOKEN_END) return false;
            continue;
        }
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            if (!token_is_word(t, words[i].word)) continue;
            if (words[i].clause <= now) return false;
            now = words[i].clause;
            core->clauses[now] = t;
        }
    }
    core->end = t;
    core->from = core->clauses[CLAUSE_FROM];
    if (!core->from) return false;
    core->table = token_after(core->from);
    if (!is_name(core->table) || !same(token_name(core->table), sql_span_columns.table)) return false;
    struct token *behind = token_after(core->table), *next = core->end;
    for (int c = CLAUSE_LIMIT; c > CLAUSE_FROM; c--)
        if (core->clauses[c]) next = core->clauses[c];
    if (token_is_word(behind, "AS")) behind = token_after(behind);
    if (behind == next) return true;
    core->alias = behind;
    return is_name(behind) && token_after(behind) == next;
}

static bool has_or(const struct sql_tokens *tokens, struct token *where, const struct token *end) {
    static const char *const words[] = {"OR", "CASE", NULL};
    for (struct token *t = token_after(where); t < end; t = token_after(t)) {
        if (token_is_sign(t, '(')) t = token_closing(tokens, t);
        if (token_is_one_of(t, words)) return true;
    }
    return false;
}

static bool take_core(struct parser *p, const struct core *core) {
    struct token *begin = NULL;
    enum clause clause = CLAUSE_SELECT;
    bool distinct = token_is_word(token_after(core->select), "DISTINCT");
    p->alias = core->alias ? token_name(core->alias) : slice_of(sql_span_columns.table);
    if (selects_all(core->select, core->from)) return false;
    for (int c = CLAUSE_SELECT; c <= CLAUSE_LIMIT + 1; c++) {
        struct token *here = c <= CLAUSE_LIMIT ? core->clauses[c] : core->end;
        if (!here) continue;
        if (begin && clause != CLAUSE_FROM) {
            p->where_has_or = clause == CLAUSE_WHERE && has_or(p->tokens, begin, here);
            if (!plain_tokens(p, token_after(begin), here, clause)) return false;
        }
        begin = here;
        clause = (enum clause)c;
    }
    if (!p->aggregates && !core->clauses[CLAUSE_GROUP] && !distinct) return false;
    core->table->becomes = arena_printf(p->arena, core->alias ? "\"%s\"" : "\"%s\" AS spans", p->plan->name);
    return core->table->becomes.ptr != NULL;
}

static void undo(struct token *first, const struct token *last) {
    for (struct token *t = first; t < last; t++) t->becomes = t->text;
}

int sql_group_rewrite(struct slice sql, struct arena *arena, struct group_plans *plans, struct buf *out,
                      struct error *err) {
    struct sql_tokens tokens;
    plans->count = 0;
    int code = tokens_cut(&tokens, sql, arena, err);
    for (struct token *t = tokens.list; !code && t->type != TOKEN_END && plans->count < GROUP_PLANS_MAX; t++) {
        struct core core;
        if (!token_is_word(t, "SELECT") || !find_core(&tokens, t, &core)) continue;
        struct group_plan *plan = &plans->plans[plans->count];
        struct parser parser = {.tokens = &tokens, .arena = arena, .plan = plan};
        *plan = (struct group_plan){0};
        snprintf(plan->name, sizeof plan->name, "~spans%d", plans->count);
        if (take_core(&parser, &core))
            plans->count++;
        else
            undo(t, core.end);
        if (parser.failed) code = error_set(err, VT_ENOMEM, "no memory for the statement");
    }
    for (struct token *t = tokens.list; !code && plans->count && t->type != TOKEN_END; t++)
        buf_put_slice(out, t->becomes);
    return !code && out->failed ? error_set(err, VT_ENOMEM, "no memory for the statement") : code;
}
