/* The dot kernel by instruction set. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/dot.h"

ISA_DECLARE(dot_fn, dot);

dot_fn *dot_kernel(enum isa isa)
{
    static dot_fn *const kernels[ISAS] = ISA_TABLE(dot);
    return kernels[isa];
}
