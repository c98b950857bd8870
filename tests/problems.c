/* Random problems (see problems.h). SPDX-License-Identifier: Apache-2.0 */
#include "problems.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

int random_below(struct random *random, int n)
{
    return (int)(random_next(random) % (uint64_t)n);
}

uint64_t test_seed(void)
{
    const char *text = getenv("TRIPASS_SEED");
    return text ? strtoull(text, NULL, 0) : 1;
}

int test_count(int normal)
{
    const char *text = getenv("TRIPASS_TEST_PROBLEMS");
    int count = text ? (int)(normal * strtod(text, NULL) / 200) : normal;
    return count > 1 ? count : 1;
}

/* One of a list of choices; repeating a choice makes it likelier. */
#define PICK(random, ...)                                                                                    \
    ((const int[]){__VA_ARGS__}[random_below(random, sizeof(int[]){__VA_ARGS__} / sizeof(int))])

struct axis {
    int in, out, kernel, stride, pad, dilation;
};

static struct axis axis_random(struct random *r, bool winograd)
{
    struct axis a = {.in =
                         PICK(r, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 23, 28, 31, 32, 33, 40)};
    a.kernel = winograd ? 3 : PICK(r, 1, 1, 1, 2, 3, 3, 4, 5, 7, 11);
    a.stride = winograd ? 1 : PICK(r, 1, 1, 1, 2, 2, 2, 3, 4, 5);
    a.dilation = winograd ? 0 : PICK(r, 0, 0, 0, 0, 1, 1, 2, 3);
    a.pad = PICK(r, 0, 0, 0, a.kernel / 2, a.kernel / 2, a.kernel / 2, a.kernel - 1, a.kernel, a.kernel + 1);
    int reach = (a.kernel - 1) * (a.dilation + 1) + 1;
    a.out = a.in + 2 * a.pad < reach ? 1 : (a.in + 2 * a.pad - reach) / a.stride + 1;
    a.out += PICK(r, 0, 0, 0, 0, 0, 0, 0, -2, -1, 1, 2, 3);
    return a;
}

static struct conv_problem candidate(struct random *r)
{
    const bool winograd = random_below(r, 100) < 45;
    const struct axis h = axis_random(r, winograd), w = axis_random(r, winograd);
    int g = 1, ic, oc;
    switch (random_below(r, 8)) {
    case 0: /* depthwise, sometimes with a channel multiplier */
        g = PICK(r, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33);
        ic = 1;
        oc = PICK(r, 1, 1, 1, 2, 3);
        break;
    case 1:
        g = PICK(r, 2, 2, 3, 4, 5, 8);
        ic = PICK(r, 1, 2, 3, 4, 7, 8, 9, 16, 17);
        oc = PICK(r, 1, 2, 3, 4, 7, 8, 9, 16, 17);
        break;
    default:
        ic = PICK(r, 1, 2, 3, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48);
        oc = PICK(r, 1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48);
    }
    return (struct conv_problem){.g = g,
                                 .mb = PICK(r, 1, 1, 1, 2, 2, 3, 4, 5, 8, 9),
                                 .ic = g * ic,
                                 .oc = g * oc,
                                 .ih = h.in,
                                 .iw = w.in,
                                 .oh = h.out,
                                 .ow = w.out,
                                 .kh = h.kernel,
                                 .kw = w.kernel,
                                 .sh = h.stride,
                                 .sw = w.stride,
                                 .ph = h.pad,
                                 .pw = w.pad,
                                 .dh = h.dilation,
                                 .dw = w.dilation};
}

static bool suitable(const struct conv_problem *p)
{
    if (conv_problem_unsound(p) || conv_flop_nominal(p) > 2 * 2e6 || conv_flop_valid(p) == 0)
        return false;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        if (conv_elements(p, t) > 65536)
            return false;
    return true;
}

struct conv_problem problem_random(struct random *random)
{
    struct conv_problem p;
    do
        p = candidate(random);
    while (!suitable(&p));
    return p;
}

void problem_print(const struct conv_problem *p, char text[PROBLEM_TEXT])
{
    snprintf(text, PROBLEM_TEXT, "g%dmb%dic%dih%diw%doc%doh%dow%dkh%dkw%dsh%dsw%dph%dpw%ddh%ddw%d", p->g,
             p->mb, p->ic, p->ih, p->iw, p->oc, p->oh, p->ow, p->kh, p->kw, p->sh, p->sw, p->ph, p->pw, p->dh,
             p->dw);
}

static float *data(size_t elements)
{
    float *x = malloc((elements ? elements : 1) * sizeof *x);
    if (!x)
        abort();
    return x;
}

float *data_integers(struct random *random, size_t elements, int limit)
{
    float *x = data(elements);
    for (size_t i = 0; i < elements; i++)
        x[i] = (float)(random_below(random, 2 * limit + 1) - limit);
    return x;
}

float *data_reals(struct random *random, size_t elements)
{
    float *x = data(elements);
    for (size_t i = 0; i < elements; i++)
        x[i] = (float)(int32_t)(random_next(random) >> 32) * 0x1p-31f;
    return x;
}

int exact_limit(const struct conv_problem *problem, double slack)
{
    double longest = 0;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        longest = fmax(longest, conv_reduction(problem, t));
    double limit = floor(sqrt(0x1p24 / slack / longest));
    return limit < 4 ? (int)limit : 4;
}
