/* How large rounding errors of F(m, 3) may be, as a fraction of the sum of the |products|, for data uniform in [-1, 1]
 * (variance 1/3, and independent).
 *
 * The error. A value at a point is a sum of data with the weights of a row of B^T, so its variance is |b|^2 / 3, and
 * likewise |g|^2 / 3 for the taps. At a point, R products (channels or tiles) are summed one after another: the sum of
 * the first r has the variance r |b|^2 |g|^2 / 9, and rounding it costs at most u of it; R roundings that are
 * independent add up to the standard deviation u R / sqrt(2) |b| |g| / 3. The transforms round each operand some
 * TRANSFORM_ROUNDINGS times: u TRANSFORM_ROUNDINGS sqrt(R) |b| |g| / 3. The last transform weighs the errors of the
 * points with a column of A, so that together, lambda = 6 standard deviations are
 *     E = lambda u (R / sqrt(2) + TRANSFORM_ROUNDINGS sqrt(R)) / 3 * amp,   amp^2 = max over outputs, sum over points
 *                                                                           of  a^2 |g|^2 |b|^2,
 * amp of two dimensions being the product of those of both, of the tiles and taps where it is largest. For the gradient a
 * and g change places. Where the products of four phases of stride 2 add up, R is four times the channels. Where a lone tap
 * sums over P points, that sum is rounded while it holds those of the points before: sqrt(P) times the first term.
 *
 * The sum. An output has a sum of n |products|, with n small at the borders. A product is below s with the probability
 * s (1 - ln s), so all n (hence the sum) with the n-th power of that; and n/4 - 6 sqrt(7 n) / 12 is six standard
 * deviations below its mean. The bound is the largest of E / S over the kinds of outputs, S the sum that one in a
 * thousand problems undercuts. Borders matter: where a single product remains, its factor can be near zero while the
 * tile around it is not.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "winograd/winograd.h"

#include <math.h>

enum { TAPS = WINOGRAD_TAPS, TRANSFORM_ROUNDINGS = 4 };

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

static double squared_norm(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

/* amp^2 of one dimension, for tiles of so many pairs. */
static double amplification(const struct winograd_points *f, int pairs, int taps, bool gradient)
{
    const struct winograd_matrices x = winograd_matrices(f, pairs, taps);
    const int n = 2 * pairs + 2, m = taps == TAPS ? n - 2 : n - 1;
    double largest = 0;
    for (int i = 0; i < (gradient ? taps : m); i++) {
        double sum = 0;
        for (int j = 0; j < n; j++) {
            const double out = gradient ? x.g[j][i] : x.a[j][i];
            sum += out * out * squared_norm(x.bt[j], n) *
                   (gradient ? squared_norm(x.a[j], m) : squared_norm(x.g[j], taps));
        }
        largest = fmax(largest, sum);
    }
    return largest;
}

/* The sum of n |products| that falls short with probability p. */
static double small_sum(double n, double p)
{
    const double each = pow(p, 1 / n);
    double s = each;
    for (int i = 0; i < 50; i++) /* s (1 - ln s) = each, from above */
        s = each / (1 - log(s));
    return fmax(s, n / 4 - 6 * sqrt(7 * n) / 12);
}

/* Along one axis: kinds of outputs, by how many products lie behind each, and how many outputs there are. Images have kinds
 * by the number of their valid taps; the gradient has its three taps. */
struct kinds {
    double products[TAPS], outputs[TAPS];
};

/* Pixel x of src meets pixel o of dst by tap k = x + pad - stride * o. */
static struct kinds count_kinds(int in, int out, int stride, int pad, enum conv_tensor output)
{
    struct kinds kinds = {0};
    if (output == CONV_WEI) {
        for (int k = 0; k < TAPS; k++) {
            kinds.outputs[k] = 1;
            for (int o = 0; o < out; o++)
                kinds.products[k] += o * stride + k - pad >= 0 && o * stride + k - pad < in;
        }
        return kinds;
    }
    const bool backward = output == CONV_SRC;
    for (int i = 0; i < (backward ? in : out); i++) {
        int valid = 0;
        for (int k = 0; k < TAPS; k++) {
            const int x = i * stride + k - pad, o = i + pad - k;
            valid += backward ? o >= 0 && o % stride == 0 && o / stride < out : x >= 0 && x < in;
        }
        if (valid > 0)
            kinds.outputs[valid - 1]++;
    }
    for (int i = 0; i < TAPS; i++)
        kinds.products[i] = i + 1;
    return kinds;
}

double winograd_error_bound(const struct winograd *w, const struct conv_problem *p, enum conv_tensor output)
{
    const double u = 0x1p-24, lambda = 6;
    const struct winograd_points *f = w->kernel->points;
    const bool gradient = output == CONV_WEI;
    const double channels = (double)(output == CONV_SRC ? p->oc : p->ic) / p->g;
    const double maps = gradient ? p->oc * channels : (double)p->mb * (output == CONV_SRC ? p->ic : p->oc);
    const double reduction = gradient ? (double)w->tiles : w->summed * channels;
    double amp = 0,
           points = 1; /* amp^2 of one dimension; points that a value of the weights sums over there */
    for (int tap = 0; tap < w->stride; tap++)
        for (int pairs = w->stride == 1 ? 1 : f->pairs; pairs <= f->pairs; pairs++)
            amp = fmax(amp, amplification(f, pairs, w->h[tap].taps, gradient));
    if (gradient && w->stride == 2)
        points = w->n - 1;
    const double error =
        lambda * u * (reduction * points / sqrt(2) + TRANSFORM_ROUNDINGS * sqrt(reduction)) / 3 * amp;
    const struct kinds h = count_kinds(p->ih, p->oh, p->sh, p->ph, output);
    const struct kinds v = count_kinds(p->iw, p->ow, p->sw, p->pw, output);
    double sum = INFINITY;
    for (int i = 0; i < TAPS; i++)
        for (int j = 0; j < TAPS; j++) {
            const double products = h.products[i] * v.products[j] * (gradient ? p->mb : channels);
            const double outputs = h.outputs[i] * v.outputs[j] * maps;
            if (products * outputs > 0)
                sum = fmin(sum, small_sum(products, 1e-3 / outputs));
        }
    return error / sum;
}
