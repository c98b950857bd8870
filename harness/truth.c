/* Finding the truth, and how far a result is from it. Comparisons are written so that NaN fails. SPDX-License-Identifier: Apache-2.0 */
#include "truth.h"

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
    SUMS_SAMPLE_WORK =
        ORACLE_WORK / 5,       /* PROOF_SAMPLE's sums: 50 ms a core, all of 64 x 64 pixels of 256 channels */
    ORACLE_MIN_REDUCTION = 512 /* an output takes 0.5 us however short its sum: 390 000 at most */
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

struct scale truth_scale(const struct truth *truth, const struct data *data, const struct conv_impl *impl)
{
    const double full = conv_full_sum(&data->problem, data->output);
    const bool layered = data->output == CONV_DST;
    const double one = 1 + (layered ? data->layer.bias + phi_range(data->layer.activation) : 0);
    return truth->fill == FILL_TAPS ? (struct scale){one, one}
                                    : (struct scale){impl->error_bound ? full : 0, full};
}

double truth_bound(const struct truth *truth, const struct data *data, const struct conv_impl *impl)
{
    return (truth->fill == FILL_TAPS ? conv_tap_bound : conv_error_bound)(impl, &data->problem, data->output);
}

/* What the layer makes of an output of the forward pass. */
static struct conv_element oracle_of_layer(const struct data *data, size_t index, struct conv_element e)
{
    const struct conv_problem *p = &data->problem;
    const float *bias = data->beside.data;
    double scale = e.magnitude;
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

/* |error| as a fraction of what it should be small against. */
static double relative_error(struct scale scale, double error, double magnitude)
{
    return isfinite(error) ? fabs(error) / (magnitude > 0 ? fmax(magnitude, scale.least) : scale.none)
                           : HUGE_VAL;
}

struct deviation truth_compare(const struct truth *truth, const float *result, struct scale scale)
{
    struct deviation deviation = {0, 0, 0};
    for (size_t i = 0; i < truth->count; i++) {
        const size_t index = truth->index ? truth->index[i] : i;
        const double error = (double)result[index] - truth->element[i].value;
        deviation.err = fmax(deviation.err, relative_error(scale, error, truth->element[i].magnitude));
        if (!(error == 0) && !deviation.wrong++)
            deviation.first = index;
    }
    return deviation;
}

struct deviation truth_compare_bias(const struct truth *truth, const struct data *data, const float *result,
                                    struct scale scale)
{
    struct deviation deviation = {0, 0, 0};
    for (int oc = 0; truth->bias_gradient && oc < data->problem.oc; oc++) {
        const struct conv_element right = truth->bias_gradient[oc];
        const double error = (double)result[oc] - right.value;
        deviation.err = fmax(deviation.err, relative_error(scale, error, right.magnitude));
        if (!(error == 0) && !deviation.wrong++)
            deviation.first = (size_t)oc;
    }
    return deviation;
}

double truth_error_at(const struct data *data, size_t index, float result, struct scale scale)
{
    const struct conv_element right = oracle(data, index);
    return relative_error(scale, (double)result - right.value, right.magnitude);
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

struct deviation truth_compare_witness(const struct truth *truth, const struct data *data,
                                       const float *result, struct scale scale)
{
    const float *witness = truth->witness.data, *magnitude = truth->magnitude.data;
    const size_t elements = output_elements(data);
    struct deviation deviation = {0, 0, 0};
#pragma omp parallel for num_threads(data->threads) schedule(static) reduction(worst : deviation)
    for (size_t i = 0; i < elements; i++) {
        const double error = (double)result[i] - (double)witness[i];
        const double err = relative_error(scale, error, magnitude ? (double)magnitude[i] : 1);
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

bool truth_is_exact(const struct data *data, const struct conv_impl *impl)
{
    return impl->exact && (data->output == CONV_WEI || data->layer.activation == ACTIVATION_IDENTITY ||
                           data->layer.activation == ACTIVATION_RELU);
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
        magnitude[i] = magnitude[i] + (float)phi_range(data->layer.activation) +
                       (data->layer.bias ? bias[i / pixels % (size_t)data->problem.oc] : 0);
    data_fill(data, FILL_REAL);
    return got;
}

/* Says so in the note if the witness disagrees with the oracle. */
static void witness_judge(struct truth *truth, const struct data *data, const struct conv_impl *impl,
                          const float *bias_gradient)
{
    const struct scale scale = truth_scale(truth, data, impl);
    const struct deviation result = truth_compare(truth, truth->witness.data, scale),
                           bias = truth_compare_bias(truth, data, bias_gradient, scale);
    const double err = fmax(result.err, bias.err);
    if (truth->fill != FILL_EXACT && !(err <= truth_bound(truth, data, impl)))
        snprintf(truth->note, sizeof truth->note, "%s disagrees with the reference: error %.2g", impl->name,
                 err);
    else if (truth->fill == FILL_EXACT && result.wrong + bias.wrong && truth_is_exact(data, impl))
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
    return TRUTHS * oracle_count(problem, output, PROOF_FULL) * sample + sums_footprint(problem, output) +
           3 * buffer_footprint(conv_elements(problem, output) * sizeof(float));
}

/* Where neither the oracle nor a witness sees every output, sums do. */
static bool sums_ask(struct truth *truth, const struct data *data, int draw)
{
    const struct conv_problem *p = &data->problem;
    const double work = truth->proof == PROOF_FULL ? ORACLE_WORK : SUMS_SAMPLE_WORK;
    return truth->witness_name || !truth->index ||
           sums_find(&truth->sums, data,
                     (size_t)(work / fmax(conv_reduction(p, data->output), ORACLE_MIN_REDUCTION)) + 1, draw);
}

bool truth_find(struct truth *truth, const struct data *data, enum fill fill)
{
    *truth = (struct truth){.fill = fill};
    data->page->impl = -1;
    data->page->step++;
    data_fill(data, fill);
    if (data->lone)
        snprintf(truth->note, sizeof truth->note, "no second witness: a process died while it asked one");
    const bool sampled = fill == FILL_TAPS; /* all taps show in any sample */
    return oracle_ask(truth, data, 0) &&
           (sampled || ((data->lone || witness_ask(truth, data)) && sums_ask(truth, data, 0)));
}

bool truth_sample(struct truth *truth, const struct data *data, int draw)
{
    *truth = (struct truth){.fill = FILL_REAL, .proof = PROOF_SAMPLE};
    data->page->impl = -1;
    data->page->step++;
    data_fill(data, FILL_REAL);
    return oracle_ask(truth, data, draw) && sums_ask(truth, data, draw);
}

void truth_free(struct truth *truth)
{
    free(truth->index);
    free(truth->element);
    free(truth->bias_gradient);
    sums_free(&truth->sums);
    buffer_free(&truth->witness);
    buffer_free(&truth->magnitude);
}
