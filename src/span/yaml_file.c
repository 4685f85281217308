/* libyaml's document tree, with the few questions that we ask it. */
#include "span/yaml_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_BYTES_MAX = 1 << 20 };

int yaml_file_open(struct yaml_file *file, const char *path, struct error *err) {
    struct stat info;
    yaml_parser_t parser;
    *file = (struct yaml_file){.path = path};
    FILE *in = fopen(path, "rbe");
    if (!in) return error_set(err, VT_EIO, "%s: %s", path, strerror(errno));
    if (fstat(fileno(in), &info) || !S_ISREG(info.st_mode) || info.st_size > FILE_BYTES_MAX) {
        fclose(in);
        return error_set(err, VT_EIO, "%s: expected a file of at most %d bytes", path, FILE_BYTES_MAX);
    }
    int code = 0;
    if (!yaml_parser_initialize(&parser)) {
        fclose(in);
        return error_set(err, VT_ENOMEM, "%s: no memory", path);
    }
    yaml_parser_set_input_file(&parser, in);
    if (yaml_parser_load(&parser, &file->doc))
        file->open = true;
    else
        code = error_set(err, VT_EINVAL, "%s:%zu: %s", path, parser.problem_mark.line + 1,
                         parser.problem ? parser.problem : "it is no YAML");
    yaml_parser_delete(&parser);
    fclose(in);
    return code;
}

void yaml_file_close(struct yaml_file *file) {
    if (file->open) yaml_document_delete(&file->doc);
    file->open = false;
}

yaml_node_t *yaml_root(struct yaml_file *file) {
    return yaml_document_get_root_node(&file->doc);
}

struct slice yaml_text(const yaml_node_t *node) {
    return node && node->type == YAML_SCALAR_NODE ? slice_make(node->data.scalar.value, node->data.scalar.length)
                                                  : (struct slice){NULL, 0};
}

yaml_node_t *yaml_member(struct yaml_file *file, yaml_node_t *map, const char *key) {
    if (!map || map->type != YAML_MAPPING_NODE) return NULL;
    for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++)
        if (slice_is(yaml_text(yaml_document_get_node(&file->doc, pair->key)), key))
            return yaml_document_get_node(&file->doc, pair->value);
    return NULL;
}

yaml_node_t *yaml_item(struct yaml_file *file, yaml_node_t *list, size_t i) {
    if (!list || list->type != YAML_SEQUENCE_NODE) return NULL;
    yaml_node_item_t *first = list->data.sequence.items.start;
    return i < (size_t)(list->data.sequence.items.top - first) ? yaml_document_get_node(&file->doc, first[i]) : NULL;
}

int yaml_check_keys(struct yaml_file *file, yaml_node_t *map, const char *const *keys, struct error *err) {
    if (map->type != YAML_MAPPING_NODE)
        return error_set(err, VT_EINVAL, "%s:%d: expected keys and values", file->path, yaml_line(map));
    for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
        yaml_node_t *node = yaml_document_get_node(&file->doc, pair->key);
        struct slice key = yaml_text(node);
        size_t i = 0;
        while (keys[i] && !slice_is(key, keys[i])) i++;
        if (keys[i]) continue;
        char known[200] = "";
        for (i = 0; keys[i] && strlen(known) + strlen(keys[i]) + 3 < sizeof known; i++) {
            if (i) strcat(known, ", ");
            strcat(known, keys[i]);
        }
        return error_set(err, VT_EINVAL, "%s:%d: key \"%.*s\" is not known; expected %s", file->path, yaml_line(node),
                         key.len > 40 ? 40 : (int)key.len, key.ptr, known);
    }
    return 0;
}
