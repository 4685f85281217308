/* Masking: what is taken out, what is left alone, in texts and in JSON, by project. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spans.h"

#include "span/mask.h"

#include <stdlib.h>
#include <unistd.h>

static struct mask *load(const char *spec) {
    struct mask *mask;
    struct error err = {0};
    if (mask_load(&mask, spec, &err)) fail_msg("%s", err.message);
    return mask;
}

static const char *masked(const struct mask *mask, const char *text, bool json) {
    static struct buf out;
    buf_clear(&out);
    assert_true(mask_text(mask, (struct slice){NULL, 0}, slice_of(text), json, &out));
    return buf_cstr(&out);
}

struct sample {
    const char *text, *expected; /* NULL: as it is */
};

static void check(const char *spec, const struct sample *samples, size_t count) {
    struct mask *mask = load(spec);
    for (size_t i = 0; i < count; i++) {
        const char *got = masked(mask, samples[i].text, false),
                   *expected = samples[i].expected ? samples[i].expected : samples[i].text;
        if (strcmp(got, expected) != 0)
            fail_msg("%s: %s\n  became   %s\n  expected %s", spec, samples[i].text, got, expected);
    }
    mask_free(mask);
}
#define CHECK(spec, samples) check(spec, samples, sizeof samples / sizeof *samples)

static void emails_are_taken_out(void **state) {
    static const struct sample samples[] = {
        {"Write to jane.doe+shop@mail.example.co.uk, please", "Write to [email], please"},
        {"<a@b.de>,c_d@x-y.org.", "<[email]>,[email]."},
        {"J\xc3\xbcrgen j@b.de \xf0\x9f\xa7\xa5", "J\xc3\xbcrgen [email] \xf0\x9f\xa7\xa5"},
        {"user@localhost, @handle, a@b, 3 @ 4.00", NULL},
        {"", NULL},
    };
    CHECK("email", samples);
}

static void phones_are_taken_out(void **state) {
    static const struct sample samples[] = {
        {"Call +1 (555) 123-4567 or +49 171 1234567.", "Call [phone] or [phone]."},
        {"555-123-4567; (555) 123-4567; 555.123.4567", "[phone]; [phone]; [phone]"},
        {"0171 1234567 and 030/123456", "[phone] and [phone]"},
        {"+4917112345678", "[phone]"},
        {"2026-11-23 18:59:51, order 123456789, 1795460391722, 10.0.0.1, 3.14159265, v1.2.3", NULL},
        {"SKU 0012-3456-78, id 4711-0815", NULL},
    };
    CHECK("phone", samples);
}

static void cards_are_taken_out_when_their_digits_add_up(void **state) {
    static const struct sample samples[] = {
        {"4111 1111 1111 1111", "[card]"},
        {"pay with 4111-1111-1111-1111, exp 12/26", "pay with [card], exp 12/26"},
        {"5500005555555559 3782 822463 10005", "[card] [card]"},
        {"4111 1111 1111 1111 12/26 123", "[card] 12/26 123"},
        {"2026 4111 1111 1111 1111", "2026 [card]"},
        {"4111 1111 1111 1112", NULL}, /* one off */
        {"1795460391722 4000000000", NULL},
        {"0.4111111111111111", NULL},
    };
    CHECK("card", samples);
}

static void api_keys_are_taken_out(void **state) {
    static const struct sample samples[] = {
        {"OPENAI_API_KEY=sk-proj-"
         "abcdefghijklmnopqrstuvwxyz0123456789",
         "OPENAI_API_KEY=[apikey]"},
        {"sk-ant-api03-"
         "AbCdEfGhIjKlMnOpQrStUvWxYz_-0123456789",
         "[apikey]"},
        {"sk-"
         "abcdefghijklmnopqrstuvwxyz",
         "[apikey]"},
        {"AIza"
         "SyA1234567890abcdefghijklmnopqrstuv",
         "[apikey]"},
        {"(AKIA"
         "IOSFODNN7EXAMPLE)",
         "([apikey])"},
        {"ghp_"
         "abcdefghijklmnopqrstuvwxyz0123456789 xoxb-"
         "123456789012-abcdef",
         "[apikey] [apikey]"},
        {"Authorization: Bearer abcdefghijklmnopqrstuvwxyz", "Authorization: [apikey]"},
        {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U", "[apikey]"},
        {"-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nrest", "[apikey]\nrest"},
        {"task-list, sk-short, desk-abcdefghijklmnopqrstuvwxyz, AIzaShort", NULL},
    };
    CHECK("apikey", samples);
}

static void rules_work_together(void **state) {
    static const struct sample samples[] = {{"a@b.de paid 4111111111111111 by +1 555 123 4567 with sk-"
                                             "abcdefghijklmnopqrstuvwxyz",
                                             "[email] paid [card] by [phone] with [apikey]"}};
    CHECK("email, phone,card,apikey", samples);
}

static void json_keeps_its_form_and_loses_its_secrets(void **state) {
    struct mask *mask = load("email,card");
    static const struct sample samples[] = {
        {"{\"a\":\"x\",\"n\":[1,2.50,true,null,{\"deep\":\"to a@b.de\"}]}",
         "{\"a\":\"x\",\"n\":[1,2.50,true,null,{\"deep\":\"to [email]\"}]}"},
        {"{\"a\":\"line\\n\\u0061@b.de \\\"q\\\"\"}", "{\"a\":\"line\\n[email] \\\"q\\\"\"}"},
        {"{\"card\":4111111111111111,\"start\":1795460391722000000}",
         "{\"card\":\"[card]\",\"start\":1795460391722000000}"},
        {"{\"a@b.de\":1,\"x\":{}}", "{\"[email]\":1,\"x\":{}}"},
        {"{ \"plain\" : \"\\u00e9\" }", NULL},
        {"[\"a@b.de\",\"c\"]", "[\"[email]\",\"c\"]"},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        assert_string_equal(masked(mask, samples[i].text, true),
                            samples[i].expected ? samples[i].expected : samples[i].text);
    /* What cannot be read cannot be looked through. */
    assert_string_equal(masked(mask, "{\"a\":\"a@b.de", true), "{}");
    mask_free(mask);
}

static struct batch *take(const struct mask *mask, const char *project, const char *attributes) {
    static struct arena arena;
    struct batch *batch = batch_new();
    struct raw_resource resource = {.project = slice_of(project)};
    static const struct attr owner[] = {{SLICE("owner"), {.type = VALUE_STRING, .text = SLICE("ops@shop.example")}}};
    resource.attrs = owner, resource.attr_count = 1;
    struct raw_span raw = raw_of_json(&arena, "chat", attributes);
    static const struct attr preview[] = {
        {SLICE("prompt.preview"), {.type = VALUE_STRING, .text = SLICE("I am a@b.de")}}};
    static const struct raw_event events[] = {{TEST_START_NS, SLICE("llm.prompt"), preview, 1}};
    raw.resource = &resource;
    raw.events = events, raw.event_count = 1;
    raw.status = STATUS_ERROR, raw.status_message = SLICE("no account for a@b.de");
    batch->mask = mask;
    assert_int_equal(normalise(batch, &raw, 1), 0);
    return batch;
}

static bool holds(const struct batch *batch, const char *secret) {
    for (int c = COL_TEXT_FIRST; c < COL_COUNT; c++) {
        struct slice text = span_get_text(&batch->spans[0], (enum col)c);
        if (text.len && memmem(text.ptr, text.len, secret, strlen(secret))) return true;
    }
    return false;
}

#define ATTRIBUTES                                                                                                     \
    "{\"gen_ai.request.model\":\"gpt-4o\",\"gen_ai.input.messages\":\"[{\\\"role\\\":\\\"user\\\",\\\"content\\\":"    \
    "\\\"I am a@b.de and this goes on and on, for more than a hundred characters, so that a preview of it must be "    \
    "cut somewhere before its end: here\\\"}]\","                                                                      \
    "\"input.value\":\"raw a@b.de, and also this text goes on and on for more than a hundred characters, so that it "  \
    "must be cut before its end: here\",\"user.id\":\"a@b.de\",\"note\":\"a@b.de\"}"

static void nothing_of_a_span_escapes(void **state) {
    struct mask *mask = load("email");
    struct batch *batch = take(mask, "", ATTRIBUTES);
    struct span *span = &batch->spans[0];
    assert_false(holds(batch, "a@b.de"));
    assert_false(holds(batch, "ops@shop"));
    assert_true(slice_is(span_get_text(span, COL_ERROR), "no account for [email]"));
    assert_true(slice_is(span_get_text(span, COL_RESOURCE), "{\"owner\":\"[email]\"}"));
    /* Users stay apart, and the same user the same. */
    struct slice user = span_get_text(span, COL_USER_ID);
    assert_true(slice_starts(user, SLICE("[email]-")) && user.len == sizeof "[email]-" - 1 + 8);
    struct batch *other = take(mask, "", "{\"user.id\":\"c@b.de\"}"),
                 *same = take(mask, "", "{\"user.id\":\"a@b.de\"}");
    assert_false(slice_eq(user, span_get_text(&other->spans[0], COL_USER_ID)));
    assert_true(slice_eq(user, span_get_text(&same->spans[0], COL_USER_ID)));
    batch_unref(batch), batch_unref(other), batch_unref(same);
    mask_free(mask);
}

static void capture_says_how_much_of_the_talk_is_kept(void **state) {
    struct mask *mask = load("capture=none");
    struct batch *batch = take(mask, "", ATTRIBUTES);
    assert_int_equal(span_get_text(&batch->spans[0], COL_PROMPT).len, 0);
    assert_false(holds(batch, "goes on"));
    assert_false(holds(batch, "I am"));
    assert_true(holds(batch, "gpt-4o"));
    assert_true(holds(batch, "\"note\":\"a@b.de\""));
    batch_unref(batch);
    mask_free(mask);
    mask = load("email,capture=preview");
    batch = take(mask, "", ATTRIBUTES);
    assert_true(holds(batch, "I am [email] and this goes on"));
    assert_true(holds(batch, "...\""));
    assert_false(holds(batch, "its end"));
    batch_unref(batch);
    batch = take(mask, "",
                 "{\"input.value\":\"a long text in \xc3\xa4\xc3\xb6\xc3\xbc that goes on and on, for more than a "
                 "hundred characters, so that it must be cut somewhere\"}");
    struct slice prompt = span_get_text(&batch->spans[0], COL_PROMPT);
    assert_int_equal(prompt.len, 100 + 3 + 3); /* three letters of two bytes, three dots */
    batch_unref(batch);
    mask_free(mask);
}

static void write_file(char *path, const char *text) {
    strcpy(path, "/tmp/vitrine-mask-XXXXXX.yaml");
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void projects_have_rules_of_their_own(void **state) {
    char path[64];
    write_file(path, "rules: [email]\n"
                     "patterns:\n"
                     "  - {name: order, pattern: 'ORD-\\d{4}'}\n"
                     "  - {name: password, pattern: 'password=(\\S+)', replace: '***'}\n"
                     "projects:\n"
                     "  blue: {rules: [card], capture: none}\n"
                     "  red: {patterns: [{name: word, pattern: '(?i)secret'}]}\n");
    struct mask *mask = load(path);
    static const char text[] = "a@b.de ORD-1234 password=hunter2 4111111111111111 Secret";
    struct buf out = {0};
    static const struct {
        const char *project, *expected;
    } cases[] = {{"", "[email] [order] password=*** 4111111111111111 Secret"},
                 {"green", "[email] [order] password=*** 4111111111111111 Secret"},
                 {"blue", "a@b.de [order] password=*** [card] Secret"},
                 {"red", "[email] [order] password=*** 4111111111111111 [word]"}};
    for (size_t i = 0; i < 4; i++) {
        buf_clear(&out);
        assert_true(mask_text(mask, slice_of(cases[i].project), slice_of(text), false, &out));
        assert_string_equal(buf_cstr(&out), cases[i].expected);
    }
    buf_clear(&out);
    mask_describe(mask, &out);
    assert_string_equal(
        buf_cstr(&out),
        "email, own rule \"order\", own rule \"password\"; capture full; 2 projects with rules of their own");
    struct batch *batch = take(mask, "blue", ATTRIBUTES);
    assert_int_equal(span_get_text(&batch->spans[0], COL_PROMPT).len, 0);
    batch_unref(batch);
    buf_free(&out);
    mask_free(mask);
    unlink(path);
}

static void mistakes_are_named(void **state) {
    static const struct {
        const char *text, *reason;
        int code;
    } files[] = {
        {"rules: [emial]\n", "masking rule \"emial\" is not known; expected email, phone, card or apikey", VT_EINVAL},
        {"patterns: [{name: x, pattern: 'a(b'}]\n",
         "masking rule \"x\": column 4 of its pattern: missing closing parenthesis", VT_EINVAL},
        {"patterns: [{name: x}]\n", ":1: a pattern needs name and pattern", VT_EINVAL},
        {"capture: some\n", "capture is \"some\"; expected full, preview or none", VT_EINVAL},
        {"rule: [email]\n", ":1: key \"rule\" is not known; expected rules, capture, patterns, projects", VT_EINVAL},
        {"projects:\n  blue: {projects: {}}\n", ":2: key \"projects\" is not known", VT_EINVAL},
        {"rules: email\n", ":1: rules: expected a list", VT_EINVAL},
    };
    struct mask *mask;
    struct error err;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[64];
        write_file(path, files[i].text);
        memset(&err, 0, sizeof err);
        assert_int_equal(mask_load(&mask, path, &err), files[i].code);
        if (!strstr(err.message, files[i].reason)) fail_msg("%s", err.message);
        assert_null(mask);
        unlink(path);
    }
    assert_int_equal(mask_load(&mask, "email,capture=all", NULL), VT_EINVAL);
    assert_int_equal(mask_load(&mask, "/nowhere/mask.yaml", NULL), VT_EIO);
    assert_int_equal(mask_load(&mask, NULL, NULL), 0);
    assert_null(mask);
}

/* A pattern that would run for ever takes the text away instead. */
static void pattern_that_gives_up_keeps_nothing(void **state) {
    char path[64], text[64] = "secret ";
    write_file(path, "patterns: [{name: slow, pattern: '(a+)+[0-9]'}]\n");
    struct mask *mask = load(path);
    memset(text + 7, 'a', 40);
    assert_string_equal(masked(mask, text, false), "[masked: rule slow gave up]");
    assert_string_equal(masked(mask, "x \xff y", false), "[masked: rule slow gave up]"); /* no UTF-8 */
    mask_free(mask);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(emails_are_taken_out),
        cmocka_unit_test(phones_are_taken_out),
        cmocka_unit_test(cards_are_taken_out_when_their_digits_add_up),
        cmocka_unit_test(api_keys_are_taken_out),
        cmocka_unit_test(rules_work_together),
        cmocka_unit_test(json_keeps_its_form_and_loses_its_secrets),
        cmocka_unit_test(nothing_of_a_span_escapes),
        cmocka_unit_test(capture_says_how_much_of_the_talk_is_kept),
        cmocka_unit_test(projects_have_rules_of_their_own),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(pattern_that_gives_up_keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
