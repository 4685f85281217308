/* What an administrator does over HTTP: keys and prices to look at and change, and data to delete. */
#include "serve/handlers.h"

#include "serve/members.h"
#include "serve/server.h"

#include <openssl/crypto.h>
#include <stdio.h>

/* --- JSON bodies of a few strings --- */

struct field {
    const char *name;
    struct slice *value;
};

static int read_strings(struct slice body, struct arena *arena, const struct field *fields, size_t count, struct error *err) {
    struct json_reader r;
    struct slice key;
    json_reader_init(&r, body, arena);
    if (json_object(&r))
        while (json_key(&r, &key)) {
            size_t i = 0;
            while (i < count && !slice_is(key, fields[i].name)) i++;
            if (i < count) json_string(&r, fields[i].value);
            else json_fail(&r, "\"%.*s\" is no field of this request", (int)(key.len > 60 ? 60 : key.len), key.ptr);
        }
    return json_end(&r) ? 0 : error_set(err, VT_EINVAL, "the body: %s", r.err.message);
}

static const char *cstr(struct arena *arena, struct slice text) {
    const char *copy = text.len ? arena_copy(arena, text).ptr : NULL;
    return copy ? copy : "";
}

/* --- keys --- */

static void put_key(struct json_writer *w, const struct key *key) {
    char scopes[32];
    member_str(w, "id", key->id);
    member_str(w, "name", key->name);
    member_str(w, "scopes", scopes_format(key->scopes, scopes, sizeof scopes));
    member_str(w, "project", key->project);
    member_time(w, "created", key->created_ns);
    member_time(w, "revoked", key->revoked_ns);
}

static void put_listed(void *ctx, const struct key *key) {
    json_open(ctx, '{');
    put_key(ctx, key);
    json_close(ctx, '}');
}

int answer_keys(struct server *server, struct work *work, struct error *err) {
    struct json_writer w = json_writer_on(&work->out);
    json_open(&w, '{');
    member_open(&w, "keys", '[');
    int code = keys_list(server->keys, put_listed, &w, err);
    json_close(&w, ']');
    json_close(&w, '}');
    buf_putc(&work->out, '\n');
    return code;
}

int answer_new_key(struct server *server, struct work *work, struct error *err) {
    struct arena arena = {0};
    struct slice name = {0}, scopes = SLICE("ingest,read"), project = {0};
    const struct field fields[] = {{"name", &name}, {"scopes", &scopes}, {"project", &project}};
    struct json_writer w = json_writer_on(&work->out);
    char text[KEY_TEXT_MAX];
    struct key key;
    int set = 0, code = read_strings(work->ask.body, &arena, fields, 3, err);
    if (!code && !name.len) code = error_set(err, VT_EINVAL, "name: say what the key is for");
    /* Copies end with a NUL: what stands behind one inside would be lost, and is refused. */
    if (!code && (memchr(name.ptr, 0, name.len) || (project.len && memchr(project.ptr, 0, project.len))))
        code = error_set(err, VT_EINVAL, "name and project must not hold NUL");
    if (!code && !(set = scopes_parse(cstr(&arena, scopes), err))) code = VT_EINVAL;
    if (!code) code = keys_add(server->keys, cstr(&arena, name), cstr(&arena, project), set, text, &key, err);
    if (!code) {
        json_open(&w, '{');
        member_str(&w, "key", text);
        put_key(&w, &key);
        json_close(&w, '}');
        buf_putc(&work->out, '\n');
        OPENSSL_cleanse(text, sizeof text);
    }
    arena_free(&arena);
    return code;
}

int answer_revoke_key(struct server *server, struct work *work, struct error *err) {
    char id[KEY_ID_MAX];
    struct json_writer w = json_writer_on(&work->out);
    if (!work->rest.len || work->rest.len >= sizeof id) {
        error_set(err, VT_ENOTFOUND, "there is no key of that id");
        return error_hint(err, "GET /api/v1/keys lists ids");
    }
    snprintf(id, sizeof id, "%.*s", (int)work->rest.len, work->rest.ptr);
    int code = keys_revoke(server->keys, id, err);
    if (code) return code;
    json_open(&w, '{');
    member_str(&w, "revoked", id);
    json_close(&w, '}');
    buf_putc(&work->out, '\n');
    return 0;
}

/* --- prices --- */

int answer_prices(struct server *server, struct work *work, struct error *err) {
    struct json_writer w = json_writer_on(&work->out);
    const struct price *price;
    json_open(&w, '{');
    member_open(&w, "prices", '[');
    for (size_t i = 0; (price = prices_each(server->prices, &i));) {
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
