/* The transforms (see transform.h), a block of 16 channels at a time. One-dimensional transforms are functions of the
 * points; `pairs` and `terms` are constants at every call, so the loops unroll and coefficients of one vanish.
 *
 *     expand   terms pixels -> n values    B^T if terms = n; otherwise E_terms, divided by D for the taps
 *     reduce   n values -> terms pixels    E_terms^T, divided by D for the taps
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "winograd/transform.h"
#include "kernels/simd.h"

enum { VECTORS = 16 / VLEN, TAPS = WINOGRAD_TAPS, N_MAX = 2 * WINOGRAD_PAIRS_MAX + 2 };

#define UNROLL _Pragma("GCC unroll 8")
#define ROLLED _Pragma("GCC unroll 1")

/* v = B^T d: the rows are the coefficients of N_0, N_(+-a) .. and N. */
SIMD void interpolate(int pairs, const struct winograd_points *f, const vec *d, vec *v)
{
    vec zero = d[2 * pairs], infinity = d[2 * pairs + 1];
    UNROLL for (int k = 0; k < pairs; k++)
    {
        zero += f->q[k] * d[2 * k];
        infinity += f->q[k] * d[2 * k + 1];
    }
    v[0] = zero;
    v[2 * pairs + 1] = infinity;
    UNROLL for (int j = 0; j < pairs; j++)
    {
        vec even = d[2 * pairs], odd = d[2 * pairs - 1];
        UNROLL for (int k = 0; k < pairs - 1; k++)
        {
            even += f->q_a[j][k] * d[2 * k + 2];
            odd += f->q_a[j][k] * d[2 * k + 1];
        }
        v[1 + 2 * j] = even + f->a[j] * odd;
        v[2 + 2 * j] = even - f->a[j] * odd;
    }
}

/* v = E y: the values of the polynomial with coefficients y. */
SIMD void evaluate(int pairs, int terms, const struct winograd_points *f, const vec *y, vec *v)
{
    v[0] = y[0];
    v[2 * pairs + 1] = y[terms - 1];
    UNROLL for (int j = 0; j < pairs; j++)
    {
        vec even = y[0], odd = y[1];
        float power = 1;
        UNROLL for (int i = 2; i < terms; i += 2)
        {
            power *= f->a[j] * f->a[j];
            even += power * y[i];
            if (i + 1 < terms)
                odd += power * y[i + 1];
        }
        v[1 + 2 * j] = even + f->a[j] * odd;
        v[2 + 2 * j] = even - f->a[j] * odd;
    }
}

/* y = E^T v. */
SIMD void collect(int pairs, int terms, const struct winograd_points *f, const vec *v, vec *y)
{
    vec sum[WINOGRAD_PAIRS_MAX], difference[WINOGRAD_PAIRS_MAX];
    UNROLL for (int j = 0; j < pairs; j++)
    {
        sum[j] = v[1 + 2 * j] + v[2 + 2 * j];
        difference[j] = v[1 + 2 * j] - v[2 + 2 * j];
    }
    float power[WINOGRAD_PAIRS_MAX] = {1, 1, 1};
    UNROLL for (int i = 0; i < terms; i++)
    {
        const vec *part = i % 2 ? difference : sum;
        y[i] = i == 0           ? v[0] + part[0]
               : i == terms - 1 ? v[2 * pairs + 1] + power[0] * part[0]
                                : power[0] * part[0];
        UNROLL for (int j = 1; j < pairs; j++) y[i] += power[j] * part[j];
        UNROLL for (int j = 0; j < pairs; j++) power[j] *= f->a[j];
    }
}

SIMD void expand(int pairs, int terms, const struct winograd_points *f, const vec *y, vec *v)
{
    if (terms == 2 * pairs + 2)
        interpolate(pairs, f, y, v);
    else
        evaluate(pairs, terms, f, y, v);
    if (terms == TAPS)
        UNROLL for (int j = 0; j < 2 * pairs + 2; j++) v[j] *= 1 / f->d[j];
}

SIMD void reduce(int pairs, int terms, const struct winograd_points *f, vec *v, vec *y)
{
    if (terms == TAPS)
        UNROLL for (int j = 0; j < 2 * pairs + 2; j++) v[j] *= 1 / f->d[j];
    collect(pairs, terms, f, v, y);
}

/* A window of one block of channels; its vectors take turns, which keeps more independent work in flight and writes whole
 * cache lines at a time. inside: no pixel of the window lies outside the image. The outer loops stay rolled: unrolled they
 * need more addresses than there are registers. */
SIMD void read_window(int pairs, int terms, bool inside, const struct winograd_points *f,
                      struct winograd_window w, const float *pixels, float *values, ptrdiff_t point)
{
    const int n = 2 * pairs + 2;
    vec half[VECTORS][N_MAX][N_MAX] __attribute__((aligned(64))), line[N_MAX], value[N_MAX];
    ROLLED for (int j = 0; j < terms; j++, pixels += w.pixel)
    {
        const bool column = inside || (unsigned)(w.w + j) < (unsigned)w.width;
        UNROLL for (int u = 0; u < VECTORS; u++)
        {
            UNROLL for (int i = 0; i < terms; i++) line[i] =
                inside || (column && (unsigned)(w.h + i) < (unsigned)w.height)
                    ? vec_load(pixels + i * w.row + u * VLEN)
                    : vec_zero();
            expand(pairs, terms, f, line, value);
            UNROLL for (int i = 0; i < n; i++) half[u][i][j] = value[i];
        }
    }
    ROLLED for (int i = 0; i < n; i++, values += n * point) UNROLL for (int u = 0; u < VECTORS; u++)
    {
        expand(pairs, terms, f, half[u][i], value);
        UNROLL for (int j = 0; j < n; j++) vec_store(values + j * point + u * VLEN, value[j]);
    }
}

SIMD void write_window(int pairs, int terms, bool inside, const struct winograd_points *f,
                       struct winograd_window w, float *pixels, const float *values, ptrdiff_t point)
{
    const int n = 2 * pairs + 2;
    vec half[VECTORS][N_MAX][N_MAX] __attribute__((aligned(64))), line[N_MAX], value[N_MAX];
    ROLLED for (int j = 0; j < n; j++, values += point) UNROLL for (int u = 0; u < VECTORS; u++)
    {
        UNROLL for (int i = 0; i < n; i++) value[i] = vec_load(values + i * n * point + u * VLEN);
        reduce(pairs, terms, f, value, line);
        UNROLL for (int i = 0; i < terms; i++) half[u][i][j] = line[i];
    }
    const int rows = inside || w.height - w.h > terms ? terms : w.height - w.h;
    ROLLED for (int i = 0; i < rows; i++, pixels += w.row) UNROLL for (int u = 0; u < VECTORS; u++)
    {
        reduce(pairs, terms, f, half[u][i], line);
        UNROLL for (int j = 0; j < terms; j++) if (inside || w.w + j < w.width)
        {
            float *to = pixels + j * w.pixel + u * VLEN;
            if (w.stream)
                vec_stream(to, line[j]);
            else
                vec_store(to, line[j]);
        }
    }
}

/* A window, item by item. */
#define TRANSFORM(name, direction, pairs, terms, f)                                                          \
    static void name(const struct winograd_window *window, const struct winograd_values *values)             \
    {                                                                                                        \
        const struct winograd_window w = *window;                                                            \
        const struct winograd_values v = *values;                                                            \
        const bool inside = w.h >= 0 && w.w >= 0 && w.h + terms <= w.height && w.w + terms <= w.width;       \
        float *pixels = w.base + w.h * w.row + w.w * w.pixel, *at = v.base;                                  \
        for (int i = 0; i < v.items; i++, pixels += v.window, at += v.item)                                  \
            if (inside)                                                                                      \
                direction(pairs, terms, true, f, w, pixels, at, v.point);                                    \
            else                                                                                             \
                direction(pairs, terms, false, f, w, pixels, at, v.point);                                   \
    }

#define TRANSFORMS(pairs, f)                                                                                 \
    TRANSFORM(data_##pairs, read_window, pairs, 2 * pairs + 2, f)                                            \
    TRANSFORM(spread_##pairs, read_window, pairs, 2 * pairs, f)                                              \
    TRANSFORM(weights_##pairs, read_window, pairs, TAPS, f)                                                  \
    TRANSFORM(output_##pairs, write_window, pairs, 2 * pairs, f)                                             \
    TRANSFORM(gradient_##pairs, write_window, pairs, TAPS, f)

#define KERNEL(pairs, f)                                                                                     \
    {                                                                                                        \
        f, data_##pairs, spread_##pairs, weights_##pairs, output_##pairs, gradient_##pairs                   \
    }

TRANSFORMS(1, &winograd_points_f2)
TRANSFORMS(2, &winograd_points_f4)
TRANSFORMS(3, &winograd_points_f6)

typedef const struct winograd_kernel kernels_by_pairs[WINOGRAD_PAIRS_MAX];
extern kernels_by_pairs ISA_NAME(winograd_kernels);
kernels_by_pairs ISA_NAME(winograd_kernels) = {KERNEL(1, &winograd_points_f2), KERNEL(2, &winograd_points_f4),
                                               KERNEL(3, &winograd_points_f6)};
