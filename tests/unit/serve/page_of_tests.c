/* A page of two files in place of the real one: "<!doctype html><title>the page</title>\n" and a script of 316 bytes,
 * packed. */
#include "serve/assets.h"

static const unsigned char html[] = {31,  139, 8,   0,   0,   0,   0,   0,  2,   3,   179, 81,  76,  201,
                                     79,  46,  169, 44,  72,  85,  200, 40, 201, 205, 177, 179, 41,  201,
                                     44,  201, 73,  181, 43,  201, 72,  85, 40,  72,  76,  79,  181, 209,
                                     135, 240, 185, 0,   184, 205, 1,   2,  39,  0,   0,   0};
static const unsigned char script[] = {31,  139, 8,  0,   0,   0,   0,   0,   2,  3,  75, 206, 207, 43,
                                       206, 207, 73, 213, 203, 201, 79,  215, 80, 79, 28, 5,   68,  3,
                                       117, 77,  46, 0,   56,  136, 212, 191, 60, 1,  0,  0};

const struct asset assets[] = {
    {"/index.html", "text/html; charset=utf-8", "\"1111\"", html, sizeof html, false},
    {"/app-2222.js", "text/javascript; charset=utf-8", "\"2222\"", script, sizeof script, true},
};
const size_t asset_count = 2;
