/* A table for people: columns as wide as what stands in them, cut or left out where the terminal is narrow.
 * On a terminal, columns without any value are left out too; into a pipe all stand, whole. Lives in an arena. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "base/arena.h"
#include "cli/term.h"

enum { TABLE_COLUMNS_MAX = 64 };

struct table_column {
    const char *title;
    bool right;     /* numbers */
    unsigned least; /* may be cut down to that many columns; 0 = never cut */
    unsigned rank;  /* on a narrow terminal the highest rank is left out first; 0 = never */
};

struct table; /* opaque */

/* `columns` is borrowed. NULL when memory ran out or there are too many. */
struct table *table_new(struct arena *arena, const struct table_column *columns, size_t count);
/* The next cell, row by row. `text` is somebody's: it is made harmless. */
void table_put(struct table *table, enum style style, struct slice text);
/* The same for text that is ours and may hold colour codes; `width` are its columns. */
void table_put_raw(struct table *table, struct slice text, size_t width);
size_t table_rows(const struct table *table);
/* With its headings. VT_ENOMEM when a cell was lost. */
int table_print(const struct table *table, struct term *term, size_t indent, struct error *err);

#endif
