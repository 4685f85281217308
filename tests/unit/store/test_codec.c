/* Encodings of Parquet: what goes in comes out, what is cut off is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/parquet.h"
#include <stdlib.h>

enum { MAX = 5000 };

static uint64_t random64(unsigned *seed) {
    return (uint64_t)rand_r(seed) << 42 ^ (uint64_t)rand_r(seed) << 21 ^ (uint64_t)rand_r(seed);
}

static void pad(struct buf *buf) {
    buf_put(buf, "\0\0\0\0\0\0\0\0", 8), buf->len -= 8;
}

static void delta_round_trips(void **state) {
    static int64_t in[MAX], out[MAX];
    for (unsigned n = 0; n < 300; n++) {
        unsigned seed = n + 1;
        uint32_t count = n < 140 ? n : (uint32_t)rand_r(&seed) % MAX;
        int kind = rand_r(&seed) % 4;
        for (uint32_t i = 0; i < count; i++)
            in[i] = kind == 0   ? (int64_t)random64(&seed)
                    : kind == 1 ? 7
                    : kind == 2 ? (i ? in[i - 1] : 0) + rand_r(&seed) % 1000
                    : i % 2     ? INT64_MAX
                                : INT64_MIN + 1;
        struct buf buf = {0};
        delta_encode(&buf, in, count);
        pad(&buf);
        assert_true(delta_decode((uint8_t *)buf.ptr, (uint8_t *)buf.ptr + buf.len, out, count));
        assert_memory_equal(in, out, count * sizeof *in);
        if (count > 1)
            assert_false(delta_decode((uint8_t *)buf.ptr, (uint8_t *)buf.ptr + buf.len / 2, out, count) && buf.len > 8);
        assert_false(delta_decode((uint8_t *)buf.ptr, (uint8_t *)buf.ptr + buf.len, out, count + 1));
        buf_free(&buf);
    }
}

static void hybrid_round_trips(void **state) {
    static uint32_t in[MAX], out[MAX + 8];
    for (unsigned n = 0; n < 600; n++) {
        unsigned seed = n + 1, width = 1 + n % 32;
        uint32_t count = 1 + (uint32_t)rand_r(&seed) % (MAX - 1);
        uint32_t mask = width == 32 ? UINT32_MAX : (1u << width) - 1;
        for (uint32_t i = 0; i < count;) {
            uint32_t run = rand_r(&seed) % 3 ? 1 : 1 + (uint32_t)rand_r(&seed) % 40,
                     value = (uint32_t)random64(&seed) & mask;
            while (run-- && i < count) in[i++] = value;
        }
        struct buf buf = {0};
        hybrid_encode(&buf, in, count, width);
        pad(&buf);
        assert_true(hybrid_decode((uint8_t *)buf.ptr, (uint8_t *)buf.ptr + buf.len, out, count, width));
        assert_memory_equal(in, out, count * sizeof *in);
        assert_false(hybrid_decode((uint8_t *)buf.ptr, (uint8_t *)buf.ptr + buf.len - 1, out, count, width) &&
                     in[count - 1] != in[count - 2 + (count == 1)]);
        buf_free(&buf);
    }
}

static void bloom_has_what_was_added_and_little_else(void **state) {
    unsigned seed = 1;
    uint32_t bytes = bloom_bytes_for(10000), false_hits = 0;
    uint8_t *bits = calloc(1, bytes);
    for (uint64_t i = 0; i < 10000; i++) bloom_add(bits, bytes, i * UINT64_C(0x9e3779b97f4a7c15));
    for (uint64_t i = 0; i < 10000; i++) assert_true(bloom_has(bits, bytes, i * UINT64_C(0x9e3779b97f4a7c15)));
    for (int i = 0; i < 100000; i++) false_hits += bloom_has(bits, bytes, random64(&seed) << 1 ^ random64(&seed));
    assert_true(false_hits < 2000);
    free(bits);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(delta_round_trips), cmocka_unit_test(hybrid_round_trips),
                                       cmocka_unit_test(bloom_has_what_was_added_and_little_else)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
