/* What went wrong, for a person: a code for the program, a message with the offending value and what to do about it.
 * Functions that can fail return 0 or a negative VT_E… and fill *err when err is not NULL. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

enum vt_error_code {
    VT_EINVAL = -1,       /* the input has no meaning; the message says which field and what was expected */
    VT_ELIMIT = -2,       /* a limit on size, depth or count was passed */
    VT_ENOMEM = -3,       /* memory ran out */
    VT_EIO = -4,          /* the operating system refused; the message has strerror */
    VT_EFULL = -5,        /* a queue or disk is full for now: try again later */
    VT_ECORRUPT = -6,     /* stored bytes do not match their checksum or format */
    VT_ENOTFOUND = -7,    /* nothing has that name */
    VT_EDENIED = -8,      /* a key is missing or its scope does not reach */
    VT_ETIMEOUT = -9,     /* not done within its time */
    VT_ECANCELLED = -10,  /* the one who asked has gone, or the program stops */
    VT_EUNSUPPORTED = -11 /* known, but not taken here */
};

struct error {
    int code;          /* 0 or VT_E… */
    int column;        /* 1-based position in a text that was parsed, 0 where there is none */
    char message[512]; /* one sentence, no trailing newline */
    char hint[256];    /* what to do about it; may be empty */
};

/* Fills err (which may be NULL) and returns code, so that `return error_set(err, VT_EINVAL, "…")` reads well.
 * Clears hint and column. */
int error_set(struct error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Adds the hint; keeps the rest. Returns err's code. */
int error_hint(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "invalid", "limit", …: the word for a code that the HTTP API shows. */
const char *error_name(int code);

#endif
