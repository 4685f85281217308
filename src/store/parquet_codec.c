/* The encodings. */
#include "store/parquet.h"

enum { DELTA_BLOCK = 128, DELTA_MINI = 32, DELTA_MINIS = 4 };

uint32_t bloom_bytes_for(uint32_t distinct) {
    uint32_t bytes = BLOOM_BLOCK_BYTES;
    while (bytes < (1u << 24) && (uint64_t)bytes * 8 < (uint64_t)distinct * 10) bytes *= 2;
    return bytes;
}

static const uint32_t salts[8] = {0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU,
                                  0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U};

static uint8_t *block_of(const uint8_t *bits, uint32_t bytes, uint64_t hash) {
    uint64_t blocks = bytes / BLOOM_BLOCK_BYTES;
    return (uint8_t *)(uintptr_t)bits + (((hash >> 32) * blocks) >> 32) * BLOOM_BLOCK_BYTES;
}

void bloom_add(uint8_t *bits, uint32_t bytes, uint64_t hash) {
    uint8_t *block = block_of(bits, bytes, hash);
    for (int i = 0; i < 8; i++) {
        uint32_t bit = ((uint32_t)hash * salts[i]) >> 27;
        block[4 * i + (int)(bit >> 3)] |= (uint8_t)(1u << (bit & 7));
    }
}

bool bloom_has(const uint8_t *bits, uint32_t bytes, uint64_t hash) {
    const uint8_t *block = block_of(bits, bytes, hash);
    for (int i = 0; i < 8; i++) {
        uint32_t bit = ((uint32_t)hash * salts[i]) >> 27;
        if (!(block[4 * i + (int)(bit >> 3)] >> (bit & 7) & 1)) return false;
    }
    return true;
}

static void put_varint(struct buf *out, uint64_t value) {
    while (value >= 0x80) buf_putc(out, (char)(value | 0x80)), value >>= 7;
    buf_putc(out, (char)value);
}

static bool get_varint(const uint8_t **at, const uint8_t *end, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

static uint64_t zigzag(int64_t v) {
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}
static int64_t unzigzag(uint64_t v) {
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static unsigned bits_of(uint64_t v) {
    return v ? 64 - (unsigned)__builtin_clzll(v) : 0;
}

/* `count` values of `width` bits, least significant first, to whole bytes. */
static void pack(struct buf *out, const uint64_t *values, uint32_t count, unsigned width) {
    size_t bytes = ((size_t)count * width + 7) / 8;
    if (!bytes || !buf_reserve(out, bytes + 8)) return;
    uint8_t *to = (uint8_t *)out->ptr + out->len;
    uint64_t held = 0;
    unsigned fill = 0;
    for (uint32_t i = 0; i < count; i++) {
        held |= values[i] << fill;
        if (fill + width < 64) {
            fill += width;
            continue;
        }
        memcpy(to, &held, 8);
        to += 8;
        held = fill ? values[i] >> (64 - fill) : 0; /* what did not fit */
        fill = fill + width - 64;
        if (!fill) held = 0;
    }
    memcpy(to, &held, 8);
    out->len += bytes;
}

/* The value of `width` bits at a bit position. Reads up to nine bytes. */
static inline __attribute__((always_inline)) uint64_t unpack_at(const uint8_t *from, size_t bit, unsigned width) {
    uint64_t word;
    memcpy(&word, from + (bit >> 3), 8);
    unsigned shift = (unsigned)bit & 7;
    word >>= shift;
    if (width + shift > 64) word |= (uint64_t)from[(bit >> 3) + 8] << (64 - shift);
    return width == 64 ? word : word & ((UINT64_C(1) << width) - 1);
}

/* One function a width, so that every shift is a constant: some tenths of a nanosecond a value. */
// (it never comes to rest here)
// clang-format off
#define WIDTHS_0_TO_32(X) \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) \
    X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) \
    X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(32)
#define WIDTHS_33_TO_64(X) \
    X(33) X(34) X(35) X(36) X(37) X(38) X(39) X(40) X(41) X(42) X(43) \
    X(44) X(45) X(46) X(47) X(48) X(49) X(50) X(51) X(52) X(53) X(54) \
    X(55) X(56) X(57) X(58) X(59) X(60) X(61) X(62) X(63) X(64)
// clang-format on

/* A miniblock of 32 values: each the one before + step + the packed delta. */
static inline __attribute__((always_inline)) uint64_t sum_mini(const uint8_t *from, int64_t *to, uint64_t last,
                                                               uint64_t step, unsigned width) {
    uint64_t deltas[DELTA_MINI];
#pragma GCC unroll 32
    for (unsigned i = 0; i < DELTA_MINI; i++) deltas[i] = unpack_at(from, (size_t)i * width, width) + step;
#pragma GCC unroll 32
    for (unsigned i = 0; i < DELTA_MINI; i++) to[i] = (int64_t)(last += deltas[i]);
    return last;
}
#define MINI(W)                                                                                                        \
    static uint64_t mini_##W(const uint8_t *f, int64_t *t, uint64_t l, uint64_t s) {                                   \
        return sum_mini(f, t, l, s, W);                                                                                \
    }
#define NAME_MINI(W) mini_##W,
WIDTHS_0_TO_32(MINI)
WIDTHS_33_TO_64(MINI)
static uint64_t (*const sum_of_width[])(const uint8_t *, int64_t *, uint64_t,
                                        uint64_t) = {WIDTHS_0_TO_32(NAME_MINI) WIDTHS_33_TO_64(NAME_MINI)};

/* Groups of eight codes. */
static inline __attribute__((always_inline)) void unpack_eights(const uint8_t *from, uint32_t *to, uint32_t groups,
                                                                unsigned width) {
    for (; groups; groups--, from += width, to += 8)
#pragma GCC unroll 8
        for (unsigned i = 0; i < 8; i++) to[i] = (uint32_t)unpack_at(from, (size_t)i * width, width);
}
#define EIGHTS(W)                                                                                                      \
    static void eights_##W(const uint8_t *f, uint32_t *t, uint32_t n) {                                                \
        unpack_eights(f, t, n, W);                                                                                     \
    }
#define NAME_EIGHTS(W) eights_##W,
WIDTHS_0_TO_32(EIGHTS)
static void (*const eights_of_width[])(const uint8_t *, uint32_t *, uint32_t) = {WIDTHS_0_TO_32(NAME_EIGHTS)};

void delta_encode(struct buf *out, const int64_t *values, uint32_t count) {
    put_varint(out, DELTA_BLOCK);
    put_varint(out, DELTA_MINIS);
    put_varint(out, count);
    put_varint(out, zigzag(count ? values[0] : 0));
    for (uint32_t start = 1; start < count; start += DELTA_BLOCK) {
        uint32_t n = count - start < DELTA_BLOCK ? count - start : DELTA_BLOCK;
        uint64_t deltas[DELTA_BLOCK] = {0};
        int64_t least = INT64_MAX;
        for (uint32_t i = 0; i < n; i++) {
            deltas[i] = (uint64_t)values[start + i] - (uint64_t)values[start + i - 1];
            if ((int64_t)deltas[i] < least) least = (int64_t)deltas[i];
        }
        put_varint(out, zigzag(least));
        uint8_t widths[DELTA_MINIS] = {0};
        for (uint32_t m = 0; m < DELTA_MINIS; m++) {
            uint64_t all = 0;
            for (uint32_t i = m * DELTA_MINI; i < (m + 1) * DELTA_MINI; i++) {
                if (i < n) all |= deltas[i] -= (uint64_t)least;
            }
            widths[m] = (uint8_t)bits_of(all);
        }
        buf_put(out, widths, sizeof widths);
        for (uint32_t m = 0; m * DELTA_MINI < n; m++) pack(out, deltas + m * DELTA_MINI, DELTA_MINI, widths[m]);
    }
}

bool delta_decode(const uint8_t *at, const uint8_t *end, int64_t *values, uint32_t count) {
    uint64_t block, minis, total, first, least;
    if (!get_varint(&at, end, &block) || !get_varint(&at, end, &minis) || !get_varint(&at, end, &total) ||
        !get_varint(&at, end, &first))
        return false;
    if (total != count || !minis || minis > 64 || block % 128 || block > 65536 || block / minis % 32 || block % minis)
        return false;
    if (!count) return true;
    uint64_t per_mini = block / minis, last = (uint64_t)unzigzag(first);
    uint32_t done = 1;
    values[0] = (int64_t)last;
    while (done < count) {
        if (!get_varint(&at, end, &least) || (size_t)(end - at) < minis) return false;
        const uint8_t *widths = at;
        at += minis;
        uint64_t step = (uint64_t)unzigzag(least);
        for (uint64_t m = 0; m < minis && done < count; m++) {
            unsigned width = widths[m];
            if (width > 64 || (size_t)(end - at) < per_mini * width / 8) return false;
            uint32_t n = count - done < per_mini ? count - done : (uint32_t)per_mini, i = 0;
            for (; i + DELTA_MINI <= n; i += DELTA_MINI)
                last = sum_of_width[width](at + (size_t)i * width / 8, values + done + i, last, step);
            for (; i < n; i++)
                values[done + i] = (int64_t)(last += step + (width ? unpack_at(at, (size_t)i * width, width) : 0));
            done += n;
            at += per_mini * width / 8;
        }
    }
    return true;
}

static uint32_t run_length(const uint32_t *values, uint32_t at, uint32_t count) {
    uint32_t n = 1;
    while (at + n < count && values[at + n] == values[at]) n++;
    return n;
}

void hybrid_encode(struct buf *out, const uint32_t *values, uint32_t count, unsigned width) {
    for (uint32_t at = 0; at < count;) {
        uint32_t run = run_length(values, at, count);
        if (run >= 8) {
            put_varint(out, (uint64_t)run << 1);
            buf_put(out, &values[at], (width + 7) / 8);
            at += run;
            continue;
        }
        /* Groups of eight until a run begins at a group's start. */
        uint32_t end = at;
        while (end < count && (end == at || run_length(values, end, count) < 8)) end += 8;
        uint32_t groups = (end - at) / 8;
        put_varint(out, (uint64_t)groups << 1 | 1);
        for (uint32_t g = 0; g < groups; g++) {
            uint64_t eight[8] = {0};
            for (uint32_t i = 0; i < 8 && at + i < count; i++) eight[i] = values[at + i];
            pack(out, eight, 8, width);
            at += 8;
        }
    }
}

bool hybrid_decode(const uint8_t *at, const uint8_t *end, uint32_t *values, uint32_t count, unsigned width) {
    uint32_t done = 0;
    uint64_t head;
    if (width > 32) return false;
    while (done < count) {
        if (!get_varint(&at, end, &head)) return false;
        if (head & 1) {
            uint64_t groups = head >> 1, bytes = groups * width;
            if (!groups || groups > count || (size_t)(end - at) < bytes) return false;
            uint32_t n = groups * 8 < count - done ? (uint32_t)groups * 8 : count - done;
            eights_of_width[width](at, values + done, n / 8);
            for (uint32_t i = n & ~7u; i < n; i++) values[done + i] = (uint32_t)unpack_at(at, (size_t)i * width, width);
            done += n;
            at += bytes;
        } else {
            uint64_t run = head >> 1;
            uint32_t value = 0;
            if (!run || run > count - done || (size_t)(end - at) < (width + 7) / 8) return false;
            memcpy(&value, at, (width + 7) / 8);
            at += (width + 7) / 8;
            for (uint64_t i = 0; i < run; i++) values[done++] = value;
        }
    }
    return true;
}
