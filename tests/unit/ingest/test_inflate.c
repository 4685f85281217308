/* Compressed bodies: whole, in pieces, broken, and bombs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ingest/inflate.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <zstd.h>

enum { LIMIT = 1 << 20 };

static struct slice text_of(size_t len) {
    static char text[4 << 20];
    for (size_t i = 0; i < len; i++) text[i] = (char)('a' + i * i % 23);
    return slice_make(text, len);
}

static void pack(struct buf *out, const char *encoding, struct slice text) {
    struct libdeflate_compressor *packer = libdeflate_alloc_compressor(6);
    assert_true(buf_reserve(out, text.len + 1024));
    char *to = out->ptr + out->len;
    size_t room = out->cap - out->len;
    if (strcmp(encoding, "gzip") == 0)
        out->len += libdeflate_gzip_compress(packer, text.ptr, text.len, to, room);
    else if (strcmp(encoding, "zlib") == 0)
        out->len += libdeflate_zlib_compress(packer, text.ptr, text.len, to, room);
    else if (strcmp(encoding, "deflate") == 0)
        out->len += libdeflate_deflate_compress(packer, text.ptr, text.len, to, room);
    else
        out->len += ZSTD_compress(to, room, text.ptr, text.len, 3);
    libdeflate_free_compressor(packer);
}

static const struct {
    const char *packing, *encoding;
} kinds[] = {{"gzip", "gzip"}, {"gzip", "X-GZIP "}, {"zlib", "deflate"}, {"deflate", "deflate"}, {"zstd", "zstd"}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void inflates_every_encoding(void **state) {
    for (int k = 0; k < KINDS; k++)
        for (size_t len = 0; len < 300000; len = len * 7 + 1) {
            struct buf packed = {0}, out = {0};
            struct error err = {0};
            pack(&packed, kinds[k].packing, text_of(len));
            assert_int_equal(body_inflate(buf_slice(&packed), slice_of(kinds[k].encoding), LIMIT, &out, &err), 0);
            assert_true(slice_eq(buf_slice(&out), text_of(len)));
            buf_free(&packed), buf_free(&out);
        }
}

static void leaves_a_plain_body_alone(void **state) {
    struct buf out = {0};
    assert_int_equal(body_inflate(SLICE("x"), SLICE(""), LIMIT, &out, NULL), 0);
    assert_int_equal(body_inflate(SLICE("x"), SLICE(" Identity"), LIMIT, &out, NULL), 0);
    assert_null(out.ptr);
}

static void takes_several_members(void **state) {
    static const char *const both[] = {"gzip", "zstd"};
    for (int k = 0; k < 2; k++) {
        struct buf packed = {0}, out = {0};
        for (int i = 0; i < 3; i++) pack(&packed, both[k], text_of(5000));
        if (k == 0) buf_put(&packed, "\0\0\0", 3);
        assert_int_equal(body_inflate(buf_slice(&packed), slice_of(both[k]), LIMIT, &out, NULL), 0);
        assert_int_equal(out.len, 15000);
        assert_memory_equal(out.ptr + 10000, text_of(5000).ptr, 5000);
        buf_free(&packed), buf_free(&out);
    }
}

static void takes_exactly_the_limit_and_no_byte_more(void **state) {
    for (int k = 0; k < KINDS; k++)
        for (size_t over = 0; over < 2; over++) {
            struct buf packed = {0}, out = {0};
            struct error err = {0};
            pack(&packed, kinds[k].packing, text_of(LIMIT + over));
            assert_int_equal(body_inflate(buf_slice(&packed), slice_of(kinds[k].encoding), LIMIT, &out, &err),
                             over ? VT_ELIMIT : 0);
            assert_true(out.len <= LIMIT);
            buf_free(&packed), buf_free(&out);
        }
}

static void refuses_a_bomb_without_growing(void **state) {
    struct slice zeros = slice_make(calloc(1, 64 << 20), 64 << 20);
    for (int k = 0; k < KINDS; k++) {
        struct buf packed = {0}, out = {0};
        struct error err = {0};
        pack(&packed, kinds[k].packing, zeros);
        if (k == 0) memset(packed.ptr + packed.len - 4, 0, 4); /* it claims to be empty */
        assert_true(packed.len < 100000);
        assert_int_equal(body_inflate(buf_slice(&packed), slice_of(kinds[k].encoding), LIMIT, &out, &err), VT_ELIMIT);
        assert_true(out.cap <= 2 * LIMIT);
        assert_non_null(strstr(err.message, "1048576"));
        buf_free(&packed), buf_free(&out);
    }
    free((void *)(uintptr_t)zeros.ptr);
}

static void refuses_a_body_cut_at_any_byte(void **state) {
    for (int k = 0; k < KINDS; k++) {
        struct buf packed = {0};
        pack(&packed, kinds[k].packing, text_of(2000));
        for (size_t cut = 0; cut < packed.len; cut++) {
            struct buf out = {0};
            struct error err = {0};
            char *exact = malloc(cut + 1);
            memcpy(exact, packed.ptr, cut);
            assert_int_equal(body_inflate(slice_make(exact, cut), slice_of(kinds[k].encoding), LIMIT, &out, &err),
                             VT_EINVAL);
            free(exact);
            buf_free(&out);
        }
        buf_free(&packed);
    }
}

static void refuses_damage_and_what_follows_the_end(void **state) {
    struct buf packed = {0}, out = {0};
    pack(&packed, "gzip", text_of(2000));
    packed.ptr[packed.len / 2] ^= 0x40;
    assert_int_equal(body_inflate(buf_slice(&packed), SLICE("gzip"), LIMIT, &out, NULL), VT_EINVAL);
    packed.ptr[packed.len / 2] ^= 0x40;
    buf_puts(&packed, "rest");
    assert_int_equal(body_inflate(buf_slice(&packed), SLICE("gzip"), LIMIT, &out, NULL), VT_EINVAL);
    buf_free(&packed), buf_free(&out);
}

static void names_an_unknown_encoding(void **state) {
    struct buf out = {0};
    struct error err = {0};
    assert_int_equal(body_inflate(SLICE("x"), SLICE("br"), LIMIT, &out, &err), VT_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "\"br\""));
    assert_int_equal(body_inflate(SLICE("x"), SLICE("gzip, gzip"), LIMIT, &out, &err), VT_EUNSUPPORTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inflates_every_encoding),
        cmocka_unit_test(leaves_a_plain_body_alone),
        cmocka_unit_test(takes_several_members),
        cmocka_unit_test(takes_exactly_the_limit_and_no_byte_more),
        cmocka_unit_test(refuses_a_bomb_without_growing),
        cmocka_unit_test(refuses_a_body_cut_at_any_byte),
        cmocka_unit_test(refuses_damage_and_what_follows_the_end),
        cmocka_unit_test(names_an_unknown_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
