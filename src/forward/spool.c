/* Files "<number>-<spans>.req" in one directory. */
#include "forward/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 600 };

static const char *path_of(const struct spool *s, const struct spool_file *file, char out[PATH_SIZE]) {
    snprintf(out, PATH_SIZE, "%s/%020" PRIu64 "-%" PRIu32 ".req", s->dir, file->number, file->spans);
    return out;
}

static bool add_file(struct spool *s, struct spool_file file) {
    if (s->first + s->count == s->capacity) {
        if (s->first > s->capacity / 2) {
            memmove(s->files, s->files + s->first, s->count * sizeof *s->files);
            s->first = 0;
        } else {
            uint32_t capacity = s->capacity ? 2 * s->capacity : 64;
            struct spool_file *files = realloc(s->files, capacity * sizeof *files);
            if (!files) return false;
            s->files = files;
            s->capacity = capacity;
        }
    }
    s->files[s->first + s->count++] = file;
    s->bytes += file.bytes;
    return true;
}

static int by_number(const void *a, const void *b) {
    const struct spool_file *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

int spool_open(struct spool *s, const char *dir, uint64_t limit_bytes, struct error *err) {
    *s = (struct spool){.limit_bytes = limit_bytes, .next = 1};
    if ((size_t)snprintf(s->dir, sizeof s->dir, "%s", dir) >= sizeof s->dir)
        return error_set(err, VT_ELIMIT, "%s: the path is too long", dir);
    if (mkdir(dir, 0700) && errno != EEXIST)
        return error_set(err, VT_EIO, "%s cannot be made: %s", dir, strerror(errno));
    DIR *open_dir = opendir(dir);
    if (!open_dir) return error_set(err, VT_EIO, "%s: %s", dir, strerror(errno));
    for (struct dirent *entry; (entry = readdir(open_dir));) {
        struct spool_file file = {0};
        char path[PATH_SIZE], tail[8] = "";
        struct stat info;
        if (sscanf(entry->d_name, "%" SCNu64 "-%" SCNu32 ".%7s", &file.number, &file.spans, tail) != 3) continue;
        if (strcmp(tail, "req") != 0) {
            snprintf(path, sizeof path, "%s/%.60s", dir, entry->d_name);
            unlink(path); /* was being written when the process ended */
            continue;
        }
        if (stat(path_of(s, &file, path), &info)) continue;
        file.bytes = (uint64_t)info.st_size;
        if (!add_file(s, file)) break;
        if (file.number >= s->next) s->next = file.number + 1;
    }
    closedir(open_dir);
    if (s->count) qsort(s->files, s->count, sizeof *s->files, by_number);
    return 0;
}

void spool_close(struct spool *s) {
    free(s->files);
    *s = (struct spool){0};
}

static int write_whole(int fd, struct slice body) {
    while (body.len) {
        ssize_t n = write(fd, body.ptr, body.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        body = slice_from(body, (size_t)n);
    }
    return fdatasync(fd);
}

static void sync_dir(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

int spool_push(struct spool *s, struct slice body, uint32_t spans, struct error *err) {
    struct spool_file file = {s->next, spans, body.len};
    char path[PATH_SIZE], aside[PATH_SIZE];
    path_of(s, &file, path);
    snprintf(aside, sizeof aside, "%s/%020" PRIu64 "-%" PRIu32 ".tmp", s->dir, file.number, file.spans);
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return error_set(err, VT_EIO, "%s: %s", aside, strerror(errno));
    int failed = write_whole(fd, body), why = errno;
    close(fd);
    if (failed || rename(aside, path)) {
        if (!failed) why = errno;
        unlink(aside);
        return error_set(err, why == ENOSPC ? VT_EFULL : VT_EIO, "%s: %s", path, strerror(why));
    }
    sync_dir(s->dir);
    s->next++;
    if (!add_file(s, file))
        return error_set(err, VT_ENOMEM, "no memory for the list of %s; the file is found at the next start", s->dir);
    while (s->bytes > s->limit_bytes && s->count > 1) {
        s->spans_dropped += s->files[s->first].spans;
        spool_pop(s, s->files[s->first].number);
    }
    return 0;
}

const struct spool_file *spool_oldest(const struct spool *s) {
    return s->count ? &s->files[s->first] : NULL;
}

int spool_read(const struct spool *s, const struct spool_file *file, struct buf *out, struct error *err) {
    char path[PATH_SIZE];
    int fd = open(path_of(s, file, path), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set(err, errno == ENOENT ? VT_ENOTFOUND : VT_EIO, "%s: %s", path, strerror(errno));
    buf_clear(out);
    ssize_t n = 0;
    if (buf_reserve(out, file->bytes)) {
        while (out->len < file->bytes && (n = read(fd, out->ptr + out->len, file->bytes - out->len)) > 0)
            out->len += (size_t)n;
    }
    close(fd);
    if (out->failed) return error_set(err, VT_ENOMEM, "no memory for %s", path);
    return out->len == file->bytes ? 0 : error_set(err, VT_EIO, "%s: shorter than it was", path);
}

void spool_pop(struct spool *s, uint64_t number) {
    if (!s->count || s->files[s->first].number != number) return;
    char path[PATH_SIZE];
    unlink(path_of(s, &s->files[s->first], path));
    s->bytes -= s->files[s->first].bytes;
    s->first++;
    s->count--;
}
