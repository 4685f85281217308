/* The table of commands. A new one is a row here and a file of its own. */
#include "cli/commands.h"

static const struct command *const running[] = {&command_serve, &command_import, &command_demo, &command_doctor, NULL};
static const struct command *const looking[] = {&command_overview,
                                                &command_traces,
                                                &command_trace,
                                                &command_threads,
                                                &command_thread,
                                                &command_tail,
                                                &command_users,
                                                &command_query,
                                                &command_services,
                                                &command_sql,
                                                NULL};
static const struct command *const managing[] = {
    &command_keys_add, &command_keys_list, &command_keys_revoke,      &command_export,
    &command_delete,   &command_prices,    &command_prices_recompute, NULL};
static const struct command *const alerting[] = {&command_alerts_list, &command_alerts_check,   &command_alerts_test,
                                                 &command_alerts_run,  &command_alerts_silence, NULL};
static const struct command *const connecting[] = {&command_dashboards, NULL};
static const struct command *const meta[] = {&command_help, &command_completion, NULL};

const struct command_section command_sections[] = {
    {"Run", running},
    {"Look", looking},
    {"Manage", managing},
    {"Alert", alerting},
    {"Connect", connecting},
    {"More", meta},
    {0},
};
