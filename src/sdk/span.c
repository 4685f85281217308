/* Starting, filling and ending spans, on the thread of the caller. Nothing here allocates in the long run: slots and
 * buffers are reused, and what is written leaves in one copy to the thread's queue. */
#include "sdk/span.h"

#include "base/id.h"
#include "sdk/carried.h"
#include "sdk/copy.h"
#include "sdk/mask.h"
#include "sdk/pipeline.h"

enum {
    NAME_MAX_BYTES = 1024, /* of operations, event names and keys */
    ITEM_MIN_ROOM = 32
};

_Atomic(const struct limits *) span_limits;

struct slice utf8_cut(struct slice text, size_t max_bytes) {
    if (text.len <= max_bytes) return text;
    while (max_bytes && ((unsigned char)text.ptr[max_bytes] & 0xC0) == 0x80) max_bytes--;
    return slice_make(text.ptr, max_bytes);
}

struct slice span_redacted(const struct limits *limits, const char *key, struct slice text) {
    if (__builtin_expect(!limits->looks, 1)) return text;
    if (limits->redact) {
        limits->redact(limits->redact_ctx, key, &text.ptr, &text.len);
        if (!text.ptr) text = SLICE("");
    }
    return limits->mask ? mask_text(thread_self(), limits->mask, slice_of(key), text) : text;
}

/* Names of operations and events, which the application chooses: masked, but not shown to redact. */
static struct slice span_masked(const struct limits *limits, struct slice name) {
    return __builtin_expect(limits->mask != 0, 0) ? mask_text(thread_self(), limits->mask, SLICE(""), name) : name;
}

/* Room ------------------------------------------------------------------------------------------------------------- */

static bool grow(struct span *span, size_t more) {
    struct thread *self = thread_self();
    size_t need = (size_t)span->record.data_size + more;
    if (!self || need > RECORD_SIZE_MAX) return false;
    uint32_t capacity;
    char *bigger = thread_spare_take(self, (uint32_t)need, &capacity);
    if (!bigger) return false;
    memcpy(bigger, span->data, span->record.data_size);
    if (span->data != span->inside) thread_spare_give(self, span->data, span->capacity);
    span->data = bigger;
    span->capacity = capacity;
    return true;
}

/* Where an item may be written; NULL: it does not fit. */
static inline char *room(struct span *span, size_t size) {
    if (__builtin_expect(span->capacity - span->record.data_size < size, 0) && !grow(span, size)) return NULL;
    return span->data + span->record.data_size;
}

static inline char *put_head(char *at, enum item_tag tag, uint8_t type, struct slice key, size_t value_size) {
    struct item item = {(uint8_t)tag, type, (uint16_t)key.len, (uint32_t)value_size};
    memcpy(at, &item, sizeof item);
    at += sizeof item;
    memcpy(at, key.ptr, key.len);
    at += key.len;
    *at++ = 0;
    return at;
}

static void drop_attr(struct span *span) {
    struct thread *self = thread_self();
    span->record.dropped_attrs++;
    if (self) thread_count(self, COUNT_DROPPED_ATTRS, 1);
}

/* At the limit, a key that is there already may still be set again: its old value goes. */
static bool make_place(struct span *span, const struct limits *limits, struct slice key) {
    struct record *record = &span->record;
    if (!span->distinct) {
        record_compact(record, span->data);
        span->distinct = true;
    }
    uint32_t at = record_find(record, span->data, key.ptr, key.len);
    if (at) record_remove(record, span->data, at);
    return record->attr_count < limits->max_attributes;
}

/* Counts the attribute; false when it is one too many. */
static inline bool admit(struct span *span, const struct limits *limits, enum item_tag tag, struct slice key) {
    if (tag == ITEM_ATTR) {
        bool easy = span->record.attr_count < limits->max_attributes && !span->distinct;
        if (__builtin_expect(!easy, 0) && !make_place(span, limits, key)) return false;
    }
    return key.len - 1 < NAME_MAX_BYTES; /* not empty, either */
}

static inline void admitted(struct span *span, enum item_tag tag) {
    if (tag == ITEM_ATTR)
        span->record.attr_count++;
    else if (tag == ITEM_EVENT_ATTR)
        span->record.event_attr_count++;
}

static inline struct slice value_cut(const struct limits *limits, struct slice value) {
    if (__builtin_expect(value.len <= limits->max_value_bytes, 1)) return value;
    struct thread *self = thread_self();
    if (self) thread_count(self, COUNT_TRUNCATED, 1);
    return utf8_cut(value, limits->max_value_bytes);
}

void span_put_text(struct span *span, const struct limits *limits, enum item_tag tag, struct slice key,
                   struct slice value) {
    value = value_cut(limits, value);
    size_t size = sizeof(struct item) + key.len + value.len + 2;
    char *at = admit(span, limits, tag, key) ? room(span, size) : NULL;
    if (!at) {
        drop_attr(span);
        return;
    }
    at = put_head(at, tag, VT_STRING, key, value.len);
    memcpy(at, value.ptr, value.len);
    at[value.len] = 0;
    span->record.data_size += (uint32_t)size;
    admitted(span, tag);
}

void span_put_number(struct span *span, const struct limits *limits, enum item_tag tag, struct slice key, uint8_t type,
                     const void *eight_bytes) {
    size_t size = sizeof(struct item) + key.len + 1 + 8;
    char *at = admit(span, limits, tag, key) ? room(span, size) : NULL;
    if (!at) {
        drop_attr(span);
        return;
    }
    memcpy(put_head(at, tag, type, key, 0), eight_bytes, 8);
    span->record.data_size += (uint32_t)size;
    admitted(span, tag);
}

static inline int64_t time_within(const struct span *span) {
    return span->record.start_ns + clock_elapsed_ns(span->start);
}

/* As put_text_fast, of an event's name. */
static inline bool put_event_fast(struct span *span, const struct limits *limits, const char *name) {
    struct record *record = &span->record;
    if (limits->mask || record->event_count >= limits->max_events) return false;
    char *head = span->data + record->data_size, *end = span->data + span->capacity - 8;
    if (end - head < ITEM_MIN_ROOM) return false;
    char *from = head + sizeof(struct item), *name_end = copy_text(from, end, name);
    if (!name_end || name_end - from > NAME_MAX_BYTES) return false;
    struct item item = {ITEM_EVENT, VT_INT, (uint16_t)(name_end - from), 0};
    int64_t now_ns = time_within(span);
    memcpy(head, &item, sizeof item);
    memcpy(name_end + 1, &now_ns, 8);
    record->data_size += (uint32_t)(name_end + 9 - head);
    record->event_count++;
    return true;
}

bool span_put_event(struct span *span, const struct limits *limits, struct slice name) {
    name = utf8_cut(name, NAME_MAX_BYTES);
    size_t size = sizeof(struct item) + name.len + 1 + 8;
    char *at = span->record.event_count < limits->max_events ? room(span, size) : NULL;
    if (!at) {
        struct thread *self = thread_self();
        span->record.dropped_events++;
        if (self) thread_count(self, COUNT_DROPPED_EVENTS, 1);
        return false;
    }
    int64_t now_ns = time_within(span);
    memcpy(put_head(at, ITEM_EVENT, VT_INT, name, 0), &now_ns, 8);
    span->record.data_size += (uint32_t)size;
    span->record.event_count++;
    return true;
}

/* The usual case of an attribute in one pass over its texts: nothing to redact, cut, replace or make room for. False:
 * it was not that case, and nothing was put. */
static inline bool put_text_fast(struct span *span, const struct limits *limits, enum item_tag tag, const char *key,
                                 const char *value) {
    struct record *record = &span->record;
    if (limits->looks || span->distinct || record->attr_count >= limits->max_attributes) return false;
    char *head = span->data + record->data_size, *end = span->data + span->capacity;
    if (end - head < ITEM_MIN_ROOM) return false;
    char *from = head + sizeof(struct item), *key_end = copy_text(from, end, key);
    if (!key_end) return false;
    char *value_end = copy_text(key_end + 1, end, value);
    if (!value_end) return false;
    size_t key_len = (size_t)(key_end - from), value_len = (size_t)(value_end - key_end - 1);
    if (key_len - 1 >= NAME_MAX_BYTES || value_len > limits->max_value_bytes) return false;
    struct item item = {(uint8_t)tag, VT_STRING, (uint16_t)key_len, (uint32_t)value_len};
    memcpy(head, &item, sizeof item);
    record->data_size += (uint32_t)(value_end + 1 - head);
    admitted(span, tag);
    return true;
}

static inline bool put_number_fast(struct span *span, const struct limits *limits, const char *key, uint8_t type,
                                   const void *eight_bytes) {
    struct record *record = &span->record;
    if (limits->mask || span->distinct || record->attr_count >= limits->max_attributes) return false;
    char *head = span->data + record->data_size, *end = span->data + span->capacity - 8;
    if (end - head < ITEM_MIN_ROOM) return false;
    char *from = head + sizeof(struct item), *key_end = copy_text(from, end, key);
    if (!key_end) return false;
    size_t key_len = (size_t)(key_end - from);
    if (key_len - 1 >= NAME_MAX_BYTES) return false;
    struct item item = {ITEM_ATTR, type, (uint16_t)key_len, 0};
    memcpy(head, &item, sizeof item);
    memcpy(key_end + 1, eight_bytes, 8);
    record->data_size += (uint32_t)(key_end + 9 - head);
    record->attr_count++;
    return true;
}

/* A text of the span itself, which is found by its place. Returns the place, 0 when there is no room. */
static uint32_t put_own_text(struct span *span, struct slice text) {
    size_t size = sizeof(struct item) + 1 + text.len + 1;
    char *at = room(span, size);
    if (!at) return 0;
    at = put_head(at, ITEM_TEXT, VT_STRING, SLICE(""), text.len);
    memcpy(at, text.ptr, text.len);
    at[text.len] = 0;
    span->record.data_size += (uint32_t)size;
    return (uint32_t)(at - span->data);
}

/* Sampling --------------------------------------------------------------------------------------------------------- */

static bool by_ratio(const struct limits *limits, const uint8_t *trace_id) {
    if (limits->ratio_all) return true;
    uint64_t low = 0;
    for (unsigned i = 8; i < 16; i++) low = low << 8 | trace_id[i];
    return low < limits->ratio_bound;
}

static bool is_sampled(const struct limits *limits, const vt_context *parent, const uint8_t *trace_id) {
    switch (limits->sampler) {
    case VT_SAMPLER_ON: return true;
    case VT_SAMPLER_OFF: return false;
    case VT_SAMPLER_RATIO: return by_ratio(limits, trace_id);
    case VT_SAMPLER_PARENT_OFF: return parent && (parent->flags & 1);
    case VT_SAMPLER_PARENT_RATIO: return parent ? parent->flags & 1 : by_ratio(limits, trace_id);
    default: return !parent || (parent->flags & 1);
    }
}

/* Start and end ---------------------------------------------------------------------------------------------------- */

static void put_operation(struct span *span, struct slice prefix, struct slice operation) {
    if (slice_starts(operation, prefix)) prefix.len = 0;
    if (!operation.len) operation = SLICE("unknown");
    operation = utf8_cut(operation, NAME_MAX_BYTES);
    size_t size = prefix.len + operation.len;
    char *at = room(span, size + 1);
    if (!at)
        size = 0, at = span->data; /* no memory: the span goes on without a name */
    else {
        memcpy(at, prefix.ptr, prefix.len);
        memcpy(at + prefix.len, operation.ptr, operation.len);
    }
    at[size] = 0;
    span->record.operation_size = (uint32_t)size;
    span->record.data_size = (uint32_t)size + 1;
}

struct span *span_open(struct thread *self, const struct limits *limits, struct slice prefix, const char *operation,
                       const struct scope *parent, uint8_t kind) {
    const vt_context *above = parent && !id_is_zero(parent->context.span_id, 8) ? &parent->context : NULL;
    struct span *span = slot_take(&self->slots);
    /* The stack may move, and parent points into it. */
    vt_context from = above ? *above : (vt_context){{0}, {0}, 0, 0, {0}, 0};
    struct carried *carried = parent ? parent->carried : NULL;
    struct scope *scope = span ? scope_push(self) : NULL;
    if (!scope) {
        if (span) slot_give(&self->slots, span);
        thread_count(self, COUNT_DROPPED_MEMORY, 1);
        return NULL;
    }
    struct record *record = &span->record;
    memset(record, 0, sizeof *record);
    id_random_span(above ? NULL : record->trace_id, record->span_id);
    if (above) memcpy(record->trace_id, from.trace_id, sizeof record->trace_id);
    memcpy(record->parent_span_id, from.span_id, sizeof record->parent_span_id);
    record->kind = kind;
    record->remote_parent = from.remote;
    span->recording = is_sampled(limits, above ? &from : NULL, record->trace_id);
    record->flags = span->recording;
    span->distinct = span->chat = span->first_token = false;
    span->carried = carried_hold(carried);

    memcpy(scope->context.trace_id, record->trace_id, sizeof record->trace_id);
    memcpy(scope->context.span_id, record->span_id, sizeof record->span_id);
    scope->context.flags = record->flags;
    scope->context.carried = carried ? carried->number : 0;
    scope->carried = carried_hold(carried);
    scope->handle = atomic_load_explicit(&span->handle, memory_order_relaxed);

    thread_count(self, COUNT_STARTED, 1);
    if (!span->recording) {
        thread_count(self, COUNT_UNSAMPLED, 1);
        return span;
    }
    put_operation(span, prefix, span_masked(limits, slice_of(operation)));
    if (__builtin_expect(carried != NULL, 0) && *carried->tracestate)
        record->tracestate_at = put_own_text(span, slice_of(carried->tracestate));
    span->start = clock_ticks();
    record->start_ns = clock_wall_ns(&self->clock, span->start);
    return span;
}

vt_span *vt_span_start(const char *operation) {
    const struct limits *limits = limits_now();
    struct thread *self = limits && !pipeline_exporting ? thread_self() : NULL;
    if (!self) return NULL;
    return span_handle(span_open(self, limits, SLICE(""), operation, scope_current(self), VT_KIND_INTERNAL));
}

void vt_span_end(vt_span *handle) {
    struct span *span = slot_find(handle);
    struct thread *self = span ? thread_self() : NULL;
    if (!self) return;
    if (span->recording) {
        const struct limits *limits = limits_now();
        if (span->chat && !span->record.failed && limits) span_put_event(span, limits, SLICE("chat.turn.complete"));
        struct record *record = &span->record;
        record->end_ns = time_within(span);
        record->size = record_round(sizeof *record + record->data_size);
        pipeline_push(self, record, span->data);
        if (span->data != span->inside) thread_spare_give(self, span->data, span->capacity);
    }
    if (span->carried) carried_drop(span->carried);
    thread_count(self, COUNT_ENDED, 1);
    slot_give(&self->slots, span);
    scope_ended(self, (uintptr_t)handle);
}

void vt_span_error(vt_span *handle, const char *message) {
    struct span *span = span_recording(handle);
    const struct limits *limits = limits_now();
    if (!span || !limits) return;
    struct record *record = &span->record;
    record->failed = 1;
    if (record->error_at) record_remove(record, span->data, record->error_at - (uint32_t)sizeof(struct item) - 1);
    record->error_at = record->error_size = 0;
    if (!message || !*message) return;
    struct slice text = value_cut(limits, span_redacted(limits, "error", slice_of(message)));
    record->error_at = put_own_text(span, text);
    record->error_size = (uint32_t)text.len;
}

/* Attributes and events -------------------------------------------------------------------------------------------- */

void vt_span_set_str(vt_span *handle, const char *key, const char *value) {
    struct span *span = span_recording(handle);
    const struct limits *limits = limits_now();
    if (!span || !limits || !key || !value || put_text_fast(span, limits, ITEM_ATTR, key, value) || !*key) return;
    span_put_text(span, limits, ITEM_ATTR, slice_of(key), span_redacted(limits, key, slice_of(value)));
}

/* As span_put_number, for numbers of the application's, which may be somebody's. */
static void put_own_number(struct span *span, const struct limits *limits, enum item_tag tag, struct slice key,
                           uint8_t type, const void *eight_bytes) {
    struct slice text;
    int64_t number;
    memcpy(&number, eight_bytes, sizeof number);
    if (limits->mask && type == VT_INT && mask_number(thread_self(), limits->mask, number, &text))
        span_put_text(span, limits, tag, key, text);
    else
        span_put_number(span, limits, tag, key, type, eight_bytes);
}

static inline void set_number(vt_span *handle, const char *key, uint8_t type, const void *eight_bytes) {
    struct span *span = span_recording(handle);
    const struct limits *limits = limits_now();
    if (!span || !limits || !key || put_number_fast(span, limits, key, type, eight_bytes) || !*key) return;
    put_own_number(span, limits, ITEM_ATTR, slice_of(key), type, eight_bytes);
}

void vt_span_set_int(vt_span *handle, const char *key, int64_t value) {
    set_number(handle, key, VT_INT, &value);
}
void vt_span_set_double(vt_span *handle, const char *key, double value) {
    set_number(handle, key, VT_DOUBLE, &value);
}
void vt_span_set_bool(vt_span *handle, const char *key, bool value) {
    uint64_t wide = value;
    set_number(handle, key, VT_BOOL, &wide);
}

static void put_attr(struct span *span, const struct limits *limits, enum item_tag tag, const vt_attr *attr) {
    if (!attr->key) return;
    bool plain = attr->type == VT_STRING && attr->value.string && !attr->key_size && !attr->value_size;
    if (plain && put_text_fast(span, limits, tag, attr->key, attr->value.string)) return;
    struct slice key = slice_make(attr->key, attr->key_size ? attr->key_size : strlen(attr->key));
    if (!key.len) return;
    if (attr->type == VT_STRING) {
        const char *text = attr->value.string;
        if (!text) return;
        struct slice value = slice_make(text, attr->value_size ? attr->value_size : strlen(text));
        span_put_text(span, limits, tag, key, span_redacted(limits, attr->key, value));
    } else if (attr->type <= VT_BOOL) {
        uint64_t wide = attr->type == VT_BOOL ? attr->value.boolean : (uint64_t)attr->value.integer;
        put_own_number(span, limits, tag, key, (uint8_t)attr->type, &wide);
    }
}

void vt_span_set_attrs(vt_span *handle, const vt_attr *attrs, size_t count) {
    struct span *span = span_recording(handle);
    const struct limits *limits = limits_now();
    if (!span || !limits || !attrs) return;
    for (size_t i = 0; i < count; i++) put_attr(span, limits, ITEM_ATTR, &attrs[i]);
}

void vt_span_event(vt_span *handle, const char *name, const vt_attr *attrs, size_t count) {
    struct span *span = span_recording(handle);
    const struct limits *limits = limits_now();
    if (!span || !limits || !name || !*name) return;
    if (!put_event_fast(span, limits, name) && !span_put_event(span, limits, span_masked(limits, slice_of(name))))
        return;
    if (!attrs) return;
    for (size_t i = 0; i < count; i++) {
        if (i < limits->max_attributes)
            put_attr(span, limits, ITEM_EVENT_ATTR, &attrs[i]);
        else
            drop_attr(span);
    }
}
