/* The other two signals of OTLP: GenAI events in logs, and metrics, which are counted. */
#include "decoded.h"
#include "otlp_body.h"

#define IDS "\"traceId\":\"a00102030405060708090a0b0c0d0e0f\",\"spanId\":\"b000000000000001\","
#define AT(ms) "\"timeUnixNano\":\"1795460391" ms "000000\","

static struct batch *logs_json(const char *body, int expected, uint64_t *ignored) {
    struct batch *batch = batch_new();
    struct error err = {0};
    struct slice copy = exactly(slice_of(body));
    int code = otlp_logs_decode_json(batch, copy, (struct slice){NULL, 0}, ignored, &err);
    if (code != expected) fail_msg("%s", err.message);
    batch_finish(batch);
    forget(copy);
    return batch;
}

static const char records[] =
    "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}}]"
    "},\"scopeLogs\":[{\"logRecords\":["
    "{" IDS AT(
        "722") "\"eventName\":\"gen_ai.system.message\",\"body\":{\"kvlistValue\":{\"values\":[{\"key\":\"content\","
               "\"value\":{\"stringValue\":\"Be "
               "\\\"kind\\\"\"}}]}},\"attributes\":[{\"key\":\"gen_ai.system\",\"value\":{\"stringValue\":\"openai\"}}]"
               "},"
               "{" IDS AT(
                   "723") "\"attributes\":[{\"key\":\"event.name\",\"value\":{\"stringValue\":\"gen_ai.user.message\"}}"
                          "],\"body\":{\"kvlistValue\":{\"values\":[{\"key\":\"content\",\"value\":{\"stringValue\":"
                          "\"Hi\"}}]}}},"
                          "{" IDS AT(
                              "729") "\"eventName\":\"gen_ai.choice\",\"body\":{\"kvlistValue\":{\"values\":[{\"key\":"
                                     "\"index\",\"value\":{\"intValue\":\"0\"}},{\"key\":\"finish_reason\",\"value\":{"
                                     "\"stringValue\":\"stop\"}},"
                                     "{\"key\":\"message\",\"value\":{\"kvlistValue\":{\"values\":[{\"key\":"
                                     "\"content\",\"value\":{\"stringValue\":\"Hello\"}}]}}}]}}},"
                                     "{" AT("729") "\"body\":{\"stringValue\":\"GET /\"},\"severityText\":\"INFO\"},"
                                                   "{\"traceId\":\"a00102030405060708090a0b0c0d0e0f\",\"spanId\":"
                                                   "\"b000000000000002\"," AT(
                                                       "730") "\"eventName\":\"gen_ai.client.inference.operation."
                                                              "details\",\"attributes\":["
                                                              "{\"key\":\"gen_ai.input.messages\",\"value\":{"
                                                              "\"stringValue\":\"[{\\\"role\\\":\\\"user\\\","
                                                              "\\\"parts\\\":[{\\\"type\\\":\\\"text\\\","
                                                              "\\\"content\\\":\\\"Hey\\\"}]}]\"}},"
                                                              "{\"key\":\"gen_ai.output.messages\",\"value\":{"
                                                              "\"stringValue\":\"[{\\\"role\\\":\\\"assistant\\\","
                                                              "\\\"parts\\\":[{\\\"type\\\":\\\"text\\\","
                                                              "\\\"content\\\":\\\"Yo\\\"}]}]\"}},"
                                                              "{\"key\":\"gen_ai.usage.input_tokens\",\"value\":{"
                                                              "\"intValue\":\"5\"}}]}]}]}]}";

static void events_of_a_span_become_one_child_of_it(void **state) {
    uint64_t ignored = 0;
    struct batch *batch = logs_json(records, 0, &ignored);
    assert_int_equal(batch->count, 2);
    assert_int_equal(batch->rejected, 0);
    assert_int_equal(ignored, 1);
    const struct span *talk = &batch->spans[0], *details = &batch->spans[1];
    assert_int_equal(talk->kind, KIND_OTHER);
    assert_contains(json_of_span(talk), "\"parent_span_id\":\"b000000000000001\",\"operation\":\"gen_ai.events\","
                                        "\"kind\":\"other\",\"service\":\"shop\"");
    assert_memory_equal(talk->trace_id, BODY_TRACE, TRACE_ID_SIZE);
    assert_int_equal(talk->duration_ns, 7000000);
    assert_string_equal(
        text_of(talk, COL_PROMPT),
        "[{\"role\":\"system\",\"content\":\"Be \\\"kind\\\"\"},{\"role\":\"user\",\"content\":\"Hi\"}]");
    assert_string_equal(text_of(talk, COL_COMPLETION),
                        "[{\"role\":\"assistant\",\"index\":0,\"finish_reason\":\"stop\",\"content\":\"Hello\"}]");
    assert_string_equal(text_of(details, COL_PROMPT), "[{\"role\":\"user\",\"content\":\"Hey\"}]");
    assert_string_equal(text_of(details, COL_COMPLETION), "[{\"role\":\"assistant\",\"content\":\"Yo\"}]");
    /* The span that it belongs to reports usage: it must not be counted twice. */
    assert_int_equal(details->tokens_input, SPAN_NO_INT);
    struct batch *again = logs_json(records, 0, NULL);
    assert_memory_equal(again->spans[0].span_id, talk->span_id, SPAN_ID_SIZE);
    assert_memory_not_equal(talk->span_id, details->span_id, SPAN_ID_SIZE);
    batch_unref(again);
    batch_unref(batch);
}

static void put_record(struct buf *out, uint64_t ns, const char *event, const char *content) {
    size_t record = pb_begin(out, 2);
    put_attr(out, 6, "event.name", event);
    pb_put_fixed64(out, 1, ns);
    size_t body = pb_begin(out, 5), list = pb_begin(out, 6);
    put_attr(out, 1, "content", content);
    pb_end(out, list), pb_end(out, body);
    pb_put_bytes(out, 9, slice_make(BODY_TRACE, 16));
    pb_put_bytes(out, 10, SLICE("\xb0\0\0\0\0\0\0\1"));
    pb_end(out, record);
}

static void protobuf_says_the_same(void **state) {
    struct buf body = {0};
    size_t around = pb_begin(&body, 1), scoped = pb_begin(&body, 2);
    put_record(&body, BODY_START_NS, "gen_ai.user.message", "Hi");
    put_record(&body, BODY_START_NS, "http.request", "GET /");
    put_record(&body, BODY_START_NS + 5000000, "gen_ai.assistant.message", "Hello");
    pb_end(&body, scoped), pb_end(&body, around);
    for (size_t cut = 0; cut < body.len; cut++) {
        struct batch *batch = batch_new();
        struct slice head = exactly(slice_make(body.ptr, cut));
        struct error err = {0};
        assert_int_equal(otlp_logs_decode_protobuf(batch, head, (struct slice){NULL, 0}, NULL, &err),
                         cut ? VT_EINVAL : 0);
        batch_unref(batch);
        forget(head);
    }
    uint64_t ignored = 0;
    struct batch *batch = batch_new();
    assert_int_equal(otlp_logs_decode_protobuf(batch, buf_slice(&body), SLICE("blue"), &ignored, NULL), 0);
    assert_int_equal(batch->count, 1);
    assert_int_equal(ignored, 1);
    assert_contains(text_of(&batch->spans[0], COL_PROMPT), "{\"role\":\"user\",\"content\":\"Hi\"");
    assert_contains(text_of(&batch->spans[0], COL_PROMPT), "{\"role\":\"assistant\",\"content\":\"Hello\"");
    assert_string_equal(text_of(&batch->spans[0], COL_PROJECT), "blue");
    batch_unref(batch);
    buf_free(&body);
}

static void records_without_meaning_are_told(void **state) {
    uint64_t ignored = 0;
    struct batch *batch = logs_json("{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[7,{},{" IDS
                                    "\"eventName\":\"gen_ai.choice\"}]}]}]}",
                                    0, &ignored);
    assert_int_equal(batch->count, 0);
    assert_int_equal(ignored, 1);
    assert_int_equal(batch->rejected, 2);
    assert_contains(rejection(batch, 0), "1: log record 1: expected an object");
    assert_contains(rejection(batch, 1), "start time is 0");
    batch_unref(batch);
    batch_unref(logs_json("{\"resourceSpans\":[]}", VT_EINVAL, NULL));
    for (size_t cut = 0; cut + 1 < sizeof records; cut++) {
        char *head = strndup(records, cut);
        batch_unref(logs_json(head, VT_EINVAL, NULL));
        free(head);
    }
}

static void metrics_are_counted(void **state) {
    uint64_t points = 0;
    assert_int_equal(otlp_metrics_count_json(SLICE("{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"name\":"
                                                   "\"a\",\"gauge\":{\"dataPoints\":[{},{}]}},"
                                                   "{\"name\":\"b\",\"histogram\":{\"dataPoints\":[{\"count\":\"1\"}],"
                                                   "\"aggregationTemporality\":2}},{\"name\":\"c\"}]}]},{}]}"),
                                             &points, NULL),
                     0);
    assert_int_equal(points, 3);
    assert_int_equal(otlp_metrics_count_json(SLICE("{\"resourceMetrics\":[{]"), &points, NULL), VT_EINVAL);
    assert_int_equal(otlp_metrics_count_json(SLICE("[]"), &points, NULL), VT_EINVAL);
    struct buf body = {0};
    size_t resource = pb_begin(&body, 1), scope = pb_begin(&body, 2);
    for (uint32_t kind = 5; kind <= 11; kind++) {
        size_t metric = pb_begin(&body, 2);
        pb_put_bytes(&body, 1, SLICE("name"));
        size_t data = pb_begin(&body, kind);
        for (int i = 0; i < 2; i++) pb_put_bytes(&body, 1, SLICE(""));
        pb_end(&body, data), pb_end(&body, metric);
    }
    pb_end(&body, scope), pb_end(&body, resource);
    assert_int_equal(otlp_metrics_count_protobuf(buf_slice(&body), &points, NULL), 0);
    assert_int_equal(points, 10);
    body.len--;
    assert_int_equal(otlp_metrics_count_protobuf(buf_slice(&body), &points, NULL), VT_EINVAL);
    buf_free(&body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_of_a_span_become_one_child_of_it),
        cmocka_unit_test(protobuf_says_the_same),
        cmocka_unit_test(records_without_meaning_are_told),
        cmocka_unit_test(metrics_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
