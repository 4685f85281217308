/* See sdk_test.h. */
#include "sdk_test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { SINK_MAX = 1 << 22, IDS_MAX = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char sink[SINK_MAX], masked[SINK_MAX], taken[SINK_MAX];
static size_t sink_len;

/* Ids in the order of their first appearance. */
struct ids {
    char text[IDS_MAX][33];
    size_t count;
};
static struct ids traces, spans;

/* A forked child leaves behind what the fork may have met half done: no leak sanitizer looks at it. */
static int in_child;
static void note_child(void) {
    in_child = 1;
}
VT_EXPORT int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) {
    return in_child;
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, note_child);
}

static bool is_ours(const char *variable) {
    return !strncmp(variable, "OTEL_", 5) || !strncmp(variable, "VITRINE_", 8) || !strncmp(variable, "NODE_ENV=", 9);
}

int clean_start(void **state) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    for (size_t i = 0; environ && environ[i];) {
        if (!is_ours(environ[i])) {
            i++;
            continue;
        }
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(environ[i], "="), environ[i]);
        unsetenv(name);
    }
    sink_clear();
    return 0;
}

int clean_stop(void **state) {
    vt_shutdown();
    return 0;
}

void sink_write(void *ctx, const char *lines, size_t size) {
    pthread_mutex_lock(&lock);
    if (size < SINK_MAX - sink_len) memcpy(sink + sink_len, lines, size), sink_len += size;
    pthread_mutex_unlock(&lock);
}

void sink_clear(void) {
    pthread_mutex_lock(&lock);
    memset(sink, 0, sink_len);
    sink_len = traces.count = spans.count = 0;
    pthread_mutex_unlock(&lock);
}

vt_config sink_config(void) {
    return (vt_config){.service_name = "shop", .console_write = sink_write, .synchronous = true};
}

void sink_init(void) {
    vt_config config = sink_config();
    assert_int_equal(vt_init(&config), 0);
}

size_t sink_lines(void) {
    size_t count = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < sink_len; i++) count += sink[i] == '\n';
    pthread_mutex_unlock(&lock);
    return count;
}

static char *find_line(char *text, size_t n) {
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) && rest;)
        if (n-- == 0) return line;
    fail_msg("the line was not written");
    return NULL;
}

const char *sink_raw(size_t n) {
    memcpy(taken, sink, SINK_MAX);
    return find_line(taken, n);
}

bool sink_has(const char *text) {
    return strstr(sink, text) != NULL;
}

static size_t number_of(struct ids *ids, const char *text, size_t len) {
    if (strspn(text, "0123456789abcdef") != len || text[len] != '"')
        fail_msg("no id of %zu hex digits: %.40s", len, text);
    for (size_t i = 0; i < ids->count; i++)
        if (!strncmp(ids->text[i], text, len)) return i + 1;
    assert_true(ids->count < IDS_MAX);
    memcpy(ids->text[ids->count], text, len);
    return ++ids->count;
}

/* What stands behind these words is replaced: its length there, and its stand-in. */
static size_t replace(const char *at, char *out, size_t *out_len) {
    static const struct {
        const char *word;
        enum { ISO, MS, DURATION, TRACE, SPAN } what;
    } words[] = {{"\"timestamp\":\"", ISO}, {"\"timestamp\":", MS},  {"\"duration\":\"", DURATION},
                 {"\"traceId\":\"", TRACE}, {"\"spanId\":\"", SPAN}, {"\"parentSpanId\":\"", SPAN}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t word_len = strlen(words[i].word), len = 0;
        if (strncmp(at, words[i].word, word_len) != 0) continue;
        const char *value = at + word_len;
        char stand_in[24];
        switch (words[i].what) {
        case ISO: {
            struct tm tm;
            const char *end = strptime(value, "%Y-%m-%dT%H:%M:%S", &tm);
            if (!end || *end != '.' || strspn(end + 1, "0123456789") != 3 || strncmp(end + 4, "Z\"", 2) != 0)
                fail_msg("no time: %.40s", value);
            len = (size_t)(end + 5 - value);
            snprintf(stand_in, sizeof stand_in, "TIME");
            break;
        }
        case MS:
            len = strspn(value, "0123456789");
            if (len != 13) fail_msg("no milliseconds: %.40s", value);
            snprintf(stand_in, sizeof stand_in, "MS");
            break;
        case DURATION:
            len = strspn(value, "0123456789") + 2;
            if (len < 3 || strncmp(value + len - 2, "ms\"", 3) != 0) fail_msg("no duration: %.40s", value);
            snprintf(stand_in, sizeof stand_in, "DURATION");
            break;
        case TRACE:
            len = 32;
            snprintf(stand_in, sizeof stand_in, "T%zu", number_of(&traces, value, len));
            break;
        case SPAN:
            len = 16;
            snprintf(stand_in, sizeof stand_in, "S%zu", number_of(&spans, value, len));
            break;
        }
        *out_len = (size_t)sprintf(out, "%s%s", words[i].word, stand_in);
        return word_len + len;
    }
    return 0;
}

const char *sink_line(size_t n) {
    traces.count = spans.count = 0;
    size_t out = 0, more;
    for (size_t i = 0; i < sink_len;) {
        size_t passed = replace(sink + i, masked + out, &more);
        if (passed) {
            i += passed, out += more;
        } else {
            masked[out++] = sink[i++];
        }
        assert_true(out < SINK_MAX - 256);
    }
    masked[out] = 0;
    return find_line(masked, n);
}

const char *line_value(size_t n, const char *key) {
    static char value[65536];
    char wanted[256];
    snprintf(wanted, sizeof wanted, "\"%s\":", key);
    const char *at = strstr(sink_raw(n), wanted);
    value[0] = 0;
    if (!at) return value;
    at += strlen(wanted);
    const char *end = at;
    if (*at == '"')
        for (end++; *end && *end != '"'; end++) end += *end == '\\' && end[1];
    else
        while (*end && !strchr(",}]", *end)) end++;
    end += *end == '"';
    snprintf(value, sizeof value, "%.*s", (int)(end - at), at);
    return value;
}

static char *child_output(int which, void (*fn)(void *ctx), void *ctx, int *exit_code) {
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(pipe_fds[0]);
        dup2(pipe_fds[1], which);
        close(pipe_fds[1]);
        fn(ctx);
        exit(0);
    }
    close(pipe_fds[1]);
    size_t len = 0, cap = 1 << 20;
    char *text = malloc(cap);
    ssize_t got;
    while (len < cap - 1 && (got = read(pipe_fds[0], text + len, cap - 1 - len)) > 0) len += (size_t)got;
    text[len] = 0;
    close(pipe_fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (exit_code) *exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return text;
}

char *child_stderr(void (*fn)(void *ctx), void *ctx, int *exit_code) {
    return child_output(STDERR_FILENO, fn, ctx, exit_code);
}
char *child_stdout(void (*fn)(void *ctx), void *ctx, int *exit_code) {
    return child_output(STDOUT_FILENO, fn, ctx, exit_code);
}

#if !defined(__has_feature)
#define __has_feature(what) 0
#endif

void needs_threads_after_fork(void) {
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
    skip();
#endif
}

void needs_malloc_after_fork(void) {
    needs_threads_after_fork();
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
    skip();
#endif
}

void sleep_ms(unsigned ms) {
    usleep(ms * 1000);
}
