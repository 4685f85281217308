/* Inside of the span calls, shared by the plain, LLM and chat ones. */
#ifndef SDK_SPAN_H
#define SDK_SPAN_H

#include "base/slice.h"
#include "sdk/settings.h"
#include "sdk/thread.h"

/* What a tracing thread needs of the settings. Published by vt_init, never freed: a thread may read it long after. */
struct limits {
    struct limits *older;
    uint32_t max_attributes, max_value_bytes, max_events;
    vt_capture capture;
    void (*redact)(void *ctx, const char *key, const char **text, size_t *size);
    void *redact_ctx;
    unsigned mask; /* VT_MASK_… */
    bool looks;    /* at texts before they are kept: there is redact or mask */
    vt_sampler sampler;
    bool ratio_all;
    uint64_t ratio_bound;
};

extern _Atomic(const struct limits *) span_limits; /* NULL: tracing is off */
static inline const struct limits *limits_now(void) {
    return atomic_load_explicit(&span_limits, memory_order_acquire);
}

/* Starts a child of the given scope (NULL or zero ids: a root) and makes it current. NULL when that can't be. prefix is
 * put before the operation unless it stands there already. */
struct span *span_open(struct thread *self, const struct limits *limits, struct slice prefix, const char *operation,
                       const struct scope *parent, uint8_t kind);
static inline vt_span *span_handle(struct span *span) {
    return span ? (vt_span *)atomic_load_explicit(&span->handle, memory_order_relaxed) : NULL;
}
/* The open span that records, or NULL. */
static inline struct span *span_recording(vt_span *handle) {
    struct span *span = slot_find(handle);
    return span && span->recording ? span : NULL;
}

/* Values are passed through redact and mask and cut before they come here. */
void span_put_text(struct span *span, const struct limits *limits, enum item_tag tag, struct slice key,
                   struct slice value);
void span_put_number(struct span *span, const struct limits *limits, enum item_tag tag, struct slice key, uint8_t type,
                     const void *eight_bytes);
/* Begins an event that happened now; false when it is past the limit. Its attributes follow. */
bool span_put_event(struct span *span, const struct limits *limits, struct slice name);
/* A text as it may be kept under this key: passed through redact, then without what is masked. */
struct slice span_redacted(const struct limits *limits, const char *key, struct slice text);
/* At most max_bytes, not within a code point. */
struct slice utf8_cut(struct slice text, size_t max_bytes);

/* The innermost scope of this thread that is still open; NULL: none. */
struct scope *scope_current(struct thread *self);
/* A new innermost scope, zeroed; NULL: no memory. */
struct scope *scope_push(struct thread *self);
/* The span has ended: takes its scope off if it is innermost. */
void scope_ended(struct thread *self, uintptr_t handle);

#endif
