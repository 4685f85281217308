/* Showing answers: JSON as it came (laid out and coloured on a terminal), tables and CSV from one list of columns. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include "cli/doc.h"
#include "cli/shape.h"
#include "cli/source.h"

struct show_column {
    const char *title; /* heading for people; NULL = in CSV only */
    const char *path;  /* "tokens.total"; the heading in CSV */
    enum shape shape;
    unsigned least; /* as in table.h */
    unsigned rank;  /* as in table.h */
};

void show_json(struct cli *cli, struct slice json);
/* The children of `rows` as a table or, with --csv, as CSV. */
int show_rows(struct cli *cli, const struct doc *rows, const struct show_column *columns, size_t count,
              struct error *err);
void show_context(struct cli *cli, struct shape_context *context);
/* "No traces match model:x in the last 24 hours …", beside the answer; `filter` may be NULL. */
void show_none(struct cli *cli, const char *noun, const char *filter);

/* A command whose whole answer is one list. */
struct listing {
    const char *array; /* the member that holds the rows */
    const char *noun;  /* "traces": for the line below, and when there are none */
    const struct show_column *columns;
    size_t count;
    bool pages; /* follows `next` until --limit */
};
/* Asks for `path` with `query` and shows the rows. Returns enum exit_status; `filter` (may be NULL) is shown with its
 * mistakes. */
int show_listing(struct cli *cli, const struct listing *listing, const char *path, struct buf *query,
                 const char *filter);
/* Calls and parses (doc may be NULL); the answer's text lives in cli->arena. */
int show_call(struct cli *cli, struct source *source, const struct source_request *request, struct slice *json,
              const struct doc **doc, struct error *err);
/* The same with opening and closing: opens the source, calls, parses (doc may be NULL), closes. Returns EXIT_FINE, or
 * what cli_fail_at said. The answer's text lives in cli->arena. */
int show_ask(struct cli *cli, const struct source_request *request, const char *filter, struct slice *json,
             const struct doc **doc);

#endif
