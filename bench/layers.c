/* SPDX-License-Identifier: Apache-2.0 */
#include "layers.h"

#include "complain.h"
#include "problem_string.h"

#include <limits.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum {
    LAYERS_MAX = 10000, /* a typing error rather than a study */
    PATTERN_MAX = 20000 /* copies_of: compiled within a second; a layer's line is 100 characters */
};

static void append(struct layers *layers, const struct layer *layer)
{
    for (int i = 0; i < layers->count; i++)
        if (!memcmp(&layers->layer[i].problem, &layer->problem, sizeof layer->problem)) {
            int *multiplicity = &layers->layer[i].multiplicity;
            if (__builtin_add_overflow(*multiplicity, layer->multiplicity, multiplicity))
                *multiplicity = INT_MAX;
            return;
        }
    if (layers->count == LAYERS_MAX)
        usage_error("more than %d problems; try fewer values in --mb, --ic, --oc, --hw", LAYERS_MAX);
    if (!(layers->count & (layers->count - 1))) /* room for a power of two */
        layers->layer = must_allocate(layers->layer, layers->count ? 2 * (size_t)layers->count : 1,
                                      sizeof *layers->layer);
    layers->layer[layers->count++] = *layer;
}

/* One axis of another size: the same padding before; as many rows more or fewer than symmetric padding would give
 * as there were. */
static int64_t resized_output(int in, int new_in, int out, int kernel, int stride, int pad, int dilation)
{
    int64_t extra = out - problem_deduce_output(in, kernel, stride, pad, dilation);
    return problem_deduce_output(new_in, kernel, stride, pad, dilation) + extra;
}

static void resize(struct conv_problem *p, int hw)
{
    int64_t oh = resized_output(p->ih, hw, p->oh, p->kh, p->sh, p->ph, p->dh);
    int64_t ow = resized_output(p->iw, hw, p->ow, p->kw, p->sw, p->pw, p->dw);
    p->ih = p->iw = hw;
    p->oh = oh < 1 || oh > INT_MAX ? 0 : (int)oh; /* 0: unsound */
    p->ow = ow < 1 || ow > INT_MAX ? 0 : (int)ow;
}

/* One value of each swept axis, 0 where the problem keeps its own. */
struct sizes {
    int mb, ic, oc, hw;
};

static struct layer with_sizes(const struct layer *layer, struct sizes sizes)
{
    struct layer swept = *layer;
    struct conv_problem *p = &swept.problem;
    bool depthwise = p->g > 1 && p->g == p->ic;
    if (sizes.mb)
        p->mb = sizes.mb;
    if (sizes.ic && depthwise) {
        int64_t oc = (int64_t)p->oc / p->g * sizes.ic;
        p->oc = oc > INT_MAX ? 0 : (int)oc;
        p->g = sizes.ic;
    }
    if (sizes.ic)
        p->ic = sizes.ic;
    if (sizes.oc)
        p->oc = sizes.oc;
    if (sizes.hw)
        resize(p, sizes.hw);
    const char *reason = p->oh && p->ow ? conv_problem_unsound(p) : "the kernel does not fit the image";
    if (reason) {
        char text[PROBLEM_STRING_MAX];
        problem_string_print(&layer->problem, text, sizeof text);
        usage_error("%s with mb%d ic%d oc%d ih%d iw%d: %s; try other --mb, --ic, --oc, --hw", text, p->mb,
                    p->ic, p->oc, p->ih, p->iw, reason);
    }
    return swept;
}

/* The i-th value, or `otherwise` for an empty list, whose length counts as 1. */
static int value_at(const struct int_list *list, int i, int otherwise)
{
    return list->count ? list->values[i] : otherwise;
}

static int length_of(const struct int_list *list)
{
    return list->count ? list->count : 1;
}

static void append_swept(struct layers *layers, const struct layer *layer, const struct options *o)
{
    for (int h = 0; h < length_of(&o->hw); h++)
        for (int i = 0; i < length_of(&o->ic); i++)
            for (int j = 0; j < length_of(&o->oc); j++)
                for (int m = 0; m < length_of(&o->mb); m++) {
                    int ic = value_at(&o->ic, i, 0);
                    int tied = ic ? ic : layer->problem.ic;
                    struct sizes sizes = {value_at(&o->mb, m, 0), ic,
                                          value_at(&o->oc, j, o->oc_is_ic ? tied : 0),
                                          value_at(&o->hw, h, 0)};
                    struct layer swept = with_sizes(layer, sizes);
                    append(layers, &swept);
                }
}

static bool matches(const struct layer *layer, const regex_t *regex)
{
    char text[PROBLEM_STRING_MAX];
    problem_string_print(&layer->problem, text, sizeof text);
    return !regexec(regex, layer->name, 0, NULL, 0) || !regexec(regex, text, 0, NULL, 0);
}

/* How large the C library makes the pattern: it copies what is repeated, once for each time that {m,n} allows and twice
 * for +, and that again for what stands around. An upper bound: as if all repeated what stands before it. */
static double copies_of(const char *pattern)
{
    double copies = (double)strlen(pattern);
    for (const char *c = pattern; *c; c++) {
        long most = *c == '+' && c > pattern && strchr(")}*+?", c[-1]) ? 2 : 1;
        if (*c == '{')
            for (const char *n = c + 1; *n && *n != '}'; n++)
                most = strtol(n, NULL, 10) > most ? strtol(n, NULL, 10) : most;
        copies *= (double)most;
    }
    return copies;
}

static void keep_matching(struct layers *layers, const char *pattern)
{
    regex_t regex;
    if (!(copies_of(pattern) <= PATTERN_MAX))
        usage_error("--match=%.80s: too long or repeats too often; try a shorter one", pattern);
    int error = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);
    if (error) {
        char reason[128];
        regerror(error, &regex, reason, sizeof reason);
        usage_error("--match=%s: %s; try an extended regular expression", pattern, reason);
    }
    int kept = 0;
    for (int i = 0; i < layers->count; i++)
        if (matches(&layers->layer[i], &regex))
            layers->layer[kept++] = layers->layer[i];
    regfree(&regex);
    if (!kept && layers->count)
        usage_error("--match=%s: none of %d layers matches; try a piece of a name or a problem, --match=kh3",
                    pattern, layers->count);
    layers->count = kept;
}

/* The K-th of N parts: every N-th layer, so that a sweep's small and large ones fall to all parts. */
static void keep_shard(struct layers *layers, const struct options *options)
{
    int kept = 0;
    for (int i = options->shard - 1; i < layers->count; i += options->shards)
        layers->layer[kept++] = layers->layer[i];
    if (!kept)
        usage_error("--shard=%d/%d: there are only %d problems; try --shard=1/%d", options->shard,
                    options->shards, layers->count, layers->count);
    layers->count = kept;
}

struct layers layers_select(const struct options *options)
{
    struct layers layers = {NULL, 0};
    for (int i = 0; i < options->batch_count; i++) {
        struct layers read = layers_read(options->batches[i]);
        for (int j = 0; j < read.count; j++)
            append_swept(&layers, &read.layer[j], options);
        free(read.layer);
    }
    for (int i = 0; i < options->problem_count; i++) {
        struct layer layer;
        char why[PROBLEM_STRING_MAX];
        const char *reason = problem_string_parse(options->problems[i], &layer, why);
        if (reason)
            usage_error("%.80s: %s; try mb8ic64ih56oc64kh3ph1", options->problems[i], reason);
        append_swept(&layers, &layer, options);
    }
    if (options->match)
        keep_matching(&layers, options->match);
    if (options->shards)
        keep_shard(&layers, options);
    return layers;
}
