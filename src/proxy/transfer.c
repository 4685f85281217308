/* See transfer.h. libcurl's callbacks only collect; what follows from it happens when libcurl has returned, since it
 * must not be called from within. */
#include "proxy/transfer.h"

#include "base/timestamp.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SPARE_MAX = 64, HEADERS_BYTES_MAX = 128 << 10, COMPACT_FROM_BYTES = 64 << 10 };

struct socket_watch {
    struct loop_watch watch;
    struct transfers *all;
    struct socket_watch *next; /* among the spare ones */
    uint32_t events;
    bool owned;   /* we opened the socket, and hear when it is closed */
    bool watched; /* the loop has it */
    bool parked;  /* of a connection that waits to be used again: it stays with the loop, which saves two calls */
};

struct transfers {
    struct loop *loop;
    struct transfers_config config;
    CURLM *multi;
    struct loop_timer timer; /* libcurl's */
    struct loop_timer later; /* news that came where nobody could be told */
    struct transfer *first_news, **last_news;
    struct socket_watch *spare_watches;
    struct socket_watch **owned; /* by descriptor */
    size_t owned_size;
    CURL *spare[SPARE_MAX];
    unsigned spare_count;
};

/* --- news --- */

static void note_news(struct transfer *transfer) {
    struct transfers *all = transfer->all;
    if (transfer->has_news) return;
    transfer->has_news = true;
    transfer->next_news = NULL;
    *all->last_news = transfer;
    all->last_news = &transfer->next_news;
}

static void forget_news(struct transfer *transfer) {
    struct transfers *all = transfer->all;
    if (!transfer->has_news) return;
    struct transfer **at = &all->first_news;
    while (*at != transfer) at = &(*at)->next_news;
    *at = transfer->next_news;
    if (all->last_news == &transfer->next_news) all->last_news = at;
    transfer->has_news = false;
}

static void give_back(struct transfers *all, CURL *curl) {
    if (all->spare_count == SPARE_MAX) {
        curl_easy_cleanup(curl);
        return;
    }
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL); /* they end with the transfer */
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    all->spare[all->spare_count++] = curl;
}

static void leave(struct transfer *transfer, enum transfer_end end, const char *words) {
    transfer->end = end;
    snprintf(transfer->words, sizeof transfer->words, "%s", words);
    loop_timer_stop(transfer->all->loop, &transfer->idle);
    curl_multi_remove_handle(transfer->all->multi, transfer->curl);
    give_back(transfer->all, transfer->curl);
    transfer->curl = NULL;
    curl_slist_free_all(transfer->sent);
    transfer->sent = NULL;
    note_news(transfer);
}

static enum transfer_end end_of(CURLcode code) {
    switch (code) {
    case CURLE_OK: return TRANSFER_DONE;
    case CURLE_OPERATION_TIMEDOUT: return TRANSFER_TIMED_OUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_PEER_FAILED_VERIFICATION: return TRANSFER_NO_CONNECTION;
    default: return TRANSFER_CUT;
    }
}

static void take_ended(struct transfers *all) {
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(all->multi, &left));) {
        if (message->msg != CURLMSG_DONE) continue;
        struct transfer *transfer = NULL;
        CURLcode code = message->data.result;
        char words[sizeof transfer->words];
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        snprintf(words, sizeof words, "%s",
                 transfer->refused    ? transfer->refused
                 : transfer->words[0] ? transfer->words
                                      : curl_easy_strerror(code));
        leave(transfer, end_of(code), code ? words : "");
    }
}

static void tell(struct transfers *all) {
    take_ended(all);
    while (all->first_news) {
        struct transfer *transfer = all->first_news;
        forget_news(transfer);
        transfer->news(transfer);
    }
}

/* Where a caller's code is below us on the stack: the loop tells as soon as it is back. */
static void tell_later(struct transfers *all) {
    take_ended(all);
    if (all->first_news) loop_timer_set(all->loop, &all->later, 0);
}

static void on_later(struct loop_timer *timer) {
    tell(container_of(timer, struct transfers, later));
}

/* --- libcurl and the loop --- */

static void on_ready(struct loop_watch *watch, uint32_t events) {
    struct socket_watch *own = container_of(watch, struct socket_watch, watch);
    struct transfers *all = own->all;
    if (own->parked) { /* it was closed, most likely: libcurl looks when it wants to use it */
        loop_watch_remove(all->loop, watch);
        own->watched = false;
        return;
    }
    int what = (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0),
        running;
    curl_multi_socket_action(all->multi, watch->fd, what, &running);
    tell(all);
}

static void on_timer(struct loop_timer *timer) {
    struct transfers *all = container_of(timer, struct transfers, timer);
    int running;
    curl_multi_socket_action(all->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    tell(all);
}

static int set_timer(CURLM *multi, long timeout_ms, void *ctx) {
    struct transfers *all = ctx;
    if (timeout_ms < 0)
        loop_timer_stop(all->loop, &all->timer);
    else if (!loop_timer_set(all->loop, &all->timer, time_monotonic_ns() + timeout_ms * NS_PER_MS))
        return -1;
    return 0;
}

static struct socket_watch *owned(const struct transfers *all, curl_socket_t fd) {
    return fd >= 0 && (size_t)fd < all->owned_size ? all->owned[fd] : NULL;
}

/* Without memory for it a socket does as well. */
static void own_socket(struct transfers *all, curl_socket_t fd) {
    if ((size_t)fd >= all->owned_size) {
        size_t size = (size_t)fd + 64;
        struct socket_watch **list = realloc(all->owned, size * sizeof(struct socket_watch *));
        if (!list) return;
        memset(list + all->owned_size, 0, (size - all->owned_size) * sizeof(struct socket_watch *));
        all->owned = list;
        all->owned_size = size;
    }
    struct socket_watch *watch = malloc(sizeof *watch);
    if (watch) *watch = (struct socket_watch){.watch.ready = on_ready, .all = all, .owned = true};
    all->owned[fd] = watch;
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address) {
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0) own_socket(ctx, fd);
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int close_socket(void *ctx, curl_socket_t fd) {
    struct transfers *all = ctx;
    struct socket_watch *watch = owned(all, fd);
    if (watch) {
        if (watch->watched) loop_watch_remove(all->loop, &watch->watch);
        all->owned[fd] = NULL;
        free(watch);
    }
    return close(fd);
}

static int watch_owned(struct transfers *all, struct socket_watch *watch, curl_socket_t fd, uint32_t events) {
    watch->parked = false;
    if (!watch->watched) {
        if (loop_watch_add(all->loop, &watch->watch, fd, events, NULL) != 0) return -1;
        watch->watched = true;
    } else if (watch->events != events) {
        loop_watch_change(all->loop, &watch->watch, events);
    }
    watch->events = events;
    return 0;
}

static int set_socket(CURL *curl, curl_socket_t fd, int what, void *ctx, void *of_socket) {
    struct transfers *all = ctx;
    struct socket_watch *watch = of_socket;
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    struct socket_watch *own = owned(all, fd);
    if (own) {
        if (what != CURL_POLL_REMOVE) return watch_owned(all, own, fd, events);
        own->parked = true;
        return 0;
    }
    if (what == CURL_POLL_REMOVE) {
        if (!watch) return 0;
        loop_watch_remove(all->loop, &watch->watch);
        curl_multi_assign(all->multi, fd, NULL);
        watch->next = all->spare_watches;
        all->spare_watches = watch;
        return 0;
    }
    if (watch) {
        loop_watch_change(all->loop, &watch->watch, events);
        return 0;
    }
    if ((watch = all->spare_watches))
        all->spare_watches = watch->next;
    else if (!(watch = malloc(sizeof *watch)))
        return -1;
    *watch = (struct socket_watch){.watch.ready = on_ready, .all = all};
    if (loop_watch_add(all->loop, &watch->watch, fd, events, NULL) != 0) {
        free(watch);
        return -1;
    }
    curl_multi_assign(all->multi, fd, watch);
    return 0;
}

/* --- what comes --- */

static size_t fail(struct transfer *transfer, const char *words) {
    transfer->refused = words;
    return 0;
}

static struct slice trim(struct slice text) {
    while (text.len && strchr(" \t\r\n", *text.ptr)) text = slice_from(text, 1);
    while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1])) text.len--;
    return text;
}

static void begin_headers(struct transfer *transfer) {
    transfer->headers = NULL;
    transfer->headers_last = &transfer->headers;
    transfer->length = -1;
    transfer->has_headers = false;
}

static int64_t length_of(struct slice text) {
    int64_t length = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || length > INT64_MAX / 16) return -1;
        length = length * 10 + (text.ptr[i] - '0');
    }
    return text.len ? length : -1;
}

static bool add_header_in(struct transfer *transfer, struct slice line) {
    const char *colon = memchr(line.ptr, ':', line.len);
    if (!colon) return true;
    struct slice name = trim(slice_make(line.ptr, (size_t)(colon - line.ptr)));
    struct slice value = trim(slice_from(line, (size_t)(colon - line.ptr) + 1));
    struct transfer_header *header = arena_alloc(transfer->arena, sizeof *header);
    struct slice name_copy = arena_copy(transfer->arena, name), value_copy = {"", 0};
    if (value.len) value_copy = arena_copy(transfer->arena, value);
    if (!header || !name_copy.ptr || !value_copy.ptr) return false;
    if (strcasecmp(name_copy.ptr, "Content-Length") == 0) transfer->length = length_of(value);
    *header = (struct transfer_header){NULL, name_copy.ptr, value_copy.ptr};
    *transfer->headers_last = header;
    transfer->headers_last = &header->next;
    return true;
}

static size_t take_header(char *data, size_t size, size_t count, void *ctx) {
    struct transfer *transfer = ctx;
    size_t bytes = size * count;
    struct slice line = trim(slice_make(data, bytes));
    transfer->heard_ns = time_monotonic_ns();
    if (transfer->has_headers) return bytes; /* trailers */
    transfer->headers_bytes += bytes;
    if (transfer->headers_bytes > HEADERS_BYTES_MAX) return fail(transfer, "its headers are too large");
    if (slice_starts(line, SLICE("HTTP/"))) { /* those of an interim answer (100, 103) are forgotten */
        begin_headers(transfer);
    } else if (line.len) {
        return add_header_in(transfer, line) ? bytes : fail(transfer, "no memory for its headers");
    } else {
        long status = 0;
        curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
        if (status < 200) return bytes;
        transfer->status = (unsigned)status;
        transfer->has_headers = true;
        note_news(transfer);
    }
    return bytes;
}

static size_t take_data(char *data, size_t size, size_t count, void *ctx) {
    struct transfer *transfer = ctx;
    size_t bytes = size * count;
    if (transfer_waiting(transfer) > transfer->all->config.buffered_max) {
        transfer->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    transfer->heard_ns = time_monotonic_ns();
    if (transfer->data_at == transfer->data.len) {
        transfer->data.len = transfer->data_at = 0;
    } else if (transfer->data_at > COMPACT_FROM_BYTES) {
        transfer->data.len -= transfer->data_at;
        memmove(transfer->data.ptr, transfer->data.ptr + transfer->data_at, transfer->data.len);
        transfer->data_at = 0;
    }
    buf_put(&transfer->data, data, bytes);
    if (transfer->data.failed) return fail(transfer, "no memory for its answer");
    if (transfer->seen) transfer->seen(transfer, slice_make(data, bytes));
    note_news(transfer);
    return bytes;
}

static void on_idle(struct loop_timer *timer) {
    struct transfer *transfer = container_of(timer, struct transfer, idle);
    int64_t now_ns = time_monotonic_ns(), limit_ns = (int64_t)transfer->idle_timeout_ms * NS_PER_MS;
    if (transfer->paused) transfer->heard_ns = now_ns; /* it is our reader who is slow */
    if (now_ns - transfer->heard_ns < limit_ns) {
        loop_timer_set(transfer->all->loop, timer, transfer->heard_ns + limit_ns);
        return;
    }
    char words[64];
    snprintf(words, sizeof words, "nothing came for %u s", transfer->idle_timeout_ms / 1000);
    leave(transfer, TRANSFER_TIMED_OUT, words);
    tell(transfer->all);
}

/* --- a transfer --- */

bool transfer_add_header(struct transfer *transfer, const char *name, const char *value) {
    char line[1024], *text = line;
    /* libcurl's way of saying: no such header ("Name:"), and an empty one ("Name;"). */
    const char *form = !value ? "%s:" : *value ? "%s: %s" : "%s;";
    size_t need = strlen(name) + (value ? strlen(value) : 0) + 3;
    if (need > sizeof line && !(text = malloc(need))) return false;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, need, form, name, value);
#pragma GCC diagnostic pop
    struct curl_slist *list = curl_slist_append(transfer->sent, text);
    if (text != line) free(text);
    if (!list) return false;
    transfer->sent = list;
    return true;
}

static void set_method(CURL *curl, const struct transfer *transfer) {
    const char *method = transfer->method;
    bool body =
        transfer->body.len || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
    if (body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->body.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, transfer->body.len ? transfer->body.ptr : "");
    }
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (strcmp(method, body ? "POST" : "GET") != 0)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
}

/* What is the same for all transfers: a handle keeps it. */
static CURL *new_handle(struct transfers *all) {
    CURL *curl = curl_easy_init();
    if (!curl) return NULL;
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_data);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, all);
    curl_easy_setopt(curl, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(curl, CURLOPT_CLOSESOCKETDATA, all);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)all->config.connect_timeout_ms);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    return curl;
}

/* What is this transfer's own; all of it, since the handle comes from another. */
static void set_options(CURL *curl, struct transfer *transfer) {
    curl_easy_setopt(curl, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(curl, CURLOPT_URL, transfer->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, transfer->sent);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->words);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_PROXY, transfer->loopback ? "" : NULL);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L); /* also takes back NOBODY */
    set_method(curl, transfer);
}

int transfer_start(struct transfers *all, struct transfer *transfer, struct error *err) {
    int running;
    CURL *curl = all->spare_count ? all->spare[--all->spare_count] : new_handle(all);
    transfer->all = all;
    if (!curl) return error_set(err, VT_ENOMEM, "no memory for a connection to upstream");
    transfer->curl = curl;
    transfer->end = TRANSFER_RUNS;
    transfer->words[0] = 0;
    transfer->refused = NULL;
    transfer->heard_ns = time_monotonic_ns();
    transfer->idle.due = on_idle;
    begin_headers(transfer);
    set_options(curl, transfer);
    if (!loop_timer_set(all->loop, &transfer->idle,
                        transfer->heard_ns + (int64_t)transfer->idle_timeout_ms * NS_PER_MS) ||
        curl_multi_add_handle(all->multi, curl) != CURLM_OK) {
        loop_timer_stop(all->loop, &transfer->idle);
        give_back(all, curl);
        transfer->curl = NULL;
        return error_set(err, VT_ENOMEM, "no memory for a connection to upstream");
    }
    curl_multi_socket_action(all->multi, CURL_SOCKET_TIMEOUT, 0,
                             &running); /* out at once, where a connection is kept */
    tell_later(all);
    return 0;
}

size_t transfer_waiting(const struct transfer *transfer) {
    return transfer->data.len - transfer->data_at;
}

static void resume(struct transfer *transfer) {
    if (!transfer->paused || transfer_waiting(transfer) > transfer->all->config.buffered_max / 2) return;
    transfer->paused = false;
    if (!transfer->curl) return;
    curl_easy_pause(transfer->curl, CURLPAUSE_CONT);
    tell_later(transfer->all);
}

size_t transfer_take(struct transfer *transfer, char *out, size_t size) {
    size_t waiting = transfer_waiting(transfer);
    if (size > waiting) size = waiting;
    if (size) memcpy(out, transfer->data.ptr + transfer->data_at, size);
    transfer->data_at += size;
    resume(transfer);
    return size;
}

void transfer_take_all(struct transfer *transfer, struct buf *out) {
    if (transfer->data_at) {
        transfer->data.len -= transfer->data_at;
        memmove(transfer->data.ptr, transfer->data.ptr + transfer->data_at, transfer->data.len);
    }
    *out = transfer->data;
    transfer->data = (struct buf){0};
    transfer->data_at = 0;
    resume(transfer);
}

void transfer_drop(struct transfer *transfer) {
    if (transfer->curl) leave(transfer, TRANSFER_CUT, "given up");
    if (transfer->all) forget_news(transfer);
    curl_slist_free_all(transfer->sent);
    transfer->sent = NULL;
    buf_free(&transfer->data);
    transfer->data_at = 0;
}

/* --- all of a loop --- */

static void set_up(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct transfers *transfers_new(struct loop *loop, const struct transfers_config *config, struct error *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up);
    struct transfers *all = calloc(1, sizeof *all);
    if (all) all->multi = curl_multi_init();
    if (!all || !all->multi) {
        free(all);
        error_set(err, VT_ENOMEM, "no memory for the proxy");
        return NULL;
    }
    all->loop = loop;
    all->config = *config;
    all->last_news = &all->first_news;
    all->timer.due = on_timer;
    all->later.due = on_later;
    curl_multi_setopt(all->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(all->multi, CURLMOPT_SOCKETDATA, all);
    curl_multi_setopt(all->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(all->multi, CURLMOPT_TIMERDATA, all);
    curl_multi_setopt(all->multi, CURLMOPT_MAXCONNECTS, (long)config->connections_kept);
    return all;
}

void transfers_free(struct transfers *all) {
    if (!all) return;
    for (unsigned i = 0; i < all->spare_count; i++) curl_easy_cleanup(all->spare[i]);
    curl_multi_cleanup(all->multi); /* before the loop goes: it closes what it watches */
    loop_timer_stop(all->loop, &all->timer);
    loop_timer_stop(all->loop, &all->later);
    for (struct socket_watch *watch = all->spare_watches, *next; watch; watch = next) {
        next = watch->next;
        free(watch);
    }
    free(all->owned); /* each was closed, and freed, with libcurl's handles */
    free(all);
}
