/* The commands, one file each (or a few that are alike); their rows stand in commands.c. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/shared.h"

extern const struct command command_serve, command_import;
extern const struct command command_traces, command_trace, command_threads, command_thread, command_users, command_tail;
extern const struct command command_overview, command_query, command_sql, command_services;
extern const struct command command_export, command_delete, command_keys_add, command_keys_list, command_keys_revoke,
    command_prices, command_prices_recompute, command_dashboards;
extern const struct command command_alerts_list, command_alerts_check, command_alerts_test, command_alerts_run,
    command_alerts_silence;
extern const struct command command_doctor, command_demo;
extern const struct command command_help, command_completion;

#endif
