/* What an administrator does over HTTP: keys to look at and change, and data to delete. */
#include "serve/handlers.h"

#include "query/scores.h"
#include "serve/members.h"
#include "serve/server.h"

#include <openssl/crypto.h>
#include <stdio.h>

/* --- JSON bodies of a few strings --- */

struct field {
    const char *name;
    struct slice *value;
};

static int read_strings(struct slice body, struct arena *arena, const struct field *fields, size_t count,
                        struct error *err) {
    struct json_reader r;
    struct slice key;
    json_reader_init(&r, body, arena);
    if (json_object(&r))
        while (json_key(&r, &key)) {
            size_t i = 0;
            while (i < count && !slice_is(key, fields[i].name)) i++;
            if (i < count)
                json_string(&r, fields[i].value);
            else
                json_fail(&r, "\"%.*s\" is no field of this request", (int)(key.len > 60 ? 60 : key.len), key.ptr);
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

/* --- deletion --- */

/* Their ids, as hex or in the form in which the sender wrote them. */
static const uint8_t *trace_of(struct slice text, uint8_t id[TRACE_ID_SIZE]) {
    if (!text.len) return NULL;
    if (!hex_decode(text, id, TRACE_ID_SIZE)) id_from_text(text, id, TRACE_ID_SIZE);
    return id;
}

static int delete_all(struct server *server, const struct store_delete *what, uint64_t *spans, uint64_t *scores,
                      struct error *err) {
    struct scores *table = NULL;
    const struct score_forget forget = {what->user_id, what->trace_id, what->project};
    uint64_t swept = 0;
    int code = scores_open(&table, store_catalog_path(server->store), false, err);
    if (!code) code = store_delete(server->store, what, spans, err);
    if (!code && (what->user_id.len || what->trace_id)) code = scores_forget(table, &forget, scores, err);
    /* And the scores of traces that went as a whole with their user or thread. */
    if (!code) code = scores_sweep(table, server->store, &swept, err);
    *scores += swept;
    scores_free(table);
    return code;
}

int answer_delete(struct server *server, struct work *work, struct error *err) {
    struct arena arena = {0};
    struct slice trace = {0};
    uint8_t id[TRACE_ID_SIZE];
    struct store_delete what = {0};
    const struct field fields[] = {
        {"user_id", &what.user_id}, {"thread_id", &what.thread_id}, {"trace_id", &trace}, {"project", &what.project}};
    struct json_writer w = json_writer_on(&work->out);
    uint64_t spans = 0, scores = 0;
    int code = read_strings(work->ask.body, &arena, fields, 4, err);
    if (!code && (what.user_id.len > 0) + (what.thread_id.len > 0) + (trace.len > 0) != 1) {
        error_set(err, VT_EINVAL, "say whose data: one of user_id, thread_id and trace_id");
        code = error_hint(err, "{\"user_id\":\"u1\"} deletes all that names this user");
    }
    if (!code && work->ask.project.len && what.project.len && !slice_eq(what.project, work->ask.project))
        code = error_set(err, VT_EDENIED, "this key may delete in its own project only");
    if (work->ask.project.len) what.project = work->ask.project;
    what.trace_id = trace_of(trace, id);
    if (!code) code = delete_all(server, &what, &spans, &scores, err);
    if (!code) {
        json_open(&w, '{');
        member_count(&w, "spans", spans);
        member_count(&w, "scores", scores);
        json_close(&w, '}');
        buf_putc(&work->out, '\n');
    }
    arena_free(&arena);
    return code;
}
