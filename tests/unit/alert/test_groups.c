/* The evaluator over a real store, whose models come, vanish and return, with thresholds for counts, rates, tokens and
 * durations: every state of every group, and all that is told, is that of a slow reference which looks at all spans
 * at each step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "alert/evaluator.h"
#include "base/timestamp.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SPANS = 4000, MODELS = 4, HOURS = 3, SERIES = 80, STEPS = 45 };
static const int64_t SECOND = 1000000000, START = INT64_C(1795478400000000000);

struct sent {
    int64_t start_ns, duration_ns, tokens;
    int model;
    bool failed;
};

static struct sent sent[SPANS];
static char dir[64], catalog[96], monitors_path[96];
static struct store *store;
static struct engine *engine;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t wall_ns, monotonic_ns;
static struct evaluator rounds;
static unsigned seed = 3;

static int64_t wall(void) {
    return wall_ns;
}
static int64_t monotonic(void) {
    return monotonic_ns;
}

static int any(int below) {
    return rand_r(&seed) % below;
}

/* Each model has ten minutes with traffic and ten without, by chance. */
static int start(void **state) {
    struct error err = {0};
    bool busy[MODELS][HOURS * 6];
    struct batch *batch = batch_new();
    snprintf(dir, sizeof dir, "/tmp/vt-groups-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(catalog, sizeof catalog, "%s/alerts.db", dir);
    snprintf(monitors_path, sizeof monitors_path, "%s/monitors.yaml", dir);
    struct store_options options = {.dir = dir, .seal_after_ms = 600000};
    if (store_open(&store, &options, &err) || engine_open(&engine, store, NULL, &err)) return -1;
    for (int m = 0; m < MODELS; m++)
        for (int k = 0; k < HOURS * 6; k++) busy[m][k] = any(2);
    busy[0][0] = true;
    for (int i = 0; i < SPANS; i++) {
        struct sent *s = &sent[i];
        do {
            s->model = any(MODELS);
            s->start_ns = START + any(HOURS * 3600) * SECOND + any(1000) * (int64_t)NS_PER_MS;
        } while (!busy[s->model][(s->start_ns - START) / (600 * SECOND)]);
        s->duration_ns = any(2000) * (int64_t)NS_PER_MS;
        s->tokens = any(1000);
        s->failed = any(4) == 0;
        struct span *span = batch_add(batch);
        uint64_t id[2] = {(uint64_t)i + 1, 7};
        memcpy(span->trace_id, id, sizeof id);
        memcpy(span->span_id, id, sizeof *id);
        span->start_ns = s->start_ns;
        span->duration_ns = s->duration_ns;
        span->kind = KIND_LLM;
        span->status = s->failed ? STATUS_ERROR : STATUS_OK;
        span->tokens_input = s->tokens;
        *span_text(span, COL_SERVICE) = SLICE("shop");
        *span_text(span, COL_MODEL) = arena_printf(&batch->arena, "m%d", s->model);
    }
    int code = store_append_wait(store, batch, &err);
    batch_unref(batch);
    return code;
}

static int stop(void **state) {
    char command[128];
    engine_free(engine);
    store_close(store);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

/* ---- monitors by chance ---- */

enum what { RATE, ERRORS, FEW, TOKENS, DURATION, WHATS };

static const struct {
    const char *query; /* window, threshold */
    double least, most;
} templates[WHATS] = {
    [RATE] = {"sum(last_%ds):sum:shop.llm.tokens{*} by {model}.as_rate() > %g", 10, 300},
    [ERRORS] = {"sum(last_%ds):count:shop.llm.errors{*} by {model}.as_count() >= %g", 1, 12},
    [FEW] = {"sum(last_%ds):count:shop.llm.requests{*} by {model}.as_count() < %g", 1, 30},
    [TOKENS] = {"sum(last_%ds):sum:shop.llm.tokens{*} by {model} > %g", 500, 30000},
    [DURATION] = {"avg(last_%ds):avg:shop.llm.duration{*} by {model} > %g", 800, 1200},
};

struct wish {
    enum what what;
    int window_s, no_data_min, renotify_min;
    double critical, warning;
    bool no_data;
};

static struct wish any_wish(void) {
    struct wish w = {.what = (enum what)any(WHATS), .window_s = 60 + any(14) * 60, .no_data = any(2)};
    double share = any(1000) / 1000.0;
    w.critical = templates[w.what].least + (templates[w.what].most - templates[w.what].least) * share;
    if (w.what == FEW || w.what == ERRORS) w.critical = floor(w.critical);
    w.warning = any(2) ? (double)NAN : w.what == FEW ? w.critical * 2 : w.critical / 2;
    w.no_data_min = any(2) ? 1 + any(4) : 0;
    w.renotify_min = any(2) ? 1 + any(5) : 0;
    return w;
}

static void write_monitor(int number, const struct wish *w) {
    char query[200];
    FILE *file = fopen(monitors_path, "w");
    assert_non_null(file);
    snprintf(query, sizeof query, templates[w->what].query, w->window_s, w->critical);
    fprintf(file, "monitors:\n  - name: m%d\n    query: '%s'\n    message: x\n    options:\n", number, query);
    if (!isnan(w->warning)) fprintf(file, "      thresholds: {warning: %g}\n", w->warning);
    if (w->no_data_min) fprintf(file, "      no_data_timeframe: %d\n", w->no_data_min);
    if (w->renotify_min) fprintf(file, "      renotify_interval: %d\n", w->renotify_min);
    fprintf(file, "      notify_no_data: %s\nnotify: [{name: hook, kind: command, command: 'true'}]\n",
            w->no_data ? "true" : "false");
    fclose(file);
}

/* ---- the reference ---- */

struct expected {
    bool known, notified;
    enum alert_state state;
    int64_t silent_ns, untold_ns;
};

/* All spans of the window, one after the other. */
static double look_back(const struct wish *w, int model, bool *came) {
    double count = 0, errors = 0, tokens = 0, ms = 0;
    int64_t from_ms = wall_ns / NS_PER_MS - w->window_s * 1000, to_ms = wall_ns / NS_PER_MS;
    for (int i = 0; i < SPANS; i++) {
        int64_t at_ms = sent[i].start_ns / NS_PER_MS;
        if (sent[i].model != model || at_ms < from_ms || at_ms >= to_ms) continue;
        count++;
        errors += sent[i].failed;
        tokens += (double)sent[i].tokens;
        ms += (double)sent[i].duration_ns / NS_PER_MS;
    }
    *came = w->what == ERRORS ? errors > 0 : count > 0;
    switch (w->what) {
    case RATE: return tokens / w->window_s;
    case ERRORS: return errors;
    case FEW: return count;
    case TOKENS: return tokens;
    default: return count > 0 ? ms / count : (double)NAN;
    }
}

static bool passes(const struct wish *w, double value, double threshold) {
    return w->what == FEW ? value < threshold : w->what == ERRORS ? value >= threshold : value > threshold;
}

/* True when somebody is to be told. */
static bool step_reference(const struct wish *w, struct expected *e, double value, int64_t elapsed_ns) {
    enum alert_state before = e->state;
    int64_t need = w->no_data_min ? w->no_data_min * 60 * SECOND : (w->window_s > 300 ? w->window_s * 2 : 600) * SECOND;
    if (isnan(value)) {
        e->silent_ns += elapsed_ns;
        if (e->silent_ns >= need) e->state = ALERT_NO_DATA;
    } else {
        e->silent_ns = 0;
        e->state = passes(w, value, w->critical)                        ? ALERT_ALERT
                   : !isnan(w->warning) && passes(w, value, w->warning) ? ALERT_WARN
                                                                        : ALERT_OK;
    }
    e->untold_ns += elapsed_ns;
    bool tell = false;
    if (e->state != before)
        tell = e->state == ALERT_OK ? e->notified : e->state != ALERT_NO_DATA || w->no_data;
    else if (e->state != ALERT_OK && e->notified && w->renotify_min)
        tell = e->untold_ns >= w->renotify_min * 60 * SECOND;
    if (tell) e->untold_ns = 0, e->notified = e->state != ALERT_OK;
    return tell;
}

/* ---- both ---- */

static void open_evaluator(void) {
    struct error err = {0};
    rounds = (struct evaluator){.asker = asker_of_engine(engine),
                                .file_path = monitors_path,
                                .interval_ns = 10 * SECOND,
                                .now_ns = wall,
                                .monotonic_ns = monotonic,
                                .lock = &lock};
    if (alert_db_open(&rounds.db, catalog, &err)) fail_msg("%s", err.message);
}

static void close_evaluator(void) {
    evaluator_free(&rounds);
    alert_db_close(rounds.db);
}

static int outbox_count(sqlite3 *db) {
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM alert_outbox", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int count = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM alert_outbox", NULL, NULL, NULL), SQLITE_OK);
    return count;
}

static void compare(int number, int step, const struct wish *w, const struct expected *all, const double *values) {
    char name[16], group[16];
    struct error err = {0};
    snprintf(name, sizeof name, "m%d", number);
    if (rounds.faults[0].code) fail_msg("%s", rounds.faults[0].message);
    if (rounds.file.monitors[0].problem.code) fail_msg("%s", rounds.file.monitors[0].problem.message);
    for (int m = 0; m < MODELS; m++) {
        struct alert_status status;
        if (!all[m].known) continue;
        snprintf(group, sizeof group, "model:m%d", m);
        assert_int_equal(alert_db_load(rounds.db, slice_of(name), slice_of(group), &status, &err), 0);
        if (status.state != all[m].state)
            fail_msg("series %d (%s) step %d %s value %g (read %g): %s, reference %s", number, templates[w->what].query,
                     step, group, values[m], status.value, alert_state_names[status.state],
                     alert_state_names[all[m].state]);
    }
}

static void groups_are_those_of_the_reference(void **state) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(catalog, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 60000);
    for (int number = 0; number < SERIES; number++) {
        struct wish w = any_wish();
        struct expected all[MODELS] = {0};
        struct error err = {0};
        write_monitor(number, &w);
        wall_ns = START + (w.window_s + any(HOURS * 3600 - w.window_s - STEPS * 60)) * SECOND + any(1000000000);
        monotonic_ns = 77 * SECOND;
        open_evaluator();
        struct watch watched = {.seen_ns = wall_ns - 10 * SECOND};
        assert_int_equal(alert_db_save_watch(rounds.db, &watched, &err), 0);
        int64_t elapsed_ns = 0;
        for (int step = 0; step < STEPS; step++) {
            double values[MODELS];
            int tells = 0;
            evaluator_round(&rounds);
            for (int m = 0; m < MODELS; m++) {
                bool came;
                values[m] = look_back(&w, m, &came);
                all[m].known |= came;
                if (all[m].known) tells += step_reference(&w, &all[m], values[m], elapsed_ns);
            }
            compare(number, step, &w, all, values);
            int told = outbox_count(db);
            if (told != tells) fail_msg("series %d step %d: %d told, reference %d", number, step, told, tells);
            bool restart = any(15) == 0;
            if (restart) close_evaluator(), open_evaluator();
            elapsed_ns = (1 + any(29)) * SECOND;
            wall_ns += elapsed_ns;
            monotonic_ns += elapsed_ns;
            if (restart) elapsed_ns = 0; /* the new process has not watched yet */
        }
        close_evaluator();
    }
    sqlite3_close(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_those_of_the_reference),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
