/* protobuf-c, jansson, yyjson and zlib. */
#include "peers.h"

#include "trace.pb-c.h"

#include <jansson.h>
#include <zlib.h>
#if HAVE_YYJSON
#include <yyjson.h>
#endif

bool peer_protobuf_c(struct slice body, size_t spans) {
    Bench__Request *request = bench__request__unpack(NULL, body.len, (const uint8_t *)body.ptr);
    bool good =
        request && request->n_resource_spans == 1 && request->resource_spans[0]->scope_spans[0]->n_spans == spans;
    bench__request__free_unpacked(request, NULL);
    return good;
}

bool peer_protobuf_c_rewrite(struct buf *body) {
    Bench__Request *request = bench__request__unpack(NULL, body->len, (const uint8_t *)body->ptr);
    size_t size = request ? bench__request__get_packed_size(request) : 0;
    struct buf out = {0};
    bool good = request && buf_reserve(&out, size);
    if (good) out.len = bench__request__pack(request, (uint8_t *)out.ptr);
    if (request) bench__request__free_unpacked(request, NULL);
    buf_free(body);
    *body = out;
    return good;
}

bool peer_jansson(struct slice json) {
    json_t *root = json_loadb(json.ptr, json.len, JSON_DECODE_ANY, NULL);
    bool good = root != NULL;
    json_decref(root);
    return good;
}

bool peer_yyjson(struct slice json) {
#if HAVE_YYJSON
    yyjson_doc *doc = yyjson_read(json.ptr, json.len, 0);
    bool good = doc != NULL;
    yyjson_doc_free(doc);
    return good;
#else
    return false;
#endif
}

bool peer_gunzip(struct slice packed, char *to, size_t room) {
    z_stream stream = {0};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) return false;
    stream.next_in = (Bytef *)(uintptr_t)packed.ptr, stream.avail_in = (uInt)packed.len;
    stream.next_out = (Bytef *)to, stream.avail_out = (uInt)room;
    bool good = inflate(&stream, Z_FINISH) == Z_STREAM_END;
    inflateEnd(&stream);
    return good;
}
