/* The instruction sets that kernels are compiled for, chosen at run time.
 *
 * A file named *.isa.c is compiled once per instruction set with that set's flags (the list is in
 * CMakeLists.txt, the run-time test in isa.c) and with two macros: VLEN, floats per vector, and
 * ISA_NAME(f), which makes f_generic, f_avx2, f_avx512 of f. ISA_TABLE(f) is the array of
 * the addresses of the three.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_ISA_H
#define TRIPASS_ISA_H

#include <stdbool.h>

/* In rising order, so that "at most" is "<=". */
enum isa { ISA_GENERIC, ISA_AVX2, ISA_AVX512, ISAS };

/* "generic", "avx2", "avx512". */
const char *isa_name(enum isa isa);

/* True if this CPU and operating system run kernels compiled for `isa`. */
bool isa_supported(enum isa isa);

/* The highest supported one. */
enum isa isa_best(void);

#define ISA_PASTE_(f, isa) f##_##isa
#define ISA_PASTE(f, isa)  ISA_PASTE_(f, isa)
#ifdef ISA_SUFFIX
#define ISA_NAME(f) ISA_PASTE(f, ISA_SUFFIX)
#endif

/* Declares the variants of a function or an object of type `type`, and lists their addresses, indexed by enum isa. A build
 * for a machine without the x86 sets has the generic variant only, under all three indices. */
#ifdef TRIPASS_X86
#define ISA_DECLARE(type, f) extern type f##_generic, f##_avx2, f##_avx512
#define ISA_TABLE(f)                                                                                         \
    {                                                                                                        \
        &f##_generic, &f##_avx2, &f##_avx512                                                                 \
    }
#else
#define ISA_DECLARE(type, f) extern type f##_generic
#define ISA_TABLE(f)                                                                                         \
    {                                                                                                        \
        &f##_generic, &f##_generic, &f##_generic                                                             \
    }
#endif

#endif
