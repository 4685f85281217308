/* Values of fields over a block, as numbers or as codes. */
#include "query/agg_internal.h"
#include "query/block_attr.h"
#include "query/filter_internal.h"

#include <stdlib.h>

static void *alloc(struct block *block, size_t count, size_t size, struct error *err) {
    void *memory = arena_alloc(&block->arena, count * size + 1);
    if (!memory) error_set(err, VT_ELIMIT, "the request needs more memory than one may hold");
    return memory;
}

/* No branch: half of all spans say nothing of tokens, in no order. A NaN with more bits set is one, too. */
static inline double shown(int64_t value, double scale) {
    static const uint64_t quiet_nan = UINT64_C(0x7ff8) << 48;
    double number = (double)value * scale;
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    bits |= -(uint64_t)(value == SPAN_NO_INT) & quiet_nan;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static int column_numbers(struct block *block, const struct field *field, double *out, struct error *err) {
    uint32_t n = block->group->rows;
    double scale = field->scale;
    if (field->source == FIELD_TOKENS_TOTAL) {
        const struct vec *input = block_column(block, COL_TOKENS_INPUT, err),
                         *output = input ? block_column(block, COL_TOKENS_OUTPUT, err) : NULL;
        if (!output) return err->code;
        for (uint32_t i = 0; i < n; i++) out[i] = shown(tokens_total(input->ints[i], output->ints[i]), scale);
        return 0;
    }
    const struct vec *vec = block_column(block, field->col, err);
    if (!vec) return err->code;
    for (uint32_t i = 0; i < n; i++) out[i] = shown(vec->ints[i], scale);
    return 0;
}

/* `out` may be `values`. No branch: which spans restate cannot be foreseen. */
static void leave_restated_out(const struct vec *flags, const double *values, double *out) {
    for (uint32_t i = 0; i < flags->count; i++) {
        double value = values[i];
        out[i] = flags->ints[i] & SPAN_USAGE_RESTATED ? (double)NAN : value;
    }
}

static bool some_restated(const struct vec *flags) {
    int64_t all = 0;
    for (uint32_t i = 0; i < flags->count; i++) all |= flags->ints[i];
    return all & SPAN_USAGE_RESTATED;
}

/* ---- attributes ---- */

enum { PIECE = 8192 };

/* Calls `take` with each row's value of the attribute. */
static int each_attr(struct block *block, struct slice key, const uint32_t *rows, uint32_t count,
                     int (*take)(void *ctx, uint32_t row, const struct attr_value *value, struct error *err), void *ctx,
                     struct error *err) {
    const struct vec *resources = block_column(block, COL_RESOURCE, err);
    struct arena arena = {0}, texts_arena = {0};
    int code = 0;
    if (!resources) return err->code;
    struct attr_value *of_resource = alloc(block, resources->dict_count, sizeof *of_resource, err);
    struct slice *texts = alloc(block, PIECE, sizeof *texts, err);
    if (!of_resource || !texts) return VT_ELIMIT;
    for (uint32_t c = 0; c < resources->dict_count; c++)
        attr_find(resources->dict[c], key, &block->arena, &of_resource[c]);
    for (uint32_t from = 0; from < count && !code; from += PIECE) {
        uint32_t n = count - from < PIECE ? count - from : PIECE;
        if ((code = ask_check(block->ask, err)) ||
            (code = rowgroup_read_rows(block->group, COL_ATTRIBUTES, rows + from, n, &texts_arena, texts, err)))
            break;
        for (uint32_t i = 0; i < n && !code; i++) {
            struct attr_value value;
            if (!attr_find(texts[i], key, &arena, &value)) value = of_resource[resources->codes[rows[from + i]]];
            code = take(ctx, rows[from + i], &value, err);
        }
        arena_reset(&arena);
        arena_reset(&texts_arena);
    }
    arena_free(&arena);
    arena_free(&texts_arena);
    return code;
}

/* Numbers by the index; false: there is none. */
static bool indexed_numbers(struct block *block, const struct field *field, const uint32_t *rows, uint32_t count,
                            double *out, int *code, struct error *err) {
    struct block_attr attr;
    if ((*code = block_attr(block, field->key, rows, count, &attr, err))) return true;
    if (!attr.codes) return false;
    double *numbers = alloc(block, attr.count, sizeof *numbers, err);
    if (!numbers) *code = VT_ELIMIT;
    for (uint32_t c = 0; numbers && c < attr.count; c++) numbers[c] = attr_number(&attr.values[c]);
    for (uint32_t i = 0; numbers && i < count; i++) out[rows[i]] = numbers[attr.codes[rows[i]]];
    return true;
}

static int take_number(void *ctx, uint32_t row, const struct attr_value *value, struct error *err) {
    ((double *)ctx)[row] = attr_number(value);
    return 0;
}

int block_numbers(struct block *block, const struct field *field, const uint32_t *rows, uint32_t count,
                  const double **values, struct error *err) {
    const struct vec *flags = field->usage ? block_column(block, COL_FLAGS, err) : NULL;
    bool restated = flags && some_restated(flags);
    int code = 0;
    if (field->usage && !flags) return err->code;
    const struct vec *doubles = NULL;
    if (field->source == FIELD_COLUMN && span_columns[field->col].type == COL_DOUBLE) { /* as it lies */
        if (!(doubles = block_column(block, field->col, err))) return err->code;
        *values = doubles->doubles;
        if (!restated) return 0;
    }
    double *out = alloc(block, block->group->rows, sizeof *out, err);
    if (!(*values = out)) return VT_ELIMIT;
    if (field->source == FIELD_ATTR && indexed_numbers(block, field, rows, count, out, &code, err)) return code;
    if (field->source == FIELD_ATTR) return each_attr(block, field->key, rows, count, take_number, out, err);
    if (!doubles) code = column_numbers(block, field, out, err);
    if (!code && restated) leave_restated_out(flags, doubles ? doubles->doubles : out, out);
    return code;
}

/* ---- codes ---- */

struct coder {
    struct block *block;
    struct key_list list;
    uint32_t *codes;
};

static int code_key(struct coder *coder, uint32_t row, const struct agg_key *key, bool copy, struct error *err) {
    uint32_t number = key_number(&coder->list, key, copy, &coder->block->arena);
    if (number == UINT32_MAX) return error_set(err, VT_ELIMIT, "the request needs more memory than one may hold");
    coder->codes[row] = number;
    return 0;
}

static struct agg_key attr_key(const struct attr_value *value) {
    struct agg_key key = {AGG_KEY_NONE, {NULL, 0}, 0};
    switch (value->type) {
    case ATTR_NONE: break;
    case ATTR_NUMBER: key.type = AGG_KEY_NUMBER, key.number = value->number; break;
    case ATTR_BOOL: key.type = AGG_KEY_BOOL, key.number = value->boolean; break;
    case ATTR_TEXT:
    case ATTR_JSON:
        if (value->text.len) key.type = AGG_KEY_TEXT, key.text = value->text;
        break;
    }
    return key;
}

static int take_key(void *ctx, uint32_t row, const struct attr_value *value, struct error *err) {
    struct agg_key key = attr_key(value);
    return code_key(ctx, row, &key, true, err);
}

/* Codes by the index; false: there is none. Two values may be the same key: 1 and 1.0. */
static bool indexed_codes(struct coder *coder, const struct field *field, const uint32_t *rows, uint32_t count,
                          int *code, struct error *err) {
    struct block *block = coder->block;
    struct block_attr attr;
    if ((*code = block_attr(block, field->key, rows, count, &attr, err))) return true;
    if (!attr.codes) return false;
    uint32_t *numbers = alloc(block, attr.count, sizeof *numbers, err);
    if (!numbers) *code = VT_ELIMIT;
    for (uint32_t c = 0; c < attr.count && !*code; c++) {
        struct agg_key key = attr_key(&attr.values[c]);
        numbers[c] = key_number(&coder->list, &key, false, &block->arena);
        if (numbers[c] == UINT32_MAX)
            *code = error_set(err, VT_ELIMIT, "the request needs more memory than one may hold");
    }
    for (uint32_t i = 0; i < count && !*code; i++) coder->codes[rows[i]] = numbers[attr.codes[rows[i]]];
    return true;
}

static struct agg_key text_key(struct slice text) {
    return (struct agg_key){text.len ? AGG_KEY_TEXT : AGG_KEY_NONE, text, 0};
}

/* kind, status, flags: small numbers are codes as they are. */
static int small_codes(struct block *block, const struct field *field, const uint32_t *rows, uint32_t count,
                       struct block_codes *out, struct error *err) {
    bool word = field->source == FIELD_COLUMN, kind = field->col == COL_KIND, root = field->source == FIELD_ROOT;
    const struct vec *vec = block_column(block, word ? field->col : root ? COL_PARENT_SPAN_ID : COL_FLAGS, err);
    uint32_t *codes = alloc(block, block->group->rows, sizeof *codes, err);
    uint32_t names = word ? (kind ? (uint32_t)KIND_COUNT : (uint32_t)STATUS_COUNT) : 2;
    out->keys = alloc(block, names, sizeof *out->keys, err);
    if (!vec || !codes || !out->keys) return err->code;
    int64_t bit = field->source == FIELD_FALLBACK ? SPAN_FALLBACK : (int64_t)field->col;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = rows[i];
        if (word)
            codes[row] = vec->ints[row] >= 0 && vec->ints[row] < names ? (uint32_t)vec->ints[row] : 0;
        else
            codes[row] =
                root ? id_is_zero(vec->bytes + (size_t)row * SPAN_ID_SIZE, SPAN_ID_SIZE) : (vec->ints[row] & bit) != 0;
    }
    for (uint32_t n = 0; n < names; n++) {
        if (word)
            out->keys[n] = text_key(slice_of(kind ? span_kind_names[n] : span_status_names[n]));
        else
            out->keys[n] = (struct agg_key){AGG_KEY_BOOL, {NULL, 0}, n};
    }
    out->codes = codes;
    out->count = names;
    return 0;
}

static int number_codes(struct coder *coder, const struct field *field, const uint32_t *rows, uint32_t count,
                        struct error *err) {
    struct field plain = *field;
    const double *values;
    plain.usage = false; /* a group is what a span says of itself */
    int code = block_numbers(coder->block, &plain, rows, count, &values, err);
    for (uint32_t i = 0; i < count && !code; i++) {
        double value = values[rows[i]];
        struct agg_key key = {isnan(value) ? AGG_KEY_NONE : AGG_KEY_NUMBER, {NULL, 0}, value};
        code = code_key(coder, rows[i], &key, false, err);
    }
    return code;
}

static int id_codes(struct coder *coder, const struct field *field, const uint32_t *rows, uint32_t count,
                    struct error *err) {
    const struct vec *vec = block_column(coder->block, field->col, err);
    size_t width = span_columns[field->col].width;
    int code = vec ? 0 : err->code;
    for (uint32_t i = 0; i < count && !code; i++) {
        char hex[2 * TRACE_ID_SIZE];
        const uint8_t *id = vec->bytes + rows[i] * width;
        if (i && memcmp(id, vec->bytes + rows[i - 1] * width, width) == 0) { /* rows of a trace stand together */
            coder->codes[rows[i]] = coder->codes[rows[i - 1]];
            continue;
        }
        hex_encode(id, width, hex);
        struct agg_key key = text_key(slice_make(hex, id_is_zero(id, width) ? 0 : 2 * width));
        code = code_key(coder, rows[i], &key, true, err);
    }
    return code;
}

static int string_codes(struct coder *coder, const struct field *field, const uint32_t *rows, uint32_t count,
                        struct error *err) {
    struct slice *texts = alloc(coder->block, count, sizeof *texts, err);
    int code = texts ? block_texts(coder->block, field->col, rows, count, texts, err) : VT_ELIMIT;
    for (uint32_t i = 0; i < count && !code; i++) {
        struct agg_key key = text_key(texts[i]);
        code = code_key(coder, rows[i], &key, false, err);
    }
    return code;
}

/* By the column's book, without its dictionary. Leaves out->numbers NULL when there is none. */
static int numbered_codes(struct block *block, enum col col, struct block_codes *out, struct error *err) {
    int which = codebook_of(col);
    struct codebook *book = which >= 0 ? block->ask->books[which] : NULL;
    uint32_t count = 0;
    if (!book || !block->index || block->mend) return 0;
    const uint32_t *numbers = codebook_numbers(book, block->index, block->group, col, &count);
    const struct vec *vec = numbers ? block_codes(block, col, err) : NULL;
    if (numbers && !vec) return err->code;
    if (!numbers || vec->dict_count != count) return 0;
    *out = (struct block_codes){.codes = vec->codes, .numbers = numbers, .book = book, .count = count};
    return 0;
}

int block_field_codes(struct block *block, const struct field *field, const uint32_t *rows, uint32_t count,
                      struct block_codes *out, struct error *err) {
    struct coder coder = {.block = block};
    int code;
    *out = (struct block_codes){0};
    if (field->type == FIELD_TYPE_WORD || field->type == FIELD_TYPE_BOOL)
        return small_codes(block, field, rows, count, out, err);
    if (field->source == FIELD_COLUMN && span_columns[field->col].type == COL_DICT) {
        if (!(code = numbered_codes(block, field->col, out, err)) && out->numbers) return 0;
        const struct vec *vec = code ? NULL : block_column(block, field->col, err);
        if (!vec) return err->code;
        out->codes = vec->codes;
        out->dict = vec->dict;
        out->count = vec->dict_count;
        return 0;
    }
    if (!(coder.codes = alloc(block, block->group->rows, sizeof *coder.codes, err))) return VT_ELIMIT;
    if (field->source == FIELD_ATTR) {
        if (!indexed_codes(&coder, field, rows, count, &code, err))
            code = each_attr(block, field->key, rows, count, take_key, &coder, err);
    } else if (field->type == FIELD_TYPE_ID)
        code = id_codes(&coder, field, rows, count, err);
    else if (field->source == FIELD_COLUMN && span_columns[field->col].type == COL_STRING)
        code = string_codes(&coder, field, rows, count, err);
    else
        code = number_codes(&coder, field, rows, count, err);
    out->codes = coder.codes;
    out->keys = coder.list.keys;
    out->count = coder.list.table.count;
    return code;
}

struct agg_key codes_key(const struct block_codes *codes, uint32_t code) {
    if (codes->numbers) return text_key(codebook_text(codes->book, codes->numbers[code]));
    return codes->dict ? text_key(codes->dict[code]) : codes->keys[code];
}

uint64_t codes_hash(const struct block_codes *codes, uint32_t code) {
    if (codes->numbers) return codebook_hash(codes->book, codes->numbers[code]);
    struct agg_key key = codes_key(codes, code);
    return key_hash(&key);
}
