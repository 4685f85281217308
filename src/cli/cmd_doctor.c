/* `vitrine doctor`: is everything as it should be? Each check says what it found and, where something is wrong, what to
 * do. */
#include "cli/commands.h"
#include "cli/show.h"

#include "base/id.h"
#include "base/net.h"
#include "base/timestamp.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
    FREE_LOW_MIB = 1024, /* a warning */
    FREE_LEAST_MIB = 64, /* an error: a server would soon refuse spans */
    SKEW_MS_MOST = 2000,
    FIND_TRIES = 50, /* for the test span, each 100 ms */
    YEAR_2024_S = 1704067200,
    PROBLEMS_SHOWN = 50
};

enum verdict { GOOD, WARN, BAD, NOTE };

struct doctor_args {
    struct shared_args shared;
    bool check;
    bool send;
};

struct doctor {
    struct cli *cli;
    struct client *client;    /* NULL: no server */
    const struct doc *status; /* GET /api/v1/status, NULL when it was not answered */
    unsigned bad;
    struct buf json;
};

/* One line: "✓ disk   12 GiB free". `hint` may be NULL. */
static void say(struct doctor *d, enum verdict verdict, const char *name, const char *hint, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
static void say(struct doctor *d, enum verdict verdict, const char *name, const char *hint, const char *format, ...) {
    static const struct {
        const char *word, *sign;
        enum style style;
    } verdicts[] = {[GOOD] = {"ok", "\xe2\x9c\x93", STYLE_GOOD},
                    [WARN] = {"warning", "!", STYLE_WARN},
                    [BAD] = {"failed", "\xe2\x9c\x97", STYLE_BAD},
                    [NOTE] = {"note", "\xc2\xb7", STYLE_DIM}};
    const struct doctor_args *args = d->cli->args;
    struct term *out = &d->cli->out;
    struct error ignored;
    char text[600];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    d->bad += verdict == BAD;
    if (args->shared.json) {
        struct json_writer w = json_writer_on(&d->json);
        w.comma = d->json.len > 0;
        json_open(&w, '{');
        json_put_key(&w, "check");
        json_put_cstr(&w, name);
        json_put_key(&w, "result");
        json_put_cstr(&w, verdicts[verdict].word);
        json_put_key(&w, "message");
        json_put_cstr(&w, text);
        if (hint) json_put_key(&w, "hint"), json_put_cstr(&w, hint);
        json_close(&w, '}');
        return;
    }
    term_stylef(out, verdicts[verdict].style, "%s ", verdicts[verdict].sign);
    term_printf(out, "%-12s", name);
    term_text(out, STYLE_PLAIN, slice_of(text));
    term_puts(out, "\n");
    if (hint) {
        term_spaces(out, 14);
        term_text(out, STYLE_DIM, slice_of(hint));
        term_puts(out, "\n");
    }
    term_flush(out, &ignored);
}

static const char *bytes_text(struct doctor *d, double bytes) {
    struct buf text = {0};
    say_bytes(&text, bytes);
    const char *copy = arena_copy(d->cli->arena, buf_slice(&text)).ptr;
    buf_free(&text);
    return copy ? copy : "";
}

/* ---- this machine ---- */

static void check_config(struct doctor *d) {
    const struct config *config = d->cli->config;
    if (config->path)
        say(d, GOOD, "config", NULL, "%s, %zu settings", config->path, config->count);
    else
        say(d, NOTE, "config", NULL, "no file; defaults, environment and options count");
}

static void check_clock(struct doctor *d) {
    int64_t now = time_now_ns();
    if (now / NS_PER_S < YEAR_2024_S)
        say(d, BAD, "clock", "set it (timedatectl); spans would carry the wrong day", "it says a time before 2024");
    else if (!d->status)
        say(d, GOOD, "clock", NULL, "it makes sense");
    else {
        int64_t started;
        double uptime = doc_number(d->status, "uptime_s");
        if (!time_parse(doc_text(d->status, "started"), &started) || isnan(uptime)) return;
        double skew_ms = ((double)now - (double)started) / 1e6 - uptime * 1000 - 500; /* uptime is in whole seconds */
        if (fabs(skew_ms) > SKEW_MS_MOST)
            say(d, WARN, "clock", "run NTP on both machines", "%.1f s off the server's", skew_ms / 1000);
        else
            say(d, GOOD, "clock", NULL, "it agrees with the server's");
    }
}

/* The directory that is looked at: the one that was named, else that of a server on this machine, else the default. */
static const char *directory(const struct doctor *d) {
    const char *dir = source_data_dir(d->cli);
    if (!d->status || option_origin(d->cli->parse, "data") != ORIGIN_DEFAULT ||
        !client_is_loopback(client_url(d->client)))
        return dir;
    struct slice served = doc_text(doc_get(d->status, "store"), "dir");
    const char *copy = served.len && served.ptr[0] == '/' ? arena_copy(d->cli->arena, served).ptr : NULL;
    return copy && access(copy, F_OK) == 0 ? copy : dir; /* a container's or tunnel's path says nothing here */
}

static void check_data(struct doctor *d) {
    const char *dir = directory(d);
    char probe[4096];
    struct stat st;
    struct statvfs fs;
    if (stat(dir, &st) != 0) {
        enum verdict verdict = errno == ENOENT ? NOTE : BAD;
        say(d, verdict, "data", NULL,
            errno == ENOENT ? "%s is not there yet; `vitrine serve` makes it" : "%s: no access", dir);
        return;
    }
    snprintf(probe, sizeof probe, "%s/.doctor-%d", dir, (int)getpid());
    int fd = open(probe, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write(fd, "probe", 5) == 5 && fdatasync(fd) == 0;
    int why = errno;
    if (fd >= 0) close(fd), unlink(probe);
    if (!written)
        say(d, BAD, "data", "give this user the right to write there, or name another with --data",
            "%s cannot be written: %s", dir, strerror(why));
    else
        say(d, st.st_mode & 0007 ? WARN : GOOD, "data",
            st.st_mode & 0007 ? "others on this machine can read it: chmod 700" : NULL, "%s can be written", dir);
    if (statvfs(dir, &fs) != 0) return;
    double free_bytes = (double)fs.f_bavail * (double)fs.f_frsize, mib = free_bytes / (1 << 20);
    enum verdict verdict = mib < FREE_LEAST_MIB ? BAD : mib < FREE_LOW_MIB ? WARN : GOOD;
    say(d, verdict, "disk",
        verdict == GOOD ? NULL : "free some, or bound the data: vitrine serve --retention 30d --retention 50GB",
        "%s free", bytes_text(d, free_bytes));
}

/* ---- the server ---- */

static int call(struct doctor *d, const char *method, const char *path, struct slice body, struct client_answer *answer,
                struct error *err) {
    return client_send(d->client, &(struct client_request){.method = method, .path = path, .body = body}, answer, err);
}

static int status_of(struct doctor *d, const char *method, const char *path, const char *body) {
    struct client_answer answer;
    struct error err;
    int code = call(d, method, path, slice_of(body), &answer, &err);
    buf_free(&answer.body);
    return code ? 0 : answer.status;
}

static void check_port(struct doctor *d, const struct client_options *options) {
    struct net_address address;
    struct error err;
    int fd;
    if (strcmp(options->url, SOURCE_URL_DEFAULT) != 0 || net_parse("127.0.0.1:4318", &address, &err)) return;
    if (net_listen(&address, false, true, &fd, &err))
        say(d, WARN, "port", "stop what listens there, or choose another: vitrine serve --listen 127.0.0.1:PORT",
            "4318 is taken by something that is no vitrine");
    else {
        close(fd);
        say(d, GOOD, "port", NULL, "4318 is free for `vitrine serve`");
    }
}

static void read_status(struct doctor *d) {
    struct client_answer answer;
    struct error err;
    struct doc *doc;
    if (!call(d, "GET", "/api/v1/status", (struct slice){NULL, 0}, &answer, &err) && answer.status == 200 &&
        !doc_parse(arena_copy(d->cli->arena, buf_slice(&answer.body)), d->cli->arena, &doc, &err))
        d->status = doc;
    buf_free(&answer.body);
}

/* False when there is none, or it does not answer. */
static bool check_server(struct doctor *d) {
    struct client_options options;
    struct error err = {0};
    source_client_options(d->cli, &options);
    bool named = option_was_set(d->cli->parse, "url");
    if (!named && !client_reaches(&options)) {
        check_port(d, &options);
        bool dir_only = access(source_data_dir(d->cli), F_OK) == 0;
        say(d, dir_only ? WARN : BAD, "server", "start it with `vitrine serve`, or name another with --url",
            "nothing listens at %s", options.url);
        return false;
    }
    struct client_answer answer;
    int code = client_open(&d->client, &options, &err);
    if (!code) {
        code = call(d, "GET", "/healthz", (struct slice){NULL, 0}, &answer, &err);
        buf_free(&answer.body);
    }
    if (code) {
        say(d, BAD, "server", err.hint[0] ? err.hint : NULL, "%s", err.message);
        client_close(d->client);
        d->client = NULL;
        return false;
    }
    if (answer.status != 200) {
        say(d, BAD, "server", "check --url", "%s is no vitrine: /healthz answers %d", options.url, answer.status);
        return false;
    }
    int ready = status_of(d, "GET", "/readyz", NULL);
    read_status(d);
    struct buf up = {0};
    if (d->status) say_ms(&up, doc_number(d->status, "uptime_s") * 1000);
    struct slice version = doc_text(d->status, "version");
    if (ready != 200)
        say(d, BAD, "server", "see its log", "%s is up, but not ready (%d)", options.url, ready);
    else if (!d->status)
        say(d, GOOD, "server", NULL, "%s is ready", options.url);
    else
        say(d, GOOD, "server", NULL, "%s is ready: version %.*s, up for %s", options.url, (int)version.len, version.ptr,
            buf_cstr(&up));
    buf_free(&up);
    return true;
}

static void check_key(struct doctor *d) {
    const struct shared_args *args = d->cli->args;
    static const struct {
        const char *scope, *method, *path, *body;
    } scopes[] = {{"ingest", "POST", "/v1/traces", "{\"resourceSpans\":[]}"},
                  {"read", "GET", "/api/v1/status", NULL},
                  {"admin", "GET", "/api/v1/keys", NULL}};
    char may[64] = "";
    unsigned count = 0;
    for (size_t i = 0; i < 3; i++) {
        int status = status_of(d, scopes[i].method, scopes[i].path, scopes[i].body);
        if (status != 200) continue;
        snprintf(may + strlen(may), sizeof may - strlen(may), "%s%s", count++ ? ", " : "", scopes[i].scope);
    }
    if (!args->key) {
        if (count)
            say(d, GOOD, "key", NULL, "none is needed here for %s", may);
        else
            say(d, BAD, "key", "give one with --key or VITRINE_KEY; `vitrine keys add NAME` makes one",
                "the server asks for one");
    } else if (!count)
        say(d, BAD, "key", "`vitrine keys list` shows those that are good", "the server refuses the key");
    else
        say(d, GOOD, "key", NULL, "it may %s", may);
}

static void check_store(struct doctor *d) {
    const struct doc *store = doc_get(d->status, "store"), *error = doc_get(d->status, "ingest.last_error");
    double spans = doc_number(store, "spans_total"), aside = doc_number(store, "segments_set_aside");
    struct buf text = {0};
    if (!store) return;
    if (doc_true(store, "disk_full"))
        say(d, BAD, "store", "free some space: it goes on by itself then", "the disk is full, new spans are refused");
    if (aside > 0)
        say(d, BAD, "store",
            ((const struct doctor_args *)d->cli->args)->check ? NULL : "`vitrine doctor --check` names them",
            aside == 1 ? "%.0f damaged segment is set aside" : "%.0f damaged segments are set aside", aside);
    say_count(&text, spans);
    buf_puts(&text, spans == 1 ? " span in " : " spans in ");
    say_bytes(&text, doc_number(store, "segment_bytes") + doc_number(store, "wal_bytes"));
    struct slice dir = doc_text(store, "dir");
    say(d, GOOD, "store", NULL, "%s, %.*s", buf_cstr(&text), (int)dir.len, dir.ptr ? dir.ptr : "");
    if (error && error->type == JSON_OBJECT) {
        struct slice source = doc_text(error, "source"), message = doc_text(error, "message"),
                     when = doc_text(error, "time");
        say(d, WARN, "ingest", NULL, "last refused at %.*s: %.*s: %.*s", (int)when.len, when.ptr ? when.ptr : "",
            (int)source.len, source.ptr ? source.ptr : "", (int)message.len, message.ptr ? message.ptr : "");
    }
    buf_free(&text);
}

/* ---- the test span ---- */

static void put_test_span(struct buf *out, const char *trace, const char *span) {
    int64_t now = time_now_ns();
    buf_printf(out,
               "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{"
               "\"stringValue\":\"vitrine-doctor\"}}]},"
               "\"scopeSpans\":[{\"spans\":[{\"traceId\":\"%s\",\"spanId\":\"%s\",\"name\":\"doctor.test\",\"kind\":1,"
               "\"startTimeUnixNano\":\"%lld\",\"endTimeUnixNano\":\"%lld\",\"status\":{\"code\":1}}]}]}]}",
               trace, span, (long long)(now - NS_PER_MS), (long long)now);
}

static void hex_of(const uint8_t *id, size_t size, char *out) {
    hex_encode(id, size, out);
    out[2 * size] = 0;
}

static bool find_trace(struct doctor *d, const char *path, double *ms) {
    int64_t begun = time_monotonic_ns();
    for (int i = 0; i < FIND_TRIES; i++) {
        int status = status_of(d, "GET", path, NULL);
        *ms = (double)(time_monotonic_ns() - begun) / 1e6;
        if (status == 200) return true;
        if (status != 404) return false;
        nanosleep(&(struct timespec){0, 100 * NS_PER_MS}, NULL);
    }
    return false;
}

static void check_way(struct doctor *d) {
    uint8_t trace_id[TRACE_ID_SIZE], span_id[SPAN_ID_SIZE];
    char trace[2 * TRACE_ID_SIZE + 1], span[2 * SPAN_ID_SIZE + 1], path[80], gone[80];
    struct buf body = {0};
    double ms = 0;
    id_random(trace_id, sizeof trace_id);
    id_random(span_id, sizeof span_id);
    hex_of(trace_id, sizeof trace_id, trace);
    hex_of(span_id, sizeof span_id, span);
    snprintf(path, sizeof path, "/api/v1/traces/%s", trace);
    put_test_span(&body, trace, span);
    int status = status_of(d, "POST", "/v1/traces", buf_cstr(&body));
    if (status != 200)
        say(d, BAD, "test span",
            status == 401 || status == 403 ? "the key needs the scope ingest" : "see the server's log",
            "sent by OTLP, answered with %d", status);
    else if (!find_trace(d, path, &ms))
        say(d, BAD, "test span", "the key may lack the scope read; see the server's log",
            "sent by OTLP, but not found again");
    else {
        snprintf(gone, sizeof gone, "{\"trace_id\":\"%s\"}", trace);
        bool deleted = status_of(d, "POST", "/api/v1/delete", gone) == 200;
        say(d, GOOD, "test span", NULL, "sent by OTLP and found again in %.0f ms%s", ms,
            deleted ? "; deleted" : " (service vitrine-doctor)");
    }
    buf_free(&body);
}

/* ---- --check ---- */

struct problems {
    struct doctor *doctor;
    unsigned count;
};

static void on_problem(void *ctx, const char *path, const char *message) {
    struct problems *p = ctx;
    if (p->count++ < PROBLEMS_SHOWN) say(p->doctor, BAD, "check", NULL, "%s: %s", path, message);
}

static void check_files(struct doctor *d) {
    const char *dir = directory(d);
    struct store_checked found = {0};
    struct problems problems = {d, 0};
    struct error err = {0};
    if (store_check(dir, on_problem, &problems, &found, &err)) {
        say(d, BAD, "check", err.hint[0] ? err.hint : NULL, "%s", err.message);
        return;
    }
    struct buf text = {0};
    say_count(&text, (double)found.segments);
    buf_puts(&text, found.segments == 1 ? " segment with " : " segments with ");
    say_count(&text, (double)found.spans);
    buf_puts(&text, " spans and ");
    say_count(&text, (double)found.wal_spans);
    buf_puts(&text, " in the log are right");
    if (found.problems)
        say(d, BAD, "check", "damaged segments are left out of answers; restore them from a copy, or delete them",
            found.problems == 1 ? "%llu problem; %s" : "%llu problems; %s", (unsigned long long)found.problems,
            buf_cstr(&text));
    else
        say(d, GOOD, "check", NULL, "%s", buf_cstr(&text));
    buf_free(&text);
}

static int run(struct cli *cli) {
    const struct doctor_args *args = cli->args;
    struct doctor d = {.cli = cli};
    bool only_directory =
        option_origin(cli->parse, "data") == ORIGIN_WORDS && option_origin(cli->parse, "url") == ORIGIN_DEFAULT;
    check_config(&d);
    bool there = !only_directory && check_server(&d);
    check_clock(&d);
    if (!there || !option_was_set(cli->parse, "url") || client_is_loopback(client_url(d.client))) check_data(&d);
    if (there) {
        check_key(&d);
        check_store(&d);
        if (args->send) check_way(&d);
    }
    if (args->check) check_files(&d);
    client_close(d.client);
    if (args->shared.json)
        term_puts(&cli->out, "{\"checks\":["), buf_put_slice(&cli->out.buf, buf_slice(&d.json)),
            term_printf(&cli->out, "],\"failed\":%u}\n", d.bad);
    else if (d.bad)
        term_stylef(&cli->out, STYLE_BAD, "\n%u of these need attention.\n", d.bad);
    else
        term_style(&cli->out, STYLE_GOOD, "\nAll is well.\n");
    buf_free(&d.json);
    return d.bad ? EXIT_FAILED : EXIT_FINE;
}

static void defaults(void *target) {
    shared_defaults(target);
    ((struct doctor_args *)target)->send = true;
}

static const struct option options[] = {{.name = "check",
                                         .kind = &option_flag,
                                         .offset = offsetof(struct doctor_args, check),
                                         .help = "read all files of the data directory and verify their checksums"},
                                        {.name = "send",
                                         .kind = &option_flag,
                                         .offset = offsetof(struct doctor_args, send),
                                         .fallback = "yes",
                                         .help = "send a test span and find it again; --no-send leaves it out"},
                                        {.name = "json",
                                         .kind = &option_flag,
                                         .offset = offsetof(struct doctor_args, shared.json),
                                         .help = "the findings as JSON"},
                                        {0}};
static const struct option_group group = {"What is checked", options};

const struct command command_doctor = {
    .name = "doctor",
    .words = "",
    .summary = "is everything as it should be?",
    .about = "Looks at configuration, clock, data directory, disk, port and server, at what the key may, and sends a "
             "test span by OTLP and finds it "
             "again. The exit status is 1 when something needs attention.",
    .examples = "vitrine doctor\nvitrine doctor --check --data /var/lib/vitrine  # verify every file\n",
    .groups = (const struct option_group *const[]){&group, &group_source, &group_config, NULL},
    .args_size = sizeof(struct doctor_args),
    .defaults = defaults,
    .run = run,
};
