/* A percentile under way in SQL: what SQLite keeps for a group, by the same sketch as everywhere else. */
#ifndef QUERY_SQL_DIGEST_H
#define QUERY_SQL_DIGEST_H

#include "query/sketch.h"
#include "query/sql_functions.h"

struct digest {
    struct arena arena; /* of the sketch */
    struct sketch sketch;
    double quantile; /* 0 … 1; of the last step */
    bool failed;     /* a value could not be taken; the error is set already */
};

/* The group's, made at its first step. NULL when memory ran out, which is SQLite's error then. */
struct digest *sql_digest(sqlite3_context *c);
/* Says that a step's value could not be taken. */
void sql_digest_fail(sqlite3_context *c, struct digest *digest);
/* The aggregate's result, NULL of nothing; ends the digest. */
void sql_digest_final(sqlite3_context *c);

#endif
