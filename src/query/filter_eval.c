/* Filters against one span, and what one term says of one value. */
#include "query/filter_internal.h"

#include <stdlib.h>

bool wildcard_matches(struct slice pattern, struct slice text) {
    size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*')
            star = p++, mark = t;
        else if (p < pattern.len && pattern.ptr[p] == text.ptr[t])
            p++, t++;
        else if (star != SIZE_MAX)
            p = star + 1, t = ++mark;
        else
            return false;
    }
    while (p < pattern.len && pattern.ptr[p] == '*') p++;
    return p == pattern.len;
}

bool term_text_matches(const struct term *term, struct slice text) {
    /* The empty text is "not known"; an empty pattern asks for just that. */
    if (!text.len) return !term->text.len;
    return term->wildcard ? wildcard_matches(term->text, text) : slice_eq(term->text, text);
}

bool term_real_in_range(const struct term *term, double value) {
    if (isnan(value)) return false;
    bool above = term->low_open ? value > term->real_low : value >= term->real_low;
    bool below = term->high_open ? value < term->real_high : value <= term->real_high;
    return above && below;
}

double attr_number(const struct attr_value *value) {
    char copy[64], *end;
    if (value->type == ATTR_NUMBER) return value->number;
    if (value->type != ATTR_TEXT || !value->text.len || value->text.len >= sizeof copy) return (double)NAN;
    memcpy(copy, value->text.ptr, value->text.len);
    copy[value->text.len] = 0;
    double number = strtod(copy, &end);
    return *end ? (double)NAN : number;
}

bool term_attr_matches(const struct term *term, const struct attr_value *value) {
    switch (term->type) {
    case TERM_HAS: return true;
    case TERM_REALS: return term_real_in_range(term, attr_number(value));
    default: break;
    }
    if (value->type == ATTR_NUMBER && term->text_is_number && !term->wildcard) return value->number == term->number;
    return term_text_matches(term, value->text);
}

static bool has_value(const struct field *field, const struct span *span) {
    if (field->source == FIELD_TOKENS_TOTAL)
        return tokens_total(span->tokens_input, span->tokens_output) != SPAN_NO_INT;
    const struct column *column = &span_columns[field->col];
    const void *at = (const char *)span + column->offset;
    switch (column->type) {
    case COL_BYTES: return !id_is_zero(at, column->width);
    case COL_INT: return span_get_int(span, field->col) != SPAN_NO_INT;
    case COL_DOUBLE: return !isnan(span_get_double(span, field->col));
    default: return span_get_text(span, field->col).len > 0;
    }
}

static bool attr_term_matches(const struct term *term, const struct span *span) {
    struct arena arena;
    struct attr_value value;
    arena_init(&arena, 0);
    bool found = attr_find_either(span_get_text(span, COL_ATTRIBUTES), span_get_text(span, COL_RESOURCE),
                                  term->field.key, &arena, &value);
    bool matches = found && term_attr_matches(term, &value);
    arena_free(&arena);
    return matches;
}

static bool words_match(const struct term *term, const struct span *span) {
    struct buf scratch = {0};
    bool found = false;
    for (uint64_t cols = term->cols; cols && !found; cols &= cols - 1)
        found = needle_found(&term->needle, span_get_text(span, (enum col)__builtin_ctzll(cols)), &scratch);
    buf_free(&scratch);
    return found;
}

static bool term_matches(const struct term *term, const struct span *span) {
    const struct field *field = &term->field;
    if (field->source == FIELD_ATTR && term->type != TERM_WORDS) return attr_term_matches(term, span);
    int64_t value;
    switch (term->type) {
    case TERM_INTS:
        value = field->source == FIELD_TOKENS_TOTAL ? tokens_total(span->tokens_input, span->tokens_output)
                                                    : span_get_int(span, field->col);
        return value >= term->low && value <= term->high;
    case TERM_REALS: return term_real_in_range(term, span_get_double(span, field->col));
    case TERM_TEXT: return term_text_matches(term, span_get_text(span, field->col));
    case TERM_ID:
        return memcmp((const char *)span + span_columns[field->col].offset, term->id, span_columns[field->col].width) ==
               0;
    case TERM_HAS: return has_value(field, span);
    case TERM_WORDS: return words_match(term, span);
    case TERM_FLAG: return (span->flags & term->low) != 0;
    case TERM_ROOT: return id_is_zero(span->parent_span_id, SPAN_ID_SIZE);
    case TERM_FALLBACK: return false;
    case TERM_ANY_TEXT: return text_set_has(&term->set, span->text[field->col - COL_TEXT_FIRST]);
    }
    return false;
}

static bool node_matches(const struct node *node, const struct span *span) {
    switch (node->type) {
    case NODE_AND:
        for (const struct node *child = node->first; child; child = child->next)
            if (!node_matches(child, span)) return false;
        return true;
    case NODE_OR:
        for (const struct node *child = node->first; child; child = child->next)
            if (node_matches(child, span)) return true;
        return false;
    case NODE_NOT: return !node_matches(node->first, span);
    case NODE_TERM: return term_matches(node->term, span);
    }
    return false;
}

bool filter_matches(const struct filter *filter, const struct span *span) {
    return !filter->root || node_matches(filter->root, span);
}
