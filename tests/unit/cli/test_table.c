/* Tables on terminals of different widths and into a pipe; values for people. */
#include "cli/shape.h"
#include "cli/table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct term term;
    struct error err;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    f->term.fd = -1;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    buf_free(&f->term.buf);
    arena_free(&f->arena);
    free(f);
    return 0;
}

static const struct table_column columns[] = {
    {"NAME", false, 4, 0}, {"N", true, 0, 0}, {"EMPTY", false, 0, 0}, {"EXTRA", false, 0, 1}};

static const char *printed(struct fixture *f, unsigned width, const char *name) {
    struct table *table = table_new(&f->arena, columns, 4);
    buf_clear(&f->term.buf);
    f->term.width = width;
    table_put(table, STYLE_PLAIN, slice_of(name));
    table_put(table, STYLE_PLAIN, SLICE("12"));
    table_put(table, STYLE_PLAIN, SLICE(""));
    table_put(table, STYLE_PLAIN, SLICE("more"));
    assert_int_equal(table_rows(table), 1);
    assert_int_equal(table_print(table, &f->term, 0, &f->err), 0);
    return buf_cstr(&f->term.buf);
}

static void into_a_pipe_everything_stands_whole(void **state) {
    assert_string_equal(printed(*state, 0, "a long name"),
                        "NAME          N  EMPTY  EXTRA\na long name  12         more\n");
}

static void a_terminal_leaves_out_empty_columns(void **state) {
    assert_string_equal(printed(*state, 80, "a long name"), "NAME          N  EXTRA\na long name  12  more\n");
}

static void a_narrow_terminal_cuts_then_leaves_out(void **state) {
    assert_string_equal(printed(*state, 18, "a long name"), "NAME      N  EXTRA\na long\xe2\x80\xa6  12  more\n");
    assert_string_equal(printed(*state, 10, "a long name"), "NAME     N\na lon\xe2\x80\xa6  12\n");
}

static void wide_characters_keep_the_columns_straight(void **state) {
    assert_string_equal(printed(*state, 80, "\xe6\x97\xa5\xe6\x9c\xac"),
                        "NAME   N  EXTRA\n\xe6\x97\xa5\xe6\x9c\xac  12  more\n");
    /* Cut through a wide character: one column stays blank. */
    assert_string_equal(printed(*state, 16, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"),
                        "NAME    N  EXTRA\n\xe6\x97\xa5\xe6\x9c\xac\xe2\x80\xa6  12  more\n");
}

static void escape_codes_in_data_do_not_reach_the_terminal(void **state) {
    assert_null(strchr(printed(*state, 80, "\033[2Jgone\007"), '\033'));
}

static void values_are_written_for_people(void **state) {
    static const struct {
        void (*say)(struct buf *out, double value);
        double value;
        const char *text;
    } cases[] = {{say_ms, 0.0123, "12.3 \xc2\xb5s"},
                 {say_ms, 7, "7 ms"},
                 {say_ms, 4283, "4.28 s"},
                 {say_ms, 123456, "2 m 03 s"},
                 {say_ms, 7.5e6, "2 h 05 m"},
                 {say_count, 1234567, "1,234,567"},
                 {say_count, -1234, "-1,234"},
                 {say_count, 0, "0"},
                 {say_count, 0.807, "0.807"},
                 {say_short, 9999, "9,999"},
                 {say_short, 12345, "12.3k"},
                 {say_short, 5.2e6, "5.2M"},
                 {say_usd, 0, "$0"},
                 {say_usd, 0.00075, "$0.0008"},
                 {say_usd, 0.00003, "$0.000030"},
                 {say_usd, 1.5, "$1.500"},
                 {say_usd, 12345.6, "$12,346"},
                 {say_percent, 0.25, "25 %"},
                 {say_percent, 0.0149, "1.5 %"},
                 {say_percent, 0.0001, "<0.1 %"},
                 {say_percent, 0, "0 %"},
                 {say_bytes, 1536, "1.5 KiB"},
                 {say_bytes, 3, "3 B"},
                 {say_ms, NAN, ""}};
    struct buf out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_clear(&out);
        cases[i].say(&out, cases[i].value);
        assert_string_equal(buf_cstr(&out), cases[i].text);
    }
    buf_free(&out);
}

static void csv_quotes_what_needs_it(void **state) {
    struct buf out = {0};
    csv_put(&out, SLICE("plain"));
    buf_puts(&out, "|");
    csv_put(&out, SLICE("a,b"));
    buf_puts(&out, "|");
    csv_put(&out, SLICE("say \"hi\"\nthere"));
    assert_string_equal(buf_cstr(&out), "plain|\"a,b\"|\"say \"\"hi\"\"\nthere\"");
    buf_free(&out);
}

static void bars_and_sparks_are_as_long_as_their_values(void **state) {
    struct buf out = {0};
    say_bar(&out, 0.5, 4);
    assert_string_equal(buf_cstr(&out), "\xe2\x96\x88\xe2\x96\x88  ");
    buf_clear(&out);
    say_bar(&out, 1e-9, 2); /* something is more than nothing */
    assert_string_equal(buf_cstr(&out), "\xe2\x96\x8f ");
    buf_clear(&out);
    say_bar(&out, NAN, 2);
    assert_string_equal(buf_cstr(&out), "  ");
    buf_clear(&out);
    say_spark(&out, (const double[]){0, 4, NAN, 8}, 4);
    assert_string_equal(buf_cstr(&out), "\xe2\x96\x81\xe2\x96\x84 \xe2\x96\x88");
    buf_free(&out);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(into_a_pipe_everything_stands_whole),
        TEST(a_terminal_leaves_out_empty_columns),
        TEST(a_narrow_terminal_cuts_then_leaves_out),
        TEST(wide_characters_keep_the_columns_straight),
        TEST(escape_codes_in_data_do_not_reach_the_terminal),
        TEST(values_are_written_for_people),
        TEST(csv_quotes_what_needs_it),
        TEST(bars_and_sparks_are_as_long_as_their_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
