/* Batches, and their one encoding: what stands in the WAL. */
#include "span/batch.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ENCODING_VERSION = 1 };

struct batch *batch_new(void) {
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch) return NULL;
    arena_init(&batch->arena, BATCH_BYTES_MAX);
    batch->references = 1;
    return batch;
}

struct batch *batch_ref(struct batch *batch) {
    __atomic_add_fetch(&batch->references, 1, __ATOMIC_RELAXED);
    return batch;
}

void batch_unref(struct batch *batch) {
    if (!batch || __atomic_sub_fetch(&batch->references, 1, __ATOMIC_ACQ_REL) > 0) return;
    arena_free(&batch->arena);
    for (size_t i = 0; i < sizeof batch->kept / sizeof *batch->kept; i++) buf_free(&batch->kept[i]);
    buf_free(&batch->scratch);
    buf_free(&batch->payload);
    free(batch->spans);
    free(batch);
}

void batch_keep(struct batch *batch, struct buf *buf) {
    struct buf *place = batch->kept[0].ptr ? &batch->kept[1] : &batch->kept[0];
    assert(!place->ptr);
    *place = *buf;
    memset(buf, 0, sizeof *buf);
}

struct span *batch_add(struct batch *batch) {
    if (batch->count == batch->capacity) {
        uint32_t capacity = batch->capacity ? batch->capacity * 2 : 64;
        if (capacity > BATCH_SPANS_MAX) capacity = BATCH_SPANS_MAX;
        if (capacity == batch->capacity) return NULL;
        struct span *spans = realloc(batch->spans, capacity * sizeof *spans);
        if (!spans) return NULL;
        batch->spans = spans;
        batch->capacity = capacity;
    }
    struct span *span = &batch->spans[batch->count++];
    span_init(span);
    return span;
}

void batch_drop_last(struct batch *batch) {
    if (batch->count) batch->count--;
}

void batch_reject(struct batch *batch, uint32_t position, const char *format, ...) {
    batch->rejected++;
    if (batch->rejection_count == REJECTIONS_KEPT) return;
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0) len = 0;
    if ((size_t)len >= sizeof text) len = sizeof text - 1;
    batch->rejections[batch->rejection_count++] =
        (struct rejection){position, arena_copy(&batch->arena, slice_make(text, (size_t)len))};
}

static void put_varint(struct buf *out, uint64_t value) {
    while (value >= 0x80) buf_putc(out, (char)(value | 0x80)), value >>= 7;
    buf_putc(out, (char)value);
}

static bool get_varint(struct slice *from, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 64 && from->len; shift += 7) {
        uint8_t byte = (uint8_t)*from->ptr;
        *from = slice_make(from->ptr + 1, from->len - 1);
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return true;
    }
    return false;
}

/* The numbers and ids of a span lie in one run before its texts, so they are one copy. */
enum { FIXED_BYTES = offsetof(struct span, text) };

/* At most; varints of lengths take two bytes mostly, five at most. */
static size_t encoded_bytes(const struct batch *batch) {
    size_t bytes = 32 + batch->count * ((size_t)FIXED_BYTES + COL_TEXT_COUNT);
    for (uint32_t i = 0; i < batch->count; i++)
        for (int t = 0; t < COL_TEXT_COUNT; t++)
            bytes += batch->spans[i].text[t].len + (batch->spans[i].text[t].len >= 128 ? 4 : 0);
    return bytes;
}

void batch_encode(const struct batch *batch, struct buf *out) {
    if (!buf_reserve(out, encoded_bytes(batch))) return; /* one piece of memory, not one that grows and is copied */
    buf_putc(out, ENCODING_VERSION);
    put_varint(out, FIXED_BYTES);
    put_varint(out, COL_TEXT_COUNT);
    put_varint(out, batch->count);
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct span *span = &batch->spans[i];
        buf_put(out, span, FIXED_BYTES);
        for (int t = 0; t < COL_TEXT_COUNT; t++) {
            put_varint(out, span->text[t].len);
            buf_put_slice(out, span->text[t]);
        }
    }
}

static bool get_span(struct slice *from, struct span *span, uint64_t fixed, uint64_t texts) {
    /* A shorter run or fewer texts come from an older version; what it did not have stays "not known". */
    if (from->len < fixed) return false;
    memcpy(span, from->ptr, fixed < FIXED_BYTES ? fixed : FIXED_BYTES);
    *from = slice_make(from->ptr + fixed, from->len - fixed);
    for (uint64_t t = 0; t < texts; t++) {
        uint64_t len;
        if (!get_varint(from, &len) || len > from->len) return false;
        if (t < COL_TEXT_COUNT) span->text[t] = slice_make(from->ptr, len);
        *from = slice_make(from->ptr + len, from->len - len);
    }
    return true;
}

int payload_open(struct payload_reader *r, struct slice payload, struct error *err) {
    if (!payload.len || *payload.ptr != ENCODING_VERSION)
        return error_set(err, VT_ECORRUPT, "batch has encoding version %d, expected %d",
                         payload.len ? (uint8_t)*payload.ptr : -1, ENCODING_VERSION);
    *r = (struct payload_reader){.rest = slice_from(payload, 1)};
    if (!get_varint(&r->rest, &r->fixed) || !get_varint(&r->rest, &r->texts) || !get_varint(&r->rest, &r->count) ||
        r->fixed > 4096 || r->texts > 256)
        return error_set(err, VT_ECORRUPT, "batch header is cut off or out of range");
    r->left = r->count;
    return 0;
}

int payload_next(struct payload_reader *r, struct span *span, struct error *err) {
    if (!r->left) return VT_ENOTFOUND;
    span_init(span);
    if (!get_span(&r->rest, span, r->fixed, r->texts))
        return error_set(err, VT_ECORRUPT, "span %llu of %llu in the batch is cut off",
                         (unsigned long long)(r->count - r->left + 1), (unsigned long long)r->count);
    r->left--;
    return 0;
}

static void let_go(struct batch *batch) {
    arena_free(&batch->arena);
    buf_free(&batch->kept[0]);
    buf_free(&batch->kept[1]);
    buf_free(&batch->scratch);
    batch->resource = (struct batch_resource){0};
    memset(&batch->prices_cache, 0, sizeof batch->prices_cache);
}

void batch_pack(struct batch *batch) {
    struct payload_reader reader;
    if (batch->payload.ptr) return;
    batch_encode(batch, &batch->payload);
    if (batch->payload.failed || payload_open(&reader, buf_slice(&batch->payload), NULL)) return;
    for (uint32_t i = 0; i < batch->count; i++) payload_next(&reader, &batch->spans[i], NULL);
    if (!batch->rejection_count) let_go(batch);
}

uint64_t batch_bytes(const struct batch *batch) {
    return batch->payload.cap + batch->arena.total_bytes + batch->kept[0].cap + batch->kept[1].cap +
           batch->capacity * sizeof *batch->spans;
}

int batch_decode(struct batch *batch, struct slice payload, bool copy, struct error *err) {
    if (copy) {
        struct slice owned = arena_copy(&batch->arena, payload);
        if (!owned.ptr) return error_set(err, VT_ENOMEM, "no memory for a batch of %zu bytes", payload.len);
        payload = owned;
    }
    struct payload_reader reader;
    int code = payload_open(&reader, payload, err);
    while (!code && reader.left) {
        struct span *span = batch_add(batch);
        if (!span) return error_set(err, VT_ELIMIT, "batch has more than %d spans", BATCH_SPANS_MAX);
        if ((code = payload_next(&reader, span, err))) batch_drop_last(batch);
    }
    return code;
}
