/* A line on stderr that says how far a long job is. */
#include "cli/progress.h"

#include "base/timestamp.h"
#include "cli/shape.h"
#include "cli/text.h"

#include <math.h>

enum { BAR_WIDTH = 24, EACH_MS = 100, RATE_AFTER_MS = 300 };

void progress_start(struct progress *p, struct cli *cli, const char *what, const char *noun) {
    *p = (struct progress){
        .term = cli->err.tty ? &cli->err : NULL, .what = what, .noun = noun, .start_ns = time_monotonic_ns()};
}

double progress_seconds(const struct progress *p) {
    return (double)(time_monotonic_ns() - p->start_ns) / 1e9;
}

static void put_line(struct progress *p, struct buf *line, uint64_t done, uint64_t total, uint64_t count) {
    double seconds = progress_seconds(p), share = total ? (double)done / (double)total : 0,
           rate = seconds > 0 ? (double)done / seconds : 0;
    struct buf name = {0};
    text_clean(&name, slice_of(p->what), false);
    text_put_cut(line, buf_slice(&name), 32);
    buf_free(&name);
    buf_puts(line, "  ");
    if (total) {
        buf_puts(line, term_on(p->term, STYLE_ACCENT));
        say_bar(line, share, BAR_WIDTH);
        buf_puts(line, term_off(p->term, STYLE_ACCENT));
        buf_printf(line, " %3.0f %%  ", floor(share * 100));
    }
    if (!p->bare) {
        say_bytes(line, (double)done);
        if (seconds * 1000 > RATE_AFTER_MS) {
            buf_puts(line, "  ");
            say_bytes(line, rate);
            buf_puts(line, "/s");
        }
        buf_puts(line, "  ");
    }
    say_count(line, (double)count);
    buf_printf(line, " %s", p->noun);
    if (total > done && rate > 0 && seconds * 1000 > RATE_AFTER_MS) {
        buf_puts(line, "  ETA ");
        say_ms(line, ceil((double)(total - done) / rate) * 1000);
    }
}

void progress_show(struct progress *p, uint64_t done, uint64_t total, uint64_t count) {
    struct error ignored;
    int64_t now = time_monotonic_ns();
    if (!p->term || now - p->shown_ns < (int64_t)EACH_MS * NS_PER_MS) return;
    struct buf line = {0};
    put_line(p, &line, done, total, count);
    term_measure(p->term);
    term_puts(p->term, "\r");
    /* Never wider than the terminal: a line that wraps could not be taken back. The codes of the bar take no column. */
    size_t codes = strlen(term_on(p->term, STYLE_ACCENT)) + strlen(term_off(p->term, STYLE_ACCENT));
    struct slice shown = text_fit(buf_slice(&line), p->term->width - 1 + (total ? codes : 0));
    buf_put_slice(&p->term->buf, shown);
    term_puts(p->term, shown.len < line.len ? term_off(p->term, STYLE_ACCENT) : "");
    term_puts(p->term, "\033[K");
    term_flush(p->term, &ignored);
    buf_free(&line);
    p->shown_ns = now;
    p->visible = true;
}

void progress_clear(struct progress *p) {
    struct error ignored;
    if (!p->term || !p->visible) return;
    term_puts(p->term, "\r\033[K");
    term_flush(p->term, &ignored);
    p->visible = false;
}
