/* From many dialects to one record: picks the best of the names that mean the same, then fills the span. */
#include "span/normalise.h"

#include "base/json.h"
#include "base/timestamp.h"
#include "base/utf8.h"
#include "span/dialect.h"
#include "span/mask.h"
#include "span/messages.h"
#include "span/usage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const int64_t FUTURE_MAX_NS = INT64_C(86400) * NS_PER_S;
enum { EVENT_TEXT_KEPT = 256, PLACES = 64 };

/* The best value found for a field so far. */
struct pick {
    const struct value *value; /* NULL = none */
    const struct dialect_name *name;
    const struct attr *attr; /* where it stands; NULL for what comes from a resource */
    uint8_t rank;
};

/* Prompt or completion, wherever it comes from. */
struct talk {
    enum { TALK_NONE, TALK_VALUE, TALK_PIECES, TALK_MESSAGE_EVENTS, TALK_PREVIEW } from;
    uint8_t list_rank; /* of the flattened list; 255 = none */
    const struct dialect_list *list;
    struct message_piece *pieces;
    uint32_t piece_count;
    const struct attr *event_attr; /* TALK_VALUE or TALK_PREVIEW of an event */
    bool taken;                    /* its text went into the span: do not keep it a second time */
};

struct reading {
    struct batch *batch;
    const struct raw_span *raw;
    struct span *span;
    struct pick picks[FIELD_COUNT];
    struct talk prompt, completion;
    int kind;             /* enum span_kind, or -1 */
    bool from_log;        /* zero tokens and "" stand for "not given" */
    bool chat_attributes; /* chat.… of the storefront */
    const struct raw_event *first_token;
};

/* ---- values ---- */

static bool value_is_empty(const struct value *value) {
    return value->type == VALUE_NONE ||
           ((value->type == VALUE_STRING || value->type == VALUE_JSON) && !value->text.len);
}

static bool number_of_text(struct slice text, double *number) {
    char digits[48], *end;
    if (!text.len || text.len >= sizeof digits) return false;
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = 0;
    *number = strtod(digits, &end);
    return end == digits + text.len && isfinite(*number);
}

static double value_double(const struct value *value) {
    double number;
    if (!value) return (double)NAN;
    if (value->type == VALUE_INT) return (double)value->integer;
    if (value->type == VALUE_DOUBLE) return isfinite(value->real) ? value->real : (double)NAN;
    if ((value->type == VALUE_STRING || value->type == VALUE_JSON) && number_of_text(value->text, &number))
        return number;
    return (double)NAN;
}

static int64_t value_int(const struct value *value) {
    if (value && value->type == VALUE_INT) return value->integer;
    double number = value_double(value);
    return isnan(number) || fabs(number) > 9e15 ? SPAN_NO_INT : (int64_t)llround(number);
}

/* The value as text in the batch's arena; empty for what is none. */
static struct slice value_text(struct batch *batch, const struct value *value) {
    if (!value) return (struct slice){NULL, 0};
    switch (value->type) {
    case VALUE_STRING:
    case VALUE_JSON: return arena_copy(&batch->arena, value->text);
    case VALUE_INT: return arena_printf(&batch->arena, "%lld", (long long)value->integer);
    case VALUE_DOUBLE: return arena_printf(&batch->arena, "%.15g", value->real);
    case VALUE_BOOL: return value->integer ? SLICE("true") : SLICE("false");
    case VALUE_NONE: break;
    }
    return (struct slice){NULL, 0};
}

static struct slice value_borrow(const struct value *value) {
    return value && (value->type == VALUE_STRING || value->type == VALUE_JSON) ? value->text : (struct slice){NULL, 0};
}

/* ---- picking ---- */

static bool is_count(enum field field) {
    return field >= FIELD_INPUT && field <= FIELD_UNCACHED;
}

/* What the sender meant by leaving a value empty: nothing. */
static bool is_given(const struct reading *in, const struct dialect_name *name, const struct value *value) {
    if (value_is_empty(value)) return false;
    if (!in->from_log || (value->type != VALUE_INT && value->type != VALUE_DOUBLE)) return true;
    bool zero = value->type == VALUE_INT ? value->integer == 0 : value->real == 0;
    if (!zero) return true;
    /* Our own library leaves out what is not set, so its temperature of 0 is one. */
    if (name->field == FIELD_TEMPERATURE) return !in->raw->join_by_parent;
    return !is_count(name->field) && name->field != FIELD_TTFT && name->field != FIELD_COST;
}

static void pick_kind(struct reading *in, const struct dialect_name *name, const struct attr *attr) {
    struct pick *pick = &in->picks[FIELD_KIND];
    if (pick->value && pick->rank < name->rank) return;
    int kind = dialect_kind(value_borrow(&attr->value));
    if (kind < 0) return;
    *pick = (struct pick){&attr->value, name, attr, name->rank};
    in->kind = kind;
}

static void pick_attr(struct reading *in, const struct attr *attr, bool from_event) {
    const struct dialect_name *name = dialect_find(attr->key);
    if (!name || !is_given(in, name, &attr->value)) return;
    struct pick *pick = &in->picks[name->field];
    if (name->field == FIELD_KIND) {
        if (!from_event) pick_kind(in, name, attr);
        return;
    }
    /* "thread.id" is the conversation when it is text; as a number it is the operating system's thread. */
    if (name->field == FIELD_THREAD && attr->value.type != VALUE_STRING && !in->from_log) return;
    if (pick->value && pick->rank <= name->rank) return;
    *pick = (struct pick){&attr->value, name, attr, name->rank};
}

static bool add_piece(struct reading *in, const struct dialect_list *list, uint32_t index, struct slice rest,
                      const struct attr *attr) {
    struct talk *talk = list->field == FIELD_PROMPT ? &in->prompt : &in->completion;
    if (talk->list && talk->list != list) {
        if (talk->list->rank < list->rank) return true;
        talk->piece_count = 0;
    }
    if (!talk->pieces) talk->pieces = arena_alloc(&in->batch->arena, in->raw->attr_count * sizeof *talk->pieces);
    if (!talk->pieces) return false;
    talk->list = list;
    talk->pieces[talk->piece_count++] = (struct message_piece){index, 0, rest, &attr->value};
    return true;
}

static bool pick_attrs(struct reading *in) {
    for (uint32_t i = 0; i < in->raw->attr_count; i++) {
        const struct attr *attr = &in->raw->attrs[i];
        uint32_t index;
        struct slice rest;
        const struct dialect_list *list = dialect_list_find(attr->key, &index, &rest);
        if (list) {
            if (!add_piece(in, list, index, rest, attr)) return false;
            continue;
        }
        in->chat_attributes |= slice_starts(attr->key, SLICE("chat."));
        pick_attr(in, attr, false);
    }
    return true;
}

/* ---- events ---- */

static const char *const first_token_events[] = {"gen_ai.first_token", "llm.first_token", "ai.stream.firstChunk",
                                                 "First Token Stream Event", NULL};

/* Events that carry a text: which of their attributes it is in. A preview is not the whole text. */
static const struct {
    const char *event, *key;
    enum field field;
    bool preview;
} text_events[] = {
    {"gen_ai.content.prompt", "gen_ai.prompt", FIELD_PROMPT, false},
    {"gen_ai.content.completion", "gen_ai.completion", FIELD_COMPLETION, false},
    {"gen_ai.client.inference.operation.details", "gen_ai.input.messages", FIELD_PROMPT, false},
    {"gen_ai.client.inference.operation.details", "gen_ai.output.messages", FIELD_COMPLETION, false},
    {"llm.prompt", "prompt.text", FIELD_PROMPT, false},
    {"llm.prompt", "prompt.preview", FIELD_PROMPT, true},
    {"llm.response", "response.text", FIELD_COMPLETION, false},
    {"llm.response", "response.preview", FIELD_COMPLETION, true},
};

static bool is_one_of(struct slice name, const char *const *names) {
    for (; *names; names++)
        if (slice_is(name, *names)) return true;
    return false;
}

static void read_text_event(struct reading *in, const struct raw_event *event) {
    for (size_t t = 0; t < sizeof text_events / sizeof *text_events; t++) {
        if (!slice_is(event->name, text_events[t].event)) continue;
        struct talk *talk = text_events[t].field == FIELD_PROMPT ? &in->prompt : &in->completion;
        for (uint32_t i = 0; i < event->attr_count; i++) {
            const struct attr *attr = &event->attrs[i];
            if (!slice_is(attr->key, text_events[t].key) || value_is_empty(&attr->value)) continue;
            if (talk->from == TALK_VALUE || (talk->from == TALK_PREVIEW && text_events[t].preview)) continue;
            talk->from = text_events[t].preview ? TALK_PREVIEW : TALK_VALUE;
            talk->event_attr = attr;
        }
    }
}

/* "gen_ai.user.message" → "user"; empty when the event is no message. */
static struct slice message_event_role(struct slice name) {
    if (!slice_starts(name, SLICE("gen_ai."))) return (struct slice){NULL, 0};
    struct slice role = slice_from(name, sizeof "gen_ai." - 1);
    if (slice_is(role, "choice")) return SLICE("assistant");
    if (!slice_ends(role, SLICE(".message"))) return (struct slice){NULL, 0};
    role.len -= sizeof ".message" - 1;
    return role;
}

static void read_events(struct reading *in) {
    for (uint32_t i = 0; i < in->raw->event_count; i++) {
        const struct raw_event *event = &in->raw->events[i];
        if (!in->first_token && is_one_of(event->name, first_token_events)) in->first_token = event;
        read_text_event(in, event);
        struct slice role = message_event_role(event->name);
        struct talk *talk = slice_is(event->name, "gen_ai.choice") ? &in->completion : &in->prompt;
        if (role.len && talk->from != TALK_VALUE) talk->from = TALK_MESSAGE_EVENTS;
        bool failure = slice_is(event->name, "exception");
        for (uint32_t a = 0; a < event->attr_count; a++)
            if (failure || slice_starts(event->name, SLICE("ai.stream."))) pick_attr(in, &event->attrs[a], true);
    }
}

/* ---- prompt and completion ---- */

/* Older GenAI instrumentation: one event a message, {"content"} or all in JSON under gen_ai.event.content. */
static void write_message_events(struct reading *in, bool completion, struct buf *out) {
    struct json_writer w = json_writer_on(out);
    json_open(&w, '[');
    for (uint32_t i = 0; i < in->raw->event_count; i++) {
        const struct raw_event *event = &in->raw->events[i];
        struct slice role = message_event_role(event->name);
        if (!role.len || slice_is(event->name, "gen_ai.choice") != completion) continue;
        json_open(&w, '{');
        json_put_key(&w, "role"), json_put_string(&w, role);
        for (uint32_t a = 0; a < event->attr_count; a++) {
            const struct attr *attr = &event->attrs[a];
            if (slice_is(attr->key, "role") || slice_is(attr->key, "gen_ai.system") ||
                slice_is(attr->key, "gen_ai.provider.name"))
                continue;
            json_put_key_slice(&w, slice_is(attr->key, "gen_ai.event.content") ? SLICE("content") : attr->key);
            value_write_json(&w, &attr->value);
        }
        json_close(&w, '}');
    }
    json_close(&w, ']');
}

static struct slice scratch_take(struct reading *in) {
    struct buf *scratch = &in->batch->scratch;
    struct slice text = scratch->failed ? (struct slice){NULL, 0} : arena_copy(&in->batch->arena, buf_slice(scratch));
    buf_clear(scratch);
    return text;
}

static struct slice talk_text(struct reading *in, struct talk *talk, enum field field) {
    struct buf *scratch = &in->batch->scratch;
    const struct pick *pick = &in->picks[field];
    struct slice system = field == FIELD_PROMPT ? value_borrow(in->picks[FIELD_SYSTEM].value) : (struct slice){NULL, 0};
    const char *role = field == FIELD_PROMPT ? "user" : "assistant";
    struct arena *arena = &in->batch->arena;
    if (talk->list && (!pick->value || talk->list->rank < pick->rank)) {
        talk->from = TALK_PIECES;
        talk->taken = true;
        messages_from_pieces(scratch, talk->pieces, talk->piece_count, system, arena);
        return scratch_take(in);
    }
    struct slice calls =
        field == FIELD_COMPLETION ? value_borrow(in->picks[FIELD_TOOL_CALLS].value) : (struct slice){NULL, 0};
    if (calls.len && messages_from_tool_calls(scratch, value_borrow(pick->value), calls, arena)) {
        talk->from = TALK_VALUE;
        talk->taken = true;
        return scratch_take(in);
    }
    if (!pick->value && talk->from == TALK_MESSAGE_EVENTS) {
        write_message_events(in, field == FIELD_COMPLETION, scratch);
        return scratch_take(in);
    }
    const struct value *value = pick->value ? pick->value : talk->event_attr ? &talk->event_attr->value : NULL;
    if (!value) return (struct slice){NULL, 0};
    if (pick->value) talk->from = TALK_VALUE, talk->event_attr = NULL;
    talk->taken = true;
    struct slice text = value_borrow(value);
    if (text.len && messages_from_json(scratch, text, system, role, arena)) return scratch_take(in);
    return value_text(in->batch, value);
}

/* ---- usage ---- */

static const struct {
    const char *key;
    uint8_t offset;
    bool disjoint; /* a name of Langfuse's own, whose counts do not overlap */
} usage_keys[] = {
#define USAGE(key, field, disjoint)                                                                                    \
    { key, offsetof(struct usage, field), disjoint }
    USAGE("input", input, true),
    USAGE("input_tokens", input, false),
    USAGE("prompt_tokens", input, false),
    USAGE("promptTokens", input, false),
    USAGE("inputTokens", input, false),
    USAGE("output", output, true),
    USAGE("output_tokens", output, false),
    USAGE("completion_tokens", output, false),
    USAGE("completionTokens", output, false),
    USAGE("outputTokens", output, false),
    USAGE("total", total, false),
    USAGE("total_tokens", total, false),
    USAGE("totalTokens", total, false),
    USAGE("input_cached_tokens", cached, true),
    USAGE("cache_read_input_tokens", cached, true),
    USAGE("input_cache_read", cached, true),
    USAGE("cached_tokens", cached, false),
    USAGE("cachedInputTokens", cached, false),
    USAGE("cache_creation_input_tokens", cache_write, true),
    USAGE("input_cache_creation", cache_write, true),
    USAGE("input_cache_write", cache_write, true),
    USAGE("output_reasoning_tokens", reasoning, true),
    USAGE("output_reasoning", reasoning, true),
    USAGE("reasoning_tokens", reasoning, false),
    USAGE("reasoningTokens", reasoning, false),
#undef USAGE
};

/* A JSON object of counts; details ({"prompt_tokens_details":{"cached_tokens":3}}) are looked into. */
static void read_usage_json(struct json_reader *r, struct usage *usage) {
    struct slice key;
    json_object(r);
    while (json_key(r, &key)) {
        enum json_type type = json_peek(r);
        if (type == JSON_OBJECT && r->depth < 4) {
            read_usage_json(r, usage);
            continue;
        }
        if (type != JSON_NUMBER) {
            json_skip(r, NULL);
            continue;
        }
        struct json_number number;
        json_number(r, &number);
        for (size_t i = 0; i < sizeof usage_keys / sizeof *usage_keys; i++) {
            if (!slice_is(key, usage_keys[i].key) || !(fabs(number.real) < 9e15)) continue;
            int64_t *count = (int64_t *)(void *)((char *)usage + usage_keys[i].offset);
            *count = (int64_t)number.real;
            if (usage_keys[i].offset == offsetof(struct usage, input)) usage->disjoint = usage_keys[i].disjoint;
        }
    }
}

static void read_usage(struct reading *in) {
    struct span *span = in->span;
    struct usage usage = usage_none();
    struct json_reader r;
    if (in->picks[FIELD_USAGE].value) {
        usage.dialect = DIALECT_LANGFUSE;
        json_reader_init(&r, value_borrow(in->picks[FIELD_USAGE].value), &in->batch->arena);
        if (json_peek(&r) == JSON_OBJECT) read_usage_json(&r, &usage);
    }
    int64_t *const counts[] = {&usage.input,  &usage.output,      &usage.total,
                               &usage.cached, &usage.cache_write, &usage.reasoning};
    for (int i = 0; i < (int)(sizeof counts / sizeof *counts); i++) {
        const struct pick *pick = &in->picks[FIELD_INPUT + i];
        if (!pick->value) continue;
        int64_t count = value_int(pick->value);
        if (count == SPAN_NO_INT) continue;
        *counts[i] = count;
        if (i == 0) usage.dialect = pick->name->dialect, usage.disjoint = false;
        if (i == FIELD_TOTAL - FIELD_INPUT && pick->name->dialect == DIALECT_OPENLLMETRY)
            usage.dialect = DIALECT_OPENLLMETRY;
    }
    /* Who also tells the part that was not cached, or is known to follow the newer convention, counts inclusively. */
    struct slice scope = in->raw->resource ? in->raw->resource->scope_name : (struct slice){NULL, 0};
    usage.inclusive = in->picks[FIELD_UNCACHED].value || slice_is(scope, "pydantic-ai") || slice_is(scope, "gen_ai");
    usage.provider = span_get_text(span, COL_PROVIDER);
    usage.model = span_get_text(span, COL_MODEL);
    if (usage_given(&usage)) usage_to_span(usage, span);
}

static void read_cost(struct reading *in) {
    double cost = value_double(in->picks[FIELD_COST].value);
    if (isnan(cost) && in->picks[FIELD_COSTS].value) {
        struct json_reader r;
        struct slice key;
        double sum = (double)NAN, total = (double)NAN;
        json_reader_init(&r, value_borrow(in->picks[FIELD_COSTS].value), &in->batch->arena);
        if (json_peek(&r) == JSON_OBJECT && json_object(&r))
            while (json_key(&r, &key)) {
                struct json_number number;
                if (json_peek(&r) != JSON_NUMBER)
                    json_skip(&r, NULL);
                else if (json_number(&r, &number)) {
                    if (slice_is(key, "total"))
                        total = number.real;
                    else
                        sum = isnan(sum) ? number.real : sum + number.real;
                }
            }
        cost = isnan(total) ? sum : total;
    }
    if (isnan(cost) || cost < 0) return;
    in->span->cost_usd = cost;
    in->span->flags |= SPAN_COST_REPORTED;
}

/* ---- single fields ---- */

static void read_temperature(struct reading *in) {
    double temperature = value_double(in->picks[FIELD_TEMPERATURE].value);
    struct slice key, json = value_borrow(in->picks[FIELD_PARAMETERS].value), text;
    if (isnan(temperature) && json.len) {
        struct json_reader r;
        json_reader_init(&r, json, &in->batch->arena);
        if (json_peek(&r) == JSON_OBJECT && json_object(&r))
            while (json_key(&r, &key)) {
                struct json_number number;
                bool wanted = slice_is(key, "temperature");
                if (wanted && json_peek(&r) == JSON_NUMBER && json_number(&r, &number))
                    temperature = number.real;
                else if (wanted && json_peek(&r) == JSON_STRING && json_string(&r, &text)) {
                    if (!number_of_text(text, &temperature)) temperature = (double)NAN;
                } else
                    json_skip(&r, NULL);
            }
    }
    in->span->temperature = temperature;
}

/* "stop", "[\"stop\"]", or the first of a list. */
static struct slice first_of_list(struct slice text, struct arena *arena) {
    struct json_reader r;
    struct slice first;
    if (!text.len || *text.ptr != '[') return text;
    json_reader_init(&r, text, arena);
    json_array(&r);
    if (json_item(&r) && json_peek(&r) == JSON_STRING && json_string(&r, &first)) return first;
    return (struct slice){NULL, 0};
}

static struct slice read_finish_reason(struct reading *in) {
    const struct value *value = in->picks[FIELD_FINISH_REASON].value;
    if (!value)
        for (uint32_t i = 0; i < in->completion.piece_count && !value; i++)
            if (slice_is(in->completion.pieces[i].rest, "finish_reason")) value = in->completion.pieces[i].value;
    if (!value) return (struct slice){NULL, 0};
    return arena_copy(&in->batch->arena, first_of_list(value_borrow(value), &in->batch->arena));
}

/* Start to first token, from whatever says it; what lies outside the span is no such time. */
static int64_t read_ttft(struct reading *in) {
    const struct pick *pick = &in->picks[FIELD_TTFT];
    int64_t ttft = SPAN_NO_INT, at;
    if (pick->value && pick->name->form == FORM_TIME) {
        struct slice text = value_borrow(pick->value);
        if (text.len > 2 && *text.ptr == '"') text = slice_make(text.ptr + 1, text.len - 2); /* Langfuse sends JSON */
        if (time_parse(text, &at)) ttft = at - in->raw->start_ns;
    } else if (pick->value) {
        double amount = value_double(pick->value) * (pick->name->form == FORM_MS ? NS_PER_MS : NS_PER_S);
        if (amount >= 0 && amount < 9e18) ttft = (int64_t)amount;
    }
    if (ttft == SPAN_NO_INT && in->first_token) ttft = in->first_token->time_ns - in->raw->start_ns;
    return ttft < 0 ? SPAN_NO_INT : ttft;
}

static enum span_kind read_kind(const struct reading *in) {
    struct slice operation = in->raw->name;
    bool model = in->picks[FIELD_REQUEST_MODEL].value || in->picks[FIELD_RESPONSE_MODEL].value;
    bool tokens = in->span->tokens_input != SPAN_NO_INT || in->span->tokens_output != SPAN_NO_INT;
    if (in->kind >= 0) return (enum span_kind)in->kind;
    if (slice_starts(operation, SLICE("chat.")) && (in->chat_attributes || !model)) return KIND_TURN;
    if (in->picks[FIELD_TOOL].value) return KIND_TOOL;
    if (model && (slice_starts(operation, SLICE("openai.embeddings")) || slice_starts(operation, SLICE("embed"))))
        return KIND_EMBEDDING;
    if (model || tokens) return KIND_LLM;
    return KIND_OTHER;
}

static void read_error(struct reading *in) {
    struct span *span = in->span;
    if (slice_is(value_borrow(in->picks[FIELD_LEVEL].value), "ERROR")) span->status = STATUS_ERROR;
    if (span->status != STATUS_ERROR) return;
    struct slice *error = span_text(span, COL_ERROR);
    *error = arena_copy(&in->batch->arena, in->raw->status_message);
    if (!error->len) *error = value_text(in->batch, in->picks[FIELD_ERROR].value);
    if (!error->len) *error = value_text(in->batch, in->picks[FIELD_ERROR_TYPE].value);
}

/* Own names in small letters, so that "OpenAI" and "openai" are one provider. */
static struct slice read_provider(struct reading *in) {
    struct slice given = value_borrow(in->picks[FIELD_PROVIDER].value);
    if (!given.len) return given;
    struct slice name = arena_copy(&in->batch->arena, dialect_provider(given));
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z') ((char *)(uintptr_t)name.ptr)[i] |= 0x20;
    return name;
}

static double read_sample_rate(const struct reading *in) {
    double rate = value_double(in->picks[FIELD_SAMPLE_RATE].value);
    return rate > 0 && rate <= 1 ? rate : (double)NAN;
}

/* ---- what is kept ---- */

static bool is_taken(const struct reading *in, const struct attr *attr) {
    const struct talk *talks[] = {&in->prompt, &in->completion};
    static const enum field fields[] = {FIELD_PROMPT, FIELD_COMPLETION};
    for (int i = 0; i < 2; i++) {
        if (!talks[i]->taken) continue;
        if (talks[i]->from == TALK_VALUE && !talks[i]->event_attr && in->picks[fields[i]].attr == attr) return true;
        if (talks[i]->from != TALK_PIECES) continue;
        uint32_t index;
        struct slice rest;
        if (dialect_list_find(attr->key, &index, &rest) == talks[i]->list) return true;
    }
    if (in->completion.taken && in->picks[FIELD_TOOL_CALLS].attr == attr) return true;
    return false;
}

static const char *const otel_kinds[] = {NULL, NULL, "SERVER", "CLIENT", "PRODUCER", "CONSUMER"};

static struct slice write_attributes(struct reading *in, int64_t skew_ns) {
    const struct raw_span *raw = in->raw;
    struct json_writer w = json_writer_on(&in->batch->scratch);
    json_open(&w, '{');
    if (raw->source_trace_id.len) json_put_key(&w, "source.trace_id"), json_put_string(&w, raw->source_trace_id);
    if (raw->source_span_id.len) json_put_key(&w, "source.span_id"), json_put_string(&w, raw->source_span_id);
    if (raw->otel_kind > 1 && raw->otel_kind < (int)(sizeof otel_kinds / sizeof *otel_kinds))
        json_put_key(&w, "otel.kind"), json_put_cstr(&w, otel_kinds[raw->otel_kind]);
    if (raw->links.len) json_put_key(&w, "otel.links"), json_put_raw(&w, raw->links);
    if (skew_ns > 0) json_put_key(&w, "vitrine.end_before_start_ms"), json_put_double(&w, (double)skew_ns / NS_PER_MS);
    for (uint32_t i = 0; i < raw->attr_count; i++) {
        const struct attr *attr = &raw->attrs[i];
        if (attr->value.type == VALUE_NONE || is_taken(in, attr)) continue;
        json_put_key_slice(&w, attr->key);
        value_write_json(&w, &attr->value);
    }
    json_close(&w, '}');
    if (in->batch->scratch.len == 2) buf_clear(&in->batch->scratch);
    return in->batch->scratch.len ? scratch_take(in) : (struct slice){NULL, 0};
}

static void put_ms(struct json_writer *w, int64_t ns) {
    if (ns % NS_PER_MS == 0)
        json_put_int(w, ns / NS_PER_MS);
    else
        json_put_double(w, (double)(ns / NS_PER_US) / 1000.0);
}

static struct slice write_events(struct reading *in) {
    const struct raw_span *raw = in->raw;
    struct json_writer w = json_writer_on(&in->batch->scratch);
    if (!raw->event_count) return (struct slice){NULL, 0};
    json_open(&w, '[');
    for (uint32_t i = 0; i < raw->event_count; i++) {
        const struct raw_event *event = &raw->events[i];
        json_open(&w, '{');
        json_put_key(&w, "name"), json_put_string(&w, event->name);
        json_put_key(&w, "timestamp"), put_ms(&w, event->time_ns);
        if (event->attr_count) {
            json_put_key(&w, "attributes");
            json_open(&w, '{');
            for (uint32_t a = 0; a < event->attr_count; a++) {
                const struct attr *attr = &event->attrs[a];
                bool went = (attr == in->prompt.event_attr && in->prompt.taken) ||
                            (attr == in->completion.event_attr && in->completion.taken);
                if (went && value_borrow(&attr->value).len > EVENT_TEXT_KEPT) continue;
                json_put_key_slice(&w, attr->key);
                value_write_json(&w, &attr->value);
            }
            json_close(&w, '}');
        }
        json_close(&w, '}');
    }
    json_close(&w, ']');
    return scratch_take(in);
}

/* ---- the resource, once for all its spans ---- */

static bool same_resource(const struct batch_resource *cache, const struct raw_resource *resource) {
    return cache->attrs && cache->raw.attr_count == resource->attr_count &&
           slice_eq(cache->raw.scope_name, resource->scope_name) &&
           slice_eq(cache->raw.scope_version, resource->scope_version) &&
           slice_eq(cache->raw.project, resource->project) &&
           (!resource->attr_count ||
            memcmp(cache->attrs, resource->attrs, resource->attr_count * sizeof *resource->attrs) == 0);
}

/* Once for all its spans; without memory for it nothing of it is kept. */
static void mask_resource(struct batch *batch, struct batch_resource *cache) {
    if (!batch->mask || !cache->json.len) return;
    buf_clear(&batch->scratch);
    bool good = mask_text(batch->mask, cache->project, cache->json, true, &batch->scratch);
    cache->json = good ? arena_copy(&batch->arena, buf_slice(&batch->scratch)) : (struct slice){NULL, 0};
    buf_clear(&batch->scratch);
}

static void read_resource(struct reading *in) {
    const struct raw_resource *resource = in->raw->resource;
    struct batch_resource *cache = &in->batch->resource;
    if (!resource) return;
    if (!same_resource(cache, resource)) {
        /* The attributes themselves, to know the same resource again: they point to bytes that differ between
         * resources. */
        size_t bytes = resource->attr_count * sizeof *resource->attrs;
        struct attr *attrs = arena_alloc(&in->batch->arena, bytes + 1);
        if (!attrs) return;
        if (bytes) memcpy(attrs, resource->attrs, bytes);
        *cache = (struct batch_resource){.attrs = attrs, .raw = *resource};
        struct json_writer w = json_writer_on(&in->batch->scratch);
        json_open(&w, '{');
        if (resource->scope_name.len) json_put_key(&w, "otel.scope.name"), json_put_string(&w, resource->scope_name);
        if (resource->scope_version.len)
            json_put_key(&w, "otel.scope.version"), json_put_string(&w, resource->scope_version);
        for (uint32_t i = 0; i < resource->attr_count; i++) {
            const struct attr *attr = &resource->attrs[i];
            if (slice_is(attr->key, "service.name")) cache->service = value_text(in->batch, &attr->value);
            if (slice_is(attr->key, "openinference.project.name")) cache->project = value_text(in->batch, &attr->value);
            json_put_key_slice(&w, attr->key);
            value_write_json(&w, &attr->value);
        }
        json_close(&w, '}');
        cache->json =
            in->batch->scratch.len > 2 ? scratch_take(in) : (buf_clear(&in->batch->scratch), (struct slice){NULL, 0});
        if (resource->project.len) cache->project = arena_copy(&in->batch->arena, resource->project);
        mask_resource(in->batch, cache);
        cache->raw.project = resource->project;
    }
    *span_text(in->span, COL_RESOURCE) = cache->json;
    *span_text(in->span, COL_SERVICE) = cache->service;
    *span_text(in->span, COL_PROJECT) = cache->project;
}

/* ---- UTF-8 ---- */

/* Protobuf and JSON as it stands may hold bytes that are no UTF-8; what is stored must not. False when memory ran out.
 */
static bool repair_text(struct batch *batch, struct slice *text) {
    size_t good = utf8_valid_length(text->ptr, text->len);
    if (__builtin_expect(good == text->len, 1)) return true;
    struct buf *out = &batch->scratch;
    struct slice rest = *text;
    buf_clear(out);
    while (rest.len) {
        good = utf8_valid_length(rest.ptr, rest.len);
        buf_put(out, rest.ptr, good);
        rest = slice_from(rest, good);
        if (!rest.len) break;
        buf_puts(out, UTF8_REPLACEMENT);
        rest = slice_from(rest, 1);
    }
    *text = out->failed ? (struct slice){NULL, 0} : arena_copy(&batch->arena, buf_slice(out));
    bool done = !out->failed && text->ptr;
    buf_clear(out);
    return done;
}

static bool repair_texts(struct batch *batch, struct span *span) {
    for (int t = 0; t < COL_TEXT_COUNT; t++)
        if (span->text[t].len && !repair_text(batch, &span->text[t])) return false;
    return true;
}

/* ---- the whole ---- */

/* What a check needs of a span, raw or canonical. */
struct essence {
    const uint8_t *trace_id, *span_id;
    int64_t start_ns, end_ns;
    struct slice name, source_id;
};

static const char *span_label(const struct essence *span, char *out, size_t size) {
    char id[2 * SPAN_ID_SIZE];
    hex_encode(span->span_id, SPAN_ID_SIZE, id);
    struct slice shown = span->source_id.len ? span->source_id : slice_make(id, sizeof id);
    snprintf(out, size, "span %.*s (\"%.*s\")", (int)(shown.len > 40 ? 40 : shown.len), shown.ptr,
             (int)(span->name.len > 80 ? 80 : span->name.len), span->name.ptr ? span->name.ptr : "");
    return out;
}

/* 0, or VT_EINVAL with the reason in the batch. */
static int check(struct batch *batch, const struct essence *span, uint32_t position) {
    char label[160], time[TIME_TEXT_MAX], oldest[TIME_TEXT_MAX];
    if (id_is_zero(span->trace_id, TRACE_ID_SIZE))
        return batch_reject(batch, position, "%s: trace_id is missing or all zeros; expected 32 hex digits",
                            span_label(span, label, sizeof label)),
               VT_EINVAL;
    if (id_is_zero(span->span_id, SPAN_ID_SIZE))
        return batch_reject(batch, position, "%s: span_id is missing or all zeros; expected 16 hex digits",
                            span_label(span, label, sizeof label)),
               VT_EINVAL;
    if (span->start_ns <= 0)
        return batch_reject(batch, position, "%s: start time is %lld; expected nanoseconds since 1970, greater than 0",
                            span_label(span, label, sizeof label), (long long)span->start_ns),
               VT_EINVAL;
    if (span->start_ns < batch->oldest_ns) {
        int len = (int)time_format(span->start_ns, 3, time), oldest_len = (int)time_format(batch->oldest_ns, 3, oldest);
        batch_reject(batch, position, "%s: it started at %.*s, but by --retention nothing before %.*s is kept",
                     span_label(span, label, sizeof label), len, time, oldest_len, oldest);
        return VT_EINVAL;
    }
    if (!batch->now_ns) batch->now_ns = time_now_ns();
    int64_t latest = batch->now_ns + FUTURE_MAX_NS;
    if (span->start_ns <= latest && span->end_ns <= latest) return 0;
    bool start = span->start_ns > latest;
    size_t len = time_format(start ? span->start_ns : span->end_ns, 3, time);
    batch_reject(batch, position,
                 "%s: %s time %.*s lies more than a day in the future; check the sender's clock and unit (nanoseconds)",
                 span_label(span, label, sizeof label), start ? "start" : "end", (int)len, time);
    return VT_EINVAL;
}

/* After all that is read from the texts (estimates, for instance) was read. */
static bool mask_texts(struct batch *batch, struct span *span) {
    return !batch->mask || mask_span(batch->mask, span, &batch->arena);
}

/* What the sender reports wins. */
static void compute_cost(struct batch *batch, struct span *span) {
    if (batch->prices && isnan(span->cost_usd))
        prices_cost_cached(batch->prices, &batch->prices_cache, span, &span->cost_usd);
}

static void fill_texts(struct reading *in) {
    struct batch *batch = in->batch;
    struct span *span = in->span;
    static const struct {
        enum col col;
        enum field field;
    } plain[] = {{COL_USER_ID, FIELD_USER}, {COL_THREAD_ID, FIELD_THREAD}, {COL_TURN_ID, FIELD_TURN}};
    *span_text(span, COL_OPERATION) = arena_copy(&batch->arena, in->raw->name);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        *span_text(span, plain[i].col) = value_text(batch, in->picks[plain[i].field].value);
    if (!span_get_text(span, COL_SERVICE).len)
        *span_text(span, COL_SERVICE) = value_text(batch, in->picks[FIELD_SERVICE].value);
    if (!span_get_text(span, COL_PROJECT).len && (!in->raw->resource || !in->raw->resource->project.len))
        *span_text(span, COL_PROJECT) = value_text(batch, in->picks[FIELD_PROJECT].value);
    *span_text(span, COL_PROVIDER) = read_provider(in);
    const struct pick *request = &in->picks[FIELD_REQUEST_MODEL];
    *span_text(span, COL_MODEL) =
        value_text(batch, request->value ? request->value : in->picks[FIELD_RESPONSE_MODEL].value);
    *span_text(span, COL_FINISH_REASON) = read_finish_reason(in);
}

/* Only whole texts of calls that went well are worth an estimate: of a preview or a failure it would be wrong. */
static void estimate_usage(const struct reading *in) {
    struct span *span = in->span;
    struct slice prompt = span_get_text(span, COL_PROMPT), completion = span_get_text(span, COL_COMPLETION);
    if (span->kind != KIND_LLM || span->status == STATUS_ERROR || span->tokens_input != SPAN_NO_INT ||
        span->tokens_output != SPAN_NO_INT)
        return;
    if (in->prompt.from == TALK_PREVIEW || in->completion.from == TALK_PREVIEW || !completion.len) return;
    if (prompt.len) span->tokens_input = usage_estimate(prompt);
    span->tokens_output = usage_estimate(completion);
    span->flags |= SPAN_USAGE_ESTIMATED;
}

int normalise(struct batch *batch, const struct raw_span *raw, uint32_t position) {
    struct essence essence = {raw->trace_id, raw->span_id, raw->start_ns, raw->end_ns, raw->name, raw->source_span_id};
    if (check(batch, &essence, position) != 0) return VT_EINVAL;
    struct span *span = batch_add(batch);
    if (!span) return VT_ELIMIT;
    struct reading in = {.batch = batch, .raw = raw, .span = span, .kind = -1};
    in.from_log = raw->source == SOURCE_LOG || raw->source == SOURCE_CONVEX;
    memcpy(span->trace_id, raw->trace_id, TRACE_ID_SIZE);
    memcpy(span->span_id, raw->span_id, SPAN_ID_SIZE);
    memcpy(span->parent_span_id, raw->parent_span_id, SPAN_ID_SIZE);
    span->start_ns = raw->start_ns;
    /* An end of 0 is a span that was never ended; one before the start is a clock that was set back. */
    int64_t duration = raw->end_ns > 0 ? raw->end_ns - raw->start_ns : 0;
    span->duration_ns = duration > 0 ? duration : 0;
    span->status = raw->status;
    if (raw->join_by_parent) span->flags |= SPAN_JOIN_BY_PARENT;
    if (raw->content_event) span->flags |= SPAN_CONTENT_EVENT;
    buf_clear(&batch->scratch);
    if (!pick_attrs(&in)) goto no_memory;
    read_events(&in);
    read_resource(&in);
    fill_texts(&in);
    read_usage(&in);
    read_cost(&in);
    read_temperature(&in);
    read_error(&in);
    span->ttft_ns = read_ttft(&in);
    span->sample_rate = read_sample_rate(&in);
    span->kind = read_kind(&in);
    *span_text(span, COL_PROMPT) = talk_text(&in, &in.prompt, FIELD_PROMPT);
    *span_text(span, COL_COMPLETION) = talk_text(&in, &in.completion, FIELD_COMPLETION);
    *span_text(span, COL_ATTRIBUTES) = write_attributes(&in, duration < 0 ? -duration : 0);
    *span_text(span, COL_EVENTS) = write_events(&in);
    estimate_usage(&in);
    if (!repair_texts(batch, span) || !mask_texts(batch, span)) goto no_memory;
    compute_cost(batch, span);
    return 0;
no_memory:
    batch_drop_last(batch);
    return VT_ENOMEM;
}

int normalise_canonical(struct batch *batch, const struct span *span, uint32_t position) {
    int64_t end_ns;
    if (span->duration_ns < 0 || __builtin_add_overflow(span->start_ns, span->duration_ns, &end_ns)) end_ns = INT64_MAX;
    struct essence essence = {span->trace_id, span->span_id, span->start_ns, end_ns, span_get_text(span, COL_OPERATION),
                              {NULL, 0}};
    if (check(batch, &essence, position) != 0) return VT_EINVAL;
    struct span *kept = batch_add(batch);
    if (!kept) return VT_ELIMIT;
    *kept = *span;
    for (int t = 0; t < COL_TEXT_COUNT; t++) {
        if (span->text[t].len) kept->text[t] = arena_copy(&batch->arena, span->text[t]);
        if (span->text[t].len && !kept->text[t].ptr) return batch_drop_last(batch), VT_ENOMEM;
    }
    if (!repair_texts(batch, kept) || !mask_texts(batch, kept)) return batch_drop_last(batch), VT_ENOMEM;
    compute_cost(batch, kept);
    return 0;
}
