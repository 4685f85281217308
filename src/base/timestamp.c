/* Civil dates by era arithmetic (proleptic Gregorian), without the C library's locks and time zones. */
#include "base/timestamp.h"

#include <time.h>

static int64_t read_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t time_now_ns(void) {
    return read_clock(CLOCK_REALTIME);
}
int64_t time_monotonic_ns(void) {
    return read_clock(CLOCK_MONOTONIC);
}

/* Days since 1970-01-01 of a date, and back: years start in March, so that the leap day is the last of its year. */
static int64_t days_of(int64_t year, int64_t month, int64_t day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *year, int *month, int *day) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = y + era * 400 + (*month <= 2);
}

static char *put_digits(char *out, int64_t value, int count) {
    for (int i = count - 1; i >= 0; i--, value /= 10) out[i] = (char)('0' + value % 10);
    return out + count;
}

size_t time_format(int64_t ns, unsigned digits, char *out) {
    int64_t seconds = ns / NS_PER_S, fraction = ns % NS_PER_S;
    if (fraction < 0) fraction += NS_PER_S, seconds--;
    int64_t days = seconds / 86400, of_day = seconds % 86400;
    if (of_day < 0) of_day += 86400, days--;
    int64_t year;
    int month, day;
    date_of(days, &year, &month, &day);
    char *at = put_digits(out, year, 4);
    *at++ = '-', at = put_digits(at, month, 2);
    *at++ = '-', at = put_digits(at, day, 2);
    *at++ = 'T', at = put_digits(at, of_day / 3600, 2);
    *at++ = ':', at = put_digits(at, of_day / 60 % 60, 2);
    *at++ = ':', at = put_digits(at, of_day % 60, 2);
    *at++ = '.';
    at = put_digits(at,
                    digits >= 9   ? fraction
                    : digits >= 6 ? fraction / 1000
                                  : fraction / 1000000,
                    digits >= 9   ? 9
                    : digits >= 6 ? 6
                                  : 3);
    *at++ = 'Z';
    return (size_t)(at - out);
}

/* Exactly `count` digits within [low, high]. */
static bool take(struct slice *text, unsigned count, int low, int high, int *value) {
    if (text->len < count) return false;
    *value = 0;
    for (unsigned i = 0; i < count; i++) {
        char c = text->ptr[i];
        if (c < '0' || c > '9') return false;
        *value = *value * 10 + (c - '0');
    }
    *text = slice_from(*text, count);
    return *value >= low && *value <= high;
}

static bool take_char(struct slice *text, char c) {
    if (!text->len || *text->ptr != c) return false;
    *text = slice_from(*text, 1);
    return true;
}

static int64_t take_fraction(struct slice *text) {
    int64_t value = 0, scale = NS_PER_S;
    while (text->len && *text->ptr >= '0' && *text->ptr <= '9') {
        if (scale > 1) scale /= 10, value += (*text->ptr - '0') * scale;
        *text = slice_from(*text, 1);
    }
    return value;
}

bool time_parse(struct slice text, int64_t *ns) {
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day, hour = 0, minute = 0, second = 0, zone_hour = 0, zone_minute = 0, zone = 0;
    int64_t fraction = 0;
    if (!take(&text, 4, 1678, 2261, &year) || !take_char(&text, '-') || !take(&text, 2, 1, 12, &month) ||
        !take_char(&text, '-') || !take(&text, 2, 1, month_days[month - 1], &day))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month == 2 && day == 29 && !leap) return false;
    if (text.len) {
        if (!take_char(&text, 'T') && !take_char(&text, 't') && !take_char(&text, ' ')) return false;
        if (!take(&text, 2, 0, 23, &hour) || !take_char(&text, ':') || !take(&text, 2, 0, 59, &minute)) return false;
        if (take_char(&text, ':') && !take(&text, 2, 0, 60, &second)) return false;
        if (take_char(&text, '.') || take_char(&text, ',')) fraction = take_fraction(&text);
        if (text.len && (*text.ptr == '+' || *text.ptr == '-')) {
            zone = *text.ptr == '-' ? 1 : -1;
            text = slice_from(text, 1);
            if (!take(&text, 2, 0, 23, &zone_hour)) return false;
            take_char(&text, ':');
            if (!take(&text, 2, 0, 59, &zone_minute)) return false;
        } else if (!take_char(&text, 'Z')) {
            take_char(&text, 'z');
        }
    }
    if (text.len) return false;
    int64_t seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    *ns = (seconds + zone * (zone_hour * 3600 + zone_minute * 60)) * NS_PER_S + fraction;
    return true;
}
