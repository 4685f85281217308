/* Text on a terminal: how many columns it takes, where it may be cut, and what of it may go there at all. Pure
 * functions.
 *
 * Widths are of grapheme clusters: an emoji with its modifiers is two columns, a combining accent none of its own. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include "base/buf.h"

/* Appends `text` such that nothing in it can steer a terminal: control characters become their picture (ESC as U+241B),
 * white space a blank, bidirectional overrides and bytes that are no UTF-8 U+FFFD. With `lines`, line breaks stay. */
void text_clean(struct buf *out, struct slice text, bool lines);
/* Columns of text that is clean. */
size_t text_width(struct slice text);
/* The longest beginning that takes at most `width` columns; no cluster is cut. */
struct slice text_fit(struct slice text, size_t width);
/* Appends clean `text`, cut to `width` columns with "…" at its end when it is longer. */
void text_put_cut(struct buf *out, struct slice text, size_t width);
/* The first line of at most `width` columns, broken at a blank where there is one; *rest is what follows. */
struct slice text_wrap(struct slice text, size_t width, struct slice *rest);

#endif
