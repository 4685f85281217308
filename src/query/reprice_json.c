/* See reprice_json.h. */
#include "query/reprice_json.h"

#include "base/json.h"
#include "base/timestamp.h"
#include "query/when.h"

int reprice_time(struct slice text, const char *name, int64_t *ns, struct error *err) {
    if (when_parse(text, time_now_ns(), ns)) return 0;
    return error_set(err, VT_EINVAL, "%s is \"%.*s\"; expected Unix milliseconds, ISO 8601, or a time like -7d", name,
                     (int)(text.len > 60 ? 60 : text.len), text.len ? text.ptr : "");
}

/* A number of milliseconds, or text. */
static int read_time(struct json_reader *r, const char *name, int64_t *ns, struct error *err) {
    struct slice text = {NULL, 0};
    if (json_peek(r) == JSON_NUMBER)
        json_skip(r, &text);
    else
        json_string(r, &text);
    return r->failed ? 0 : reprice_time(text, name, ns, err);
}

static int read_model(struct json_reader *r, struct arena *arena, const char **model, struct error *err) {
    struct slice text;
    if (!json_string(r, &text)) return 0;
    if (text.len && memchr(text.ptr, 0, text.len)) return error_set(err, VT_EINVAL, "model must not hold NUL");
    *model = arena_copy(arena, text).ptr;
    return text.len && !*model ? error_set(err, VT_ENOMEM, "no memory for the request") : 0;
}

int reprice_read(struct slice body, struct arena *arena, struct reprice *what, struct error *err) {
    struct json_reader r;
    struct slice key;
    int code = 0;
    if (!body.len) return 0;
    json_reader_init(&r, body, arena);
    json_object(&r);
    while (!code && json_key(&r, &key)) {
        if (slice_is(key, "from"))
            code = read_time(&r, "from", &what->from_ns, err);
        else if (slice_is(key, "to"))
            code = read_time(&r, "to", &what->to_ns, err);
        else if (slice_is(key, "model"))
            code = read_model(&r, arena, &what->model, err);
        else if (slice_is(key, "dry_run"))
            json_bool(&r, &what->dry_run);
        else
            json_fail(&r, "\"%.*s\" is no field of this request; expected from, to, model, dry_run",
                      (int)(key.len > 60 ? 60 : key.len), key.ptr);
    }
    if (code) return code;
    if (!json_end(&r)) return error_set(err, VT_EINVAL, "the body: %s", r.err.message);
    if (what->to_ns && what->to_ns <= what->from_ns) return error_set(err, VT_EINVAL, "to lies not after from");
    return 0;
}

static void put_count(struct json_writer *w, const char *name, uint64_t count) {
    json_put_key(w, name);
    json_put_int(w, (int64_t)count);
}

static void put_sum(struct json_writer *w, const struct reprice_sum *sum) {
    put_count(w, "spans", sum->spans);
    put_count(w, "changed", sum->changed);
    put_count(w, "uncosted", sum->uncosted);
    put_count(w, "unpriced", sum->unpriced);
    put_count(w, "reported", sum->reported);
    if (sum->uncosted < sum->spans) json_put_key(w, "old_usd"), json_put_double(w, sum->old_usd);
    if (sum->unpriced < sum->spans) json_put_key(w, "new_usd"), json_put_double(w, sum->new_usd);
}

void reprice_write(const struct repriced *repriced, bool dry_run, struct buf *out) {
    struct json_writer w = json_writer_on(out);
    json_open(&w, '{');
    json_put_key(&w, "dry_run"), json_put_bool(&w, dry_run);
    put_sum(&w, &repriced->total);
    put_count(&w, "segments", repriced->segments);
    json_put_key(&w, "models");
    json_open(&w, '[');
    for (uint32_t i = 0; i < repriced->model_count; i++) {
        const struct reprice_model *m = &repriced->models[i];
        json_open(&w, '{');
        if (m->provider.len) json_put_key(&w, "provider"), json_put_string(&w, m->provider);
        json_put_key(&w, "model"), json_put_string(&w, m->model);
        put_sum(&w, &m->sum);
        json_close(&w, '}');
    }
    json_close(&w, ']');
    if (repriced->models_left_out) json_put_key(&w, "models_left_out"), json_put_bool(&w, true);
    json_close(&w, '}');
    buf_putc(out, '\n');
}
