/* The commands, one file each; their rows stand in commands.c. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/shared.h"

extern const struct command command_serve, command_help, command_completion;

#endif
