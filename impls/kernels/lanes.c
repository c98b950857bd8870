/* The lane kernels by instruction set. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/lanes.h"

ISA_DECLARE(const struct lanes_kernel, lanes_kernel);

const struct lanes_kernel *lanes_kernel(enum isa isa)
{
#ifdef TRIPASS_X86
    static const struct lanes_kernel *const kernels[ISAS] = {&lanes_kernel_generic, &lanes_kernel_avx2,
                                                             &lanes_kernel_avx512};
    return kernels[isa];
#else
    (void)isa;
    return &lanes_kernel_generic;
#endif
}
