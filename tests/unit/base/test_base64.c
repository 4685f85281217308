/* Base64: the examples of RFC 4648 both ways, both alphabets, what is none. */
#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void encodes_and_decodes_the_examples_of_the_rfc(void **state) {
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct slice plain = slice_of(pairs[i][0]), coded = slice_of(pairs[i][1]);
        char out[16];
        uint8_t back[16];
        size_t len = sizeof back;
        assert_true(slice_eq(slice_make(out, base64_encode((const uint8_t *)plain.ptr, plain.len, out)), coded));
        assert_true(base64_decode(coded, back, &len));
        assert_true(slice_eq(slice_make(back, len), plain));
        while (coded.len && coded.ptr[coded.len - 1] == '=') coded.len--;
        len = sizeof back;
        assert_true(base64_decode(coded, back, &len));
        assert_true(slice_eq(slice_make(back, len), plain));
    }
}

static void takes_the_alphabet_for_urls(void **state) {
    uint8_t a[3], b[3];
    size_t len_a = 3, len_b = 3;
    assert_true(base64_decode(SLICE("+/+/"), a, &len_a));
    assert_true(base64_decode(SLICE("-_-_"), b, &len_b));
    assert_memory_equal(a, b, 3);
}

static void refuses_what_is_none(void **state) {
    static const char *const wrong[] = {
        "A", "A===", "AB=A", "=", "====", "Zm9v!", "Zh==", "Zm9vY", "Zm 9v", "Zm9v===="};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t out[16];
        size_t len = sizeof out;
        if (base64_decode(slice_of(wrong[i]), out, &len)) fail_msg("\"%s\" was taken", wrong[i]);
    }
    uint8_t small[2];
    size_t len = sizeof small;
    assert_false(base64_decode(SLICE("Zm9v"), small, &len));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(encodes_and_decodes_the_examples_of_the_rfc),
                                       cmocka_unit_test(takes_the_alphabet_for_urls),
                                       cmocka_unit_test(refuses_what_is_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
