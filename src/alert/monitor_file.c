/* Monitors from a YAML file, by libyaml's document tree. */
#include "alert/monitor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

struct loader {
    yaml_document_t doc;
    struct arena *arena;
    const char *name;
};

static struct slice scalar(const yaml_node_t *node) {
    return node && node->type == YAML_SCALAR_NODE ? slice_make(node->data.scalar.value, node->data.scalar.length)
                                                  : (struct slice){NULL, 0};
}

static yaml_node_t *member(struct loader *l, yaml_node_t *map, const char *key) {
    if (!map || map->type != YAML_MAPPING_NODE) return NULL;
    for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++)
        if (slice_is(scalar(yaml_document_get_node(&l->doc, pair->key)), key))
            return yaml_document_get_node(&l->doc, pair->value);
    return NULL;
}

static struct slice text_of(struct loader *l, yaml_node_t *map, const char *key) {
    return arena_copy(l->arena, scalar(member(l, map, key)));
}

static uint32_t line_of(const yaml_node_t *node) {
    return (uint32_t)node->start_mark.line + 1;
}

/* A number at `key`, or NaN when it is not there; anything else there is the monitor's problem. */
static double number_of(struct loader *l, yaml_node_t *map, const char *key, struct error *problem) {
    yaml_node_t *node = member(l, map, key);
    struct slice text = scalar(node);
    if (!node || slice_is(text, "null") || slice_is(text, "~")) return (double)NAN;
    char *end, *copy = (char *)(uintptr_t)arena_copy(l->arena, text).ptr;
    double value = copy ? strtod(copy, &end) : 0;
    if (copy && text.len && !*end && isfinite(value)) return value;
    if (!problem->code)
        error_set(problem, VT_EINVAL, "%s:%u: %s is \"%.*s\", expected a number", l->name, line_of(node), key,
                  (int)text.len, text.ptr ? text.ptr : "");
    return (double)NAN;
}

static bool flag_of(struct loader *l, yaml_node_t *map, const char *key) {
    struct slice text = scalar(member(l, map, key));
    return slice_is(text, "true") || slice_is(text, "yes") || slice_is(text, "on") || slice_is(text, "True");
}

static int64_t minutes_of(struct loader *l, yaml_node_t *map, const char *key, struct error *problem) {
    double minutes = number_of(l, map, key, problem);
    return isnan(minutes) || minutes <= 0 || minutes > 1e6 ? 0 : (int64_t)(minutes * 60e9);
}

/* Thresholds must lie in the order in which a value passes them on its way up (or down). */
static void check_thresholds(struct loader *l, struct monitor *m) {
    bool rising = m->query.compare == CMP_GT || m->query.compare == CMP_GE;
    bool falling = m->query.compare == CMP_LT || m->query.compare == CMP_LE;
    double sign = rising ? 1 : -1;
    if (m->problem.code || (!rising && !falling)) return;
    if (sign * m->warning > sign * m->critical)
        error_set(&m->problem, VT_EINVAL, "%s:%u: monitor \"%.*s\": warning %g is never reached before critical %g",
                  l->name, m->line, (int)m->name.len, m->name.ptr, m->warning, m->critical);
    else if (sign * m->critical_recovery > sign * m->critical || sign * m->warning_recovery > sign * m->warning)
        error_set(&m->problem, VT_EINVAL, "%s:%u: monitor \"%.*s\": a recovery threshold must be %s its threshold",
                  l->name, m->line, (int)m->name.len, m->name.ptr, rising ? "below" : "above");
    if (m->problem.code) error_hint(&m->problem, "order the values of options.thresholds");
}

static void load_monitor(struct loader *l, yaml_node_t *node, struct monitor *m) {
    struct error err = {0};
    memset(m, 0, sizeof *m);
    m->line = line_of(node);
    m->critical = m->warning = m->critical_recovery = m->warning_recovery = (double)NAN;
    if (node->type != YAML_MAPPING_NODE) {
        m->name = arena_printf(l->arena, "line %u", m->line);
        error_set(&m->problem, VT_EINVAL, "%s:%u: expected a monitor with name, query and message", l->name, m->line);
        return;
    }
    m->name = text_of(l, node, "name");
    m->message = text_of(l, node, "message");
    m->type = text_of(l, node, "type");
    struct slice query = scalar(member(l, node, "query"));
    yaml_node_t *options = member(l, node, "options"), *thresholds = member(l, options, "thresholds"),
                *tags = member(l, node, "tags");
    if (!m->name.len) {
        m->name = arena_printf(l->arena, "line %u", m->line);
        error_set(&m->problem, VT_EINVAL, "%s:%u: a monitor needs a name", l->name, m->line);
    } else if (!query.len) {
        error_set(&m->problem, VT_EINVAL, "%s:%u: monitor \"%.*s\" needs a query", l->name, m->line, (int)m->name.len,
                  m->name.ptr);
    } else if (monitor_query_parse(query, l->arena, &m->query, &err)) {
        error_set(&m->problem, err.code, "%s:%u: monitor \"%.*s\": query %s", l->name, m->line, (int)m->name.len,
                  m->name.ptr, err.message);
        m->problem.column = err.column;
    }
    for (yaml_node_item_t *item = tags && tags->type == YAML_SEQUENCE_NODE ? tags->data.sequence.items.start : NULL;
         item && item < tags->data.sequence.items.top && m->tag_count < MONITOR_TAGS_MAX; item++)
        m->tags[m->tag_count++] = arena_copy(l->arena, scalar(yaml_document_get_node(&l->doc, *item)));
    double critical = number_of(l, thresholds, "critical", &m->problem);
    m->critical = isnan(critical) ? m->query.threshold : critical;
    m->warning = number_of(l, thresholds, "warning", &m->problem);
    m->critical_recovery = number_of(l, thresholds, "critical_recovery", &m->problem);
    m->warning_recovery = number_of(l, thresholds, "warning_recovery", &m->problem);
    m->notify_no_data = flag_of(l, options, "notify_no_data");
    m->no_data_ns = minutes_of(l, options, "no_data_timeframe", &m->problem);
    m->renotify_ns = minutes_of(l, options, "renotify_interval", &m->problem);
    check_thresholds(l, m);
}

/* ${NAME} becomes the environment's value, so that secrets need not stand in the file. */
static struct slice expand(struct loader *l, struct slice text, unsigned line, struct error *unset) {
    struct buf out = {.limit_bytes = 1 << 16};
    for (size_t i = 0; i < text.len; i++) {
        const char *close = i + 1 < text.len && text.ptr[i] == '$' && text.ptr[i + 1] == '{'
                                ? memchr(text.ptr + i, '}', text.len - i)
                                : NULL;
        char name[128];
        size_t len = close ? (size_t)(close - text.ptr) - i - 2 : 0;
        if (!close || len >= sizeof name) {
            buf_putc(&out, text.ptr[i]);
            continue;
        }
        memcpy(name, text.ptr + i + 2, len);
        name[len] = 0;
        const char *value = getenv(name);
        if (!value && !unset->code) {
            error_set(unset, VT_EINVAL, "%s:%u: ${%s} is not set in the environment", l->name, line, name);
            error_hint(unset, "set it, or write what it stands for");
        }
        buf_puts(&out, value ? value : "");
        i += len + 2;
    }
    struct slice copy = arena_copy(l->arena, buf_slice(&out));
    buf_free(&out);
    return copy;
}

static int load_targets(struct loader *l, yaml_node_t *list, struct monitor_file *file, struct error *err) {
    static const char *const kinds[] = {"webhook", "slack", "pagerduty", "email", "command"};
    if (!list) return 0;
    if (list->type != YAML_SEQUENCE_NODE)
        return error_set(err, VT_EINVAL, "%s:%u: notify is not a list of {name, kind, url}", l->name, line_of(list));
    size_t count = (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
    if (count > MONITORS_MAX)
        return error_set(err, VT_ELIMIT, "%s: more than %d notification targets", l->name, MONITORS_MAX);
    if (!(file->targets = arena_calloc(l->arena, count + 1, sizeof *file->targets)))
        return error_set(err, VT_ENOMEM, "no memory");
    for (yaml_node_item_t *item = list->data.sequence.items.start; item < list->data.sequence.items.top; item++) {
        yaml_node_t *node = yaml_document_get_node(&l->doc, *item);
        struct notify_target *t = &file->targets[file->target_count++];
        const struct {
            const char *key;
            struct slice *field;
        } fields[] = {{"name", &t->name}, {"kind", &t->kind}, {"url", &t->url},   {"secret", &t->secret},
                      {"to", &t->to},     {"from", &t->from}, {"user", &t->user}, {"command", &t->command}};
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
            *fields[i].field = expand(l, scalar(member(l, node, fields[i].key)), line_of(node), &file->unset);
        bool known = false;
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) known |= slice_is(t->kind, kinds[i]);
        const char *missing = !t->name.len                     ? "name"
                              : !known                         ? "kind (webhook, slack, pagerduty, email or command)"
                              : slice_is(t->kind, "command")   ? (t->command.len ? NULL : "command")
                              : slice_is(t->kind, "pagerduty") ? (t->secret.len ? NULL : "secret (the routing key)")
                              : !t->url.len                    ? "url"
                              : slice_is(t->kind, "email") && (!t->to.len || !t->from.len) ? "to and from"
                                                                                           : NULL;
        if (missing) return error_set(err, VT_EINVAL, "%s:%u: notify target needs %s", l->name, line_of(node), missing);
    }
    return 0;
}

static int load_document(struct loader *l, struct monitor_file *file, struct error *err) {
    yaml_node_t *root = yaml_document_get_root_node(&l->doc), *list = root;
    int code;
    if (root && root->type == YAML_MAPPING_NODE) {
        if ((code = load_targets(l, member(l, root, "notify"), file, err))) return code;
        list = member(l, root, "monitors");
        if (!list) list = member(l, root, "alerts");
    }
    if (!list || list->type != YAML_SEQUENCE_NODE) {
        code = error_set(err, VT_EINVAL, "%s: expected a list of monitors", l->name);
        error_hint(err,
                   "write \"- name: …\", \"  query: …\", \"  message: …\" for each, or put the list under monitors:");
        return code;
    }
    size_t count = (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
    if (count > MONITORS_MAX)
        return error_set(err, VT_ELIMIT, "%s: %zu monitors, at most %d are taken", l->name, count, MONITORS_MAX);
    if (!(file->monitors = arena_calloc(l->arena, count + 1, sizeof *file->monitors)))
        return error_set(err, VT_ENOMEM, "no memory");
    for (size_t i = 0; i < count; i++)
        load_monitor(l, yaml_document_get_node(&l->doc, list->data.sequence.items.start[i]), &file->monitors[i]);
    file->count = (uint32_t)count;
    /* State is kept by name: two of one name would overwrite each other's. */
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            if (!file->monitors[i].problem.code && slice_eq(file->monitors[i].name, file->monitors[k].name))
                error_set(&file->monitors[i].problem, VT_EINVAL, "%s:%u: monitor \"%.*s\" has the name of line %u",
                          l->name, file->monitors[i].line, (int)file->monitors[i].name.len, file->monitors[i].name.ptr,
                          file->monitors[k].line);
    return 0;
}

int monitor_file_parse(struct slice text, const char *name, struct arena *arena, struct monitor_file *file,
                       struct error *err) {
    struct loader loader = {.arena = arena, .name = name};
    yaml_parser_t parser;
    int code;
    memset(file, 0, sizeof *file);
    if (text.len > MONITOR_FILE_MAX)
        return error_set(err, VT_ELIMIT, "%s has %zu bytes, at most %d are read", name, text.len, MONITOR_FILE_MAX);
    if (!yaml_parser_initialize(&parser)) return error_set(err, VT_ENOMEM, "no memory for the YAML parser");
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.ptr ? text.ptr : ""), text.len);
    if (!yaml_parser_load(&parser, &loader.doc)) {
        code = error_set(err, VT_EINVAL, "%s:%zu:%zu: %s", name, parser.problem_mark.line + 1,
                         parser.problem_mark.column + 1, parser.problem ? parser.problem : "not YAML");
    } else {
        code = load_document(&loader, file, err);
        yaml_document_delete(&loader.doc);
    }
    yaml_parser_delete(&parser);
    return code;
}

int monitor_file_load(const char *path, struct arena *arena, struct monitor_file *file, struct error *err) {
    FILE *f = fopen(path, "rb");
    if (!f) return error_set(err, VT_ENOTFOUND, "%s: cannot be read: %m", path);
    char *text = malloc(MONITOR_FILE_MAX + 1);
    size_t len = text ? fread(text, 1, MONITOR_FILE_MAX + 1, f) : 0;
    int code = !text       ? error_set(err, VT_ENOMEM, "no memory for %s", path)
               : ferror(f) ? error_set(err, VT_EIO, "%s: cannot be read", path)
                           : monitor_file_parse(slice_make(text, len), path, arena, file, err);
    free(text);
    fclose(f);
    return code;
}

int monitor_file_load_to_run(const char *path, struct arena *arena, struct monitor_file *file, struct error *err) {
    int code = monitor_file_load(path, arena, file, err);
    if (!code && file->unset.code) *err = file->unset, code = file->unset.code;
    return code;
}
