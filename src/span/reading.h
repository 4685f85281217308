/* Inside of normalise: what one span's attributes and events come to while they are read, shared by the files that each
 * read a part of it. */
#ifndef SPAN_READING_H
#define SPAN_READING_H

#include "span/batch.h"
#include "span/dialect.h"
#include "span/messages.h"
#include "span/value.h"

/* The best value found for a field so far. */
struct pick {
    const struct value *value; /* NULL = none */
    const struct dialect_name *name;
    const struct attr *attr; /* where it stands; NULL for what comes from a resource */
    uint8_t rank;
};

/* Prompt or completion, wherever it comes from. */
struct talk {
    enum { TALK_NONE, TALK_VALUE, TALK_PIECES, TALK_MESSAGE_EVENTS, TALK_PREVIEW } from;
    uint8_t list_rank; /* of the flattened list; 255 = none */
    const struct dialect_list *list;
    struct message_piece *pieces;
    uint32_t piece_count;
    const struct attr *event_attr; /* TALK_VALUE or TALK_PREVIEW of an event */
    bool taken;                    /* its text went into the span: do not keep it a second time */
};

enum { READING_NAMES_MAX = 64 };

struct reading {
    struct batch *batch;
    const struct raw_span *raw;
    struct span *span;
    /* What the first READING_NAMES_MAX attributes are called in the dialects' table, or NULL. Apart, since it need not
     * be cleared. */
    const struct dialect_name **names;
    struct pick picks[FIELD_COUNT];
    struct talk prompt, completion;
    int kind;             /* enum span_kind, or -1 */
    bool from_log;        /* zero tokens and "" stand for "not given" */
    bool chat_attributes; /* chat.… of the storefront */
    const struct raw_event *first_token;
};

/* ---- normalise.c ---- */

/* An attribute of that name, which may be NULL: the better name wins. `from_event`: it stands in an event. */
void pick_attr(struct reading *in, const struct dialect_name *name, const struct attr *attr, bool from_event);
/* What was written into the batch's scratch, in its arena; the scratch is empty after. */
struct slice scratch_take(struct reading *in);

/* ---- read_talk.c: prompt and completion ---- */

void read_events(struct reading *in);
struct slice read_talk(struct reading *in, struct talk *talk, enum field field);

/* ---- read_usage.c: tokens and cost; provider and model must be read before ---- */

void read_usage(struct reading *in);
void read_cost(struct reading *in);

/* ---- read_fields.c: what is one value ---- */

void read_temperature(struct reading *in);
struct slice read_finish_reason(struct reading *in);
int64_t read_ttft(struct reading *in);
enum span_kind read_kind(const struct reading *in); /* after the tokens */
void read_error(struct reading *in);
struct slice read_provider(struct reading *in);
double read_sample_rate(const struct reading *in);

/* ---- keep.c: attributes, events and resource as they are kept ---- */

/* All that did not go into a field of its own whole. `skew_ns`: by how much the span ended before it started. */
struct slice write_attributes(struct reading *in, int64_t skew_ns);
struct slice write_events(struct reading *in);
/* Fills resource, service and project; once for all spans of a resource. */
void read_resource(struct reading *in);

#endif
