/* Convex log streams: signatures, events of both schemas, traces tied to the functions that printed them. */
#include "decoded.h"

static const int64_t now_ns = INT64_C(1795460392000000000);

static struct batch *decode(const char *body, struct convex_decode *options, int expected) {
    struct batch *batch = batch_new();
    struct error err = {0};
    struct slice copy = exactly(slice_of(body));
    options->now_ns = now_ns;
    if (!options->max_skew_ms) options->max_skew_ms = 300000;
    int code = convex_decode(batch, copy, options, &err);
    if (code != expected) fail_msg("code %d: %s", code, err.message);
    batch_finish(batch);
    forget(copy);
    return batch;
}

/* The well-known example: printf '%s' "$body" | openssl dgst -sha256 -hmac key */
static void signature_is_checked_against_the_raw_body(void **state) {
    struct slice secret = SLICE("key"), body = SLICE("The quick brown fox jumps over the lazy dog");
    struct slice header = SLICE("sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
    assert_true(convex_signature_ok(secret, body, header));
    assert_true(convex_signature_ok(
        secret, body, SLICE(" sha256=F7BC83F430538424B13298E6AA6FB143EF4D59A14946175997479DBC2D1A3CD8 ")));
    assert_false(convex_signature_ok(SLICE("kex"), body, header));
    assert_false(convex_signature_ok(secret, SLICE("The quick brown fox jumps over the lazy cog"), header));
    assert_false(convex_signature_ok((struct slice){NULL, 0}, body, header));
    assert_false(convex_signature_ok(secret, body, (struct slice){NULL, 0}));
    for (size_t i = 0; i < header.len; i++) {
        char wrong[80];
        memcpy(wrong, header.ptr, header.len);
        wrong[i] ^= 1;
        assert_false(convex_signature_ok(secret, body, slice_make(wrong, header.len)));
        assert_false(convex_signature_ok(secret, body, slice_make(header.ptr, i)));
    }
}

/* console.log("🔍 TRACE:", JSON.stringify(object, null, 2)) as Convex prints it: quoted, escaped. */
#define TRACE_MESSAGE(id, span, parent, operation)                                                                     \
    "'\\ud83d\\udd0d TRACE: {\\\\n  \\\"timestamp\\\": \\\"2026-11-23T18:59:51.722Z\\\",\\\\n  \\\"trace\\\": "        \
    "{\\\"traceId\\\": \\\"" id "\\\", \\\"spanId\\\": \\\"" span "\\\", \\\"parentSpanId\\\": \\\"" parent            \
    "\\\", \\\"operation\\\": \\\"" operation "\\\", \\\"duration\\\": \\\"7ms\\\", \\\"status\\\": \\\"OK\\\"},\\\\n" \
    "  \\\"attributes\\\": {\\\"chat.user_id\\\": \\\"o\\\\'neil \\\\\\\\\\\\\\\" x\\\"}\\\\n}'"
#define EVENT(request, message)                                                                                        \
    "{\"topic\":\"console\",\"timestamp\":1795460391800,\"function\":{\"type\":\"action\",\"path\":\"chat:send\","     \
    "\"request_id\":\"" request "\",\"cached\":false},\"log_level\":\"LOG\",\"message\":\"" message                    \
    "\",\"is_truncated\":false}"
#define EXECUTION(request, status)                                                                                     \
    "{\"topic\":\"function_execution\",\"timestamp\":1795460391900,\"convex\":{\"deployment_name\":\"happy-otter-1\"," \
    "\"project_slug\":\"shop\"},\"function\":{\"type\":\"action\",\"path\":\"chat:send\",\"request_id\":\"" request    \
    "\"},\"execution_time_ms\":250.5,\"status\":\"" status                                                             \
    "\",\"error_message\":null,\"usage\":{\"database_read_bytes\":1077,\"memory_used_mb\":12.5}}"

static void lines_and_execution_of_a_request_are_one_trace(void **state) {
    static const char call[] =
        EVENT("d064ef901f7ec0b7", TRACE_MESSAGE("aaaaaaaaaa1", "bbbbbbbbb1", "bbbbbbbbb2", "openai.chat"));
    static const char turn[] = EVENT("d064ef901f7ec0b7", TRACE_MESSAGE("aaaaaaaaaa2", "bbbbbbbbb2", "", "chat.ask"));
    static const char execution[] = EXECUTION("d064ef901f7ec0b7", "success");
    const char *const orders[][3] = {{call, turn, execution}, {execution, turn, call}};
    for (int o = 0; o < 2; o++)
        for (int lines = 0; lines < 2; lines++) {
            struct buf body = {0};
            buf_printf(&body, lines ? "%s\n%s\n%s\n" : "[%s,%s,%s]", orders[o][0], orders[o][1], orders[o][2]);
            struct convex_decode options = {0};
            struct batch *batch = decode(buf_cstr(&body), &options, 0);
            if (batch->rejected) fail_msg("%s", rejection(batch, 0));
            assert_int_equal(batch->count, 3);
            assert_int_equal(options.accepted, 3);
            const struct span *c = &batch->spans[o ? 2 : 0], *t = &batch->spans[1], *e = &batch->spans[o ? 0 : 2];
            assert_string_equal(text_of(c, COL_OPERATION), "openai.chat");
            assert_memory_equal(c->parent_span_id, t->span_id, SPAN_ID_SIZE);
            assert_memory_equal(t->parent_span_id, e->span_id, SPAN_ID_SIZE);
            assert_true(id_is_zero(e->parent_span_id, SPAN_ID_SIZE));
            assert_memory_equal(c->trace_id, e->trace_id, TRACE_ID_SIZE);
            assert_memory_equal(t->trace_id, e->trace_id, TRACE_ID_SIZE);
            assert_string_equal(text_of(t, COL_USER_ID), "o'neil \" x");
            assert_contains(text_of(t, COL_ATTRIBUTES), "\"source.trace_id\":\"aaaaaaaaaa2\"");
            assert_contains(text_of(t, COL_ATTRIBUTES), "\"convex.function.path\":\"chat:send\",\"convex.function."
                                                        "type\":\"action\",\"convex.request_id\":\"d064ef901f7ec0b7\"");
            assert_string_equal(text_of(e, COL_OPERATION), "chat:send");
            assert_string_equal(text_of(e, COL_SERVICE), "shop");
            assert_int_equal(e->duration_ns, 250500000);
            assert_int_equal(e->start_ns, INT64_C(1795460391649500000));
            assert_int_equal(e->status, STATUS_OK);
            assert_contains(text_of(e, COL_ATTRIBUTES), "\"convex.deployment_name\":\"happy-otter-1\"");
            assert_contains(text_of(e, COL_ATTRIBUTES), "\"convex.usage.database_read_bytes\":1077");
            batch_unref(batch);
            buf_free(&body);
        }
}

static void old_streams_are_taken_too(void **state) {
    struct convex_decode options = {0};
    struct batch *batch =
        decode("[{\"_topic\":\"_console\",\"_timestamp\":1795460391800,\"_functionType\":\"query\",\"_functionPath\":"
               "\"shop:list\",\"_functionCached\":true,\"message\":\"[LOG] " TRACE_MESSAGE(
                   "aaaaaaaaaa2", "bbbbbbbbb2", "",
                   "chat.ask") "\"},"
                               "{\"_topic\":\"_execution_record\",\"_timestamp\":1795460391900,\"_functionType\":"
                               "\"httpAction\",\"_functionPath\":\"POST "
                               "/send\",\"status\":\"failure\",\"reason\":\"Unexpected\",\"executionTimeMs\":73},"
                               "{\"_topic\":\"_audit_log\",\"_timestamp\":1795460391900,\"action\":\"push_config\"},{"
                               "\"_topic\":\"_verification\",\"_timestamp\":1795460391900,\"message\":\"Convex "
                               "connection test\"}]",
               &options, 0);
    assert_int_equal(batch->count, 2);
    assert_int_equal(batch->rejected, 0);
    assert_int_equal(options.ignored, 1);
    assert_true(options.verification);
    assert_true(batch->spans[0].flags & SPAN_JOIN_BY_PARENT);
    assert_contains(text_of(&batch->spans[0], COL_ATTRIBUTES), "\"convex.function.cached\":true");
    assert_string_equal(text_of(&batch->spans[1], COL_OPERATION), "POST /send");
    assert_string_equal(text_of(&batch->spans[1], COL_ERROR), "Unexpected");
    assert_int_equal(batch->spans[1].status, STATUS_ERROR);
    assert_int_equal(batch->spans[1].duration_ns, 73000000);
    batch_unref(batch);
}

static void verification_alone_is_fine(void **state) {
    struct convex_decode options = {0};
    struct batch *batch =
        decode("[{\"topic\":\"verification\",\"timestamp\":1,\"message\":\"Convex webhook test\"}]", &options, 0);
    assert_true(options.verification);
    assert_int_equal(batch->count + batch->rejected, 0);
    batch_unref(batch);
}

static void other_console_lines_are_ignored(void **state) {
    struct convex_decode options = {0};
    struct batch *batch = decode(
        "[" EVENT("r1", "'Sent message!' 7 { a: 1 }") "," EVENT("r1", "plain") "," EVENT("r1", "") "]", &options, 0);
    assert_int_equal(batch->count + batch->rejected, 0);
    assert_int_equal(options.ignored, 3);
    assert_int_equal(options.events, 3);
    batch_unref(batch);
}

static void ids_in_hex_keep_their_own_trace(void **state) {
    struct convex_decode options = {0};
    struct batch *batch =
        decode("[" EVENT("r1", TRACE_MESSAGE("a0000000000000000000000000000001", "a000000000000001", "", "x")) "]",
               &options, 0);
    assert_int_equal(batch->count, 1);
    assert_int_equal(batch->spans[0].trace_id[0], 0xa0);
    assert_true(id_is_zero(batch->spans[0].parent_span_id, SPAN_ID_SIZE));
    batch_unref(batch);
}

static void old_events_are_refused_with_a_reason(void **state) {
    struct convex_decode options = {0};
    static const char late[] =
        "[{\"topic\":\"console\",\"timestamp\":1795460091000,\"message\":\"x\"},{\"topic\":\"console\",\"timestamp\":"
        "1795460692999,\"message\":\"x\"},{\"topic\":\"console\",\"timestamp\":\"soon\",\"message\":\"x\"},7]";
    struct batch *batch = decode(late, &options, 0);
    assert_int_equal(batch->rejected, 4);
    assert_contains(rejection(batch, 0), "1: event 1: its timestamp is 301 s from now, more than the 300 s");
    assert_contains(rejection(batch, 1), "event 2: its timestamp is 300 s from now");
    assert_contains(rejection(batch, 2), "event 3: timestamp: expected Unix milliseconds");
    assert_contains(rejection(batch, 3), "event 4: expected an object");
    batch_unref(batch);
    options = (struct convex_decode){.max_skew_ms = -1};
    batch = decode(late, &options, 0);
    assert_int_equal(options.ignored, 2);
    batch_unref(batch);
}

static void truncated_traces_are_reported_once(void **state) {
    struct convex_decode options = {0};
    struct batch *batch =
        decode("[{\"topic\":\"console\",\"timestamp\":1795460391800,\"message\":\"'TRACE: "
               "{\\\"timestamp\\\":\\\"2026-11-23T18:59:51.722Z\\\",\\\"trace\\\":{\\\"traceId\\\":\\\"a\\\","
               "\\\"spanId\\\":\\\"b\\\",\",\"is_truncated\":true},"
               "{\"topic\":\"console\",\"timestamp\":1795460391800,\"message\":\"'long text\",\"is_truncated\":true}]",
               &options, 0);
    assert_int_equal(options.truncated, 2);
    assert_int_equal(batch->rejected, 1);
    assert_contains(rejection(batch, 0), "event 1: Convex cut the message off after");
    batch_unref(batch);
}

static void broken_line_costs_itself_and_a_broken_array_the_request(void **state) {
    struct convex_decode options = {0};
    struct batch *batch = decode(
        EXECUTION("r1", "success") "\n{\"topic\":\"console\",\n\n  " EXECUTION("r2", "failure") "\n", &options, 0);
    assert_int_equal(batch->count, 2);
    assert_int_equal(batch->rejected, 1);
    assert_contains(rejection(batch, 0), "2: event 2: byte ");
    batch_unref(batch);
    batch = decode("[" EXECUTION("r1", "success") ",{]", &options, VT_EINVAL);
    batch_unref(batch);
    batch = decode("hello", &options, VT_EINVAL);
    batch_unref(batch);
    batch = decode("", &options, 0);
    batch_unref(batch);
    static const char whole[] =
        "[" EVENT("r1", TRACE_MESSAGE("aaaaaaaaaa2", "bbbbbbbbb2", "", "chat.ask")) "," EXECUTION("r2", "failure") "]";
    for (size_t cut = 1; cut + 1 < sizeof whole; cut++) {
        char *head = strndup(whole, cut);
        batch = decode(head, &options, VT_EINVAL);
        batch_unref(batch);
        free(head);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signature_is_checked_against_the_raw_body),
        cmocka_unit_test(lines_and_execution_of_a_request_are_one_trace),
        cmocka_unit_test(old_streams_are_taken_too),
        cmocka_unit_test(verification_alone_is_fine),
        cmocka_unit_test(other_console_lines_are_ignored),
        cmocka_unit_test(ids_in_hex_keep_their_own_trace),
        cmocka_unit_test(old_events_are_refused_with_a_reason),
        cmocka_unit_test(truncated_traces_are_reported_once),
        cmocka_unit_test(broken_line_costs_itself_and_a_broken_array_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
