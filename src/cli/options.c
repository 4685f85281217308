/* Reading options from words, the environment and the configuration file. */
#include "cli/options.h"

#include "base/timestamp.h"
#include "query/when.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ---- kinds ---- */

static int set_flag(void *target, const char *text, const struct option *option, struct arena *arena,
                    struct error *err) {
    static const char *const words[] = {"false", "no", "off", "0", "true", "yes", "on", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0) {
            *(bool *)target = i >= 4;
            return 0;
        }
    return error_set(err, VT_EINVAL, "expected true or false, found \"%s\"", text);
}

static int set_text(void *target, const char *text, const struct option *option, struct arena *arena,
                    struct error *err) {
    struct slice copy = arena_copy(arena, slice_of(text));
    if (!copy.ptr) return error_set(err, VT_ENOMEM, "no memory");
    *(const char **)target = copy.ptr;
    return 0;
}

static int add_text(void *target, const char *text, const struct option *option, struct arena *arena,
                    struct error *err) {
    struct texts *texts = target;
    const char **items = arena_calloc(arena, texts->count + 1, sizeof *items);
    struct slice copy = arena_copy(arena, slice_of(text));
    if (!items || !copy.ptr) return error_set(err, VT_ENOMEM, "no memory");
    if (texts->count) memcpy(items, texts->items, texts->count * sizeof *items);
    items[texts->count] = copy.ptr;
    *texts = (struct texts){items, texts->count + 1};
    return 0;
}

static int set_unsigned(void *target, const char *text, const struct option *option, struct arena *arena,
                        struct error *err) {
    unsigned most = option->most ? option->most : UINT32_MAX;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || errno || value < option->least || value > most)
        return option->most
                   ? error_set(err, VT_EINVAL, "expected a number from %u to %u, found \"%s\"", option->least, most,
                               text)
                   : error_set(err, VT_EINVAL, "expected a number of at least %u, found \"%s\"", option->least, text);
    *(unsigned *)target = (unsigned)value;
    return 0;
}

static int set_size(void *target, const char *text, const struct option *option, struct arena *arena,
                    struct error *err) {
    static const struct {
        const char *unit;
        double bytes;
    } units[] = {{"", 1},
                 {"b", 1},
                 {"k", 1 << 10},
                 {"m", 1 << 20},
                 {"g", 1 << 30},
                 {"kib", 1 << 10},
                 {"mib", 1 << 20},
                 {"gib", 1 << 30},
                 {"tib", 1099511627776.},
                 {"t", 1099511627776.},
                 {"kb", 1e3},
                 {"mb", 1e6},
                 {"gb", 1e9},
                 {"tb", 1e12}};
    size_t digits = strspn(text, "0123456789.");
    double value;
    if (digits && number_parse(slice_make(text, digits), &value))
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (strcasecmp(text + digits, units[i].unit) == 0 && value * units[i].bytes < 9e18) {
                *(uint64_t *)target = (uint64_t)(value * units[i].bytes);
                return 0;
            }
    return error_set(err, VT_EINVAL, "expected a size such as 16MiB, 50GB or a number of bytes, found \"%s\"", text);
}

static int set_millis(void *target, const char *text, const struct option *option, struct arena *arena,
                      struct error *err) {
    int64_t ns;
    if (!duration_parse(slice_of(text), NS_PER_S, &ns) || ns / NS_PER_MS > INT32_MAX)
        return error_set(err, VT_EINVAL, "expected a time such as 500ms, 30s or 5m, found \"%s\"", text);
    *(unsigned *)target = (unsigned)(ns / NS_PER_MS);
    return 0;
}

static int set_choice(void *target, const char *text, const struct option *option, struct arena *arena,
                      struct error *err) {
    char all[200] = "";
    for (int i = 0; option->choices[i]; i++) {
        if (strcasecmp(text, option->choices[i]) == 0) {
            *(int *)target = i;
            return 0;
        }
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i ? option->choices[i + 1] ? ", " : " or " : "",
                 option->choices[i]);
    }
    return error_set(err, VT_EINVAL, "expected %s, found \"%s\"", all, text);
}

const struct option_kind option_flag = {NULL, set_flag, false};
const struct option_kind option_text = {"TEXT", set_text, false};
const struct option_kind option_texts = {"TEXT", add_text, true};
const struct option_kind option_unsigned = {"N", set_unsigned, false};
const struct option_kind option_size = {"SIZE", set_size, false};
const struct option_kind option_millis = {"TIME", set_millis, false};
const struct option_kind option_choice = {"WORD", set_choice, false};

/* ---- names ---- */

const char *option_environment(const struct option *option, char *out, size_t size) {
    snprintf(out, size, "VITRINE_%s", option->name);
    for (char *p = out; *p; p++) *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    return out;
}

/* Letters to change, add, drop or swap to get from a to b (optimal string alignment). */
static unsigned distance(struct slice a, struct slice b) {
    enum { LONGEST = 32 };
    unsigned rows[3][LONGEST + 1];
    if (a.len > LONGEST || b.len > LONGEST) return LONGEST;
    for (unsigned j = 0; j <= b.len; j++) rows[0][j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned best =
                above[j - 1] + (tolower((unsigned char)a.ptr[i - 1]) != tolower((unsigned char)b.ptr[j - 1]));
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1];
            if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[a.len % 3][b.len];
}

void nearest_try(struct nearest *nearest, const char *candidate, struct slice text) {
    struct slice name = slice_of(candidate);
    unsigned far = distance(text, name), most = name.len < 5 ? 1 : name.len < 9 ? 2 : 3;
    bool begins = text.len >= 2 && slice_starts(name, text);
    if (begins && far > 1) far = 2;
    if ((far <= most || begins) && (!nearest->name || far < nearest->distance))
        *nearest = (struct nearest){candidate, far};
}

const struct option *option_named(const struct option_group *const *groups, struct slice name) {
    for (; *groups; groups++)
        for (const struct option *o = (*groups)->options; o->name; o++)
            if (slice_is(name, o->name)) return o;
    return NULL;
}

static const struct option *option_lettered(const struct option_group *const *groups, char letter) {
    for (; *groups; groups++)
        for (const struct option *o = (*groups)->options; o->name; o++)
            if (o->letter == letter) return o;
    return NULL;
}

/* ---- setting ---- */

/* Which options were set already: a list in the arena, since there are few. */
struct set_mark {
    const struct option *option;
    enum option_origin origin;
    const struct set_mark *next;
};

static enum option_origin origin_of(const struct option_parse *parse, const struct option *option) {
    for (const struct set_mark *m = parse->marks; m; m = m->next)
        if (m->option == option) return m->origin;
    return ORIGIN_DEFAULT;
}

enum option_origin option_origin(const struct option_parse *parse, const char *name) {
    const struct option *option = option_named(parse->groups, slice_of(name));
    return option ? origin_of(parse, option) : ORIGIN_DEFAULT;
}

/* `where` names the source of the value: "--limit", "VITRINE_LIMIT", "vitrine.yaml:3: limit". */
static int set(struct option_parse *parse, const struct option *option, enum option_origin origin, const char *text,
               const char *where, struct error *err) {
    struct error problem = {0};
    if (option->kind->set((char *)parse->target + option->offset, text, option, parse->arena, &problem)) {
        if (option->flags & OPTION_SECRET) return error_set(err, problem.code, "%s: the value has no meaning", where);
        return error_set(err, problem.code, "%s: %s", where, problem.message);
    }
    struct set_mark *mark = arena_alloc(parse->arena, sizeof *mark);
    if (!mark) return error_set(err, VT_ENOMEM, "no memory");
    *mark = (struct set_mark){option, origin, parse->marks};
    parse->marks = mark;
    return 0;
}

static int unknown_option(const struct option_parse *parse, const char *word, struct slice name, struct error *err) {
    struct nearest nearest = {0};
    for (const struct option_group *const *g = parse->groups; *g; g++)
        for (const struct option *o = (*g)->options; o->name; o++) nearest_try(&nearest, o->name, name);
    nearest_try(&nearest, "help", name);
    error_set(err, VT_EINVAL, "there is no option %.*s", (int)strcspn(word, "="), word);
    if (nearest.name) error_hint(err, "did you mean --%s?", nearest.name);
    return VT_EINVAL;
}

/* One word that begins with a dash; *used becomes 2 when the next word was its value. */
static int take_option(struct option_parse *parse, const char *word, const char *next, int *used, struct error *err) {
    bool is_long = word[1] == '-';
    const char *equals = is_long ? strchr(word, '=') : NULL;
    struct slice name =
        is_long ? slice_make(word + 2, equals ? (size_t)(equals - word) - 2 : strlen(word + 2)) : slice_of(word + 1);
    bool negated = false;
    const struct option *option = is_long   ? option_named(parse->groups, name)
                                  : word[2] ? NULL
                                            : option_lettered(parse->groups, word[1]);
    if (!option && slice_starts(name, SLICE("no-"))) {
        option = option_named(parse->groups, slice_from(name, 3));
        negated = option && !option->kind->value;
        if (!negated) option = NULL;
    }
    if (!option) return unknown_option(parse, word, name, err);
    char where[80];
    snprintf(where, sizeof where, "--%s", option->name);
    if (!option->kind->value) {
        if (equals) return error_set(err, VT_EINVAL, "%s takes no value", where);
        return set(parse, option, ORIGIN_WORDS, negated ? "false" : "true", where, err);
    }
    const char *value = equals ? equals + 1 : next;
    if (!value) {
        error_set(err, VT_EINVAL, "%s needs a value: %s", where, option->value ? option->value : option->kind->value);
        return error_hint(err, "%s", option->help);
    }
    *used = equals ? 1 : 2;
    return set(parse, option, ORIGIN_WORDS, value, where, err);
}

int options_from_words(struct option_parse *parse, int argc, char *const *argv, struct error *err) {
    bool over = false;
    for (int i = 0, used; i < argc; i += used) {
        const char *word = argv[i];
        used = 1;
        bool dashed = word[0] == '-' && word[1] && !over;
        bool is_filter = dashed && word[1] != '-' && (strchr(word, ':') || word[1] == '(' || word[1] == '"');
        if (dashed && strcmp(word, "--") == 0)
            over = true;
        else if (dashed && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            parse->help = true;
            return 0;
        } else if (!dashed || is_filter)
            parse->words[parse->word_count++] = word;
        else {
            int code = take_option(parse, word, i + 1 < argc ? argv[i + 1] : NULL, &used, err);
            if (code) return code;
        }
    }
    return 0;
}

static int from_environment(struct option_parse *parse, const struct option *option, struct error *err) {
    char name[80];
    const char *value = getenv(option_environment(option, name, sizeof name));
    if (!value || !*value) return 0; /* empty is unset, as OpenTelemetry has it */
    if (!option->kind->many) return set(parse, option, ORIGIN_ENVIRONMENT, value, name, err);
    /* Several values are separated by blanks, so that upstream URLs and lists with commas both fit. */
    for (int code; *(value += strspn(value, " ")); value += strcspn(value, " ")) {
        struct slice one = arena_copy(parse->arena, slice_make(value, strcspn(value, " ")));
        if (!one.ptr) return error_set(err, VT_ENOMEM, "no memory");
        if ((code = set(parse, option, ORIGIN_ENVIRONMENT, one.ptr, name, err))) return code;
    }
    return 0;
}

static int from_config(struct option_parse *parse, const struct option *option, const struct config *config,
                       struct error *err) {
    int code = 0;
    for (size_t i = 0; i < config->count && !code; i++) {
        if (strcmp(config->entries[i].key, option->name) != 0) continue;
        char where[400];
        snprintf(where, sizeof where, "%s:%u: %s", config->path, config->entries[i].line, option->name);
        code = set(parse, option, ORIGIN_FILE, config->entries[i].value, where, err);
    }
    return code;
}

int options_from_surroundings(struct option_parse *parse, const struct config *config, struct error *err) {
    for (const struct option_group *const *g = parse->groups; *g; g++)
        for (const struct option *o = (*g)->options; o->name; o++) {
            int code = 0;
            if (!(o->flags & OPTION_CONFIG) || origin_of(parse, o)) continue;
            if ((code = from_environment(parse, o, err))) return code;
            if (config && !origin_of(parse, o) && (code = from_config(parse, o, config, err))) return code;
        }
    return 0;
}
