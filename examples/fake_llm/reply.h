/* What the fake model says: a pure function of the request, so that tests and demos get the same answer every time. */
#ifndef FAKE_LLM_REPLY_H
#define FAKE_LLM_REPLY_H

#include <jansson.h>
#include <stdbool.h>

enum { REPLY_TEXT_MAX = 4096 };

/* The provider whose API was called; both are asked the same things in other words. */
enum dialect { DIALECT_OPENAI, DIALECT_ANTHROPIC };

struct reply {
    char text[REPLY_TEXT_MAX]; /* what is said; empty when a tool is called */
    char tool[64];             /* name of the tool to call; empty = none */
    char arguments[256];       /* of the tool, a JSON object */
    long input_tokens;         /* all that was read */
    long cached_tokens;        /* part of input_tokens */
    long output_tokens;        /* all that was written */
    long reasoning_tokens;     /* part of output_tokens */
    bool cut_by_length;        /* max_tokens ended it */
};

/* `request` is the body of a chat completion (OpenAI) or of messages (Anthropic). */
void reply_to(const json_t *request, enum dialect dialect, struct reply *reply);

/* Deterministic unit vector of `size` numbers for a text. */
void embed(const char *text, float *vector, size_t size);

/* Roughly what a tokenizer would count: a token for each four bytes. */
long count_tokens(const char *text);

#endif
