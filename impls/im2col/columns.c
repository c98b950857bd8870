/* The kernels for Q by instruction set, and the case in which Q is the image. SPDX-License-Identifier: Apache-2.0 */
#include "im2col/columns.h"

ISA_DECLARE(const struct columns_kernel, columns_kernel);

const struct columns_kernel *columns_kernel(enum isa isa)
{
#ifdef TRIPASS_X86
    static const struct columns_kernel *const kernels[ISAS] = {&columns_kernel_generic, &columns_kernel_avx2,
                                                               &columns_kernel_avx512};
    return kernels[isa];
#else
    (void)isa;
    return &columns_kernel_generic;
#endif
}

bool columns_are_image(const struct conv_problem *p)
{
    return p->kh == 1 && p->kw == 1 && p->sh == 1 && p->sw == 1 && p->ph == 0 && p->pw == 0 &&
           p->ih == p->oh && p->iw == p->ow;
}
