/* Inside proxy: what was asked and answered, as read from the bodies. Texts are borrowed from them or from the arena.
 */
#ifndef PROXY_SAID_H
#define PROXY_SAID_H

#include "base/buf.h"
#include "base/json.h"
#include "proxy/seen.h"
#include "span/raw.h"

enum { ASKED_PARAMETERS_MAX = 24, CHOICES_MAX = 16, PARTS_MAX = 512 };
enum { NOT_SAID = -1 };

struct asked {
    struct slice model, user, thread;
    struct slice prompt; /* messages or input, JSON as it stands */
    struct slice system; /* JSON as it stands: a text or parts */
    struct attr parameters[ASKED_PARAMETERS_MAX];
    uint32_t parameter_count;
    bool stream;
};

struct token_counts {
    int64_t input, output, total, cached, cache_write, reasoning, tool_input; /* NOT_SAID */
};

enum part_kind { PART_TEXT, PART_REASONING, PART_TOOL };

/* What pieces of a stream with the same place make up. */
struct part {
    enum part_kind kind;
    uint32_t choice, index;
    struct slice id, name;
    struct buf text;
};

struct answered {
    enum seen_api api;
    struct slice id, model;
    struct slice finish[CHOICES_MAX];
    uint32_t choice_count; /* one more than the largest number of a choice */
    struct token_counts tokens;
    struct slice error, error_type;
    struct slice says; /* JSON in a shape of span/messages.h, or a text; of answers that are no stream */
    struct part *parts;
    uint32_t part_count, part_capacity;
    bool ended;         /* the stream said so itself */
    size_t first_bytes; /* how many bytes of the answer were there with the first piece of its text; 0 = none */
    struct arena *arena;
};

/* asked.c */
void asked_read(struct asked *asked, enum seen_api api, struct slice body, struct arena *arena);

/* answered.c */
void answered_init(struct answered *answered, struct arena *arena);
void answered_free(struct answered *answered);
void tokens_read(struct json_reader *r, struct token_counts *tokens);
/* The object of an error, or its text. */
void error_read(struct json_reader *r, struct answered *answered);
/* A whole answer. `failed`: its status says that it is an error. */
void answered_read(struct answered *answered, enum seen_api api, struct slice body, bool failed);
/* The counts at the end of an answer whose middle was not kept. */
void answered_read_tail(struct answered *answered, struct slice tail);
/* Where a piece belongs; NULL past the limits or without memory. */
struct part *part_at(struct answered *answered, enum part_kind kind, uint32_t choice, uint32_t index);
void part_add(struct answered *answered, enum part_kind kind, uint32_t choice, uint32_t index, struct slice text);
void finish_set(struct answered *answered, uint32_t choice, struct slice reason);
/* The parts as a list of messages, JSON. Empty when there are none. */
struct slice parts_write(const struct answered *answered);

/* Text or a call, beside reasoning. */
bool answered_has_content(const struct answered *answered);

/* gemini.c: one answer or one piece of a stream, whose '{' was taken; and a whole body, which may be a list of pieces
 * (a stream without alt=sse). */
void generated_read(struct answered *answered, struct json_reader *r);
void generated_read_whole(struct answered *answered, struct slice body);

/* stream.c: server-sent events. `at`: where the text begins within the answer. */
void answered_read_stream(struct answered *answered, enum seen_api api, struct slice text, size_t at);

/* Takes the '{' that comes next, or passes over what is no object. */
bool object_enter(struct json_reader *r);
/* A string as it is, anything else as its JSON text; empty for null. */
struct slice json_text(struct json_reader *r);
/* Of a list or an object that is to be passed on as it stands; empty for null. */
struct slice json_raw(struct json_reader *r);

#endif
