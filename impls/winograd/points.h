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
 * What the symmetric points save: N_0 = Q(x^2) and N = x Q(x^2) share coefficients, and so do
 * N_(+-a) = (x^2 +- a x) Q_a(x^2), with Q_a = Q without its factor a; only Q, Q_a and D_j are tabled. All points are
 * dyadic, so all of these are exact.
 *
 * S. Winograd, Arithmetic Complexity of Computations, SIAM 1980; Lavin and Gray, CVPR 2016 (arXiv 1509.09308).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_POINTS_H
#define TRIPASS_POINTS_H

enum { WINOGRAD_TAPS = 3, WINOGRAD_PAIRS_MAX = 3 };

/* Order of the points: 0, +a[0], -a[0], +a[1], -a[1], .., infinity. */
struct winograd_points {
    int pairs;                   /* m = 2 * pairs, n = m + 2 */
    float a[WINOGRAD_PAIRS_MAX]; /* the positive points */
    float q[WINOGRAD_PAIRS_MAX]; /* Q: coefficients of 1, x^2, ..; the last one, 1, is left out */
    float q_a[WINOGRAD_PAIRS_MAX][WINOGRAD_PAIRS_MAX]; /* Q_a of each pair, likewise */
    float d[2 * WINOGRAD_PAIRS_MAX + 2];               /* D_j: Q(0), 2 a^2 Q_a(a^2) twice for each pair, 1 */
};

/* F(2, 3): 0, +-1, infinity. */
static const struct winograd_points winograd_points_f2 = {1, {1}, {-1}, {{0}}, {-1, 2, 2, 1}};

/* F(4, 3): 0, +-5/8, +-3/2, infinity: the least error of all pairs on the 1/8 grid, half that of the textbook's
 * +-1, +-2. A, B: squares of the points. */
#define A   (25 / 64.f)
#define B   (9 / 4.f)
#define D_A (2 * A * (A - B))
#define D_B (2 * B * (B - A))
static const struct winograd_points winograd_points_f4 = {
    2, {5 / 8.f, 3 / 2.f}, {A * B, -(A + B)}, {{-B}, {-A}}, {A * B, D_A, D_A, D_B, D_B, 1}};
#undef A
#undef B
#undef D_A
#undef D_B

/* F(6, 3): 0, +-1/2, +-1, +-2, infinity. */
#define A   (1 / 4.f)
#define B   1.f
#define C   4.f
#define D_A (2 * A * (A - B) * (A - C))
#define D_B (2 * B * (B - A) * (B - C))
#define D_C (2 * C * (C - A) * (C - B))
static const struct winograd_points winograd_points_f6 = {
    3,
    {1 / 2.f, 1, 2},
    {-A * B * C, A *B + A *C + B *C, -(A + B + C)},
    {{B * C, -(B + C)}, {A * C, -(A + C)}, {A * B, -(A + B)}},
    {-A * B * C, D_A, D_A, D_B, D_B, D_C, D_C, 1}};
#undef A
#undef B
#undef C
#undef D_A
#undef D_B
#undef D_C

/* The matrices themselves, in double: rows are points, columns are coefficients. For the error bound and for tests. */
struct winograd_matrices {
    double bt[2 * WINOGRAD_PAIRS_MAX + 2][2 * WINOGRAD_PAIRS_MAX + 2]; /* n x n */
    double a[2 * WINOGRAD_PAIRS_MAX + 2][2 * WINOGRAD_PAIRS_MAX];      /* n x m */
    double g[2 * WINOGRAD_PAIRS_MAX + 2][WINOGRAD_TAPS];               /* n x 3 */
};
struct winograd_matrices winograd_matrices(const struct winograd_points *points);

#endif
