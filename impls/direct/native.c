/* The native layouts of the direct family (see direct.h). SPDX-License-Identifier: Apache-2.0 */
#include "direct.h"

#include <unistd.h>

/* So many input channels are a block of their own size. Forward and update of 10 and 12 in a block of 16 were a fifth to two
 * fifths slower; backward of 15, by the kernel for few channels, took nearly twice as long (two Zen 3 cores, in turns). */
enum { B = LAYOUT_BLOCK, FEW = 12 };

/* How many groups to treat as one: the fewest 16 x 16 blocks of weights, zeros included. */
static int best_merge(const struct conv_problem *p)
{
    int best = 1;
    double least = 0;
    for (int m = 1; m <= p->g && m <= B; m++) {
        double blocks =
            (double)(p->g / m) * layout_blocks(p->ic / p->g * m) * layout_blocks(p->oc / p->g * m);
        if (p->g % m == 0 && (m == 1 || blocks < least)) {
            best = m;
            least = blocks;
        }
    }
    return best;
}

struct native native_make(const struct conv_problem *p)
{
    struct native n = {.problem = *p, .merge = 1, .depthwise = p->g > 1 && p->ic == p->g && p->oc == p->g};
    struct conv_problem *q = &n.problem;
    if (n.depthwise) {
        q->g = layout_blocks(p->ic);
        q->ic = q->oc = q->g * B;
    } else {
        n.merge = best_merge(p);
        q->g /= n.merge;
    }
    const int ic = q->ic / q->g;
    n.block = ic <= FEW && q->g == 1 ? ic : B;
    n.src = (struct activation){(ic + n.block - 1) / n.block, n.block, q->ih, q->iw};
    n.dst = (struct activation){layout_blocks(q->oc / q->g), B, q->oh, q->ow};
    return n;
}

size_t native_bytes(const struct native *n, enum conv_tensor tensor)
{
    if (tensor == CONV_WEI)
        return sizeof(float) * n->problem.g * n->dst.blocks * n->src.blocks * native_weight_block(n);
    if (tensor == CONV_SRC && n->block < B)
        return sizeof(float) * conv_elements(&n->problem, CONV_SRC);
    return layout_bytes(&n->problem, tensor);
}

/* The weight at native (group, output block, input block): one block with all its taps. */
static void convert_block(const struct native *n, int group, int ob, int ib, float *plain, float *blocked,
                          bool import)
{
    const struct conv_problem *q = &n->problem;
    const int taps = q->kh * q->kw, groups = q->g * n->merge;
    const int icg = q->ic / groups, ocg = q->oc / groups;
    for (int i = 0; i < n->block; i++)
        for (int j = 0; j < B; j++) {
            int ic = ib * n->block + i, oc = ob * B + j;
            bool exists = ic < icg * n->merge && oc < ocg * n->merge && ic / icg == oc / ocg;
            float *from = plain + ((size_t)(group * n->merge * ocg + oc) * icg + ic % icg) * taps;
            for (int tap = 0; tap < taps; tap++) {
                float *to = blocked + ((size_t)tap * n->block + i) * B + j;
                if (import)
                    *to = exists ? from[tap] : 0;
                else if (exists)
                    from[tap] = *to;
            }
        }
}

/* [channels][taps] <-> [channels/16][taps][16] */
static void convert_depthwise(const struct conv_problem *p, float *plain, float *blocked, bool import)
{
    const int taps = p->kh * p->kw;
    for (int c = 0; c < layout_blocks(p->g) * B; c++)
        for (int tap = 0; tap < taps; tap++) {
            float *to = blocked + ((size_t)c / B * taps + tap) * B + c % B;
            if (import)
                *to = c < p->g ? plain[(size_t)c * taps + tap] : 0;
            else if (c < p->g)
                plain[(size_t)c * taps + tap] = *to;
        }
}

/* [mb][channels][pixels] <-> [mb][pixels][channels] */
static void convert_first(const struct conv_plan *plan, float *plain, float *blocked, bool import)
{
    const struct conv_problem *p = &plan->problem;
    const size_t pixels = (size_t)p->ih * p->iw;
#pragma omp parallel for collapse(2) num_threads(plan->threads)
    for (int image = 0; image < p->mb; image++)
        for (size_t x = 0; x < pixels; x++)
            for (int c = 0; c < p->ic; c++) {
                float *from = plain + ((size_t)image * p->ic + c) * pixels + x;
                float *to = blocked + ((size_t)image * pixels + x) * p->ic + c;
                if (import)
                    *to = *from;
                else
                    *from = *to;
            }
}

void native_convert(const struct conv_plan *plan, const struct native *n, enum conv_tensor tensor,
                    float *plain, float *blocked, bool import)
{
    if (tensor == CONV_WEI && n->depthwise) {
        convert_depthwise(&plan->problem, plain, blocked, import);
    } else if (tensor == CONV_WEI) {
        const size_t block = native_weight_block(n);
#pragma omp parallel for collapse(3) num_threads(plan->threads)
        for (int g = 0; g < n->problem.g; g++)
            for (int ob = 0; ob < n->dst.blocks; ob++)
                for (int ib = 0; ib < n->src.blocks; ib++)
                    convert_block(n, g, ob, ib, plain,
                                  blocked + (((size_t)g * n->dst.blocks + ob) * n->src.blocks + ib) * block,
                                  import);
    } else if (tensor == CONV_SRC && n->block < B) {
        convert_first(plan, plain, blocked, import);
    } else {
        struct conv_plan merged = *plan;
        if (n->depthwise)
            merged.problem.g = 1;
        else
            merged.problem = n->problem;
        if (import)
            layout_import(&merged, tensor, plain, blocked);
        else
            layout_export(&merged, tensor, blocked, plain);
    }
}

/* Serves the weights of merged groups only. */
void native_mask(const struct native *n, float *weights, int threads)
{
    if (n->merge == 1)
        return;
    const struct conv_problem *q = &n->problem;
    const int groups = q->g * n->merge, icg = q->ic / groups, ocg = q->oc / groups, taps = q->kh * q->kw;
    const long blocks = (long)q->g * n->dst.blocks * n->src.blocks;
    const size_t size = native_weight_block(n);
#pragma omp parallel for num_threads(threads)
    for (long block = 0; block < blocks; block++)
        for (int i = 0; i < n->block; i++)
            for (int j = 0; j < B; j++) {
                int ic = (int)(block % n->src.blocks) * n->block + i;
                int oc = (int)(block / n->src.blocks % n->dst.blocks) * B + j;
                if (ic / icg != oc / ocg)
                    for (int tap = 0; tap < taps; tap++)
                        weights[block * size + ((size_t)tap * n->block + i) * B + j] = 0;
            }
}

size_t cache_bytes(void)
{
    const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return bytes > 0 ? (size_t)bytes
                     : 512 * 1024; /* what cores of the last ten years have at least, nearly */
}
