/* See bad_impls.h. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "bad_impls.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *plan(struct conv_plan *plan)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = conv_elements(&plan->problem, t) * sizeof(float);
    return NULL;
}

static const char *plan_crashes(struct conv_plan *p)
{
    (void)p;
    abort();
}

static const char *plan_huge(struct conv_plan *p)
{
    plan(p);
    p->scratch_bytes = (size_t)161e9 / 2 * 2000; /* 161 TB: more than any machine of today */
    return NULL;
}

static const char *plan_uncountable(struct conv_plan *p)
{
    plan(p);
    p->scratch_bytes = SIZE_MAX - 5;
    return NULL;
}

static const char *refuses(const struct conv_problem *problem, enum conv_tensor output)
{
    (void)problem;
    (void)output;
    return "says no, with a comma";
}

static void right(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    const struct conv_impl *reference = conv_impl_find("reference");
    reference->run(p, tensor, scratch);
}

static size_t last(const struct conv_plan *p)
{
    return conv_elements(&p->problem, p->output) - 1;
}

static void crashes(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    abort();
}

static void leaves(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    _exit(3);
}

static void hangs(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    for (;;)
        pause();
}

static void is_wrong(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    tensor[p->output][last(p)] += 1;
}

static void is_imprecise(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    tensor[p->output][0] *= 1.01F;
}

static void gives_nan(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    tensor[p->output][0] = 0.0F / tensor[p->output][0] * 0.0F + __builtin_nanf("1");
}

static void forgets_one(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    const float before = tensor[p->output][last(p)];
    right(p, tensor, scratch);
    tensor[p->output][last(p)] = before;
}

static void accumulates(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    const float before = tensor[p->output][0];
    right(p, tensor, scratch);
    if (before == before)
        tensor[p->output][0] += before;
}

static void writes_behind(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    tensor[p->output][last(p) + 1] = 0;
}

static void writes_before(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    tensor[p->output][-1] = 0;
}

static void writes_input(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    tensor[p->output == CONV_SRC ? CONV_WEI : CONV_SRC][0] += 1;
}

static void sleeps(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    right(p, tensor, scratch);
    sleep(1);
}

/* Right in the first process that asks, wrong in one corner in any later one. */
static void spoils(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    char path[4096], text[32] = "";
    snprintf(path, sizeof path, "%s/first", getenv("TEST_DIRECTORY"));
    FILE *file = fopen(path, "a+");
    rewind(file);
    if (!fgets(text, sizeof text, file))
        fprintf(file, "%d", getpid());
    fclose(file);
    right(p, tensor, scratch);
    if (*text && atoi(text) != getpid())
        tensor[p->output][last(p)] += 1;
}

/* Touches new memory in every call. */
static void faults(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    enum { BYTES = 8 << 20 };
    right(p, tensor, scratch);
    char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 1, BYTES);
    munmap(memory, BYTES);
}

#define BAD(NAME, RUN)                                                                                       \
    {                                                                                                        \
        .name = NAME, .family = "test", .summary = "", .source = "", .exact = true, .plan = plan, .run = RUN \
    }
const struct conv_impl bad_impl_good = BAD("good", right), bad_impl_crash = BAD("crash", crashes),
                       bad_impl_leave = BAD("leave", leaves), bad_impl_hang = BAD("hang", hangs),
                       bad_impl_noisy = BAD("noisy", faults), bad_impl_wrong = BAD("wrong", is_wrong),
                       bad_impl_nans = BAD("nan", gives_nan),
                       bad_impl_unwritten = BAD("unwritten", forgets_one),
                       bad_impl_dirty = BAD("dirty", accumulates),
                       bad_impl_behind = BAD("behind", writes_behind),
                       bad_impl_before = BAD("before", writes_before),
                       bad_impl_input = BAD("input", writes_input), bad_impl_slow = BAD("slow", sleeps),
                       bad_impl_also_good = BAD("also-good", right),
                       bad_impl_spoiled = BAD("spoiled", spoils);
const struct conv_impl bad_impl_imprecise = {
    .name = "imprecise", .family = "test", .plan = plan, .run = is_imprecise};
const struct conv_impl bad_impl_no = {
    .name = "no", .family = "test", .refuse = refuses, .plan = plan, .run = right};
const struct conv_impl bad_impl_plan_crash = {
    .name = "plan-crash", .family = "test", .plan = plan_crashes, .run = right};
const struct conv_impl bad_impl_huge = {.name = "huge", .family = "test", .plan = plan_huge, .run = right};
const struct conv_impl bad_impl_uncountable = {
    .name = "uncountable", .family = "test", .plan = plan_uncountable, .run = right};
