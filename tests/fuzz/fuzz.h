/* What the fuzz targets share: what must hold of every batch, whatever the bytes were. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/json.h"
#include "base/utf8.h"
#include "ingest/ingest.h"
#include "span/mask.h"
#include "span/normalise.h"
#include "span/prices.h"
#include "span/span_json.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

/* An empty batch that masks and prices, as a server's does. */
static inline struct batch *fuzz_batch(void) {
    static struct mask *mask;
    static struct prices *prices;
    if (!prices)
        must(mask_load(&mask, "email,phone,card,apikey", NULL) == 0 && prices_load(&prices, NULL, NULL) == 0,
             "rules and prices load");
    struct batch *batch = batch_new();
    batch->now_ns = INT64_C(1795460400000000000);
    batch->mask = mask;
    batch->prices = prices;
    return batch;
}

static inline void check_span(const struct span *span) {
    static struct buf out;
    struct arena arena = {0};
    struct json_reader r;
    struct span back;
    must(!id_is_zero(span->trace_id, TRACE_ID_SIZE) && !id_is_zero(span->span_id, SPAN_ID_SIZE), "a span has ids");
    must(span->start_ns > 0 && span->duration_ns >= 0, "a span has times");
    for (int t = 0; t < COL_TEXT_COUNT; t++)
        must(utf8_valid_length(span->text[t].ptr, span->text[t].len) == span->text[t].len, "texts are UTF-8");
    buf_clear(&out);
    struct json_writer w = json_writer_on(&out);
    span_put_json(&w, span);
    json_reader_init(&r, buf_slice(&out), &arena);
    must(span_read_json(&r, &back) && json_end(&r), "a span's JSON reads back");
    must(memcmp(back.span_id, span->span_id, SPAN_ID_SIZE) == 0 && back.start_ns == span->start_ns &&
             back.tokens_input == span->tokens_input,
         "and says the same");
    arena_free(&arena);
}

/* Takes the batch. */
static inline void check_batch(struct batch *batch) {
    must(batch->count <= BATCH_SPANS_MAX && batch->rejection_count <= REJECTIONS_KEPT &&
             batch->rejected >= batch->rejection_count,
         "limits are kept");
    batch_finish(batch);
    for (uint32_t i = 0; i < batch->count; i++) check_span(&batch->spans[i]);
    struct buf payload = {0};
    batch_encode(batch, &payload);
    struct batch *copy = batch_new();
    must(batch_decode(copy, buf_slice(&payload), false, NULL) == 0 && copy->count == batch->count,
         "a batch comes back from the WAL");
    batch_unref(copy);
    buf_free(&payload);
    batch_unref(batch);
}

#endif
