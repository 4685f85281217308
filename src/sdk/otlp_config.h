/* What the OTLP exporter is told by vt_otlp_config and the environment: checked, with defaults, copied. */
#ifndef SDK_OTLP_CONFIG_H
#define SDK_OTLP_CONFIG_H

#include "base/arena.h"
#include "base/error.h"
#include "vitrine-otlp.h"

enum { OTLP_HEADERS_MAX = 64 };

struct otlp_settings {
    struct arena arena;                    /* holds every text below */
    const char *url;                       /* whole, with /v1/traces */
    const char *told_as;                   /* the same without user and password */
    const char *headers[OTLP_HEADERS_MAX]; /* "name: value"; secret */
    size_t header_count;
    const char *certificate, *client_certificate, *client_key; /* files, or NULL */
    uint32_t timeout_ms;                                       /* for one attempt */
    bool compress;
    const char *spool_dir; /* NULL: none */
    uint64_t spool_max_bytes;
    uint64_t memory_max_bytes; /* of batches that wait */
    uint32_t retry_first_ms, retry_last_ms;
};

/* 0 or VT_E…; the settings must be freed in either case. Errors never hold a header's value. */
int otlp_settings_read(const vt_otlp_config *config, struct otlp_settings *settings, struct error *err);
void otlp_settings_free(struct otlp_settings *settings);

#endif
