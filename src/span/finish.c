/* A batch put together: traces of log lines, what children take from their parents, usage told twice, fallbacks. */
#include "span/normalise.h"
#include "span/settle.h"

void batch_finish(struct batch *batch) {
    uint32_t n = batch->count;
    struct arena arena = {0};
    const struct span **spans = arena_alloc(&arena, (n + 1) * sizeof *spans);
    struct settled *settled = arena_alloc(&arena, (n + 1) * sizeof *settled);
    for (uint32_t i = 0; spans && i < n; i++) spans[i] = &batch->spans[i];
    /* Applying changes no answer of settled_apply for another span: a text is taken only from spans that have their
     * own. */
    if (spans && settled && spans_settle(spans, n, &arena, settled))
        for (uint32_t i = 0; i < n; i++) settled_apply(spans, settled, i, &batch->spans[i]);
    arena_free(&arena);
}
