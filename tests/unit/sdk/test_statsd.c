/* StatsD metrics as a real UDP listener receives them. */
#include "sdk_test.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener;
static char address[64];
static char lines[4096][1500];
static size_t line_count, packet_count;

static int listen_on(int family) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *any = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t size = family == AF_INET ? sizeof v4 : sizeof v6;
    struct timeval wait = {.tv_sec = 60};
    int room = 1 << 20;
    listener = socket(family, SOCK_DGRAM, 0);
    if (listener < 0 || bind(listener, any, size) || getsockname(listener, any, &size)) return -1;
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    snprintf(address, sizeof address, family == AF_INET ? "127.0.0.1:%d" : "[::1]:%d",
             ntohs(v4.sin_port ? v4.sin_port : v6.sin6_port));
    line_count = packet_count = 0;
    return 0;
}

static int start(void **state) {
    clean_start(state);
    return listen_on(AF_INET);
}
static int stop(void **state) {
    vt_shutdown();
    close(listener);
    return 0;
}

/* Takes one packet; false: none is there, after a minute when `must`. */
static bool take_packet(bool must) {
    char packet[65536], *line;
    ssize_t len = recv(listener, packet, sizeof packet - 1, must ? 0 : MSG_DONTWAIT);
    if (len <= 0) return false;
    assert_true(len <= 1432);
    packet[len] = 0;
    packet_count++;
    for (char *rest = packet; (line = strsep(&rest, "\n"));) snprintf(lines[line_count++], sizeof *lines, "%s", line);
    return true;
}

/* Takes packets until there are so many lines, and those that are there besides. */
static void receive(size_t count) {
    while (line_count < count && take_packet(true)) continue;
    while (take_packet(false)) continue;
}

/* What comes behind all that was sent. */
static void send_end(void) {
    struct sockaddr_in to;
    socklen_t size = sizeof to;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&to, &size), 0);
    assert_int_equal(sendto(fd, "end", 3, 0, (struct sockaddr *)&to, size), 3);
    close(fd);
}

/* The value of the one line that begins with name and a colon and goes on with what follows the value; -1: there is
 * none. */
static double value_of(const char *name, const char *behind) {
    size_t len = strlen(name);
    for (size_t i = 0; i < line_count; i++) {
        if (strncmp(lines[i], name, len) != 0 || lines[i][len] != ':') continue;
        char *end;
        double value = strtod(lines[i] + len + 1, &end);
        if (!strcmp(end, behind)) return value;
    }
    return -1;
}

static vt_config statsd_config(void) {
    return (vt_config){
        .service_name = "ai-storefront", .console = VT_OFF, .synchronous = true, .statsd_address = address};
}

#define CALL_TAGS(status) "|#service:ai-storefront,model:gpt-4o,provider:openai,operation:openai.chat,status:" status
#define TURN_TAGS(status) "|#service:ai-storefront,operation:chat.turn,status:" status

static void call(bool fails) {
    vt_span *span = vt_llm_start("openai.chat", &(vt_llm_call){.provider = "openai", .model = "gpt-4o"});
    sleep_ms(3);
    vt_llm_first_token(span);
    vt_llm_usage(span, &(vt_usage){.prompt_tokens = 159, .completion_tokens = 237});
    vt_span_set_double(span, "llm.cost.total", 0.25);
    if (fails) vt_span_error(span, "rate limited");
    vt_span_end(span);
}

static void calls_become_the_storefronts_metrics(void **state) {
    vt_config config = statsd_config();
    assert_int_equal(vt_init(&config), 0);
    call(false);
    call(true);
    vt_span_end(vt_span_start("not of interest"));
    receive(11);
    assert_true(value_of("ai_storefront.llm.requests", "|c" CALL_TAGS("OK")) == 1);
    assert_true(value_of("ai_storefront.llm.tokens", "|c" CALL_TAGS("OK")) == 396);
    assert_true(value_of("ai_storefront.llm.cost", "|c" CALL_TAGS("OK")) == 0.25);
    assert_true(value_of("ai_storefront.llm.errors", "|c" CALL_TAGS("OK")) == -1);
    double ms = value_of("ai_storefront.llm.duration", "|d" CALL_TAGS("OK")),
           first = value_of("ai_storefront.llm.ttft", "|d" CALL_TAGS("OK"));
    assert_true(ms >= 2.9 && first >= 2.9 && ms >= first);
    assert_true(value_of("ai_storefront.llm.requests", "|c" CALL_TAGS("ERROR")) == 1);
    assert_true(value_of("ai_storefront.llm.errors", "|c" CALL_TAGS("ERROR")) == 1);
    assert_int_equal(line_count, 5 + 6);
}

static void turns_tell_fallbacks_and_errors(void **state) {
    vt_config config = statsd_config();
    assert_int_equal(vt_init(&config), 0);
    for (unsigned i = 0; i < 3; i++) {
        vt_span *turn = vt_chat_start("turn", NULL);
        call(i > 0); /* fails in the second and third */
        if (i == 2) vt_span_error(turn, "nothing to say");
        vt_span_end(turn);
    }
    receive(25);
    size_t turns = 0, fallbacks = 0, errors = 0;
    for (size_t i = 0; i < line_count; i++) {
        if (strstr(lines[i], "ai_storefront.chat.turns:1|c|#service:ai-storefront,operation:chat.turn,status:"))
            turns++;
        if (!strcmp(lines[i], "ai_storefront.chat.fallbacks:1|c" TURN_TAGS("OK"))) fallbacks++;
        if (!strcmp(lines[i], "ai_storefront.chat.errors:1|c" TURN_TAGS("ERROR"))) errors++;
    }
    assert_true(turns == 3 && fallbacks == 1 && errors == 1);
    assert_true(value_of("ai_storefront.chat.duration", "|d" TURN_TAGS("OK")) >= 2.9);
}

static void listener_that_comes_back_is_sent_to(void **state) {
    vt_config config = statsd_config();
    struct sockaddr_in bound;
    socklen_t size = sizeof bound;
    assert_int_equal(getsockname(listener, (struct sockaddr *)&bound, &size), 0);
    assert_int_equal(vt_init(&config), 0);
    close(listener);
    for (int i = 0; i < 5; i++) call(false); /* returns, and is lost */
    listener = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&bound, size), 0);
    call(true);
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 20}, sizeof(struct timeval));
    /* The span is exported when it ends, so its datagram is here. */
    ssize_t len = recv(listener, lines[0], sizeof *lines - 1, 0);
    assert_true(len > 0);
    lines[0][len] = 0;
    assert_non_null(strstr(lines[0], "ai_storefront.llm.errors:1|c"));
}

static void plain_servers_get_timers_and_no_tags(void **state) {
    vt_config config = statsd_config();
    config.statsd_plain = true;
    assert_int_equal(vt_init(&config), 0);
    call(false);
    receive(5);
    assert_true(value_of("ai_storefront.llm.requests", "|c") == 1);
    assert_true(value_of("ai_storefront.llm.duration", "|ms") >= 2.9);
    for (size_t i = 0; i < line_count; i++) assert_null(strchr(lines[i], '#'));
}

static void rate_sends_a_share_and_says_so(void **state) {
    vt_config config = statsd_config();
    config.statsd_rate = 0.25;
    assert_int_equal(vt_init(&config), 0);
    enum { CALLS = 2000 };
    for (unsigned i = 0; i < CALLS; i++) {
        vt_span_end(vt_llm_start("c", NULL));
        if (i % 50 == 0) receive(0); /* the system keeps so many packets and no more */
    }
    send_end();
    while (strcmp(lines[line_count - !!line_count], "end") != 0 && take_packet(true)) continue;
    size_t requests = 0;
    for (size_t i = 0; i < line_count; i++)
        requests +=
            !strcmp(lines[i], "ai_storefront.llm.requests:1|c|@0.25|#service:ai-storefront,operation:c,status:OK");
    /* Ten standard deviations: 10 × sqrt(2000 × 0.25 × 0.75) = 194. */
    assert_in_range(requests, CALLS / 4 - 194, CALLS / 4 + 194);
}

static void background_batches_share_packets(void **state) {
    setenv("VITRINE_STATSD", address, 1);
    vt_config config = {.service_name = "9 shops\xc3\xa4", .console = VT_OFF, .delay_ms = 60000};
    assert_int_equal(vt_init(&config), 0);
    for (unsigned i = 0; i < 200; i++) vt_span_end(vt_llm_start("a|b,c#d", NULL));
    assert_int_equal(vt_flush(60000), 0);
    receive(400);
    assert_int_equal(line_count, 400);
    assert_true(packet_count < 60);
    assert_true(value_of("_9_shops__.llm.requests", "|c|#service:9_shops\xc3\xa4,operation:a_b_c_d,status:OK") == 1);
}

static void goes_over_ipv6_too(void **state) {
    close(listener);
    if (listen_on(AF_INET6)) skip();
    vt_config config = statsd_config();
    assert_int_equal(vt_init(&config), 0);
    call(false);
    receive(5);
    assert_true(value_of("ai_storefront.llm.requests", "|c" CALL_TAGS("OK")) == 1);
}

static void lines_go_on_beside_metrics_and_without_a_listener(void **state) {
    close(listener);
    vt_config config = statsd_config();
    config.console = VT_BY_ENVIRONMENT;
    config.console_write = sink_write;
    assert_int_equal(vt_init(&config), 0);
    for (unsigned i = 0; i < 5; i++) call(false); /* refused from the second on */
    assert_int_equal(vt_flush(1000), 0);
    assert_int_equal(sink_lines(), 5);
    vt_shutdown();
    config.statsd_address = "no-such-host.invalid:8125";
    assert_int_equal(vt_init(&config), 0);
    call(false);
    assert_int_equal(sink_lines(), 6);
    listener = socket(AF_INET, SOCK_DGRAM, 0); /* for stop */
}

#define STATSD_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        STATSD_TEST(calls_become_the_storefronts_metrics),
        STATSD_TEST(turns_tell_fallbacks_and_errors),
        STATSD_TEST(listener_that_comes_back_is_sent_to),
        STATSD_TEST(plain_servers_get_timers_and_no_tags),
        STATSD_TEST(rate_sends_a_share_and_says_so),
        STATSD_TEST(background_batches_share_packets),
        STATSD_TEST(goes_over_ipv6_too),
        STATSD_TEST(lines_go_on_beside_metrics_and_without_a_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
