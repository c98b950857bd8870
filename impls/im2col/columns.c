/* The kernels for Q by instruction set, and the case in which Q is the image. SPDX-License-Identifier: Apache-2.0 */
#include "im2col/columns.h"

ISA_DECLARE(const struct columns_kernel, columns_kernel);

const struct columns_kernel *columns_kernel(enum isa isa)
{
    static const struct columns_kernel *const kernels[ISAS] = ISA_TABLE(columns_kernel);
    return kernels[isa];
}

bool columns_are_image(const struct conv_problem *p)
{
    return p->kh == 1 && p->kw == 1 && p->sh == 1 && p->sw == 1 && p->ph == 0 && p->pw == 0 &&
           p->ih == p->oh && p->iw == p->ow;
}
