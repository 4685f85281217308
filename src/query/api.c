/* The door: finds the route, reads what all requests share, and answers errors. */
#include "query/codebook.h"
#include "query/api.h"

#include "base/timestamp.h"
#include "query/engine.h"
#include "query/partials.h"
#include "query/pool.h"
#include "query/routes.h"
#include "query/spare.h"
#include "query/scores.h"
#include "query/weave.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TIMEOUT_MS_DEFAULT = 30000, MEMORY_BYTES_DEFAULT = 256 << 20, QUERY_BYTES_MAX = 256 << 10 };
static const int64_t DAY_NS = 86400 * (int64_t)NS_PER_S;

#define DECLARE(method, pattern, takes, handler, summary) ask_handler handler;
QUERY_ROUTES(DECLARE)

#define SHOWN(method, pattern, takes, handler, summary) {method, pattern, summary},
const struct api_route api_routes[] = {QUERY_ROUTES(SHOWN){NULL, NULL, NULL}};

#define INNER(method, pattern, takes, handler, summary) {takes, handler},
static const struct {
    int takes;
    ask_handler *handler;
} inner[] = {QUERY_ROUTES(INNER)};

int engine_open(struct engine **out, struct store *store, const struct engine_options *options, struct error *err) {
    struct engine *engine = calloc(1, sizeof *engine);
    *out = NULL;
    if (!engine) return error_set(err, VT_ENOMEM, "no memory for the query engine");
    engine->store = store;
    if (options) engine->options = *options;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (!engine->options.threads) engine->options.threads = cores > 0 ? (unsigned)cores : 1;
    if (engine->options.threads > WORKERS_MAX) engine->options.threads = WORKERS_MAX;
    if (!engine->options.memory_bytes) engine->options.memory_bytes = MEMORY_BYTES_DEFAULT;
    if (!engine->options.timeout_ms) engine->options.timeout_ms = TIMEOUT_MS_DEFAULT;
    engine->pool = pool_new(engine->options.threads - 1);
    engine->weave = weave_new();
    engine->spare = spare_new();
    engine->books = codebooks_new(CODEBOOK_BYTES_MAX);
    engine->partials = partials_new();
    if (!engine->pool || !engine->weave || !engine->spare || !engine->books || !engine->partials) {
        engine_free(engine);
        return error_set(err, VT_ENOMEM, "no memory or threads for the query engine");
    }
    int code = scores_open(&engine->scores, store_catalog_path(store), store_is_read_only(store), err);
    if (code) {
        engine_free(engine);
        return code;
    }
    weave_warm(engine->weave, store);
    *out = engine;
    return 0;
}

void engine_free(struct engine *engine) {
    if (!engine) return;
    pool_free(engine->pool);
    weave_free(engine->weave);
    codebooks_free(engine->books);
    spare_free(engine->spare);
    partials_free(engine->partials);
    scores_free(engine->scores);
    free(engine);
}

/* ---- routes ---- */

/* "{…}" takes one segment, which becomes *id, undecoded. A slash at the end of the path does no harm. */
static bool path_fits(const char *pattern, struct slice path, struct slice *id) {
    if (path.len > 1 && path.ptr[path.len - 1] == '/') path.len--;
    while (*pattern) {
        if (*pattern == '{') {
            const char *end = path.len ? memchr(path.ptr, '/', path.len) : NULL;
            size_t len = end ? (size_t)(end - path.ptr) : path.len;
            if (!len) return false;
            *id = slice_make(path.ptr, len);
            path = slice_from(path, len);
            pattern = strchr(pattern, '}') + 1;
            continue;
        }
        if (!path.len || *path.ptr != *pattern) return false;
        path = slice_from(path, 1);
        pattern++;
    }
    return !path.len;
}

static int find_route(const struct api_request *request, size_t *found, struct slice *id, struct error *err) {
    char methods[64] = "";
    size_t count = sizeof inner / sizeof *inner;
    for (size_t i = 0; i < count; i++) {
        if (!path_fits(api_routes[i].pattern, request->path, id)) continue;
        if (slice_is(request->method, api_routes[i].method)) {
            *found = i;
            return 0;
        }
        size_t len = strlen(methods);
        snprintf(methods + len, sizeof methods - len, "%s%s", len ? ", " : "", api_routes[i].method);
    }
    int shown = request->path.len < 200 ? (int)request->path.len : 200;
    if (!methods[0]) {
        error_set(err, VT_ENOTFOUND, "there is nothing at %.*s", shown, request->path.ptr);
        return error_hint(err, "/api/openapi.json describes what there is");
    }
    error_set(err, VT_EUNSUPPORTED, "%.*s does not take %.*s", shown, request->path.ptr,
              request->method.len < 20 ? (int)request->method.len : 20, request->method.ptr);
    return error_hint(err, "it takes %s", methods);
}

/* ---- what all share ---- */

static int read_range(struct ask *ask, struct error *err) {
    struct slice text;
    int code = 0;
    ask->to_ns = ask->now_ns;
    if (ask_param(ask, "to", &text)) code = ask_read_when(ask, "to", text, &ask->to_ns, err);
    ask->from_ns = ask->to_ns - DAY_NS;
    if (!code && ask_param(ask, "from", &text)) code = ask_read_when(ask, "from", text, &ask->from_ns, err);
    return code ? code : ask_check_range(ask, err);
}

static int read_limit(struct ask *ask, struct error *err) {
    struct slice text;
    uint32_t value = 0;
    ask->limit = LIMIT_DEFAULT;
    if (!ask_param(ask, "limit", &text) || !text.len) return 0;
    for (size_t i = 0; i < text.len && value <= LIMIT_MAX; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            value = LIMIT_MAX + 1;
        else
            value = value * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    if (!value || value > LIMIT_MAX)
        return error_set(err, VT_EINVAL, "limit: expected a number from 1 to %d, found '%.*s'", LIMIT_MAX,
                         text.len < 60 ? (int)text.len : 60, text.ptr);
    ask->limit = value;
    return 0;
}

static int read_shared(struct ask *ask, int takes, struct error *err) {
    struct slice text = {NULL, 0};
    int code = 0;
    if (takes & TAKES_RANGE) code = read_range(ask, err);
    if (!code && takes & TAKES_LIMIT) code = read_limit(ask, err);
    if (!code && takes & TAKES_CURSOR) ask_param(ask, "cursor", &ask->cursor);
    if (!code && takes & TAKES_FILTER) {
        ask_param(ask, "q", &text);
        code = ask_parse_filter(ask, "q", text, &ask->filter, err);
    }
    return code;
}

static int check_sizes(const struct api_request *request, struct error *err) {
    if (request->query.len > QUERY_BYTES_MAX)
        return error_set(err, VT_ELIMIT, "the query string has %zu bytes, at most %d are taken", request->query.len,
                         QUERY_BYTES_MAX);
    if (request->body.len > BODY_BYTES_MAX)
        return error_set(err, VT_ELIMIT, "the body has %zu bytes, at most %d are taken", request->body.len,
                         BODY_BYTES_MAX);
    return 0;
}

void ask_init(struct ask *ask, struct engine *engine, const struct api_request *request) {
    *ask =
        (struct ask){.engine = engine, .request = request, .now_ns = time_now_ns(), .started_ns = time_monotonic_ns()};
    ask->deadline_ns =
        request->deadline_ns ? request->deadline_ns : ask->started_ns + (int64_t)engine->options.timeout_ms * NS_PER_MS;
    arena_init(&ask->arena, engine->options.memory_bytes);
}

int ask_begin(struct ask *ask, int takes, struct error *err) {
    int code = read_shared(ask, takes, err);
    if (code) return code;
    if (!(ask->snapshot = store_snapshot(ask->engine->store)))
        return error_set(err, VT_ENOMEM, "no memory for a snapshot of the store");
    if (takes & TAKES_WHOLE_TRACES && weave_is_needless(ask->engine->weave, ask->snapshot)) return 0;
    return weave_look(ask->engine->weave, ask->snapshot, &ask->view, err);
}

void ask_end(struct ask *ask) {
    weave_view_free(ask->view);
    for (int i = 0; i < CODEBOOK_COLUMNS; i++) codebook_release(ask->books[i]);
    snapshot_free(ask->snapshot);
    ask_free_arenas(ask);
}

int api_call(struct engine *engine, const struct api_request *request, struct buf *out, struct error *err) {
    struct error own = {0};
    struct slice id = {NULL, 0};
    size_t route = 0, before = out->len;
    if (!err) err = &own;
    int code = check_sizes(request, err);
    if (!code) code = find_route(request, &route, &id, err);
    if (code) return code;
    struct json_writer w = json_writer_on(out);
    struct ask ask;
    ask_init(&ask, engine, request);
    ask.id = percent_decode(&ask.arena, id, false);
    code = ask_begin(&ask, inner[route].takes, err);
    if (!code) code = inner[route].handler(&ask, &w, err);
    if (!code && out->failed) code = error_set(err, VT_ELIMIT, "the answer is too long");
    ask_end(&ask);
    if (code) out->len = before, out->failed = false;
    return code;
}

/* ---- errors ---- */

void api_put_error(struct buf *out, const struct error *err) {
    struct json_writer w = json_writer_on(out);
    json_open(&w, '{');
    json_put_key(&w, "error");
    json_open(&w, '{');
    json_put_key(&w, "code");
    json_put_cstr(&w, error_name(err->code));
    json_put_key(&w, "message");
    json_put_cstr(&w, err->message);
    if (err->hint[0]) {
        json_put_key(&w, "hint");
        json_put_cstr(&w, err->hint);
    }
    if (err->column) {
        json_put_key(&w, "column");
        json_put_int(&w, err->column);
    }
    json_close(&w, '}');
    json_close(&w, '}');
}

int api_status(int code) {
    static const struct {
        int code, status;
    } statuses[] = {{0, 200},          {VT_EINVAL, 400},   {VT_ELIMIT, 422},     {VT_ENOMEM, 503},
                    {VT_EIO, 500},     {VT_EFULL, 503},    {VT_ECORRUPT, 500},   {VT_ENOTFOUND, 404},
                    {VT_EDENIED, 403}, {VT_ETIMEOUT, 504}, {VT_ECANCELLED, 499}, {VT_EUNSUPPORTED, 405}};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].code == code) return statuses[i].status;
    return 500;
}
