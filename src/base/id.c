/* xoshiro256** per thread, seeded by getrandom, reseeded after fork. */
#include "base/id.h"

#include <pthread.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const char HEX[] = "0123456789abcdef";

void hex_encode(const uint8_t *bytes, size_t size, char *out) {
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = HEX[bytes[i] >> 4];
        out[2 * i + 1] = HEX[bytes[i] & 15];
    }
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool hex_decode(struct slice text, uint8_t *bytes, size_t size) {
    if (text.len != 2 * size) return false;
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(text.ptr[2 * i]), low = hex_digit(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool id_is_zero(const uint8_t *id, size_t size) {
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++) any |= id[i];
    return any == 0;
}

struct generator {
    uint64_t state[4];
    uint32_t epoch; /* fork_epoch when it was seeded; 0 = never */
};

static _Thread_local struct generator generator __attribute__((tls_model("initial-exec")));
static uint32_t fork_epoch = 1; /* counts forks that led to this process; written only in a fresh child */
static pthread_once_t watch_forks = PTHREAD_ONCE_INIT;

static void forked(void) {
    fork_epoch++;
}
static void watch(void) {
    pthread_atfork(NULL, NULL, forked);
}

static void seed(struct generator *g) {
    pthread_once(&watch_forks, watch);
    if (getrandom(g->state, sizeof g->state, 0) != (ssize_t)sizeof g->state) {
        /* Kernels before 3.17: distinct rather than secret numbers will do for ids. */
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        uint64_t basis[3] = {(uint64_t)now.tv_sec << 30 ^ (uint64_t)now.tv_nsec, (uint64_t)getpid(), (uintptr_t)g};
        for (unsigned i = 0; i < 4; i++) g->state[i] = XXH3_64bits_withSeed(basis, sizeof basis, i + 1);
    }
    g->epoch = fork_epoch;
}

static inline uint64_t rotl(uint64_t x, int k) {
    return x << k | x >> (64 - k);
}

static inline struct generator *seeded(void) {
    struct generator *g = &generator;
    if (__builtin_expect(g->epoch != fork_epoch, 0)) seed(g);
    return g;
}

static inline uint64_t draw(struct generator *g) {
    uint64_t *s = g->state, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3], s[2] ^= t, s[3] = rotl(s[3], 45);
    return result;
}

uint64_t random_u64(void) {
    return draw(seeded());
}

void id_random_span(uint8_t trace_id[TRACE_ID_SIZE], uint8_t span_id[SPAN_ID_SIZE]) {
    struct generator *g = seeded();
    uint64_t span, trace[2];
    while (!(span = draw(g))) {
    }
    memcpy(span_id, &span, SPAN_ID_SIZE);
    if (!trace_id) return;
    do trace[0] = draw(g), trace[1] = draw(g);
    while (!(trace[0] | trace[1]));
    memcpy(trace_id, trace, TRACE_ID_SIZE);
}

void id_random(uint8_t *id, size_t size) {
    if (size == SPAN_ID_SIZE || size == TRACE_ID_SIZE) {
        uint64_t words[2] = {random_u64(), size == TRACE_ID_SIZE ? random_u64() : 0};
        while (!(words[0] | words[1])) words[0] = random_u64();
        memcpy(id, words, 8);
        if (size == TRACE_ID_SIZE) memcpy(id + 8, words + 1, 8);
        return;
    }
    do {
        for (size_t i = 0; i < size; i += 8) {
            uint64_t r = random_u64();
            memcpy(id + i, &r, size - i < 8 ? size - i : 8);
        }
    } while (id_is_zero(id, size));
}

void id_from_text(struct slice text, uint8_t *id, size_t size) {
    XXH128_hash_t hash = XXH3_128bits(text.ptr ? text.ptr : "", text.len);
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, hash);
    memcpy(id, bytes.digest, size < 16 ? size : 16);
    if (id_is_zero(id, size)) id[size - 1] = 1;
}
