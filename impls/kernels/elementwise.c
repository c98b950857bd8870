/* The elementwise kernels by instruction set. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elementwise.h"

ISA_DECLARE(const struct elementwise_kernel, elementwise_kernel);

const struct elementwise_kernel *elementwise_kernel(enum isa isa)
{
#ifdef TRIPASS_X86
    static const struct elementwise_kernel *const kernels[ISAS] = {
        &elementwise_kernel_generic, &elementwise_kernel_avx2, &elementwise_kernel_avx512};
    return kernels[isa];
#else
    (void)isa;
    return &elementwise_kernel_generic;
#endif
}
