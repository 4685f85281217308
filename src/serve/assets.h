/* The web page, embedded: a table that the build of ui/ generates. Without that build a table of none takes its place,
 * and the server says at / that the page is missing and how to build it. Read-only; any thread. */
#ifndef SERVE_ASSETS_H
#define SERVE_ASSETS_H

#include <stdbool.h>
#include <stddef.h>

struct asset {
    const char *path;          /* "/index.html", "/app-3f2a9c.js": begins with a slash */
    const char *content_type;  /* "text/html; charset=utf-8" */
    const char *etag;          /* with its quotes: "\"3f2a9c\"" */
    const unsigned char *gzip; /* the content, gzip-compressed */
    size_t gzip_len;
    bool immutable; /* its name holds a hash of its content: it may be cached for ever */
};

extern const struct asset assets[]; /* at least one place, also when there are none */
extern const size_t asset_count;

#endif
