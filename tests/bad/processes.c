/* What an implementation does to its process. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "bad.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONG_S = 3600, FEW_FILES = 64, FILES = 1024 };

/* ---- an early end ---- */

BAD(abort, abort());
BAD(exit_0, exit(0));
BAD(exit_2, exit(2));
BAD(exit_127, exit(127));
BAD(raw_exit, _exit(0));
BAD(quick_exit, quick_exit(0));
BAD(exec, execl("/bin/true", "true", (char *)NULL));
BAD(thread_exit, pthread_exit(NULL));
BAD(terminate, raise(SIGTERM));

static const char *plan_exits(struct conv_plan *plan)
{
    (void)plan;
    exit(0);
}

static const char *refuse_exits(const struct conv_problem *problem, enum conv_tensor output)
{
    (void)problem;
    (void)output;
    exit(0);
}

static void copy_in(const struct conv_plan *plan, enum conv_tensor t, const float *plain, float *native)
{
    memcpy(native, plain, plan->bytes[t]);
}

static void copy_out(const struct conv_plan *plan, enum conv_tensor t, const float *native, float *plain)
{
    memcpy(plain, native, plan->bytes[t]);
}

static void import_exits(const struct conv_plan *plan, enum conv_tensor t, const float *plain, float *native)
{
    copy_in(plan, t, plain, native);
    exit(0);
}

static void export_exits(const struct conv_plan *plan, enum conv_tensor t, const float *native, float *plain)
{
    copy_out(plan, t, native, plain);
    exit(0);
}

const struct conv_impl bad_plan_exit_impl = {
    .name = "bad-plan_exit", .family = "bad", .summary = "", .source = "", .plan = plan_exits};
BAD(refuse_exit, (void)0, .refuse = refuse_exits);
BAD(import_exit, (void)0, .import = import_exits, .export = copy_out);
BAD(export_exit, (void)0, .import = copy_in, .export = export_exits);

/* ---- a bad end after good rows ---- */

static void destroy_crashes(struct conv_plan *plan)
{
    (void)plan;
    abort();
}

static void destroy_exits(struct conv_plan *plan)
{
    (void)plan;
    exit(0);
}

static void destroy_hangs(struct conv_plan *plan)
{
    (void)plan;
    sleep(LONG_S);
}

static void end_badly(void)
{
    _exit(2);
}

static void hang(void)
{
    sleep(LONG_S);
}

static void at_exit(void (*what)(void))
{
    static int once;
    if (!once++)
        atexit(what);
}

BAD(destroy_crash, (void)0, .destroy = destroy_crashes);
BAD(destroy_exit, (void)0, .destroy = destroy_exits);
BAD(destroy_hang, (void)0, .destroy = destroy_hangs);
BAD(atexit_2, at_exit(end_badly));
BAD(atexit_crash, at_exit(abort));
BAD(atexit_hang, at_exit(hang));

/* ---- children, descriptors, the shared page ---- */

static void have_children(void)
{
    for (int i = 0; i < 3; i++)
        if (!fork()) {
            sleep(LONG_S);
            _exit(0);
        }
}

static void close_all(void)
{
    for (int file = 0; file < FILES; file++)
        close(file);
}

static void write_everywhere(void)
{
    char garbage[3000];
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (char)(i * 37 + 11);
    for (int file = 3; file < FEW_FILES; file++)
        (void)!write(file, garbage, sizeof garbage);
}

/* Overwrites the memory that worker and supervisor share. */
static void spoil_board(int byte)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (strstr(line, "memfd:tripass") && sscanf(line, "%lx-%lx", &from, &to) == 2)
            memset((void *)from, byte, to - from);
    }
    if (maps)
        fclose(maps);
}

static void fork_once(void)
{
    static int once;
    if (!once++)
        (void)!fork();
}

BAD(children, have_children());
BAD(children_crash, (have_children(), abort()));
BAD(fork_returns, fork_once());
BAD(close_hang, (close_all(), hang()));
BAD(close_all, close_all());
BAD(garbage, write_everywhere());
BAD(board_0, spoil_board(0));
BAD(board_1, spoil_board(1));
BAD(board_ff, spoil_board(255));
BAD(print, (printf("a,line,from,run\n"), fflush(stdout)));
