/* A VFS that passes everything on to the usual one and counts what files grow by. A statement runs on one thread from
 * beginning to end, so the count is the thread's. */
#include "query/sql_temp.h"

#include <pthread.h>
#include <sqlite3.h>

struct temp_file {
    sqlite3_file base;
    sqlite3_int64 size; /* as far as it was written */
    sqlite3_file *real; /* behind this struct */
};

static _Thread_local uint64_t used_bytes, limit_bytes;
static sqlite3_vfs vfs, *usual;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static sqlite3_file *real_of(sqlite3_file *file) {
    return ((struct temp_file *)file)->real;
}

static int temp_close(sqlite3_file *base) {
    struct temp_file *file = (struct temp_file *)base;
    used_bytes -= (uint64_t)file->size;
    return file->real->pMethods->xClose(file->real);
}
static int temp_read(sqlite3_file *file, void *to, int size, sqlite3_int64 at) {
    return real_of(file)->pMethods->xRead(real_of(file), to, size, at);
}
static int temp_write(sqlite3_file *base, const void *from, int size, sqlite3_int64 at) {
    struct temp_file *file = (struct temp_file *)base;
    if (at + size > file->size) {
        uint64_t more = (uint64_t)(at + size - file->size);
        if (used_bytes + more > limit_bytes) return SQLITE_FULL;
        used_bytes += more;
        file->size = at + size;
    }
    return file->real->pMethods->xWrite(file->real, from, size, at);
}
static int temp_truncate(sqlite3_file *base, sqlite3_int64 size) {
    struct temp_file *file = (struct temp_file *)base;
    if (size < file->size) {
        used_bytes -= (uint64_t)(file->size - size);
        file->size = size;
    }
    return file->real->pMethods->xTruncate(file->real, size);
}
static int temp_sync(sqlite3_file *file, int flags) {
    return SQLITE_OK;
} /* nobody reads it after a crash */
static int temp_size(sqlite3_file *file, sqlite3_int64 *size) {
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}
static int temp_lock(sqlite3_file *file, int level) {
    return SQLITE_OK;
}
static int temp_reserved(sqlite3_file *file, int *out) {
    *out = 0;
    return SQLITE_OK;
}
static int temp_control(sqlite3_file *file, int op, void *arg) {
    return op == SQLITE_FCNTL_SIZE_HINT ? SQLITE_OK
                                        : SQLITE_NOTFOUND; /* a hint would grow the file past our counting */
}
static int temp_sector(sqlite3_file *file) {
    return 4096;
}
static int temp_traits(sqlite3_file *file) {
    return 0;
}

/* Version 1: without shared memory and mapping. */
static const sqlite3_io_methods methods = {
    1,         temp_close, temp_read,     temp_write,   temp_truncate, temp_sync,   temp_size,
    temp_lock, temp_lock,  temp_reserved, temp_control, temp_sector,   temp_traits, NULL,
    NULL,      NULL,       NULL,          NULL,         NULL};

static int temp_open(sqlite3_vfs *self, const char *name, sqlite3_file *base, int flags, int *out_flags) {
    struct temp_file *file = (struct temp_file *)base;
    file->base.pMethods = NULL;
    file->size = 0;
    file->real = (sqlite3_file *)(file + 1);
    int code = usual->xOpen(usual, name, file->real, flags, out_flags);
    if (file->real->pMethods && code == SQLITE_OK) file->base.pMethods = &methods;
    return code;
}

static void set_up(void) {
    if (!(usual = sqlite3_vfs_find(NULL))) return;
    vfs = *usual;
    vfs.zName = "vitrine-sql";
    vfs.szOsFile = (int)sizeof(struct temp_file) + usual->szOsFile;
    vfs.xOpen = temp_open;
    if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK) usual = NULL;
}

const char *sql_temp_vfs(void) {
    pthread_once(&once, set_up);
    return usual ? vfs.zName : NULL;
}

void sql_temp_limit(uint64_t bytes) {
    used_bytes = 0;
    limit_bytes = bytes;
}
