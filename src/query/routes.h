/* The routes, a row each: method, pattern, what is read from the query, handler, summary. api.c makes its tables of it.
 */
#ifndef QUERY_ROUTES_H
#define QUERY_ROUTES_H

#define QUERY_ROUTES(ROUTE)                                                                                            \
    ROUTE("GET", "/api/v1/traces", TAKES_RANGE | TAKES_FILTER | TAKES_LIMIT | TAKES_CURSOR, traces_list,               \
          "Traces, newest first")                                                                                      \
    ROUTE("GET", "/api/v1/traces/{id}", TAKES_WHOLE_TRACES, traces_get, "One trace with all its spans")                \
    ROUTE("POST", "/api/v1/query", 0, query_post, "Aggregates by groups and steps of time")                            \
    ROUTE("GET", "/api/v1/facets", TAKES_RANGE | TAKES_FILTER | TAKES_LIMIT, facets_get,                               \
          "The most frequent values of fields")                                                                        \
    ROUTE("POST", "/api/v1/sql", 0, sql_post, "One read-only SQL statement over the spans")                            \
    ROUTE("POST", "/api/v1/scores", 0, scores_post, "What somebody thinks of a trace or span")                         \
    ROUTE("GET", "/api/v1/scores", TAKES_LIMIT | TAKES_CURSOR, scores_get, "Scores, in the order in which they came")  \
    ROUTE("GET", "/api/v1/threads", TAKES_RANGE | TAKES_FILTER | TAKES_LIMIT | TAKES_CURSOR, threads_list,             \
          "Conversations")                                                                                             \
    ROUTE("GET", "/api/v1/threads/{id}", 0, threads_get, "One conversation, turn by turn")                             \
    ROUTE("GET", "/api/v1/overview", TAKES_RANGE | TAKES_FILTER, overview_get,                                         \
          "How the storefront does: quality, cost, trend, models")                                                     \
    ROUTE("GET", "/api/v1/services", TAKES_RANGE | TAKES_FILTER, services_get, "Who calls whom")                       \
    ROUTE("GET", "/api/v1/users", TAKES_RANGE | TAKES_FILTER | TAKES_LIMIT, users_list, "Who calls, and what it costs")

#endif
