/* The option table, and the readers of its values. SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include "complain.h"

#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *option_example(const struct option_rule *rule)
{
    return rule->example ? rule->example : rule->preset;
}

static void *member_of(struct options *options, const struct option_rule *rule)
{
    return (char *)options + rule->member;
}

static void read_flag(const struct option_rule *rule, const char *value, struct options *options)
{
    (void)value;
    *(bool *)member_of(options, rule) = true;
}

static void read_text(const struct option_rule *rule, const char *value, struct options *options)
{
    if (!*value)
        usage_error("--%s: empty; try --%s=%s", rule->name, rule->name, option_example(rule));
    *(const char **)member_of(options, rule) = value;
}

static double number_of(const struct option_rule *rule, const char *value)
{
    char *end;
    double number = strtod(value, &end);
    if (end == value || *end || !(number >= rule->low && number <= rule->high))
        usage_error("--%s=%s: not a number from %.10g to %.10g; try --%s=%s", rule->name, value, rule->low,
                    rule->high, rule->name, option_example(rule));
    return number;
}

static void read_number(const struct option_rule *rule, const char *value, struct options *options)
{
    *(double *)member_of(options, rule) = number_of(rule, value);
}

static void read_count(const struct option_rule *rule, const char *value, struct options *options)
{
    double number = number_of(rule, value);
    if (number != floor(number))
        usage_error("--%s=%s: not a whole number; try --%s=%.0f", rule->name, value, rule->name,
                    ceil(number));
    *(int *)member_of(options, rule) = (int)number;
}

static void read_seed(const struct option_rule *rule, const char *value, struct options *options)
{
    char *end;
    errno = 0;
    uint64_t seed = strtoull(value, &end, 0);
    if (errno || end == value || *end || strchr(value, '-'))
        usage_error("--seed=%s: not a whole number of at most 64 bits; try --seed=1", value);
    *(uint64_t *)member_of(options, rule) = seed;
}

static void read_bytes(const struct option_rule *rule, const char *value, struct options *options)
{
    static const char units[] = "KMGT";
    char *end;
    double bytes = strtod(value, &end);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (end == value || (*end && (!unit || end[1])) || !(bytes > 0))
        usage_error("--%s=%s: not a size; try --%s=%s", rule->name, value, rule->name, option_example(rule));
    bytes *= pow(1000, unit ? (double)(unit - units) + 1 : 0);
    *(size_t *)member_of(options, rule) = bytes < (double)SIZE_MAX ? (size_t)bytes : SIZE_MAX;
}

static void read_sizes(const struct option_rule *rule, const char *value, struct options *options)
{
    struct int_list *list = member_of(options, rule);
    list->count = 0;
    const char *reason = int_list_parse(value, list);
    if (reason)
        usage_error("--%s=%s: %s; try --%s=8, --%s=1,2,8 or --%s=16:512:x2", rule->name, value, reason,
                    rule->name, rule->name, rule->name);
}

static void read_oc(const struct option_rule *rule, const char *value, struct options *options)
{
    options->oc_is_ic = !strcmp(value, "ic");
    options->oc.count = 0;
    if (!options->oc_is_ic)
        read_sizes(rule, value, options);
}

static void read_threads(const struct option_rule *rule, const char *value, struct options *options)
{
    struct int_list list = {NULL, 0};
    const char *reason = int_list_parse(value, &list);
    if (reason)
        usage_error("--%s=%s: %s; try --%s=%s", rule->name, value, reason, rule->name, option_example(rule));
    options->study.threads = list.values;
    options->study.thread_count = list.count;
}

static void read_isa(const struct option_rule *rule, const char *value, struct options *options)
{
    int isa = 0;
    while (isa < ISAS && strcmp(value, isa_name((enum isa)isa)))
        isa++;
    if (isa == ISAS)
        usage_error("--%s=%s: no such instruction set; try --%s=%s", rule->name, value, rule->name,
                    isa_name(isa_best()));
    if (!isa_supported((enum isa)isa))
        usage_error("--%s=%s: this CPU does not have it; try --%s=%s", rule->name, value, rule->name,
                    isa_name(isa_best()));
    options->study.isa = (enum isa)isa;
}

static void read_numa(const struct option_rule *rule, const char *value, struct options *options)
{
    if (strcmp(value, "firsttouch") && strcmp(value, "interleave"))
        usage_error("--%s=%s: no such memory policy; try --%s=firsttouch or --%s=interleave", rule->name,
                    value, rule->name, rule->name);
    options->study.interleave = !strcmp(value, "interleave");
}

static void read_cache(const struct option_rule *rule, const char *value, struct options *options)
{
    if (strcmp(value, "warm") && strcmp(value, "cold"))
        usage_error("--%s=%s: no such cache protocol; try --%s=warm or --%s=cold", rule->name, value,
                    rule->name, rule->name);
    options->study.cache = !strcmp(value, "cold") ? CACHE_COLD : CACHE_WARM;
}

/* The next word of a comma list, to be freed; NULL at its end. */
static char *next_word(const char **list)
{
    if (!*list)
        return NULL;
    size_t length = strcspn(*list, ",");
    char *word = must_allocate(NULL, length + 1, 1);
    memcpy(word, *list, length);
    word[length] = 0;
    *list = (*list)[length] ? *list + length + 1 : NULL;
    return word;
}

static void read_batch(const struct option_rule *rule, const char *value, struct options *options)
{
    (void)rule;
    for (char *word; (word = next_word(&value));) {
        options->batches =
            must_allocate(options->batches, (size_t)options->batch_count + 1, sizeof *options->batches);
        options->batches[options->batch_count++] = word;
    }
}

static void read_format(const struct option_rule *rule, const char *value, struct options *options)
{
    options->explain.format = page_format_find(value);
    if (!options->explain.format)
        usage_error("--%s=%s: no such format; try text, latex or html", rule->name, value);
}

static void read_shard(const struct option_rule *rule, const char *value, struct options *options)
{
    int end = 0;
    if (sscanf(value, "%9d/%9d%n", &options->shard, &options->shards, &end) != 2 || value[end] ||
        options->shard < 1 || options->shard > options->shards)
        usage_error("--%s=%s: not K/N with K from 1 to N; try --%s=%s", rule->name, value, rule->name,
                    option_example(rule));
}

static void read_activation(const struct option_rule *rule, const char *value, struct options *options)
{
    const struct activation *activation = activation_find(value);
    if (!activation)
        usage_error("--%s=%s: no such activation; try identity, relu, leaky-relu, tanh or sigmoid",
                    rule->name, value);
    options->gradcheck.activation = options->train.activation = activation;
    options->study.layer.activation = (enum activation_kind)(activation - activations);
}

static void read_loss(const struct option_rule *rule, const char *value, struct options *options)
{
    options->train.loss = loss_find(value);
    if (!options->train.loss)
        usage_error("--%s=%s: no such loss; try softmax or squared", rule->name, value);
}

/* Marks what the pattern matches among `count` implementations. */
static void select_impls(const char *option, const char *pattern, const struct conv_impl *const *impls,
                         bool selected[], int count)
{
    bool found = false;
    for (int i = 0; i < count; i++)
        if (!fnmatch(pattern, impls[i]->name, 0))
            found = selected[i] = true;
    if (found)
        return;
    const char *names[count + 1];
    for (int i = 0; i < count; i++)
        names[i] = impls[i]->name;
    names[count] = NULL;
    const char *nearest = nearest_name(pattern, names);
    if (nearest)
        usage_error("--%s=%s: no such implementation; try --%s=%s", option, pattern, option, nearest);
    usage_error("--%s=%s: no such implementation; try tripass list", option, pattern);
}

/* For each of `count` implementations whether a comma list of patterns selects it; to be freed. */
static bool *selection(const char *option, const char *list, const struct conv_impl *const *impls, int count)
{
    bool *selected = must_allocate(NULL, (size_t)count, sizeof *selected);
    memset(selected, 0, (size_t)count * sizeof *selected);
    for (char *word; (word = next_word(&list)); free(word))
        select_impls(option, word, impls, selected, count);
    return selected;
}

static void read_impl(const struct option_rule *rule, const char *value, struct options *options)
{
    struct study *study = &options->study;
    int count = 0;
    while (conv_impls[count])
        count++;
    bool *selected = selection(rule->name, value, conv_impls, count);
    study->impls = must_allocate(study->impls, (size_t)count, sizeof *study->impls);
    study->impl_count = 0;
    for (int i = 0; i < count; i++)
        if (selected[i])
            study->impls[study->impl_count++] = conv_impls[i];
    free(selected);
}

/* A control is the implementation itself under another name: nothing else tells them apart. */
static const struct conv_impl *control_of(const struct conv_impl *impl)
{
    struct conv_impl *control = must_allocate(NULL, 1, sizeof *control);
    char *name = must_allocate(NULL, strlen(impl->name) + sizeof ":aa", 1);
    *control = *impl;
    control->name = strcat(strcpy(name, impl->name), ":aa");
    return control;
}

void options_add_controls(struct options *options)
{
    struct study *study = &options->study;
    if (!options->aa)
        return;
    const int count = study->impl_count;
    bool *selected = selection("aa", options->aa, study->impls, count);
    study->impls = must_allocate(study->impls, 2 * (size_t)count, sizeof *study->impls);
    for (int i = 0; i < count; i++)
        if (selected[i])
            study->impls[study->impl_count++] = control_of(study->impls[i]);
    free(selected);
}

static void read_pass(const struct option_rule *rule, const char *value, struct options *options)
{
    static const char *const benchdnn[CONV_TENSORS] = {"BWD_D", "BWD_W", "FWD_D"};
    static const enum conv_tensor order[CONV_TENSORS] = {CONV_DST, CONV_SRC, CONV_WEI};
    bool wanted[CONV_TENSORS] = {false};
    for (char *word; (word = next_word(&value)); free(word)) {
        int output = 0;
        while (output < CONV_TENSORS && strcmp(word, conv_pass_name((enum conv_tensor)output)) &&
               strcmp(word, benchdnn[output]))
            output++;
        if (output == CONV_TENSORS)
            usage_error("--%s=%s: no such pass; try --%s=%s", rule->name, word, rule->name,
                        option_example(rule));
        wanted[output] = true;
    }
    options->study.output_count = 0;
    for (int i = 0; i < CONV_TENSORS; i++)
        if (wanted[order[i]])
            options->study.outputs[options->study.output_count++] = order[i];
}

enum {
    RUN = 1 << COMMAND_RUN,
    CHECK = 1 << COMMAND_CHECK,
    LIST = 1 << COMMAND_LIST,
    INFO = 1 << COMMAND_INFO,
    EXPLAIN = 1 << COMMAND_EXPLAIN,
    GRADCHECK = 1 << COMMAND_GRADCHECK,
    TRAIN = 1 << COMMAND_TRAIN,
    STUDY = RUN | CHECK,
    ALL = (1 << COMMANDS) - 1
};

#define MEMBER(name) offsetof(struct options, name)

/* In the order of --help. */
const struct option_rule option_rules[] = {
    {.name = "batch",
     .argument = "FILE,...",
     .example = "resnet50-v1.5",
     .commands = STUDY | LIST,
     .read = read_batch,
     .help = "read problems from files, one a line, # starts a comment line; a name that is no file is"
             " one of the shipped tables (tripass list --shapes)"},
    {.name = "match",
     .argument = "REGEX",
     .example = "kh3",
     .commands = STUDY | LIST,
     .read = read_text,
     .member = MEMBER(match),
     .help = "only layers whose name or problem the extended regular expression matches"},
    {.name = "impl",
     .argument = "GLOB,...",
     .preset = "*",
     .commands = STUDY | LIST | GRADCHECK,
     .read = read_impl,
     .help = "only these implementations"},
    {.name = "aa",
     .argument = "GLOB,...",
     .example = "direct",
     .commands = RUN,
     .read = read_text,
     .member = MEMBER(aa),
     .help = "A/A control: measure these a second time, as NAME:aa; how far the two are apart is the noise "
             "floor"},
    {.name = "data",
     .argument = "DIR",
     .example = "digits",
     .commands = TRAIN,
     .read = read_text,
     .member = MEMBER(train.data),
     .help = "IDX files train-images.idx, train-labels.idx, test-images.idx, test-labels.idx; "
             "scripts/digits.py DIR "
             "makes a small set"},
    {.name = "impl",
     .argument = "CHOICE",
     .preset = "direct",
     .commands = TRAIN,
     .read = read_text,
     .member = MEMBER(train.choice),
     .help = "an implementation; or fwd:NAME,bwd:NAME,upd:NAME; or best:FILE, the fastest of a points.csv "
             "for each "
             "layer and pass"},
    {.name = "epochs",
     .argument = "N",
     .preset = "20",
     .commands = TRAIN,
     .read = read_count,
     .member = MEMBER(train.epochs),
     .low = 1,
     .high = 1e6,
     .help = "passes over the training set"},
    {.name = "mb",
     .argument = "N",
     .preset = "16",
     .commands = TRAIN,
     .read = read_count,
     .member = MEMBER(train.mb),
     .low = 1,
     .high = 1e6,
     .help = "images a step"},
    {.name = "bias",
     .commands = STUDY,
     .read = read_flag,
     .member = MEMBER(study.layer.bias),
     .help = "time the layer y = phi(x * w + b): fwd adds b, upd sums its gradient"},
    {.name = "act",
     .argument = "NAME",
     .preset = "identity",
     .example = "relu",
     .commands = STUDY,
     .read = read_activation,
     .help = "phi: identity, relu, leaky-relu, tanh or sigmoid; fwd applies it, bwd begins with its slope"},
    {.name = "act",
     .argument = "NAME",
     .preset = "tanh",
     .commands = TRAIN,
     .read = read_activation,
     .help = "identity, relu, leaky-relu, tanh or sigmoid, after every layer but the last; with a kink "
             "(relu) curves of "
             "different rounding part sooner"},
    {.name = "act",
     .argument = "NAME",
     .preset = "tanh",
     .commands = GRADCHECK,
     .read = read_activation,
     .help = "phi of the second test: tanh or sigmoid"},
    {.name = "loss",
     .argument = "NAME",
     .preset = "softmax",
     .commands = TRAIN,
     .read = read_loss,
     .help = "softmax (cross-entropy) or squared (error)"},
    {.name = "format",
     .argument = "NAME",
     .preset = "text",
     .commands = EXPLAIN,
     .read = read_format,
     .help = "text, latex or html; to stdout"},
    {.name = "numbers",
     .commands = EXPLAIN,
     .read = read_flag,
     .member = MEMBER(explain.numbers),
     .help = "values in the matrices instead of symbols"},
    {.name = "pass",
     .argument = "PASS,...",
     .preset = "fwd,bwd,upd",
     .commands = STUDY | LIST,
     .read = read_pass,
     .help = "only these passes; FWD_D, BWD_D, BWD_W are understood too"},
    {.name = "mb",
     .argument = "LIST",
     .example = "8",
     .commands = STUDY | LIST,
     .read = read_sizes,
     .member = MEMBER(mb),
     .help =
         "batch sizes instead of each problem's own: 1,2,8 or ranges 1:8 (each), 16:64:+16 (steps), 1:32:x2 "
         "(factors); lists combine, every mb with every ic, oc and hw"},
    {.name = "ic",
     .argument = "LIST",
     .example = "64",
     .commands = STUDY | LIST,
     .read = read_sizes,
     .member = MEMBER(ic),
     .help = "input channels likewise; a depthwise problem stays depthwise"},
    {.name = "oc",
     .argument = "LIST|ic",
     .example = "64",
     .commands = STUDY | LIST,
     .read = read_oc,
     .member = MEMBER(oc),
     .help = "output channels likewise; ic: as many as input channels"},
    {.name = "hw",
     .argument = "LIST",
     .example = "28",
     .commands = STUDY | LIST,
     .read = read_sizes,
     .member = MEMBER(hw),
     .help = "image heights and widths likewise; padding stays, the output follows"},
    {.name = "threads",
     .argument = "LIST",
     .example = "1",
     .commands = STUDY | INFO | TRAIN,
     .read = read_threads,
     .help = "thread counts; one a core, at most the CPU quota, if not given"},
    {.name = "policy",
     .argument = "compact|spread|LIST",
     .preset = "compact",
     .commands = STUDY | INFO,
     .read = read_text,
     .member = MEMBER(study.placement.policy),
     .help = "which cores a team takes first: neighbors, which share caches; as far apart as can be; or CPU "
             "numbers "
             "in their order, 0,2,8-11"},
    {.name = "smt",
     .commands = STUDY | INFO,
     .read = read_flag,
     .member = MEMBER(study.placement.smt),
     .help = "all hardware threads of a core, not only the first"},
    {.name = "numa",
     .argument = "firsttouch|interleave",
     .preset = "firsttouch",
     .commands = STUDY | INFO,
     .read = read_numa,
     .help = "memory near the thread that touches it first, or on all NUMA nodes in turn"},
    {.name = "isa",
     .argument = "NAME",
     .example = "avx2",
     .commands = STUDY,
     .read = read_isa,
     .help = "the most that kernels may use: generic, avx2 or avx512; the best of this CPU if not "
             "given"},
    {.name = "cache",
     .argument = "warm|cold",
     .preset = "warm",
     .commands = RUN,
     .read = read_cache,
     .help = "warm: the same buffers in every call; cold: in turn buffers that exceed the last-level "
             "cache"},
    {.name = "output",
     .letter = 'o',
     .argument = "DIR",
     .example = "results",
     .commands = STUDY,
     .read = read_text,
     .member = MEMBER(study.out),
     .help = "where points.csv, samples.csv and machine.json go; -: the points to stdout. If not "
             "given, run makes tripass-out/DATE-TIME and check writes to stdout"},
    {.name = "output",
     .letter = 'o',
     .argument = "FILE",
     .example = "curve.csv",
     .commands = TRAIN,
     .read = read_text,
     .member = MEMBER(train.out),
     .help = "a row an epoch (CSV)"},
    {.name = "force",
     .commands = STUDY,
     .read = read_flag,
     .member = MEMBER(study.force),
     .help = "overwrite results that DIR already holds"},
    {.name = "resume",
     .commands = STUDY,
     .read = read_flag,
     .member = MEMBER(study.resume),
     .help = "go on with what DIR holds: measure the points that have no row yet, or were killed; the "
             "machine, the "
             "build and the command line must be the same. Begins where there is nothing yet"},
    {.name = "samples",
     .argument = "N",
     .preset = "30",
     .commands = RUN,
     .read = read_count,
     .member = MEMBER(study.samples),
     .low = 1,
     .high = 1e6,
     .help = "timed calls a point, at most"},
    {.name = "ci",
     .argument = "PERCENT",
     .preset = "2",
     .commands = RUN,
     .read = read_number,
     .member = MEMBER(study.ci_percent),
     .high = 100,
     .help =
         "stop sampling a point once the 95 % interval of its median reaches no further to either side (at "
         "least 9 samples); 0: never"},
    {.name = "max-time",
     .argument = "SECONDS",
     .preset = "1",
     .commands = RUN,
     .read = read_number,
     .member = MEMBER(study.max_time_s),
     .low = 0.001,
     .high = 86400,
     .help = "time that the samples of a point may take"},
    {.name = "budget",
     .argument = "SECONDS",
     .example = "600",
     .commands = RUN,
     .read = read_number,
     .member = MEMBER(study.budget_s),
     .low = 1,
     .high = 1e7,
     .help = "time that the whole study may take: fewer samples, then no slow implementations"},
    {.name = "retry-noisy",
     .argument = "N",
     .preset = "0",
     .example = "2",
     .commands = RUN,
     .read = read_count,
     .member = MEMBER(study.retry_noisy),
     .high = 1000,
     .help =
         "measure a point that has noise flags (column flags) again, up to N times; all attempts are kept"},
    {.name = "timeout",
     .argument = "SECONDS",
     .preset = "600",
     .commands = STUDY,
     .read = read_number,
     .member = MEMBER(study.timeout_s),
     .low = 1,
     .high = 1e7,
     .help = "a problem and pass that takes longer is stopped"},
    {.name = "memory",
     .argument = "BYTES",
     .example = "8G",
     .commands = STUDY,
     .read = read_bytes,
     .member = MEMBER(study.memory_limit),
     .help = "a point that needs more is skipped; K, M, G, T are decimal; 3/4 of what is free if not "
             "given"},
    {.name = "reps",
     .argument = "N",
     .preset = "3",
     .commands = RUN,
     .read = read_count,
     .member = MEMBER(study.repetitions),
     .low = 1,
     .high = 1000,
     .help = "repetitions of everything, each in a new process: the unit of all intervals"},
    {.name = "reps",
     .argument = "N",
     .preset = "1",
     .commands = CHECK,
     .read = read_count,
     .member = MEMBER(study.repetitions),
     .low = 1,
     .high = 1000,
     .help = "repetitions of everything, each in a new process"},
    {.name = "phases",
     .commands = RUN,
     .read = read_flag,
     .member = MEMBER(study.phases),
     .help =
         "after the samples of a point, take a run apart into packing, products, reduction ...: a table and "
         "phases.csv"},
    {.name = "shard",
     .argument = "K/N",
     .example = "1/4",
     .commands = STUDY,
     .read = read_shard,
     .help = "only the K-th part of N: every N-th problem; scripts/merge.py puts the parts together"},
    {.name = "seed",
     .argument = "N",
     .preset = "1",
     .commands = STUDY | EXPLAIN | GRADCHECK | TRAIN,
     .read = read_seed,
     .member = MEMBER(study.seed),
     .help = "of everything drawn at random: data, weights, the order of rounds or examples"},
    {.name = "lr",
     .argument = "MU",
     .preset = "0.01",
     .commands = RUN | EXPLAIN,
     .read = read_number,
     .member = MEMBER(study.lr),
     .high = 1e6,
     .help = "step of the update w <- w - mu * gradient"},
    {.name = "lr",
     .argument = "MU",
     .preset = "0.1",
     .commands = TRAIN,
     .read = read_number,
     .member = MEMBER(study.lr),
     .high = 1e6,
     .help = "step of the update w <- w - mu * gradient"},
    {.name = "dry-run",
     .commands = STUDY,
     .read = read_flag,
     .member = MEMBER(dry_run),
     .help = "print what would be run and the memory that it takes (CSV), then stop"},
    {.name = "shapes",
     .commands = LIST,
     .read = read_flag,
     .member = MEMBER(shapes),
     .help = "list the shipped tables"},
    {.name = "help",
     .letter = 'h',
     .commands = ALL,
     .read = read_flag,
     .member = MEMBER(help),
     .help = "print this"},
    {.name = "worker", .argument = "", .commands = STUDY | INFO, .read = read_text, .member = MEMBER(worker)},
};
const int option_rule_count = sizeof option_rules / sizeof *option_rules;
