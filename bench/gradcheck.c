/* `tripass gradcheck`: the first-order test of the gradients, for each implementation.
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

/* The linear part: |dL - <gradient, d>| relative to the sum of |terms|, 0 where the implementation is exact. */
static double linear_error(struct check *check, enum argument argument)
{
    const double change = loss_at(check, argument, 1) - loss_at(check, argument, 0);
    double magnitude = 0;
    for (size_t i = 0; i < check->elements[argument]; i++)
        magnitude += fabs((double)check->gradient[argument][i] * (double)check->direction[argument][i]);
    const double error =
        fabs(change - dot(check->gradient[argument], check->direction[argument], check->elements[argument]));
    return magnitude > 0 ? error / magnitude : error;
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

/* log R(h) to the right, log h downwards; x, w, b mark their remainders, `.` lines of slope 2 from R(1/4). */
static void remainders_plot(double remainder[ARGUMENTS][STEPS])
{
    enum { COLUMNS = 64 };
    double high = 0, low = INFINITY;
    for (enum argument a = 0; a < ARGUMENTS; a++)
        for (int i = 0; i < STEPS; i++) {
            high = fmax(high, remainder[a][i]);
            low = fmin(low, fmax(remainder[a][i], 1e-12));
        }
    const double scale = (COLUMNS - 1) / fmax(log2(high / low), 1);
    printf("  h        R(h): %.1e at the left, %.1e at the right, logarithmic; dots fall as h^2\n", low,
           high);
    for (int i = 0; i < STEPS; i++) {
        char line[COLUMNS + 1];
        memset(line, ' ', COLUMNS);
        line[COLUMNS] = '\0';
        for (int pass = 0; pass < 2; pass++)
            for (enum argument a = 0; a < ARGUMENTS; a++) {
                const double r = pass ? remainder[a][i] : ldexp(remainder[a][0], -2 * i);
                const int at = (int)lround(scale * log2(fmax(r, low) / low));
                if (at >= 0 && at < COLUMNS && r >= low)
                    line[at] = pass ? argument_name[a][0] : '.';
            }
        printf("  2^-%d    |%s|\n", i + 2, line);
    }
    putchar('\n');
}

/* Returns whether the implementation passes; one that refuses the problem does. */
static bool impl_check(const struct conv_impl *impl, const struct conv_problem *problem,
                       const struct options *options)
{
    struct check check;
    bool good = true;
    const char *reason = check_open(&check, impl, problem);
    printf("%s%s%s\n", impl->name, reason ? ": refuses: " : "", reason ? reason : "");
    if (!reason) {
        double remainder[ARGUMENTS][STEPS], slope[ARGUMENTS], linear[ARGUMENTS];
        check.activation = activation_find("identity");
        check_draw(&check, true, options->study.seed);
        gradients(&check);
        for (enum argument a = 0; a < ARGUMENTS; a++)
            linear[a] = linear_error(&check, a);
        check.activation = options->gradcheck.activation;
        check_draw(&check, false, options->study.seed);
        gradients(&check);
        uint64_t random = options->study.seed;
        for (enum argument a = 0; a < ARGUMENTS; a++) {
            slope[a] = remainders(&check, a, remainder[a], &random);
            /* An inexact implementation may err by its bound in each of the two losses and in the gradient. */
            const double allowed =
                impl->exact ? 0 : 3 * conv_error_bound(impl, problem, CONV_DST) * sqrt((double)check.outputs);
            const bool linear_good = linear[a] <= allowed, slope_good = slope[a] >= slope_least;
            printf("  d%s: linear part, relative error %.2e %s; R falls as h^%.2f %s\n", argument_name[a],
                   linear[a], linear_good ? "ok" : "FAIL", slope[a], slope_good ? "ok" : "FAIL");
            good = good && linear_good && slope_good;
        }
        remainders_plot(remainder);
    }
    check_close(&check);
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
        for (int i = 0; i < options->study.impl_count; i++)
            good = impl_check(options->study.impls[i], &layers.layer[l].problem, options) && good;
    free(layers.layer);
    return good ? EXIT_ALL_GOOD : EXIT_SOME_FAILED;
}
