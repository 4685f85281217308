/* The bodies that the two providers' APIs answer: whole, or as the events of a stream. */
#ifndef FAKE_LLM_PIECES_H
#define FAKE_LLM_PIECES_H

#include "reply.h"

/* One event of a stream as it goes over the wire ("data: …\n\n"), malloced. */
struct piece {
    char *text;
    bool says; /* carries a part of the answer: time to first token and pauses count from these */
};

struct pieces {
    struct piece *list;
    size_t count, capacity;
};

/* Whole answers; the caller frees the text. */
char *chat_body(const json_t *request, const struct reply *reply);
char *responses_body(const json_t *request, const struct reply *reply);
char *messages_body(const json_t *request, const struct reply *reply);
char *embeddings_body(const json_t *request); /* NULL when the request has no input */
char *models_body(void);
/* An error in the provider's own shape. */
char *error_body(enum dialect dialect, long status, const char *message);

/* The same as streams. */
void chat_pieces(const json_t *request, const struct reply *reply, bool usage, struct pieces *out);
void responses_pieces(const json_t *request, const struct reply *reply, struct pieces *out);
void messages_pieces(const json_t *request, const struct reply *reply, struct pieces *out);
void pieces_free(struct pieces *pieces);

#endif
