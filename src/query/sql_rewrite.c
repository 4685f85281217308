/* The tokenizer and the exchanges. Each exchange is a small function over the list of tokens, which may look around
 * freely (blanks and comments are passed over) and sets what a token is to become; the text is put together once, at
 * the end. */
#include "query/sql_rewrite.h"

#include <strings.h>

enum token_type { TOKEN_BLANK, TOKEN_NAME, TOKEN_QUOTED, TOKEN_STRING, TOKEN_NUMBER, TOKEN_OTHER, TOKEN_END };

struct token {
    enum token_type type;
    struct slice text;    /* as it stands in the statement */
    struct slice becomes; /* in the result; text itself unless exchanged */
    size_t at;            /* where it begins in the result */
    uint32_t pair;        /* of a '(': index of its ')', or of the end when it has none */
};

struct sql_text {
    struct slice sql;
    struct token *tokens; /* the last has TOKEN_END */
    uint32_t count;       /* without the last */
    bool storefront;      /* ai_storefront_traces is read */
};

/* ---- tokens ---- */

static bool is_name_byte(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
           c >= 0x80;
}
static bool is_digit(unsigned char c) {
    return c >= '0' && c <= '9';
}
static bool is_blank(unsigned char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* Length of a literal or name in quotes, where a doubled quote stands for itself. */
static size_t quoted_length(struct slice rest, char close) {
    for (size_t i = 1; i < rest.len; i++) {
        if (rest.ptr[i] != close) continue;
        if (close == ']' || i + 1 >= rest.len || rest.ptr[i + 1] != close) return i + 1;
        i++;
    }
    return rest.len;
}

/* r'…': a backslash keeps the quote behind it, and stays. `rest` begins at the r. */
static size_t raw_length(struct slice rest) {
    char close = rest.ptr[1];
    for (size_t i = 2; i < rest.len; i++) {
        if (rest.ptr[i] == '\\')
            i++;
        else if (rest.ptr[i] == close)
            return i + 1;
    }
    return rest.len;
}

static size_t comment_length(struct slice rest) {
    bool block = rest.ptr[0] == '/';
    const char *end = block ? memmem(rest.ptr + 2, rest.len - 2, "*/", 2) : memchr(rest.ptr, '\n', rest.len);
    return end ? (size_t)(end - rest.ptr) + (block ? 2 : 1) : rest.len;
}

static bool starts_comment(struct slice rest) {
    if (rest.ptr[0] == '#') return true;
    return rest.len > 1 && ((rest.ptr[0] == '-' && rest.ptr[1] == '-') || (rest.ptr[0] == '/' && rest.ptr[1] == '*'));
}

static size_t run_length(struct slice rest, bool (*belongs)(unsigned char)) {
    size_t len = 1;
    while (len < rest.len && belongs((unsigned char)rest.ptr[len])) len++;
    return len;
}

static struct token next_token(struct slice rest) {
    unsigned char c = (unsigned char)rest.ptr[0];
    struct token token = {.type = TOKEN_OTHER};
    size_t len = 1;
    if (is_blank(c))
        token.type = TOKEN_BLANK, len = run_length(rest, is_blank);
    else if (starts_comment(rest))
        token.type = TOKEN_BLANK, len = comment_length(rest);
    else if ((c | 32) == 'r' && rest.len > 1 && (rest.ptr[1] == '\'' || rest.ptr[1] == '"'))
        token.type = TOKEN_STRING, len = raw_length(rest);
    else if (c == '\'')
        token.type = TOKEN_STRING, len = quoted_length(rest, '\'');
    else if (c == '"' || c == '`' || c == '[')
        token.type = TOKEN_QUOTED, len = quoted_length(rest, c == '[' ? ']' : (char)c);
    else if (is_digit(c))
        token.type = TOKEN_NUMBER, len = run_length(rest, is_name_byte);
    else if (is_name_byte(c))
        token.type = TOKEN_NAME, len = run_length(rest, is_name_byte);
    token.text = token.becomes = slice_make(rest.ptr, len);
    return token;
}

static int cut(struct sql_text *text, struct arena *arena, struct error *err) {
    uint32_t capacity = 0;
    for (struct slice rest = text->sql; rest.len;) {
        if (text->count + 1 >= capacity) {
            uint32_t larger = capacity ? 2 * capacity : 64;
            struct token *grown = arena_alloc(arena, larger * sizeof *grown);
            if (!grown) return error_set(err, VT_ENOMEM, "no memory for the statement");
            if (text->count) memcpy(grown, text->tokens, text->count * sizeof *grown);
            text->tokens = grown;
            capacity = larger;
        }
        text->tokens[text->count] = next_token(rest);
        rest = slice_from(rest, text->tokens[text->count++].text.len);
    }
    if (!text->count && !(text->tokens = arena_alloc(arena, sizeof *text->tokens)))
        return error_set(err, VT_ENOMEM, "no memory for the statement");
    text->tokens[text->count] = (struct token){.type = TOKEN_END};
    return 0;
}

/* Open parentheses are chained through `pair` until theirs is met. */
static void pair_up(struct sql_text *text) {
    enum { NONE = UINT32_MAX };
    uint32_t open = NONE;
    for (uint32_t i = 0; i < text->count; i++) {
        struct token *t = &text->tokens[i];
        if (t->type != TOKEN_OTHER) continue;
        if (t->text.ptr[0] == '(') {
            t->pair = open;
            open = i;
        } else if (t->text.ptr[0] == ')' && open != NONE) {
            uint32_t outer = text->tokens[open].pair;
            text->tokens[open].pair = i;
            open = outer;
        }
    }
    while (open != NONE) {
        uint32_t outer = text->tokens[open].pair;
        text->tokens[open].pair = text->count;
        open = outer;
    }
}

/* ---- looking around ---- */

static struct token *after(struct token *token) {
    if (token->type == TOKEN_END) return token;
    do token++;
    while (token->type == TOKEN_BLANK);
    return token;
}

/* The one before, or NULL at the beginning. */
static struct token *before(const struct sql_text *text, struct token *token) {
    while (token > text->tokens)
        if ((--token)->type != TOKEN_BLANK) return token;
    return NULL;
}

static bool is_word(const struct token *token, const char *word) {
    return token->type == TOKEN_NAME && token->text.len == strlen(word) &&
           strncasecmp(token->text.ptr, word, token->text.len) == 0;
}
static bool is_sign(const struct token *token, char sign) {
    return token->type == TOKEN_OTHER && token->text.ptr[0] == sign;
}

static bool is_one_of(const struct token *token, const char *const *words) {
    for (; *words; words++)
        if (is_word(token, *words)) return true;
    return false;
}

/* The ')' that belongs to the '(' at `open`; TOKEN_END when there is none. */
static struct token *closing(const struct sql_text *text, const struct token *open) {
    return &text->tokens[open->pair];
}

static bool is_call(struct token *token) {
    return token->type == TOKEN_NAME && is_sign(after(token), '(');
}

static void blank_out(struct token *first, const struct token *last) {
    for (struct token *t = first; t <= last && t->type != TOKEN_END; t++) t->becomes = SLICE("");
}

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

static struct slice unquoted(const struct token *token) {
    if (token->type == TOKEN_QUOTED && token->text.len >= 2)
        return slice_make(token->text.ptr + 1, token->text.len - 2);
    return token->text;
}

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
    if (!is_word(from, "FROM") && !is_word(from, "JOIN")) return;
    struct token *first = after(from), *last = first;
    if (first->type != TOKEN_NAME && first->type != TOKEN_QUOTED) return;
    for (struct token *t = first + 1; t->type != TOKEN_BLANK && t->type != TOKEN_END; t++) {
        if (t->type == TOKEN_OTHER && t->text.ptr[0] != '.' && t->text.ptr[0] != '-') break;
        last = t;
    }
    const char *table = table_named(unquoted(last));
    if (!table || (first == last && first->type == TOKEN_NAME)) return;
    blank_out(first, last);
    last->becomes = slice_of(table);
}

/* Fields of the log line's `trace`. */
static void trace_field(const struct rewriter *rw, struct token *token) {
    static const char *const fields[] = {"traceId",  "spanId", "parentSpanId", "operation",
                                         "duration", "status", "error",        NULL};
    if (!rw->text->storefront || !(is_word(token, "trace") || slice_is(token->text, "`trace`"))) return;
    struct token *dot = after(token);
    if (!is_sign(dot, '.')) return;
    struct token *field = after(dot);
    struct slice name = unquoted(field);
    for (const char *const *known = fields; *known; known++)
        if (name.len == strlen(*known) && strncasecmp(name.ptr, *known, name.len) == 0) {
            blank_out(token, field);
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
    bool safe = is_word(token, "SAFE_CAST");
    if (!is_call(token) || !(safe || is_word(token, "CAST"))) return;
    struct token *open = after(token), *close = closing(rw->text, open);
    if (close->type == TOKEN_END) return;
    struct token *type = before(rw->text, close), *as = type ? before(rw->text, type) : NULL;
    if (!as || as <= open || !is_word(as, "AS") || type->type != TOKEN_NAME) return;
    bool moment = is_word(type, "TIMESTAMP") || is_word(type, "DATE") || is_word(type, "DATETIME");
    if (moment) {
        token->becomes = type->text;
        as->becomes = type->becomes = SLICE(" ");
    } else if (safe) {
        as->becomes = SLICE(",");
        type->becomes = quote(rw, type->text, '\'');
    } else {
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            if (is_word(type, types[i].type)) type->becomes = slice_of(types[i].sqlite);
    }
}

/* ---- exchanges: time ---- */

static int interval(const struct rewriter *rw, struct token *token) {
    if (!is_word(token, "INTERVAL")) return 0;
    struct token *amount = after(token), *last = amount, *previous = before(rw->text, token);
    if (is_sign(amount, '('))
        last = closing(rw->text, amount);
    else if (is_sign(amount, '-'))
        last = after(amount);
    else if (amount->type != TOKEN_NUMBER && amount->type != TOKEN_STRING && amount->type != TOKEN_NAME)
        return 0;
    struct token *unit = after(last);
    if (last->type == TOKEN_END || !is_one_of(unit, units)) return 0;
    if (previous && (is_sign(previous, '-') || is_sign(previous, '+')))
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
    if (!is_call(token) || !is_one_of(token, functions)) return;
    struct token *open = after(token), *close = closing(rw->text, open);
    for (struct token *t = open; t < close; t = after(t)) {
        struct token *unit = after(t), *behind = after(unit);
        if (!is_one_of(unit, units)) continue;
        bool extract = is_sign(t, '(') && is_word(behind, "FROM");
        if (!extract && !(is_sign(t, ',') && (is_sign(behind, ')') || is_sign(behind, ',')))) continue;
        unit->becomes = quote(rw, unit->text, '\'');
        if (extract) behind->becomes = SLICE(",");
    }
}

/* TIMESTAMP '2026-11-23', and the clock, whose own form in SQLite does not compare with ours. */
static void moment(const struct rewriter *rw, struct token *token) {
    struct token *next = after(token);
    bool date = is_word(token, "DATE"),
         dated = next->type == TOKEN_STRING && next->text.len > 4 && is_digit((unsigned char)next->text.ptr[1]);
    if (dated && (date || is_word(token, "TIMESTAMP") || is_word(token, "DATETIME"))) {
        token->becomes = date ? SLICE("date(") : SLICE("timestamp(");
        next->becomes = arena_printf(rw->arena, "%.*s)", (int)next->text.len, next->text.ptr);
    }
    if (is_word(token, "CURRENT_TIMESTAMP"))
        token->becomes = is_call(token) ? SLICE("now_timestamp") : SLICE("now_timestamp()");
    if (is_word(token, "CURRENT_DATE") && is_call(token)) token->becomes = SLICE("now_date");
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
    if (!is_call(token)) return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_word(token, names[i].name)) token->becomes = slice_of(names[i].sqlite);
    if (is_word(token, "APPROX_COUNT_DISTINCT")) after(token)->becomes = SLICE("(DISTINCT ");
}

/* APPROX_QUANTILES(x, 100)[OFFSET(95)]; the whole list of them cannot be one value here. */
static int quantiles(const struct rewriter *rw, struct token *token) {
    if (!is_call(token) || !is_word(token, "APPROX_QUANTILES")) return 0;
    struct token *close = closing(rw->text, after(token)), *index = after(close);
    struct slice inside =
        index->type == TOKEN_QUOTED && index->text.ptr[0] == '[' ? unquoted(index) : (struct slice){NULL, 0};
    size_t digits = inside.len && inside.ptr[inside.len - 1] == ')' ? inside.len - 1 : 0, first = digits;
    while (first && is_digit((unsigned char)inside.ptr[first - 1])) first--;
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
    struct token *t = after(name);
    if (name->type != TOKEN_NAME && name->type != TOKEN_QUOTED) return NULL;
    if (is_sign(t, '(')) t = after(closing(text, t));
    if (!is_word(t, "AS")) return NULL;
    t = after(t);
    if (is_word(t, "NOT")) t = after(t);
    if (is_word(t, "MATERIALIZED")) t = after(t);
    return is_sign(t, '(') && (is_word(after(t), "SELECT") || is_word(after(t), "WITH") ||
                               is_word(after(t), "VALUES") || is_sign(after(t), '('))
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
        struct slice name = unquoted(t);
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
    for (struct token *t = text->tokens; t->type != TOKEN_END; t++) {
        struct token *open = t->type == TOKEN_NAME || t->type == TOKEN_QUOTED ? with_body(text, t) : NULL;
        if (!open) continue;
        if (count == WITH_TABLES_MAX)
            return error_set(rw->err, VT_ELIMIT, "sql: WITH has over %d tables", WITH_TABLES_MAX);
        known[count].name = unquoted(t);
        known[count].unfolded = unfolded_within(open, closing(text, open), known, count);
        if (known[count++].unfolded > most) most = known[count - 1].unfolded;
    }
    double all = count ? unfolded_within(text->tokens, text->tokens + text->count, known, count) : 0;
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
    int code = cut(text, arena, err);
    struct rewriter rw = {text, arena, err};
    if (!code) {
        pair_up(text);
        code = check_with(&rw);
    }
    for (struct token *t = text->tokens; !code && t->type != TOKEN_END; t++) {
        const char *table = t->type == TOKEN_NAME || t->type == TOKEN_QUOTED ? table_named(unquoted(t)) : NULL;
        text->storefront |= table == tables[0];
    }
    for (struct token *t = text->tokens; !code && t->type != TOKEN_END; t++) {
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
    for (struct token *t = text->tokens; !code && t->type != TOKEN_END; t++) {
        t->at = out->len;
        buf_put_slice(out, t->becomes);
    }
    if (!code) text->tokens[text->count].at = out->len;
    if (!code && out->failed) code = error_set(err, VT_ENOMEM, "no memory for the statement");
    *text_out = text;
    return code;
}

bool sql_reads_log_lines(const struct sql_text *text) {
    return text->storefront;
}

int sql_column_of(const struct sql_text *text, size_t offset) {
    const struct token *t = text->tokens;
    while (t->type != TOKEN_END && t[1].at <= offset) t++;
    size_t inside = offset > t->at && slice_eq(t->text, t->becomes) ? offset - t->at : 0;
    const char *place = t->type == TOKEN_END ? text->sql.ptr + text->sql.len : t->text.ptr + inside;
    int column = 1;
    for (const char *p = text->sql.ptr; p < place; p++) column += (*p & 0xc0) != 0x80;
    return column;
}
