/* Messages to text. */
#include "query/said.h"

#include "base/json.h"
#include "query/needle.h"

struct message {
    struct slice role;
    struct slice text; /* when its content is a plain text */
    struct slice raw;  /* else: a list of parts, as JSON */
};

static void read_message(struct json_reader *r, struct message *message) {
    struct slice key;
    *message = (struct message){{NULL, 0}, {NULL, 0}, {NULL, 0}};
    if (json_peek(r) == JSON_STRING) {
        json_string(r, &message->text);
        return;
    }
    if (json_peek(r) != JSON_OBJECT) {
        json_skip(r, NULL);
        return;
    }
    json_object(r);
    while (json_key(r, &key)) {
        bool content = slice_is(key, "content") || slice_is(key, "parts") || slice_is(key, "text");
        if (slice_is(key, "role") && json_peek(r) == JSON_STRING)
            json_string(r, &message->role);
        else if (content && json_peek(r) == JSON_STRING)
            json_string(r, &message->text);
        else if (content && json_peek(r) != JSON_NULL)
            json_skip(r, &message->raw);
        else
            json_skip(r, NULL);
    }
}

static struct slice text_of(const struct message *message, struct arena *arena) {
    struct buf out = {0};
    if (message->text.len || !message->raw.len) return message->text;
    messages_text(message->raw, &out);
    while (out.len && out.ptr[out.len - 1] == '\n') out.len--;
    struct slice text = arena_copy(arena, buf_slice(&out));
    buf_free(&out);
    return text;
}

struct slice said_last(struct slice content, const char *role, struct arena *arena) {
    struct json_reader r;
    struct message message, last = {{NULL, 0}, {NULL, 0}, {NULL, 0}}, last_of_role = last;
    if (!content.len || content.ptr[0] != '[') return content;
    json_reader_init(&r, content, arena);
    json_array(&r);
    while (json_item(&r)) {
        read_message(&r, &message);
        if (!message.text.len && !message.raw.len) continue;
        last = message;
        if (role && slice_is(message.role, role)) last_of_role = message;
    }
    if (!json_end(&r)) return content; /* it only began like a list */
    return text_of(last_of_role.text.len || last_of_role.raw.len ? &last_of_role : &last, arena);
}
