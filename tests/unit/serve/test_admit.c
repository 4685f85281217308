/* Who is let in: keys in every form in which SDKs send them, scopes, projects, and the guards against other pages. */
#include "server_test.h"

#include "serve/admit.h"
#include "serve/keys.h"

#define PROTOBUF "Content-Type: application/x-protobuf\r\n"
#define JSON "Content-Type: application/json\r\n"

static struct test_server t;
static struct buf out, body;
static char send_key[KEY_TEXT_MAX], read_key[KEY_TEXT_MAX], admin_key[KEY_TEXT_MAX], shop_key[KEY_TEXT_MAX];

/* As `vitrine keys add` does, before the server starts. */
static void make_keys(const char *dir) {
    char path[128];
    struct keys *keys = NULL;
    struct store *store = NULL;
    struct error err;
    struct store_options options = {.dir = dir};
    assert_int_equal(store_open(&store, &options, &err), 0);
    snprintf(path, sizeof path, "%s", store_catalog_path(store));
    store_close(store);
    assert_int_equal(keys_open(&keys, path, &err), 0);
    assert_int_equal(keys_add(keys, "sender", "", SCOPE_INGEST, send_key, NULL, &err), 0);
    assert_int_equal(keys_add(keys, "reader", "", SCOPE_READ, read_key, NULL, &err), 0);
    assert_int_equal(keys_add(keys, "boss", "", SCOPE_ADMIN, admin_key, NULL, &err), 0);
    assert_int_equal(keys_add(keys, "shop", "shop", SCOPE_INGEST | SCOPE_READ, shop_key, NULL, &err), 0);
    keys_close(keys);
}

static int start(void **state) {
    test_server_init(&t);
    make_keys(t.dir);
    t.options.require_key = true;
    test_server_start(&t);
    return 0;
}

static int stop(void **state) {
    test_server_free(&t);
    buf_free(&out);
    buf_free(&body);
    return 0;
}

static void expect(int status, int expected) {
    if (status != expected) fail_msg("%d, expected %d: %.1000s", status, expected, buf_cstr(&out));
}

static const char *header(const char *format, const char *key) {
    static char text[256];
    snprintf(text, sizeof text, format, key);
    return text;
}

static int send_with(const char *headers) {
    char all[512];
    snprintf(all, sizeof all, PROTOBUF "%s", headers);
    return post_bytes(t.port, "/v1/traces", all, buf_slice(&body), &out);
}

static const char *basic(const char *name, const char *secret) {
    static char text[256];
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char pair[128];
    size_t len = (size_t)snprintf(pair, sizeof pair, "%s:%s", name, secret);
    char *at = text + snprintf(text, sizeof text, "Authorization: Basic ");
    for (size_t i = 0; i < len; i += 3) {
        unsigned n = (unsigned)(unsigned char)pair[i] << 16 |
                     (i + 1 < len ? (unsigned)(unsigned char)pair[i + 1] << 8 : 0) |
                     (i + 2 < len ? (unsigned)(unsigned char)pair[i + 2] : 0);
        *at++ = digits[n >> 18];
        *at++ = digits[n >> 12 & 63];
        *at++ = i + 1 < len ? digits[n >> 6 & 63] : '=';
        *at++ = i + 2 < len ? digits[n & 63] : '=';
    }
    memcpy(at, "\r\n", 3);
    return text;
}

static void takes_keys_where_sdks_put_them(void **state) {
    buf_clear(&body);
    put_otlp(&body, 1, 1, "shop");
    expect(send_with(""), 401);
    assert_has(&out, "WWW-Authenticate: Bearer");
    expect(send_with(header("Authorization: Bearer %s\r\n", send_key)), 200);
    expect(send_with(header("authorization: bearer %s\r\n", send_key)), 200);
    expect(send_with(header("Authorization: %s\r\n", send_key)), 200);
    expect(send_with(header("x-api-key: %s\r\n", send_key)), 200);
    expect(send_with(header("api-key: %s\r\n", send_key)), 200);
    expect(send_with(header("x-honeycomb-team: %s\r\n", send_key)), 200);
    expect(send_with(basic("public", send_key)), 200);
    expect(send_with(basic("pk-lf-anything", send_key)), 200);
}

static void refuses_wrong_keys(void **state) {
    char wrong[KEY_TEXT_MAX];
    snprintf(wrong, sizeof wrong, "%s", send_key);
    wrong[strlen(wrong) - 1] = wrong[strlen(wrong) - 1] == 'a' ? 'b' : 'a';
    expect(send_with(header("Authorization: Bearer %s\r\n", wrong)), 401);
    assert_has_not(&out, wrong);
    expect(send_with("Authorization: Bearer \r\n"), 401);
    expect(send_with("Authorization: Basic !!!!\r\n"), 401);
    expect(send_with("Authorization: Basic\r\n"), 401);
    expect(send_with(basic("public", "secret")), 401);
    expect(get(t.port, "/api/v1/traces", "Sec-WebSocket-Protocol: vitrine.live, key.nothing\r\n", &out), 401);
}

static void keeps_scopes_apart(void **state) {
    expect(send_with(header("x-api-key: %s\r\n", read_key)), 403);
    expect(get(t.port, "/api/v1/traces", header("x-api-key: %s\r\n", send_key), &out), 403);
    expect(get(t.port, "/api/v1/traces", header("x-api-key: %s\r\n", read_key), &out), 200);
    expect(get(t.port, "/api/v1/keys", header("x-api-key: %s\r\n", read_key), &out), 403);
    expect(get(t.port, "/api/v1/keys", header("x-api-key: %s\r\n", admin_key), &out), 200);
    expect(get(t.port, "/api/v1/traces", header("x-api-key: %s\r\n", admin_key), &out), 200);
    expect(get(t.port, "/metrics", "", &out), 401);
    expect(get(t.port, "/metrics", header("Authorization: Bearer %s\r\n", read_key), &out), 200);
}

static void needs_no_key_for_health_and_page(void **state) {
    expect(get(t.port, "/healthz", "", &out), 200);
    expect(get(t.port, "/readyz", "", &out), 200);
    expect(get(t.port, "/", "", &out), 200);
    expect(get(t.port, "/api/openapi.json", "", &out), 200);
}

static void keeps_projects_apart(void **state) {
    buf_clear(&body);
    put_otlp(&body, 1, 50, "apart");
    expect(send_with(header("x-api-key: %s\r\n", shop_key)), 200);
    buf_clear(&body);
    put_otlp(&body, 1, 51, "apart");
    expect(send_with(header("x-api-key: %s\r\n", send_key)), 200);
    expect(get(t.port, "/api/v1/traces?q=service:apart", header("x-api-key: %s\r\n", shop_key), &out), 200);
    assert_has(&out, "0102030400320708090a0b0000000f10");
    assert_has_not(&out, "0102030400330708090a0b0000000f10");
    expect(get(t.port, "/api/v1/traces/0102030400330708090a0b0000000f10", header("x-api-key: %s\r\n", shop_key), &out),
           404);
    expect(get(t.port, "/api/v1/traces?q=service:apart", header("x-api-key: %s\r\n", read_key), &out), 200);
    assert_has(&out, "0102030400320708090a0b0000000f10");
    assert_has(&out, "0102030400330708090a0b0000000f10");
}

static void makes_and_revokes_keys(void **state) {
    char admin[128], made[KEY_TEXT_MAX] = "", id[9] = "";
    snprintf(admin, sizeof admin, JSON "x-api-key: %s\r\n", admin_key);
    expect(post(t.port, "/api/v1/keys", admin, "{\"name\":\"new\",\"scopes\":\"ingest\"}", &out), 200);
    const char *at = strstr(buf_cstr(&out), "\"key\":\"");
    assert_non_null(at);
    snprintf(made, sizeof made, "%.*s", (int)strcspn(at + 7, "\""), at + 7);
    snprintf(id, sizeof id, "%.8s", made + 3);
    expect(send_with(header("x-api-key: %s\r\n", made)), 200);
    expect(get(t.port, "/api/v1/keys", admin, &out), 200);
    assert_has(&out, id);
    assert_has_not(&out, made);
    struct buf request = {0};
    buf_printf(&request, "DELETE /api/v1/keys/%s HTTP/1.1\r\n" HOST "%s\r\n", id, admin);
    expect(client_ask(t.port, buf_cstr(&request), &out), 200);
    expect(client_ask(t.port, buf_cstr(&request), &out), 404);
    buf_free(&request);
    expect(send_with(header("x-api-key: %s\r\n", made)), 401);
    expect(post(t.port, "/api/v1/keys", admin, "{\"name\":\"new\",\"scopes\":\"everything\"}", &out), 400);
    assert_has(&out, "everything");
    expect(post(t.port, "/api/v1/keys", admin, "{\"name\":\"\"}", &out), 400);
    expect(post(t.port, "/api/v1/keys", admin, "{\"name\":\"a\",\"scope\":\"read\"}", &out), 400);
    assert_has(&out, "scope");
}

static void keeps_other_pages_away(void **state) {
    struct test_server open;
    test_server_init(&open);
    open.options.hosts = "vitrine.example";
    open.options.cors_origins = "https://app.example";
    test_server_start(&open);
    /* A name that was pointed at this machine after its page was loaded. */
    expect(client_ask(open.port, "GET /api/v1/traces HTTP/1.1\r\nHost: evil.example:4318\r\n\r\n", &out), 403);
    assert_has(&out, "--host");
    expect(client_ask(open.port, "GET /api/v1/traces HTTP/1.1\r\nHost: vitrine.example\r\n\r\n", &out), 200);
    expect(client_ask(open.port, "GET /api/v1/traces HTTP/1.1\r\nHost: [::1]:4318\r\n\r\n", &out), 200);
    /* A page elsewhere that sends what browsers send without asking. */
    expect(post(open.port, "/ingest/logs", "Origin: https://evil.example\r\nContent-Type: text/plain\r\n", "x", &out),
           403);
    expect(post(open.port, "/api/v1/query", "Origin: https://evil.example\r\nContent-Type: text/plain\r\n", "{}", &out),
           403);
    expect(post(open.port, "/ingest/logs", "Origin: null\r\nContent-Type: text/plain\r\n", "x", &out), 403);
    expect(post(open.port, "/ingest/logs", "Origin: http://localhost\r\nContent-Type: text/plain\r\n", "x", &out), 200);
    expect(get(open.port, "/api/v1/live", "Origin: https://evil.example\r\nUpgrade: websocket\r\n", &out), 403);
    /* Pages that were let in may send, and only send. */
    expect(post(open.port, "/v1/traces", JSON "Origin: https://app.example\r\n", "{}", &out), 200);
    assert_has(&out, "Access-Control-Allow-Origin: https://app.example\r\n");
    expect(client_ask(open.port,
                      "OPTIONS /v1/traces HTTP/1.1\r\n" HOST
                      "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n\r\n",
                      &out),
           204);
    assert_has(&out, "Access-Control-Allow-Headers: authorization");
    expect(client_ask(open.port, "OPTIONS /v1/traces HTTP/1.1\r\n" HOST "Origin: https://evil.example\r\n\r\n", &out),
           403);
    assert_has_not(&out, "Access-Control");
    expect(post(open.port, "/api/v1/query", JSON "Origin: https://app.example\r\n", "{}", &out), 403);
    /* Without keys everything is open here, but a key of ours that is wrong is a mistake. */
    expect(post(open.port, "/v1/traces", JSON "Authorization: Bearer sk-lf-whatever\r\n", "{}", &out), 200);
    expect(post(open.port, "/v1/traces", JSON "Authorization: Bearer vt_abcdefgh_0123\r\n", "{}", &out), 401);
    test_server_free(&open);
}

static void does_not_open_to_other_machines_without_keys(void **state) {
    struct test_server wide;
    struct error err;
    test_server_init(&wide);
    wide.options.listen = "0.0.0.0:0";
    assert_int_equal(serve_start(&wide.server, &wide.options, &err), VT_EDENIED);
    assert_non_null(strstr(err.hint, "vitrine keys add"));
    assert_non_null(strstr(err.hint, "--insecure"));
    wide.options.listen = "127.0.0.1:0";
    wide.options.grpc = "0.0.0.0:0";
    assert_int_equal(serve_start(&wide.server, &wide.options, &err), VT_EDENIED);
    wide.options.insecure = true;
    test_server_start(&wide);
    expect(get(wide.port, "/api/v1/traces", "", &out), 200);
    test_server_stop(&wide);
    wide.options.insecure = false;
    make_keys(wide.dir);
    test_server_start(&wide);
    expect(get(wide.port, "/api/v1/traces", "", &out), 401);
    test_server_free(&wide);
}

static void knows_names_of_this_machine(void **state) {
    static const char *const local[] = {"localhost",        "LOCALHOST:1", "a.localhost:80", "127.0.0.1",
                                        "192.168.1.1:4318", "[::1]:4318",  "[fe80::1]"};
    static const char *const other[] = {
        "localhost.evil.example", "127.0.0.1.evil.example", "evil.example", "", "[evil.example]:1", "1"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (!host_is_local(slice_of(local[i]))) fail_msg("%s", local[i]);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (host_is_local(slice_of(other[i]))) fail_msg("%s", other[i]);
    assert_true(list_has("a, B ,c", SLICE("b")));
    assert_false(list_has("a,,c", SLICE("")));
    assert_false(list_has(NULL, SLICE("a")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_keys_where_sdks_put_them),
        cmocka_unit_test(refuses_wrong_keys),
        cmocka_unit_test(keeps_scopes_apart),
        cmocka_unit_test(needs_no_key_for_health_and_page),
        cmocka_unit_test(keeps_projects_apart),
        cmocka_unit_test(makes_and_revokes_keys),
        cmocka_unit_test(keeps_other_pages_away),
        cmocka_unit_test(does_not_open_to_other_machines_without_keys),
        cmocka_unit_test(knows_names_of_this_machine),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
