/* The judge on trial: data, buffers, and whether each way of being wrong is seen. SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "problem_string.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- data ---- */

static void data_do_not_depend_on_threads(void **state)
{
    enum { N = 100001 };
    static float one[N], three[N];
    (void)state;
    for (enum fill fill = FILL_EXACT; fill <= FILL_MAGNITUDE; fill++) {
        fill_tensor(one, N, fill, 100, 5, 1);
        fill_tensor(three, N, fill, 100, 5, 3);
        assert_memory_equal(one, three, sizeof one);
        fill_tensor(three, N, fill, 100, 6, 3);
        assert_memory_not_equal(one, three, sizeof one);
    }
}

static void data_keep_their_promises(void **state)
{
    enum { N = 100000 };
    static float data[N], magnitude[N];
    static const struct {
        double reduction, limit;
    } limits[] = {{1, 4}, {0x1p14, 4}, {0x1p14 + 1, 3}, {0x1p18, 1}, {0x1p30, 1}};
    (void)state;
    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
        double most = 0, sum = 0;
        fill_tensor(data, N, FILL_EXACT, limits[l].reduction, 1, 2);
        for (int i = 0; i < N; i++) {
            assert_true(data[i] == rintf(data[i]));
            most = fmax(most, fabs((double)data[i]));
            sum += (double)data[i];
        }
        assert_true(most == limits[l].limit);
        assert_true(fabs(sum / N) < 0.1);
    }
    fill_tensor(data, N, FILL_REAL, 1, 1, 2);
    fill_tensor(magnitude, N, FILL_MAGNITUDE, 1, 1, 2);
    double square = 0;
    for (int i = 0; i < N; i++) {
        assert_true(fabsf(data[i]) <= 1 && (data[i] == 0 || fabsf(data[i]) >= 0x1p-23F));
        assert_true(magnitude[i] == fabsf(data[i]));
        square += (double)data[i] * (double)data[i];
    }
    assert_true(fabs(square / N - 1.0 / 3) < 0.01);
}

/* ---- buffers ---- */

static void buffers(void **state)
{
    static const size_t sizes[] = {0, 1, 63, 4096, 100000, 5000001};
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct buffer buffer;
        assert_true(buffer_alloc(&buffer, sizes[i], i, POISON_NAN, 2));
        unsigned char *data = buffer.data;
        assert_int_equal((uintptr_t)data % 64, 0);
        for (size_t at = 0; at < sizes[i]; at++)
            assert_int_equal(data[at], POISON_NAN);
        assert_true(buffer_canaries_intact(&buffer));
        const uint64_t hash = buffer_hash(&buffer, 1);
        assert_true(buffer_hash(&buffer, 3) == hash);
        if (sizes[i]) {
            data[sizes[i] / 2] ^= 1;
            assert_false(buffer_hash(&buffer, 1) == hash);
        }
        data[sizes[i]] ^= 1;
        assert_false(buffer_canaries_intact(&buffer));
        data[sizes[i]] ^= 1;
        data[-1] ^= 1;
        assert_false(buffer_canaries_intact(&buffer));
        buffer_free(&buffer);
    }
    assert_true(buffer_footprint(SIZE_MAX - 100) == SIZE_MAX);
    assert_true(buffer_footprint(1000) >= 1000 && buffer_footprint(1000) < 8 << 20);
}

static void hash_sees_exchanged_chunks(void **state)
{
    struct buffer buffer;
    (void)state;
    assert_true(buffer_alloc(&buffer, 1 << 20, 0, 0, 1));
    char *data = buffer.data;
    data[0] = 1;
    const uint64_t first = buffer_hash(&buffer, 2);
    data[0] = 0;
    data[1 << 19] = 1;
    assert_false(buffer_hash(&buffer, 2) == first);
    buffer_free(&buffer);
}

static void memory_in_words(void **state)
{
    static const struct {
        double bytes;
        const char *text;
    } known[] = {{0, "0 B"},           {999, "999 B"},      {1000, "1.0 kB"},   {161e9, "161 GB"},
                 {17.96e9, "18.0 GB"}, {99.96e6, "100 MB"}, {999.6e6, "1.0 GB"}};
    char text[16];
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_string_equal(memory_text(known[i].bytes, text, sizeof text), known[i].text);
}

/* ---- the check ---- */

static size_t victim; /* an output that the implementation below gets wrong, */
static float mistake; /* by this much */

static const char *plan(struct conv_plan *p)
{
    return conv_impl_find("im2col")->plan(p);
}

static void run(const struct conv_plan *p, float *const tensor[CONV_TENSORS], void *scratch)
{
    conv_impl_find("im2col")->run(p, tensor, scratch);
    tensor[p->output][victim] += mistake;
}

static float beside_mistake; /* and the gradient of the bias */

/* im2col with its layer, and wrong afterwards; it has im2col's scratch, which the layer adds nothing to. */
static void run_layer(const struct conv_plan *p, float *const tensor[CONV_TENSORS], float *beside,
                      void *scratch)
{
    run(p, tensor, scratch);
    memset(beside, 0, conv_beside_bytes(p));
    const size_t pixels = (size_t)p->problem.oh * p->problem.ow, all = conv_elements(&p->problem, CONV_DST);
    for (size_t i = 0; i < all; i++)
        beside[i / pixels % (size_t)p->problem.oc] += tensor[CONV_DST][i];
    beside[p->problem.oc - 1] += beside_mistake;
}

static void destroy(struct conv_plan *p)
{
    conv_impl_find("im2col")->destroy(p);
}

static double claim;

static double claimed_bound(const struct conv_problem *problem, enum conv_tensor output)
{
    (void)problem, (void)output;
    return claim;
}

static struct conv_impl suspect = {.name = "suspect",
                                   .family = "test",
                                   .exact = true,
                                   .plan = plan,
                                   .run = run,
                                   .run_layer = run_layer,
                                   .destroy = destroy};

struct trial {
    struct page page;
    struct data data;
    struct truth truth[TRUTHS];
    struct study study;
    struct layer layer;
};

static void open_trial_of(struct trial *trial, const char *problem, enum conv_tensor output,
                          struct conv_layer layer)
{
    char why[PROBLEM_STRING_MAX];
    *trial = (struct trial){.study = {.isa = isa_best(), .layer = layer}};
    assert_null(problem_string_parse(problem, &trial->layer, why));
    trial->data = (struct data){.problem = trial->layer.problem,
                                .output = output,
                                .threads = 2,
                                .isa = isa_best(),
                                .layer = layer,
                                .seed = 3,
                                .page = &trial->page};
    assert_true(data_alloc(&trial->data));
    for (int kind = 0; kind < TRUTHS; kind++)
        assert_true(truth_find(&trial->truth[kind], &trial->data, (enum fill)kind));
}

static void open_trial(struct trial *trial, const char *problem, enum conv_tensor output)
{
    open_trial_of(trial, problem, output, (struct conv_layer){0});
}

static void close_trial(struct trial *trial)
{
    for (int i = 0; i < TRUTHS; i++)
        truth_free(&trial->truth[i]);
    data_free(&trial->data);
}

/* Checks the suspect with data of one kind; returns its row. */
static struct point judge(struct trial *trial, int kind)
{
    struct runner runner;
    struct point point = point_of(&trial->study, &trial->layer, trial->data.output, &suspect);
    assert_null(runner_plan(&runner, &trial->data, &suspect, 0));
    assert_true(runner_alloc(&runner, 0, 0));
    data_fill(&trial->data, trial->truth[kind].fill);
    const bool passed = check_runner(&runner, &trial->truth[kind], &point);
    assert_true(passed == (point.status == STATUS_OK));
    runner_free(&runner);
    return point;
}

static bool sampled(const struct truth *truth, size_t index)
{
    for (size_t i = 0; i < truth->count; i++)
        if (truth->index[i] == index)
            return true;
    return false;
}

/* A layer whose oracle is a sample: the corners are in it, and what is wrong elsewhere is still found. */
static void second_witness_sees_what_the_sample_misses(void **state)
{
    struct trial trial;
    (void)state;
    open_trial(&trial, "mb4ic64ih56oc64oh56kh3ph1", CONV_DST);
    const struct truth *real = &trial.truth[FILL_REAL];
    const size_t elements = conv_elements(&trial.data.problem, CONV_DST);
    assert_non_null(real->index);
    assert_non_null(real->witness_name);
    assert_true(sampled(real, 0) && sampled(real, elements - 1) && sampled(real, 55) &&
                sampled(real, 56 * 56 - 1));
    mistake = 0;
    assert_int_equal(judge(&trial, FILL_EXACT).status, STATUS_OK);
    const struct point right = judge(&trial, FILL_REAL);
    assert_int_equal(right.status, STATUS_OK);
    assert_true(right.err_reference > 0 && right.err_reference < 1e-6 && right.err_onednn < 1e-6);
    for (victim = elements / 2; sampled(real, victim) || sampled(&trial.truth[FILL_EXACT], victim);)
        victim++;
    mistake = 1;
    assert_int_equal(judge(&trial, FILL_EXACT).status, STATUS_FAIL);
    mistake = 0.1F;
    const struct point wrong = judge(&trial, FILL_REAL);
    assert_int_equal(wrong.status, STATUS_FAIL);
    assert_true(wrong.err_onednn > wrong.tolerance && wrong.err_reference > wrong.tolerance);
    close_trial(&trial);
}

/* Without a witness (oneDNN does not take such a padding) sums see it: in all processes what is wrong on reals, and on
 * integers by however little. */
static void sums_see_what_the_sample_misses(void **state)
{
    struct trial trial;
    (void)state;
    open_trial(&trial, "mb2ic16ih56oc64oh50kh3ph1", CONV_DST);
    const size_t elements = conv_elements(&trial.data.problem, CONV_DST);
    assert_null(trial.truth[FILL_EXACT].witness_name);
    mistake = 0;
    const struct point right = judge(&trial, FILL_REAL);
    assert_int_equal(right.status, STATUS_OK);
    assert_true(right.compared < (double)elements && right.summed == (double)elements);
    for (victim = elements / 2; sampled(&trial.truth[FILL_EXACT], victim);)
        victim++;
    mistake = 1;
    assert_int_equal(judge(&trial, FILL_EXACT).status, STATUS_FAIL);
    truth_free(&trial.truth[FILL_REAL]);
    assert_true(truth_sample(&trial.truth[FILL_REAL], &trial.data, 1));
    assert_int_equal(judge(&trial, FILL_REAL).status, STATUS_FAIL);
    mistake = 0;
    assert_int_equal(judge(&trial, FILL_REAL).status, STATUS_OK);
    close_trial(&trial);
}

/* An implementation may not say itself that it errs by more than a hundredth, or by what is no number. */
static void bounds_are_bounded(void **state)
{
    static const double claims[] = {INFINITY, NAN, 0.02};
    struct trial trial;
    (void)state;
    mistake = 0;
    open_trial(&trial, "mb2ic5ih9oc6kh3ph1", CONV_DST);
    suspect.error_bound = claimed_bound;
    for (int i = 0; i < 3; i++) {
        claim = claims[i];
        assert_int_equal(judge(&trial, FILL_REAL).status, STATUS_FAIL);
    }
    claim = 1e-5;
    assert_int_equal(judge(&trial, FILL_REAL).status, STATUS_OK);
    suspect.error_bound = NULL;
    close_trial(&trial);
}

/* Where oneDNN is the one that is wrong, an implementation that agrees with the oracle passes. */
static void oracle_overrules_the_witness(void **state)
{
    struct trial trial;
    (void)state;
    mistake = 0;
    open_trial(&trial, "mb2ic5ih9oc6kh3ph1", CONV_WEI);
    for (int kind = 0; kind < TRUTHS; kind += FILL_REAL) { /* taps have no witness */
        float *witness = trial.truth[kind].witness.data;
        witness[7] += 2;
        const struct point point = judge(&trial, kind);
        assert_int_equal(point.status, STATUS_OK);
        assert_true(kind != FILL_REAL || point.err_onednn > 1e-3);
        witness[7] = (float)NAN;
        assert_int_equal(judge(&trial, kind).status, STATUS_OK);
    }
    close_trial(&trial);
}

static void each_pass_each_mistake(void **state)
{
    static const float mistakes[] = {1, (float)NAN, (float)INFINITY};
    (void)state;
    for (enum conv_tensor output = 0; output < CONV_TENSORS; output++) {
        struct trial trial;
        open_trial(&trial, "mb2ic5ih9oc6kh3sh2ph1", output);
        for (int kind = 0; kind < TRUTHS; kind++)
            for (int m = 0; m < 3; m++) {
                victim = 0;
                mistake = mistakes[m];
                assert_int_equal(judge(&trial, kind).status, STATUS_FAIL);
                victim = conv_elements(&trial.data.problem, output) - 1;
                assert_int_equal(judge(&trial, kind).status, STATUS_FAIL);
                mistake = 0;
                assert_int_equal(judge(&trial, kind).status, STATUS_OK);
            }
        close_trial(&trial);
    }
}

/* The gradient of the bias is judged as the weights' is. */
static void gradient_of_the_bias(void **state)
{
    static const float mistakes[] = {1, (float)NAN, (float)INFINITY};
    struct trial trial;
    (void)state;
    mistake = 0;
    victim = 0;
    open_trial_of(&trial, "mb2ic5ih9oc6kh3sh2ph1", CONV_WEI, (struct conv_layer){.bias = true});
    for (int kind = 0; kind < TRUTHS; kind++) {
        for (int m = 0; m < 3; m++) {
            beside_mistake = mistakes[m];
            assert_int_equal(judge(&trial, kind).status, STATUS_FAIL);
        }
        beside_mistake = 0;
        assert_int_equal(judge(&trial, kind).status, STATUS_OK);
    }
    close_trial(&trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_do_not_depend_on_threads),
        cmocka_unit_test(data_keep_their_promises),
        cmocka_unit_test(buffers),
        cmocka_unit_test(hash_sees_exchanged_chunks),
        cmocka_unit_test(memory_in_words),
        cmocka_unit_test(second_witness_sees_what_the_sample_misses),
        cmocka_unit_test(sums_see_what_the_sample_misses),
        cmocka_unit_test(bounds_are_bounded),
        cmocka_unit_test(oracle_overrules_the_witness),
        cmocka_unit_test(each_pass_each_mistake),
        cmocka_unit_test(gradient_of_the_bias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
