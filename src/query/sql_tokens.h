/* A statement of SQL cut into tokens, so that nothing inside a literal, a name or a comment is ever touched, and put
 * together again with some of them exchanged. For what rewrites statements (sql_rewrite.c, sql_group_parse.c). */
#ifndef QUERY_SQL_TOKENS_H
#define QUERY_SQL_TOKENS_H

#include "base/arena.h"
#include "base/error.h"

enum token_type { TOKEN_BLANK, TOKEN_NAME, TOKEN_QUOTED, TOKEN_STRING, TOKEN_NUMBER, TOKEN_OTHER, TOKEN_END };

struct token {
    enum token_type type;
    struct slice text;    /* as it stands in the statement */
    struct slice becomes; /* in the result; text itself unless exchanged */
    size_t at;            /* where it begins in the result */
    uint32_t pair;        /* of a '(': index of its ')', or of the end when it has none */
};

struct sql_tokens {
    struct token *list; /* the last has TOKEN_END */
    uint32_t count;     /* without the last */
};

/* Cuts the text, which is borrowed. VT_ENOMEM. */
int tokens_cut(struct sql_tokens *tokens, struct slice sql, struct arena *arena, struct error *err);

/* Blanks and comments are passed over. Behind the end comes the end; before the beginning NULL. */
struct token *token_after(struct token *token);
struct token *token_before(const struct sql_tokens *tokens, struct token *token);
/* The ')' that belongs to the '(' at `open`; TOKEN_END when there is none. */
struct token *token_closing(const struct sql_tokens *tokens, const struct token *open);
bool token_is_word(const struct token *token, const char *word); /* in any case, not in quotes */
bool token_is_one_of(const struct token *token, const char *const *words);
bool token_is_sign(const struct token *token, char sign);
bool token_is_call(struct token *token);            /* a name with a '(' behind it */
struct slice token_name(const struct token *token); /* without its quotes */
static inline bool token_digit(char c) {
    return c >= '0' && c <= '9';
}
void tokens_blank(struct token *first, const struct token *last);

#endif
