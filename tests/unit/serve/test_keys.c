/* Keys: made once, checked by hash, revoked for good, seen by another process' server. */
#include "serve/keys.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], path[96];

static int start(void **state) {
    snprintf(dir, sizeof dir, "/tmp/vitrine-keys-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/catalog.db", dir);
    return 0;
}

static int stop(void **state) {
    char other[112];
    unlink(path);
    snprintf(other, sizeof other, "%s-wal", path);
    unlink(other);
    snprintf(other, sizeof other, "%s-shm", path);
    unlink(other);
    return rmdir(dir);
}

static void accepts_the_key_it_made_and_no_other(void **state) {
    struct keys *keys;
    struct error err;
    struct key made, found;
    char text[KEY_TEXT_MAX], wrong[KEY_TEXT_MAX];
    assert_int_equal(keys_open(&keys, path, &err), 0);
    assert_int_equal(keys_count(keys), 0);
    assert_int_equal(keys_add(keys, "storefront", "shop", SCOPE_INGEST, text, &made, &err), 0);
    assert_int_equal(keys_count(keys), 1);
    assert_true(keys_check(keys, slice_of(text), &found));
    assert_string_equal(found.project, "shop");
    assert_string_equal(found.id, made.id);
    assert_int_equal(found.scopes, SCOPE_INGEST);
    for (size_t i = 0; i < strlen(text); i++) {
        strcpy(wrong, text);
        wrong[i] = wrong[i] == 'x' ? 'y' : 'x';
        assert_false(keys_check(keys, slice_of(wrong), NULL));
        assert_false(keys_check(keys, slice_make(text, i), NULL));
    }
    keys_close(keys);
}

static void never_stores_the_key_itself(void **state) {
    char text[KEY_TEXT_MAX], file[1 << 16];
    struct keys *keys;
    struct error err;
    assert_int_equal(keys_open(&keys, path, &err), 0);
    assert_int_equal(keys_add(keys, "secret", "", SCOPE_READ, text, NULL, &err), 0);
    keys_close(keys);
    FILE *f = fopen(path, "rb");
    size_t len = fread(file, 1, sizeof file, f);
    fclose(f);
    assert_null(memmem(file, len, text, strlen(text)));
    assert_null(memmem(file, len, text + 12, strlen(text) - 12));
}

static void sees_what_another_process_changed(void **state) {
    struct keys *server, *cli;
    struct error err;
    struct key made;
    char text[KEY_TEXT_MAX];
    assert_int_equal(keys_open(&server, path, &err), 0);
    assert_int_equal(keys_open(&cli, path, &err), 0);
    assert_int_equal(keys_add(cli, "late", "", SCOPE_ALL, text, &made, &err), 0);
    assert_false(keys_check(server, slice_of(text), NULL));
    keys_refresh(server);
    assert_true(keys_check(server, slice_of(text), NULL));
    assert_int_equal(keys_revoke(cli, made.id, &err), 0);
    keys_refresh(server);
    assert_false(keys_check(server, slice_of(text), NULL));
    assert_int_equal(keys_revoke(cli, made.id, &err), VT_ENOTFOUND);
    assert_non_null(strstr(err.message, made.id));
    keys_close(server), keys_close(cli);
}

static void revokes_by_name_when_it_is_the_only_one(void **state) {
    struct keys *keys;
    struct error err;
    char one[KEY_TEXT_MAX], two[KEY_TEXT_MAX];
    assert_int_equal(keys_open(&keys, path, &err), 0);
    keys_add(keys, "twin", "", SCOPE_READ, one, NULL, &err), keys_add(keys, "twin", "", SCOPE_READ, two, NULL, &err);
    assert_int_equal(keys_revoke(keys, "twin", &err), VT_ENOTFOUND);
    assert_int_equal(keys_revoke(keys, one, &err), 0); /* the whole key, too */
    assert_null(strstr(err.message, one));
    assert_int_equal(keys_revoke(keys, "twin", &err), 0);
    assert_false(keys_check(keys, slice_of(two), NULL));
    keys_close(keys);
}

static void refuses_names_and_scopes_without_meaning(void **state) {
    struct keys *keys;
    struct error err;
    char text[KEY_TEXT_MAX], out[32], lengthy[100];
    memset(lengthy, 'n', sizeof lengthy);
    lengthy[99] = 0;
    assert_int_equal(keys_open(&keys, path, &err), 0);
    assert_int_equal(keys_add(keys, lengthy, "", SCOPE_READ, text, NULL, &err), VT_EINVAL);
    assert_int_equal(keys_add(keys, "a\nb", "", SCOPE_READ, text, NULL, &err), VT_EINVAL);
    assert_int_equal(keys_add(keys, "a", "", 0, text, NULL, &err), VT_EINVAL);
    assert_int_equal(scopes_parse("ingest,read", &err), SCOPE_INGEST | SCOPE_READ);
    assert_string_equal(scopes_format(SCOPE_INGEST | SCOPE_ADMIN, out, sizeof out), "ingest,admin");
    assert_int_equal(scopes_parse("ingest,write", &err), 0);
    assert_non_null(strstr(err.message, "\"write\""));
    keys_close(keys);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_the_key_it_made_and_no_other),
        cmocka_unit_test(never_stores_the_key_itself),
        cmocka_unit_test(sees_what_another_process_changed),
        cmocka_unit_test(revokes_by_name_when_it_is_the_only_one),
        cmocka_unit_test(refuses_names_and_scopes_without_meaning),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
