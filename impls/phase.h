/* Where the time of a run goes. An implementation says at the end of each phase, in one line anywhere inside `run`, what
 * the time since the last such line belonged to:
 *
 *     pack_rows(...);
 *     phase_mark(PHASE_INPUT);
 *     multiply(...);
 *     phase_mark(PHASE_MULTIPLY);
 *
 * Inside a parallel region it speaks for its own thread, outside for the whole team. Behind a barrier the time spent
 * waiting goes with the phase that ends there; what follows the last mark, the join included, is the rest.
 * While times are taken phase_clock is NULL, and a mark is a load and a branch that is never taken.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_PHASE_H
#define TRIPASS_PHASE_H

#include <stddef.h>

enum conv_phase {
    PHASE_INPUT,    /* copying, packing, transforming the tensors read, weights aside in fwd and bwd */
    PHASE_WEIGHTS,  /* the same of the weights, where they are read */
    PHASE_MULTIPLY, /* the products */
    PHASE_OUTPUT,   /* transforming, unpacking, zeroing the tensor written */
    PHASE_REDUCE,   /* adding up what threads have summed on their own */
    PHASE_LAYER,    /* bias and activation, where they are a step of their own */
    CONV_PHASES
};

/* The harness's: what a mark calls. */
struct phase_clock {
    void (*mark)(struct phase_clock *clock, enum conv_phase phase);
};

/* This thread's, set by the harness around a profiling call; implementations only mark. */
extern _Thread_local struct phase_clock *phase_clock;

static inline void phase_mark(enum conv_phase phase)
{
    if (__builtin_expect(phase_clock != NULL, 0))
        phase_clock->mark(phase_clock, phase);
}

#endif
