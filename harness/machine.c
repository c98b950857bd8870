/* machine.json. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "machine.h"

#include "activation.h"
#include "problem_string.h"
#include "version.h"

#include <ctype.h>
#include <dlfcn.h>
#include <hwloc.h>
#include <inttypes.h>
#include <jansson.h>
#include <link.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

const char machine_version[] = TRIPASS_VERSION;
const char machine_timing_statement[] =
    "wall time (CLOCK_MONOTONIC) on the initial thread from before to after one call, thread fork and join "
    "included; "
    "conversions between plain and native layouts, planning and the SGD step are timed apart";
const char machine_flop_statement[] =
    "flop, gflops and pct_peak count nominal operations 2*mb*oc*(ic/g)*oh*ow*kh*kw, padding included "
    "(effective ones "
    "for algorithms that do fewer); flop_valid leaves taps in the padding out, as benchdnn does";
const char machine_cache_statement[] = "warm: the same buffers each time, one untimed call of the same "
                                       "implementation before each timed one (unless a "
                                       "call takes more than 0.2 s); cold: each call on the next of several "
                                       "sets of tensors that exceed the last-level "
                                       "cache together";

/* ---- what this process has loaded ---- */

struct names {
    char *text;
    size_t size;
    int count;
};

static int collect_openmp(struct dl_phdr_info *info, size_t size, void *context)
{
    struct names *names = context;
    const char *base = strrchr(info->dlpi_name, '/');
    base = base ? base + 1 : info->dlpi_name;
    (void)size;
    if (strncmp(base, "libgomp", 7) && strncmp(base, "libomp", 6) && strncmp(base, "libiomp", 7))
        return 0;
    const size_t used = strlen(names->text);
    snprintf(names->text + used, names->size - used, "%s%s", names->count++ ? ", " : "", info->dlpi_name);
    return 0;
}

int machine_openmp_runtimes(char *text, size_t size)
{
    struct names names = {text, size, 0};
    *text = '\0';
    dl_iterate_phdr(collect_openmp, &names);
    return names.count;
}

/* oneDNN's and OpenBLAS's own word, through whatever is loaded: the harness is not linked to them. */
const char *machine_onednn_version(char *text, size_t size)
{
    const struct {
        int major, minor, patch;
    } * version;
    const void *(*ask)(void);
    *(void **)&ask = dlsym(RTLD_DEFAULT, "dnnl_version");
    *text = '\0';
    if (ask && (version = ask()))
        snprintf(text, size, "%d.%d.%d", version->major, version->minor, version->patch);
    return text;
}

const char *machine_openblas_config(void)
{
    char *(*ask)(void);
    *(void **)&ask = dlsym(RTLD_DEFAULT, "openblas_get_config");
    return ask ? ask() : "";
}

const char *machine_hwloc_version(char *text, size_t size)
{
    const unsigned version = hwloc_get_api_version();
    snprintf(text, size, "%u.%u.%u (API)", version >> 16, version >> 8 & 0xFF, version & 0xFF);
    return text;
}

/* ---- what the system says ---- */

/* The value of the first line of `file` that begins with `key`, behind a separator and without quotes. */
static char *file_value(const char *file_name, const char *key, char *text, size_t size)
{
    char line[512];
    FILE *file = fopen(file_name, "r");
    *text = '\0';
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, strlen(key)))
            continue;
        const char *value = line + strlen(key);
        value += strspn(value, " \t:=\"");
        snprintf(text, size, "%.*s", (int)strcspn(value, "\"\n"), value);
        break;
    }
    if (file)
        fclose(file);
    return text;
}

const char *machine_cpu_model(char *text, size_t size)
{
    return file_value("/proc/cpuinfo", "model name", text, size);
}

static json_t *file_line(const char *file_name)
{
    char text[256];
    file_value(file_name, "", text, sizeof text);
    return json_string(text);
}

static json_t *time_text(time_t when)
{
    char text[32];
    struct tm utc;
    if (!when)
        return json_null();
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &utc));
    return json_string(text);
}

/* A string of any bytes; JSON is UTF-8, so that what is not becomes "?". */
static json_t *text_json(const char *text)
{
    json_t *json = json_string(text);
    char *plain = json ? NULL : strdup(text);
    for (char *c = plain; c && *c; c++)
        if ((unsigned char)*c > 127)
            *c = '?';
    if (plain)
        json = json_string(plain);
    free(plain);
    return json;
}

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* ---- parts of the file ---- */

static json_t *cpu_json(void)
{
    char model[256], microcode[64];
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "model", machine_cpu_model(model, sizeof model),
                     "microcode", file_value("/proc/cpuinfo", "microcode", microcode, sizeof microcode),
                     "best_isa", isa_name(isa_best()), "governor",
                     file_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), "boost",
                     file_line("/sys/devices/system/cpu/cpufreq/boost"), "smt",
                     file_line("/sys/devices/system/cpu/smt/active"));
}

static json_t *caches_json(hwloc_topology_t hwloc)
{
    static const hwloc_obj_type_t types[] = {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE};
    json_t *caches = json_array();
    for (int i = 0; i < 3; i++) {
        hwloc_obj_t cache = hwloc_get_next_obj_by_type(hwloc, types[i], NULL);
        if (cache)
            json_array_append_new(
                caches, json_pack("{s:s, s:I, s:i, s:i, s:i}", "level", hwloc_obj_type_string(types[i]),
                                  "bytes", (json_int_t)cache->attr->cache.size, "line_bytes",
                                  (int)cache->attr->cache.linesize, "ways", cache->attr->cache.associativity,
                                  "count", hwloc_get_nbobjs_by_type(hwloc, types[i])));
    }
    return caches;
}

static json_t *topology_json(const struct topology *topology)
{
    char allowed[1024];
    json_t *places = json_array();
    for (int i = 0; i < topology->pu_count; i++)
        json_array_append_new(places, json_integer(topology->pu[i]));
    return json_pack("{s:s, s:o, s:i, s:i, s:i, s:i, s:o, s:o}", "allowed_cpus",
                     topology_allowed_text(topology, allowed, sizeof allowed), "places", places, "packages",
                     hwloc_get_nbobjs_by_type(topology->hwloc, HWLOC_OBJ_PACKAGE), "numa_nodes",
                     hwloc_get_nbobjs_by_type(topology->hwloc, HWLOC_OBJ_NUMANODE), "cores",
                     hwloc_get_nbobjs_by_type(topology->hwloc, HWLOC_OBJ_CORE), "hardware_threads",
                     hwloc_get_nbobjs_by_type(topology->hwloc, HWLOC_OBJ_PU), "cpu_quota",
                     number_or_null(topology->quota), "caches", caches_json(topology->hwloc));
}

static json_t *system_json(void)
{
    struct utsname name;
    char distribution[128], memory[64];
    uname(&name);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "kernel", name.release, "architecture",
                     name.machine, "host", name.nodename, "distribution",
                     file_value("/etc/os-release", "PRETTY_NAME", distribution, sizeof distribution),
                     "memory", file_value("/proc/meminfo", "MemTotal", memory, sizeof memory), "clocksource",
                     file_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
                     "huge_pages", file_line("/sys/kernel/mm/transparent_hugepage/enabled"), "numa_balancing",
                     file_line("/proc/sys/kernel/numa_balancing"), "load_at_start",
                     file_line("/proc/loadavg"));
}

static json_t *build_json(void)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "version", machine_version, "compiler", TRIPASS_COMPILER,
                     "flags", TRIPASS_FLAGS, "build_type", TRIPASS_BUILD_TYPE);
}

static json_t *libraries_json(void)
{
    char hwloc[32], onednn[32], openmp[1024];
    const int runtimes = machine_openmp_runtimes(openmp, sizeof openmp);
    return json_pack("{s:s, s:s, s:s, s:s, s:i}", "hwloc", machine_hwloc_version(hwloc, sizeof hwloc),
                     "onednn", machine_onednn_version(onednn, sizeof onednn), "openblas",
                     machine_openblas_config(), "openmp", openmp, "openmp_runtimes", runtimes);
}

static json_t *bandwidth_json(const struct ceiling *ceiling, enum isa isa)
{
    json_t *levels = json_object();
    for (enum memory_level level = LEVEL_L1; level < LEVELS; level++) {
        const double *bps = ceiling->bps[isa][level];
        if (bps[TRAFFIC_LOAD] > 0)
            json_object_set_new(levels, memory_level_names[level],
                                json_pack("{s:I, s:f, s:f, s:f}", "bytes_per_thread",
                                          (json_int_t)ceiling->working_set[level], "load_gbps",
                                          bps[TRAFFIC_LOAD] * 1e-9, "copy_gbps", bps[TRAFFIC_COPY] * 1e-9,
                                          "triad_gbps", bps[TRAFFIC_TRIAD] * 1e-9));
    }
    return levels;
}

/* Adds one that was measured before the study was resumed, unless its thread count was measured again. */
static void keep_ceiling(json_t *ceilings, json_t *old)
{
    for (size_t i = 0; i < json_array_size(ceilings); i++)
        if (json_equal(json_object_get(json_array_get(ceilings, i), "threads"),
                       json_object_get(old, "threads")))
            return;
    json_array_append(ceilings, old);
}

static json_t *handoff_json(const struct handoff_matrix *handoff)
{
    json_t *matrix = json_array();
    for (int i = 0; i < handoff->size; i++) {
        json_t *row = json_array();
        for (int j = 0; j < handoff->size; j++)
            json_array_append_new(row, number_or_null(handoff->ns[i][j]));
        json_array_append_new(matrix, row);
    }
    return matrix;
}

static json_t *ceilings_json(const struct machine *machine)
{
    json_t *ceilings = json_array();
    for (int i = 0; i < machine->study->thread_count; i++) {
        const struct ceiling *c = &machine->ceilings[i];
        if (!c->threads)
            continue;
        json_t *fma = json_object(), *bandwidth = json_object();
        for (enum isa isa = ISA_GENERIC; isa < ISAS; isa++) {
            if (!(c->fma_flops[isa] > 0))
                continue;
            json_object_set_new(fma, isa_name(isa), number_or_null(c->fma_flops[isa] * 1e-9));
            json_object_set_new(bandwidth, isa_name(isa), bandwidth_json(c, isa));
        }
        json_array_append_new(ceilings,
                              json_pack("{s:i, s:b, s:o, s:o, s:i, s:o}", "threads", c->threads, "pinned",
                                        c->pinned, "fma_gflops", fma, "bandwidth", bandwidth, "handoff_step",
                                        c->handoff.step, "handoff_ns", handoff_json(&c->handoff)));
    }
    for (size_t i = 0; i < json_array_size(json_object_get(machine->before, "ceilings")); i++)
        keep_ceiling(ceilings, json_array_get(json_object_get(machine->before, "ceilings"), i));
    return ceilings;
}

/* "mb8ic64ih56oc64kh3ph1 res2b*3": all of a layer that its rows tell of. */
static json_t *layers_json(const struct study *study)
{
    json_t *layers = json_array();
    for (int i = 0; i < study->layer_count; i++) {
        const struct layer *layer = &study->layers[i];
        char text[PROBLEM_STRING_MAX + sizeof layer->name + 32];
        problem_string_print(&layer->problem, text, PROBLEM_STRING_MAX);
        if (*layer->name || layer->multiplicity > 1)
            snprintf(text + strlen(text), sizeof text - strlen(text), " %s*%d", layer->name,
                     layer->multiplicity);
        json_array_append_new(layers, text_json(text));
    }
    return layers;
}

static json_t *study_json(const struct machine *machine)
{
    const struct study *study = machine->study;
    json_t *arguments = json_array(), *threads = json_array(), *impls = json_array(), *passes = json_array();
    char seed[24];
    snprintf(seed, sizeof seed, "%" PRIu64, study->seed); /* JSON numbers lose digits beyond 2^53 */
    for (int i = 0; i < machine->argc; i++)
        json_array_append_new(arguments, text_json(machine->argv[i]));
    for (int i = 0; i < study->thread_count; i++)
        json_array_append_new(threads, json_integer(study->threads[i]));
    for (int i = 0; i < study->impl_count; i++)
        json_array_append_new(impls, json_string(study->impls[i]->name));
    for (int i = 0; i < study->output_count; i++)
        json_array_append_new(passes, json_string(conv_pass_name(study->outputs[i])));
    return json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:b, s:s, s:s, s:s, s:s, s:I, s:s, s:b, s:s, s:i, s:i, "
                     "s:i, s:f, s:f, "
                     "s:f, s:f, s:f, s:I, s:b}",
                     "command_line", arguments, "check_only", study->check_only, "layers", layers_json(study),
                     "impls", impls, "passes", passes, "threads", threads, "bias", study->layer.bias, "act",
                     activations[study->layer.activation].name, "seed", seed, "isa", isa_name(study->isa),
                     "cache", study->cache == CACHE_COLD ? "cold" : "warm", "cold_sets_bytes",
                     (json_int_t)(COLD_CACHES * machine->topology->cache_bytes), "policy",
                     study->placement.policy ? study->placement.policy : "compact", "smt",
                     study->placement.smt, "numa", study->interleave ? "interleave" : "firsttouch",
                     "repetitions", study->repetitions, "samples", study->samples, "retry_noisy",
                     study->retry_noisy, "ci_percent", study->ci_percent, "max_time_s", study->max_time_s,
                     "budget_s", study->budget_s, "timeout_s", study->timeout_s, "lr", study->lr,
                     "memory_limit_bytes", (json_int_t)study->memory_limit, "phases", study->phases);
}

/* Variables that change how threads run or kernels are chosen; never the whole environment. */
static json_t *environment_json(void)
{
    static const char *const prefixes[] = {"OMP_",      "GOMP_", "KMP_",      "DNNL_",  "ONEDNN_",
                                           "OPENBLAS_", "MKL_",  "SLURM_CPU", "MALLOC_"};
    json_t *environment = json_object();
    for (char **entry = environ; *entry; entry++)
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
            if (!strncmp(*entry, prefixes[i], strlen(prefixes[i]))) {
                const size_t name = strcspn(*entry, "=");
                char *key = strndup(*entry, name);
                json_object_set_new(environment, key, json_string(*entry + name + 1));
                free(key);
            }
    return environment;
}

struct json_t *machine_json(const struct machine *machine)
{
    json_t *root = json_pack(
        "{s:i, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:s}", "schema", 1,
        "completed", machine->completed, "start", time_text(machine->start), "end", time_text(machine->end),
        "study", study_json(machine), "build", build_json(), "cpu", cpu_json(), "topology",
        topology_json(machine->topology), "system", system_json(), "libraries", libraries_json(),
        "environment", environment_json(), "ceilings", ceilings_json(machine), "timing",
        machine_timing_statement, "flop", machine_flop_statement, "cache", machine_cache_statement);
    json_object_set_new(root, "busy_at_start",
                        json_pack("{s:f, s:f}", "others_share", machine->quiet.others, "stolen_share",
                                  machine->quiet.stolen));
    if (machine->before) {
        json_object_set(root, "start", json_object_get(machine->before, "start"));
        json_object_set_new(
            root, "resumed",
            json_integer(json_integer_value(json_object_get(machine->before, "resumed")) + 1));
    }
    return root;
}

bool machine_write(const struct machine *machine, const char *dir)
{
    json_t *root = machine_json(machine);
    char *temporary = NULL, *path = NULL;
    bool written =
        asprintf(&temporary, "%s/machine.json.tmp", dir) >= 0 && asprintf(&path, "%s/machine.json", dir) >= 0;
    FILE *file = written && root ? fopen(temporary, "w") : NULL;
    written = file && !json_dumpf(root, file, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) &&
              fputc('\n', file) != EOF && !fflush(file) && !fsync(fileno(file));
    if (file)
        written = !fclose(file) && written;
    written = written && !rename(temporary, path);
    if (!written)
        fprintf(stderr, "tripass: cannot write %s/machine.json: %m; try -o DIR on a disk with room\n", dir);
    json_decref(root);
    free(temporary);
    free(path);
    return written;
}
