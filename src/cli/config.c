/* The configuration file: a flat YAML mapping, by libyaml's document tree. */
#include "cli/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { CONFIG_BYTES_MAX = 1 << 20, CONFIG_ENTRIES_MAX = 1000 };

struct loader {
    struct config *config;
    struct arena *arena;
    yaml_document_t doc;
    struct error *err;
};

static unsigned line_of(const yaml_node_t *node) {
    return (unsigned)node->start_mark.line + 1;
}

static const char *scalar(struct loader *l, const yaml_node_t *node) {
    if (!node || node->type != YAML_SCALAR_NODE) return NULL;
    if (memchr(node->data.scalar.value, 0, node->data.scalar.length)) return NULL;
    return arena_copy(l->arena, slice_make(node->data.scalar.value, node->data.scalar.length)).ptr;
}

static int complain(struct loader *l, const yaml_node_t *node, const char *key, const char *expected) {
    return error_set(l->err, VT_EINVAL, "%s:%u: %s: expected %s", l->config->path, line_of(node), key, expected);
}

static int add(struct loader *l, const yaml_node_t *node, const char *key, const char *value) {
    if (l->config->count == CONFIG_ENTRIES_MAX)
        return error_set(l->err, VT_ELIMIT, "%s: more than %d settings", l->config->path, CONFIG_ENTRIES_MAX);
    l->config->entries[l->config->count++] = (struct config_entry){key, value, line_of(node)};
    return 0;
}

static int add_node(struct loader *l, const char *key, const yaml_node_t *node) {
    int code = 0;
    switch (node->type) {
    case YAML_SCALAR_NODE: {
        const char *value = scalar(l, node);
        bool nothing = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && value &&
                       (!*value || !strcmp(value, "~") || !strcmp(value, "null"));
        if (!value) return complain(l, node, key, "a text");
        return nothing ? 0 : add(l, node, key, value);
    }
    case YAML_SEQUENCE_NODE:
        for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top && !code;
             item++) {
            const yaml_node_t *each = yaml_document_get_node(&l->doc, *item);
            const char *value = scalar(l, each);
            code = value ? add(l, each, key, value) : complain(l, each, key, "a list of texts");
        }
        return code;
    case YAML_MAPPING_NODE:
        for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top && !code;
             pair++) {
            const yaml_node_t *each = yaml_document_get_node(&l->doc, pair->key);
            const char *name = scalar(l, each), *value = scalar(l, yaml_document_get_node(&l->doc, pair->value));
            if (!name || !value) return complain(l, each, key, "names with texts");
            code = add(l, each, key, arena_printf(l->arena, "%s=%s", name, value).ptr);
        }
        return code;
    default: return complain(l, node, key, "a text, a list or a mapping");
    }
}

static int add_all(struct loader *l) {
    const yaml_node_t *root = yaml_document_get_root_node(&l->doc);
    int code = 0;
    if (!root) return 0;
    if (root->type != YAML_MAPPING_NODE)
        return error_set(l->err, VT_EINVAL, "%s:%u: expected settings such as 'listen: 127.0.0.1:4318'",
                         l->config->path, line_of(root));
    for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top && !code;
         pair++) {
        const yaml_node_t *key = yaml_document_get_node(&l->doc, pair->key);
        const char *name = scalar(l, key);
        code =
            name ? add_node(l, name, yaml_document_get_node(&l->doc, pair->value)) : complain(l, key, "key", "a name");
    }
    return code;
}

int config_load(struct config *config, const char *path, struct arena *arena, struct error *err) {
    struct loader l = {.config = config, .arena = arena, .err = err};
    yaml_parser_t parser;
    int code = 0;
    *config =
        (struct config){.path = path, .entries = arena_calloc(arena, CONFIG_ENTRIES_MAX, sizeof *config->entries)};
    if (!config->entries || !yaml_parser_initialize(&parser)) return error_set(err, VT_ENOMEM, "no memory");
    FILE *file = fopen(path, "re");
    if (!file) {
        code = error_set(err, VT_EIO, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (fseek(file, 0, SEEK_END) == 0 && ftell(file) > CONFIG_BYTES_MAX) {
        code = error_set(err, VT_ELIMIT, "%s: larger than %d bytes", path, CONFIG_BYTES_MAX);
        goto out;
    }
    rewind(file);
    yaml_parser_set_input_file(&parser, file);
    if (!yaml_parser_load(&parser, &l.doc)) {
        code = error_set(err, VT_EINVAL, "%s:%zu: %s", path, parser.problem_mark.line + 1,
                         parser.problem ? parser.problem : "no YAML");
        goto out;
    }
    code = add_all(&l);
    yaml_document_delete(&l.doc);
out:
    yaml_parser_delete(&parser);
    if (file) fclose(file);
    return code;
}
