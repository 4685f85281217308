/* How the fake server misbehaves: "status=429, delay_ms=300, ttft_ms=120, chunk_ms=15, cut=3, usage=no", from --behave
 * or, for one request, from its header x-fake-llm. */
#ifndef FAKE_LLM_BEHAVIOUR_H
#define FAKE_LLM_BEHAVIOUR_H

#include <stdbool.h>
#include <stddef.h>

struct behaviour {
    long status;   /* answer with this error; 0 = none */
    long delay_ms; /* before the answer begins (a long one is a time-out for the client) */
    long ttft_ms;  /* streaming: before the first piece */
    long chunk_ms; /* streaming: between pieces */
    long cut;      /* streaming: break the connection after this many pieces; 0 = never */
    bool no_usage; /* streaming: no usage even when it is asked for */
};

/* Lays what `text` says over *behaviour. False, with the word that has no meaning in `bad`, otherwise. */
bool behaviour_parse(const char *text, struct behaviour *behaviour, char *bad, size_t size);

#endif
