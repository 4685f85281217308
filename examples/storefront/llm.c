/* The call, by libcurl and jansson; the tracing is the six lines with vt_. */
#include "llm.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <vitrine.h>

enum { BODY_MAX = 4 << 20 };

/* What comes back, as it comes back. */
struct transfer {
    struct llm_answer *answer;
    vt_span *span;
    char *bytes; /* streaming: the line that is not complete yet; else the whole body */
    size_t len, cap;
    bool stream, done, saw_token;
    char finish_reason[32];
    vt_usage usage;
    CURL *curl;
};

static void add_text(char *to, size_t size, const char *text) {
    size_t used = strlen(to);
    if (text && used < size) snprintf(to + used, size - used, "%s", text);
}

static void set_text(char *to, size_t size, const char *text) {
    if (text) snprintf(to, size, "%s", text);
}

static void take_usage(struct transfer *t, const json_t *usage) {
    if (!json_is_object(usage)) return;
    t->usage = (vt_usage){
        .prompt_tokens = json_integer_value(json_object_get(usage, "prompt_tokens")),
        .completion_tokens = json_integer_value(json_object_get(usage, "completion_tokens")),
        .cached_tokens =
            json_integer_value(json_object_get(json_object_get(usage, "prompt_tokens_details"), "cached_tokens")),
        .reasoning_tokens = json_integer_value(
            json_object_get(json_object_get(usage, "completion_tokens_details"), "reasoning_tokens")),
    };
}

/* A message, or the part of one that a chunk of the stream brings. */
static void take_message(struct transfer *t, const json_t *message) {
    const json_t *call = json_array_get(json_object_get(message, "tool_calls"), 0),
                 *function = json_object_get(call, "function");
    const char *text = json_string_value(json_object_get(message, "content"));
    if ((text && *text) || call) {
        if (t->stream && !t->saw_token) vt_llm_first_token(t->span);
        t->saw_token = true;
    }
    add_text(t->answer->text, sizeof t->answer->text, text);
    set_text(t->answer->tool, sizeof t->answer->tool, json_string_value(json_object_get(function, "name")));
    set_text(t->answer->tool_call_id, sizeof t->answer->tool_call_id, json_string_value(json_object_get(call, "id")));
    add_text(t->answer->arguments, sizeof t->answer->arguments,
             json_string_value(json_object_get(function, "arguments")));
}

static void take_json(struct transfer *t, const char *text, size_t len) {
    json_t *body = json_loadb(text, len, 0, NULL);
    const json_t *choice = json_array_get(json_object_get(body, "choices"), 0);
    const json_t *message = json_object_get(choice, t->stream ? "delta" : "message");
    if (message) take_message(t, message);
    set_text(t->finish_reason, sizeof t->finish_reason, json_string_value(json_object_get(choice, "finish_reason")));
    take_usage(t, json_object_get(body, "usage"));
    set_text(t->answer->error, sizeof t->answer->error,
             json_string_value(json_object_get(json_object_get(body, "error"), "message")));
    json_decref(body);
}

static void take_lines(struct transfer *t) {
    char *line = t->bytes, *end = t->bytes + t->len, *stop;
    for (; (stop = memchr(line, '\n', (size_t)(end - line))); line = stop + 1) {
        if (strncmp(line, "data: ", 6) != 0) continue;
        if (strncmp(line + 6, "[DONE]", 6) == 0)
            t->done = true;
        else
            take_json(t, line + 6, (size_t)(stop - line - 6));
    }
    t->len = (size_t)(end - line);
    memmove(t->bytes, line, t->len);
}

static size_t on_data(char *data, size_t size, size_t count, void *ctx) {
    struct transfer *t = ctx;
    size_t more = size * count;
    long status = 0;
    if (t->len + more > BODY_MAX) return 0;
    if (t->len + more > t->cap) {
        size_t cap = (t->len + more) * 2;
        char *bytes = realloc(t->bytes, cap);
        if (!bytes) return 0;
        t->bytes = bytes, t->cap = cap;
    }
    memcpy(t->bytes + t->len, data, more);
    t->len += more;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->stream && status == 200) take_lines(t); /* an error is one JSON body, also when a stream was asked for */
    return more;
}

static char *request_body(const struct llm_settings *settings, const struct llm_request *request) {
    json_t *body = json_pack("{s:s,s:f,s:O}", "model", settings->model, "temperature", settings->temperature,
                             "messages", request->messages);
    if (request->tools) json_object_set(body, "tools", (json_t *)request->tools);
    if (request->stream) {
        json_object_set_new(body, "stream", json_true());
        json_object_set_new(body, "stream_options", json_pack("{s:b}", "include_usage", 1));
    }
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

static struct curl_slist *request_headers(const struct llm_settings *settings, const struct llm_request *request) {
    struct curl_slist *headers = curl_slist_append(NULL, "content-type: application/json");
    char line[512];
    if (settings->api_key) {
        snprintf(line, sizeof line, "authorization: Bearer %s", settings->api_key);
        headers = curl_slist_append(headers, line);
    }
    char traceparent[64];
    if (vt_inject(traceparent, sizeof traceparent)) {
        snprintf(line, sizeof line, "traceparent: %s", traceparent);
        headers = curl_slist_append(headers, line);
    }
    if (request->extra_header) headers = curl_slist_append(headers, request->extra_header);
    return headers;
}

/* 0 when the answer is whole; otherwise answer->error says why not. */
static int judge(struct transfer *t, CURLcode code, const char *curl_error) {
    long status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (!t->stream || status != 200) take_json(t, t->bytes ? t->bytes : "", t->len);
    char said[200];
    snprintf(said, sizeof said, "%.199s", t->answer->error);
    if (status >= 400)
        snprintf(t->answer->error, sizeof t->answer->error, "HTTP %ld%s%s", status, said[0] ? ": " : "", said);
    else if (code != CURLE_OK)
        snprintf(t->answer->error, sizeof t->answer->error, "%s",
                 curl_error[0] ? curl_error : curl_easy_strerror(code));
    else if (t->stream && !t->done)
        snprintf(t->answer->error, sizeof t->answer->error, "the stream ended before its end");
    else if (!t->answer->text[0] && !t->answer->tool[0])
        snprintf(t->answer->error, sizeof t->answer->error, "the answer is empty");
    else
        return 0;
    return -1;
}

static int perform(const struct llm_settings *settings, const struct llm_request *request, struct llm_answer *answer,
                   vt_span *span, struct transfer *t) {
    char url[512], curl_error[CURL_ERROR_SIZE] = "";
    int result = -1;
    char *body = request_body(settings, request);
    struct curl_slist *headers = request_headers(settings, request);
    *t = (struct transfer){.answer = answer, .span = span, .stream = request->stream, .curl = curl_easy_init()};
    if (!body || !headers || !t->curl) {
        snprintf(answer->error, sizeof answer->error, "no memory");
        goto out;
    }
    snprintf(url, sizeof url, "%s/chat/completions", settings->base_url);
    curl_easy_setopt(t->curl, CURLOPT_URL, url);
    curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(t->curl, CURLOPT_TIMEOUT_MS, settings->timeout_ms);
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, curl_error);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    result = judge(t, curl_easy_perform(t->curl), curl_error);
out:
    curl_easy_cleanup(t->curl);
    curl_slist_free_all(headers);
    free(body);
    free(t->bytes);
    return result;
}

int llm_call(const struct llm_settings *settings, const struct llm_request *request, struct llm_answer *answer) {
    struct transfer t;
    char *prompt = json_dumps(request->messages, JSON_COMPACT);
    *answer = (struct llm_answer){0};
    vt_span *span = vt_llm_start("openai.chat.completions.create", &(vt_llm_call){.provider = "openai",
                                                                                  .model = settings->model,
                                                                                  .temperature = settings->temperature,
                                                                                  .prompt = prompt,
                                                                                  .user_id = request->user_id,
                                                                                  .thread_id = request->thread_id});
    vt_span_set_bool(span, "llm.request.stream", request->stream);
    int result = perform(settings, request, answer, span, &t);
    if (result) vt_span_error(span, answer->error);
    char called[LLM_ARGUMENTS_MAX + 128];
    snprintf(called, sizeof called, "%s(%s)", answer->tool, answer->arguments);
    if (answer->text[0] || answer->tool[0])
        vt_llm_response(span, answer->text[0] ? answer->text : called, t.finish_reason[0] ? t.finish_reason : NULL);
    if (t.usage.prompt_tokens || t.usage.completion_tokens) vt_llm_usage(span, &t.usage);
    vt_span_end(span);
    free(prompt);
    return result;
}
