/* Vectors of VLEN floats, in the vector extensions that gcc and clang share, so that one body serves every
 * instruction set: the compiler flags decide what the operators become (a * b + c becomes a fused
 * multiply-add under -ffp-contract=fast). Include in *.isa.c files only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_SIMD_H
#define TRIPASS_SIMD_H

#ifndef VLEN
#error "VLEN is set by the build for *.isa.c files only"
#endif
#if (VLEN == 16 && !defined(TRIPASS_EMULATE_AVX512) && !defined(__AVX512F__))
#error "compiled for AVX-512 without its flags"
#endif

#include <stddef.h>
#ifdef __SSE__
#include <immintrin.h>
#endif

/* May alias floats and needs no alignment. */
typedef float vec __attribute__((vector_size(VLEN * sizeof(float)), aligned(sizeof(float)), may_alias));

#define SIMD static inline __attribute__((always_inline))

SIMD vec vec_load(const float *p)
{
    return *(const vec *)p;
}

SIMD void vec_store(float *p, vec v)
{
    *(vec *)p = v;
}

SIMD vec vec_zero(void)
{
    return (vec){0};
}

SIMD vec vec_all(float x)
{
#if VLEN == 16
    return (vec){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
#else
    return (vec){x, x, x, x, x, x, x, x};
#endif
}

/* *sum += x * y. gcc otherwise lets a sum wander between registers, for a move in every fourth multiply-add. */
SIMD void vec_multiply_add(vec *sum, vec x, vec y)
{
#if defined(__FMA__) && (VLEN == 8 || defined(__AVX512F__))
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(*sum) : "v"(x), "v"(y));
#else
    *sum += x * y;
#endif
}

/* The same with y in memory, without a register for it. */
SIMD void vec_multiply_add_at(vec *sum, vec x, const float *y)
{
#if defined(__FMA__) && (VLEN == 8 || defined(__AVX512F__))
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(*sum) : "v"(x), "m"(*(const vec *)y));
#else
    *sum += x * vec_load(y);
#endif
}

/* sum[0 .. 1] += x * y. One statement, for two leave gcc 14 more to move: 33 moves for 48 multiply-adds of a tile of 6 x 2. */
SIMD void vec_multiply_add_2(vec sum[2], vec x, const vec y[2])
{
#if defined(__FMA__) && (VLEN == 8 || defined(__AVX512F__))
    __asm__("vfmadd231ps %3, %2, %0\n\t"
            "vfmadd231ps %4, %2, %1"
            : "+&v"(sum[0]), "+v"(sum[1])
            : "v"(x), "v"(y[0]), "v"(y[1]));
#else
    for (int v = 0; v < 2; v++)
        sum[v] += x * y[v];
#endif
}

/* sum[0 .. 3] += x * y, of which three vectors are at hand and the last one is in memory. One statement, for with all 16
 * registers of AVX2 in use gcc otherwise loads each y again for each sum. */
SIMD void vec_multiply_add_4(vec sum[4], vec x, const vec y[3], const float *last)
{
#if defined(__FMA__) && (VLEN == 8 || defined(__AVX512F__))
    __asm__("vfmadd231ps %5, %4, %0\n\t"
            "vfmadd231ps %6, %4, %1\n\t"
            "vfmadd231ps %7, %4, %2\n\t"
            "vfmadd231ps %8, %4, %3"
            : "+&v"(sum[0]), "+&v"(sum[1]), "+&v"(sum[2]), "+v"(sum[3])
            : "v"(x), "v"(y[0]), "v"(y[1]), "v"(y[2]), "m"(*(const vec *)last));
#else
    for (int v = 0; v < 3; v++)
        sum[v] += x * y[v];
    sum[3] += x * vec_load(last);
#endif
}

/* sum[j] += x * y[j * step], j = 0 .. 2, in one statement for the same reason. */
SIMD void vec_multiply_add_3_at(vec sum[3], vec x, const float *y, ptrdiff_t step)
{
#if defined(__FMA__) && (VLEN == 8 || defined(__AVX512F__))
    __asm__("vfmadd231ps %4, %3, %0\n\t"
            "vfmadd231ps %5, %3, %1\n\t"
            "vfmadd231ps %6, %3, %2"
            : "+&v"(sum[0]), "+&v"(sum[1]), "+v"(sum[2])
            : "v"(x), "m"(*(const vec *)y), "m"(*(const vec *)(y + step)), "m"(*(const vec *)(y + 2 * step)));
#else
    for (int j = 0; j < 3; j++)
        sum[j] += x * vec_load(y + j * step);
#endif
}

/* p, of which the compiler no longer knows where it came from: gcc otherwise keeps one address a load, and spills. */
SIMD const float *vec_pointer(const float *p)
{
    __asm__("" : "+r"(p));
    return p;
}

/* stride, of which the compiler no longer knows that it is the same all along: gcc otherwise spends a register on each
 * multiple of it, though addresses scale an index by themselves. */
SIMD ptrdiff_t vec_stride(ptrdiff_t stride)
{
    __asm__("" : "+r"(stride));
    return stride;
}

/* Non-temporal store to p, aligned to the vector: for outputs that will not be read soon and would
 * otherwise push useful lines out of the caches. Follow the last one with vec_stream_fence. */
SIMD void vec_stream(float *p, vec v)
{
#if defined(__AVX512F__) && VLEN == 16
    _mm512_stream_ps(p, (__m512)v);
#elif defined(__AVX__)
    typedef float half __attribute__((vector_size(32), aligned(4), may_alias));
    for (int i = 0; i < VLEN / 8; i++)
        _mm256_stream_ps(p + 8 * i, (__m256)((half *)&v)[i]);
#else
    vec_store(p, v);
#endif
}

SIMD void vec_stream_fence(void)
{
#ifdef __SSE__
    _mm_sfence();
#endif
}

#endif
