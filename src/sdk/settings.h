/* What vt_config and the environment come to: checked, with defaults, copied. Made once by vt_init and constant after.
 */
#ifndef SDK_SETTINGS_H
#define SDK_SETTINGS_H

#include "base/arena.h"
#include "base/error.h"
#include "sdk/env.h"
#include "vitrine.h"

struct settings {
    struct arena arena; /* holds every text below */

    bool disabled; /* OTEL_SDK_DISABLED */
    bool debug;    /* VITRINE_DEBUG */

    const vt_attr *resource; /* service.name first; keys distinct, sizes filled in */
    size_t resource_count;
    const char *service_name; /* = resource[0] */

    bool console, otlp;
    FILE *console_file;
    void (*console_write)(void *ctx, const char *lines, size_t size);
    void *console_ctx;
    const char *otlp_endpoint, *otlp_headers; /* of vt_config; NULL: libvitrine-otlp reads the environment */

    const char *statsd_host, *statsd_port; /* NULL: no metrics */
    double statsd_rate;
    bool statsd_plain;

    vt_sampler sampler;   /* never DEFAULT */
    uint64_t ratio_bound; /* the low half of the trace id must be below it … */
    bool ratio_all;       /* … or every trace is taken */
    double sampler_ratio;

    vt_capture capture; /* never DEFAULT */
    void (*redact)(void *ctx, const char *key, const char **text, size_t *size);
    void *redact_ctx;
    unsigned mask; /* VT_MASK_… */

    bool synchronous;
    uint32_t queue_size, batch_size, delay_ms, timeout_ms;
    uint32_t max_attributes, max_value_bytes, max_events;
    unsigned propagators;

    void (*on_drop)(void *ctx, uint64_t spans, const char *reason);
    void *on_drop_ctx;
};

/* A new settings struct in *out; 0 or VT_E…. Fields of config that make no sense fail; an environment variable that
 * makes none is passed over, as OpenTelemetry asks, and named on stderr when VITRINE_DEBUG=1. */
int settings_new(const vt_config *config, struct settings **out, struct error *err);
void settings_free(struct settings *settings);
/* VITRINE_DEBUG=1: everything above in words, without secrets. */
void settings_tell(const struct settings *settings);

#endif
