/* Plans and their memory. SPDX-License-Identifier: Apache-2.0 */
#include "runner.h"

#include "activation.h"
#include "clock.h"
#include "random.h"
#include "size.h"

#include <math.h>
#include <string.h>

/* Bytes of a plain `beside`, and of dz. */
static size_t beside_bytes(const struct data *data)
{
    const struct conv_plan plain = {
        .problem = data->problem,
        .output = data->output,
        .layer = data->layer,
        .bytes = {[CONV_DST] = conv_elements(&data->problem, CONV_DST) * sizeof(float)},
    };
    return conv_beside_bytes(&plain);
}

static size_t dz_bytes(const struct data *data)
{
    return data->output == CONV_SRC ? beside_bytes(data) : 0;
}

bool data_alloc(struct data *data)
{
    bool got = true;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        got = buffer_alloc(&data->plain[t], conv_elements(&data->problem, t) * sizeof(float), (int)t,
                           POISON_NAN, data->threads) &&
              got;
    return buffer_alloc(&data->beside, beside_bytes(data), 0, POISON_NAN, data->threads) &&
           buffer_alloc(&data->dz, dz_bytes(data), 0, POISON_NAN, data->threads) && got;
}

size_t data_footprint(const struct data *data)
{
    size_t sum = size_add(buffer_footprint(beside_bytes(data)), buffer_footprint(dz_bytes(data)));
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        sum = size_add(sum, buffer_footprint(conv_elements(&data->problem, t) * sizeof(float)));
    return sum;
}

/* b; or y = phi(anything), and dz of it. On magnitudes dz becomes |dz|, because no activation falls. */
static void fill_beside(const struct data *data, enum fill fill, double reduction)
{
    float *beside = data->beside.data;
    const size_t elements = data->beside.bytes / sizeof *beside;
    const struct activation *phi = &activations[data->layer.activation];
    if (data->output == CONV_SRC && fill == FILL_MAGNITUDE)
        fill = FILL_REAL;
    fill_tensor(beside, elements, fill, reduction, data->seed + CONV_TENSORS, data->threads);
    if (data->output == CONV_SRC) {
        activation_apply(phi, beside, elements);
        activation_backward(phi, beside, data->plain[CONV_DST].data, data->dz.data, elements);
    }
}

void data_fill(const struct data *data, enum fill fill)
{
    const double reduction = conv_reduction(&data->problem, data->output) + data->layer.bias;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        if (t != data->output)
            fill_tensor(data->plain[t].data, conv_elements(&data->problem, t), fill, reduction,
                        data->seed + t, data->threads);
    if (fill == FILL_TAPS)
        fill_isolate(data->plain[fill_sparse(data->output)].data, &data->problem, data->output, data->seed,
                     data->threads);
    if (data->output != CONV_WEI && data->beside.bytes)
        fill_beside(data, fill, reduction);
}

void data_free(struct data *data)
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        buffer_free(&data->plain[t]);
    buffer_free(&data->beside);
    buffer_free(&data->dz);
}

static void announce(const struct runner *runner)
{
    struct page *page = runner->data->page;
    page->impl = runner->index;
    page->step++;
}

/* A plain input needs no memory of its own. */
static bool shares_plain(const struct runner *runner, int tensor)
{
    return !runner->impl->import && tensor != (int)runner->plan.output && tensor != RUNNER_BESIDE;
}

static size_t tensor_bytes(const struct runner *runner, int tensor)
{
    return tensor == RUNNER_BESIDE ? conv_beside_bytes(&runner->plan) : runner->plan.bytes[tensor];
}

const char *runner_plan(struct runner *runner, const struct data *data, const struct conv_impl *impl,
                        int index)
{
    *runner = (struct runner){.data = data, .impl = impl, .index = index};
    runner->import_s = runner->export_s = HUGE_VAL;
    runner->plan = (struct conv_plan){.problem = data->problem,
                                      .output = data->output,
                                      .threads = data->threads,
                                      .isa = data->isa,
                                      .layer = data->layer};
    announce(runner);
    const double start = clock_now();
    const char *reason = conv_plan_make(impl, &runner->plan);
    runner->plan_s = clock_now() - start;
    return reason;
}

/* Tensors of one further set lie behind each other, 64-byte aligned and a line apart. */
static size_t set_stride(const struct runner *runner)
{
    size_t bytes = 0;
    for (int t = 0; t < RUNNER_TENSORS; t++)
        bytes += (tensor_bytes(runner, t) / 64 + 2) * 64;
    return bytes;
}

static size_t further_sets(const struct runner *runner, size_t sets_bytes)
{
    return (sets_bytes + set_stride(runner) - 1) / set_stride(runner);
}

size_t runner_footprint(const struct runner *runner, size_t sets_bytes)
{
    size_t sum = buffer_footprint(runner->plan.scratch_bytes), tensors = 0;
    for (int t = 0; t < RUNNER_TENSORS; t++) {
        size_t bytes = shares_plain(runner, t) ? 0 : tensor_bytes(runner, t);
        if (__builtin_add_overflow(sum, buffer_footprint(bytes), &sum) ||
            __builtin_add_overflow(tensors, tensor_bytes(runner, t), &tensors))
            return SIZE_MAX;
    }
    if (sets_bytes &&
        (tensors > PTRDIFF_MAX / 4 ||
         __builtin_add_overflow(sum, further_sets(runner, sets_bytes) * set_stride(runner), &sum)))
        return SIZE_MAX;
    return sum;
}

bool runner_alloc(struct runner *runner, size_t sets_bytes, int place)
{
    const int threads = runner->data->threads;
    announce(runner); /* gigabytes of scratch may take long to touch */
    bool got = buffer_alloc(&runner->scratch, runner->plan.scratch_bytes, place + 3, POISON_SCRATCH, threads);
    for (int t = 0; t < RUNNER_TENSORS; t++) {
        const bool shared = shares_plain(runner, t);
        got = buffer_alloc(&runner->native[t], shared ? 0 : tensor_bytes(runner, t), place + t, POISON_NAN,
                           threads) &&
              got;
        runner->tensor[t] = shared ? runner->data->plain[t].data : runner->native[t].data;
    }
    runner->sets = 1;
    if (sets_bytes)
        got = buffer_alloc(&runner->copies, further_sets(runner, sets_bytes) * set_stride(runner), place,
                           POISON_NAN, threads) &&
              got;
    return got;
}

void runner_free(struct runner *runner)
{
    for (int t = 0; t < RUNNER_TENSORS; t++)
        buffer_free(&runner->native[t]);
    buffer_free(&runner->scratch);
    buffer_free(&runner->copies);
    announce(runner);
    conv_plan_destroy(runner->impl, &runner->plan);
}

const struct buffer *runner_buffer(const struct runner *runner, int tensor)
{
    return shares_plain(runner, tensor) ? &runner->data->plain[tensor] : &runner->native[tensor];
}

bool runner_writes(const struct runner *runner, int tensor)
{
    return tensor == (int)runner->plan.output || (tensor == RUNNER_BESIDE && runner->plan.output == CONV_WEI);
}

/* y goes the way of dst; biases are plain everywhere. */
static void import_beside(struct runner *runner)
{
    const struct buffer *plain = &runner->data->beside;
    float *native = runner->tensor[RUNNER_BESIDE];
    if (runner->plan.output == CONV_SRC && plain->bytes && runner->impl->import)
        runner->impl->import(&runner->plan, CONV_DST, plain->data, native);
    else if (plain->bytes)
        memcpy(native, plain->data, plain->bytes);
}

void runner_import(struct runner *runner)
{
    announce(runner);
    const double start = clock_now();
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        if (t != runner->plan.output && runner->impl->import)
            runner->impl->import(&runner->plan, t, runner->data->plain[t].data, runner->tensor[t]);
    if (!runner_writes(runner, RUNNER_BESIDE))
        import_beside(runner);
    runner->import_s = runner->impl->import ? fmin(runner->import_s, clock_now() - start) : 0;
}

const float *runner_export(struct runner *runner)
{
    const enum conv_tensor output = runner->plan.output;
    float *plain = runner->data->plain[output].data;
    announce(runner);
    if (!runner->impl->export) {
        runner->export_s = 0;
        return runner->tensor[output];
    }
    const double start = clock_now();
    runner->impl->export(&runner->plan, output, runner->tensor[output], plain);
    runner->export_s = fmin(runner->export_s, clock_now() - start);
    return plain;
}

static void set_tensors(const struct runner *runner, int set, float *tensor[RUNNER_TENSORS])
{
    if (!set) {
        memcpy(tensor, runner->tensor, sizeof runner->tensor);
        return;
    }
    char *at = (char *)runner->copies.data + (size_t)(set - 1) * set_stride(runner);
    for (int t = 0; t < RUNNER_TENSORS; t++) {
        tensor[t] = (float *)(void *)at;
        at += (tensor_bytes(runner, t) / 64 + 2) * 64;
    }
}

void runner_copy_sets(struct runner *runner)
{
    runner->sets = 1 + (int)(runner->copies.bytes / set_stride(runner));
    for (int set = 1; set < runner->sets; set++) {
        float *copy[RUNNER_TENSORS];
        set_tensors(runner, set, copy);
        for (int t = 0; t < RUNNER_TENSORS; t++)
            memcpy(copy[t], runner->tensor[t], tensor_bytes(runner, t));
    }
}

double runner_run(struct runner *runner, int calls)
{
    announce(runner);
    const double start = clock_now();
    for (int i = 0; i < calls; i++) {
        float *tensor[RUNNER_TENSORS];
        set_tensors(runner, runner->set, tensor);
        runner->set = (runner->set + 1) % runner->sets;
        conv_run(runner->impl, &runner->plan, tensor, tensor[RUNNER_BESIDE], runner->scratch.data);
    }
    return runner->last_s = (clock_now() - start) / calls;
}

/* Chooses two elements that are neither zero nor equal, if eight tries find some. */
static struct swap swap_choose(const float *tensor, size_t elements, uint64_t *state)
{
    for (int i = 0; i < 8 && elements; i++) {
        const size_t a = random_next(state) % elements, b = random_next(state) % elements;
        if (tensor[a] != 0 && tensor[b] != 0 && tensor[a] != tensor[b])
            return (struct swap){a, b};
    }
    return (struct swap){0, 0};
}

static void swap_apply(const struct runner *runner, float *const tensor[RUNNER_TENSORS])
{
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++) {
        const struct swap *swap = &runner->swap[t];
        if (swap->a == swap->b)
            continue;
        const float a = tensor[t][swap->a];
        tensor[t][swap->a] = tensor[t][swap->b];
        tensor[t][swap->b] = a;
    }
}

double runner_run_changing(struct runner *runner, int calls, uint64_t draw)
{
    float *tensor[RUNNER_TENSORS];
    uint64_t state = draw;
    int first_set_calls = 0;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        runner->swap[t] = t == runner->plan.output
                              ? (struct swap){0, 0}
                              : swap_choose(runner->tensor[t], runner->plan.bytes[t] / sizeof(float), &state);
    announce(runner);
    double start = clock_now();
    for (int i = 0; i < calls; i++) {
        first_set_calls += runner->set == 0;
        set_tensors(runner, runner->set, tensor);
        runner->set = (runner->set + 1) % runner->sets;
        swap_apply(runner, tensor);
        if (i == 0)
            start = clock_now();
        conv_run(runner->impl, &runner->plan, tensor, tensor[RUNNER_BESIDE], runner->scratch.data);
    }
    const double seconds = (clock_now() - start) / calls;
    if (first_set_calls % 2)
        swap_apply(runner, runner->tensor);
    return runner->last_s = seconds;
}

/* phi(2 x) = 2 phi(x) */
static bool scales(enum activation_kind phi)
{
    return phi == ACTIVATION_IDENTITY || phi == ACTIVATION_RELU || phi == ACTIVATION_LEAKY_RELU;
}

/* The powers of two of each tensor; of the output that of its inputs together. */
static void find_exponents(const struct runner *runner, int exponent[RUNNER_TENSORS])
{
    const enum conv_tensor output = runner->plan.output;
    const bool linear = output != CONV_DST || scales(runner->plan.layer.activation);
    exponent[output] = 0;
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        if (t != output)
            exponent[output] += exponent[t] = linear ? 1 + (int)t : 0;
    /* b as what it is added to; of y only phi' matters; db is a sum of dst. */
    exponent[RUNNER_BESIDE] = output == CONV_SRC ? 0 : exponent[CONV_DST];
}

static void scale(float *data, size_t bytes, int exponent, int threads)
{
    const float factor = ldexpf(1, exponent);
    const size_t words = bytes / sizeof *data;
#pragma omp parallel for simd num_threads(threads) schedule(static)
    for (size_t i = 0; i < words; i++)
        data[i] *= factor;
}

void runner_scale_inputs(const struct runner *runner, int sign)
{
    int exponent[RUNNER_TENSORS];
    find_exponents(runner, exponent);
    for (int t = 0; t < RUNNER_TENSORS; t++)
        if (!runner_writes(runner, t) && exponent[t])
            scale(runner->tensor[t], tensor_bytes(runner, t), sign * exponent[t], runner->data->threads);
}

void runner_scale_result(const struct runner *runner)
{
    int exponent[RUNNER_TENSORS];
    find_exponents(runner, exponent);
    for (int t = 0; t < RUNNER_TENSORS; t++)
        if (runner_writes(runner, t) && exponent[t])
            scale(runner->tensor[t], tensor_bytes(runner, t), -exponent[t], runner->data->threads);
}

bool runner_canaries_intact(const struct runner *runner)
{
    bool intact =
        buffer_canaries_intact(&runner->scratch) && buffer_canaries_intact(&runner->native[RUNNER_BESIDE]);
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        intact = intact && buffer_canaries_intact(&runner->native[t]) &&
                 buffer_canaries_intact(&runner->data->plain[t]);
    return intact;
}
