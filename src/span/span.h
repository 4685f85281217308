/* The span: the one record that everything in Vitrine shares, in its canonical form (after src/span/normalise.h gave
 * the sender's attributes their meaning). And the table of its columns, from which the WAL, the Parquet files, the
 * filter language, the SQL tables and the API are driven: a field is added here and in span.c's table, nowhere else.
 *
 * "Not known" is one value per type: an empty slice, SPAN_NO_INT, NaN, an id of zeros. Zero is a known zero. */
#ifndef SPAN_SPAN_H
#define SPAN_SPAN_H

#include "base/id.h"
#include "base/slice.h"

#include <math.h>

#define SPAN_NO_INT INT64_MIN

/* What kind of work a span is; the API shows the lower-case word. */
enum span_kind {
    KIND_OTHER,
    KIND_LLM,
    KIND_TURN,
    KIND_TOOL,
    KIND_RETRIEVAL,
    KIND_EMBEDDING,
    KIND_AGENT,
    KIND_CHAIN,
    KIND_COUNT
};
enum span_status { STATUS_UNSET, STATUS_OK, STATUS_ERROR, STATUS_COUNT };

enum span_flag {
    SPAN_USAGE_ESTIMATED = 1, /* tokens were estimated from text lengths, the sender gave none */
    SPAN_COST_REPORTED = 2,   /* cost came from the sender, not from the price table */
    SPAN_JOIN_BY_PARENT = 4, /* the sender gives every span a trace id of its own: only parent_span_id ties the trace */
    SPAN_USAGE_RESTATED = 8, /* a descendant reports usage too: keep tokens and cost out of sums (set by the store) */
    SPAN_FALLBACK = 16,      /* a chat turn that succeeded although an LLM call below it failed (set by the store) */
    SPAN_CONTENT_EVENT = 32  /* stands for log events that tell prompt and completion of its parent */
};

enum col {
    COL_TRACE_ID,
    COL_SPAN_ID,
    COL_PARENT_SPAN_ID,
    COL_START_NS,
    COL_DURATION_NS,
    COL_TTFT_NS,
    COL_TOKENS_INPUT,
    COL_TOKENS_OUTPUT,
    COL_TOKENS_CACHED,
    COL_TOKENS_CACHE_WRITE,
    COL_TOKENS_REASONING,
    COL_COST_USD,
    COL_TEMPERATURE,
    COL_SAMPLE_RATE,
    COL_KIND,
    COL_STATUS,
    COL_FLAGS,
    COL_PROJECT,
    COL_SERVICE,
    COL_OPERATION,
    COL_PROVIDER,
    COL_MODEL,
    COL_FINISH_REASON,
    COL_USER_ID,
    COL_THREAD_ID,
    COL_TURN_ID,
    COL_ERROR,
    COL_PROMPT,
    COL_COMPLETION,
    COL_ATTRIBUTES,
    COL_EVENTS,
    COL_RESOURCE,
    COL_COUNT
};
enum { COL_TEXT_FIRST = COL_PROJECT, COL_TEXT_COUNT = COL_COUNT - COL_TEXT_FIRST };

struct span {
    uint8_t trace_id[TRACE_ID_SIZE];
    uint8_t span_id[SPAN_ID_SIZE];
    uint8_t parent_span_id[SPAN_ID_SIZE]; /* zeros: a root */
    int64_t start_ns;                     /* Unix time */
    int64_t duration_ns;                  /* ≥ 0 */
    int64_t ttft_ns;                      /* start to first token */
    int64_t tokens_input;                 /* all that the model read, cached parts included */
    int64_t tokens_output;                /* all that it wrote, reasoning included */
    int64_t tokens_cached;                /* part of input that came from a cache */
    int64_t tokens_cache_write;           /* part of input that was written to a cache */
    int64_t tokens_reasoning;             /* part of output */
    double cost_usd;
    double temperature;
    double sample_rate;                /* this span stands for 1 / sample_rate spans; NaN or 1 = itself */
    int64_t kind;                      /* enum span_kind */
    int64_t status;                    /* enum span_status */
    int64_t flags;                     /* enum span_flag, or-ed */
    struct slice text[COL_TEXT_COUNT]; /* by col - COL_TEXT_FIRST; use span_text */
};
/* prompt and completion: a JSON array of messages {role, content, …} where messages are known, else plain text.
 * attributes, resource: a JSON object. events: a JSON array of {name, timestamp (Unix ms), attributes}. */

enum col_type {
    COL_BYTES,  /* fixed width ids: 16 or 8 bytes */
    COL_INT,    /* int64 */
    COL_DOUBLE, /* double */
    COL_DICT,   /* text of few distinct values: dictionary codes */
    COL_STRING  /* text of many distinct values */
};

struct column {
    const char *name; /* in Parquet, SQL and our own texts: "tokens_input" */
    enum col_type type;
    uint16_t offset; /* within struct span */
    uint16_t width;  /* bytes, COL_BYTES only */
    bool optional;   /* may be "not known" */
};

extern const struct column span_columns[COL_COUNT];
extern const char *const span_kind_names[KIND_COUNT];     /* "other", "llm", … */
extern const char *const span_status_names[STATUS_COUNT]; /* "UNSET", "OK", "ERROR" */

void span_init(struct span *span); /* everything "not known" */
static inline struct slice *span_text(struct span *span, enum col col) {
    return &span->text[col - COL_TEXT_FIRST];
}
static inline struct slice span_get_text(const struct span *span, enum col col) {
    return span->text[col - COL_TEXT_FIRST];
}
static inline int64_t span_get_int(const struct span *span, enum col col) {
    return *(const int64_t *)(const void *)((const char *)span + span_columns[col].offset);
}
static inline double span_get_double(const struct span *span, enum col col) {
    return *(const double *)(const void *)((const char *)span + span_columns[col].offset);
}
/* The column of that name, or -1. */
int span_column_named(struct slice name);
/* The kind or status of that word in any case, or -1. */
int span_kind_named(struct slice word);
int span_status_named(struct slice word);

#endif
