/* The oneDNN adapter adds nothing to the library and loses nothing: the same bits as the library called by hand,
 * tensors that survive the way into its layouts and back, and a caller whose threads stay as they were.
 * SPDX-License-Identifier: Apache-2.0 */
#include "onednn/shim.h"
#include "support.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 2 };

/* Channels with and without a tail after blocks of 8 and 16, groups, depthwise, a first layer, stride, dilation. */
static const struct conv_problem problems[] = {
    {1, 2, 32, 9, 9, 32, 9, 9, 3, 3, 1, 1, 1, 1, 0, 0},
    {1, 1, 20, 7, 5, 13, 7, 5, 3, 3, 1, 1, 1, 1, 0, 0},
    {2, 2, 16, 8, 8, 32, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0},
    {24, 1, 24, 6, 6, 24, 6, 6, 3, 3, 1, 1, 1, 1, 0, 0},
    {1, 2, 3, 23, 23, 16, 12, 12, 7, 7, 2, 2, 3, 3, 0, 0},
    {1, 2, 8, 9, 9, 24, 9, 9, 3, 3, 1, 1, 2, 2, 1, 1},
    {1, 3, 12, 6, 6, 40, 6, 6, 1, 1, 1, 1, 0, 0, 0, 0},
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

static float *take_floats(size_t n)
{
    float *data = aligned_alloc(64, (n * sizeof *data + 63) / 64 * 64);
    assert_non_null(data);
    for (size_t i = 0; i < n; i++)
        data[i] = (float)((i * 7919 + 13) % 1009) / 1009 - 0.5F;
    return data;
}

static struct conv_plan plan_of(const struct conv_impl *impl, const struct conv_problem *p,
                                enum conv_tensor output)
{
    struct conv_plan plan = {.problem = *p, .output = output, .threads = THREADS, .isa = isa_best()};
    assert_null(conv_plan_make(impl, &plan));
    return plan;
}

/* The library by hand, in plain layouts, on memory of its own. */
static void call_library(const struct conv_problem *p, enum conv_tensor output,
                         float *const tensor[CONV_TENSORS])
{
    const struct onednn_variant plain = {dnnl_forward_training, dnnl_convolution_direct, ONEDNN_PLAIN};
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    assert_int_equal(dnnl_engine_create(&engine, dnnl_cpu, 0), dnnl_success);
    assert_int_equal(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), dnnl_success);
    const struct conv_plan plan = {.problem = *p, .output = output};
    dnnl_primitive_desc_t pd = onednn_convolution(engine, &plan, &plain);
    assert_non_null(pd);
    dnnl_primitive_t primitive;
    assert_int_equal(dnnl_primitive_create(&primitive, pd), dnnl_success);
    dnnl_exec_arg_t args[CONV_TENSORS + 1];
    for (int t = 0; t <= CONV_TENSORS; t++) {
        args[t].arg = t < CONV_TENSORS ? onednn_arg(output, (enum conv_tensor)t) : DNNL_ARG_SCRATCHPAD;
        assert_int_equal(
            dnnl_memory_create(&args[t].memory,
                               dnnl_primitive_desc_query_md(pd, dnnl_query_exec_arg_md, args[t].arg), engine,
                               t < CONV_TENSORS ? (void *)tensor[t] : DNNL_MEMORY_ALLOCATE),
            dnnl_success);
    }
    assert_int_equal(dnnl_primitive_execute(primitive, stream, CONV_TENSORS + 1, args), dnnl_success);
    assert_int_equal(dnnl_stream_wait(stream), dnnl_success);
    for (int t = 0; t <= CONV_TENSORS; t++)
        dnnl_memory_destroy(args[t].memory);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(pd);
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
}

static void test_same_as_by_hand(void **state)
{
    (void)state;
    const struct conv_impl *impl = conv_impl_find("onednn-plain");
    for (int i = 0; i < PROBLEMS; i++)
        for (enum conv_tensor output = 0; output < CONV_TENSORS; output++) {
            omp_set_num_threads(THREADS + 3);
            struct conv_plan plan = plan_of(impl, &problems[i], output);
            float *tensor[CONV_TENSORS];
            for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
                assert_int_equal(plan.bytes[t], conv_elements(&problems[i], t) * sizeof(float));
                tensor[t] = take_floats(conv_elements(&problems[i], t));
            }
            void *scratch = aligned_alloc(64, (plan.scratch_bytes + 64) / 64 * 64);
            impl->run(&plan, tensor, scratch);
            assert_int_equal(omp_get_max_threads(), THREADS + 3);

            omp_set_num_threads(THREADS);
            float *ours = tensor[output];
            tensor[output] = take_floats(conv_elements(&problems[i], output));
            call_library(&problems[i], output, tensor);
            assert_memory_equal(ours, tensor[output], plan.bytes[output]);
            free(scratch);
            free(ours);
            for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
                free(tensor[t]);
            conv_plan_destroy(impl, &plan);
        }
}

/* Into the library's layout over dirt and back, and in again over other dirt: the same plain tensor, the same native
 * bytes (so its padding is written too). */
static void check_round_trip(const struct conv_plan *plan, const struct conv_impl *impl, enum conv_tensor t)
{
    const size_t n = conv_elements(&plan->problem, t);
    float *plain = take_floats(n), *back = take_floats(n);
    float *native = take_floats(plan->bytes[t] / sizeof(float)),
          *again = take_floats(plan->bytes[t] / sizeof(float));
    memset(native, 0xFF, plan->bytes[t]);
    memset(again, 0xA5, plan->bytes[t]);
    memset(back, 0xFF, n * sizeof *back);
    impl->import(plan, t, plain, native);
    impl->import(plan, t, plain, again);
    impl->export(plan, t, native, back);
    assert_memory_equal(plain, back, n * sizeof *plain);
    assert_memory_equal(native, again, plan->bytes[t]);
    free(plain);
    free(back);
    free(native);
    free(again);
}

static void test_round_trip(void **state)
{
    (void)state;
    const struct conv_impl *impl = conv_impl_find("onednn");
    for (int i = 0; i < PROBLEMS; i++)
        for (enum conv_tensor output = 0; output < CONV_TENSORS; output++) {
            struct conv_plan plan = plan_of(impl, &problems[i], output);
            assert_true(strlen(plan.detail) > 3);
            for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
                check_round_trip(&plan, impl, t);
            conv_plan_destroy(impl, &plan);
        }
}

/* A figure of one instruction set must not be another's. */
static void test_one_isa_a_process(void **state)
{
    (void)state;
    if (isa_best() == ISA_GENERIC)
        skip();
    struct conv_plan best = plan_of(conv_impl_find("onednn"), &problems[0], CONV_DST);
    conv_plan_destroy(conv_impl_find("onednn"), &best);
    struct conv_plan generic = {.problem = problems[0], .output = CONV_DST, .threads = 1, .isa = ISA_GENERIC};
    assert_non_null(conv_plan_make(conv_impl_find("onednn"), &generic));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_by_hand),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_one_isa_a_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
