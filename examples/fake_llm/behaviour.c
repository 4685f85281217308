/* The words of a behaviour. */
#include "behaviour.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t offset;
    long most;
} words[] = {
    {"status", offsetof(struct behaviour, status), 599},
    {"delay_ms", offsetof(struct behaviour, delay_ms), 600000},
    {"ttft_ms", offsetof(struct behaviour, ttft_ms), 600000},
    {"chunk_ms", offsetof(struct behaviour, chunk_ms), 60000},
    {"cut", offsetof(struct behaviour, cut), 1000000},
};

static bool set_word(struct behaviour *behaviour, const char *name, const char *value) {
    if (strcmp(name, "usage") == 0) {
        behaviour->no_usage = strcmp(value, "no") == 0;
        return behaviour->no_usage || strcmp(value, "yes") == 0;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(name, words[i].name) != 0) continue;
        char *end;
        long number = strtol(value, &end, 10);
        if (end == value || *end || number < 0 || number > words[i].most) return false;
        *(long *)(void *)((char *)behaviour + words[i].offset) = number;
        return true;
    }
    return false;
}

bool behaviour_parse(const char *text, struct behaviour *behaviour, char *bad, size_t size) {
    char copy[512], *rest = NULL;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, ", ", &rest); word; word = strtok_r(NULL, ", ", &rest)) {
        char *equals = strchr(word, '=');
        if (equals) *equals = 0;
        if (!equals || !set_word(behaviour, word, equals + 1)) {
            snprintf(bad, size, "%s", word);
            return false;
        }
    }
    return true;
}
