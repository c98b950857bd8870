/* Reading a command line. SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include "complain.h"
#include "memory.h"
#include "topology.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static void set_defaults(struct options *options, int command)
{
    *options = (struct options){.study = {.isa = isa_best(), .check_only = command == COMMAND_CHECK}};
    /* Two commands may give one name different presets: its own come last. */
    for (int own = 0; own <= 1; own++)
        for (int i = 0; i < option_rule_count; i++)
            if (option_rules[i].preset && own == (option_rules[i].commands >> command & 1))
                option_rules[i].read(&option_rules[i], option_rules[i].preset, options);
}

/* Thread counts are checked against the machine, or chosen by it. The topology is static so that what it holds is within
 * reach of a leak checker when an error ends the process. */
static void settle_threads(struct options *options)
{
    struct study *study = &options->study;
    static struct topology topology;
    const char *reason = topology_load(&topology);
    if (reason)
        usage_error("topology: %s; try lstopo to see what hwloc sees", reason);
    reason = topology_place(&topology, &study->placement);
    if (reason)
        usage_error("--policy=%s: %s; try --policy=compact", study->placement.policy, reason);
    for (int i = 0; i < study->thread_count; i++)
        if (study->threads[i] > topology.pu_count)
            usage_error("--threads=%d: more than the cores that this process may use%s; try --threads=%d",
                        study->threads[i], study->placement.smt ? "" : " (without --smt)", topology.pu_count);
    for (int i = 0; i < study->thread_count && !options->worker; i++)
        if (study->threads[i] > topology.quota)
            fprintf(stderr,
                    "tripass: --threads=%d: the CPU quota is %.3g, so they will stand still at times\n",
                    study->threads[i], topology.quota);
    if (!study->thread_count) {
        study->threads = must_allocate(NULL, 1, sizeof *study->threads);
        study->threads[0] = topology_default_threads(&topology);
        study->thread_count = 1;
    }
    topology_free(&topology);
}

/* Rule i has the value LONG_BASE + i in getopt's table, its letter otherwise. */
enum { LONG_BASE = 256 };

/* table and letters have room for every rule. */
static void fill_getopt(int command, struct option *table, char *letters)
{
    *letters++ = ':'; /* tells a missing argument from an unknown option */
    for (int i = 0; i < option_rule_count; i++) {
        const struct option_rule *rule = &option_rules[i];
        if (!(rule->commands & 1 << command))
            continue;
        *table++ = (struct option){rule->name, rule->argument ? required_argument : no_argument, NULL,
                                   LONG_BASE + i};
        if (rule->letter)
            *letters++ = rule->letter;
        if (rule->letter && rule->argument)
            *letters++ = ':';
    }
    *letters = 0;
    *table = (struct option){0};
}

static const struct option_rule *rule_of(int command, int got)
{
    if (got >= LONG_BASE)
        return &option_rules[got - LONG_BASE];
    for (int i = 0; i < option_rule_count; i++)
        if (option_rules[i].letter == got && option_rules[i].commands & 1 << command)
            return &option_rules[i];
    return NULL;
}

/* got: ':' or '?', as getopt_long answered. */
_Noreturn static void complain_option(int command, const char *word, int got, const struct option *table)
{
    const char *name = commands[command].name;
    if (got == ':')
        usage_error("%s: the argument is missing; try --%s=%s", word, rule_of(command, optopt)->name,
                    option_example(rule_of(command, optopt)));
    if (optopt >= LONG_BASE)
        usage_error("%s: takes no argument; try --%s", word, rule_of(command, optopt)->name);
    if (optopt > 0)
        usage_error("%s: no such option of %s; try tripass %s --help", word, name, name);
    const char *names[option_rule_count + 1];
    int n = 0;
    for (; table->name; table++)
        if (rule_of(command, table->val)->help)
            names[n++] = table->name;
    names[n] = NULL;
    char typed[64];
    word += strspn(word, "-");
    snprintf(typed, sizeof typed, "%.*s", (int)strcspn(word, "="), word);
    const char *nearest = nearest_name(typed, names);
    if (nearest)
        usage_error("--%s: no such option of %s; try --%s", typed, name, nearest);
    usage_error("--%s: no such option of %s; try tripass %s --help", typed, name, name);
}

void options_parse(struct options *options, int command, int argc, char **argv)
{
    struct option table[option_rule_count + 1];
    char letters[2 * option_rule_count + 2];
    set_defaults(options, command);
    fill_getopt(command, table, letters);
    opterr = 0;
    optind = 2;
    for (int got; (got = getopt_long(argc, argv, letters, table, NULL)) != -1;) {
        const struct option_rule *rule = rule_of(command, got);
        if (!rule) {
            char letter[] = {'-', (char)optopt, 0};
            complain_option(command, optopt > 0 && optopt < LONG_BASE ? letter : argv[optind - 1], got,
                            table);
        }
        rule->read(rule, optarg, options);
    }
    if (options->help)
        return;
    options->problems = argv + optind;
    options->problem_count = argc - optind;
    options_add_controls(options);
    if (!options->study.memory_limit)
        options->study.memory_limit = memory_limit();
    if (command != COMMAND_LIST && command != COMMAND_EXPLAIN)
        settle_threads(options);
}
