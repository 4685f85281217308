/* LLM calls and chat turns: their lines byte for byte, previews, capture modes and redaction. */
#include "sdk_test.h"

#include <stdlib.h>
#include <string.h>

#define HEAD(operation, status, level)                                                                                 \
    "{\"timestamp\":\"TIME\",\"level\":\"" level "\",\"message\":\"TRACE: " operation                                  \
    "\",\"trace\":{\"traceId\":\"T1\",\"spanId\":\"S1\",\"operation\":\"" operation                                    \
    "\",\"duration\":\"DURATION\",\"status\":\"" status "\""
#define CALL HEAD("openai.chat.completions.create", "OK", "INFO") "},\"attributes\":{\"service.name\":\"shop\""

static void start_with(vt_capture capture) {
    vt_config config = sink_config();
    config.capture = capture;
    assert_int_equal(vt_init(&config), 0);
}

static const vt_llm_call whole_call = {.provider = "openai",
                                       .model = "gpt-4o-mini",
                                       .temperature = 0.7,
                                       .max_tokens = 500,
                                       .prompt = "Which jacket?",
                                       .user_id = "u1",
                                       .thread_id = "t1"};

static void one_call(void) {
    vt_span *span = vt_llm_start("openai.chat.completions.create", &whole_call);
    vt_llm_response(span, "The red one.", "stop");
    vt_llm_usage(
        span, &(vt_usage){.prompt_tokens = 159, .completion_tokens = 237, .cached_tokens = 100, .reasoning_tokens = 7});
    vt_span_end(span);
}

#define REQUEST                                                                                                        \
    ",\"llm.vendor\":\"openai\",\"llm.request.model\":\"gpt-4o-mini\",\"llm.request.temperature\":0.7,\"llm.request."  \
    "max_tokens\":500,"                                                                                                \
    "\"user.id\":\"u1\",\"thread.id\":\"t1\",\"prompt.length\":13"
#define ANSWER ",\"response.length\":12"
#define USAGE                                                                                                          \
    ",\"response.finish_reason\":\"stop\",\"llm.usage.prompt_tokens\":159,\"llm.usage.completion_tokens\":237,\"llm."  \
    "usage.total_tokens\":396,"                                                                                        \
    "\"gen_ai.usage.cache_read.input_tokens\":100,\"llm.usage.reasoning_tokens\":7}"
#define EVENTS                                                                                                         \
    ",\"events\":[{\"name\":\"llm.prompt\",\"timestamp\":MS,\"attributes\":{\"prompt.preview\":\"Which jacket?\"}},"   \
    "{\"name\":\"llm.response\",\"timestamp\":MS,\"attributes\":{\"response.preview\":\"The red "                      \
    "one.\",\"response.length\":12}}]"

static void llm_call_has_the_storefronts_line(void **state) {
    start_with(VT_CAPTURE_DEFAULT);
    one_call();
    assert_string_equal(sink_line(0), CALL REQUEST ANSWER USAGE EVENTS "}");
}

static void capture_full_keeps_the_texts(void **state) {
    start_with(VT_CAPTURE_FULL);
    one_call();
    assert_string_equal(sink_line(0), CALL REQUEST ",\"llm.input.messages\":\"Which jacket?\"" ANSWER
                                                   ",\"llm.output.messages\":\"The red one.\"" USAGE EVENTS "}");
}

static void capture_none_keeps_lengths_alone(void **state) {
    start_with(VT_CAPTURE_NONE);
    one_call();
    assert_string_equal(sink_line(0), CALL REQUEST ANSWER USAGE "}");
}

static void capture_comes_from_the_environment(void **state) {
    setenv("VITRINE_CAPTURE", "none", 1);
    sink_init();
    one_call();
    assert_string_equal(sink_line(0), CALL REQUEST ANSWER USAGE "}");
}

static void what_is_not_given_is_left_out(void **state) {
    sink_init();
    vt_span *span = vt_llm_start("openai.chat.completions.create", &(vt_llm_call){.provider = "", .prompt = ""});
    vt_llm_response(span, "", "");
    vt_llm_usage(span, &(vt_usage){.prompt_tokens = -1});
    vt_llm_usage(span, NULL);
    vt_span_end(span);
    vt_span_end(vt_llm_start("openai.chat.completions.create", NULL));
    assert_string_equal(sink_line(0), CALL "}}");
}

static void temperature_of_zero_can_be_said(void **state) {
    sink_init();
    vt_span_end(vt_llm_start("c", &(vt_llm_call){.temperature = VT_TEMPERATURE_ZERO}));
    assert_string_equal(line_value(0, "llm.request.temperature"), "0");
}

static void usage_total_is_the_sum_unless_told(void **state) {
    sink_init();
    static const struct {
        vt_usage usage;
        const char *total;
    } cases[] = {{{.prompt_tokens = 3, .completion_tokens = 4}, "7"},
                 {{.prompt_tokens = 3, .completion_tokens = 4, .total_tokens = 9}, "9"},
                 {{.prompt_tokens = 3}, "3"},
                 {{.prompt_tokens = INT64_MAX, .completion_tokens = 1}, ""},
                 {{.cached_tokens = 1}, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vt_span *span = vt_llm_start("c", NULL);
        vt_llm_usage(span, &cases[i].usage);
        vt_span_end(span);
        assert_string_equal(line_value(i, "llm.usage.total_tokens"), cases[i].total);
    }
}

/* 100 characters and no more, counted in code points, with "..." when cut. */
static void previews_are_cut_at_a_code_point(void **state) {
    static const char *const characters[] = {"a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x94\x8d"};
    sink_init();
    size_t line = 0;
    for (size_t i = 0; i < 4; i++)
        for (unsigned count = 99; count <= 101; count++, line++) {
            char text[512] = "", wanted[512] = "\"", length[16];
            for (unsigned k = 0; k < count; k++) strcat(text, characters[i]);
            for (unsigned k = 0; k < (count < 100 ? count : 100); k++) strcat(wanted, characters[i]);
            strcat(wanted, count > 100 ? "...\"" : "\"");
            snprintf(length, sizeof length, "%u", count);
            vt_span *span = vt_llm_start("c", &(vt_llm_call){.prompt = text});
            vt_llm_response(span, text, NULL);
            vt_span_end(span);
            assert_string_equal(line_value(line, "prompt.preview"), wanted);
            assert_string_equal(line_value(line, "response.preview"), wanted);
            assert_string_equal(line_value(line, "prompt.length"), length);
            assert_string_equal(line_value(line, "response.length"), length);
        }
}

static void preview_of_bytes_that_are_no_text_stays_small(void **state) {
    sink_init();
    char *text = malloc(10001);
    memset(text, 0x80, 10000);
    text[10000] = 0;
    vt_span_end(vt_llm_start("c", &(vt_llm_call){.prompt = text}));
    /* No code point begins in it; what may stand for 100 characters is kept. */
    assert_true(strlen(line_value(0, "prompt.preview")) < 3 * 500);
    free(text);
}

static void first_token_counts_once(void **state) {
    sink_init();
    vt_span *span = vt_llm_start("c", NULL);
    sleep_ms(20);
    vt_llm_first_token(span);
    sleep_ms(20);
    vt_llm_first_token(span);
    vt_span_end(span);
    double seconds = strtod(line_value(0, "gen_ai.response.time_to_first_chunk"), NULL);
    assert_true(seconds >= 0.019);
    const char *event = strstr(sink_raw(0), "\"gen_ai.first_token\"");
    assert_non_null(event);
    assert_null(strstr(event + 1, "\"gen_ai.first_token\""));
}

/* Chat turns ------------------------------------------------------------------------------------------------------- */

#define TURN HEAD("chat.continue_thread", "OK", "INFO") "},\"attributes\":{\"service.name\":\"shop\""
#define TURN_EVENTS                                                                                                    \
    ",\"events\":[{\"name\":\"chat.turn.start\",\"timestamp\":MS},{\"name\":\"chat.turn.complete\",\"timestamp\":MS}]"

static void chat_turn_has_the_storefronts_line(void **state) {
    sink_init();
    vt_span_end(vt_chat_start("continue_thread",
                              &(vt_chat_turn){.user_id = "u1", .thread_id = "t1", .turn_id = "3", .message_count = 5}));
    vt_span_end(vt_chat_start("chat.continue_thread", &(vt_chat_turn){0}));
    vt_span_end(vt_chat_start(NULL, NULL));
    assert_string_equal(sink_line(0), TURN ",\"chat.thread_id\":\"t1\",\"chat.user_id\":\"u1\",\"chat.message_count\":"
                                           "5,\"chat.turn_id\":\"3\"}" TURN_EVENTS "}");
    assert_string_equal(line_value(1, "operation"), "\"chat.continue_thread\"");
    assert_string_equal(line_value(2, "operation"), "\"chat.unknown\"");
}

static void failed_turn_is_not_complete(void **state) {
    sink_init();
    vt_span *span = vt_chat_start("continue_thread", NULL);
    vt_span_error(span, "no answer");
    vt_span_end(span);
    assert_string_equal(sink_line(0),
                        HEAD("chat.continue_thread", "ERROR",
                             "ERROR") ",\"error\":\"no answer\"},\"attributes\":{\"service.name\":\"shop\"},"
                                      "\"events\":[{\"name\":\"chat.turn.start\",\"timestamp\":MS}]}");
}

/* Around a function ------------------------------------------------------------------------------------------------ */

static int answers(vt_span *span, void *ctx) {
    vt_llm_response(span, ctx, "stop");
    return 0;
}
static int fails(vt_span *span, void *ctx) {
    return 42;
}
static int fails_with_reason(vt_span *span, void *ctx) {
    vt_span_error(span, "rate limited");
    return -7;
}
static int turn_with_call(vt_span *span, void *ctx) {
    return vt_trace_llm_call("call", &whole_call, answers, "yes");
}
static int sees_null(vt_span *span, void *ctx) {
    *(int *)ctx += span == NULL;
    return 5;
}

static void traced_functions_run_inside_their_span(void **state) {
    sink_init();
    assert_int_equal(vt_trace_chat_turn("turn", NULL, turn_with_call, NULL), 0);
    assert_string_equal(line_value(0, "operation"), "\"call\"");
    assert_string_equal(line_value(0, "response.preview"), "\"yes\"");
    assert_contains(sink_line(0), "\"traceId\":\"T1\",\"spanId\":\"S1\",\"parentSpanId\":\"S2\"");
    assert_contains(sink_line(1), "\"traceId\":\"T1\",\"spanId\":\"S2\",\"operation\":\"chat.turn\"");
}

static void results_of_traced_functions_are_handed_on_and_mark_the_span(void **state) {
    sink_init();
    assert_int_equal(vt_trace_llm_call("a", NULL, fails, NULL), 42);
    assert_int_equal(vt_trace_chat_turn("b", NULL, fails_with_reason, NULL), -7);
    assert_int_equal(vt_trace_llm_call("c", NULL, NULL, NULL), 0);
    assert_string_equal(line_value(0, "error"), "\"returned 42\"");
    assert_string_equal(line_value(1, "error"), "\"rate limited\"");
    assert_string_equal(line_value(2, "status"), "\"OK\"");
}

static void traced_functions_run_also_when_tracing_is_off(void **state) {
    int nulls = 0;
    assert_int_equal(vt_trace_llm_call("a", &whole_call, sees_null, &nulls), 5);
    assert_int_equal(vt_trace_chat_turn("b", NULL, sees_null, &nulls), 5);
    assert_int_equal(nulls, 2);
}

/* Redaction -------------------------------------------------------------------------------------------------------- */

/* Puts the key in place of what contains a secret, and empties what is to go. */
static void hide(void *ctx, const char *key, const char **text, size_t *size) {
    static char buffer[64];
    ++*(unsigned *)ctx;
    if (memmem(*text, *size, "secret", 6)) {
        *size = (size_t)snprintf(buffer, sizeof buffer, "<%s>", key);
        *text = buffer;
    } else if (memmem(*text, *size, "gone", 4)) {
        *text = NULL;
    }
}

static void redact_sees_every_text_before_it_is_kept(void **state) {
    unsigned calls = 0;
    vt_config config = sink_config();
    config.capture = VT_CAPTURE_FULL;
    config.redact = hide;
    config.redact_ctx = &calls;
    assert_int_equal(vt_init(&config), 0);
    vt_span *span = vt_llm_start(
        "c", &(vt_llm_call){.model = "secret-model", .prompt = "my secret", .user_id = "secret", .thread_id = "gone"});
    vt_llm_response(span, "a secret", "secret");
    vt_span_set_str(span, "plain", "fine");
    vt_span_set_str(span, "own", "secret");
    vt_attr attrs[] = {vt_attr_str("in.attrs", "secret"), vt_attr_int("number", 1)};
    vt_span_set_attrs(span, attrs, 2);
    vt_span_event(span, "e", attrs, 2);
    vt_span_error(span, "the secret failed");
    vt_span_end(span);
    const char *line = sink_raw(0);
    assert_lacks(line, "secret");
    assert_string_equal(line_value(0, "llm.request.model"), "\"<llm.request.model>\"");
    assert_string_equal(line_value(0, "user.id"), "\"<user.id>\"");
    assert_string_equal(line_value(0, "thread.id"), "\"\"");
    assert_string_equal(line_value(0, "llm.input.messages"), "\"<llm.input.messages>\"");
    assert_string_equal(line_value(0, "prompt.preview"), "\"<llm.input.messages>\"");
    assert_string_equal(line_value(0, "response.preview"), "\"<llm.output.messages>\"");
    assert_string_equal(line_value(0, "response.finish_reason"), "\"<response.finish_reason>\"");
    assert_string_equal(line_value(0, "plain"), "\"fine\"");
    assert_string_equal(line_value(0, "error"), "\"<error>\"");
    sink_line(0);
    assert_contains(sink_raw(0), "{\"name\":\"e\",");
    assert_contains(sink_raw(0), "\"attributes\":{\"in.attrs\":\"<in.attrs>\",\"number\":1}");
    assert_int_equal(calls, 11);
}

#define MAIL "jane@shop.example"
#define CARD "4111 1111 1111 1111"

static void mask_takes_out_secrets_wherever_they_stand(void **state) {
    vt_config config = sink_config();
    config.capture = VT_CAPTURE_FULL;
    config.mask = VT_MASK_ALL;
    assert_int_equal(vt_init(&config), 0);
    vt_span *span =
        vt_llm_start("ask " MAIL, &(vt_llm_call){.model = "gpt-4o",
                                                 .prompt = "[{\"role\":\"user\",\"content\":\"I am\\n" MAIL "\"}]",
                                                 .user_id = MAIL,
                                                 .thread_id = "t1"});
    vt_llm_response(span, "Your card " CARD " is taken", "stop");
    vt_span_set_str(span, "note", "call +49 171 1234567");
    vt_span_set_str(span, "plain", "fine");
    vt_span_set_int(span, "card", 4111111111111111);
    vt_span_set_int(span, "stock", 4111111111111112);
    vt_attr attrs[] = {vt_attr_str("to", MAIL), vt_attr_int("card", 4111111111111111), vt_attr_int("n", 1)};
    vt_span_event(span, "sent to " MAIL, attrs, 3);
    vt_span_error(span, "no such key: s"
                        "k-abcdefghijklmnopqrstuvwxyz");
    vt_span_end(span);
    const char *line = sink_raw(0);
    assert_lacks(line, "jane");
    assert_lacks(line, "1111 1111");
    assert_lacks(line, "4111111111111111");
    assert_string_equal(line_value(0, "operation"), "\"ask [email]\"");
    assert_string_equal(line_value(0, "llm.input.messages"),
                        "\"[{\\\"role\\\":\\\"user\\\",\\\"content\\\":\\\"I am\\\\n[email]\\\"}]\"");
    assert_string_equal(line_value(0, "llm.output.messages"), "\"Your card [card] is taken\"");
    assert_string_equal(line_value(0, "response.preview"), "\"Your card [card] is taken\"");
    assert_string_equal(line_value(0, "note"), "\"call [phone]\"");
    assert_string_equal(line_value(0, "plain"), "\"fine\"");
    assert_string_equal(line_value(0, "card"), "\"[card]\"");
    assert_string_equal(line_value(0, "stock"), "4111111111111112");
    assert_string_equal(line_value(0, "error"), "\"no such key: [apikey]\"");
    assert_contains(line, "{\"name\":\"sent to [email]\"");
    assert_contains(line, "\"attributes\":{\"to\":\"[email]\",\"card\":\"[card]\",\"n\":1}");
    /* Users stay apart. */
    assert_contains(line_value(0, "user.id"), "\"[email]-");
    assert_int_equal(strlen(line_value(0, "user.id")), strlen("\"[email]-01234567\""));
}

static void mask_comes_from_the_environment(void **state) {
    setenv("VITRINE_MASK", "card, email", 1);
    sink_init();
    vt_span *span = vt_span_start("s");
    vt_span_set_str(span, "a", MAIL " " CARD " +49 171 1234567");
    vt_span_end(span);
    assert_string_equal(line_value(0, "a"), "\"[email] [card] +49 171 1234567\"");
    vt_shutdown();
    sink_clear();
    setenv("VITRINE_MASK", "emial", 1); /* a slip masks too much rather than nothing */
    sink_init();
    span = vt_span_start("s");
    vt_span_set_str(span, "a", MAIL " +49 171 1234567");
    vt_span_end(span);
    assert_string_equal(line_value(0, "a"), "\"[email] [phone]\"");
    vt_shutdown();
    sink_clear();
    setenv("VITRINE_MASK", "none", 1);
    sink_init();
    span = vt_span_start("s");
    vt_span_set_str(span, "a", MAIL);
    vt_span_end(span);
    assert_string_equal(line_value(0, "a"), "\"" MAIL "\"");
}

static void mask_serves_as_the_callback_and_follows_one(void **state) {
    static const unsigned kinds = VT_MASK_EMAIL;
    vt_config config = sink_config();
    config.redact = vt_mask;
    config.redact_ctx = (void *)(uintptr_t)&kinds;
    assert_int_equal(vt_init(&config), 0);
    vt_span *span = vt_span_start("s");
    vt_span_set_str(span, "a", MAIL " " CARD);
    vt_span_end(span);
    assert_string_equal(line_value(0, "a"), "\"[email] " CARD "\"");
    vt_shutdown();
    sink_clear();
    config.mask = VT_MASK_CARD;
    assert_int_equal(vt_init(&config), 0);
    span = vt_span_start("s");
    vt_span_set_str(span, "a", MAIL " " CARD);
    vt_span_end(span);
    assert_string_equal(line_value(0, "a"), "\"[email] [card]\"");
    vt_shutdown();
    config.mask = 16;
    assert_int_equal(vt_init(&config), VT_ERROR_CONFIG);
    assert_contains(vt_error_message(), "vt_config.mask is 0x10");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(llm_call_has_the_storefronts_line),
        TEST(capture_full_keeps_the_texts),
        TEST(capture_none_keeps_lengths_alone),
        TEST(capture_comes_from_the_environment),
        TEST(what_is_not_given_is_left_out),
        TEST(temperature_of_zero_can_be_said),
        TEST(usage_total_is_the_sum_unless_told),
        TEST(previews_are_cut_at_a_code_point),
        TEST(preview_of_bytes_that_are_no_text_stays_small),
        TEST(first_token_counts_once),
        TEST(chat_turn_has_the_storefronts_line),
        TEST(failed_turn_is_not_complete),
        TEST(traced_functions_run_inside_their_span),
        TEST(results_of_traced_functions_are_handed_on_and_mark_the_span),
        TEST(traced_functions_run_also_when_tracing_is_off),
        TEST(redact_sees_every_text_before_it_is_kept),
        TEST(mask_takes_out_secrets_wherever_they_stand),
        TEST(mask_comes_from_the_environment),
        TEST(mask_serves_as_the_callback_and_follows_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
