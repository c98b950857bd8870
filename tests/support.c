/* Rigs, trials and the loop over the registry (see support.h). SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BYTES_LIMIT = 16 << 20, HANG_SECONDS = 300, ALIGNMENT = 64, CANARY = 0xFF, DIRT = 0xA5, NANS = 0xFF };

const char RIG_TOO_LARGE[] = "needs more memory than a test gives";

/* The trial in flight, for the signal handler. */
static char in_flight[512];

static void trial_print(const struct trial *t, char *text, size_t size)
{
    char problem[PROBLEM_STRING_MAX];
    problem_string_print(&t->problem, problem, sizeof problem);
    snprintf(text, size, "--impl=%s --pass=%s --threads=%d --isa=%s %s (guard at the %s, seed %llu)",
             t->impl->name, conv_pass_name(t->output), t->threads, isa_name(t->isa), problem,
             t->side == AT_END ? "end" : "start", (unsigned long long)test_seed());
}

static void on_signal(int number)
{
    static const char said[] = "died, or hung, in: ";
    if (write(STDERR_FILENO, said, sizeof said - 1) < 0 ||
        write(STDERR_FILENO, in_flight, strlen(in_flight)) < 0)
        _exit(1);
    signal(number, SIG_DFL);
    raise(number);
}

/* cmocka's own handlers would jump out of an OpenMP team. */
static void watch(const struct trial *trial)
{
    trial_print(trial, in_flight, sizeof in_flight - 1);
    strcat(in_flight, "\n");
    const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGALRM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], on_signal);
    alarm(HANG_SECONDS);
}

struct guarded guarded_make(size_t bytes, enum side side)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (bytes + page - 1) / page * page;
    struct guarded b = {.map_bytes = body + 2 * page, .bytes = bytes};
    b.map = mmap(NULL, b.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (b.map == MAP_FAILED || (body && mprotect(b.map + page, body, PROT_READ | PROT_WRITE)))
        abort();
    const size_t aligned = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    b.data = side == AT_END ? b.map + page + body - aligned : b.map + page;
    memset(b.map + page, CANARY, body);
    return b;
}

bool guarded_intact(const struct guarded *b)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const char *end = b->map + b->map_bytes - page;
    for (const char *c = b->map + page; c < end; c++)
        if ((c < b->data || c >= b->data + b->bytes) && *c != (char)CANARY)
            return false;
    return true;
}

void guarded_free(struct guarded *b)
{
    munmap(b->map, b->map_bytes);
}

const char *rig_open(struct rig *rig, const struct trial *trial)
{
    watch(trial);
    *rig = (struct rig){.trial = *trial,
                        .plan = {.problem = trial->problem,
                                 .output = trial->output,
                                 .threads = trial->threads,
                                 .isa = trial->isa}};
    const char *reason = conv_plan_make(trial->impl, &rig->plan);
    if (reason) {
        alarm(0);
        return reason;
    }
    double total = (double)rig->plan.scratch_bytes;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        total += (double)rig->plan.bytes[t];
    if (total > BYTES_LIMIT) {
        conv_plan_destroy(trial->impl, &rig->plan);
        alarm(0);
        return RIG_TOO_LARGE;
    }
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        rig->tensor[t] = guarded_make(rig->plan.bytes[t], trial->side);
    rig->scratch = guarded_make(rig->plan.scratch_bytes, trial->side);
    return NULL;
}

static void protect(const struct guarded *b, int protection)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (mprotect(b->map + page, b->map_bytes - 2 * page, protection))
        abort();
}

void rig_import(struct rig *rig, float *const plain[CONV_TENSORS])
{
    const struct conv_impl *impl = rig->trial.impl;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        if (t == rig->trial.output)
            continue;
        protect(&rig->tensor[t], PROT_READ | PROT_WRITE);
        float *native = (float *)rig->tensor[t].data;
        memset(native, NANS, rig->tensor[t].bytes);
        if (impl->import)
            impl->import(&rig->plan, t, plain[t], native);
        else
            memcpy(native, plain[t], rig->tensor[t].bytes);
        protect(&rig->tensor[t], PROT_READ);
    }
}

void rig_poison(struct rig *rig)
{
    memset(rig->tensor[rig->trial.output].data, NANS, rig->tensor[rig->trial.output].bytes);
    memset(rig->scratch.data, DIRT, rig->scratch.bytes);
}

void rig_run(struct rig *rig)
{
    float *const tensor[CONV_TENSORS] = {(float *)rig->tensor[0].data, (float *)rig->tensor[1].data,
                                         (float *)rig->tensor[2].data};
    rig->trial.impl->run(&rig->plan, tensor, rig->scratch.data);
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        if (!guarded_intact(&rig->tensor[t]))
            trial_fail(&rig->trial, "wrote outside of tensor %d", (int)t);
    if (!guarded_intact(&rig->scratch))
        trial_fail(&rig->trial, "wrote outside of its %zu bytes of scratch", rig->scratch.bytes);
}

void rig_export(const struct rig *rig, float *plain)
{
    const struct guarded *native = &rig->tensor[rig->trial.output];
    if (rig->trial.impl->export)
        rig->trial.impl->export(&rig->plan, rig->trial.output, (const float *)native->data, plain);
    else
        memcpy(plain, native->data, native->bytes);
}

void rig_close(struct rig *rig)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        guarded_free(&rig->tensor[t]);
    guarded_free(&rig->scratch);
    conv_plan_destroy(rig->trial.impl, &rig->plan);
    alarm(0);
}

bool trial_run(const struct trial *trial, float *const plain[CONV_TENSORS], float *result)
{
    struct rig rig;
    if (rig_open(&rig, trial))
        return false;
    rig_import(&rig, plain);
    rig_poison(&rig);
    rig_run(&rig);
    rig_export(&rig, result);
    rig_close(&rig);
    return true;
}

void trial_fail(const struct trial *trial, const char *format, ...)
{
    char said[256], name[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(said, sizeof said, format, arguments);
    va_end(arguments);
    trial_print(trial, name, sizeof name);
    fail_msg("%s: %s", name, said);
    abort(); /* fail_msg does not return, but does not say so to the compiler */
}

double trial_bound(const struct trial *trial)
{
    return conv_error_bound(trial->impl, &trial->problem, trial->output);
}

void assert_agrees(const struct trial *trial, const float *result, const struct conv_element *truth)
{
    const size_t n = conv_elements(&trial->problem, trial->output);
    const double bound = trial_bound(trial);
    double largest = trial->impl->error_bound ? conv_full_sum(&trial->problem, trial->output) : 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, truth[i].magnitude);
    for (size_t i = 0; i < n; i++) {
        const double own = truth[i].magnitude,
                     magnitude = own > 0 && !trial->impl->error_bound ? own : largest;
        const double allowed = trial->exact ? 0 : bound * magnitude,
                     error = fabs((double)result[i] - truth[i].value);
        if (!(error <= allowed))
            trial_fail(trial, "element %zu of %zu is %.9g, not %.9g: error %.3g, allowed %.3g", i, n,
                       (double)result[i], truth[i].value, error, allowed);
    }
}

struct conv_element *truth_of(const struct conv_problem *problem, enum conv_tensor output,
                              float *const plain[CONV_TENSORS])
{
    const size_t n = conv_elements(problem, output);
    const float *const inputs[CONV_TENSORS] = {plain[0], plain[1], plain[2]};
    struct conv_element *truth = take(n * sizeof *truth);
    for (size_t i = 0; i < n; i++)
        truth[i] = reference_element(problem, output, inputs, i);
    return truth;
}

int run_over_registry(const char *what, CMUnitTestFunction test, bool every_isa)
{
    const size_t mark = take_mark();
    size_t impls = 0, count = 0;
    while (conv_impls[impls])
        impls++;
    struct subject *subjects = take(impls * CONV_TENSORS * ISAS * sizeof *subjects);
    struct CMUnitTest *tests = take(impls * CONV_TENSORS * ISAS * sizeof *tests);
    for (size_t i = 0; i < impls; i++)
        for (int output = CONV_TENSORS - 1; output >= 0; output--)
            for (int isa = (int)isa_best(); isa >= (every_isa ? 0 : (int)isa_best()); isa--) {
                struct subject *s = &subjects[count];
                *s = (struct subject){conv_impls[i], (enum conv_tensor)output, (enum isa)isa, ""};
                snprintf(s->name, sizeof s->name, "%s %s %s %s", s->impl->name, conv_pass_name(s->output),
                         isa_name(s->isa), what);
                tests[count++] = (struct CMUnitTest){s->name, test, NULL, NULL, s};
            }
    print_message("seed %llu, %d problems\n", (unsigned long long)test_seed(), test_count(200));
    const char *filter = getenv("TRIPASS_TEST_FILTER");
    if (filter)
        cmocka_set_test_filter(filter);
    int failures = _cmocka_run_group_tests(what, tests, count, NULL, NULL);
    take_back(mark);
    return failures;
}

void subject_finish(const struct subject *subject, int ran, int of)
{
    print_message("           %s: %d of %d\n", subject->name, ran, of);
    if (!ran)
        skip();
}

void subject_check(const struct subject *subject, check_fn *check, int count, double slack)
{
    const int examples = test_count(count);
    uint64_t random = test_seed();
    int ran = 0;
    for (int i = 0; i < examples; i++) {
        const size_t mark = take_mark();
        const bool integers = i % 2 == 0;
        struct example e = example_random(&random, integers ? FILL_EXACT : FILL_REAL, slack);
        const struct trial trial = {.impl = subject->impl,
                                    .problem = e.problem,
                                    .output = subject->output,
                                    .threads = 1 + i % 3,
                                    .isa = subject->isa,
                                    .exact = integers && subject->impl->exact};
        ran += check(&trial, e.plain);
        take_back(mark);
    }
    subject_finish(subject, ran, examples);
}
