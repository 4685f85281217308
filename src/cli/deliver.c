/* Spans of a file on their way. A chunk is always decoded here: that says where its records end, what is wrong with
 * which, and how many there are; a server then gets the bytes as they stand (Convex events: as span lines, since a
 * server takes only fresh ones). */
#include "cli/deliver.h"

#include "base/pb.h"
#include "base/timestamp.h"
#include "cli/doc.h"
#include "ingest/ingest.h"
#include "span/mask.h"
#include "span/normalise.h"
#include "span/prices.h"
#include "span/span_json.h"
#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { TRIES = 8, WAIT_MS_FIRST = 250, WAIT_MS_MOST = 8000, FULL_WAIT_MS = 5, FULL_MS_MOST = 30000 };

struct delivery {
    struct delivery_options options;
    struct client *client; /* or: */
    struct store *store;
    struct prices *prices;
    struct mask *mask;
    pthread_mutex_t lock; /* guards what follows: the store's writer thread tells */
    pthread_cond_t told;
    uint64_t pending; /* batches on their way to the disk */
    int failed;       /* the first failure's code */
};

int delivery_open(struct delivery **delivery, const struct delivery_options *options, struct error *err) {
    struct store_options store = {.dir = options->dir};
    struct delivery *d = calloc(1, sizeof *d);
    int code;
    *delivery = NULL;
    if (!d) return error_set(err, VT_ENOMEM, "no memory");
    d->options = *options;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->told, NULL);
    if (options->server.url)
        code = client_open(&d->client, &options->server, err);
    else {
        code = prices_load(&d->prices, options->prices, err);
        if (!code) code = mask_load(&d->mask, options->mask, err);
        if (!code) code = store_open(&d->store, &store, err);
    }
    if (code)
        delivery_close(d);
    else
        *delivery = d;
    return code;
}

void delivery_close(struct delivery *d) {
    if (!d) return;
    store_close(d->store); /* first: the writer may still tell */
    client_close(d->client);
    prices_free(d->prices);
    mask_free(d->mask);
    pthread_cond_destroy(&d->told);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static void wait_ms(unsigned ms) {
    struct timespec time = {ms / 1000, (long)(ms % 1000) * NS_PER_MS};
    while (nanosleep(&time, &time)) {
    }
}

/* ---- decoding ---- */

static int decode_lines(struct batch *batch, struct chunk *c, struct slice project, struct error *err) {
    struct log_decode options = {.project = project, .first_line = c->first_line, .more = c->more};
    int code = log_decode(batch, c->body, &options, err);
    if (code == VT_ELIMIT && options.used && batch->count)
        code = 0; /* the batch is full: the rest is the next chunk's */
    c->used = options.used;
    c->lines = options.lines;
    c->ignored = options.ignored;
    return code;
}

static int decode(struct delivery *d, struct batch *batch, struct chunk *c, struct error *err) {
    struct slice project = slice_of(d->options.project);
    c->used = c->body.len;
    switch (c->form) {
    case FORM_LINES: return decode_lines(batch, c, project, err);
    case FORM_OTLP_JSON:
        return c->logs ? otlp_logs_decode_json(batch, c->body, project, &c->ignored, err)
                       : otlp_decode_json(batch, c->body, project, err);
    case FORM_OTLP_PROTOBUF:
    case FORM_OTLP_FRAMED: return otlp_decode_protobuf(batch, c->body, project, err);
    case FORM_CONVEX: {
        struct convex_decode options = {.project = project};
        int code = convex_decode(batch, c->body, &options, err);
        c->ignored = options.ignored;
        return code;
    }
    default: return error_set(err, VT_EUNSUPPORTED, "there is no such form");
    }
}

/* ---- into a directory ---- */

static void on_durable(void *ctx, int code) { /* on the store's writer thread */
    struct delivery *d = ctx;
    pthread_mutex_lock(&d->lock);
    d->pending--;
    if (code && !d->failed) d->failed = code;
    pthread_cond_signal(&d->told);
    pthread_mutex_unlock(&d->lock);
}

static int failure(struct delivery *d, struct error *err) {
    pthread_mutex_lock(&d->lock);
    int code = d->failed;
    pthread_mutex_unlock(&d->lock);
    if (code == VT_EFULL)
        error_set(err, code, "%s: the disk is full", d->options.dir);
    else if (code)
        error_set(err, code, "%s: spans could not be written", d->options.dir);
    return code;
}

static int store_batch(struct delivery *d, struct batch *batch, struct error *err) {
    for (unsigned waited = 0;; waited += FULL_WAIT_MS) {
        int code = failure(d, err);
        if (code) return code;
        pthread_mutex_lock(&d->lock);
        d->pending++;
        pthread_mutex_unlock(&d->lock);
        code = store_append(d->store, batch, on_durable, d, err);
        if (!code) return 0;
        pthread_mutex_lock(&d->lock);
        d->pending--;
        pthread_mutex_unlock(&d->lock);
        if (code != VT_EFULL || waited >= FULL_MS_MOST) return code;
        wait_ms(FULL_WAIT_MS);
    }
}

int delivery_finish(struct delivery *d, struct error *err) {
    if (d->client) return 0;
    pthread_mutex_lock(&d->lock);
    while (d->pending) pthread_cond_wait(&d->told, &d->lock);
    pthread_mutex_unlock(&d->lock);
    int code = failure(d, err);
    return code ? code : store_seal(d->store, err); /* as Parquet files, so that others can read them at once */
}

/* ---- to a server ---- */

static void request_of(const struct chunk *c, struct client_request *request) {
    *request =
        (struct client_request){.method = "POST", .path = "/v1/traces", .body = slice_make(c->body.ptr, c->used)};
    switch (c->form) {
    case FORM_LINES:
        request->path = "/ingest/logs";
        request->content_type = "text/plain";
        break;
    case FORM_CONVEX:
        request->path = "/ingest/logs";
        request->content_type = "application/x-ndjson";
        break;
    case FORM_OTLP_JSON:
        if (c->logs) request->path = "/v1/logs";
        break;
    default: request->content_type = "application/x-protobuf"; break;
    }
}

/* How many records the server says it refused, and why. */
static uint64_t refused_by_server(const struct chunk *c, const struct client_answer *answer, struct arena *arena,
                                  struct slice *why) {
    struct doc *doc;
    struct error ignored;
    *why = SLICE("the server refused it");
    if (c->form == FORM_OTLP_PROTOBUF || c->form == FORM_OTLP_FRAMED) {
        uint64_t count = 0;
        struct pb_reader r, inner;
        struct pb_field field;
        pb_reader_init(&r, buf_slice(&answer->body));
        while (pb_next(&r, &field)) {
            if (field.number != 1 || field.wire != PB_BYTES) continue;
            pb_reader_init(&inner, field.bytes);
            while (pb_next(&inner, &field)) {
                if (field.number == 1 && field.wire == PB_VARINT) count = field.integer;
                if (field.number == 2 && field.wire == PB_BYTES) *why = field.bytes;
            }
        }
        return count;
    }
    if (doc_parse(buf_slice(&answer->body), arena, &doc, &ignored)) return 0;
    bool otlp = c->form == FORM_OTLP_JSON;
    const struct doc *partial = otlp ? doc_get(doc, "partialSuccess") : doc;
    const struct doc *count =
        otlp ? doc_get(partial, c->logs ? "rejectedLogRecords" : "rejectedSpans") : doc_get(doc, "rejected");
    struct slice text =
        otlp ? doc_text(partial, "errorMessage") : doc_text(doc_first(doc_get(doc, "errors")), "message");
    if (text.len) *why = text;
    return count ? count->type == JSON_STRING ? strtoull(arena_copy(arena, count->text).ptr, NULL, 10)
                                              : (uint64_t)(count->number > 0 ? count->number : 0)
                 : 0;
}

static bool worth_another_try(int code) {
    return code == VT_EFULL || code == VT_EIO || code == VT_ETIMEOUT;
}

static int send(struct delivery *d, struct batch *batch, struct chunk *c, struct error *err) {
    struct client_request request;
    struct client_answer answer;
    struct arena arena = {0};
    struct buf lines = {0};
    struct slice why;
    int code = 0;
    request_of(c, &request);
    if (c->form == FORM_CONVEX) {
        for (uint32_t i = 0; i < batch->count; i++) {
            struct json_writer w = json_writer_on(&lines);
            span_put_json(&w, &batch->spans[i]);
            buf_putc(&lines, '\n');
        }
        request.body = buf_slice(&lines);
    }
    for (unsigned tries = 1, wait = WAIT_MS_FIRST;; tries++) {
        code = client_send(d->client, &request, &answer, err);
        if (!code && answer.status / 100 != 2) code = client_error(d->client, &answer, err);
        if (!code || !worth_another_try(code) || tries == TRIES) break;
        wait_ms(answer.retry_after_s
                    ? answer.retry_after_s * 1000 < WAIT_MS_MOST ? answer.retry_after_s * 1000 : WAIT_MS_MOST
                    : wait);
        if ((wait *= 2) > WAIT_MS_MOST) wait = WAIT_MS_MOST;
        buf_free(&answer.body);
    }
    if (code == VT_EINVAL || code == VT_ELIMIT) { /* this chunk, not the others */
        c->rejected += batch->count;
        c->accepted = 0;
        c->refused(c->ctx, 0, slice_of(err->message));
        code = 0;
    } else if (!code) {
        uint64_t there = refused_by_server(c, &answer, &arena, &why);
        if (there > batch->rejected) {
            uint64_t further = there - batch->rejected < batch->count ? there - batch->rejected : batch->count;
            c->rejected += further;
            c->accepted -= further;
            c->refused(c->ctx, 0, why);
        }
    }
    buf_free(&answer.body);
    buf_free(&lines);
    arena_free(&arena);
    return code;
}

int delivery_put(struct delivery *d, struct chunk *c, struct error *err) {
    struct batch *batch = batch_new();
    struct error problem = {0};
    if (!batch) return error_set(err, VT_ENOMEM, "no memory for a batch");
    batch->prices = d->prices;
    batch->mask = d->mask;
    if (d->store) batch->oldest_ns = store_oldest_allowed_ns(d->store);
    c->accepted = c->rejected = c->ignored = 0;
    c->lines = 0;
    int code = decode(d, batch, c, &problem);
    if (code == VT_ENOMEM)
        *err = problem;
    else if (code) {
        /* The chunk as a whole has no meaning: say so and go on behind it. */
        c->rejected = 1;
        if (c->form != FORM_LINES || !c->used) c->used = c->body.len;
        c->refused(c->ctx, 0, slice_of(problem.message));
        code = 0;
    } else {
        batch_finish(batch);
        c->accepted = batch->count;
        c->rejected = batch->rejected;
        for (uint32_t i = 0; i < batch->rejection_count; i++)
            c->refused(c->ctx, batch->rejections[i].position, batch->rejections[i].message);
        if (batch->count) code = d->client ? send(d, batch, c, err) : store_batch(d, batch, err);
    }
    batch_unref(batch);
    return code;
}
