/* tripass info: the machine as the suite sees and measures it. SPDX-License-Identifier: Apache-2.0 */
#include "complain.h"
#include "machine.h"
#include "memory.h"
#include "options.h"
#include "supervise.h"
#include "topology.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void print_topology(const struct placement *placement)
{
    struct topology *topology = must_allocate(NULL, 1, sizeof *topology);
    const char *reason = topology_load(topology);
    if (reason)
        usage_error("topology: %s; try lstopo to see what hwloc sees", reason);
    topology_place(topology, placement); /* study_ceilings has tried it */
    char text[4096];
    printf("allowed CPUs     %s\n", topology_allowed_text(topology, text, sizeof text));
    printf("places           %d\n", topology->pu_count);
    if (topology_places(topology, text, sizeof text))
        printf("CPUs in order    %s\n", text);
    if (isinf(topology->quota))
        printf("CPU quota        none\n");
    else
        printf("CPU quota        %.4g CPUs\n", topology->quota);
    printf("default threads  %d\n", topology_default_threads(topology));
    printf("last-level cache %s\n", memory_text((double)topology->cache_bytes, text, sizeof text));
    printf("memory limit     %s\n", memory_text((double)memory_limit(), text, sizeof text));
    topology_free(topology);
    free(topology);
}

static void print_versions(void)
{
    char text[256];
    printf("tripass          %s\n", machine_version);
    printf("CPU              %s\n", machine_cpu_model(text, sizeof text));
    printf("ISA             ");
    for (int isa = 0; isa < ISAS; isa++)
        if (isa_supported((enum isa)isa))
            printf(" %s", isa_name((enum isa)isa));
    printf("\noneDNN           %s\n", machine_onednn_version(text, sizeof text));
    printf("OpenBLAS         %s\n", machine_openblas_config());
    printf("hwloc            %s\n", machine_hwloc_version(text, sizeof text));
    int runtimes = machine_openmp_runtimes(text, sizeof text);
    printf("OpenMP runtimes  %d: %s\n", runtimes, text);
}

/* A ceiling that a busy machine has spoilt is no ceiling, and a wider instruction set is never half as fast. */
static void print_doubts(const struct ceiling *ceiling)
{
    double narrower = 0;
    for (enum isa isa = ISA_GENERIC; isa < ISAS; isa++) {
        const double flops = ceiling->fma_flops[isa];
        if (!(flops > 0))
            continue;
        if (!(ceiling->fma_apart[isa] <= FMA_AGREE) || flops < 0.5 * narrower)
            printf("%7d  %-8s this ceiling is doubtful: %s; the machine is busy, try again\n",
                   ceiling->threads, isa_name(isa),
                   flops < 0.5 * narrower ? "less than half of a narrower instruction set's"
                                          : "no two probes agree");
        narrower = fmax(narrower, flops);
    }
}

static void print_roofs(const struct ceiling *ceiling, enum isa isa)
{
    char text[16];
    if (!(ceiling->fma_flops[isa] > 0))
        return;
    printf("%7d  %-8s registers            %8.1f GFLOP/s multiply-add\n", ceiling->threads, isa_name(isa),
           ceiling->fma_flops[isa] * 1e-9);
    for (enum memory_level level = LEVEL_L1; level < LEVELS; level++) {
        const double *bps = ceiling->bps[isa][level];
        if (bps[TRAFFIC_LOAD] > 0)
            printf("%7d  %-8s %-9s %8s   %8.1f GB/s load %8.1f copy %8.1f triad\n", ceiling->threads,
                   isa_name(isa), memory_level_names[level],
                   memory_text((double)ceiling->working_set[level], text, sizeof text),
                   bps[TRAFFIC_LOAD] * 1e-9, bps[TRAFFIC_COPY] * 1e-9, bps[TRAFFIC_TRIAD] * 1e-9);
    }
}

static char *handoff_text(double ns, char *text, size_t size)
{
    if (isnan(ns))
        snprintf(text, size, "-");
    else
        snprintf(text, size, "%.0f", ns);
    return text;
}

/* Two threads: a line. More: a table of as many threads as stand beside each other in 110 columns, evenly chosen. */
static void print_handoffs(const struct ceiling *ceiling)
{
    enum { FIT = 16 };
    const struct handoff_matrix *handoff = &ceiling->handoff;
    const int stride = (handoff->size + FIT - 1) / FIT;
    char text[32];
    if (handoff->size == 2)
        printf("%7d  core to core %s ns there and back\n", ceiling->threads,
               handoff_text(handoff->ns[0][1], text, sizeof text));
    if (handoff->size <= 2)
        return;
    printf("%7d  core to core, ns there and back\n%8s", ceiling->threads, "thread");
    for (int j = 0; j < handoff->size; j += stride)
        printf("%6d", j * handoff->step);
    for (int i = 0; i < handoff->size; i += stride) {
        printf("\n%8d", i * handoff->step);
        for (int j = 0; j < handoff->size; j += stride)
            printf("%6s", handoff_text(handoff->ns[i][j], text, sizeof text));
    }
    putchar('\n');
}

int command_info(struct options *options, int argc, char **argv)
{
    const struct study *study = &options->study;
    if (options->worker)
        return study_work(study, options->worker);
    if (options->problem_count)
        usage_error("%s: info takes no problem; try tripass list %s", options->problems[0],
                    options->problems[0]);
    struct ceiling *ceilings = must_allocate(NULL, (size_t)study->thread_count, sizeof *ceilings);
    int status = study_ceilings(study, argc, argv, ceilings);
    if (status)
        return status;
    print_versions();
    print_topology(&study->placement);
    printf("threads  ISA      a thread in        measured roofs of the team\n");
    for (int i = 0; i < study->thread_count; i++)
        for (enum isa isa = ISA_GENERIC; isa < ISAS; isa++)
            print_roofs(&ceilings[i], isa);
    for (int i = 0; i < study->thread_count; i++)
        print_doubts(&ceilings[i]);
    for (int i = 0; i < study->thread_count; i++)
        print_handoffs(&ceilings[i]);
    free(ceilings);
    return EXIT_ALL_GOOD;
}
