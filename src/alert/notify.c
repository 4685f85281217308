/* Sending notifications: HTTP and SMTP by libcurl, commands by fork and exec. */
#include "alert/notify.h"

#include "base/id.h"
#include "base/json.h"
#include "base/timestamp.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEND_TIMEOUT_MS = 10000, CONNECT_TIMEOUT_MS = 5000 };
static const char PAGERDUTY_URL[] = "https://events.pagerduty.com/v2/enqueue";

static size_t ignore_answer(char *data, size_t size, size_t count, void *ctx) {
    return size * count;
}

static int http_result(CURL *curl, CURLcode result, const struct notify_target *target, struct error *err) {
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    int name_len = (int)target->name.len;
    if (result == CURLE_OPERATION_TIMEDOUT)
        return error_set(err, VT_ETIMEOUT, "target %.*s did not answer within %d s", name_len, target->name.ptr,
                         SEND_TIMEOUT_MS / 1000);
    /* The URL is left out on purpose: those of Slack and others are secrets. */
    if (result != CURLE_OK)
        return error_set(err, VT_EIO, "target %.*s: %s", name_len, target->name.ptr, curl_easy_strerror(result));
    if (status >= 200 && status < 300) return 0;
    bool later = status == 408 || status == 429 || status >= 500 || status < 200;
    return error_set(err, later ? VT_EIO : VT_EINVAL, "target %.*s answered %ld", name_len, target->name.ptr, status);
}

static struct curl_slist *signature_header(const struct notify_target *target, struct slice payload,
                                           struct curl_slist *headers) {
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    char line[64 + 2 * EVP_MAX_MD_SIZE] = "x-vitrine-signature: sha256=";
    if (!HMAC(EVP_sha256(), target->secret.ptr, (int)target->secret.len, (const uint8_t *)payload.ptr, payload.len, mac,
              &mac_len))
        return headers;
    size_t at = strlen(line);
    hex_encode(mac, mac_len, line + at);
    line[at + 2 * mac_len] = 0;
    return curl_slist_append(headers, line);
}

static void set_common(CURL *curl, const char *protocols) {
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)SEND_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore_answer);
}

static int send_http(CURL *curl, const struct notify_target *target, const char *url, struct slice payload,
                     struct error *err) {
    struct curl_slist *headers = curl_slist_append(NULL, "content-type: application/json");
    if (target->secret.len && slice_is(target->kind, "webhook")) headers = signature_header(target, payload, headers);
    set_common(curl, "http,https");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "vitrine/" VITRINE_VERSION);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)payload.len);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, payload.ptr);
    int code = http_result(curl, curl_easy_perform(curl), target, err);
    curl_slist_free_all(headers);
    return code;
}

/* The stored payload, an object, with the routing key as its first member. */
static int send_pagerduty(CURL *curl, const struct notify_target *target, struct slice payload, struct error *err) {
    struct buf body = {0};
    struct json_writer w = json_writer_on(&body);
    json_open(&w, '{');
    json_put_key(&w, "routing_key");
    json_put_string(&w, target->secret);
    buf_putc(&body, ',');
    buf_put_slice(&body, slice_from(payload, 1));
    int code = body.failed
                   ? error_set(err, VT_ENOMEM, "no memory for a notification")
                   : send_http(curl, target, target->url.len ? target->url.ptr : PAGERDUTY_URL, buf_slice(&body), err);
    buf_free(&body);
    return code;
}

static size_t read_payload(char *to, size_t size, size_t count, void *ctx) {
    struct slice *left = ctx;
    size_t n = size * count < left->len ? size * count : left->len;
    if (n) memcpy(to, left->ptr, n);
    *left = slice_from(*left, n);
    return n;
}

static int send_mail(CURL *curl, const struct notify_target *target, struct slice payload, struct error *err) {
    struct curl_slist *to = NULL;
    char address[256];
    struct slice rest = target->to;
    while (rest.len) {
        const char *comma = memchr(rest.ptr, ',', rest.len);
        size_t len = comma ? (size_t)(comma - rest.ptr) : rest.len;
        while (len && *rest.ptr == ' ') rest = slice_from(rest, 1), len--;
        if (len && len < sizeof address) {
            memcpy(address, rest.ptr, len);
            address[len] = 0;
            to = curl_slist_append(to, address);
        }
        rest = comma ? slice_from(rest, len + 1) : (struct slice){NULL, 0};
    }
    set_common(curl, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_URL, target->url.ptr);
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, target->from.ptr);
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
    /* A password goes over TLS or not at all. */
    curl_easy_setopt(curl, CURLOPT_USE_SSL, (long)(target->secret.len ? CURLUSESSL_ALL : CURLUSESSL_TRY));
    if (target->user.len) curl_easy_setopt(curl, CURLOPT_USERNAME, target->user.ptr);
    if (target->secret.len) curl_easy_setopt(curl, CURLOPT_PASSWORD, target->secret.ptr);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_payload);
    curl_easy_setopt(curl, CURLOPT_READDATA, &payload);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    CURLcode result = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(to);
    if (result == CURLE_OK) return 0;
    return error_set(err, status >= 500 ? VT_EINVAL : VT_EIO, "target %.*s: %s", (int)target->name.len,
                     target->name.ptr, curl_easy_strerror(result));
}

static int wait_for(pid_t pid, int64_t deadline_ns, int *status) {
    while (waitpid(pid, status, WNOHANG) == 0) {
        if (time_monotonic_ns() > deadline_ns) {
            kill(-pid, SIGKILL);
            waitpid(pid, status, 0);
            return VT_ETIMEOUT;
        }
        poll(NULL, 0, 20);
    }
    return 0;
}

static int send_command(const struct notify_target *target, struct slice payload, struct error *err) {
    int pipe_fds[2], status = 0;
    int name_len = (int)target->name.len;
    if (pipe2(pipe_fds, O_CLOEXEC))
        return error_set(err, VT_EIO, "target %.*s: pipe failed", name_len, target->name.ptr);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        dup2(pipe_fds[0], STDIN_FILENO);
        execl("/bin/sh", "sh", "-c", target->command.ptr, (char *)NULL);
        _exit(127);
    }
    close(pipe_fds[0]);
    if (pid < 0) {
        close(pipe_fds[1]);
        return error_set(err, VT_EIO, "target %.*s: fork failed", name_len, target->name.ptr);
    }
    /* A command that does not read must not hold us: the pipe is written only as far as it takes it. */
    int64_t deadline = time_monotonic_ns() + (int64_t)SEND_TIMEOUT_MS * NS_PER_MS;
    fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK);
    while (payload.len && time_monotonic_ns() < deadline) {
        ssize_t n = write(pipe_fds[1], payload.ptr, payload.len);
        if (n > 0)
            payload = slice_from(payload, (size_t)n);
        else if (errno != EAGAIN && errno != EINTR)
            break;
        else
            poll(&(struct pollfd){.fd = pipe_fds[1], .events = POLLOUT}, 1, 100);
    }
    close(pipe_fds[1]);
    if (wait_for(pid, deadline, &status))
        return error_set(err, VT_ETIMEOUT, "target %.*s: the command ran over %d s", name_len, target->name.ptr,
                         SEND_TIMEOUT_MS / 1000);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    return error_set(err, VT_EIO, "target %.*s: the command ended with %d", name_len, target->name.ptr,
                     WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

int notify_send(const struct notify_target *target, struct slice payload, struct error *err) {
    if (slice_is(target->kind, "command")) return send_command(target, payload, err);
    CURL *curl = curl_easy_init();
    if (!curl) return error_set(err, VT_ENOMEM, "no memory for a connection");
    int code = slice_is(target->kind, "email")       ? send_mail(curl, target, payload, err)
               : slice_is(target->kind, "pagerduty") ? send_pagerduty(curl, target, payload, err)
                                                     : send_http(curl, target, target->url.ptr, payload, err);
    curl_easy_cleanup(curl);
    return code;
}
