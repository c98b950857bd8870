/* Plain <-> blocked (see layout.h). One loop nest a tensor kind serves both directions: `import` says which way
 * the floats go. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/layout.h"

enum { B = LAYOUT_BLOCK };

struct activations {
    int images, channels, height, width; /* images: mb * g; channels: of one group */
};

static struct activations activations(const struct conv_problem *p, enum conv_tensor tensor)
{
    return tensor == CONV_SRC ? (struct activations){p->mb * p->g, p->ic / p->g, p->ih, p->iw}
                              : (struct activations){p->mb * p->g, p->oc / p->g, p->oh, p->ow};
}

size_t layout_bytes(const struct conv_problem *p, enum conv_tensor tensor)
{
    if (tensor == CONV_WEI)
        return sizeof(float) * p->g * layout_blocks(p->oc / p->g) * layout_blocks(p->ic / p->g) * p->kh *
               p->kw * B * B;
    struct activations a = activations(p, tensor);
    return sizeof(float) * a.images * layout_blocks(a.channels) * a.height * a.width * B;
}

/* One row of one channel block. */
static void convert_row(int width, int channels, size_t plane, float *plain, float *blocked, bool import)
{
    for (int w = 0; w < width; w++)
        for (int c = 0; c < B; c++) {
            if (import)
                blocked[w * B + c] = c < channels ? plain[c * plane + w] : 0;
            else if (c < channels)
                plain[c * plane + w] = blocked[w * B + c];
        }
}

static void convert_activations(const struct conv_plan *plan, enum conv_tensor tensor, float *plain,
                                float *blocked, bool import)
{
    const struct activations a = activations(&plan->problem, tensor);
    const int blocks = layout_blocks(a.channels);
    const size_t plane = (size_t)a.height * a.width;
#pragma omp parallel for collapse(3) num_threads(plan->threads)
    for (int image = 0; image < a.images; image++)
        for (int block = 0; block < blocks; block++)
            for (int h = 0; h < a.height; h++)
                convert_row(a.width, a.channels - block * B, plane,
                            plain + ((size_t)image * a.channels + block * B) * plane + (size_t)h * a.width,
                            blocked + (((size_t)image * blocks + block) * plane + (size_t)h * a.width) * B,
                            import);
}

/* One 16 x 16 block of all taps; oc, ic: how many of its channels exist. */
static void convert_block(int oc, int ic, int taps, size_t plain_oc, float *plain, float *blocked,
                          bool import)
{
    for (int tap = 0; tap < taps; tap++)
        for (int i = 0; i < B; i++)
            for (int j = 0; j < B; j++) {
                float *to = blocked + (tap * B + i) * B + j, *from = plain + j * plain_oc + i * taps + tap;
                bool exists = i < ic && j < oc;
                if (import)
                    *to = exists ? *from : 0;
                else if (exists)
                    *from = *to;
            }
}

static void convert_weights(const struct conv_plan *plan, float *plain, float *blocked, bool import)
{
    const struct conv_problem *p = &plan->problem;
    const int oc = p->oc / p->g, ic = p->ic / p->g, taps = p->kh * p->kw;
    const int ocb = layout_blocks(oc), icb = layout_blocks(ic);
#pragma omp parallel for collapse(3) num_threads(plan->threads)
    for (int g = 0; g < p->g; g++)
        for (int j = 0; j < ocb; j++)
            for (int i = 0; i < icb; i++)
                convert_block(oc - j * B, ic - i * B, taps, (size_t)ic * taps,
                              plain + (((size_t)g * oc + j * B) * ic + i * B) * taps,
                              blocked + (((size_t)g * ocb + j) * icb + i) * taps * B * B, import);
}

static void convert(const struct conv_plan *plan, enum conv_tensor tensor, float *plain, float *blocked,
                    bool import)
{
    if (tensor == CONV_WEI)
        convert_weights(plan, plain, blocked, import);
    else
        convert_activations(plan, tensor, plain, blocked, import);
}

void layout_import(const struct conv_plan *plan, enum conv_tensor tensor, const float *plain, float *blocked)
{
    convert(plan, tensor, (float *)plain, blocked, true);
}

void layout_export(const struct conv_plan *plan, enum conv_tensor tensor, const float *blocked, float *plain)
{
    convert(plan, tensor, plain, (float *)blocked, false);
}
