/* From finished records to exporters: a background thread that looks when enough spans wait or time is up, or, in
 * synchronous mode, the thread that ends the span. */
#ifndef SDK_PIPELINE_H
#define SDK_PIPELINE_H

#include "sdk/settings.h"
#include "sdk/thread.h"

enum { PIPELINE_EXPORTERS = 16 };

/* This thread is inside an exporter: it traces nothing, lest exporting a span makes another. */
extern _Thread_local bool pipeline_exporting __attribute__((tls_model("initial-exec")));

/* Takes the settings and exporters over, unless it returns false (no memory, or an exporter of the last run never
 * returned). The background thread starts with the first span. */
bool pipeline_start(struct settings *settings, const vt_exporter *exporters, size_t count);
/* Exports what waits, within the settings' time, and frees settings and exporters. */
void pipeline_stop(void);
/* Spans that ended before are exported: 0 or VT_ERROR_…. */
int pipeline_flush(uint32_t timeout_ms);
/* The caller's thread: a span has ended. */
void pipeline_push(struct thread *thread, const struct record *record, const char *data);

struct pipeline_counts {
    uint64_t exported, dropped_export;
};
struct pipeline_counts pipeline_counts(void);

/* In a fresh child of fork. */
void pipeline_forked(void);

#endif
