/* Comparing with the truth. Every comparison is written so that NaN fails. SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "activation.h"
#include "random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Multiply-adds that the oracle may take per kind of data. It does about 2e8 a second and core, so a quarter of a
     * second a core: less than the timing of a point, and still every output of a layer like 64 channels at 28 x 28. */
    ORACLE_WORK = 50 * 1000 * 1000,
    ORACLE_SAMPLE_WORK = ORACLE_WORK / 25, /* PROOF_SAMPLE: 10 ms a core */
    ORACLE_MIN_REDUCTION = 512             /* an output takes 0.5 us however short its sum: 390 000 at most */
};

static size_t output_elements(const struct data *data)
{
    return conv_elements(&data->problem, data->output);
}

static size_t oracle_count(const struct conv_problem *problem, enum conv_tensor output, enum proof proof)
{
    const double work = proof == PROOF_FULL ? ORACLE_WORK : ORACLE_SAMPLE_WORK;
    const double affordable = work / fmax(conv_reduction(problem, output), ORACLE_MIN_REDUCTION);
    const size_t elements = conv_elements(problem, output);
    return (double)elements <= affordable ? elements : (size_t)fmax(affordable, 64);
}

/* Sample i of the outputs: the first 16 are the corners; of the others every second lies on an edge. */
static size_t sampled_index(const int extent[4], size_t i, uint64_t *state)
{
    size_t index = 0;
    const uint64_t edge = random_next(state);
    for (int axis = 0; axis < 4; axis++) {
        uint64_t at = random_next(state) % (uint64_t)extent[axis];
        if (i < 16)
            at = i >> axis & 1 ? (uint64_t)extent[axis] - 1 : 0;
        else if (i % 2 && (edge & 3) == (uint64_t)axis)
            at = edge & 4 ? (uint64_t)extent[axis] - 1 : 0;
        index = index * (size_t)extent[axis] + at;
    }
    return index;
}

/* phi rises by no more than its argument does, so errors grow no further; but a phi that is computed as a quotient or by
 * a series is only as accurate as its range, which is 1. */
static double phi_range(enum activation_kind kind)
{
    return kind == ACTIVATION_TANH || kind == ACTIVATION_SIGMOID ? 1 : 0;
}

/* What errors of the convolution are measured by. An output that no tap reaches has magnitude 0; an algorithm that works
 * on whole tiles may leave rounding errors of its neighbors there, whose magnitude is about reduction / 4. */
static double error_scale(const struct data *data, double magnitude)
{
    return magnitude > 0 ? magnitude : conv_reduction(&data->problem, data->output) / 4;
}

/* What the layer makes of an output of the forward pass. */
static struct conv_element oracle_of_layer(const struct data *data, size_t index, struct conv_element e)
{
    const struct conv_problem *p = &data->problem;
    const float *bias = data->beside.data;
    double scale = error_scale(data, e.magnitude);
    if (data->layer.bias) {
        const double b = (double)bias[index / ((size_t)p->oh * p->ow) % (size_t)p->oc];
        e.value += b;
        scale += fabs(b);
    }
    return (struct conv_element){(double)activations[data->layer.activation].apply((float)e.value),
                                 scale + phi_range(data->layer.activation)};
}

static struct conv_element oracle(const struct data *data, size_t index)
{
    const float *plain[CONV_TENSORS];
    for (enum conv_tensor t = 0; t < CONV_TENSORS; t++)
        plain[t] = t == CONV_DST && data->dz.bytes ? data->dz.data : data->plain[t].data;
    const struct conv_element e = reference_element(&data->problem, data->output, plain, index);
    return data->output == CONV_DST ? oracle_of_layer(data, index, e) : e;
}

/* db of a channel, which only upd with a bias asks for. */
static struct conv_element oracle_of_bias(const struct data *data, int channel)
{
    const struct conv_problem *p = &data->problem;
    const size_t pixels = (size_t)p->oh * p->ow;
    struct conv_element sum = {0, 0};
    for (int mb = 0; mb < p->mb; mb++) {
        const float *dz = (const float *)data->plain[CONV_DST].data + ((size_t)mb * p->oc + channel) * pixels;
        for (size_t i = 0; i < pixels; i++) {
            sum.value += (double)dz[i];
            sum.magnitude += fabs((double)dz[i]);
        }
    }
    return sum;
}

static bool oracle_ask(struct truth *truth, const struct data *data, int draw)
{
    int extent[4];
    uint64_t state = data->seed + (uint64_t)draw;
    truth->count = oracle_count(&data->problem, data->output, truth->proof);
    truth->element = malloc(truth->count * sizeof *truth->element);
    if (truth->count < output_elements(data)) {
        truth->index = malloc(truth->count * sizeof *truth->index);
        conv_extents(&data->problem, data->output, extent);
        for (size_t i = 0; truth->index && i < truth->count; i++)
            truth->index[i] = sampled_index(extent, i, &state);
    }
    if (data->output == CONV_WEI && data->layer.bias) {
        truth->bias_gradient = malloc((size_t)data->problem.oc * sizeof *truth->bias_gradient);
        for (int oc = 0; truth->bias_gradient && oc < data->problem.oc; oc++)
            truth->bias_gradient[oc] = oracle_of_bias(data, oc);
        if (!truth->bias_gradient)
            return false;
    }
    if (!truth->element || (truth->count < output_elements(data) && !truth->index))
        return false;
#pragma omp parallel for num_threads(data->threads) schedule(dynamic, 16)
    for (size_t i = 0; i < truth->count; i++)
        truth->element[i] = oracle(data, truth->index ? truth->index[i] : i);
    return true;
}

/* |error| as a fraction of the magnitude, as far as there is one. */
static double relative_error(const struct data *data, double error, double magnitude)
{
    return isfinite(error) ? fabs(error) / error_scale(data, magnitude) : HUGE_VAL;
}

/* Errors of a result against the oracle's sample. */
struct deviation {
    double err;          /* largest relative error */
    size_t wrong, first; /* outputs that are not equal bit for bit, the first of them */
};

static struct deviation deviation_from_oracle(const struct data *data, const struct truth *truth,
                                              const float *result)
{
    struct deviation deviation = {0, 0, 0};
    for (size_t i = 0; i < truth->count; i++) {
        const size_t index = truth->index ? truth->index[i] : i;
        const double error = (double)result[index] - truth->element[i].value;
        deviation.err = fmax(deviation.err, relative_error(data, error, truth->element[i].magnitude));
        if (!(error == 0) && !deviation.wrong++)
            deviation.first = index;
    }
    return deviation;
}

/* Errors of a gradient of the bias, where the pass has one. */
static struct deviation deviation_of_bias(const struct data *data, const struct truth *truth,
                                          const float *result)
{
    struct deviation deviation = {0, 0, 0};
    for (int oc = 0; truth->bias_gradient && oc < data->problem.oc; oc++) {
        const struct conv_element right = truth->bias_gradient[oc];
        const double error = (double)result[oc] - right.value;
        deviation.err = fmax(deviation.err, relative_error(data, error, right.magnitude));
        if (!(error == 0) && !deviation.wrong++)
            deviation.first = (size_t)oc;
    }
    return deviation;
}

/* Of two parts of a result: the worse error, of equal ones the first; and how much is wrong in both. */
static struct deviation deviation_of_both(struct deviation a, struct deviation b)
{
    const bool a_is_worse = a.err > b.err || (a.err == b.err && a.first < b.first);
    return (struct deviation){fmax(a.err, b.err), a.wrong + b.wrong, a_is_worse ? a.first : b.first};
}

#pragma omp declare reduction(worst                                                                          \
                              : struct deviation                                                             \
                              : omp_out = deviation_of_both(omp_out, omp_in))                                \
    initializer(omp_priv = (struct deviation){0, 0, 0})

/* Errors against the witness, on every output; `first` is the worst. */
static struct deviation deviation_from_witness(const struct data *data, const struct truth *truth,
                                               const float *result)
{
    const float *witness = truth->witness.data, *magnitude = truth->magnitude.data;
    const size_t elements = output_elements(data);
    struct deviation deviation = {0, 0, 0};
#pragma omp parallel for num_threads(data->threads) schedule(static) reduction(worst : deviation)
    for (size_t i = 0; i < elements; i++) {
        const double error = (double)result[i] - (double)witness[i];
        const double err = relative_error(data, error, magnitude ? (double)magnitude[i] : 1);
        if (!(error == 0))
            deviation.wrong++;
        if (!(err <= deviation.err)) {
            deviation.err = err;
            deviation.first = i;
        }
    }
    return deviation;
}

/* ---- the second witness ---- */

/* Integers stay integers. */
static bool layer_is_exact(const struct data *data)
{
    return data->output == CONV_WEI || data->layer.activation == ACTIVATION_IDENTITY ||
           data->layer.activation == ACTIVATION_RELU;
}

/* One run of the witness on what data hold now; its result goes into *result. */
static bool witness_run(struct runner *runner, struct buffer *result)
{
    const struct data *data = runner->data;
    if (!buffer_alloc(result, output_elements(data) * sizeof(float), 0, POISON_NAN, data->threads))
        return false;
    runner_import(runner);
    buffer_poison(runner_buffer(runner, data->output), POISON_NAN, data->threads);
    runner_run(runner, 1);
    memcpy(result->data, runner_export(runner), result->bytes);
    return true;
}

/* sum |a*b| of every output: the convolution alone, on magnitudes, and what the layer adds. */
static bool witness_magnitude(struct truth *truth, const struct data *data, const struct conv_impl *impl)
{
    struct data bare = *data;
    struct runner runner;
    bare.layer = (struct conv_layer){0};
    bare.beside = (struct buffer){0};
    if (data->dz.bytes)
        bare.plain[CONV_DST] = data->dz;
    data_fill(data, FILL_MAGNITUDE);
    bool got = false;
    if (!runner_plan(&runner, &bare, impl, -1)) {
        got = runner_alloc(&runner, 0, 0) && witness_run(&runner, &truth->magnitude);
        runner_free(&runner);
    }
    const size_t pixels = (size_t)data->problem.oh * data->problem.ow;
    const size_t layered = got && data->output == CONV_DST ? output_elements(data) : 0;
    const float *bias = data->beside.data;
    float *magnitude = truth->magnitude.data;
#pragma omp parallel for num_threads(data->threads) schedule(static)
    for (size_t i = 0; i < layered; i++)
        magnitude[i] = (float)(error_scale(data, (double)magnitude[i]) + phi_range(data->layer.activation)) +
                       (data->layer.bias ? bias[i / pixels % (size_t)data->problem.oc] : 0);
    data_fill(data, FILL_REAL);
    return got;
}

/* Says so in the note if the witness disagrees with the oracle. */
static void witness_judge(struct truth *truth, const struct data *data, const struct conv_impl *impl,
                          const float *bias_gradient)
{
    const struct deviation result = deviation_from_oracle(data, truth, truth->witness.data),
                           bias = deviation_of_bias(data, truth, bias_gradient);
    const double err = fmax(result.err, bias.err);
    if (truth->fill == FILL_REAL && !(err <= conv_error_bound(impl, &data->problem, data->output)))
        snprintf(truth->note, sizeof truth->note, "%s disagrees with the reference: error %.2g", impl->name,
                 err);
    else if (truth->fill == FILL_EXACT && result.wrong + bias.wrong && impl->exact && layer_is_exact(data))
        snprintf(truth->note, sizeof truth->note, "%s disagrees with the reference: %zu of %zu outputs",
                 impl->name, result.wrong + bias.wrong, truth->count);
}

static bool witness_ask(struct truth *truth, const struct data *data)
{
    /* In its own layouts first: on NCHW oneDNN 3.7 with AVX-512 has little but reference code, seconds a call. */
    static const char *const names[] = {"onednn", "onednn-plain"};
    struct runner runner;
    bool got = true;
    for (int i = 0; i < 2 && !truth->witness_name; i++) {
        const struct conv_impl *impl = conv_impl_find(names[i]);
        if (!impl || runner_plan(&runner, data, impl, -1))
            continue;
        truth->witness_name = names[i];
        got = runner_alloc(&runner, 0, 0) && witness_run(&runner, &truth->witness);
        if (got)
            witness_judge(truth, data, impl, runner.tensor[RUNNER_BESIDE]);
        runner_free(&runner);
        if (got && truth->fill == FILL_REAL)
            got = witness_magnitude(truth, data, impl);
    }
    return got;
}

size_t truth_footprint(const struct conv_problem *problem, enum conv_tensor output)
{
    const size_t sample = sizeof(size_t) + sizeof(struct conv_element);
    return 2 * oracle_count(problem, output, PROOF_FULL) * sample +
           3 * buffer_footprint(conv_elements(problem, output) * sizeof(float));
}

bool truth_find(struct truth *truth, const struct data *data, enum fill fill)
{
    *truth = (struct truth){.fill = fill};
    data->page->impl = -1;
    data->page->step++;
    data_fill(data, fill);
    if (data->lone)
        snprintf(truth->note, sizeof truth->note, "no second witness: a process died while it asked one");
    return oracle_ask(truth, data, 0) && (data->lone || witness_ask(truth, data));
}

bool truth_sample(struct truth *truth, const struct data *data, int draw)
{
    *truth = (struct truth){.fill = FILL_REAL, .proof = PROOF_SAMPLE};
    data->page->impl = -1;
    data->page->step++;
    data_fill(data, FILL_REAL);
    return oracle_ask(truth, data, draw);
}

void truth_free(struct truth *truth)
{
    free(truth->index);
    free(truth->element);
    free(truth->bias_gradient);
    buffer_free(&truth->witness);
    buffer_free(&truth->magnitude);
}

/* ---- checking ---- */

static const char *const tensor_names[RUNNER_TENSORS] = {"src", "wei", "dst", "beside"};

/* "mb0 oc3 0 7": where an output is. */
static char *place_text(const struct data *data, size_t index, char text[64])
{
    static const char *const axes[CONV_TENSORS][4] = {
        {"mb", "ic", "ih", "iw"}, {"oc", "ic", "kh", "kw"}, {"mb", "oc", "oh", "ow"}};
    int extent[4], at[4];
    conv_extents(&data->problem, data->output, extent);
    for (int axis = 3; axis >= 0; axis--) {
        at[axis] = (int)(index % (size_t)extent[axis]);
        index /= (size_t)extent[axis];
    }
    const char *const *axis = axes[data->output];
    snprintf(text, 64, "%s%d%s%d%s%d%s%d", axis[0], at[0], axis[1], at[1], axis[2], at[2], axis[3], at[3]);
    return text;
}

static bool fail(struct point *point, const char *reason)
{
    point_set_status(point, STATUS_FAIL, "%s", reason);
    return false;
}

/* A run, watched. */
static bool run_leaves_the_rest_alone(struct runner *runner, enum fill fill, struct point *point)
{
    const struct data *data = runner->data;
    uint64_t before[RUNNER_TENSORS];
    for (int t = 0; t < RUNNER_TENSORS; t++)
        before[t] = buffer_hash(runner_buffer(runner, t), data->threads);
    runner_run(runner, 1);
    if (!runner_canaries_intact(runner))
        return fail(point, "wrote outside its buffers");
    for (int t = 0; t < RUNNER_TENSORS; t++)
        if (!runner_writes(runner, t) && buffer_hash(runner_buffer(runner, t), data->threads) != before[t]) {
            data_fill(data, fill); /* others may share it */
            point_set_status(point, STATUS_FAIL, "changed its input %s", tensor_names[t]);
            return false;
        }
    return true;
}

/* Every word that a run is to write was written: none is the poison any more. */
static bool tensor_written(const struct runner *runner, int tensor, struct point *point)
{
    const struct buffer *buffer = runner_buffer(runner, tensor);
    const uint32_t *word = buffer->data;
    const size_t words = buffer->bytes / sizeof *word;
    size_t poisoned = 0, first = words;
#pragma omp parallel for num_threads(runner->data->threads) reduction(+ : poisoned) reduction(min : first)
    for (size_t i = 0; i < words; i++)
        if (word[i] == UINT32_MAX) {
            poisoned++;
            first = first < i ? first : i;
        }
    if (poisoned)
        point_set_status(point, STATUS_FAIL, "left %zu of %zu native outputs unwritten, first %zu", poisoned,
                         words, first);
    return !poisoned;
}

static bool outputs_written(const struct runner *runner, struct point *point)
{
    bool written = true;
    for (int t = 0; t < RUNNER_TENSORS && written; t++)
        written = !runner_writes(runner, t) || tensor_written(runner, t, point);
    return written;
}

static void outputs_poison(const struct runner *runner)
{
    for (int t = 0; t < RUNNER_TENSORS; t++)
        if (runner_writes(runner, t))
            buffer_poison(runner_buffer(runner, t), POISON_NAN, runner->data->threads);
}

static uint64_t outputs_hash(const struct runner *runner)
{
    uint64_t hash = 0;
    for (int t = 0; t < RUNNER_TENSORS; t++)
        if (runner_writes(runner, t))
            hash = hash * 3 + buffer_hash(runner_buffer(runner, t), runner->data->threads);
    return hash;
}

static bool compare_exact(struct runner *runner, const struct truth *truth, const float *result,
                          struct point *point)
{
    char place[64];
    const struct data *data = runner->data;
    struct deviation deviation = deviation_from_oracle(data, truth, result);
    if (!deviation.wrong &&
        truth->witness_name) { /* outside the sample: does the oracle side with the witness? */
        const size_t worst = deviation_from_witness(data, truth, result).first;
        deviation.wrong = !((double)result[worst] == oracle(data, worst).value);
        deviation.first = worst;
    }
    if (deviation.wrong)
        point_set_status(point, STATUS_FAIL, "exact data: %zu of %zu compared outputs differ, first %s",
                         deviation.wrong, truth->count, place_text(data, deviation.first, place));
    const struct deviation bias = deviation_of_bias(data, truth, runner->tensor[RUNNER_BESIDE]);
    if (bias.wrong)
        point_set_status(point, STATUS_FAIL, "exact data: %zu gradients of the bias differ, first oc%zu",
                         bias.wrong, bias.first);
    return !deviation.wrong && !bias.wrong;
}

static bool compare_real(struct runner *runner, const struct truth *truth, const float *result,
                         struct point *point)
{
    const struct data *data = runner->data;
    point->err_reference = fmax(deviation_from_oracle(data, truth, result).err,
                                deviation_of_bias(data, truth, runner->tensor[RUNNER_BESIDE]).err);
    if (truth->witness_name) {
        const struct deviation deviation = deviation_from_witness(data, truth, result);
        const struct conv_element right = oracle(data, deviation.first);
        const double error = (double)result[deviation.first] - right.value;
        point->err_onednn = deviation.err;
        point->err_reference = fmax(point->err_reference, relative_error(data, error, right.magnitude));
    }
    if (!(point->err_reference <= point->tolerance)) {
        point_set_status(point, STATUS_FAIL, "error %.3g exceeds the tolerance %.3g", point->err_reference,
                         point->tolerance);
        return false;
    }
    return true;
}

bool check_runner(struct runner *runner, const struct truth *truth, struct point *point)
{
    const bool real = truth->fill == FILL_REAL;
    const bool exact = runner->impl->exact && layer_is_exact(runner->data);
    point->tolerance = conv_error_bound(runner->impl, &runner->data->problem, runner->data->output);
    if (*truth->note && !*point->reason)
        snprintf(point->reason, sizeof point->reason, "%s", truth->note);
    if (!real && !exact)
        return true;
    runner_import(runner);
    if (!real || !exact || truth->proof == PROOF_SAMPLE)
        outputs_poison(runner);
    if (!run_leaves_the_rest_alone(runner, truth->fill, point) || !outputs_written(runner, point))
        return false;
    if (real && truth->proof == PROOF_FULL) {
        const uint64_t first = outputs_hash(runner);
        if (!run_leaves_the_rest_alone(runner, truth->fill, point))
            return false;
        if (outputs_hash(runner) != first)
            return fail(point, "a second run on the same data gave other bits");
    }
    const float *result = runner_export(runner);
    return (real ? compare_real : compare_exact)(runner, truth, result, point);
}
