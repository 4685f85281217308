/* Trace lines found in logs of any make: JSON lines, arrays, console text. Objects are read where they lie; only what
 * stands behind a prefix on each line, or is coloured, is put together anew first.
 *
 * All is read once: where an object turns out to be none, the search goes on at the line of the mistake, since whatever
 * began before it would have met the same. */
#include "ingest/ingest.h"

#include "base/timestamp.h"
#include "ingest/log_line.h"

#include <ctype.h>

enum { INNER_DEPTH_MAX = 2, PREFIX_MAX = 512, STAND_MAX = 16 << 20, FOREIGN_LINES_MAX = 64, PIECES_MAX = 4096 };
enum { PIECE_BYTES = 16 << 10, CRI_TIME_MIN = 20 }; /* where Docker takes a line apart; bytes of a time in seconds */

struct log {
    struct log_line line;
    struct slice body;
    size_t at;          /* what is looked at next */
    size_t start, stop; /* the line that `at` stands in: its first byte, and its line break or the body's end */
    uint32_t number;    /* of the line that `at` stands in */
    size_t counted;     /* up to where `number` is counted */
    uint32_t ignored;
    bool more;
    struct buf plain;  /* lines without prefix and colours */
    struct buf joined; /* pieces of what a container printed */
    struct buf taken;  /* places (size_t) of pieces further down that are taken already */
    int code;          /* what ends all */
};

/* ---- places ---- */

static void count_to(struct log *log, size_t place) {
    const char *p = log->body.ptr + log->counted, *end = log->body.ptr + place;
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) log->number++, p++;
    if (place > log->counted) log->counted = place;
}

/* One past the line's last byte, its line break not counted. */
static size_t line_end(struct slice body, size_t at) {
    const char *stop = memchr(body.ptr + at, '\n', body.len - at);
    return stop ? (size_t)(stop - body.ptr) : body.len;
}

static size_t line_start(struct slice body, size_t at) {
    while (at && body.ptr[at - 1] != '\n') at--;
    return at;
}

/* Looks for the line of `at` anew when it was left; each byte is looked at once, however long the lines are. */
static void find_line(struct log *log) {
    if (log->at <= log->stop && log->at >= log->start && log->stop) return;
    log->start = line_start(log->body, log->at);
    log->stop = line_end(log->body, log->at);
}

static size_t next_line(struct slice body, size_t at) {
    size_t end = line_end(body, at);
    return end < body.len ? end + 1 : end;
}

static bool is_blank(struct slice text) {
    for (size_t i = 0; i < text.len; i++)
        if (!memchr(" \t\r\n,[]", text.ptr[i], 7)) return false;
    return true;
}

/* ---- lines with prefix and colours ---- */

static const struct slice trace_mark = {"TRACE:", 6}, magnifier = {"\xf0\x9f\x94\x8d", 4};

/* What stands before the object on its line and will stand on its other lines too: up to the printer's own mark. */
static struct slice shared_prefix(struct slice before) {
    const char *mark = slice_find(before, magnifier);
    if (!mark) mark = slice_find(before, trace_mark);
    if (mark) before.len = (size_t)(mark - before.ptr);
    return before;
}

/* The length of a colour code (ESC [ … letter) at the text's beginning, or 0. */
static size_t colour_length(struct slice text) {
    if (text.len < 3 || text.ptr[0] != '\x1b' || text.ptr[1] != '[') return 0;
    for (size_t i = 2; i < text.len && i < 32; i++)
        if (text.ptr[i] >= '@' && text.ptr[i] <= '~') return i + 1;
    return 0;
}

static void put_plain(struct buf *out, struct slice line) {
    while (line.len) {
        const char *escape = memchr(line.ptr, '\x1b', line.len);
        size_t len = escape ? (size_t)(escape - line.ptr) : line.len;
        buf_put(out, line.ptr, len);
        line = slice_from(line, len);
        size_t skip = colour_length(line);
        if (line.len && !skip) buf_putc(out, *line.ptr), skip = 1;
        line = slice_from(line, skip);
    }
}

static size_t digits_from(struct slice text, size_t at) {
    while (at < text.len && isdigit((unsigned char)text.ptr[at])) at++;
    return at;
}

/* How much of the line has the prefix's form, digits standing for other digits of any number (times, counters), or 0.
 */
static size_t match_prefix(struct slice prefix, struct slice line) {
    size_t p = 0, l = 0;
    while (p < prefix.len) {
        if (l < line.len && isdigit((unsigned char)prefix.ptr[p]) && isdigit((unsigned char)line.ptr[l])) {
            p = digits_from(prefix, p);
            l = digits_from(line, l);
            /* A fraction whose zeros were left out. */
            if (p < prefix.len && prefix.ptr[p] == '.' && (l >= line.len || line.ptr[l] != '.'))
                p = digits_from(prefix, p + 1);
            else if (l < line.len && line.ptr[l] == '.' && (p >= prefix.len || prefix.ptr[p] != '.'))
                l = digits_from(line, l + 1);
        } else if (l < line.len && prefix.ptr[p] == line.ptr[l]) {
            p++, l++;
        } else if (is_blank(slice_from(prefix, p)) && l == line.len) {
            break; /* an empty line behind its prefix, trimmed */
        } else {
            return 0;
        }
    }
    return l;
}

/* Adds to the depth of brackets what the line opens and closes. False when a text is not closed on it. */
static bool count_brackets(struct slice line, int *depth, size_t *closed_at) {
    bool text = false;
    for (size_t i = 0; i < line.len; i++) {
        char c = line.ptr[i];
        if (text) {
            if (c == '\\')
                i++;
            else if (c == '"')
                text = false;
        } else if (c == '"') {
            text = true;
        } else if (c == '{' || c == '[') {
            ++*depth;
        } else if ((c == '}' || c == ']') && --*depth == 0) {
            *closed_at = i + 1;
            return true;
        }
    }
    return !text;
}

enum stand { STAND_NONE, STAND_WHOLE, STAND_CUT_OFF };

/* Puts the object whose first line has `first` behind the prefix together in log->plain. *end: where the body goes on
 * after it. Lines without the prefix are somebody else's and are left out. */
static enum stand stand_alone(struct log *log, struct slice prefix, size_t first, size_t *end) {
    struct slice body = log->body;
    int depth = 0;
    unsigned foreign = 0;
    size_t at = first, closed = 0;
    buf_clear(&log->plain);
    for (; at < body.len && log->plain.len < STAND_MAX; at = next_line(body, at)) {
        size_t stop = line_end(body, at), mark = log->plain.len, skip = 0;
        struct slice raw = slice_make(body.ptr + at, stop - at);
        /* Without colours the prefix can be told at once, and lines of others need not be copied. */
        bool plain = !memchr(raw.ptr, '\x1b', raw.len),
             ours = at == first || !prefix.len || !plain || match_prefix(prefix, raw);
        if (ours) put_plain(&log->plain, raw);
        if (log->plain.failed) return STAND_NONE;
        struct slice line = slice_from(buf_slice(&log->plain), mark);
        if (ours && at != first && prefix.len) ours = (skip = match_prefix(prefix, line)) > 0;
        if (!ours) {
            log->plain.len = mark;
            if (++foreign > FOREIGN_LINES_MAX) return STAND_NONE;
            continue;
        }
        /* The next one begins: this one was cut off. */
        if (at != first && slice_find(line, trace_mark) && shared_prefix(line).len <= skip) return STAND_NONE;
        line = slice_from(line, skip);
        bool whole = count_brackets(line, &depth, &closed);
        if (closed) line.len = closed;
        if (line.len) memmove(log->plain.ptr + mark, line.ptr, line.len);
        log->plain.len = mark + line.len;
        if (closed) {
            *end = stop;
            return STAND_WHOLE;
        }
        if (stop == body.len) break;
        if (!whole || depth > JSON_DEPTH_MAX) return STAND_NONE;
        buf_putc(&log->plain, '\n');
    }
    *end = body.len;
    return STAND_CUT_OFF;
}

/* ---- one object ---- */

/* What became of an object that was read whole. */
static int object_done(struct log *log, int kind) {
    if (kind == LINE_OTHER) log->ignored++;
    if (kind != LINE_WRAPPED) return kind < 0 ? kind : 0;
    const struct batch *batch = log->line.batch;
    const uint32_t before = batch->count + batch->rejected;
    int code = log_text_read(&log->line, log->line.inner,
                             log->line.inner_ns ? log->line.inner_ns : log->line.printed_ns, &log->line.err);
    if (batch->count + batch->rejected == before) log->ignored++;
    return code;
}

/* Whether one of a trace's keys stands in the text: "trace", "traceId" or "trace_id". */
static bool names_a_trace(struct slice text) {
    static const struct slice key = {"\"trace", 6};
    for (const char *at; (at = slice_find(text, key));) {
        text = slice_from(text, (size_t)(at - text.ptr) + key.len);
        if (slice_starts(text, SLICE("\"")) || slice_starts(text, SLICE("Id\"")) || slice_starts(text, SLICE("_id\"")))
            return true;
    }
    return false;
}

/* False when it was none of ours. */
static bool reject_cut(struct log *log, size_t start, bool cut) {
    struct slice seen = slice_make(log->body.ptr + start, log->body.len - start < 4096 ? log->body.len - start : 4096);
    bool ours = log->line.tried_trace || names_a_trace(seen);
    if (!ours)
        log->ignored++;
    else if (cut)
        batch_reject(log->line.batch, log->line.position,
                     "the object is cut off at the end: half a line, or a file that ends early");
    else
        batch_reject(log->line.batch, log->line.position, "the object is no JSON: %s", log->line.err.message);
    return ours;
}

enum step { STEP_ON, STEP_WAIT, STEP_ALONE /* a line like most: nothing was joined, nothing done */ };

/* ---- where an object begins ---- */

/* "name": before a bracket: it opens a member of an object whose beginning was lost. */
static bool is_member(struct slice body, size_t from, size_t open) {
    while (open > from && (body.ptr[open - 1] == ' ' || body.ptr[open - 1] == '\t')) open--;
    if (open == from || body.ptr[--open] != ':') return false;
    while (open > from && (body.ptr[open - 1] == ' ' || body.ptr[open - 1] == '\t')) open--;
    return open > from && body.ptr[open - 1] == '"';
}

/* Where an object may begin on the line: a bracket that a member's name or the line's end follows. */
static size_t find_open(struct slice body, size_t at, size_t stop) {
    while (at < stop) {
        const char *open = memchr(body.ptr + at, '{', stop - at);
        if (!open) break;
        size_t next = (size_t)(open - body.ptr) + 1;
        if (is_member(body, at, next - 1)) {
            at = next;
            continue;
        }
        for (size_t skip; next < stop && (body.ptr[next] == ' ' || body.ptr[next] == '\t' || body.ptr[next] == '\r' ||
                                          body.ptr[next] == '\x1b');)
            next += (skip = colour_length(slice_make(body.ptr + next, stop - next))) ? skip : 1;
        if (next == stop || body.ptr[next] == '"') return (size_t)(open - body.ptr);
        at = (size_t)(open - body.ptr) + 1;
    }
    return stop;
}

/* ---- what was taken apart ---- */

/* A container's output, line by line. Docker's json-file driver writes an object for each line, and for a line of more
 * than 16 KB one for each piece of it, of which the last alone ends with a line break; Kubernetes' runtimes write
 * `<time> stdout P <part>`, and F where the line ends. Lines of the two streams may stand between. */
struct piece {
    enum log_stream stream; /* STREAM_NONE: it is no piece */
    struct slice text;
    bool partial; /* the line goes on in the next piece */
    int64_t printed_ns;
    size_t place; /* where it begins in the body */
};

static struct piece docker_piece(const struct log_line *line, size_t place) {
    struct slice text = line->piece;
    bool whole = text.len && text.ptr[text.len - 1] == '\n';
    return (struct piece){line->stream, text, !whole && text.len >= PIECE_BYTES, line->piece_ns, place};
}

/* The word at the line's beginning, which is taken off with the space behind it. */
static struct slice take_word(struct slice *line) {
    const char *space = line->len ? memchr(line->ptr, ' ', line->len) : NULL;
    struct slice word = slice_make(line->ptr, space ? (size_t)(space - line->ptr) : line->len);
    *line = slice_from(*line, word.len + 1);
    return word;
}

/* `<RFC 3339 time> stdout|stderr P|F[:tag…] <text>`. */
static struct piece cri_piece(struct slice line, size_t place) {
    struct piece piece = {.place = place};
    if (line.len < CRI_TIME_MIN || line.ptr[10] != 'T' || !isdigit((unsigned char)*line.ptr)) return piece;
    struct slice time = take_word(&line), stream = take_word(&line), tags = take_word(&line);
    bool out = slice_is(stream, "stdout");
    if ((!out && !slice_is(stream, "stderr")) || !tags.len || (*tags.ptr != 'P' && *tags.ptr != 'F') ||
        (tags.len > 1 && tags.ptr[1] != ':') || !time_parse(time, &piece.printed_ns))
        return piece;
    piece.stream = out ? STREAM_OUT : STREAM_ERR;
    piece.partial = *tags.ptr == 'P';
    piece.text = line;
    return piece;
}

struct joining {
    int depth;      /* of brackets, in a trace that is printed over many lines */
    uint32_t count; /* of pieces */
};

/* True when what was joined needs the next piece too. */
static bool wants_more(struct log *log, struct joining *j, const struct piece *piece) {
    size_t closed = 0, mark = log->joined.len;
    buf_put_slice(&log->joined, piece->text);
    if (piece->partial) return true;
    /* Only Docker's have it, and a shipper may have taken it off. */
    if (!piece->text.len || piece->text.ptr[piece->text.len - 1] != '\n') buf_putc(&log->joined, '\n');
    /* A whole line. Of a trace that is printed over many, brackets count from the line of the mark on. */
    struct slice all = buf_slice(&log->joined);
    size_t start = line_start(all, mark);
    struct slice line = slice_from(all, start);
    if (!j->depth && (!slice_find(line, trace_mark) || slice_find(line, SLICE("\"spanId\"")))) return false;
    if (!count_brackets(line, &j->depth, &closed) || j->depth > JSON_DEPTH_MAX) return false;
    return j->depth > 0;
}

static bool is_taken(const struct log *log, size_t place) {
    const size_t *places = (const size_t *)(const void *)log->taken.ptr;
    for (size_t i = 0; i < log->taken.len / sizeof place; i++)
        if (places[i] == place) return true;
    return false;
}

/* The search has come to that piece: it will not be met again. */
static void forget_taken(struct log *log, size_t place) {
    size_t *places = (size_t *)(void *)log->taken.ptr, count = log->taken.len / sizeof place;
    for (size_t i = 0; i < count; i++)
        if (places[i] == place) places[i--] = places[--count];
    log->taken.len = count * sizeof place;
}

/* The piece on the line from `at` to `stop`; `cut`: it is half a line of Docker's. */
static struct piece piece_at(const struct log *log, struct log_line *line, bool docker, size_t at, size_t stop,
                             bool *cut) {
    struct slice body = log->body;
    *cut = false;
    if (!docker && is_taken(log, at)) return (struct piece){.place = at};
    if (!docker) return cri_piece(slice_make(body.ptr + at, stop - at), at);
    size_t open = find_open(body, at, stop);
    line->stream = STREAM_NONE;
    if (open < stop && !is_taken(log, open))
        *cut = log_piece_read(line, slice_make(body.ptr + open, stop - open)) == LINE_BROKEN;
    return docker_piece(line, open);
}

/* Joins to the first piece those that follow it, from `end` on. `alone`: the first by itself is not looked into here.
 */
static enum step join_pieces(struct log *log, const struct piece *first, bool docker, bool alone, size_t end) {
    struct log_line line = {.batch = NULL};
    struct joining j = {.count = 1};
    const size_t taken = log->taken.len;
    const int64_t printed_ns = first->printed_ns ? first->printed_ns : log->line.printed_ns;
    struct slice body = log->body;
    bool more, cut;
    buf_clear(&log->joined);
    more = wants_more(log, &j, first);
    for (size_t at = end; more && at < body.len && j.count < PIECES_MAX && log->joined.len < STAND_MAX;) {
        size_t stop = line_end(body, at);
        struct piece piece = piece_at(log, &line, docker, at, stop, &cut);
        if (stop == body.len && log->more && (cut || !docker)) break; /* half a line */
        if (piece.stream == first->stream) {
            buf_put(&log->taken, &piece.place, sizeof piece.place);
            more = wants_more(log, &j, &piece);
            j.count++;
        }
        at = stop < body.len ? stop + 1 : stop;
    }
    log_line_free(&line);
    if (log->joined.failed || log->taken.failed) {
        log->code = error_set(&log->line.err, VT_ENOMEM, "line %u: no memory", log->line.position);
        return STEP_ON;
    }
    if (more && log->more && j.count < PIECES_MAX && log->joined.len < STAND_MAX) {
        log->taken.len = taken;
        return STEP_WAIT;
    }
    if (j.count == 1 && alone) return STEP_ALONE;
    const struct batch *batch = log->line.batch;
    const uint32_t before = batch->count + batch->rejected;
    log->code = log_text_read(&log->line, buf_slice(&log->joined), printed_ns, &log->line.err);
    if (batch->count + batch->rejected == before) log->ignored += j.count;
    return STEP_ON;
}

/* An object that is printed over lines of its own, which are told by what stands before them as in any other log. */
static bool opens_object(struct slice text) {
    while (text.len && (*text.ptr == ' ' || *text.ptr == '\t')) text = slice_from(text, 1);
    return text.len && memchr("{[\x1b", *text.ptr, 3);
}

/* The line that `at` stands at the beginning of, when it is a container's; STEP_ALONE: it is like any other. What is
 * wrong with it costs the line alone. */
static enum step take_cri(struct log *log) {
    struct slice body = log->body;
    size_t start = log->start, next = log->stop < body.len ? log->stop + 1 : log->stop;
    struct piece piece = cri_piece(slice_make(body.ptr + start, log->stop - start), start);
    if (!piece.stream) return STEP_ALONE;
    if (is_taken(log, start)) {
        forget_taken(log, start);
        log->at = next;
        return STEP_ON;
    }
    if (log->stop == body.len && log->more) return STEP_WAIT; /* half a line */
    count_to(log, start);
    if (!log->line.depth) log->line.position = log->number;
    enum step step = join_pieces(log, &piece, false, !piece.partial && opens_object(piece.text), next);
    if (step == STEP_ON && !log->code) log->at = next;
    return step;
}

/* The object at `open`, with what stands before it from `start` on. Moves log->at on; STEP_WAIT: it is cut off and more
 * may come. */
static enum step take_object(struct log *log, size_t start, size_t open) {
    struct slice body = log->body;
    count_to(log, open);
    if (!log->line.depth) log->line.position = log->number;
    int kind = log_line_read(&log->line, slice_from(body, open));
    if ((kind == LINE_OTHER || kind == LINE_WRAPPED) && log->line.stream) {
        size_t end = open + log->line.length;
        if (is_taken(log, open)) {
            forget_taken(log, open);
        } else {
            struct piece piece = docker_piece(&log->line, open);
            enum step step = join_pieces(log, &piece, true, kind == LINE_OTHER, end);
            if (step == STEP_WAIT) return STEP_WAIT;
            if (step == STEP_ALONE) log->ignored++;
        }
        if (!log->code) log->at = end;
        return STEP_ON;
    }
    if (kind != LINE_BROKEN) {
        if ((log->code = object_done(log, kind))) return STEP_ON;
        log->at = open + log->line.length;
        return STEP_ON;
    }
    size_t mistake = open + log->line.length, end;
    struct slice before = slice_make(body.ptr + start, open - start);
    struct slice prefix = shared_prefix(before);
    bool coloured = memchr(body.ptr + start, '\x1b', (mistake < body.len ? mistake + 1 : mistake) - start) != NULL;
    if (!log->line.cut_off && prefix.len < PREFIX_MAX && (coloured || !is_blank(prefix))) {
        struct buf clean = {0};
        put_plain(&clean, prefix);
        enum stand stand =
            clean.failed ? STAND_NONE
                         : stand_alone(log, is_blank(buf_slice(&clean)) ? (struct slice){NULL, 0} : buf_slice(&clean),
                                       open, &end);
        buf_free(&clean);
        if (stand == STAND_CUT_OFF && log->more) return STEP_WAIT;
        if (stand == STAND_WHOLE && (kind = log_line_read(&log->line, buf_slice(&log->plain))) != LINE_BROKEN) {
            if ((log->code = object_done(log, kind))) return STEP_ON;
            log->at = end;
            return STEP_ON;
        }
    }
    /* The mistake in the last line, and that line has no end yet: what is missing may still come. */
    bool last = line_end(body, mistake) == body.len && (body.len == 0 || body.ptr[body.len - 1] != '\n');
    if (log->more && (log->line.cut_off || last)) return STEP_WAIT;
    bool ours = reject_cut(log, open, log->line.cut_off);
    size_t resume = line_start(body, mistake);
    log->at = resume > open ? resume : ours ? next_line(body, open) : open + 1;
    if (log->line.cut_off) log->at = body.len;
    return STEP_ON;
}

static int search(struct log *log) {
    struct slice body = log->body;
    while (log->at < body.len && !log->code) {
        find_line(log);
        enum step step = log->at == log->start ? take_cri(log) : STEP_ALONE;
        if (step == STEP_WAIT) break;
        if (step == STEP_ON) continue;
        size_t from = log->at, open = find_open(body, from, log->stop);
        if (open == log->stop) {
            struct slice rest = slice_make(body.ptr + from, log->stop - from);
            bool blank = is_blank(rest);
            if (log->stop == body.len && log->more && !blank) break; /* half a line */
            if (!blank && from == log->start) log->ignored++;
            log->at = log->stop < body.len ? log->stop + 1 : log->stop;
        } else {
            /* What stands before it on its line is a prefix, unless it is another object. */
            size_t start = from == log->start ? from : open;
            if (take_object(log, start, open) != STEP_WAIT) continue;
            log->at = start;
            break;
        }
    }
    return log->code;
}

static void free_buffers(struct log *log) {
    log_line_free(&log->line);
    buf_free(&log->plain);
    buf_free(&log->joined);
    buf_free(&log->taken);
}

int log_text_read(const struct log_line *outer, struct slice text, int64_t printed_ns, struct error *err) {
    if (outer->depth == INNER_DEPTH_MAX || !text.len) return 0;
    /* The text may lie in the outer build's arena, which is not used meanwhile. */
    struct log log = {.body = text, .number = 1};
    log.line = *outer;
    log.line.build = (struct raw_build){0};
    log.line.depth++;
    log.line.printed_ns = printed_ns;
    int code = search(&log);
    if (code && err) *err = log.line.err;
    free_buffers(&log);
    return code;
}

int log_decode(struct batch *batch, struct slice body, struct log_decode *options, struct error *err) {
    struct log log = {.body = body, .number = options->first_line ? options->first_line : 1, .more = options->more};
    log.line = (struct log_line){.batch = batch, .source = SOURCE_LOG, .resource.project = options->project};
    if (!body.ptr) log.body.ptr = "";
    if (slice_starts(body, SLICE("\xef\xbb\xbf"))) log.at = 3;
    const uint32_t first = log.number;
    int code = search(&log);
    count_to(&log, log.at);
    options->used = log.at;
    options->lines = log.number - first;
    options->ignored = log.ignored;
    if (code) {
        error_set(err, code, "%s", log.line.err.message);
        if (code == VT_ELIMIT) error_hint(err, "send the log in smaller pieces");
    }
    free_buffers(&log);
    return code;
}
