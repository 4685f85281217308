/* The web page, out of the table that the build has embedded: packed, named by content, under a policy that lets
 * nothing in from elsewhere. Paths without a file of their own are the page's routes and get index.html. */
#include "serve/handlers.h"

#include "serve/assets.h"
#include "serve/server.h"

#include <libdeflate.h>

static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static const struct asset *find(struct slice path) {
    for (size_t i = 0; i < asset_count; i++)
        if (slice_is(path, assets[i].path)) return &assets[i];
    return NULL;
}

static void put_headers(struct request *request, const struct asset *asset) {
    request_add_header(request, "Content-Security-Policy", policy);
    request_add_header(request, "Referrer-Policy", "same-origin");
    request_add_header(request, "X-Frame-Options", "DENY");
    request_add_header(request, "Cross-Origin-Opener-Policy", "same-origin");
    request_add_header(request, "Cross-Origin-Resource-Policy", "same-origin");
    request_add_header(request, "Permissions-Policy", "camera=(), geolocation=(), microphone=()");
    request_add_header(request, "Vary", "Accept-Encoding");
    if (!asset) return;
    request_add_header(request, "ETag", asset->etag);
    request_add_header(request, "Cache-Control", asset->immutable ? "public, max-age=31536000, immutable" : "no-cache");
}

static bool has_etag(struct slice list, const char *etag) {
    return list.len && (slice_is(list, "*") || memmem(list.ptr, list.len, etag, strlen(etag)) != NULL);
}

/* For the few clients that take no gzip. The size of what is packed stands in its last four bytes. */
static bool unpack(const struct asset *asset, struct buf *out) {
    const unsigned char *tail = asset->gzip + asset->gzip_len - 4;
    size_t size = (size_t)tail[0] | (size_t)tail[1] << 8 | (size_t)tail[2] << 16 | (size_t)tail[3] << 24;
    struct libdeflate_decompressor *unpacker = libdeflate_alloc_decompressor();
    bool good =
        unpacker && buf_reserve(out, size + 1) &&
        libdeflate_gzip_decompress(unpacker, asset->gzip, asset->gzip_len, out->ptr, size, NULL) == LIBDEFLATE_SUCCESS;
    if (good) out->len = size;
    libdeflate_free_decompressor(unpacker);
    return good;
}

static void answer_asset(struct request *request, const struct asset *asset) {
    put_headers(request, asset);
    if (has_etag(request_header(request, "If-None-Match"), asset->etag)) {
        request_answer_static(request, 304, NULL, (struct slice){0});
        return;
    }
    if (request_takes_gzip(request)) {
        request_add_header(request, "Content-Encoding", "gzip");
        request_answer_static(request, 200, asset->content_type, slice_make(asset->gzip, asset->gzip_len));
        return;
    }
    struct buf plain = {0};
    if (unpack(asset, &plain)) {
        request_answer(request, 200, asset->content_type, &plain);
        return;
    }
    buf_free(&plain);
    request_fail(request, 503, "out_of_memory", NULL, "no memory for the page");
}

static void say_missing(struct request *request) {
    static const char text[] =
        "<!doctype html><html lang=en><meta charset=utf-8><title>Vitrine</title><h1>Vitrine runs; its page is not "
        "built in</h1>"
        "<p>The program was built without Node.js 18 and npm, or with <code>-Dui=disabled</code>. With them, "
        "<code>meson setup --wipe build &amp;&amp; ninja -C build</code> builds the page into it.<p>Everything else "
        "works: "
        "<code>vitrine traces</code>, <code>vitrine overview</code>, and the API that <a "
        "href=\"/api/openapi.json\">/api/openapi.json</a> lists.\n";
    put_headers(request, NULL);
    request_answer_static(request, 200, "text/html; charset=utf-8", slice_make(text, sizeof text - 1));
}

/* Programs ask there; a page in place of an answer would only confuse them. */
static bool is_for_programs(struct slice path) {
    static const char *const prefixes[] = {"/api/", "/v1/", "/otel/", "/ingest/", "/proxy/"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (slice_starts(path, slice_of(prefixes[i]))) return true;
    return false;
}

void answer_page(struct request *request) {
    const struct asset *asset = find(request->path);
    /* Files lie side by side at the top; "/users/a@example.com" is a route for all its dot. */
    struct slice name = slice_from(request->path, 1);
    bool is_file = name.len && memchr(name.ptr, '.', name.len) && !memchr(name.ptr, '/', name.len);
    if (!asset && !is_for_programs(request->path) && !is_file) asset = find(SLICE("/index.html"));
    if (asset)
        answer_asset(request, asset);
    else if (asset_count == 0 && !is_for_programs(request->path) && !is_file)
        say_missing(request);
    else
        request_fail(request, 404, "not_found", "GET /api/openapi.json lists what there is", "there is nothing at %.*s",
                     (int)(request->path.len > 200 ? 200 : request->path.len), request->path.ptr);
}
