/* Columns back to spans. */
#include "query/block_spans.h"

static void take_values(const struct vec *vec, const struct column *column, const uint32_t *rows, uint32_t count,
                        struct span *out) {
    size_t width = column->type == COL_BYTES ? column->width : 8;
    const uint8_t *from = vec->type == COL_BYTES ? vec->bytes
                          : vec->type == COL_INT ? (const void *)vec->ints
                                                 : (const void *)vec->doubles;
    for (uint32_t i = 0; i < count; i++) memcpy((char *)&out[i] + column->offset, from + rows[i] * width, width);
}

static int take_texts(struct block *block, enum col col, const uint32_t *rows, uint32_t count, struct arena *arena,
                      struct span *out, struct error *err) {
    struct slice *texts = arena_alloc(arena, count * sizeof *texts + 1);
    if (!texts)
        return error_set(err, VT_ELIMIT, "the texts of %u spans need more memory than a request may hold", count);
    int code = rowgroup_read_rows(block->group, col, rows, count, arena, texts, err);
    for (uint32_t i = 0; i < count && !code; i++) *span_text(&out[i], col) = texts[i];
    return code;
}

int block_spans(struct block *block, const uint32_t *rows, uint32_t count, struct arena *arena, struct span *out,
                struct error *err) {
    for (int c = 0; c < COL_COUNT; c++) {
        enum col col = (enum col)c;
        if (span_columns[c].type == COL_STRING && col != COL_TURN_ID) { /* turn ids may be mended */
            int code = take_texts(block, col, rows, count, arena, out, err);
            if (code) return code;
            continue;
        }
        const struct vec *vec = block_column(block, col, err);
        if (!vec) return err->code;
        if (c < COL_TEXT_FIRST) take_values(vec, &span_columns[c], rows, count, out);
        for (uint32_t i = 0; c >= COL_TEXT_FIRST && i < count; i++)
            *span_text(&out[i], col) = vec->type == COL_DICT ? vec->dict[vec->codes[rows[i]]] : vec->text[rows[i]];
    }
    return 0;
}
