/* Which price is meant, and what a span's tokens come to. */
#include "span/prices.h"

#include "base/arena.h"
#include "base/timestamp.h"
#include "span/prices_table.h"
#include "span/yaml_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { USER_PRICES_MAX = 10000 };

struct prices {
    struct arena arena; /* texts of the user's file */
    struct price *list; /* the user's first, then those built in */
    size_t count;
};

/* ---- names of models ---- */

/* '*' stands for any text, letters of either case are one. Greedy with one step back: linear but for stars in a row. */
bool prices_model_matches(const char *pattern, struct slice text) {
    const char *star = NULL;
    size_t at = 0, back = 0;
    while (at < text.len) {
        char p = *pattern, t = text.ptr[at];
        if (p == '*')
            star = pattern++, back = at;
        else if (p && (p == t || ((p | 0x20) == (t | 0x20) && (p | 0x20) >= 'a' && (p | 0x20) <= 'z')))
            pattern++, at++;
        else if (star)
            pattern = star + 1, at = ++back;
        else
            return false;
    }
    while (*pattern == '*') pattern++;
    return !*pattern;
}

/* '#' stands for a digit. */
static bool ends_with_form(struct slice text, const char *form) {
    size_t len = strlen(form);
    if (text.len <= len) return false;
    const char *tail = text.ptr + text.len - len;
    for (size_t i = 0; i < len; i++)
        if (form[i] == '#' ? tail[i] < '0' || tail[i] > '9' : tail[i] != form[i]) return false;
    return true;
}

/* "gpt-4o-2024-08-06" → "gpt-4o": the version of a model costs what the model costs unless the table says otherwise. */
static struct slice without_version(struct slice model) {
    static const char *const forms[] = {"-####-##-##", "-########", "@########", "-##-####",
                                        "-####",       "-###",      "-latest"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (ends_with_form(model, forms[i])) return slice_make(model.ptr, model.len - strlen(forms[i]));
    return model;
}

struct names {
    struct slice forms[4];
    int count;
};

/* As it is, without the path before it ("models/…", "openai/…"), and both without their version. */
static struct names names_of(struct slice model) {
    struct names names = {.count = 0};
    const char *slash = model.len ? memrchr(model.ptr, '/', model.len) : NULL;
    struct slice bare = slash ? slice_from(model, (size_t)(slash + 1 - model.ptr)) : model;
    struct slice all[] = {model, bare, without_version(model), without_version(bare)};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bool known = !all[i].len;
        for (int n = 0; n < names.count; n++) known |= slice_eq(names.forms[n], all[i]);
        if (!known) names.forms[names.count++] = all[i];
    }
    return names;
}

/* How well the pattern fits: 0 not at all, else more the more it says. The name as it is before the name without its
 * version. */
static size_t fit(const char *pattern, const struct names *names) {
    size_t literal = 0;
    for (const char *p = pattern; *p; p++) literal += *p != '*';
    for (int n = 0; n < names->count; n++)
        if (prices_model_matches(pattern, names->forms[n])) return 1 + literal * 8 + (size_t)(names->count - n);
    return 0;
}

/* ---- providers ---- */

/* Whose prices a host takes: the same models at the same price. */
static const struct {
    const char *provider, *as;
} aliases[] = {{"azure", "openai"}, {"vertex", "google"}, {"vertex", "anthropic"}, {"gcp", "google"}};

static bool same_word(const char *word, struct slice text) {
    return strlen(word) == text.len && strncasecmp(word, text.ptr, text.len) == 0;
}

static bool provider_fits(const char *of_price, struct slice provider) {
    if (!*of_price || same_word(of_price, provider)) return true;
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (same_word(aliases[i].provider, provider) && strcmp(aliases[i].as, of_price) == 0) return true;
    return false;
}

static bool provider_known(const struct prices *prices, struct slice provider) {
    for (size_t i = 0; i < prices->count; i++)
        if (*prices->list[i].provider && provider_fits(prices->list[i].provider, provider)) return true;
    return false;
}

/* Runs on one's own machine: what a host takes for the same weights says nothing. */
static bool is_local(struct slice provider) {
    static const char *const names[] = {"ollama",    "lmstudio", "lm_studio", "vllm",
                                        "llama.cpp", "llamacpp", "localai",   "mlx"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (same_word(names[i], provider)) return true;
    return false;
}

/* ---- finding ---- */

/* The best price at that time. *from and *until: between them the answer is the same. */
static const struct price *find(const struct prices *prices, struct slice provider, bool any_provider,
                                struct slice model, int64_t at_ns, int64_t *from, int64_t *until) {
    struct names names = names_of(model);
    const struct price *best = NULL;
    size_t best_fit = 0;
    *from = INT64_MIN;
    *until = INT64_MAX;
    for (size_t i = 0; i < prices->count; i++) {
        const struct price *price = &prices->list[i];
        if (!any_provider && !provider_fits(price->provider, provider)) continue;
        size_t fits = fit(price->model, &names);
        if (!fits) continue;
        if (price->valid_from_ns > at_ns) {
            if (price->valid_from_ns < *until) *until = price->valid_from_ns;
            continue;
        }
        if (price->valid_from_ns > *from) *from = price->valid_from_ns;
        bool builtin = strcmp(price->source, "built-in") == 0;
        if (best && builtin && strcmp(best->source, "built-in") != 0) continue;
        if (best && (fits < best_fit || (fits == best_fit && price->valid_from_ns <= best->valid_from_ns))) continue;
        best = price;
        best_fit = fits;
    }
    return best;
}

static const struct price *find_anywhere(const struct prices *prices, struct slice provider, struct slice model,
                                         int64_t at_ns, int64_t *from, int64_t *until) {
    *from = INT64_MIN, *until = INT64_MAX;
    if (!model.len) return NULL;
    /* A gateway writes whose model it is before the name. */
    const char *slash = memchr(model.ptr, '/', model.len);
    struct slice owner = slash ? slice_make(model.ptr, (size_t)(slash - model.ptr)) : (struct slice){NULL, 0};
    if (slice_is(owner, "x-ai")) owner = SLICE("xai");
    if (slice_is(owner, "mistralai")) owner = SLICE("mistral");
    bool known = provider.len && provider_known(prices, provider);
    if (!known && owner.len && provider_known(prices, owner) && !is_local(provider))
        return find(prices, owner, false, model, at_ns, from, until);
    return find(prices, provider, !known && !is_local(provider), model, at_ns, from, until);
}

const struct price *prices_find(const struct prices *prices, struct slice provider, struct slice model, int64_t at_ns) {
    int64_t from, until;
    return find_anywhere(prices, provider, model, at_ns, &from, &until);
}

/* ---- what it comes to ---- */

static double known_or(double price, double other) {
    return isnan(price) ? other : price;
}
static double count_of(int64_t tokens) {
    return tokens == SPAN_NO_INT ? 0 : (double)tokens;
}

static double cost_at(const struct price *price, const struct span *span) {
    double cached = count_of(span->tokens_cached), written = count_of(span->tokens_cache_write);
    double plain = count_of(span->tokens_input) - cached - written;
    if (plain < 0) plain = 0;
    return (plain * price->input + cached * known_or(price->cached, price->input) +
            written * known_or(price->cache_write, price->input) +
            count_of(span->tokens_output) * known_or(price->output, 0)) /
           1e6;
}

static bool has_tokens(const struct span *span) {
    return span->tokens_input != SPAN_NO_INT || span->tokens_output != SPAN_NO_INT;
}

bool prices_cost(const struct prices *prices, const struct span *span, double *usd) {
    if (!has_tokens(span)) return false;
    const struct price *price =
        prices_find(prices, span_get_text(span, COL_PROVIDER), span_get_text(span, COL_MODEL), span->start_ns);
    if (price) *usd = cost_at(price, span);
    return price != NULL;
}

bool prices_cost_cached(const struct prices *prices, struct prices_cache *cache, const struct span *span, double *usd) {
    if (!has_tokens(span)) return false;
    struct slice provider = span_get_text(span, COL_PROVIDER), model = span_get_text(span, COL_MODEL);
    struct prices_known *known = NULL;
    for (int i = 0; i < PRICES_CACHED && !known; i++) {
        struct prices_known *k = &cache->known[i];
        if (k->used && slice_eq(k->model, model) && slice_eq(k->provider, provider) && span->start_ns >= k->from_ns &&
            span->start_ns < k->until_ns)
            known = k;
    }
    if (!known) {
        known = &cache->known[cache->next++ % PRICES_CACHED];
        *known = (struct prices_known){.used = true, .provider = provider, .model = model};
        known->price = find_anywhere(prices, provider, model, span->start_ns, &known->from_ns, &known->until_ns);
    }
    if (known->price) *usd = cost_at(known->price, span);
    return known->price != NULL;
}

/* ---- loading ---- */

static int64_t day_ns(const char *day) {
    int64_t ns;
    return day && *day && time_parse(slice_of(day), &ns) ? ns : INT64_MIN;
}

static double zero_is_unknown(double price) {
    return price > 0 ? price : (double)NAN;
}

static struct price from_row(const struct price_row *row) {
    return (struct price){.provider = row->provider,
                          .model = row->model,
                          .valid_from = row->valid_from ? row->valid_from : "",
                          .source = "built-in",
                          .valid_from_ns = day_ns(row->valid_from),
                          .input = row->input,
                          .cached = zero_is_unknown(row->cached),
                          .cache_write = zero_is_unknown(row->cache_write),
                          .output = row->output};
}

static int read_amount(struct yaml_file *file, yaml_node_t *map, const char *key, double *amount, struct error *err) {
    yaml_node_t *node = yaml_member(file, map, key);
    char *end;
    if (!node) return 0;
    const char *text = node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
    *amount = strtod(text, &end);
    if (*text && !*end && *amount >= 0 && *amount < 1e9) return 0;
    return error_set(err, VT_EINVAL, "%s:%d: %s is \"%.40s\"; expected US dollars per million tokens", file->path,
                     yaml_line(node), key, text);
}

static int read_price(struct yaml_file *file, yaml_node_t *node, struct arena *arena, struct price *price,
                      struct error *err) {
    static const char *const keys[] = {"provider", "model",       "valid_from", "input",
                                       "cached",   "cache_write", "output",     NULL};
    int code;
    *price = (struct price){.provider = "",
                            .model = "",
                            .valid_from = "",
                            .source = arena_copy(arena, slice_of(file->path)).ptr,
                            .valid_from_ns = INT64_MIN,
                            .input = (double)NAN,
                            .cached = (double)NAN,
                            .cache_write = (double)NAN,
                            .output = 0};
    if ((code = yaml_check_keys(file, node, keys, err))) return code;
    const char **const texts[] = {&price->provider, &price->model, &price->valid_from};
    for (int i = 0; i < 3; i++) *texts[i] = arena_copy(arena, yaml_text(yaml_member(file, node, keys[i]))).ptr;
    if (!price->source || !price->provider || !price->model || !price->valid_from)
        return error_set(err, VT_ENOMEM, "no memory for prices");
    if (!*price->model) return error_set(err, VT_EINVAL, "%s:%d: a price needs a model", file->path, yaml_line(node));
    if (*price->valid_from && !time_parse(slice_of(price->valid_from), &price->valid_from_ns))
        return error_set(err, VT_EINVAL, "%s:%d: valid_from is \"%.40s\"; expected a day like 2025-08-07", file->path,
                         yaml_line(node), price->valid_from);
    double *const amounts[] = {&price->input, &price->cached, &price->cache_write, &price->output};
    for (int i = 0; i < 4; i++)
        if ((code = read_amount(file, node, keys[3 + i], amounts[i], err))) return code;
    if (isnan(price->input))
        return error_set(err, VT_EINVAL, "%s:%d: the price of \"%.80s\" needs input", file->path, yaml_line(node),
                         price->model);
    return 0;
}

static bool reserve(struct prices *prices, size_t count) {
    struct price *list = realloc(prices->list, count * sizeof *list);
    if (list) prices->list = list;
    return list != NULL;
}

static int read_file(struct prices *prices, const char *path, struct error *err) {
    struct yaml_file file;
    int code = yaml_file_open(&file, path, err);
    if (code) goto out;
    static const char *const keys[] = {"prices", NULL};
    yaml_node_t *root = yaml_root(&file), *list = root, *node;
    if (root && root->type == YAML_MAPPING_NODE) {
        if ((code = yaml_check_keys(&file, root, keys, err))) goto out;
        list = yaml_member(&file, root, "prices");
    }
    if (root && (!list || list->type != YAML_SEQUENCE_NODE)) {
        code = error_set(err, VT_EINVAL, "%s:%d: expected a list of prices", path, yaml_line(list ? list : root));
        goto out;
    }
    for (size_t i = 0; list && (node = yaml_item(&file, list, i)) && !code; i++) {
        if (i == USER_PRICES_MAX)
            code = error_set(err, VT_ELIMIT, "%s: more than %d prices", path, USER_PRICES_MAX);
        else if (!reserve(prices, prices->count + 1))
            code = error_set(err, VT_ENOMEM, "no memory for prices");
        else if (!(code = read_price(&file, node, &prices->arena, &prices->list[prices->count], err)))
            prices->count++;
    }
out:
    yaml_file_close(&file);
    return code;
}

int prices_load(struct prices **out, const char *path, struct error *err) {
    struct prices *prices = calloc(1, sizeof *prices);
    *out = NULL;
    if (!prices) return error_set(err, VT_ENOMEM, "no memory for prices");
    int code = path && *path ? read_file(prices, path, err) : 0;
    if (!code && !reserve(prices, prices->count + price_row_count))
        code = error_set(err, VT_ENOMEM, "no memory for prices");
    if (code) {
        prices_free(prices);
        return code;
    }
    for (size_t i = 0; i < price_row_count; i++) prices->list[prices->count++] = from_row(&price_rows[i]);
    *out = prices;
    return 0;
}

void prices_free(struct prices *prices) {
    if (!prices) return;
    arena_free(&prices->arena);
    free(prices->list);
    free(prices);
}

const struct price *prices_each(const struct prices *prices, size_t *at) {
    return *at < prices->count ? &prices->list[(*at)++] : NULL;
}

static bool same_amount(double a, double b) {
    return a == b || (isnan(a) && isnan(b));
}

static bool same_price(const struct price *a, const struct price *b) {
    return !strcmp(a->provider, b->provider) && !strcmp(a->model, b->model) && !strcmp(a->source, b->source) &&
           a->valid_from_ns == b->valid_from_ns && same_amount(a->input, b->input) &&
           same_amount(a->cached, b->cached) && same_amount(a->cache_write, b->cache_write) &&
           same_amount(a->output, b->output);
}

bool prices_equal(const struct prices *a, const struct prices *b) {
    bool equal = a->count == b->count;
    for (size_t i = 0; i < a->count && equal; i++) equal = same_price(&a->list[i], &b->list[i]);
    return equal;
}

const char *prices_as_of(void) {
    return PRICES_AS_OF;
}
