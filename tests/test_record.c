/* Rows: what is written can be read back, field for field. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "record.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* RFC 4180, read by its grammar: cuts `line` into fields in place and returns how many. */
static int parse(char *line, char *fields[], int most)
{
    int count = 0;
    for (char *in = line;;) {
        char *out = in;
        assert_true(count < most);
        fields[count++] = out;
        if (*in == '"') {
            for (in++; *in != '"' || in[1] == '"'; in++) {
                assert_true(*in);
                in += *in == '"';
                *out++ = *in;
            }
            in++;
        } else {
            while (*in && *in != ',' && *in != '\n')
                *out++ = *in++;
        }
        const char end = *in;
        *out = '\0';
        if (end != ',')
            return count;
        in++;
    }
}

static void fields_survive(void **state)
{
    static const char *const texts[] = {"plain",      "",         "a,b", "say \"no\"", "\"",
                                        "line\nfeed", " spaces ", "\r",  "\",\""};
    enum { FIELDS = sizeof texts / sizeof *texts };
    char *line, *fields[FIELDS];
    size_t bytes;
    (void)state;
    FILE *file = open_memstream(&line, &bytes);
    for (int i = 0; i < FIELDS; i++) {
        if (i)
            putc(',', file);
        csv_field(file, texts[i]);
    }
    putc('\n', file);
    fclose(file);
    assert_int_equal(parse(line, fields, FIELDS), FIELDS);
    for (int i = 0; i < FIELDS; i++)
        assert_string_equal(fields[i], texts[i]);
    free(line);
}

/* The columns that others rely on, by name: more may come, none may go. */
static const char required[] =
    "impl family pass problem name mult g mb ic ih iw oc oh ow kh kw sh sw ph pw dh dw threads rep isa cache "
    "bias act "
    "status reason detail err_reference err_onednn tolerance compared summed n t_min_s t_median_s t_lo_s "
    "t_hi_s t_import_s t_export_s t_sgd_s gflops pct_peak flop flop_valid native_bytes scratch_bytes pinned "
    "handoff_ns handoff_spread";

/* A row as it is read back. */
struct table {
    char *text, *names[80], *values[80];
    int columns;
};

static struct table written(const struct point *point)
{
    struct table table;
    size_t bytes;
    FILE *file = open_memstream(&table.text, &bytes);
    point_print_header(file);
    fflush(file);
    const size_t header = bytes;
    point_print(file, point);
    fclose(file);
    table.text[header - 1] = '\0';
    table.columns = parse(table.text, table.names, 80);
    assert_int_equal(parse(table.text + header, table.values, 80), table.columns);
    return table;
}

/* The value of a column that must be there once. */
static const char *value(const struct table *table, const char *name)
{
    const char *found = NULL;
    for (int i = 0; i < table->columns; i++)
        if (!strcmp(table->names[i], name)) {
            assert_null(found);
            found = table->values[i];
        }
    assert_non_null(found);
    return found;
}

static void points(void **state)
{
    static const char *const expected[][2] = {
        {"impl", "some"},
        {"pass", "upd"},
        {"name", "res2,\"b\""},
        {"mult", "3"},
        {"ic", "64"},
        {"dw", "0"},
        {"rep", "2"},
        {"isa", "avx2"},
        {"cache", "warm"},
        {"status", "FAIL"},
        {"reason", "1 of 2"},
        {"err_reference", ""},
        {"t_lo_s", ""},
        {"t_median_s", "0.00123456789"},
        {"native_bytes", "12345678901"},
        {"flop", "1849688064"},
        {"bytes_compulsory", "12992512"}, /* 4 * (2 * 8*64*56*56 + 64*64*3*3) */
        {"intensity", "142.3657"},
        {"pinned", ""},
        {"handoff_ns", "55.25"},
        {"handoff_spread", ""},
        {"seed", "18446744073709551615"},
        {"problem", "mb8ic64ih56oc64oh56kh3ph1"},
    };
    const struct conv_impl impl = {.name = "some", .family = "test"};
    const struct layer layer = {{1, 8, 64, 56, 56, 64, 56, 56, 3, 3, 1, 1, 1, 1, 0, 0}, "res2,\"b\"", 3};
    const struct study study = {.isa = ISA_AVX2, .seed = UINT64_MAX};
    (void)state;
    struct point point = point_of(&study, &layer, CONV_WEI, &impl);
    point.time.median = 0.00123456789012;
    point.native_bytes = 12345678901;
    point.rep = 2;
    point.handoff_ns = 55.25;
    point_set_status(&point, STATUS_FAIL, "%d of %d", 1, 2);
    struct table table = written(&point);
    for (size_t e = 0; e < sizeof expected / sizeof *expected; e++)
        assert_string_equal(value(&table, expected[e][0]), expected[e][1]);
    char *names = strdup(required);
    for (char *name = strtok(names, " "); name; name = strtok(NULL, " "))
        value(&table, name);
    free(names);
    free(table.text);
}

static void samples(void **state)
{
    const struct sample sample = {"some", "fwd", "mb1ic3", 2, 1, 0, 4, 3, 0.5, 55.25},
                        alone = {"some", "fwd", "mb1ic3", 1, 1, 0, 4, 3, 0.5, (double)NAN};
    char *text;
    size_t bytes;
    (void)state;
    FILE *file = open_memstream(&text, &bytes);
    sample_print_header(file);
    sample_print(file, &sample);
    sample_print(file, &alone);
    fclose(file);
    assert_string_equal(text, "impl,pass,problem,threads,rep,round,order,t_s,attempt,handoff_ns\n"
                              "some,fwd,mb1ic3,2,1,4,3,0.5,0,55.25\n"
                              "some,fwd,mb1ic3,1,1,4,3,0.5,0,\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields_survive), cmocka_unit_test(points),
                                       cmocka_unit_test(samples)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
