/* Attributes by index. */
#include "query/block_attr.h"

#include "base/json.h"

static int no_memory(struct error *err) {
    return error_set(err, VT_ELIMIT, "the request needs more memory than one may hold");
}

/* As it stands in JSON, with quotes; empty when that is too long to be in an index. */
static struct slice quoted(struct slice key, struct arena *arena) {
    char *room = key.len <= ATTR_KEY_MAX ? arena_alloc(arena, ATTR_QUOTED_MAX) : NULL;
    struct buf text = {.ptr = room, .cap = ATTR_QUOTED_MAX, .limit_bytes = ATTR_QUOTED_MAX};
    if (!room || !attr_quote(key, &text)) return (struct slice){NULL, 0};
    return buf_slice(&text);
}

/* What the resources say, by code behind `from`; *codes = NULL when none of them says anything. */
static int read_resources(struct block *block, struct slice key, const struct slice **dict, uint32_t *count,
                          const uint32_t **codes, struct error *err) {
    struct attr_value value;
    bool some = false;
    int code = rowgroup_read_dictionary(block->group, COL_RESOURCE, &block->arena, dict, count, err);
    for (uint32_t i = 0; i < *count && !code && !some; i++) some = attr_find((*dict)[i], key, &block->arena, &value);
    *codes = NULL;
    if (code || !some) return code;
    const struct vec *vec = block_codes(block, COL_RESOURCE, err);
    if (!vec) return err->code;
    *codes = vec->codes;
    return 0;
}

int block_attr(struct block *block, struct slice key, const uint32_t *rows, uint32_t count, struct block_attr *out,
               struct error *err) {
    struct attr_codes own;
    struct slice name = quoted(key, &block->arena);
    const struct slice *resources;
    const uint32_t *of_resource;
    uint32_t resource_count;
    *out = (struct block_attr){0};
    if (!name.len || !block->group->segment) return 0;
    int code = rowgroup_attribute(block->group, name, &block->arena, &own, err);
    if (code || (!own.absent && !own.codes8 && !own.codes16)) return code;
    if ((code = read_resources(block, key, &resources, &resource_count, &of_resource, err))) return code;
    uint32_t first = own.absent ? 1 : own.dict_count; /* of the resources' codes */
    struct attr_value *values = arena_calloc(&block->arena, (size_t)first + resource_count + 1, sizeof *values);
    uint32_t *codes = arena_alloc(&block->arena, block->group->rows * sizeof *codes + 1);
    uint32_t *known = arena_alloc(&block->arena, first * sizeof *known);
    if (!values || !codes || !known) return no_memory(err);
    for (uint32_t c = 0; c < first; c++) {
        bool there = !own.absent && own.dict[c].len && attr_read(own.dict[c], &block->arena, &values[c]);
        known[c] = there ? c : first;
    }
    for (uint32_t c = 0; c < resource_count && of_resource; c++)
        attr_find(resources[c], key, &block->arena, &values[first + c]);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = rows[i], c = own.codes8 ? own.codes8[row] : own.codes16 ? own.codes16[row] : 0;
        codes[row] = known[c] == first && of_resource ? first + of_resource[row] : known[c];
    }
    *out = (struct block_attr){codes, values, first + resource_count + 1};
    return 0;
}
