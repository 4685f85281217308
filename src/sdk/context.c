/* The stack of what is current on a thread, and contexts as values. */
#include "sdk/carried.h"
#include "sdk/span.h"

#include <stdlib.h>

static bool is_open(const struct scope *scope) {
    return !scope->handle || slot_find((void *)scope->handle);
}

static void pop(struct thread *self) {
    struct scope *scope = &self->stack[--self->depth];
    if (__builtin_expect(scope->carried != NULL, 0)) carried_drop(scope->carried);
}

struct scope *scope_current(struct thread *self) {
    while (self->depth && !is_open(&self->stack[self->depth - 1])) pop(self);
    return self->depth ? &self->stack[self->depth - 1] : NULL;
}

void scope_ended(struct thread *self, uintptr_t handle) {
    if (self->depth && self->stack[self->depth - 1].handle == handle) pop(self);
}

/* Spans that ended elsewhere or out of order leave holes; close them before more memory is taken. */
static void close_holes(struct thread *self) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < self->depth; i++) {
        if (is_open(&self->stack[i]))
            self->stack[kept++] = self->stack[i];
        else
            carried_drop(self->stack[i].carried);
    }
    self->depth = kept;
}

static bool grow(struct thread *self) {
    close_holes(self);
    if (self->depth <= self->stack_cap / 2) return true;
    if (self->stack_cap > SLOT_MAX) return false;
    uint32_t cap = self->stack_cap * 2;
    bool own = self->stack != self->first_scopes;
    struct scope *bigger = realloc(own ? self->stack : NULL, cap * sizeof *bigger);
    if (!bigger) return false;
    if (!own) memcpy(bigger, self->stack, self->depth * sizeof *bigger);
    self->stack = bigger;
    self->stack_cap = cap;
    return true;
}

struct scope *scope_push(struct thread *self) {
    if (self->depth == self->stack_cap && !grow(self)) return NULL;
    struct scope *scope = &self->stack[self->depth++];
    memset(scope, 0, sizeof *scope);
    return scope;
}

vt_context vt_context_current(void) {
    struct scope *scope = thread_this ? scope_current(thread_this) : NULL;
    return scope ? scope->context : (vt_context){{0}, {0}, 0, 0, {0}, 0};
}

vt_context vt_span_context(vt_span *handle) {
    vt_context context = {{0}, {0}, 0, 0, {0}, 0};
    struct span *span = slot_find(handle);
    if (!span) return context;
    memcpy(context.trace_id, span->record.trace_id, sizeof context.trace_id);
    memcpy(context.span_id, span->record.span_id, sizeof context.span_id);
    context.flags = span->record.flags;
    context.carried = span->carried ? span->carried->number : 0;
    return context;
}

static bool same_place(const vt_context *a, const vt_context *b) {
    return !memcmp(a->span_id, b->span_id, sizeof a->span_id) && !memcmp(a->trace_id, b->trace_id, sizeof a->trace_id);
}

void vt_context_attach(vt_context context) {
    static const vt_context nowhere;
    struct thread *self = limits_now() ? thread_self() : thread_this;
    if (!self) return;
    if (same_place(&context, &nowhere) && !context.carried) {
        while (self->depth) pop(self);
        return;
    }
    struct scope *current = scope_current(self);
    /* Going back to where one was before: what came after is over. */
    for (uint32_t i = self->depth; i-- > 0;) {
        if (!same_place(&self->stack[i].context, &context) || !is_open(&self->stack[i])) continue;
        while (self->depth > i + 1) pop(self);
        if (self->stack[i].context.carried == context.carried) return;
        current = &self->stack[i];
        break;
    }
    if (current && !current->handle) pop(self); /* one attached context takes the place of another */
    struct scope *scope = scope_push(self);
    if (!scope) return;
    scope->carried = carried_find(context.carried);
    scope->context = context;
    if (!scope->carried) scope->context.carried = 0;
}
