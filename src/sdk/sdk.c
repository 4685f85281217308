/* libvitrine's front door: start, stop, flush, fork and exit, and what the library says about itself. */
#include "sdk/sdk.h"
#include "sdk/carried.h"
#include "sdk/console.h"
#include "sdk/pipeline.h"
#include "sdk/span.h"
#include "sdk/statsd_exporter.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER; /* one vt_init or vt_shutdown at a time; guards the below */
static bool running;
static struct limits *limits_kept; /* all that were ever published: a thread may still read an old one */
static struct vt_stats before;     /* sums when tracing started */
static pthread_once_t hooks_once = PTHREAD_ONCE_INIT;

static _Thread_local char failure[512];

const char *vt_version(void) {
    return VITRINE_VERSION;
}
const char *vt_error_message(void) {
    return failure;
}

/* Fork and exit ---------------------------------------------------------------------------------------------------- */

/* Only locks that are held for moments: a fork does not wait for an exporter. */
static void before_fork(void) {
    thread_lock();
    slot_lock();
    queue_lock();
    carried_lock();
}

static void after_fork(void) {
    carried_unlock();
    queue_unlock();
    slot_unlock();
    thread_unlock();
}

static void in_child(void) {
    after_fork();
    pthread_mutex_init(&life, NULL);
    thread_forked();
    pipeline_forked();
}

static void add_hooks(void) {
    pthread_atfork(before_fork, after_fork, in_child);
    atexit(vt_shutdown);
}

/* Start and stop --------------------------------------------------------------------------------------------------- */

static struct limits *limits_new(const struct settings *s) {
    struct limits *limits = malloc(sizeof *limits);
    if (limits)
        *limits = (struct limits){.max_attributes = s->max_attributes,
                                  .max_value_bytes = s->max_value_bytes,
                                  .max_events = s->max_events,
                                  .capture = s->capture,
                                  .redact = s->redact,
                                  .redact_ctx = s->redact_ctx,
                                  .mask = s->mask,
                                  .looks = s->redact || s->mask,
                                  .sampler = s->sampler,
                                  .ratio_all = s->ratio_all,
                                  .ratio_bound = s->ratio_bound};
    return limits;
}

enum { OWN_EXPORTERS = PIPELINE_EXPORTERS - 3 }; /* beside console, OTLP and StatsD */

struct exporters {
    vt_exporter list[PIPELINE_EXPORTERS];
    size_t count;
};

/* From beside libvitrine, wherever that is installed, or from where the system's loader looks. */
static void *load_otlp(void) {
    static const char name[] = "libvitrine-otlp.so.0";
    char path[4096];
    Dl_info about;
    void *library = NULL;
    const char *slash = dladdr(&limits_kept, &about) && about.dli_fname ? strrchr(about.dli_fname, '/') : NULL;
    if (slash && strstr(slash, "libvitrine.so")) {
        snprintf(path, sizeof path, "%.*s/%s", (int)(slash - about.dli_fname), about.dli_fname, name);
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    }
    return library ? library : dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

/* libvitrine-otlp is part of the program, or is loaded. What the environment says wrongly is passed over, as all of it
 * is. */
static int add_otlp(const struct settings *s, struct exporters *exporters, struct error *err) {
    static bool at_exit;
    otlp_exporter_fn make = vt_otlp_exporter;
    void *library = make ? NULL : load_otlp();
    if (library) make = (otlp_exporter_fn)dlsym(library, "vt_otlp_exporter");
    if (!make) {
        const char *why = dlerror();
        debug_line("no span goes out by OTLP: libvitrine-otlp.so.0 is not there: %s", why ? why : "");
        return 0;
    }
    vt_otlp_config config = {.endpoint = s->otlp_endpoint, .headers = s->otlp_headers};
    char message[256] = "";
    if (make(&config, &exporters->list[exporters->count], message, sizeof message) != 0) {
        if (s->otlp_endpoint || s->otlp_headers) return error_set(err, VT_EINVAL, "OTLP: %s", message);
        debug_line("no span goes out by OTLP: %s", message);
        return 0;
    }
    exporters->count++;
    /* The TLS library cleans up at exit as well; what is registered last runs first. */
    if (!at_exit) at_exit = atexit(vt_shutdown) == 0;
    return 0;
}

static void end_exporters(struct exporters *exporters) {
    for (size_t i = 0; i < exporters->count; i++)
        if (exporters->list[i].shutdown) exporters->list[i].shutdown(exporters->list[i].ctx, 0);
}

static int add_exporters(const struct settings *s, struct exporters *exporters, struct error *err) {
    if (s->console) {
        if (!console_exporter(s, &exporters->list[exporters->count]))
            return error_set(err, VT_ENOMEM, "no memory for the console exporter");
        exporters->count++;
    }
    if (s->statsd_host) {
        if (!statsd_exporter(s, &exporters->list[exporters->count]))
            return error_set(err, VT_ENOMEM, "no memory for the StatsD exporter");
        exporters->count++;
    }
    return s->otlp ? add_otlp(s, exporters, err) : 0;
}

/* The application's own, which are ours from here on. */
static int take_exporters(const vt_config *config, struct exporters *exporters, struct error *err) {
    for (size_t i = 0; config && config->exporters && i < config->exporter_count; i++) {
        const vt_exporter *exporter = &config->exporters[i];
        if (exporters->count < OWN_EXPORTERS)
            exporters->list[exporters->count++] = *exporter;
        else if (exporter->shutdown)
            exporter->shutdown(exporter->ctx, 0);
    }
    if (!config || config->exporter_count <= OWN_EXPORTERS) return 0;
    return error_set(err, VT_EINVAL, "vt_config.exporter_count is %zu: at most %d are taken", config->exporter_count,
                     OWN_EXPORTERS);
}

static int fail(const struct error *err) {
    snprintf(failure, sizeof failure, "%s", err->message);
    debug_line("tracing stays off: %s", failure);
    return err->code == VT_ENOMEM ? VT_ERROR_MEMORY : VT_ERROR_CONFIG;
}

static void sums(struct vt_stats *stats) {
    uint64_t counts[COUNT_END];
    thread_sums(counts);
    struct pipeline_counts exports = pipeline_counts();
    *stats = (struct vt_stats){.started = counts[COUNT_STARTED],
                               .unsampled = counts[COUNT_UNSAMPLED],
                               .finished = counts[COUNT_FINISHED],
                               .exported = exports.exported,
                               .dropped_queue = counts[COUNT_DROPPED_QUEUE],
                               .dropped_export = exports.dropped_export,
                               .dropped_memory = counts[COUNT_DROPPED_MEMORY],
                               .dropped_attrs = counts[COUNT_DROPPED_ATTRS],
                               .dropped_events = counts[COUNT_DROPPED_EVENTS],
                               .truncated_values = counts[COUNT_TRUNCATED],
                               .open = counts[COUNT_STARTED] - counts[COUNT_ENDED],
                               .memory_bytes = slot_bytes() + queue_bytes() + thread_bytes()};
}

static int run(struct settings *settings, const struct exporters *exporters, struct error *err) {
    for (size_t i = 0; i < exporters->count; i++)
        debug_line("  exporter %s", exporters->list[i].name ? exporters->list[i].name : "?");
    if (!exporters->count) debug_line("  no exporter: spans go nowhere");
    pthread_once(&hooks_once, add_hooks);
    clock_start();
    propagate_choose(settings->propagators);
    sums(&before);
    struct limits *limits = limits_new(settings);
    if (!limits || !pipeline_start(settings, exporters->list, exporters->count)) {
        free(limits);
        return error_set(err, VT_ENOMEM, "no memory, or an exporter has not returned since the last vt_shutdown");
    }
    limits->older = limits_kept;
    limits_kept = limits;
    atomic_store_explicit(&span_limits, limits, memory_order_release);
    return 0;
}

static int start(const vt_config *config) {
    struct error err = {0};
    struct settings *settings = NULL;
    struct exporters exporters = {.count = 0};
    int failed = take_exporters(config, &exporters, &err);
    if (!failed) failed = settings_new(config, &settings, &err);
    if (!failed) settings_tell(settings);
    bool on = !failed && !settings->disabled;
    if (on) failed = add_exporters(settings, &exporters, &err);
    if (on && !failed) failed = run(settings, &exporters, &err);
    running = on && !failed;
    if (running) return 0;
    end_exporters(&exporters);
    settings_free(settings);
    return failed ? fail(&err) : 0;
}

int vt_init(const vt_config *config) {
    if (pipeline_exporting) return 0;
    pthread_mutex_lock(&life);
    failure[0] = 0;
    struct exporters unused = {.count = 0};
    int result = 0;
    if (running)
        take_exporters(config, &unused, NULL);
    else
        result = start(config);
    end_exporters(&unused);
    pthread_mutex_unlock(&life);
    return result;
}

void vt_shutdown(void) {
    if (pipeline_exporting) return;
    pthread_mutex_lock(&life);
    if (running) {
        running = false;
        atomic_store_explicit(&span_limits, NULL, memory_order_release);
        pipeline_stop();
        struct vt_stats now;
        if (debug_on()) {
            vt_stats_get(&now);
            debug_line("%llu spans finished, %llu exported, %llu dropped, %llu still open",
                       (unsigned long long)now.finished, (unsigned long long)now.exported,
                       (unsigned long long)(now.dropped_queue + now.dropped_export + now.dropped_memory),
                       (unsigned long long)now.open);
        }
    }
    pthread_mutex_unlock(&life);
}

int vt_flush(uint32_t timeout_ms) {
    return pipeline_flush(timeout_ms);
}

void vt_stats_get(vt_stats *stats) {
    if (!stats) return;
    sums(stats);
    stats->started -= before.started;
    stats->unsampled -= before.unsampled;
    stats->finished -= before.finished;
    stats->exported -= before.exported;
    stats->dropped_queue -= before.dropped_queue;
    stats->dropped_export -= before.dropped_export;
    stats->dropped_memory -= before.dropped_memory;
    stats->dropped_attrs -= before.dropped_attrs;
    stats->dropped_events -= before.dropped_events;
    stats->truncated_values -= before.truncated_values;
}
