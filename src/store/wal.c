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

void wal_path(const char *dir, uint64_t number, char *path, size_t size) {
    snprintf(path, size, "%s/%020llu.wal", dir, (unsigned long long)number);
}

static int sync_dir(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0) close(fd);
    return result;
}

static int io_error(const char *path, const char *what, struct error *err) {
    int code = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? VT_EFULL
               : errno == ENOENT                                    ? VT_ENOTFOUND
                                                                    : VT_EIO;
    return error_set(err, code, "%s of %s: %s", what, path, strerror(errno));
}

int wal_create(struct wal *wal, const char *dir, uint64_t number, struct error *err) {
    *wal = (struct wal){.fd = -1, .number = number};
    wal_path(dir, number, wal->path, sizeof wal->path);
    wal->fd = open(wal->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (wal->fd >= 0 && !sync_dir(dir)) return 0;
    int code = io_error(wal->path, "creation", err);
    if (wal->fd >= 0) unlink(wal->path);
    wal_close(wal);
    return code;
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

static void cut_back(struct wal *wal, uint64_t bytes) {
    if (ftruncate(wal->fd, (off_t)bytes) == 0 && lseek(wal->fd, (off_t)bytes, SEEK_SET) >= 0) {
        wal->bytes = bytes;
        return;
    }
    log_error("%s cannot be cut back to %llu bytes: %s", wal->path, (unsigned long long)bytes, strerror(errno));
    wal->broken = true;
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
            int code = io_error(wal->path, "write", err);
            cut_back(wal, wal->bytes);
            return code;
        }
        wal->bytes += (uint64_t)written;
        payloads += now;
        count -= now;
    }
    return 0;
}

int wal_sync(struct wal *wal, struct error *err) {
    if (wal->fd < 0 || wal->synced == wal->bytes) return 0;
    if (fdatasync(wal->fd)) {
        int code = io_error(wal->path, "sync", err);
        cut_back(wal, wal->synced);
        wal->broken = true;
        return code;
    }
    wal->synced = wal->bytes;
    return 0;
}

void wal_close(struct wal *wal) {
    if (wal->fd >= 0) close(wal->fd);
    wal->fd = -1;
}

/* ---- finding again ---- */

/* The whole record at `at`, or an empty slice without ptr. */
static struct slice record_at(const uint8_t *bytes, size_t size, size_t at) {
    struct header header;
    struct slice none = {NULL, 0};
    if (size - at < sizeof header) return none;
    memcpy(&header, bytes + at, sizeof header);
    if (header.length != ~header.inverse || header.length > size - at - sizeof header) return none;
    struct slice payload = slice_make(bytes + at + sizeof header, header.length);
    return XXH3_64bits(payload.ptr, payload.len) == header.checksum ? payload : none;
}

static void keep_damaged(const char *wal, const uint8_t *bytes, size_t size) {
    char path[600];
    snprintf(path, sizeof path, "%s.corrupt", wal);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size) log_warn("%s cannot be written: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
}

static int walk(const char *path, const uint8_t *bytes, size_t size, bool read_only,
                int (*each)(void *, struct slice, struct error *), void *ctx, struct wal_found *found,
                struct error *err) {
    for (size_t at = 0; at < size;) {
        size_t next = at;
        struct slice payload = record_at(bytes, size, next);
        while (!payload.ptr && ++next < size) payload = record_at(bytes, size, next);
        if (!payload.ptr) { /* nothing whole follows: this is where the writing stopped */
            found->torn_bytes = size - at;
            return 0;
        }
        if (next > at) {
            found->damaged_bytes += next - at;
            log_error("%s: %zu bytes at offset %zu are damaged, whole batches follow; passed over%s", path, next - at,
                      at, read_only ? "" : " and kept in a file beside it with .corrupt at its end");
            if (!read_only) keep_damaged(path, bytes + at, next - at);
        }
        int code = each(ctx, payload, err);
        if (code) return code;
        at = next + sizeof(struct header) + payload.len;
        found->records++;
        found->bytes = at;
    }
    return 0;
}

static int cut_tail(const char *path, int fd, const struct wal_found *found, struct error *err) {
    log_warn("%s: %llu bytes at the end are no whole batch (the process was stopped while it wrote them, they were "
             "never acknowledged); cut off",
             path, (unsigned long long)found->torn_bytes);
    return ftruncate(fd, (off_t)found->bytes) || fsync(fd) ? io_error(path, "cutting", err) : 0;
}

int wal_recover(const char *dir, uint64_t number, bool read_only, int (*each)(void *, struct slice, struct error *),
                void *ctx, struct wal_found *found, struct error *err) {
    struct stat info;
    char path[512];
    int code = 0;
    *found = (struct wal_found){0};
    wal_path(dir, number, path, sizeof path);
    int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (fd < 0) return io_error(path, "opening", err);
    if (fstat(fd, &info)) code = io_error(path, "opening", err);
    size_t size = (size_t)info.st_size;
    if (!code && size) {
        void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            code = io_error(path, "reading", err);
        } else {
            code = walk(path, bytes, size, read_only, each, ctx, found, err);
            munmap(bytes, size);
        }
    }
    if (!code && found->torn_bytes && !read_only) code = cut_tail(path, fd, found, err);
    close(fd);
    return code;
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
