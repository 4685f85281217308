/* Prompt and completion, wherever a sender puts them: an attribute, a flattened list, events. */
#include "span/reading.h"

#include "base/json.h"

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

void read_events(struct reading *in) {
    for (uint32_t i = 0; i < in->raw->event_count; i++) {
        const struct raw_event *event = &in->raw->events[i];
        if (!in->first_token && is_one_of(event->name, first_token_events)) in->first_token = event;
        read_text_event(in, event);
        struct slice role = message_event_role(event->name);
        struct talk *talk = slice_is(event->name, "gen_ai.choice") ? &in->completion : &in->prompt;
        if (role.len && talk->from != TALK_VALUE) talk->from = TALK_MESSAGE_EVENTS;
        bool failure = slice_is(event->name, "exception");
        for (uint32_t a = 0; a < event->attr_count; a++)
            if (failure || slice_starts(event->name, SLICE("ai.stream.")))
                pick_attr(in, dialect_find(event->attrs[a].key), &event->attrs[a], true);
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

struct slice read_talk(struct reading *in, struct talk *talk, enum field field) {
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
    return value_text(&in->batch->arena, value);
}
