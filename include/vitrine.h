/* libvitrine: traces LLM applications.
 *
 * A span is one piece of work with a beginning, an end, attributes and events: a chat turn, an LLM call, a tool. Spans
 * nest: what a thread starts while another of its spans is open becomes a child of that one. A finished span is written
 * as one line of JSON, or handed to other exporters, by a background thread; the caller pays some hundred nanoseconds.
 *
 *     vt_init(NULL);                                                          // configured by the environment
 *     vt_span *turn = vt_chat_start("continue_thread", &(vt_chat_turn){.user_id = "u1", .thread_id = "t1"});
 *     vt_span *call = vt_llm_start("openai.chat.completions.create",
 *                                  &(vt_llm_call){.provider = "openai", .model = "gpt-4o", .prompt = prompt});
 *     … call the model …
 *     vt_llm_response(call, text, "stop");
 *     vt_llm_usage(call, &(vt_usage){.prompt_tokens = 159, .completion_tokens = 237});
 *     vt_span_end(call);
 *     vt_span_end(turn);
 *     vt_shutdown();
 *
 * Everywhere:
 * - Texts are UTF-8, end with NUL, are borrowed for the call and copied where they are kept. Invalid bytes are written
 *   as U+FFFD. NULL, "" and 0 stand for "not given" in the structs below and are left out of the span.
 * - Times are nanoseconds since the Unix epoch, time-outs milliseconds.
 * - Nothing here aborts, prints (unless VITRINE_DEBUG=1) or sets errno for its own reasons. Tracing never fails the
 *   application: a call that cannot do its work does nothing, and vt_stats_get tells what was lost.
 * - Every call is safe with a NULL span, with a span that has ended (also when its memory serves another span by now),
 *   before vt_init and after vt_shutdown: it does nothing.
 * - Any thread may call. A single span is touched by one thread at a time; it may be ended by another thread than the
 *   one that started it, if the two have synchronised in between.
 * - After fork the child may go on tracing: spans finished before the fork are exported by the parent alone, spans open
 *   at the fork may be ended in either process, and the child starts a background thread of its own when it needs one.
 * - No call may be made from a signal handler.
 *
 * Conventions: attribute and event names are those of the storefront trace module whose log line this library writes
 * (docs/sdk-c.md shows the line); traceparent, tracestate and baggage are W3C Trace Context Level 1 and W3C Baggage;
 * environment variables are those of the OpenTelemetry specification ("SDK environment variables") plus NODE_ENV,
 * OTEL_ENABLE_CONSOLE, OTEL_ENABLE_OTLP, VITRINE_DEBUG. docs/sdk-c.md lists all of them. */
#ifndef VITRINE_H
#define VITRINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__GNUC__)
#define VT_EXPORT __attribute__((visibility("default")))
#else
#define VT_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What functions that return int answer: 0, or one of these. */
enum {
    VT_ERROR_CONFIG = -1,  /* a field or environment variable has no meaning; vt_error_message names it */
    VT_ERROR_MEMORY = -2,  /* memory or a system resource ran out */
    VT_ERROR_TIMEOUT = -3, /* not done within timeout_ms; the work goes on in the background */
    VT_ERROR_EXPORT = -4   /* an exporter lost spans: vt_stats_get counts them */
};

/* An open span: a handle, never dereferenced or freed by the caller, void after vt_span_end. */
typedef struct vt_span vt_span;

/* Attributes ------------------------------------------------------------------------------------------------------ */

enum { VT_STRING, VT_INT, VT_DOUBLE, VT_BOOL }; /* vt_attr.type */

/* One attribute, borrowed: made by the four functions below, or filled in by hand. */
typedef struct vt_attr {
    const char *key;
    uint16_t key_size;   /* bytes of key; 0 = up to its NUL */
    uint16_t type;       /* VT_STRING … VT_BOOL: which member of the union holds */
    uint32_t value_size; /* bytes of a string value; 0 = up to its NUL */
    union {
        const char *string;
        int64_t integer;
        double real; /* NaN and infinities are written as null */
        bool boolean;
    } value;
} vt_attr;

static inline vt_attr vt_attr_str(const char *key, const char *value) {
    vt_attr attr = {key, 0, VT_STRING, 0, {value}};
    return attr;
}
static inline vt_attr vt_attr_int(const char *key, int64_t value) {
    vt_attr attr = {key, 0, VT_INT, 0, {NULL}};
    attr.value.integer = value;
    return attr;
}
static inline vt_attr vt_attr_double(const char *key, double value) {
    vt_attr attr = {key, 0, VT_DOUBLE, 0, {NULL}};
    attr.value.real = value;
    return attr;
}
static inline vt_attr vt_attr_bool(const char *key, bool value) {
    vt_attr attr = {key, 0, VT_BOOL, 0, {NULL}};
    attr.value.boolean = value;
    return attr;
}

/* Spans ----------------------------------------------------------------------------------------------------------- */

/* Starts a span: a child of this thread's current span, or the root of a new trace, and becomes current.
 * NULL when tracing is off or no memory can be had; all calls take that. NULL or "" as operation is "unknown". */
VT_EXPORT vt_span *vt_span_start(const char *operation);

/* Sets an attribute. A key set again takes the last value. A NULL or empty key, and a NULL value, do nothing; an empty
 * string, 0 and false are values like others. At most max_attributes are kept, values are cut at max_value_bytes. */
VT_EXPORT void vt_span_set_str(vt_span *span, const char *key, const char *value);
VT_EXPORT void vt_span_set_int(vt_span *span, const char *key, int64_t value);
VT_EXPORT void vt_span_set_double(vt_span *span, const char *key, double value);
VT_EXPORT void vt_span_set_bool(vt_span *span, const char *key, bool value);
VT_EXPORT void vt_span_set_attrs(vt_span *span, const vt_attr *attrs, size_t count);

/* Adds something that happened now. attrs may be NULL when count is 0. */
VT_EXPORT void vt_span_event(vt_span *span, const char *name, const vt_attr *attrs, size_t count);

/* The work failed: status ERROR and the message (NULL: none). The last message stands. The span stays open. */
VT_EXPORT void vt_span_error(vt_span *span, const char *message);

/* Ends the span: status OK unless vt_span_error was called. Spans may end in any order. The span that was current when
 * this one started, or the nearest one outside it that is still open, becomes current. */
VT_EXPORT void vt_span_end(vt_span *span);

/* LLM calls ------------------------------------------------------------------------------------------------------- */

/* A temperature of 0 means "not given", as everywhere; this says that the temperature is zero. */
#define VT_TEMPERATURE_ZERO 1e-300

typedef struct vt_llm_call {
    const char *provider;  /* llm.vendor: "openai", "anthropic" */
    const char *model;     /* llm.request.model */
    double temperature;    /* llm.request.temperature */
    int64_t max_tokens;    /* llm.request.max_tokens */
    const char *prompt;    /* what the model reads: text, or the messages as a JSON array. See vt_capture */
    const char *user_id;   /* user.id */
    const char *thread_id; /* thread.id */
} vt_llm_call;

/* What the call used, as the provider reports it; cached is a part of prompt, reasoning a part of completion with
 * OpenAI. Written as llm.usage.{prompt_tokens,completion_tokens,total_tokens,reasoning_tokens} and
 * gen_ai.usage.cache_read.input_tokens; negative numbers are left out. total_tokens 0 becomes prompt + completion. */
typedef struct vt_usage {
    int64_t prompt_tokens;
    int64_t completion_tokens;
    int64_t cached_tokens;
    int64_t reasoning_tokens;
    int64_t total_tokens;
} vt_usage;

/* Starts a span for a call to a model; call may be NULL. The prompt's length in characters (Unicode code points)
 * becomes prompt.length, its text what capture allows. */
VT_EXPORT vt_span *vt_llm_start(const char *operation, const vt_llm_call *call);
/* The answer: response.length, response.finish_reason and, as capture allows, its text. Either may be NULL. */
VT_EXPORT void vt_llm_response(vt_span *span, const char *text, const char *finish_reason);
VT_EXPORT void vt_llm_usage(vt_span *span, const vt_usage *usage);
/* The first token of a streamed answer has come: event gen_ai.first_token and gen_ai.response.time_to_first_chunk, in
 * seconds since the start of the span. Only the first call of a span counts. */
VT_EXPORT void vt_llm_first_token(vt_span *span);
/* Runs fn(span, ctx) inside an LLM span and ends it. A return other than 0 marks the span as failed (with the message
 * that fn gave to vt_span_error, else "returned <n>") and is handed on. fn runs also when tracing is off: span is NULL.
 */
VT_EXPORT int vt_trace_llm_call(const char *operation, const vt_llm_call *call, int (*fn)(vt_span *span, void *ctx),
                                void *ctx);

/* Chat turns ------------------------------------------------------------------------------------------------------ */

typedef struct vt_chat_turn {
    const char *user_id;   /* chat.user_id */
    const char *thread_id; /* chat.thread_id: the conversation */
    const char *turn_id;   /* chat.turn_id */
    int64_t message_count; /* chat.message_count */
} vt_chat_turn;

/* Starts a span for one turn of a conversation; turn may be NULL. "continue_thread" becomes "chat.continue_thread". The
 * event chat.turn.start is added now, chat.turn.complete when the turn ends without error. */
VT_EXPORT vt_span *vt_chat_start(const char *operation, const vt_chat_turn *turn);
/* As vt_trace_llm_call, inside a chat turn. */
VT_EXPORT int vt_trace_chat_turn(const char *operation, const vt_chat_turn *turn, int (*fn)(vt_span *span, void *ctx),
                                 void *ctx);

/* Context: across threads and processes ---------------------------------------------------------------------------- */

/* Where in which trace one is: a plain value, copied freely, valid in any thread. All zero: nowhere. */
typedef struct vt_context {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t flags;  /* bit 0: sampled */
    uint8_t remote; /* 1 when it came from another process */
    uint8_t reserved[6];
    uint64_t carried; /* tracestate and baggage: known as long as a span or thread that has them lives */
} vt_context;

VT_EXPORT vt_context vt_context_current(void);       /* of this thread's current span; zero when there is none */
VT_EXPORT vt_context vt_span_context(vt_span *span); /* of this span; zero for NULL or an ended one */
/* Makes context this thread's current: spans started from now are its children. Attaching the zero context leaves every
 * trace. To give a span to another thread: take vt_context_current() here, attach it there, and before that thread goes
 * on to other work attach what vt_context_current() said there before. */
VT_EXPORT void vt_context_attach(vt_context context);

/* Writes the traceparent header of the current span ("00-…-…-01", 55 characters and NUL). Returns 55, or 0, with an
 * empty text if size allows, when there is no current span or size < 56. */
VT_EXPORT size_t vt_inject(char *traceparent, size_t size);
/* Starts a span whose parent is in another process. A missing or malformed header starts a new trace. */
VT_EXPORT vt_span *vt_span_start_remote(const char *operation, const char *traceparent);

/* Every header that OTEL_PROPAGATORS or vt_config.propagators asks for: traceparent, tracestate, baggage, B3. `set` is
 * called once for each header of the current span; name and value are borrowed for the call. */
VT_EXPORT void vt_inject_headers(void (*set)(void *carrier, const char *name, const char *value), void *carrier);
/* The context that headers carry, zero when they carry none; give it to vt_context_attach. `get` returns the value of a
 * header (names come in lower case) or NULL; the value must stay valid until the next call of get. */
VT_EXPORT vt_context vt_extract_headers(const char *(*get)(void *carrier, const char *name), void *carrier);
/* Baggage: pairs that travel with the trace to other services, in clear. Set is for this thread's current context and
 * all that is started inside it; NULL removes. Get copies the value (cut to size, NUL-terminated) and returns its
 * length, 0 when there is none. Limits of W3C Baggage: 64 pairs, 8192 bytes. */
VT_EXPORT void vt_baggage_set(const char *key, const char *value);
VT_EXPORT size_t vt_baggage_get(const char *key, char *value, size_t size);

/* Exporters: where finished spans go ------------------------------------------------------------------------------- */

enum { VT_KIND_INTERNAL = 1, VT_KIND_SERVER, VT_KIND_CLIENT }; /* vt_finished.kind; the numbers are OTLP's */

typedef struct vt_event {
    const char *name;
    uint32_t name_size;
    uint32_t attr_count;
    int64_t time_ns;
    const vt_attr *attrs; /* sizes are filled in */
} vt_event;

/* A finished span as exporters see it: borrowed for the call, texts end with NUL, sizes are filled in. */
typedef struct vt_finished {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t parent_span_id[8]; /* zero: a root */
    int64_t start_ns;
    int64_t end_ns; /* never before start_ns */
    const char *operation;
    const char *error;      /* NULL: none was given */
    const char *tracestate; /* NULL: none */
    const vt_attr *attrs;   /* keys are distinct; without the resource's */
    const vt_event *events;
    uint32_t operation_size;
    uint32_t error_size;
    uint32_t attr_count;
    uint32_t event_count;
    uint32_t dropped_attrs; /* past max_attributes */
    uint32_t dropped_events;
    uint8_t failed; /* vt_span_error was called */
    uint8_t kind;   /* VT_KIND_… */
    uint8_t flags;  /* W3C trace flags */
    uint8_t remote_parent;
} vt_finished;

/* The functions are called by one thread at a time; ctx is theirs. Copied by vt_init, which owns it from then on, also
 * when it fails: shutdown is called exactly once. Any function but export_spans may be NULL. */
typedef struct vt_exporter {
    const char *name; /* a literal, for VITRINE_DEBUG: "console", "otlp" */
    void *ctx;
    /* Takes count finished spans of the service described by resource. 0, or VT_ERROR_EXPORT when they are lost. */
    int (*export_spans)(void *ctx, const vt_attr *resource, size_t resource_count, const vt_finished *spans,
                        size_t count);
    int (*flush)(void *ctx, uint32_t timeout_ms); /* passes on what it holds back; 0 or VT_ERROR_… */
    /* Passes on what can be in that time, then frees ctx. How many spans that it had taken are lost. */
    uint64_t (*shutdown)(void *ctx, uint32_t timeout_ms);
    /* In a fresh child of fork: forget what the parent will send, open anew what is shared. */
    void (*forked)(void *ctx);
    /* How many spans export_spans took, answering 0, and have been lost since, and since the last call. */
    uint64_t (*lost)(void *ctx);
} vt_exporter;

/* Configuration --------------------------------------------------------------------------------------------------- */

/* How much of prompts and responses is kept. */
typedef enum vt_capture {
    VT_CAPTURE_DEFAULT, /* VITRINE_CAPTURE (full, preview, none), else preview */
    VT_CAPTURE_FULL,    /* preview, and the whole text in llm.input.messages and llm.output.messages */
    VT_CAPTURE_PREVIEW, /* first 100 characters in events llm.prompt and llm.response */
    VT_CAPTURE_NONE     /* lengths alone */
} vt_capture;

typedef enum vt_sampler {
    VT_SAMPLER_DEFAULT, /* OTEL_TRACES_SAMPLER and _ARG, else VT_SAMPLER_PARENT_ON */
    VT_SAMPLER_ON,
    VT_SAMPLER_OFF,
    VT_SAMPLER_RATIO,       /* traces whose id falls under sampler_ratio; the same in every service */
    VT_SAMPLER_PARENT_ON,   /* what the parent decided; roots: on */
    VT_SAMPLER_PARENT_OFF,  /* … roots: off */
    VT_SAMPLER_PARENT_RATIO /* … roots: by ratio */
} vt_sampler;

typedef enum vt_switch { VT_BY_ENVIRONMENT, VT_ON, VT_OFF } vt_switch;

enum { /* vt_config.propagators, bits; 0: OTEL_PROPAGATORS, else the first two */
       VT_PROPAGATE_TRACECONTEXT = 1,
       VT_PROPAGATE_BAGGAGE = 2,
       VT_PROPAGATE_B3 = 4,
       VT_PROPAGATE_B3_MULTI = 8
};

/* What is taken out of texts before they are kept. Such a text is left with "[email]", "[phone]", "[card]", "[apikey]"
 * in its place; `vitrine serve --mask` takes out the same. */
enum {
    VT_MASK_EMAIL = 1,
    VT_MASK_PHONE = 2,
    VT_MASK_CARD = 4,   /* 12 to 19 digits that pass the Luhn check */
    VT_MASK_APIKEY = 8, /* of OpenAI, Anthropic, AWS, GitHub and others, bearer and web tokens, private keys */
    VT_MASK_ALL = 15
};

/* A ready-made vt_config.redact: masks all of these, or those that ctx points at (const unsigned *, VT_MASK_… bits). To
 * be called from a callback of your own, too. Text that is a JSON list or object stays one: its strings and numbers are
 * masked. In values of user.id, thread.id and their kin each replacement gets eight digits ("[email]-1f0c9a3e"), so
 * that users stay apart. Without memory for it the text becomes "[masked]". */
VT_EXPORT void vt_mask(void *ctx, const char *key, const char **text, size_t *size);

/* A zeroed struct is valid: everything comes from the environment, then from defaults. A field that is given wins over
 * the environment. All texts are copied. */
typedef struct vt_config {
    const char *service_name;    /* OTEL_SERVICE_NAME, else "unknown_service" */
    const char *service_version; /* OTEL_SERVICE_VERSION */
    const char *environment;     /* deployment.environment; NODE_ENV */
    const vt_attr *resource;     /* more attributes of this process, over OTEL_RESOURCE_ATTRIBUTES */
    size_t resource_count;

    /* The JSON lines. By environment: OTEL_ENABLE_CONSOLE if set, else on when there is no other exporter. Whole lines,
     * many at a time, go to console_write if given, else to console_file, else to stdout. */
    vt_switch console;
    FILE *console_file; /* stays the caller's; must stay open until vt_shutdown */
    void (*console_write)(void *ctx, const char *lines, size_t size); /* called by one thread at a time */
    void *console_ctx;

    /* OTLP over HTTP needs libvitrine-otlp, which is linked or loaded when found. By environment: OTEL_ENABLE_OTLP if
     * set, else on when otlp_endpoint or OTEL_EXPORTER_OTLP_[TRACES_]ENDPOINT is given. */
    vt_switch otlp;
    const char *otlp_endpoint; /* "http://localhost:4318": /v1/traces is appended */
    const char *otlp_headers;  /* "key=value,key=value" percent-encoded, or {"key":"value"} */

    /* StatsD metrics of LLM calls and chat turns over UDP. By environment: VITRINE_STATSD. */
    const char *statsd_address; /* "host:port" or "host" (port 8125) */
    double statsd_rate;         /* of spans counted, 0 < rate <= 1; 0: 1 */
    bool statsd_plain;          /* no tags: for servers that are not DogStatsD */

    const vt_exporter *exporters; /* your own, beside the above */
    size_t exporter_count;

    vt_sampler sampler;
    double sampler_ratio; /* 0 … 1, for the ratio samplers */

    vt_capture capture;
    /* Called, on the thread that traces, with every string that is about to be kept as prompt, response, attribute
     * value, event attribute or error message. What it leaves in *text and *size is kept; *text may be pointed
     * elsewhere (valid until the next call on that thread), but must not be written through. key is the attribute's
     * name. */
    void (*redact)(void *ctx, const char *key, const char **text, size_t *size);
    void *redact_ctx;

    bool synchronous;         /* export inside vt_span_end, without a background thread */
    uint32_t queue_size;      /* finished spans that wait, at most; OTEL_BSP_MAX_QUEUE_SIZE, else 2048 */
    uint32_t batch_size;      /* spans an exporter gets at a time; OTEL_BSP_MAX_EXPORT_BATCH_SIZE, else 512 */
    uint32_t delay_ms;        /* longest wait before export; OTEL_BSP_SCHEDULE_DELAY, else 5000 */
    uint32_t timeout_ms;      /* for the last export at exit; OTEL_BSP_EXPORT_TIMEOUT, else 30000 */
    uint32_t max_attributes;  /* of a span and of an event; OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT, else 128 */
    uint32_t max_value_bytes; /* OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT, else 262144; cut at a code point */
    uint32_t max_events;      /* OTEL_SPAN_EVENT_COUNT_LIMIT, else 128 */

    /* Spans were lost: called by the background thread, at most once a second, with how many since the last call and
     * why ("queue full", "export failed", …). */
    void (*on_drop)(void *ctx, uint64_t spans, const char *reason);
    void *on_drop_ctx;

    unsigned propagators; /* VT_PROPAGATE_… */
    unsigned mask; /* VT_MASK_… bits; 0: VITRINE_MASK ("email,card", "all"), else none. After redact, and in names and
                      whole numbers as well */
    void *reserved[8]; /* zero */
} vt_config;

/* Starts tracing; config NULL: from the environment alone. When tracing runs already it returns 0 and changes nothing;
 * after vt_shutdown it starts anew. On failure tracing stays off and the application may go on. OTEL_SDK_DISABLED=true:
 * returns 0 and tracing stays off. What is open or queued is exported at exit() as by vt_shutdown. */
VT_EXPORT int vt_init(const vt_config *config);
/* Why vt_init failed on this thread: one sentence that names the field or variable, its value and what to do. "" else.
 */
VT_EXPORT const char *vt_error_message(void);
/* Exports all spans that ended before the call. 0, VT_ERROR_TIMEOUT or VT_ERROR_EXPORT. timeout_ms 0: starts only. */
VT_EXPORT int vt_flush(uint32_t timeout_ms);
/* Exports what has ended, within timeout_ms of the configuration, and stops. Spans still open are dropped. */
VT_EXPORT void vt_shutdown(void);

/* Counts since vt_init. */
typedef struct vt_stats {
    uint64_t started;          /* spans, sampled or not */
    uint64_t unsampled;        /* not recorded: the sampler said so */
    uint64_t finished;         /* recorded and ended */
    uint64_t exported;         /* taken by every exporter */
    uint64_t dropped_queue;    /* lost: the queue was full, or the span larger than it */
    uint64_t dropped_export;   /* lost: an exporter failed */
    uint64_t dropped_memory;   /* not recorded: too many open spans, or no memory */
    uint64_t dropped_attrs;    /* attributes past the limit */
    uint64_t dropped_events;   /* events past the limit */
    uint64_t truncated_values; /* values cut at the limit */
    uint64_t open;             /* spans open now */
    uint64_t memory_bytes;     /* held by the library for spans and queues */
} vt_stats;
VT_EXPORT void vt_stats_get(vt_stats *stats); /* exact for what this thread did, a moment old for other threads */

VT_EXPORT const char *vt_version(void); /* "0.1.0" */

#ifdef __cplusplus
}
#endif
#endif
