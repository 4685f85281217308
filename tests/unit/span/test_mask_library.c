/* What the library takes out on the thread that traces and what the server takes out at ingest is the same, in plain
 * text and in JSON. The library is linked as an application links it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../base/secret_texts.h"
#include "base/json.h"
#include "span/mask.h"
#include "vitrine.h"

static struct mask *mask;

static int load(void **state) {
    return mask_load(&mask, "email,phone,card,apikey", NULL);
}
static int release(void **state) {
    mask_free(mask);
    vt_shutdown();
    return 0;
}

static bool same(struct slice text, bool json) {
    struct buf server = {0};
    const char *library = text.ptr;
    size_t size = text.len;
    vt_mask(NULL, "note", &library, &size);
    assert_true(mask_text(mask, (struct slice){NULL, 0}, text, json, &server));
    if (!slice_eq(slice_make(library, size), buf_slice(&server)))
        fail_msg("%.*s\n  by the library %.*s\n  by the server  %s", (int)text.len, text.ptr, (int)size, library,
                 buf_cstr(&server));
    buf_free(&server);
    return library != text.ptr;
}

static void plain_text_is_masked_alike(void **state) {
    char room[TEXT_MAX];
    unsigned masked = 0;
    for (unsigned n = 1; n < 60000; n++) {
        seed = n;
        struct slice text = make_text(room);
        if (text.len && (*text.ptr == '[' || *text.ptr == '{')) continue;
        masked += same(text, false);
    }
    assert_true(masked > 2000);
}

/* Messages whose contents hold such texts, with all kinds of escapes, and numbers. */
static void json_is_masked_alike(void **state) {
    char room[TEXT_MAX];
    unsigned masked = 0;
    struct buf json = {0};
    for (unsigned n = 1; n < 30000; n++) {
        seed = n;
        buf_clear(&json);
        struct json_writer w = json_writer_on(&json);
        json_open(&w, '[');
        for (unsigned i = 0; i < 1 + n % 3; i++) {
            json_open(&w, '{');
            json_put_key(&w, "role"), json_put_cstr(&w, "user");
            json_put_key_slice(&w, n % 5 ? SLICE("content") : make_text(room)), json_put_string(&w, make_text(room));
            json_put_key(&w, "n"), json_put_int(&w, n % 2 ? INT64_C(4111111111111111) : n);
            json_put_key(&w, "deep"), json_open(&w, '[');
            json_put_string(&w, make_text(room)), json_put_null(&w);
            json_put_raw(&w, SLICE("\"line\\n\\u0061@b.de\\tx\""));
            json_close(&w, ']');
            json_close(&w, '}');
        }
        json_close(&w, ']');
        masked += same(buf_slice(&json), true);
    }
    assert_int_equal(masked, 29999); /* each holds an address at least */
    buf_free(&json);
}

static void capture_and_kinds_do_not_reach_further_than_they_say(void **state) {
    static const unsigned kinds = VT_MASK_CARD;
    const char *text = "a@b.de 4111 1111 1111 1111";
    size_t size = strlen(text);
    vt_mask((void *)(uintptr_t)&kinds, "note", &text, &size);
    assert_int_equal(size, strlen("a@b.de [card]"));
    assert_memory_equal(text, "a@b.de [card]", size);
    /* What came out may go in again, as it does when a callback of one's own calls it. */
    vt_mask(NULL, "note", &text, &size);
    assert_int_equal(size, strlen("[email] [card]"));
    assert_memory_equal(text, "[email] [card]", size);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_is_masked_alike),
        cmocka_unit_test(json_is_masked_alike),
        cmocka_unit_test(capture_and_kinds_do_not_reach_further_than_they_say),
    };
    return cmocka_run_group_tests(tests, load, release);
}
