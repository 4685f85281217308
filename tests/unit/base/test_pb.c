/* Protocol Buffers: fields of every wire type, nesting, and what is cut off or no protobuf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/pb.h"

static void fields_round_trip(void **state) {
    static const uint64_t numbers[] = {1, 127, 128, 300, UINT32_MAX, UINT64_MAX};
    struct buf out = {0};
    for (size_t i = 0; i < 6; i++) pb_put_uint(&out, 1, numbers[i]);
    pb_put_fixed64(&out, 536870911, 0x0102030405060708);
    size_t mark = pb_begin(&out, 3);
    pb_put_bytes(&out, 1, SLICE("inner"));
    pb_end(&out, mark);
    struct pb_reader r, inner;
    struct pb_field f;
    pb_reader_init(&r, buf_slice(&out));
    for (size_t i = 0; i < 6; i++)
        assert_true(pb_next(&r, &f) && f.number == 1 && f.wire == PB_VARINT && f.integer == numbers[i]);
    assert_true(pb_next(&r, &f) && f.number == 536870911 && f.wire == PB_FIXED64 && f.integer == 0x0102030405060708);
    assert_true(pb_next(&r, &f) && f.number == 3 && f.wire == PB_BYTES);
    pb_reader_init(&inner, f.bytes);
    assert_true(pb_next(&inner, &f) && slice_is(f.bytes, "inner"));
    assert_false(pb_next(&inner, &f) || inner.failed);
    assert_false(pb_next(&r, &f) || r.failed);
    buf_free(&out);
}

static void broken_bytes_are_refused(void **state) {
    static const struct slice cases[] = {SLICE("\x08"),
                                         SLICE("\x08\x80"),
                                         SLICE("\x09\x01\x02"),
                                         SLICE("\x0d\x01"),
                                         SLICE("\x0a\x05"
                                               "abc"),
                                         SLICE("\x0b"),
                                         SLICE("\x0f"),
                                         SLICE("\x00\x01"),
                                         SLICE("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                                         SLICE("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pb_reader r;
        struct pb_field f;
        pb_reader_init(&r, cases[i]);
        while (pb_next(&r, &f)) {
        }
        if (!r.failed || r.err.code != VT_EINVAL) fail_msg("case %zu was taken", i);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields_round_trip), cmocka_unit_test(broken_bytes_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
