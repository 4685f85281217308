/* What a notification says: templates and the payloads of each kind of target. */
#include "alert/notify.h"

#include "base/base64.h"
#include "base/json.h"
#include "base/timestamp.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

static const char *headline(const struct notice *n) {
    if (n->kind == NOTICE_AGAIN)
        return n->to == ALERT_WARN ? "Still warned" : n->to == ALERT_NO_DATA ? "Still no data" : "Still alerting";
    static const char *const words[ALERT_STATES] = {"Recovered", "Warned", "Triggered", "No data"};
    return words[n->to];
}

static bool is_word_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
}

/* The value of a tag in "tag:value,tag:value". */
static bool group_tag(struct slice group, struct slice tag, struct slice *value) {
    while (group.len) {
        const char *comma = memchr(group.ptr, ',', group.len);
        struct slice pair = slice_make(group.ptr, comma ? (size_t)(comma - group.ptr) : group.len);
        if (pair.len > tag.len && slice_starts(pair, tag) && pair.ptr[tag.len] == ':') {
            *value = slice_from(pair, tag.len + 1);
            return true;
        }
        group = comma ? slice_from(group, pair.len + 1) : (struct slice){NULL, 0};
    }
    return false;
}

/* What monitors and spans say: to Slack, text that is no command of its own, such as <!channel>. */
static void put_said(const struct notice *n, struct slice text, struct buf *out) {
    for (size_t i = 0; i < text.len; i++) {
        const char *escaped = !n->for_slack        ? NULL
                              : text.ptr[i] == '&' ? "&amp;"
                              : text.ptr[i] == '<' ? "&lt;"
                              : text.ptr[i] == '>' ? "&gt;"
                                                   : NULL;
        if (escaped)
            buf_puts(out, escaped);
        else
            buf_putc(out, text.ptr[i]);
    }
}

static void put_number(struct buf *out, double value) {
    if (isnan(value))
        buf_puts(out, "no data");
    else
        buf_printf(out, "%.10g", value);
}

static bool put_variable(const struct notice *n, struct slice name, struct buf *out) {
    struct slice value;
    struct slice tag = slice_ends(name, SLICE(".name")) ? slice_make(name.ptr, name.len - 5) : name;
    if (slice_is(name, "value"))
        put_number(out, n->value);
    else if (slice_is(name, "threshold"))
        put_number(out, n->to == ALERT_WARN ? n->monitor->warning : n->monitor->critical);
    else if (slice_is(name, "warn_threshold"))
        put_number(out, n->monitor->warning);
    else if (slice_is(name, "name"))
        put_said(n, n->monitor->name, out);
    else if (slice_is(name, "state"))
        buf_puts(out, alert_state_names[n->to]);
    else if (slice_is(name, "group"))
        put_said(n, n->group, out);
    else if (slice_is(name, "link"))
        buf_put_slice(out, n->link);
    else if (group_tag(n->group, tag, &value))
        put_said(n, value, out);
    else
        return false;
    return true;
}

static bool condition(const struct notice *n, struct slice name) {
    return (slice_is(name, "is_alert") && n->to == ALERT_ALERT) ||
           (slice_is(name, "is_warning") && n->to == ALERT_WARN) ||
           (slice_is(name, "is_recovery") && n->to == ALERT_OK) ||
           (slice_is(name, "is_no_data") && n->to == ALERT_NO_DATA) ||
           (slice_is(name, "is_renotify") && n->kind == NOTICE_AGAIN);
}

static struct slice trim(struct slice s) {
    while (s.len && (*s.ptr == ' ' || *s.ptr == '\n')) s = slice_from(s, 1);
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\n')) s.len--;
    return s;
}

enum { NESTING_MAX = 16 };

void notice_render(const struct notice *n, struct slice text, struct buf *out) {
    bool shown[NESTING_MAX + 1] = {true};
    unsigned depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        struct slice rest = slice_from(text, i);
        const char *close = slice_starts(rest, SLICE("{{")) ? memmem(rest.ptr, rest.len, "}}", 2) : NULL;
        if (close) {
            struct slice name = trim(slice_make(rest.ptr + 2, (size_t)(close - rest.ptr) - 2));
            char sign = name.len ? *name.ptr : 0;
            if ((sign == '#' || sign == '^') && depth < NESTING_MAX) {
                shown[depth + 1] = shown[depth] && condition(n, trim(slice_from(name, 1))) == (sign == '#');
                depth++;
            } else if (sign == '/' && depth) {
                depth--;
            } else if (shown[depth] && !put_variable(n, name, out)) {
                buf_put(out, rest.ptr, (size_t)(close - rest.ptr) + 2);
            }
            i += (size_t)(close - rest.ptr) + 1;
        } else if (text.ptr[i] == '@' && (i == 0 || !is_word_char(text.ptr[i - 1])) && i + 1 < text.len &&
                   is_word_char(text.ptr[i + 1])) {
            while (i + 1 < text.len && is_word_char(text.ptr[i + 1])) i++;
        } else if (shown[depth]) {
            buf_putc(out, text.ptr[i]);
        }
    }
}

static bool mentions(struct slice message, struct slice name) {
    for (size_t i = 0; i + name.len < message.len; i++) {
        if (message.ptr[i] != '@' || !slice_starts(slice_from(message, i + 1), name)) continue;
        size_t after = i + 1 + name.len;
        if (after == message.len || !is_word_char(message.ptr[after]) || message.ptr[after] == '.') return true;
    }
    return false;
}

bool notice_is_for(const struct notice *n, const struct notify_target *target, const struct notify_target *all,
                   uint32_t count) {
    if (mentions(n->monitor->message, target->name)) return true;
    for (uint32_t i = 0; i < count; i++)
        if (mentions(n->monitor->message, all[i].name)) return false;
    return true;
}

static void put_title(const struct notice *n, struct buf *out) {
    buf_printf(out, "[%s] ", headline(n));
    put_said(n, n->monitor->name, out);
    if (n->group.len) buf_puts(out, " on "), put_said(n, n->group, out);
}

static void put_text(const struct notice *n, struct buf *out) {
    notice_render(n, n->monitor->message, out);
    buf_puts(out, "\n");
    put_said(n, n->monitor->query.text, out);
    buf_puts(out, "\nvalue ");
    put_number(out, n->value);
    if (n->link.len) buf_puts(out, "\n"), buf_put_slice(out, n->link);
}

static void put_number_member(struct json_writer *w, const char *key, double value) {
    if (isnan(value)) return;
    json_put_key(w, key);
    json_put_double(w, value);
}

static void put_member(struct json_writer *w, const char *key, struct slice value) {
    if (!value.len) return;
    json_put_key(w, key);
    json_put_string(w, value);
}

static void put_facts(const struct notice *n, struct json_writer *w, struct slice title, struct slice text) {
    char time[TIME_TEXT_MAX];
    put_member(w, "monitor", n->monitor->name);
    put_member(w, "title", title);
    put_member(w, "message", text);
    put_member(w, "state", slice_of(alert_state_names[n->to]));
    put_member(w, "previous_state", slice_of(alert_state_names[n->from]));
    put_member(w, "group", n->group);
    put_number_member(w, "value", n->value);
    put_number_member(w, "critical", n->monitor->critical);
    put_number_member(w, "warning", n->monitor->warning);
    put_member(w, "query", n->monitor->query.text);
    put_member(w, "at", slice_make(time, time_format(n->at_ns, 3, time)));
    put_member(w, "link", n->link);
}

/* One incident a monitor and group: PagerDuty folds what carries the same key. */
static void put_dedup_key(const struct notice *n, struct json_writer *w) {
    struct buf key = {0};
    buf_puts(&key, "vitrine/");
    buf_put_slice(&key, n->monitor->name);
    buf_puts(&key, "/");
    buf_put_slice(&key, n->group);
    if (key.len > 255) key.len = 255;
    put_member(w, "dedup_key", buf_slice(&key));
    buf_free(&key);
}

static void put_pagerduty(const struct notice *n, struct json_writer *w, struct slice title, struct slice text) {
    static const char *const severities[ALERT_STATES] = {"info", "warning", "critical", "error"};
    json_open(w, '{');
    /* The routing key is added when it is sent: payloads lie in the outbox, secrets do not. */
    put_member(w, "event_action", n->to == ALERT_OK ? SLICE("resolve") : SLICE("trigger"));
    put_dedup_key(n, w);
    json_put_key(w, "payload");
    json_open(w, '{');
    put_member(w, "summary", title.len > 1024 ? slice_make(title.ptr, 1024) : title);
    put_member(w, "source", SLICE("vitrine"));
    put_member(w, "severity", slice_of(severities[n->to]));
    json_put_key(w, "custom_details");
    json_open(w, '{');
    put_facts(n, w, title, text);
    json_close(w, '}');
    json_close(w, '}');
    json_close(w, '}');
}

static void put_slack(const struct notice *n, struct json_writer *w, struct slice title, struct slice text) {
    static const char *const colours[ALERT_STATES] = {"#2eb886", "#daa038", "#d0021b", "#8a8a8a"};
    json_open(w, '{');
    put_member(w, "text", title);
    json_put_key(w, "attachments");
    json_open(w, '[');
    json_open(w, '{');
    put_member(w, "color", slice_of(colours[n->to]));
    put_member(w, "text", text);
    put_member(w, "fallback", title);
    json_close(w, '}');
    json_close(w, ']');
    json_close(w, '}');
}

/* A header's value is one line, whatever the monitor is called. */
static void put_header(struct buf *out, const char *name, struct slice value) {
    buf_printf(out, "%s: ", name);
    for (size_t i = 0; i < value.len && i < 900; i++)
        buf_putc(out, (unsigned char)value.ptr[i] < ' ' ? ' ' : value.ptr[i]);
    buf_puts(out, "\r\n");
}

/* Text beyond ASCII as encoded words of whole characters (RFC 2047, at most 75 bytes each). */
static void put_subject(struct buf *out, struct slice text) {
    enum { WORD_BYTES = 45, SUBJECT_BYTES = 600 };
    size_t ascii = 0;
    char word[WORD_BYTES / 3 * 4 + 4];
    while (ascii < text.len && (unsigned char)text.ptr[ascii] < 128) ascii++;
    if (ascii == text.len) {
        put_header(out, "Subject", text);
        return;
    }
    buf_puts(out, "Subject:");
    for (size_t at = 0, len; at < text.len && at < SUBJECT_BYTES; at += len) {
        len = text.len - at < WORD_BYTES ? text.len - at : WORD_BYTES;
        while (at + len < text.len && len > 1 && ((unsigned char)text.ptr[at + len] & 0xc0) == 0x80) len--;
        size_t size = base64_encode((const uint8_t *)text.ptr + at, len, word);
        buf_printf(out, "%s =?utf-8?B?%.*s?=", at ? "\r\n" : "", (int)size, word);
    }
    buf_puts(out, "\r\n");
}

static void put_date(struct buf *out, int64_t at_ns) {
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(at_ns / NS_PER_S);
    struct tm tm;
    if (!gmtime_r(&seconds, &tm)) return;
    buf_printf(out, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d +0000\r\n", days + 3 * tm.tm_wday, tm.tm_mday,
               months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void put_mail(const struct notice *n, const struct notify_target *target, struct buf *out, struct slice title,
                     struct slice text) {
    put_header(out, "From", target->from);
    put_header(out, "To", target->to);
    put_subject(out, title);
    put_date(out, n->at_ns);
    buf_puts(out,
             "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n') buf_putc(out, '\r');
        buf_putc(out, text.ptr[i]);
    }
    buf_puts(out, "\r\n");
}

void notice_payload(const struct notice *notice, const struct notify_target *target, struct buf *out) {
    struct notice own = *notice, *n = &own;
    own.for_slack = slice_is(target->kind, "slack");
    struct buf title = {0}, text = {0};
    struct json_writer w = json_writer_on(out);
    put_title(n, &title);
    put_text(n, &text);
    if (own.for_slack) {
        put_slack(n, &w, buf_slice(&title), buf_slice(&text));
    } else if (slice_is(target->kind, "pagerduty")) {
        put_pagerduty(n, &w, buf_slice(&title), buf_slice(&text));
    } else if (slice_is(target->kind, "email")) {
        put_mail(n, target, out, buf_slice(&title), buf_slice(&text));
    } else {
        json_open(&w, '{');
        put_facts(n, &w, buf_slice(&title), buf_slice(&text));
        json_close(&w, '}');
    }
    buf_free(&title);
    buf_free(&text);
}
