/* The transforms (see transform.h), a block of 16 channels at a time. One-dimensional transforms are functions of the
 * points; `pairs` and `terms` are constants at every call, so the loops unroll and coefficients of one vanish.
 *
 *     expand   terms pixels -> n values    B^T if terms = n; otherwise E_terms; then divided by D where points.h says so
 *     reduce   n values -> terms pixels    E_terms^T, divided by D before
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "winograd/transform.h"
#include "kernels/simd.h"

enum { VECTORS = 16 / VLEN, TAPS = WINOGRAD_TAPS, N_MAX = 2 * WINOGRAD_PAIRS_MAX + 2 };

#define UNROLL _Pragma("GCC unroll 8")
#define ROLLED _Pragma("GCC unroll 1")

/* q_0 d_0 + q_1 d_2 + ..; the last q is one. */
SIMD vec polynomial(int terms, const float *q, const vec *d)
{
    vec sum = d[2 * terms - 2];
    UNROLL for (int k = 0; k < terms - 1; k++) sum += q[k] * d[2 * k];
    return sum;
}

/* v = B^T d: the rows are the coefficients of N_0, N_(+-a) .. and N. */
SIMD void interpolate(int pairs, const struct winograd_points *f, const vec *d, vec *v)
{
    float q[WINOGRAD_PAIRS_MAX + 1];
    const int terms = winograd_q(f, pairs, -1, q);
    const float r = winograd_r(f, pairs, -1);
    v[0] = r * polynomial(terms, q, d);
    v[2 * pairs + 1] = polynomial(terms, q, d + 1);
    UNROLL for (int j = 0; j < pairs; j++)
    {
        const int few = winograd_q(f, pairs, j, q);
        const float scale = winograd_r(f, pairs, j);
        const vec even = scale * polynomial(few, q, d + 2);
        const vec odd = polynomial(few, q, d + 1);
        v[1 + 2 * j] = even + scale * f->a[j] * odd;
        v[2 + 2 * j] = even - scale * f->a[j] * odd;
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

SIMD void divide(int pairs, const struct winograd_points *f, vec *v)
{
    v[0] *= 1 / winograd_d(f, -1);
    UNROLL for (int j = 0; j < 2 * pairs; j++) v[1 + j] *= 1 / winograd_d(f, j / 2);
}

/* Values of so many terms: a lone tap's is itself. */
SIMD int count(int pairs, int terms)
{
    return terms == 1 ? 1 : 2 * pairs + 2;
}

SIMD void expand(int pairs, int terms, bool divided, const struct winograd_points *f, const vec *y, vec *v)
{
    if (terms == 1)
        v[0] = y[0];
    else if (terms == 2 * pairs + 2)
        interpolate(pairs, f, y, v);
    else
        evaluate(pairs, terms, f, y, v);
    if (divided)
        divide(pairs, f, v);
}

SIMD void reduce(int pairs, int terms, bool divided, const struct winograd_points *f, vec *v, vec *y)
{
    if (divided)
        divide(pairs, f, v);
    if (terms == 1)
        y[0] = v[0];
    else
        collect(pairs, terms, f, v, y);
}

/* The directions of a window: pairs of points, and pixels. */
struct extent {
    int h_pairs, w_pairs, height, width;
    bool divided;
};

/* Where row or column i of the values of `pairs` pairs is: infinity comes last of all the kernel's. */
SIMD int place(int i, int pairs, const struct winograd_points *f)
{
    return i == 2 * pairs + 1 ? 2 * f->pairs + 1 : i;
}

/* A window of one block of channels; its vectors take turns, which keeps more independent work in flight and writes whole
 * cache lines at a time. inside: no pixel of the window lies outside the image. The outer loops stay rolled: unrolled they
 * need more addresses than there are registers. */
SIMD void read_window(struct extent e, bool inside, const struct winograd_points *f, struct winograd_window w,
                      const float *pixels, struct winograd_values v)
{
    const int down = count(e.h_pairs, e.height), across = count(e.w_pairs, e.width);
    vec half[VECTORS][N_MAX][N_MAX] __attribute__((aligned(64))), line[N_MAX], value[N_MAX];
    ROLLED for (int j = 0; j < e.width; j++, pixels += w.pixel)
    {
        const bool column = inside || (unsigned)(w.w + j) < (unsigned)w.width;
        UNROLL for (int u = 0; u < VECTORS; u++)
        {
            UNROLL for (int i = 0; i < e.height; i++) line[i] =
                inside || (column && (unsigned)(w.h + i) < (unsigned)w.height)
                    ? vec_load(pixels + i * w.row + u * VLEN)
                    : vec_zero();
            expand(e.h_pairs, e.height, e.divided, f, line, value);
            UNROLL for (int i = 0; i < down; i++) half[u][i][j] = value[i];
        }
    }
    ROLLED for (int i = 0; i < down; i++)
    {
        float *values = v.base + place(i, e.h_pairs, f) * v.row;
        UNROLL for (int u = 0; u < VECTORS; u++)
        {
            expand(e.w_pairs, e.width, e.divided, f, half[u][i], value);
            UNROLL for (int j = 0; j < across; j++)
                vec_store(values + place(j, e.w_pairs, f) * v.point + u * VLEN, value[j]);
        }
    }
}

SIMD void write_window(struct extent e, bool inside, const struct winograd_points *f,
                       struct winograd_window w, float *pixels, struct winograd_values v)
{
    const int down = count(e.h_pairs, e.height), across = count(e.w_pairs, e.width);
    vec half[VECTORS][N_MAX][N_MAX] __attribute__((aligned(64))), line[N_MAX], value[N_MAX];
    ROLLED for (int j = 0; j < across; j++)
    {
        const float *values = v.base + place(j, e.w_pairs, f) * v.point;
        UNROLL for (int u = 0; u < VECTORS; u++)
        {
            UNROLL for (int i = 0; i < down; i++) value[i] =
                vec_load(values + place(i, e.h_pairs, f) * v.row + u * VLEN);
            reduce(e.h_pairs, e.height, e.divided, f, value, line);
            UNROLL for (int i = 0; i < e.height; i++) half[u][i][j] = line[i];
        }
    }
    const int rows = inside || w.height - w.h > e.height ? e.height : w.height - w.h;
    ROLLED for (int i = 0; i < rows; i++, pixels += w.row) UNROLL for (int u = 0; u < VECTORS; u++)
    {
        reduce(e.w_pairs, e.width, e.divided, f, half[u][i], line);
        UNROLL for (int j = 0; j < e.width; j++) if (inside || w.w + j < w.width)
        {
            float *to = pixels + j * w.pixel + u * VLEN;
            if (w.stream)
                vec_stream(to, line[j]);
            else
                vec_store(to, line[j]);
        }
    }
}

/* A window of the extent given, item by item. */
#define WINDOW(function, direction, m, ...)                                                                  \
    static void function(const struct winograd_window *window, const struct winograd_values *values)         \
    {                                                                                                        \
        const struct winograd_window w = *window;                                                            \
        const struct extent e = {__VA_ARGS__};                                                               \
        struct winograd_values v = *values;                                                                  \
        const bool inside = w.h >= 0 && w.w >= 0 && w.h + e.height <= w.height && w.w + e.width <= w.width;  \
        float *pixels = w.base + w.h * w.row + w.w * w.pixel;                                                \
        for (int i = 0; i < v.items; i++, pixels += v.window, v.base += v.item)                              \
            if (inside)                                                                                      \
                direction##_window(e, true, &winograd_points_f##m, w, pixels, v);                            \
            else                                                                                             \
                direction##_window(e, false, &winograd_points_f##m, w, pixels, v);                           \
    }

/* Pixels in a direction of so many pairs: of the larger image, of the smaller one by stride. */
#define LARGE(pairs) (2 * (pairs) + 2)
#define SMALL(pairs) (2 * (pairs))
#define WIDER(pairs) (2 * (pairs) + 1)

/* Stride 1: windows of h x w pairs, all sizes. */
#define SIZED(h, w, name, direction, terms, m)                                                               \
    WINDOW(name##_##m##_##h##w, direction, m, h, w, terms(h), terms(w), false)
#define SIZES_1(X, ...) X(1, 1, __VA_ARGS__)
#define SIZES_2(X, ...) SIZES_1(X, __VA_ARGS__) X(1, 2, __VA_ARGS__) X(2, 1, __VA_ARGS__) X(2, 2, __VA_ARGS__)
#define SIZES_3(X, ...)                                                                                      \
    SIZES_2(X, __VA_ARGS__)                                                                                  \
    X(1, 3, __VA_ARGS__) X(2, 3, __VA_ARGS__) X(3, 1, __VA_ARGS__) X(3, 2, __VA_ARGS__) X(3, 3, __VA_ARGS__)
#define ENTRY(h, w, name, m) [h - 1][w - 1] = name##_##m##_##h##w,
#define SIZES(name, direction, terms, m, pairs)                                                              \
    SIZES_##pairs(SIZED, name, direction, terms, m) static void name##_##m(                                  \
        const struct winograd_window *window, const struct winograd_values *values)                          \
    {                                                                                                        \
        static winograd_transform_fn *const transform[pairs][pairs] = {SIZES_##pairs(ENTRY, name, m)};       \
        transform[window->h_pairs - 1][window->w_pairs - 1](window, values);                                 \
    }

#define TRANSFORMS(m, pairs)                                                                                 \
    SIZES(data, read, LARGE, m, pairs)                                                                       \
    SIZES(spread, read, SMALL, m, pairs)                                                                     \
    SIZES(output, write, SMALL, m, pairs)                                                                    \
    WINDOW(weights_##m, read, m, pairs, pairs, TAPS, TAPS, true)                                             \
    WINDOW(gradient_##m, write, m, pairs, pairs, TAPS, TAPS, true)

/* Stride 2: whole tiles only, and h x w taps, two or one. */
#define TAPPED(h, w, name, direction, m, pairs)                                                              \
    WINDOW(name##_##m##_##h##w, direction, m, pairs, pairs, h, w, false)
#define TAPPINGS(name, direction, m, pairs)                                                                  \
    SIZES_2(TAPPED, name, direction, m, pairs)                                                               \
    static void name##_##m(const struct winograd_window *window, const struct winograd_values *values)       \
    {                                                                                                        \
        static winograd_transform_fn *const transform[2][2] = {SIZES_2(ENTRY, name, m)};                     \
        transform[window->height - 1][window->width - 1](window, values);                                    \
    }

#define STRIDED_TRANSFORMS(m, pairs)                                                                         \
    WINDOW(strided_data_##m, read, m, pairs, pairs, LARGE(pairs), LARGE(pairs), true)                        \
    WINDOW(strided_spread_##m, read, m, pairs, pairs, WIDER(pairs), WIDER(pairs), false)                     \
    WINDOW(strided_output_##m, write, m, pairs, pairs, WIDER(pairs), WIDER(pairs), false)                    \
    TAPPINGS(strided_weights, read, m, pairs)                                                                \
    TAPPINGS(strided_gradient, write, m, pairs)

#define KERNEL(m, stride)                                                                                    \
    {                                                                                                        \
        &winograd_points_f##m, stride##data_##m, stride##spread_##m, stride##weights_##m,                    \
            stride##output_##m, stride##gradient_##m, fence                                                  \
    }

static void fence(void)
{
    vec_stream_fence();
}

TRANSFORMS(2, 1)
TRANSFORMS(4, 2)
TRANSFORMS(6, 3)
STRIDED_TRANSFORMS(2, 1)
STRIDED_TRANSFORMS(4, 2)
STRIDED_TRANSFORMS(6, 3)

typedef const struct winograd_kernel kernels_by_stride[2][WINOGRAD_PAIRS_MAX];
extern kernels_by_stride ISA_NAME(winograd_kernels);
kernels_by_stride ISA_NAME(winograd_kernels) = {
    {KERNEL(2, ), KERNEL(4, ), KERNEL(6, )}, {KERNEL(2, strided_), KERNEL(4, strided_), KERNEL(6, strided_)}};
