/* `tripass explain`, see explain.c. SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_EXPLAIN_H
#define TRIPASS_EXPLAIN_H

#include "page.h"

#include <stdbool.h>
#include <stdint.h>

struct explain_options {
    const struct page_format *format;
    bool numbers; /* values in the matrices instead of symbols */
};

/* The chapter on Winograd's minimal filtering: the matrices of F(2,3), F(4,3), F(6,3) and a tile worked through. */
void explain_winograd(const struct page *page, uint64_t seed);

#endif
