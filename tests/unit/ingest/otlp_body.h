/* One request in protobuf, with every field of a span, and the same in JSON. */
#ifndef TESTS_OTLP_BODY_H
#define TESTS_OTLP_BODY_H

#include "base/pb.h"

static inline void put_any_string(struct buf *out, uint32_t number, const char *text) {
    size_t mark = pb_begin(out, number);
    pb_put_bytes(out, 1, slice_of(text));
    pb_end(out, mark);
}

static inline void put_attr(struct buf *out, uint32_t number, const char *key, const char *text) {
    size_t mark = pb_begin(out, number);
    pb_put_bytes(out, 1, slice_of(key));
    put_any_string(out, 2, text);
    pb_end(out, mark);
}

static inline void put_attr_int(struct buf *out, uint32_t number, const char *key, int64_t value) {
    size_t mark = pb_begin(out, number);
    pb_put_bytes(out, 1, slice_of(key));
    size_t any = pb_begin(out, 2);
    pb_put_tag(out, 3, PB_VARINT), pb_put_varint(out, (uint64_t)value);
    pb_end(out, any);
    pb_end(out, mark);
}

/* {"list":["a",true,-7,0.5,{"k":"v"}],"bytes":base64 of 1 2 3,"none":nothing} */
static inline void put_nested_attrs(struct buf *out, uint32_t number) {
    size_t attr = pb_begin(out, number);
    pb_put_bytes(out, 1, SLICE("list"));
    size_t any = pb_begin(out, 2), list = pb_begin(out, 5);
    put_any_string(out, 1, "a");
    size_t item = pb_begin(out, 1);
    pb_put_uint(out, 2, 1);
    pb_end(out, item);
    item = pb_begin(out, 1);
    pb_put_tag(out, 3, PB_VARINT), pb_put_varint(out, (uint64_t)-7);
    pb_end(out, item);
    item = pb_begin(out, 1);
    pb_put_double(out, 4, 0.5);
    pb_end(out, item);
    item = pb_begin(out, 1);
    size_t map = pb_begin(out, 6);
    put_attr(out, 1, "k", "v");
    pb_end(out, map);
    pb_end(out, item);
    pb_end(out, list);
    pb_end(out, any);
    pb_end(out, attr);
    attr = pb_begin(out, number);
    pb_put_bytes(out, 1, SLICE("bytes"));
    any = pb_begin(out, 2);
    pb_put_bytes(out, 7, slice_make("\1\2\3", 3));
    pb_end(out, any);
    pb_end(out, attr);
    attr = pb_begin(out, number);
    pb_put_bytes(out, 1, SLICE("none"));
    pb_end(out, attr);
}

static const uint8_t BODY_TRACE[16] = {0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const uint64_t BODY_START_NS = UINT64_C(1795460391722000000);

static inline void put_span(struct buf *out, uint8_t id, uint8_t parent, const char *name, const char *prompt) {
    uint8_t span_id[8] = {0xb0, 0, 0, 0, 0, 0, 0, id}, parent_id[8] = {0xb0, 0, 0, 0, 0, 0, 0, parent};
    size_t span = pb_begin(out, 2);
    pb_put_bytes(out, 1, slice_make(BODY_TRACE, 16));
    pb_put_bytes(out, 2, slice_make(span_id, 8));
    pb_put_bytes(out, 3, SLICE("vendor=1"));
    if (parent) pb_put_bytes(out, 4, slice_make(parent_id, 8));
    pb_put_bytes(out, 5, slice_of(name));
    pb_put_uint(out, 6, 3);
    pb_put_fixed64(out, 7, BODY_START_NS + id);
    pb_put_fixed64(out, 8, BODY_START_NS + id + 7000000);
    put_attr(out, 9, "gen_ai.operation.name", "chat");
    put_attr(out, 9, "gen_ai.provider.name", "openai");
    put_attr(out, 9, "gen_ai.request.model", "gpt-4o");
    put_attr(out, 9, "gen_ai.input.messages", prompt);
    put_attr_int(out, 9, "gen_ai.usage.input_tokens", 100);
    put_attr_int(out, 9, "gen_ai.usage.output_tokens", 50);
    put_nested_attrs(out, 9);
    pb_put_uint(out, 10, 2);
    size_t event = pb_begin(out, 11);
    pb_put_fixed64(out, 1, BODY_START_NS + 1000000);
    pb_put_bytes(out, 2, SLICE("gen_ai.first_token"));
    put_attr(out, 3, "n", "1");
    pb_end(out, event);
    event = pb_begin(out, 11);
    pb_put_fixed64(out, 1, BODY_START_NS + 2000000);
    pb_put_bytes(out, 2, SLICE("bare"));
    pb_end(out, event);
    size_t link = pb_begin(out, 13);
    pb_put_bytes(out, 1, slice_make(BODY_TRACE, 16));
    pb_put_bytes(out, 2, slice_make(span_id, 8));
    put_attr(out, 4, "why", "retry");
    pb_end(out, link);
    size_t status = pb_begin(out, 15);
    pb_put_bytes(out, 2, SLICE("rate limited"));
    pb_put_uint(out, 3, 2);
    pb_end(out, status);
    pb_put_tag(out, 16, PB_FIXED32), buf_put(out, "\1\0\0\0", 4);
    pb_put_bytes(out, 99, SLICE("a field of tomorrow"));
    pb_end(out, span);
}

/* `spans` spans in one resource and scope; with `late` both stand behind what they are about. */
static inline void put_request(struct buf *out, int spans, bool late) {
    size_t around = pb_begin(out, 1);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == late) {
            size_t resource = pb_begin(out, 1);
            put_attr(out, 1, "service.name", "shop");
            put_attr(out, 1, "host.name", "h1");
            pb_end(out, resource);
            continue;
        }
        size_t scoped = pb_begin(out, 2);
        for (int inner = 0; inner < 2; inner++) {
            if (inner == late) {
                size_t scope = pb_begin(out, 1);
                pb_put_bytes(out, 1, SLICE("tracer")), pb_put_bytes(out, 2, SLICE("1.2"));
                pb_end(out, scope);
                continue;
            }
            for (int i = 1; i <= spans; i++)
                put_span(out, (uint8_t)i, (uint8_t)(i - 1), i == 1 ? "chat gpt-4o" : "inner",
                         "[{\"role\":\"user\",\"content\":\"Hi\"}]");
        }
        pb_end(out, scoped);
    }
    pb_end(out, around);
}

#endif
