/* Where a command's data comes from: a running server, or a data directory opened for reading. Both answer the same
 * requests with the same JSON (docs/api.md). One thread. */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include "cli/client.h"
#include "cli/shared.h"

#define SOURCE_URL_DEFAULT "http://127.0.0.1:4318"

struct source;
struct engine;

/* By the group_source options. The stronger of --url and --data decides (flag over environment over file; both as flags
 * is a mistake). With neither: the default server when something listens there, else the default directory when it is
 * there. VT_EINVAL, VT_EIO, VT_ENOTFOUND say what to do. */
int source_open(struct source **source, struct cli *cli, struct error *err);
void source_close(struct source *source); /* NULL is fine */
/* Neither --url nor --data was given, by any means: source_open tries the defaults. */
bool source_unnamed(struct cli *cli);

/* The server, or NULL when it is a directory. */
struct client *source_client(struct source *source);
/* The directory's, or NULL when it is a server. */
struct engine *source_engine(struct source *source);
/* "http://…", or the directory. */
const char *source_name(const struct source *source);

struct source_request {
    const char *method; /* NULL = "GET" */
    struct slice path;  /* percent-encoded */
    struct slice query; /* percent-encoded */
    struct slice body;
};
/* Appends the answer's JSON to `out`. Codes as in query/api.h, and VT_EIO, VT_EDENIED of the way to a server. */
int source_call(struct source *source, const struct source_request *request, struct buf *out, struct error *err);

/* Opens the directory that a command means for writing (import, delete, keys). */
const char *source_data_dir(struct cli *cli);
void source_client_options(struct cli *cli, struct client_options *options);

#endif
