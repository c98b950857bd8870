/* chain[i] = chain[i] * scale + shift, i < CHAINS: nothing but multiply-adds in registers, the compute roof of
 * Williams, Waterman and Patterson (CACM 52(4), 2009). Two ports times a latency of 4 cycles want 8 independent
 * chains; 12 leave slack and fit 16 registers beside the two constants. The chains start from different values,
 * or the compiler would compute one and reuse it (gcc 12 does). SPDX-License-Identifier: Apache-2.0 */
#include "kernels/peak.h"

#include "kernels/register.h"

enum { CHAINS = 12, LANES = REGISTER_BYTES / sizeof(float) };
typedef float reg __attribute__((vector_size(REGISTER_BYTES)));

double ISA_NAME(peak)(long iterations, float scale, float shift, float *mean)
{
    const reg zero = {0}, a = zero + scale, b = zero + shift;
    reg chain[CHAINS], sum = zero;
    for (int i = 0; i < CHAINS; i++)
        chain[i] = zero + (float)i;
    for (long n = 0; n < iterations; n++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            chain[i] = chain[i] * a + b;
    for (int i = 0; i < CHAINS; i++)
        sum += chain[i];
    *mean = 0;
    for (int lane = 0; lane < LANES; lane++)
        *mean += sum[lane] / (CHAINS * LANES);
    return 2.0 * CHAINS * LANES * (double)iterations;
}
