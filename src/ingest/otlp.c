/* What both encodings of OTLP share: spans on their way to the batch, words for numbers. */
#include "ingest/otlp.h"

#include "ingest/ingest.h"
#include "span/normalise.h"

#include <stdlib.h>
#include <strings.h>

static int take_into_batch(struct otlp *o, const struct raw_span *raw) {
    return normalise(o->batch, raw, o->position);
}

void otlp_init(struct otlp *o, struct batch *batch, struct slice project, struct error *err) {
    *o = (struct otlp){.read_protobuf = otlp_read_span_protobuf,
                       .read_json = otlp_read_span_json,
                       .request_name = "ExportTraceServiceRequest",
                       .request_key = "resourceSpans",
                       .request_snake = "resource_spans",
                       .batch = batch,
                       .take = take_into_batch,
                       .lasting = batch ? &batch->arena : NULL,
                       .err = err};
    o->resource.project = project;
}

void otlp_free(struct otlp *o) {
    raw_build_free(&o->build);
    free(o->resource_attrs.items);
}

static int give_up(struct otlp *o, int code) {
    o->code = code;
    if (code == VT_ENOMEM) return error_set(o->err, VT_ENOMEM, "span %u: no memory for the request", o->position);
    error_set(o->err, VT_ELIMIT, "the request has more than %d spans", BATCH_SPANS_MAX);
    error_hint(o->err, "send smaller batches");
    return code;
}

int otlp_span_done(struct otlp *o, struct raw_span *raw) {
    if (__builtin_expect(o->build.refused.code, 0)) {
        o->refused++;
        if (!o->batch) return 0;
        int shown = raw->name.len > 80 ? 80 : (int)raw->name.len;
        if (shown)
            batch_reject(o->batch, o->position, "span %u (\"%.*s\"): %s", o->position, shown, raw->name.ptr,
                         o->build.refused.message);
        else
            batch_reject(o->batch, o->position, "span %u: %s", o->position, o->build.refused.message);
        return 0;
    }
    raw_build_finish(&o->build, raw);
    raw->resource = &o->resource;
    raw->source = SOURCE_OTLP;
    int code = o->take(o, raw);
    return code == VT_ENOMEM || code == VT_ELIMIT ? give_up(o, code) : 0;
}

bool otlp_resource_done(struct otlp *o) {
    size_t bytes = o->resource_attrs.count * sizeof(struct attr);
    struct attr *attrs = arena_alloc(o->lasting, bytes + 1);
    if (!attrs) return false;
    if (bytes) memcpy(attrs, o->resource_attrs.items, bytes);
    o->resource.attrs = attrs;
    o->resource.attr_count = o->resource_attrs.count;
    return true;
}

static int word_named(struct slice word, const char *prefix, const char *const *words, int count) {
    size_t skip = strlen(prefix);
    if (word.len > skip && strncasecmp(word.ptr, prefix, skip) == 0) word = slice_from(word, skip);
    for (int i = 0; i < count; i++)
        if (word.len == strlen(words[i]) && strncasecmp(word.ptr, words[i], word.len) == 0) return i;
    return 0;
}

int otlp_kind_named(struct slice word) {
    static const char *const kinds[] = {"UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"};
    return word_named(word, "SPAN_KIND_", kinds, sizeof kinds / sizeof *kinds);
}

int otlp_status_named(struct slice word) {
    static const char *const codes[] = {"UNSET", "OK", "ERROR"};
    return otlp_status_of((uint64_t)word_named(word, "STATUS_CODE_", codes, sizeof codes / sizeof *codes));
}

int otlp_key_find(const struct otlp_key *keys, int count, struct slice key, int *hint) {
    for (int n = 0, i = *hint; n < count; n++) {
        if (++i >= count) i = 0;
        if ((key.len == keys[i].camel_len && memcmp(key.ptr, keys[i].camel, key.len) == 0) ||
            (key.len == keys[i].snake_len && memcmp(key.ptr, keys[i].snake, key.len) == 0)) {
            *hint = i;
            return keys[i].member;
        }
    }
    return -1;
}

static int decode(struct batch *batch, struct slice body, struct slice project,
                  int (*walk)(struct otlp *, struct slice), struct error *err) {
    struct otlp o;
    otlp_init(&o, batch, project, err);
    int code = walk(&o, body);
    otlp_free(&o);
    return code;
}

int otlp_decode_protobuf(struct batch *batch, struct slice body, struct slice project, struct error *err) {
    return decode(batch, body, project, otlp_walk_protobuf, err);
}

int otlp_decode_json(struct batch *batch, struct slice body, struct slice project, struct error *err) {
    return decode(batch, body, project, otlp_walk_json, err);
}
