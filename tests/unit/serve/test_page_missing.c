/* The program without its page: it says what is missing, and all else is there. */
#include "server_test.h"

static void says_what_is_missing(void **state) {
    struct test_server t;
    struct buf out = {0};
    test_server_init(&t);
    test_server_start(&t);
    assert_int_equal(get(t.port, "/", "", &out), 200);
    assert_has(&out, "Content-Type: text/html");
    assert_has(&out, "Node.js 18 and npm");
    assert_int_equal(get(t.port, "/traces/1234", "", &out), 200);
    assert_has(&out, "Node.js 18 and npm");
    assert_int_equal(get(t.port, "/app.js", "", &out), 404);
    assert_int_equal(get(t.port, "/api/v1/traces", "", &out), 200);
    test_server_free(&t);
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(says_what_is_missing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
