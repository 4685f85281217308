/* Members of JSON objects in one line each. Texts that are empty and times that are not known are left out. */
#ifndef SERVE_MEMBERS_H
#define SERVE_MEMBERS_H

#include "base/json.h"
#include "base/timestamp.h"

static inline void member_int(struct json_writer *w, const char *key, int64_t value) {
    json_put_key(w, key);
    json_put_int(w, value);
}
static inline void member_count(struct json_writer *w, const char *key, uint64_t value) {
    member_int(w, key, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}
static inline void member_double(struct json_writer *w, const char *key, double value) {
    json_put_key(w, key);
    json_put_double(w, value);
}
static inline void member_bool(struct json_writer *w, const char *key, bool value) {
    json_put_key(w, key);
    json_put_bool(w, value);
}
static inline void member_text(struct json_writer *w, const char *key, struct slice value) {
    if (!value.len) return;
    json_put_key(w, key);
    json_put_string(w, value);
}
static inline void member_str(struct json_writer *w, const char *key, const char *value) {
    member_text(w, key, slice_of(value));
}
/* Unix nanoseconds as ISO 8601; 0 and INT64_MIN are "not known". */
static inline void member_time(struct json_writer *w, const char *key, int64_t at_ns) {
    char text[TIME_TEXT_MAX];
    if (at_ns == 0 || at_ns == INT64_MIN) return;
    member_text(w, key, slice_make(text, time_format(at_ns, 6, text)));
}
static inline void member_open(struct json_writer *w, const char *key, char bracket) {
    json_put_key(w, key);
    json_open(w, bracket);
}

#endif
