/* What masking costs, by rule: the scanners alone, beside PCRE2's JIT with one pattern a rule on the same texts; a
 * whole span at ingest; and the library's function. Of this thread's own CPU time, the median of several runs. */
#include "base/buf.h"
#include "base/secrets.h"
#include "../cpu_time.h"
#include "span/mask.h"

#include <stdio.h>
#include <vitrine.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { RUN_MS = 60, TEXTS = 200, TEXT_BYTES = 1000, SPAN_TEXTS = 2 };

static const char *const words[] = {
    "jacket",   "rain",   "mountain", "waterproof", "light",  "pack",   "walk",   "day",     "shell",   "parka",
    "warm",     "size",   "large",    "delivery",   "price",  "return", "colour", "green",   "hood",    "zip",
    "membrane", "down",   "wool",     "trail",      "summer", "winter", "boots",  "refund",  "order",   "stock",
    "maybe",    "please", "which",    "would",      "fit",    "under",  "about",  "between", "without", "carry",
    "heavy",    "storm",  "wind",     "breathable", "seam",   "42",     "119.90", "2026"};
static const char *const secrets[] = {"jane.doe@shop.example", "+41 44 668 18 00", "4111 1111 1111 1111",
                                      "sk-proj-Zk3vQ9x8Lw2Tn5Rb7Yc1Hd4Jf6Gs0PaEuIo"};
/* As one would write them by hand. They check less than ours do: no digit of a card, no length of a number's groups. */
static const char *const patterns[SECRET_COUNT] = {
    [SECRET_EMAIL] = "[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\\.[A-Za-z0-9-]+)+",
    [SECRET_PHONE] = "(?<![\\w.])\\+?\\d[\\d ().-]{6,18}\\d(?!\\w)",
    [SECRET_CARD] = "(?<!\\d)\\d(?:[ -]?\\d){12,18}(?!\\d)",
    [SECRET_APIKEY] = "\\b(?:sk-[A-Za-z0-9_-]{20,}|AKIA[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{36,}|xox[abprs]-[A-Za-z0-9-]"
                      "{10,}|AIza[A-Za-z0-9_-]{35}|eyJ[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+)"};

static struct slice texts[TEXTS];
static size_t text_bytes; /* of all */
static struct buf out;

/* Talk of words and numbers, the same in every run; every `one_in`th text holds one secret of each kind, 0 = none. */
static void make_texts(int one_in) {
    static struct buf all;
    uint32_t state = 1;
    buf_clear(&all);
    buf_reserve(&all, TEXTS * (TEXT_BYTES + 256));
    text_bytes = 0;
    for (int i = 0; i < TEXTS; i++) {
        size_t start = all.len;
        for (unsigned n = 0; all.len - start < TEXT_BYTES; n++) {
            state = state * 1664525 + 1013904223;
            buf_puts(&all, words[(state >> 16) % (sizeof words / sizeof *words)]);
            buf_puts(&all, (state >> 8) % 9 ? " " : ", ");
            if (one_in && i % one_in == 0 && n >= 20 && n < 20 + SECRET_COUNT)
                buf_puts(&all, secrets[n - 20]), buf_putc(&all, ' ');
        }
        texts[i] = slice_make(all.ptr + start, all.len - start);
        text_bytes += texts[i].len;
    }
}

/* ---- what is measured: one round over all texts each ---- */

static enum secret kind;
static unsigned kinds;
static pcre2_code *code;
static pcre2_match_data *found;
static struct mask *mask;
static struct slice attributes;

static void scan(void) {
    for (int i = 0; i < TEXTS; i++) {
        buf_clear(&out);
        secret_mask(kind, texts[i], false, &out);
    }
}

static void scan_pcre2(void) {
    for (int i = 0; i < TEXTS; i++) {
        size_t from = 0, copied = 0;
        buf_clear(&out);
        while (pcre2_match(code, (PCRE2_SPTR)texts[i].ptr, texts[i].len, from, PCRE2_NO_UTF_CHECK, found, NULL) > 0) {
            const PCRE2_SIZE *at = pcre2_get_ovector_pointer(found);
            buf_put(&out, texts[i].ptr + copied, at[0] - copied);
            buf_puts(&out, secret_kinds[kind].replacement);
            copied = from = at[1];
        }
        if (copied) buf_put(&out, texts[i].ptr + copied, texts[i].len - copied);
    }
}

/* A prompt, a completion, and fourteen attributes. */
static void whole_span(void) {
    static struct arena arena;
    for (int i = 0; i + 1 < TEXTS; i += SPAN_TEXTS) {
        struct span span;
        span_init(&span);
        *span_text(&span, COL_PROMPT) = texts[i];
        *span_text(&span, COL_COMPLETION) = texts[i + 1];
        *span_text(&span, COL_ATTRIBUTES) = attributes;
        *span_text(&span, COL_OPERATION) = SLICE("chat gpt-4o");
        *span_text(&span, COL_USER_ID) = SLICE("user-000003");
        *span_text(&span, COL_THREAD_ID) = SLICE("thread-0000017");
        if (!mask_span(mask, &span, &arena)) exit(1);
        arena_reset(&arena);
    }
}

static void library(void) {
    for (int i = 0; i < TEXTS; i++) {
        const char *text = texts[i].ptr;
        size_t size = texts[i].len;
        vt_mask(&kinds, "llm.prompt", &text, &size);
        if (!text) exit(1);
    }
}

/* ---- measuring ---- */

/* Nanoseconds of one round. */
static double measure(void (*work)(void)) {
    return measure_cpu(work, RUN_MS);
}

static void compile(void) {
    int number;
    PCRE2_SIZE at;
    pcre2_code_free(code);
    code = pcre2_compile((PCRE2_SPTR)patterns[kind], PCRE2_ZERO_TERMINATED, PCRE2_UTF, &number, &at, NULL);
    if (!code || pcre2_jit_compile(code, PCRE2_JIT_COMPLETE)) exit(1);
}

static void row(const char *rule) {
    struct error err = {0};
    double ours = 0, peer = 0;
    int named = secret_named(slice_of(rule));
    kinds = named >= 0 ? 1u << named : VT_MASK_ALL;
    for (int k = 0; k < SECRET_COUNT; k++) {
        if (!(kinds & 1u << k)) continue;
        kind = (enum secret)k;
        compile();
        ours += measure(scan) / (double)text_bytes;
        peer += measure(scan_pcre2) / (double)text_bytes;
    }
    if (mask_load(&mask, named >= 0 ? rule : "email,phone,card,apikey", &err))
        fprintf(stderr, "%s\n", err.message), exit(1);
    double span_ns = measure(whole_span) / (TEXTS / SPAN_TEXTS), library_ns = measure(library) / (double)text_bytes;
    mask_free(mask);
    printf("  %-8s %8.3f %11.3f %8.1f x %14.0f %15.3f\n", rule, ours, peer, peer / ours, span_ns, library_ns);
}

int main(void) {
    static const char *const rules[] = {"email", "phone", "card", "apikey", "all"};
    static const int rates[] = {0, 10, 1};
    attributes = SLICE(
        "{\"gen_ai.operation.name\":\"chat\",\"gen_ai.provider.name\":\"openai\",\"gen_ai.request.model\":\"gpt-4o\","
        "\"gen_ai.response.model\":\"gpt-4o-2024-08-06\",\"gen_ai.response.id\":\"chatcmpl-"
        "9J3uIL87gldCFtiIbyaOvTeYBRA3l\","
        "\"gen_ai.request.max_tokens\":800,\"gen_ai.request.temperature\":0.7,\"gen_ai.usage.input_tokens\":159,"
        "\"gen_ai.usage.output_tokens\":237,\"server.address\":\"api.openai.com\",\"server.port\":443,"
        "\"http.response.status_code\":200,\"shop.locale\":\"de-CH\",\"shop.cart\":\"3 items\"}");
    found = pcre2_match_data_create(32, NULL);
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        make_texts(rates[i]);
        if (rates[i])
            printf("\none secret of each kind in 1 of %d texts of %zu bytes\n", rates[i], text_bytes / TEXTS);
        else
            printf("no secrets, texts of %zu bytes\n", text_bytes / TEXTS);
        printf("  %-8s %8s %11s %10s %14s %15s\n", "rule", "ns/byte", "PCRE2 JIT", "ratio", "ns/span ingest",
               "vt_mask ns/byte");
        for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) row(rules[r]);
    }
    printf("a span at ingest: prompt and completion of %zu bytes each, %zu bytes of attributes\n", text_bytes / TEXTS,
           attributes.len);
    pcre2_code_free(code);
    pcre2_match_data_free(found);
    buf_free(&out);
    return 0;
}
