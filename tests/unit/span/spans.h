/* Spans for tests, from attributes written as JSON. */
#ifndef TESTS_SPANS_H
#define TESTS_SPANS_H

#include "base/json.h"
#include "span/normalise.h"

/* {"a":1,"b":"x",…} as attributes in the arena; arrays and objects become VALUE_JSON. */
static inline uint32_t attrs_of_json(struct arena *arena, const char *json, const struct attr **attrs) {
    struct json_reader r;
    struct slice key;
    uint32_t count = 0;
    struct attr *list = arena_alloc(arena, 64 * sizeof *list);
    json_reader_init(&r, slice_of(json), arena);
    json_object(&r);
    while (json_key(&r, &key) && count < 64) {
        struct attr *attr = &list[count++];
        struct json_number number;
        bool truth = false;
        *attr = (struct attr){.key = key};
        switch (json_peek(&r)) {
        case JSON_STRING: attr->value.type = VALUE_STRING, json_string(&r, &attr->value.text); break;
        case JSON_NUMBER:
            json_number(&r, &number);
            attr->value.type = number.is_int ? VALUE_INT : VALUE_DOUBLE;
            if (number.is_int)
                attr->value.integer = number.integer;
            else
                attr->value.real = number.real;
            break;
        case JSON_BOOL: attr->value.type = VALUE_BOOL, json_bool(&r, &truth), attr->value.integer = truth; break;
        default: attr->value.type = VALUE_JSON, json_skip(&r, &attr->value.text); break;
        }
    }
    if (json_failed(&r)) return UINT32_MAX;
    *attrs = list;
    return count;
}

static const int64_t TEST_START_NS = INT64_C(1763924391722) * 1000000;

static inline struct raw_span raw_of_json(struct arena *arena, const char *name, const char *json) {
    struct raw_span raw = {.trace_id = {1},
                           .span_id = {2},
                           .source = SOURCE_OTLP,
                           .name = slice_of(name),
                           .start_ns = TEST_START_NS,
                           .end_ns = TEST_START_NS + 5 * INT64_C(1000000)};
    raw.attr_count = attrs_of_json(arena, json, &raw.attrs);
    return raw;
}

#endif
