/* How the values of options are read. SPDX-License-Identifier: Apache-2.0 */
#include "option_readers.h"

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

void option_read_flag(const struct option_rule *rule, const char *value, struct options *options)
{
    (void)value;
    *(bool *)member_of(options, rule) = true;
}

void option_read_text(const struct option_rule *rule, const char *value, struct options *options)
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

void option_read_number(const struct option_rule *rule, const char *value, struct options *options)
{
    *(double *)member_of(options, rule) = number_of(rule, value);
}

void option_read_count(const struct option_rule *rule, const char *value, struct options *options)
{
    double number = number_of(rule, value);
    if (number != floor(number))
        usage_error("--%s=%s: not a whole number; try --%s=%.0f", rule->name, value, rule->name,
                    ceil(number));
    *(int *)member_of(options, rule) = (int)number;
}

void option_read_seed(const struct option_rule *rule, const char *value, struct options *options)
{
    char *end;
    errno = 0;
    uint64_t seed = strtoull(value, &end, 0);
    if (errno || end == value || *end || strchr(value, '-'))
        usage_error("--seed=%s: not a whole number of at most 64 bits; try --seed=1", value);
    *(uint64_t *)member_of(options, rule) = seed;
}

void option_read_bytes(const struct option_rule *rule, const char *value, struct options *options)
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

void option_read_sizes(const struct option_rule *rule, const char *value, struct options *options)
{
    struct int_list *list = member_of(options, rule);
    list->count = 0;
    const char *reason = int_list_parse(value, list);
    if (reason)
        usage_error("--%s=%s: %s; try --%s=8, --%s=1,2,8 or --%s=16:512:x2", rule->name, value, reason,
                    rule->name, rule->name, rule->name);
}

void option_read_oc(const struct option_rule *rule, const char *value, struct options *options)
{
    options->oc_is_ic = !strcmp(value, "ic");
    options->oc.count = 0;
    if (!options->oc_is_ic)
        option_read_sizes(rule, value, options);
}

void option_read_threads(const struct option_rule *rule, const char *value, struct options *options)
{
    struct int_list list = {NULL, 0};
    const char *reason = int_list_parse(value, &list);
    if (reason)
        usage_error("--%s=%s: %s; try --%s=%s", rule->name, value, reason, rule->name, option_example(rule));
    options->study.threads = list.values;
    options->study.thread_count = list.count;
}

void option_read_isa(const struct option_rule *rule, const char *value, struct options *options)
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

void option_read_numa(const struct option_rule *rule, const char *value, struct options *options)
{
    if (strcmp(value, "firsttouch") && strcmp(value, "interleave"))
        usage_error("--%s=%s: no such memory policy; try --%s=firsttouch or --%s=interleave", rule->name,
                    value, rule->name, rule->name);
    options->study.interleave = !strcmp(value, "interleave");
}

void option_read_cache(const struct option_rule *rule, const char *value, struct options *options)
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

void option_read_batch(const struct option_rule *rule, const char *value, struct options *options)
{
    (void)rule;
    for (char *word; (word = next_word(&value));) {
        options->batches =
            must_allocate(options->batches, (size_t)options->batch_count + 1, sizeof *options->batches);
        options->batches[options->batch_count++] = word;
    }
}

void option_read_format(const struct option_rule *rule, const char *value, struct options *options)
{
    options->explain.format = sheet_format_find(value);
    if (!options->explain.format)
        usage_error("--%s=%s: no such format; try text, latex or html", rule->name, value);
}

void option_read_shard(const struct option_rule *rule, const char *value, struct options *options)
{
    int end = 0;
    if (sscanf(value, "%9d/%9d%n", &options->shard, &options->shards, &end) != 2 || value[end] ||
        options->shard < 1 || options->shard > options->shards)
        usage_error("--%s=%s: not K/N with K from 1 to N; try --%s=%s", rule->name, value, rule->name,
                    option_example(rule));
}

void option_read_activation(const struct option_rule *rule, const char *value, struct options *options)
{
    const struct activation *activation = activation_find(value);
    if (!activation)
        usage_error("--%s=%s: no such activation; try identity, relu, leaky-relu, tanh or sigmoid",
                    rule->name, value);
    options->gradcheck.activation = options->train.activation = activation;
    options->study.layer.activation = (enum activation_kind)(activation - activations);
}

void option_read_loss(const struct option_rule *rule, const char *value, struct options *options)
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

void option_read_impl(const struct option_rule *rule, const char *value, struct options *options)
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

void option_read_pass(const struct option_rule *rule, const char *value, struct options *options)
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
