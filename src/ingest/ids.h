/* Inside ingest: ids as senders write them. Pure functions; any thread. */
#ifndef INGEST_IDS_H
#define INGEST_IDS_H

#include "base/id.h"

enum id_form {
    ID_NONE,  /* empty, or zeros in any form: not given */
    ID_EXACT, /* the bytes themselves, in hex */
    ID_SHORT, /* a trace id of 64 bits in hex, or a UUID: the bytes themselves in another form */
    ID_HASHED /* any other text: the bytes are its hash */
};

/* The id of `size` bytes (TRACE_ID_SIZE or SPAN_ID_SIZE) that the text stands for; zeros for ID_NONE. With `base64` the
 * JSON form of protobuf's bytes is taken as well (as ID_SHORT). */
enum id_form id_read(struct slice text, bool base64, uint8_t *id, size_t size);

#endif
