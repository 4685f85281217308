/* One trace as a tree with bars: what ran when, for how long, what it cost, what went wrong. */
#ifndef CLI_WATERFALL_H
#define CLI_WATERFALL_H

#include "cli/doc.h"
#include "cli/shape.h"
#include "cli/term.h"

struct waterfall_options {
    const struct shape_context *shape;
    bool whole; /* all messages, events and attributes, not their beginnings */
};

/* `trace` is the answer of /api/v1/traces/{id}. */
void waterfall_put(struct term *term, const struct doc *trace, const struct waterfall_options *options);
/* A bar of `width` half-exact cells that reaches from `from` to `to` (shares of the whole), with blanks around it. */
void waterfall_bar(struct buf *out, double from, double to, size_t width);

#endif
