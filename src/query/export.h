/* Spans out of the store, as many as there are, in bounded memory: piece by piece as text (GET /api/v1/export, which
 * the server streams), or as one Parquet file.
 *
 *     if ((code = export_open(&export, engine, &request, &err))) return code;
 *     while (!(code = export_next(export, &chunk, &err)) && chunk.len) send(chunk), buf_clear(&chunk);
 *     export_free(export);
 *
 * The parameters stand in request->query: q, from and to as everywhere (also the last 24 hours by default; from=0 is
 * everything), format=ndjson (default) or csv. ndjson has one span a line as docs/api.md shows it, which `vitrine
 * import` and POST /ingest/logs take back; csv has a header line. Spans come by row groups, the oldest first. An export
 * shows the store as it was when it was opened. One thread at a time. */
#ifndef QUERY_EXPORT_H
#define QUERY_EXPORT_H

#include "query/api.h"

struct export;

/* Reads the parameters and takes a snapshot; `request` may go away after, what its `cancel` points to may not. A
 * deadline of the request is not looked at: each piece has the engine's timeout. */
int export_open(struct export **export, struct engine *engine, const struct api_request *request, struct error *err);
void export_free(struct export *export); /* NULL is fine */
/* Appends the next piece (some 256 KiB) to `chunk`; nothing at the end. On error `chunk` is as it was, and the export
 * is over. */
int export_next(struct export *export, struct buf *chunk, struct error *err);
const char *export_content_type(const struct export *export); /* "application/x-ndjson", "text/csv; charset=utf-8" */

struct export_progress {
    uint64_t rows;    /* spans that went out */
    uint64_t scanned; /* spans looked at */
    uint64_t total;   /* spans of the store that may be looked at */
};
void export_get_progress(const struct export *export, struct export_progress *progress);

/* The same spans as a Parquet file with the columns of the store's own segments; `path` is made anew. `each` (may be
 * NULL) is told how it gets on; when it returns false the file is removed and VT_ECANCELLED returned. */
int export_parquet(struct engine *engine, const struct api_request *request, const char *path,
                   bool (*each)(void *ctx, const struct export_progress *), void *ctx, uint64_t *rows,
                   struct error *err);

#endif
