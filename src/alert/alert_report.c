/* `vitrine alerts check` and `vitrine alerts test`: monitors explained, and replayed over what the store holds. */
#include "alert/alerts.h"

#include "alert/measure.h"
#include "alert/state.h"
#include "base/json.h"
#include "base/timestamp.h"

#include <math.h>

enum { REPLAY_GROUPS_MAX = 1000, REPLAY_STEPS_MAX = 100000 };

static void put_text_member(struct json_writer *w, const char *key, struct slice value) {
    json_put_key(w, key);
    json_put_string(w, value);
}

/* "5m", "1h", "1d": as it is written in the query. */
static void put_window(struct buf *out, int64_t window_ns) {
    static const struct {
        char letter;
        int seconds;
    } units[] = {{'w', 604800}, {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    int64_t seconds = window_ns / NS_PER_S;
    size_t i = 0;
    while (units[i].letter != 's' && seconds % units[i].seconds) i++;
    buf_printf(out, "%lld%c", (long long)(seconds / units[i].seconds), units[i].letter);
}

/* "25535.4 ms", "1 error", "6 errors", "12.5 USD" */
static void put_amount(struct buf *out, double value, const char *unit) {
    bool ms = strcmp(unit, "millisecond") == 0, usd = strcmp(unit, "dollar") == 0;
    buf_printf(out, "%g %s%s", value, ms ? "ms" : usd ? "USD" : unit, ms || usd || value == 1 ? "" : "s");
}

static void explain(const struct monitor *m, struct buf *out) {
    const struct monitor_query *q = &m->query;
    static const char *const forms[] = {"", " as a count", " per second"};
    buf_printf(out, "%s over the last ", aggr_name(q->time_aggr));
    put_window(out, q->window_ns);
    buf_printf(out, " of the %s of %s%s, of spans ", aggr_name(q->space_aggr), q->metric->name, forms[q->form]);
    monitor_where(q, out);
    for (uint32_t i = 0; i < q->group_count; i++)
        buf_puts(out, i ? ", " : ", for each "), buf_put_slice(out, q->groups[i]);
    buf_printf(out, "; ALERT when %s ", compare_name(q->compare));
    put_amount(out, m->critical, q->metric->unit);
    if (!isnan(m->warning)) buf_printf(out, ", WARN when %s %g", compare_name(q->compare), m->warning);
    if (!isnan(m->critical_recovery)) buf_printf(out, ", recovered past %g", m->critical_recovery);
    if (m->notify_no_data) buf_puts(out, ", NO DATA is told");
}

static enum alert_state state_now(const struct monitor *m, double value) {
    struct alert_status status;
    alert_status_init(&status);
    alert_advance(m, &status, value, 0, 0);
    return status.state;
}

static void put_reading_text(const struct monitor *m, const struct reading *r, struct buf *out) {
    buf_printf(out, "  now  %.*s%s", (int)r->group.len, r->group.len ? r->group.ptr : "", r->group.len ? ": " : "");
    if (isnan(r->value))
        buf_puts(out, "nothing in the window\n");
    else
        put_amount(out, r->value, m->query.metric->unit),
            buf_printf(out, " → %s\n", alert_state_names[state_now(m, r->value)]);
}

static void put_reading_json(const struct monitor *m, const struct reading *r, struct json_writer *w) {
    json_open(w, '{');
    if (r->group.len) put_text_member(w, "group", r->group);
    if (!isnan(r->value)) {
        json_put_key(w, "value");
        json_put_double(w, r->value);
        put_text_member(w, "state", slice_of(alert_state_names[state_now(m, r->value)]));
    }
    json_close(w, '}');
}

static int check_monitor(const struct asker *asker, const struct monitor *m, int64_t now_ns, bool json,
                         struct arena *arena, struct buf *out, struct json_writer *w, struct error *err) {
    struct reading *readings;
    struct buf text = {0};
    uint32_t count = 0;
    int code = asker ? monitor_measure(asker, m, NULL, now_ns, arena, &readings, &count, err) : 0;
    explain(m, &text);
    if (json) {
        put_text_member(w, "explanation", buf_slice(&text));
        if (asker) {
            json_put_key(w, "now");
            json_open(w, '[');
            for (uint32_t i = 0; !code && i < count; i++) put_reading_json(m, &readings[i], w);
            json_close(w, ']');
        }
    } else {
        buf_puts(out, "  ");
        buf_put_slice(out, buf_slice(&text));
        buf_putc(out, '\n');
        for (uint32_t i = 0; !code && i < count; i++) put_reading_text(m, &readings[i], out);
    }
    buf_free(&text);
    return code;
}

int alerts_check(const struct asker *asker, const struct monitor_file *file, int64_t now_ns, bool json, struct buf *out,
                 struct error *err) {
    struct json_writer w = json_writer_on(out);
    struct arena arena = {0};
    int bad = 0, code = 0;
    if (json) json_open(&w, '[');
    for (uint32_t i = 0; i < file->count && !code; i++) {
        const struct monitor *m = &file->monitors[i];
        if (json)
            json_open(&w, '{'), put_text_member(&w, "name", m->name);
        else
            buf_printf(out, "%s %.*s\n", m->problem.code ? "✗" : "✓", (int)m->name.len, m->name.ptr);
        bad += m->problem.code != 0;
        if (m->problem.code && json)
            put_text_member(&w, "error", slice_of(m->problem.message));
        else if (m->problem.code)
            buf_printf(out, "  %s\n", m->problem.message);
        else
            code = check_monitor(asker, m, now_ns, json, &arena, out, &w, err);
        if (json) json_close(&w, '}');
        arena_reset(&arena);
    }
    if (json) json_close(&w, ']');
    arena_free(&arena);
    return code ? code : bad;
}

struct replayed {
    struct slice group;
    struct alert_status status;
};

/* The status of a group, new ones added; NULL past the limit. */
static struct replayed *find_group(struct replayed *all, uint32_t *count, struct slice group, struct arena *arena) {
    for (uint32_t i = 0; i < *count; i++)
        if (slice_eq(all[i].group, group)) return &all[i];
    if (*count == REPLAY_GROUPS_MAX) return NULL;
    all[*count].group = arena_copy(arena, group);
    alert_status_init(&all[*count].status);
    return &all[(*count)++];
}

static void put_change(const struct monitor *m, const struct replayed *r, enum alert_state from, double value,
                       int64_t at_ns, bool json, struct buf *out, struct json_writer *w) {
    char time[TIME_TEXT_MAX];
    struct slice at = slice_make(time, time_format(at_ns, 3, time));
    if (!json) {
        buf_printf(out, "  %.*s  %s → %s  %.*s  ", (int)at.len, at.ptr, alert_state_names[from],
                   alert_state_names[r->status.state], (int)r->group.len, r->group.len ? r->group.ptr : "");
        if (!isnan(value)) put_amount(out, value, m->query.metric->unit);
        buf_putc(out, '\n');
        return;
    }
    json_open(w, '{');
    put_text_member(w, "at", at);
    if (r->group.len) put_text_member(w, "group", r->group);
    put_text_member(w, "from", slice_of(alert_state_names[from]));
    put_text_member(w, "to", slice_of(alert_state_names[r->status.state]));
    if (!isnan(value)) json_put_key(w, "value"), json_put_double(w, value);
    json_close(w, '}');
}

static int replay_monitor(const struct asker *asker, const struct monitor *m, int64_t from_ns, int64_t to_ns,
                          int64_t step_ns, bool json, struct buf *out, struct json_writer *w, struct error *err) {
    struct arena kept = {0}, arena = {0};
    struct monitor_memory *memory = monitor_memory_new(); /* without it, it only takes longer */
    struct replayed *all = arena_calloc(&kept, REPLAY_GROUPS_MAX, sizeof *all);
    uint32_t group_count = 0, changes = 0;
    int code = all ? 0 : error_set(err, VT_ENOMEM, "no memory for a replay");
    for (int64_t at = from_ns + step_ns; at <= to_ns && !code; at += step_ns) {
        struct reading *readings;
        uint32_t count;
        if ((code = monitor_measure(asker, m, memory, at, &arena, &readings, &count, err))) break;
        for (uint32_t i = 0; i < count; i++) find_group(all, &group_count, readings[i].group, &kept);
        for (uint32_t g = 0; g < group_count; g++) {
            double value = m->query.metric->additive && all[g].group.len ? 0 : (double)NAN;
            for (uint32_t i = 0; i < count; i++)
                if (slice_eq(readings[i].group, all[g].group)) value = readings[i].value;
            struct alert_step step = alert_advance(m, &all[g].status, value, at, step_ns);
            if (step.changed) put_change(m, &all[g], step.from, value, at, json, out, w), changes++;
        }
        arena_reset(&arena);
    }
    if (!json && !changes && !code) buf_puts(out, "  would not have changed\n");
    arena_free(&arena);
    arena_free(&kept);
    monitor_memory_free(memory);
    return code;
}

int alerts_replay(const struct asker *asker, const struct monitor_file *file, int64_t from_ns, int64_t to_ns,
                  int64_t step_ns, bool json, struct buf *out, struct error *err) {
    struct json_writer w = json_writer_on(out);
    int code = 0;
    if (step_ns <= 0 || to_ns <= from_ns || (to_ns - from_ns) / step_ns > REPLAY_STEPS_MAX)
        return error_set(err, VT_EINVAL, "a replay takes 1 to %d steps from an earlier to a later time",
                         REPLAY_STEPS_MAX);
    if (json) json_open(&w, '[');
    for (uint32_t i = 0; i < file->count && !code; i++) {
        const struct monitor *m = &file->monitors[i];
        if (m->problem.code) continue;
        if (json)
            json_open(&w, '{'), put_text_member(&w, "name", m->name), json_put_key(&w, "changes"), json_open(&w, '[');
        else
            buf_put_slice(out, m->name), buf_putc(out, '\n');
        code = replay_monitor(asker, m, from_ns, to_ns, step_ns, json, out, &w, err);
        if (json) json_close(&w, ']'), json_close(&w, '}');
    }
    if (json) json_close(&w, ']');
    return code;
}
