/* The columns of `spans` and of `ai_storefront_traces`, and what each shows of a span. A table, so that a column is a
 * row here. */
#include "base/timestamp.h"
#include "query/filter_internal.h"
#include "query/sql_internal.h"

#include <stdio.h>

static const struct sql_column span_columns_list[] = {
    {"trace_id", SQL_ID, COL_TRACE_ID},
    {"span_id", SQL_ID, COL_SPAN_ID},
    {"parent_span_id", SQL_ID, COL_PARENT_SPAN_ID},
    {"start_ms", SQL_START_MS, COL_START_NS},
    {"start", SQL_TIME_US, COL_START_NS},
    {"start_ns", SQL_INT, COL_START_NS},
    {"end_ms", SQL_END_MS, COL_START_NS},
    {"duration_ms", SQL_MS, COL_DURATION_NS},
    {"ttft_ms", SQL_MS, COL_TTFT_NS},
    {"operation", SQL_TEXT, COL_OPERATION},
    {"kind", SQL_KIND, COL_KIND},
    {"status", SQL_STATUS, COL_STATUS},
    {"error", SQL_TEXT, COL_ERROR},
    {"service", SQL_TEXT, COL_SERVICE},
    {"project", SQL_TEXT, COL_PROJECT},
    {"provider", SQL_TEXT, COL_PROVIDER},
    {"model", SQL_TEXT, COL_MODEL},
    {"finish_reason", SQL_TEXT, COL_FINISH_REASON},
    {"temperature", SQL_DOUBLE, COL_TEMPERATURE},
    {"tokens_input", SQL_USAGE_INT, COL_TOKENS_INPUT},
    {"tokens_output", SQL_USAGE_INT, COL_TOKENS_OUTPUT},
    {"tokens_cached", SQL_USAGE_INT, COL_TOKENS_CACHED},
    {"tokens_cache_write", SQL_USAGE_INT, COL_TOKENS_CACHE_WRITE},
    {"tokens_reasoning", SQL_USAGE_INT, COL_TOKENS_REASONING},
    {"tokens_total", SQL_TOKENS_TOTAL, COL_TOKENS_INPUT},
    {"cost_usd", SQL_USAGE_DOUBLE, COL_COST_USD},
    {"reported_tokens_input", SQL_INT, COL_TOKENS_INPUT},
    {"reported_tokens_output", SQL_INT, COL_TOKENS_OUTPUT},
    {"reported_tokens_total", SQL_TOKENS_TOTAL_REPORTED, COL_TOKENS_INPUT},
    {"reported_cost_usd", SQL_DOUBLE, COL_COST_USD},
    {"usage_restated", SQL_FLAG, (enum col)SPAN_USAGE_RESTATED},
    {"estimated", SQL_FLAG, (enum col)SPAN_USAGE_ESTIMATED},
    {"fallback", SQL_FLAG, (enum col)SPAN_FALLBACK},
    {"sample_rate", SQL_DOUBLE, COL_SAMPLE_RATE},
    {"weight", SQL_WEIGHT, COL_SAMPLE_RATE},
    {"user_id", SQL_TEXT, COL_USER_ID},
    {"thread_id", SQL_TEXT, COL_THREAD_ID},
    {"turn_id", SQL_TEXT, COL_TURN_ID},
    {"prompt", SQL_TEXT, COL_PROMPT},
    {"completion", SQL_TEXT, COL_COMPLETION},
    {"attributes", SQL_TEXT, COL_ATTRIBUTES},
    {"events", SQL_TEXT, COL_EVENTS},
    {"resource", SQL_TEXT, COL_RESOURCE},
};

static const struct sql_column log_columns_list[] = {
    {"timestamp", SQL_TIME_MS, COL_START_NS},
    {"level", SQL_LEVEL, COL_STATUS},
    {"message", SQL_MESSAGE, COL_OPERATION},
    {"trace.traceId", SQL_ID, COL_TRACE_ID},
    {"trace.spanId", SQL_ID, COL_SPAN_ID},
    {"trace.parentSpanId", SQL_ID, COL_PARENT_SPAN_ID},
    {"trace.operation", SQL_TEXT, COL_OPERATION},
    {"trace.duration", SQL_DURATION_TEXT, COL_DURATION_NS},
    {"trace.status", SQL_LOG_STATUS, COL_STATUS},
    {"trace.error", SQL_TEXT, COL_ERROR},
    {"attributes", SQL_LOG_ATTRIBUTES, COL_ATTRIBUTES},
    {"events", SQL_TEXT, COL_EVENTS},
};

const struct sql_column_list sql_span_columns = {"spans", span_columns_list,
                                                 sizeof span_columns_list / sizeof *span_columns_list};
const struct sql_column_list sql_log_columns = {"ai_storefront_traces", log_columns_list,
                                                sizeof log_columns_list / sizeof *log_columns_list};

static const char *type_of(enum sql_form form) {
    switch (form) {
    case SQL_INT:
    case SQL_USAGE_INT:
    case SQL_TOKENS_TOTAL:
    case SQL_TOKENS_TOTAL_REPORTED:
    case SQL_START_MS:
    case SQL_END_MS:
    case SQL_FLAG: return "INTEGER";
    case SQL_DOUBLE:
    case SQL_USAGE_DOUBLE:
    case SQL_MS:
    case SQL_WEIGHT: return "REAL";
    default: return "TEXT";
    }
}

void sql_put_declaration(const struct sql_column_list *list, struct buf *out) {
    buf_puts(out, "CREATE TABLE x(");
    for (int i = 0; i < list->count; i++)
        buf_printf(out, "%s\"%s\" %s", i ? ", " : "", list->columns[i].name, type_of(list->columns[i].form));
    buf_puts(out, ")");
}

/* ---- showing ---- */

static const struct vec *column(struct sql_row *row, enum col col) {
    return block_column(row->block, col, &row->session->err);
}

static void give_text(sqlite3_context *c, struct slice text) {
    if (text.len) sqlite3_result_text64(c, text.ptr, text.len, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static void give_int(sqlite3_context *c, int64_t value) {
    if (value != SPAN_NO_INT) sqlite3_result_int64(c, value);
}

static bool show_id(struct sql_row *row, enum col col, sqlite3_context *c) {
    const struct vec *vec = column(row, col);
    char hex[TRACE_ID_HEX];
    if (!vec) return false;
    size_t width = span_columns[col].width;
    const uint8_t *id = vec->bytes + row->row * width;
    if (id_is_zero(id, width)) return true;
    hex_encode(id, width, hex);
    give_text(c, slice_make(hex, 2 * width));
    return true;
}

static bool show_number(struct sql_row *row, enum col col, sqlite3_context *c) {
    const struct vec *vec = column(row, col);
    if (!vec) return false;
    if (vec->type == COL_INT)
        give_int(c, vec->ints[row->row]);
    else if (!isnan(vec->doubles[row->row]))
        sqlite3_result_double(c, vec->doubles[row->row]);
    return true;
}

static bool show_usage(struct sql_row *row, enum col col, sqlite3_context *c) {
    const struct vec *flags = column(row, COL_FLAGS);
    if (!flags) return false;
    return flags->ints[row->row] & SPAN_USAGE_RESTATED ? true : show_number(row, col, c);
}

static bool show_tokens_total(struct sql_row *row, bool reported, sqlite3_context *c) {
    const struct vec *input = column(row, COL_TOKENS_INPUT), *output = input ? column(row, COL_TOKENS_OUTPUT) : NULL;
    const struct vec *flags = output ? column(row, COL_FLAGS) : NULL;
    if (!flags) return false;
    if (reported || !(flags->ints[row->row] & SPAN_USAGE_RESTATED))
        give_int(c, tokens_total(input->ints[row->row], output->ints[row->row]));
    return true;
}

static bool show_start(struct sql_row *row, enum sql_form form, sqlite3_context *c) {
    const struct vec *starts = column(row, COL_START_NS),
                     *durations = starts && form == SQL_END_MS ? column(row, COL_DURATION_NS) : starts;
    char text[TIME_TEXT_MAX];
    if (!durations) return false;
    int64_t ns = starts->ints[row->row];
    if (form == SQL_START_MS)
        sqlite3_result_int64(c, ns / NS_PER_MS);
    else if (form == SQL_END_MS)
        sqlite3_result_int64(c, (ns + durations->ints[row->row]) / NS_PER_MS);
    else
        give_text(c, slice_make(text, time_format(ns, form == SQL_TIME_US ? 6 : 3, text)));
    return true;
}

static bool show_ms(struct sql_row *row, enum col col, bool as_text, sqlite3_context *c) {
    const struct vec *vec = column(row, col);
    char text[32];
    if (!vec) return false;
    int64_t ns = vec->ints[row->row];
    if (ns == SPAN_NO_INT) return true;
    if (as_text)
        give_text(c, slice_make(text, (size_t)snprintf(text, sizeof text, "%lldms", (long long)(ns / NS_PER_MS))));
    else
        sqlite3_result_double(c, (double)ns / NS_PER_MS);
    return true;
}

static bool show_word(struct sql_row *row, enum sql_form form, sqlite3_context *c) {
    const struct vec *vec = column(row, form == SQL_KIND ? COL_KIND : COL_STATUS);
    const char *word;
    if (!vec) return false;
    int64_t value = vec->ints[row->row];
    switch (form) {
    case SQL_KIND: word = span_kind_names[value >= 0 && value < KIND_COUNT ? value : KIND_OTHER]; break;
    case SQL_STATUS: word = span_status_names[value >= 0 && value < STATUS_COUNT ? value : STATUS_UNSET]; break;
    case SQL_LEVEL: word = value == STATUS_ERROR ? "ERROR" : "INFO"; break;
    default: word = value == STATUS_ERROR ? "ERROR" : "OK"; break;
    }
    sqlite3_result_text(c, word, -1, SQLITE_STATIC);
    return true;
}

static bool show_flag(struct sql_row *row, int64_t bit, sqlite3_context *c) {
    const struct vec *flags = column(row, COL_FLAGS);
    if (!flags) return false;
    sqlite3_result_int(c, (flags->ints[row->row] & bit) != 0);
    return true;
}

static bool show_weight(struct sql_row *row, sqlite3_context *c) {
    const struct vec *rates = column(row, COL_SAMPLE_RATE);
    if (!rates) return false;
    double rate = rates->doubles[row->row];
    sqlite3_result_double(c, rate > 0 && rate < 1 ? 1 / rate : 1);
    return true;
}

static bool show_text(struct sql_row *row, enum col col, sqlite3_context *c) {
    struct slice text;
    if (!row->text(row, col, &text)) return false;
    give_text(c, text);
    return true;
}

static bool show_message(struct sql_row *row, sqlite3_context *c) {
    struct slice operation;
    struct buf message = {0};
    if (!row->text(row, COL_OPERATION, &operation)) return false;
    buf_puts(&message, "TRACE: ");
    buf_put_slice(&message, operation);
    give_text(c, buf_slice(&message));
    buf_free(&message);
    return true;
}

/* ---- the attributes of the log line ---- */

/* The names that the storefront's module writes, for spans of senders who call them otherwise. */
static const struct log_attribute {
    const char *name;
    enum sql_form form; /* SQL_TEXT, SQL_INT, SQL_DOUBLE, SQL_TOKENS_TOTAL_REPORTED */
    enum col col;
    bool turn; /* of a chat turn, else of an LLM call */
} log_attributes[] = {
    {"llm.vendor", SQL_TEXT, COL_PROVIDER, false},
    {"llm.request.model", SQL_TEXT, COL_MODEL, false},
    {"llm.request.temperature", SQL_DOUBLE, COL_TEMPERATURE, false},
    {"llm.usage.prompt_tokens", SQL_INT, COL_TOKENS_INPUT, false},
    {"llm.usage.completion_tokens", SQL_INT, COL_TOKENS_OUTPUT, false},
    {"llm.usage.total_tokens", SQL_TOKENS_TOTAL_REPORTED, COL_TOKENS_INPUT, false},
    {"user.id", SQL_TEXT, COL_USER_ID, false},
    {"thread.id", SQL_TEXT, COL_THREAD_ID, false},
    {"response.finish_reason", SQL_TEXT, COL_FINISH_REASON, false},
    {"chat.user_id", SQL_TEXT, COL_USER_ID, true},
    {"chat.thread_id", SQL_TEXT, COL_THREAD_ID, true},
    {"chat.turn_id", SQL_TEXT, COL_TURN_ID, true},
};

/* Which of the storefront's names the sender may have used itself: most senders use none of a family, which one look
 * says. */
static bool has_part(struct slice json, const char *part) {
    return json.len && memmem(json.ptr, json.len, part, strlen(part));
}

static bool has_key(struct slice json, const char *name) {
    char quoted[64];
    size_t len = strlen(name);
    quoted[0] = '"';
    memcpy(quoted + 1, name, len);
    memcpy(quoted + 1 + len, "\":", 3);
    return has_part(json, quoted);
}

/* False with the session's error set. Nothing is put for what is not known. */
static bool put_log_attribute(struct sql_row *row, const struct log_attribute *attribute, struct json_writer *w) {
    const struct vec *vec = attribute->form == SQL_TEXT ? NULL : column(row, attribute->col);
    struct slice text = {NULL, 0};
    int64_t whole = SPAN_NO_INT;
    double number = (double)NAN;
    if (attribute->form == SQL_TEXT ? !row->text(row, attribute->col, &text) : !vec) return false;
    if (attribute->form == SQL_DOUBLE)
        number = vec->doubles[row->row];
    else if (attribute->form == SQL_INT)
        whole = vec->ints[row->row];
    else if (attribute->form == SQL_TOKENS_TOTAL_REPORTED) {
        const struct vec *output = column(row, COL_TOKENS_OUTPUT);
        if (!output) return false;
        whole = tokens_total(vec->ints[row->row], output->ints[row->row]);
    }
    if (!text.len && whole == SPAN_NO_INT && isnan(number)) return true;
    json_put_key(w, attribute->name);
    if (text.len)
        json_put_string(w, text);
    else if (whole != SPAN_NO_INT)
        json_put_int(w, whole);
    else
        json_put_double(w, number);
    return true;
}

/* What was sent, and behind it what the storefront would have sent besides. */
static bool make_log_attributes(struct sql_row *row) {
    const struct vec *kinds = column(row, COL_KIND);
    struct slice sent, service;
    struct buf *out = &row->made;
    buf_clear(out);
    struct json_writer w = json_writer_on(out);
    bool fine = kinds && row->text(row, COL_ATTRIBUTES, &sent) && row->text(row, COL_SERVICE, &service);
    if (!fine) return false;
    bool llm = has_part(sent, "\"llm."), chat = has_part(sent, "\"chat."), ids = has_part(sent, ".id\":"),
         response = has_part(sent, "\"response.");
    json_open(&w, '{');
    if (service.len && !has_key(sent, "service.name")) json_put_key(&w, "service.name"), json_put_string(&w, service);
    if (sent.len > 2) {
        buf_puts(out, w.comma ? "," : "");
        buf_put(out, sent.ptr + 1, sent.len - 2);
        w.comma = true;
    }
    bool turn = kinds->ints[row->row] == KIND_TURN;
    for (size_t i = 0; fine && i < sizeof log_attributes / sizeof *log_attributes; i++) {
        const char *name = log_attributes[i].name;
        bool may_have = *name == 'l' ? llm : *name == 'c' ? chat : *name == 'r' ? response : ids;
        if (log_attributes[i].turn == turn && !(may_have && has_key(sent, name)))
            fine = put_log_attribute(row, &log_attributes[i], &w);
    }
    json_close(&w, '}');
    return fine;
}

static bool show_log_attributes(struct sql_row *row, sqlite3_context *c) {
    if (row->made_move != row->moves) {
        if (!make_log_attributes(row)) return false;
        row->made_move = row->moves;
    }
    give_text(c, buf_slice(&row->made));
    return true;
}

bool sql_column_show(struct sql_row *row, const struct sql_column *column, sqlite3_context *c) {
    switch (column->form) {
    case SQL_ID: return show_id(row, column->col, c);
    case SQL_TEXT: return show_text(row, column->col, c);
    case SQL_INT:
    case SQL_DOUBLE: return show_number(row, column->col, c);
    case SQL_USAGE_INT:
    case SQL_USAGE_DOUBLE: return show_usage(row, column->col, c);
    case SQL_TOKENS_TOTAL: return show_tokens_total(row, false, c);
    case SQL_TOKENS_TOTAL_REPORTED: return show_tokens_total(row, true, c);
    case SQL_START_MS:
    case SQL_END_MS:
    case SQL_TIME_US:
    case SQL_TIME_MS: return show_start(row, column->form, c);
    case SQL_MS: return show_ms(row, column->col, false, c);
    case SQL_DURATION_TEXT: return show_ms(row, column->col, true, c);
    case SQL_KIND:
    case SQL_STATUS:
    case SQL_LEVEL:
    case SQL_LOG_STATUS: return show_word(row, column->form, c);
    case SQL_FLAG: return show_flag(row, (int64_t)column->col, c);
    case SQL_WEIGHT: return show_weight(row, c);
    case SQL_MESSAGE: return show_message(row, c);
    case SQL_LOG_ATTRIBUTES: return show_log_attributes(row, c);
    }
    return true;
}
