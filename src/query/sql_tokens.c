/* Cutting a statement into tokens. */
#include "query/sql_tokens.h"

#include <strings.h>

/* ---- tokens ---- */

static bool is_name_byte(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
           c >= 0x80;
}
static bool is_digit(unsigned char c) {
    return c >= '0' && c <= '9';
}
static bool is_blank(unsigned char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* Length of a literal or name in quotes, where a doubled quote stands for itself. */
static size_t quoted_length(struct slice rest, char close) {
    for (size_t i = 1; i < rest.len; i++) {
        if (rest.ptr[i] != close) continue;
        if (close == ']' || i + 1 >= rest.len || rest.ptr[i + 1] != close) return i + 1;
        i++;
    }
    return rest.len;
}

/* r'…': a backslash keeps the quote behind it, and stays. `rest` begins at the r. */
static size_t raw_length(struct slice rest) {
    char close = rest.ptr[1];
    for (size_t i = 2; i < rest.len; i++) {
        if (rest.ptr[i] == '\\')
            i++;
        else if (rest.ptr[i] == close)
            return i + 1;
    }
    return rest.len;
}

static size_t comment_length(struct slice rest) {
    bool block = rest.ptr[0] == '/';
    const char *end = block ? memmem(rest.ptr + 2, rest.len - 2, "*/", 2) : memchr(rest.ptr, '\n', rest.len);
    return end ? (size_t)(end - rest.ptr) + (block ? 2 : 1) : rest.len;
}

static bool starts_comment(struct slice rest) {
    if (rest.ptr[0] == '#') return true;
    return rest.len > 1 && ((rest.ptr[0] == '-' && rest.ptr[1] == '-') || (rest.ptr[0] == '/' && rest.ptr[1] == '*'));
}

static size_t run_length(struct slice rest, bool (*belongs)(unsigned char)) {
    size_t len = 1;
    while (len < rest.len && belongs((unsigned char)rest.ptr[len])) len++;
    return len;
}

static struct token next_token(struct slice rest) {
    unsigned char c = (unsigned char)rest.ptr[0];
    struct token token = {.type = TOKEN_OTHER};
    size_t len = 1;
    if (is_blank(c))
        token.type = TOKEN_BLANK, len = run_length(rest, is_blank);
    else if (starts_comment(rest))
        token.type = TOKEN_BLANK, len = comment_length(rest);
    else if ((c | 32) == 'r' && rest.len > 1 && (rest.ptr[1] == '\'' || rest.ptr[1] == '"'))
        token.type = TOKEN_STRING, len = raw_length(rest);
    else if (c == '\'')
        token.type = TOKEN_STRING, len = quoted_length(rest, '\'');
    else if (c == '"' || c == '`' || c == '[')
        token.type = TOKEN_QUOTED, len = quoted_length(rest, c == '[' ? ']' : (char)c);
    else if (is_digit(c))
        token.type = TOKEN_NUMBER, len = run_length(rest, is_name_byte);
    else if (is_name_byte(c))
        token.type = TOKEN_NAME, len = run_length(rest, is_name_byte);
    token.text = token.becomes = slice_make(rest.ptr, len);
    return token;
}

static int cut(struct sql_tokens *tokens, struct slice sql, struct arena *arena, struct error *err) {
    uint32_t capacity = 0;
    for (struct slice rest = sql; rest.len;) {
        if (tokens->count + 1 >= capacity) {
            uint32_t larger = capacity ? 2 * capacity : 64;
            struct token *grown = arena_alloc(arena, larger * sizeof *grown);
            if (!grown) return error_set(err, VT_ENOMEM, "no memory for the statement");
            if (tokens->count) memcpy(grown, tokens->list, tokens->count * sizeof *grown);
            tokens->list = grown;
            capacity = larger;
        }
        tokens->list[tokens->count] = next_token(rest);
        rest = slice_from(rest, tokens->list[tokens->count++].text.len);
    }
    if (!tokens->count && !(tokens->list = arena_alloc(arena, sizeof *tokens->list)))
        return error_set(err, VT_ENOMEM, "no memory for the statement");
    tokens->list[tokens->count] = (struct token){.type = TOKEN_END};
    return 0;
}

/* Open parentheses are chained through `pair` until theirs is met. */
static void pair_up(struct sql_tokens *tokens) {
    enum { NONE = UINT32_MAX };
    uint32_t open = NONE;
    for (uint32_t i = 0; i < tokens->count; i++) {
        struct token *t = &tokens->list[i];
        if (t->type != TOKEN_OTHER) continue;
        if (t->text.ptr[0] == '(') {
            t->pair = open;
            open = i;
        } else if (t->text.ptr[0] == ')' && open != NONE) {
            uint32_t outer = tokens->list[open].pair;
            tokens->list[open].pair = i;
            open = outer;
        }
    }
    while (open != NONE) {
        uint32_t outer = tokens->list[open].pair;
        tokens->list[open].pair = tokens->count;
        open = outer;
    }
}

int tokens_cut(struct sql_tokens *tokens, struct slice sql, struct arena *arena, struct error *err) {
    *tokens = (struct sql_tokens){0};
    int code = cut(tokens, sql, arena, err);
    if (!code) pair_up(tokens);
    return code;
}

/* ---- looking around ---- */

struct token *token_after(struct token *token) {
    if (token->type == TOKEN_END) return token;
    do token++;
    while (token->type == TOKEN_BLANK);
    return token;
}

struct token *token_before(const struct sql_tokens *tokens, struct token *token) {
    while (token > tokens->list)
        if ((--token)->type != TOKEN_BLANK) return token;
    return NULL;
}

bool token_is_word(const struct token *token, const char *word) {
    return token->type == TOKEN_NAME && token->text.len == strlen(word) &&
           strncasecmp(token->text.ptr, word, token->text.len) == 0;
}
bool token_is_sign(const struct token *token, char sign) {
    return token->type == TOKEN_OTHER && token->text.ptr[0] == sign;
}

bool token_is_one_of(const struct token *token, const char *const *words) {
    for (; *words; words++)
        if (token_is_word(token, *words)) return true;
    return false;
}

struct token *token_closing(const struct sql_tokens *tokens, const struct token *open) {
    return &tokens->list[open->pair];
}

bool token_is_call(struct token *token) {
    return token->type == TOKEN_NAME && token_is_sign(token_after(token), '(');
}

void tokens_blank(struct token *first, const struct token *last) {
    for (struct token *t = first; t <= last && t->type != TOKEN_END; t++) t->becomes = SLICE("");
}

struct slice token_name(const struct token *token) {
    if (token->type == TOKEN_QUOTED && token->text.len >= 2)
        return slice_make(token->text.ptr + 1, token->text.len - 2);
    return token->text;
}
