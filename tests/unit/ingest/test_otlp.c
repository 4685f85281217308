/* OTLP traces in both encodings, strict and by hand, whole and broken. */
#include "decoded.h"
#include "otlp_body.h"

static struct batch *decode_protobuf(struct slice body, int expected, struct error *err) {
    struct batch *batch = batch_new();
    struct error own = {0};
    int code = otlp_decode_protobuf(batch, body, SLICE("blue"), err ? err : &own);
    if (code != expected) fail_msg("code %d: %s", code, (err ? err : &own)->message);
    batch_finish(batch);
    return batch;
}

static struct batch *decode_json(const char *body, int expected, struct error *err) {
    struct batch *batch = batch_new();
    struct error own = {0};
    struct slice copy = exactly(slice_of(body));
    int code = otlp_decode_json(batch, copy, (struct slice){NULL, 0}, err ? err : &own);
    if (code != expected) fail_msg("code %d: %s\n%s", code, (err ? err : &own)->message, body);
    batch_finish(batch);
    forget(copy); /* what a batch holds is its own */
    return batch;
}

static const char golden[] =
    "{\"trace_id\":\"a00102030405060708090a0b0c0d0e0f\",\"span_id\":\"b000000000000001\",\"operation\":\"chat "
    "gpt-4o\",\"kind\":\"llm\",\"service\":\"shop\",\"project\":\"blue\","
    "\"start\":\"2026-11-23T18:59:51.722000Z\",\"start_ns\":\"1795460391722000001\",\"duration_ms\":7,\"status\":"
    "\"ERROR\",\"error\":\"rate limited\",\"provider\":\"openai\",\"model\":\"gpt-4o\","
    "\"tokens\":{\"input\":100,\"output\":50,\"total\":150},\"usage_restated\":true,\"ttft_ms\":0.999999,\"prompt\":[{"
    "\"role\":\"user\",\"content\":\"Hi\"}],"
    "\"attributes\":{\"otel.kind\":\"CLIENT\",\"otel.links\":[{\"trace_id\":\"a00102030405060708090a0b0c0d0e0f\","
    "\"span_id\":\"b000000000000001\",\"attributes\":{\"why\":\"retry\"}}],"
    "\"otel.trace_state\":\"vendor=1\",\"gen_ai.operation.name\":\"chat\",\"gen_ai.provider.name\":\"openai\",\"gen_ai."
    "request.model\":\"gpt-4o\","
    "\"gen_ai.usage.input_tokens\":100,\"gen_ai.usage.output_tokens\":50,\"list\":[\"a\",true,-7,0.5,{\"k\":\"v\"}],"
    "\"bytes\":\"AQID\",\"otel.dropped_attributes_count\":2},"
    "\"events\":[{\"name\":\"gen_ai.first_token\",\"timestamp\":1795460391723,\"attributes\":{\"n\":\"1\"}},{\"name\":"
    "\"bare\",\"timestamp\":1795460391724}],"
    "\"resource\":{\"otel.scope.name\":\"tracer\",\"otel.scope.version\":\"1.2\",\"service.name\":\"shop\",\"host."
    "name\":\"h1\"}}";

static void protobuf_keeps_every_field(void **state) {
    for (int late = 0; late < 2; late++) {
        struct buf body = {0};
        put_request(&body, 3, late);
        struct batch *batch = decode_protobuf(buf_slice(&body), 0, NULL);
        assert_int_equal(batch->count, 3);
        assert_int_equal(batch->rejected, 0);
        assert_string_equal(json_of_span(&batch->spans[0]), golden);
        assert_memory_equal(batch->spans[2].parent_span_id, batch->spans[1].span_id, SPAN_ID_SIZE);
        batch_unref(batch);
        buf_free(&body);
    }
}

static void protobuf_cut_at_any_byte_is_refused_or_whole(void **state) {
    struct buf body = {0};
    put_request(&body, 2, false);
    for (size_t cut = 1; cut < body.len; cut++) {
        struct slice head = exactly(slice_make(body.ptr, cut));
        struct error err = {0};
        struct batch *batch = decode_protobuf(head, VT_EINVAL, &err);
        assert_contains(err.message, "ExportTraceServiceRequest: ");
        batch_unref(batch);
        forget(head);
    }
    struct batch *empty = decode_protobuf((struct slice){NULL, 0}, 0, NULL);
    assert_int_equal(empty->count, 0);
    batch_unref(empty);
    buf_free(&body);
}

/* Every byte of a request, changed to several others: no crash, and never more spans than were sent. */
static void protobuf_with_a_wrong_byte_does_no_harm(void **state) {
    static const uint8_t flips[] = {0x01, 0x07, 0x80, 0xff};
    struct buf body = {0};
    put_request(&body, 2, false);
    for (size_t i = 0; i < body.len; i++)
        for (size_t f = 0; f < sizeof flips; f++) {
            struct slice copy = exactly(buf_slice(&body));
            ((char *)(uintptr_t)copy.ptr)[i] ^= (char)flips[f];
            struct batch *batch = batch_new();
            otlp_decode_protobuf(batch, copy, (struct slice){NULL, 0}, NULL);
            assert_true(batch->count + batch->rejected <= 2);
            batch_finish(batch);
            batch_unref(batch);
            forget(copy);
        }
    buf_free(&body);
}

/* A request with one good span and then `bytes` as the fields of another. */
static void put_two(struct buf *out, struct slice bytes) {
    size_t around = pb_begin(out, 1), scoped = pb_begin(out, 2);
    put_span(out, 1, 0, "good", "hi");
    size_t span = pb_begin(out, 2);
    buf_put_slice(out, bytes);
    pb_end(out, span);
    put_span(out, 2, 0, "good", "hi");
    pb_end(out, scoped);
    pb_end(out, around);
}

static void protobuf_span_without_meaning_costs_only_itself(void **state) {
    struct buf deep = {0}, many = {0};
    buf_put(&deep,
            "\x0a\x10"
            "0123456789abcdef"
            "\x12\x08"
            "12345678",
            28);
    size_t attr = pb_begin(&deep, 9), marks[2 * 40];
    pb_put_bytes(&deep, 1, SLICE("deep"));
    size_t any = pb_begin(&deep, 2);
    for (int i = 0; i < 40; i++) marks[2 * i] = pb_begin(&deep, 5), marks[2 * i + 1] = pb_begin(&deep, 1);
    for (int i = 79; i >= 0; i--) pb_end(&deep, marks[i]);
    pb_end(&deep, any), pb_end(&deep, attr);
    for (int i = 0; i < 5000; i++) put_attr_int(&many, 9, "k", i);
    const struct {
        struct slice bytes;
        const char *reason;
    } cases[] = {
        {SLICE(""), "2: span 0000000000000000 (\"\"): trace_id is missing or all zeros; expected 32 hex digits"},
        {SLICE("\x0a\x04xxxx"), "2: span 2: trace_id has 4 bytes; expected 16"},
        {SLICE("\x0a\x10"
               "0123456789abcdef"
               "\x12\x09"
               "123456789"),
         "span_id has 9 bytes; expected 8"},
        {SLICE("\x28\x01"), "name: expected bytes, found a varint"},
        {SLICE("\x38\x01"), "start_time_unix_nano: expected a 64-bit field, found a varint"},
        {SLICE("\x2a\x02hi\x4a\x05\x0a\x7fxxx"),
         "span 2 (\"hi\"): attributes: a field is longer than what is left of its message"},
        {SLICE("\x4a\x04\x12\x02\x0a\x09"), "attributes: a value is broken or cut off"},
        {SLICE("\x2b"), "byte 0 of the span: a field has a wire type that is not taken"},
        {SLICE("\x0a\x10"
               "0123456789abcdef"
               "\x12\x08"
               "12345678"
               "\x2a\x02hi"),
         "span 3132333435363738 (\"hi\"): start time is 0"},
        {SLICE("\x0a\x10"
               "0123456789abcdef"
               "\x12\x08"
               "12345678"
               "\x39\xff\xff\xff\xff\xff\xff\xff\xff"),
         "lies more than a day in the future"},
        {buf_slice(&deep), "attributes: a list is broken, or nested deeper than 32"},
        {buf_slice(&many), "attributes: more than 4096"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf body = {0};
        put_two(&body, cases[i].bytes);
        struct batch *batch = decode_protobuf(buf_slice(&body), 0, NULL);
        assert_int_equal(batch->count, 2);
        assert_int_equal(batch->rejected, 1);
        assert_int_equal(batch->rejections[0].position, 2);
        assert_contains(rejection(batch, 0), cases[i].reason);
        batch_unref(batch);
        buf_free(&body);
    }
    buf_free(&deep), buf_free(&many);
}

static void texts_that_are_no_utf8_are_mended(void **state) {
    struct buf body = {0};
    size_t around = pb_begin(&body, 1), scoped = pb_begin(&body, 2);
    put_span(&body, 1, 0, "n\xff", "[{\"role\":\"user\",\"content\":\"\xc3\x28\"}]");
    pb_end(&body, scoped), pb_end(&body, around);
    struct batch *batch = decode_protobuf(buf_slice(&body), 0, NULL);
    assert_string_equal(text_of(&batch->spans[0], COL_OPERATION), "n\xef\xbf\xbd");
    assert_string_equal(text_of(&batch->spans[0], COL_PROMPT), "[{\"role\":\"user\",\"content\":\"\xef\xbf\xbd(\"}]");
    batch_unref(batch);
    buf_free(&body);
}

static void request_of_too_many_spans_is_over_the_limit(void **state) {
    struct buf body = {0};
    struct error err = {0};
    size_t around = pb_begin(&body, 1), scoped = pb_begin(&body, 2);
    for (int i = 0; i <= BATCH_SPANS_MAX; i++) {
        size_t span = pb_begin(&body, 2);
        pb_put_bytes(&body, 1, slice_make(BODY_TRACE, 16)), pb_put_bytes(&body, 2, SLICE("12345678")),
            pb_put_fixed64(&body, 7, BODY_START_NS);
        pb_end(&body, span);
    }
    pb_end(&body, scoped), pb_end(&body, around);
    struct batch *batch = decode_protobuf(buf_slice(&body), VT_ELIMIT, &err);
    assert_contains(err.message, "more than 65536 spans");
    batch_unref(batch);
    buf_free(&body);
}

/* ---- JSON ---- */

#define SPANS(spans)                                                                                                   \
    "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":"         \
    "\"shop\"}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"tracer\"},\"spans\":[" spans "]}]}]}"
#define IDS "\"traceId\":\"a00102030405060708090a0b0c0d0e0f\",\"spanId\":\"b000000000000001\","
#define START "\"startTimeUnixNano\":\"1795460391722000000\","

static const char strict[] =
    SPANS("{" IDS "\"parentSpanId\":\"b000000000000009\",\"name\":\"chat\",\"kind\":3," START
          "\"endTimeUnixNano\":\"1795460391729000000\",\"traceState\":\"vendor=1\",\"flags\":257,"
          "\"attributes\":[{\"key\":\"gen_ai.request.model\",\"value\":{\"stringValue\":\"gpt-\\u0034o\"}},{\"key\":"
          "\"gen_ai.usage.input_tokens\",\"value\":{\"intValue\":\"100\"}},"
          "{\"key\":\"gen_ai.usage.output_tokens\",\"value\":{\"intValue\":50}},{\"key\":\"gen_ai.request."
          "temperature\",\"value\":{\"doubleValue\":0.5}},{\"key\":\"b\",\"value\":{\"boolValue\":true}},"
          "{\"key\":\"list\",\"value\":{\"arrayValue\":{\"values\":[{\"stringValue\":\"a\"},{\"intValue\":\"-7\"},{"
          "\"kvlistValue\":{\"values\":[{\"key\":\"k\",\"value\":{\"arrayValue\":{\"values\":[]}}}]}}]}}},"
          "{\"key\":\"bytes\",\"value\":{\"bytesValue\":\"AQID\"}},{\"key\":\"nan\",\"value\":{\"doubleValue\":\"NaN\"}"
          "},{\"key\":\"empty\",\"value\":{}}],\"droppedAttributesCount\":2,"
          "\"events\":[{\"timeUnixNano\":\"1795460391723000000\",\"name\":\"e\",\"attributes\":[{\"key\":\"n\","
          "\"value\":{\"intValue\":\"1\"}}]}],"
          "\"links\":[{\"traceId\":\"a00102030405060708090a0b0c0d0e0f\",\"spanId\":\"b000000000000002\"}],\"status\":{"
          "\"message\":\"rate limited\",\"code\":2},\"later\":{\"a\":[1]}}");

static void json_keeps_every_field(void **state) {
    struct batch *batch = decode_json(strict, 0, NULL);
    assert_int_equal(batch->count, 1);
    assert_string_equal(json_of_span(&batch->spans[0]),
                        "{\"trace_id\":\"a00102030405060708090a0b0c0d0e0f\",\"span_id\":\"b000000000000001\",\"parent_"
                        "span_id\":\"b000000000000009\",\"operation\":\"chat\",\"kind\":\"llm\",\"service\":\"shop\","
                        "\"start\":\"2026-11-23T18:59:51.722000Z\",\"duration_ms\":7,\"status\":\"ERROR\",\"error\":"
                        "\"rate limited\",\"model\":\"gpt-4o\",\"tokens\":{\"input\":100,\"output\":50,\"total\":150},"
                        "\"temperature\":0.5,\"attributes\":{\"otel.kind\":\"CLIENT\",\"otel.links\":[{\"traceId\":"
                        "\"a00102030405060708090a0b0c0d0e0f\",\"spanId\":\"b000000000000002\"}],"
                        "\"gen_ai.request.model\":\"gpt-4o\",\"gen_ai.usage.input_tokens\":100,\"gen_ai.usage.output_"
                        "tokens\":50,\"gen_ai.request.temperature\":0.5,\"b\":true,"
                        "\"list\":[\"a\",-7,{\"k\":[]}],\"bytes\":\"AQID\",\"nan\":null,\"otel.dropped_attributes_"
                        "count\":2,\"otel.trace_state\":\"vendor=1\"},"
                        "\"events\":[{\"name\":\"e\",\"timestamp\":1795460391723,\"attributes\":{\"n\":1}}],"
                        "\"resource\":{\"otel.scope.name\":\"tracer\",\"service.name\":\"shop\"}}");
    batch_unref(batch);
}

static void json_written_by_hand_is_taken(void **state) {
    static const struct {
        const char *body, *part;
    } cases[] = {
        {"{\"resource_spans\":[{\"scope_spans\":[{\"spans\":[{\"trace_id\":\"a00102030405060708090a0b0c0d0e0f\",\"span_"
         "id\":\"b000000000000001\",\"parent_span_id\":\"b000000000000002\",\"name\":\"x\","
         "\"start_time_unix_nano\":1795460391722000000,\"end_time_unix_nano\":1795460391723000000}]}],\"resource\":{"
         "\"attributes\":{\"service.name\":\"late\"}}}]}",
         "\"parent_span_id\":\"b000000000000002\",\"operation\":\"x\",\"kind\":\"other\",\"service\":\"late\","
         "\"start\":\"2026-11-23T18:59:51.722000Z\",\"duration_ms\":1,"},
        {SPANS("{" IDS START "\"kind\":\"CLIENT\",\"status\":{\"code\":\"STATUS_CODE_ERROR\"}}"),
         "\"status\":\"ERROR\",\"attributes\":{\"otel.kind\":\"CLIENT\"}"},
        {SPANS("{" IDS START "\"kind\":\"SPAN_KIND_SERVER\",\"status\":\"ok\"}"),
         "\"status\":\"OK\",\"attributes\":{\"otel.kind\":\"SERVER\"}"},
        {SPANS("{" IDS START "\"attributes\":{\"llm.system\":\"openai\",\"llm.model_name\":\"gpt-4o\",\"deep\":{\"a\":["
               "1,{\"b\":null}]},\"n\":null,\"t\":true,\"f\":1.5}}"),
         "\"provider\":\"openai\",\"model\":\"gpt-4o\",\"attributes\":{\"llm.system\":\"openai\",\"llm.model_name\":"
         "\"gpt-4o\",\"deep\":{\"a\":[1,{\"b\":null}]},\"t\":true,\"f\":1.5}"},
        {SPANS("{" IDS START
               "\"attributes\":[{\"key\":\"a\",\"value\":\"x\"},{\"key\":\"b\",\"value\":7},{\"value\":{\"string_"
               "value\":\"y\"},\"key\":\"c\"},{\"key\":\"d\",\"value\":{\"int_value\":\"9\"}}]}"),
         "\"attributes\":{\"a\":\"x\",\"b\":7,\"c\":\"y\",\"d\":9}"},
        {SPANS("{\"traceId\":\"oAECAwQFBgcICQoLDA0ODw==\",\"spanId\":\"sAAAAAAAAAE=\",\"parentSpanId\":\"sAAAAAAAAAI="
               "\"," START "\"name\":\"x\"}"),
         "{\"trace_id\":\"a00102030405060708090a0b0c0d0e0f\",\"span_id\":\"b000000000000001\",\"parent_span_id\":"
         "\"b000000000000002\""},
        {SPANS("{" IDS "\"startTimeUnixNano\":\"2026-11-23T18:59:51.722Z\",\"endTimeUnixNano\":1.795460391723e18}"),
         "\"duration_ms\":1,"},
        {SPANS("{" IDS "\"parentSpanId\":\"\"," START
               "\"name\":null,\"attributes\":null,\"events\":null,\"links\":null,\"status\":null,\"traceState\":null}"),
         "\"kind\":\"other\",\"service\":\"shop\""},
        {SPANS("{" IDS START
               "\"events\":[{\"name\":\"e\",\"time_unix_nano\":\"1795460391722000000\",\"attributes\":{\"a\":1}}]}"),
         "\"events\":[{\"name\":\"e\",\"timestamp\":1795460391722,\"attributes\":{\"a\":1}}]"},
        {"{\"resourceSpans\":[{\"resource\":{},\"instrumentationLibrarySpans\":[{\"instrumentationLibrary\":{\"name\":"
         "\"old\"},\"spans\":[{" IDS START "\"name\":\"x\"}]}]}]}",
         "\"otel.scope.name\":\"old\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct batch *batch = decode_json(cases[i].body, 0, NULL);
        if (batch->rejected) fail_msg("%s", rejection(batch, 0));
        assert_int_equal(batch->count, 1);
        assert_contains(json_of_span(&batch->spans[0]), cases[i].part);
        batch_unref(batch);
    }
}

static void json_span_without_meaning_costs_only_itself(void **state) {
    static const struct {
        const char *span, *reason;
    } cases[] = {
        {"7", "2: span 2: spans: expected an object, found a number"},
        {"{}", "2: span 0000000000000000 (\"\"): trace_id is missing"},
        {"{\"traceId\":17}", "span 2: traceId: expected text, found a number"},
        {"{" IDS "\"name\":\"x\"}", "span b000000000000001 (\"x\"): start time is 0"},
        {"{" IDS "\"name\":\"x\",\"startTimeUnixNano\":\"soon\"}",
         "span 2 (\"x\"): startTimeUnixNano: expected nanoseconds since 1970, found \"soon\""},
        {"{" IDS "\"name\":\"x\",\"startTimeUnixNano\":\"18446744073709551615\"}",
         "startTimeUnixNano: expected nanoseconds since 1970, found 1.8446744073709552e+19, beyond 64 bits"},
        {"{" IDS "\"name\":\"x\",\"startTimeUnixNano\":{}}",
         "startTimeUnixNano: expected nanoseconds since 1970, found an object"},
        {"{" IDS "\"name\":\"x\",\"startTimeUnixNano\":-5}", "start time is -5"},
        {"{" IDS "\"name\":\"x\",\"startTimeUnixNano\":\"9223372036854775807\"}", "lies more than a day in the future"},
        {"{" IDS START "\"name\":[1]}", "name: expected text, found an array"},
        {"{" IDS START "\"attributes\":3}", "attributes: expected a list of {\"key\",\"value\"} or an object"},
        {"{" IDS START "\"attributes\":[3]}", "attributes: expected {\"key\",\"value\"} in the list"},
        {"{" IDS START "\"events\":{}}", "events: expected an array, found an object"},
        {"{" IDS START "\"events\":[null]}", "events: expected an object, found null"},
        {"{" IDS START "\"status\":[]}", "status: expected an object, found an array"},
        {"{" IDS START "\"status\":{\"message\":7}}", "status.message: expected text, found a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf body = {0};
        buf_printf(&body, SPANS("{" IDS START "\"name\":\"first\"},%s,{" IDS START "\"name\":\"last\"}"),
                   cases[i].span);
        struct batch *batch = decode_json(buf_cstr(&body), 0, NULL);
        if (batch->count != 2) fail_msg("%s: %u spans", cases[i].span, batch->count);
        assert_int_equal(batch->rejected, 1);
        assert_int_equal(batch->rejections[0].position, 2);
        assert_contains(rejection(batch, 0), cases[i].reason);
        batch_unref(batch);
        buf_free(&body);
    }
}

static void json_that_is_no_request_is_refused_with_what_was_expected(void **state) {
    static const struct {
        const char *body;
        int code;
        const char *reason;
    } cases[] = {
        {"", VT_EINVAL, "expected an object"},
        {"[]", VT_EINVAL, "expected an object, found an array"},
        {"{\"resourceSpans\":{}}", VT_EINVAL, "resourceSpans: expected an array, found an object"},
        {"{\"resourceSpans\":[1]}", VT_EINVAL, "expected an object with scopeSpans, found a number"},
        {"{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":7}]}]}", VT_EINVAL,
         "spans: expected an array, found a number"},
        {"{\"spans\":[]}", VT_EINVAL, "expected the key \"resourceSpans\", found \"spans\""},
        {"{\"resourceSpans\":[]} x", VT_EINVAL, "expected nothing more"},
        {"{\"resourceSpans\":[]", VT_EINVAL, "found the end"},
        {"{}", 0, NULL},
        {"{\"resourceSpans\":null}", 0, NULL},
        {"{\"resourceSpans\":[{\"scopeSpans\":null},{}]}", 0, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        struct batch *batch = decode_json(cases[i].body, cases[i].code, &err);
        if (cases[i].reason) assert_contains(err.message, cases[i].reason);
        batch_unref(batch);
    }
}

static void json_cut_at_any_byte_is_refused(void **state) {
    for (size_t cut = 0; cut + 1 < sizeof strict; cut++) {
        char *head = strndup(strict, cut);
        struct error err = {0};
        struct batch *batch = decode_json(head, VT_EINVAL, &err);
        assert_contains(err.message, cut ? "after" : "found");
        batch_unref(batch);
        free(head);
    }
}

static void json_nested_too_deep_is_refused(void **state) {
    struct buf body = {0};
    struct error err = {0};
    buf_puts(&body, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"attributes\":");
    for (int i = 0; i < 100000; i++) buf_puts(&body, "{\"a\":");
    struct batch *batch = decode_json(buf_cstr(&body), VT_ELIMIT, &err);
    assert_contains(err.message, "nested deeper than 128");
    batch_unref(batch);
    /* What the reader still takes may be too deep for a value: that costs the span. */
    buf_clear(&body);
    buf_puts(&body, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{" IDS START
                    "\"attributes\":[{\"key\":\"deep\",\"value\":");
    for (int i = 0; i < 36; i++) buf_puts(&body, "{\"arrayValue\":[");
    for (int i = 0; i < 36; i++) buf_puts(&body, "]}");
    buf_puts(&body, "}]}]}]}]}");
    batch = decode_json(buf_cstr(&body), 0, NULL);
    assert_int_equal(batch->rejected, 1);
    assert_contains(rejection(batch, 0), "nested deeper than 32");
    batch_unref(batch);
    buf_free(&body);
}

static void resource_stays_with_its_own_spans(void **state) {
    struct batch *batch =
        decode_json("{\"resourceSpans\":[{\"resource\":{\"attributes\":{\"service.name\":\"a\"}},\"scopeSpans\":[{"
                    "\"scope\":{\"name\":\"s1\",\"attributes\":{\"x\":1}},\"spans\":[{" IDS START "\"name\":\"1\"}]},"
                    "{\"spans\":[{" IDS START "\"name\":\"2\"}]}]},{\"scopeSpans\":[{\"spans\":[{" IDS START
                    "\"name\":\"3\"}]}]}]}",
                    0, NULL);
    assert_int_equal(batch->count, 3);
    assert_string_equal(text_of(&batch->spans[0], COL_RESOURCE),
                        "{\"otel.scope.name\":\"s1\",\"service.name\":\"a\",\"x\":1}");
    assert_string_equal(text_of(&batch->spans[1], COL_RESOURCE), "{\"service.name\":\"a\"}");
    assert_string_equal(text_of(&batch->spans[2], COL_RESOURCE), "");
    assert_string_equal(text_of(&batch->spans[2], COL_SERVICE), "");
    batch_unref(batch);
}

static void spans_older_than_the_retention_are_refused_with_a_reason(void **state) {
    struct batch *batch = batch_new();
    batch->oldest_ns = (int64_t)BODY_START_NS + 1;
    assert_int_equal(otlp_decode_json(batch, slice_of(strict), (struct slice){NULL, 0}, NULL), 0);
    assert_int_equal(batch->count, 0);
    assert_contains(rejection(batch, 0), "1: span b000000000000001 (\"chat\"): it started at 2026-11-23T18:59:51.722Z, "
                                         "but by --retention nothing before");
    batch_unref(batch);
}

static void warm_decoder_allocates_nothing_a_span(void **state);

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protobuf_keeps_every_field),
        cmocka_unit_test(protobuf_cut_at_any_byte_is_refused_or_whole),
        cmocka_unit_test(protobuf_with_a_wrong_byte_does_no_harm),
        cmocka_unit_test(protobuf_span_without_meaning_costs_only_itself),
        cmocka_unit_test(texts_that_are_no_utf8_are_mended),
        cmocka_unit_test(request_of_too_many_spans_is_over_the_limit),
        cmocka_unit_test(json_keeps_every_field),
        cmocka_unit_test(json_written_by_hand_is_taken),
        cmocka_unit_test(json_span_without_meaning_costs_only_itself),
        cmocka_unit_test(json_that_is_no_request_is_refused_with_what_was_expected),
        cmocka_unit_test(json_cut_at_any_byte_is_refused),
        cmocka_unit_test(json_nested_too_deep_is_refused),
        cmocka_unit_test(resource_stays_with_its_own_spans),
        cmocka_unit_test(spans_older_than_the_retention_are_refused_with_a_reason),
        cmocka_unit_test(warm_decoder_allocates_nothing_a_span),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* ---- allocations ---- */

static size_t allocations;
extern void *__libc_malloc(size_t), *__libc_realloc(void *, size_t), *__libc_calloc(size_t, size_t);

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif
#ifndef SANITIZED
void *malloc(size_t size) {
    return allocations++, __libc_malloc(size);
}
void *realloc(void *old, size_t size) {
    return allocations++, __libc_realloc(old, size);
}
void *calloc(size_t count, size_t size) {
    return allocations++, __libc_calloc(count, size);
}
#endif

static void warm_decoder_allocates_nothing_a_span(void **state) {
    /* The batch's blocks and its list of spans grow by doubling; beside them nothing may be asked for. */
    size_t counts[2];
    for (int round = 0; round < 2; round++) {
        struct buf body = {0};
        put_request(&body, round ? 200 : 100, false);
        struct batch *batch = batch_new();
        allocations = 0;
        assert_int_equal(otlp_decode_protobuf(batch, buf_slice(&body), (struct slice){NULL, 0}, NULL), 0);
        counts[round] = allocations;
        assert_int_equal(batch->count, round ? 200 : 100);
        batch_unref(batch);
        buf_free(&body);
    }
    assert_true(counts[1] <= counts[0] + 4);
    assert_true(counts[1] < 40);
}
