/* Options: what comes first, what is refused and how, the configuration file. */
#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

enum { WORDS = 32 };

struct args {
    const char *listen, *key;
    struct texts upstreams;
    unsigned limit, wait_ms;
    uint64_t size;
    int colour;
    bool json;
};
#define AT(member) offsetof(struct args, member)

static const char *const colours[] = {"red", "green", NULL};
static const struct option options[] = {
    {.name = "listen", .kind = &option_text, .offset = AT(listen), .flags = OPTION_CONFIG},
    {.name = "key", .kind = &option_text, .offset = AT(key), .flags = OPTION_CONFIG | OPTION_SECRET},
    {.name = "upstream", .kind = &option_texts, .offset = AT(upstreams), .flags = OPTION_CONFIG},
    {.name = "limit",
     .letter = 'n',
     .kind = &option_unsigned,
     .offset = AT(limit),
     .least = 1,
     .most = 1000,
     .flags = OPTION_CONFIG,
     .help = "that many"},
    {.name = "wait-time", .kind = &option_millis, .offset = AT(wait_ms), .flags = OPTION_CONFIG},
    {.name = "size", .kind = &option_size, .offset = AT(size)},
    {.name = "colour", .kind = &option_choice, .choices = colours, .offset = AT(colour)},
    {.name = "json", .kind = &option_flag, .offset = AT(json), .flags = OPTION_CONFIG},
    {0}};
static const struct option_group group = {"All", options};
static const struct option_group *const groups[] = {&group, NULL};

struct fixture {
    struct arena arena;
    struct args args;
    struct option_parse parse;
    const char *words[WORDS];
    struct error err;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    f->parse = (struct option_parse){.groups = groups, .target = &f->args, .arena = &f->arena, .words = f->words};
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    for (const struct option *o = options; o->name; o++) {
        char name[64];
        unsetenv(option_environment(o, name, sizeof name));
    }
    arena_free(&f->arena);
    free(f);
    return 0;
}

/* Words separated by blanks. */
static int parse(struct fixture *f, const char *line) {
    static char copy[256];
    char *argv[WORDS];
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    return options_from_words(&f->parse, argc, argv, &f->err);
}

static void write_config(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void options_stand_anywhere_and_take_values_both_ways(void **state) {
    struct fixture *f = *state;
    assert_int_equal(parse(f, "one --listen :80 two --limit=7 --json three"), 0);
    assert_string_equal(f->args.listen, ":80");
    assert_int_equal(f->args.limit, 7);
    assert_true(f->args.json);
    assert_int_equal(f->parse.word_count, 3);
    assert_string_equal(f->words[2], "three");
    assert_true(option_was_set(&f->parse, "limit"));
    assert_false(option_was_set(&f->parse, "size"));
}

static void a_letter_a_denied_flag_and_two_dashes(void **state) {
    struct fixture *f = *state;
    f->args.json = true;
    assert_int_equal(parse(f, "-n 3 --no-json -- --listen"), 0);
    assert_int_equal(f->args.limit, 3);
    assert_false(f->args.json);
    assert_string_equal(f->words[0], "--listen");
}

static void a_negated_filter_term_is_no_option(void **state) {
    struct fixture *f = *state;
    assert_int_equal(parse(f, "-model:gpt-4o -(a - --json"), 0);
    assert_int_equal(f->parse.word_count, 3);
    assert_string_equal(f->words[0], "-model:gpt-4o");
    assert_string_equal(f->words[2], "-");
}

static void an_unknown_option_names_the_nearest(void **state) {
    struct fixture *f = *state;
    assert_int_equal(parse(f, "--limt 3"), VT_EINVAL);
    assert_string_equal(f->err.message, "there is no option --limt");
    assert_string_equal(f->err.hint, "did you mean --limit?");
    assert_int_equal(parse(f, "--xylophone=3"), VT_EINVAL);
    assert_string_equal(f->err.message, "there is no option --xylophone");
    assert_string_equal(f->err.hint, "");
    assert_int_equal(parse(f, "--no-limit"), VT_EINVAL); /* not a flag */
}

static void values_without_meaning_say_what_was_expected(void **state) {
    static const char *const lines[][2] = {
        {"--limit 0", "--limit: expected a number from 1 to 1000, found \"0\""},
        {"--limit 1e3", "--limit: expected a number from 1 to 1000, found \"1e3\""},
        {"--limit -3", "--limit: expected a number from 1 to 1000, found \"-3\""},
        {"--wait-time soon", "--wait-time: expected a time such as 500ms, 30s or 5m, found \"soon\""},
        {"--size 3XB", "--size: expected a size such as 16MiB, 50GB or a number of bytes, found \"3XB\""},
        {"--colour blue", "--colour: expected red or green, found \"blue\""},
        {"--json=maybe", "--json takes no value"},
        {"--limit", "--limit needs a value: N"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_int_equal(parse(f, lines[i][0]), VT_EINVAL);
        assert_string_equal(f->err.message, lines[i][1]);
    }
}

static void sizes_and_times_have_units(void **state) {
    static const struct {
        const char *line;
        uint64_t bytes;
    } sizes[] = {{"--size 4096", 4096},
                 {"--size 16MiB", 16 << 20},
                 {"--size 1.5k", 1536},
                 {"--size 50GB", 50000000000},
                 {"--size 2TiB", 2199023255552}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(parse(f, sizes[i].line), 0);
        assert_int_equal(f->args.size, sizes[i].bytes);
    }
    assert_int_equal(parse(f, "--wait-time 2m"), 0);
    assert_int_equal(f->args.wait_ms, 120000);
    assert_int_equal(parse(f, "--wait-time 3"), 0);
    assert_int_equal(f->args.wait_ms, 3000);
}

static void flag_beats_environment_beats_file_beats_default(void **state) {
    struct fixture *f = *state;
    struct config config;
    char path[] = "/tmp/vitrine-config-XXXXXX";
    close(mkstemp(path));
    write_config(path, "listen: from-file\nkey: from-file\nlimit: 9\nwait-time: 4s\n");
    assert_int_equal(config_load(&config, path, &f->arena, &f->err), 0);
    f->args.limit = 50;
    f->args.size = 77;
    setenv("VITRINE_LISTEN", "from-env", 1);
    setenv("VITRINE_KEY", "from-env", 1);
    setenv("VITRINE_SIZE", "1", 1); /* is no setting */
    assert_int_equal(parse(f, "--listen from-flag"), 0);
    assert_int_equal(options_from_surroundings(&f->parse, &config, &f->err), 0);
    unlink(path);
    unsetenv("VITRINE_SIZE");
    assert_string_equal(f->args.listen, "from-flag");
    assert_string_equal(f->args.key, "from-env");
    assert_int_equal(f->args.limit, 9);
    assert_int_equal(f->args.wait_ms, 4000);
    assert_int_equal(f->args.size, 77);
    assert_false(f->args.json);
}

static void repeated_options_come_as_lists_and_mappings(void **state) {
    struct fixture *f = *state;
    struct config config;
    char path[] = "/tmp/vitrine-config-XXXXXX";
    close(mkstemp(path));
    write_config(path, "upstream:\n  openai: https://api.openai.com\n  local: http://127.0.0.1:1\nlisten: ~\n");
    assert_int_equal(config_load(&config, path, &f->arena, &f->err), 0);
    assert_int_equal(options_from_surroundings(&f->parse, &config, &f->err), 0);
    assert_int_equal(f->args.upstreams.count, 2);
    assert_string_equal(f->args.upstreams.items[1], "local=http://127.0.0.1:1");
    assert_null(f->args.listen);
    unlink(path);

    struct fixture *g = NULL;
    setup((void **)&g);
    setenv("VITRINE_UPSTREAM", "a=http://a b=http://b,c", 1);
    assert_int_equal(options_from_surroundings(&g->parse, &config, &g->err), 0);
    assert_int_equal(g->args.upstreams.count, 2);
    assert_string_equal(g->args.upstreams.items[1], "b=http://b,c");
    teardown((void **)&g);
}

static void a_mistake_in_the_file_names_its_line(void **state) {
    static const char *const files[][2] = {
        {"listen: a\nlimit: many\n", ":2: limit: expected a number"},
        {"listen: [a, [b]]\n", ":1: listen: expected a list of texts"},
        {"- listen\n", ":1: expected settings such as"},
        {"listen: \"a\n", ":2: "},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct config config;
        char path[] = "/tmp/vitrine-config-XXXXXX";
        close(mkstemp(path));
        write_config(path, files[i][0]);
        int code = config_load(&config, path, &f->arena, &f->err);
        if (!code) code = options_from_surroundings(&f->parse, &config, &f->err);
        unlink(path);
        assert_int_equal(code, VT_EINVAL);
        assert_true(strstr(f->err.message, path) == f->err.message);
        assert_non_null(strstr(f->err.message, files[i][1]));
        f->parse.marks = NULL;
    }
    struct config config;
    assert_int_equal(config_load(&config, "/nowhere/at/all.yaml", &f->arena, &f->err), VT_EIO);
}

static void a_secret_is_not_repeated_in_messages(void **state) {
    static const struct option secret[] = {{.name = "key", .kind = &option_unsigned, .flags = OPTION_SECRET}, {0}};
    static const struct option_group secret_group = {"All", secret};
    static const struct option_group *const secret_groups[] = {&secret_group, NULL};
    struct fixture *f = *state;
    f->parse.groups = secret_groups;
    assert_int_equal(parse(f, "--key hunter2"), VT_EINVAL);
    assert_null(strstr(f->err.message, "hunter2"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(options_stand_anywhere_and_take_values_both_ways),
        TEST(a_letter_a_denied_flag_and_two_dashes),
        TEST(a_negated_filter_term_is_no_option),
        TEST(an_unknown_option_names_the_nearest),
        TEST(values_without_meaning_say_what_was_expected),
        TEST(sizes_and_times_have_units),
        TEST(flag_beats_environment_beats_file_beats_default),
        TEST(repeated_options_come_as_lists_and_mappings),
        TEST(a_mistake_in_the_file_names_its_line),
        TEST(a_secret_is_not_repeated_in_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
