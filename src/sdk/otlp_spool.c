/* See otlp_spool.h. The directory is read anew each time: other processes put and take as well. */
#include "sdk/otlp_spool.h"

#include "base/timestamp.h"
#include "sdk/env.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { NAME_MAX_BYTES = 64, FILES_MAX = 1 << 16, ABANDONED_S = 600, BODY_MAX = 64 << 20 };

struct head {
    char magic[8];
    uint32_t spans;
    uint32_t reserved;
    uint64_t size; /* of the body */
    uint64_t hash;
};
static const char MAGIC[8] = {'V', 'T', 'O', 'T', 'L', 'P', '1', '\n'};

struct entry {
    char name[NAME_MAX_BYTES];
    uint64_t size;
};

struct listing {
    struct entry *entries; /* oldest first */
    size_t count, cap;
    uint64_t bytes;
};

static int open_dir(const struct spool *spool) {
    return open(spool->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool has_ending(const char *name, const char *ending) {
    return slice_ends(slice_of(name), slice_of(ending)) && strlen(name) < NAME_MAX_BYTES;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static bool add_entry(struct listing *list, const char *name, uint64_t size) {
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 64;
        struct entry *more = cap > FILES_MAX ? NULL : realloc(list->entries, cap * sizeof *more);
        if (!more) return false;
        list->entries = more;
        list->cap = cap;
    }
    struct entry *entry = &list->entries[list->count++];
    memcpy(entry->name, name, strlen(name) + 1); /* its length was checked */
    entry->size = size;
    list->bytes += size;
    return true;
}

/* The spool's files; entries is the caller's to free. */
static struct listing list_files(const struct spool *spool, bool remove_abandoned) {
    struct listing list = {0};
    int fd = spool->dir ? open_dir(spool) : -1;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0) close(fd);
        return list;
    }
    for (struct dirent *file; (file = readdir(dir));) {
        struct stat about;
        bool whole = has_ending(file->d_name, ".otlp"), torn = has_ending(file->d_name, ".otlp-new");
        if ((!whole && !torn) || fstatat(dirfd(dir), file->d_name, &about, AT_SYMLINK_NOFOLLOW) ||
            !S_ISREG(about.st_mode))
            continue;
        if (whole && !add_entry(&list, file->d_name, (uint64_t)about.st_size)) break;
        if (torn && remove_abandoned && about.st_mtime + ABANDONED_S < time(NULL))
            unlinkat(dirfd(dir), file->d_name, 0);
    }
    closedir(dir);
    if (list.count) qsort(list.entries, list.count, sizeof *list.entries, by_name);
    return list;
}

int spool_open(struct spool *spool, const char *dir, uint64_t max_bytes, struct error *err) {
    *spool = (struct spool){.dir = dir, .max_bytes = max_bytes, .taken_fd = -1};
    if (!dir) return 0;
    if (mkdir(dir, 0700) && errno != EEXIST)
        return error_set(err, VT_EIO, "spool directory %s cannot be made: %s", dir, strerror(errno));
    if (access(dir, R_OK | W_OK | X_OK))
        return error_set(err, VT_EIO, "spool directory %s cannot be used: %s", dir, strerror(errno));
    free(list_files(spool, true).entries);
    return 0;
}

bool spool_has_files(const struct spool *spool) {
    struct listing list = list_files(spool, false);
    free(list.entries);
    return list.count > 0;
}

static bool read_all(int fd, void *to, size_t size) {
    for (char *at = to; size;) {
        ssize_t got = read(fd, at, size);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

static bool write_all(int fd, const void *from, size_t size) {
    for (const char *at = from; size;) {
        ssize_t put = write(fd, at, size);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        at += put;
        size -= (size_t)put;
    }
    return true;
}

/* Opens and locks; -1: gone, or another process has it. */
static int lock_file(int dir, const char *name) {
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat about;
    if (fd < 0) return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) || fstat(fd, &about) || about.st_nlink == 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool read_head(int fd, struct head *head) {
    return read_all(fd, head, sizeof *head) && !memcmp(head->magic, MAGIC, sizeof MAGIC) && head->size <= BODY_MAX;
}

/* Removes the oldest until `need` bytes are free. Returns how many spans went with them. */
static uint32_t make_room(struct spool *spool, uint64_t need) {
    struct listing list = list_files(spool, false);
    uint32_t lost = 0;
    int dir = open_dir(spool);
    for (size_t i = 0; dir >= 0 && i < list.count && list.bytes + need > spool->max_bytes; i++) {
        int fd = lock_file(dir, list.entries[i].name);
        if (fd < 0) continue; /* on its way out */
        struct head head;
        if (read_head(fd, &head)) lost += head.spans;
        if (!unlinkat(dir, list.entries[i].name, 0)) list.bytes -= list.entries[i].size;
        close(fd);
    }
    if (dir >= 0) close(dir);
    free(list.entries);
    return lost;
}

int spool_put(struct spool *spool, struct slice body, uint32_t spans, uint32_t *lost, struct error *err) {
    struct head head = {.spans = spans, .size = body.len, .hash = XXH3_64bits(body.ptr, body.len)};
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    char name[NAME_MAX_BYTES], aside[NAME_MAX_BYTES + 8];
    *lost = 0;
    if (sizeof head + body.len > spool->max_bytes || body.len > BODY_MAX)
        return error_set(err, VT_ELIMIT, "a batch of %zu bytes is larger than the spool may be", body.len);
    *lost = make_room(spool, sizeof head + body.len);
    snprintf(name, sizeof name, "%020" PRId64 "-%ld-%08x.otlp", time_now_ns(), (long)getpid(), spool->sequence++);
    snprintf(aside, sizeof aside, "%s-new", name);
    int dir = open_dir(spool);
    int fd = dir >= 0 ? openat(dir, aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    bool fine = fd >= 0 && write_all(fd, &head, sizeof head) && write_all(fd, body.ptr, body.len) && !fdatasync(fd) &&
                !renameat(dir, aside, dir, name);
    int result = fine ? 0 : error_set(err, VT_EIO, "spool directory %s: %s", spool->dir, strerror(errno));
    if (!fine && fd >= 0) unlinkat(dir, aside, 0);
    if (fd >= 0) close(fd);
    if (dir >= 0) close(dir);
    return result;
}

/* The body of a locked file; false: it is torn. */
static bool read_file(int fd, struct buf *body, uint32_t *spans) {
    struct head head;
    struct stat about;
    buf_clear(body);
    if (!read_head(fd, &head) || fstat(fd, &about) || (uint64_t)about.st_size != sizeof head + head.size) return false;
    if (!buf_reserve(body, head.size) || !read_all(fd, body->ptr, head.size)) return false;
    body->len = head.size;
    *spans = head.spans;
    return XXH3_64bits(body->ptr, body->len) == head.hash;
}

bool spool_take(struct spool *spool, struct buf *body, uint32_t *spans) {
    struct listing list = list_files(spool, false);
    int dir = list.count ? open_dir(spool) : -1;
    for (size_t i = 0; dir >= 0 && i < list.count && spool->taken_fd < 0; i++) {
        int fd = lock_file(dir, list.entries[i].name);
        if (fd < 0) continue;
        if (read_file(fd, body, spans)) {
            spool->taken_fd = fd;
            memcpy(spool->taken_name, list.entries[i].name, sizeof spool->taken_name);
            continue;
        }
        bool memory = body->failed; /* then it is not the file's fault */
        if (!memory) debug_line("OTLP: %s in the spool is torn: removed", list.entries[i].name);
        if (!memory) unlinkat(dir, list.entries[i].name, 0);
        close(fd);
    }
    if (dir >= 0) close(dir);
    free(list.entries);
    return spool->taken_fd >= 0;
}

void spool_done(struct spool *spool, bool sent) {
    if (spool->taken_fd < 0) return;
    int dir = sent ? open_dir(spool) : -1;
    if (dir >= 0) {
        unlinkat(dir, spool->taken_name, 0);
        close(dir);
    }
    close(spool->taken_fd);
    spool->taken_fd = -1;
}

void spool_forked(struct spool *spool) {
    if (spool->taken_fd >= 0) close(spool->taken_fd);
    spool->taken_fd = -1;
}
