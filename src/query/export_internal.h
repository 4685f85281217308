/* What the formats of exports share. */
#ifndef QUERY_EXPORT_INTERNAL_H
#define QUERY_EXPORT_INTERNAL_H

#include "query/export.h"
#include "query/steps.h"

enum { EXPORT_NDJSON, EXPORT_CSV };

struct export {
    struct api_request request; /* its texts are in `texts` */
    struct arena texts;
    struct ask ask;
    int format;
    struct steps *steps;
    struct block *block; /* open; NULL at first and at the end */
    uint32_t at;         /* rows of the block that went out */
    struct arena arena;  /* of the spans read last */
    uint64_t rows, total;
    bool begun;
};

/* The next spans, at most `max`; none at the end. They are gone with the next call. */
int export_read(struct export *e, uint32_t max, struct span **spans, uint32_t *count, struct error *err);

#endif
