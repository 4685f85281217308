/* What calls look like on the wire, and the spans that they become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/timestamp.h"
#include "proxy/seen.h"

#include <string.h>

enum { NONE = -1 };

struct wire_case {
    const char *what, *path, *provider;
    unsigned status;
    const char *type, *request, *answer;
    const char *operation, *model, *finish_reason, *prompt, *completion, *error;
    int64_t input, output, cached, cache_write, reasoning;
};

#define JSON_TYPE "application/json; charset=utf-8"
#define STREAM_TYPE "text/event-stream"

static const struct wire_case cases[] = {
    {"chat", "/v1/chat/completions", "openai", 200, JSON_TYPE,
     "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
     "{\"id\":\"c1\",\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
     "\"content\":null,\"tool_calls\":[{\"id\":\"t1\",\"type\":\"function\",\"function\":{\"name\":\"stock\","
     "\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":20,\"completion_"
     "tokens\":9,"
     "\"total_tokens\":29,\"prompt_tokens_details\":{\"cached_tokens\":16},\"completion_tokens_details\":{"
     "\"reasoning_tokens\":4}}}",
     "chat gpt-4o", "gpt-4o", "tool_calls", "[{\"role\":\"user\",\"content\":\"Hi\"}]", "\"name\":\"stock\"", NULL, 20,
     9, 16, NONE, 4},
    {"chat, streamed: pieces of text and of calls, usage in the last chunk", "/v1/chat/completions", "openai", 200,
     STREAM_TYPE, "{\"model\":\"gpt-4o\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
     ": keep-alive\r\n\r\ndata: "
     "{\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\r\n\r\n"
     "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Gr\\u00fc\\u00df\"}}]}\r\n\r\n"
     "data: "
     "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t1\",\"function\":{\"name\":"
     "\"stock\","
     "\"arguments\":\"{\\\"sku\\\"\"}}]}}]}\r\n\r\n"
     "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":7}\"}}]},"
     "\"finish_reason\":\"tool_calls\"}]}\r\n\r\n"
     "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}\r\n\r\ndata: [DONE]\r\n\r\n",
     "chat gpt-4o", "gpt-4o", "tool_calls", "Hi",
     "[{\"role\":\"assistant\",\"content\":\"Grüß\",\"tool_calls\":[{\"id\":\"t1\",\"type\":\"function\",\"function\":{"
     "\"name\":\"stock\",\"arguments\":\"{\\\"sku\\\":7}\"}}]}]",
     NULL, 3, 5, NONE, NONE, NONE},
    {"completions", "/v1/completions", "openai", 200, JSON_TYPE,
     "{\"model\":\"gpt-3.5-turbo-instruct\",\"prompt\":\"Once\"}",
     "{\"choices\":[{\"text\":\" upon a "
     "time\",\"index\":0,\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1,"
     "\"completion_tokens\":3}}",
     "text_completion gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct", "length", "Once", " upon a time", NULL, 1, 3,
     NONE, NONE, NONE},
    {"responses: what is no message is passed over", "/v1/responses", "openai", 200, JSON_TYPE,
     "{\"model\":\"o4-mini\",\"instructions\":\"Be kind\",\"input\":\"Hi\"}",
     "{\"id\":\"r1\",\"status\":\"completed\",\"model\":\"o4-mini\",\"output\":[{\"type\":\"reasoning\",\"id\":\"x\"},{"
     "\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hello\"}]}],"
     "\"usage\":{"
     "\"input_tokens\":8,\"output_tokens\":30,\"input_tokens_details\":{\"cached_tokens\":2},\"output_tokens_details\":"
     "{"
     "\"reasoning_tokens\":24}}}",
     "chat o4-mini", "o4-mini", "stop",
     "[{\"role\":\"system\",\"content\":\"Be kind\"},{\"role\":\"user\",\"content\":\"Hi\"}]", "\"content\":\"Hello\"",
     NULL, 8, 30, 2, NONE, 24},
    {"responses, streamed", "/v1/responses", "openai", 200, STREAM_TYPE,
     "{\"model\":\"gpt-4o\",\"input\":\"Hi\",\"stream\":true}",
     "event: response.created\ndata: "
     "{\"type\":\"response.created\",\"response\":{\"id\":\"r1\",\"output\":[],\"usage\":null}}\n\n"
     "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"Hel\"}\n\n"
     "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"lo\"}\n\n"
     "data: "
     "{\"type\":\"response.completed\",\"response\":{\"id\":\"r1\",\"status\":\"completed\",\"output\":[{\"type\":"
     "\"message\","
     "\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hello\"}]}],\"usage\":{\"input_tokens\":"
     "4,"
     "\"output_tokens\":2}}}\n\n",
     "chat gpt-4o", "gpt-4o", "stop", "Hi", "\"content\":\"Hello\"", NULL, 4, 2, NONE, NONE, NONE},
    {"responses, broken off: the pieces stand for the whole", "/v1/responses", "openai", 200, STREAM_TYPE,
     "{\"model\":\"gpt-4o\",\"input\":\"Hi\"}",
     "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r1\",\"output\":[]}}\n\n"
     "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"Hel\"}\n\ndata: {\"type\":\"resp",
     "chat gpt-4o", "gpt-4o", "", "Hi", "\"content\":\"Hel\"", NULL, NONE, NONE, NONE, NONE, NONE},
    {"embeddings", "/v1/embeddings", "openai", 200, JSON_TYPE,
     "{\"model\":\"text-embedding-3-small\",\"input\":\"rain\"}",
     "{\"data\":[{\"embedding\":[0.1,0.2]}],\"model\":\"text-embedding-3-small\",\"usage\":{\"prompt_tokens\":2,"
     "\"total_tokens\":2}}",
     "embeddings text-embedding-3-small", "text-embedding-3-small", "", "rain", "", NULL, 2, NONE, NONE, NONE, NONE},
    {"messages: Anthropic counts what was cached apart", "/v1/messages", "anthropic", 200, JSON_TYPE,
     "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":9,\"system\":\"Be "
     "kind\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
     "{\"id\":\"m1\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\"content\":[{\"type\":\"text\",\"text\":"
     "\"Hello\"},{"
     "\"type\":\"tool_use\",\"id\":\"u1\",\"name\":\"stock\",\"input\":{\"sku\":7}}],\"stop_reason\":\"tool_use\","
     "\"usage\":{"
     "\"input_tokens\":10,\"output_tokens\":6,\"cache_read_input_tokens\":100,\"cache_creation_input_tokens\":50}}",
     "chat claude-sonnet-4-5", "claude-sonnet-4-5", "tool_use", "Be kind", "\"content\":\"Hello\",\"tool_calls\"", NULL,
     160, 6, 100, 50, NONE},
    {"messages behind another name count the same", "/v1/messages", "gateway", 200, JSON_TYPE,
     "{\"model\":\"claude-sonnet-4-5\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
     "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"Hello\"}],\"stop_reason\":\"end_turn\","
     "\"usage\":{"
     "\"input_tokens\":200,\"output_tokens\":6,\"cache_read_input_tokens\":100}}",
     "chat claude-sonnet-4-5", "claude-sonnet-4-5", "end_turn", "Hi", "Hello", NULL, 300, 6, 100, NONE, NONE},
    {"messages, streamed", "/v1/messages", "anthropic", 200, STREAM_TYPE,
     "{\"model\":\"claude-sonnet-4-5\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
     "event: message_start\ndata: "
     "{\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"role\":\"assistant\",\"content\":[],"
     "\"model\":\"claude-sonnet-4-5\",\"stop_reason\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n"
     "event: content_block_start\ndata: "
     "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
     "event: ping\ndata: {\"type\":\"ping\"}\n\n"
     "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n"
     "data: "
     "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"u1\",\"name\":"
     "\"stock\",\"input\":{}}}\n\n"
     "data: "
     "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{"
     "\\\"a\\\":1}\"}}\n\n"
     "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":12}}\n\n"
     "data: {\"type\":\"message_stop\"}\n\n",
     "chat claude-sonnet-4-5", "claude-sonnet-4-5", "tool_use", "Hi",
     "\"function\":{\"name\":\"stock\",\"arguments\":\"{\\\"a\\\":1}\"}", NULL, 10, 12, NONE, NONE, NONE},
    {"an error in the middle of a stream", "/v1/messages", "anthropic", 200, STREAM_TYPE,
     "{\"model\":\"claude-sonnet-4-5\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
     "event: error\ndata: "
     "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
     "chat claude-sonnet-4-5", "claude-sonnet-4-5", "", "Hi", "", "Overloaded", NONE, NONE, NONE, NONE, NONE},
    {"Gemini: thoughts count as output", "/v1beta/models/gemini-2.5-flash:generateContent", "google", 200, JSON_TYPE,
     "{\"systemInstruction\":{\"parts\":[{\"text\":\"Be kind\"}]},\"contents\":[{\"role\":\"user\",\"parts\":[{"
     "\"text\":\"Hi\"}]}],\"generationConfig\":{\"temperature\":0.5}}",
     "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hm\",\"thought\":true},{\"text\":\"Hello\"},{"
     "\"functionCall\":{\"name\":\"stock\",\"args\":{\"sku\":7}}}],\"role\":\"model\"},\"finishReason\":\"STOP\","
     "\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":20,\"candidatesTokenCount\":5,\"thoughtsTokenCount\":4,"
     "\"cachedContentTokenCount\":8,\"totalTokenCount\":29},\"modelVersion\":\"gemini-2.5-flash\",\"responseId\":"
     "\"g1\"}",
     "generate_content gemini-2.5-flash", "gemini-2.5-flash", "stop", "\"content\":\"Be kind\"",
     "[{\"role\":\"assistant\",\"content\":\"Hello\",\"tool_calls\":[{\"type\":\"function\","
     "\"function\":{\"name\":\"stock\",\"arguments\":\"{\\\"sku\\\":7}\"}}],\"reasoning\":\"hm\"}]",
     NULL, 20, 9, 8, NONE, 4},
    {"Gemini, streamed as events: the last counts are those of the whole",
     "/v1beta/models/gemini-2.5-flash:streamGenerateContent", "google", 200, STREAM_TYPE,
     "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"Hi\"}]}]}",
     "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hel\"}],\"role\":\"model\"}}],\"usageMetadata\":{"
     "\"promptTokenCount\":2,\"candidatesTokenCount\":1}}\r\n\r\n"
     "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"lo\"}]},\"finishReason\":\"MAX_TOKENS\"}],"
     "\"usageMetadata\":{\"promptTokenCount\":2,\"candidatesTokenCount\":3}}\r\n\r\n",
     "generate_content gemini-2.5-flash", "gemini-2.5-flash", "max_tokens", "Hi",
     "[{\"role\":\"assistant\",\"content\":\"Hello\"}]", NULL, 2, 3, NONE, NONE, NONE},
    {"Gemini, streamed as a list", "/v1beta/models/gemini-2.5-flash:streamGenerateContent", "google", 200, JSON_TYPE,
     "{\"contents\":[{\"parts\":[{\"text\":\"Hi\"}]}]}",
     "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hel\"}]}}]}\n,\n{\"candidates\":[{\"content\":{\"parts\":["
     "{"
     "\"text\":\"lo\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":2,"
     "\"candidatesTokenCount\":3}}]",
     "generate_content gemini-2.5-flash", "gemini-2.5-flash", "stop", "Hi",
     "[{\"role\":\"assistant\",\"content\":\"Hello\"}]", NULL, 2, 3, NONE, NONE, NONE},
    {"Gemini, an error", "/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent", "vertex",
     429, JSON_TYPE, "{}",
     "{\"error\":{\"code\":429,\"message\":\"Resource has been exhausted\",\"status\":\"RESOURCE_EXHAUSTED\"}}",
     "generate_content gemini-2.5-pro", "gemini-2.5-pro", "", "", "", "Resource has been exhausted", NONE, NONE, NONE,
     NONE, NONE},
    {"an error that is no JSON", "/v1/chat/completions", "openai", 502, "text/html", "{\"model\":\"gpt-4o\"}",
     "<html>Bad gateway</html>", "chat gpt-4o", "gpt-4o", "", "", "", "HTTP 502", NONE, NONE, NONE, NONE, NONE},
    {"a request that is no JSON", "/v1/chat/completions", "openai", 400, JSON_TYPE, "{{{",
     "{\"error\":{\"message\":\"We could not parse the JSON body\",\"type\":\"invalid_request_error\"}}", "chat", "",
     "", "", "", "We could not parse the JSON body", NONE, NONE, NONE, NONE, NONE},
};

static struct upstream upstream_named(const char *name) {
    return (struct upstream){.name = slice_of(name), .url = "http://h", .host = SLICE("h"), .provider = slice_of(name)};
}

static void expect_text(const struct wire_case *c, const struct span *span, enum col col, const char *wanted,
                        bool whole) {
    struct slice got = span_get_text(span, col);
    bool good = whole || !*wanted ? slice_is(got, wanted) : slice_find(got, slice_of(wanted)) != NULL;
    if (!good)
        fail_msg("%s: %s is \"%.*s\", expected \"%s\"", c->what, span_columns[col].name, (int)got.len,
                 got.ptr ? got.ptr : "", wanted);
}

static void expect_count(const struct wire_case *c, const char *what, int64_t got, int64_t wanted) {
    if (got != (wanted == NONE ? SPAN_NO_INT : wanted)) fail_msg("%s: %s is %lld", c->what, what, (long long)got);
}

static struct seen seen_of(const struct wire_case *c, const struct upstream *upstream) {
    struct seen seen = {.upstream = upstream,
                        .path = slice_of(c->path),
                        .status = c->status,
                        .answer_type = slice_of(c->type),
                        .request = slice_of(c->request),
                        .answer = slice_of(c->answer),
                        .start_ns = time_now_ns() - NS_PER_S,
                        .duration_ns = NS_PER_S / 2};
    seen_place(&seen);
    return seen;
}

static void calls_of_each_api_become_spans(void **state) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct wire_case *c = &cases[i];
        struct upstream upstream = upstream_named(c->provider);
        struct seen seen = seen_of(c, &upstream);
        struct batch *batch = batch_new();
        struct arena scratch = {0};
        assert_int_equal(seen_to_span(&seen, batch, &scratch), 0);
        arena_free(&scratch);
        const struct span *span = &batch->spans[0];
        expect_text(c, span, COL_OPERATION, c->operation, true);
        expect_text(c, span, COL_MODEL, c->model, true);
        expect_text(c, span, COL_PROVIDER, c->provider, true);
        expect_text(c, span, COL_FINISH_REASON, c->finish_reason, true);
        expect_text(c, span, COL_PROMPT, c->prompt, false);
        expect_text(c, span, COL_COMPLETION, c->completion, false);
        expect_text(c, span, COL_ERROR, c->error ? c->error : "", true);
        assert_int_equal(span->status, c->error ? STATUS_ERROR : STATUS_OK);
        if (!(span->flags & SPAN_USAGE_ESTIMATED)) {
            expect_count(c, "input", span->tokens_input, c->input);
            expect_count(c, "output", span->tokens_output, c->output);
        } else if (c->input != NONE) {
            fail_msg("%s: tokens were estimated", c->what);
        }
        expect_count(c, "cached", span->tokens_cached, c->cached);
        expect_count(c, "cache_write", span->tokens_cache_write, c->cache_write);
        expect_count(c, "reasoning", span->tokens_reasoning, c->reasoning);
        batch_unref(batch);
    }
}

/* Whatever the network cuts: every beginning of every answer is read without harm. */
static void beginnings_of_answers_are_read(void **state) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct upstream upstream = upstream_named(cases[i].provider);
        struct seen seen = seen_of(&cases[i], &upstream);
        struct slice whole = seen.answer;
        for (size_t len = 0; len < whole.len; len += 7) {
            struct batch *batch = batch_new();
            struct arena scratch = {0};
            seen.answer = slice_make(whole.ptr, len);
            seen.end = SEEN_CUT;
            assert_int_equal(seen_to_span(&seen, batch, &scratch), 0);
            assert_int_equal(batch->count, 1);
            arena_free(&scratch);
            batch_unref(batch);
        }
    }
}

static void first_token_is_the_first_text_not_the_first_byte(void **state) {
    static const char answer[] = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n"
                                 "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    size_t first = (size_t)(strstr(answer, "\n\n") + 2 - answer);
    const struct seen_mark marks[] = {{first, 10 * NS_PER_MS}, {sizeof answer - 1, 250 * NS_PER_MS}};
    struct wire_case c = cases[1];
    struct upstream upstream = upstream_named("openai");
    struct arena scratch = {0};
    struct batch *batch = batch_new();
    c.answer = answer;
    struct seen seen = seen_of(&c, &upstream);
    seen.marks = marks;
    seen.mark_count = 2;
    assert_int_equal(seen_to_span(&seen, batch, &scratch), 0);
    assert_int_equal(batch->spans[0].ttft_ns, 250 * NS_PER_MS);
    arena_free(&scratch);
    batch_unref(batch);
}

static void counts_are_found_at_the_end_of_what_was_cut(void **state) {
    struct wire_case c = cases[6];
    struct upstream upstream = upstream_named("openai");
    struct arena scratch = {0};
    struct batch *batch = batch_new();
    c.answer = "{\"data\":[{\"embedding\":[0.1,";
    struct seen seen = seen_of(&c, &upstream);
    seen.answer_cut = true;
    seen.tail = SLICE("0.3]}],\"model\":\"m\",\"usage\": {\"prompt_tokens\":77,\"total_tokens\":77}}");
    assert_int_equal(seen_to_span(&seen, batch, &scratch), 0);
    assert_int_equal(batch->spans[0].tokens_input, 77);
    assert_non_null(slice_find(span_get_text(&batch->spans[0], COL_ATTRIBUTES), SLICE("\"vitrine.truncated\":true")));
    arena_free(&scratch);
    batch_unref(batch);
}

static void headers_tell_who_asks(void **state) {
    static const struct {
        const char *name, *value;
        bool ours;
    } headers[] = {{"Authorization", "Bearer sk-12345678", false},
                   {"X-Vitrine-User", " ada ", true},
                   {"Helicone-Session-Id", "s1", true},
                   {"x-vitrine-property-Plan", "pro", true},
                   {"x-vitrine-key", "vt_secret00", true},
                   {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", false},
                   {"baggage", "user.id=not%20me,other=1", false}};
    struct seen seen = {0};
    struct arena arena = {0};
    char text[TRACEPARENT_TEXT_MAX];
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        assert_int_equal(seen_take_header(&seen, slice_of(headers[i].name), slice_of(headers[i].value), &arena),
                         headers[i].ours);
    seen_place(&seen);
    assert_true(slice_is(seen.user, "ada"));
    assert_true(slice_is(seen.thread, "s1"));
    assert_true(slice_is(seen.properties[0].name, "plan"));
    assert_int_equal(seen.secret_count, 1);
    assert_true(slice_is(seen.secrets[0], "sk-12345678"));
    seen_traceparent(&seen, text);
    assert_int_equal(strlen(text), 55);
    assert_memory_equal(text, "00-4bf92f3577b34da6a3ce929d0e0e4736-", 36);
    assert_memory_equal(text + 52, "-00", 4);
    arena_free(&arena);
}

static void bad_traceparents_start_a_trace_of_their_own(void **state) {
    static const char *const bad[] = {"",
                                      "00",
                                      "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                                      "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                                      "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                                      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
                                      "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct seen seen = {0};
        struct arena arena = {0};
        seen_take_header(&seen, SLICE("traceparent"), slice_of(bad[i]), &arena);
        seen_place(&seen);
        assert_true(id_is_zero(seen.parent_span_id, SPAN_ID_SIZE));
        assert_false(id_is_zero(seen.trace_id, TRACE_ID_SIZE));
        arena_free(&arena);
    }
}

static void upstreams_are_read_and_refused(void **state) {
    static const char *const good[] = {"openai=https://api.openai.com/", "az=https://x.openai.azure.com:8443/openai",
                                       "local=http://[::1]:8000"};
    static const char *const bad[] = {
        "openai",         "=http://h",    "a/b=http://h",     "a=ftp://h",     "a=http://", "a=http://user:pass@h",
        "a=http://h?x=1", "a=http://h:0", "a=http://h:99999", "a=http://h/a b"};
    struct upstreams all;
    struct arena arena = {0};
    struct error err;
    struct slice rest;
    assert_int_equal(upstreams_read(&all, good, 3, &arena, &err), 0);
    const struct upstream *found = upstream_of(&all, SLICE("openai/v1/models?limit=2"), &rest);
    assert_string_equal(found->url, "https://api.openai.com");
    assert_true(slice_is(rest, "/v1/models?limit=2"));
    assert_true(slice_is(all.list[1].provider, "azure"));
    assert_int_equal(all.list[1].port, 8443);
    assert_true(all.list[2].loopback);
    assert_null(upstream_of(&all, SLICE("open/v1"), &rest));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(upstreams_read(&all, &bad[i], 1, &arena, &err), VT_EINVAL);
        assert_null(strstr(err.message, "pass"));
    }
    static const char *const twice[] = {"a=http://h", "a=http://g"};
    assert_int_equal(upstreams_read(&all, twice, 2, &arena, &err), VT_EINVAL);
    arena_free(&arena);
}

static void paths_that_climb_are_known(void **state) {
    static const char *const climbing[] = {"/..",     "/../x",     "/v1/%2e%2E/x", "/v1%2f..%2fx",
                                           "/a/.%2e", "/a\\..\\b", "/a%5c..%5cb"};
    static const char *const fine[] = {"", "/", "/v1/a..b", "/v1/...", "/v1/.", "/x?path=/../y"};
    for (size_t i = 0; i < sizeof climbing / sizeof *climbing; i++) assert_true(path_climbs(slice_of(climbing[i])));
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) assert_false(path_climbs(slice_of(fine[i])));
}

static void paths_of_apis_are_known(void **state) {
    static const struct {
        const char *path;
        enum seen_api api;
    } paths[] = {{"/v1/chat/completions", API_CHAT},
                 {"/deployments/d/chat/completions?api-version=1", API_CHAT},
                 {"/v1/completions", API_COMPLETIONS},
                 {"/v1/responses", API_RESPONSES},
                 {"/v1/embeddings", API_EMBEDDINGS},
                 {"/v1/messages", API_MESSAGES},
                 {"/v1/threads/t1/messages", API_NONE},
                 {"/v1/messages/count_tokens", API_NONE},
                 {"/v1/models", API_NONE}};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(seen_api_of(slice_of(paths[i].path)), paths[i].api);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_of_each_api_become_spans),
        cmocka_unit_test(beginnings_of_answers_are_read),
        cmocka_unit_test(first_token_is_the_first_text_not_the_first_byte),
        cmocka_unit_test(counts_are_found_at_the_end_of_what_was_cut),
        cmocka_unit_test(headers_tell_who_asks),
        cmocka_unit_test(bad_traceparents_start_a_trace_of_their_own),
        cmocka_unit_test(upstreams_are_read_and_refused),
        cmocka_unit_test(paths_that_climb_are_known),
        cmocka_unit_test(paths_of_apis_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
