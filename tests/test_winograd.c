/* Winograd's tables are F(m, 3), its transforms are the tables, and its error bound tells rounding from a lost product.
 * SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "winograd/transform.h"

#include <math.h>
#include <string.h>

enum { TAPS = WINOGRAD_TAPS, N_MAX = 2 * WINOGRAD_PAIRS_MAX + 2, LANES = 16 };

/* Any data will do that are not special: -1 .. 1 in irregular order. */
static double datum(int i)
{
    return sin(12.9898 * i + 1);
}

/* One direction: y_i = sum_k g_k d_(i+k) and its gradient dg_k = sum_i y_i d_(i+k), by the matrices and by the formula. */
static void test_tables(void **state)
{
    (void)state;
    for (int pairs = 1; pairs <= WINOGRAD_PAIRS_MAX; pairs++) {
        const struct winograd_matrices x = winograd_matrices(winograd_kernel(ISA_GENERIC, pairs)->points);
        const int n = 2 * pairs + 2, m = 2 * pairs;
        double forward[N_MAX], gradient[N_MAX];
        for (int j = 0; j < n; j++) {
            double d = 0, g = 0, y = 0;
            for (int i = 0; i < n; i++)
                d += x.bt[j][i] * datum(i);
            for (int k = 0; k < TAPS; k++)
                g += x.g[j][k] * datum(100 + k);
            for (int i = 0; i < m; i++)
                y += x.a[j][i] * datum(200 + i);
            forward[j] = g * d;
            gradient[j] = y * d;
        }
        for (int i = 0; i < m; i++) {
            double y = 0;
            for (int j = 0; j < n; j++)
                y += x.a[j][i] * forward[j];
            for (int k = 0; k < TAPS; k++)
                y -= datum(100 + k) * datum(i + k);
            assert_true(fabs(y) < 1e-12);
        }
        for (int k = 0; k < TAPS; k++) {
            double g = 0;
            for (int j = 0; j < n; j++)
                g += x.g[j][k] * gradient[j];
            for (int i = 0; i < m; i++)
                g -= datum(200 + i) * datum(i + k);
            assert_true(fabs(g) < 1e-12);
        }
    }
}

/* values = L pixels L^T of a window at (h, w) of a height x width image of one channel block, by `transform`; rows of L
 * begin `stride` doubles apart. And the way back, pixels = L^T values L. */
struct expansion {
    winograd_transform_fn *transform;
    bool back;
    const double *matrix;
    int n, terms, stride;
};

static void check_transform(struct expansion e, int height, int width, int h, int w)
{
    const size_t mark = take_mark(), bytes = (size_t)height * width * LANES * sizeof(float);
    float *image = take(bytes), *before = take(bytes);
    float *values = take((size_t)e.n * e.n * LANES * sizeof *values);
    for (int i = 0; i < height * width * LANES; i++)
        image[i] = (float)datum(i);
    for (int i = 0; i < e.n * e.n * LANES; i++)
        values[i] = (float)datum(i + 7);
    const struct winograd_window window = {.base = image,
                                           .row = (ptrdiff_t)width * LANES,
                                           .pixel = LANES,
                                           .height = height,
                                           .width = width,
                                           .h = h,
                                           .w = w};
    const struct winograd_values at = {values, LANES, 0, 0, 1};
    memcpy(before, image, bytes);
    e.transform(&window, &at);
    const int extent = e.back ? e.terms : e.n, sums = e.back ? e.n : e.terms;
    for (int i = 0; i < extent; i++)
        for (int j = 0; j < extent; j++)
            for (int lane = 0; lane < LANES; lane++) {
                double sum = 0, size = 0;
                for (int r = 0; r < sums; r++)
                    for (int c = 0; c < sums; c++) {
                        const bool inside = h + r >= 0 && h + r < height && w + c >= 0 && w + c < width;
                        const double x = e.back   ? (double)values[(r * e.n + c) * LANES + lane]
                                         : inside ? (double)before[((h + r) * width + w + c) * LANES + lane]
                                                  : 0;
                        const double product =
                            e.back ? x * e.matrix[r * e.stride + i] * e.matrix[c * e.stride + j]
                                   : x * e.matrix[i * e.stride + r] * e.matrix[j * e.stride + c];
                        sum += product;
                        size += fabs(product);
                    }
                if (e.back && (h + i >= height || w + j >= width))
                    continue; /* dropped: the sanitizers and the guarded memory of other tests see a write */
                const float result = e.back ? image[((h + i) * width + w + j) * LANES + lane]
                                            : values[(i * e.n + j) * LANES + lane];
                assert_true(fabs((double)result - sum) <= 16 * 0x1p-24 * size);
            }
    take_back(mark);
}

static void test_transforms(void **state)
{
    (void)state;
    for (enum isa isa = 0; isa <= isa_best(); isa++)
        for (int pairs = 1; pairs <= WINOGRAD_PAIRS_MAX; pairs++) {
            const struct winograd_kernel *k = winograd_kernel(isa, pairs);
            const struct winograd_matrices x = winograd_matrices(k->points);
            const int n = 2 * pairs + 2, m = 2 * pairs;
            const struct expansion data = {k->data, false, x.bt[0], n, n, N_MAX};
            const struct expansion spread = {k->spread, false, x.a[0], n, m, N_MAX - 2};
            const struct expansion weights = {k->weights, false, x.g[0], n, TAPS, TAPS};
            const struct expansion output = {k->output, true, x.a[0], n, m, N_MAX - 2};
            const struct expansion gradient = {k->gradient, true, x.g[0], n, TAPS, TAPS};
            check_transform(weights, TAPS, TAPS, 0, 0);
            check_transform(gradient, TAPS, TAPS, 0, 0);
            check_transform(spread, n, n, 1, 1);
            check_transform(spread, n, n, 3, 4);
            check_transform(output, n, n, 1, 1);
            check_transform(output, n, n, 3, 4);
            check_transform(data, 12, 12, 1, 2);
            for (int h = -2; h < 5; h += 3)
                for (int w = -1; w < 5; w += 3)
                    check_transform(data, 5, 6, h, w);
        }
}

/* One product left out of thousands is an error beyond the bound. */
static void test_lost_product(void **state)
{
    (void)state;
    const struct conv_problem problem = {.g = 1,
                                         .mb = 2,
                                         .ic = 40,
                                         .ih = 14,
                                         .iw = 13,
                                         .oc = 24,
                                         .oh = 14,
                                         .ow = 13,
                                         .kh = 3,
                                         .kw = 3,
                                         .sh = 1,
                                         .sw = 1,
                                         .ph = 1,
                                         .pw = 1};
    static const char *const names[] = {"winograd-f2", "winograd-f4", "winograd-f6"};
    for (int f = 0; f < 3; f++)
        for (enum conv_tensor output = 0; output < CONV_TENSORS; output++) {
            const size_t mark = take_mark();
            struct example example = example_make(&problem, FILL_REAL, 1, test_seed());
            const struct trial trial = {.impl = conv_impl_find(names[f]),
                                        .problem = problem,
                                        .output = output,
                                        .threads = 2,
                                        .isa = isa_best()};
            struct conv_element *truth = truth_of(&problem, output, example.plain);
            const enum conv_tensor broken = output == CONV_SRC ? CONV_DST : CONV_SRC;
            example.plain[broken][conv_elements(&problem, broken) / 2] = 0;
            float *result = take(conv_elements(&problem, output) * sizeof *result);
            assert_true(trial_run(&trial, example.plain, result));
            double largest = 0;
            for (size_t i = 0; i < conv_elements(&problem, output); i++)
                largest = fmax(largest, fabs((double)result[i] - truth[i].value) / truth[i].magnitude);
            if (!(largest > 10 * trial_bound(&trial)))
                trial_fail(&trial, "a lost datum costs %g, the bound is %g", largest, trial_bound(&trial));
            take_back(mark);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_transforms),
        cmocka_unit_test(test_lost_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
