/* What it costs to read a span: our readers beside the libraries that one would take instead, on the same bytes in the
 * same run. */
#include "data.h"

#include "base/json.h"
#include "../cpu_time.h"
#include "ingest/inflate.h"
#include "ingest/ingest.h"
#include "ingest/otlp.h"
#include "peers.h"
#include "span/normalise.h"
#include "span/prices.h"

#include <libdeflate.h>
#include <stdio.h>

enum { RUN_MS = 150 };

static struct buf protobuf, json, packed, unpacked;

/* Each does one request of SPANS spans. */

static int count_span(struct otlp *o, const struct raw_span *raw) {
    o->resource.attr_count += raw->attr_count == 0; /* something depends on it */
    return 0;
}

static void walk(int (*walker)(struct otlp *, struct slice), const struct buf *body) {
    static struct arena lasting;
    struct otlp o;
    struct error err = {0};
    otlp_init(&o, NULL, (struct slice){NULL, 0}, &err);
    o.take = count_span;
    o.lasting = &lasting;
    if (walker(&o, buf_slice(body)) || o.position != SPANS) fprintf(stderr, "%s\n", err.message), exit(1);
    otlp_free(&o);
    arena_reset(&lasting);
}

static void our_protobuf(void) {
    walk(otlp_walk_protobuf, &protobuf);
}
static void our_json(void) {
    walk(otlp_walk_json, &json);
}

static void protobuf_c(void) {
    if (!peer_protobuf_c(buf_slice(&protobuf), SPANS)) exit(1);
}

static struct prices *prices;
static void whole_protobuf(void) {
    struct batch *batch = batch_new();
    batch->prices = prices;
    if (otlp_decode_protobuf(batch, buf_slice(&protobuf), (struct slice){NULL, 0}, NULL) || batch->count != SPANS)
        exit(1);
    batch_finish(batch);
    batch_unref(batch);
}

static void whole_json(void) {
    struct batch *batch = batch_new();
    batch->prices = prices;
    if (otlp_decode_json(batch, buf_slice(&json), (struct slice){NULL, 0}, NULL) || batch->count != SPANS) exit(1);
    batch_finish(batch);
    batch_unref(batch);
}

static void our_reader(void) {
    static struct arena arena;
    struct json_reader r;
    json_reader_init(&r, buf_slice(&json), &arena);
    if (!json_skip(&r, NULL) || !json_end(&r)) exit(1);
    arena_reset(&arena);
}

static void jansson(void) {
    if (!peer_jansson(buf_slice(&json))) exit(1);
}

static void yyjson(void) {
    if (!peer_yyjson(buf_slice(&json))) exit(1);
}

static void gunzip_zlib(void) {
    if (!peer_gunzip(buf_slice(&packed), unpacked.ptr, unpacked.cap)) exit(1);
}

static void gunzip_ours(void) {
    struct buf out = {0};
    if (body_inflate(buf_slice(&packed), SLICE("gzip"), INFLATED_BYTES_MAX, &out, NULL)) exit(1);
    buf_free(&out);
}

/* ---- measuring ---- */

/* Nanoseconds a span. */
static double measure(void (*work)(void)) {
    return measure_cpu(work, RUN_MS) / SPANS;
}

static void print(const char *what, double ns, double peer_ns) {
    printf("  %-52s %7.0f ns/span  %8.0f k spans/s", what, ns, 1e6 / ns);
    if (peer_ns > 0) printf("  %6.2f x the peer", peer_ns / ns);
    printf("\n");
    fflush(stdout);
}

/* ---- normalise ---- */

static struct raw_span sample;
static int samples_per_round = SPANS;

static void normalise_sample(void) {
    static struct batch *batch;
    if (!batch) batch = batch_new();
    batch->prices = prices;
    for (int i = 0; i < samples_per_round; i++)
        if (normalise(batch, &sample, 1)) exit(1);
    batch->count = 0;
    batch->resource = (struct batch_resource){0};
    memset(&batch->prices_cache, 0, sizeof batch->prices_cache);
    arena_reset(&batch->arena);
}

static void measure_dialects(void) {
    for (int d = 0; d < dialect_sample_count; d++) {
        struct raw_build build = {0};
        struct json_reader r;
        json_reader_init(&r, slice_of(dialect_samples[d].attributes), &build.arena);
        if (!attrs_read_json(&r, &build, &build.attrs, SPAN_ATTRS_MAX, "attributes")) exit(1);
        sample = (struct raw_span){.trace_id = {1},
                                   .span_id = {2},
                                   .name = slice_of(dialect_samples[d].name),
                                   .start_ns = INT64_C(1763924391722000000),
                                   .end_ns = INT64_C(1763924391822000000),
                                   .source = d == dialect_sample_count - 1 ? SOURCE_LOG : SOURCE_OTLP};
        raw_build_finish(&build, &sample);
        print(dialect_samples[d].sdk, measure(normalise_sample), 0);
        raw_build_free(&build);
    }
}

/* "protobuf", "json", "gzip" or "normalise" as the first word: that part alone. */
static bool wanted(const char *part, int argc, char **argv) {
    return argc < 2 || strcmp(argv[1], part) == 0;
}

static void measure_protobuf(void) {
    printf("\nprotobuf\n");
    double peer = measure(protobuf_c);
    print("protobuf-c: unpack and free", peer, 0);
    print("ours: walked, each field at hand", measure(our_protobuf), peer);
    print("ours: decoded, normalised, priced, put together", measure(whole_protobuf), peer);
}

static void measure_json(void) {
    printf("\nJSON\n");
    double peer = measure(jansson);
    print("jansson: parse and free", peer, 0);
    if (peer_yyjson(SLICE("1"))) {
        double yy = measure(yyjson);
        print("yyjson: parse and free", yy, peer);
        print("our reader: every token checked, beside yyjson", measure(our_reader), yy);
    }
    print("our reader: every token checked", measure(our_reader), peer);
    print("ours: walked, each field at hand", measure(our_json), peer);
    print("ours: decoded, normalised, priced, put together", measure(whole_json), peer);
}

static void measure_gzip(void) {
    printf("\ngzip\n");
    double peer = measure(gunzip_zlib);
    print("zlib", peer, 0);
    print("ours (libdeflate)", measure(gunzip_ours), peer);
}

int main(int argc, char **argv) {
    if (prices_load(&prices, NULL, NULL)) return 1;
    data_protobuf(&protobuf);
    if (!peer_protobuf_c_rewrite(&protobuf)) return 1;
    data_json(&json);
    struct libdeflate_compressor *packer = libdeflate_alloc_compressor(6);
    buf_reserve(&packed, protobuf.len);
    buf_reserve(&unpacked, protobuf.len * 2);
    packed.len = libdeflate_gzip_compress(packer, protobuf.ptr, protobuf.len, packed.ptr, packed.cap);
    libdeflate_free_compressor(packer);
    printf("one request of %d LLM spans: protobuf %zu B/span, JSON %zu B/span, gzip %zu B/span; median of %d runs of "
           "%d ms of one thread's CPU time\n",
           SPANS, protobuf.len / SPANS, json.len / SPANS, packed.len / SPANS, RUNS, RUN_MS);
    if (wanted("protobuf", argc, argv)) measure_protobuf();
    if (wanted("json", argc, argv)) measure_json();
    if (wanted("gzip", argc, argv)) measure_gzip();
    if (!wanted("normalise", argc, argv)) return 0;
    printf("\nnormalise and price, by the SDK that wrote the span\n");
    measure_dialects();
    return 0;
}
