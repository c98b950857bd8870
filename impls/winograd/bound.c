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
 * amp of two dimensions being the square of that of one, of the tiles where it is largest. For the gradient a and g change
 * places.
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

struct winograd_matrices winograd_matrices(const struct winograd_points *f, int pairs)
{
    struct winograd_matrices x = {0};
    const int n = 2 * pairs + 2;
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
    evaluate(f, pairs, 2 * pairs, x.a[0], 2 * WINOGRAD_PAIRS_MAX);
    evaluate(f, pairs, TAPS, x.g[0], TAPS);
    for (int j = 0; j < n - 1; j++)
        for (int k = 0; k < TAPS; k++)
            x.g[j][k] /= (double)winograd_d(f, pair_of(j));
    return x;
}

static double squared_norm(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

/* amp of two dimensions, for tiles of so many pairs. */
static double amplification(const struct winograd_points *f, int pairs, bool gradient)
{
    const struct winograd_matrices x = winograd_matrices(f, pairs);
    const int n = 2 * pairs + 2, m = 2 * pairs;
    double largest = 0;
    for (int i = 0; i < (gradient ? TAPS : m); i++) {
        double sum = 0;
        for (int j = 0; j < n; j++) {
            const double out = gradient ? x.g[j][i] : x.a[j][i];
            sum += out * out * squared_norm(x.bt[j], n) *
                   (gradient ? squared_norm(x.a[j], m) : squared_norm(x.g[j], TAPS));
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

/* Along one axis: three kinds of outputs, how many products lie behind each and how many outputs there are. Images have
 * kinds by the number of their valid taps; the gradient has its three taps. */
struct kinds {
    double products[TAPS], outputs[TAPS];
};

static struct kinds count_kinds(const struct winograd_axis *a, bool gradient)
{
    struct kinds kinds = {0};
    for (int o = 0; o < a->small; o++) {
        int valid = 0;
        for (int tap = 0; tap < TAPS; tap++)
            if (o - a->pad + tap >= 0 && o - a->pad + tap < a->large) {
                valid++;
                kinds.products[tap] += gradient;
            }
        if (!gradient && valid)
            kinds.outputs[valid - 1]++;
    }
    for (int i = 0; i < TAPS; i++) {
        if (gradient)
            kinds.outputs[i] = 1;
        else
            kinds.products[i] = i + 1;
    }
    return kinds;
}

double winograd_error_bound(const struct winograd *w, const struct conv_problem *p, enum conv_tensor output)
{
    const double u = 0x1p-24, lambda = 6;
    const bool gradient = output == CONV_WEI;
    const double channels = (double)(output == CONV_SRC ? p->oc : p->ic) / p->g;
    const double maps = gradient ? p->oc * channels : (double)p->mb * (output == CONV_SRC ? p->ic : p->oc);
    const double reduction = gradient ? (double)w->tiles : channels;
    double amp = 0;
    for (int pairs = 1; pairs <= w->kernel->points->pairs; pairs++)
        amp = fmax(amp, amplification(w->kernel->points, pairs, gradient));
    const double error = lambda * u * (reduction / sqrt(2) + TRANSFORM_ROUNDINGS * sqrt(reduction)) / 3 * amp;
    const struct kinds h = count_kinds(&w->h, gradient), v = count_kinds(&w->w, gradient);
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
