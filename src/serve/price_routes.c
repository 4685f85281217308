/* Prices over HTTP: to look at, and to compute the costs of stored spans by them anew. */
#include "serve/handlers.h"

#include "query/reprice_json.h"
#include "serve/members.h"
#include "serve/server.h"

int answer_prices(struct server *server, struct work *work, struct error *err) {
    struct json_writer w = json_writer_on(&work->out);
    const struct prices *prices = price_list_get(&server->prices);
    const struct price *price;
    json_open(&w, '{');
    member_open(&w, "prices", '[');
    for (size_t i = 0; (price = prices_each(prices, &i));) {
        json_open(&w, '{');
        member_str(&w, "provider", price->provider);
        member_str(&w, "model", price->model);
        member_double(&w, "input", price->input);
        if (price->cached == price->cached) member_double(&w, "cached", price->cached);
        if (price->cache_write == price->cache_write) member_double(&w, "cache_write", price->cache_write);
        member_double(&w, "output", price->output);
        member_str(&w, "valid_from", price->valid_from);
        member_str(&w, "source", price->source);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
    buf_putc(&work->out, '\n');
    return 0;
}

static bool goes_on(void *ctx, uint64_t bytes, uint64_t bytes_total, uint64_t spans) {
    const struct work *work = ctx;
    return !__atomic_load_n(&work->cancel, __ATOMIC_RELAXED) && !atomic_load(&work->server->stopping);
}

/* By the file as it is now: it becomes what the server goes by, unless this is only a look. */
int answer_reprice(struct server *server, struct work *work, struct error *err) {
    struct arena arena = {0};
    struct reprice what = {.project = work->ask.project, .progress = goes_on, .ctx = work};
    struct repriced repriced = {0};
    struct prices *own = NULL;
    int code = reprice_read(work->ask.body, &arena, &what, err);
    if (!code)
        code = what.dry_run ? prices_load(&own, server->prices.path, err) : price_list_renew(&server->prices, err);
    if (!code) {
        what.prices = own ? own : price_list_get(&server->prices);
        code = store_reprice(server->store, &what, &repriced, err);
    }
    if (!code) reprice_write(&repriced, what.dry_run, &work->out);
    reprice_free(&repriced);
    prices_free(own);
    arena_free(&arena);
    return code;
}
