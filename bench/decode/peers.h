/* The libraries that one would take instead, apart from ours since their names collide. Each reads the bytes whole and
 * lets go of what it made; false when it cannot. */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include "base/buf.h"

bool peer_protobuf_c(struct slice body, size_t spans);
/* The same request as a sender's library writes it: lengths as short as they can be. */
bool peer_protobuf_c_rewrite(struct buf *body);
bool peer_jansson(struct slice json);
bool peer_yyjson(struct slice json); /* false also where yyjson is not installed */
bool peer_gunzip(struct slice packed, char *to, size_t room);

#endif
