/* The row product by instruction set. SPDX-License-Identifier: Apache-2.0 */
#include "explicit/csr_row.h"

ISA_DECLARE(csr_row_fn, csr_row);

csr_row_fn *csr_row(enum isa isa)
{
    static csr_row_fn *const rows[ISAS] = ISA_TABLE(csr_row);
    return rows[isa];
}
