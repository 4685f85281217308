/* A span in bytes, as the caller's thread writes it and the exporting thread reads it: a fixed head, then items in the
 * order in which they were added. An item is its head, the key with NUL, and the value: text with NUL, or eight bytes.
 * An event is an item whose key is its name and whose value is its time; its attributes follow it. */
#ifndef SDK_RECORD_H
#define SDK_RECORD_H

#include "vitrine.h"

#include <string.h>

struct record {
    uint32_t size;      /* of head and data, rounded up to 8: from one record of a queue to the next */
    uint32_t data_size; /* bytes of data that follow the head */
    int64_t start_ns;
    int64_t end_ns;
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t parent_span_id[8];
    uint32_t operation_size; /* data begins with the operation and its NUL */
    uint32_t error_at;       /* where in data the message stands; 0: none */
    uint32_t error_size;
    uint32_t tracestate_at; /* 0: none */
    uint16_t attr_count;    /* also those set twice */
    uint16_t event_count;
    uint32_t event_attr_count; /* of all events */
    uint32_t dropped_attrs;
    uint32_t dropped_events;
    uint8_t failed;
    uint8_t kind;
    uint8_t flags;
    uint8_t remote_parent;
};

enum item_tag { ITEM_ATTR, ITEM_EVENT, ITEM_EVENT_ATTR, ITEM_TEXT /* error or tracestate: found by its place */ };

struct item {
    uint8_t tag;  /* enum item_tag */
    uint8_t type; /* VT_STRING … */
    uint16_t key_size;
    uint32_t value_size; /* of a string, without its NUL */
};

enum { RECORD_ALIGN = 8, RECORD_SIZE_MAX = 8 << 20 };

static inline uint32_t record_round(size_t size) {
    return (uint32_t)((size + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1));
}

/* Bytes from one item to the next. */
static inline size_t item_size(const struct item *item) {
    return sizeof *item + item->key_size + 1u + (item->type == VT_STRING ? item->value_size + 1u : 8u);
}

/* Room that views are built in: grows to what the largest batch needs and stays. Zeroed is valid. */
struct view_room {
    vt_attr *attrs;
    vt_event *events;
    size_t attr_cap, attr_count;
    size_t event_cap, event_count;
};

void view_room_free(struct view_room *room);
static inline void view_room_clear(struct view_room *room) {
    room->attr_count = room->event_count = 0;
}
/* True when a record's attributes and events fit behind what room holds; it grows only while it holds nothing, since
 * views point into it. */
bool view_room_fits(struct view_room *room, const struct record *record);
/* More room for the next batch, when it holds nothing and is not large yet. */
void view_room_enlarge(struct view_room *room);
/* The public view of a record: points into data and room. A key set twice appears once, with its last value, in the
 * place of the last. Room must fit. */
void record_view(const struct record *record, const char *data, struct view_room *room, vt_finished *view);
/* Takes the item at `at` (an offset into data) out and corrects the head. */
void record_remove(struct record *record, char *data, uint32_t at);
/* Offset of the span's attribute of that name, 0 when there is none. */
uint32_t record_find(const struct record *record, const char *data, const char *key, size_t key_size);
/* Takes out attributes that are set again later. */
void record_compact(struct record *record, char *data);

#endif
