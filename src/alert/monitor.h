/* Monitors in Datadog's form: a query over a metric of a storefront, thresholds, a message.
 *
 *     avg(last_5m):avg:ai_storefront.llm.duration{model:gpt-4o,!env:dev} by {model} > 10000
 *
 * The grammar (Datadog's metric monitor syntax, the part that has a meaning here):
 *     query    = time_aggr "(" "last_" N unit ")" ":" space_aggr ":" metric "{" scope "}" [ "by" "{" tags "}" ] [
 * ".as_count()" | ".as_rate()" ] op number time_aggr  = avg sum min max count last      space_aggr = avg sum min max
 * count p50 p75 p90 p95 p99 unit       = s m h d w                       op         = > >= < <= == != scope      = "*"
 * or tag:value and !tag:value, separated by commas A parsed monitor is read-only and may be used by any thread; all its
 * texts live in the arena it was parsed into. */
#ifndef ALERT_MONITOR_H
#define ALERT_MONITOR_H

#include "alert/metric.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

enum aggr {
    AGGR_AVG,
    AGGR_SUM,
    AGGR_MIN,
    AGGR_MAX,
    AGGR_COUNT,
    AGGR_LAST,
    AGGR_P50,
    AGGR_P75,
    AGGR_P90,
    AGGR_P95,
    AGGR_P99,
    AGGR_TOTAL
};
enum compare { CMP_GT, CMP_GE, CMP_LT, CMP_LE, CMP_EQ, CMP_NE };
enum series_form { FORM_VALUE, FORM_COUNT, FORM_RATE };

enum { MONITOR_TAGS_MAX = 16, MONITOR_GROUPS_MAX = 8, MONITORS_MAX = 1000, MONITOR_FILE_MAX = 1 << 20 };

struct scope_tag {
    struct slice tag, value;
    bool negated;
};

struct monitor_query {
    struct slice text; /* as written */
    enum aggr time_aggr, space_aggr;
    int64_t window_ns;
    struct slice service;        /* of the metric's name, as written: "ai_storefront" */
    const struct metric *metric; /* what follows it: "llm.duration" */
    struct scope_tag tags[MONITOR_TAGS_MAX];
    uint32_t tag_count;
    struct slice groups[MONITOR_GROUPS_MAX]; /* by {…} */
    uint32_t group_count;
    enum series_form form;
    enum compare compare;
    double threshold; /* the number at the end: the critical threshold */
};

struct monitor {
    struct slice name, message, type;
    struct monitor_query query;
    struct slice tags[MONITOR_TAGS_MAX];
    uint32_t tag_count;
    double critical, warning;                   /* NaN: none */
    double critical_recovery, warning_recovery; /* NaN: none; the state is left only past these */
    bool notify_no_data;
    int64_t no_data_ns;   /* how long nothing may come; 0 = twice the window, at least 10 min */
    int64_t renotify_ns;  /* 0 = never */
    uint32_t line;        /* in its file */
    struct error problem; /* code ≠ 0: this monitor cannot run, and why */
};

/* Where alerts are sent. `kind`: webhook, slack, pagerduty, email, command. */
struct notify_target {
    struct slice name; /* "@name" in a message picks it; without any @ all targets get it */
    struct slice kind;
    struct slice url;    /* webhook, slack, pagerduty (may be empty there), email: smtp[s]://… */
    struct slice secret; /* webhook: HMAC key; pagerduty: routing key; email: password. Never logged or shown */
    struct slice to, from, user;
    struct slice command;
};

struct monitor_file {
    struct monitor *monitors;
    uint32_t count;
    struct notify_target *targets;
    uint32_t target_count;
    struct error unset; /* code 0, or the first ${NAME} of `notify` that the environment does not have */
};

/* err->column is the 1-based character of the query where the mistake is. */
int monitor_query_parse(struct slice text, struct arena *arena, struct monitor_query *query, struct error *err);
/* Reads a YAML (or JSON) text: a list of monitors, or a map with `monitors` (or `alerts`) and `notify`. ${NAME} in
 * values of `notify` is taken from the environment. A monitor with a mistake is kept with `problem` set, the others
 * run; an error only when the text as a whole cannot be read. `name` is for messages. */
int monitor_file_parse(struct slice text, const char *name, struct arena *arena, struct monitor_file *file,
                       struct error *err);
int monitor_file_load(const char *path, struct arena *arena, struct monitor_file *file, struct error *err);
/* The same for whoever will notify: a ${NAME} that is not set is an error, or a webhook would go out unsigned. */
int monitor_file_load_to_run(const char *path, struct arena *arena, struct monitor_file *file, struct error *err);

/* A total (a count, tokens, cost): nothing in a window is a known 0, and more spans never make it less. */
bool query_is_total(const struct monitor_query *query);
const char *aggr_name(enum aggr aggr);
const char *compare_name(enum compare compare);
bool compare_holds(enum compare compare, double value, double threshold);

#endif
