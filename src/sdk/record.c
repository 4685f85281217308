/* Reads back what span.c wrote. Runs on the exporting thread, except for compaction. */
#include "sdk/record.h"

#include <stdlib.h>

void view_room_free(struct view_room *room) {
    free(room->attrs);
    free(room->events);
    memset(room, 0, sizeof *room);
}

static bool grow(void **array, size_t *cap, size_t need, size_t size) {
    size_t cap_new = *cap ? *cap : 256;
    while (cap_new < need) cap_new *= 2;
    if (cap_new > *cap) {
        void *bigger = realloc(*array, cap_new * size);
        if (!bigger) return false;
        *array = bigger;
        *cap = cap_new;
    }
    return true;
}

bool view_room_fits(struct view_room *room, const struct record *record) {
    size_t attrs = (size_t)record->attr_count + record->event_attr_count, events = record->event_count;
    if (room->attr_cap - room->attr_count >= attrs && room->event_cap - room->event_count >= events) return true;
    if (room->attr_count || room->event_count) return false;
    return grow((void **)&room->attrs, &room->attr_cap, attrs, sizeof *room->attrs) &&
           grow((void **)&room->events, &room->event_cap, events, sizeof *room->events);
}

void view_room_enlarge(struct view_room *room) {
    enum { LARGE = 1 << 16 };
    if (room->attr_cap < LARGE) grow((void **)&room->attrs, &room->attr_cap, room->attr_cap * 2, sizeof *room->attrs);
    if (room->event_cap < LARGE)
        grow((void **)&room->events, &room->event_cap, room->event_cap * 2, sizeof *room->events);
}

static struct item item_head(const char *at) {
    struct item item;
    memcpy(&item, at, sizeof item);
    return item;
}

static inline void read_attr(const char *at, const struct item *item, vt_attr *attr) {
    const char *value = at + sizeof *item + item->key_size + 1;
    attr->key = at + sizeof *item;
    attr->key_size = item->key_size;
    attr->type = item->type;
    attr->value_size = item->value_size;
    if (item->type == VT_STRING)
        attr->value.string = value;
    else
        memcpy(&attr->value, value, sizeof attr->value);
}

static bool same_key(const vt_attr *a, const vt_attr *b) {
    return a->key_size == b->key_size && memcmp(a->key, b->key, a->key_size) == 0;
}

/* Drops attributes that a later one repeats; few are, so moving the rest up is cheap. */
static uint32_t drop_repeated(vt_attr *attrs, uint32_t count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool again = false;
        for (uint32_t j = i + 1; j < count && !again; j++) again = same_key(&attrs[i], &attrs[j]);
        if (!again) attrs[kept++] = attrs[i];
    }
    return kept;
}

/* False when no key can be there twice: tells by a byte that differs for most keys. */
static bool may_repeat(const vt_attr *attrs, uint32_t count) {
    uint64_t seen[4] = {0};
    for (uint32_t i = 0; i < count; i++) {
        const char *key = attrs[i].key;
        size_t size = attrs[i].key_size;
        uint8_t mark = (uint8_t)(size * 7 + (uint8_t)key[size - 1] * 5u + (uint8_t)key[size / 2] * 31u);
        uint64_t bit = UINT64_C(1) << (mark & 63);
        if (seen[mark >> 6] & bit) return true;
        seen[mark >> 6] |= bit;
    }
    return false;
}

void record_view(const struct record *record, const char *data, struct view_room *room, vt_finished *view) {
    memcpy(view->trace_id, record->trace_id, sizeof view->trace_id);
    memcpy(view->span_id, record->span_id, sizeof view->span_id);
    memcpy(view->parent_span_id, record->parent_span_id, sizeof view->parent_span_id);
    view->start_ns = record->start_ns;
    view->end_ns = record->end_ns;
    view->operation = data;
    view->operation_size = record->operation_size;
    view->error = record->error_at ? data + record->error_at : NULL;
    view->error_size = record->error_size;
    view->tracestate = record->tracestate_at ? data + record->tracestate_at : NULL;
    view->dropped_attrs = record->dropped_attrs;
    view->dropped_events = record->dropped_events;
    view->failed = record->failed;
    view->kind = record->kind;
    view->flags = record->flags;
    view->remote_parent = record->remote_parent;

    /* A room that nobody needed yet has no memory; nothing is added to NULL, not even 0. */
    vt_attr *attrs = room->attrs ? room->attrs + room->attr_count : NULL;
    vt_attr *event_attrs = attrs ? attrs + record->attr_count : NULL;
    vt_event *events = room->events ? room->events + room->event_count : NULL;
    uint32_t attr_count = 0, event_count = 0;
    const char *at = data + record->operation_size + 1, *end = data + record->data_size;
    while (at < end) {
        struct item item = item_head(at);
        switch (item.tag) {
        case ITEM_ATTR: read_attr(at, &item, &attrs[attr_count++]); break;
        case ITEM_EVENT: {
            vt_event *event = &events[event_count++];
            event->name = at + sizeof item;
            event->name_size = item.key_size;
            event->attr_count = 0;
            event->attrs = event_attrs;
            memcpy(&event->time_ns, at + sizeof item + item.key_size + 1, sizeof event->time_ns);
            break;
        }
        case ITEM_EVENT_ATTR:
            events[event_count - 1].attr_count++;
            read_attr(at, &item, event_attrs++);
            break;
        default: break;
        }
        at += item_size(&item);
    }
    view->attrs = attrs;
    view->attr_count = may_repeat(attrs, attr_count) ? drop_repeated(attrs, attr_count) : attr_count;
    view->events = events;
    view->event_count = event_count;
    room->attr_count += (size_t)record->attr_count + record->event_attr_count;
    room->event_count += record->event_count;
}

static uint32_t find_from(const struct record *record, const char *data, uint32_t at, const char *key,
                          size_t key_size) {
    while (at < record->data_size) {
        struct item item = item_head(data + at);
        if (item.tag == ITEM_ATTR && item.key_size == key_size && !memcmp(data + at + sizeof item, key, key_size))
            return at;
        at += (uint32_t)item_size(&item);
    }
    return 0;
}

uint32_t record_find(const struct record *record, const char *data, const char *key, size_t key_size) {
    return find_from(record, data, record->operation_size + 1, key, key_size);
}

void record_remove(struct record *record, char *data, uint32_t at) {
    struct item item = item_head(data + at);
    uint32_t size = (uint32_t)item_size(&item), next = at + size;
    uint32_t *texts[2] = {&record->error_at, &record->tracestate_at};
    for (unsigned i = 0; i < 2; i++) {
        if (*texts[i] > next)
            *texts[i] -= size;
        else if (*texts[i] > at)
            *texts[i] = 0;
    }
    if (item.tag == ITEM_ATTR) record->attr_count--;
    memmove(data + at, data + next, record->data_size - next);
    record->data_size -= size;
}

void record_compact(struct record *record, char *data) {
    uint32_t at = record->operation_size + 1;
    while (at < record->data_size) {
        struct item item = item_head(data + at);
        uint32_t next = at + (uint32_t)item_size(&item);
        if (item.tag == ITEM_ATTR && find_from(record, data, next, data + at + sizeof item, item.key_size))
            record_remove(record, data, at);
        else
            at = next;
    }
}
