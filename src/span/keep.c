/* Attributes, events and resource as JSON, without what went into a field of its own. */
#include "span/reading.h"

#include "base/format.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "span/mask.h"

enum { EVENT_TEXT_KEPT = 256 };

static bool is_taken(const struct reading *in, const struct attr *attr, const struct dialect_name *known) {
    const struct talk *talks[] = {&in->prompt, &in->completion};
    static const enum field fields[] = {FIELD_PROMPT, FIELD_COMPLETION};
    const struct dialect_list *list = NULL;
    uint32_t index;
    struct slice rest;
    if (!known && (in->prompt.from == TALK_PIECES || in->completion.from == TALK_PIECES))
        list = dialect_list_find(attr->key, &index, &rest);
    for (int i = 0; i < 2; i++) {
        if (!talks[i]->taken) continue;
        if (talks[i]->from == TALK_VALUE && !talks[i]->event_attr && in->picks[fields[i]].attr == attr) return true;
        if (list && talks[i]->from == TALK_PIECES && list == talks[i]->list) return true;
    }
    if (in->completion.taken && in->picks[FIELD_TOOL_CALLS].attr == attr) return true;
    return false;
}

/* Room is had once, for the longest that it may become. False: it is no short one. */
static bool put_short_attr(struct json_writer *w, const struct attr *attr, const struct dialect_name *known) {
    enum { SHORT_BYTES = 512, PUNCTUATION = 8 };
    struct slice key = attr->key, text = attr->value.type == VALUE_STRING ? attr->value.text : (struct slice){NULL, 0};
    if (attr->value.type == VALUE_JSON || key.len + text.len > SHORT_BYTES ||
        !buf_reserve(w->out,
                     (key.len + text.len) * FORMAT_ESCAPE_MAX + FORMAT_DOUBLE_MAX + DIALECT_NAME_MAX + PUNCTUATION))
        return false;
    char *out = w->out->ptr + w->out->len;
    if (w->comma) *out++ = ',';
    *out++ = '"';
    if (known) {
        memcpy(out, known->name, sizeof known->name);
        out += key.len;
    } else if (key.len) {
        out = format_escaped(out, key);
    }
    *out++ = '"', *out++ = ':';
    switch (attr->value.type) {
    case VALUE_STRING:
        *out++ = '"';
        if (text.len) out = format_escaped(out, text);
        *out++ = '"';
        break;
    case VALUE_INT: out = format_int(out, attr->value.integer); break;
    case VALUE_DOUBLE: out = format_double(out, attr->value.real); break;
    case VALUE_BOOL:
        out = attr->value.integer ? (char *)mempcpy(out, "true", 4) : (char *)mempcpy(out, "false", 5);
        break;
    case VALUE_JSON:
    case VALUE_NONE: out = mempcpy(out, "null", 4); break;
    }
    w->out->len = (size_t)(out - w->out->ptr);
    w->comma = true;
    return true;
}

static const char *const otel_kinds[] = {NULL, NULL, "SERVER", "CLIENT", "PRODUCER", "CONSUMER"};

struct slice write_attributes(struct reading *in, int64_t skew_ns) {
    const struct raw_span *raw = in->raw;
    struct json_writer w = json_writer_on(&in->batch->scratch);
    json_open(&w, '{');
    if (raw->source_trace_id.len) json_put_key(&w, "source.trace_id"), json_put_string(&w, raw->source_trace_id);
    if (raw->source_span_id.len) json_put_key(&w, "source.span_id"), json_put_string(&w, raw->source_span_id);
    if (raw->otel_kind > 1 && raw->otel_kind < (int)(sizeof otel_kinds / sizeof *otel_kinds))
        json_put_key(&w, "otel.kind"), json_put_cstr(&w, otel_kinds[raw->otel_kind]);
    if (raw->links.len) json_put_key(&w, "otel.links"), json_put_raw(&w, raw->links);
    if (skew_ns > 0) json_put_key(&w, "vitrine.end_before_start_ms"), json_put_double(&w, (double)skew_ns / NS_PER_MS);
    for (uint32_t i = 0; i < raw->attr_count; i++) {
        const struct attr *attr = &raw->attrs[i];
        const struct dialect_name *known = i < READING_NAMES_MAX ? in->names[i] : NULL;
        if (attr->value.type == VALUE_NONE || is_taken(in, attr, known) || put_short_attr(&w, attr, known)) continue;
        json_put_key_slice(&w, attr->key);
        value_write_json(&w, &attr->value);
    }
    json_close(&w, '}');
    if (in->batch->scratch.len == 2) buf_clear(&in->batch->scratch);
    return in->batch->scratch.len ? scratch_take(in) : (struct slice){NULL, 0};
}

static void put_ms(struct json_writer *w, int64_t ns) {
    if (ns % NS_PER_MS == 0)
        json_put_int(w, ns / NS_PER_MS);
    else
        json_put_double(w, (double)(ns / NS_PER_US) / 1000.0);
}

struct slice write_events(struct reading *in) {
    const struct raw_span *raw = in->raw;
    struct json_writer w = json_writer_on(&in->batch->scratch);
    if (!raw->event_count) return (struct slice){NULL, 0};
    json_open(&w, '[');
    for (uint32_t i = 0; i < raw->event_count; i++) {
        const struct raw_event *event = &raw->events[i];
        json_open(&w, '{');
        json_put_key(&w, "name"), json_put_string(&w, event->name);
        json_put_key(&w, "timestamp"), put_ms(&w, event->time_ns);
        if (event->attr_count) {
            json_put_key(&w, "attributes");
            json_open(&w, '{');
            for (uint32_t a = 0; a < event->attr_count; a++) {
                const struct attr *attr = &event->attrs[a];
                bool went = (attr == in->prompt.event_attr && in->prompt.taken) ||
                            (attr == in->completion.event_attr && in->completion.taken);
                if (went && value_borrow(&attr->value).len > EVENT_TEXT_KEPT) continue;
                json_put_key_slice(&w, attr->key);
                value_write_json(&w, &attr->value);
            }
            json_close(&w, '}');
        }
        json_close(&w, '}');
    }
    json_close(&w, ']');
    return scratch_take(in);
}

/* ---- the resource, once for all its spans ---- */

static bool same_resource(const struct batch_resource *cache, const struct raw_resource *resource) {
    return cache->attrs && cache->raw.attr_count == resource->attr_count &&
           slice_eq(cache->raw.scope_name, resource->scope_name) &&
           slice_eq(cache->raw.scope_version, resource->scope_version) &&
           slice_eq(cache->raw.project, resource->project) &&
           (!resource->attr_count ||
            memcmp(cache->attrs, resource->attrs, resource->attr_count * sizeof *resource->attrs) == 0);
}

/* Once for all its spans; without memory for it nothing of it is kept. */
static void mask_resource(struct batch *batch, struct batch_resource *cache) {
    if (!batch->mask || !cache->json.len) return;
    buf_clear(&batch->scratch);
    bool good = mask_text(batch->mask, cache->project, cache->json, true, &batch->scratch);
    cache->json = good ? arena_copy(&batch->arena, buf_slice(&batch->scratch)) : (struct slice){NULL, 0};
    buf_clear(&batch->scratch);
}

void read_resource(struct reading *in) {
    const struct raw_resource *resource = in->raw->resource;
    struct batch_resource *cache = &in->batch->resource;
    if (!resource) return;
    if (!same_resource(cache, resource)) {
        /* The attributes themselves, to know the same resource again: they point to bytes that differ between
         * resources. */
        size_t bytes = resource->attr_count * sizeof *resource->attrs;
        struct attr *attrs = arena_alloc(&in->batch->arena, bytes + 1);
        if (!attrs) return;
        if (bytes) memcpy(attrs, resource->attrs, bytes);
        *cache = (struct batch_resource){.attrs = attrs, .raw = *resource};
        struct json_writer w = json_writer_on(&in->batch->scratch);
        json_open(&w, '{');
        if (resource->scope_name.len) json_put_key(&w, "otel.scope.name"), json_put_string(&w, resource->scope_name);
        if (resource->scope_version.len)
            json_put_key(&w, "otel.scope.version"), json_put_string(&w, resource->scope_version);
        for (uint32_t i = 0; i < resource->attr_count; i++) {
            const struct attr *attr = &resource->attrs[i];
            if (slice_is(attr->key, "service.name")) cache->service = value_text(&in->batch->arena, &attr->value);
            if (slice_is(attr->key, "openinference.project.name"))
                cache->project = value_text(&in->batch->arena, &attr->value);
            json_put_key_slice(&w, attr->key);
            value_write_json(&w, &attr->value);
        }
        json_close(&w, '}');
        cache->json =
            in->batch->scratch.len > 2 ? scratch_take(in) : (buf_clear(&in->batch->scratch), (struct slice){NULL, 0});
        if (resource->project.len) cache->project = arena_copy(&in->batch->arena, resource->project);
        mask_resource(in->batch, cache);
        cache->raw.project = resource->project;
    }
    *span_text(in->span, COL_RESOURCE) = cache->json;
    *span_text(in->span, COL_SERVICE) = cache->service;
    *span_text(in->span, COL_PROJECT) = cache->project;
}
