/* The chapter on Winograd's minimal filtering, from the tables that the kernels are built from.
 * SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include "complain.h"
#include "random.h"
#include "winograd/points.h"

#include <math.h>
#include <stdlib.h>

enum { SIDE = 2 * WINOGRAD_PAIRS_MAX + 2 }; /* of the largest tile */

/* A matrix of doubles, at most SIDE x SIDE. */
struct grid {
    int rows, columns;
    double at[SIDE][SIDE];
};

static struct grid product(struct grid a, struct grid b)
{
    struct grid c = {a.rows, b.columns, {{0}}};
    for (int i = 0; i < a.rows; i++)
        for (int j = 0; j < b.columns; j++)
            for (int k = 0; k < a.columns; k++)
                c.at[i][j] += a.at[i][k] * b.at[k][j];
    return c;
}

static struct grid transposed(struct grid a)
{
    struct grid t = {a.columns, a.rows, {{0}}};
    for (int i = 0; i < a.rows; i++)
        for (int j = 0; j < a.columns; j++)
            t.at[j][i] = a.at[i][j];
    return t;
}

/* m a transposed(m), and its elementwise twin. */
static struct grid both_sides(struct grid m, struct grid a)
{
    return product(product(m, a), transposed(m));
}

static struct grid elementwise(struct grid a, struct grid b)
{
    for (int i = 0; i < a.rows; i++)
        for (int j = 0; j < a.columns; j++)
            a.at[i][j] *= b.at[i][j];
    return a;
}

static struct grid drawn(int side, uint64_t *random)
{
    struct grid d = {side, side, {{0}}};
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++)
            d.at[i][j] = random_below(random, 7) - 3;
    return d;
}

/* The definition: y(i,j) = sum of d(i+k, j+l) g(k,l). */
static struct grid correlated(struct grid d, struct grid g)
{
    struct grid y = {d.rows - g.rows + 1, d.columns - g.columns + 1, {{0}}};
    for (int i = 0; i < y.rows; i++)
        for (int j = 0; j < y.columns; j++)
            for (int k = 0; k < g.rows; k++)
                for (int l = 0; l < g.columns; l++)
                    y.at[i][j] += d.at[i + k][j + l] * g.at[k][l];
    return y;
}

static double largest_difference(struct grid a, struct grid b)
{
    double largest = a.rows == b.rows && a.columns == b.columns ? 0 : INFINITY;
    for (int i = 0; i < a.rows; i++)
        for (int j = 0; j < a.columns; j++)
            if (!(fabs(a.at[i][j] - b.at[i][j]) <= largest))
                largest = fabs(a.at[i][j] - b.at[i][j]);
    return largest;
}

/* "name = grid" pairs in one line. */
static void grids_show(const struct page *page, int count, const char *const name[], const struct grid grid[])
{
    struct page_part part[2 * SIDE];
    struct page_matrix matrix[SIDE];
    for (int i = 0; i < count; i++) {
        matrix[i] =
            (struct page_matrix){grid[i].rows, grid[i].columns,
                                 must_allocate(NULL, (size_t)(grid[i].rows * grid[i].columns), PAGE_CELL)};
        for (int r = 0; r < grid[i].rows; r++)
            for (int c = 0; c < grid[i].columns; c++) {
                const double x = fabs(grid[i].at[r][c]) < 1e-12 ? 0 : grid[i].at[r][c];
                snprintf(matrix[i].cell[r * grid[i].columns + c], PAGE_CELL, "%s%.5g", x < 0 ? "−" : "",
                         fabs(x));
            }
        part[2 * i] = (struct page_part){NULL, name[i]};
        part[2 * i + 1] = (struct page_part){&matrix[i], NULL};
    }
    page_equation(page, 2 * count, part);
    for (int i = 0; i < count; i++)
        free(matrix[i].cell);
}

/* A tile of F(m, 3), and the same points for the gradient F(3, m). */
static void tile_show(const struct page *page, const struct winograd_points *points, uint64_t *random)
{
    const int m = 2 * points->pairs, n = m + 2;
    const struct winograd_matrices tables = winograd_matrices(points, points->pairs, WINOGRAD_TAPS);
    struct grid bt = {n, n, {{0}}}, a = {n, m, {{0}}}, g = {n, WINOGRAD_TAPS, {{0}}};
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++)
            bt.at[i][j] = tables.bt[i][j];
        for (int j = 0; j < m; j++)
            a.at[i][j] = tables.a[i][j];
        for (int j = 0; j < WINOGRAD_TAPS; j++)
            g.at[i][j] = tables.g[i][j];
    }
    char heading[64];
    snprintf(heading, sizeof heading, "Winograd F(%d,3)", m);
    page_heading(page, heading);
    grids_show(page, 3, (const char *const[]){"Bᵀ = ", "  G = ", "  Aᵀ = "},
               (const struct grid[]){bt, g, transposed(a)});
    const struct grid data = drawn(n, random), kernel = drawn(WINOGRAD_TAPS, random),
                      gradient = drawn(m, random);
    const struct grid u = both_sides(g, kernel), v = both_sides(bt, data);
    const struct grid y = both_sides(transposed(a), elementwise(u, v));
    const struct grid dw = both_sides(transposed(g), elementwise(both_sides(a, gradient), v));
    page_text(page,
              "A tile d of %d x %d pixels and a kernel g, chosen at random, and what becomes of them:", n, n);
    grids_show(page, 2, (const char *const[]){"d = ", "  g = "}, (const struct grid[]){data, kernel});
    grids_show(page, 2, (const char *const[]){"V = Bᵀ d B = ", "  U = G g Gᵀ = "},
               (const struct grid[]){v, u});
    grids_show(page, 1, (const char *const[]){"y = Aᵀ (U ⊙ V) A = "}, &y);
    page_text(page,
              "%d multiplications (U ⊙ V) instead of %d x %d x 9 = %d: %.2f times fewer. Against the "
              "definition the largest "
              "difference is %.1e (in double). The gradient of the weights takes the same points with A and "
              "G exchanged, "
              "∂g = Gᵀ ((A ∂y Aᵀ) ⊙ V) G, that is F(3,%d): largest difference %.1e.",
              n * n, m, m, 9 * m * m, 9.0 * m * m / (n * n), largest_difference(y, correlated(data, kernel)),
              m, largest_difference(dw, correlated(data, gradient)));
}

void explain_winograd(const struct page *page, uint64_t seed)
{
    static const struct winograd_points *const points[] = {&winograd_points_f2, &winograd_points_f4,
                                                           &winograd_points_f6};
    uint64_t random = seed;
    page_heading(page, "Fewer multiplications: minimal filtering");
    page_text(page, "F(m,3) computes m outputs of a 3-tap filter with m + 2 multiplications instead of 3m: "
                    "data and taps are "
                    "seen as polynomials, evaluated at m + 2 points (0, ±a, ±b, ..., ∞), multiplied there, "
                    "and the result "
                    "is interpolated (Toom-Cook). In two dimensions the matrices act on columns and on rows. "
                    "The transforms "
                    "of the data and of the kernel are shared by all channels that meet them.");
    for (int i = 0; i < 3; i++)
        tile_show(page, points[i], &random);
}
