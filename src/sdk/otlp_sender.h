/* Batches on their way to the collector: they wait in bounded memory, or, while it is away and there is a spool, on
 * disk; a thread of the sender's own sends them one at a time, oldest first. Whoever hands batches over never waits. */
#ifndef SDK_OTLP_SENDER_H
#define SDK_OTLP_SENDER_H

#include "sdk/otlp_config.h"

/* A request's body. */
struct parcel {
    struct parcel *next; /* the sender's */
    uint32_t spans;
    size_t size;
    char body[];
};

struct sender;

/* Owns the settings from then on, also when it fails. VT_ENOMEM, VT_EIO (the spool). A spool with files in it is sent
 * at once. */
int sender_new(struct sender **out, struct otlp_settings *settings, struct error *err);
/* Takes the parcel (from malloc). The oldest go when memory is full. */
void sender_put(struct sender *sender, struct parcel *parcel);
/* Tries to send all that waits. 0, or VT_ERROR_TIMEOUT when the collector does not take it now: it goes on waiting. */
int sender_flush(struct sender *sender, uint32_t timeout_ms);
/* Spans lost since the last call. */
uint64_t sender_lost(struct sender *sender);
/* Sends what can be in that time, spools or drops the rest, and frees. Answers as sender_lost. */
uint64_t sender_stop(struct sender *sender, uint32_t timeout_ms);
/* In a fresh child of fork. */
void sender_forked(struct sender *sender);

#endif
