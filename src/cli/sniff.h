/* What a file holds, by its beginning; and where its records end, so that it can be sent in pieces. Pure functions. */
#ifndef CLI_SNIFF_H
#define CLI_SNIFF_H

#include "base/slice.h"

enum form {
    FORM_LINES,     /* trace log lines: JSON lines, an array, console text, exported spans */
    FORM_OTLP_JSON, /* ExportTraceServiceRequest or ExportLogsServiceRequest, one or several, laid out or a line each */
    FORM_OTLP_PROTOBUF, /* ExportTraceServiceRequest */
    FORM_OTLP_FRAMED,   /* the same, each behind its length in 4 bytes (OpenTelemetry Collector's file exporter) */
    FORM_CONVEX,        /* log stream events: an array or lines */
    FORM_COUNT
};
enum { SNIFF_BYTES = 64 << 10 }; /* that many of its first bytes are enough */

const char *form_name(enum form form); /* for people */
/* "lines", "otlp-json", "otlp-proto", "otlp-proto-framed", "convex": as --format takes it; ends with NULL */
extern const char *const form_words[];
enum form sniff(struct slice head);

/* The JSON value that begins at or behind text[*at], past white space, commas and, when `inside`, the brackets of an
 * array around all. True: *value is it and *at stands behind it. False: it is not whole, or nothing but separators is
 * left (then *at stands at the end, and value->len is 0). Checks brackets and strings only. */
bool next_json_value(struct slice text, size_t *at, bool inside, struct slice *value);
/* The protobuf field number 1 (length-delimited) at text[*at], with its tag. False: it is not whole (*more = bytes that
 * are missing at least), or no such field (*more = 0). */
bool next_pb_record(struct slice text, size_t *at, struct slice *record, size_t *more);

#endif
