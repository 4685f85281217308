/* One trace as a tree with bars. */
#include "cli/waterfall.h"

#include "base/timestamp.h"
#include "cli/talk.h"
#include "cli/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WIDTH_UNBOUND = 110, /* of the rows when there is no terminal */
    LABEL_LEAST = 20,
    BAR_LEAST = 10,
    BAR_MOST = 60,
    DEPTH_SHOWN = 24, /* deeper spans stand at this depth */
    EVENTS_SHOWN = 4
};

/* Columns at the right of the bars; 0 = left out. */
struct layout {
    size_t label, bar, duration, tokens, cost;
};

struct view {
    struct term *term;
    const struct waterfall_options *options;
    const struct doc *spans;
    int64_t start_ns, end_ns;
    struct layout at;
    bool more[DEPTH_SHOWN + 1]; /* a sibling follows, by depth */
    struct buf prefix;          /* of the lines below a span */
};

/* ---- one span's texts ---- */

static enum style kind_style(const struct doc *span) {
    return shape_kind_style(doc_text(span, "kind"));
}
static bool failed(const struct doc *span) {
    return slice_is(doc_text(span, "status"), "ERROR");
}

static size_t depth_of(const struct doc *span) {
    double depth = doc_number(span, "depth");
    return isnan(depth) || depth < 0 ? 0 : depth > DEPTH_SHOWN ? DEPTH_SHOWN : (size_t)depth;
}

static void tokens_text(const struct doc *span, struct buf *out) {
    double input = doc_number(span, "tokens.input"), output = doc_number(span, "tokens.output");
    if (isnan(input) && isnan(output)) return;
    say_short(out, input);
    buf_puts(out, "\xe2\x86\x92");
    say_short(out, output);
}

static int64_t start_of(const struct doc *span) {
    return time_of(doc_get(span, "start"));
}
static int64_t end_of(const struct doc *span) {
    double ms = doc_number(span, "duration_ms");
    return start_of(span) + (isnan(ms) ? 0 : (int64_t)(ms * 1e6));
}

/* ---- layout ---- */

static size_t width_of(struct buf *text) {
    size_t width = text_width(buf_slice(text));
    buf_clear(text);
    return width;
}

static void grow(size_t *most, size_t width) {
    if (width > *most) *most = width;
}

static void lay_out(struct view *v) {
    struct buf text = {0};
    struct layout *at = &v->at;
    size_t label = 0, room = v->term->width ? v->term->width : WIDTH_UNBOUND;
    v->start_ns = INT64_MAX;
    v->end_ns = INT64_MIN;
    for (const struct doc *span = doc_first(v->spans); span; span = span->next) {
        if (start_of(span) < v->start_ns) v->start_ns = start_of(span);
        if (end_of(span) > v->end_ns) v->end_ns = end_of(span);
        text_clean(&text, doc_text(span, "operation"), false);
        if (doc_text(span, "model").len) {
            buf_puts(&text, " ");
            text_clean(&text, doc_text(span, "model"), false);
        }
        grow(&label, 2 + 3 * depth_of(span) + width_of(&text));
        say_ms(&text, doc_number(span, "duration_ms"));
        grow(&at->duration, width_of(&text));
        tokens_text(span, &text);
        grow(&at->tokens, width_of(&text));
        say_usd(&text, doc_number(span, "cost_usd"));
        grow(&at->cost, width_of(&text));
    }
    buf_free(&text);
    size_t right = at->duration + 1;
    if (room < LABEL_LEAST + BAR_LEAST + right + at->tokens + at->cost + 8) at->tokens = 0;
    if (at->tokens) right += at->tokens + 2;
    if (room < LABEL_LEAST + BAR_LEAST + right + at->cost + 6) at->cost = 0;
    if (at->cost) right += at->cost + 2;
    size_t left = room > right + 4 ? room - right - 4 : LABEL_LEAST; /* for label, gap, bar, gap */
    at->label = label < LABEL_LEAST ? LABEL_LEAST : label;
    if (at->label > left * 3 / 5) at->label = left * 3 / 5;
    at->bar = left > at->label ? left - at->label : BAR_LEAST;
    if (at->bar > BAR_MOST) at->bar = BAR_MOST;
}

/* ---- pieces ---- */

void waterfall_bar(struct buf *out, double from, double to, size_t width) {
    /* In half cells: ╺ is a right half, ╸ a left half. */
    size_t halves = 2 * width;
    size_t a = (size_t)floor(fmin(fmax(from, 0), 1) * (double)halves),
           b = (size_t)ceil(fmin(fmax(to, 0), 1) * (double)halves);
    if (a >= halves) a = halves - 1;
    if (b <= a) b = a + 1;
    for (size_t cell = 0; cell < width; cell++) {
        bool left = a <= 2 * cell && b > 2 * cell, right = a <= 2 * cell + 1 && b > 2 * cell + 1;
        if (!left && !right)
            buf_putc(out, ' ');
        else
            buf_puts(out, left && right ? "\xe2\x94\x81" : left ? "\xe2\x95\xb8" : "\xe2\x95\xba");
    }
}

static void right_cell(struct term *out, enum style style, struct buf *text, size_t width) {
    if (!width) return;
    size_t used = text_width(buf_slice(text));
    term_spaces(out, 2 + (used < width ? width - used : 0));
    term_style(out, style, buf_cstr(text));
    buf_clear(text);
}

/* "├─ " before the span, and in v->prefix what stands before its other lines. */
static void put_branch(struct view *v, size_t depth) {
    struct buf branch = {0};
    buf_clear(&v->prefix);
    for (size_t d = 1; d < depth; d++) buf_puts(&branch, v->more[d] ? "\xe2\x94\x82  " : "   ");
    buf_put_slice(&v->prefix, buf_slice(&branch));
    if (depth) {
        buf_puts(&v->prefix, v->more[depth] ? "\xe2\x94\x82  " : "   ");
        buf_puts(&branch, v->more[depth] ? "\xe2\x94\x9c\xe2\x94\x80 " : "\xe2\x94\x94\xe2\x94\x80 ");
    }
    term_style(v->term, STYLE_DIM, buf_cstr(&branch));
    buf_free(&branch);
}

static bool has_sibling(const struct doc *span, size_t depth) {
    for (const struct doc *next = span->next; next && depth_of(next) >= depth; next = next->next)
        if (depth_of(next) == depth) return true;
    return false;
}

static void put_label(struct view *v, const struct doc *span, size_t depth) {
    struct term *out = v->term;
    struct buf text = {0};
    size_t used = 3 * depth + 2, room = v->at.label > used ? v->at.label - used : 1;
    bool bad = failed(span), good = slice_is(doc_text(span, "status"), "OK");
    put_branch(v, depth);
    term_style(out, bad ? STYLE_BAD : good ? STYLE_GOOD : STYLE_DIM, bad ? "\xe2\x9c\x97 " : "\xe2\x97\x8f ");
    text_clean(&text, doc_text(span, "operation"), false);
    term_puts(out, term_on(out, kind_style(span)));
    size_t from = out->buf.len;
    text_put_cut(&out->buf, buf_slice(&text), room);
    size_t width = text_width(slice_from(buf_slice(&out->buf), from));
    term_puts(out, term_off(out, kind_style(span)));
    struct slice model = doc_text(span, "model");
    if (model.len && width + 4 <= room) {
        buf_clear(&text);
        text_clean(&text, model, false);
        term_puts(out, " ");
        term_puts(out, term_on(out, STYLE_DIM));
        from = out->buf.len;
        text_put_cut(&out->buf, buf_slice(&text), room - width - 1);
        width += 1 + text_width(slice_from(buf_slice(&out->buf), from));
        term_puts(out, term_off(out, STYLE_DIM));
    }
    term_spaces(out, room > width ? room - width : 0);
    buf_free(&text);
}

static void put_span_line(struct view *v, const struct doc *span, size_t depth) {
    struct term *out = v->term;
    struct buf text = {0};
    double whole = (double)(v->end_ns - v->start_ns);
    double from = whole > 0 ? (double)(start_of(span) - v->start_ns) / whole : 0;
    double to = whole > 0 ? (double)(end_of(span) - v->start_ns) / whole : 1;
    put_label(v, span, depth);
    waterfall_bar(&text, from, to, v->at.bar);
    term_puts(out, "  ");
    term_style(out, failed(span) ? STYLE_BAD : kind_style(span), buf_cstr(&text));
    buf_clear(&text);
    say_ms(&text, doc_number(span, "duration_ms"));
    right_cell(out, STYLE_PLAIN, &text, v->at.duration);
    tokens_text(span, &text);
    right_cell(out, STYLE_PLAIN, &text, v->at.tokens);
    say_usd(&text, doc_number(span, "cost_usd"));
    right_cell(out, STYLE_PLAIN, &text, v->at.cost);
    while (out->buf.len && out->buf.ptr[out->buf.len - 1] == ' ') out->buf.len--;
    term_puts(out, "\n");
    buf_free(&text);
}

/* ---- the lines below a span ---- */

/* Somebody's text on one line behind the prefix. */
static void put_below(struct view *v, const char *prefix, size_t indent, enum style style, const char *mark,
                      struct slice text) {
    struct term *out = v->term;
    struct buf clean = {0};
    size_t marks = text_width(slice_of(mark)), room = out->width > indent + marks + 8 ? out->width - indent - marks
                                                      : out->width                    ? 8
                                                                                      : SIZE_MAX / 2;
    text_clean(&clean, text, false);
    term_puts(out, prefix);
    term_style(out, style, mark);
    term_puts(out, term_on(out, style));
    text_put_cut(&out->buf, buf_slice(&clean), room);
    term_puts(out, term_off(out, style));
    term_puts(out, "\n");
    buf_free(&clean);
}

/* Events that only repeat the beginnings of a prompt or completion that stands there already. */
static bool is_preview(const struct doc *span, struct slice name) {
    return (slice_is(name, "llm.prompt") && doc_get(span, "prompt")) ||
           (slice_is(name, "llm.response") && doc_get(span, "completion"));
}

static void put_events(struct view *v, const struct doc *span, const char *prefix, size_t indent) {
    const struct doc *events = doc_get(span, "events");
    struct buf text = {0};
    uint32_t shown = 0;
    for (const struct doc *event = doc_first(events); event; event = event->next) {
        if (!v->options->whole && is_preview(span, doc_text(event, "name"))) continue;
        if (!v->options->whole && shown == EVENTS_SHOWN && event->next) {
            buf_printf(&text, "%u more events: --full", events->count - shown);
            put_below(v, prefix, indent, STYLE_DIM, "\xe2\x8b\xaf ", buf_slice(&text));
            break;
        }
        shown++;
        struct slice name = doc_text(event, "name"), said = {NULL, 0};
        const struct doc *attributes = doc_get(event, "attributes");
        double at = doc_number(event, "timestamp");
        bool bad = slice_is(name, "exception");
        buf_clear(&text);
        buf_put_slice(&text, name);
        if (!isnan(at)) {
            buf_puts(&text, " +");
            say_ms(&text, fmax(0, at - (double)start_of(span) / 1e6)); /* some senders round events down to ms */
        }
        for (const struct doc *a = doc_first(attributes); a; a = a->next) {
            said = a->text;
            buf_printf(&text, "  %.*s=", (int)a->key.len, a->key.ptr);
            buf_put_slice(&text, said);
        }
        put_below(v, prefix, indent, bad ? STYLE_BAD : STYLE_DIM, "\xe2\x97\x86 ", buf_slice(&text));
    }
    buf_free(&text);
}

static void put_attributes(struct view *v, const struct doc *span, const char *prefix, size_t indent,
                           const char *member) {
    struct buf text = {0};
    for (const struct doc *a = doc_first(doc_get(span, member)); a; a = a->next) {
        buf_clear(&text);
        buf_put_slice(&text, a->key);
        buf_puts(&text, " = ");
        buf_put_slice(&text, a->text);
        put_below(v, prefix, indent, STYLE_DIM, "", buf_slice(&text));
    }
    buf_free(&text);
}

static void put_scores(struct view *v, const struct doc *scores, const char *prefix, size_t indent) {
    struct buf text = {0};
    for (const struct doc *score = doc_first(scores); score; score = score->next) {
        struct slice comment = doc_text(score, "comment"), user = doc_text(score, "user_id");
        buf_clear(&text);
        buf_put_slice(&text, doc_text(score, "name"));
        buf_puts(&text, " ");
        const struct doc *value = doc_get(score, "value");
        if (value) buf_put_slice(&text, value->text);
        if (comment.len) buf_printf(&text, " \"%.*s\"", (int)comment.len, comment.ptr);
        if (user.len) buf_printf(&text, " (%.*s)", (int)user.len, user.ptr);
        put_below(v, prefix, indent, STYLE_WARN, "\xe2\x98\x85 ", buf_slice(&text));
    }
    buf_free(&text);
}

static void put_details(struct view *v, const struct doc *span, size_t depth, bool has_children) {
    struct term *out = v->term;
    struct buf prefix = {0};
    struct slice error = doc_text(span, "error"), kind = doc_text(span, "kind");
    size_t indent = 3 * depth + 2;
    buf_puts(&prefix, term_on(out, STYLE_DIM));
    buf_put_slice(&prefix, buf_slice(&v->prefix));
    buf_puts(&prefix, has_children ? "\xe2\x94\x82 " : "  ");
    buf_puts(&prefix, term_off(out, STYLE_DIM));
    const char *before = buf_cstr(&prefix);
    if (error.len) {
        if (v->options->whole)
            term_paragraph(out, STYLE_BAD, error, indent, before, 0);
        else
            put_below(v, before, indent, STYLE_BAD, "", error);
    }
    bool speaks = slice_is(kind, "llm") || slice_is(kind, "turn") || slice_is(kind, "agent");
    talk_put(out, doc_get(span, "prompt"), speaks ? "user" : "input", before, indent, v->options->whole);
    talk_put(out, doc_get(span, "completion"), speaks ? "assistant" : "output", before, indent, v->options->whole);
    put_events(v, span, before, indent);
    put_scores(v, doc_get(span, "scores"), before, indent);
    if (v->options->whole) {
        put_attributes(v, span, before, indent, "attributes");
        put_attributes(v, span, before, indent, "resource");
    }
    buf_free(&prefix);
}

/* ---- the head ---- */

/* A fact behind a dot, on a line of its own where this one is full. *used: columns of the line so far. */
static void put_fact(struct term *out, size_t *used, enum style style, const char *name, struct slice value) {
    struct buf clean = {0};
    if (!value.len) return;
    text_clean(&clean, value, false);
    size_t names = *name ? text_width(slice_of(name)) + 1 : 0, width = names + text_width(buf_slice(&clean));
    if (*used && out->width && *used + 3 + width > out->width) {
        term_puts(out, "\n");
        *used = 0;
    }
    if (*used) term_style(out, STYLE_DIM, " \xc2\xb7 ");
    if (*name) term_stylef(out, STYLE_DIM, "%s ", name);
    *used += (*used ? 3 : 0) + width;
    term_puts(out, term_on(out, style));
    text_put_cut(&out->buf, buf_slice(&clean), out->width ? out->width - names : SIZE_MAX / 2);
    term_puts(out, term_off(out, style));
    buf_free(&clean);
}

static void put_number(struct term *out, size_t *used, void (*put)(struct buf *, double), double value, const char *one,
                       const char *many) {
    struct buf text = {0};
    if (isnan(value)) return;
    put(&text, value);
    if (*one) buf_printf(&text, " %s", value == 1 ? one : many);
    put_fact(out, used, STYLE_PLAIN, "", buf_slice(&text));
    buf_free(&text);
}

static void end_line(struct term *out, size_t *used) {
    if (*used) term_puts(out, "\n");
    *used = 0;
}

static void put_tokens(struct term *out, size_t *used, const struct doc *trace) {
    struct buf text = {0};
    double total = doc_number(trace, "tokens.total"), input = doc_number(trace, "tokens.input"),
           output = doc_number(trace, "tokens.output");
    if (isnan(total)) return;
    say_count(&text, total);
    buf_puts(&text, total == 1 ? " token" : " tokens");
    if (!isnan(input) && !isnan(output)) {
        buf_puts(&text, " (");
        say_count(&text, input);
        buf_puts(&text, " in, ");
        say_count(&text, output);
        buf_puts(&text, " out)");
    }
    put_fact(out, used, STYLE_PLAIN, "", buf_slice(&text));
    buf_free(&text);
}

static void put_head(struct term *out, const struct doc *trace, const struct shape_context *shape) {
    struct buf text = {0};
    size_t used = 0;
    struct slice status = doc_text(trace, "status");
    put_fact(out, &used, STYLE_BOLD, "", doc_text(trace, "operation"));
    put_fact(out, &used,
             slice_is(status, "ERROR") ? STYLE_BAD
             : slice_is(status, "OK")  ? STYLE_GOOD
                                       : STYLE_DIM,
             "", status);
    put_number(out, &used, say_ms, doc_number(trace, "duration_ms"), "", "");
    put_fact(out, &used, STYLE_PLAIN, "", doc_text(trace, "service"));
    if (time_of(doc_get(trace, "start"))) say_time(&text, time_of(doc_get(trace, "start")), shape);
    put_fact(out, &used, STYLE_DIM, "", buf_slice(&text));
    end_line(out, &used);
    put_fact(out, &used, STYLE_ACCENT, "trace", doc_text(trace, "trace_id"));
    put_fact(out, &used, STYLE_PLAIN, "user", doc_text(trace, "user_id"));
    put_fact(out, &used, STYLE_PLAIN, "thread", doc_text(trace, "thread_id"));
    put_fact(out, &used, STYLE_PLAIN, "turn", doc_text(trace, "turn_id"));
    end_line(out, &used);
    put_number(out, &used, say_count, doc_number(trace, "span_count"), "span", "spans");
    put_number(out, &used, say_count, doc_number(trace, "llm_calls"), "LLM call", "LLM calls");
    put_tokens(out, &used, trace);
    put_number(out, &used, say_usd, doc_number(trace, "cost_usd"), "", "");
    for (const struct doc *model = doc_first(doc_get(trace, "models")); model; model = model->next)
        put_fact(out, &used, STYLE_PLAIN, "", model->text);
    end_line(out, &used);
    if (doc_true(trace, "fallback")) {
        used = 0;
        put_fact(out, &used, STYLE_WARN, "",
                 SLICE("\xe2\x86\xaa fallback: the turn succeeded although an LLM call in it failed"));
        end_line(out, &used);
    }
    buf_free(&text);
}

/* "0 ───── 13 ms" over the bars. */
static void put_scale(struct view *v) {
    struct buf text = {0};
    say_ms(&text, (double)(v->end_ns - v->start_ns) / 1e6);
    size_t width = text_width(buf_slice(&text)) + 4;
    if (width < v->at.bar) {
        term_spaces(v->term, v->at.label + 2);
        term_puts(v->term, term_on(v->term, STYLE_DIM));
        term_puts(v->term, "0 ");
        for (size_t i = width; i < v->at.bar; i++) term_puts(v->term, "\xe2\x94\x80");
        term_printf(v->term, "  %s", buf_cstr(&text));
        term_puts(v->term, term_off(v->term, STYLE_DIM));
        term_puts(v->term, "\n");
    }
    buf_free(&text);
}

void waterfall_put(struct term *term, const struct doc *trace, const struct waterfall_options *options) {
    struct view v = {.term = term, .options = options, .spans = doc_get(trace, "spans")};
    put_head(term, trace, options->shape);
    term_puts(term, "\n");
    if (!doc_first(v.spans)) return;
    lay_out(&v);
    put_scale(&v);
    for (const struct doc *span = doc_first(v.spans); span; span = span->next) {
        size_t depth = depth_of(span);
        v.more[depth] = has_sibling(span, depth);
        put_span_line(&v, span, depth);
        put_details(&v, span, depth, span->next && depth_of(span->next) > depth);
    }
    put_scores(&v, doc_get(trace, "scores"), "", 0);
    buf_free(&v.prefix);
}
