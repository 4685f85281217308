/* What tokens cost: which price is meant, the formula, the user's own file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spans.h"

#include "base/timestamp.h"
#include "span/prices.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void assert_near(double got, double wanted) {
    if (!(fabs(got - wanted) < 1e-9)) fail_msg("%.12g, expected %.12g", got, wanted);
}

static struct prices *builtin(void) {
    struct prices *prices;
    struct error err = {0};
    if (prices_load(&prices, NULL, &err)) fail_msg("%s", err.message);
    return prices;
}

static const int64_t today_ns = INT64_C(1764000000) * 1000000000;

static int64_t day(const char *text) {
    int64_t ns = 0;
    assert_true(time_parse(slice_of(text), &ns));
    return ns;
}

static void versions_hosts_and_dates_find_their_price(void **state) {
    static const struct {
        const char *provider, *model, *day;
        double input, output; /* -1: none */
    } cases[] = {
        {"openai", "gpt-4o", "2025-06-01", 2.5, 10},
        {"openai", "gpt-4o", "2024-09-01", 5, 15},
        {"openai", "gpt-4o-2024-05-13", "2025-06-01", 5, 15},
        {"openai", "gpt-4o-2024-11-20", "2025-06-01", 2.5, 10},
        {"openai", "GPT-4o-Mini", "2025-06-01", 0.15, 0.6},
        {"openai", "gpt-4o-mini-2024-07-18", "2025-06-01", 0.15, 0.6},
        {"openai", "o3", "2025-06-09", 10, 40},
        {"openai", "o3", "2025-06-10", 2, 8},
        {"openai", "gpt-4-0613", "2025-06-01", 30, 60},
        {"openai", "gpt-4-1106-preview", "2025-06-01", 10, 30},
        {"openai", "ft:gpt-4o-mini-2024-07-18:shop::x", "2025-06-01", 0.3, 1.2},
        {"openai", "gpt-99", "2025-06-01", -1, -1},
        {"azure", "gpt-4o", "2025-06-01", 2.5, 10},
        {"azure", "gpt-35-turbo", "2025-06-01", 0.5, 1.5},
        {"anthropic", "claude-opus-4-20250514", "2025-11-24", 15, 75},
        {"anthropic", "claude-opus-4-5-20251101", "2025-11-24", 5, 25},
        {"anthropic", "claude-3-5-haiku-latest", "2025-06-01", 0.8, 4},
        {"vertex", "claude-3-5-sonnet-v2@20241022", "2025-06-01", 3, 15},
        {"vertex", "gemini-2.5-pro-preview-05-06", "2025-06-01", 1.25, 10},
        {"google", "models/gemini-1.5-flash-002", "2025-06-01", 0.075, 0.3},
        {"bedrock", "us.anthropic.claude-3-5-sonnet-20241022-v2:0", "2025-06-01", 3, 15},
        {"bedrock", "eu.amazon.nova-lite-v1:0", "2025-06-01", 0.06, 0.24},
        {"deepseek", "deepseek-chat", "2025-03-01", 0.27, 1.1},
        {"deepseek", "deepseek-chat", "2025-11-01", 0.28, 0.42},
        {"groq", "openai/gpt-oss-120b", "2025-11-01", 0.15, 0.6},
        {"together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "2025-11-01", 0.88, 0.88},
        {"openrouter", "anthropic/claude-3.7-sonnet", "2025-06-01", 3, 15},
        {"openrouter", "openai/gpt-4o-mini", "2025-06-01", 0.15, 0.6},
        {"", "gpt-4.1-nano", "2025-06-01", 0.1, 0.4},
        {"litellm", "gpt-4.1", "2025-06-01", 2, 8},
        {"anthropic", "gpt-4o", "2025-06-01", -1, -1}, /* it has prices of its own, and this is none of them */
        {"ollama", "gpt-oss-120b", "2025-06-01", -1, -1},
        {"openai", "", "2025-06-01", -1, -1},
    };
    struct prices *prices = builtin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct price *price =
            prices_find(prices, slice_of(cases[i].provider), slice_of(cases[i].model), day(cases[i].day));
        if (!price != (cases[i].input < 0))
            fail_msg("%s %s: %s", cases[i].provider, cases[i].model, price ? price->model : "none");
        if (price && (price->input != cases[i].input || price->output != cases[i].output))
            fail_msg("%s: %s, %g %g", cases[i].model, price->model, price->input, price->output);
    }
    prices_free(prices);
}

static void parts_of_the_input_have_their_own_price(void **state) {
    struct prices *prices = builtin();
    struct span span;
    double usd = 0;
    span_init(&span);
    span.start_ns = today_ns;
    *span_text(&span, COL_PROVIDER) = SLICE("anthropic");
    *span_text(&span, COL_MODEL) = SLICE("claude-sonnet-4-5");
    assert_false(prices_cost(prices, &span, &usd)); /* no tokens */
    span.tokens_input = 1000000, span.tokens_cached = 500000, span.tokens_cache_write = 100000,
    span.tokens_output = 200000;
    assert_true(prices_cost(prices, &span, &usd));
    assert_near(usd, 0.4 * 3 + 0.5 * 0.3 + 0.1 * 3.75 + 0.2 * 15);
    span.tokens_cached = 5000000; /* more than there is: nothing is paid twice or backwards */
    assert_true(prices_cost(prices, &span, &usd));
    assert_near(usd, 5 * 0.3 + 0.1 * 3.75 + 0.2 * 15);
    span.tokens_cached = span.tokens_cache_write = span.tokens_output = SPAN_NO_INT;
    *span_text(&span, COL_PROVIDER) = SLICE("openai"), *span_text(&span, COL_MODEL) = SLICE("text-embedding-3-small");
    assert_true(prices_cost(prices, &span, &usd));
    assert_near(usd, 0.02);
    span.tokens_cached = 1000000; /* no price of its own: as input */
    assert_true(prices_cost(prices, &span, &usd));
    assert_near(usd, 0.02);
    prices_free(prices);
}

static void cache_answers_as_the_table_does(void **state) {
    static const char *const models[] = {"gpt-4o",      "o3",     "gpt-99",    "claude-3-5-haiku", "deepseek-chat",
                                         "gpt-4o-mini", "grok-4", "command-r", "gemini-2.5-pro",   "mistral-large"};
    struct prices *prices = builtin();
    struct prices_cache cache = {0};
    uint32_t random = 1;
    for (int i = 0; i < 20000; i++) {
        struct span span;
        double cached = -1, plain = -1;
        random = random * 1664525 + 1013904223;
        span_init(&span);
        span.start_ns = INT64_C(1700000000) * 1000000000 + (int64_t)(random >> 8) * 5 * 1000000000;
        span.tokens_input = 1000, span.tokens_output = 500;
        *span_text(&span, COL_MODEL) = slice_of(models[random % 10]);
        bool found = prices_cost(prices, &span, &plain);
        assert_int_equal(prices_cost_cached(prices, &cache, &span, &cached), found);
        assert_true(cached == plain);
    }
    prices_free(prices);
}

static void write_file(char *path, const char *text) {
    strcpy(path, "/tmp/vitrine-prices-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void users_file_lies_over_the_table(void **state) {
    char path[64];
    struct prices *prices;
    write_file(path,
               "prices:\n"
               "  - {provider: openai, model: gpt-4o, input: 1, output: 2}\n"
               "  - {provider: openai, model: \"gpt-*\", valid_from: 2025-01-01, input: 7, cached: 0, output: 8}\n"
               "  - {model: house-*, input: 0.5}\n");
    assert_int_equal(prices_load(&prices, path, NULL), 0);
    const struct price *price = prices_find(prices, SLICE("azure"), SLICE("gpt-4o-2024-08-06"), today_ns);
    assert_true(price && price->input == 1);
    price = prices_find(prices, SLICE("openai"), SLICE("gpt-4o-mini"), today_ns);
    assert_true(price && price->input == 7 && price->cached == 0);
    price = prices_find(prices, SLICE("openai"), SLICE("gpt-4o-mini"), day("2024-12-31"));
    assert_true(price && price->input == 0.15);
    price = prices_find(prices, SLICE("ollama"), SLICE("house-1"), today_ns);
    assert_true(price && price->input == 0.5 && strcmp(price->source, path) == 0);
    size_t at = 0, user = 0, all = 0;
    while ((price = prices_each(prices, &at))) all++, user += strcmp(price->source, path) == 0;
    assert_int_equal(user, 3);
    assert_true(all > 150);
    prices_free(prices);
    unlink(path);
}

static void mistakes_in_the_file_are_named_with_their_line(void **state) {
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"prices:\n  - {model: x, input: dear}\n", ":2: input is \"dear\"; expected US dollars per million tokens"},
        {"- {model: x, input: -1}\n", ":1: input is \"-1\""},
        {"- {model: x}\n", ":1: the price of \"x\" needs input"},
        {"- {input: 1}\n", ":1: a price needs a model"},
        {"- {model: x, input: 1, ouput: 2}\n",
         ":1: key \"ouput\" is not known; expected provider, model, valid_from, input, cached, cache_write, output"},
        {"- {model: x, input: 1, valid_from: soon}\n", "valid_from is \"soon\"; expected a day"},
        {"price: 1\n", ":1: key \"price\" is not known; expected prices"},
        {"- x\n", ":1: expected keys and values"},
        {"x: [\n", ":2: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[64];
        struct prices *prices;
        struct error err = {0};
        write_file(path, cases[i].text);
        assert_int_equal(prices_load(&prices, path, &err), VT_EINVAL);
        assert_null(prices);
        if (!strstr(err.message, cases[i].reason)) fail_msg("%s", err.message);
        unlink(path);
    }
    struct prices *prices;
    assert_int_equal(prices_load(&prices, "/nowhere/prices.yaml", NULL), VT_EIO);
}

static void reported_cost_wins_over_the_computed_one(void **state) {
    struct prices *prices = builtin();
    struct batch *batch = batch_new();
    struct arena arena = {0};
    batch->prices = prices;
    struct raw_span raw = raw_of_json(&arena, "chat",
                                      "{\"gen_ai.provider.name\":\"openai\",\"gen_ai.request.model\":\"gpt-4o\",\"gen_"
                                      "ai.usage.input_tokens\":1000000,\"gen_ai.usage.output_tokens\":0}");
    assert_int_equal(normalise(batch, &raw, 1), 0);
    assert_near(batch->spans[0].cost_usd, 2.5);
    assert_int_equal(batch->spans[0].flags & SPAN_COST_REPORTED, 0);
    raw = raw_of_json(&arena, "chat",
                      "{\"llm.model_name\":\"gpt-4o\",\"llm.token_count.prompt\":1000000,\"llm.cost.total\":0.5}");
    assert_int_equal(normalise(batch, &raw, 2), 0);
    assert_near(batch->spans[1].cost_usd, 0.5);
    assert_true(batch->spans[1].flags & SPAN_COST_REPORTED);
    raw = raw_of_json(&arena, "chat", "{\"gen_ai.request.model\":\"own-model\",\"gen_ai.usage.input_tokens\":1000000}");
    assert_int_equal(normalise(batch, &raw, 3), 0);
    assert_true(isnan(batch->spans[2].cost_usd));
    batch_unref(batch);
    arena_free(&arena);
    prices_free(prices);
}

/* A row that can never be found, or two that say different things of the same, are mistakes of ours. */
static void every_row_of_the_table_is_found_by_its_own_name(void **state) {
    struct prices *prices = builtin();
    const struct price *price;
    for (size_t at = 0; (price = prices_each(prices, &at));) {
        if (strchr(price->model, '*')) continue;
        int64_t when = price->valid_from_ns == INT64_MIN ? 1 : price->valid_from_ns;
        const struct price *found = prices_find(prices, slice_of(price->provider), slice_of(price->model), when);
        if (found != price)
            fail_msg("%s %s is hidden by %s", price->provider, price->model, found ? found->model : "nothing");
    }
    prices_free(prices);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_hosts_and_dates_find_their_price),
        cmocka_unit_test(parts_of_the_input_have_their_own_price),
        cmocka_unit_test(cache_answers_as_the_table_does),
        cmocka_unit_test(users_file_lies_over_the_table),
        cmocka_unit_test(mistakes_in_the_file_are_named_with_their_line),
        cmocka_unit_test(reported_cost_wins_over_the_computed_one),
        cmocka_unit_test(every_row_of_the_table_is_found_by_its_own_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
