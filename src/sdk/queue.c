/* See queue.h. A block is one hop of 32 KiB, some fifty spans: the mutex of the common stock is taken that seldom. */
#include "sdk/queue.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    LOT_MAX = 32,
    STOCK_KEEP = 128,              /* free blocks that are kept: 4 MiB */
    BYTES_PER_SPAN = 4096,         /* of the queue's limit in spans, on average … */
    BYTES_LEAST = 16 * 1024 * 1024 /* … but not fewer than this */
};

static _Atomic int64_t free_spans;   /* rights that nobody holds */
static _Atomic uint32_t limit_spans; /* all rights */
static _Atomic uint32_t wake_at;     /* spans that wait when the exporter is woken */
static _Atomic bool woken;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the stock */
static struct block *stock;
static uint32_t stock_count;
static uint64_t bytes_held, bytes_limit; /* of all blocks; of blocks in chains and stock together */

void queue_lock(void) {
    pthread_mutex_lock(&lock);
}
void queue_unlock(void) {
    pthread_mutex_unlock(&lock);
}
uint32_t queue_size(void) {
    return atomic_load_explicit(&limit_spans, memory_order_relaxed);
}
void queue_looked(void) {
    atomic_store_explicit(&woken, false, memory_order_seq_cst);
}

void queue_limits(uint32_t spans, uint32_t wake_spans) {
    pthread_mutex_lock(&lock);
    uint32_t before = atomic_exchange(&limit_spans, spans);
    atomic_fetch_add(&free_spans, (int64_t)spans - (int64_t)before);
    atomic_store(&wake_at, wake_spans);
    bytes_limit = (uint64_t)spans * BYTES_PER_SPAN;
    if (bytes_limit < BYTES_LEAST) bytes_limit = BYTES_LEAST;
    pthread_mutex_unlock(&lock);
}

uint64_t queue_bytes(void) {
    pthread_mutex_lock(&lock);
    uint64_t bytes = bytes_held;
    pthread_mutex_unlock(&lock);
    return bytes;
}

/* Draws a lot of rights; lots are small against the limit, so that it holds exactly for one thread and closely for
 * many. */
static bool draw_lot(struct queue *queue, bool *wake) {
    uint32_t limit = queue_size(), lot = limit / 64;
    lot = lot < 1 ? 1 : lot > LOT_MAX ? LOT_MAX : lot;
    int64_t left = atomic_load_explicit(&free_spans, memory_order_relaxed), take;
    do {
        take = left < (int64_t)lot ? left : (int64_t)lot;
        if (take <= 0) break;
    } while (!atomic_compare_exchange_weak_explicit(&free_spans, &left, left - take, memory_order_acquire,
                                                    memory_order_relaxed));
    /* What this lot is drawn for counts as waiting. */
    bool many =
        take <= 0 || (int64_t)limit - left + take >= (int64_t)atomic_load_explicit(&wake_at, memory_order_relaxed);
    if (many && !atomic_exchange(&woken, true)) *wake = true;
    if (take <= 0) return false;
    queue->lot = (uint32_t)take;
    return true;
}

static struct block *block_new(uint32_t size) {
    uint32_t capacity = QUEUE_BLOCK_BYTES - (uint32_t)sizeof(struct block);
    bool usual = size <= capacity;
    if (!usual) capacity = size;
    struct block *block = NULL;
    pthread_mutex_lock(&lock);
    if (usual && stock) {
        block = stock;
        stock = atomic_load_explicit(&block->next, memory_order_relaxed);
        stock_count--;
    } else if (bytes_held + sizeof *block + capacity <= bytes_limit) {
        block = malloc(sizeof *block + capacity);
        if (block) bytes_held += sizeof *block + capacity;
    }
    pthread_mutex_unlock(&lock);
    if (!block) return NULL;
    block->capacity = capacity;
    block->read = 0;
    atomic_store_explicit(&block->next, NULL, memory_order_relaxed);
    atomic_store_explicit(&block->written, 0, memory_order_relaxed);
    return block;
}

static void block_free(struct block *block) {
    bytes_held -= sizeof *block + block->capacity;
    free(block);
}

/* Lock held. */
static void to_stock(struct block *block) {
    if (block->capacity + sizeof *block != QUEUE_BLOCK_BYTES || stock_count >= STOCK_KEEP) {
        block_free(block);
        return;
    }
    atomic_store_explicit(&block->next, stock, memory_order_relaxed);
    stock = block;
    stock_count++;
}

static struct block *next_block(struct queue *queue, uint32_t size) {
    struct block *block = block_new(size);
    if (!block) return NULL;
    if (queue->last)
        atomic_store_explicit(&queue->last->next, block, memory_order_release);
    else
        atomic_store_explicit(&queue->first, block, memory_order_release);
    return queue->last = block;
}

bool queue_push(struct queue *queue, const struct record *record, const char *data, bool *wake) {
    if (__builtin_expect(!queue->lot, 0) && !draw_lot(queue, wake)) return false;
    struct block *block = queue->last;
    uint32_t at = block ? atomic_load_explicit(&block->written, memory_order_relaxed) : 0;
    if (__builtin_expect(!block || block->capacity - at < record->size, 0)) {
        block = next_block(queue, record->size);
        if (!block) {
            /* Out of bytes before spans: the exporter can help. */
            if (!atomic_exchange(&woken, true)) *wake = true;
            return false;
        }
        at = 0;
    }
    char *to = block->data + at;
    if (__builtin_expect(data == (const char *)(record + 1), 1)) {
        memcpy(to, record, sizeof *record + record->data_size);
    } else {
        memcpy(to, record, sizeof *record);
        memcpy(to + sizeof *record, data, record->data_size);
    }
    queue->lot--;
    atomic_store_explicit(&block->written, at + record->size, memory_order_release);
    return true;
}

const struct record *queue_next(struct queue *queue, struct block **spent) {
    for (;;) {
        struct block *block = atomic_load_explicit(&queue->first, memory_order_acquire);
        if (!block) return NULL;
        if (block->read < atomic_load_explicit(&block->written, memory_order_acquire)) {
            const struct record *record = (const struct record *)(const void *)(block->data + block->read);
            block->read += record->size;
            return record;
        }
        struct block *next = atomic_load_explicit(&block->next, memory_order_acquire);
        if (!next) return NULL;
        /* The owner set next after its last record, which may have come since we looked. */
        if (block->read < atomic_load_explicit(&block->written, memory_order_acquire)) continue;
        atomic_store_explicit(&queue->first, next, memory_order_relaxed);
        atomic_store_explicit(&block->next, *spent, memory_order_relaxed);
        *spent = block;
    }
}

void queue_release(struct block *spent, uint32_t spans) {
    if (spent) {
        pthread_mutex_lock(&lock);
        while (spent) {
            struct block *next = atomic_load_explicit(&spent->next, memory_order_relaxed);
            to_stock(spent);
            spent = next;
        }
        pthread_mutex_unlock(&lock);
    }
    if (spans) atomic_fetch_add_explicit(&free_spans, (int64_t)spans, memory_order_release);
}

void queue_return_lot(struct queue *queue) {
    queue_release(NULL, queue->lot);
    queue->lot = 0;
}

uint32_t queue_drop(struct queue *queue) {
    struct block *spent = NULL;
    uint32_t spans = 0;
    while (queue_next(queue, &spent)) spans++;
    struct block *last = atomic_load_explicit(&queue->first, memory_order_relaxed);
    if (last) {
        atomic_store_explicit(&last->next, spent, memory_order_relaxed);
        spent = last;
    }
    queue_release(spent, spans + queue->lot);
    *queue = (struct queue){.last = NULL}; /* clang takes no {0} for an atomic pointer */
    return spans;
}

void queue_trim(void) {
    pthread_mutex_lock(&lock);
    while (stock) {
        struct block *next = atomic_load_explicit(&stock->next, memory_order_relaxed);
        block_free(stock);
        stock = next;
    }
    stock_count = 0;
    pthread_mutex_unlock(&lock);
}

void queue_reset(void) {
    atomic_store(&free_spans, (int64_t)queue_size());
    atomic_store(&woken, false);
}
