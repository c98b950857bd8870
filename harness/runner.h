/* One implementation made ready for one problem and pass: its plan, its native tensors, its scratch memory.
 *
 * Tensors in a plain layout are not copied: the runner's inputs are then the group's own. Every call into the
 * implementation is announced in the worker's page first, so that the supervisor knows whom to blame.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_RUNNER_H
#define TRIPASS_RUNNER_H

#include "fill.h"
#include "memory.h"
#include "record.h"

/* How far a worker has come. Odd numbers: nobody writes them by accident. */
enum worker_state {
    WORKER_STARTS,
    WORKER_WALKS = 0x57a1c5, /* from group to group */
    WORKER_SAID = 0x5a1d01,  /* it cannot go on and has printed why */
    WORKER_FINISHED = 0xf1415d
};

/* Memory that a worker shares with its supervisor: what runs right now. */
struct page {
    volatile int state;          /* enum worker_state */
    volatile int truth;          /* 1 while the truth is looked for: the second witness may be at work */
    volatile int group;          /* index of (layer, pass) */
    volatile int impl;           /* index in study->impls; -1: the harness itself */
    volatile unsigned long step; /* counts calls; if it stands still, the call hangs */
    int unpaid;                  /* points that the budget could not pay, */
    double unpaid_s;             /* and about what they would have taken */
};

/* A problem's tensors in their plain layouts. Of the pass's output it is the room for the result. */
struct data {
    struct conv_problem problem;
    enum conv_tensor output;
    int threads;
    enum isa isa;
    struct conv_layer layer;
    uint64_t seed;
    struct page *page;
    bool lone; /* no second witness */
    struct buffer plain[CONV_TENSORS];
    struct buffer beside; /* plain; upd: nothing reads it, but its size is that of the result */
    struct buffer dz;     /* bwd with an activation: what the definition takes for dst */
};

bool data_alloc(struct data *data); /* the first group of fields is set; false: no memory */
size_t data_footprint(const struct data *data);
void data_fill(const struct data *data, enum fill fill);
void data_free(struct data *data);

/* A runner's tensors: those of the problem, and what its layer has beside. */
enum { RUNNER_BESIDE = CONV_TENSORS, RUNNER_TENSORS };

/* Two elements of a native input that change places before a call, so that no call finds the inputs of the one before.
 * A layout moves elements and adds zeros, so with two that are not zero exchanged the tensor is valid, and exchanging them
 * again restores it. */
struct swap {
    size_t a, b; /* equal: nothing changes */
};

struct runner {
    const struct data *data;
    const struct conv_impl *impl;
    int index; /* in study->impls; -1: nobody to blame but the harness */
    struct conv_plan plan;
    struct buffer native[RUNNER_TENSORS], scratch; /* of 0 bytes where the tensor is data->plain */
    float *tensor[RUNNER_TENSORS];
    struct buffer copies;              /* --cache=cold: memory for further sets of the tensors */
    int sets, set;                     /* how many sets runs rotate through, which one is next */
    double plan_s, import_s, export_s; /* times: planning; best import of both inputs; best export; */
    double last_s;                     /* the latest runs, per call */
    struct swap swap[CONV_TENSORS];    /* of runner_run_changing */
    uint64_t inputs, outputs;          /* hashes as the check on real data left them, for check_timed */
};

/* Fills *runner for data. NULL, or the implementation's reason. After success: runner_free. */
const char *runner_plan(struct runner *runner, const struct data *data, const struct conv_impl *impl,
                        int index);

/* Bytes that runner_alloc takes; SIZE_MAX if they cannot be counted. sets_bytes: as there. */
size_t runner_footprint(const struct runner *runner, size_t sets_bytes);

/* Memory for a planned runner. sets_bytes: what the further sets of tensors hold together at least; 0: none.
 * place: see buffer_alloc. */
bool runner_alloc(struct runner *runner, size_t sets_bytes, int place);
void runner_free(struct runner *runner);

void runner_import(struct runner *runner);         /* all inputs, from data */
const float *runner_export(struct runner *runner); /* the result of the first set in its plain layout */

/* Runs `calls` times, fork and join included, each on the next set. Returns the seconds of one,
 * which are in last_s then, too. */
double runner_run(struct runner *runner, int calls);

/* The same for calls that are timed: before each an exchange, which `draw` chooses, in every input; that of a single call is
 * not in its time. Afterwards the first set's inputs are what they were. */
double runner_run_changing(struct runner *runner, int calls, uint64_t draw);

/* Multiplies the inputs of the first set by powers of two, each by its own, or takes that back: `sign` 1 or -1. No bit is
 * lost. Since a pass is linear in each of its inputs and rounding knows no scales, the result then is the former one times a
 * power of two, bit for bit; runner_scale_result takes that out of the outputs. Where an activation is not linear in that
 * sense, all powers are 1. */
void runner_scale_inputs(const struct runner *runner, int sign);
void runner_scale_result(const struct runner *runner);

/* From now on runs rotate through all the sets that runner_alloc had memory for: copies of the first. */
void runner_copy_sets(struct runner *runner);

bool runner_canaries_intact(const struct runner *runner);

/* The buffer that holds a tensor of the first set, and whether runs write it. tensor: below RUNNER_TENSORS. */
const struct buffer *runner_buffer(const struct runner *runner, int tensor);
bool runner_writes(const struct runner *runner, int tensor);

#endif
