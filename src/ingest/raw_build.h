/* Inside ingest: what a decoder puts a raw span together in. Its lists keep their memory from span to span, texts that
 * must be made (unescaped, JSON of a nested value) lie in an arena that is emptied for the next span: no allocation a
 * span once it is warm. One decoder, one thread. */
#ifndef INGEST_RAW_BUILD_H
#define INGEST_RAW_BUILD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "span/raw.h"

enum { SPAN_ATTRS_MAX = 4096, SPAN_EVENTS_MAX = 4096, SPAN_EVENT_ATTRS_MAX = 65536, VALUE_DEPTH_MAX = 32 };

struct attr_list {
    struct attr *items;
    uint32_t count, capacity;
};

struct raw_build {
    struct attr_list attrs, event_attrs;
    struct raw_event *events; /* their attrs are set by raw_build_events */
    uint32_t event_count, event_capacity;
    struct arena arena;   /* for the span under way */
    struct buf text;      /* scratch */
    struct error refused; /* code ≠ 0: why the span under way has no meaning; the first reason stays */
};

void raw_build_free(struct raw_build *build);
/* Forgets the span before. */
void raw_build_reset(struct raw_build *build);
bool attr_list_grow(struct raw_build *build, struct attr_list *list, uint32_t max, const char *what);
/* Room for one more; NULL past `max` or without memory, which refuses the span. `what` names the list for the message.
 */
static inline struct attr *attr_list_add(struct raw_build *build, struct attr_list *list, uint32_t max,
                                         const char *what) {
    if (__builtin_expect(list->count >= list->capacity, 0) && !attr_list_grow(build, list, max, what)) return NULL;
    return &list->items[list->count++];
}
/* A new event; its attributes are those that are added to event_attrs until the next one. NULL as above. */
struct raw_event *raw_build_event(struct raw_build *build);
/* Gives the span under way its lists. */
void raw_build_finish(struct raw_build *build, struct raw_span *raw);
/* Keeps the first reason. */
void raw_build_refuse(struct raw_build *build, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Any JSON value as an attribute's; null becomes VALUE_NONE, arrays and objects their text, numbers beyond int64
 * doubles. False only when the text is no JSON (the reader has failed). */
bool value_read_json(struct json_reader *r, struct value *value);
/* The members of the object that comes next, or an array of {"key","value"}, through value_read_json. */
bool attrs_read_json(struct json_reader *r, struct raw_build *build, struct attr_list *list, uint32_t max,
                     const char *what);
/* `build->text` as text in `arena`, emptied; an empty slice when memory ran out. */
struct slice raw_build_text(struct raw_build *build, struct arena *arena);

#endif
