/* Texts put together at random from secrets, near misses and what stands between. */
#ifndef TEST_SECRET_TEXTS_H
#define TEST_SECRET_TEXTS_H

#include "base/slice.h"

#include <stdlib.h>

/* Pieces that secrets are made of, written apart so that nobody takes them for some. */
static const char *const pieces[] = {
    "jane.doe",
    "+shop",
    "@",
    "mail.",
    "example",
    ".co.uk",
    ".com",
    "-",
    "_",
    ".",
    "..",
    "%",
    "a@b.de",
    "@x.y",
    "@-a.com",
    ".museum-",
    "1x",
    "+49",
    "+1",
    "0049 ",
    "00",
    "(171)",
    " (0)",
    "171",
    "1234567",
    "555",
    "-123-",
    "4567",
    "030",
    "/",
    "0171 ",
    " ",
    "  ",
    ",",
    "\n",
    "\t",
    "4111",
    "1111 1111 1111 1111",
    "-1111",
    "5500005555555559",
    "378282246310005",
    "12/26",
    "2026-11-23",
    "18:59:51.722",
    "1795460391722",
    "s"
    "k-",
    "proj-",
    "ant-api03-",
    "s"
    "k-lf-",
    "p"
    "k-lf-",
    "0123456789abcdef",
    "89ab-cdef-",
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOP",
    "AI"
    "za",
    "ya"
    "29.",
    "AK"
    "IA",
    "AS"
    "IA",
    "gh"
    "p_",
    "gh"
    "z_",
    "github_"
    "pat_",
    "gl"
    "pat-",
    "xo"
    "xb-",
    "xo"
    "xz-",
    "xa"
    "pp-",
    "s"
    "k_live_",
    "r"
    "k_test_",
    "wh"
    "sec_",
    "h"
    "f_",
    "gs"
    "k_",
    "x"
    "ai-",
    "pp"
    "lx-",
    "r"
    "8_",
    "f"
    "w_",
    "S"
    "G.",
    "np"
    "m_",
    "py"
    "pi-",
    "do"
    "p_v1_",
    "sq0"
    "atp-",
    "sq0"
    "csp-",
    "lsv"
    "2_pt_",
    "ey"
    "J",
    "ey"
    "Jhbciojiuzi1nij9",
    ".ey"
    "Jzdwiiojeymzq1njc4",
    "Bearer ",
    "BEARER",
    "=",
    "==",
    "~",
    "-----BEGIN ",
    "RSA ",
    "PRIVATE KEY",
    "-----",
    "-----END ",
    "PRIVATE",
    "\xc3\xbc",
    "\xe2\x82\xac",
    "\xf0\x9f\xa7\xa5",
    "\xff",
    "x",
    "Q",
    "7",
    "0",
};
enum { PIECES = sizeof pieces / sizeof *pieces, TEXT_MAX = 600 };

static unsigned seed;
static unsigned dice(unsigned faces) {
    return (unsigned)rand_r(&seed) % faces;
}

/* Ranges of pieces that belong together come up together, so that whole secrets do too. */
static struct slice make_text(char *out) {
    size_t len = 0;
    unsigned count = 1 + dice(14), home = dice(PIECES);
    while (count--) {
        unsigned piece = dice(3) ? (home + dice(16)) % PIECES : dice(PIECES);
        size_t n = strlen(pieces[piece]), times = dice(6) ? 1 : 1 + dice(3);
        if ((unsigned char)*pieces[piece] == 0xff) continue; /* UTF-8 alone */
        while (times-- && len + n < TEXT_MAX) memcpy(out + len, pieces[piece], n), len += n;
    }
    if (len && !dice(4) && !(out[len / 2] & 0x80)) out[len / 2] = pieces[dice(PIECES)][0] & 0x7f;
    return slice_make(out, len);
}

#endif
