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
static void check_tables(const struct winograd_matrices x, int pairs, int taps)
{
    const int n = 2 * pairs + 2, m = taps == TAPS ? n - 2 : n - 1;
    double forward[N_MAX], gradient[N_MAX];
    for (int j = 0; j < n; j++) {
        double d = 0, g = 0, y = 0;
        for (int i = 0; i < n; i++)
            d += x.bt[j][i] * datum(i);
        for (int k = 0; k < taps; k++)
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
        for (int k = 0; k < taps; k++)
            y -= datum(100 + k) * datum(i + k);
        assert_true(fabs(y) < 1e-12);
    }
    for (int k = 0; k < taps; k++) {
        double g = 0;
        for (int j = 0; j < n; j++)
            g += x.g[j][k] * gradient[j];
        for (int i = 0; i < m; i++)
            g -= datum(200 + i) * datum(i + k);
        assert_true(fabs(g) < 1e-12);
    }
}

static void test_tables(void **state)
{
    (void)state;
    for (int kernel = 1; kernel <= WINOGRAD_PAIRS_MAX; kernel++) {
        const struct winograd_points *points = winograd_kernel(ISA_GENERIC, 1, kernel)->points;
        for (int pairs = 1; pairs <= kernel; pairs++)
            check_tables(winograd_matrices(points, pairs, TAPS), pairs, TAPS);
        for (int taps = 1; taps < TAPS; taps++)
            check_tables(winograd_matrices(points, kernel, taps), kernel, taps);
    }
}

/* values = L pixels R^T of a window at (h, w) of a height x width image of one channel block, by `transform`; rows of the
 * matrices begin `stride` doubles apart. And the way back, pixels = L^T values R. Values of a direction with fewer pairs
 * than the kernel's are its first ones and the last. */
struct expansion {
    winograd_transform_fn *transform;
    bool back;
    ptrdiff_t matrix; /* in struct winograd_matrices */
    int stride;
};

struct direction {
    const double *matrix;
    int pairs, n, terms;
};

/* more: terms of a direction beyond two a pair; or, if there are any, taps. A lone tap has one value, itself. */
static struct direction make_direction(struct expansion e, const struct winograd_matrices *x, int pairs,
                                       int more, int taps)
{
    return (struct direction){(const double *)((const char *)x + e.matrix), pairs,
                              taps == 1 ? 1 : 2 * pairs + 2, taps ? taps : 2 * pairs + more};
}

/* Where value i of a direction is among n. */
static int place(struct direction d, int i, int n)
{
    return d.n > 1 && i == d.n - 1 ? n - 1 : i;
}

struct picture {
    int height, width, h, w;
};

static void check_transform(struct expansion e, struct direction down, struct direction across, int n,
                            struct picture p)
{
    const size_t mark = take_mark(), bytes = (size_t)p.height * p.width * LANES * sizeof(float);
    float *image = take(bytes), *before = take(bytes);
    float *values = take((size_t)n * n * LANES * sizeof *values);
    for (int i = 0; i < p.height * p.width * LANES; i++)
        image[i] = (float)datum(i);
    for (int i = 0; i < n * n * LANES; i++)
        values[i] = (float)datum(i + 7);
    const struct winograd_window window = {.base = image,
                                           .row = (ptrdiff_t)p.width * LANES,
                                           .pixel = LANES,
                                           .height = p.height,
                                           .width = p.width,
                                           .h = p.h,
                                           .w = p.w,
                                           .h_pairs = down.pairs,
                                           .w_pairs = across.pairs};
    const struct winograd_values at = {.base = values, .point = LANES, .row = n * LANES, .items = 1};
    memcpy(before, image, bytes);
    e.transform(&window, &at);
    for (int i = 0; i < (e.back ? down.terms : down.n); i++)
        for (int j = 0; j < (e.back ? across.terms : across.n); j++)
            for (int lane = 0; lane < LANES; lane++) {
                double sum = 0, size = 0;
                for (int r = 0; r < (e.back ? down.n : down.terms); r++)
                    for (int c = 0; c < (e.back ? across.n : across.terms); c++) {
                        const int value = (place(down, r, n) * n + place(across, c, n)) * LANES + lane;
                        const bool inside =
                            p.h + r >= 0 && p.h + r < p.height && p.w + c >= 0 && p.w + c < p.width;
                        const double x = e.back ? (double)values[value]
                                         : inside
                                             ? (double)before[((p.h + r) * p.width + p.w + c) * LANES + lane]
                                             : 0;
                        const double product =
                            e.back ? x * down.matrix[r * e.stride + i] * across.matrix[c * e.stride + j]
                                   : x * down.matrix[i * e.stride + r] * across.matrix[j * e.stride + c];
                        sum += product;
                        size += fabs(product);
                    }
                if (e.back && (p.h + i >= p.height || p.w + j >= p.width))
                    continue; /* dropped: the sanitizers and the guarded memory of other tests see a write */
                const float result =
                    e.back ? image[((p.h + i) * p.width + p.w + j) * LANES + lane]
                           : values[(place(down, i, n) * n + place(across, j, n)) * LANES + lane];
                assert_true(fabs((double)result - sum) <= 16 * 0x1p-24 * size);
            }
    take_back(mark);
}

/* Transforms of windows of h x w pairs and, of weights, height x width taps. */
static void check_kernel(const struct winograd_kernel *k, int stride, int h, int w, int height, int width)
{
    enum { A = N_MAX - 1 };
    const ptrdiff_t bt = offsetof(struct winograd_matrices, bt), a = offsetof(struct winograd_matrices, a),
                    g = offsetof(struct winograd_matrices, g);
    const int small = stride - 1; /* more than two pixels a pair */
    const struct {
        struct expansion expansion;
        int more;
        bool taps;
        int pictures;
        struct picture picture[8];
    } checks[] = {
        {{k->weights, false, g, TAPS}, 0, true, 1, {{height, width, 0, 0}}},
        {{k->gradient, true, g, TAPS}, 0, true, 1, {{height, width, 0, 0}}},
        {{k->spread, false, a, A}, small, false, 2, {{9, 9, 1, 1}, {8, 8, 6, 5}}},
        {{k->output, true, a, A}, small, false, 3, {{9, 9, 1, 1}, {8, 8, 6, 5}, {8, 8, 9, 5}}},
        {{k->data, false, bt, N_MAX},
         2,
         false,
         7,
         {{12, 12, 1, 2},
          {5, 6, -2, -1},
          {5, 6, -2, 2},
          {5, 6, 1, -1},
          {5, 6, 1, 2},
          {5, 6, 4, -1},
          {5, 6, 4, 2}}},
    };
    const bool whole = h == k->points->pairs && w == h; /* taps have all points */
    for (size_t i = whole ? 0 : 2; i < sizeof checks / sizeof *checks; i++) {
        const struct expansion e = checks[i].expansion;
        const bool taps = checks[i].taps;
        const int all = stride == 1 ? TAPS : 2; /* images have the values that all taps meet */
        const struct winograd_matrices down = winograd_matrices(k->points, h, taps ? height : all),
                                       across = winograd_matrices(k->points, w, taps ? width : all);
        for (int j = 0; j < checks[i].pictures; j++)
            check_transform(e, make_direction(e, &down, h, checks[i].more, taps ? height : 0),
                            make_direction(e, &across, w, checks[i].more, taps ? width : 0),
                            2 * k->points->pairs + 2, checks[i].picture[j]);
    }
}

static void test_transforms(void **state)
{
    (void)state;
    for (enum isa isa = 0; isa <= isa_best(); isa++)
        for (int pairs = 1; pairs <= WINOGRAD_PAIRS_MAX; pairs++) {
            for (int h = 1; h <= pairs; h++)
                for (int w = 1; w <= pairs; w++)
                    check_kernel(winograd_kernel(isa, 1, pairs), 1, h, w, TAPS, TAPS);
            for (int height = 1; height <= 2; height++)
                for (int width = 1; width <= 2; width++)
                    check_kernel(winograd_kernel(isa, 2, pairs), 2, pairs, pairs, height, width);
        }
}

/* One product left out of thousands is an error beyond the bound. */
static void test_lost_product(void **state)
{
    (void)state;
    const struct conv_problem problems[] = {
        {.g = 1,
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
         .pw = 1},
        {.g = 1,
         .mb = 2,
         .ic = 40,
         .ih = 28,
         .iw = 27,
         .oc = 24,
         .oh = 14,
         .ow = 14,
         .kh = 3,
         .kw = 3,
         .sh = 2,
         .sw = 2,
         .ph = 1,
         .pw = 1},
    };
    static const char *const names[] = {"winograd-f2", "winograd-f4", "winograd-f6"};
    for (int f = 0; f < 6; f++)
        for (enum conv_tensor output = 0; output < CONV_TENSORS; output++) {
            const struct conv_problem problem = problems[f / 3];
            const size_t mark = take_mark();
            struct example example = example_make(&problem, FILL_REAL, 1, test_seed());
            const struct trial trial = {.impl = conv_impl_find(names[f % 3]),
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

/* A bound on errors is one whatever the problem, also of implementations that are not Winograd's. */
static void test_bounds(void **state)
{
    uint64_t random = test_seed();
    (void)state;
    for (int i = 0; i < 2000; i++) {
        const struct conv_problem problem = problem_random(&random);
        for (int impl = 0; conv_impls[impl]; impl++)
            for (enum conv_tensor output = 0; output < CONV_TENSORS; output++) {
                const struct trial trial = {.impl = conv_impls[impl], .problem = problem, .output = output};
                if (trial.impl->refuse && trial.impl->refuse(&problem, output))
                    continue;
                const double bound = trial_bound(&trial),
                             tap_bound = conv_tap_bound(trial.impl, &problem, output);
                if (!(bound > 0x1p-24 && bound <= CONV_BOUND_MOST && tap_bound > 0x1p-24 &&
                      tap_bound < 8e-5)) /* test_taps: 1e-4 must be seen */
                    trial_fail(&trial, "the bounds are %g and, of taps, %g", bound, tap_bound);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_transforms),
        cmocka_unit_test(test_lost_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
