/* `tripass explain`: the three passes of a small layer as matrix products and as convolutions, written out. Nothing
 * here is typed in: a matrix in symbols is what the benchmarked code builds from weights (or inputs) that are numbered
 * 1, 2, 3, ..., each number then shown as the symbol it stands for, and every "equal" has been computed twice.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include "complain.h"
#include "layers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MATRIX_MAX = 128 }; /* rows and columns that can be shown: 8x8 pixels of two channels */

struct part {
    struct sheet_entry entry;
    void (*show)(const struct lesson *lesson);
    const char *(*refuse)(const struct conv_problem *problem); /* NULL: applies to all */
};

static const struct part parts[] = {
    {{"layer", "The layer, and how it is written here"}, explain_layer, NULL},
    {{"affine", "Before convolutions: the affine layer $Y = W X + b$"}, explain_affine, NULL},
    {{"activation", "Elementwise functions: $Y = φ(X)$"}, explain_activation, NULL},
    {{"forward", "Forward: $y = A x$"}, explain_forward, NULL},
    {{"weights", "The same forward pass, seen from the weights: $y = Q m$"}, explain_weights, NULL},
    {{"jacobian", "First order: $Δy ≃ J Δx$, and both gradients"}, explain_jacobian, NULL},
    {{"backward", "Backward: $(∂L/∂x)ᵀ = Aᵀ (∂L/∂y)ᵀ$"}, explain_backward, NULL},
    {{"picture", "Backward as a picture: a convolution with the turned kernel"}, explain_picture, NULL},
    {{"update", "Gradient of the weights: $(∂L/∂m)ᵀ = Qᵀ (∂L/∂y)ᵀ$"}, explain_update, NULL},
    {{"large", "Gradient of the weights as a picture: a large convolution"}, explain_large, NULL},
    {{"step", "The step: $m ← m − μ (∂L/∂m)ᵀ$"}, explain_step, NULL},
    {{"whole", "The whole layer: $y = φ(w ⋆ x + b)$"}, explain_whole, NULL},
    {{"blocks", "Several channels and images, in blocks"}, explain_blocks, explain_blocks_refuse},
    {{"summary", "Forward, backward and weight update at a glance"}, explain_summary, NULL},
    {{"winograd", "Fewer multiplications: Winograd's minimal filtering"},
     explain_winograd,
     explain_winograd_refuse},
};
enum { PARTS = sizeof parts / sizeof *parts };

static const char *refusal(const struct part *part, const struct conv_problem *problem)
{
    return part->refuse ? part->refuse(problem) : NULL;
}

/* Marks what --part names, or all that apply to the problem. */
static void parts_choose(const char *names, const struct conv_problem *problem, bool chosen[PARTS])
{
    const char *known[PARTS + 1] = {NULL};
    for (int i = 0; i < PARTS; i++) {
        known[i] = parts[i].entry.name;
        chosen[i] = !names && !refusal(&parts[i], problem);
    }
    while (names) {
        char name[32];
        const size_t length = strcspn(names, ",");
        int found = 0;
        snprintf(name, sizeof name, "%.*s", (int)length, names);
        while (found < PARTS && strcmp(parts[found].entry.name, name))
            found++;
        const char *nearest = nearest_name(name, known);
        if (found == PARTS)
            usage_error(
                "explain: --part=%s: no such part; try --part=%s, or tripass explain PROBLEM for all of them",
                name, nearest ? nearest : known[0]);
        if (refusal(&parts[found], problem))
            usage_error("explain: --part=%s: %s; try another problem, or without this part", name,
                        refusal(&parts[found], problem));
        chosen[found] = true;
        names = names[length] ? names + length + 1 : NULL;
    }
}

static void contents_show(const struct sheet *sheet, const struct conv_problem *problem)
{
    struct sheet_entry entry[PARTS];
    int entries = 0;
    for (int i = 0; i < PARTS; i++)
        if (!refusal(&parts[i], problem))
            entry[entries++] = parts[i].entry;
    sheet_contents(sheet, entries, entry);
    for (int i = 0; i < PARTS; i++)
        if (refusal(&parts[i], problem))
            sheet_text(sheet, "Not for this problem: %s (%s).", parts[i].entry.title,
                       refusal(&parts[i], problem));
}

static void size_check(const struct conv_problem *p)
{
    const double rows = (double)p->oc * p->oh * p->ow, columns = (double)p->ic * p->ih * p->iw;
    const double largest = fmax(fmax(rows, columns), (double)p->ic * p->kh * p->kw);
    if (p->g > 1)
        usage_error("explain: this problem has groups: each group is a layer of its own; try it without g%d",
                    p->g);
    if (largest > MATRIX_MAX)
        usage_error(
            "explain: A would be %.0f x %.0f: %.3g times the %d rows and columns that can be shown; try a "
            "smaller image or fewer channels",
            rows, columns, largest / MATRIX_MAX, MATRIX_MAX);
    if (p->mb > MATRIX_MAX)
        usage_error("explain: %d images: %.3g times the %d that can be shown; try mb2", p->mb,
                    (double)p->mb / MATRIX_MAX, MATRIX_MAX);
}

/* Without --bias and --act the whole layer is shown with both, by the smooth function that training takes. */
static struct conv_layer layer_chosen(const struct options *options)
{
    const struct conv_layer given = options->study.layer;
    return given.bias || given.activation ? given : (struct conv_layer){true, ACTIVATION_TANH};
}

int command_explain(struct options *options, int argc, char **argv)
{
    (void)argc, (void)argv;
    if (options->problem_count != 1)
        usage_error("explain: %d problems given; try tripass explain mb1ic1ih3oc1kh3ph1",
                    options->problem_count);
    if (options->explain.fragment && !sheet_has_fragment(options->explain.format))
        usage_error("explain: --fragment: this format has none; try --format=latex --fragment");
    const struct layers layers = layers_select(options);
    const struct conv_problem *problem = &layers.layer[0].problem;
    bool chosen[PARTS];
    size_check(problem);
    parts_choose(options->explain.parts, problem, chosen);
    const struct lesson wish = {.sheet = {stdout, options->explain.format, options->explain.fragment},
                                .layer = layer_chosen(options),
                                .numbers = options->explain.numbers,
                                .lr = options->study.lr,
                                .seed = options->study.seed};
    struct lesson lesson = lesson_open(&wish, problem);
    sheet_begin(&lesson.sheet, "A convolution layer and its gradients, as matrices");
    if (!options->explain.parts)
        contents_show(&lesson.sheet, problem);
    for (int i = 0; i < PARTS; i++)
        if (chosen[i]) {
            sheet_heading(&lesson.sheet, &parts[i].entry);
            parts[i].show(&lesson);
        }
    sheet_end(&lesson.sheet);
    lesson_close(&lesson);
    free(layers.layer);
    return EXIT_ALL_GOOD;
}
