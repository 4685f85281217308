/* What evaluating a monitor costs, over a store that bench_query filled.
 *
 *     bench_alert DIR [REPEAT]      each monitor REPEAT times, a second of the data's time apart: first, middle,
 * longest
 *
 * The newest span's time is taken for now. The store is opened for reading only. */
#include "alert/measure.h"
#include "base/timestamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REPEAT_DEFAULT = 20, REPEAT_MAX = 1000 };

/* The storefront's three as they stand in its document, and what is asked of long windows. */
static const char monitors[] =
    "- {name: High LLM Latency, query: 'avg(last_5m):avg:SERVICE.llm.duration{*} > 10000'}\n"
    "- {name: LLM Errors, query: 'sum(last_10m):count:SERVICE.llm.errors{*} > 5'}\n"
    "- {name: High Token Usage, query: 'sum(last_1h):sum:SERVICE.llm.tokens{*} > 100000'}\n"
    "- {name: 'p95 by model, 1 h', query: 'avg(last_1h):p95:SERVICE.llm.duration{*} by {model} > 8000'}\n"
    "- {name: 'errors by model, 1 d', query: 'sum(last_1d):count:SERVICE.llm.errors{*} by {model} > 5000'}\n"
    "- {name: 'p95 by model, 1 d', query: 'avg(last_1d):p95:SERVICE.llm.duration{*} by {model} > 8000'}\n"
    "- {name: 'cost, 1 d', query: 'sum(last_1d):sum:SERVICE.llm.cost{*} > 1000'}\n"
    "- {name: 'cost by user, 1 d', query: 'sum(last_1d):sum:SERVICE.llm.cost{*} by {user} > 50'}\n"
    "- {name: 'fallbacks, 1 d', query: 'sum(last_1d):count:SERVICE.chat.fallbacks{*} > 5000'}\n";

static void stop(const struct error *err) {
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static double cpu_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? 1 : x < y ? -1 : 0;
}

static void measure(const struct asker *asker, const struct monitor *m, int64_t newest_ns, int repeat) {
    static double times[REPEAT_MAX];
    struct arena arena = {0};
    struct error err = {0};
    struct reading *readings;
    uint32_t count = 0;
    double first = 0, cpu = cpu_ms();
    struct monitor_memory *memory = monitor_memory_new();
    if (m->problem.code) stop(&m->problem);
    for (int i = 0; i < repeat; i++) {
        int64_t now_ns = newest_ns - (repeat - 1 - i) * (int64_t)NS_PER_S, start = time_monotonic_ns();
        if (monitor_measure(asker, m, memory, now_ns, &arena, &readings, &count, &err)) stop(&err);
        times[i] = (double)(time_monotonic_ns() - start) / 1e6;
        if (i == 0) first = times[i];
        if (i + 1 < repeat) arena_reset(&arena);
    }
    cpu = (cpu_ms() - cpu) / repeat;
    qsort(times, (size_t)repeat, sizeof *times, by_value);
    printf("| %.*s | %u | %.6g | %.1f ms | %.1f ms | %.1f ms | %.1f ms |\n", (int)m->name.len, m->name.ptr, count,
           count ? readings[0].value : 0, first, times[repeat / 2], times[repeat - 1], cpu);
    monitor_memory_free(memory);
    arena_free(&arena);
}

/* SERVICE in the monitors becomes the service of the data. */
static void put_monitors(const char *service, struct buf *out) {
    for (const char *at = monitors; *at;) {
        const char *next = strstr(at, "SERVICE");
        buf_put(out, at, next ? (size_t)(next - at) : strlen(at));
        if (!next) break;
        buf_puts(out, service);
        at = next + strlen("SERVICE");
    }
}

int main(int argc, char **argv) {
    struct error err = {0};
    struct store *store;
    struct engine *engine;
    struct arena arena = {0};
    struct monitor_file file;
    struct store_stats stats;
    struct buf text = {0};
    int repeat = argc > 2 ? atoi(argv[2]) : REPEAT_DEFAULT;
    if (argc < 2 || repeat < 1 || repeat > REPEAT_MAX) {
        fprintf(stderr, "usage: bench_alert DIR [REPEAT]\n");
        return 2;
    }
    struct store_options options = {.dir = argv[1], .read_only = true};
    if (store_open(&store, &options, &err) || engine_open(&engine, store, NULL, &err)) stop(&err);
    store_get_stats(store, &stats);
    put_monitors("ai_storefront", &text);
    if (monitor_file_parse(buf_slice(&text), "bench", &arena, &file, &err)) stop(&err);
    printf("%llu spans; each monitor %d times\n", (unsigned long long)stats.spans_total, repeat);
    printf("| monitor | groups | value | first | middle | longest | CPU |\n");
    printf("| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    struct asker asker = asker_of_engine(engine);
    for (uint32_t i = 0; i < file.count; i++) measure(&asker, &file.monitors[i], stats.newest_ns, repeat);
    engine_free(engine);
    store_close(store);
    arena_free(&arena);
    buf_free(&text);
    return 0;
}
