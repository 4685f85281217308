/* Inside src/query: the engine, one request on its way through it (struct ask), and the table of routes.
 *
 * A handler reads its parameters from the ask, runs scans (blocks.h), aggregates (aggregate.h) or loads traces
 * (traces.h), and writes one JSON object:
 *
 *     int my_handler(struct ask *ask, struct json_writer *w, struct error *err) {
 *         json_open(w, '{');
 *         …
 *         ask_put_tail(ask, w);          // "scanned", "elapsed_ms"
 *         json_close(w, '}');
 *         return 0;
 *     }
 *
 * To add an endpoint: a row in routes.h and the handler in a file of its own. */
#ifndef QUERY_ENGINE_H
#define QUERY_ENGINE_H

#include "base/json.h"
#include "query/api.h"
#include "query/field.h"
#include "query/filter.h"
#include "store/scan.h"

#include <stdatomic.h>

enum { WORKERS_MAX = 8, LIMIT_DEFAULT = 50, LIMIT_MAX = 1000, BODY_BYTES_MAX = 1 << 20 };

struct pool;   /* pool.h */
struct weave;  /* weave.h */
struct scores; /* scores.h */
struct codebooks;
struct codebook; /* codebook.h */
struct partials; /* partials.h */

struct engine {
    struct store *store;           /* borrowed */
    struct engine_options options; /* defaults filled in */
    struct pool *pool;
    struct spare_arenas *spare; /* spare.h */
    struct weave *weave;        /* what is known of traces that lie in more than one place */
    struct codebooks *books;    /* codebook.h */
    struct scores *scores;
    struct partials *partials; /* partials.h */
    atomic_size_t held_bytes;  /* by aggregates of all requests together: ask_hold */
};

/* One request. Lives on the handler's thread; scans read it from several. */
struct ask {
    struct engine *engine;
    const struct api_request *request;
    struct arena arena;        /* freed with the request; limited to options.memory_bytes; the handler's thread only */
    struct snapshot *snapshot; /* taken before the handler is called */
    struct weave_view *view;   /* what blocks are mended with; NULL = nothing */
    int64_t now_ns;            /* Unix time at which the request came: relative times speak of it */
    int64_t started_ns;        /* monotonic */
    int64_t deadline_ns;       /* monotonic */
    int64_t from_ns, to_ns;    /* start times asked for: from ≤ start < to; TAKES_RANGE */
    struct codebook *books[2]; /* by codebook_of, taken by aggregates; NULL = none */
    struct filter *filter;     /* TAKES_FILTER; an empty one when q is missing */
    uint32_t limit;            /* TAKES_LIMIT */
    struct slice cursor;       /* TAKES_CURSOR, decoded; empty = first page */
    struct slice id;           /* what stood in place of the pattern's {…}, decoded */
    atomic_ullong scanned;     /* spans looked at */
    struct ask_arena *more_arenas; /* ask_new_arena's */
    atomic_size_t held_bytes;      /* of the engine's */
};

void ask_free_arenas(struct ask *ask);

/* What a route reads from the query before its handler runs. TAKES_WHOLE_TRACES: it looks at nothing but whole traces,
 * which it puts together itself (traces_load), so it need not wait for the weave when the engine has just started. */
enum { TAKES_RANGE = 1, TAKES_FILTER = 2, TAKES_LIMIT = 4, TAKES_CURSOR = 8, TAKES_WHOLE_TRACES = 16 };

/* The life of a request: what api_call does around a handler, for who answers in pieces (export.h). `request` must
 * outlive it. */
void ask_init(struct ask *ask, struct engine *engine, const struct api_request *request);
int ask_begin(struct ask *ask, int takes,
              struct error *err); /* reads parameters, takes the snapshot; ask_end also when it fails */
void ask_end(struct ask *ask);

typedef int ask_handler(struct ask *ask, struct json_writer *w, struct error *err);

/* 0, or VT_ETIMEOUT / VT_ECANCELLED. Cheap enough for every few thousand rows. Any thread. */
int ask_check(const struct ask *ask, struct error *err);
/* The parameter's value, percent-decoded into the ask's arena; false when it is not there. */
bool ask_param(struct ask *ask, const char *name, struct slice *value);
/* A parameter that is one of `words` (NULL at the end); *index is left alone when it is not there. */
int ask_param_word(struct ask *ask, const char *name, const char *const *words, int *index, struct error *err);
/* from, to and interval of a JSON body or query as docs/api.md says. Empty text = leave *ns alone. */
int ask_read_when(struct ask *ask, const char *name, struct slice text, int64_t *ns, struct error *err);
int ask_read_interval(const char *name, struct slice text, int64_t *ns, struct error *err);
/* VT_EINVAL unless from < to. */
int ask_check_range(const struct ask *ask, struct error *err);
/* Parses a filter into the ask's arena; messages begin with the parameter's name. */
int ask_parse_filter(struct ask *ask, const char *name, struct slice text, struct filter **filter, struct error *err);
/* "%C3%A9" → "é"; `plus` makes '+' a space, as in query strings. Broken escapes stay as they are. */
struct slice percent_decode(struct arena *arena, struct slice text, bool plus);
/* Memory from the ask's arena, zeroed; NULL with VT_ELIMIT in err: the request holds too much. */
void *ask_alloc(struct ask *ask, size_t count, size_t size, struct error *err);
/* Says that what the request gathers has grown from `before` to `now` bytes. VT_ELIMIT: it holds more than one request
 * may, or all of them together hold more than the engine may and this one is not small. Any thread. */
int ask_hold(struct ask *ask, size_t before, size_t now, struct error *err);
/* One more arena, with a thread's share of the limit, freed with the request; may then be used by another thread. NULL
 * with VT_ENOMEM.
 */
struct arena *ask_new_arena(struct ask *ask, struct error *err);
/* "scanned" and "elapsed_ms". */
void ask_put_tail(struct ask *ask, struct json_writer *w);

/* An interval that cuts from…to in about `steps` pieces: 1 s, 2 s, 5 s, … 30 d. */
int64_t interval_for(int64_t from_ns, int64_t to_ns, unsigned steps);

/* Members that several answers have. Unknown ones are left out. */
void put_ms(struct json_writer *w, const char *key, int64_t ns);   /* "duration_ms":12.5 */
void put_time(struct json_writer *w, const char *key, int64_t ns); /* "start":"2026-…" */
void put_text(struct json_writer *w, const char *key, struct slice text);
void put_number(struct json_writer *w, const char *key, double value);
void put_count(struct json_writer *w, const char *key, double value); /* whole numbers without a point */

#endif
