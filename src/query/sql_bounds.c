/* From conditions of a WHERE to what a scan can skip and select by. Each bound is at least as wide as its condition,
 * because SQLite checks every row again; so rounding, units and odd types need no care beyond that. */
#include "base/timestamp.h"
#include "query/filter_internal.h"
#include "query/sql_internal.h"

enum { IN_LIST_MAX = 256 };
static const double INT_EDGE = 9.2e18;

static bool is_range(unsigned char op) {
    return op == SQLITE_INDEX_CONSTRAINT_GT || op == SQLITE_INDEX_CONSTRAINT_GE || op == SQLITE_INDEX_CONSTRAINT_LT ||
           op == SQLITE_INDEX_CONSTRAINT_LE;
}

bool sql_constraint_helps(const struct sql_column *column, unsigned char op) {
    bool equals = op == SQLITE_INDEX_CONSTRAINT_EQ;
    switch (column->form) {
    case SQL_ID:
    case SQL_TEXT:
    case SQL_KIND:
    case SQL_STATUS:
    case SQL_LEVEL:
    case SQL_LOG_STATUS:
    case SQL_FLAG: return equals;
    case SQL_INT:
    case SQL_USAGE_INT:
    case SQL_DOUBLE:
    case SQL_USAGE_DOUBLE:
    case SQL_MS:
    case SQL_START_MS:
    case SQL_TIME_US:
    case SQL_TIME_MS: return equals || is_range(op);
    default: return false;
    }
}

struct builder {
    struct sql_session *session;
    struct arena *arena;
    struct sql_bounds *bounds;
    struct node *all; /* the AND of what was found */
};

static struct node *new_node(struct builder *b, enum node_type type) {
    struct node *node = arena_calloc(b->arena, 1, sizeof *node);
    if (!node || (type == NODE_TERM && !(node->term = arena_calloc(b->arena, 1, sizeof *node->term)))) {
        error_set(&b->session->err, VT_ENOMEM, "sql: no memory for the conditions");
        return NULL;
    }
    node->type = type;
    return node;
}

static struct node *new_term(struct builder *b, enum term_type type, enum col col) {
    struct node *node = new_node(b, NODE_TERM);
    if (!node) return NULL;
    node->term->type = type;
    node->term->field = (struct field){.name = "", .source = FIELD_COLUMN, .col = col};
    return node;
}

static void add_child(struct node *parent, struct node *child) {
    child->next = parent->first;
    parent->first = child;
}

static int64_t clamp(double value) {
    return value > INT_EDGE ? INT64_MAX : value < -INT_EDGE ? -INT64_MAX : (int64_t)value;
}

/* The range of whole numbers, in units of `scale`, that a condition on a number allows; `slack` units more on both
 * sides. */
static void range_of(unsigned char op, double value, double scale, double slack, int64_t *low, int64_t *high) {
    *low = -INT64_MAX; /* SPAN_NO_INT is below: what is not known equals nothing */
    *high = INT64_MAX;
    if (op != SQLITE_INDEX_CONSTRAINT_LT && op != SQLITE_INDEX_CONSTRAINT_LE)
        *low = clamp((floor(value) - slack) * scale);
    if (op != SQLITE_INDEX_CONSTRAINT_GT && op != SQLITE_INDEX_CONSTRAINT_GE)
        *high = clamp((ceil(value) + slack) * scale);
}

static bool is_number(sqlite3_value *value) {
    int type = sqlite3_value_type(value);
    return type == SQLITE_INTEGER || type == SQLITE_FLOAT;
}

static void narrow(struct sql_bounds *bounds, int64_t low, int64_t high) {
    if (low > bounds->scan.from_ns) bounds->scan.from_ns = low;
    if (high < INT64_MAX && high + 1 < bounds->scan.to_ns) bounds->scan.to_ns = high + 1;
}

/* Times as numbers of milliseconds, nanoseconds, or as texts: those compare by letters, which is by time up to the form
 * that is left out ("2026-11-23" against "2026-11-23T…"), so they have a day of slack. */
static void bound_time(struct builder *b, const struct sql_constraint *k) {
    static const double DAY_NS = 86400e9;
    int64_t low, high, ns;
    if (k->column->form == SQL_TIME_US || k->column->form == SQL_TIME_MS) {
        struct slice text = slice_make(sqlite3_value_text(k->value), (size_t)sqlite3_value_bytes(k->value));
        if (sqlite3_value_type(k->value) != SQLITE_TEXT || !time_parse(text, &ns)) return;
        range_of(k->op, (double)ns, 1, DAY_NS, &low, &high);
    } else {
        if (!is_number(k->value)) return;
        bool ms = k->column->form == SQL_START_MS;
        /* A double keeps nanoseconds of today to some hundred. */
        range_of(k->op, sqlite3_value_double(k->value), ms ? NS_PER_MS : 1, ms ? 1 : 1e6, &low, &high);
    }
    narrow(b->bounds, low, high);
}

static int bound_number(struct builder *b, const struct sql_constraint *k) {
    bool real = span_columns[k->column->col].type == COL_DOUBLE;
    if (!is_number(k->value)) return 0;
    struct node *node = new_term(b, real ? TERM_REALS : TERM_INTS, k->column->col);
    if (!node) return VT_ENOMEM;
    double value = sqlite3_value_double(k->value);
    bool below = k->op != SQLITE_INDEX_CONSTRAINT_GT && k->op != SQLITE_INDEX_CONSTRAINT_GE;
    bool above = k->op != SQLITE_INDEX_CONSTRAINT_LT && k->op != SQLITE_INDEX_CONSTRAINT_LE;
    node->term->real_low = above ? value : -(double)INFINITY;
    node->term->real_high = below ? value : (double)INFINITY;
    range_of(k->op, value, k->column->form == SQL_MS ? NS_PER_MS : 1, 1, &node->term->low, &node->term->high);
    add_child(b->all, node);
    return 0;
}

static int bound_flag(struct builder *b, const struct sql_constraint *k) {
    if (sqlite3_value_type(k->value) != SQLITE_INTEGER) return 0;
    int64_t wanted = sqlite3_value_int64(k->value);
    struct node *node = new_term(b, TERM_FLAG, COL_FLAGS), *outer = node;
    if (!node) return VT_ENOMEM;
    node->term->low = (int64_t)k->column->col;
    if (!wanted) {
        if (!(outer = new_node(b, NODE_NOT))) return VT_ENOMEM;
        outer->first = node;
    }
    add_child(b->all, outer);
    return 0;
}

/* ---- equality of texts ---- */

/* A term for one value; *node stays NULL when the condition cannot be used, *never becomes true when no span has such a
 * value. */
static int text_term(struct builder *b, const struct sql_column *column, struct slice text, struct node **node,
                     bool *never) {
    const char *const *words = column->form == SQL_KIND ? span_kind_names : span_status_names;
    int count = column->form == SQL_KIND ? KIND_COUNT : STATUS_COUNT, word = 0;
    struct node *term = NULL;
    switch (column->form) {
    case SQL_ID: {
        size_t width = span_columns[column->col].width;
        uint8_t id[TRACE_ID_SIZE];
        *never = !hex_decode(text, id, width);
        if (*never) return 0;
        if (!(term = new_term(b, TERM_ID, column->col))) return VT_ENOMEM;
        memcpy(term->term->id, id, width);
        break;
    }
    case SQL_TEXT:
        *never = !text.len;
        if (*never) return 0;
        if (!(term = new_term(b, TERM_TEXT, column->col))) return VT_ENOMEM;
        term->term->text = arena_copy(b->arena, text);
        if (!term->term->text.ptr) return error_set(&b->session->err, VT_ENOMEM, "sql: no memory for the conditions");
        break;
    case SQL_LEVEL:
    case SQL_LOG_STATUS: /* of the words that stand for all the rest nothing can be said */
        if (!slice_is(text, "ERROR")) return 0;
        word = STATUS_ERROR;
        if (!(term = new_term(b, TERM_INTS, COL_STATUS))) return VT_ENOMEM;
        term->term->low = term->term->high = word;
        break;
    default:
        while (word < count && !slice_is(text, words[word])) word++;
        *never = word == count;
        if (*never) return 0;
        if (!(term = new_term(b, TERM_INTS, column->col))) return VT_ENOMEM;
        term->term->low = term->term->high = word;
        /* A kind from a newer version is shown as other. */
        if (column->form == SQL_KIND && word == KIND_OTHER) term->term->high = 0, term = NULL;
        break;
    }
    *node = term;
    return 0;
}

static struct slice text_of(sqlite3_value *value) {
    const void *text = sqlite3_value_text(value);
    return slice_make(text, text ? (size_t)sqlite3_value_bytes(value) : 0);
}

static int bound_text(struct builder *b, const struct sql_constraint *k) {
    struct node *node = NULL;
    bool never = false;
    if (sqlite3_value_type(k->value) != SQLITE_TEXT) return 0;
    int code = text_term(b, k->column, text_of(k->value), &node, &never);
    if (never) b->bounds->nothing = true;
    if (!code && node) add_child(b->all, node);
    return code;
}

/* IN (…): any of the values; a list with a value that cannot be used is not used at all. */
static int bound_list(struct builder *b, const struct sql_constraint *k) {
    struct node *any = new_node(b, NODE_OR);
    sqlite3_value *value;
    int count = 0, code = 0;
    if (!any) return VT_ENOMEM;
    for (int rc = sqlite3_vtab_in_first(k->value, &value); rc == SQLITE_OK && value;
         rc = sqlite3_vtab_in_next(k->value, &value)) {
        struct node *node = NULL;
        bool never = false;
        if (sqlite3_value_type(value) == SQLITE_NULL) continue;
        if (++count > IN_LIST_MAX || sqlite3_value_type(value) != SQLITE_TEXT) return 0;
        if ((code = text_term(b, k->column, text_of(value), &node, &never))) return code;
        if (!never && !node) return 0;
        if (node) add_child(any, node);
    }
    if (any->first)
        add_child(b->all, any);
    else
        b->bounds->nothing = true;
    return 0;
}

/* ---- conditions that are not checked again ---- */

static void abandon(struct builder *b) {
    b->session->abandoned = true;
}

static int bound_exact_real(struct builder *b, const struct sql_constraint *k) {
    static const int64_t WHOLE_MAX = INT64_C(1) << 53; /* up to here a double says an integer as it is */
    int type = sqlite3_value_type(k->value);
    bool known = k->op == SQLITE_INDEX_CONSTRAINT_ISNOTNULL;
    if (!known && type == SQLITE_NULL) {
        b->bounds->nothing = true;
        return 0;
    }
    int64_t whole = type == SQLITE_INTEGER ? sqlite3_value_int64(k->value) : 0;
    if (!known && (!is_number(k->value) || whole > WHOLE_MAX || whole < -WHOLE_MAX)) return abandon(b), 0;
    struct node *node = new_term(b, TERM_REALS, k->column->col);
    if (!node) return VT_ENOMEM;
    double value = known ? 0 : sqlite3_value_double(k->value);
    bool low = !known && k->op != SQLITE_INDEX_CONSTRAINT_LT && k->op != SQLITE_INDEX_CONSTRAINT_LE;
    bool high = !known && k->op != SQLITE_INDEX_CONSTRAINT_GT && k->op != SQLITE_INDEX_CONSTRAINT_GE;
    node->term->real_low = low ? value : -(double)INFINITY;
    node->term->real_high = high ? value : (double)INFINITY;
    node->term->low_open = k->op == SQLITE_INDEX_CONSTRAINT_GT;
    node->term->high_open = k->op == SQLITE_INDEX_CONSTRAINT_LT;
    add_child(b->all, node);
    return 0;
}

static int bound_exact(struct builder *b, const struct sql_constraint *k) {
    enum sql_form form = k->column->form;
    int64_t low, high;
    if (form == SQL_USAGE_INT || form == SQL_USAGE_DOUBLE) { /* NULL where descendants report it too */
        struct node *flag = new_term(b, TERM_FLAG, COL_FLAGS), *node = flag ? new_node(b, NODE_NOT) : NULL;
        if (!node) return VT_ENOMEM;
        flag->term->low = SPAN_USAGE_RESTATED;
        node->first = flag;
        add_child(b->all, node);
    }
    if (form == SQL_DOUBLE || form == SQL_USAGE_DOUBLE) return bound_exact_real(b, k);
    if (!sql_exact_range(k, &low, &high)) return abandon(b), 0;
    if (low > high) {
        b->bounds->nothing = true;
    } else if (k->column->col == COL_START_NS) {
        narrow(b->bounds, low, high);
    } else {
        struct node *node = new_term(b, TERM_INTS, k->column->col);
        if (!node) return VT_ENOMEM;
        node->term->low = low;
        node->term->high = high;
        add_child(b->all, node);
    }
    return 0;
}

/* ---- all ---- */

static int bound_one(struct builder *b, const struct sql_constraint *k) {
    if (k->exact) return bound_exact(b, k);
    switch (k->column->form) {
    case SQL_ID:
    case SQL_TEXT:
    case SQL_KIND:
    case SQL_STATUS:
    case SQL_LEVEL:
    case SQL_LOG_STATUS: return k->in ? bound_list(b, k) : bound_text(b, k);
    case SQL_FLAG: return k->in ? 0 : bound_flag(b, k);
    case SQL_START_MS:
    case SQL_TIME_US:
    case SQL_TIME_MS: bound_time(b, k); return 0;
    default:
        if (k->column->col == COL_START_NS)
            bound_time(b, k);
        else
            return bound_number(b, k);
        return 0;
    }
}

/* Traces that are asked for by id are skipped to, too. */
static void take_traces(struct builder *b) {
    for (struct node *node = b->all->first; node; node = node->next) {
        struct node *first = node->type == NODE_OR ? node->first : node;
        uint32_t count = 0;
        bool all = first != NULL;
        for (struct node *n = first; n && all; n = node->type == NODE_OR ? n->next : NULL) {
            all = n->type == NODE_TERM && n->term->type == TERM_ID && n->term->field.col == COL_TRACE_ID;
            count++;
        }
        uint8_t(*ids)[TRACE_ID_SIZE] =
            all && !b->bounds->scan.traces ? arena_alloc(b->arena, count * sizeof *ids) : NULL;
        if (!ids) continue;
        for (struct node *n = first; n; n = node->type == NODE_OR ? n->next : NULL)
            memcpy(ids[b->bounds->scan.trace_count++], n->term->id, TRACE_ID_SIZE);
        b->bounds->scan.traces = (const uint8_t(*)[TRACE_ID_SIZE])ids;
    }
}

int sql_bounds_of(struct sql_session *session, const struct sql_constraint *constraints, int count, struct arena *arena,
                  struct sql_bounds *bounds) {
    struct builder b = {.session = session, .arena = arena, .bounds = bounds};
    *bounds = (struct sql_bounds){.scan = {.from_ns = INT64_MIN, .to_ns = INT64_MAX}};
    if (!(b.all = new_node(&b, NODE_AND))) return VT_ENOMEM;
    for (int i = 0; i < count; i++) {
        int code = bound_one(&b, &constraints[i]);
        if (code) return code;
    }
    take_traces(&b);
    bounds->filter.root = b.all->first ? b.all : NULL;
    bounds->scan.filter = &bounds->filter;
    bounds->nothing |= bounds->scan.from_ns >= bounds->scan.to_ns;
    return 0;
}
