/* Lists that grow by doubling and are kept. */
#include "ingest/raw_build.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void raw_build_free(struct raw_build *build) {
    free(build->attrs.items);
    free(build->event_attrs.items);
    free(build->events);
    arena_free(&build->arena);
    buf_free(&build->text);
}

void raw_build_reset(struct raw_build *build) {
    build->attrs.count = build->event_attrs.count = build->event_count = 0;
    build->refused.code = 0;
    arena_reset(&build->arena);
    buf_clear(&build->text);
}

void raw_build_refuse(struct raw_build *build, const char *format, ...) {
    if (build->refused.code) return;
    va_list args;
    va_start(args, format);
    vsnprintf(build->refused.message, sizeof build->refused.message, format, args);
    va_end(args);
    build->refused.code = VT_EINVAL;
}

/* Room for one more item of `size` bytes, or NULL with the reason in `build`. */
static void *grow(struct raw_build *build, void *items, uint32_t *capacity, size_t size, uint32_t max,
                  const char *what) {
    uint32_t wanted = *capacity ? *capacity * 2 : 64;
    if (*capacity >= max) return raw_build_refuse(build, "%s: more than %u", what, max), NULL;
    if (wanted > max) wanted = max;
    void *grown = realloc(items, wanted * size);
    if (!grown) return raw_build_refuse(build, "%s: no memory", what), NULL;
    *capacity = wanted;
    return grown;
}

bool attr_list_grow(struct raw_build *build, struct attr_list *list, uint32_t max, const char *what) {
    struct attr *items = grow(build, list->items, &list->capacity, sizeof *items, max, what);
    if (items) list->items = items;
    return items != NULL;
}

struct raw_event *raw_build_event(struct raw_build *build) {
    if (build->event_count >= build->event_capacity) {
        struct raw_event *events =
            grow(build, build->events, &build->event_capacity, sizeof *events, SPAN_EVENTS_MAX, "events");
        if (!events) return NULL;
        build->events = events;
    }
    struct raw_event *event = &build->events[build->event_count++];
    /* Where its attributes begin; a pointer would not outlive the list's growth. */
    *event = (struct raw_event){.attr_count = build->event_attrs.count};
    return event;
}

void raw_build_finish(struct raw_build *build, struct raw_span *raw) {
    raw->attrs = build->attrs.items;
    raw->attr_count = build->attrs.count;
    raw->events = build->events;
    raw->event_count = build->event_count;
    for (uint32_t i = 0, end; i < build->event_count; i++) {
        struct raw_event *event = &build->events[i];
        end = i + 1 < build->event_count ? build->events[i + 1].attr_count : build->event_attrs.count;
        event->attrs = build->event_attrs.items ? build->event_attrs.items + event->attr_count : NULL;
        event->attr_count = end - event->attr_count;
    }
}

bool value_read_json(struct json_reader *r, struct value *value) {
    struct json_number number;
    bool truth;
    *value = (struct value){.type = VALUE_NONE};
    switch (json_peek(r)) {
    case JSON_STRING: value->type = VALUE_STRING; return json_string(r, &value->text);
    case JSON_NUMBER:
        if (!json_number(r, &number)) return false;
        value->type = number.is_int ? VALUE_INT : VALUE_DOUBLE;
        if (number.is_int)
            value->integer = number.integer;
        else
            value->real = number.real;
        return true;
    case JSON_BOOL:
        if (!json_bool(r, &truth)) return false;
        value->type = VALUE_BOOL;
        value->integer = truth;
        return true;
    case JSON_NULL: return json_null(r);
    case JSON_ARRAY:
    case JSON_OBJECT: value->type = VALUE_JSON; return json_skip(r, &value->text);
    case JSON_ERROR: break;
    }
    return json_skip(r, NULL);
}

/* {"key":"a","value":1}, as some send it; anything else in the list says nothing. */
static void read_pair(struct json_reader *r, struct raw_build *build, struct attr_list *list, uint32_t max,
                      const char *what) {
    struct slice key, name = {NULL, 0};
    struct value value = {.type = VALUE_NONE};
    if (json_peek(r) != JSON_OBJECT) {
        json_skip(r, NULL);
        return;
    }
    json_object(r);
    while (json_key(r, &key)) {
        if (slice_is(key, "key") && json_peek(r) == JSON_STRING)
            json_string(r, &name);
        else if (slice_is(key, "value"))
            value_read_json(r, &value);
        else
            json_skip(r, NULL);
    }
    struct attr *attr = name.len ? attr_list_add(build, list, max, what) : NULL;
    if (attr) *attr = (struct attr){name, value};
}

bool attrs_read_json(struct json_reader *r, struct raw_build *build, struct attr_list *list, uint32_t max,
                     const char *what) {
    if (json_peek(r) == JSON_ARRAY) {
        json_array(r);
        while (json_item(r)) read_pair(r, build, list, max, what);
        return !json_failed(r);
    }
    struct slice key;
    if (json_peek(r) != JSON_OBJECT) return json_skip(r, NULL);
    json_object(r);
    while (json_key(r, &key)) {
        struct value value;
        if (!value_read_json(r, &value) || value.type == VALUE_NONE) continue;
        struct attr *attr = attr_list_add(build, list, max, what);
        if (attr) *attr = (struct attr){key, value};
    }
    return !json_failed(r);
}

struct slice raw_build_text(struct raw_build *build, struct arena *arena) {
    struct slice text = build->text.failed ? (struct slice){NULL, 0} : arena_copy(arena, buf_slice(&build->text));
    buf_clear(&build->text);
    return text;
}
