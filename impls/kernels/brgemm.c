/* The kernels by instruction set. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/brgemm.h"

ISA_DECLARE(const struct brgemm_kernel, brgemm_kernel);

const struct brgemm_kernel *brgemm_kernel(enum isa isa)
{
#ifdef TRIPASS_X86
    static const struct brgemm_kernel *const kernels[ISAS] = {&brgemm_kernel_generic, &brgemm_kernel_avx2,
                                                              &brgemm_kernel_avx512};
    return kernels[isa];
#else
    (void)isa;
    return &brgemm_kernel_generic;
#endif
}
