/* See client.h. */
#include "client.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

int client_connect(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {60, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)(void *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

void client_send(int fd, const char *text) {
    for (size_t len = strlen(text); len;) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent <= 0) return;
        text += sent;
        len -= (size_t)sent;
    }
}

static bool is_whole(struct buf *out) {
    const char *text = buf_cstr(out), *body = strstr(text, "\r\n\r\n");
    if (!body) return false;
    static const char *const bare[] = {"101", "204", "304"}; /* nothing follows their headers */
    for (size_t i = 0; i < sizeof bare / sizeof *bare; i++)
        if (strncmp(text + 9, bare[i], 3) == 0) return true;
    const char *length = strcasestr(text, "\r\nContent-Length:");
    if (length && length < body) return out->len >= (size_t)(body + 4 - text) + strtoul(length + 17, NULL, 10);
    return strcasestr(text, "Transfer-Encoding: chunked") && strstr(body, "\r\n0\r\n\r\n");
}

/* Takes the lengths from between the pieces of a chunked body, so that a text may be looked for across them. */
static void join_chunks(struct buf *out) {
    char *body = strstr((char *)(uintptr_t)buf_cstr(out), "\r\n\r\n"), *to, *at, *end;
    if (!body || !strcasestr(out->ptr, "Transfer-Encoding: chunked")) return;
    for (to = at = body + 4;; at = end + 2) {
        size_t size = strtoul(at, &end, 16), left = (size_t)(out->ptr + out->len - end);
        if (end == at || !size || left < size + 4) break;
        memmove(to, end + 2, size);
        to += size;
        end += 2 + size;
    }
    out->len = (size_t)(to - out->ptr);
}

int client_read(int fd, struct buf *out) {
    char piece[4096];
    ssize_t count;
    buf_clear(out);
    while (!is_whole(out) && (count = recv(fd, piece, sizeof piece, 0)) > 0) buf_put(out, piece, (size_t)count);
    join_chunks(out);
    return out->len > 12 ? atoi(buf_cstr(out) + 9) : 0;
}

void client_wait_for(bool (*done)(void)) {
    for (int i = 0; i < 12000 && !done(); i++) usleep(5000);
    assert_true(done());
}

int client_ask(uint16_t port, const char *request, struct buf *out) {
    int fd = client_connect(port);
    if (fd < 0) return -1;
    client_send(fd, request);
    int status = client_read(fd, out);
    close(fd);
    return status;
}
