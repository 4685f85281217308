/* A small YAML file (prices, masking, sampling) as a tree of nodes. Not thread-safe. */
#ifndef SPAN_YAML_FILE_H
#define SPAN_YAML_FILE_H

#include "base/error.h"
#include "base/slice.h"

#include <yaml.h>

struct yaml_file {
    yaml_document_t doc;
    const char *path;
    bool open;
};

/* Reads the file whole, 1 MiB at most. VT_EIO, or VT_EINVAL with the line of the mistake. Close it in any case. */
int yaml_file_open(struct yaml_file *file, const char *path, struct error *err);
void yaml_file_close(struct yaml_file *file);

yaml_node_t *yaml_root(struct yaml_file *file); /* NULL: the file is empty */
/* The value at the key of a map, or NULL. */
yaml_node_t *yaml_member(struct yaml_file *file, yaml_node_t *map, const char *key);
/* The text of a scalar; empty for anything else and NULL. Lives as long as the file. */
struct slice yaml_text(const yaml_node_t *node);
/* Item i of a list, or NULL past its end and for anything else. */
yaml_node_t *yaml_item(struct yaml_file *file, yaml_node_t *list, size_t i);
/* Whether each key of the map is one of `keys` (NULL ends them); otherwise VT_EINVAL that names it. */
int yaml_check_keys(struct yaml_file *file, yaml_node_t *map, const char *const *keys, struct error *err);
static inline int yaml_line(const yaml_node_t *node) {
    return (int)node->start_mark.line + 1;
}

#endif
