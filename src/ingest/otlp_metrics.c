/* OTLP metrics: only counted. A path through the message leads to the data points, field numbers in protobuf, keys in
 * JSON. */
#include "ingest/ingest.h"

#include "base/json.h"
#include "base/pb.h"

/* Request → ResourceMetrics → ScopeMetrics → Metric → gauge, sum, histogram, … → data points. */
enum { LEVELS = 5, METRIC = 3 };
static const uint32_t numbers[LEVELS][5] = {{1}, {2}, {2}, {5, 7, 9, 10, 11}, {1}};

static int count_protobuf(struct slice bytes, int level, uint64_t *points) {
    const uint8_t *at = pb_bytes(bytes), *end = at + bytes.len;
    struct pb_field field = {0};
    int code;
    while ((code = pb_step(&at, end, &field)) > 0) {
        bool on_path = false;
        for (int i = 0; i < 5; i++) on_path |= numbers[level][i] && field.number == numbers[level][i];
        if (!on_path || field.wire != PB_BYTES) continue;
        if (level == LEVELS - 1)
            ++*points;
        else if ((code = count_protobuf(field.bytes, level + 1, points)))
            return code;
    }
    return code;
}

int otlp_metrics_count_protobuf(struct slice body, uint64_t *points, struct error *err) {
    *points = 0;
    int code = count_protobuf(body, 0, points);
    return code ? error_set(err, VT_EINVAL, "ExportMetricsServiceRequest: %s", pb_mistakes[-code]) : 0;
}

static const char *const keys[LEVELS][2] = {{"resourceMetrics", "resource_metrics"},
                                            {"scopeMetrics", "scope_metrics"},
                                            {"metrics", "metrics"},
                                            {NULL, NULL},
                                            {"dataPoints", "data_points"}};

static void count_json(struct json_reader *r, int level, uint64_t *points) {
    struct slice key;
    if (json_peek(r) != JSON_OBJECT) {
        json_skip(r, NULL);
        return;
    }
    json_object(r);
    while (json_key(r, &key)) {
        enum json_type type = json_peek(r);
        if (level == METRIC) { /* whatever kind it is: its data points are looked for in it */
            count_json(r, level + 1, points);
        } else if (type != JSON_ARRAY || !(slice_is(key, keys[level][0]) || slice_is(key, keys[level][1]))) {
            json_skip(r, NULL);
        } else {
            json_array(r);
            while (json_item(r)) {
                if (level == LEVELS - 1)
                    ++*points, json_skip(r, NULL);
                else
                    count_json(r, level + 1, points);
            }
        }
    }
}

int otlp_metrics_count_json(struct slice body, uint64_t *points, struct error *err) {
    struct arena arena = {0};
    struct json_reader r;
    *points = 0;
    json_reader_init(&r, body, &arena);
    if (json_peek(&r) != JSON_OBJECT) json_fail(&r, "expected an object with resourceMetrics");
    count_json(&r, 0, points);
    bool good = json_end(&r);
    arena_free(&arena);
    return good ? 0 : error_set(err, r.err.code, "%s", r.err.message);
}
