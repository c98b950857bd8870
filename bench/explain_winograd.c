/* The part of `explain` on Winograd's minimal filtering, from the tables that the kernels are built from.
 * SPDX-License-Identifier: Apache-2.0 */
#include "explain.h"

#include "random.h"
#include "winograd/points.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

/* The fraction that a double is the rounded value of: continued fractions, until numerator / denominator is x again. The
 * matrices hold quotients of small dyadic numbers, so that one of less than 2^20 is found. False: there is none. */
static bool fraction_find(double x, long *numerator, long *denominator)
{
    const double most = 1 << 20;
    double rest = fabs(x), p = 1, p_before = 0, q = 0, q_before = 1;
    while (q < most) {
        const double whole = floor(rest), p_next = whole * p + p_before, q_next = whole * q + q_before;
        p_before = p, p = p_next, q_before = q, q = q_next;
        if (p / q == fabs(x)) {
            *numerator = (long)p, *denominator = (long)q;
            return true;
        }
        rest = 1 / (rest - whole);
    }
    return false;
}

static void fraction_cell(char cell[SHEET_CELL], double x)
{
    long p, q;
    const char *sign = x < 0 ? "−" : "";
    if (!fraction_find(x, &p, &q))
        snprintf(cell, SHEET_CELL, "%s%.17g", sign, fabs(x));
    else if (q == 1)
        snprintf(cell, SHEET_CELL, "%s%ld", sign, p);
    else
        snprintf(cell, SHEET_CELL, "%s%ld/%ld", sign, p, q);
}

static void decimal_cell(char cell[SHEET_CELL], double x)
{
    const double rounded = fabs(x) < 1e-12 ? 0 : x; /* entries are 1e-3 and more */
    snprintf(cell, SHEET_CELL, "%s%.4g", rounded < 0 ? "−" : "", fabs(rounded));
}

static struct sheet_matrix cells_of(struct grid g, bool fractions)
{
    struct sheet_matrix m = lesson_cells(g.rows, g.columns);
    for (int r = 0; r < g.rows; r++)
        for (int c = 0; c < g.columns; c++)
            (fractions ? fraction_cell : decimal_cell)(m.cell[r * g.columns + c], g.at[r][c]);
    return m;
}

/* The matrices of a tile. */
struct tile {
    int m, n, taps;
    struct grid bt, a, g;
};

static struct tile tile_make(const struct winograd_points *points, int taps)
{
    const int n = 2 * points->pairs + 2, m = n + 1 - taps;
    const struct winograd_matrices tables = winograd_matrices(points, points->pairs, taps);
    struct tile tile = {m, n, taps, {n, n, {{0}}}, {n, m, {{0}}}, {n, taps, {{0}}}};
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++)
            tile.bt.at[i][j] = tables.bt[i][j];
        for (int j = 0; j < m; j++)
            tile.a.at[i][j] = tables.a[i][j];
        for (int j = 0; j < taps; j++)
            tile.g.at[i][j] = tables.g[i][j];
    }
    return tile;
}

/* In fractions, and in decimals where that is something else. */
static void matrix_show(const struct lesson *lesson, const char *name, struct grid grid)
{
    struct sheet_matrix m[2] = {cells_of(grid, true), cells_of(grid, false)};
    char equation[32];
    bool fractions = false;
    for (int i = 0; i < grid.rows * grid.columns; i++)
        fractions = fractions || strchr(m[0].cell[i], '/');
    snprintf(equation, sizeof equation, "%s = @%s", name, fractions ? " = @" : "");
    if (!fractions)
        free(m[1].cell);
    lesson_show(lesson, equation, m);
}

static void points_text(const struct lesson *lesson, const struct winograd_points *points)
{
    char text[128] = "0";
    for (int k = 0; k < points->pairs; k++) {
        char cell[SHEET_CELL];
        fraction_cell(cell, (double)points->a[k]);
        snprintf(text + strlen(text), sizeof text - strlen(text), ", ±%s", cell);
    }
    sheet_text(&lesson->sheet,
               "The points are $%s, ∞$; rows of $Bᵀ$ and $G$ and columns of $Aᵀ$ belong to $0, +a, −a, …, ∞$ "
               "in this "
               "order.",
               text);
}

/* A tile worked through, and the same points for the gradient of the weights. */
static void tile_show(const struct lesson *lesson, const struct winograd_points *points, int taps,
                      uint64_t *random)
{
    const struct tile t = tile_make(points, taps);
    sheet_text(&lesson->sheet, "F(%d,%d): %d outputs of %d taps.", t.m, taps, t.m, taps);
    points_text(lesson, points);
    matrix_show(lesson, "Bᵀ", t.bt);
    matrix_show(lesson, "G", t.g);
    matrix_show(lesson, "Aᵀ", transposed(t.a));
    const struct grid data = drawn(t.n, random), kernel = drawn(taps, random), gradient = drawn(t.m, random);
    const struct grid u = both_sides(t.g, kernel), v = both_sides(t.bt, data);
    const struct grid y = both_sides(transposed(t.a), elementwise(u, v));
    const struct grid dw = both_sides(transposed(t.g), elementwise(both_sides(t.a, gradient), v));
    sheet_text(&lesson->sheet,
               "A tile $d$ of $%d × %d$ pixels and a kernel $g$, drawn at random, and what becomes of them:",
               t.n, t.n);
    lesson_show(lesson, "d = @   g = @",
                (struct sheet_matrix[]){cells_of(data, false), cells_of(kernel, false)});
    lesson_show(lesson, "V = Bᵀ d B = @", (struct sheet_matrix[]){cells_of(v, false)});
    lesson_show(lesson, "U = G g Gᵀ = @", (struct sheet_matrix[]){cells_of(u, false)});
    lesson_show(lesson, "y = Aᵀ (U ⊙ V) A = @", (struct sheet_matrix[]){cells_of(y, false)});
    const int direct = t.m * t.m * taps * taps;
    sheet_text(&lesson->sheet,
               "%d multiplications ($U ⊙ V$) instead of $%d × %d × %d × %d = %d$: %.2f times fewer. Against "
               "the definition "
               "the largest difference is %.1e (in double).",
               t.n * t.n, t.m, t.m, taps, taps, direct, direct / (double)(t.n * t.n),
               largest_difference(y, correlated(data, kernel)));
    sheet_text(&lesson->sheet,
               "The gradient of the weights takes the same points with $A$ and $G$ exchanged, "
               "$∂g = Gᵀ ((A ∂y Aᵀ) ⊙ V) G$, that is F(%d,%d): largest difference %.1e.",
               taps, t.m, largest_difference(dw, correlated(data, gradient)));
}

const char *explain_winograd_refuse(const struct conv_problem *problem)
{
    return conv_impl_find("winograd-f4")->refuse(problem, CONV_DST);
}

void explain_winograd(const struct lesson *lesson)
{
    static const struct winograd_points *const points[] = {&winograd_points_f2, &winograd_points_f4,
                                                           &winograd_points_f6};
    uint64_t random = lesson->seed;
    const bool phases = lesson->problem.sh == 2;
    sheet_text(&lesson->sheet,
               "F(m,r) computes m outputs of a filter with r taps by m + r − 1 multiplications instead of m "
               "times r: data and taps are seen as polynomials, evaluated at points, multiplied there, and "
               "the result is interpolated (Toom-Cook). In two dimensions the matrices act on columns and on "
               "rows. All channels that meet share the transforms of the data and of the kernel.");
    if (phases)
        sheet_text(&lesson->sheet,
                   "With stride 2, pixels with even and with odd coordinates are images of their own: taps 0 "
                   "and 2 of a kernel meet the one, tap 1 the other. Below are the phases of two taps; $D$, "
                   "the denominator of the interpolation, here divides the rows of $Bᵀ$ instead of $G$.");
    sheet_text(
        &lesson->sheet,
        "Papers scale rows of $G$ and $Bᵀ$ (or columns of $Aᵀ$) against each other: a row multiplied in "
        "one and divided in the other is the same algorithm. With other points the matrices differ "
        "(Lavin and Gray have $0, ±1, ±2, ∞$ for F(4,3)); the products agree.");
    for (int i = 0; i < 3; i++)
        tile_show(lesson, points[i], phases ? WINOGRAD_TAPS - 1 : WINOGRAD_TAPS, &random);
}
