/* The query line of a monitor: one pass from left to right; the first mistake names its column and what was expected.
 */
#include "alert/monitor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const aggr_names[AGGR_TOTAL] = {"avg", "sum", "min", "max", "count", "last",
                                                   "p50", "p75", "p90", "p95", "p99"};
static const char *const compare_names[] = {">", ">=", "<", "<=", "==", "!="};

const char *aggr_name(enum aggr aggr) {
    return aggr_names[aggr];
}
const char *compare_name(enum compare compare) {
    return compare_names[compare];
}

bool compare_holds(enum compare compare, double value, double threshold) {
    switch (compare) {
    case CMP_GT: return value > threshold;
    case CMP_GE: return value >= threshold;
    case CMP_LT: return value < threshold;
    case CMP_LE: return value <= threshold;
    case CMP_EQ: return value >= threshold && value <= threshold;
    case CMP_NE: return value < threshold || value > threshold;
    }
    return false;
}

bool query_is_total(const struct monitor_query *q) {
    if (!q->metric->value || q->space_aggr == AGGR_COUNT || q->time_aggr == AGGR_COUNT) return true;
    return q->metric->additive && (q->space_aggr == AGGR_SUM || q->form != FORM_VALUE);
}

struct scanner {
    struct slice text;
    size_t at;
    struct error *err;
};

static int expected(struct scanner *s, const char *what) {
    struct slice rest = slice_from(s->text, s->at);
    int shown = rest.len > 24 ? 24 : (int)rest.len;
    int code = rest.len ? error_set(s->err, VT_EINVAL, "column %zu: expected %s, found \"%.*s\"", s->at + 1, what,
                                    shown, rest.ptr)
                        : error_set(s->err, VT_EINVAL, "column %zu: expected %s, found the end", s->at + 1, what);
    if (s->err) s->err->column = (int)s->at + 1;
    return code;
}

static void skip_space(struct scanner *s) {
    while (s->at < s->text.len &&
           (s->text.ptr[s->at] == ' ' || s->text.ptr[s->at] == '\t' || s->text.ptr[s->at] == '\n'))
        s->at++;
}

static bool take(struct scanner *s, const char *literal) {
    skip_space(s);
    if (!slice_starts(slice_from(s->text, s->at), slice_of(literal))) return false;
    s->at += strlen(literal);
    return true;
}

static bool word_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* A run of word characters and those in `more`. */
static struct slice take_word(struct scanner *s, const char *more) {
    skip_space(s);
    size_t from = s->at;
    while (s->at < s->text.len &&
           (word_char(s->text.ptr[s->at]) || (s->text.ptr[s->at] && strchr(more, s->text.ptr[s->at]))))
        s->at++;
    return slice_make(s->text.ptr + from, s->at - from);
}

static int take_aggr(struct scanner *s, unsigned allowed, const char *what, enum aggr *aggr) {
    skip_space(s);
    size_t from = s->at;
    struct slice word = take_word(s, "");
    for (unsigned i = 0; i < AGGR_TOTAL; i++)
        if (allowed >> i & 1 && slice_is(word, aggr_names[i])) {
            *aggr = (enum aggr)i;
            return 0;
        }
    s->at = from;
    return expected(s, what);
}

static int take_window(struct scanner *s, int64_t *window_ns) {
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    if (!take(s, "last_")) return expected(s, "last_ and a time such as last_5m");
    size_t from = s->at;
    int64_t number = 0;
    while (s->at < s->text.len && s->text.ptr[s->at] >= '0' && s->text.ptr[s->at] <= '9' && number < 1000000)
        number = number * 10 + (s->text.ptr[s->at++] - '0');
    char letter = s->at < s->text.len ? s->text.ptr[s->at] : 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (units[i].letter != letter || number <= 0) continue;
        int64_t seconds = number * units[i].seconds;
        if (seconds > 31 * 86400) break;
        s->at++;
        *window_ns = seconds * 1000000000;
        return 0;
    }
    s->at = from;
    return expected(s, "a number and one of s m h d w, at most 31 days (last_5m)");
}

static int take_metric(struct scanner *s, struct monitor_query *q) {
    skip_space(s);
    size_t from = s->at;
    struct slice name = take_word(s, ".-");
    /* A service may have dots of its own: the metric is the longest known end. */
    for (size_t i = 1; i + 1 < name.len; i++) {
        if (name.ptr[i] != '.') continue;
        const struct metric *metric = metric_named(slice_from(name, i + 1));
        if (!metric) continue;
        q->service = slice_make(name.ptr, i);
        q->metric = metric;
        return 0;
    }
    s->at = from;
    return expected(s, "a metric such as ai_storefront.llm.duration (.llm.duration ttft requests errors tokens cost, "
                       ".chat.turns duration errors fallbacks)");
}

static int take_scope(struct scanner *s, struct monitor_query *q) {
    if (!take(s, "{")) return expected(s, "{ and a scope such as {*} or {model:gpt-4o}");
    if (take(s, "*")) return take(s, "}") ? 0 : expected(s, "} after *");
    do {
        if (q->tag_count == MONITOR_TAGS_MAX) return expected(s, "at most 16 tags in a scope");
        struct scope_tag *tag = &q->tags[q->tag_count];
        tag->negated = take(s, "!");
        tag->tag = take_word(s, ".-/");
        if (!tag->tag.len || !take(s, ":")) return expected(s, "tag:value in the scope");
        tag->value = take_word(s, ".-/:*@+");
        if (!tag->value.len) return expected(s, "a value after the tag");
        q->tag_count++;
    } while (take(s, ","));
    return take(s, "}") ? 0 : expected(s, ", or } in the scope");
}

static int take_groups(struct scanner *s, struct monitor_query *q) {
    skip_space(s);
    size_t from = s->at;
    if (!slice_is(take_word(s, ""), "by")) {
        s->at = from;
        return 0;
    }
    if (!take(s, "{")) return expected(s, "{ and tags after by");
    do {
        if (q->group_count == MONITOR_GROUPS_MAX) return expected(s, "at most 8 tags to group by");
        struct slice tag = take_word(s, ".-/");
        if (!tag.len) return expected(s, "a tag to group by");
        q->groups[q->group_count++] = tag;
    } while (take(s, ","));
    return take(s, "}") ? 0 : expected(s, ", or } after the tags");
}

static int take_comparison(struct scanner *s, struct monitor_query *q) {
    static const enum compare longest_first[] = {CMP_GE, CMP_LE, CMP_EQ, CMP_NE, CMP_GT, CMP_LT};
    size_t i = 0, count = sizeof longest_first / sizeof *longest_first;
    while (i < count && !take(s, compare_names[longest_first[i]])) i++;
    if (i == count) return expected(s, "one of > >= < <= == !=");
    q->compare = longest_first[i];
    skip_space(s);
    char number[64], *end;
    struct slice rest = slice_from(s->text, s->at);
    size_t len = rest.len < sizeof number - 1 ? rest.len : sizeof number - 1;
    if (len) memcpy(number, rest.ptr, len);
    number[len] = 0;
    q->threshold = strtod(number, &end);
    if (end == number || !isfinite(q->threshold)) return expected(s, "a number to compare with");
    s->at += (size_t)(end - number);
    skip_space(s);
    return s->at == s->text.len ? 0 : expected(s, "nothing after the number");
}

int monitor_query_parse(struct slice text, struct arena *arena, struct monitor_query *query, struct error *err) {
    const unsigned percentiles = 1u << AGGR_P50 | 1u << AGGR_P75 | 1u << AGGR_P90 | 1u << AGGR_P95 | 1u << AGGR_P99;
    const unsigned plain = 1u << AGGR_AVG | 1u << AGGR_SUM | 1u << AGGR_MIN | 1u << AGGR_MAX | 1u << AGGR_COUNT;
    int code;
    memset(query, 0, sizeof *query);
    query->text = arena_copy(arena, text);
    if (!query->text.ptr) return error_set(err, VT_ENOMEM, "no memory for the query");
    struct scanner s = {query->text, 0, err};
    if ((code = take_aggr(&s, plain | 1u << AGGR_LAST, "one of avg sum min max count last", &query->time_aggr)))
        return code;
    if (!take(&s, "(")) return expected(&s, "( and a window such as (last_5m)");
    if ((code = take_window(&s, &query->window_ns))) return code;
    if (!take(&s, ")") || !take(&s, ":")) return expected(&s, "): after the window");
    if ((code = take_aggr(&s, plain | percentiles, "one of avg sum min max count p50 p75 p90 p95 p99",
                          &query->space_aggr)))
        return code;
    if (!take(&s, ":")) return expected(&s, ": and a metric");
    if ((code = take_metric(&s, query)) || (code = take_scope(&s, query))) return code;
    /* Datadog writes the form before or after the groups; both are met. */
    for (int twice = 0; twice < 2; twice++) {
        if (take(&s, ".as_count()"))
            query->form = FORM_COUNT;
        else if (take(&s, ".as_rate()"))
            query->form = FORM_RATE;
        if (!query->group_count && (code = take_groups(&s, query))) return code;
    }
    return take_comparison(&s, query);
}
