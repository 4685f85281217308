/* Writes the seeds that are no text into tests/fuzz/corpus: make_seeds CORPUS_DIR. They are committed; this says what
 * they are. */
#include "../unit/ingest/otlp_body.h"

#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

static void write_seed(const char *dir, const char *name, const struct buf *bytes) {
    char path[1000];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes->ptr, 1, bytes->len, file) != bytes->len || fclose(file)) perror(path), exit(1);
}

static void write_logs(const char *dir) {
    struct buf body = {0};
    buf_putc(&body, 0);
    size_t around = pb_begin(&body, 1), scoped = pb_begin(&body, 2), record = pb_begin(&body, 2);
    pb_put_fixed64(&body, 1, BODY_START_NS);
    put_any_string(&body, 5, "Hi");
    put_attr(&body, 6, "event.name", "gen_ai.user.message");
    pb_put_bytes(&body, 9, slice_make(BODY_TRACE, 16));
    pb_put_bytes(&body, 10, SLICE("12345678"));
    pb_end(&body, record), pb_end(&body, scoped), pb_end(&body, around);
    write_seed(dir, "otlp_logs/event.bin", &body);
    buf_clear(&body);
    buf_putc(&body, 2);
    around = pb_begin(&body, 1), scoped = pb_begin(&body, 2);
    size_t metric = pb_begin(&body, 2), data = pb_begin(&body, 9);
    pb_put_bytes(&body, 1, SLICE(""));
    pb_end(&body, data), pb_end(&body, metric), pb_end(&body, scoped), pb_end(&body, around);
    write_seed(dir, "otlp_logs/metric.bin", &body);
    buf_free(&body);
}

static void write_packed(const char *dir) {
    struct libdeflate_compressor *packer = libdeflate_alloc_compressor(6);
    struct buf body = {0}, packed = {0};
    put_request(&body, 1, false);
    buf_reserve(&packed, 4096);
    packed.ptr[0] = 0;
    packed.len = 1 + libdeflate_gzip_compress(packer, body.ptr, body.len, packed.ptr + 1, packed.cap - 1);
    write_seed(dir, "inflate/gzip.bin", &packed);
    packed.ptr[0] = 1;
    packed.len = 1 + libdeflate_zlib_compress(packer, body.ptr, body.len, packed.ptr + 1, packed.cap - 1);
    write_seed(dir, "inflate/zlib.bin", &packed);
    packed.ptr[0] = 2;
    packed.len = 1 + ZSTD_compress(packed.ptr + 1, packed.cap - 1, body.ptr, body.len, 3);
    write_seed(dir, "inflate/zstd.bin", &packed);
    libdeflate_free_compressor(packer);
    buf_free(&body), buf_free(&packed);
}

int main(int argc, char **argv) {
    struct buf body = {0};
    if (argc != 2) return fprintf(stderr, "usage: make_seeds CORPUS_DIR\n"), 2;
    put_request(&body, 2, false);
    write_seed(argv[1], "otlp_protobuf/two_spans.bin", &body);
    buf_clear(&body);
    put_request(&body, 1, true);
    write_seed(argv[1], "otlp_protobuf/late_resource.bin", &body);
    buf_free(&body);
    write_logs(argv[1]);
    write_packed(argv[1]);
    return 0;
}
