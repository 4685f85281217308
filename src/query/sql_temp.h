/* Temporary files of SQLite (sorting, intermediate tables) with a limit on what one statement may put there. */
#ifndef QUERY_SQL_TEMP_H
#define QUERY_SQL_TEMP_H

#include <stdint.h>

/* The name of the VFS to open a connection with; NULL when it cannot be had. Any thread. */
const char *sql_temp_vfs(void);
/* From here on this thread's temporary files may grow to so many bytes together; past that writes fail with
 * SQLITE_FULL. */
void sql_temp_limit(uint64_t bytes);

#endif
