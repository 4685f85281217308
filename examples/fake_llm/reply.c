/* Answers by keywords of the last thing that the shopper said. Tools are called when they are offered and the words ask
 * for it. */
#include "reply.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The first row of which every word stands in the question wins; the last row takes all. */
static const struct {
    const char *words[2];
    const char *text;
} answers[] = {
    {{"jacket", "rain"},
     "For rainy weather I would take the **Alpine Shell** (€189): three layers, taped seams, a hood that fits over a "
     "helmet. If you want "
     "something lighter, the **Drizzle Anorak** (€89) packs into its own pocket and keeps a two-hour shower out."},
    {{"size", "shell"},
     "The Alpine Shell runs true to size. At 1.78 m and 74 kg a **M** fits with a fleece under it; take **L** if you "
     "layer more."},
    {{"boots", NULL},
     "The **Ridge Mid** (€159) is our most-walked boot: a stiff shank for scree, a soft collar, and it can be resoled. "
     "Break them in on two short "
     "walks before the long one."},
    {{"tent", NULL},
     "Two people and a dog sleep well in the **Tarn 3** (€349, 2.4 kg). The **Tarn 2** is 600 g lighter, but the dog "
     "would sleep outside."},
    {{"gift", NULL},
     "A gift that always fits: the **Enamel Mug Set** (€24), or a voucher. I can wrap either and add a card."},
    {{"return", NULL},
     "You can send anything back within **30 days**, unworn, with its tag. I have e-mailed you a label; drop the "
     "parcel at any post office."},
    {{"order", NULL}, "Your order left our warehouse this morning and should reach you **tomorrow before 18:00**."},
    {{"discount", NULL},
     "I can't change prices, but the outlet has last season's colours at **30 % off** until Sunday."},
    {{"thank", NULL}, "You're welcome. Have a good time out there!"},
    {{"compare", NULL},
     "| | Alpine Shell | Drizzle Anorak |\n| --- | --- | --- |\n| Price | €189 | €89 |\n| Weight | 410 g | 220 g |\n| "
     "Water column | 20,000 mm | 8,000 mm |\n\n"
     "For a week in Scotland I would take the shell, for the commute the anorak."},
    {{NULL, NULL},
     "Happy to help. Tell me where you are going and what the weather will be like, and I will suggest something from "
     "our catalogue."},
};

static bool contains(const char *text, const char *word) {
    size_t len = strlen(word);
    for (; *text; text++)
        if (strncasecmp(text, word, len) == 0) return true;
    return false;
}

/* The text of a message whose content may be a string or a list of parts. */
static void content_text(const json_t *content, char *out, size_t size) {
    out[0] = 0;
    if (json_is_string(content)) {
        snprintf(out, size, "%s", json_string_value(content));
        return;
    }
    size_t i, used = 0;
    json_t *part;
    json_array_foreach(content, i, part) {
        const char *text = json_string_value(json_object_get(part, "text"));
        if (!text) text = json_string_value(json_object_get(part, "content"));
        if (text && used < size) used += (size_t)snprintf(out + used, size - used, "%s", text);
    }
}

static bool has_part(const json_t *content, const char *type) {
    size_t i;
    json_t *part;
    json_array_foreach(content, i, part) {
        const char *is = json_string_value(json_object_get(part, "type"));
        if (is && strcmp(is, type) == 0) return true;
    }
    return false;
}

long count_tokens(const char *text) {
    return (long)(strlen(text) + 3) / 4;
}

/* The name of the first tool that is offered, in either provider's shape. */
static const char *offered_tool(const json_t *request) {
    const json_t *tool = json_array_get(json_object_get(request, "tools"), 0);
    const char *name = json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
    return name ? name : json_string_value(json_object_get(tool, "name"));
}

static void say(struct reply *reply, const char *question) {
    for (size_t i = 0;; i++) {
        const char *a = answers[i].words[0], *b = answers[i].words[1];
        if ((a && !contains(question, a)) || (b && !contains(question, b))) continue;
        snprintf(reply->text, sizeof reply->text, "%s", answers[i].text);
        return;
    }
}

/* A size that stands as a word of its own. */
static const char *asked_size(const char *question) {
    static const char *const sizes[] = {"41", "42", "43", "44", "XL", "S", "L", "M"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t len = strlen(sizes[i]);
        for (const char *at = question; (at = strstr(at, sizes[i])); at += len)
            if (at > question && at[-1] == ' ' && !isalnum((unsigned char)at[len])) return sizes[i];
    }
    return "M";
}

static void call_tool(struct reply *reply, const char *name, const char *question) {
    static const char *const products[][2] = {
        {"anorak", "DRZ-01"}, {"boot", "RDG-07"}, {"tent", "TRN-03"}, {"mug", "MUG-02"}};
    const char *sku = "ALP-12", *size = asked_size(question);
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        if (contains(question, products[i][0])) sku = products[i][1];
    snprintf(reply->tool, sizeof reply->tool, "%s", name);
    snprintf(reply->arguments, sizeof reply->arguments, "{\"sku\":\"%s\",\"size\":\"%s\"}", sku, size);
}

static void say_stock(struct reply *reply, const char *result) {
    json_t *stock = json_loads(result, 0, NULL);
    const char *name = json_string_value(json_object_get(stock, "name")),
               *size = json_string_value(json_object_get(stock, "size"));
    long long left = json_integer_value(json_object_get(stock, "in_stock"));
    if (!name)
        snprintf(reply->text, sizeof reply->text, "I looked it up: %.300s", result);
    else if (left > 0)
        snprintf(reply->text, sizeof reply->text,
                 "Yes, the **%s** in %s is in stock: %lld left. Ordered before 15:00 it leaves today.", name,
                 size ? size : "your size", left);
    else
        snprintf(reply->text, sizeof reply->text,
                 "The **%s** in %s is sold out, I'm sorry. The next delivery comes on Thursday; shall I put one aside?",
                 name, size ? size : "your size");
    json_decref(stock);
}

void reply_to(const json_t *request, enum dialect dialect, struct reply *reply) {
    *reply = (struct reply){0};
    char text[8192] = "", last_user[8192] = "", tool_result[2048] = "";
    content_text(json_object_get(request, "system"), text, sizeof text);
    long input = count_tokens(text);
    bool answered_tool = false;
    size_t i;
    json_t *message;
    const json_t *messages = json_object_get(request, "messages");
    if (!messages) messages = json_object_get(request, "input"); /* responses API: text, or a list of messages */
    if (json_is_string(messages)) {
        snprintf(last_user, sizeof last_user, "%s", json_string_value(messages));
        input += count_tokens(last_user);
    }
    json_array_foreach(messages, i, message) {
        const char *role = json_string_value(json_object_get(message, "role"));
        const json_t *content = json_object_get(message, "content");
        content_text(content, text, sizeof text);
        input += 4 + count_tokens(text);
        if (!role) continue;
        if (strcmp(role, "tool") == 0 || has_part(content, "tool_result")) {
            snprintf(tool_result, sizeof tool_result, "%s", text);
            answered_tool = true;
        } else if (strcmp(role, "user") == 0) {
            memcpy(last_user, text, sizeof last_user);
            answered_tool = false;
        }
    }
    const char *tool = offered_tool(request), *model = json_string_value(json_object_get(request, "model"));
    if (answered_tool)
        say_stock(reply, tool_result);
    else if (tool && (contains(last_user, "stock") || contains(last_user, "available")))
        call_tool(reply, tool, last_user);
    else
        say(reply, last_user);

    long limit = (long)json_integer_value(json_object_get(request, "max_tokens"));
    if (!limit) limit = (long)json_integer_value(json_object_get(request, "max_completion_tokens"));
    if (limit > 0 && count_tokens(reply->text) > limit) {
        reply->text[limit * 4] = 0;
        for (size_t end = strlen(reply->text); end && ((unsigned char)reply->text[end - 1] & 0x80); end--)
            reply->text[end - 1] = 0;
        reply->cut_by_length = true;
    }
    reply->input_tokens = input;
    reply->cached_tokens = input >= 1024 ? input / 128 * 128 : 0;
    bool thinks = model && (model[0] == 'o' || strncmp(model, "gpt-5", 5) == 0) && dialect == DIALECT_OPENAI;
    reply->reasoning_tokens = thinks ? 64 : 0;
    reply->output_tokens = count_tokens(reply->tool[0] ? reply->arguments : reply->text) + reply->reasoning_tokens;
}

void embed(const char *text, float *vector, size_t size) {
    uint64_t state = 0xcbf29ce484222325u;
    for (const char *p = text; *p; p++) state = (state ^ (unsigned char)*p) * 0x100000001b3u;
    double norm = 0;
    for (size_t i = 0; i < size; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        vector[i] = (float)((double)(state >> 11) / 9007199254740992.0 - 0.5);
        norm += (double)vector[i] * (double)vector[i];
    }
    for (size_t i = 0; i < size; i++) vector[i] = (float)((double)vector[i] / sqrt(norm));
}
