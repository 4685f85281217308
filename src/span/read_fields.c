/* Fields that are one value each. */
#include "span/reading.h"

#include "base/json.h"
#include "base/timestamp.h"

#include <math.h>

void read_temperature(struct reading *in) {
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

struct slice read_finish_reason(struct reading *in) {
    const struct value *value = in->picks[FIELD_FINISH_REASON].value;
    if (!value)
        for (uint32_t i = 0; i < in->completion.piece_count && !value; i++)
            if (slice_is(in->completion.pieces[i].rest, "finish_reason")) value = in->completion.pieces[i].value;
    if (!value) return (struct slice){NULL, 0};
    return arena_copy(&in->batch->arena, first_of_list(value_borrow(value), &in->batch->arena));
}

/* Start to first token, from whatever says it; what lies outside the span is no such time. */
int64_t read_ttft(struct reading *in) {
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

enum span_kind read_kind(const struct reading *in) {
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

void read_error(struct reading *in) {
    struct span *span = in->span;
    if (slice_is(value_borrow(in->picks[FIELD_LEVEL].value), "ERROR")) span->status = STATUS_ERROR;
    if (span->status != STATUS_ERROR) return;
    struct slice *error = span_text(span, COL_ERROR);
    *error = arena_copy(&in->batch->arena, in->raw->status_message);
    if (!error->len) *error = value_text(&in->batch->arena, in->picks[FIELD_ERROR].value);
    if (!error->len) *error = value_text(&in->batch->arena, in->picks[FIELD_ERROR_TYPE].value);
}

/* Own names in small letters, so that "OpenAI" and "openai" are one provider. */
struct slice read_provider(struct reading *in) {
    struct slice given = value_borrow(in->picks[FIELD_PROVIDER].value);
    if (!given.len) return given;
    struct slice name = arena_copy(&in->batch->arena, dialect_provider(given));
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z') ((char *)(uintptr_t)name.ptr)[i] |= 0x20;
    return name;
}

double read_sample_rate(const struct reading *in) {
    double rate = value_double(in->picks[FIELD_SAMPLE_RATE].value);
    return rate > 0 && rate <= 1 ? rate : (double)NAN;
}
