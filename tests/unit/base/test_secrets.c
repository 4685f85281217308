/* The scanners for what must not be kept, against what they are defined by: one regular expression each, written down
 * here, on texts put together at random from secrets, near misses and what stands between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/secrets.h"
#include "secret_texts.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

/* clang-format off */
static const char *const forms[SECRET_COUNT] = {
    [SECRET_EMAIL] =
     "(?<![\\w.+%-])[\\w.+%-]{1,64}@(?:[\\w](?:[\\w-]{0,61}[\\w])?\\.)+[A-Za-z][\\w-]{1,23}\\b",
    [SECRET_PHONE] =
     "(?<![\\w+.-])(?:\\+|00(?=[1-9]\\d{0,2} ))[1-9]\\d{0,2}(?:[ ./-]?\\(\\d{1,4}\\))?(?:[ ./-]?\\d){6,12}(?![\\w-])"
     "|(?<![\\w.+-])(?:\\(\\d{3}\\) ?|\\d{3}[ .-])\\d{3}[ .-]\\d{4}(?![\\w-])"
     "|(?<![\\w.+-])0[1-9]\\d{1,3}[ /-]\\d{3,8}(?:[ -]\\d{2,6}){0,2}(?![\\w.-])",
    [SECRET_CARD] =
     "(?<![\\w.-])[2-6]\\d{3}(?:[ -]?\\d){8,15}(?![\\w-])",
    [SECRET_APIKEY] =
     "(?<![A-Za-z0-9])(?:"
     "sk-(?:[a-z0-9]+-)*[A-Za-z0-9_-]{20,}|[sp]k-lf-[0-9a-f-]{36}"
     "|AIza[\\w-]{35}|ya29\\.[\\w-]{20,}"
     "|(?:AKIA|ASIA)[A-Z0-9]{16}"
     "|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\\w{40,}|glpat-[\\w-]{20,}"
     "|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"
     "|[rsp]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,}"
     "|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{40,}|xai-[A-Za-z0-9]{40,}"
     "|pplx-[A-Za-z0-9]{40,}|r8_[A-Za-z0-9]{30,}|fw_[A-Za-z0-9]{20,}"
     "|SG\\.[\\w-]{16,32}\\.[\\w-]{16,64}|npm_[A-Za-z0-9]{36}|pypi-[\\w-]{50,}"
     "|dop_v1_[0-9a-f]{64}|sq0(?:atp|csp)-[\\w-]{22,}|lsv2_[a-z]{2}_\\w{30,}"
     "|eyJ[\\w-]{10,}\\.eyJ[\\w-]{10,}\\.[\\w-]{10,}"
     "|(?i:bearer) +[\\w.~+/-]{20,}=*"
     "|-----BEGIN [A-Z ]*PRIVATE KEY-----[\\s\\S]{1,8192}?-----END [A-Z ]*PRIVATE KEY-----"
     ")",
};
/* clang-format on */

static pcre2_code *codes[SECRET_COUNT];

static int compile(void **state) {
    for (int i = 0; i < SECRET_COUNT; i++) {
        int number;
        PCRE2_SIZE at;
        codes[i] = pcre2_compile((PCRE2_SPTR)forms[i], PCRE2_ZERO_TERMINATED, PCRE2_UTF, &number, &at, NULL);
        if (!codes[i] || pcre2_jit_compile(codes[i], PCRE2_JIT_COMPLETE)) return -1;
    }
    return 0;
}

static int release(void **state) {
    for (int i = 0; i < SECRET_COUNT; i++) pcre2_code_free(codes[i]);
    return 0;
}

/* ---- by the definition ---- */

static bool adds_up(const char *digits, size_t len) {
    int reversed[32], count = 0, sum = 0;
    for (size_t i = 0; i < len; i++)
        if (digits[i] >= '0' && digits[i] <= '9' && count < 32) reversed[count++] = digits[i] - '0';
    if (count < 12 || count > 19) return false;
    for (int i = 0; i < count; i++) {
        int digit = reversed[count - 1 - i] * (i % 2 + 1);
        sum += digit > 9 ? digit - 9 : digit;
    }
    return sum % 10 == 0;
}

/* The first match from there on; of a card, the longest part of it, up to a break, that adds up. */
static bool find_defined(enum secret kind, struct slice text, size_t from, size_t *start, size_t *end) {
    pcre2_match_data *found = pcre2_match_data_create(8, NULL);
    bool any = false;
    while (!any && pcre2_match(codes[kind], (PCRE2_SPTR)text.ptr, text.len, from, 0, found, NULL) > 0) {
        *start = pcre2_get_ovector_pointer(found)[0];
        *end = pcre2_get_ovector_pointer(found)[1];
        any = true;
        if (kind != SECRET_CARD) break;
        size_t whole = *end;
        while (*end > *start && !((*end == whole || text.ptr[*end] == ' ' || text.ptr[*end] == '-') &&
                                  adds_up(text.ptr + *start, *end - *start)))
            --*end;
        if (*end > *start) break;
        any = false;
        from = *start;
        while (from < text.len && text.ptr[from] >= '0' && text.ptr[from] <= '9') from++;
    }
    pcre2_match_data_free(found);
    return any;
}

static void mask_defined(enum secret kind, struct slice text, struct buf *out) {
    size_t at = 0, start, end;
    for (; find_defined(kind, text, at, &start, &end); at = end) {
        buf_put(out, text.ptr + at, start - at);
        buf_puts(out, secret_kinds[kind].replacement);
    }
    buf_put(out, text.ptr + at, text.len - at);
}

/* ---- */

static void scanners_find_what_their_definitions_say(void **state) {
    char room[TEXT_MAX];
    struct buf got = {0}, wanted = {0};
    unsigned masked[SECRET_COUNT] = {0};
    for (seed = 1; seed < 400000; seed += 2) {
        unsigned this = seed;
        struct slice text = make_text(room);
        for (int kind = 0; kind < SECRET_COUNT; kind++) {
            buf_clear(&got), buf_clear(&wanted);
            bool any = secret_mask((enum secret)kind, text, false, &got);
            if (!any) buf_put_slice(&got, text);
            mask_defined((enum secret)kind, text, &wanted);
            if (!slice_eq(buf_slice(&got), buf_slice(&wanted)))
                fail_msg("seed %u, %s: %.*s\n  became   %s\n  expected %s", this, secret_kinds[kind].name,
                         (int)text.len, text.ptr, buf_cstr(&got), buf_cstr(&wanted));
            masked[kind] += any;
        }
        seed = this;
    }
    for (int kind = 0; kind < SECRET_COUNT; kind++) {
        print_message("%s: %u\n", secret_kinds[kind].name, masked[kind]);
        assert_true(masked[kind] > 500); /* the texts are worth looking at */
    }
    buf_free(&got), buf_free(&wanted);
}

static void expect_masked(enum secret kind, struct slice text, const char *expected) {
    struct buf out = {0};
    if (!secret_mask(kind, text, false, &out)) buf_put_slice(&out, text);
    assert_string_equal(buf_cstr(&out), expected);
    buf_free(&out);
}

static void bytes_that_are_no_utf8_are_passed_over(void **state) {
    expect_masked(SECRET_EMAIL,
                  SLICE("\xff"
                        "a@b.de\xfe"),
                  "\xff[email]\xfe");
    expect_masked(SECRET_PHONE, SLICE("\x80+49 171 1234567\xff"), "\x80[phone]\xff");
}

static void tags_tell_masked_texts_apart(void **state) {
    struct buf one = {0}, other = {0}, same = {0};
    assert_true(secret_mask(SECRET_EMAIL, SLICE("a@b.de"), true, &one));
    assert_true(secret_mask(SECRET_EMAIL, SLICE("c@b.de"), true, &other));
    assert_true(secret_mask(SECRET_EMAIL, SLICE("a@b.de"), true, &same));
    assert_int_equal(one.len, sizeof "[email]-01234567" - 1);
    assert_string_equal(buf_cstr(&one), buf_cstr(&same));
    assert_string_not_equal(buf_cstr(&one), buf_cstr(&other));
    buf_free(&one), buf_free(&other), buf_free(&same);
}

/* Texts that a careless scanner goes through again and again: a megabyte of each would take hours, and the test its
 * time-out. */
static void hostile_texts_come_to_an_end(void **state) {
    static const char *const parts[] = {"ey"
                                        "J-",
                                        "ey"
                                        "J-.",
                                        "a@",
                                        "@a.",
                                        "a.b@",
                                        "-----BEGIN PRIVATE KEY-----",
                                        "-----END ",
                                        "bearer ",
                                        "+1",
                                        "4111 ",
                                        "0 ",
                                        "(",
                                        "s"
                                        "k-",
                                        "-----BEGIN A",
                                        "ey"
                                        "Jaaaaaaaaaa.ey"
                                        "J-"};
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        struct buf out = {0};
        size_t n = strlen(parts[p]);
        for (size_t i = 0; i < SIZE; i++) text[i] = parts[p][i % n];
        for (int kind = 0; kind < SECRET_COUNT; kind++)
            secret_mask((enum secret)kind, slice_make(text, SIZE), false, &out), buf_clear(&out);
        buf_free(&out);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scanners_find_what_their_definitions_say),
        cmocka_unit_test(bytes_that_are_no_utf8_are_passed_over),
        cmocka_unit_test(tags_tell_masked_texts_apart),
        cmocka_unit_test(hostile_texts_come_to_an_end),
    };
    return cmocka_run_group_tests(tests, compile, release);
}
