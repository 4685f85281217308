/* A JSON answer as a tree. Depth is bounded by the reader (JSON_DEPTH_MAX). */
#include "cli/doc.h"

#include <math.h>

static struct doc *parse_value(struct json_reader *r);

static void parse_children(struct json_reader *r, struct doc *parent) {
    struct doc **last = &parent->first;
    struct slice key = {NULL, 0};
    bool object = parent->type == JSON_OBJECT;
    if (object ? !json_object(r) : !json_array(r)) return;
    while (object ? json_key(r, &key) : json_item(r)) {
        struct doc *child = parse_value(r);
        if (!child) return;
        child->key = key;
        *last = child;
        last = &child->next;
        parent->count++;
    }
}

static struct doc *parse_value(struct json_reader *r) {
    struct doc *doc = arena_calloc(r->arena, 1, sizeof *doc);
    struct json_number number;
    if (!doc) {
        json_fail(r, "no memory");
        r->err.code = VT_ENOMEM;
        return NULL;
    }
    doc->type = json_peek(r);
    doc->number = (double)NAN;
    const char *from = r->at;
    switch (doc->type) {
    case JSON_STRING: json_string(r, &doc->text); break;
    case JSON_NUMBER:
        if (json_number(r, &number)) doc->number = number.real;
        break;
    case JSON_BOOL: json_bool(r, &doc->boolean); break;
    case JSON_NULL: json_null(r); break;
    case JSON_ARRAY:
    case JSON_OBJECT: parse_children(r, doc); break;
    case JSON_ERROR: json_skip(r, NULL); break; /* says what is wrong */
    }
    if (doc->type != JSON_STRING) doc->text = slice_make(from, (size_t)(r->at - from));
    return json_failed(r) ? NULL : doc;
}

int doc_parse(struct slice json, struct arena *arena, struct doc **out, struct error *err) {
    struct json_reader r;
    json_reader_init(&r, json, arena);
    *out = parse_value(&r);
    if (*out && json_end(&r)) return 0;
    *out = NULL;
    if (err) *err = r.err;
    return r.err.code;
}

const struct doc *doc_get(const struct doc *doc, const char *path) {
    while (doc && *path) {
        size_t len = strcspn(path, ".");
        struct slice key = slice_make(path, len);
        const struct doc *child = doc->type == JSON_OBJECT ? doc->first : NULL;
        while (child && !slice_eq(child->key, key)) child = child->next;
        doc = child;
        path += len + (path[len] == '.');
    }
    return doc;
}

const struct doc *doc_at(const struct doc *doc, uint32_t index) {
    const struct doc *child = doc_first(doc);
    while (child && index--) child = child->next;
    return child;
}

struct slice doc_text(const struct doc *doc, const char *path) {
    const struct doc *found = doc_get(doc, path);
    return found && found->type == JSON_STRING ? found->text : (struct slice){NULL, 0};
}

double doc_number(const struct doc *doc, const char *path) {
    const struct doc *found = doc_get(doc, path);
    return found ? found->number : (double)NAN;
}

bool doc_true(const struct doc *doc, const char *path) {
    const struct doc *found = doc_get(doc, path);
    return found && found->boolean;
}
