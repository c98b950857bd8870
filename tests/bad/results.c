/* Results that are wrong. SPDX-License-Identifier: Apache-2.0 */
#include "bad.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *bad_plan(struct conv_plan *plan)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = conv_elements(&plan->problem, t) * sizeof(float);
    return NULL;
}

void bad_right(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    conv_impl_find("reference")->run(plan, tensor, scratch);
}

/* Not a corner, which every sample of the outputs has. */
BAD(one_off, out[n / 2 + n / 7] += 1);

/* Whether this is the worker of a later repetition, which its command line tells. */
static bool is_later(void)
{
    char line[4096] = "";
    const int file = open("/proc/self/cmdline", O_RDONLY);
    const ssize_t length = read(file, line, sizeof line - 1);
    close(file);
    for (ssize_t i = 0; i < length; i++)
        if (!strncmp(line + i, "--worker=", 9))
            return atoi(line + i + 9) > 0;
    return false;
}
BAD(one_off_later, if (is_later()) out[n / 2 + n / 7] += 1);

/* Nothing is computed, and the bound on the error allows it. */
static double infinite(const struct conv_problem *problem, enum conv_tensor output)
{
    (void)problem, (void)output;
    return (double)INFINITY;
}
BAD(bound_infinite, memset(out, 0, n * sizeof *out), .error_bound = infinite);

static double not_a_number(const struct conv_problem *problem, enum conv_tensor output)
{
    (void)problem, (void)output;
    return (double)NAN;
}
BAD(bound_nan, memset(out, 0, n * sizeof *out), .error_bound = not_a_number);

/* The first tap of all weights is off by 1e-4, which summing in float might explain. */
static void spoil(const struct conv_problem *p, float *weights)
{
    const size_t taps = (size_t)p->kh * (size_t)p->kw;
    for (size_t i = 0; i < conv_elements(p, CONV_WEI); i += taps)
        weights[i] *= 1 + 1e-4F;
}

static void import(const struct conv_plan *plan, enum conv_tensor t, const float *plain, float *native)
{
    memcpy(native, plain, plan->bytes[t]);
    if (t == CONV_WEI)
        spoil(&plan->problem, native);
}

static void export(const struct conv_plan *plan, enum conv_tensor t, const float *native, float *plain)
{
    memcpy(plain, native, plan->bytes[t]);
    if (t == CONV_WEI)
        spoil(&plan->problem, plain);
}
const struct conv_impl bad_tap_impl = {.name = "bad-tap",
                                       .family = "bad",
                                       .summary = "",
                                       .source = "",
                                       .plan = bad_plan,
                                       .import = import,
                                       .export = export,
                                       .run = bad_right};
