/* Tiles of images (see winograd.h). SPDX-License-Identifier: Apache-2.0 */
#include "winograd/winograd.h"

#include <unistd.h>

struct winograd_part winograd_cut(const struct winograd *w, long index, long parts, int blocks)
{
    return (struct winograd_part){w->tiles * index / parts, w->tiles * (index + 1) / parts, 0, blocks};
}

/* The window of a tile in the first channel block. */
static struct winograd_window tile_window(const struct winograd *w, float *image, int group, long tile,
                                          bool large)
{
    const struct winograd_axis *h = &w->h, *v = &w->w;
    const int column = (int)(tile % v->tiles), row = (int)(tile / v->tiles % h->tiles);
    const long picture = tile / v->tiles / h->tiles * w->groups + group;
    const int height = large ? h->large : h->small, width = large ? v->large : v->small;
    return (struct winograd_window){
        .base = image + (size_t)picture * (large ? w->cb : w->kb) * height * width * LAYOUT_BLOCK,
        .row = (ptrdiff_t)width * LAYOUT_BLOCK,
        .pixel = LAYOUT_BLOCK,
        .height = large ? height : h->hi,
        .width = large ? width : v->hi,
        .h = h->lo + row * w->m - (large ? h->pad : 0),
        .w = v->lo + column * w->m - (large ? v->pad : 0),
    };
}

static void transform_tiles(const struct winograd *w, float *image, int group, struct winograd_part part,
                            struct winograd_panel panel, winograd_transform_fn *transform)
{
    const bool large = transform == w->kernel->data;
    const ptrdiff_t plane =
        LAYOUT_BLOCK * (ptrdiff_t)(large ? w->h.large : w->h.small) * (large ? w->w.large : w->w.small);
    for (long tile = part.tile; tile < part.tile_end; tile++) {
        struct winograd_window window = tile_window(w, image + part.block * plane, group, tile, large);
        struct winograd_values values = {panel.base + (tile - part.tile) * panel.tile, panel.point,
                                         panel.block, plane, part.block_end - part.block};
        transform(&window, &values);
    }
}

void winograd_read_large(const struct winograd *w, float *image, int group, struct winograd_part part,
                         struct winograd_panel panel)
{
    transform_tiles(w, image, group, part, panel, w->kernel->data);
}

void winograd_read_small(const struct winograd *w, float *image, int group, struct winograd_part part,
                         struct winograd_panel panel)
{
    transform_tiles(w, image, group, part, panel, w->kernel->spread);
}

void winograd_write_small(const struct winograd *w, float *image, int group, struct winograd_part part,
                          struct winograd_panel panel)
{
    transform_tiles(w, image, group, part, panel, w->kernel->output);
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
