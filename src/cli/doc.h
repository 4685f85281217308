/* A JSON answer as a tree, for showing it. All of it lives in the arena; strings borrow from the text where they hold
 * no escapes, so the text must outlive the tree. Read-only once parsed. Every function takes NULL for "not there". */
#ifndef CLI_DOC_H
#define CLI_DOC_H

#include "base/json.h"

struct doc {
    enum json_type type;
    struct slice key;  /* within an object */
    struct slice text; /* a string's value; of anything else its JSON as it stands */
    double number;     /* of a number; NaN else */
    bool boolean;
    uint32_t count; /* of members or elements */
    struct doc *first, *next;
};

/* VT_EINVAL: no JSON. VT_ENOMEM. */
int doc_parse(struct slice json, struct arena *arena, struct doc **out, struct error *err);
/* The member that a path names ("tokens.total": keys of the API's own, none holds a dot); NULL where there is none. */
const struct doc *doc_get(const struct doc *doc, const char *path);
const struct doc *doc_at(const struct doc *doc, uint32_t index);
struct slice doc_text(const struct doc *doc, const char *path); /* empty when it is no string */
double doc_number(const struct doc *doc, const char *path);     /* NaN when it is no number */
bool doc_true(const struct doc *doc, const char *path);
static inline const struct doc *doc_first(const struct doc *doc) {
    return doc ? doc->first : NULL;
}

#endif
