/* Sampling at the seal, and the traces that wait: what is still under way when its memtable is sealed goes on into a
 * memtable of its own and a WAL file of its own, wal/carried/<number>.wal, and is decided with a later seal.
 *
 * The number is that of the newest WAL file whose spans went into the seal. The catalog names this number when it
 * enters the seal's segments, and that one step makes the file valid: with an older number it is a leftover, with a
 * newer one its seal never came about, and the spans are in the WAL still. */
#include "store/store_internal.h"

#include "base/log.h"
#include "span/batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORD_ROWS = 128 };

/* ---- the decision ---- */

struct group {
    uint32_t start, end;
    double rate; /* below 0: it waits */
};

/* Memory and disk that a span takes when it is carried. */
static uint64_t bytes_of(const struct span *span) {
    uint64_t bytes = sizeof *span;
    for (int t = 0; t < COL_TEXT_COUNT; t++) bytes += span->text[t].len;
    return bytes;
}

static uint32_t split(const struct span *const *rows, uint32_t count, struct group *groups) {
    uint32_t n = 0;
    for (uint32_t start = 0, end; start < count; start = end) {
        for (end = start + 1; end < count && memcmp(rows[end]->trace_id, rows[start]->trace_id, TRACE_ID_SIZE) == 0;)
            end++;
        groups[n++] = (struct group){start, end, 1};
    }
    return n;
}

/* Traces come in the order in which they began: past the bound the oldest, which waited longest, are decided. */
static uint32_t decide_early(struct store *s, const struct span *const *rows, struct group *groups, uint32_t count) {
    uint64_t bytes = 0, waiting = 0;
    uint32_t early = 0;
    for (uint32_t g = 0; g < count; g++)
        for (uint32_t i = groups[g].start; groups[g].rate < 0 && i < groups[g].end; i++)
            bytes += bytes_of(rows[i]), waiting++;
    for (uint32_t g = 0; g < count && (bytes > s->options.seal_bytes || waiting > s->options.seal_rows); g++) {
        struct group *group = &groups[g];
        if (group->rate >= 0) continue;
        for (uint32_t i = group->start; i < group->end; i++) bytes -= bytes_of(rows[i]), waiting--;
        group->rate = s->options.keep(s->options.keep_ctx, rows + group->start, group->end - group->start, true);
        early++;
    }
    return early;
}

int sample_rows(struct store *s, const struct span **rows, uint32_t count, bool last, struct arena *arena,
                struct sampled *out, struct error *err) {
    struct group *groups = malloc(count * sizeof *groups + 1);
    *out = (struct sampled){.waiting = malloc(count * sizeof *out->waiting + 1)};
    int code = groups && out->waiting ? 0 : error_set(err, VT_ENOMEM, "no memory to sample %u spans", count);
    uint32_t group_count = code ? 0 : split(rows, count, groups);
    for (uint32_t g = 0; g < group_count; g++)
        groups[g].rate =
            s->options.keep(s->options.keep_ctx, rows + groups[g].start, groups[g].end - groups[g].start, last);
    out->early = decide_early(s, rows, groups, group_count);
    for (uint32_t g = 0; g < group_count && !code; g++) {
        double rate = groups[g].rate;
        for (uint32_t i = groups[g].start; i < groups[g].end && !code; i++) {
            if (rate < 0) {
                out->waiting[out->waiting_count++] = rows[i];
            } else if (rate >= 1) {
                rows[out->kept++] = rows[i];
            } else if (rate > 0) {
                struct span *span = arena_alloc(arena, sizeof *span);
                if (!span) {
                    code = error_set(err, VT_ENOMEM, "no memory to sample %u spans", count);
                    break;
                }
                *span = *rows[i];
                span->sample_rate = rate * (span->sample_rate > 0 && span->sample_rate < 1 ? span->sample_rate : 1);
                rows[out->kept++] = span;
            }
        }
    }
    out->left_out = count - out->kept - out->waiting_count;
    free(groups);
    return code;
}

/* ---- files ---- */

static void carried_dir(const struct store *s, char *path, size_t size) {
    snprintf(path, size, "%s/carried", s->wal_dir);
}

static int write_record(struct wal *wal, struct memtable *m, const struct span *const *rows, uint32_t count,
                        struct error *err) {
    struct span spans[RECORD_ROWS];
    struct batch view = {.spans = spans, .count = count};
    struct buf payload = {0};
    for (uint32_t i = 0; i < count; i++) spans[i] = *rows[i];
    batch_encode(&view, &payload);
    struct slice bytes = buf_slice(&payload);
    int code = payload.failed || payload.len > WAL_RECORD_MAX
                   ? error_set(err, VT_ENOMEM, "no memory for %u spans of traces under way", count)
                   : wal_append(wal, &bytes, 1, err);
    if (!code) code = memtable_add(m, bytes, err);
    buf_free(&payload);
    return code;
}

int carry_write(struct store *s, uint64_t number, const struct span *const *rows, uint32_t count, struct memtable **out,
                struct error *err) {
    char dir[512], path[600];
    struct wal wal;
    *out = NULL;
    if (!count) return 0;
    carried_dir(s, dir, sizeof dir);
    if (mkdir(dir, 0700) && errno != EEXIST)
        return error_set(err, VT_EIO, "%s cannot be made: %s", dir, strerror(errno));
    wal_path(dir, number, path, sizeof path);
    unlink(path); /* of a seal of the same spans that failed: the catalog does not name it */
    struct memtable *m = memtable_new(number);
    if (!m) return error_set(err, VT_ENOMEM, "no memory for traces under way");
    int code = wal_create(&wal, dir, number, err);
    for (uint32_t start = 0; start < count && !code; start += RECORD_ROWS)
        code = write_record(&wal, m, rows + start, count - start < RECORD_ROWS ? count - start : RECORD_ROWS, err);
    if (!code) code = wal_sync(&wal, err);
    wal_close(&wal);
    if (code) {
        unlink(path);
        memtable_unref(m);
    } else {
        *out = m;
    }
    return code;
}

void carry_remove_others(struct store *s, uint64_t number) {
    char dir[512], path[600];
    uint64_t *numbers;
    carried_dir(s, dir, sizeof dir);
    int count = wal_list(dir, &numbers, NULL);
    for (int i = 0; i < count; i++) {
        if (numbers[i] == number) continue;
        wal_path(dir, numbers[i], path, sizeof path);
        unlink(path);
    }
    free(numbers);
}

static int add_payload(void *ctx, struct slice payload, struct error *err) {
    return memtable_add(ctx, payload, err);
}

/* The file that the catalog names. When the catalog was lost and made anew, its number may be too small: then it is the
 * newest file whose spans are in no WAL file any more. 0 = none. */
static uint64_t valid_number(struct store *s, const char *dir, uint64_t sealed_wal) {
    char path[600];
    uint64_t *numbers, valid = 0;
    int count = wal_list(dir, &numbers, NULL);
    for (int i = 0; i < count; i++) {
        wal_path(s->wal_dir, numbers[i], path, sizeof path);
        if (numbers[i] == sealed_wal || (numbers[i] > sealed_wal && access(path, F_OK))) valid = numbers[i];
    }
    free(numbers);
    return valid;
}

int carry_load(struct store *s, uint64_t sealed_wal, uint64_t *wal, struct error *err) {
    char dir[512];
    struct wal_found found;
    *wal = 0;
    carried_dir(s, dir, sizeof dir);
    uint64_t number = valid_number(s, dir, sealed_wal);
    if (!s->options.read_only) carry_remove_others(s, number);
    if (!number) return 0;
    struct memtable *m = memtable_new(number);
    int code = m ? wal_recover(dir, number, s->options.read_only, add_payload, m, &found, err)
                 : error_set(err, VT_ENOMEM, "no memory for traces under way");
    *wal = number;
    if (!code && memtable_rows(m)) {
        log_info("%u spans of traces that were under way found in %s", memtable_rows(m), dir);
        s->carried = m;
        m = NULL;
    }
    memtable_unref(m);
    return code;
}
