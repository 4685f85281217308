/* Patterns and JSON paths. Compiled patterns are kept with the statement as long as the pattern is the same. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/json.h"
#include "query/field.h"
#include "query/sql_functions.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { MATCH_LIMIT = 200000, MATCH_HEAP_KIB = 20000, PATTERN_MAX = 4096, PATH_MAX_STEPS = 16 };

/* ---- LIKE and GLOB ---- */

static bool same_sign(char a, char b, bool fold) {
    if (a == b) return true;
    return fold && (a | 32) == (b | 32) && (a | 32) >= 'a' && (a | 32) <= 'z';
}

/* Bytes of the code point at `at`. */
static size_t sign_length(struct slice text, size_t at) {
    size_t len = 1;
    while (at + len < text.len && ((unsigned char)text.ptr[at + len] & 0xc0) == 0x80) len++;
    return len;
}

/* '%' any text, '_' one character; `escape` (0 = none) takes away the meaning of what follows it. Only the last '%' is
 * ever gone back to. */
static bool like_matches(struct slice pattern, struct slice text, char escape) {
    size_t p = 0, t = 0, star_p = SIZE_MAX, star_t = 0;
    while (t < text.len) {
        char sign = p < pattern.len ? pattern.ptr[p] : 0;
        bool escaped = escape && p + 1 < pattern.len && sign == escape;
        if (p < pattern.len && !escaped && sign == '%') {
            star_p = ++p;
            star_t = t;
        } else if (p < pattern.len && !escaped && sign == '_') {
            p++;
            t += sign_length(text, t);
        } else if (p < pattern.len && same_sign(pattern.ptr[p + escaped], text.ptr[t], true)) {
            p += 1 + (size_t)escaped;
            t++;
        } else if (star_p != SIZE_MAX) {
            p = star_p;
            t = ++star_t;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '%' && escape != '%') p++;
    return p == pattern.len;
}

/* like(pattern, text [, escape]): what `text LIKE pattern` calls. */
static void call_like(sqlite3_context *c, int argc, sqlite3_value **args) {
    struct slice escape = argc > 2 ? sql_text_of(args[2]) : (struct slice){NULL, 0};
    if (sql_is_null(args[0]) || sql_is_null(args[1])) return;
    if (argc > 2 && escape.len != 1)
        sql_fail(c, "ESCAPE: expected one ASCII character");
    else if (sqlite3_value_bytes(args[0]) > PATTERN_MAX)
        sql_fail(c, "LIKE: the pattern has over %d bytes", PATTERN_MAX);
    else
        sqlite3_result_int(c, like_matches(sql_text_of(args[0]), sql_text_of(args[1]), escape.len ? escape.ptr[0] : 0));
}

/* The set at *p ("[a-z]", "[^ab]") against one byte; *p is moved past it. False when it does not end. */
static bool set_matches(struct slice pattern, size_t *p, unsigned char sign) {
    size_t at = *p + 1;
    bool inverse = at < pattern.len && pattern.ptr[at] == '^', found = false, first = true;
    at += inverse;
    for (; at < pattern.len && (first || pattern.ptr[at] != ']'); first = false) {
        unsigned char low = (unsigned char)pattern.ptr[at++], high = low;
        if (at + 1 < pattern.len && pattern.ptr[at] == '-' && pattern.ptr[at + 1] != ']') {
            high = (unsigned char)pattern.ptr[at + 1];
            at += 2;
        }
        found |= sign >= low && sign <= high;
    }
    if (at >= pattern.len) return false;
    *p = at + 1;
    return found != inverse;
}

static bool glob_matches(struct slice pattern, struct slice text) {
    size_t p = 0, t = 0, star_p = SIZE_MAX, star_t = 0;
    while (t < text.len) {
        char sign = p < pattern.len ? pattern.ptr[p] : 0;
        size_t next = p, step = sign_length(text, t);
        if (p < pattern.len && sign == '*') {
            star_p = ++p;
            star_t = t;
        } else if (p < pattern.len && sign == '?') {
            p++;
            t += step;
        } else if (p < pattern.len && sign == '[' && set_matches(pattern, &next, (unsigned char)text.ptr[t])) {
            p = next;
            t += step;
        } else if (p < pattern.len && sign != '[' && sign == text.ptr[t]) {
            p++;
            t++;
        } else if (star_p != SIZE_MAX) {
            p = star_p;
            t = ++star_t;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') p++;
    return p == pattern.len;
}

static void call_glob(sqlite3_context *c, int argc, sqlite3_value **args) {
    if (sql_is_null(args[0]) || sql_is_null(args[1])) return;
    if (sqlite3_value_bytes(args[0]) > PATTERN_MAX)
        sql_fail(c, "GLOB: the pattern has over %d bytes", PATTERN_MAX);
    else
        sqlite3_result_int(c, glob_matches(sql_text_of(args[0]), sql_text_of(args[1])));
}

/* ---- regular expressions ---- */

struct pattern {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
};

static void pattern_free(void *ptr) {
    struct pattern *pattern = ptr;
    if (!pattern) return;
    pcre2_code_free(pattern->code);
    pcre2_match_data_free(pattern->match);
    pcre2_match_context_free(pattern->limits);
    free(pattern);
}

static struct pattern *pattern_new(sqlite3_context *c, struct slice text) {
    int error;
    size_t offset;
    struct pattern *pattern = calloc(1, sizeof *pattern);
    if (text.len > PATTERN_MAX) {
        sql_fail(c, "the regular expression has over %d bytes", PATTERN_MAX);
        goto failed;
    }
    if (!pattern) goto no_memory;
    pattern->code = pcre2_compile((PCRE2_SPTR)(text.len ? text.ptr : ""), text.len,
                                  PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &offset, NULL);
    if (!pattern->code) {
        PCRE2_UCHAR8 why[120] = "";
        pcre2_get_error_message(error, why, sizeof why);
        sql_fail(c, "regular expression '%.*s': position %zu: %s", text.len < 80 ? (int)text.len : 80, text.ptr,
                 offset + 1, (const char *)why);
        goto failed;
    }
    pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE); /* without it, it is only slower */
    pattern->match = pcre2_match_data_create_from_pattern(pattern->code, NULL);
    pattern->limits = pcre2_match_context_create(NULL);
    if (!pattern->match || !pattern->limits) goto no_memory;
    pcre2_set_match_limit(pattern->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(pattern->limits, MATCH_HEAP_KIB);
    return pattern;
no_memory:
    sqlite3_result_error_nomem(c);
failed:
    pattern_free(pattern);
    return NULL;
}

/* The compiled pattern of argument `at`; NULL with an error set. Kept by SQLite as long as the argument stays the same.
 */
static struct pattern *pattern_of(sqlite3_context *c, sqlite3_value **args, int at) {
    struct pattern *pattern = sqlite3_get_auxdata(c, at);
    if (pattern) return pattern;
    if (!(pattern = pattern_new(c, sql_text_of(args[at])))) return NULL;
    sqlite3_set_auxdata(c, at, pattern, pattern_free);
    if (!(pattern = sqlite3_get_auxdata(c, at))) sqlite3_result_error_nomem(c); /* it was freed instead of kept */
    return pattern;
}

/* 1 = found, 0 = not, -1 = error set. What was found is in the pattern's match. */
static int pattern_find(sqlite3_context *c, sqlite3_value **args, int text_at, int pattern_at, size_t from,
                        struct pattern **found) {
    struct pattern *pattern = *found = pattern_of(c, args, pattern_at);
    if (!pattern) return -1;
    struct slice text = sql_text_of(args[text_at]);
    int code = pcre2_match(pattern->code, (PCRE2_SPTR)(text.len ? text.ptr : ""), text.len, from, 0, pattern->match,
                           pattern->limits);
    if (code > 0) return 1;
    if (code == PCRE2_ERROR_NOMATCH) return 0;
    sql_fail(c, "the regular expression needs too many steps on some text; make it simpler");
    return -1;
}

/* regexp(pattern, text): what `text REGEXP pattern` calls. */
static void call_regexp(sqlite3_context *c, int argc, sqlite3_value **args) {
    struct pattern *pattern;
    if (sql_is_null(args[0]) || sql_is_null(args[1])) return;
    int found = pattern_find(c, args, 1, 0, 0, &pattern);
    if (found >= 0) sqlite3_result_int(c, found);
}

static void call_regexp_contains(sqlite3_context *c, int argc, sqlite3_value **args) {
    struct pattern *pattern;
    if (sql_is_null(args[0]) || sql_is_null(args[1])) return;
    int found = pattern_find(c, args, 0, 1, 0, &pattern);
    if (found >= 0) sqlite3_result_int(c, found);
}

/* The first group when there is one, else the whole; NULL when nothing was found. */
static void call_regexp_extract(sqlite3_context *c, int argc, sqlite3_value **args) {
    struct pattern *pattern;
    if (sql_is_null(args[0]) || sql_is_null(args[1]) || pattern_find(c, args, 0, 1, 0, &pattern) != 1) return;
    const size_t *at = pcre2_get_ovector_pointer(pattern->match);
    uint32_t group = pcre2_get_ovector_count(pattern->match) > 1;
    if (at[2 * group] == PCRE2_UNSET || at[2 * group] > at[2 * group + 1]) return;
    sql_give_text(c, slice_make(sql_text_of(args[0]).ptr + at[2 * group], at[2 * group + 1] - at[2 * group]));
}

/* \1 … \9 in the replacement stand for groups, \0 for the whole. */
static void put_replacement(struct buf *out, struct slice with, struct slice text, const struct pattern *pattern) {
    const size_t *at = pcre2_get_ovector_pointer(pattern->match);
    uint32_t groups = pcre2_get_ovector_count(pattern->match);
    for (size_t i = 0; i < with.len; i++) {
        bool escape = with.ptr[i] == '\\' && i + 1 < with.len;
        uint32_t group = escape ? (uint32_t)(with.ptr[i + 1] - '0') : UINT32_MAX;
        if (!escape) {
            buf_putc(out, with.ptr[i]);
            continue;
        }
        i++;
        if (group > 9)
            buf_putc(out, with.ptr[i]);
        else if (group < groups && at[2 * group] != PCRE2_UNSET)
            buf_put(out, text.ptr + at[2 * group], at[2 * group + 1] - at[2 * group]);
    }
}

static void call_regexp_replace(sqlite3_context *c, int argc, sqlite3_value **args) {
    struct pattern *pattern;
    if (sql_is_null(args[0]) || sql_is_null(args[1]) || sql_is_null(args[2])) return;
    struct slice text = sql_text_of(args[0]), with = sql_text_of(args[2]);
    struct buf out = {.limit_bytes = (size_t)sqlite3_limit(sqlite3_context_db_handle(c), SQLITE_LIMIT_LENGTH, -1)};
    size_t from = 0;
    int found = 0;
    while (from <= text.len && !out.failed && (found = pattern_find(c, args, 0, 1, from, &pattern)) == 1) {
        const size_t *at = pcre2_get_ovector_pointer(pattern->match);
        buf_put(&out, text.ptr + from, at[0] - from);
        put_replacement(&out, with, text, pattern);
        from = at[1];
        if (at[1] > at[0]) continue;
        size_t step =
            from < text.len ? sign_length(text, from) : 0; /* an empty find: go on behind the next character */
        buf_put(&out, text.ptr + from, step);
        from += step ? step : 1;
    }
    if (from < text.len) buf_put(&out, text.ptr + from, text.len - from);
    if (out.failed)
        sqlite3_result_error_toobig(c);
    else if (found >= 0)
        sql_give_text(c, buf_slice(&out));
    buf_free(&out);
}

/* ---- plain text ---- */

static void call_starts_with(sqlite3_context *c, int argc, sqlite3_value **args) {
    if (!sql_is_null(args[0]) && !sql_is_null(args[1]))
        sqlite3_result_int(c, slice_starts(sql_text_of(args[0]), sql_text_of(args[1])));
}
static void call_ends_with(sqlite3_context *c, int argc, sqlite3_value **args) {
    if (!sql_is_null(args[0]) && !sql_is_null(args[1]))
        sqlite3_result_int(c, slice_ends(sql_text_of(args[0]), sql_text_of(args[1])));
}
static void call_contains(sqlite3_context *c, int argc, sqlite3_value **args) {
    const char *text = (const char *)sqlite3_value_text(args[0]), *part = (const char *)sqlite3_value_text(args[1]);
    if (text && part) sqlite3_result_int(c, strcasestr(text, part) != NULL);
}

static void call_concat(sqlite3_context *c, int argc, sqlite3_value **args) {
    struct buf out = {.limit_bytes = (size_t)sqlite3_limit(sqlite3_context_db_handle(c), SQLITE_LIMIT_LENGTH, -1)};
    bool null = false;
    for (int i = 0; i < argc && !null; i++) {
        null = sql_is_null(args[i]);
        buf_put_slice(&out, sql_text_of(args[i]));
    }
    if (out.failed)
        sqlite3_result_error_toobig(c);
    else if (!null)
        sql_give_text(c, buf_slice(&out));
    buf_free(&out);
}

/* ---- JSON ---- */

struct path {
    struct slice steps[PATH_MAX_STEPS];
    int count;
};

/* $.a.b, $['a.b'], $["a"], $.a[0]. */
static bool path_parse(struct slice text, struct path *path) {
    path->count = 0;
    if (!text.len || text.ptr[0] != '$') return false;
    for (size_t i = 1; i < text.len;) {
        struct slice *step = &path->steps[path->count];
        if (++path->count > PATH_MAX_STEPS) return false;
        char quote = text.ptr[i] == '[' && i + 1 < text.len                             ? text.ptr[i + 1]
                     : text.ptr[i] == '.' && i + 1 < text.len && text.ptr[i + 1] == '"' ? '"'
                                                                                        : 0;
        bool bracket = text.ptr[i] == '[';
        if (quote != '\'' && quote != '"') quote = 0;
        if (!bracket && text.ptr[i] != '.') return false;
        size_t from = i + 1 + (quote != 0), end = from;
        while (end < text.len && (quote     ? text.ptr[end] != quote
                                  : bracket ? text.ptr[end] != ']'
                                            : text.ptr[end] != '.' && text.ptr[end] != '['))
            end++;
        *step = slice_make(text.ptr + from, end - from);
        i = end + (quote != 0);
        if (quote && end >= text.len) return false;
        if (bracket && (i >= text.len || text.ptr[i++] != ']')) return false;
        if (!step->len) return false;
    }
    return true;
}

/* Element number `step` of an array. */
static bool array_find(struct slice json, struct slice step, struct arena *arena, struct slice *raw) {
    struct json_reader r;
    size_t wanted = 0;
    for (size_t i = 0; i < step.len; i++) {
        if (step.ptr[i] < '0' || step.ptr[i] > '9' || i > 8) return false;
        wanted = wanted * 10 + (size_t)(step.ptr[i] - '0');
    }
    json_reader_init(&r, json, arena);
    if (json_peek(&r) != JSON_ARRAY || !json_array(&r)) return false;
    for (size_t i = 0; json_item(&r); i++) {
        if (!json_skip(&r, raw)) return false;
        if (i == wanted) return true;
    }
    return false;
}

/* Attributes are flat, with dots in their names: at each object the longest run of steps that is a key there is taken,
 * so that
 * $.llm.vendor finds both {"llm.vendor":…} and {"llm":{"vendor":…}}. */
static bool path_find(struct slice json, const struct path *path, struct arena *arena, struct attr_value *value) {
    char key[512];
    *value = (struct attr_value){.type = ATTR_JSON, .text = json};
    for (int at = 0; at < path->count;) {
        int taken = 0;
        if (value->type != ATTR_JSON) return false;
        struct slice object = value->text, element;
        if (object.len && object.ptr[0] == '[') {
            if (!array_find(object, path->steps[at], arena, &element)) return false;
            struct buf wrapped = {0}; /* read as the only member of an object: one reader of values is enough */
            buf_puts(&wrapped, "{\"v\":");
            buf_put_slice(&wrapped, element);
            buf_putc(&wrapped, '}');
            struct slice copy = arena_copy(arena, buf_slice(&wrapped));
            buf_free(&wrapped);
            if (!attr_find(copy, SLICE("v"), arena, value)) return false;
            at++;
            continue;
        }
        for (int run = path->count - at; run > 0 && !taken; run--) {
            struct buf joined = {.ptr = key, .cap = sizeof key, .limit_bytes = sizeof key};
            for (int i = 0; i < run; i++) {
                if (i) buf_putc(&joined, '.');
                buf_put_slice(&joined, path->steps[at + i]);
            }
            if (!joined.failed && attr_find(object, buf_slice(&joined), arena, value)) taken = run;
        }
        if (!taken) return false;
        at += taken;
    }
    return true;
}

static void give_value(sqlite3_context *c, const struct attr_value *value, bool as_text) {
    switch (value->type) {
    case ATTR_TEXT: sql_give_text(c, value->text); break;
    case ATTR_NUMBER:
        if (as_text)
            sql_give_text(c, value->text);
        else if (memchr(value->text.ptr, '.', value->text.len) || memchr(value->text.ptr, 'e', value->text.len) ||
                 value->number > 9e15 || value->number < -9e15)
            sqlite3_result_double(c, value->number);
        else
            sqlite3_result_int64(c, (int64_t)value->number);
        break;
    case ATTR_BOOL:
        if (as_text)
            sql_give_text(c, value->boolean ? SLICE("true") : SLICE("false"));
        else
            sqlite3_result_int(c, value->boolean);
        break;
    default: break;
    }
}

/* json_extract_scalar(json, path): always text, as BigQuery has it; NULL for objects, lists and what is not there. */
static void call_json_scalar(sqlite3_context *c, int argc, sqlite3_value **args) {
    struct arena arena = {0};
    struct attr_value value;
    struct path path = {.steps = {{0}}};
    if (sql_is_null(args[0]) || sql_is_null(args[1])) return;
    struct slice text = sql_text_of(args[1]);
    if (!path_parse(text, &path)) {
        sql_fail(c, "'%.*s' is no JSON path; expected one as $.llm.vendor or $['llm.vendor']",
                 text.len < 100 ? (int)text.len : 100, text.ptr);
        return;
    }
    if (path_find(sql_text_of(args[0]), &path, &arena, &value)) give_value(c, &value, true);
    arena_free(&arena);
}

/* attr(json, key): the value with its own type; the key may have dots in it. */
static void call_attr(sqlite3_context *c, int argc, sqlite3_value **args) {
    struct arena arena = {0};
    struct attr_value value;
    if (sql_is_null(args[0]) || sql_is_null(args[1])) return;
    if (attr_find(sql_text_of(args[0]), sql_text_of(args[1]), &arena, &value)) {
        if (value.type == ATTR_JSON)
            sql_give_text(c, value.text);
        else
            give_value(c, &value, false);
    }
    arena_free(&arena);
}

static const struct sql_function functions[] = {
    {.name = "like", .args = 2, .call = call_like},
    {.name = "like", .args = 3, .call = call_like},
    {.name = "glob", .args = 2, .call = call_glob},
    {.name = "regexp", .args = 2, .call = call_regexp},
    {.name = "regexp_contains", .args = 2, .call = call_regexp_contains},
    {.name = "regexp_extract", .args = 2, .call = call_regexp_extract},
    {.name = "regexp_replace", .args = 3, .call = call_regexp_replace},
    {.name = "starts_with", .args = 2, .call = call_starts_with},
    {.name = "ends_with", .args = 2, .call = call_ends_with},
    {.name = "contains_substr", .args = 2, .call = call_contains},
    {.name = "concat", .args = -1, .call = call_concat},
    {.name = "json_extract_scalar", .args = 2, .call = call_json_scalar},
    {.name = "json_value", .args = 2, .call = call_json_scalar},
    {.name = "attr", .args = 2, .call = call_attr},
};

int sql_functions_text_add(sqlite3 *db) {
    return sql_functions_register(db, functions, sizeof functions / sizeof *functions, NULL);
}
