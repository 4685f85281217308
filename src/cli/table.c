/* A table for people. */
#include "cli/table.h"

#include "cli/text.h"

enum { GAP = 2 };

struct cell {
    struct slice text; /* clean, or ours */
    size_t width;
    enum style style;
    bool raw; /* holds codes: it is never cut */
};

struct cells { /* a block of them */
    struct cells *next;
    size_t count;
    struct cell cell[256];
};

struct table {
    struct arena *arena;
    const struct table_column *columns;
    size_t column_count, cell_count;
    struct cells *first, *last;
    struct buf scratch;
    bool failed;
};

struct table *table_new(struct arena *arena, const struct table_column *columns, size_t count) {
    struct table *t = count && count <= TABLE_COLUMNS_MAX ? arena_calloc(arena, 1, sizeof *t) : NULL;
    if (t) *t = (struct table){.arena = arena, .columns = columns, .column_count = count};
    return t;
}

static void add(struct table *t, struct cell cell) {
    if (!t->last || t->last->count == sizeof t->last->cell / sizeof *t->last->cell) {
        struct cells *block = arena_alloc(t->arena, sizeof *block);
        if (!block) {
            t->failed = true;
            return;
        }
        block->next = NULL;
        block->count = 0;
        if (t->last)
            t->last->next = block;
        else
            t->first = block;
        t->last = block;
    }
    t->last->cell[t->last->count++] = cell;
    t->cell_count++;
}

void table_put(struct table *t, enum style style, struct slice text) {
    struct buf clean = {0};
    text_clean(&clean, text, false);
    struct slice copy = arena_copy(t->arena, buf_slice(&clean));
    if (clean.failed || (clean.len && !copy.ptr)) t->failed = true;
    buf_free(&clean);
    add(t, (struct cell){copy, text_width(copy), style, false});
}

void table_put_raw(struct table *t, struct slice text, size_t width) {
    struct slice copy = arena_copy(t->arena, text);
    if (text.len && !copy.ptr) t->failed = true;
    add(t, (struct cell){copy, width, STYLE_PLAIN, true});
}

size_t table_rows(const struct table *t) {
    return t->cell_count / t->column_count;
}

struct layout {
    size_t width[TABLE_COLUMNS_MAX]; /* 0 = left out */
    size_t shown;
};

static size_t least_of(const struct table *t, size_t column, size_t natural) {
    size_t least = t->columns[column].least;
    return least && least < natural ? least : natural;
}

/* Leaves out columns, then shares the room among those that may be cut. */
static void fit(const struct table *t, struct layout *l, size_t room) {
    size_t natural[TABLE_COLUMNS_MAX], needed, hideable;
    memcpy(natural, l->width, sizeof natural);
    for (;;) {
        needed = 0;
        hideable = t->column_count;
        for (size_t i = 0; i < t->column_count; i++) {
            if (!l->width[i]) continue;
            needed += (needed ? GAP : 0) + least_of(t, i, natural[i]);
            if (t->columns[i].rank && (hideable == t->column_count || t->columns[i].rank >= t->columns[hideable].rank))
                hideable = i;
        }
        if (needed <= room || hideable == t->column_count) break;
        l->width[hideable] = 0;
    }
    size_t spare = room > needed ? room - needed : 0, wanting = 0;
    for (size_t i = 0; i < t->column_count; i++)
        if (l->width[i]) {
            l->width[i] = least_of(t, i, natural[i]);
            wanting += natural[i] > l->width[i];
        }
    /* Equal shares, round after round, until all have what they want or nothing is left. */
    while (spare && wanting) {
        size_t share = spare / wanting ? spare / wanting : 1;
        wanting = 0;
        for (size_t i = 0; i < t->column_count && spare; i++) {
            if (!l->width[i] || l->width[i] >= natural[i]) continue;
            size_t more = natural[i] - l->width[i];
            if (more > share) more = share;
            if (more > spare) more = spare;
            l->width[i] += more;
            spare -= more;
            wanting += natural[i] > l->width[i];
        }
    }
}

static void lay_out(const struct table *t, const struct term *term, size_t indent, struct layout *l) {
    bool filled[TABLE_COLUMNS_MAX] = {false};
    size_t i = 0, total = 0;
    for (size_t c = 0; c < t->column_count; c++) l->width[c] = text_width(slice_of(t->columns[c].title));
    for (const struct cells *block = t->first; block; block = block->next)
        for (size_t k = 0; k < block->count; k++, i = (i + 1) % t->column_count) {
            if (block->cell[k].width) filled[i] = true;
            if (block->cell[k].width > l->width[i]) l->width[i] = block->cell[k].width;
        }
    for (size_t c = 0; c < t->column_count; c++) {
        if (!l->width[c]) l->width[c] = 1;
        if (term->width && !filled[c]) l->width[c] = 0;
        if (l->width[c]) total += (total ? GAP : 0) + l->width[c];
    }
    size_t room = term->width > indent ? term->width - indent : 1;
    if (term->width && total > room) fit(t, l, room);
}

static void put_cell(struct term *term, const struct cell *cell, size_t width, bool right, bool last) {
    size_t used = cell->width < width ? cell->width : width;
    if (right) term_spaces(term, width - used);
    term_puts(term, cell->raw ? "" : term_on(term, cell->style));
    size_t before = term->buf.len;
    if (cell->raw)
        buf_put_slice(&term->buf, cell->text);
    else
        text_put_cut(&term->buf, cell->text, width);
    if (cell->width > width)
        used = text_width(slice_from(buf_slice(&term->buf), before)); /* a wide character may not have fit */
    term_puts(term, cell->raw ? "" : term_off(term, cell->style));
    if (!right && !last) term_spaces(term, width - used);
}

int table_print(const struct table *t, struct term *term, size_t indent, struct error *err) {
    struct layout l = {0};
    size_t last = 0, column = 0;
    bool begun = false;
    if (t->failed) return error_set(err, VT_ENOMEM, "no memory for the table");
    lay_out(t, term, indent, &l);
    for (size_t c = 0; c < t->column_count; c++)
        if (l.width[c]) last = c;
    term_spaces(term, indent);
    for (size_t c = 0; c < t->column_count; c++) {
        if (!l.width[c]) continue;
        struct slice title = slice_of(t->columns[c].title);
        const struct cell head = {title, text_width(title), STYLE_DIM, false};
        if (begun) term_spaces(term, GAP);
        put_cell(term, &head, l.width[c], t->columns[c].right, c == last);
        begun = true;
    }
    term_puts(term, "\n");
    for (const struct cells *block = t->first; block; block = block->next)
        for (size_t k = 0; k < block->count; k++) {
            if (column == 0) term_spaces(term, indent), begun = false;
            if (l.width[column]) {
                if (begun) term_spaces(term, GAP);
                put_cell(term, &block->cell[k], l.width[column], t->columns[column].right, column == last);
                begun = true;
            }
            if (++column == t->column_count) {
                column = 0;
                term_puts(term, "\n");
            }
        }
    return 0;
}
