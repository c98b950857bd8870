/* F(m, 3) as evaluation and interpolation (Toom-Cook), with its matrices written as functions of the points.
 *
 * A product of polynomials s = p * q of m and 3 terms has n = m + 2 coefficients, so its values at n points
 * determine it: n multiplications. The points are 0, +-a, +-b, .. and infinity (the leading coefficient). With
 *     N(x) = x * (x^2 - a^2) * (x^2 - b^2) ..            the polynomial that vanishes at every finite point
 *     N_j  = N / (x - x_j),   D_j = N_j(x_j)             Lagrange: s = sum_j s(x_j) N_j / D_j + s(inf) N
 * and E_k the matrix that evaluates a polynomial of k terms at the points, transposing the product gives the
 * correlation  y_i = sum_k d_(i+k) g_k  of n data with 3 taps,
 *     y = A^T [ (G g) * (B^T d) ],   A = E_m,   G = E_3 / D,   rows of B^T: the coefficients of N_j; of N at infinity,
 * and the gradient  dg_k = sum_i d_(i+k) y_i  is the same with A and G exchanged:  dg = G^T [ (A y) * (B^T d) ].
 * In two dimensions every matrix is applied to columns and to rows.
 *
 * Stride 2. Pixels with even and with odd coordinates are two images, and taps 0 and 2 meet one of them, tap 1 the other:
 * two correlations of stride 1 that are added, with 2 taps and with one (a stride-2 convolution in phases). m = n - 1
 * outputs of 2 taps take all n points; those of one tap are determined by the n - 1 finite ones, where both have the same
 * A and N_j, so that their products may be added. D divides the data instead of the taps: then a lone tap has the same
 * value, itself, at every point. In two dimensions n^2 + 2 n (n - 1) + (n - 1)^2 = (2 n - 1)^2 products give (n - 1)^2
 * outputs, 225 instead of 441 at n = 8.
 *
 * What the symmetric points save: N_0 = Q(x^2) and N = x Q(x^2) share coefficients, and so do
 * N_(+-a) = (x^2 +- a x) Q_a(x^2), with Q_a = Q without its factor a.
 *
 * Smaller tiles. The first pairs of points, with 0 and infinity, are the points of a smaller F. Its tiles may meet taps
 * (or gradients) at the points of the larger one, for a tile's scale is free: D_j of the larger one is that of the smaller
 * one times r_j, the product of x_j^2 - c^2 over the pairs +-c left out, and r_j goes to the rows of B^T.
 *
 * All points are dyadic, and so few that all of these are exact in float.
 *
 * S. Winograd, Arithmetic Complexity of Computations, SIAM 1980; Lavin and Gray, CVPR 2016 (arXiv 1509.09308); for strides
 * Huang et al., DWM: A Decomposable Winograd Method for Convolution Acceleration, AAAI 2020 (arXiv 2002.00552).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_POINTS_H
#define TRIPASS_POINTS_H

enum { WINOGRAD_TAPS = 3, WINOGRAD_PAIRS_MAX = 3 };

/* Order of the points: 0, +a[0], -a[0], +a[1], -a[1], .., infinity. */
struct winograd_points {
    int pairs;                   /* m = 2 * pairs, n = m + 2 */
    float a[WINOGRAD_PAIRS_MAX]; /* the positive points */
};

/* F(2, 3): 0, +-1, infinity. */
static const struct winograd_points winograd_points_f2 = {1, {1}};

/* F(4, 3): 0, +-5/8, +-3/2, infinity: the least error of all pairs on the 1/8 grid, half that of the textbook's
 * +-1, +-2. */
static const struct winograd_points winograd_points_f4 = {2, {5 / 8.f, 3 / 2.f}};

/* F(6, 3): 0, +-1, +-2, +-1/2, infinity. */
static const struct winograd_points winograd_points_f6 = {3, {1, 2, 1 / 2.f}};

/* The three below are constants where their arguments are, and their loops unrolled. */
#define WINOGRAD_CONSTANT static inline __attribute__((always_inline))

/* Coefficients q[0 .. ] of 1, x^2, .. of the product of x^2 - a^2 over the first `pairs` points but number `skip`, if there
 * is one; returns how many there are. */
WINOGRAD_CONSTANT int winograd_q(const struct winograd_points *f, int pairs, int skip, float *q)
{
    int terms = 1;
    q[0] = 1;
#pragma GCC unroll 8
    for (int k = 0; k < pairs; k++)
        if (k != skip) {
            q[terms] = q[terms - 1];
#pragma GCC unroll 8
            for (int i = terms - 1; i > 0; i--)
                q[i] = q[i - 1] - f->a[k] * f->a[k] * q[i];
            q[0] *= -f->a[k] * f->a[k];
            terms++;
        }
    return terms;
}

/* r_j of a pair +-a[j], or of 0 if j < 0, for tiles of the first `pairs` pairs. */
WINOGRAD_CONSTANT float winograd_r(const struct winograd_points *f, int pairs, int j)
{
    const float square = j < 0 ? 0 : f->a[j] * f->a[j];
    float r = 1;
#pragma GCC unroll 8
    for (int k = pairs; k < f->pairs; k++)
        r *= square - f->a[k] * f->a[k];
    return r;
}

/* D_j likewise: Q(0), or 2 a^2 Q_a(a^2). That of infinity is 1. */
WINOGRAD_CONSTANT float winograd_d(const struct winograd_points *f, int j)
{
    const float square = j < 0 ? 0 : f->a[j] * f->a[j];
    float d = j < 0 ? 1 : 2 * square;
#pragma GCC unroll 8
    for (int k = 0; k < f->pairs; k++)
        if (k != j)
            d *= square - f->a[k] * f->a[k];
    return d;
}

/* The matrices themselves, of tiles of the first `pairs` pairs, in double: rows are points, columns are coefficients. For
 * the error bound and for tests. taps: 3; or the 2 or the lone one of a phase of stride 2, which has no value at infinity:
 * its rows of A and G there are zero. */
struct winograd_matrices {
    double bt[2 * WINOGRAD_PAIRS_MAX + 2]
             [2 * WINOGRAD_PAIRS_MAX + 2]; /* n x n; divided by D unless taps is 3 */
    double a[2 * WINOGRAD_PAIRS_MAX + 2][2 * WINOGRAD_PAIRS_MAX + 1]; /* n x m */
    double g[2 * WINOGRAD_PAIRS_MAX + 2][WINOGRAD_TAPS]; /* n x taps; divided by D if taps is 3 */
};
struct winograd_matrices winograd_matrices(const struct winograd_points *points, int pairs, int taps);

#endif
