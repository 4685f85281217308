/* Thrift's compact protocol, as far as Parquet's metadata needs it: a writer into a buffer and a reader over a slice.
 */
#ifndef STORE_THRIFT_H
#define STORE_THRIFT_H

#include "base/buf.h"

enum thrift_type {
    THRIFT_STOP,
    THRIFT_TRUE,
    THRIFT_FALSE,
    THRIFT_I8,
    THRIFT_I16,
    THRIFT_I32,
    THRIFT_I64,
    THRIFT_DOUBLE,
    THRIFT_BINARY,
    THRIFT_LIST,
    THRIFT_SET,
    THRIFT_MAP,
    THRIFT_STRUCT
};

enum { THRIFT_DEPTH_MAX = 16 };

struct thrift_writer {
    struct buf *out;
    int16_t last[THRIFT_DEPTH_MAX]; /* last field id of each open struct */
    int depth;
};

void thrift_i32(struct thrift_writer *w, int16_t id, int32_t value);
void thrift_i64(struct thrift_writer *w, int16_t id, int64_t value);
void thrift_bool(struct thrift_writer *w, int16_t id, bool value);
void thrift_binary(struct thrift_writer *w, int16_t id, struct slice value);
void thrift_struct(struct thrift_writer *w, int16_t id); /* a struct field opens */
void thrift_list(struct thrift_writer *w, int16_t id, enum thrift_type of, uint32_t count);
void thrift_item_struct(struct thrift_writer *w); /* a struct as list element opens */
void thrift_item_i32(struct thrift_writer *w, int32_t value);
void thrift_item_binary(struct thrift_writer *w, struct slice value);
void thrift_end(struct thrift_writer *w); /* the innermost struct, or the outermost, ends */

struct thrift_reader {
    const uint8_t *at, *end;
    int16_t last[THRIFT_DEPTH_MAX];
    int depth;
    bool failed;
};

struct thrift_field {
    int16_t id;
    enum thrift_type type; /* for lists: of the list itself */
};

void thrift_reader_init(struct thrift_reader *r, struct slice bytes);
/* Next field of the innermost struct; false at its end (which it leaves) or on a mistake. */
bool thrift_next(struct thrift_reader *r, struct thrift_field *field);
void thrift_enter(struct thrift_reader *r);       /* into a struct field or list element */
int64_t thrift_read_int(struct thrift_reader *r); /* any integer type */
struct slice thrift_read_binary(struct thrift_reader *r);
uint32_t thrift_read_list(struct thrift_reader *r, enum thrift_type *of); /* number of elements */
void thrift_skip(struct thrift_reader *r, enum thrift_type type);

#endif
