/* What any reader of gzip gets back is what went in, whatever the lines look like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "metrics/line_gzip.h"

#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint32_t any(uint32_t below) {
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

/* Packs `text` in pieces that end after lines, unpacks it with libdeflate, which checks length and sum; the size. */
static size_t there_and_back(struct slice text, size_t piece) {
    static struct line_gzip gzip;
    struct buf packed = {0};
    buf_puts(&packed, "before");
    line_gzip_begin(&gzip, &packed);
    for (size_t at = 0, end; at < text.len; at = end) {
        for (end = at + 1; end < text.len && (end - at < piece || text.ptr[end - 1] != '\n');) end++;
        line_gzip_put(&gzip, slice_make(text.ptr + at, end - at));
    }
    line_gzip_end(&gzip);
    assert_false(packed.failed);
    assert_memory_equal(packed.ptr, "before", 6);
    char *back = malloc(text.len + 1);
    size_t used = 0, len = 0, size = packed.len - 6;
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    assert_int_equal(libdeflate_gzip_decompress_ex(d, packed.ptr + 6, size, back, text.len + 1, &used, &len),
                     LIBDEFLATE_SUCCESS);
    assert_int_equal(used, size);
    assert_int_equal(len, text.len);
    if (len) assert_memory_equal(back, text.ptr, len);
    libdeflate_free_decompressor(d);
    free(back);
    buf_free(&packed);
    return size;
}

static void lines_alike_become_small(void **state) {
    struct buf text = {0};
    for (int i = 0; i < 20000; i++)
        buf_printf(&text,
                   "shop_llm_duration_seconds_bucket{service=\"shop\",provider=\"openai\",model=\"m%d\",operation="
                   "\"openai.chat.completions.create\",status=\"OK\",le=\"%g\"} %d\n",
                   i / 15, i % 15 * 0.02, i % 7);
    assert_true(there_and_back(buf_slice(&text), 64 << 10) * 8 < text.len);
    buf_free(&text);
}

static void nothing_and_one_byte(void **state) {
    there_and_back(SLICE(""), 1);
    there_and_back(SLICE("x"), 1);
    there_and_back(SLICE("\n\n\n\n\n\n\n\n\n"), 1);
}

/* Lines of all lengths about the longest match and the longest distance, with quotes, without, and bytes of all kinds.
 */
static void any_text_comes_back(void **state) {
    for (int round = 0; round < 300; round++) {
        struct buf text = {0};
        uint32_t alphabet = any(3) ? 3 + any(5) : 256, longest = any(20) ? 600 : 40000;
        while (text.len < (longest > 600 ? 200000 : 6000)) {
            size_t len = any(longest), start = text.len;
            for (size_t i = 0; i < len; i++)
                buf_putc(&text, alphabet == 256 ? (char)any(256) : "ab\"{,x=} "[any(alphabet)]);
            buf_putc(&text, '\n');
            /* Now and then the same once more, but for a byte or two. */
            for (uint32_t again = any(4), n = (uint32_t)(text.len - start); again--;) {
                if (!buf_reserve(&text, n)) break;
                size_t from = text.len - n;
                buf_put(&text, text.ptr + from, n);
                if (n > 1) text.ptr[text.len - 1 - any(n)] = 'y';
            }
        }
        there_and_back(buf_slice(&text), 1 + any(70000));
        buf_free(&text);
    }
}

static void every_length_of_match(void **state) {
    for (int same = 0; same < 1100; same++) {
        struct buf text = {0};
        for (int line = 0; line < 2; line++) {
            for (int i = 0; i < same; i++) buf_putc(&text, (char)('a' + i * i % 23));
            buf_printf(&text, "%s\n", line ? "\"end" : "other\"");
        }
        there_and_back(buf_slice(&text), 1 << 20);
        buf_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_alike_become_small),
        cmocka_unit_test(nothing_and_one_byte),
        cmocka_unit_test(any_text_comes_back),
        cmocka_unit_test(every_length_of_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
