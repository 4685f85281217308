/* Parsing filters by recursive descent. Every mistake is reported where it stands, with what was expected there. */
#include "query/filter_internal.h"
#include "query/when.h"

#include "base/timestamp.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct parser {
    struct slice text;
    size_t at;
    struct arena *arena;
    struct error *err;
    int64_t now_ns;
    unsigned terms, depth;
    struct filter *filter;
    bool failed;
};

/* A piece of a value: bare or quoted. */
struct scalar {
    struct slice text;
    bool quoted;
    size_t at; /* where it began */
};

static int column_of(const struct parser *p, size_t at) {
    int column = 1;
    for (size_t i = 0; i < at && i < p->text.len; i++) column += ((uint8_t)p->text.ptr[i] & 0xc0) != 0x80;
    return column;
}

static void *fail(struct parser *p, int code, size_t at, const char *format, ...) {
    if (p->failed) return NULL;
    char message[400];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    p->failed = true;
    int column = column_of(p, at);
    error_set(p->err, code, "column %d: %s", column, message);
    if (p->err) p->err->column = column;
    return NULL;
}

static struct node *no_memory(struct parser *p) {
    return fail(p, VT_ENOMEM, p->at, "no memory for the filter");
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
static void skip_spaces(struct parser *p) {
    while (p->at < p->text.len && is_space(p->text.ptr[p->at])) p->at++;
}
static char peek(const struct parser *p) {
    return p->at < p->text.len ? p->text.ptr[p->at] : 0;
}
static bool at_end(const struct parser *p) {
    return p->at >= p->text.len;
}

/* `word` stands here, followed by something that ends a word. */
static bool at_keyword(const struct parser *p, const char *word) {
    size_t len = strlen(word);
    if (p->text.len - p->at < len || memcmp(p->text.ptr + p->at, word, len) != 0) return false;
    return p->at + len == p->text.len || is_space(p->text.ptr[p->at + len]) || p->text.ptr[p->at + len] == '(';
}

static bool take_quoted(struct parser *p, struct scalar *out) {
    size_t start = p->at++;
    char *copy = arena_alloc(p->arena, p->text.len - start + 1);
    if (!copy) return no_memory(p);
    size_t len = 0;
    for (; !at_end(p) && peek(p) != '"'; p->at++) {
        if (peek(p) == '\\' && p->at + 1 < p->text.len && strchr("\"\\*", p->text.ptr[p->at + 1])) p->at++;
        copy[len++] = peek(p);
    }
    if (at_end(p)) return fail(p, VT_EINVAL, start, "the quote that opens here is never closed; expected '\"'");
    p->at++;
    copy[len] = 0;
    *out = (struct scalar){slice_make(copy, len), true, start};
    return true;
}

static bool take_scalar(struct parser *p, struct scalar *out) {
    if (peek(p) == '"') return take_quoted(p, out);
    size_t start = p->at;
    while (!at_end(p) && !is_space(peek(p)) && peek(p) != ')' && peek(p) != '(' && peek(p) != '"') p->at++;
    *out = (struct scalar){slice_make(p->text.ptr + start, p->at - start), false, start};
    return true;
}

static struct node *new_node(struct parser *p, enum node_type type) {
    struct node *node = arena_calloc(p->arena, 1, sizeof *node);
    if (!node) return no_memory(p);
    node->type = type;
    return node;
}

static struct node *new_term(struct parser *p, enum term_type type, const struct field *field, unsigned cost,
                             struct term **term) {
    if (++p->terms > FILTER_TERMS_MAX)
        return fail(p, VT_ELIMIT, p->at, "the filter has more than %d terms", FILTER_TERMS_MAX);
    struct node *node = new_node(p, NODE_TERM);
    *term = arena_calloc(p->arena, 1, sizeof **term);
    if (!node || !*term) return no_memory(p);
    (*term)->type = type;
    if (field) {
        (*term)->field = *field;
        p->filter->columns |= field_columns(field);
    }
    node->term = *term;
    node->cost = cost;
    return node;
}

/* Values. */

static struct slice keep(struct parser *p, struct slice text) {
    struct slice copy = arena_copy(p->arena, text);
    if (!copy.ptr) no_memory(p);
    return copy;
}

static struct node *words_term(struct parser *p, struct scalar value, uint64_t cols, const struct field *field) {
    struct term *term;
    struct slice inner = value.text;
    if (!value.quoted)
        while (inner.len && inner.ptr[inner.len - 1] == '*') inner.len--;
    if (!value.quoted && (!inner.len || (inner.len == 1 && *inner.ptr == '*')))
        return fail(p, VT_EINVAL, value.at, "expected a word beside '*'; %s",
                    "has:KEY asks whether something is known");
    if (!inner.len) return fail(p, VT_EINVAL, value.at, "expected words between the quotes");
    struct node *node = new_term(p, TERM_WORDS, field, 1000, &term);
    if (!node) return NULL;
    term->cols = cols;
    p->filter->columns |= cols;
    p->filter->reads_json = true;
    return needle_init(&term->needle, value.text, value.quoted, p->arena) ? node : no_memory(p);
}

static struct node *text_term(struct parser *p, const struct field *field, struct scalar value) {
    struct term *term;
    bool wildcard = !value.quoted && value.text.len && memchr(value.text.ptr, '*', value.text.len);
    unsigned cost = field->source == FIELD_ATTR ? 200 : wildcard ? 20 : 10;
    struct node *node = new_term(p, TERM_TEXT, field, cost, &term);
    if (!node) return NULL;
    term->text = keep(p, value.text);
    term->wildcard = wildcard;
    term->text_is_number = field->source == FIELD_ATTR && number_parse(value.text, &term->number);
    p->filter->reads_json |= field->source == FIELD_ATTR;
    return p->failed ? NULL : node;
}

static struct node *id_term(struct parser *p, const struct field *field, struct scalar value) {
    struct term *term;
    size_t size = field->col == COL_TRACE_ID ? TRACE_ID_SIZE : SPAN_ID_SIZE;
    struct node *node = new_term(p, TERM_ID, field, 5, &term);
    if (!node) return NULL;
    /* Ids that came in another form were mapped the same way when they came in. */
    if (!hex_decode(value.text, term->id, size)) id_from_text(value.text, term->id, size);
    return node;
}

static struct node *word_term(struct parser *p, const struct field *field, struct scalar value) {
    struct term *term;
    bool kind = field->col == COL_KIND;
    int code = kind ? span_kind_named(value.text) : span_status_named(value.text);
    if (code < 0)
        return fail(p, VT_EINVAL, value.at, "expected one of %s after '%s:', found '%.*s'",
                    kind ? "llm, turn, tool, retrieval, embedding, agent, chain, other" : "ok, error, unset",
                    kind ? "kind" : "status", value.text.len < 60 ? (int)value.text.len : 60, value.text.ptr);
    struct node *node = new_term(p, TERM_INTS, field, 2, &term);
    if (node) term->low = term->high = code;
    return node;
}

static struct node *bool_term(struct parser *p, const struct field *field, struct scalar value) {
    static const enum term_type types[] = {
        [FIELD_FLAG] = TERM_FLAG, [FIELD_ROOT] = TERM_ROOT, [FIELD_FALLBACK] = TERM_FALLBACK};
    struct term *term;
    bool yes = slice_is(value.text, "true") || slice_is(value.text, "yes");
    if (!yes && !slice_is(value.text, "false") && !slice_is(value.text, "no"))
        return fail(p, VT_EINVAL, value.at, "expected true or false, found '%.*s'",
                    value.text.len < 60 ? (int)value.text.len : 60, value.text.ptr);
    struct node *node = new_term(p, types[field->source], field, 3, &term);
    if (!node) return NULL;
    term->low = (int64_t)field->col;
    p->filter->needs_traces |= field->source == FIELD_FALLBACK;
    if (yes) return node;
    struct node *negated = new_node(p, NODE_NOT);
    if (!negated) return NULL;
    negated->first = node;
    negated->cost = node->cost;
    return negated;
}

/* One bound of a range in the column's own unit. */
static bool read_bound(struct parser *p, const struct field *field, struct slice text, size_t at, int64_t *exact,
                       double *real) {
    bool ok;
    const char *expected = "a number";
    double number = 0;
    *exact = 0;
    if (field->type == FIELD_TYPE_DURATION) {
        ok = duration_parse(text, NS_PER_MS, exact);
        *real = (double)*exact;
        expected = "a duration such as 250ms, 2s or 1m";
    } else if (field->type == FIELD_TYPE_TIME) {
        ok = when_parse(text, p->now_ns, exact);
        p->filter->speaks_of_now = true;
        *real = (double)*exact;
        expected = "a moment: ISO 8601, Unix milliseconds or -1h";
    } else {
        bool dollars = text.len && *text.ptr == '$';
        int64_t length_ns;
        ok = number_parse(slice_from(text, dollars), &number);
        if (!ok && field->source == FIELD_ATTR &&
            duration_parse(text, NS_PER_MS, &length_ns)) { /* attr.wait:>2s counts in ms */
            number = (double)length_ns / NS_PER_MS;
            ok = true;
        }
        *real = number;
        if (ok && number > -9e18 && number < 9e18) *exact = (int64_t)floor(number);
    }
    if (ok) return true;
    if (text.len)
        fail(p, VT_EINVAL, at, "expected %s, found '%.*s'", expected, text.len < 60 ? (int)text.len : 60, text.ptr);
    else
        fail(p, VT_EINVAL, at, "expected %s", expected);
    return false;
}

static bool is_integer_field(const struct field *field) {
    return field->source == FIELD_TOKENS_TOTAL ||
           (field->source == FIELD_COLUMN && span_columns[field->col].type == COL_INT);
}

enum bound { BOUND_NONE, BOUND_OPEN, BOUND_CLOSED };

static struct node *range_term(struct parser *p, const struct field *field, struct slice low, size_t low_at,
                               enum bound low_bound, struct slice high, size_t high_at, enum bound high_bound) {
    struct term *term;
    bool ints = is_integer_field(field);
    int64_t low_exact = 0, high_exact = 0;
    double low_real = 0, high_real = 0;
    if (low_bound && !read_bound(p, field, low, low_at, &low_exact, &low_real)) return NULL;
    if (high_bound && !read_bound(p, field, high, high_at, &high_exact, &high_real)) return NULL;
    if (low_bound && high_bound && low_real > high_real)
        return fail(p, VT_EINVAL, low_at, "the range ends before it begins; expected the smaller value first");
    struct node *node = new_term(p, ints ? TERM_INTS : TERM_REALS, field, field->source == FIELD_ATTR ? 200 : 3, &term);
    if (!node) return NULL;
    p->filter->reads_json |= field->source == FIELD_ATTR;
    if (!ints) {
        term->real_low = low_bound ? low_real : -INFINITY;
        term->real_high = high_bound ? high_real : INFINITY;
        term->low_open = low_bound == BOUND_OPEN;
        term->high_open = high_bound == BOUND_OPEN;
        return node;
    }
    /* Whole numbers: a fraction in a bound moves it to the next whole number inside. */
    bool is_count = field->type == FIELD_TYPE_NUMBER;
    bool low_whole = !is_count || low_real == floor(low_real), high_whole = !is_count || high_real == floor(high_real);
    term->low = !low_bound ? SPAN_NO_INT + 1 : !low_whole || low_bound == BOUND_OPEN ? low_exact + 1 : low_exact;
    term->high = !high_bound ? INT64_MAX : high_whole && high_bound == BOUND_OPEN ? high_exact - 1 : high_exact;
    return node;
}

static bool takes_ranges(const struct field *field) {
    return field_is_number(field) || field->type == FIELD_TYPE_TIME || field->source == FIELD_ATTR;
}

static struct node *compare_term(struct parser *p, const struct field *field) {
    size_t op_at = p->at;
    bool greater = peek(p) == '>';
    p->at++;
    bool equal = peek(p) == '=';
    p->at += equal;
    enum bound bound = equal ? BOUND_CLOSED : BOUND_OPEN;
    struct scalar value;
    struct slice none = {NULL, 0};
    if (!takes_ranges(field)) {
        struct slice name = field_name(field);
        return fail(p, VT_EINVAL, op_at, "expected a text: '%.*s' is not a number, so '<' and '>' have no meaning",
                    (int)name.len, name.ptr);
    }
    if (!take_scalar(p, &value)) return NULL;
    if (greater) return range_term(p, field, value.text, value.at, bound, none, 0, BOUND_NONE);
    return range_term(p, field, none, 0, BOUND_NONE, value.text, value.at, bound);
}

static struct node *single_value(struct parser *p, const struct field *field) {
    struct scalar value;
    if (peek(p) == '>' || peek(p) == '<') return compare_term(p, field);
    if (!take_scalar(p, &value)) return NULL;
    if (!value.text.len && !value.quoted) return fail(p, VT_EINVAL, p->at, "expected a value after ':'");
    if (takes_ranges(field) && !value.quoted) {
        const char *dots = memmem(value.text.ptr, value.text.len, "..", 2);
        double number;
        size_t before = dots ? (size_t)(dots - value.text.ptr) : 0;
        struct slice low = slice_make(value.text.ptr, before), high = slice_from(value.text, before + 2);
        bool numeric_ends = number_parse(low, &number) || number_parse(high, &number);
        if (dots && (field->source != FIELD_ATTR || numeric_ends)) {
            if (!low.len && !high.len)
                return fail(p, VT_EINVAL, value.at, "expected a value on at least one side of '..'");
            return range_term(p, field, low, value.at, low.len ? BOUND_CLOSED : BOUND_NONE, high, value.at + before + 2,
                              high.len ? BOUND_CLOSED : BOUND_NONE);
        }
    }
    switch (field->type) {
    case FIELD_TYPE_TEXT: return text_term(p, field, value);
    case FIELD_TYPE_WORDS: return words_term(p, value, (uint64_t)1 << field->col, field);
    case FIELD_TYPE_ID: return id_term(p, field, value);
    case FIELD_TYPE_WORD: return word_term(p, field, value);
    case FIELD_TYPE_BOOL: return bool_term(p, field, value);
    default: return range_term(p, field, value.text, value.at, BOUND_CLOSED, value.text, value.at, BOUND_CLOSED);
    }
}

static void add_child(struct node *parent, struct node *child, struct node **last) {
    if (*last)
        (*last)->next = child;
    else
        parent->first = child;
    *last = child;
    parent->cost += child->cost;
}

/* model:(a OR b) */
static struct node *value_list(struct parser *p, const struct field *field) {
    size_t open_at = p->at++;
    struct node *either = new_node(p, NODE_OR), *last = NULL;
    if (!either) return NULL;
    for (;;) {
        skip_spaces(p);
        if (at_end(p)) return fail(p, VT_EINVAL, open_at, "the '(' that opens here is never closed; expected ')'");
        if (peek(p) == ')' && last) break;
        if (last) {
            if (!at_keyword(p, "OR")) return fail(p, VT_EINVAL, p->at, "expected OR or ')' between values");
            p->at += 2;
            skip_spaces(p);
        }
        struct node *value = single_value(p, field);
        if (!value) return NULL;
        add_child(either, value, &last);
    }
    p->at++;
    return either->first == last ? last : either;
}

static struct node *has_term(struct parser *p) {
    struct scalar key;
    struct field field;
    struct term *term;
    if (!take_scalar(p, &key)) return NULL;
    if (!key.text.len) return fail(p, VT_EINVAL, p->at, "expected the name of a field or attribute after 'has:'");
    key.text = keep(p, key.text);
    if (p->failed || !field_named(key.text, true, &field, NULL)) return no_memory(p);
    if (field.type == FIELD_TYPE_BOOL)
        return fail(p, VT_EINVAL, key.at, "'%.*s' is always known; expected %.*s:true or %.*s:false", (int)key.text.len,
                    key.text.ptr, (int)key.text.len, key.text.ptr, (int)key.text.len, key.text.ptr);
    p->filter->reads_json |= field.source == FIELD_ATTR;
    return new_term(p, TERM_HAS, &field, field.source == FIELD_ATTR ? 200 : 4, &term);
}

/* Length of "name:" here, without the colon; 0 when this is no field. attr."a b": may be quoted behind the dot. */
static size_t field_length(const struct parser *p) {
    size_t i = p->at;
    for (; i < p->text.len; i++) {
        char c = p->text.ptr[i];
        if (c == ':') return i - p->at;
        if (c == '"' && i > p->at && p->text.ptr[i - 1] == '.') {
            const char *close = memchr(p->text.ptr + i + 1, '"', p->text.len - i - 1);
            if (!close) return 0;
            i = (size_t)(close - p->text.ptr);
            continue;
        }
        if (is_space(c) || c == '"' || c == '(' || c == ')') return 0;
    }
    return 0;
}

static struct node *field_term(struct parser *p, size_t name_len) {
    struct field field;
    struct error unknown = {0};
    size_t name_at = p->at;
    struct slice name = keep(p, slice_make(p->text.ptr + p->at, name_len));
    if (p->failed) return NULL;
    p->at += name_len + 1;
    if (slice_is(name, "has")) return has_term(p);
    if (!field_named(name, false, &field, &unknown)) {
        fail(p, VT_EINVAL, name_at, "%s; expected a field before ':' (put quotes around text to search for)",
             unknown.message);
        if (p->err) memcpy(p->err->hint, unknown.hint, sizeof p->err->hint);
        return NULL;
    }
    if (at_end(p) || is_space(peek(p)))
        return fail(p, VT_EINVAL, p->at, "expected a value after '%.*s:'", (int)name.len, name.ptr);
    return peek(p) == '(' ? value_list(p, &field) : single_value(p, &field);
}

static struct node *parse_or(struct parser *p);

static struct node *parse_group(struct parser *p) {
    size_t open_at = p->at++;
    if (++p->depth > FILTER_DEPTH_MAX)
        return fail(p, VT_ELIMIT, open_at, "parentheses are nested deeper than %d", FILTER_DEPTH_MAX);
    struct node *inner = parse_or(p);
    if (!inner) return NULL;
    skip_spaces(p);
    if (peek(p) != ')') return fail(p, VT_EINVAL, open_at, "the '(' that opens here is never closed; expected ')'");
    p->at++;
    p->depth--;
    return inner;
}

static struct node *parse_term(struct parser *p) {
    skip_spaces(p);
    if (at_end(p)) return fail(p, VT_EINVAL, p->at, "expected a term, found the end");
    bool word_not = at_keyword(p, "NOT");
    if (word_not || (peek(p) == '-' && p->at + 1 < p->text.len && !is_space(p->text.ptr[p->at + 1]))) {
        if (++p->depth > FILTER_DEPTH_MAX)
            return fail(p, VT_ELIMIT, p->at, "negations are nested deeper than %d", FILTER_DEPTH_MAX);
        p->at += word_not ? 3 : 1;
        struct node *negated = new_node(p, NODE_NOT), *inner = negated ? parse_term(p) : NULL;
        if (!inner) return NULL;
        p->depth--;
        negated->first = inner;
        negated->cost = inner->cost;
        return negated;
    }
    if (peek(p) == '(') return parse_group(p);
    if (peek(p) == ')')
        return fail(p, VT_EINVAL, p->at, "expected a term, found ')' that closes nothing or an empty pair");
    if (at_keyword(p, "OR") || at_keyword(p, "AND"))
        return fail(p, VT_EINVAL, p->at, "expected a term, found '%s'", at_keyword(p, "OR") ? "OR" : "AND");
    size_t name_len = field_length(p);
    if (name_len) return field_term(p, name_len);
    if (peek(p) == ':') return fail(p, VT_EINVAL, p->at, "expected the name of a field before ':'");
    struct scalar value;
    if (!take_scalar(p, &value)) return NULL;
    return words_term(p, value, (uint64_t)1 << COL_PROMPT | (uint64_t)1 << COL_COMPLETION, NULL);
}

static struct node *parse_and(struct parser *p) {
    struct node *all = new_node(p, NODE_AND), *last = NULL;
    if (!all) return NULL;
    for (;;) {
        struct node *term = parse_term(p);
        if (!term) return NULL;
        add_child(all, term, &last);
        skip_spaces(p);
        if (at_end(p) || peek(p) == ')' || at_keyword(p, "OR")) break;
        if (at_keyword(p, "AND")) p->at += 3;
    }
    return all->first == last ? last : all;
}

static struct node *parse_or(struct parser *p) {
    struct node *any = new_node(p, NODE_OR), *last = NULL;
    if (!any) return NULL;
    for (;;) {
        struct node *all = parse_and(p);
        if (!all) return NULL;
        add_child(any, all, &last);
        skip_spaces(p);
        if (!at_keyword(p, "OR")) break;
        p->at += 2;
    }
    return any->first == last ? last : any;
}

/* Cheap children first, so that dear ones look at fewer rows. Insertion sort: lists are short or already in order. */
static void sort_children(struct node *node) {
    struct node *sorted = NULL;
    for (struct node *child = node->first, *next; child; child = next) {
        next = child->next;
        sort_children(child);
        struct node **at = &sorted;
        while (*at && (*at)->cost <= child->cost) at = &(*at)->next;
        child->next = *at;
        *at = child;
    }
    node->first = sorted;
}

int filter_parse(struct slice text, struct arena *arena, struct filter **out, struct error *err) {
    struct parser p = {.text = text, .arena = arena, .err = err, .now_ns = time_now_ns()};
    *out = NULL;
    if (text.len > FILTER_BYTES_MAX)
        return error_set(err, VT_ELIMIT, "the filter has %zu bytes, at most %d are taken", text.len, FILTER_BYTES_MAX);
    p.filter = arena_calloc(arena, 1, sizeof *p.filter);
    if (!p.filter) return error_set(err, VT_ENOMEM, "no memory for the filter");
    skip_spaces(&p);
    if (!at_end(&p)) {
        p.filter->root = parse_or(&p);
        skip_spaces(&p);
        if (p.filter->root && !at_end(&p))
            fail(&p, VT_EINVAL, p.at, "expected a term or the end, found '%c' that closes nothing", peek(&p));
        if (p.failed) return err ? err->code : VT_EINVAL;
        sort_children(p.filter->root);
    }
    p.filter->text_hash = XXH3_64bits(text.len ? text.ptr : "", text.len) | 1;
    *out = p.filter;
    return 0;
}

uint64_t filter_columns(const struct filter *filter) {
    return filter->columns;
}
bool filter_is_empty(const struct filter *filter) {
    return !filter->root;
}
bool filter_needs_traces(const struct filter *filter) {
    return filter->needs_traces;
}
