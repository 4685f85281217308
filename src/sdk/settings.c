/* Configuration: a field of vt_config wins over the environment, that over the default. */
#include "sdk/settings.h"

#include "base/secrets.h"

#include <stdlib.h>

enum {
    QUEUE_SIZE = 2048,
    QUEUE_SIZE_MAX = 1 << 24,
    BATCH_SIZE = 512,
    BATCH_SIZE_MAX = 1 << 16,
    DELAY_MS = 5000,
    TIMEOUT_MS = 30000,
    MAX_ATTRIBUTES = 128,
    MAX_VALUE_BYTES = 256 * 1024,
    MAX_EVENTS = 128,
    COUNT_LIMIT_MAX = 65535, /* counts are 16 bits wide in a record */
    VALUE_LIMIT_MAX = 4 << 20,
    RESOURCE_MAX = 64,
};

/* Resource --------------------------------------------------------------------------------------------------------- */

struct building {
    struct settings *settings;
    vt_attr attrs[RESOURCE_MAX];
    size_t count;
    bool no_memory;
};

static const char *keep(struct building *b, const char *text, size_t len) {
    struct slice copy = arena_copy(&b->settings->arena, slice_make(text, len));
    if (!copy.ptr) b->no_memory = true;
    return copy.ptr ? copy.ptr : "";
}

/* Sets or replaces; the first place a key got stays its place. */
static void resource_set(struct building *b, const vt_attr *attr) {
    size_t key_len = attr->key_size ? attr->key_size : attr->key ? strlen(attr->key) : 0;
    if (!key_len || key_len > UINT16_MAX || (attr->type == VT_STRING && !attr->value.string)) return;
    if (attr->type > VT_BOOL) return;
    /* The service's name is a text, whatever else an application may say. */
    if (attr->type != VT_STRING && slice_is(slice_make(attr->key, key_len), "service.name")) return;
    vt_attr *slot = NULL;
    for (size_t i = 0; i < b->count && !slot; i++)
        if (b->attrs[i].key_size == key_len && !memcmp(b->attrs[i].key, attr->key, key_len)) slot = &b->attrs[i];
    if (!slot) {
        if (b->count == RESOURCE_MAX) {
            debug_line("resource attribute %.*s is left out: at most %d are kept", (int)key_len, attr->key,
                       RESOURCE_MAX);
            return;
        }
        slot = &b->attrs[b->count++];
        slot->key = keep(b, attr->key, key_len);
    }
    const char *key = slot->key;
    *slot = *attr;
    slot->key = key;
    slot->key_size = (uint16_t)key_len;
    if (attr->type == VT_STRING) {
        size_t len = attr->value_size ? attr->value_size : strlen(attr->value.string);
        if (len > VALUE_LIMIT_MAX) len = VALUE_LIMIT_MAX;
        slot->value.string = keep(b, attr->value.string, len);
        slot->value_size = (uint32_t)len;
    }
}

static void resource_set_text(struct building *b, const char *key, const char *value) {
    vt_attr attr = vt_attr_str(key, value);
    if (value && *value) resource_set(b, &attr);
}

static struct slice trim(const char *from, const char *to) {
    while (from < to && (*from == ' ' || *from == '\t')) from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t')) to--;
    return slice_make(from, (size_t)(to - from));
}

/* OTEL_RESOURCE_ATTRIBUTES: key=value,key=value with %XX in both (W3C Baggage's form). */
static void resource_from_env(struct building *b) {
    const char *at = env_text("OTEL_RESOURCE_ATTRIBUTES");
    while (at && *at) {
        const char *end = strchrnul(at, ','), *equals = memchr(at, '=', (size_t)(end - at));
        if (equals) {
            struct slice key = trim(at, equals), value = trim(equals + 1, end);
            char *key_copy = (char *)(uintptr_t)keep(b, key.ptr, key.len);
            char *value_copy = (char *)(uintptr_t)keep(b, value.ptr, value.len);
            if (b->no_memory) return;
            key_copy[percent_decode(key_copy, key.len)] = 0;
            value_copy[percent_decode(value_copy, value.len)] = 0;
            resource_set_text(b, key_copy, value_copy);
        } else if (trim(at, end).len) {
            debug_line("OTEL_RESOURCE_ATTRIBUTES: \"%.*s\" has no '=': left out", (int)(end - at), at);
        }
        at = *end ? end + 1 : end;
    }
}

static int build_resource(struct settings *s, const vt_config *config, struct error *err) {
    struct building b = {.settings = s};
    /* service.name and its kin come first in the line, whoever sets them. */
    resource_set_text(&b, "service.name", "unknown_service");
    resource_set_text(&b, "service.version", config->service_version);
    resource_set_text(&b, "service.version", env_text("OTEL_SERVICE_VERSION"));
    resource_set_text(&b, "deployment.environment", config->environment);
    resource_set_text(&b, "deployment.environment", env_text("NODE_ENV"));
    resource_from_env(&b);
    resource_set_text(&b, "service.name", env_text("OTEL_SERVICE_NAME"));
    resource_set_text(&b, "service.version", env_text("OTEL_SERVICE_VERSION"));
    for (size_t i = 0; i < config->resource_count; i++) resource_set(&b, &config->resource[i]);
    resource_set_text(&b, "service.name", config->service_name);
    resource_set_text(&b, "service.version", config->service_version);
    resource_set_text(&b, "deployment.environment", config->environment);
    vt_attr *attrs = arena_calloc(&s->arena, b.count, sizeof *attrs);
    if (!attrs || b.no_memory) return error_set(err, VT_ENOMEM, "no memory for the configuration");
    memcpy(attrs, b.attrs, b.count * sizeof *attrs);
    s->resource = attrs;
    s->resource_count = b.count;
    s->service_name = attrs[0].value.string;
    return 0;
}

/* Choices by name -------------------------------------------------------------------------------------------------- */

struct choice {
    const char *name;
    unsigned value;
};

static const struct choice samplers[] = {
    {"always_on", VT_SAMPLER_ON},
    {"always_off", VT_SAMPLER_OFF},
    {"traceidratio", VT_SAMPLER_RATIO},
    {"parentbased_always_on", VT_SAMPLER_PARENT_ON},
    {"parentbased_always_off", VT_SAMPLER_PARENT_OFF},
    {"parentbased_traceidratio", VT_SAMPLER_PARENT_RATIO},
};
static const struct choice captures[] = {
    {"full", VT_CAPTURE_FULL}, {"preview", VT_CAPTURE_PREVIEW}, {"none", VT_CAPTURE_NONE}};
static const struct choice propagators[] = {{"tracecontext", VT_PROPAGATE_TRACECONTEXT},
                                            {"baggage", VT_PROPAGATE_BAGGAGE},
                                            {"b3", VT_PROPAGATE_B3},
                                            {"b3multi", VT_PROPAGATE_B3_MULTI},
                                            {"none", 0}};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct choice *choose(const struct choice *choices, size_t count, struct slice name) {
    for (size_t i = 0; i < count; i++)
        if (slice_is(name, choices[i].name)) return &choices[i];
    return NULL;
}

static const char *choice_name(const struct choice *choices, size_t count, unsigned value) {
    for (size_t i = 0; i < count; i++)
        if (choices[i].value == value) return choices[i].name;
    return "?";
}

static unsigned env_choice(const char *variable, const struct choice *choices, size_t count, unsigned fallback) {
    const char *value = env_text(variable);
    const struct choice *found = value ? choose(choices, count, slice_of(value)) : NULL;
    if (value && !found) {
        char known[160] = "";
        for (size_t i = 0; i < count; i++) {
            size_t at = strlen(known);
            snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", choices[i].name);
        }
        debug_line("%s=%s is unknown (%s): %s is used", variable, value, known, choice_name(choices, count, fallback));
    }
    return found ? found->value : fallback;
}

/* Is `name` in a comma-separated variable? -1: the variable is not set. */
static int env_lists(const char *variable, const char *name) {
    const char *at = env_text(variable);
    if (!at) return -1;
    for (;;) {
        const char *end = strchrnul(at, ',');
        if (slice_is(trim(at, end), name)) return 1;
        if (!*end) return 0;
        at = end + 1;
    }
}

static unsigned env_propagators(void) {
    const char *at = env_text("OTEL_PROPAGATORS");
    if (!at) return VT_PROPAGATE_TRACECONTEXT | VT_PROPAGATE_BAGGAGE;
    unsigned bits = 0;
    for (;;) {
        const char *end = strchrnul(at, ',');
        struct slice name = trim(at, end);
        const struct choice *found = choose(propagators, COUNT(propagators), name);
        if (found)
            bits |= found->value;
        else
            debug_line("OTEL_PROPAGATORS: \"%.*s\" is unknown: left out", (int)name.len, name.ptr);
        if (!*end) return bits;
        at = end + 1;
    }
}

/* The parts -------------------------------------------------------------------------------------------------------- */

static int set_sampler(struct settings *s, const vt_config *config, struct error *err) {
    if ((unsigned)config->sampler > VT_SAMPLER_PARENT_RATIO)
        return error_set(err, VT_EINVAL, "vt_config.sampler is %u: it must be one of VT_SAMPLER_…",
                         (unsigned)config->sampler);
    double ratio = 1;
    if (config->sampler) {
        s->sampler = config->sampler;
        ratio = config->sampler_ratio;
        if (!(ratio >= 0 && ratio <= 1))
            return error_set(err, VT_EINVAL, "vt_config.sampler_ratio is %g: it must lie between 0 and 1", ratio);
    } else {
        s->sampler = (vt_sampler)env_choice("OTEL_TRACES_SAMPLER", samplers, COUNT(samplers), VT_SAMPLER_PARENT_ON);
        const char *text = env_text("OTEL_TRACES_SAMPLER_ARG");
        char *end = NULL;
        if (text) ratio = strtod(text, &end);
        if (text && (*end || end == text || !(ratio >= 0 && ratio <= 1))) {
            debug_line("OTEL_TRACES_SAMPLER_ARG=%s does not lie between 0 and 1: 1 is used", text);
            ratio = 1;
        }
    }
    s->sampler_ratio = ratio;
    s->ratio_all = ratio >= 1;
    s->ratio_bound = s->ratio_all ? UINT64_MAX : (uint64_t)(ratio * 18446744073709551616.0) /* 2^64 */;
    return 0;
}

static bool by_switch(vt_switch given, const char *variable, bool fallback) {
    return given == VT_ON ? true : given == VT_OFF ? false : env_flag(variable, fallback);
}

/* "host", "host:port", "[v6]:port". */
static int set_statsd(struct settings *s, const vt_config *config, struct error *err) {
    const char *from_field = config->statsd_address && *config->statsd_address ? config->statsd_address : NULL;
    const char *address = from_field ? from_field : env_text("VITRINE_STATSD");
    s->statsd_rate = config->statsd_rate == 0 ? 1 : config->statsd_rate;
    s->statsd_plain = config->statsd_plain;
    if (!(s->statsd_rate > 0 && s->statsd_rate <= 1))
        return error_set(err, VT_EINVAL, "vt_config.statsd_rate is %g: it must be above 0 and at most 1",
                         config->statsd_rate);
    if (!address) return 0;
    const char *host = address, *host_end, *port = "8125";
    if (*host == '[') {
        host_end = strchr(++host, ']');
        if (host_end && host_end[1] == ':') port = host_end + 2;
    } else {
        const char *colon = strrchr(host, ':');
        host_end = colon ? colon : host + strlen(host);
        if (colon) port = colon + 1;
    }
    char *end = NULL;
    unsigned long number = host_end ? strtoul(port, &end, 10) : 0;
    if (!host_end || host_end == host || *end || number < 1 || number > 65535) {
        if (from_field)
            return error_set(err, VT_EINVAL, "vt_config.statsd_address is \"%s\": it must be host or host:port",
                             address);
        debug_line("VITRINE_STATSD=%s is neither host nor host:port: no metrics are sent", address);
        return 0;
    }
    s->statsd_host = arena_copy(&s->arena, slice_make(host, (size_t)(host_end - host))).ptr;
    s->statsd_port = arena_copy(&s->arena, slice_of(port)).ptr;
    return s->statsd_host && s->statsd_port ? 0 : error_set(err, VT_ENOMEM, "no memory for the configuration");
}

static int set_ways_out(struct settings *s, const vt_config *config, struct error *err) {
    if ((unsigned)config->console > VT_OFF || (unsigned)config->otlp > VT_OFF)
        return error_set(err, VT_EINVAL, "vt_config.console and .otlp must be VT_BY_ENVIRONMENT, VT_ON or VT_OFF");
    if (config->exporter_count && !config->exporters)
        return error_set(err, VT_EINVAL, "vt_config.exporter_count is %zu but .exporters is NULL",
                         config->exporter_count);
    for (size_t i = 0; i < config->exporter_count; i++)
        if (!config->exporters[i].export_spans)
            return error_set(err, VT_EINVAL, "vt_config.exporters[%zu].export_spans is NULL", i);
    bool endpoint = (config->otlp_endpoint && *config->otlp_endpoint) || env_text("OTEL_EXPORTER_OTLP_ENDPOINT") ||
                    env_text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    int listed = env_lists("OTEL_TRACES_EXPORTER", "otlp");
    s->otlp = by_switch(config->otlp, "OTEL_ENABLE_OTLP", listed < 0 ? endpoint : listed > 0);
    listed = env_lists("OTEL_TRACES_EXPORTER", "console");
    bool alone = !s->otlp && !config->exporter_count;
    bool given = config->console_write || config->console_file;
    s->console = by_switch(config->console, "OTEL_ENABLE_CONSOLE", given || (listed < 0 ? alone : listed > 0));
    s->console_file = config->console_file ? config->console_file : stdout;
    s->console_write = config->console_write;
    s->console_ctx = config->console_ctx;
    const char *const texts[2] = {config->otlp_endpoint, config->otlp_headers};
    const char **const copies[2] = {&s->otlp_endpoint, &s->otlp_headers};
    for (unsigned i = 0; i < 2; i++)
        if (texts[i] && *texts[i] && !(*copies[i] = arena_copy(&s->arena, slice_of(texts[i])).ptr))
            return error_set(err, VT_ENOMEM, "no memory for the configuration");
    return set_statsd(s, config, err);
}

/* VITRINE_MASK: a list of kinds, "all" or "none". A word that is none of these masks all: who wanted something masked
 * wants too much of it rather than nothing. */
static unsigned env_mask(void) {
    const char *at = env_text("VITRINE_MASK");
    unsigned mask = 0;
    while (at && *at) {
        const char *end = strchrnul(at, ',');
        struct slice word = trim(at, end);
        int kind = secret_named(word);
        if (kind >= 0)
            mask |= 1u << kind;
        else if (word.len && !slice_is(word, "none")) {
            mask |= VT_MASK_ALL;
            if (!slice_is(word, "all"))
                debug_line("VITRINE_MASK: \"%.*s\" is none of email, phone, card, apikey, all, none: all are masked",
                           (int)word.len, word.ptr);
        }
        at = *end ? end + 1 : end;
    }
    return mask;
}

static uint32_t pick(uint32_t given, const char *variable, uint32_t fallback, uint32_t most) {
    uint32_t value = given ? given : env_uint(variable, 1, fallback);
    if (value <= most) return value;
    debug_line("%s: %u is more than %u, which is used", variable, value, most);
    return most;
}

static void set_limits(struct settings *s, const vt_config *config) {
    s->synchronous = config->synchronous;
    s->queue_size = pick(config->queue_size, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_SIZE, QUEUE_SIZE_MAX);
    s->batch_size = pick(config->batch_size, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH_SIZE, BATCH_SIZE_MAX);
    if (s->batch_size > s->queue_size) s->batch_size = s->queue_size;
    s->delay_ms = config->delay_ms ? config->delay_ms : env_uint("OTEL_BSP_SCHEDULE_DELAY", 1, DELAY_MS);
    s->timeout_ms = config->timeout_ms ? config->timeout_ms : env_uint("OTEL_BSP_EXPORT_TIMEOUT", 1, TIMEOUT_MS);
    /* Where the span's own limit is not set, OpenTelemetry's general one holds. */
    uint32_t attributes = env_uint("OTEL_ATTRIBUTE_COUNT_LIMIT", 1, MAX_ATTRIBUTES);
    uint32_t bytes = env_uint("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", 1, MAX_VALUE_BYTES);
    s->max_attributes = pick(config->max_attributes, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", attributes, COUNT_LIMIT_MAX);
    s->max_value_bytes =
        pick(config->max_value_bytes, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", bytes, VALUE_LIMIT_MAX);
    s->max_events = pick(config->max_events, "OTEL_SPAN_EVENT_COUNT_LIMIT", MAX_EVENTS, COUNT_LIMIT_MAX);
}

int settings_new(const vt_config *config, struct settings **out, struct error *err) {
    static const vt_config none;
    if (!config) config = &none;
    *out = NULL;
    struct settings *s = calloc(1, sizeof *s);
    if (!s) return error_set(err, VT_ENOMEM, "no memory for the configuration");
    s->debug = env_flag("VITRINE_DEBUG", false);
    debug_set(s->debug);
    s->disabled = env_flag("OTEL_SDK_DISABLED", false);
    int failed = 0;
    if (config->resource_count && !config->resource)
        failed =
            error_set(err, VT_EINVAL, "vt_config.resource_count is %zu but .resource is NULL", config->resource_count);
    if ((unsigned)config->capture > VT_CAPTURE_NONE)
        failed = error_set(err, VT_EINVAL, "vt_config.capture is %u: it must be one of VT_CAPTURE_…",
                           (unsigned)config->capture);
    s->capture = config->capture
                     ? config->capture
                     : (vt_capture)env_choice("VITRINE_CAPTURE", captures, COUNT(captures), VT_CAPTURE_PREVIEW);
    s->redact = config->redact;
    s->redact_ctx = config->redact_ctx;
    if (config->mask & ~(unsigned)VT_MASK_ALL)
        failed = error_set(err, VT_EINVAL, "vt_config.mask is %#x: it must be made of VT_MASK_…", config->mask);
    s->mask = config->mask ? config->mask : env_mask();
    s->on_drop = config->on_drop;
    s->on_drop_ctx = config->on_drop_ctx;
    s->propagators = config->propagators ? config->propagators : env_propagators();
    set_limits(s, config);
    if (!failed) failed = set_sampler(s, config, err);
    if (!failed) failed = set_ways_out(s, config, err);
    if (!failed) failed = build_resource(s, config, err);
    if (failed) {
        settings_free(s);
        return failed;
    }
    *out = s;
    return 0;
}

void settings_free(struct settings *settings) {
    if (!settings) return;
    arena_free(&settings->arena);
    free(settings);
}

void settings_tell(const struct settings *s) {
    if (!s->debug) return;
    if (s->disabled) {
        debug_line("OTEL_SDK_DISABLED=true: nothing is traced");
        return;
    }
    debug_line("libvitrine " VITRINE_VERSION ", service \"%s\"", s->service_name);
    for (size_t i = 1; i < s->resource_count; i++)
        if (s->resource[i].type == VT_STRING)
            debug_line("  resource %s=\"%s\"", s->resource[i].key, s->resource[i].value.string);
    debug_line("  sampler %s%s", choice_name(samplers, COUNT(samplers), s->sampler),
               s->sampler == VT_SAMPLER_OFF ? ": no span will be exported" : "");
    if (s->sampler == VT_SAMPLER_RATIO || s->sampler == VT_SAMPLER_PARENT_RATIO)
        debug_line("  sampler ratio %g", s->sampler_ratio);
    debug_line("  capture %s%s", choice_name(captures, COUNT(captures), s->capture), s->redact ? ", redacted" : "");
    for (unsigned kind = 0; kind < SECRET_COUNT; kind++)
        if (s->mask & 1u << kind) debug_line("  masks %s", secret_kinds[kind].name);
    debug_line("  limits %u attributes, %u events, %u bytes a value", s->max_attributes, s->max_events,
               s->max_value_bytes);
    if (s->synchronous)
        debug_line("  exports when a span ends");
    else
        debug_line("  queue %u spans, batches of %u, at most %u ms late", s->queue_size, s->batch_size, s->delay_ms);
    if (s->statsd_host) debug_line("  StatsD to %s:%s", s->statsd_host, s->statsd_port);
}
