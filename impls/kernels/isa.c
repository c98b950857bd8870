/* Which kernels this machine can run. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/isa.h"

const char *isa_name(enum isa isa)
{
    static const char *const names[ISAS] = {"generic", "avx2", "avx512"};
    return names[isa];
}

/* __builtin_cpu_supports asks the operating system too (XGETBV), which CPUID alone does not. The features
 * are exactly those of the compiler flags in CMakeLists.txt. */
bool isa_supported(enum isa isa)
{
    if (isa == ISA_GENERIC)
        return true;
#ifdef TRIPASS_X86
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#ifdef TRIPASS_EMULATE_AVX512
    bool avx512 = avx2;
#else
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
    return isa == ISA_AVX2 ? avx2 : avx512;
#else
    return false;
#endif
}

enum isa isa_best(void)
{
    enum isa best = ISA_GENERIC;
    for (enum isa isa = ISA_GENERIC; isa < ISAS; isa++)
        if (isa_supported(isa))
            best = isa;
    return best;
}
