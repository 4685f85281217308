/* Fields: the names that filters, group_by, select and facets share, and where in a span each is found. */
#ifndef QUERY_FIELD_H
#define QUERY_FIELD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "span/span.h"

enum field_source {
    FIELD_COLUMN,       /* a column as it stands */
    FIELD_TOKENS_TOTAL, /* input + output */
    FIELD_FALLBACK,     /* a turn that succeeded although an LLM call in it failed */
    FIELD_FLAG,         /* one bit of COL_FLAGS */
    FIELD_ROOT,         /* no parent */
    FIELD_ATTR          /* an attribute of the span, else of its resource */
};

enum field_type {
    FIELD_TYPE_TEXT,  /* compared as it stands, '*' is a wildcard */
    FIELD_TYPE_WORDS, /* long text: searched for words */
    FIELD_TYPE_ID,    /* hex */
    FIELD_TYPE_NUMBER,
    FIELD_TYPE_TIME,     /* a moment */
    FIELD_TYPE_DURATION, /* shown in milliseconds */
    FIELD_TYPE_WORD,     /* one of a few words: kind, status */
    FIELD_TYPE_BOOL
};

struct field {
    const char *name; /* as API answers call it: "duration_ms" */
    enum field_source source;
    enum field_type type;
    enum col col;     /* FIELD_COLUMN; the flag's bit for FIELD_FLAG */
    double scale;     /* value shown = column × scale */
    bool usage;       /* tokens and cost: not counted on spans whose descendants report them too */
    struct slice key; /* FIELD_ATTR: the attribute's name */
};

/* Finds a field by name or alias ("user", "attr.region"). An attribute needs "attr." before it, unless `bare_attrs`.
 * False when there is none; err (may be NULL) then names the nearest one. key is borrowed from `name`. */
bool field_named(struct slice name, bool bare_attrs, struct field *out, struct error *err);
/* As API answers call it: "duration_ms", or the attribute's name without "attr.". */
struct slice field_name(const struct field *field);
/* Columns that must be read to know the field's value: bit 1 << COL_…. */
uint64_t field_columns(const struct field *field);
static inline bool field_is_number(const struct field *field) {
    return field->type == FIELD_TYPE_NUMBER || field->type == FIELD_TYPE_DURATION;
}
/* "model, provider, …": for hints. */
extern const char field_names_text[];

/* One attribute's value in a JSON object of attributes. */
enum attr_type { ATTR_NONE, ATTR_TEXT, ATTR_NUMBER, ATTR_BOOL, ATTR_JSON };
struct attr_value {
    enum attr_type type;
    struct slice text; /* unescaped text, or the value as it is written in JSON */
    double number;
    bool boolean;
};
enum { ATTR_KEY_MAX = 256, ATTR_QUOTED_MAX = 6 * ATTR_KEY_MAX + 8 };
/* The key as it stands in JSON, with quotes. False when it is too long. */
bool attr_quote(struct slice key, struct buf *out);
/* A value as it is written in JSON; false of null. */
bool attr_read(struct slice raw, struct arena *arena, struct attr_value *out);
/* False when `json` has no such key at its top level, or null there. Texts with escapes are unescaped into `arena`. */
bool attr_find(struct slice json, struct slice key, struct arena *arena, struct attr_value *out);
/* Of the span's attributes, else of its resource's. */
bool attr_find_either(struct slice attributes, struct slice resource, struct slice key, struct arena *arena,
                      struct attr_value *out);

#endif
