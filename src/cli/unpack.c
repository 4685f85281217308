/* A file or standard input, unpacked on the way. */
#include "cli/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { PIECE = 256 << 10 };

enum packing { PACK_UNKNOWN, PACK_NONE, PACK_GZIP, PACK_ZSTD };

struct unpack {
    int fd;
    const char *name; /* for messages; borrowed */
    enum packing packing;
    uint64_t done, total;
    bool at_end;    /* of the file */
    bool between;   /* members or frames: the end may come here */
    size_t at, len; /* of piece: what was read and not yet unpacked */
    z_stream gzip;
    ZSTD_DStream *zstd;
    unsigned char piece[PIECE];
};

int unpack_open(struct unpack **unpack, const char *path, struct error *err) {
    struct stat st;
    bool standard = strcmp(path, "-") == 0;
    struct unpack *u = calloc(1, sizeof *u);
    *unpack = NULL;
    if (!u) return error_set(err, VT_ENOMEM, "no memory");
    u->name = standard ? "standard input" : path;
    u->between = true;
    u->fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (u->fd < 0 || fstat(u->fd, &st) != 0) {
        int code = error_set(err, VT_EIO, "%s: %s", u->name, strerror(errno));
        unpack_close(u);
        return code;
    }
    if (S_ISDIR(st.st_mode)) {
        int code = error_set(err, VT_EINVAL, "%s is a directory", u->name);
        error_hint(err, "name the files in it: %s/*", path);
        unpack_close(u);
        return code;
    }
    if (S_ISREG(st.st_mode)) u->total = (uint64_t)st.st_size;
    *unpack = u;
    return 0;
}

void unpack_close(struct unpack *u) {
    if (!u) return;
    if (u->packing == PACK_GZIP) inflateEnd(&u->gzip);
    ZSTD_freeDStream(u->zstd);
    if (u->fd > STDIN_FILENO) close(u->fd);
    free(u);
}

/* At least one byte more in the piece, unless the file ends. */
static int fill(struct unpack *u, struct error *err) {
    if (u->at) memmove(u->piece, u->piece + u->at, u->len -= u->at);
    u->at = 0;
    while (!u->at_end && u->len < PIECE) {
        ssize_t n = read(u->fd, u->piece + u->len, PIECE - u->len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set(err, VT_EIO, "%s: %s", u->name, strerror(errno));
        u->at_end = n == 0;
        u->len += (size_t)n;
        u->done += (uint64_t)n;
        if (n && (u->packing != PACK_UNKNOWN || u->len >= 4)) break; /* a pipe may have more, but not yet */
    }
    return 0;
}

static int begin(struct unpack *u, struct error *err) {
    static const unsigned char gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    int code = fill(u, err);
    if (code) return code;
    u->packing = u->len >= 2 && !memcmp(u->piece, gzip, 2)   ? PACK_GZIP
                 : u->len >= 4 && !memcmp(u->piece, zstd, 4) ? PACK_ZSTD
                                                             : PACK_NONE;
    if (u->packing == PACK_GZIP && inflateInit2(&u->gzip, 15 + 16) != Z_OK) {
        u->packing = PACK_NONE;
        return error_set(err, VT_ENOMEM, "no memory to unpack");
    }
    if (u->packing == PACK_ZSTD && !(u->zstd = ZSTD_createDStream()))
        return error_set(err, VT_ENOMEM, "no memory to unpack");
    return 0;
}

static int broken(struct unpack *u, const char *form, const char *why, struct error *err) {
    return error_set(err, VT_EINVAL, "%s: broken %s data near byte %llu: %s", u->name, form,
                     (unsigned long long)(u->done - (u->len - u->at)), why);
}

/* From the piece into `room` bytes at `to`; *made = how many. */
static int step_gzip(struct unpack *u, char *to, size_t room, size_t *made, struct error *err) {
    u->gzip.next_in = u->piece + u->at;
    u->gzip.avail_in = (uInt)(u->len - u->at);
    u->gzip.next_out = (Bytef *)to;
    u->gzip.avail_out = (uInt)room;
    int code = inflate(&u->gzip, Z_NO_FLUSH);
    u->at = u->len - u->gzip.avail_in;
    *made = room - u->gzip.avail_out;
    if (code == Z_STREAM_END) {
        u->between = true;
        inflateReset(&u->gzip);
        /* Zeros may follow the last member (tapes, disk blocks). */
        while (u->at < u->len && !u->piece[u->at]) u->at++;
        return 0;
    }
    u->between = false;
    if (code != Z_OK && code != Z_BUF_ERROR)
        return broken(u, "gzip", u->gzip.msg ? u->gzip.msg : "it does not unpack", err);
    return 0;
}

static int step_zstd(struct unpack *u, char *to, size_t room, size_t *made, struct error *err) {
    ZSTD_inBuffer in = {u->piece, u->len, u->at};
    ZSTD_outBuffer out = {to, room, 0};
    size_t code = ZSTD_decompressStream(u->zstd, &out, &in);
    u->at = in.pos;
    *made = out.pos;
    if (ZSTD_isError(code)) return broken(u, "zstd", ZSTD_getErrorName(code), err);
    u->between = code == 0;
    return 0;
}

static int step_none(struct unpack *u, char *to, size_t room, size_t *made, struct error *err) {
    *made = u->len - u->at < room ? u->len - u->at : room;
    memcpy(to, u->piece + u->at, *made);
    u->at += *made;
    return 0;
}

int unpack_read(struct unpack *u, struct buf *out, size_t more, bool *end, struct error *err) {
    static int (*const steps[])(struct unpack *, char *, size_t, size_t *, struct error *) = {
        [PACK_NONE] = step_none, [PACK_GZIP] = step_gzip, [PACK_ZSTD] = step_zstd};
    int code = u->packing == PACK_UNKNOWN ? begin(u, err) : 0;
    size_t start = out->len;
    *end = false;
    if (!code && !buf_reserve(out, more)) code = error_set(err, VT_ENOMEM, "no memory to read %s", u->name);
    while (!code && out->len - start < more) {
        size_t made = 0;
        if (u->at == u->len && (code = fill(u, err))) break;
        if (u->at == u->len && u->at_end && (u->between || u->packing == PACK_NONE)) {
            *end = true;
            break;
        }
        size_t before = u->at;
        code = steps[u->packing](u, out->ptr + out->len, more - (out->len - start), &made, err);
        out->len += made;
        if (!code && !made && u->at == before && u->at_end && u->at == u->len)
            code = broken(u, u->packing == PACK_GZIP ? "gzip" : "zstd", "it ends in its midst", err);
    }
    return code;
}

uint64_t unpack_done(const struct unpack *u) {
    return u->done - (u->len - u->at);
}
uint64_t unpack_total(const struct unpack *u) {
    return u->total;
}
