/* What filter_parse.c builds and filter_eval.c and filter_scan.c run: a tree of terms. */
#ifndef QUERY_FILTER_INTERNAL_H
#define QUERY_FILTER_INTERNAL_H

#include "query/field.h"
#include "query/filter.h"
#include "query/needle.h"

enum term_type {
    TERM_INTS,     /* an int64 within [low, high] */
    TERM_REALS,    /* a double within its range */
    TERM_TEXT,     /* a text, or an attribute, as it stands or by wildcard */
    TERM_ID,       /* id bytes */
    TERM_HAS,      /* is known */
    TERM_WORDS,    /* words in one or more texts */
    TERM_FLAG,     /* any bit of COL_FLAGS */
    TERM_ROOT,     /* no parent */
    TERM_FALLBACK, /* see field.h */
    TERM_ANY_TEXT  /* a text column has one of a set: put together by numbers.c, never written */
};

/* Texts by their hash: open addressing, an empty slot has len 0. */
struct text_set {
    struct slice *slots;
    uint32_t capacity; /* a power of two, at least twice the texts */
};
bool text_set_has(const struct text_set *set, struct slice text);

struct term {
    enum term_type type;
    struct field field;
    int64_t low, high;          /* TERM_INTS, both included; TERM_FLAG: low = the bits */
    double real_low, real_high; /* TERM_REALS */
    bool low_open, high_open;   /* the bound itself is out */
    struct slice text;          /* TERM_TEXT */
    bool wildcard;              /* '*' in it stands for anything */
    bool text_is_number;        /* TERM_TEXT on an attribute: it also equals a number, number */
    double number;
    uint8_t id[TRACE_ID_SIZE]; /* TERM_ID */
    struct needle needle;      /* TERM_WORDS */
    uint64_t cols;             /* TERM_WORDS: where to look */
    struct text_set set;       /* TERM_ANY_TEXT */
};

enum node_type { NODE_AND, NODE_OR, NODE_NOT, NODE_TERM };

struct node {
    enum node_type type;
    struct node *first, *next; /* children; the next of the same parent */
    struct term *term;         /* NODE_TERM */
    unsigned cost;             /* rough work a row; AND runs the cheap ones first */
};

struct filter {
    struct node *root; /* NULL: takes everything */
    uint64_t columns;
    bool needs_traces;
    bool reads_json;    /* some term looks into attributes or texts */
    uint64_t text_hash; /* of what it was parsed from; 0 = it was put together otherwise */
    bool speaks_of_now; /* a moment in it may be relative: the same text means something else later */
};

/* '*' stands for any bytes, none included. */
bool wildcard_matches(struct slice pattern, struct slice text);
bool term_text_matches(const struct term *term, struct slice text);
bool term_attr_matches(const struct term *term, const struct attr_value *value);
/* A number, or a text that is one; else NaN. */
double attr_number(const struct attr_value *value);
bool term_real_in_range(const struct term *term, double value);
/* input + output, where one may be unknown. */
static inline int64_t tokens_total(int64_t input, int64_t output) {
    if (input == SPAN_NO_INT) return output;
    return output == SPAN_NO_INT ? input : input + output;
}

#endif
