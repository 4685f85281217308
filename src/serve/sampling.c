/* Sampling rules: reading them, and what they say of a trace. */
#include "serve/sampling.h"

#include "base/log.h"
#include "base/timestamp.h"
#include "query/filter.h"
#include "query/scores.h"
#include "query/when.h"
#include "span/yaml_file.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { SECTIONS_MAX = 64, RULES_MAX = 64, SPEC_BYTES_MAX = 64 << 10, REMEMBERED = 1 << 16 };

/* Not the hash by which SDKs decide: their answer and ours are independent, so that weights multiply. */
static const XXH64_hash_t CHANCE_SEED = 0x76697472696e6531;

enum rule_type { RULE_FILTER, RULE_FALLBACK, RULE_SCORED };

struct rule {
    enum rule_type type;
    struct filter *filter; /* RULE_FILTER */
    struct slice text;
};

struct section {
    struct slice service; /* empty: of all that have no section of their own */
    struct rule rules[RULES_MAX];
    uint32_t rule_count;
    double rate; /* of the rest; NaN until it is read */
};

struct sampling {
    struct arena arena;
    struct section *sections[SECTIONS_MAX];
    uint32_t section_count;
    int64_t wait_ns; /* of traces under way */
    char *catalog_path;
    struct scores *scores; /* NULL until a rule asks */
    bool scores_failed;    /* and it was said */
    /* Traces that a rule kept, by hash, so that what comes late of them is kept, too: newer ones take the places of
     * older ones. */
    uint64_t remembered[REMEMBERED];
};

/* ---- a trace ---- */

static const struct section *section_of(const struct sampling *s, const struct span *span) {
    const struct section *general = NULL;
    struct slice service = span_get_text(span, COL_SERVICE);
    for (uint32_t i = 0; i < s->section_count; i++) {
        if (!s->sections[i]->service.len)
            general = s->sections[i];
        else if (slice_eq(s->sections[i]->service, service))
            return s->sections[i];
    }
    return general;
}

/* When scores cannot be read the trace is kept: rather too much than what somebody has judged. */
static bool has_score(struct sampling *s, const struct span *span) {
    struct arena arena = {0};
    struct error err = {0};
    struct score *list;
    struct score_query query = {.trace_id = span->trace_id, .limit = 1};
    uint32_t count = 0;
    int code = s->scores ? 0 : scores_open(&s->scores, s->catalog_path, true, &err);
    if (!code) code = scores_list(s->scores, &query, &arena, &list, &count, &err);
    if (code && !s->scores_failed) log_warn("sampling keeps what may be scored: %s", err.message);
    s->scores_failed = code != 0;
    arena_free(&arena);
    return code || count;
}

static bool section_keeps(const struct section *section, const struct span *span) {
    for (uint32_t i = 0; i < section->rule_count; i++) {
        const struct rule *rule = &section->rules[i];
        if (rule->type == RULE_FILTER && filter_matches(rule->filter, span)) return true;
        if (rule->type == RULE_FALLBACK && span->flags & SPAN_FALLBACK) return true;
    }
    return false;
}

static bool section_asks_scores(const struct section *section) {
    for (uint32_t i = 0; i < section->rule_count; i++)
        if (section->rules[i].type == RULE_SCORED) return true;
    return false;
}

static void add_int(int64_t *sum, int64_t value) {
    if (value != SPAN_NO_INT && __builtin_add_overflow(*sum == SPAN_NO_INT ? 0 : *sum, value, sum)) *sum = INT64_MAX;
}

/* The trace as if it were one span: its root, as long as the whole, with the sums of tokens and cost. */
static struct span whole_of(const struct span *const *trace, uint32_t count) {
    const struct span *root = trace[0];
    int64_t start_ns = trace[0]->start_ns, end_ns = start_ns;
    for (uint32_t i = count; i-- > 0;)
        if (id_is_zero(trace[i]->parent_span_id, SPAN_ID_SIZE)) root = trace[i];
    struct span whole = *root;
    whole.cost_usd = (double)NAN;
    whole.tokens_input = whole.tokens_output = SPAN_NO_INT;
    for (uint32_t i = 0; i < count; i++) {
        const struct span *span = trace[i];
        int64_t end = span->start_ns;
        if (__builtin_add_overflow(end, span->duration_ns, &end)) end = INT64_MAX;
        if (span->start_ns < start_ns) start_ns = span->start_ns;
        if (end > end_ns) end_ns = end;
        if (span->flags & SPAN_USAGE_RESTATED) continue;
        if (!isnan(span->cost_usd)) whole.cost_usd = span->cost_usd + (isnan(whole.cost_usd) ? 0 : whole.cost_usd);
        add_int(&whole.tokens_input, span->tokens_input);
        add_int(&whole.tokens_output, span->tokens_output);
    }
    whole.start_ns = start_ns;
    if (__builtin_sub_overflow(end_ns, start_ns, &whole.duration_ns)) whole.duration_ns = INT64_MAX;
    return whole;
}

/* *rate: the highest of the services in the trace, so that it stays whole. */
static bool rule_keeps(struct sampling *s, const struct span *const *trace, uint32_t count, double *rate) {
    bool asks_scores = false;
    *rate = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct section *section = section_of(s, trace[i]);
        if (!section || section_keeps(section, trace[i])) return true;
        if (section->rate > *rate) *rate = section->rate;
        asks_scores = asks_scores || section_asks_scores(section);
    }
    if (count > 1) {
        struct span whole = whole_of(trace, count);
        if (section_keeps(section_of(s, &whole), &whole)) return true;
    }
    /* Before chance, not after it: what is kept either way must count as one. */
    return asks_scores && has_score(s, trace[0]);
}

/* Spans end inside out, so a trace without its root has more to come; but not for ever. A clock that is ahead by more
 * than the wait tells nothing. */
static bool is_under_way(const struct sampling *s, const struct span *const *trace, uint32_t count) {
    int64_t end_ns = INT64_MIN, now_ns = s->wait_ns ? time_now_ns() : 0;
    if (!s->wait_ns) return false;
    for (uint32_t i = 0; i < count; i++) {
        int64_t end;
        if (id_is_zero(trace[i]->parent_span_id, SPAN_ID_SIZE)) return false;
        if (__builtin_add_overflow(trace[i]->start_ns, trace[i]->duration_ns, &end)) return false;
        if (end > end_ns) end_ns = end;
    }
    return end_ns > now_ns - s->wait_ns && end_ns < now_ns + s->wait_ns;
}

void sampling_set_wait(struct sampling *s, uint32_t wait_ms) {
    s->wait_ns = (int64_t)wait_ms * NS_PER_MS;
}

double sampling_keep(void *ctx, const struct span *const *trace, uint32_t count, bool last) {
    struct sampling *s = ctx;
    if (!last && is_under_way(s, trace, count)) return STORE_KEEP_WAIT;
    uint64_t hash = XXH3_64bits_withSeed(trace[0]->trace_id, TRACE_ID_SIZE, CHANCE_SEED);
    uint64_t mark = hash ? hash : 1, *place = &s->remembered[hash % REMEMBERED];
    double rate;
    if (*place == mark) return 1;
    if (rule_keeps(s, trace, count, &rate)) {
        *place = mark;
        return 1;
    }
    return (double)(hash >> 11) * 0x1p-53 < rate ? rate : 0;
}

void sampling_describe(const struct sampling *s, struct buf *out) {
    for (uint32_t i = 0; i < s->section_count; i++) {
        const struct section *section = s->sections[i];
        if (i) buf_puts(out, " | ");
        if (section->service.len)
            buf_printf(out, "%.*s: ", (int)section->service.len, section->service.ptr);
        else if (s->section_count > 1)
            buf_puts(out, "others: ");
        for (uint32_t r = 0; r < section->rule_count; r++)
            buf_printf(out, "keep %.*s; ", (int)section->rules[r].text.len, section->rules[r].text.ptr);
        buf_printf(out, "%g%% of the rest", section->rate * 100);
    }
}

/* ---- reading ---- */

static struct slice trim(struct slice text) {
    while (text.len && (*text.ptr == ' ' || *text.ptr == '\t')) text = slice_from(text, 1);
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) text.len--;
    return text;
}

static struct section *add_section(struct sampling *s, struct slice service, struct error *err) {
    for (uint32_t i = 0; i < s->section_count; i++) {
        if (!slice_eq(s->sections[i]->service, service)) continue;
        error_set(err, VT_EINVAL,
                  service.len ? "there are two sections for service %.*s"
                              : "there are two sections without a service%.*s",
                  service.len > 60 ? 60 : (int)service.len, service.len ? service.ptr : "");
        return NULL;
    }
    struct section *section = arena_calloc(&s->arena, 1, sizeof *section);
    if (!section || s->section_count == SECTIONS_MAX) {
        error_set(err, section ? VT_ELIMIT : VT_ENOMEM, section ? "more than %d sections" : "no memory for sampling",
                  SECTIONS_MAX);
        return NULL;
    }
    section->service = arena_copy(&s->arena, service);
    section->rate = (double)NAN;
    return s->sections[s->section_count++] = section;
}

static int add_rule(struct sampling *s, struct section *section, struct slice text, struct error *err) {
    struct rule rule = {.type = RULE_FILTER, .text = arena_copy(&s->arena, text)};
    int code = 0;
    if (section->rule_count == RULES_MAX)
        return error_set(err, VT_ELIMIT, "more than %d rules in a section", RULES_MAX);
    if (!text.len) return error_set(err, VT_EINVAL, "column 1: expected a filter, as status:error, found nothing");
    if (slice_is(text, "scored"))
        rule.type = RULE_SCORED;
    else if (slice_is(text, "fallback:true"))
        rule.type = RULE_FALLBACK;
    else
        code = filter_parse(text, &s->arena, &rule.filter, err);
    if (!code && rule.filter && filter_needs_traces(rule.filter)) {
        error_set(err, VT_EINVAL, "column 1: fallback stands alone in a rule: expected just fallback:true");
        return error_hint(err, "give the other terms a rule of their own");
    }
    if (!code) section->rules[section->rule_count++] = rule;
    return code;
}

static int read_rate(struct section *section, struct slice text, struct error *err) {
    bool percent = text.len && text.ptr[text.len - 1] == '%';
    double rate;
    struct slice number = percent ? trim(slice_make(text.ptr, text.len - 1)) : text;
    if (!number_parse(number, &rate) || !(rate >= 0) || rate > (percent ? 100 : 1))
        return error_set(err, VT_EINVAL, "rate: expected 0%% to 100%%, or 0 to 1, found \"%.*s\"",
                         text.len > 40 ? 40 : (int)text.len, text.len ? text.ptr : "");
    if (!isnan(section->rate)) return error_set(err, VT_EINVAL, "rate is given twice");
    section->rate = percent ? rate / 100 : rate;
    return 0;
}

/* Up to the next ';' that is not in quotes. */
static size_t clause_length(struct slice text) {
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\\' && quoted)
            i++;
        else if (text.ptr[i] == '"')
            quoted = !quoted;
        else if (text.ptr[i] == ';' && !quoted)
            return i;
    }
    return text.len;
}

/* "column 3: …" within one filter becomes a column of the whole text. */
static int moved(struct error *err, size_t by) {
    struct error own = *err;
    const char *rest = own.message;
    int column = own.column ? own.column : 1, skip = 0;
    if (sscanf(rest, "column %*d: %n", &skip) == 0) rest += skip;
    error_set(err, own.code, "column %zu: %s", by + (size_t)column, rest);
    memcpy(err->hint, own.hint, sizeof err->hint);
    err->column = (int)by + column;
    return own.code;
}

static int read_clauses(struct sampling *s, struct slice spec, struct error *err) {
    struct section *section = add_section(s, (struct slice){NULL, 0}, err);
    if (!section) return err->code;
    for (size_t at = 0, len; at < spec.len; at += len + 1) {
        struct slice rest = slice_from(spec, at), clause;
        len = clause_length(rest);
        clause = trim(slice_make(rest.ptr, len));
        if (!clause.len) continue;
        bool keep = slice_starts(clause, SLICE("keep=")), rate = slice_starts(clause, SLICE("rate="));
        struct slice value = keep || rate ? trim(slice_from(clause, 5)) : clause;
        int code = keep   ? add_rule(s, section, value, err)
                   : rate ? read_rate(section, value, err)
                          : error_set(err, VT_EINVAL, "expected keep=FILTER or rate=PERCENT, found \"%.*s\"",
                                      value.len > 40 ? 40 : (int)value.len, value.ptr);
        if (code) return moved(err, (size_t)((value.len ? value.ptr : clause.ptr + clause.len) - spec.ptr));
    }
    if (!isnan(section->rate)) return 0;
    error_set(err, VT_EINVAL, "rate is missing: expected how much of the rest is kept, as rate=10%%");
    return error_hint(err, "rules look like: keep=status:error; keep=duration:>5s; rate=10%%");
}

static int at_line(const struct yaml_file *file, const yaml_node_t *node, const char *what, struct error *err) {
    struct error own = *err;
    error_set(err, own.code, "%s:%d: %s%.300s", file->path, yaml_line(node), what, own.message);
    memcpy(err->hint, own.hint, sizeof err->hint);
    err->column = own.column;
    return own.code;
}

static int read_section(struct sampling *s, struct yaml_file *file, yaml_node_t *map, struct error *err) {
    static const char *const keys[] = {"service", "keep", "rate", NULL};
    int code = yaml_check_keys(file, map, keys, err);
    if (code) return code;
    yaml_node_t *service = yaml_member(file, map, "service"), *keep = yaml_member(file, map, "keep"),
                *rate = yaml_member(file, map, "rate"), *node;
    if (service && !yaml_text(service).len)
        return error_set(err, VT_EINVAL, "%s:%d: service: expected a name", file->path, yaml_line(service));
    if (keep && keep->type != YAML_SEQUENCE_NODE)
        return error_set(err, VT_EINVAL, "%s:%d: keep: expected a list of filters", file->path, yaml_line(keep));
    if (!rate)
        return error_set(err, VT_EINVAL, "%s:%d: rate is missing: expected how much of the rest is kept, as 10%%",
                         file->path, yaml_line(map));
    struct section *section = add_section(s, yaml_text(service), err);
    if (!section) return at_line(file, map, "", err);
    for (size_t i = 0; (node = yaml_item(file, keep, i)); i++)
        if (add_rule(s, section, trim(yaml_text(node)), err)) return at_line(file, node, "keep: ", err);
    return read_rate(section, yaml_text(rate), err) ? at_line(file, rate, "", err) : 0;
}

static int read_file(struct sampling *s, const char *path, struct error *err) {
    struct yaml_file file;
    yaml_node_t *node;
    int code = yaml_file_open(&file, path, err);
    yaml_node_t *root = code ? NULL : yaml_root(&file);
    if (!code && (!root || root->type != YAML_SEQUENCE_NODE || !yaml_item(&file, root, 0)))
        code = error_set(err, VT_EINVAL, "%s: expected a list of {service, keep, rate}", path);
    for (size_t i = 0; !code && (node = yaml_item(&file, root, i)); i++) code = read_section(s, &file, node, err);
    yaml_file_close(&file);
    return code;
}

int sampling_load(struct sampling **out, const char *spec, const char *catalog_path, struct error *err) {
    struct slice text = trim(slice_of(spec));
    struct error own = {0};
    *out = NULL;
    if (!text.len) return 0;
    if (text.len > SPEC_BYTES_MAX)
        return error_set(err, VT_ELIMIT, "sampling rules are longer than %d bytes", SPEC_BYTES_MAX);
    struct sampling *s = calloc(1, sizeof *s);
    if (!s || !(s->catalog_path = strdup(catalog_path))) {
        free(s);
        return error_set(err, VT_ENOMEM, "no memory for sampling");
    }
    bool file = slice_ends(text, SLICE(".yaml")) || slice_ends(text, SLICE(".yml"));
    int code = file ? read_file(s, spec, &own) : read_clauses(s, slice_of(spec), &own);
    if (!code) {
        *out = s;
        return 0;
    }
    sampling_free(s);
    struct error shown = own;
    error_set(&shown, code, "sampling: %.480s", own.message);
    memcpy(shown.hint, own.hint, sizeof shown.hint);
    shown.column = own.column;
    if (err) *err = shown;
    return code;
}

void sampling_free(struct sampling *s) {
    if (!s) return;
    scores_free(s->scores);
    arena_free(&s->arena);
    free(s->catalog_path);
    free(s);
}
