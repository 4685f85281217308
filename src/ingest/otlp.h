/* Inside ingest: what the OTLP decoders share. A decoder walks a request and hands each span to `take`; the spans'
 * texts are borrowed from the body or from the build's arena, which the next span empties. */
#ifndef INGEST_OTLP_H
#define INGEST_OTLP_H

#include "ingest/raw_build.h"
#include "span/batch.h"

struct otlp {
    /* The innermost message of the request: a span (the default) or a log record. In JSON also the names of the lists
     * around it. */
    int (*read_protobuf)(struct otlp *o, struct slice bytes);
    bool (*read_json)(struct otlp *o, struct json_reader *r);
    int (*scope_done)(struct otlp *o); /* after the last of a scope; NULL = nothing to do */
    const char *request_name, *request_key, *request_snake;
    struct batch *batch; /* NULL in benchmarks of the decoder alone: refusals are then only counted */
    int (*take)(struct otlp *o,
                const struct raw_span *raw); /* VT_ENOMEM and VT_ELIMIT end the walk; other results do not */
    void *ctx;
    struct arena *lasting; /* what lives as long as the request: attributes of resources */
    struct raw_build build;
    struct raw_resource resource; /* of the spans under way, with its scope */
    struct attr_list resource_attrs;
    uint32_t position; /* ordinal of the span under way */
    uint32_t refused;
    int code; /* what ended the walk: VT_ENOMEM or VT_ELIMIT */
    struct error *err;
};

/* Ready for a request; take = normalise into the batch. Release with otlp_free. */
void otlp_init(struct otlp *o, struct batch *batch, struct slice project, struct error *err);
void otlp_free(struct otlp *o);
int otlp_read_span_protobuf(struct otlp *o, struct slice bytes);
bool otlp_read_span_json(struct otlp *o, struct json_reader *r);
int otlp_walk_protobuf(struct otlp *o, struct slice body);
int otlp_walk_json(struct otlp *o, struct slice body);

/* The span that was put together, or the reason against it, goes where it belongs. 0, or a code that ends the walk,
 * with *err set. */
int otlp_span_done(struct otlp *o, struct raw_span *raw);
/* Copies the resource's list to where it lasts and makes it the current one. */
bool otlp_resource_done(struct otlp *o);

/* From AnyValue to one of ours, protobuf (bytes of the message) and JSON. `arena` takes what must be made. */
void otlp_value_protobuf(struct raw_build *build, struct slice bytes, struct value *value, struct arena *arena);
bool otlp_value_json(struct raw_build *build, struct json_reader *r, struct value *value, struct arena *arena);
void otlp_attr_protobuf(struct raw_build *build, struct slice bytes, struct attr_list *list, uint32_t max,
                        const char *what, struct arena *arena);
/* A list of KeyValue, or by hand a plain object. */
bool otlp_attrs_json(struct raw_build *build, struct json_reader *r, struct attr_list *list, uint32_t max,
                     const char *what, struct arena *arena);

/* "SPAN_KIND_CLIENT", "CLIENT", "client" → 3; unknown → 0. "STATUS_CODE_ERROR", "Error" → STATUS_ERROR; unknown →
 * STATUS_UNSET. */
int otlp_kind_named(struct slice word);
int otlp_status_named(struct slice word);
/* The number of the protocol → enum span_status. */
static inline int otlp_status_of(uint64_t code) {
    return code == 1 ? STATUS_OK : code == 2 ? STATUS_ERROR : STATUS_UNSET;
}

/* A key of a JSON message: its two spellings, and what it is to the caller. */
struct otlp_key {
    const char *camel, *snake;
    uint8_t camel_len, snake_len;
    uint8_t member;
};
#define OTLP_KEY(camel, snake, member)                                                                                 \
    { camel, snake, sizeof camel - 1, sizeof snake - 1, member }
/* The member that a key stands for, or -1. *hint is where the last one stood: senders keep an order. */
int otlp_key_find(const struct otlp_key *keys, int count, struct slice key, int *hint);

#endif
