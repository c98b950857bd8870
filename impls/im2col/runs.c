/* The runs of a strip (see runs.h), row by row. SPDX-License-Identifier: Apache-2.0 */
#include "im2col/runs.h"

static int clamp(int x, int low, int high)
{
    return x < low ? low : x > high ? high : x;
}

void runs_add_gap(struct strip *s, int at, int count)
{
    struct run *end = s->gap + s->gaps;
    if (count == 0)
        return;
    if (s->gaps > 0 && end[-1].at + end[-1].count == at)
        end[-1].count += count;
    else
        s->gap[s->gaps++] = (struct run){0, at, count};
}

static void add_run(struct strip *s, bool join, struct run run)
{
    struct run *end = s->run + s->runs;
    for (int i = run.at; i < run.at + run.count; i++)
        s->keep[i] = ~0;
    if (join && s->runs > 0 && end[-1].from - end[-1].at == run.from - run.at) {
        const int after = end[-1].at + end[-1].count;
        for (int i = after; i < run.at; i++)
            s->keep[i] = 0;
        s->gaps -= after < run.at;
        end[-1].count = run.at + run.count - end[-1].at;
    } else {
        s->run[s->runs++] = run;
    }
}

void runs_find(const struct conv_problem *p, size_t pixel, int count, int tap, struct strip *s)
{
    const size_t plane = (size_t)p->oh * p->ow, image = (size_t)p->ic * p->ih * p->iw;
    const int down = tap / p->kw * (p->dh + 1) - p->ph, right = tap % p->kw * (p->dw + 1) - p->pw;
    int oh = (int)(pixel % plane / p->ow), ow = (int)(pixel % p->ow), n;
    ptrdiff_t from = 0;
    bool same_plane = false; /* as the run before */
    s->runs = s->gaps = 0;
    for (int at = 0; at < count; at += n, ow = 0) {
        n = count - at < p->ow - ow ? count - at : p->ow - ow;
        /* pixel i of this row reads column iw + i * sw */
        const int ih = oh * p->sh + down, iw = ow * p->sw + right;
        const bool outside = ih < 0 || ih >= p->ih || iw >= p->iw;
        const int first = outside || iw >= 0 ? 0 : clamp((-iw + p->sw - 1) / p->sw, 0, n);
        const int end = outside ? 0 : clamp((p->iw - 1 - iw) / p->sw + 1, first, n);
        runs_add_gap(s, at, first);
        if (end > first) {
            add_run(s, p->sw == 1 && same_plane,
                    (struct run){from + (ptrdiff_t)ih * p->iw + iw + (ptrdiff_t)first * p->sw, at + first,
                                 end - first});
            same_plane = true;
        }
        runs_add_gap(s, at + end, n - end);
        if (++oh == p->oh) {
            oh = 0;
            from += image;
            same_plane =
                p->ic == 1 && same_plane; /* else other channels lie between, which others may write */
        }
    }
}
