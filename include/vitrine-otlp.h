/* libvitrine-otlp: sends spans by OTLP over HTTP (protobuf, gzip) to a collector. A library of its own, since it needs
 * libcurl; libvitrine loads it by itself when OTLP is asked for (vt_config.otlp, OTEL_ENABLE_OTLP or an endpoint), so
 * that most programs never see this header. It is for those who want more than one collector, or settings of their own.
 */
#ifndef VITRINE_OTLP_H
#define VITRINE_OTLP_H

#include "vitrine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How spans are sent: a thread of the exporter's own posts batch after batch; those that trace never wait for it. An
 * answer of 429, 502, 503 or 504, a connection that fails and a time out are tried again, after a second, then two,
 * four … 30, give or take half, or when Retry-After says; other answers drop the batch. vt_stats counts what is lost.
 *
 * A zeroed struct is valid: what is not given comes from OTEL_EXPORTER_OTLP_TRACES_…, then OTEL_EXPORTER_OTLP_…, then
 * the default. All texts are copied. */
typedef struct vt_otlp_config {
    const char *endpoint;    /* "http://localhost:4318": /v1/traces is appended */
    const char *headers;     /* "key=value,key=value" percent-encoded, or {"key":"value"}; never logged */
    const char *certificate; /* PEM file of trusted authorities; default: the system's */
    uint32_t timeout_ms;     /* for one attempt to send a batch; 10000 */
    bool no_compression;     /* default: gzip */
    /* VITRINE_OTLP_SPOOL: batches that the collector does not take now are kept in this directory and sent later, also
     * by the next run. Default: none. They wait in memory, up to 16 MiB; past that, and at exit, they are lost. */
    const char *spool_dir;
    uint64_t spool_max_bytes; /* of files; past that the oldest batches are lost; 64 MiB */
    void *reserved[8];        /* zero */
} vt_otlp_config;

/* Fills *exporter for vt_config.exporters. 0, or VT_ERROR_… with the reason in message (which may be NULL). */
VT_EXPORT int vt_otlp_exporter(const vt_otlp_config *config, vt_exporter *exporter, char *message, size_t size);

#ifdef __cplusplus
}
#endif
#endif
