/* tripass: finds the command and runs it. SPDX-License-Identifier: Apache-2.0 */
#include "complain.h"
#include "help.h"
#include "machine.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct command commands[COMMANDS] = {
    {"run", "[OPTION]... PROBLEM... | --batch=FILE",
     "Check every implementation on every problem and pass, then measure them, then record it.", command_run},
    {"check", "[OPTION]... PROBLEM... | --batch=FILE", "The same without timing.", command_run},
    {"list", "[OPTION]... [PROBLEM]...",
     "List the implementations; or, given problems, who takes each and why others refuse; or the shipped "
     "tables.",
     command_list},
    {"info", "[OPTION]...", "Show the machine: topology, allowed CPUs, libraries, measured ceilings.",
     command_info},
    {"explain", "[OPTION]... PROBLEM",
     "Write a small layer's passes out as matrix products and as convolutions.", command_explain},
    {"gradcheck", "[OPTION]... PROBLEM...", "Test the gradients to first order.", command_gradcheck},
    {"train", "[OPTION]... --data=DIR",
     "Train a small CNN on handwritten digits by any mix of implementations.", command_train},
};

static int find_command(const char *name)
{
    const char *names[COMMANDS + 1] = {NULL};
    for (int i = 0; i < COMMANDS; i++) {
        if (!strcmp(name, commands[i].name))
            return i;
        names[i] = commands[i].name;
    }
    const char *nearest = nearest_name(name, names);
    usage_error("%s: no such command; try tripass %s", name, nearest ? nearest : "help");
}

static int run(int argc, char **argv)
{
    if (argc < 2)
        usage_error("no command given; try tripass help");
    if (!strcmp(argv[1], "--version")) {
        printf("tripass %s\n", machine_version);
        return EXIT_ALL_GOOD;
    }
    if (!strcmp(argv[1], "help") && argc > 2) {
        help_command(find_command(argv[2]));
        return EXIT_ALL_GOOD;
    }
    if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        help_program();
        return EXIT_ALL_GOOD;
    }
    static struct options options; /* what it owns lives as long as the program */
    int command = find_command(argv[1]);
    options_parse(&options, command, argc, argv);
    if (options.help) {
        help_command(command);
        return EXIT_ALL_GOOD;
    }
    return commands[command].run(&options, argc, argv);
}

int main(int argc, char **argv)
{
    int status = run(argc, argv);
    if (fflush(stdout) || ferror(stdout))
        usage_error("standard output: %s; try a place with room", strerror(errno));
    return status;
}
