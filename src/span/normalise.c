/* From many dialects to one record: picks the best of the names that mean the same, then fills the span. */
#include "span/normalise.h"

#include "base/timestamp.h"
#include "base/utf8.h"
#include "span/mask.h"
#include "span/reading.h"
#include "span/usage.h"

#include <math.h>
#include <stdio.h>

static const int64_t FUTURE_MAX_NS = INT64_C(86400) * NS_PER_S;

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

void pick_attr(struct reading *in, const struct dialect_name *name, const struct attr *attr, bool from_event) {
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
        const struct dialect_name *name = dialect_find(attr->key);
        if (i < READING_NAMES_MAX) in->names[i] = name;
        in->chat_attributes |= slice_starts(attr->key, SLICE("chat."));
        if (name) {
            pick_attr(in, name, attr, false);
            continue;
        }
        uint32_t index;
        struct slice rest;
        const struct dialect_list *list = dialect_list_find(attr->key, &index, &rest);
        if (list && !add_piece(in, list, index, rest, attr)) return false;
    }
    return true;
}

struct slice scratch_take(struct reading *in) {
    struct buf *scratch = &in->batch->scratch;
    struct slice text = scratch->failed ? (struct slice){NULL, 0} : arena_copy(&in->batch->arena, buf_slice(scratch));
    buf_clear(scratch);
    return text;
}

/* ---- UTF-8 ---- */

/* Protobuf and JSON as it stands may hold bytes that are no UTF-8; what is stored must not. False when memory ran out.
 */
static bool repair_text(struct batch *batch, struct slice *text) {
    if (__builtin_expect(utf8_is_ascii(text->ptr, text->len), 1)) return true;
    size_t good = utf8_valid_length(text->ptr, text->len);
    if (good == text->len) return true;
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
        *span_text(span, plain[i].col) = value_text(&batch->arena, in->picks[plain[i].field].value);
    if (!span_get_text(span, COL_SERVICE).len)
        *span_text(span, COL_SERVICE) = value_text(&batch->arena, in->picks[FIELD_SERVICE].value);
    if (!span_get_text(span, COL_PROJECT).len && (!in->raw->resource || !in->raw->resource->project.len))
        *span_text(span, COL_PROJECT) = value_text(&batch->arena, in->picks[FIELD_PROJECT].value);
    *span_text(span, COL_PROVIDER) = read_provider(in);
    const struct pick *request = &in->picks[FIELD_REQUEST_MODEL];
    *span_text(span, COL_MODEL) =
        value_text(&batch->arena, request->value ? request->value : in->picks[FIELD_RESPONSE_MODEL].value);
    *span_text(span, COL_FINISH_REASON) = read_finish_reason(in);
}

static bool is_nothing(int64_t count) {
    return count == 0 || count == SPAN_NO_INT;
}

/* SDKs that are not told what a streamed answer used send zeros: a model that answered has read and written something.
 * Who also says that it cost nothing, a cache for instance, is believed. */
static void forget_zero_usage(struct span *span) {
    if (span->kind != KIND_LLM || span->status == STATUS_ERROR || span->flags & SPAN_COST_REPORTED ||
        !span_get_text(span, COL_COMPLETION).len || !is_nothing(span->tokens_input) || !is_nothing(span->tokens_output))
        return;
    int64_t *const counts[] = {&span->tokens_input, &span->tokens_output, &span->tokens_cached,
                               &span->tokens_cache_write, &span->tokens_reasoning};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (*counts[i] == 0) *counts[i] = SPAN_NO_INT;
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
    const struct dialect_name *found[READING_NAMES_MAX];
    struct reading in = {.batch = batch, .raw = raw, .span = span, .names = found, .kind = -1};
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
    *span_text(span, COL_PROMPT) = read_talk(&in, &in.prompt, FIELD_PROMPT);
    *span_text(span, COL_COMPLETION) = read_talk(&in, &in.completion, FIELD_COMPLETION);
    *span_text(span, COL_ATTRIBUTES) = write_attributes(&in, duration < 0 ? -duration : 0);
    *span_text(span, COL_EVENTS) = write_events(&in);
    forget_zero_usage(span);
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
