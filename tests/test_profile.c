/* Profiles: the phases of every implementation add up to the run, thread by thread; who marks is seen; marks change no
 * result; and nobody is left marking. SPDX-License-Identifier: Apache-2.0 */
#include "phase.h"
#include "problem_string.h"
#include "profile.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct trial {
    struct page page;
    struct layer layer;
    struct data data;
    struct runner runner;
};

/* False if the implementation refuses. */
static bool open_trial(struct trial *trial, const char *problem, const struct conv_impl *impl,
                       enum conv_tensor output, int threads)
{
    char why[PROBLEM_STRING_MAX];
    *trial = (struct trial){0};
    assert_null(problem_string_parse(problem, &trial->layer, why));
    trial->data = (struct data){.problem = trial->layer.problem,
                                .output = output,
                                .threads = threads,
                                .isa = isa_best(),
                                .seed = 5,
                                .page = &trial->page};
    if (runner_plan(&trial->runner, &trial->data, impl, 0))
        return false;
    assert_true(data_alloc(&trial->data) && runner_alloc(&trial->runner, 0, 0));
    data_fill(&trial->data, FILL_REAL);
    runner_import(&trial->runner);
    return true;
}

static void close_trial(struct trial *trial)
{
    runner_free(&trial->runner);
    data_free(&trial->data);
}

static double *part(struct profile *profile, enum conv_phase phase)
{
    return &profile->seconds[PROFILE_PHASES + phase];
}

static bool clocks_are_off(int threads)
{
    int off = 0;
#pragma omp parallel num_threads(threads) reduction(+ : off)
    off = phase_clock == NULL;
    return off == threads;
}

/* Sums of differences of the same readings: equal but for rounding. Of all calls 1e-9 is a nanosecond a second. */
static void expect_whole(struct profile *profile)
{
    double sum = profile->seconds[PROFILE_REST];
    assert_true(sum >= 0);
    for (int phase = 0; phase < CONV_PHASES; phase++) {
        assert_true(*part(profile, (enum conv_phase)phase) >= 0);
        sum += *part(profile, (enum conv_phase)phase);
    }
    assert_true(profile->run_s > 0);
    assert_true(fabs(sum - profile->run_s) <= 1e-9 * profile->run_s + 1e-9);
}

static void profile_one(const char *problem, const struct conv_impl *impl, enum conv_tensor output,
                        int threads)
{
    static const char *const marked[] = {"direct", "im2col", "winograd", "explicit"};
    struct trial trial;
    if (!open_trial(&trial, problem, impl, output, threads))
        return;
    runner_run(&trial.runner, 1);
    const size_t bytes = trial.runner.plan.bytes[output];
    void *before = malloc(bytes);
    memcpy(before, trial.runner.tensor[output], bytes);
    struct profile profile = profile_run(&trial.runner, 1e-3);
    expect_whole(&profile);
    assert_memory_equal(before, trial.runner.tensor[output], bytes);
    for (size_t i = 0; i < sizeof marked / sizeof *marked; i++)
        if (!strcmp(impl->family, marked[i]) && !(*part(&profile, PHASE_MULTIPLY) > 0))
            fail_msg("%s %s marks no multiplication", impl->name, conv_pass_name(output));
    assert_true(clocks_are_off(threads));
    free(before);
    close_trial(&trial);
}

static void phases_add_up(void **state)
{
    static const char *const problems[] = {"mb2ic19ih9oc20kh3ph1", "g2mb3ic32ih8oc32kh3ph1sh2",
                                           "mb2ic64ih6oc64kh1"};
    (void)state;
    for (size_t p = 0; p < sizeof problems / sizeof *problems; p++)
        for (const struct conv_impl *const *impl = conv_impls; *impl; impl++)
            for (enum conv_tensor output = CONV_SRC; output < CONV_TENSORS; output++)
                for (int threads = 1; threads <= 3; threads += 2)
                    profile_one(problems[p], *impl, output, threads);
}

/* ---- marks of a run made here ---- */

static const char *plan_plain(struct conv_plan *plan)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plan->bytes[t] = conv_elements(&plan->problem, t) * sizeof(float);
    return NULL;
}

/* 2 ms of the whole team, 4 ms of one thread, 6 ms of the team without a mark. */
static void run_marked(const struct conv_plan *plan, float *const tensor[CONV_TENSORS], void *scratch)
{
    (void)tensor;
    (void)scratch;
    usleep(2000);
    phase_mark(PHASE_WEIGHTS);
#pragma omp parallel num_threads(plan->threads)
#pragma omp master
    {
        usleep(4000);
        phase_mark(PHASE_REDUCE);
    }
    usleep(6000);
}

static void a_mark_speaks_for_its_thread_or_for_the_team(void **state)
{
    const struct conv_impl impl = {.name = "marked", .family = "test", .plan = plan_plain, .run = run_marked};
    struct trial trial;
    (void)state;
    assert_true(open_trial(&trial, "mb1ic1ih4oc1kh1", &impl, CONV_DST, 2));
    struct profile profile = profile_run(&trial.runner, (double)NAN);
    expect_whole(&profile);
    assert_true(*part(&profile, PHASE_WEIGHTS) >= 2e-3); /* a sleep never ends early */
    assert_true(*part(&profile, PHASE_REDUCE) >= 4e-3 / 2);
    assert_true(profile.seconds[PROFILE_REST] >= 6e-3 + 4e-3 / 2);
    assert_true(*part(&profile, PHASE_MULTIPLY) == 0 && isnan(profile.seconds[PROFILE_IMPORT]));
    close_trial(&trial);
}

static void rows_have_their_columns(void **state)
{
    const struct conv_impl impl = {.name = "marked", .family = "test", .plan = plan_plain, .run = run_marked};
    const struct study study = {.isa = ISA_GENERIC};
    struct trial trial;
    char *text;
    size_t bytes;
    (void)state;
    assert_true(open_trial(&trial, "mb1ic1ih4oc1kh1", &impl, CONV_WEI, 2));
    const struct point point = point_of(&study, &trial.layer, CONV_WEI, &impl);
    const struct profile profile = {.seconds = {[PROFILE_IMPORT] = (double)NAN,
                                                [PROFILE_PHASES + PHASE_MULTIPLY] = 0.75,
                                                [PROFILE_REST] = 0.25,
                                                [PROFILE_SGD] = 0.5,
                                                [PROFILE_EXPORT] = (double)NAN},
                                    .run_s = 1};
    FILE *file = open_memstream(&text, &bytes);
    profile_print_header(file);
    profile_print(file, false, &profile, &trial.runner, &point);
    fclose(file);
    assert_string_equal(
        text, "impl,pass,problem,threads,rep,phase,t_s,pct_run,flop,bytes,gflops,gbps\n"
              "marked,upd,mb1ic1ih4oc1oh4kh1ph0,0,0,multiply,0.75,75,32,132,4.26666667e-08,1.76e-07\n"
              "marked,upd,mb1ic1ih4oc1oh4kh1ph0,0,0,rest,0.25,25,,,,\n"
              "marked,upd,mb1ic1ih4oc1oh4kh1ph0,0,0,sgd,0.5,,2,12,4e-09,2.4e-08\n");
    free(text);
    close_trial(&trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_add_up),
        cmocka_unit_test(a_mark_speaks_for_its_thread_or_for_the_team),
        cmocka_unit_test(rows_have_their_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
