/* Masking on the thread that traces, before anything is kept: the scanners of base/secrets.h over whole texts, or over
 * the strings and numbers of a text that is JSON. */
#ifndef SDK_MASK_H
#define SDK_MASK_H

#include "base/slice.h"
#include "sdk/thread.h"

/* The text without the secrets of these kinds (VT_MASK_… bits). What comes back is the text itself, or stands in
 * buffers of the thread until its next call. In values of keys that are ids of users, threads and turns each
 * replacement tells one from another. Without memory for it nothing of the text is kept. */
struct slice mask_text(struct thread *self, unsigned kinds, struct slice key, struct slice text);
/* The same of a number, when it is one; false: keep it as it is. */
bool mask_number(struct thread *self, unsigned kinds, int64_t number, struct slice *text);

struct masker;                           /* a thread's buffers */
void masker_free(struct masker *masker); /* NULL is fine */

#endif
