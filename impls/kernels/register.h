/* The registers of the instruction set that a *.isa.c file is compiled for. simd.h's vectors have VLEN floats, which generic
 * code has no register for; what measures a machine's roof works in registers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_REGISTER_H
#define TRIPASS_REGISTER_H

#if defined(__AVX512F__)
#define REGISTER_BYTES 64
#elif defined(__AVX__)
#define REGISTER_BYTES 32
#else
#define REGISTER_BYTES 16
#endif

#endif
