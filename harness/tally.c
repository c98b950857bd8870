/* See tally.h. SPDX-License-Identifier: Apache-2.0 */
#include "tally.h"

#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char control[] = ":aa"; /* how bench names the second of a pair */

bool tally_open(struct tally *tally, const struct study *study)
{
    *tally = (struct tally){.study = study, .group = -1, .process = -1};
    tally->median_s = calloc((size_t)study->impl_count, sizeof *tally->median_s);
    return tally->median_s != NULL;
}

void tally_close(struct tally *tally)
{
    free(tally->median_s);
    free(tally->apart);
}

static void count_flag(struct tally *tally, const char *name, size_t length)
{
    int i = 0;
    while (i < TALLY_FLAGS - 1 && tally->flag[i].count &&
           (strlen(tally->flag[i].name) != length || strncmp(tally->flag[i].name, name, length)))
        i++;
    if (!tally->flag[i].count)
        snprintf(tally->flag[i].name, sizeof tally->flag[i].name, "%.*s", (int)length, name);
    tally->flag[i].count++;
}

/* The other of the pair to which an implementation belongs, or -1. */
static int partner_of(const struct study *study, int impl)
{
    const char *name = study->impls[impl]->name;
    for (int i = 0; i < study->impl_count; i++) {
        const char *other = study->impls[i]->name;
        const bool longer = strlen(name) > strlen(other);
        const char *control_name = longer ? name : other, *plain_name = longer ? other : name;
        const size_t length = strlen(plain_name);
        if (!strncmp(control_name, plain_name, length) && !strcmp(control_name + length, control))
            return i;
    }
    return -1;
}

static void add_pair(struct tally *tally, double apart)
{
    if (tally->pairs == tally->room) {
        const int room = tally->room ? 2 * tally->room : 64;
        double *grown = realloc(tally->apart, (size_t)room * sizeof *grown);
        if (!grown)
            return; /* a summary over fewer pairs */
        tally->apart = grown;
        tally->room = room;
    }
    tally->apart[tally->pairs++] = apart;
}

void tally_add(struct tally *tally, int process, int group, int impl, const char *flags, double median_s)
{
    if (!(median_s > 0))
        return;
    tally->points++;
    tally->flagged += *flags != '\0';
    for (size_t length; *flags; flags += length + (flags[length] == ' ')) {
        length = strcspn(flags, " ");
        count_flag(tally, flags, length);
    }
    if (group != tally->group || process != tally->process) {
        memset(tally->median_s, 0, (size_t)tally->study->impl_count * sizeof *tally->median_s);
        tally->group = group;
        tally->process = process;
    }
    tally->median_s[impl] = median_s;
    const int partner = partner_of(tally->study, impl);
    if (partner >= 0 && tally->median_s[partner] > 0)
        add_pair(tally, fabs(log(median_s / tally->median_s[partner])));
}

double tally_floor(struct tally *tally)
{
    if (!tally->pairs)
        return (double)NAN;
    stats_of(tally->apart, tally->pairs); /* sorts */
    return expm1(stats_quantile(tally->apart, tally->pairs, 0.95));
}

void tally_say(struct tally *tally)
{
    const double floor = tally_floor(tally);
    if (!tally->points || (!tally->flagged && isnan(floor)))
        return;
    fprintf(stderr, "tripass: %d of %d points were disturbed", tally->flagged, tally->points);
    for (int i = 0; i < TALLY_FLAGS && tally->flag[i].count; i++)
        fprintf(stderr, "%s%s %d", i ? ", " : " (", tally->flag[i].name, tally->flag[i].count);
    fputs(tally->flagged ? ")" : "", stderr);
    if (floor > 1)
        fputs("; noise floor above 100 %: nothing can be concluded from one process", stderr);
    else if (!isnan(floor))
        fprintf(stderr, "; noise floor %.2g %%: smaller differences within one process mean nothing",
                100 * floor);
    fputs("; scripts/verdict.py says what the study is worth\n", stderr);
}
