/* The story's spans as rows, for engines that take no Parquet files: the same seed as `bench_query fill`. */
#ifndef BENCH_QUERY_ROWS_H
#define BENCH_QUERY_ROWS_H

#include <stdint.h>
#include <stdio.h>

/* A table and three indexes in a new file. 0, or SQLite's code. */
int rows_to_sqlite(const char *path, uint64_t spans);
/* Tab-separated, columns as in span_columns, ids as their bytes. 0, or 1 when the file takes no more. */
int rows_to_tsv(FILE *file, uint64_t spans);

#endif
