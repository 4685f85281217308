/* See statsd_exporter.h. A fallback is a turn that succeeded although a call in it failed: the trace ids of calls that
 * failed lately are remembered until their turn ends. */
#include "sdk/statsd_exporter.h"

#include "base/id.h"
#include "base/statsd.h"
#include "base/timestamp.h"

#include <stdlib.h>

enum { PREFIX_MAX = 128, NAME_MAX_BYTES = PREFIX_MAX + 32, FAILED_KEEP = 256, LOOK_UP_AGAIN_S = 30, ADDRESS_MAX = 320 };

struct counter {
    struct statsd statsd;
    bool open;
    int64_t look_up_at_ns; /* of the monotonic clock: not before */
    char address[ADDRESS_MAX];
    bool plain;
    double rate;
    const char *service;     /* the settings' */
    char prefix[PREFIX_MAX]; /* the service's name as metrics spell it */
    uint8_t failed[FAILED_KEEP][TRACE_ID_SIZE];
    unsigned failed_next;
};

static const vt_attr *find(const vt_finished *span, const char *key) {
    size_t size = strlen(key);
    for (uint32_t i = 0; i < span->attr_count; i++)
        if (span->attrs[i].key_size == size && !memcmp(span->attrs[i].key, key, size)) return &span->attrs[i];
    return NULL;
}

static struct slice text_of(const vt_finished *span, const char *key) {
    const vt_attr *attr = find(span, key);
    return attr && attr->type == VT_STRING ? slice_make(attr->value.string, attr->value_size) : SLICE("");
}

/* 0 when it is not there. */
static double number_of(const vt_finished *span, const char *key) {
    const vt_attr *attr = find(span, key);
    if (!attr) return 0;
    return attr->type == VT_INT ? (double)attr->value.integer : attr->type == VT_DOUBLE ? attr->value.real : 0;
}

/* Metrics of one span -----------------------------------------------------------------------------------------------
 */

struct put {
    struct counter *counter;
    const struct statsd_tag *tags;
    size_t tag_count;
};

static void put(const struct put *p, const char *metric, double value, const char *type) {
    char name[NAME_MAX_BYTES];
    int len = snprintf(name, sizeof name, "%s.%s", p->counter->prefix, metric);
    statsd_put(&p->counter->statsd, slice_make(name, (size_t)len), value, type, p->counter->rate, p->tags,
               p->tag_count);
}

static void put_above_zero(const struct put *p, const char *metric, double value, const char *type) {
    if (value > 0) put(p, metric, value, type);
}

static void put_call(const struct put *p, const vt_finished *span, const char *timing) {
    double tokens = number_of(span, "llm.usage.total_tokens");
    if (tokens == 0)
        tokens = number_of(span, "llm.usage.prompt_tokens") + number_of(span, "llm.usage.completion_tokens");
    put(p, "llm.requests", 1, "c");
    put(p, "llm.duration", (double)(span->end_ns - span->start_ns) / NS_PER_MS, timing);
    if (span->failed) put(p, "llm.errors", 1, "c");
    put_above_zero(p, "llm.tokens", tokens, "c");
    put_above_zero(p, "llm.ttft", number_of(span, "gen_ai.response.time_to_first_chunk") * 1000, timing);
    put_above_zero(p, "llm.cost", number_of(span, "llm.cost.total"), "c");
}

static bool fell_back(struct counter *counter, const uint8_t *trace_id) {
    bool found = false;
    for (unsigned i = 0; i < FAILED_KEEP; i++) {
        if (memcmp(counter->failed[i], trace_id, TRACE_ID_SIZE) != 0) continue;
        memset(counter->failed[i], 0, TRACE_ID_SIZE);
        found = true;
    }
    return found;
}

static void put_turn(const struct put *p, const vt_finished *span, const char *timing) {
    put(p, "chat.turns", 1, "c");
    put(p, "chat.duration", (double)(span->end_ns - span->start_ns) / NS_PER_MS, timing);
    bool call_failed = fell_back(p->counter, span->trace_id);
    if (span->failed)
        put(p, "chat.errors", 1, "c");
    else if (call_failed)
        put(p, "chat.fallbacks", 1, "c");
}

static void count_span(struct counter *counter, const vt_finished *span) {
    bool call = span->kind == VT_KIND_CLIENT;
    bool turn = slice_starts(slice_make(span->operation, span->operation_size), SLICE("chat."));
    if (!call && !turn) return;
    if (call && span->failed)
        memcpy(counter->failed[counter->failed_next++ % FAILED_KEEP], span->trace_id, TRACE_ID_SIZE);
    if (counter->rate < 1 && (double)(random_u64() >> 11) * 0x1p-53 >= counter->rate) {
        if (turn) fell_back(counter, span->trace_id);
        return;
    }
    const struct statsd_tag tags[] = {{"service", slice_of(counter->service)},
                                      {"model", text_of(span, "llm.request.model")},
                                      {"provider", text_of(span, "llm.vendor")},
                                      {"operation", slice_make(span->operation, span->operation_size)},
                                      {"status", span->failed ? SLICE("ERROR") : SLICE("OK")}};
    const struct put p = {counter, tags, sizeof tags / sizeof *tags};
    /* Distributions are DogStatsD's; every StatsD server knows timers. */
    const char *timing = counter->plain ? "ms" : "d";
    call ? put_call(&p, span, timing) : put_turn(&p, span, timing);
}

/* The exporter ------------------------------------------------------------------------------------------------------
 */

static void look_up(struct counter *counter) {
    int64_t now_ns = time_monotonic_ns();
    if (now_ns < counter->look_up_at_ns) return;
    struct error err;
    counter->open = statsd_open(&counter->statsd, counter->address, counter->plain, &err) == 0;
    if (counter->open) return;
    counter->look_up_at_ns = now_ns + (int64_t)LOOK_UP_AGAIN_S * NS_PER_S;
    debug_line("no metrics go out for %d s: %s", LOOK_UP_AGAIN_S, err.message);
}

/* Datagrams are sent without knowing who listens: what is lost is not counted as lost spans. */
static int export_spans(void *ctx, const vt_attr *resource, size_t resource_count, const vt_finished *spans,
                        size_t count) {
    struct counter *counter = ctx;
    if (!counter->open) look_up(counter);
    if (!counter->open) return 0;
    for (size_t i = 0; i < count; i++) count_span(counter, &spans[i]);
    statsd_flush(&counter->statsd);
    return 0;
}

static uint64_t end(void *ctx, uint32_t timeout_ms) {
    struct counter *counter = ctx;
    if (counter->open) statsd_close(&counter->statsd);
    free(counter);
    return 0;
}

static void forked(void *ctx) {
    struct counter *counter = ctx;
    counter->statsd.used = 0; /* the parent sends it */
}

static void spell_prefix(struct slice service, char *out) {
    size_t at = 0;
    if (*service.ptr >= '0' && *service.ptr <= '9') out[at++] = '_';
    for (size_t i = 0; i < service.len && at + 1 < PREFIX_MAX; i++) {
        char c = service.ptr[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        out[at++] = fits ? c : '_';
    }
    out[at] = 0;
}

bool statsd_exporter(const struct settings *settings, vt_exporter *exporter) {
    struct counter *counter = calloc(1, sizeof *counter);
    if (!counter) return false;
    bool v6 = strchr(settings->statsd_host, ':') != NULL;
    snprintf(counter->address, sizeof counter->address, v6 ? "[%s]:%s" : "%s:%s", settings->statsd_host,
             settings->statsd_port);
    counter->plain = settings->statsd_plain;
    counter->rate = settings->statsd_rate;
    counter->service = settings->service_name;
    spell_prefix(slice_of(settings->service_name), counter->prefix);
    *exporter = (vt_exporter){
        .name = "statsd", .ctx = counter, .export_spans = export_spans, .shutdown = end, .forked = forked};
    return true;
}
