/* Cases small enough to be computed by hand, and the matrices of the course that the suite comes from.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

/* For each case the three tensors as inputs, and what each pass makes of the other two. */
struct golden {
    const char *what;
    struct conv_problem problem;
    float *input[CONV_TENSORS], *output[CONV_TENSORS];
};

#define ROW(...) ((float[]){__VA_ARGS__})

/* One row, one channel: taps w[0], w[1] make the arithmetic readable as decimal digits (1 and 10). */
#define LINE(...)                                                                                            \
    {                                                                                                        \
        .g = 1, .mb = 1, .ic = 1, .ih = 1, .oc = 1, .oh = 1, .kh = 1, .sh = 1, __VA_ARGS__                   \
    }

static const struct golden cases[] = {
    {
        .what = "1x1 kernel, two input channels",
        .problem = {1, 1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 0, 0, 0, 0},
        .input = {[CONV_SRC] = ROW(1, 2, 3, 4), [CONV_WEI] = ROW(5, 6), [CONV_DST] = ROW(1, -1)},
        .output = {[CONV_DST] = ROW(1 * 5 + 3 * 6, 2 * 5 + 4 * 6),
                   [CONV_SRC] = ROW(5, -5, 6, -6),
                   [CONV_WEI] = ROW(1 - 2, 3 - 4)},
    },
    {
        .what = "minibatch, two output channels",
        .problem = {1, 2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0},
        .input = {[CONV_SRC] = ROW(1, 2), [CONV_WEI] = ROW(3, 4), [CONV_DST] = ROW(1, 2, 3, 4)},
        .output = {[CONV_DST] = ROW(1 * 3, 1 * 4, 2 * 3, 2 * 4),
                   [CONV_SRC] = ROW(1 * 3 + 2 * 4, 3 * 3 + 4 * 4),
                   [CONV_WEI] = ROW(1 * 1 + 2 * 3, 1 * 2 + 2 * 4)},
    },
    {
        .what = "all ones, 3x3 on 3x3, padding 1: how many taps are valid",
        .problem = {1, 1, 1, 3, 3, 1, 3, 3, 3, 3, 1, 1, 1, 1, 0, 0},
        .input = {[CONV_SRC] = ROW(1, 1, 1, 1, 1, 1, 1, 1, 1),
                  [CONV_WEI] = ROW(1, 1, 1, 1, 1, 1, 1, 1, 1),
                  [CONV_DST] = ROW(1, 1, 1, 1, 1, 1, 1, 1, 1)},
        .output = {[CONV_DST] = ROW(4, 6, 4, 6, 9, 6, 4, 6, 4),
                   [CONV_SRC] = ROW(4, 6, 4, 6, 9, 6, 4, 6, 4),
                   [CONV_WEI] = ROW(4, 6, 4, 6, 9, 6, 4, 6, 4)},
    },
    {
        .what = "kernel larger than the image: only its middle is valid",
        .problem = {1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 1, 1, 1, 1, 0, 0},
        .input = {[CONV_SRC] = ROW(2), [CONV_WEI] = ROW(1, 2, 3, 4, 5, 6, 7, 8, 9), [CONV_DST] = ROW(3)},
        .output = {[CONV_DST] = ROW(2 * 5),
                   [CONV_SRC] = ROW(3 * 5),
                   [CONV_WEI] = ROW(0, 0, 0, 0, 2 * 3, 0, 0, 0, 0)},
    },
    {
        .what = "stride 2: the last column is never read",
        .problem = LINE(.iw = 5, .ow = 2, .kw = 2, .sw = 2),
        .input = {[CONV_SRC] = ROW(1, 2, 3, 4, 5), [CONV_WEI] = ROW(1, 10), [CONV_DST] = ROW(1, 2)},
        .output = {[CONV_DST] = ROW(1 + 20, 3 + 40),
                   [CONV_SRC] = ROW(1, 10, 2, 20, 0),
                   [CONV_WEI] = ROW(1 * 1 + 2 * 3, 1 * 2 + 2 * 4)},
    },
    {
        .what = "stride larger than the kernel: the columns between are zero",
        .problem = LINE(.iw = 4, .ow = 2, .kw = 1, .sw = 3),
        .input = {[CONV_SRC] = ROW(1, 2, 3, 4), [CONV_WEI] = ROW(10), [CONV_DST] = ROW(1, 2)},
        .output = {[CONV_DST] = ROW(10, 40), [CONV_SRC] = ROW(10, 0, 0, 20), [CONV_WEI] = ROW(1 * 1 + 2 * 4)},
    },
    {
        .what = "padding on the left only",
        .problem = LINE(.iw = 3, .ow = 3, .kw = 2, .sw = 1, .pw = 1),
        .input = {[CONV_SRC] = ROW(1, 2, 3), [CONV_WEI] = ROW(1, 10), [CONV_DST] = ROW(1, 2, 3)},
        .output = {[CONV_DST] = ROW(10, 1 + 20, 2 + 30),
                   [CONV_SRC] = ROW(10 + 2, 20 + 3, 30),
                   [CONV_WEI] = ROW(2 * 1 + 3 * 2, 1 * 1 + 2 * 2 + 3 * 3)},
    },
    {
        .what = "negative padding on the right: the last column is never read",
        .problem = LINE(.iw = 3, .ow = 2, .kw = 1, .sw = 1),
        .input = {[CONV_SRC] = ROW(1, 2, 3), [CONV_WEI] = ROW(10), [CONV_DST] = ROW(1, 2)},
        .output = {[CONV_DST] = ROW(10, 20), [CONV_SRC] = ROW(10, 20, 0), [CONV_WEI] = ROW(1 * 1 + 2 * 2)},
    },
    {
        .what = "dilation: the taps are two columns apart",
        .problem = LINE(.iw = 4, .ow = 2, .kw = 2, .sw = 1, .dw = 1),
        .input = {[CONV_SRC] = ROW(1, 2, 3, 4), [CONV_WEI] = ROW(1, 10), [CONV_DST] = ROW(1, 2)},
        .output = {[CONV_DST] = ROW(1 + 30, 2 + 40),
                   [CONV_SRC] = ROW(1, 2, 10, 20),
                   [CONV_WEI] = ROW(1 * 1 + 2 * 2, 1 * 3 + 2 * 4)},
    },
    {
        .what = "groups: output channels 0, 1 read input channel 0; 2, 3 read 1",
        .problem = {2, 1, 2, 1, 1, 4, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0},
        .input = {[CONV_SRC] = ROW(2, 3), [CONV_WEI] = ROW(1, 10, 100, 1000), [CONV_DST] = ROW(1, 2, 3, 4)},
        .output = {[CONV_DST] = ROW(2, 20, 300, 3000),
                   [CONV_SRC] = ROW(1 * 1 + 2 * 10, 3 * 100 + 4 * 1000),
                   [CONV_WEI] = ROW(1 * 2, 2 * 2, 3 * 3, 4 * 3)},
    },
};

static bool check(const struct subject *s, const struct golden *golden, int threads)
{
    const struct trial trial = {.impl = s->impl,
                                .problem = golden->problem,
                                .output = s->output,
                                .threads = threads,
                                .isa = s->isa,
                                .exact = s->impl->exact};
    const size_t n = conv_elements(&golden->problem, s->output);
    float *result = take(n * sizeof *result);
    /* The magnitudes scale the error that an inexact implementation may make; the values are ours. */
    struct conv_element *truth = truth_of(&golden->problem, s->output, golden->input);
    for (size_t i = 0; i < n; i++)
        truth[i].value = (double)golden->output[s->output][i];
    bool ran = trial_run(&trial, golden->input, result);
    if (ran)
        assert_agrees(&trial, result, truth);
    return ran;
}

static void test_by_hand(void **state)
{
    const int count = sizeof cases / sizeof *cases;
    int ran = 0;
    for (int i = 0; i < count; i++)
        ran += check(*state, &cases[i], 1) && check(*state, &cases[i], 2);
    subject_finish(*state, ran, count);
}

/* The course: one channel, a 3x3 image x = a..i, a 3x3 kernel m = w11..w33, padding 1, with y = A x, dx = A^T dy,
 * y = Q m and dm = Q^T dy. An entry of A or A^T is the index of a weight, one of Q that of a pixel, from 1; 0 is zero.
 * All three matrices are written down as the course has them, A^T too. */
enum { N = 9 };
typedef const int matrix[N][N];

static matrix course_a = {
    {5, 6, 0, 8, 9, 0, 0, 0, 0}, {4, 5, 6, 7, 8, 9, 0, 0, 0}, {0, 4, 5, 0, 7, 8, 0, 0, 0},
    {2, 3, 0, 5, 6, 0, 8, 9, 0}, {1, 2, 3, 4, 5, 6, 7, 8, 9}, {0, 1, 2, 0, 4, 5, 0, 7, 8},
    {0, 0, 0, 2, 3, 0, 5, 6, 0}, {0, 0, 0, 1, 2, 3, 4, 5, 6}, {0, 0, 0, 0, 1, 2, 0, 4, 5},
};
static matrix course_a_transposed = {
    {5, 4, 0, 2, 1, 0, 0, 0, 0}, {6, 5, 4, 3, 2, 1, 0, 0, 0}, {0, 6, 5, 0, 3, 2, 0, 0, 0},
    {8, 7, 0, 5, 4, 0, 2, 1, 0}, {9, 8, 7, 6, 5, 4, 3, 2, 1}, {0, 9, 8, 0, 6, 5, 0, 3, 2},
    {0, 0, 0, 8, 7, 0, 5, 4, 0}, {0, 0, 0, 9, 8, 7, 6, 5, 4}, {0, 0, 0, 0, 9, 8, 0, 6, 5},
};
static matrix course_q = {
    {0, 0, 0, 0, 1, 2, 0, 4, 5}, {0, 0, 0, 1, 2, 3, 4, 5, 6}, {0, 0, 0, 2, 3, 0, 5, 6, 0},
    {0, 1, 2, 0, 4, 5, 0, 7, 8}, {1, 2, 3, 4, 5, 6, 7, 8, 9}, {2, 3, 0, 5, 6, 0, 8, 9, 0},
    {0, 4, 5, 0, 7, 8, 0, 0, 0}, {4, 5, 6, 7, 8, 9, 0, 0, 0}, {5, 6, 0, 8, 9, 0, 0, 0, 0},
};

/* result = M v, or M^T v, where entry e of M stands for letters[e - 1]. */
static void course_multiply(float result[N], matrix m, bool transposed, const float letters[N],
                            const float v[N])
{
    for (int row = 0; row < N; row++) {
        result[row] = 0;
        for (int column = 0; column < N; column++) {
            int entry = transposed ? m[column][row] : m[row][column];
            result[row] += entry ? letters[entry - 1] * v[column] : 0;
        }
    }
}

static void test_course(void **state)
{
    static float x[N] = {3, -1, 4, 1, -5, 9, 2, 6, -7}, w[N] = {2, 7, -1, 8, 3, -2, 5, 1, 4},
                 dy[N] = {1, -4, 2, 6, 3, -5, 8, -2, 7};
    float y[N], y_again[N], dx[N], dx_again[N], dw[N];
    course_multiply(y, course_a, false, w, x);
    course_multiply(y_again, course_q, false, x, w);
    course_multiply(dx, course_a_transposed, false, w, dy);
    course_multiply(dx_again, course_a, true, w, dy);
    course_multiply(dw, course_q, true, x, dy);
    assert_memory_equal(y, y_again, sizeof y);
    assert_memory_equal(dx, dx_again, sizeof dx);
    const struct golden course = {
        .problem = {1, 1, 1, 3, 3, 1, 3, 3, 3, 3, 1, 1, 1, 1, 0, 0},
        .input = {[CONV_SRC] = x, [CONV_WEI] = w, [CONV_DST] = dy},
        .output = {[CONV_SRC] = dx, [CONV_WEI] = dw, [CONV_DST] = y},
    };
    subject_finish(*state, check(*state, &course, 1), 1);
}

int main(void)
{
    return run_over_registry("by hand", test_by_hand, true) + run_over_registry("course", test_course, true);
}
