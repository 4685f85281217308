/* A span as a sender wrote it: what every decoder in src/ingest produces and src/span/normalise.h gives its meaning.
 * Everything is borrowed from the request's bytes or its arena. */
#ifndef SPAN_RAW_H
#define SPAN_RAW_H

#include "base/id.h"
#include "base/slice.h"

enum value_type {
    VALUE_NONE,
    VALUE_STRING, /* text */
    VALUE_INT,    /* integer */
    VALUE_DOUBLE, /* real */
    VALUE_BOOL,   /* integer, 0 or 1 */
    VALUE_JSON    /* text: an array or object, as JSON */
};

struct value {
    enum value_type type;
    union {
        struct slice text;
        int64_t integer;
        double real;
    };
};

struct attr {
    struct slice key;
    struct value value;
};

struct raw_event {
    int64_t time_ns;
    struct slice name;
    const struct attr *attrs;
    uint32_t attr_count;
};

/* What all spans of one sender's resource share; decoded once per resource, pointed to by its spans. */
struct raw_resource {
    const struct attr *attrs;
    uint32_t attr_count;
    struct slice project;    /* which project the key that sent this belongs to; empty = default */
    struct slice scope_name; /* instrumentation scope: tells dialects apart */
    struct slice scope_version;
};

enum raw_source { SOURCE_OTLP, SOURCE_LOG, SOURCE_CONVEX, SOURCE_PROXY, SOURCE_SELF };

struct raw_span {
    uint8_t trace_id[TRACE_ID_SIZE];
    uint8_t span_id[SPAN_ID_SIZE];
    uint8_t parent_span_id[SPAN_ID_SIZE];
    struct slice source_trace_id; /* ids that came in another form than hex, as given; empty otherwise */
    struct slice source_span_id;
    bool join_by_parent; /* every span has a trace id of its own (WIRE.md §1) */
    bool content_event;  /* log events that tell what its parent was asked and answered */
    enum raw_source source;
    struct slice name;
    int otel_kind; /* 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer */
    int status;    /* enum span_status */
    struct slice status_message;
    int64_t start_ns, end_ns;
    const struct attr *attrs;
    uint32_t attr_count;
    const struct raw_event *events;
    uint32_t event_count;
    struct slice links;                  /* JSON array, empty = none */
    const struct raw_resource *resource; /* may be NULL */
};

#endif
