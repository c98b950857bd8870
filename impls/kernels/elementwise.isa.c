/* The elementwise kernels (see elementwise.h), 16 elements at a time; what is left over goes through a copy of 16.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elementwise.h"
#include "kernels/simd.h"

#include <string.h>

enum { LANES = ELEMENTWISE_LANES };

typedef int ivec __attribute__((vector_size(VLEN * sizeof(int))));

/* mask ? a : b */
SIMD vec vec_where(ivec mask, vec a, vec b)
{
    return (vec)((mask & (ivec)a) | (~mask & (ivec)b));
}

/* e^x for |x| <= 80, beyond as there: x = n ln 2 + r with |r| <= ln 2 / 2, whose series to r^7 leaves 5e-9 of it. Adding
 * 1.5 * 2^23 rounds to a whole number and leaves it in the low bits, from where it is added to the exponent. */
SIMD vec vec_exp(vec x)
{
    const vec most = vec_all(80), magic = vec_all(0x1.8p23f);
    x = vec_where(x > most, most, vec_where(x < -most, -most, x));
    const vec shifted = x * vec_all(0x1.715476p0f) + magic, n = shifted - magic; /* log2 e */
    const vec r = x - n * vec_all(0x1.62e4p-1f) - n * vec_all(0x1.7f7d1cp-20f);  /* ln 2 in two parts */
    static const float inverse_factorial[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24,
                                              1.0f / 6,    1.0f / 2,   1,          1};
    vec sum = vec_all(inverse_factorial[0]);
#pragma GCC unroll 8
    for (int i = 1; i < 8; i++)
        sum = sum * r + vec_all(inverse_factorial[i]);
    return (vec)((ivec)sum + ((ivec)shifted << 23));
}

SIMD vec phi(enum activation_kind kind, vec z)
{
    const vec one = vec_all(1);
    switch (kind) {
    case ACTIVATION_RELU: return vec_where(z < vec_zero(), vec_zero(), z);
    case ACTIVATION_LEAKY_RELU: return vec_where(z < vec_zero(), z * vec_all(ACTIVATION_LEAK), z);
    case ACTIVATION_TANH: return one - (one + one) / (vec_exp(z + z) + one);
    case ACTIVATION_SIGMOID: return one / (one + vec_exp(-z));
    default: return z;
    }
}

SIMD vec phi_slope(enum activation_kind kind, vec y)
{
    const vec one = vec_all(1);
    switch (kind) {
    case ACTIVATION_RELU: return vec_where(y > vec_zero(), one, vec_zero());
    case ACTIVATION_LEAKY_RELU: return vec_where(y > vec_zero(), one, vec_all(ACTIVATION_LEAK));
    case ACTIVATION_TANH: return one - y * y;
    case ACTIVATION_SIGMOID: return y * (one - y);
    default: return one;
    }
}

SIMD void forward_lanes(enum activation_kind kind, const float *bias, float *y)
{
    for (int i = 0; i < LANES; i += VLEN)
        vec_store(y + i, phi(kind, vec_load(y + i) + vec_load(bias + i)));
}

SIMD void forward_kind(enum activation_kind kind, const float *bias, float *y, size_t n)
{
    float rest[LANES] = {0};
    for (; n >= LANES; n -= LANES, y += LANES)
        forward_lanes(kind, bias, y);
    memcpy(rest, y, n * sizeof *y);
    forward_lanes(kind, bias, rest);
    memcpy(y, rest, n * sizeof *y);
}

SIMD void backward_lanes(enum activation_kind kind, const float *y, const float *dy, float *dz)
{
    for (int i = 0; i < LANES; i += VLEN)
        vec_store(dz + i, vec_load(dy + i) * phi_slope(kind, vec_load(y + i)));
}

SIMD void backward_kind(enum activation_kind kind, const float *y, const float *dy, float *dz, size_t n)
{
    float y_rest[LANES] = {0}, dy_rest[LANES] = {0};
    for (; n >= LANES; n -= LANES, y += LANES, dy += LANES, dz += LANES)
        backward_lanes(kind, y, dy, dz);
    memcpy(y_rest, y, n * sizeof *y);
    memcpy(dy_rest, dy, n * sizeof *dy);
    backward_lanes(kind, y_rest, dy_rest, dy_rest);
    memcpy(dz, dy_rest, n * sizeof *dz);
}

/* One loop a kind, chosen outside of it. */
#define EACH_KIND(f, ...)                                                                                    \
    switch (kind) {                                                                                          \
    case ACTIVATION_RELU: f(ACTIVATION_RELU, __VA_ARGS__); break;                                            \
    case ACTIVATION_LEAKY_RELU: f(ACTIVATION_LEAKY_RELU, __VA_ARGS__); break;                                \
    case ACTIVATION_TANH: f(ACTIVATION_TANH, __VA_ARGS__); break;                                            \
    case ACTIVATION_SIGMOID: f(ACTIVATION_SIGMOID, __VA_ARGS__); break;                                      \
    default: f(ACTIVATION_IDENTITY, __VA_ARGS__);                                                            \
    }

static void forward(enum activation_kind kind, const float *bias, float *y, size_t n)
{
    EACH_KIND(forward_kind, bias, y, n)
}

static void backward(enum activation_kind kind, const float *y, const float *dy, float *dz, size_t n)
{
    EACH_KIND(backward_kind, y, dy, dz, n)
}

static void sum(const float *dz, size_t n, float total[LANES])
{
    vec part[LANES / VLEN];
    for (int i = 0; i < LANES / VLEN; i++)
        part[i] = vec_load(total + i * VLEN);
    for (; n >= LANES; n -= LANES, dz += LANES)
        for (int i = 0; i < LANES / VLEN; i++)
            part[i] += vec_load(dz + i * VLEN);
    for (int i = 0; i < LANES / VLEN; i++)
        vec_store(total + i * VLEN, part[i]);
    for (size_t i = 0; i < n; i++)
        total[i] += dz[i];
}

const struct elementwise_kernel ISA_NAME(elementwise_kernel) = {forward, backward, sum};
