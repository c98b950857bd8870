/* Tiles of images (see winograd.h). SPDX-License-Identifier: Apache-2.0 */
#include "winograd/winograd.h"

#include <unistd.h>

struct winograd_part winograd_cut(const struct winograd *w, long index, long parts, int blocks)
{
    return (struct winograd_part){w->tiles * index / parts, w->tiles * (index + 1) / parts, 0, blocks};
}

/* Kind `kind` is small in height, in width. */
static const bool small_height[WINOGRAD_KINDS] = {false, false, true, true},
                  small_width[WINOGRAD_KINDS] = {true, false, false, true};

static int kind_tiles(const struct winograd_axis *a, bool small)
{
    return small ? a->tiles - a->whole : a->whole;
}

void winograd_number(struct winograd *w, int images)
{
    for (int kind = 0; kind < WINOGRAD_KINDS; kind++)
        w->kinds[kind + 1] = w->kinds[kind] + (long)images * kind_tiles(&w->h[0], small_height[kind]) *
                                                  kind_tiles(&w->w[0], small_width[kind]);
    w->tiles = w->kinds[WINOGRAD_KINDS];
}

static long clamp(long x, long least, long most)
{
    return x < least ? least : x > most ? most : x;
}

struct winograd_part winograd_at_point(const struct winograd *w, struct winograd_part part, int point)
{
    const int last = w->n - 1, row = point / w->n, column = point % w->n;
    const bool every_height = row == last || row <= 2 * w->h[0].last_pairs;
    const bool every_width = column == last || column <= 2 * w->w[0].last_pairs;
    const long first = w->kinds[every_width ? 0 : 1];
    const long end = w->kinds[!every_height ? 2 : every_width ? 4 : 3];
    return (struct winograd_part){clamp(first, part.tile, part.tile_end),
                                  clamp(end, part.tile, part.tile_end), part.block, part.block_end};
}

int winograd_tap_value(const struct winograd *w, int phase, int point)
{
    const bool lone_h = w->h[phase / w->stride].taps == 1, lone_w = w->w[phase % w->stride].taps == 1;
    const int row = point / w->n, column = point % w->n, infinity = w->n - 1;
    if ((lone_h && row == infinity) || (lone_w && column == infinity))
        return -1;
    return (lone_h ? 0 : row) * (lone_w ? 1 : w->n) + (lone_w ? 0 : column);
}

/* The window of a tile in the first channel block. */
static struct winograd_window tile_window(const struct winograd *w, int phase, float *image, int group,
                                          long tile, bool large)
{
    const struct winograd_axis *h = &w->h[phase / w->stride], *v = &w->w[phase % w->stride];
    int kind = 0;
    while (tile >= w->kinds[kind + 1])
        kind++;
    const bool low = small_height[kind], narrow = small_width[kind];
    const int rows = kind_tiles(h, low), columns = kind_tiles(v, narrow);
    const long number = tile - w->kinds[kind], picture = number / columns / rows * w->groups + group;
    const int row = (int)(number / columns % rows) + (low ? h->whole : 0);
    const int column = (int)(number % columns) + (narrow ? v->whole : 0);
    const struct winograd_lattice down = large ? h->large : h->small, across = large ? v->large : v->small;
    const ptrdiff_t line = (ptrdiff_t)across.size * LAYOUT_BLOCK;
    return (struct winograd_window){
        .base = image + picture * (large ? w->cb : w->kb) * down.size * line + down.first * line +
                across.first * LAYOUT_BLOCK,
        .row = down.step * line,
        .pixel = across.step * LAYOUT_BLOCK,
        .height = large ? down.count : h->hi,
        .width = large ? across.count : v->hi,
        .h = h->lo + row * w->m - (large ? h->pad : 0),
        .w = v->lo + column * w->m - (large ? v->pad : 0),
        .h_pairs = low ? h->last_pairs : h->pairs,
        .w_pairs = narrow ? v->last_pairs : v->pairs,
        .stream = w->stream,
    };
}

/* Floats of a channel block of an image. */
static ptrdiff_t plane_floats(const struct winograd *w, bool large)
{
    return LAYOUT_BLOCK * (ptrdiff_t)(large ? w->h[0].large : w->h[0].small).size *
           (large ? w->w[0].large : w->w[0].small).size;
}

static void transform_tiles(const struct winograd *w, int phase, float *image, int group,
                            struct winograd_part part, struct winograd_panel panel,
                            winograd_transform_fn *transform)
{
    const bool large = transform == w->kernel->data;
    const ptrdiff_t plane = plane_floats(w, large);
    for (long tile = part.tile; tile < part.tile_end; tile++) {
        struct winograd_window window = tile_window(w, phase, image + part.block * plane, group, tile, large);
        struct winograd_values values = {.base = panel.base + (tile - part.tile) * panel.tile,
                                         .point = panel.point,
                                         .row = w->n * panel.point,
                                         .item = panel.block,
                                         .window = plane,
                                         .items = part.block_end - part.block};
        transform(&window, &values);
    }
}

void winograd_read_large(const struct winograd *w, int phase, float *image, int group,
                         struct winograd_part part, struct winograd_panel panel)
{
    transform_tiles(w, phase, image, group, part, panel, w->kernel->data);
}

void winograd_read_small(const struct winograd *w, int phase, float *image, int group,
                         struct winograd_part part, struct winograd_panel panel)
{
    transform_tiles(w, phase, image, group, part, panel, w->kernel->spread);
}

void winograd_write_small(const struct winograd *w, int phase, float *image, int group,
                          struct winograd_part part, struct winograd_panel panel)
{
    transform_tiles(w, phase, image, group, part, panel, w->kernel->output);
}

struct winograd_ahead winograd_ahead(const struct winograd *w, int phase, float *image, int group, bool large,
                                     long index, long steps)
{
    const int blocks = large ? w->cb : w->kb;
    struct winograd_ahead ahead = {.w = w, .image = image, .group = group, .phase = phase, .large = large};
    if (index < w->parts)
        ahead.part = winograd_cut(w, index, w->parts, blocks);
    ahead.rows = (ahead.part.tile_end - ahead.part.tile) * blocks * w->m / steps + 1;
    return ahead;
}

void winograd_ahead_step(struct winograd_ahead *ahead)
{
    const struct winograd *w = ahead->w;
    struct winograd_part *left = &ahead->part;
    const struct winograd_window *x = &ahead->window;
    const int border = ahead->large; /* of the overlap of windows: neighbors bring the rest */
    const int more = w->stride - 1;  /* pixels of a tile beyond two a pair */
    const ptrdiff_t plane = plane_floats(w, ahead->large);
    for (long rows = ahead->rows; rows > 0 && left->tile < left->tile_end; rows--) {
        if (left->block == 0 && ahead->row == 0)
            ahead->window =
                tile_window(w, ahead->phase, ahead->image, ahead->group, left->tile, ahead->large);
        const float *pixel = x->base + left->block * plane + (x->h + border + ahead->row) * x->row +
                             (x->w + border) * x->pixel;
        for (int i = 0; i < 2 * x->w_pairs + more; i++)
            __builtin_prefetch(pixel + i * x->pixel, 0, 2); /* 2: into level 2 */
        ahead->row = (ahead->row + 1) % (2 * x->h_pairs + more);
        if (ahead->row == 0 && ++left->block == left->block_end) {
            left->block = 0;
            left->tile++;
        }
    }
}

ptrdiff_t winograd_stride(ptrdiff_t floats)
{
    return ((floats + 15) / 16 | 1) * 16;
}

ptrdiff_t winograd_l2_bytes(void)
{
    const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return bytes > 0 ? bytes : 512 << 10; /* where the system does not say: what server cores have at least */
}
