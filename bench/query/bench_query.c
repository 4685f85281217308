/* Fills stores with made-up spans and measures questions to them.
 *
 *     bench_query fill DIR SPANS               a store of so many spans (seed 1, one day)
 *     bench_query ask DIR [REPEAT [QUESTION]]  each question REPEAT times: cold; warm with every
 *                                          span read (fastest, middle, CPU); asked again; most memory held.
 *                                          QUESTION: a part of its name, or a path such as /api/v1/overview
 *     bench_query sqlite FILE SPANS            the same spans as rows of SQLite, with three indexes
 *     bench_query tsv SPANS                    the same spans as tab-separated rows, for ClickHouse */
#include "rows.h"
#include "story.h"

#include "base/timestamp.h"
#include "query/api.h"
#include "query/engine.h"
#include "query/partials.h"
#include "span/normalise.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { REPEAT_DEFAULT = 7 };

static void stop(const struct error *err) {
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

/* ---- filling ---- */

static int fill(const char *dir, uint64_t spans) {
    struct store_options options = {.dir = dir, .async_durability = true, .hurry = STORE_HURRY_NEVER};
    struct store *store;
    struct error err = {0};
    struct story story;
    if (store_open(&store, &options, &err)) stop(&err);
    story_init(&story, 1, spans, STORY_START_NS, STORY_END_NS);
    int64_t start = time_monotonic_ns();
    uint64_t done = 0;
    while (done < spans) {
        struct batch *batch = batch_new();
        story_tell(&story, batch, STORY_BATCH_SPANS);
        batch_finish(batch);
        int code;
        while ((code = store_append(store, batch, NULL, NULL, &err)) == VT_EFULL) usleep(1000);
        if (code) stop(&err);
        done += batch->count;
        batch_unref(batch);
    }
    /* What waits for the WAL is in no memory that sealing would find. */
    struct store_stats stats;
    while (store_get_stats(store, &stats), stats.spans_total < done) usleep(1000);
    if (store_seal(store, &err)) stop(&err);
    store_get_stats(store, &stats);
    double seconds = (double)(time_monotonic_ns() - start) * 1e-9;
    printf("%llu spans in %.1f s (%.0f a second), %.1f bytes a span on disk\n", (unsigned long long)stats.spans_total,
           seconds, (double)stats.spans_total / seconds, (double)stats.segment_bytes / (double)stats.spans_total);
    store_close(store);
    return 0;
}

/* ---- asking ---- */

struct question {
    const char *name, *target, *body; /* %s in the target: a trace id */
};

#define RANGE "\"from\":\"2026-11-23\",\"to\":\"2026-11-24\""
#define URL_RANGE "from=2026-11-23&to=2026-11-24"

static const struct question questions[] = {
    {"p50/p95/p99 by model and minute", "/api/v1/query",
     "{" RANGE ",\"where\":\"kind:llm\",\"select\":[\"p50(duration_ms)\",\"p95(duration_ms)\",\"p99(duration_ms)\"],"
     "\"group_by\":[\"model\"],\"interval\":\"1m\"}"},
    {"top 20 users by cost", "/api/v1/query",
     "{" RANGE ",\"select\":[\"sum(cost_usd)\",\"count\"],\"group_by\":[\"user_id\"],\"limit\":20}"},
    {"newest 50 with model and status", "/api/v1/traces?" URL_RANGE "&q=model:gpt-4o+status:error&limit=50", NULL},
    {"trace by id", "/api/v1/traces/%s", NULL},
    {"one thread's turns", "/api/v1/traces?" URL_RANGE "&q=thread:thread-1200-27&limit=50", NULL},
    {"a word in prompts", "/api/v1/query", "{" RANGE ",\"where\":\"prompt:zanzibar\",\"select\":[\"count\"]}"},
    {"a substring in prompts", "/api/v1/query", "{" RANGE ",\"where\":\"prompt:*anziba*\",\"select\":[\"count\"]}"},
    {"distinct users by day", "/api/v1/query", "{" RANGE ",\"select\":[\"distinct(user_id)\"],\"interval\":\"1d\"}"},
    {"an attribute", "/api/v1/query", "{" RANGE ",\"where\":\"attr.http.status_code:429\",\"select\":[\"count\"]}"},
    {"group by an attribute", "/api/v1/query",
     "{" RANGE ",\"where\":\"kind:llm\",\"select\":[\"count\",\"p95(duration_ms)\"],\"group_by\":[\"experiment\"]}"},
    {"errors by service and hour", "/api/v1/query",
     "{" RANGE ",\"select\":[\"count\",\"error_rate\"],\"group_by\":[\"service\"],\"interval\":\"1h\"}"},
};

static struct engine *engine;
static struct buf answer;

static double cpu_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* Memory of our own: pages of mapped files are the kernel's to take back. */
static atomic_long held_kib, most_held_kib;
static atomic_bool watching = true;

static void *watch_memory(void *ctx) {
    while (watching) {
        char line[200];
        long kib;
        FILE *status = fopen("/proc/self/status", "r");
        while (status && fgets(line, sizeof line, status))
            if (sscanf(line, "RssAnon: %ld", &kib) == 1) held_kib = kib;
        if (status) fclose(status);
        if (held_kib > most_held_kib) most_held_kib = (long)held_kib;
        usleep(2000);
    }
    return NULL;
}

static double ask_ms(const struct question *q, const char *trace_id) {
    char target[400];
    struct error err = {0};
    snprintf(target, sizeof target, q->target, trace_id);
    const char *mark = strchr(target, '?');
    struct api_request request = {.method = q->body ? SLICE("POST") : SLICE("GET"),
                                  .path = slice_make(target, mark ? (size_t)(mark - target) : strlen(target)),
                                  .query = mark ? slice_of(mark + 1) : slice_of(""),
                                  .body = slice_of(q->body)};
    buf_clear(&answer);
    int64_t start = time_monotonic_ns();
    if (api_call(engine, &request, &answer, &err)) stop(&err);
    return (double)(time_monotonic_ns() - start) * 1e-6;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The page cache forgets the files, so that the next read comes from the disk. */
static int forget_file(const char *path, const struct stat *info, int type, struct FTW *ftw) {
    int fd = type == FTW_F ? open(path, O_RDONLY) : -1;
    if (fd >= 0) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), close(fd);
    return 0;
}

static void open_engine(const char *dir, struct store **store) {
    struct error err = {0};
    struct store_options options = {.dir = dir, .read_only = true};
    if (store_open(store, &options, &err) || engine_open(&engine, *store, NULL, &err)) stop(&err);
}

/* What row groups added to the last answers: with it the same question would be asked of memory, not of the spans. */
static void forget_partials(void) {
    partials_free(engine->partials);
    engine->partials = partials_new();
}

static int ask(const char *dir, int repeat, const char *only) {
    struct store *store;
    char trace_id[40];
    double times[101];
    pthread_t watcher;
    pthread_create(&watcher, NULL, watch_memory, NULL);
    open_engine(dir, &store);
    struct question first = {"first question (puts traces together)", "/api/v1/traces?" URL_RANGE "&limit=1000", NULL};
    printf("%-40s %9.2f ms\n", first.name, ask_ms(&first, ""));
    const char *id = strstr(buf_cstr(&answer), "{\"trace_id\":\""); /* any will do */
    snprintf(trace_id, sizeof trace_id, "%.32s", id ? id + 13 : "0");
    printf("%-40s %12s %12s %12s %12s %12s\n", "", "cold ms", "fastest ms", "middle ms", "CPU ms", "again ms");
    const struct question given = {only, "%s", NULL};
    bool path = only && *only == '/';
    for (size_t i = 0; i < (path ? 1 : sizeof questions / sizeof *questions); i++) {
        const struct question *q = path ? &given : &questions[i];
        if (only && !strstr(q->name, only)) continue;
        engine_free(engine);
        store_close(store);
        nftw(dir, forget_file, 16, FTW_PHYS);
        open_engine(dir, &store);
        double cold = ask_ms(q, path ? only : trace_id);
        double cpu = 0, again;
        for (int n = 0; n < repeat; n++) {
            forget_partials();
            double before = cpu_ms();
            times[n] = ask_ms(q, path ? only : trace_id);
            cpu += (cpu_ms() - before) / repeat;
        }
        again = ask_ms(q, path ? only : trace_id);
        qsort(times, (size_t)repeat, sizeof *times, by_value);
        printf("%-40s %12.2f %12.2f %12.2f %12.2f %12.2f   %.100s\n", q->name, cold, times[0], times[repeat / 2], cpu,
               again, getenv("SHOW") ? buf_cstr(&answer) : "");
        fflush(stdout);
    }
    watching = false;
    pthread_join(watcher, NULL);
    printf("most memory held: %ld MiB\n", (long)most_held_kib / 1024);
    engine_free(engine);
    store_close(store);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "fill") == 0) return fill(argv[2], strtoull(argv[3], NULL, 10));
    if (argc == 4 && strcmp(argv[1], "sqlite") == 0) return rows_to_sqlite(argv[2], strtoull(argv[3], NULL, 10));
    if (argc == 3 && strcmp(argv[1], "tsv") == 0) return rows_to_tsv(stdout, strtoull(argv[2], NULL, 10));
    int repeat = argc > 3 ? atoi(argv[3]) : REPEAT_DEFAULT;
    if (argc >= 3 && strcmp(argv[1], "ask") == 0 && repeat > 0 && repeat <= 101)
        return ask(argv[2], repeat, argc > 4 ? argv[4] : NULL);
    fprintf(stderr,
            "usage: bench_query fill DIR SPANS | ask DIR [REPEAT [QUESTION]] | sqlite FILE SPANS | tsv SPANS\n");
    return 2;
}
