/* See outlets.h. */
#include "serve/outlets.h"

#include "metrics/statsd_spans.h"
#include "serve/members.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

static int open_forwards(struct outlets *o, const struct serve_options *options, struct error *err) {
    char dir[512];
    if (!options->forward_count) return 0;
    if (options->forward_count > FORWARDS_MAX)
        return error_set(err, VT_ELIMIT, "--forward: at most %d targets", FORWARDS_MAX);
    snprintf(dir, sizeof dir, "%s/forward", options->store.dir);
    if (mkdir(dir, 0700) && errno != EEXIST) return error_set(err, VT_EIO, "%s cannot be made: %m", dir);
    for (size_t i = 0; i < options->forward_count; i++) {
        const char *target = options->forwards[i], *equals = strchr(target, '=');
        size_t same = 1;
        int kind = equals ? (int)(equals - target) : 0;
        /* Each target has a queue of its own, named after its kind and its place among those of its kind. */
        for (size_t k = 0; k < i; k++) same += strncmp(options->forwards[k], target, (size_t)kind + 1) == 0;
        snprintf(dir, sizeof dir, "%s/forward/%.*s-%zu", options->store.dir, kind > 32 ? 32 : kind, target, same);
        int code = forward_open(&o->forwards[i], target, dir, 0, err);
        if (code) return code;
        o->forward_count++;
    }
    return 0;
}

int outlets_open(struct outlets *o, const struct serve_options *options, struct live *live, struct error *err) {
    *o = (struct outlets){.live = live, .statsd.fd = -1};
    int code = options->statsd ? statsd_open(&o->statsd, options->statsd, options->statsd_plain, err) : 0;
    if (!code) code = open_forwards(o, options, err);
    if (code) outlets_close(o);
    return code;
}

void outlets_close(struct outlets *o) {
    for (size_t i = 0; i < o->forward_count; i++) forward_close(o->forwards[i]);
    o->forward_count = 0;
    if (o->live && o->statsd.fd >= 0) statsd_close(&o->statsd);
    o->live = NULL;
}

void outlets_watch(void *ctx, struct batch *batch) {
    struct outlets *o = ctx;
    live_watch(o->live, batch);
    if (o->statsd.fd >= 0) statsd_put_batch(&o->statsd, batch);
    for (size_t i = 0; i < o->forward_count; i++) forward_put(o->forwards[i], batch);
}

void outlets_put_status(struct outlets *o, struct json_writer *w) {
    member_bool(w, "statsd", o->statsd.fd >= 0);
    member_open(w, "forwards", '[');
    for (size_t i = 0; i < o->forward_count; i++) {
        struct forward_stats s;
        forward_get_stats(o->forwards[i], &s);
        json_open(w, '{');
        member_str(w, "name", s.name);
        member_count(w, "spans_queued", s.spans_queued);
        member_count(w, "requests_sent", s.requests_sent);
        member_count(w, "requests_refused", s.requests_refused);
        member_count(w, "spans_dropped", s.spans_dropped);
        member_count(w, "queue_bytes", s.queue_bytes);
        member_count(w, "queue_files", s.queue_files);
        json_close(w, '}');
    }
    json_close(w, ']');
}
