/* Spreading pixels among zeros, by instruction set. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/spread.h"

ISA_DECLARE(const struct spread_kernel, spread_kernel);

const struct spread_kernel *spread_kernel(enum isa isa)
{
#ifdef TRIPASS_X86
    static const struct spread_kernel *const kernels[ISAS] = {&spread_kernel_generic, &spread_kernel_avx2,
                                                              &spread_kernel_avx512};
    return kernels[isa];
#else
    (void)isa;
    return &spread_kernel_generic;
#endif
}
