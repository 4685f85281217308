/* What serve_start asks of its options. Not thread-safe; before the loops run. */
#ifndef SERVE_OPTIONS_H
#define SERVE_OPTIONS_H

#include "base/buf.h"
#include "serve/serve.h"

/* Checks what belongs together and turns "0 = by the machine" into numbers. VT_EINVAL, VT_EUNSUPPORTED. */
int options_check(struct serve_options *options, struct error *err);
/* A certificate or key as text with a NUL behind it. */
int options_read_pem(const char *path, struct buf *out, struct error *err);

#endif
