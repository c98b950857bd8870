/* The depthwise kernels by instruction set. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/depthwise.h"

ISA_DECLARE(const struct depthwise_kernel, depthwise_kernel);

const struct depthwise_kernel *depthwise_kernel(enum isa isa)
{
#ifdef TRIPASS_X86
    static const struct depthwise_kernel *const kernels[ISAS] = {
        &depthwise_kernel_generic, &depthwise_kernel_avx2, &depthwise_kernel_avx512};
    return kernels[isa];
#else
    (void)isa;
    return &depthwise_kernel_generic;
#endif
}
