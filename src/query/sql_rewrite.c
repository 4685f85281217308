/* The tokenizer and the exchanges. Each exchange is a small function over the list of tokens, which may look around
 * freely (blanks and comments are passed over) and sets what a token is to become; the text is put together once, at
 * the end. */
#include "query/sql_rewrite.h"

#include "query/sql_tokens.h"

#include <strings.h>

struct sql_text {
    struct slice sql;
    struct sql_tokens tokens;
    bool storefront; /* ai_storefront_traces is read */
};

static const char *const units[] = {"MICROSECOND", "MILLISECOND", "SECOND",  "MINUTE", "HOUR",      "DAY",       "WEEK",
                                    "ISOWEEK",     "MONTH",       "QUARTER", "YEAR",   "DAYOFWEEK", "DAYOFYEAR", NULL};

struct rewriter {
    struct sql_text *text;
    struct arena *arena;
    struct error *err;
};

static int mistake(const struct rewriter *rw, const struct token *token, const char *message, const char *hint) {
    int column = 1;
    for (const char *p = rw->text->sql.ptr; p < token->text.ptr; p++) column += (*p & 0xc0) != 0x80;
    error_set(rw->err, VT_EINVAL, "sql: column %d: %s", column, message);
    error_hint(rw->err, "%s", hint);
    if (rw->err) rw->err->column = column;
    return VT_EINVAL;
}

static struct slice quote(const struct rewriter *rw, struct slice text, char sign) {
    struct buf out = {0};
    buf_putc(&out, sign);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == sign) buf_putc(&out, sign);
        buf_putc(&out, text.ptr[i]);
    }
    buf_putc(&out, sign);
    struct slice copy = out.failed ? (struct slice){NULL, 0} : arena_copy(rw->arena, buf_slice(&out));
    buf_free(&out);
    return copy;
}

/* ---- exchanges: literals and names ---- */

static void raw_literal(const struct rewriter *rw, struct token *token) {
    if (token->type != TOKEN_STRING || (token->text.ptr[0] | 32) != 'r' || token->text.len < 3) return;
    token->becomes = quote(rw, slice_make(token->text.ptr + 2, token->text.len - 3), '\'');
}

/* '#' begins a comment there, and nothing here. */
static void hash_comment(struct token *token) {
    if (token->type == TOKEN_BLANK && token->text.ptr[0] == '#') token->becomes = SLICE("\n");
}

static const char *const tables[] = {"ai_storefront_traces", "spans", "traces", "threads", "scores", NULL};

static const char *table_named(struct slice name) {
    for (size_t i = name.len; i > 0; i--)
        if (name.ptr[i - 1] == '.') {
            name = slice_from(name, i);
            break;
        }
    for (const char *const *table = tables; *table; table++)
        if (name.len == strlen(*table) && strncasecmp(name.ptr, *table, name.len) == 0) return *table;
    return NULL;
}

/* project.dataset.table, in backticks as a whole, by part, or not; projects have dashes in them. */
static void table_path(const struct rewriter *rw, struct token *from) {
    if (!token_is_word(from, "FROM") && !token_is_word(from, "JOIN")) return;
    struct token *first = token_after(from), *last = first;
    if (first->type != TOKEN_NAME && first->type != TOKEN_QUOTED) return;
    for (struct token *t = first + 1; t->type != TOKEN_BLANK && t->type != TOKEN_END; t++) {
        if (t->type == TOKEN_OTHER && t->text.ptr[0] != '.' && t->text.ptr[0] != '-') break;
        last = t;
    }
    const char *table = table_named(token_name(last));
    if (!table || (first == last && first->type == TOKEN_NAME)) return;
    tokens_blank(first, last);
    last->becomes = slice_of(table);
}

/* Fields of the log line's `trace`. */
static void trace_field(const struct rewriter *rw, struct token *token) {
    static const char *const fields[] = {"traceId",  "spanId", "parentSpanId", "operation",
                                         "duration", "status", "error",        NULL};
    if (!rw->text->storefront || !(token_is_word(token, "trace") || slice_is(token->text, "`trace`"))) return;
    struct token *dot = token_after(token);
    if (!token_is_sign(dot, '.')) return;
    struct token *field = token_after(dot);
    struct slice name = token_name(field);
    for (const char *const *known = fields; *known; known++)
        if (name.len == strlen(*known) && strncasecmp(name.ptr, *known, name.len) == 0) {
            tokens_blank(token, field);
            token->becomes = arena_printf(rw->arena, "\"trace.%s\"", *known);
        }
}

/* ---- exchanges: types ---- */

/* CAST(x AS STRING), SAFE_CAST(x AS INT64); a cast to a moment becomes the function of that name. */
static void cast(const struct rewriter *rw, struct token *token) {
    static const struct {
        const char *type, *sqlite;
    } types[] = {{"STRING", "TEXT"}, {"INT64", "INTEGER"}, {"FLOAT64", "REAL"},
                 {"BYTES", "BLOB"},  {"BOOL", "INTEGER"},  {"BOOLEAN", "INTEGER"}};
    bool safe = token_is_word(token, "SAFE_CAST");
    if (!token_is_call(token) || !(safe || token_is_word(token, "CAST"))) return;
    struct token *open = token_after(token), *close = token_closing(&rw->text->tokens, open);
    if (close->type == TOKEN_END) return;
    struct token *type = token_before(&rw->text->tokens, close),
                 *as = type ? token_before(&rw->text->tokens, type) : NULL;
    if (!as || as <= open || !token_is_word(as, "AS") || type->type != TOKEN_NAME) return;
    bool moment = token_is_word(type, "TIMESTAMP") || token_is_word(type, "DATE") || token_is_word(type, "DATETIME");
    if (moment) {
        token->becomes = type->text;
        as->becomes = type->becomes = SLICE(" ");
    } else if (safe) {
        as->becomes = SLICE(",");
        type->becomes = quote(rw, type->text, '\'');
    } else {
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            if (token_is_word(type, types[i].type)) type->becomes = slice_of(types[i].sqlite);
    }
}

/* ---- exchanges: time ---- */

static int interval(const struct rewriter *rw, struct token *token) {
    if (!token_is_word(token, "INTERVAL")) return 0;
    struct token *amount = token_after(token), *last = amount, *previous = token_before(&rw->text->tokens, token);
    if (token_is_sign(amount, '('))
        last = token_closing(&rw->text->tokens, amount);
    else if (token_is_sign(amount, '-'))
        last = token_after(amount);
    else if (amount->type != TOKEN_NUMBER && amount->type != TOKEN_STRING && amount->type != TOKEN_NAME)
        return 0;
    struct token *unit = token_after(last);
    if (last->type == TOKEN_END || !token_is_one_of(unit, units)) return 0;
    if (previous && (token_is_sign(previous, '-') || token_is_sign(previous, '+')))
        return mistake(rw, token, "a time plus or minus an INTERVAL is not taken",
                       "write TIMESTAMP_SUB(t, INTERVAL 1 DAY) or TIMESTAMP_ADD(t, INTERVAL 1 DAY)");
    token->becomes = SLICE("interval_ms(");
    unit->becomes = arena_printf(rw->arena, ", '%.*s')", (int)unit->text.len, unit->text.ptr);
    return 0;
}

/* TIMESTAMP_TRUNC(t, HOUR): the unit is no column. EXTRACT(HOUR FROM t). */
static void unit_argument(const struct rewriter *rw, struct token *token) {
    static const char *const functions[] = {"TIMESTAMP_TRUNC", "DATE_TRUNC",    "DATETIME_TRUNC", "TIMESTAMP_DIFF",
                                            "DATE_DIFF",       "DATETIME_DIFF", "EXTRACT",        NULL};
    if (!token_is_call(token) || !token_is_one_of(token, functions)) return;
    struct token *open = token_after(token), *close = token_closing(&rw->text->tokens, open);
    for (struct token *t = open; t < close; t = token_after(t)) {
        struct token *unit = token_after(t), *behind = token_after(unit);
        if (!token_is_one_of(unit, units)) continue;
        bool extract = token_is_sign(t, '(') && token_is_word(behind, "FROM");
        if (!extract && !(token_is_sign(t, ',') && (token_is_sign(behind, ')') || token_is_sign(behind, ','))))
            continue;
        unit->becomes = quote(rw, unit->text, '\'');
        if (extract) behind->becomes = SLICE(",");
    }
}

/* TIMESTAMP '2026-11-23', and the clock, whose own form in SQLite does not compare with ours. */
static void moment(const struct rewriter *rw, struct token *token) {
    struct token *next = token_after(token);
    bool date = token_is_word(token, "DATE"),
         dated = next->type == TOKEN_STRING && next->text.len > 4 && token_digit(next->text.ptr[1]);
    if (dated && (date || token_is_word(token, "TIMESTAMP") || token_is_word(token, "DATETIME"))) {
        token->becomes = date ? SLICE("date(") : SLICE("timestamp(");
        next->becomes = arena_printf(rw->arena, "%.*s)", (int)next->text.len, next->text.ptr);
    }
    if (token_is_word(token, "CURRENT_TIMESTAMP"))
        token->becomes = token_is_call(token) ? SLICE("now_timestamp") : SLICE("now_timestamp()");
    if (token_is_word(token, "CURRENT_DATE") && token_is_call(token)) token->becomes = SLICE("now_date");
}

/* ---- exchanges: functions ---- */

static void rename_function(struct token *token) {
    static const struct {
        const char *name, *sqlite;
    } names[] = {{"STRING_AGG", "group_concat"},
                 {"LOGICAL_OR", "max"},
                 {"LOGICAL_AND", "min"},
                 {"GREATEST", "max"},
                 {"LEAST", "min"},
                 {"ARRAY_AGG", "json_group_array"},
                 {"APPROX_COUNT_DISTINCT", "count"},
                 {"MOD", "mod"}};
    if (!token_is_call(token)) return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (token_is_word(token, names[i].name)) token->becomes = slice_of(names[i].sqlite);
    if (token_is_word(token, "APPROX_COUNT_DISTINCT")) token_after(token)->becomes = SLICE("(DISTINCT ");
}

/* APPROX_QUANTILES(x, 100)[OFFSET(95)]; the whole list of them cannot be one value here. */
static int quantiles(const struct rewriter *rw, struct token *token) {
    if (!token_is_call(token) || !token_is_word(token, "APPROX_QUANTILES")) return 0;
    struct token *close = token_closing(&rw->text->tokens, token_after(token)), *index = token_after(close);
    struct slice inside =
        index->type == TOKEN_QUOTED && index->text.ptr[0] == '[' ? token_name(index) : (struct slice){NULL, 0};
    size_t digits = inside.len && inside.ptr[inside.len - 1] == ')' ? inside.len - 1 : 0, first = digits;
    while (first && token_digit(inside.ptr[first - 1])) first--;
    struct slice word = slice_make(inside.ptr, first);
    bool offset = word.len && (strncasecmp(word.ptr, "OFFSET(", word.len) == 0 ||
                               strncasecmp(word.ptr, "SAFE_OFFSET(", word.len) == 0);
    if (!offset || first == digits || digits - first > 6)
        return mistake(rw, token,
                       "APPROX_QUANTILES needs one place of its list, as APPROX_QUANTILES(x, 100)[OFFSET(95)]",
                       "p95(x) says the same");
    token->becomes = SLICE("approx_quantile");
    close->becomes = arena_printf(rw->arena, ", %.*s)", (int)(digits - first), inside.ptr + first);
    index->becomes = SLICE(" ");
    return 0;
}

/* ---- tables of a WITH ---- */

enum { WITH_TABLES_MAX = 64, WITH_UNFOLDED_MAX = 2000 };

struct with_table {
    struct slice name;
    double unfolded; /* how many tables it becomes where it is used */
};

/* The '(' of `name [(columns)] AS [[NOT] MATERIALIZED] (`; NULL when the token begins no table of a WITH. */
static struct token *with_body(const struct sql_text *text, struct token *name) {
    struct token *t = token_after(name);
    if (name->type != TOKEN_NAME && name->type != TOKEN_QUOTED) return NULL;
    if (token_is_sign(t, '(')) t = token_after(token_closing(&text->tokens, t));
    if (!token_is_word(t, "AS")) return NULL;
    t = token_after(t);
    if (token_is_word(t, "NOT")) t = token_after(t);
    if (token_is_word(t, "MATERIALIZED")) t = token_after(t);
    return token_is_sign(t, '(') && (token_is_word(token_after(t), "SELECT") || token_is_word(token_after(t), "WITH") ||
                                     token_is_word(token_after(t), "VALUES") || token_is_sign(token_after(t), '('))
               ? t
               : NULL;
}

static bool same_name(struct slice a, struct slice b) {
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

static double unfolded_within(const struct token *from, const struct token *to, const struct with_table *known,
                              uint32_t count) {
    double sum = 1;
    for (const struct token *t = from; t < to; t++) {
        if (t->type != TOKEN_NAME && t->type != TOKEN_QUOTED) continue;
        struct slice name = token_name(t);
        for (uint32_t i = 0; i < count; i++)
            if (same_name(known[i].name, name)) sum += known[i].unfolded;
    }
    return sum;
}

/* SQLite copies the table of a WITH to each place that uses it before anything can stop it: twenty tables that each use
 * the one before twice are a million. */
static int check_with(const struct rewriter *rw) {
    struct sql_text *text = rw->text;
    struct with_table known[WITH_TABLES_MAX];
    uint32_t count = 0;
    double most = 0;
    for (struct token *t = text->tokens.list; t->type != TOKEN_END; t++) {
        struct token *open = t->type == TOKEN_NAME || t->type == TOKEN_QUOTED ? with_body(text, t) : NULL;
        if (!open) continue;
        if (count == WITH_TABLES_MAX)
            return error_set(rw->err, VT_ELIMIT, "sql: WITH has over %d tables", WITH_TABLES_MAX);
        known[count].name = token_name(t);
        known[count].unfolded = unfolded_within(open, token_closing(&text->tokens, open), known, count);
        if (known[count++].unfolded > most) most = known[count - 1].unfolded;
    }
    double all = count ? unfolded_within(text->tokens.list, text->tokens.list + text->tokens.count, known, count) : 0;
    if (all > most) most = all;
    if (most <= WITH_UNFOLDED_MAX) return 0;
    error_set(rw->err, VT_ELIMIT, "sql: the tables of WITH use each other so often that they unfold to %.0f", most);
    return error_hint(rw->err, "at most %d are taken; use each table once or twice", WITH_UNFOLDED_MAX);
}

int sql_rewrite(struct slice sql, struct arena *arena, struct buf *out, struct sql_text **text_out, struct error *err) {
    struct sql_text *text = arena_calloc(arena, 1, sizeof *text);
    if (!text) return error_set(err, VT_ENOMEM, "no memory for the statement");
    if (sql.len > SQL_BYTES_MAX)
        return error_set(err, VT_ELIMIT, "sql: the statement has %zu bytes, at most %d are taken", sql.len,
                         SQL_BYTES_MAX);
    if (sql.len && memchr(sql.ptr, 0, sql.len))
        return error_set(err, VT_EINVAL, "sql: the statement holds a zero byte");
    text->sql = sql;
    int code = tokens_cut(&text->tokens, sql, arena, err);
    struct rewriter rw = {text, arena, err};
    if (!code) code = check_with(&rw);
    for (struct token *t = text->tokens.list; !code && t->type != TOKEN_END; t++) {
        const char *table = t->type == TOKEN_NAME || t->type == TOKEN_QUOTED ? table_named(token_name(t)) : NULL;
        text->storefront |= table == tables[0];
    }
    for (struct token *t = text->tokens.list; !code && t->type != TOKEN_END; t++) {
        if (t->type == TOKEN_BLANK) {
            hash_comment(t);
            continue;
        }
        raw_literal(&rw, t);
        table_path(&rw, t);
        trace_field(&rw, t);
        cast(&rw, t);
        unit_argument(&rw, t);
        moment(&rw, t);
        rename_function(t);
        if (!(code = interval(&rw, t))) code = quantiles(&rw, t);
    }
    for (struct token *t = text->tokens.list; !code && t->type != TOKEN_END; t++) {
        t->at = out->len;
        buf_put_slice(out, t->becomes);
    }
    if (!code) text->tokens.list[text->tokens.count].at = out->len;
    if (!code && out->failed) code = error_set(err, VT_ENOMEM, "no memory for the statement");
    *text_out = text;
    return code;
}

bool sql_reads_log_lines(const struct sql_text *text) {
    return text->storefront;
}

int sql_column_of(const struct sql_text *text, size_t offset) {
    const struct token *t = text->tokens.list;
    while (t->type != TOKEN_END && t[1].at <= offset) t++;
    size_t inside = offset > t->at && slice_eq(t->text, t->becomes) ? offset - t->at : 0;
    const char *place = t->type == TOKEN_END ? text->sql.ptr + text->sql.len : t->text.ptr + inside;
    int column = 1;
    for (const char *p = text->sql.ptr; p < place; p++) column += (*p & 0xc0) != 0x80;
    return column;
}
