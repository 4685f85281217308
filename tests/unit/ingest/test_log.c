/* Trace lines in logs of every make. */
#include "decoded.h"

#define LINE(trace, span, parent, operation)                                                                           \
    "{\"timestamp\":\"2025-08-16T15:27:07.073Z\",\"level\":\"INFO\",\"message\":\"TRACE: " operation                   \
    "\",\"trace\":{\"traceId\":\"" trace "\",\"spanId\":\"" span "\",\"parentSpanId\":\"" parent                       \
    "\",\"operation\":\"" operation "\",\"duration\":\"12ms\",\"status\":\"OK\"},"                                     \
    "\"attributes\":{\"service.name\":\"shop\"}}"

static const char pretty[] = "{\n"
                             "  \"timestamp\": \"2026-11-23T18:59:51.722Z\",\n"
                             "  \"level\": \"INFO\",\n"
                             "  \"message\": \"TRACE: chat.ask\",\n"
                             "  \"trace\": {\n"
                             "    \"traceId\": \"1clklvd1myamwtmrcq2\",\n"
                             "    \"spanId\": \"gc5lyw7atqvmwtmrcq2\",\n"
                             "    \"operation\": \"chat.ask\",\n"
                             "    \"duration\": \"13ms\",\n"
                             "    \"status\": \"OK\"\n"
                             "  },\n"
                             "  \"attributes\": {\n"
                             "    \"chat.thread_id\": \"t { \\\" } 1\"\n"
                             "  },\n"
                             "  \"events\": [\n"
                             "    {\n"
                             "      \"name\": \"chat.turn.start\",\n"
                             "      \"timestamp\": 1795460391722\n"
                             "    }\n"
                             "  ]\n"
                             "}";

static void check_pretty(const struct span *span) {
    assert_string_equal(text_of(span, COL_OPERATION), "chat.ask");
    assert_string_equal(text_of(span, COL_THREAD_ID), "t { \" } 1");
    assert_int_equal(span->duration_ns, INT64_C(13000000));
    assert_string_equal(text_of(span, COL_EVENTS), "[{\"name\":\"chat.turn.start\",\"timestamp\":1795460391722}]");
}

static void sample_of_the_storefront_becomes_whole_turns(void **state) {
    struct log_decode options = {0};
    struct slice sample = read_whole(SAMPLES "/storefront-console.txt");
    struct batch *batch = decode_log(sample, &options);
    assert_int_equal(batch->count, 4);
    assert_int_equal(batch->rejected, 0);
    assert_int_equal(options.ignored, 0);
    assert_int_equal(options.used, sample.len);
    struct span *spans[4] = {&batch->spans[0], &batch->spans[1], &batch->spans[2], &batch->spans[3]};
    for (int turn = 0; turn < 2; turn++) {
        const struct span *call = spans[2 * turn], *chat = spans[2 * turn + 1];
        assert_int_equal(call->kind, KIND_LLM);
        assert_int_equal(chat->kind, KIND_TURN);
        assert_memory_equal(call->parent_span_id, chat->span_id, SPAN_ID_SIZE);
        assert_memory_equal(call->trace_id, chat->trace_id, TRACE_ID_SIZE);
        assert_true(id_is_zero(chat->parent_span_id, SPAN_ID_SIZE));
        assert_int_equal(chat->tokens_input, SPAN_NO_INT);
        assert_int_equal(call->tokens_input, 100 + turn);
        assert_int_equal(call->tokens_output, turn ? 52 : 50);
        assert_int_equal(call->tokens_cached, SPAN_NO_INT);
        assert_string_equal(text_of(call, COL_TURN_ID), turn ? "thread-1-1755358043102" : "thread-0-1755358043101");
        assert_string_equal(text_of(call, COL_THREAD_ID), turn ? "thread-1" : "thread-0");
        assert_string_equal(text_of(call, COL_USER_ID), turn ? "user-1" : "user-0");
        assert_string_equal(text_of(chat, COL_USER_ID), turn ? "user-1" : "user-0");
        assert_string_equal(text_of(call, COL_MODEL), turn ? "gpt-4o-mini" : "gpt-4o");
        assert_string_equal(text_of(call, COL_SERVICE), "ai-storefront");
    }
    assert_memory_not_equal(spans[0]->trace_id, spans[2]->trace_id, TRACE_ID_SIZE);
    assert_contains(text_of(spans[0], COL_ATTRIBUTES),
                    "\"source.trace_id\":\"y56ugcpvqcsmwtmrcq2\",\"source.span_id\":\"xnoj8chhvfmwtmrcq2\"");
    assert_contains(text_of(spans[0], COL_PROMPT), "Which jacket \"0\" fits\nrainy weather? \xf0\x9f\xa7\xa5 ");
    assert_int_equal(spans[0]->start_ns, INT64_C(1795460391722) * 1000000);
    assert_int_equal(spans[0]->duration_ns, INT64_C(7000000));
    assert_int_equal(spans[0]->status, STATUS_OK);
    batch_unref(batch);
}

/* Any cut of the sample, read in two pieces, gives the same spans as the whole. */
static void sample_cut_anywhere_gives_the_same_spans(void **state) {
    struct slice sample = read_whole(SAMPLES "/storefront-console.txt");
    struct log_decode options = {0};
    struct batch *whole = decode_log(sample, &options);
    for (size_t cut = 0; cut < sample.len; cut++) {
        struct batch *batch = batch_new();
        struct slice head = exactly(slice_make(sample.ptr, cut));
        struct log_decode first = {.first_line = 1, .more = true};
        assert_int_equal(log_decode(batch, head, &first, NULL), 0);
        assert_true(first.used <= cut);
        struct slice tail = exactly(slice_from(sample, first.used));
        struct log_decode rest = {.first_line = 1 + first.lines};
        assert_int_equal(log_decode(batch, tail, &rest, NULL), 0);
        batch_finish(batch);
        assert_int_equal(batch->rejected, 0);
        assert_int_equal(batch->count, whole->count);
        for (uint32_t i = 0; i < whole->count; i++) {
            char wanted[4000];
            snprintf(wanted, sizeof wanted, "%s", json_of_span(&whole->spans[i]));
            assert_string_equal(json_of_span(&batch->spans[i]), wanted);
        }
        assert_int_equal(first.lines + rest.lines, options.lines);
        batch_unref(batch);
        forget(head), forget(tail);
    }
    batch_unref(whole);
}

/* Cut for good, with nothing to come: what was whole is there, the rest is rejected once, with its line. */
static void log_that_ends_early_keeps_what_was_whole(void **state) {
    struct slice sample = read_whole(SAMPLES "/storefront-console.txt");
    for (size_t cut = 1; cut < sample.len; cut++) {
        struct slice head = exactly(slice_make(sample.ptr, cut));
        struct log_decode options = {0};
        struct batch *batch = decode_log(head, &options);
        assert_true(batch->rejected <= 1);
        assert_int_equal(options.used, cut);
        batch_unref(batch);
        forget(head);
    }
    struct log_decode options = {0};
    struct batch *batch = decode_log(slice_make(sample.ptr, 1500), &options);
    assert_int_equal(batch->count, 1);
    assert_contains(rejection(batch, 0), "39: the object is cut off at the end");
    batch_unref(batch);
}

static void takes_lines_arrays_and_what_stands_between(void **state) {
    static const char *const logs[] = {
        LINE("a0000000000000000000000000000001", "a000000000000001", "",
             "one") "\n" LINE("a0000000000000000000000000000001", "a000000000000002", "a000000000000001", "two") "\n",
        LINE("a0000000000000000000000000000001", "a000000000000001", "",
             "one") "\r\n\r\n" LINE("a0000000000000000000000000000001", "a000000000000002", "a000000000000001", "two"),
        "[" LINE("a0000000000000000000000000000001", "a000000000000001", "",
                 "one") "," LINE("a0000000000000000000000000000001", "a000000000000002", "a000000000000001", "two") "]",
        "\xef\xbb\xbf[\n  " LINE("a0000000000000000000000000000001", "a000000000000001", "", "one") ",\n  " LINE(
            "a0000000000000000000000000000001", "a000000000000002", "a000000000000001", "two") "\n]\n",
        LINE("A0000000000000000000000000000001", "A000000000000001", "", "one")
            LINE("a0000000000000000000000000000001", "a000000000000002", "a000000000000001", "two"),
    };
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++) {
        struct log_decode options = {0};
        struct batch *batch = decode_log(slice_of(logs[i]), &options);
        assert_int_equal(batch->count, 2);
        assert_int_equal(batch->rejected, 0);
        assert_int_equal(options.ignored, 0);
        assert_string_equal(text_of(&batch->spans[1], COL_OPERATION), "two");
        assert_memory_equal(batch->spans[1].trace_id, batch->spans[0].trace_id, TRACE_ID_SIZE);
        assert_int_equal(batch->spans[0].trace_id[0], 0xa0);
        assert_int_equal(batch->spans[0].flags & SPAN_JOIN_BY_PARENT, 0);
        assert_null(strstr(text_of(&batch->spans[0], COL_ATTRIBUTES), "source."));
        batch_unref(batch);
    }
}

static void console_lines_between_are_counted_and_passed_over(void **state) {
    struct buf log = {0};
    buf_printf(&log,
               "> shop@1.0.0 start\n\n\xf0\x9f\x93\x9d Span Attributes: { a: 1 }\n\xf0\x9f\x93\x9d "
               "{\"a\":1}\n\xf0\x9f\x94\x8d TRACE: %s\n\xe2\x8f\xb1\xef\xb8\x8f op: 12ms\n",
               pretty);
    struct log_decode options = {0};
    struct batch *batch = decode_log(buf_slice(&log), &options);
    assert_int_equal(batch->count, 1);
    assert_int_equal(batch->rejected, 0);
    assert_int_equal(options.ignored, 4);
    check_pretty(&batch->spans[0]);
    batch_unref(batch);
    buf_free(&log);
}

/* A prefix on every line, with or without colours: container names, times of changing length, both. */
static void prefixes_and_colours_are_taken_off(void **state) {
    static const char *const prefixes[][3] = {
        {"web-1  | ", "web-1  | ", "\n"},
        {"2026-11-23T18:59:51.722Z ", "2026-11-23T18:59:51.7Z ", "\r\n"},
        {"2026-11-23T18:59:51Z stdout F ", "2026-11-23T18:59:51.123456789Z stdout F ", "\n"},
        {"[pod/web-5d/web] ", "[pod/web-5d/web] ", "\n"},
        {"\x1b[36mweb-1  | \x1b[0m", "\x1b[36mweb-1  | \x1b[0m", "\n"},
        {"\x1b[32m", "\x1b[1;33m", "\x1b[0m\n"},
        {"Nov 23 18:59:51 host shop[4711]: ", "Nov 23 18:59:52 host shop[4711]: ", "\n"},
    };
    for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes; p++)
        for (int mark = 0; mark < 2; mark++) {
            struct buf log = {0};
            buf_printf(&log, "%sstarting%s%s%s", prefixes[p][0], prefixes[p][2], prefixes[p][0],
                       mark ? "\xf0\x9f\x94\x8d TRACE: " : "");
            for (const char *at = pretty, *end; *at; at = *end ? end + 1 : end) {
                end = strchrnul(at, '\n');
                buf_printf(&log, "%s%.*s%s", at == pretty ? "" : prefixes[p][1], (int)(end - at), at, prefixes[p][2]);
                if (at == pretty) buf_puts(&log, "db-1 | a line of somebody else\n");
            }
            buf_printf(&log, "%sdone%s", prefixes[p][0], prefixes[p][2]);
            struct log_decode options = {0};
            struct batch *batch = decode_log(buf_slice(&log), &options);
            /* Without a prefix in front a foreign line within the object cannot be told from the object. */
            if (p == 5)
                assert_int_equal(batch->count, 0);
            else {
                if (batch->count != 1) fail_msg("prefix %zu: %u spans", p, batch->count);
                assert_int_equal(batch->rejected, 0);
                check_pretty(&batch->spans[0]);
            }
            batch_unref(batch);
            buf_free(&log);
        }
}

static void colours_within_the_object_are_taken_off(void **state) {
    struct buf log = {0};
    for (const char *at = pretty; *at; at++) {
        if (*at == '{' || *at == ':') buf_puts(&log, "\x1b[33m");
        buf_putc(&log, *at);
        if (*at == '}') buf_puts(&log, "\x1b[39m");
    }
    struct log_decode options = {0};
    struct batch *batch = decode_log(buf_slice(&log), &options);
    assert_int_equal(batch->count, 1);
    assert_string_equal(text_of(&batch->spans[0], COL_OPERATION), "chat.ask");
    batch_unref(batch);
    buf_free(&log);
}

static void first_line_alone_may_carry_a_prefix(void **state) {
    struct buf log = {0};
    buf_printf(&log, "2026-11-23 18:59:51 INFO shop - \xf0\x9f\x94\x8d TRACE: %s\n", pretty);
    struct log_decode options = {0};
    struct batch *batch = decode_log(buf_slice(&log), &options);
    assert_int_equal(batch->count, 1);
    check_pretty(&batch->spans[0]);
    batch_unref(batch);
    buf_free(&log);
}

static void log_shippers_objects_are_unwrapped(void **state) {
    struct buf log = {0};
    static const char *const keys[] = {"log", "message", "msg", "textPayload"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        buf_printf(&log, "{\"%s\":\"\xf0\x9f\x94\x8d TRACE: ", keys[i]);
        json_escape(&log, slice_of(pretty));
        buf_puts(&log, "\",\"stream\":\"stdout\"}\n{\"log\":\"plain\"}\n");
    }
    struct log_decode options = {0};
    struct batch *batch = decode_log(buf_slice(&log), &options);
    assert_int_equal(batch->count, 4);
    assert_int_equal(options.ignored, 4);
    for (uint32_t i = 0; i < 4; i++) check_pretty(&batch->spans[i]);
    batch_unref(batch);
    buf_free(&log);
}

/* A line as Docker's json-file driver writes it: an object for each 16 KB, the last alone with a line break. Between
 * the pieces stands what the other stream printed. */
static void put_docker(struct buf *log, const char *stream, struct slice line, const char *between) {
    enum { PIECE = 16384 };
    do {
        struct slice piece = line.len > PIECE ? slice_make(line.ptr, PIECE) : line;
        line = slice_from(line, piece.len);
        buf_puts(log, "{\"log\":\"");
        json_escape(log, piece);
        buf_printf(log, "%s\",\"stream\":\"%s\",\"time\":\"2026-11-23T18:59:51.722Z\"}\n", line.len ? "" : "\\n",
                   stream);
        if (line.len) buf_puts(log, between);
    } while (line.len);
}

/* A trace line with a prompt of so many bytes. */
static struct slice long_line(struct buf *line, const char *span, size_t bytes) {
    buf_clear(line);
    buf_printf(
        line,
        "{\"timestamp\":\"2025-08-16T15:27:07.073Z\",\"trace\":{\"traceId\":\"a0000000000000000000000000000001\","
        "\"spanId\":\"%s\",\"operation\":\"long\",\"duration\":\"4ms\",\"status\":\"OK\"},\"attributes\":{"
        "\"llm.request.model\":\"gpt-4o\",\"input.value\":\"",
        span);
    while (bytes--) buf_putc(line, (char)('a' + bytes % 26));
    buf_puts(line, "\"}}");
    return buf_slice(line);
}

static void lines_that_docker_took_apart_are_put_together(void **state) {
    static const char other[] =
        "{\"log\":\"a warning\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-23T18:59:51.722Z\"}\n";
    struct buf log = {0}, line = {0};
    put_docker(&log, "stdout", SLICE("ready"), "");
    put_docker(&log, "stdout", long_line(&line, "a000000000000001", 50000), other);
    put_docker(&log, "stdout", long_line(&line, "a000000000000002", 10), other);
    put_docker(&log, "stderr", long_line(&line, "a000000000000003", 40000), "");
    struct log_decode options = {0};
    struct batch *batch = decode_log(buf_slice(&log), &options);
    assert_int_equal(batch->count, 3);
    assert_int_equal(batch->rejected, 0);
    assert_int_equal(options.ignored, 4); /* ready, and a warning three times */
    assert_int_equal(span_get_text(&batch->spans[0], COL_PROMPT).len, 50000);
    assert_int_equal(span_get_text(&batch->spans[1], COL_PROMPT).len, 10);
    assert_int_equal(span_get_text(&batch->spans[2], COL_PROMPT).len, 40000);
    assert_int_equal(options.used, log.len);
    batch_unref(batch);
    /* The same in pieces of any size, as a file that grows is read. */
    for (size_t step = 1000; step < log.len; step += 7919) {
        batch = batch_new();
        uint32_t spans = 0;
        for (size_t from = 0, to = step; from < log.len;) {
            struct log_decode part = {.more = to < log.len};
            assert_int_equal(log_decode(batch, slice_make(log.ptr + from, to - from), &part, NULL), 0);
            from += part.used;
            to = to + step < log.len ? to + step : log.len;
            if (!part.more) break;
        }
        for (uint32_t i = 0; i < batch->count; i++) spans += span_get_text(&batch->spans[i], COL_PROMPT).len > 0;
        assert_int_equal(spans, 3);
        assert_int_equal(batch->rejected, 0);
        batch_unref(batch);
    }
    buf_free(&log), buf_free(&line);
}

static void a_trace_over_many_lines_is_found_in_dockers_objects(void **state) {
    struct buf log = {0};
    put_docker(&log, "stdout", SLICE("starts {"), "");
    char text[8192];
    snprintf(text, sizeof text, "\xf0\x9f\x94\x8d TRACE: %s", pretty);
    for (char *at = text, *end; at; at = end ? end + 1 : NULL) {
        end = strchr(at, '\n');
        put_docker(&log, "stdout", slice_make(at, end ? (size_t)(end - at) : strlen(at)), "");
    }
    put_docker(&log, "stdout", SLICE("done"), "");
    struct log_decode options = {0};
    struct batch *batch = decode_log(buf_slice(&log), &options);
    assert_int_equal(batch->count, 1);
    check_pretty(&batch->spans[0]);
    assert_int_equal(options.ignored, 2);
    batch_unref(batch);
    buf_free(&log);
}

/* A line as Kubernetes' runtimes write it, in parts of so many bytes. */
static void put_cri(struct buf *log, const char *stream, struct slice line, size_t part_bytes, const char *between) {
    do {
        struct slice part = line.len > part_bytes ? slice_make(line.ptr, part_bytes) : line;
        line = slice_from(line, part.len);
        buf_printf(log, "2026-11-23T18:59:51.722000001Z %s %s ", stream, line.len ? "P" : "F");
        buf_put_slice(log, part);
        buf_putc(log, '\n');
        if (line.len) buf_puts(log, between);
    } while (line.len);
}

static void lines_that_kubernetes_took_apart_are_put_together(void **state) {
    static const char other[] = "2026-11-23T18:59:51.9+01:00 stderr F a warning {\n";
    struct buf log = {0}, line = {0};
    put_cri(&log, "stdout", SLICE("ready"), 100, "");
    put_cri(&log, "stdout", long_line(&line, "a000000000000001", 50000), 16384, other);
    put_cri(&log, "stdout", long_line(&line, "a000000000000002", 10), 16384, other);
    put_cri(&log, "stderr", long_line(&line, "a000000000000003", 40000), 16384, "");
    put_cri(&log, "stdout", SLICE("plain text in two parts"), 12, "");
    struct log_decode options = {0};
    struct batch *batch = decode_log(buf_slice(&log), &options);
    assert_int_equal(batch->count, 3);
    assert_int_equal(batch->rejected, 0);
    assert_int_equal(span_get_text(&batch->spans[0], COL_PROMPT).len, 50000);
    assert_int_equal(span_get_text(&batch->spans[2], COL_PROMPT).len, 40000);
    assert_int_equal(options.ignored, 6); /* ready, a warning three times, a text in two parts */
    batch_unref(batch);
    /* Parts of any size; read in pieces of any size, as a file that grows is. */
    for (size_t part = 100; part < 20000; part = part * 3 + 1) {
        buf_clear(&log);
        put_cri(&log, "stdout", SLICE("ready"), part, "");
        put_cri(&log, "stdout", long_line(&line, "a000000000000001", 20000), part, other);
        put_cri(&log, "stderr", long_line(&line, "a000000000000003", 10), part, "");
        batch = decode_log(buf_slice(&log), &options);
        assert_int_equal(batch->count, 2);
        assert_int_equal(batch->rejected, 0);
        assert_int_equal(options.used, log.len);
        assert_int_equal(span_get_text(&batch->spans[0], COL_PROMPT).len, 20000);
        batch_unref(batch);
        for (size_t step = 5000; step < log.len; step += 3919) {
            uint32_t spans = 0;
            batch = batch_new();
            for (size_t from = 0, to = step;;) {
                struct log_decode piece = {.more = to < log.len};
                assert_int_equal(log_decode(batch, slice_make(log.ptr + from, to - from), &piece, NULL), 0);
                from += piece.used;
                to = to + step < log.len ? to + step : log.len;
                if (!piece.more) break;
            }
            for (uint32_t i = 0; i < batch->count; i++) spans += span_get_text(&batch->spans[i], COL_PROMPT).len > 0;
            assert_int_equal(spans, 2);
            assert_int_equal(batch->rejected, 0);
            batch_unref(batch);
        }
    }
    buf_free(&log), buf_free(&line);
}

/* Each line of it by itself, and long ones among them in parts. */
static void a_trace_over_many_lines_is_found_in_kubernetes_logs(void **state) {
    char text[8192];
    snprintf(text, sizeof text, "\xf0\x9f\x94\x8d TRACE: %s", pretty);
    for (size_t part = 5; part < 100; part += 19) {
        struct buf log = {0};
        put_cri(&log, "stdout", SLICE("starts {"), 100, "");
        for (char *at = text, *end; at; at = end ? end + 1 : NULL) {
            end = strchr(at, '\n');
            put_cri(&log, "stdout", slice_make(at, end ? (size_t)(end - at) : strlen(at)), part,
                    "2026-11-23T18:59:51Z stderr F a warning {\n");
        }
        put_cri(&log, "stdout", SLICE("done"), 100, "");
        struct log_decode options = {0};
        struct batch *batch = decode_log(buf_slice(&log), &options);
        assert_int_equal(batch->count, 1);
        assert_int_equal(batch->rejected, 0);
        check_pretty(&batch->spans[0]);
        batch_unref(batch);
        buf_free(&log);
    }
}

/* The end of a line that never comes costs that line alone. */
static void a_part_without_its_end_is_refused_once(void **state) {
    struct buf log = {0}, line = {0};
    struct slice whole = long_line(&line, "a000000000000001", 200);
    buf_printf(&log, "2026-11-23T18:59:51Z stdout P %.*s\n", 150, whole.ptr);
    struct log_decode options = {.first_line = 1, .more = true};
    struct batch *batch = batch_new();
    assert_int_equal(log_decode(batch, buf_slice(&log), &options, NULL), 0);
    assert_int_equal(options.used, 0); /* it may still come */
    options = (struct log_decode){.first_line = 1};
    assert_int_equal(log_decode(batch, buf_slice(&log), &options, NULL), 0);
    assert_int_equal(batch->count, 0);
    assert_int_equal(batch->rejected, 1);
    assert_contains(rejection(batch, 0), "cut off");
    assert_int_equal(options.used, log.len);
    batch_unref(batch);
    buf_free(&log), buf_free(&line);
}

/* A shipper takes the line breaks off; its lines are whole all the same. A last piece that never comes costs its own
 * line alone. */
static void lines_without_a_break_are_not_joined(void **state) {
    struct buf log = {0}, line = {0};
    buf_puts(&log, "{\"log\":\"one\",\"stream\":\"stdout\"}\n{\"log\":\"");
    json_escape(&log, long_line(&line, "a000000000000001", 10));
    buf_puts(&log, "\",\"stream\":\"stdout\"}\n{\"log\":\"");
    struct slice piece = long_line(&line, "a000000000000002", 20000);
    piece.len = 16384;
    json_escape(&log, piece);
    buf_puts(&log, "\",\"stream\":\"stdout\"}\n");
    put_docker(&log, "stderr", long_line(&line, "a000000000000003", 10), "");
    struct log_decode options = {.more = true};
    struct batch *batch = batch_new();
    assert_int_equal(log_decode(batch, buf_slice(&log), &options, NULL), 0);
    assert_int_equal(batch->count, 1); /* the rest of the second may still come */
    assert_true(options.used < log.len);
    struct log_decode rest = {0};
    assert_int_equal(log_decode(batch, slice_from(buf_slice(&log), options.used), &rest, NULL), 0);
    assert_int_equal(batch->count, 2);
    assert_int_equal(batch->rejected, 1);
    batch_unref(batch);
    buf_free(&log), buf_free(&line);
}

static void broken_objects_cost_only_themselves(void **state) {
    struct buf log = {0};
    buf_printf(&log, "\xf0\x9f\x94\x8d TRACE: %.200s\xf0\x9f\x94\x8d TRACE: %s\n", pretty,
               pretty); /* cut off within a line, the next begins there */
    buf_puts(&log, "{\"trace\":{\"traceId\":\"x\",\"spanId\":}}\n");
    buf_puts(&log, LINE("a0000000000000000000000000000001", "a000000000000001", "", "one") "\n");
    buf_puts(&log, "{\"trace\":{\"traceId\":\"t\",\"spa");
    struct log_decode options = {0};
    struct batch *batch = decode_log(buf_slice(&log), &options);
    assert_int_equal(batch->count, 2);
    assert_int_equal(batch->rejected, 3);
    assert_contains(rejection(batch, 0), "1: the object is no JSON");
    assert_contains(rejection(batch, 1), "29: the object is no JSON: byte 33: expected a value, found '}'");
    assert_contains(rejection(batch, 2), "31: the object is cut off at the end");
    batch_unref(batch);
    buf_free(&log);
}

static void rejections_name_line_and_field(void **state) {
    static const struct {
        const char *line, *reason;
    } cases[] = {
        {"{\"timestamp\":\"yesterday\",\"trace\":{\"traceId\":\"a\",\"spanId\":\"b\",\"operation\":\"op\"}}",
         "2: span \"op\": timestamp: expected ISO 8601 or Unix time, found \"yesterday\""},
        {"{\"trace\":{\"traceId\":\"a\",\"spanId\":\"b\"}}", "timestamp is missing"},
        {"{\"timestamp\":0,\"trace\":{\"traceId\":\"a\",\"spanId\":\"b\"}}",
         "timestamp: expected ISO 8601 or Unix time, found \"0\""},
        {"{\"timestamp\":1795460391722,\"trace\":{\"traceId\":\"a\",\"operation\":\"x\"}}", "trace.spanId is missing"},
        {"{\"timestamp\":1795460391722,\"trace\":{\"traceId\":\"a\",\"spanId\":\"0000000000000000\"}}",
         "trace.spanId is missing"},
        {"{\"timestamp\":1795460391722,\"trace\":{\"traceId\":\"a\",\"spanId\":\"b\",\"duration\":\"long\"}}",
         "trace.duration: expected milliseconds as \"12ms\" or 12, found \"long\""},
        {"{\"timestamp\":\"2199-01-01T00:00:00Z\",\"trace\":{\"traceId\":\"a\",\"spanId\":\"b\",\"operation\":\"x\"}}",
         "span b (\"x\"): start time 2199-01-01T00:00:00.000Z lies more than a day in the future"},
        {"{\"trace_id\":\"zz\",\"span_id\":\"a000000000000001\",\"start\":\"2026-01-01\"}",
         "exported span: byte 16: trace_id: expected 32 hex digits"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf log = {0};
        struct log_decode options = {0};
        buf_printf(&log, "text\n%s\n" LINE("a0000000000000000000000000000001", "a000000000000001", "", "one"),
                   cases[i].line);
        struct batch *batch = decode_log(buf_slice(&log), &options);
        assert_int_equal(batch->count, 1);
        assert_int_equal(batch->rejected, 1);
        assert_int_equal(batch->rejections[0].position, 2);
        assert_contains(rejection(batch, 0), cases[i].reason);
        batch_unref(batch);
        buf_free(&log);
    }
}

static void times_and_durations_come_in_many_forms(void **state) {
    static const struct {
        const char *time, *duration;
        int64_t start_ns, duration_ns;
    } cases[] = {
        {"1795460391722", "7", 1795460391722000000, 7000000},
        {"1795460391", "\"7ms\"", 1795460391000000000, 7000000},
        {"1795460391.722", "\"1.5s\"", 1795460391722000000, 1500000000},
        {"\"1795460391722\"", "\"250us\"", 1795460391722000000, 250000},
        {"1795460391722123", "\"2m\"", 1795460391722123000, 120000000000},
        {"1795460391722123456", "0", 1795460391722123456, 0},
        {"\"2026-11-23T19:59:51.722+01:00\"", "\"4.25 ms\"", 1795460391722000000, 4250000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf log = {0};
        struct log_decode options = {0};
        buf_printf(&log, "{\"timestamp\":%s,\"trace\":{\"traceId\":\"a\",\"spanId\":\"b\",\"duration\":%s}}",
                   cases[i].time, cases[i].duration);
        struct batch *batch = decode_log(buf_slice(&log), &options);
        assert_int_equal(batch->count, 1);
        int64_t off = batch->spans[0].start_ns - cases[i].start_ns;
        if (off < -256 || off > 256) fail_msg("%s is %lld", cases[i].time, (long long)batch->spans[0].start_ns);
        assert_int_equal(batch->spans[0].duration_ns, cases[i].duration_ns);
        batch_unref(batch);
        buf_free(&log);
    }
}

static void zero_and_nothing_stand_for_not_given(void **state) {
    struct log_decode options = {0};
    struct batch *batch =
        decode_log(SLICE("{\"timestamp\":1795460391722,\"level\":\"ERROR\",\"trace\":{\"traceId\":\"a\",\"spanId\":"
                         "\"b\",\"operation\":\"openai.chat.completions.create\",\"error\":\"429\"},"
                         "\"attributes\":{\"llm.request.model\":\"gpt-4o\",\"llm.usage.prompt_tokens\":0,\"llm.usage."
                         "completion_tokens\":0,\"llm.usage.total_tokens\":0,\"user.id\":\"\",\"thread.id\":null}}"),
                   &options);
    const struct span *span = &batch->spans[0];
    assert_int_equal(batch->count, 1);
    assert_int_equal(span->tokens_input, SPAN_NO_INT);
    assert_int_equal(span->tokens_output, SPAN_NO_INT);
    assert_int_equal(span->status, STATUS_ERROR);
    assert_string_equal(text_of(span, COL_ERROR), "429");
    assert_string_equal(text_of(span, COL_USER_ID), "");
    assert_null(strstr(json_of_span(span), "tokens\":{"));
    batch_unref(batch);
}

static void cycles_duplicates_and_lost_parents_are_taken_as_they_are(void **state) {
    struct log_decode options = {0};
    struct batch *batch = decode_log(
        SLICE(LINE("t1", "s1", "s2", "a") "\n" LINE("t2", "s2", "s3", "b") "\n" LINE("t3", "s3", "s1", "c") "\n" LINE(
            "t4", "s4", "s4", "self") "\n" LINE("t5", "s5", "gone",
                                                "orphan") "\n" LINE("t6", "s6", "gone",
                                                                    "its sibling") "\n" LINE("t1", "s1", "s2",
                                                                                             "a") "\n"),
        &options);
    assert_int_equal(batch->count, 7);
    assert_memory_equal(batch->spans[0].trace_id, batch->spans[1].trace_id, TRACE_ID_SIZE);
    assert_memory_equal(batch->spans[0].trace_id, batch->spans[2].trace_id, TRACE_ID_SIZE);
    assert_memory_equal(batch->spans[0].trace_id, batch->spans[6].trace_id, TRACE_ID_SIZE);
    assert_memory_equal(batch->spans[4].trace_id, batch->spans[5].trace_id, TRACE_ID_SIZE);
    assert_memory_not_equal(batch->spans[0].trace_id, batch->spans[3].trace_id, TRACE_ID_SIZE);
    batch_unref(batch);
}

static void ids_in_other_forms_are_kept_as_given(void **state) {
    struct log_decode options = {0};
    struct batch *batch = decode_log(SLICE(LINE("0af7651916cd43dd", "b7ad6b7169203331", "", "short") "\n" LINE(
                                         "0af76519-16cd-43dd-8448-eb211c80319c", "b7ad6b7169203331", "", "uuid")),
                                     &options);
    assert_int_equal(batch->count, 2);
    assert_contains(json_of_span(&batch->spans[0]),
                    "\"trace_id\":\"00000000000000000af7651916cd43dd\",\"span_id\":\"b7ad6b7169203331\"");
    assert_contains(text_of(&batch->spans[0], COL_ATTRIBUTES), "\"source.trace_id\":\"0af7651916cd43dd\"");
    assert_contains(json_of_span(&batch->spans[1]), "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\"");
    assert_contains(text_of(&batch->spans[1], COL_ATTRIBUTES),
                    "\"source.trace_id\":\"0af76519-16cd-43dd-8448-eb211c80319c\"");
    assert_int_equal(batch->spans[1].flags & SPAN_JOIN_BY_PARENT, 0);
    batch_unref(batch);
}

static void project_comes_from_the_key(void **state) {
    struct log_decode options = {.project = SLICE("blue")};
    struct batch *batch = decode_log(
        SLICE(LINE("t1", "s1", "", "a") "\n{\"trace_id\":\"a0000000000000000000000000000001\",\"span_id\":"
                                        "\"a000000000000001\",\"start\":\"2026-01-01T00:00:00Z\",\"project\":\"red\"}"),
        &options);
    assert_int_equal(batch->count, 2);
    assert_string_equal(text_of(&batch->spans[0], COL_PROJECT), "blue");
    assert_string_equal(text_of(&batch->spans[1], COL_PROJECT), "blue");
    batch_unref(batch);
}

static void export_comes_back_without_loss(void **state) {
    struct span span;
    span_init(&span);
    id_from_text(SLICE("t"), span.trace_id, TRACE_ID_SIZE);
    id_from_text(SLICE("s"), span.span_id, SPAN_ID_SIZE);
    id_from_text(SLICE("p"), span.parent_span_id, SPAN_ID_SIZE);
    span.start_ns = INT64_C(1795460391722123457);
    span.duration_ns = INT64_C(86400123456789);
    span.ttft_ns = INT64_C(123456789);
    span.tokens_input = 0, span.tokens_output = 7, span.tokens_cached = 0, span.tokens_cache_write = 3,
    span.tokens_reasoning = INT64_C(9007199254740991);
    span.cost_usd = 0.1 + 0.2, span.temperature = 0, span.sample_rate = 1.0 / 3;
    span.kind = KIND_RETRIEVAL, span.status = STATUS_ERROR;
    span.flags = SPAN_COST_REPORTED | SPAN_USAGE_ESTIMATED;
    for (int c = COL_TEXT_FIRST; c < COL_COUNT; c++)
        *span_text(&span, (enum col)c) = SLICE("a \"quoted\" \n text \xf0\x9f\xa7\xa5");
    *span_text(&span, COL_PROMPT) = SLICE("[{\"role\":\"user\",\"content\":\"hi\"}]");
    *span_text(&span, COL_ATTRIBUTES) = SLICE("{\"a\":[1,null,{\"b\":\"\\u00e9\"}],\"source.trace_id\":\"t\"}");
    *span_text(&span, COL_EVENTS) = SLICE("[{\"name\":\"e\",\"timestamp\":1}]");
    *span_text(&span, COL_RESOURCE) = SLICE("{\"service.name\":\"shop\"}");
    struct slice line = exactly(slice_of(json_of_span(&span)));
    struct log_decode options = {0};
    struct batch *batch = batch_new();
    batch->now_ns = span.start_ns + span.duration_ns;
    assert_int_equal(log_decode(batch, line, &options, NULL), 0);
    if (batch->rejected) fail_msg("%s", rejection(batch, 0));
    assert_int_equal(batch->count, 1);
    const struct span *back = &batch->spans[0];
    assert_memory_equal(&span, back, offsetof(struct span, text));
    for (int c = COL_TEXT_FIRST; c < COL_COUNT; c++)
        assert_true(slice_eq(span_get_text(&span, (enum col)c), span_get_text(back, (enum col)c)));
    batch_unref(batch);
    forget(line);
}

static void lines_of_an_otlp_file_are_requests(void **state) {
    struct log_decode options = {0};
    struct batch *batch = decode_log(
        SLICE("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"a0000000000000000000000000000001\","
              "\"spanId\":\"a000000000000001\",\"name\":\"x\",\"startTimeUnixNano\":\"1795460391722000000\"}]}]}]}\n"
              "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"a0000000000000000000000000000001\","
              "\"spanId\":\"a000000000000002\",\"name\":\"y\",\"startTimeUnixNano\":0}]}]}]}\n"),
        &options);
    assert_int_equal(batch->count, 1);
    assert_int_equal(batch->rejected, 1);
    assert_contains(rejection(batch, 0), "2: span a000000000000002 (\"y\"): start time is 0");
    batch_unref(batch);
}

static void full_batch_says_where_to_go_on(void **state) {
    struct buf log = {0};
    for (int i = 0; i < BATCH_SPANS_MAX + 10; i++)
        buf_printf(&log, "{\"timestamp\":1795460391722,\"trace\":{\"traceId\":\"t\",\"spanId\":\"s%d\"}}\n", i);
    struct batch *batch = batch_new();
    struct log_decode options = {0};
    struct error err = {0};
    assert_int_equal(log_decode(batch, buf_slice(&log), &options, &err), VT_ELIMIT);
    assert_int_equal(batch->count, BATCH_SPANS_MAX);
    assert_int_equal(options.lines, BATCH_SPANS_MAX);
    batch_unref(batch);
    struct log_decode rest = {.first_line = 1 + options.lines};
    batch = decode_log(slice_from(buf_slice(&log), options.used), &rest);
    assert_int_equal(batch->count, 10);
    batch_unref(batch);
    buf_free(&log);
}

static void bad_bytes_and_deep_nesting_do_no_harm(void **state) {
    struct buf log = {0};
    buf_puts(&log, "{\"timestamp\":1795460391722,\"trace\":{\"traceId\":\"t\xff\",\"spanId\":\"s\",\"operation\":"
                   "\"a\xc3\x28\xed\xa0\x80\"},\"attributes\":{\"x\":{\"y\":\"\xff\"}}}\n");
    buf_puts(&log, "\xff\xfe\x00{\"trace\":\n");
    buf_puts(&log,
             "{\"trace\":{\"traceId\":\"t\",\"spanId\":\"deep\"},\"timestamp\":1795460391722,\"attributes\":{\"x\":");
    for (int i = 0; i < 100000; i++) buf_putc(&log, '[');
    struct log_decode options = {0};
    struct batch *batch = decode_log(buf_slice(&log), &options);
    assert_int_equal(batch->count, 1);
    assert_string_equal(text_of(&batch->spans[0], COL_OPERATION), "a\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    assert_contains(text_of(&batch->spans[0], COL_ATTRIBUTES), "\"x\":{\"y\":\"\xef\xbf\xbd\"}");
    assert_contains(rejection(batch, batch->rejection_count - 1), "nested deeper than 128");
    batch_unref(batch);
    buf_free(&log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sample_of_the_storefront_becomes_whole_turns),
        cmocka_unit_test(sample_cut_anywhere_gives_the_same_spans),
        cmocka_unit_test(log_that_ends_early_keeps_what_was_whole),
        cmocka_unit_test(takes_lines_arrays_and_what_stands_between),
        cmocka_unit_test(console_lines_between_are_counted_and_passed_over),
        cmocka_unit_test(prefixes_and_colours_are_taken_off),
        cmocka_unit_test(colours_within_the_object_are_taken_off),
        cmocka_unit_test(first_line_alone_may_carry_a_prefix),
        cmocka_unit_test(log_shippers_objects_are_unwrapped),
        cmocka_unit_test(lines_that_docker_took_apart_are_put_together),
        cmocka_unit_test(a_trace_over_many_lines_is_found_in_dockers_objects),
        cmocka_unit_test(lines_that_kubernetes_took_apart_are_put_together),
        cmocka_unit_test(a_trace_over_many_lines_is_found_in_kubernetes_logs),
        cmocka_unit_test(a_part_without_its_end_is_refused_once),
        cmocka_unit_test(lines_without_a_break_are_not_joined),
        cmocka_unit_test(broken_objects_cost_only_themselves),
        cmocka_unit_test(rejections_name_line_and_field),
        cmocka_unit_test(times_and_durations_come_in_many_forms),
        cmocka_unit_test(zero_and_nothing_stand_for_not_given),
        cmocka_unit_test(cycles_duplicates_and_lost_parents_are_taken_as_they_are),
        cmocka_unit_test(ids_in_other_forms_are_kept_as_given),
        cmocka_unit_test(project_comes_from_the_key),
        cmocka_unit_test(export_comes_back_without_loss),
        cmocka_unit_test(lines_of_an_otlp_file_are_requests),
        cmocka_unit_test(full_batch_says_where_to_go_on),
        cmocka_unit_test(bad_bytes_and_deep_nesting_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
