/* Results that are wrong, or right only while they are checked. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "bad.h"

#include <fcntl.h>
#include <fenv.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

const char *bad_plan(struct conv_plan *plan)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = conv_elements(&plan->problem, t) * sizeof(float);
    return NULL;
}

void bad_right(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    conv_impl_find("reference")->run(plan, tensor, scratch);
}

/* Not a corner, which every sample of the outputs has. */
BAD(one_off, out[n / 2 + n / 7] += 1);

/* Whether this is the worker of a later repetition, which its command line tells. */
static bool is_later(void)
{
    char line[4096] = "";
    const int file = open("/proc/self/cmdline", O_RDONLY);
    const ssize_t length = read(file, line, sizeof line - 1);
    close(file);
    for (ssize_t i = 0; i < length; i++)
        if (!strncmp(line + i, "--worker=", 9))
            return atoi(line + i + 9) > 0;
    return false;
}
BAD(one_off_later, if (is_later()) out[n / 2 + n / 7] += 1);

/* Nothing is computed, and the bound on the error allows it. */
static double infinite(const struct conv_problem *problem, enum conv_tensor output)
{
    (void)problem, (void)output;
    return (double)INFINITY;
}
BAD(bound_infinite, memset(out, 0, n * sizeof *out), .error_bound = infinite);

static double not_a_number(const struct conv_problem *problem, enum conv_tensor output)
{
    (void)problem, (void)output;
    return (double)NAN;
}
BAD(bound_nan, memset(out, 0, n * sizeof *out), .error_bound = not_a_number);

/* The first tap of all weights is off by 1e-4, which summing in float might explain. */
static void spoil(const struct conv_problem *p, float *weights)
{
    const size_t taps = (size_t)p->kh * (size_t)p->kw;
    for (size_t i = 0; i < conv_elements(p, CONV_WEI); i += taps)
        weights[i] *= 1 + 1e-4F;
}

static void import(const struct conv_plan *plan, enum conv_tensor t, const float *plain, float *native)
{
    memcpy(native, plain, plan->bytes[t]);
    if (t == CONV_WEI)
        spoil(&plan->problem, native);
}

static void export(const struct conv_plan *plan, enum conv_tensor t, const float *native, float *plain)
{
    memcpy(plain, native, plan->bytes[t]);
    if (t == CONV_WEI)
        spoil(&plan->problem, plain);
}
const struct conv_impl bad_tap_impl = {.name = "bad-tap",
                                       .family = "bad",
                                       .summary = "",
                                       .source = "",
                                       .plan = bad_plan,
                                       .import = import,
                                       .export = export,
                                       .run = bad_right};

/* ---- import and export ---- */

static void copy_in(const struct conv_plan *plan, enum conv_tensor t, const float *plain, float *native)
{
    memcpy(native, plain, plan->bytes[t]);
}

static void copy_out(const struct conv_plan *plan, enum conv_tensor t, const float *native, float *plain)
{
    memcpy(plain, native, plan->bytes[t]);
}

/* export writes only half, and what others left there is right. */
static void half_out(const struct conv_plan *plan, enum conv_tensor t, const float *native, float *plain)
{
    memcpy(plain, native, plan->bytes[t] / 8 * 4);
}
BAD(half, (void)0, .import = copy_in, .export = half_out);

/* run gives zeros, and export nothing. */
static void no_out(const struct conv_plan *plan, enum conv_tensor t, const float *native, float *plain)
{
    (void)plan, (void)t, (void)native, (void)plain;
}
BAD(nothing_out, memset(out, 0, n * sizeof *out), .import = copy_in, .export = no_out);

/* run, which is timed, computes nothing; export, which is not, does. */
static float *kept[CONV_TENSORS];
static void run_later_in_export(const struct conv_plan *plan, float *const tensor[CONV_TENSORS],
                                void *scratch)
{
    (void)scratch;
    memcpy(kept, tensor, sizeof kept);
    memset(tensor[plan->output], 0, plan->bytes[plan->output]);
}
static void compute_out(const struct conv_plan *plan, enum conv_tensor t, const float *native, float *plain)
{
    float *tensor[CONV_TENSORS] = {kept[0], kept[1], kept[2]};
    (void)native;
    tensor[t] = plain;
    bad_right(plan, tensor, NULL);
}
const struct conv_impl bad_lazy_impl = {.name = "bad-lazy",
                                        .family = "bad",
                                        .summary = "",
                                        .source = "",
                                        .exact = true,
                                        .plan = bad_plan,
                                        .import = copy_in,
                                        .export = compute_out,
                                        .run = run_later_in_export};

static float *an_input(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], size_t *elements)
{
    const enum conv_tensor t = plan->output == CONV_SRC ? CONV_WEI : CONV_SRC;
    *elements = conv_elements(&plan->problem, t);
    return tensor[t];
}
static void write_behind_input(const struct conv_plan *plan, float *const tensor[CONV_TENSORS])
{
    size_t elements;
    float *input = an_input(plan, tensor, &elements);
    input[elements] = 1;
}
BAD(behind_plain, write_behind_input(plan, tensor));
BAD(first_behind, write_behind_input(plan, tensor));

/* Outside, beyond the nearest page; and where the buffer's huge page ends (memory.h). */
BAD(behind_far, out[n + 1024 + 16] = 7);
BAD(before_far, out[-1 - 1024 - 16] = 7);
BAD(far_off, ((float *)((uintptr_t)out & ~(((uintptr_t)2 << 20) - 1)))[-1] = 7);

static void out_and_behind(const struct conv_plan *plan, enum conv_tensor t, const float *native,
                           float *plain)
{
    copy_out(plan, t, native, plain);
    plain[plan->bytes[t] / sizeof *plain] = 1;
}
BAD(export_behind, (void)0, .import = copy_in, .export = out_and_behind);
BAD(first_half, (void)0, .import = copy_in, .export = half_out);

static void in_and_change(const struct conv_plan *plan, enum conv_tensor t, const float *plain, float *native)
{
    copy_in(plan, t, plain, native);
    ((float *)(uintptr_t)plain)[0] += 1;
}
BAD(changes_plain, (void)0, .import = in_and_change, .export = copy_out);
BAD(first_import, (void)0, .import = in_and_change, .export = copy_out);

/* ---- right while it is checked ---- */

enum { CHECKED = 4 }; /* calls of a check */

#define LATER(NAME, BODY)                                                                                    \
    static int calls_of_##NAME[CONV_TENSORS];                                                                \
    BAD(                                                                                                     \
        NAME, if (++calls_of_##NAME[plan->output] > CHECKED + 1) { BODY; })

LATER(later, out[n / 2] = 12345);
LATER(later_behind, out[n] = 7);
static void change_input(const struct conv_plan *plan, float *const tensor[CONV_TENSORS])
{
    size_t elements;
    an_input(plan, tensor, &elements)[0] += 1;
}
LATER(later_input, change_input(plan, tensor));

/* Computes while it is checked, and then trusts that the result is still there. */
static void run_keeping(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    static int calls[CONV_TENSORS];
    if (++calls[plan->output] <= CHECKED)
        bad_right(plan, tensor, scratch);
}
const struct conv_impl bad_keeps_impl = {.name = "bad-keeps",
                                         .family = "bad",
                                         .summary = "",
                                         .source = "",
                                         .exact = true,
                                         .plan = bad_plan,
                                         .run = run_keeping};

/* Computes nothing if every 17th element of the inputs, and one of the output, are what they were. */
static uint64_t some_of(const struct conv_plan *plan, float *const tensor[CONV_TENSORS])
{
    uint64_t hash = 0;
    uint32_t word;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        for (size_t i = 0; t != plan->output && i < conv_elements(&plan->problem, t); i += 17) {
            memcpy(&word, &tensor[t][i], sizeof word);
            hash = hash * 31 + word;
        }
    memcpy(&word, &tensor[plan->output][0], sizeof word);
    return hash * 31 + word;
}
static void run_skipping(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    static uint64_t left;
    if (some_of(plan, tensor) == left)
        return;
    bad_right(plan, tensor, scratch);
    left = some_of(plan, tensor);
}
const struct conv_impl bad_skips_equal_impl = {.name = "bad-skips_equal",
                                               .family = "bad",
                                               .summary = "",
                                               .source = "",
                                               .exact = true,
                                               .plan = bad_plan,
                                               .run = run_skipping};

/* Computes with the weights that it saw when it was checked. */
static void run_keeping_weights(const struct conv_plan *plan, float *const tensor[CONV_TENSORS],
                                void *scratch)
{
    static int calls[CONV_TENSORS];
    static float *weights[CONV_TENSORS];
    float *seen[CONV_TENSORS] = {tensor[0], tensor[1], tensor[2]};
    const enum conv_tensor t = plan->output == CONV_WEI ? CONV_SRC : CONV_WEI;
    if (++calls[plan->output] == CHECKED) {
        weights[plan->output] = malloc(plan->bytes[t]);
        memcpy(weights[plan->output], tensor[t], plan->bytes[t]);
    }
    if (calls[plan->output] >= CHECKED)
        seen[t] = weights[plan->output];
    bad_right(plan, seen, scratch);
}
const struct conv_impl bad_keeps_weights_impl = {.name = "bad-keeps_weights",
                                                 .family = "bad",
                                                 .summary = "",
                                                 .source = "",
                                                 .exact = true,
                                                 .plan = bad_plan,
                                                 .run = run_keeping_weights};

/* ---- what it leaves behind ---- */

static void flush_tiny(void)
{
#ifdef __SSE2__
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#else
    fesetround(FE_UPWARD);
#endif
}
BAD(flushes, flush_tiny());
BAD(rounds, fesetround(FE_UPWARD));

static void round_all(int threads)
{
#pragma omp parallel num_threads(threads)
    fesetround(FE_TOWARDZERO);
}
BAD(rounds_all, round_all(plan->threads));
BAD(wrong_and_rounds, fesetround(FE_UPWARD); out[0] += 1);
LATER(later_rounds, fesetround(FE_UPWARD));
LATER(first_later_rounds, round_all(plan->threads));
static const char *plan_rounding(struct conv_plan *plan)
{
    fesetround(FE_UPWARD);
    return bad_plan(plan);
}
static void *spin(void *nothing)
{
    for (volatile int *i = nothing;; *i += 1)
        ;
    return NULL;
}
static void spin_beside(void)
{
    static int counted;
    pthread_t thread;
    pthread_create(&thread, NULL, spin, &counted);
}
BAD(spins, spin_beside());
BAD(first_spins, spin_beside());
BAD(alarms, alarm(1));
BAD(fewer_threads, omp_set_dynamic(1));
BAD(nices, setpriority(PRIO_PROCESS, 0, 19));

static void unpin(void)
{
    cpu_set_t all;
    CPU_ZERO(&all);
    for (int i = 0; i < 2; i++)
        CPU_SET(i, &all);
    sched_setaffinity(0, sizeof all, &all);
}
BAD(unpins, unpin());

static void limit_files(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 20;
    setrlimit(RLIMIT_NOFILE, &limit);
}
BAD(limits, limit_files());

/* ---- plans ---- */

static const char *plan_other_output(struct conv_plan *plan)
{
    plan->output = (enum conv_tensor)7;
    return NULL;
}
static const char *plan_other_threads(struct conv_plan *plan)
{
    plan->threads += 1;
    return bad_plan(plan);
}
static const char *plan_unterminated(struct conv_plan *plan)
{
    memset(plan->detail, 'x', sizeof plan->detail);
    return bad_plan(plan);
}
static const char *refuse_silently(const struct conv_problem *problem, enum conv_tensor output)
{
    (void)problem, (void)output;
    return "";
}
#define BAD_PLAN(NAME, ...)                                                                                  \
    const struct conv_impl bad_##NAME##_impl = {.name = "bad-" #NAME,                                        \
                                                .family = "bad",                                             \
                                                .summary = "",                                               \
                                                .source = "",                                                \
                                                .exact = true,                                               \
                                                .run = bad_right,                                            \
                                                __VA_ARGS__}
BAD_PLAN(plan_rounds, .plan = plan_rounding);
BAD_PLAN(plan_output, .plan = plan_other_output);
BAD_PLAN(plan_threads, .plan = plan_other_threads);
BAD_PLAN(unterminated, .plan = plan_unterminated);
BAD_PLAN(no_reason, .plan = bad_plan, .refuse = refuse_silently);
