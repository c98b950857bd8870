/* `tripass gradcheck`, see gradcheck.c. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_GRADCHECK_H
#define TRIPASS_GRADCHECK_H

#include "activation.h"

struct gradcheck_options {
    const struct activation *activation; /* smooth: the remainder of a kink falls as h */
};

#endif
