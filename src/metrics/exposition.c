/* See exposition.h. */
#include "metrics/exposition.h"

#include "base/format.h"

#include <math.h>
#include <stdio.h>

void exposition_put_label(struct buf *out, bool first, const char *name, struct slice value) {
    if (!value.len) return;
    if (!first) buf_putc(out, ',');
    buf_puts(out, name);
    buf_puts(out, "=\"");
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '\\' || c == '"')
            buf_putc(out, '\\'), buf_putc(out, c);
        else if (c == '\n')
            buf_puts(out, "\\n");
        else
            buf_putc(out, c);
    }
    buf_putc(out, '"');
}

/* A sum of fractions has dust behind its ninth decimal, which is below what was measured. */
static char *put_decimal(char *out, double value) {
    uint64_t billionths = (uint64_t)(value * 1e9 + 0.5), fraction = billionths % 1000000000;
    int decimals = 9;
    out = format_uint(out, billionths / 1000000000);
    if (!fraction) return out;
    while (fraction % 10 == 0) fraction /= 10, decimals--;
    *out++ = '.';
    for (int i = decimals; i-- > 0; fraction /= 10) out[i] = (char)('0' + fraction % 10);
    return out + decimals;
}

char *exposition_number(char *out, double value) {
    if (value >= 0 && value < 1e15 && value == (double)(uint64_t)value) return format_uint(out, (uint64_t)value);
    if (value >= 1e-3 && value < 9e6) return put_decimal(out, value);
    if (isnan(value)) return memcpy(out, "NaN", 3), out + 3;
    if (isinf(value)) return memcpy(out, value > 0 ? "+Inf" : "-Inf", 4), out + 4;
    return format_double(out, value);
}

void prometheus_put_type(struct buf *out, bool openmetrics, const char *family, const char *type, const char *help) {
    /* Prometheus text names a counter by its sample, OpenMetrics by its family. */
    const char *total = !openmetrics && strcmp(type, "counter") == 0 ? "_total" : "";
    buf_printf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", family, total, help, family, total, type);
}

void prometheus_put_sample(struct buf *out, const char *name, const char *const *labels, double value) {
    char number[EXPOSITION_NUMBER_MAX];
    buf_puts(out, name);
    for (int i = 0; labels && labels[i]; i += 2) {
        if (i == 0) buf_putc(out, '{');
        exposition_put_label(out, i == 0, labels[i], slice_of(labels[i + 1]));
    }
    buf_puts(out, labels && labels[0] ? "} " : " ");
    buf_put(out, number, (size_t)(exposition_number(number, value) - number));
    buf_putc(out, '\n');
}
