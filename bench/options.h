/* What a person types, as data: the commands, the one table of options, which reads them and prints --help, and
 * what they fill. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_OPTIONS_H
#define TRIPASS_OPTIONS_H

#include "explain.h"
#include "gradcheck.h"
#include "int_list.h"
#include "study.h"
#include "train.h"

struct options {
    struct study study; /* complete but for its layers */

    char **problems; /* the words that are no options */
    int problem_count;
    const char **batches; /* --batch */
    int batch_count;
    struct int_list mb, ic, oc, hw; /* empty: as the problem says */
    bool oc_is_ic;
    const char *match; /* NULL: all */
    const char *aa;    /* --aa, or NULL */
    int shard, shards; /* --shard: which of how many parts; of 0: all in one */

    struct explain_options explain; /* but for what study has */
    struct gradcheck_options gradcheck;
    struct train_options train;

    bool dry_run, shapes, help;
    const char *worker; /* what follows the hidden --worker=, or NULL */
};

struct option_rule;
typedef void option_read_fn(const struct option_rule *rule, const char *value, struct options *options);

struct option_rule {
    const char *name;
    char letter;          /* short form, or 0 */
    const char *argument; /* NULL: takes none */
    const char *preset;   /* what it is if not given, in the words one would give; NULL: unset */
    const char *example;  /* of a good value; NULL: the preset */
    const char *help;     /* NULL: not shown */
    int commands;         /* bit COMMAND_x: the command takes it */
    option_read_fn *read;
    size_t member;    /* of struct options, for the readers that fill one */
    double low, high; /* of numbers */
};
extern const struct option_rule option_rules[];
extern const int option_rule_count;

/* Adds what --aa names to the study's implementations, which --impl has chosen. */
void options_add_controls(struct options *options);

/* A good value for an option that takes one. */
const char *option_example(const struct option_rule *rule);

struct command {
    const char *name, *arguments, *summary;
    int (*run)(struct options *options, int argc, char **argv); /* returns the exit status */
};
enum {
    COMMAND_RUN,
    COMMAND_CHECK,
    COMMAND_LIST,
    COMMAND_INFO,
    COMMAND_EXPLAIN,
    COMMAND_GRADCHECK,
    COMMAND_TRAIN,
    COMMANDS
};
extern const struct command commands[COMMANDS];

/* Reads argv from argv[2] on, for commands[command]. Any mistake is a usage_error. After --help nothing but
 * options->help is valid. */
void options_parse(struct options *options, int command, int argc, char **argv);

/* The commands. */
int command_run(struct options *options, int argc, char **argv); /* and check */
int command_list(struct options *options, int argc, char **argv);
int command_info(struct options *options, int argc, char **argv);
int command_explain(struct options *options, int argc, char **argv);
int command_gradcheck(struct options *options, int argc, char **argv);
int command_train(struct options *options, int argc, char **argv);

#endif
