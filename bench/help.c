/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include "machine.h"
#include "options.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 100, INDENT = 26 };

/* Words from column `column` on, filled to WIDTH, later lines indented. */
static void print_filled(const char *text, int column, int indent)
{
    const char *gap = "";
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column + 1 + length > WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
            gap = "";
        }
        column += printf("%s%.*s", gap, length, text);
        text += length + (text[length] == ' ');
        gap = " ";
    }
    putchar('\n');
}

static void print_paragraph(const char *title, const char *text)
{
    printf("\n%s\n  ", title);
    print_filled(text, 2, 2);
}

static void print_rule(const struct option_rule *rule)
{
    char left[64], right[512];
    if (rule->letter)
        snprintf(left, sizeof left, "-%c%s%s, --%s", rule->letter, rule->argument ? " " : "",
                 rule->argument ? rule->argument : "", rule->name);
    else
        snprintf(left, sizeof left, "--%s%s%s", rule->name, rule->argument ? "=" : "",
                 rule->argument ? rule->argument : "");
    snprintf(right, sizeof right, "%s%s%s", rule->help, rule->preset ? "; default " : "",
             rule->preset ? rule->preset : "");
    printf("  %-*s", INDENT - 2, left);
    if (strlen(left) > INDENT - 3) /* no gap before the words */
        printf("\n%*s", INDENT, "");
    print_filled(right, INDENT, INDENT);
}

static const char problem_text[] = "benchdnn's one-line descriptors, as ONEDNN_VERBOSE prints them too: "
                                   "mb8ic64ih56oc64oh56kh3ph1n\"res2b*3\". "
                                   "Tokens g mb ic ih iw oc oh ow kh kw sh sw ph pw dh dw with a number, in "
                                   "any order, _ ignored; n and the rest is "
                                   "a name, *3 how often the network has the layer. Left out: g1, mb2, "
                                   "stride 1, dilation 0 (dense), width as "
                                   "height, output from padding, padding from output. Padding below and to "
                                   "the right is what oh and ow make it.";

static const char status_text[] = "0: every point is OK or SKIP. 1: some point is FAIL, CRASH or TIMEOUT. 2: "
                                  "the command line or the environment "
                                  "is at fault, and one line on stderr says how. 128 + N: stopped by signal "
                                  "N, what was finished is on disk.";

static const char environment_text[] =
    "TRIPASS_SHAPES: the directory with the shipped tables, if it is neither in "
    "the source tree nor beside the "
    "program.";

void help_command(int command)
{
    printf("Usage: tripass %s %s\n", commands[command].name, commands[command].arguments);
    print_filled(commands[command].summary, 0, 0);
    printf("\nOptions\n");
    for (int i = 0; i < option_rule_count; i++)
        if (option_rules[i].help && option_rules[i].commands & 1 << command)
            print_rule(&option_rules[i]);
    if (command != COMMAND_INFO)
        print_paragraph("PROBLEM", problem_text);
    if (command == COMMAND_RUN) {
        print_paragraph("Times", machine_timing_statement);
        print_paragraph("Operations", machine_flop_statement);
        print_paragraph("Caches", machine_cache_statement);
    }
    if (command == COMMAND_RUN || command == COMMAND_CHECK)
        print_paragraph("Exit status", status_text);
    if (command != COMMAND_INFO)
        print_paragraph("Environment", environment_text);
}

void help_program(void)
{
    printf("Usage: tripass COMMAND [OPTION]... [PROBLEM]...\n");
    print_filled(
        "Compares implementations of the three passes of a convolution layer - forward (fwd), backward "
        "(bwd), weight update (upd) - on this machine's CPUs: checks them against a reference in double "
        "precision, times them pinned and interleaved, records every sample.",
        0, 0);
    printf("\nCommands\n");
    for (int i = 0; i < COMMANDS; i++) {
        printf("  %-*s", INDENT - 2, commands[i].name);
        print_filled(commands[i].summary, INDENT, INDENT);
    }
    printf("  %-*sthis text, or tripass COMMAND --help\n", INDENT - 2, "help [COMMAND]");
    printf("  %-*sprint the version\n", INDENT - 2, "--version");
    print_paragraph("PROBLEM", problem_text);
    print_paragraph("Exit status", status_text);
    printf("\nExamples\n"
           "  tripass run mb8ic256ih56oc256kh3ph1\n"
           "  tripass run --batch=resnet50-v1.5 --mb=8 --impl='direct,winograd-*,onednn' -o results/resnet\n"
           "  tripass run --mb=8 --ic=16:512:x2 --oc=ic --budget=300 ic16ih28oc16kh3ph1\n"
           "  tripass check --batch=tails\n");
}
