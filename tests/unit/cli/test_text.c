/* Text on a terminal: widths as terminals draw them, cuts, and nothing that steers. */
#include "cli/text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void widths_are_those_of_the_terminal(void **state) {
    static const struct {
        const char *text;
        size_t width;
    } cases[] = {
        {"", 0},
        {"plain", 5},
        {"\xc3\xa9t\xc3\xa9", 3},                                                /* é precomposed */
        {"e\xcc\x81te\xcc\x81", 3},                                              /* e + combining acute */
        {"\xe6\x97\xa5\xe6\x9c\xac", 4},                                         /* 日本 */
        {"\xef\xbd\xb1", 1},                                                     /* half-width katakana */
        {"\xf0\x9f\xa7\xa5", 2},                                                 /* 🧥 */
        {"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", 2},                     /* woman + ZWJ + laptop */
        {"\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd", 2},                                 /* thumb with skin tone */
        {"\xe2\x9d\xa4\xef\xb8\x8f", 2},                                         /* heart + VS16 */
        {"\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa", 2},                                 /* flag */
        {"\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa\xf0\x9f\x87\xab\xf0\x9f\x87\xb7", 4}, /* two flags */
        {"a\xe2\x80\x8b"
         "b",
         2}, /* zero-width space */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (text_width(slice_of(cases[i].text)) != cases[i].width)
            fail_msg("case %zu: %zu columns, expected %zu", i, text_width(slice_of(cases[i].text)), cases[i].width);
}

static void nothing_that_steers_a_terminal_goes_through(void **state) {
    static const char *const cases[][2] = {
        {"a\033[31mred\033]0;title\007", "a\xe2\x90\x9b[31mred\xe2\x90\x9b]0;title\xe2\x90\x87"},
        {"one\ntwo\tthree\r\n", "one two three "},
        {"over\rwritten", "overwritten"},
        {"c1\xc2\x9b"
         "31m",
         "c1\xef\xbf\xbd"
         "31m"}, /* CSI as one character */
        {"\xe2\x80\xae"
         "evil",
         "\xef\xbf\xbd"
         "evil"}, /* right-to-left override */
        {"bad\xff\xc3", "bad\xef\xbf\xbd\xef\xbf\xbd"},
        {"\x7f", "\xe2\x90\xa1"},
        {"\xf0\x9f\xa7\xa5 \xc3\xa9", "\xf0\x9f\xa7\xa5 \xc3\xa9"},
    };
    struct buf out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_clear(&out);
        text_clean(&out, slice_of(cases[i][0]), false);
        assert_string_equal(buf_cstr(&out), cases[i][1]);
    }
    buf_clear(&out);
    text_clean(&out, SLICE("a\nb\0c"), true);
    assert_string_equal(buf_cstr(&out), "a\nb\xe2\x90\x80"
                                        "c");
    buf_free(&out);
}

static void cutting_keeps_clusters_whole(void **state) {
    static const struct {
        const char *text;
        size_t width;
        const char *cut;
    } cases[] = {
        {"shell", 5, "shell"},
        {"shells", 5, "shel\xe2\x80\xa6"},
        {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 5, "\xe6\x97\xa5\xe6\x9c\xac\xe2\x80\xa6"},
        {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 4, "\xe6\x97\xa5\xe2\x80\xa6"}, /* half a wide one is none */
        {"a b c", 3, "a\xe2\x80\xa6"},                                           /* no blank before the dots */
        {"abc", 0, ""},
    };
    struct buf out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_clear(&out);
        text_put_cut(&out, slice_of(cases[i].text), cases[i].width);
        assert_string_equal(buf_cstr(&out), cases[i].cut);
    }
    buf_free(&out);
}

static void wrapping_breaks_at_blanks_and_ends(void **state) {
    struct slice rest = SLICE("the quick brown foxes\njump"), line;
    static const char *const lines[] = {"the quick", "brown", "foxes", "jump"};
    for (size_t i = 0; i < 4; i++) {
        line = text_wrap(rest, 9, &rest);
        assert_true(slice_is(line, lines[i]));
    }
    assert_int_equal(rest.len, 0);
    rest = SLICE("\xe6\x97\xa5\xe6\x9c\xac"); /* wider than the line: still one cluster at a time */
    line = text_wrap(rest, 1, &rest);
    assert_int_equal(line.len, 3);
    assert_int_equal(rest.len, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths_are_those_of_the_terminal),
        cmocka_unit_test(nothing_that_steers_a_terminal_goes_through),
        cmocka_unit_test(cutting_keeps_clusters_whole),
        cmocka_unit_test(wrapping_breaks_at_blanks_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
