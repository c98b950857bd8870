/* `tripass gradcheck`: the first-order test of the gradients.
 *
 * With L = <c, y> and y = W * x, L is linear in x and in W, so dL = <dL/dx, dx> holds without remainder for a step of
 * any size, and on integers without rounding. Through y = phi(W * x + b) the remainder
 *
 *     R(h) = | L(x + h d) - L(x) - h <dL/dx, d> |
 *
 * falls as h^2, and only as h where the gradient is wrong; likewise in W and b.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "complain.h"
#include "layers.h"
#include "pass.h"
#include "problem_string.h"
#include "random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* h = 1/4, 1/8, ... 1/128. Below, the rounding of float (about 1e-7 of L) comes near a remainder of about h^2. */
enum { STEPS = 6, DIRECTIONS = 16 };
/* The slope of log R over log h that passes: 2, less what third-order terms bend at the larger steps. */
static const double slope_least = 1.75;

/* Operations of a pass. An implementation takes 300 passes (arguments x directions x steps), of which the reference
 * does 5e8 operations a second on a core: some 10 s. */
static const double flop_most = 2e7;

enum argument { ARGUMENT_SRC, ARGUMENT_WEI, ARGUMENT_BIAS, ARGUMENTS };
static const char *const argument_name[ARGUMENTS] = {"x", "w", "b"};

/* A layer with its three passes by one implementation, at a point and in a direction. */
struct check {
    struct conv_problem problem;
    struct pass pass[CONV_TENSORS];
    const struct activation *activation;
    size_t elements[ARGUMENTS], outputs;
    float *point[ARGUMENTS], *direction[ARGUMENTS], *gradient[ARGUMENTS], *moved[ARGUMENTS];
    float *dst, *dz, *loss; /* y; dL/dz; c */
};

static double dot(const float *a, const float *b, size_t elements)
{
    double sum = 0;
    for (size_t i = 0; i < elements; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* L at the point moved by h along the direction of one argument. */
static double loss_at(struct check *check, enum argument argument, float h)
{
    const struct conv_problem *p = &check->problem;
    const size_t pixels = (size_t)p->oh * (size_t)p->ow;
    for (enum argument a = 0; a < ARGUMENTS; a++)
        for (size_t i = 0; i < check->elements[a]; i++)
            check->moved[a][i] = check->point[a][i] + (a == argument ? h * check->direction[a][i] : 0);
    pass_run(&check->pass[CONV_DST],
             (float *[]){check->moved[ARGUMENT_SRC], check->moved[ARGUMENT_WEI], check->dst});
    for (size_t i = 0; i < check->outputs; i++)
        check->dst[i] += check->moved[ARGUMENT_BIAS][i / pixels % (size_t)p->oc];
    activation_apply(check->activation, check->dst, check->outputs);
    return dot(check->loss, check->dst, check->outputs);
}

/* The gradients at the point. */
static void gradients(struct check *check)
{
    const struct conv_problem *p = &check->problem;
    const size_t pixels = (size_t)p->oh * (size_t)p->ow;
    loss_at(check, ARGUMENT_SRC, 0);
    activation_backward(check->activation, check->dst, check->loss, check->dz, check->outputs);
    pass_run(&check->pass[CONV_SRC],
             (float *[]){check->gradient[ARGUMENT_SRC], check->point[ARGUMENT_WEI], check->dz});
    pass_run(&check->pass[CONV_WEI],
             (float *[]){check->point[ARGUMENT_SRC], check->gradient[ARGUMENT_WEI], check->dz});
    memset(check->gradient[ARGUMENT_BIAS], 0, check->elements[ARGUMENT_BIAS] * sizeof(float));
    for (size_t i = 0; i < check->outputs; i++)
        check->gradient[ARGUMENT_BIAS][i / pixels % (size_t)p->oc] += check->dz[i];
}

/* Small integers, or reals of about `scale`. */
static void draw(float *to, size_t elements, bool integers, double scale, uint64_t *random)
{
    for (size_t i = 0; i < elements; i++)
        to[i] =
            integers ? (float)(random_below(random, 5) - 2) : (float)(scale * (2 * random_unit(random) - 1));
}

/* Weights that keep the layer's outputs of order one, where phi bends. */
static double scale_of(const struct check *check, enum argument argument)
{
    return argument == ARGUMENT_WEI ? 3 / sqrt(conv_reduction(&check->problem, CONV_DST)) : 1;
}

static void check_draw(struct check *check, bool integers, uint64_t seed)
{
    uint64_t random = seed;
    for (enum argument a = 0; a < ARGUMENTS; a++) {
        draw(check->point[a], check->elements[a], integers, scale_of(check, a), &random);
        draw(check->direction[a], check->elements[a], integers, scale_of(check, a), &random);
    }
    draw(check->loss, check->outputs, integers, 1, &random);
}

static const char *check_open(struct check *check, const struct conv_impl *impl,
                              const struct conv_problem *problem)
{
    memset(check, 0, sizeof *check);
    check->problem = *problem;
    check->elements[ARGUMENT_SRC] = conv_elements(problem, CONV_SRC);
    check->elements[ARGUMENT_WEI] = conv_elements(problem, CONV_WEI);
    check->elements[ARGUMENT_BIAS] = (size_t)problem->oc;
    check->outputs = conv_elements(problem, CONV_DST);
    bool got = (check->dst = pass_tensor(check->outputs)) && (check->dz = pass_tensor(check->outputs)) &&
               (check->loss = pass_tensor(check->outputs));
    for (enum argument a = 0; a < ARGUMENTS; a++)
        got = got && (check->point[a] = pass_tensor(check->elements[a])) &&
              (check->direction[a] = pass_tensor(check->elements[a])) &&
              (check->gradient[a] = pass_tensor(check->elements[a])) &&
              (check->moved[a] = pass_tensor(check->elements[a]));
    if (!got)
        usage_error("gradcheck: out of memory; try a smaller problem");
    for (enum conv_tensor output = 0; output < CONV_TENSORS; output++) {
        const char *reason = pass_open(&check->pass[output], impl, problem, output, 1);
        if (reason)
            return reason;
    }
    return NULL;
}

static void check_close(struct check *check)
{
    for (enum conv_tensor output = 0; output < CONV_TENSORS; output++)
        pass_close(&check->pass[output]);
    for (enum argument a = 0; a < ARGUMENTS; a++) {
        free(check->point[a]);
        free(check->direction[a]);
        free(check->gradient[a]);
        free(check->moved[a]);
    }
    free(check->dst);
    free(check->dz);
    free(check->loss);
}

/* What L changes by in a step of an argument, and what its gradient says. */
struct linear {
    double change, predicted;
    double error; /* of the one against the other, relative to the sum of |terms| */
};

static struct linear linear_compare(struct check *check, enum argument argument)
{
    struct linear l = {.change = loss_at(check, argument, 1) - loss_at(check, argument, 0)};
    double magnitude = 0;
    for (size_t i = 0; i < check->elements[argument]; i++)
        magnitude += fabs((double)check->gradient[argument][i] * (double)check->direction[argument][i]);
    l.predicted = dot(check->gradient[argument], check->direction[argument], check->elements[argument]);
    l.error = fabs(l.change - l.predicted) / (magnitude > 0 ? magnitude : 1);
    return l;
}

/* R(h) at h = 1/4, 1/8, ..., the mean over some directions (in a single one the second-order terms may cancel by
 * chance); returns its slope over h on logarithmic axes, by least squares. The gradients are there. */
static double remainders(struct check *check, enum argument argument, double remainder[STEPS],
                         uint64_t *random)
{
    const double base = loss_at(check, argument, 0);
    memset(remainder, 0, STEPS * sizeof *remainder);
    for (int d = 0; d < DIRECTIONS; d++) {
        draw(check->direction[argument], check->elements[argument], false, scale_of(check, argument), random);
        const double first_order =
            dot(check->gradient[argument], check->direction[argument], check->elements[argument]);
        for (int i = 0; i < STEPS; i++) {
            const double h = ldexp(1, -2 - i);
            remainder[i] += fabs(loss_at(check, argument, (float)h) - base - h * first_order) / DIRECTIONS;
        }
    }
    double x_sum = 0, y_sum = 0, xx_sum = 0, xy_sum = 0;
    for (int i = 0; i < STEPS; i++) {
        const double x = -2 - i, y = log2(remainder[i]);
        x_sum += x, y_sum += y, xx_sum += x * x, xy_sum += x * y;
    }
    return (STEPS * xy_sum - x_sum * y_sum) / (STEPS * xx_sum - x_sum * x_sum);
}

/* What the two tests find for one implementation. */
struct result {
    const char *refusal; /* or NULL */
    struct linear linear[ARGUMENTS];
    double allowed; /* error of the linear part */
    double remainder[ARGUMENTS][STEPS], slope[ARGUMENTS];
};

static bool linear_good(const struct result *r, enum argument a)
{
    return r->linear[a].error <= r->allowed;
}

static bool slope_good(const struct result *r, enum argument a)
{
    return r->slope[a] >= slope_least;
}

/* One that refuses the problem does well. */
static bool result_good(const struct result *r)
{
    bool good = true;
    for (enum argument a = 0; a < ARGUMENTS && !r->refusal; a++)
        good = good && linear_good(r, a) && slope_good(r, a);
    return good;
}

static struct result impl_check(const struct conv_impl *impl, const struct conv_problem *problem,
                                const struct options *options)
{
    struct check check;
    struct result r = {.refusal = check_open(&check, impl, problem)};
    if (!r.refusal) {
        /* An inexact implementation may err by its bound in each of the two losses and in the gradient. */
        r.allowed =
            impl->exact ? 0 : 3 * conv_error_bound(impl, problem, CONV_DST) * sqrt((double)check.outputs);
        check.activation = activation_find("identity");
        check_draw(&check, true, options->study.seed);
        gradients(&check);
        for (enum argument a = 0; a < ARGUMENTS; a++)
            r.linear[a] = linear_compare(&check, a);
        check.activation = options->gradcheck.activation;
        check_draw(&check, false, options->study.seed);
        gradients(&check);
        uint64_t random = options->study.seed;
        for (enum argument a = 0; a < ARGUMENTS; a++)
            r.slope[a] = remainders(&check, a, r.remainder[a], &random);
    }
    check_close(&check);
    return r;
}

/* ---- what is printed ---- */

static const char *verdict(bool good)
{
    return good ? "ok" : "FAIL";
}

static void linear_print(const struct result *r)
{
    printf("1. Linear: with L = <c, y> and y = w * x + b, the change of L in a step, dL = L(x + dx) - L(x),\n"
           "   is <dL/dx, dx>, for a step of any size; likewise in w and b. On integers, %s:\n\n",
           r->allowed > 0 ? "up to rounding in transforms" : "to the last bit");
    printf("                  dL   <gradient, step>\n");
    for (enum argument a = 0; a < ARGUMENTS; a++)
        printf("     %s %16.10g %18.10g   %s\n", argument_name[a], r->linear[a].change,
               r->linear[a].predicted, verdict(linear_good(r, a)));
}

static void remainder_print(const struct result *r, const char *phi)
{
    printf("\n2. Through phi, y = %s(w * x + b): of a step h d (h its size, d a direction drawn at random) "
           "remains\n\n"
           "     R(h) = | L(x + h d) - L(x) - h <dL/dx, d> |,\n\n"
           "   which falls as h^2 where the gradient is right, and only as h where it is wrong; likewise in "
           "w and b.\n"
           "   Means over %d directions:\n\n     h    ",
           phi, DIRECTIONS);
    for (enum argument a = 0; a < ARGUMENTS; a++)
        printf("    R for %s", argument_name[a]);
    for (int i = 0; i < STEPS; i++) {
        printf("\n     1/%-4d", 4 << i);
        for (enum argument a = 0; a < ARGUMENTS; a++)
            printf("%11.2e", r->remainder[a][i]);
    }
    printf("\n     R as h^");
    for (enum argument a = 0; a < ARGUMENTS; a++)
        printf("%11.2f%s", r->slope[a], slope_good(r, a) ? "" : " FAIL");
    printf("   (by least squares; at least %.2f)\n\n", slope_least);
}

/* log R upwards, log h to the right; the three arguments stand beside each other at each h, each with dots that fall as
 * h^2 from its R(1/4). */
static void remainders_plot(const struct result *r)
{
    enum { LINES = 16, SPACE = 8, COLUMNS = STEPS * SPACE };
    char plot[LINES][COLUMNS + 1];
    double high = 0, low = INFINITY;
    for (enum argument a = 0; a < ARGUMENTS; a++)
        for (int i = 0; i < STEPS; i++) {
            high = fmax(high, r->remainder[a][i]);
            low = fmin(low, fmax(r->remainder[a][i], 1e-12));
        }
    for (int line = 0; line < LINES; line++)
        snprintf(plot[line], sizeof plot[line], "%*s", COLUMNS, "");
    const double scale = (LINES - 1) / fmax(log2(high / low), 1);
    for (int mark = 0; mark < 2; mark++) /* dots first */
        for (enum argument a = 0; a < ARGUMENTS; a++)
            for (int i = 0; i < STEPS; i++) {
                const double value = mark ? r->remainder[a][i] : ldexp(r->remainder[a][0], -2 * i);
                const int at = (int)lround(scale * log2(high / fmax(value, low)));
                if (at >= 0 && at < LINES)
                    plot[at][(STEPS - 1 - i) * SPACE + 2 * (int)a] = mark ? argument_name[a][0] : '.';
            }
    printf("   R, logarithmic; dots fall as h^2 from R(1/4)\n");
    for (int line = 0; line < LINES; line++)
        if (line == 0 || line == LINES - 1)
            printf("   %8.1e |%s\n", line ? low : high, plot[line]);
        else
            printf("            |%s\n", plot[line]);
    printf("   h:        ");
    for (int i = STEPS - 1; i >= 0; i--)
        printf("1/%-*d", SPACE - 2, 4 << i);
    printf("\n\n");
}

static void summary_print(const struct conv_impl *impl, const struct result *r)
{
    printf("%-16s", impl->name);
    if (r->refusal) {
        printf("refuses: %s\n", r->refusal);
        return;
    }
    printf("%-5s", verdict(result_good(r)));
    for (enum argument a = 0; a < ARGUMENTS; a++)
        printf("  %s: %.1e%s, h^%.2f%s", argument_name[a], r->linear[a].error, linear_good(r, a) ? "" : "!",
               r->slope[a], slope_good(r, a) ? "" : "!");
    putchar('\n');
}

/* The tests of one problem: explained by the first implementation that can do it, then a line for each. */
static bool problem_check(const struct layer *layer, const struct options *options)
{
    char text[PROBLEM_STRING_MAX];
    bool good = true, explained = false;
    struct result *result =
        must_allocate(NULL, (size_t)options->study.impl_count, sizeof *result); /* of each implementation */
    problem_string_print(&layer->problem, text, sizeof text);
    for (int i = 0; i < options->study.impl_count; i++) {
        const struct conv_impl *impl = options->study.impls[i];
        result[i] = impl_check(impl, &layer->problem, options);
        good = good && result_good(&result[i]);
        if (!explained && !result[i].refusal) {
            printf("%s by %s\n\n", text, impl->name);
            linear_print(&result[i]);
            remainder_print(&result[i], options->gradcheck.activation->name);
            remainders_plot(&result[i]);
            explained = true;
        }
    }
    printf("%s: relative error of <gradient, step>, and how R falls\n", text);
    for (int i = 0; i < options->study.impl_count; i++)
        summary_print(options->study.impls[i], &result[i]);
    putchar('\n');
    free(result);
    return good;
}

/* What the test can say something about, in reasonable time. */
static void check_question(const struct layers *layers, const struct activation *phi)
{
    if (phi != &activations[ACTIVATION_TANH] && phi != &activations[ACTIVATION_SIGMOID])
        usage_error("gradcheck: --act=%s: not smooth and curved, so R need not fall as h^2; try --act=tanh",
                    phi->name);
    for (int l = 0; l < layers->count; l++) {
        const double flop = conv_flop_nominal(&layers->layer[l].problem);
        if (flop > flop_most)
            usage_error(
                "gradcheck: a pass would take %.3g operations: %.3g times the %.0g that can be checked; "
                "try a smaller image or batch",
                flop, flop / flop_most, flop_most);
    }
}

int command_gradcheck(struct options *options, int argc, char **argv)
{
    (void)argc, (void)argv;
    bool good = true;
    const struct layers layers = layers_select(options);
    check_question(&layers, options->gradcheck.activation);
    for (int l = 0; l < layers.count; l++)
        good = problem_check(&layers.layer[l], options) && good;
    free(layers.layer);
    return good ? EXIT_ALL_GOOD : EXIT_SOME_FAILED;
}
