/* libvitrine-otlp's front door: spans are encoded and compressed on the exporting thread and handed to the sender. */
#include "sdk/env.h"
#include "sdk/otlp_encode.h"
#include "sdk/otlp_sender.h"

#include <curl/curl.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    REQUEST_BYTES = 4 << 20, /* a request is closed when it has grown to this: collectors take 16 MiB and more */
    KEEP_BYTES = 8 << 20,    /* of buffers, between batches */
    GZIP_LEVEL = 1,          /* most of what gzip can do here for a third of the time */
};

struct otlp {
    struct sender *sender;
    struct otlp_encoder encoder;
    struct libdeflate_compressor *compressor; /* NULL: not compressed */
    bool compress;
    bool told; /* of memory that ran out */
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static bool curl_ready;

static void start_curl(void) {
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

static struct parcel *pack(struct otlp *otlp) {
    struct slice whole = buf_slice(&otlp->encoder.out);
    if (otlp->encoder.out.failed) return NULL;
    size_t room = otlp->compressor ? libdeflate_gzip_compress_bound(otlp->compressor, whole.len) : whole.len;
    struct parcel *parcel = malloc(sizeof *parcel + room);
    if (!parcel) return NULL;
    if (otlp->compressor) {
        parcel->size = libdeflate_gzip_compress(otlp->compressor, whole.ptr, whole.len, parcel->body, room);
        struct parcel *less = parcel->size ? realloc(parcel, sizeof *parcel + parcel->size) : NULL;
        if (less) parcel = less;
    } else {
        memcpy(parcel->body, whole.ptr, whole.len);
        parcel->size = whole.len;
    }
    parcel->spans = otlp->encoder.spans;
    if (parcel->size) return parcel;
    free(parcel);
    return NULL;
}

static int hand_over(struct otlp *otlp) {
    otlp_end(&otlp->encoder);
    struct parcel *parcel = pack(otlp);
    if (parcel) sender_put(otlp->sender, parcel);
    if (!parcel && !otlp->told) debug_line("OTLP: no memory for a batch: spans are lost");
    otlp->told = !parcel;
    return parcel ? 0 : VT_ERROR_EXPORT;
}

static int export_spans(void *ctx, const vt_attr *resource, size_t resource_count, const vt_finished *spans,
                        size_t count) {
    struct otlp *otlp = ctx;
    int result = 0;
    if (otlp->compress && !otlp->compressor) otlp->compressor = libdeflate_alloc_compressor(GZIP_LEVEL);
    for (size_t i = 0; i < count;) {
        otlp_begin(&otlp->encoder, resource, resource_count);
        while (i < count && otlp->encoder.out.len < REQUEST_BYTES && !otlp->encoder.out.failed)
            otlp_put(&otlp->encoder, &spans[i++]);
        if (hand_over(otlp)) result = VT_ERROR_EXPORT;
    }
    if (otlp->encoder.out.cap > KEEP_BYTES) otlp_encoder_free(&otlp->encoder);
    return result;
}

static int flush(void *ctx, uint32_t timeout_ms) {
    return sender_flush(((struct otlp *)ctx)->sender, timeout_ms);
}

static uint64_t lost(void *ctx) {
    return sender_lost(((struct otlp *)ctx)->sender);
}

static uint64_t end(void *ctx, uint32_t timeout_ms) {
    struct otlp *otlp = ctx;
    uint64_t lost_last = sender_stop(otlp->sender, timeout_ms);
    otlp_encoder_free(&otlp->encoder);
    libdeflate_free_compressor(otlp->compressor);
    free(otlp);
    return lost_last;
}

static void forked(void *ctx) {
    /* The fork may have met the parent's thread anywhere in these: start with new ones. */
    struct otlp *otlp = ctx;
    otlp->encoder = (struct otlp_encoder){.spans = 0};
    otlp->compressor = NULL;
    sender_forked(otlp->sender);
}

static int fail(const struct error *err, char *message, size_t size) {
    if (message && size) snprintf(message, size, "%s", err->message);
    return err->code == VT_ENOMEM ? VT_ERROR_MEMORY : VT_ERROR_CONFIG;
}

int vt_otlp_exporter(const vt_otlp_config *config, vt_exporter *exporter, char *message, size_t size) {
    struct error err = {0};
    struct otlp_settings settings;
    if (message && size) *message = 0;
    debug_set(env_flag("VITRINE_DEBUG", false));
    if (!exporter) {
        error_set(&err, VT_EINVAL, "exporter is NULL");
        return fail(&err, message, size);
    }
    pthread_once(&curl_once, start_curl);
    struct otlp *otlp = curl_ready ? calloc(1, sizeof *otlp) : NULL;
    if (!otlp) {
        error_set(&err, VT_ENOMEM, "libcurl cannot be started");
        return fail(&err, message, size);
    }
    if (otlp_settings_read(config, &settings, &err)) {
        otlp_settings_free(&settings);
        free(otlp);
        return fail(&err, message, size);
    }
    otlp->compress = settings.compress;
    debug_line("  OTLP to %s, %s, %zu headers of its own%s%s", settings.told_as,
               settings.compress ? "gzip" : "not compressed", settings.header_count,
               settings.spool_dir ? ", spool " : "", settings.spool_dir ? settings.spool_dir : "");
    if (sender_new(&otlp->sender, &settings, &err)) {
        free(otlp);
        return fail(&err, message, size);
    }
    *exporter = (vt_exporter){.name = "otlp",
                              .ctx = otlp,
                              .export_spans = export_spans,
                              .flush = flush,
                              .shutdown = end,
                              .forked = forked,
                              .lost = lost};
    return 0;
}
