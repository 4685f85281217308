/* Tail sampling: which whole traces are kept for good (docs/sampling.md). The store asks when it seals; until then
 * everything is there, and viewers, metrics and alerts see every span.
 *
 * Not thread-safe: the store asks from one thread at a time. */
#ifndef SERVE_SAMPLING_H
#define SERVE_SAMPLING_H

#include "base/buf.h"
#include "base/error.h"
#include "span/span.h"

struct sampling; /* opaque */

/* `spec` is rules ("keep=status:error; keep=duration:>5s; rate=10%") or the path of a YAML file (it ends in .yaml or
 * .yml). *sampling is NULL when spec is NULL or empty: everything is kept. `catalog_path`, where scores are, is copied
 * and opened when a rule first asks. VT_EINVAL: the message says the column, or file and line, of the mistake. */
int sampling_load(struct sampling **sampling, const char *spec, const char *catalog_path, struct error *err);
/* How long a trace may be silent before it counts as ended although its root never came; 0 = none waits, which is so at
 * first. */
void sampling_set_wait(struct sampling *sampling, uint32_t wait_ms);
void sampling_free(struct sampling *sampling); /* NULL is fine */

/* struct store_options' `keep`: 1 when a rule keeps the trace (or what is there of it), the rate when chance does, 0
 * when nothing does; STORE_KEEP_WAIT when it is under way: its root is not there yet and its newest span ended less
 * than the wait ago. Chance depends on the trace id alone. */
double sampling_keep(void *sampling, const struct span *const *trace, uint32_t count, bool last);

/* What is in force, as one line for people. */
void sampling_describe(const struct sampling *sampling, struct buf *out);

#endif
