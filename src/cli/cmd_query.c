/* `vitrine query`: aggregates, as bars and sparklines. */
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>

enum { BAR_WIDTH = 16, SPARK_LEAST = 10, SPARK_MOST = 60, SELECT_MOST = 30 };

struct query_args {
    struct shared_args shared;
    const char *select, *group_by, *interval, *order_by;
    bool ascending;
};

static const char default_select[] =
    "count,error_rate,p50(duration_ms),p95(duration_ms),sum(tokens.total),sum(cost_usd)";

/* ---- asking ---- */

/* "a,b(c,d)" as a JSON list: commas within parentheses or quotes part nothing. */
static void put_list(struct json_writer *w, const char *text) {
    int depth = 0;
    bool quoted = false;
    json_open(w, '[');
    for (const char *from = text, *p = text;; p++) {
        if (*p == '"') quoted = !quoted;
        if (*p == '(') depth++;
        if (*p == ')') depth--;
        if (*p && (*p != ',' || depth > 0 || quoted)) continue;
        struct slice item = slice_make(from, (size_t)(p - from));
        while (item.len && item.ptr[0] == ' ') item = slice_from(item, 1);
        while (item.len && item.ptr[item.len - 1] == ' ') item.len--;
        if (item.len) json_put_string(w, item);
        if (!*p) break;
        from = p + 1;
    }
    json_close(w, ']');
}

static void put_member(struct json_writer *w, const char *key, const char *value) {
    if (!value || !*value) return;
    json_put_key(w, key);
    json_put_cstr(w, value);
}

static void put_body(const struct query_args *args, struct slice filter, bool interval, struct buf *body) {
    struct json_writer w = json_writer_on(body);
    json_open(&w, '{');
    put_member(&w, "from", args->shared.from);
    put_member(&w, "to", args->shared.to);
    if (filter.len) {
        json_put_key(&w, "where");
        json_put_string(&w, filter);
    }
    json_put_key(&w, "select");
    put_list(&w, args->select);
    if (*args->group_by) {
        json_put_key(&w, "group_by");
        put_list(&w, args->group_by);
    }
    if (interval) put_member(&w, "interval", args->interval);
    put_member(&w, "order_by", args->order_by);
    if (args->ascending) put_member(&w, "order", "asc");
    json_put_key(&w, "limit");
    json_put_int(&w, args->shared.limit);
    json_close(&w, '}');
}

static int ask(struct cli *cli, struct slice filter, bool interval, struct slice *json, const struct doc **answer) {
    struct buf body = {0};
    put_body(cli->args, filter, interval, &body);
    int status = show_ask(
        cli, &(struct source_request){.method = "POST", .path = SLICE("/api/v1/query"), .body = buf_slice(&body)},
        filter.ptr, json, answer);
    buf_free(&body);
    return status;
}

/* ---- showing ---- */

/* How a column of `select` is shown, by its name. */
static enum shape shape_of(struct slice column) {
    static const struct {
        const char *part;
        enum shape shape;
    } shapes[] = {{"error_rate", SHAPE_BADSHARE}, {"errors", SHAPE_BAD}, {"cost", SHAPE_USD}, {"_ms", SHAPE_MS},
                  {"duration", SHAPE_MS},         {"ttft", SHAPE_MS}};
    if (slice_starts(column, SLICE("distinct"))) return SHAPE_COUNT;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (column.len && memmem(column.ptr, column.len, shapes[i].part, strlen(shapes[i].part)))
            return shapes[i].shape;
    return SHAPE_COUNT;
}

/* "P95 DURATION" of "p95(duration_ms)". */
static const char *title_of(struct cli *cli, struct slice column) {
    struct buf title = {0};
    struct slice copy;
    text_clean(&title, column, false);
    for (size_t i = 0; i < title.len; i++)
        title.ptr[i] = strchr("()_.", title.ptr[i]) && title.ptr[i] ? ' ' : (char)toupper((unsigned char)title.ptr[i]);
    while (title.len && title.ptr[title.len - 1] == ' ') title.len--;
    if (title.len > 4 && memcmp(title.ptr, "SUM ", 4) == 0) memmove(title.ptr, title.ptr + 4, title.len -= 4);
    if (title.len > 3 && memcmp(title.ptr + title.len - 3, " MS", 3) == 0) title.len -= 3;
    if (title.len > 4 && memcmp(title.ptr + title.len - 4, " USD", 4) == 0) title.len -= 4;
    copy = arena_copy(cli->arena, buf_slice(&title));
    buf_free(&title);
    return copy.ptr ? copy.ptr : "";
}

struct view {
    struct cli *cli;
    const struct doc *answer, *trend; /* trend: the same with an interval, or NULL */
    const struct doc *columns;
    struct slice keys[8]; /* of group_by, as the answer names them */
    size_t key_count;
    struct shape_context shape;
};

/* The answer leaves a key out where a group lacks it, so all series together tell which there are. */
static void find_keys(struct view *v) {
    for (const struct doc *series = doc_first(doc_get(v->answer, "series")); series; series = series->next)
        for (const struct doc *key = doc_first(doc_get(series, "group")); key; key = key->next) {
            size_t i = 0;
            while (i < v->key_count && !slice_eq(v->keys[i], key->key)) i++;
            if (i == v->key_count && i < 8) v->keys[v->key_count++] = key->key;
        }
}

static const struct doc *group_value(const struct doc *series, struct slice key) {
    for (const struct doc *each = doc_first(doc_get(series, "group")); each; each = each->next)
        if (slice_eq(each->key, key)) return each;
    return NULL;
}

static const struct doc *same_group(const struct doc *answer, const struct doc *series) {
    struct slice wanted = doc_get(series, "group") ? doc_get(series, "group")->text : (struct slice){NULL, 0};
    for (const struct doc *each = doc_first(doc_get(answer, "series")); each; each = each->next)
        if (doc_get(each, "group") && slice_eq(doc_get(each, "group")->text, wanted)) return each;
    return NULL;
}

/* The first selected value over the whole range; intervals without spans are gaps. */
static void put_trend(const struct view *v, const struct doc *series, struct buf *out) {
    double values[SPARK_MOST], sums[SPARK_MOST] = {0}, known[SPARK_MOST] = {0};
    double from = doc_number(v->trend, "from_ms"), to = doc_number(v->trend, "to_ms"),
           step = doc_number(v->trend, "interval_ms");
    if (isnan(from) || isnan(to) || !(step > 0) || to <= from) return;
    from = floor(from / step) * step;
    double steps = ceil((to - from) / step);
    size_t room = v->cli->out.width / 5, most = !room                ? SPARK_MOST
                                                : room < SPARK_LEAST ? SPARK_LEAST
                                                : room < SPARK_MOST  ? room
                                                                     : SPARK_MOST;
    size_t count = steps < (double)most ? (size_t)fmax(steps, 1) : most;
    for (const struct doc *point = doc_first(doc_get(same_group(v->trend, series), "points")); point;
         point = point->next) {
        double at = (doc_at(point, 0)->number - from) / step * (double)count / steps;
        const struct doc *value = doc_at(point, 1);
        if (!value || isnan(value->number) || !(at >= 0) || at >= (double)count) continue;
        sums[(size_t)at] += value->number;
        known[(size_t)at]++;
    }
    for (size_t i = 0; i < count; i++) values[i] = known[i] > 0 ? sums[i] / known[i] : (double)NAN;
    say_spark(out, values, count);
}

static double largest(const struct view *v, bool every_point) {
    double most = 0;
    for (const struct doc *series = doc_first(doc_get(v->answer, "series")); series; series = series->next)
        for (const struct doc *point = doc_first(doc_get(series, "points")); point;
             point = every_point ? point->next : NULL) {
            const struct doc *value = doc_at(point, 1);
            if (value && value->number > most) most = value->number;
        }
    return most;
}

static void put_cell(struct table *table, const struct view *v, const struct doc *value, enum shape shape) {
    struct buf text = {0};
    enum style style = STYLE_PLAIN;
    if (value && value->type == JSON_NUMBER)
        style = shape_put(&text, shape, value, "", &v->shape);
    else if (value && value->type != JSON_NULL)
        buf_put_slice(&text, value->text);
    table_put(table, style, buf_slice(&text));
    buf_free(&text);
}

static void put_graph(struct view *v, struct table *table, const struct doc *series, const struct doc *point,
                      double most) {
    struct buf text = {0};
    struct term *out = &v->cli->out;
    buf_puts(&text, term_on(out, STYLE_ACCENT));
    if (v->trend)
        put_trend(v, series, &text);
    else
        say_bar(&text, most > 0 && doc_at(point, 1) ? doc_at(point, 1)->number / most : 0, BAR_WIDTH);
    struct slice graph = slice_from(buf_slice(&text), strlen(term_on(out, STYLE_ACCENT)));
    size_t width = text_width(graph);
    buf_puts(&text, term_off(out, STYLE_ACCENT));
    table_put_raw(table, buf_slice(&text), width);
    buf_free(&text);
}

/* A row for each point, in groups; with an interval and no groups that is a row for each step of time. */
static int put_table(struct view *v, bool every_point, struct error *err) {
    struct table_column heads[TABLE_COLUMNS_MAX];
    enum shape shapes[SELECT_MOST];
    size_t count = 0, selected = 0;
    if (every_point) heads[count++] = (struct table_column){"TIME", false, 0, 0};
    for (size_t i = 0; i < v->key_count; i++)
        heads[count++] = (struct table_column){title_of(v->cli, v->keys[i]), false, 8, 0};
    for (const struct doc *column = doc_first(v->columns); column && selected < SELECT_MOST; column = column->next) {
        shapes[selected] = shape_of(column->text);
        heads[count++] =
            (struct table_column){title_of(v->cli, column->text), true, 0, selected ? (unsigned)selected : 0};
        if (!selected++) heads[count++] = (struct table_column){"", false, 0, v->trend ? 0 : SELECT_MOST};
    }
    struct table *table = table_new(v->cli->arena, heads, count);
    if (!table) return error_set(err, VT_EIO, "the answer has no columns, or too many");
    double most = largest(v, every_point);
    for (const struct doc *series = doc_first(doc_get(v->answer, "series")); series; series = series->next)
        for (const struct doc *point = doc_first(doc_get(series, "points")); point;
             point = every_point ? point->next : NULL) {
            if (every_point) {
                struct buf text = {0};
                say_time(&text, time_of(doc_at(point, 0)), &v->shape);
                table_put(table, STYLE_DIM, buf_slice(&text));
                buf_free(&text);
            }
            for (size_t i = 0; i < v->key_count; i++) {
                const struct doc *key = group_value(series, v->keys[i]);
                table_put(table, key ? STYLE_PLAIN : STYLE_DIM, key ? key->text : SLICE("-"));
            }
            for (size_t i = 0; i < selected; i++) {
                put_cell(table, v, doc_at(point, (uint32_t)i + 1), shapes[i]);
                if (i == 0) put_graph(v, table, series, point, most);
            }
        }
    return table_print(table, &v->cli->out, 0, err);
}

static void put_csv(struct view *v, bool every_point) {
    struct buf *out = &v->cli->out.buf;
    if (every_point) buf_puts(out, "time_ms,");
    for (size_t i = 0; i < v->key_count; i++) {
        csv_put(out, v->keys[i]);
        buf_puts(out, ",");
    }
    for (const struct doc *column = doc_first(v->columns); column; column = column->next) {
        csv_put(out, column->text);
        buf_puts(out, column->next ? "," : "\n");
    }
    for (const struct doc *series = doc_first(doc_get(v->answer, "series")); series; series = series->next)
        for (const struct doc *point = doc_first(doc_get(series, "points")); point; point = point->next) {
            if (every_point) {
                shape_put_csv(out, doc_at(point, 0));
                buf_puts(out, ",");
            }
            for (size_t i = 0; i < v->key_count; i++) {
                shape_put_csv(out, group_value(series, v->keys[i]));
                buf_puts(out, ",");
            }
            for (const struct doc *value = doc_at(point, 1); value; value = value->next) {
                shape_put_csv(out, value);
                buf_puts(out, value->next ? "," : "\n");
            }
        }
}

static int run(struct cli *cli) {
    const struct query_args *args = cli->args;
    struct slice filter = cli_words(cli, 0), json, trend_json;
    struct view v = {.cli = cli};
    struct error err = {0};
    bool raw = args->shared.json || args->shared.csv, grouped = *args->group_by != 0, timed = args->interval != NULL;
    /* Percentiles of steps do not add up to those of the whole: a table of groups over time asks for both. */
    bool both = timed && grouped && !raw;
    int status = ask(cli, filter, timed && !both, &json, &v.answer);
    if (!status && both) status = ask(cli, filter, true, &trend_json, &v.trend);
    if (status) return status;
    v.columns = doc_get(v.answer, "columns");
    show_context(cli, &v.shape);
    find_keys(&v);
    if (args->shared.json)
        show_json(cli, json);
    else if (args->shared.csv)
        put_csv(&v, timed);
    else if (!doc_first(doc_get(v.answer, "series")))
        show_none(cli, "spans", filter.ptr);
    else if (put_table(&v, timed && !both, &err))
        return cli_fail(cli, &err);
    if (doc_true(v.answer, "truncated") && !args->shared.json)
        term_printf(&cli->err, "Only the %u largest groups; --limit asks for more.\n", args->shared.limit);
    return EXIT_FINE;
}

static void defaults(void *target) {
    struct query_args *args = target;
    shared_defaults(args);
    args->select = default_select;
    args->group_by = "operation,model";
    args->shared.limit = 20;
}

#define AT(member) offsetof(struct query_args, member)
static const struct option options[] = {
    {.name = "select",
     .letter = 's',
     .kind = &option_text,
     .value = "LIST",
     .offset = AT(select),
     .fallback = default_select,
     .help = "count, rate, errors, error_rate, and sum, avg, min, max, p50 to p99, distinct of a field"},
    {.name = "group-by",
     .letter = 'g',
     .kind = &option_text,
     .value = "LIST",
     .offset = AT(group_by),
     .fallback = "operation,model",
     .help = "fields or attributes; \"\" for none"},
    {.name = "interval",
     .letter = 'i',
     .kind = &option_text,
     .value = "TIME",
     .offset = AT(interval),
     .help = "over time, in steps of 1s to 30d: a row each, or a sparkline a group"},
    {.name = "order-by",
     .kind = &option_text,
     .value = "COLUMN",
     .offset = AT(order_by),
     .fallback = "the first of --select",
     .help = "largest first"},
    {.name = "asc", .kind = &option_flag, .offset = AT(ascending), .help = "smallest first"},
    {.name = "limit",
     .letter = 'n',
     .kind = &option_unsigned,
     .offset = AT(shared.limit),
     .least = 1,
     .most = 10000,
     .fallback = "20",
     .help = "that many groups at most"},
    {0}};
static const struct option_group group = {"What is asked", options};

const struct command command_query = {
    .name = "query",
    .words = "[FILTER]",
    .summary = "count, sum and percentiles, by any field, over time",
    .examples = "vitrine query kind:llm -s \"p95(duration_ms),count\" -g model\n"
                "vitrine query kind:llm -g model -i 1h  # a sparkline for each model\n"
                "vitrine query -s \"sum(cost_usd)\" -g \"\" -i 1d --from -30d  # cost by day\n",
    .groups =
        (const struct option_group *const[]){&group, &group_range, &group_table, &group_source, &group_config, NULL},
    .args_size = sizeof(struct query_args),
    .words_max = 1000,
    .defaults = defaults,
    .run = run,
};
