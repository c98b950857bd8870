/* How large rounding errors of F(m, 3) may be.
 *
 * A rounding costs at most u = 2^-24 of a value and, in the mean square over the positions of a value between two powers
 * of two, 0.425 u (the root of 0.54 / 3: the mean of 1 / x^2 is 0.54). All data are independent and have mean 0.
 *
 * Data uniform in [-1, 1], of variance 1/3. A value at a point is a sum of data with the weights of a row of B^T, so its
 * variance is |b|^2 / 3, and likewise |g|^2 / 3 for the taps. At a point, R products (channels or tiles) are summed one
 * after another: the sum of the first r has the variance r |b|^2 |g|^2 / 9, and all R roundings together have the standard
 * deviation 0.425 u R / sqrt(2) |b| |g| / 3. The transforms of data, taps and results take some 16 roundings of a product:
 * 0.425 u sqrt(16 R) |b| |g| / 3. The last transform weighs the errors of the points with a column of A, so that together
 *     E = lambda 0.425 u (R / sqrt(2) + 4 sqrt(R)) / 3 * amp,   amp^2 = max over outputs, sum over points of a^2 |g|^2 |b|^2,
 * amp of two dimensions being the product of those of both, of the tiles and taps where it is largest. For the gradient a
 * and g change places. Where the products of four phases of stride 2 add up, R is four times the channels. Where a lone tap
 * sums over P points, that sum is rounded while it holds those of the points before: sqrt(P) times the first term.
 *
 * A whole tile of outputs has these errors together, whatever is left of a single output's products at a border or by
 * chance. So E is a fraction of a full sum (conv_full_sum), which one small product cannot shrink.
 *
 * Taps, one at a time (struct conv_impl's tap_bound). Of the images only every third pixel of every third row is not zero
 * (stride 2: every fifth), and of that pixel one channel; of the gradient's small image a single pixel is not zero. So
 * |b|^2 (or |a|^2) has only those of the row's terms, R is the number N of pixels of a tile, in all phases, that are not
 * zero, and the partial sums have r / N of the whole. All factors have the mean square 0.77 of [3/4, 1]:
 *     E = lambda 0.425 u sqrt((N + 1) / 2 + 16) 0.77 amp
 *
 * lambda. An error is a sum over 16 to 64 points of a rounding times a product of two values that are about normal, so it
 * has longer tails than the normal distribution, and a layer has some 10^6 errors. Seen (`tripass check` on the tables
 * mobilenet-v1, lenet-digits, tails, resnet50, vgg16 with --mb=1 and 8, alexnet and googlenet-v1 with --mb=1; generic code
 * rounds likewise): at most 7.5 standard deviations on images, 4.7 on gradients, which sum over all tiles, and 4.8 on taps,
 * whose factors are at most 1. lambda is about 1.6 times as much (taps: 1.45 times, so that 1 + 1e-4 be seen): 12, 8 and 7.
 * The bound then is, in the median over a table, 4 to 9 times the largest error of a problem; it is below 3e-4 everywhere.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "winograd/winograd.h"

#include <math.h>

enum { TAPS = WINOGRAD_TAPS, TRANSFORM_ROUNDINGS = 16 };
static const double LAMBDA = 12, LAMBDA_GRADIENT = 8, LAMBDA_TAPS = 7, ROUNDING = 0.425 * 0x1p-24;

/* Of the point of row j, +-a of a pair or 0. */
static int pair_of(int j)
{
    return (j + 1) / 2 - 1;
}

static void evaluate(const struct winograd_points *f, int pairs, int terms, double *rows, int stride)
{
    const int n = 2 * pairs + 2;
    for (int j = 0; j < n; j++)
        for (int k = 0; k < terms; k++)
            rows[j * stride + k] = j == 0       ? k == 0
                                   : j == n - 1 ? k == terms - 1
                                                : pow((j % 2 ? 1 : -1) * (double)f->a[pair_of(j)], k);
}

struct winograd_matrices winograd_matrices(const struct winograd_points *f, int pairs, int taps)
{
    struct winograd_matrices x = {0};
    const int n = 2 * pairs + 2, finite = n - 1;
    float q[WINOGRAD_PAIRS_MAX + 1];
    for (int k = winograd_q(f, pairs, -1, q) - 1; k >= 0; k--) {
        x.bt[0][2 * k] = (double)(winograd_r(f, pairs, -1) * q[k]);
        x.bt[n - 1][2 * k + 1] = (double)q[k];
    }
    for (int j = 1; j < n - 1; j++)
        for (int k = winograd_q(f, pairs, pair_of(j), q) - 1; k >= 0; k--) {
            const double even = (double)(winograd_r(f, pairs, pair_of(j)) * q[k]);
            x.bt[j][2 * k + 2] = even;
            x.bt[j][2 * k + 1] = (j % 2 ? 1 : -1) * (double)f->a[pair_of(j)] * even;
        }
    evaluate(f, pairs, taps == TAPS ? n - 2 : n - 1, x.a[0], 2 * WINOGRAD_PAIRS_MAX + 1);
    evaluate(f, pairs, taps, x.g[0], TAPS);
    for (int k = 0; taps == 1 && k < n - 1; k++)
        x.a[n - 1][k] = 0;
    if (taps == 1)
        x.g[n - 1][0] = 0;
    for (int j = 0; j < finite; j++) {
        double *divided = taps == TAPS ? x.g[j] : x.bt[j];
        for (int k = 0; k < (taps == TAPS ? taps : n); k++)
            divided[k] /= (double)winograd_d(f, pair_of(j));
    }
    return x;
}

/* The rows of a matrix, one a point; only every period-th of a row's terms meets something that is not zero. */
struct factor {
    const double *row;
    int stride, terms, period;
};

/* Sum of the squares of terms first, first + period, .. */
static double energy(struct factor x, int point, int first)
{
    double sum = 0;
    for (int i = first; i < x.terms; i += x.period)
        sum += x.row[point * x.stride + i] * x.row[point * x.stride + i];
    return sum;
}

/* What a bound is for: of the large image (the gradient: of the small one) every period-th pixel is not zero. */
struct subject {
    const struct winograd *w;
    bool gradient;
    int period;
};

/* The sum over the points, in one dimension, for output `i` of a tile of so many pairs and the taps of phase `tap`; pixels
 * first, first + period, .. of the tile are not zero. */
static double amplification_at(struct subject s, int pairs, int tap, int i, int first)
{
    const int taps = s.w->h[tap].taps, n = 2 * pairs + 2, m = taps == TAPS ? n - 2 : n - 1;
    const struct winograd_matrices x = winograd_matrices(s.w->kernel->points, pairs, taps);
    const struct factor large = {x.bt[0], 2 * WINOGRAD_PAIRS_MAX + 2, n, s.gradient ? 1 : s.period},
                        small = {x.a[0], 2 * WINOGRAD_PAIRS_MAX + 1, m, s.gradient ? s.period : m},
                        weights = {x.g[0], TAPS, taps, s.gradient ? taps : 1};
    double sum = 0;
    for (int j = 0; j < n; j++)
        sum += s.gradient ? energy(weights, j, i) * energy(large, j, 0) * energy(small, j, first)
                          : energy(small, j, i) * energy(weights, j, 0) * energy(large, j, first);
    return sum;
}

/* amp of two dimensions is the product of those of both, each the root of a sum as above: the largest of these sums. Where
 * the products of four phases add up it is their mean: of four products of two sums, the square of the mean of both. There,
 * pixels of the lone tap's lattice are half a pixel behind the other's, 2 of 5 where every fifth is not zero. */
static double amplification(struct subject s)
{
    const struct winograd *w = s.w;
    const int last = w->kernel->points->pairs;
    double largest = 0;
    for (int pairs = w->stride == 1 ? 1 : last; pairs <= last; pairs++)
        for (int i = 0; i < (s.gradient ? TAPS : w->m); i++)
            for (int first = 0; first < s.period; first++) {
                double sum[2] = {0};
                for (int tap = 0; tap < w->stride; tap++)
                    sum[tap] = i < (s.gradient ? w->h[tap].taps : 2 * pairs + w->stride - 1)
                                   ? amplification_at(s, pairs, tap, i, (first + 2 * tap) % s.period)
                                   : 0;
                largest = fmax(largest, w->summed > 1 ? (sum[0] + sum[1]) / 2 : fmax(sum[0], sum[1]));
            }
    return largest;
}

double winograd_error_bound(const struct winograd *w, const struct conv_problem *p, enum conv_tensor output)
{
    const bool gradient = output == CONV_WEI;
    const double channels = (double)(output == CONV_SRC ? p->oc : p->ic) / p->g,
                 reduction = gradient ? (double)w->tiles : w->summed * channels,
                 points = gradient && w->stride == 2 ? w->n - 1 : 1; /* whose products a lone tap sums */
    return (gradient ? LAMBDA_GRADIENT : LAMBDA) * ROUNDING *
           (reduction * points / sqrt(2) + sqrt(TRANSFORM_ROUNDINGS * reduction)) / 3 *
           amplification((struct subject){w, gradient, 1}) / conv_full_sum(p, output);
}

double winograd_tap_bound(const struct winograd *w, enum conv_tensor output)
{
    const bool gradient = output == CONV_WEI;
    const int period = gradient         ? w->m
                       : w->stride == 1 ? TAPS
                                        : TAPS + 2,
              in_row = gradient ? 1 : (w->n + period - 1) / period, pixels = in_row * in_row * w->summed;
    return LAMBDA_TAPS * ROUNDING * sqrt((pixels + 1) / 2. + TRANSFORM_ROUNDINGS) * 0.77 * sqrt(w->summed) *
           amplification((struct subject){w, gradient, period});
}
