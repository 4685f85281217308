/* Texts numbered once. Numbers only grow, and lie in pieces that never move, so that they are read without the lock. */
#include "query/codebook.h"

#include "base/timestamp.h"
#include "query/agg_internal.h"

#include <pthread.h>
#include <stdlib.h>

enum { PIECE = 4096, PIECES_MAX = 1 << 10 };

struct entry {
    struct slice text;
    uint64_t hash;
};

struct codebook {
    atomic_int references;
    size_t bytes_max;
    atomic_size_t map_bytes; /* of maps that groups hold */
    atomic_size_t own_bytes;
    atomic_uint count;
    atomic_llong full_ns; /* when a group did not fit first; 0 = all did */
    struct entry *pieces[PIECES_MAX];
    pthread_mutex_t lock; /* guards what follows, and adding */
    struct number_table table;
    struct arena arena;
};

struct codebooks {
    pthread_mutex_t lock; /* guards books */
    size_t bytes_max;
    struct codebook *books[CODEBOOK_COLUMNS];
};

int codebook_of(enum col col) {
    return col == COL_USER_ID ? 0 : col == COL_THREAD_ID ? 1 : -1;
}

/* ---- books ---- */

static const struct entry *entry_at(const struct codebook *book, uint32_t number) {
    return &book->pieces[number / PIECE][number % PIECE];
}

struct slice codebook_text(const struct codebook *book, uint32_t number) {
    return entry_at(book, number)->text;
}

uint64_t codebook_hash(const struct codebook *book, uint32_t number) {
    return entry_at(book, number)->hash;
}

uint32_t codebook_count(const struct codebook *book) {
    return atomic_load_explicit(&book->count, memory_order_acquire);
}

size_t codebook_bytes(const struct codebook *book) {
    return atomic_load(&book->own_bytes) + atomic_load(&book->map_bytes);
}

/* UINT32_MAX when there is no room. Under the lock. */
static uint32_t number_of(struct codebook *book, struct slice text) {
    struct agg_key key = {text.len ? AGG_KEY_TEXT : AGG_KEY_NONE, text, 0};
    uint64_t hash = key_hash(&key);
    uint32_t number;
    size_t at = SIZE_MAX;
    while (table_next(&book->table, hash, &at, &number))
        if (entry_at(book, number)->hash == hash) return number;
    number = book->table.count;
    if (number >= (uint32_t)PIECE * PIECES_MAX || codebook_bytes(book) >= book->bytes_max) return UINT32_MAX;
    struct entry **piece = &book->pieces[number / PIECE];
    if (!*piece && !(*piece = arena_alloc(&book->arena, PIECE * sizeof **piece))) return UINT32_MAX;
    struct slice copy = {NULL, 0};
    if (text.len && !(copy = arena_copy(&book->arena, text)).ptr) return UINT32_MAX;
    if (!table_add(&book->table, hash, &book->arena)) return UINT32_MAX;
    (*piece)[number % PIECE] = (struct entry){copy, hash};
    atomic_store(&book->own_bytes, book->arena.total_bytes);
    atomic_store_explicit(&book->count, number + 1, memory_order_release);
    return number;
}

static struct codebook *new_book(size_t bytes_max) {
    struct codebook *book = calloc(1, sizeof *book);
    if (!book) return NULL;
    atomic_init(&book->references, 1);
    book->bytes_max = bytes_max;
    pthread_mutex_init(&book->lock, NULL);
    if (number_of(book, (struct slice){NULL, 0}) == 0) return book;
    codebook_release(book);
    return NULL;
}

void codebook_release(struct codebook *book) {
    if (!book || atomic_fetch_sub(&book->references, 1) > 1) return;
    arena_free(&book->arena);
    pthread_mutex_destroy(&book->lock);
    free(book);
}

struct codebooks *codebooks_new(size_t bytes_max) {
    struct codebooks *books = calloc(1, sizeof *books);
    if (!books) return NULL;
    books->bytes_max = bytes_max;
    pthread_mutex_init(&books->lock, NULL);
    return books;
}

void codebooks_free(struct codebooks *books) {
    if (!books) return;
    for (int i = 0; i < CODEBOOK_COLUMNS; i++) codebook_release(books->books[i]);
    pthread_mutex_destroy(&books->lock);
    free(books);
}

struct codebook *codebook_take(struct codebooks *books, int which) {
    pthread_mutex_lock(&books->lock);
    struct codebook *book = books->books[which];
    long long full_ns = book ? atomic_load(&book->full_ns) : 0;
    if (full_ns && time_monotonic_ns() - full_ns > (int64_t)CODEBOOK_RENEW_S * NS_PER_S) {
        codebook_release(book);
        book = NULL;
    }
    if (!book) book = books->books[which] = new_book(books->bytes_max);
    if (book) atomic_fetch_add(&book->references, 1);
    pthread_mutex_unlock(&books->lock);
    return book;
}

/* ---- maps ---- */

/* What a group remembers; holds a reference to its book. */
struct code_map {
    struct code_map *older; /* of books before, perhaps still read */
    struct codebook *book;
    uint32_t count, numbers[];
};

static size_t map_size(uint32_t count) {
    return sizeof(struct code_map) + count * sizeof(uint32_t);
}

void code_map_free(struct code_map *map) {
    while (map) {
        struct code_map *older = map->older;
        atomic_fetch_sub(&map->book->map_bytes, map_size(map->count));
        codebook_release(map->book);
        free(map);
        map = older;
    }
}

static struct code_map *make_map(struct codebook *book, const struct rowgroup *group, enum col col) {
    struct arena arena = {0};
    const struct slice *dict;
    uint32_t count = 0, done = 0;
    struct code_map *map = NULL;
    if (!rowgroup_read_dictionary(group, col, &arena, &dict, &count, NULL) && count) map = malloc(map_size(count));
    pthread_mutex_lock(&book->lock);
    while (map && done < count && (map->numbers[done] = number_of(book, dict[done])) != UINT32_MAX) done++;
    pthread_mutex_unlock(&book->lock);
    arena_free(&arena);
    if (!map || done < count) {
        free(map);
        return NULL;
    }
    *map = (struct code_map){.book = book, .count = count};
    atomic_fetch_add(&book->references, 1);
    atomic_fetch_add(&book->map_bytes, map_size(count));
    return map;
}

const uint32_t *codebook_numbers(struct codebook *book, const struct group_index *index, const struct rowgroup *group,
                                 enum col col, uint32_t *count) {
    _Atomic(struct code_map *) *place = group_index_map(index, codebook_of(col));
    struct code_map *map = atomic_load(place), *fresh = NULL;
    while (!map || map->book != book) {
        if (atomic_load(&book->full_ns) || (!fresh && !(fresh = make_map(book, group, col)))) {
            long long none = 0;
            atomic_compare_exchange_strong(&book->full_ns, &none, time_monotonic_ns());
            return NULL;
        }
        fresh->older = map;
        if (atomic_compare_exchange_strong(place, &map, fresh)) map = fresh, fresh = NULL;
    }
    if (fresh) fresh->older = NULL, code_map_free(fresh); /* another was quicker */
    *count = map->count;
    return map->numbers;
}
