/* Word filters: every word that words.h finds in a text is in the filter of the text, however it lies. */
#include "kit.h"

#include "store/filters.h"
#include "store/parquet.h"
#include <stdlib.h>

static void all_words_of_a_text_are_found_again(void **state) {
    static const char alphabet[] = "abcXYZ019 .,\\nu\xc3\xa9\x80\"";
    for (unsigned n = 0; n < 3000; n++) {
        unsigned seed = n + 1;
        char text[700], word[WORD_MAX];
        size_t len = n < 300 ? n : (size_t)rand_r(&seed) % sizeof text, run = 0;
        for (size_t i = 0; i < len; i++) {
            if (!run && rand_r(&seed) % 40 == 0) run = (size_t)rand_r(&seed) % 100; /* long words too */
            text[i] = alphabet[(size_t)rand_r(&seed) % (sizeof alphabet - 1)];
            if (run) text[i] = 'w', run--;
        }
        struct word_set set = {0};
        struct buf bits = {0};
        word_set_add(&set, slice_make(text, len));
        put_word_bits(&bits, &set);
        struct slice rest = slice_make(text, len);
        size_t found;
        while ((found = word_next(&rest, word)))
            assert_true(bloom_has((uint8_t *)bits.ptr, (uint32_t)bits.len, word_hash(slice_make(word, found))));
        buf_free(&bits);
        word_set_free(&set);
    }
}

static bool filter_has(const char *text, const char *word) {
    struct word_set set = {0};
    struct buf bits = {0};
    word_set_add(&set, slice_of(text));
    put_word_bits(&bits, &set);
    bool has = bloom_has((uint8_t *)bits.ptr, (uint32_t)bits.len, word_hash(slice_of(word)));
    buf_free(&bits);
    word_set_free(&set);
    return has;
}

static void words_behind_escapes_are_found_too(void **state) {
    assert_true(filter_has("first\\nsecond", "second") && filter_has("first\\nsecond", "nsecond"));
    assert_true(filter_has("a\\u001bRed", "red"));
    assert_true(filter_has("Ein SCHUH", "schuh"));
    assert_false(filter_has("Ein SCHUH", "schu"));
    assert_false(filter_has("", "a"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_words_of_a_text_are_found_again),
                                       cmocka_unit_test(words_behind_escapes_are_found_too)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
