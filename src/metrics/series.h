/* The numbers behind prometheus.h: series by their labels in one bounded hash table. Not thread-safe. */
#ifndef METRICS_SERIES_H
#define METRICS_SERIES_H

#include "base/arena.h"
#include "base/buf.h"
#include "span/span.h"

enum { HISTOGRAM_BUCKETS = 14 };

struct exemplar {
    uint8_t trace_id[TRACE_ID_SIZE];
    double value;
    int64_t at_ns; /* 0 = none */
};

struct histogram {
    double counts[HISTOGRAM_BUCKETS + 1]; /* each bucket's own, the last is +Inf; weights make them fractions */
    double sum, total;
};

extern const double token_bounds[HISTOGRAM_BUCKETS];    /* 1, 4, 16, … 67108864 */
extern const double duration_bounds[HISTOGRAM_BUCKETS]; /* seconds: 0.01, 0.02, … 81.92 */

void histogram_add(struct histogram *h, const double *bounds, double value, double weight);
int histogram_bucket(const double *bounds, double value);

enum { LABEL_SERVICE, LABEL_PROVIDER, LABEL_MODEL, LABEL_OPERATION, LABEL_STATUS, LABELS };

/* Their names: as the storefront's own metrics have them, and as OpenTelemetry's GenAI conventions do. */
enum label_style { LABELS_STOREFRONT, LABELS_GENAI, LABEL_STYLES };
extern const char *const label_names[LABEL_STYLES][LABELS];

struct series {
    struct slice labels[LABELS];
    struct slice text[LABEL_STYLES]; /* name="value",… of the same, as Prometheus' text formats have it */
    uint64_t hash;
    int64_t kind; /* KIND_LLM (and embeddings) or KIND_TURN */
    double count;
    double fallbacks, cost_usd;
    struct histogram duration, ttft, input, output;   /* seconds, seconds, tokens, tokens */
    struct exemplar exemplars[HISTOGRAM_BUCKETS + 1]; /* of duration */
};

struct series_table {
    struct arena arena; /* label texts */
    struct series **slots;
    uint32_t slot_count; /* a power of two */
    struct series **all; /* in order of first sight */
    uint32_t count, max, reserve;
    uint32_t refused; /* observations that went to an overflow series */
};

bool series_table_init(struct series_table *t, uint32_t max);
void series_table_free(struct series_table *t);
/* The series of these labels, or the overflow series; NULL only without memory. */
struct series *series_table_get(struct series_table *t, int64_t kind, const struct slice labels[LABELS]);
/* The series of just these labels, or NULL. */
const struct series *series_table_find(const struct series_table *t, int64_t kind, const struct slice labels[LABELS]);
/* name="value",… in the style asked for; labels without a value are left out. */
void series_put_labels(const struct series *s, enum label_style style, struct buf *out);

#endif
