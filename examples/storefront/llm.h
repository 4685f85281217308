/* One call to a model behind an OpenAI-compatible API, traced: with or without streaming, with tools. */
#ifndef STOREFRONT_LLM_H
#define STOREFRONT_LLM_H

#include <jansson.h>
#include <stdbool.h>

enum { LLM_TEXT_MAX = 16384, LLM_ARGUMENTS_MAX = 1024 };

struct llm_settings {
    const char *base_url; /* OPENAI_BASE_URL: "https://api.openai.com/v1" */
    const char *api_key;  /* OPENAI_API_KEY; NULL = none is sent. Never logged */
    const char *model;
    double temperature;
    long timeout_ms;
};

struct llm_request {
    const json_t *messages;
    const json_t *tools; /* NULL = none */
    bool stream;
    const char *user_id, *thread_id;
    const char *extra_header; /* "name: value", for the demo's fake model; NULL = none */
};

struct llm_answer {
    char text[LLM_TEXT_MAX];
    char tool[64]; /* name of the tool that the model wants called; empty = none */
    char tool_call_id[64];
    char arguments[LLM_ARGUMENTS_MAX];
    char error[256]; /* why it failed */
};

/* 0, or -1 with answer->error. Each call is a span of its own under the current one. Any thread. */
int llm_call(const struct llm_settings *settings, const struct llm_request *request, struct llm_answer *answer);

#endif
