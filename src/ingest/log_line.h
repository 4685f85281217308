/* Inside ingest: one JSON object of a log. Used by the log reader and by the Convex stream, whose messages hold such
 * objects. */
#ifndef INGEST_LOG_LINE_H
#define INGEST_LOG_LINE_H

#include "ingest/raw_build.h"
#include "span/batch.h"

enum line_kind {
    LINE_OTHER,   /* an object that is no trace */
    LINE_TRACE,   /* a trace line: it is in the batch, or its refusal is */
    LINE_WRAPPED, /* a log shipper's object around a text that may hold trace lines: `inner` */
    LINE_BROKEN,  /* no JSON from `failed_at` on */
};

struct log_line {
    struct batch *batch;
    struct raw_build build;
    struct raw_resource resource; /* the project, and what is known of where the line came from. Its texts and those of
                                     `extra` are the caller's and outlive the line: spans take copies */
    enum raw_source source;
    uint32_t position;        /* of the line, for rejections */
    unsigned depth;           /* of texts within texts */
    const struct attr *extra; /* attributes that every span gets on top; may be NULL */
    uint32_t extra_count;
    const uint8_t *trace_id;  /* the trace of spans whose ids are not hex; NULL: put together by parents */
    const uint8_t *parent_id; /* with trace_id: the parent of those that name none */
    int64_t printed_ns; /* when the line was printed, if something outside of it says so: the span's end where it says
                           no time; 0 = not known */

    /* out, of the last line */
    size_t length;      /* bytes of the object; LINE_BROKEN: as far as it could be read */
    bool cut_off;       /* LINE_BROKEN: the text ended within the object */
    bool tried_trace;   /* LINE_BROKEN: what could be read of it looks like a trace line */
    bool took;          /* LINE_TRACE: a span went into the batch */
    struct slice inner; /* LINE_WRAPPED; lies in the text or in build.arena */
    int64_t inner_ns;   /* when the shipper says that the line was printed; 0 = not said */
    enum log_stream {
        STREAM_NONE,
        STREAM_OUT,
        STREAM_ERR
    } stream;           /* of a container: the object is Docker's, and `piece` what the container printed: a line with
                           its line break, or a part of one that was too long */
    struct slice piece; /* lies in the text or in build.arena */
    int64_t piece_ns;   /* when it was printed; 0 = not said */
    struct error err;   /* LINE_BROKEN: why; also the code that ends all */
};

/* Reads the object that `text` begins with; what follows it is not looked at. Returns enum line_kind, or VT_ENOMEM or
 * VT_ELIMIT (the batch is full) with the reason in line->err. Texts of the span under way lie in build.arena until the
 * next call. */
int log_line_read(struct log_line *line, struct slice text);
/* The same without taking anything: only `length`, `stream` and `piece` are told. LINE_OTHER, LINE_BROKEN or VT_ENOMEM.
 */
int log_piece_read(struct log_line *line, struct slice text);
/* All trace lines in `text`, which was found inside of something else (a shipper's "message", an event of a log
 * stream): the same as log_decode does, for the given line's batch, source and position. 0, VT_ENOMEM or VT_ELIMIT. */
int log_text_read(const struct log_line *outer, struct slice text, int64_t printed_ns, struct error *err);
void log_line_free(struct log_line *line);

#endif
