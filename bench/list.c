/* tripass list: the implementations, who refuses a problem and why, the shipped tables.
 * SPDX-License-Identifier: Apache-2.0 */
#include "complain.h"
#include "layers.h"
#include "problem_string.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The layer by which "passes" is judged when no problem is given: what every implementation should take. */
static const struct conv_problem usual = {1, 1, 64, 28, 28, 64, 28, 28, 3, 3, 1, 1, 1, 1, 0, 0};

static const char *reason_of(const struct conv_impl *impl, const struct conv_problem *problem,
                             enum conv_tensor output)
{
    return impl->refuse ? impl->refuse(problem, output) : NULL;
}

static void list_impls(const struct study *study)
{
    printf("%-16s %-10s %-12s %s\n", "name", "family", "passes", "what (source)");
    for (int i = 0; i < study->impl_count; i++) {
        const struct conv_impl *impl = study->impls[i];
        char passes[16] = "";
        for (int o = 0; o < study->output_count; o++)
            if (!reason_of(impl, &usual, study->outputs[o])) {
                strcat(passes, *passes ? "," : "");
                strcat(passes, conv_pass_name(study->outputs[o]));
            }
        printf("%-16s %-10s %-12s %s (%s)\n", impl->name, impl->family, *passes ? passes : "-", impl->summary,
               impl->source);
    }
}

static void list_refusals(const struct study *study, const struct layer *layer)
{
    char text[PROBLEM_STRING_MAX];
    problem_string_print(&layer->problem, text, sizeof text);
    printf("%s%s%s\n", text, *layer->name ? " " : "", layer->name);
    for (int i = 0; i < study->impl_count; i++)
        for (int o = 0; o < study->output_count; o++) {
            const char *reason = reason_of(study->impls[i], &layer->problem, study->outputs[o]);
            printf("  %-16s %s  %s\n", study->impls[i]->name, conv_pass_name(study->outputs[o]),
                   reason ? reason : "yes");
        }
}

static void list_shapes(void)
{
    printf("%-20s %9s %7s %14s\n", "table", "distinct", "layers", "GFLOP/image");
    const char *const *names = shapes_names();
    if (!*names)
        usage_error("%s: no shipped tables there; try TRIPASS_SHAPES=DIR", shapes_directory());
    for (; *names; names++) {
        struct layers layers = layers_read(*names);
        double flop = 0;
        long count = 0;
        for (int i = 0; i < layers.count; i++) {
            const struct layer *layer = &layers.layer[i];
            flop += layer->multiplicity * conv_flop_nominal(&layer->problem) / layer->problem.mb;
            count += layer->multiplicity;
        }
        printf("%-20s %9d %7ld %14.2f\n", *names, layers.count, count, flop * 1e-9);
        free(layers.layer);
    }
}

int command_list(struct options *options, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    if (options->shapes) {
        if (options->problem_count || options->batch_count)
            usage_error("list --shapes takes no problem; try tripass list --shapes");
        list_shapes();
        return EXIT_ALL_GOOD;
    }
    if (!options->problem_count && !options->batch_count) {
        list_impls(&options->study);
        return EXIT_ALL_GOOD;
    }
    struct layers layers = layers_select(options);
    for (int i = 0; i < layers.count; i++)
        list_refusals(&options->study, &layers.layer[i]);
    free(layers.layer);
    return EXIT_ALL_GOOD;
}
