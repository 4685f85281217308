/* Spans of a file on their way into a data directory or to a running server, chunk by chunk. One thread. */
#ifndef CLI_DELIVER_H
#define CLI_DELIVER_H

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/sniff.h"

struct delivery;

struct delivery_options {
    struct client_options server; /* url NULL: into the directory */
    const char *dir;              /* made when it is not there */
    const char *prices, *mask;    /* files or rules, as of `vitrine serve`; a server has its own */
    const char *project;          /* of spans that name none; a server takes its key's */
};

int delivery_open(struct delivery **delivery, const struct delivery_options *options, struct error *err);
/* Waits until all that was put is durable. Returns its failure, if there was one. */
int delivery_finish(struct delivery *delivery, struct error *err);
void delivery_close(struct delivery *delivery); /* NULL is fine */

/* One chunk of records that are whole, but for FORM_LINES: there `used` says how much was taken, and the rest belongs
 * to the next. */
struct chunk {
    enum form form;
    bool logs; /* FORM_OTLP_JSON: ExportLogsServiceRequest */
    struct slice body;
    bool more;                            /* FORM_LINES: more of the file follows */
    uint32_t first_line;                  /* FORM_LINES */
    size_t used;                          /* out */
    uint32_t lines;                       /* out: line breaks in them */
    uint64_t accepted, rejected, ignored; /* out: spans; records that could not be kept; other lines or events */
    /* Told of each record that was not kept, as far as reasons are known: its line, or its ordinal in the chunk; 0 =
     * not known. */
    void (*refused)(void *ctx, uint32_t position, struct slice message);
    void *ctx;
};
/* Fails only when going on is of no use: the server is gone or refuses the key, the disk is full or fails. Waits and
 * tries again where the other side is busy. */
int delivery_put(struct delivery *delivery, struct chunk *chunk, struct error *err);

#endif
