/* Filters over a block: each term narrows a vector of row numbers, over a whole column at a time. */
#include "query/block_attr.h"
#include "query/blocks.h"
#include "query/filter_internal.h"
#include "query/weave_index.h"
#include "store/words.h"

/* Rows of the answer are written without a branch: each candidate is stored, and kept by moving on. */
#define KEEP_IF(condition)                                                                                             \
    for (uint32_t i = 0; i < count; i++) {                                                                             \
        uint32_t row = in[i];                                                                                          \
        out[kept] = row;                                                                                               \
        kept += (uint32_t)(condition);                                                                                 \
    }

struct selection {
    struct block *block;
    struct error *err;
    int code;
};

static uint32_t fail(struct selection *s, int code) {
    s->code = code ? code : VT_ENOMEM;
    return 0;
}

static const struct vec *column(struct selection *s, enum col col) {
    const struct vec *vec = block_column(s->block, col, s->err);
    if (!vec) fail(s, s->err->code);
    return vec;
}

/* ---- terms ---- */

static uint32_t select_ints(struct selection *s, const struct term *term, const uint32_t *in, uint32_t count,
                            uint32_t *out) {
    int64_t low = term->low, high = term->high;
    uint32_t kept = 0;
    if (term->field.source == FIELD_TOKENS_TOTAL) {
        const struct vec *input = column(s, COL_TOKENS_INPUT), *output = column(s, COL_TOKENS_OUTPUT);
        if (!input || !output) return 0;
        for (uint32_t i = 0; i < count; i++) {
            int64_t total = tokens_total(input->ints[in[i]], output->ints[in[i]]);
            uint32_t row = in[i];
            out[kept] = row;
            kept += (total >= low) & (total <= high);
        }
        return kept;
    }
    const struct vec *vec = column(s, term->field.col);
    if (!vec) return 0;
    const int64_t *values = vec->ints;
    if (low == high)
        KEEP_IF(values[row] == low)
    else
        KEEP_IF((values[row] >= low) & (values[row] <= high))
    return kept;
}

static uint32_t select_reals(struct selection *s, const struct term *term, const uint32_t *in, uint32_t count,
                             uint32_t *out) {
    uint32_t kept = 0;
    const struct vec *vec = column(s, term->field.col);
    if (!vec) return 0;
    KEEP_IF(term_real_in_range(term, vec->doubles[row]))
    return kept;
}

static bool text_has_term(const struct term *term, struct slice text) {
    if (term->type == TERM_HAS) return text.len > 0;
    return term->type == TERM_ANY_TEXT ? text_set_has(&term->set, text) : term_text_matches(term, text);
}

/* Rows whose code has a mark. */
static uint32_t select_marked(const struct vec *vec, const uint8_t *marks, const uint32_t *in, uint32_t count,
                              uint32_t *out) {
    const uint32_t *codes = vec->codes;
    uint32_t kept = 0, marked = 0, only = 0;
    for (uint32_t code = 0; code < vec->dict_count; code++)
        if (marks[code]) only = code, marked++;
    if (!marked) return 0;
    if (marked == 1)
        KEEP_IF(codes[row] == only)
    else
        KEEP_IF(marks[codes[row]])
    return kept;
}

static uint8_t *new_marks(struct selection *s, const struct vec *vec) {
    uint8_t *marks = arena_calloc(&s->block->arena, (size_t)vec->dict_count + 1, 1);
    if (!marks) fail(s, error_set(s->err, VT_ENOMEM, "no memory for the filter"));
    return marks;
}

/* The term is asked of each text of the dictionary once. */
static uint32_t select_codes(struct selection *s, const struct term *term, const struct vec *vec, const uint32_t *in,
                             uint32_t count, uint32_t *out) {
    uint8_t *marks = new_marks(s, vec);
    if (!marks) return 0;
    for (uint32_t code = 0; code < vec->dict_count; code++) marks[code] = text_has_term(term, vec->dict[code]);
    return select_marked(vec, marks, in, count, out);
}

enum { TEXT_PIECE = 8192 };

/* Long texts are read some thousand rows at a time, so that memory stays small. `fits` is asked of each row's text. */
static uint32_t select_texts(struct selection *s, const struct term *term, enum col col,
                             bool (*fits)(const struct term *, struct slice, struct buf *), const uint32_t *in,
                             uint32_t count, uint32_t *out) {
    struct block *block = s->block;
    struct buf scratch = {0};
    struct arena arena = {0};
    uint32_t kept = 0;
    bool whole = block->read & (uint64_t)1 << col || !block->group->segment || block->mend;
    const struct vec *vec = whole ? column(s, col) : NULL;
    if (whole && !vec) return 0;
    if (whole) {
        for (uint32_t i = 0; i < count; i++)
            if (fits(term, vec->text[in[i]], &scratch)) out[kept++] = in[i];
        buf_free(&scratch);
        return kept;
    }
    struct slice *texts = arena_alloc(&block->arena, TEXT_PIECE * sizeof *texts);
    if (!texts) return fail(s, error_set(s->err, VT_ENOMEM, "no memory for texts"));
    for (uint32_t from = 0; from < count && !s->code; from += TEXT_PIECE) {
        uint32_t n = count - from < TEXT_PIECE ? count - from : TEXT_PIECE;
        int code = ask_check(block->ask, s->err);
        if (!code) code = rowgroup_read_rows(block->group, col, in + from, n, &arena, texts, s->err);
        if (code) fail(s, code);
        for (uint32_t i = 0; i < n && !code; i++)
            if (fits(term, texts[i], &scratch)) out[kept++] = in[from + i];
        arena_reset(&arena);
    }
    arena_free(&arena);
    buf_free(&scratch);
    return kept;
}

static bool text_fits(const struct term *term, struct slice text, struct buf *scratch) {
    return term_text_matches(term, text);
}
static bool text_is_known(const struct term *term, struct slice text, struct buf *scratch) {
    return text.len > 0;
}
static bool words_fit(const struct term *term, struct slice text, struct buf *scratch) {
    return needle_found(&term->needle, text, scratch);
}

/* Rows of `in` that are not in `taken`, a part of it. */
static uint32_t without(const uint32_t *in, uint32_t count, const uint32_t *taken, uint32_t taken_count,
                        uint32_t *out) {
    uint32_t kept = 0, t = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (t < taken_count && taken[t] == in[i])
            t++;
        else
            out[kept++] = in[i];
    }
    return kept;
}

static uint32_t select_words(struct selection *s, const struct term *term, const uint32_t *in, uint32_t count,
                             uint32_t *out) {
    uint64_t cols = term->cols;
    if (!(cols & (cols - 1))) return select_texts(s, term, (enum col)__builtin_ctzll(cols), words_fit, in, count, out);
    /* In any of several texts: the next column is looked at for the rows that are still without. */
    uint32_t *rest = block_take_rows(s->block, s->err), *found = block_take_rows(s->block, s->err), left = count,
             kept = 0;
    if (!rest || !found) return fail(s, VT_ELIMIT);
    memcpy(rest, in, count * sizeof *rest);
    for (; cols && !s->code; cols &= cols - 1) {
        uint32_t n = select_texts(s, term, (enum col)__builtin_ctzll(cols), words_fit, rest, left, found);
        left = without(rest, left, found, n, rest);
    }
    kept = without(in, count, rest, left, out);
    block_give_rows(s->block, rest);
    block_give_rows(s->block, found);
    return kept;
}

/* ---- attributes ---- */

enum { MATCH_NO, MATCH_YES, MATCH_NONE };

static uint8_t attr_fits(const struct term *term, struct slice json, struct arena *arena) {
    struct attr_value value;
    if (!attr_find(json, term->field.key, arena, &value)) return MATCH_NONE;
    return term_attr_matches(term, &value) ? MATCH_YES : MATCH_NO;
}

/* Each value is asked once. False: there is no index. */
static bool select_indexed(struct selection *s, const struct term *term, const uint32_t *in, uint32_t count,
                           uint32_t *out, uint32_t *kept_count) {
    struct block *block = s->block;
    struct block_attr attr;
    uint32_t kept = 0, matching = 0;
    int code = block_attr(block, term->field.key, in, count, &attr, s->err);
    if (!code && !attr.codes) return false;
    uint8_t *fits = code ? NULL : arena_alloc(&block->arena, attr.count);
    if (!code && !fits) code = error_set(s->err, VT_ENOMEM, "no memory for the filter");
    if (code) fail(s, code);
    for (uint32_t c = 0; !code && c < attr.count; c++) {
        fits[c] = attr.values[c].type != ATTR_NONE && term_attr_matches(term, &attr.values[c]);
        matching += fits[c];
    }
    if (matching) KEEP_IF(fits[attr.codes[row]])
    *kept_count = kept;
    return true;
}

static uint32_t select_attr(struct selection *s, const struct term *term, const uint32_t *in, uint32_t count,
                            uint32_t *out) {
    struct block *block = s->block;
    uint32_t indexed = 0;
    if (select_indexed(s, term, in, count, out, &indexed)) return indexed;
    const struct vec *resources = column(s, COL_RESOURCE);
    struct arena arena = {0}, texts_arena = {0};
    uint32_t kept = 0;
    if (!resources) return 0;
    uint8_t *of_resource = arena_alloc(&block->arena, resources->dict_count + 1);
    struct slice *texts = arena_alloc(&block->arena, TEXT_PIECE * sizeof *texts);
    if (!of_resource || !texts) return fail(s, error_set(s->err, VT_ENOMEM, "no memory for attributes"));
    for (uint32_t code = 0; code < resources->dict_count; code++)
        of_resource[code] = attr_fits(term, resources->dict[code], &arena);
    for (uint32_t from = 0; from < count && !s->code; from += TEXT_PIECE) {
        uint32_t n = count - from < TEXT_PIECE ? count - from : TEXT_PIECE;
        int code = ask_check(block->ask, s->err);
        if (!code) code = rowgroup_read_rows(block->group, COL_ATTRIBUTES, in + from, n, &texts_arena, texts, s->err);
        if (code) fail(s, code);
        for (uint32_t i = 0; i < n && !code; i++) {
            uint8_t match = attr_fits(term, texts[i], &arena);
            if (match == MATCH_NONE) match = of_resource[resources->codes[in[from + i]]];
            if (match == MATCH_YES) out[kept++] = in[from + i];
        }
        arena_reset(&arena);
        arena_reset(&texts_arena);
    }
    arena_free(&arena);
    arena_free(&texts_arena);
    return kept;
}

static uint32_t select_bytes(struct selection *s, const struct term *term, const uint32_t *in, uint32_t count,
                             uint32_t *out) {
    const struct vec *vec = column(s, term->field.col);
    size_t width = span_columns[term->field.col].width;
    uint32_t kept = 0;
    if (!vec) return 0;
    const uint8_t *bytes = vec->bytes;
    if (width == SPAN_ID_SIZE)
        KEEP_IF(memcmp(bytes + (size_t)row * SPAN_ID_SIZE, term->id, SPAN_ID_SIZE) == 0)
    else
        KEEP_IF(memcmp(bytes + (size_t)row * TRACE_ID_SIZE, term->id, TRACE_ID_SIZE) == 0)
    return kept;
}

static uint32_t select_zero_ids(struct selection *s, enum col col, bool zero, const uint32_t *in, uint32_t count,
                                uint32_t *out) {
    const struct vec *vec = column(s, col);
    size_t width = span_columns[col].width;
    uint32_t kept = 0;
    if (!vec) return 0;
    const uint8_t *bytes = vec->bytes;
    KEEP_IF(id_is_zero(bytes + row * width, width) == zero)
    return kept;
}

static uint32_t select_known(struct selection *s, const struct term *term, const uint32_t *in, uint32_t count,
                             uint32_t *out) {
    const struct field *field = &term->field;
    uint32_t kept = 0;
    if (field->source == FIELD_TOKENS_TOTAL) {
        const struct vec *input = column(s, COL_TOKENS_INPUT), *output = column(s, COL_TOKENS_OUTPUT);
        if (!input || !output) return 0;
        KEEP_IF((input->ints[row] != SPAN_NO_INT) | (output->ints[row] != SPAN_NO_INT))
        return kept;
    }
    const struct vec *vec;
    switch (span_columns[field->col].type) {
    case COL_STRING: return select_texts(s, term, field->col, text_is_known, in, count, out);
    case COL_BYTES: return select_zero_ids(s, field->col, false, in, count, out);
    case COL_DICT: return (vec = column(s, field->col)) ? select_codes(s, term, vec, in, count, out) : 0;
    case COL_INT:
        if (!(vec = column(s, field->col))) return 0;
        KEEP_IF(vec->ints[row] != SPAN_NO_INT)
        return kept;
    case COL_DOUBLE:
        if (!(vec = column(s, field->col))) return 0;
        KEEP_IF(!isnan(vec->doubles[row]))
        return kept;
    }
    return 0;
}

static uint32_t select_flag(struct selection *s, int64_t bits, const uint32_t *in, uint32_t count, uint32_t *out) {
    const struct vec *vec = column(s, COL_FLAGS);
    uint32_t kept = 0;
    if (!vec) return 0;
    KEEP_IF((vec->ints[row] & bits) != 0)
    return kept;
}

static uint32_t select_term(struct selection *s, const struct term *term, const uint32_t *in, uint32_t count,
                            uint32_t *out) {
    const struct vec *vec;
    if (term->field.source == FIELD_ATTR && term->type != TERM_WORDS) return select_attr(s, term, in, count, out);
    switch (term->type) {
    case TERM_INTS: return select_ints(s, term, in, count, out);
    case TERM_REALS: return select_reals(s, term, in, count, out);
    case TERM_TEXT:
        if (span_columns[term->field.col].type == COL_STRING)
            return select_texts(s, term, term->field.col, text_fits, in, count, out);
        return (vec = column(s, term->field.col)) ? select_codes(s, term, vec, in, count, out) : 0;
    case TERM_ANY_TEXT: return (vec = column(s, term->field.col)) ? select_codes(s, term, vec, in, count, out) : 0;
    case TERM_ID: return select_bytes(s, term, in, count, out);
    case TERM_HAS: return select_known(s, term, in, count, out);
    case TERM_WORDS: return select_words(s, term, in, count, out);
    case TERM_FLAG: return select_flag(s, term->low, in, count, out);
    case TERM_ROOT: return select_zero_ids(s, COL_PARENT_SPAN_ID, true, in, count, out);
    case TERM_FALLBACK: return select_flag(s, SPAN_FALLBACK, in, count, out);
    }
    return 0;
}

/* ---- AND, OR, NOT ---- */

static uint32_t select_node(struct selection *s, const struct node *node, const uint32_t *in, uint32_t count,
                            uint32_t *out);

/* Are all children texts of one dictionary, as in service:a OR service:b? */
static bool share_dictionary(const struct node *node) {
    const struct term *first = node->first && node->first->type == NODE_TERM ? node->first->term : NULL;
    if (!first || first->field.source != FIELD_COLUMN || span_columns[first->field.col].type != COL_DICT) return false;
    for (const struct node *child = node->first; child; child = child->next)
        if (child->type != NODE_TERM || child->term->type != TERM_TEXT || child->term->field.source != FIELD_COLUMN ||
            child->term->field.col != first->field.col)
            return false;
    return true;
}

/* Rows are looked at once for all of them. */
static uint32_t select_any_code(struct selection *s, const struct node *node, const uint32_t *in, uint32_t count,
                                uint32_t *out) {
    const struct vec *vec = column(s, node->first->term->field.col);
    uint8_t *marks = vec ? new_marks(s, vec) : NULL;
    if (!marks) return 0;
    for (const struct node *child = node->first; child; child = child->next)
        for (uint32_t code = 0; code < vec->dict_count; code++)
            if (!marks[code]) marks[code] = text_has_term(child->term, vec->dict[code]);
    return select_marked(vec, marks, in, count, out);
}

static uint32_t select_or(struct selection *s, const struct node *node, const uint32_t *in, uint32_t count,
                          uint32_t *out) {
    if (share_dictionary(node)) return select_any_code(s, node, in, count, out);
    uint32_t *rest = block_take_rows(s->block, s->err), *found = block_take_rows(s->block, s->err), left = count;
    if (!rest || !found) return fail(s, VT_ELIMIT);
    memcpy(rest, in, count * sizeof *rest);
    for (const struct node *child = node->first; child && left && !s->code; child = child->next) {
        uint32_t n = select_node(s, child, rest, left, found);
        left = without(rest, left, found, n, rest);
    }
    uint32_t kept = without(in, count, rest, left, out);
    block_give_rows(s->block, rest);
    block_give_rows(s->block, found);
    return kept;
}

static uint32_t select_not(struct selection *s, const struct node *node, const uint32_t *in, uint32_t count,
                           uint32_t *out) {
    uint32_t *found = block_take_rows(s->block, s->err);
    if (!found) return fail(s, VT_ELIMIT);
    uint32_t n = select_node(s, node->first, in, count, found);
    uint32_t kept = without(in, count, found, n, out);
    block_give_rows(s->block, found);
    return kept;
}

/* `out` may be `in`: every writer stays at or behind its reader. */
static uint32_t select_node(struct selection *s, const struct node *node, const uint32_t *in, uint32_t count,
                            uint32_t *out) {
    if (s->code || !count) return 0;
    switch (node->type) {
    case NODE_AND:
        for (const struct node *child = node->first; child && count; child = child->next) {
            count = select_node(s, child, in, count, out);
            in = out;
        }
        return count;
    case NODE_OR: return select_or(s, node, in, count, out);
    case NODE_NOT: return select_not(s, node, in, count, out);
    case NODE_TERM: return select_term(s, node->term, in, count, out);
    }
    return 0;
}

int filter_select(const struct filter *filter, struct block *block, const uint32_t *in, uint32_t count, uint32_t *out,
                  uint32_t *kept, struct error *err) {
    struct error own = {0};
    struct selection s = {.block = block, .err = err ? err : &own};
    if (!filter->root) {
        if (out != in) memcpy(out, in, count * sizeof *out);
        *kept = count;
        return 0;
    }
    *kept = select_node(&s, filter->root, in, count, out);
    return s.code;
}

/* ---- skipping ---- */

/* Filters hold words as they were written, lower case only for ASCII, cut at some length: others are not asked for. */
static bool is_plain_word(struct slice word) {
    if (word.len >= WORD_MAX) return false;
    for (size_t i = 0; i < word.len; i++)
        if (word.ptr[i] < 0) return false;
    return true;
}

static bool any_may_match(const struct term *term, const struct rowgroup *group, const struct group_index *index) {
    enum col col = term->field.col;
    bool indexed = index && (col == COL_USER_ID || col == COL_THREAD_ID);
    for (uint32_t i = 0; i < term->set.capacity; i++) {
        struct slice text = term->set.slots[i];
        if (!text.len) continue;
        if (indexed ? group_index_may_have(index, group, col, text) : rowgroup_may_have_value(group, col, text))
            return true;
    }
    return false;
}

static bool term_may_match(const struct term *term, const struct rowgroup *group, const struct group_index *index) {
    const struct field *field = &term->field;
    switch (term->type) {
    case TERM_ID: return field->col != COL_TRACE_ID || rowgroup_may_have_trace(group, term->id);
    case TERM_TEXT:
        if (field->source != FIELD_COLUMN || term->wildcard || span_columns[field->col].type != COL_DICT) return true;
        if (index && (field->col == COL_USER_ID || field->col == COL_THREAD_ID))
            return group_index_may_have(index, group, field->col, term->text);
        return rowgroup_may_have_value(group, field->col, term->text);
    case TERM_ANY_TEXT: return any_may_match(term, group, index);
    case TERM_INTS:
        if (field->source != FIELD_COLUMN || field->col != COL_START_NS) return true;
        return term->low <= group->max_start_ns && term->high >= group->min_start_ns;
    case TERM_WORDS:
        /* The filters hold words of prompts and completions only. */
        if (term->cols & ~((uint64_t)1 << COL_PROMPT | (uint64_t)1 << COL_COMPLETION)) return true;
        for (uint32_t w = 0; w < term->needle.word_count; w++)
            if (is_plain_word(term->needle.words[w]) && !rowgroup_may_have_word(group, term->needle.words[w]))
                return false;
        return true;
    default: return true;
    }
}

static bool node_may_match(const struct node *node, const struct rowgroup *group, const struct group_index *index) {
    switch (node->type) {
    case NODE_AND:
        for (const struct node *child = node->first; child; child = child->next)
            if (!node_may_match(child, group, index)) return false;
        return true;
    case NODE_OR:
        for (const struct node *child = node->first; child; child = child->next)
            if (node_may_match(child, group, index)) return true;
        return false;
    case NODE_TERM: return term_may_match(node->term, group, index);
    case NODE_NOT: return true;
    }
    return true;
}

bool filter_may_match(const struct filter *filter, const struct rowgroup *group, const struct group_index *index) {
    return !filter->root || node_may_match(filter->root, group, index);
}
