/* Giving memory back: the process gets smaller, and goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long resident_kb(const char *name) {
    char line[256];
    long kb = -1;
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0) kb = strtol(line + strlen(name), NULL, 10);
    fclose(file);
    return kb;
}

static void code_is_let_go_and_comes_back(void **state) {
    static char written[4096] = "kept";
    char number[32];
    memcpy(written, "what was written", 17);
    snprintf(number, sizeof number, "%.3f", sqrt(2.0));
    long before_kb = resident_kb("RssFile:");
    memory_give_back();
    assert_true(resident_kb("RssFile:") < before_kb);
    assert_string_equal(written, "what was written");
    snprintf(number, sizeof number, "%.3f", sqrt(3.0));
    assert_string_equal(number, "1.732");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(code_is_let_go_and_comes_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
