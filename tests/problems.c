/* Random problems (see problems.h). SPDX-License-Identifier: Apache-2.0 */
#include "problems.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>

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

static int length_random(uint64_t *r)
{
    return PICK(r, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 23, 28, 31, 32, 33, 40, 64, 100);
}

/* As networks have it, and kernels of their own may be for: three taps, one element of padding, a multiple of the stride. */
static struct axis axis_usual(uint64_t *r, int stride)
{
    const int length = length_random(r), in = length + length % stride;
    return (struct axis){.in = in, .out = (in - 1) / stride + 1, .kernel = 3, .stride = stride, .pad = 1};
}

/* winograd: its stride, for a 3 x 3 kernel without dilation; 0: anything. */
static struct axis axis_random(uint64_t *r, int winograd)
{
    struct axis a = {.in = length_random(r)};
    a.kernel = winograd ? 3 : PICK(r, 1, 1, 1, 2, 3, 3, 4, 5, 7, 11);
    a.stride = winograd ? winograd : PICK(r, 1, 1, 1, 2, 2, 2, 3, 4, 5);
    a.dilation = winograd ? 0 : PICK(r, 0, 0, 0, 0, 1, 1, 2, 3);
    a.pad = PICK(r, 0, 0, 0, a.kernel / 2, a.kernel / 2, a.kernel / 2, a.kernel - 1, a.kernel, a.kernel + 1);
    int reach = (a.kernel - 1) * (a.dilation + 1) + 1;
    a.out = a.in + 2 * a.pad < reach ? 1 : (a.in + 2 * a.pad - reach) / a.stride + 1;
    a.out += PICK(r, 0, 0, 0, 0, 0, 0, 0, -2, -1, 1, 2, 3);
    return a;
}

static struct conv_problem candidate(uint64_t *r, int winograd, int channels)
{
    const int usual = channels == 0 ? PICK(r, 0, 0, 1, 2) : 0;
    const struct axis h = usual ? axis_usual(r, usual) : axis_random(r, winograd);
    const struct axis w = usual ? axis_usual(r, usual) : axis_random(r, winograd);
    int g = 1, ic, oc;
    switch (channels) {
    case 0: /* depthwise, sometimes with a channel multiplier */
        g = PICK(r, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33);
        ic = 1;
        oc = PICK(r, 1, 1, 1, 2, 3);
        if (usual)
            oc = 1;
        break;
    case 1:
        g = PICK(r, 2, 2, 3, 4, 5, 8);
        ic = PICK(r, 1, 2, 3, 4, 7, 8, 9, 16, 17);
        oc = PICK(r, 1, 2, 3, 4, 7, 8, 9, 16, 17);
        break;
    case 2: /* longer than the blocks that reductions and panels are cut into */
    case 3:
        ic = PICK(r, 64, 65, 129, 144, 257, 272);
        oc = PICK(r, 1, 8, 16, 17, 40);
        if (random_below(r, 2)) {
            const int many = ic;
            ic = oc;
            oc = many;
        }
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

struct conv_problem problem_random(uint64_t *random)
{
    const int winograd = random_below(random, 100) < 45 ? PICK(random, 1, 1, 2) : 0;
    const int channels = random_below(random, 8); /* drawn once, or else large ones would be rare */
    struct conv_problem p;
    do
        p = candidate(random, winograd, channels);
    while (!suitable(&p));
    return p;
}

static void **taken;
static size_t taken_count, taken_room;

void *take(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
#pragma omp critical
    {
        if (taken_count == taken_room) {
            taken_room = 2 * taken_room + 64;
            taken = realloc(taken, taken_room * sizeof *taken);
        }
        if (!memory || !taken)
            abort();
        taken[taken_count++] = memory;
    }
    return memory;
}

size_t take_mark(void)
{
    return taken_count;
}

void take_back(size_t mark)
{
    while (taken_count > mark)
        free(taken[--taken_count]);
    if (mark == 0) {
        free(taken);
        taken = NULL;
        taken_room = 0;
    }
}

struct example example_make(const struct conv_problem *problem, enum fill fill, double slack, uint64_t seed)
{
    struct example e = {.problem = *problem};
    double longest = 0;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        longest = fmax(longest, conv_reduction(problem, t));
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        const size_t n = conv_elements(problem, t);
        e.plain[t] = take(n * sizeof(float));
        fill_tensor(e.plain[t], n, fill, slack * longest, seed + t, 1);
    }
    return e;
}

struct example example_random(uint64_t *random, enum fill fill, double slack)
{
    const struct conv_problem problem = problem_random(random);
    return example_make(&problem, fill, slack, random_next(random));
}
