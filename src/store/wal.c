/* Appending, syncing, and finding again. */
#include "store/wal.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { APPEND_MAX = 256 };

struct header {
    uint32_t length, inverse;
    uint64_t checksum;
};

static void name_file(struct wal *wal, const char *dir, uint64_t number) {
    wal->number = number;
    snprintf(wal->path, sizeof wal->path, "%s/%020llu.wal", dir, (unsigned long long)number);
}

static int sync_dir(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0) close(fd);
    return result;
}

static int io_error(const struct wal *wal, const char *what, struct error *err) {
    int full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    return error_set(err, full ? VT_EFULL : VT_EIO, "%s of %s: %s", what, wal->path, strerror(errno));
}

int wal_create(struct wal *wal, const char *dir, uint64_t number, struct error *err) {
    *wal = (struct wal){.fd = -1};
    name_file(wal, dir, number);
    wal->fd = open(wal->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (wal->fd < 0 || sync_dir(dir)) return io_error(wal, "creation", err);
    return 0;
}

static ssize_t write_all(int fd, struct iovec *parts, int count) {
    ssize_t total = 0;
    while (count) {
        ssize_t n = writev(fd, parts, count < IOV_MAX ? count : IOV_MAX);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) return errno = ENOSPC, -1;
        total += n;
        while (count && (size_t)n >= parts->iov_len) n -= (ssize_t)parts->iov_len, parts++, count--;
        if (count) parts->iov_base = (char *)parts->iov_base + n, parts->iov_len -= (size_t)n;
    }
    return total;
}

int wal_append(struct wal *wal, const struct slice *payloads, uint32_t count, struct error *err) {
    struct header headers[APPEND_MAX];
    struct iovec parts[2 * APPEND_MAX];
    while (count) {
        uint32_t now = count < APPEND_MAX ? count : APPEND_MAX;
        for (uint32_t i = 0; i < now; i++) {
            uint32_t length = (uint32_t)payloads[i].len;
            headers[i] = (struct header){length, ~length, XXH3_64bits(payloads[i].ptr, payloads[i].len)};
            parts[2 * i] = (struct iovec){&headers[i], sizeof headers[i]};
            parts[2 * i + 1] = (struct iovec){(void *)(uintptr_t)payloads[i].ptr, payloads[i].len};
        }
        ssize_t written = write_all(wal->fd, parts, (int)(2 * now));
        if (written < 0) {
            int code = io_error(wal, "write", err);
            if (ftruncate(wal->fd, (off_t)wal->bytes) || lseek(wal->fd, (off_t)wal->bytes, SEEK_SET) < 0)
                log_error("%s cannot be cut back to %llu bytes: %s", wal->path, (unsigned long long)wal->bytes, strerror(errno));
            return code;
        }
        wal->bytes += (uint64_t)written;
        wal->dirty = true;
        payloads += now;
        count -= now;
    }
    return 0;
}

int wal_sync(struct wal *wal, struct error *err) {
    if (!wal->dirty) return 0;
    if (fdatasync(wal->fd)) return io_error(wal, "sync", err);
    wal->dirty = false;
    return 0;
}

void wal_close(struct wal *wal) {
    if (wal->fd >= 0) close(wal->fd);
    wal->fd = -1;
}

void wal_remove(struct wal *wal) {
    wal_close(wal);
    if (wal->path[0]) unlink(wal->path);
}

/* Bytes of whole records from the front of the file. */
static size_t walk(const uint8_t *bytes, size_t size, int (*each)(void *, struct slice, struct error *), void *ctx, int *code, struct error *err) {
    size_t at = 0;
    struct header header;
    while (size - at >= sizeof header) {
        memcpy(&header, bytes + at, sizeof header);
        if (header.length != ~header.inverse || header.length > size - at - sizeof header) break;
        struct slice payload = slice_make(bytes + at + sizeof header, header.length);
        if (XXH3_64bits(payload.ptr, payload.len) != header.checksum) break;
        if ((*code = each(ctx, payload, err))) return at;
        at += sizeof header + header.length;
    }
    return at;
}

int wal_recover(struct wal *wal, const char *dir, uint64_t number, bool read_only, int (*each)(void *, struct slice, struct error *), void *ctx,
                struct error *err) {
    struct stat info;
    int code = 0;
    *wal = (struct wal){.fd = -1};
    name_file(wal, dir, number);
    wal->fd = open(wal->path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (wal->fd < 0 || fstat(wal->fd, &info)) return io_error(wal, "opening", err);
    size_t size = (size_t)info.st_size;
    if (!size) return 0;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, wal->fd, 0);
    if (bytes == MAP_FAILED) return io_error(wal, "reading", err);
    size_t whole = walk(bytes, size, each, ctx, &code, err);
    munmap(bytes, size);
    if (code) return code;
    wal->bytes = whole;
    if (whole < size && !read_only) {
        log_warn("%s: %zu bytes at the end are no whole batch (the process was stopped while it wrote them, they were never acknowledged); cut off",
                 wal->path, size - whole);
        if (ftruncate(wal->fd, (off_t)whole) || fsync(wal->fd)) return io_error(wal, "cutting", err);
    }
    if (lseek(wal->fd, (off_t)whole, SEEK_SET) < 0) return io_error(wal, "seeking", err);
    return 0;
}

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int wal_list(const char *dir, uint64_t **numbers, struct error *err) {
    int count = 0, capacity = 0;
    DIR *d = opendir(dir);
    *numbers = NULL;
    if (!d) return error_set(err, VT_EIO, "%s: %s", dir, strerror(errno));
    for (struct dirent *e; (e = readdir(d));) {
        unsigned long long number;
        char rest;
        if (sscanf(e->d_name, "%20llu.wa%c", &number, &rest) != 2 || rest != 'l' || strlen(e->d_name) != 24) continue;
        if (count == capacity) {
            capacity = capacity ? 2 * capacity : 16;
            uint64_t *more = realloc(*numbers, (size_t)capacity * sizeof **numbers);
            if (!more) {
                closedir(d);
                return error_set(err, VT_ENOMEM, "no memory for the list of WAL files");
            }
            *numbers = more;
        }
        (*numbers)[count++] = number;
    }
    closedir(d);
    if (count) qsort(*numbers, (size_t)count, sizeof **numbers, by_number);
    return count;
}
