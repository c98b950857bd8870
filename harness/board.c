/* See board.h. SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "board.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int study_groups(const struct study *study)
{
    return study->layer_count * study->output_count;
}

/* The page, then costs, proofs, layers, done, lone: the wider a type, the earlier, so that each lies aligned. The last
 * three are what is published. */
static size_t cost_count(const struct study *study)
{
    return 2 * (size_t)study->thread_count * (size_t)study_groups(study) * (size_t)(study->impl_count + 1);
}

static size_t proven_count(const struct study *study)
{
    return (size_t)study->thread_count * (size_t)study_groups(study) * (size_t)study->impl_count;
}

static size_t done_count(const struct study *study)
{
    return proven_count(study) * (size_t)study->repetitions;
}

static struct cost *costs(const struct board *board)
{
    return (struct cost *)(void *)(board->page + 1);
}

static uint32_t *proofs(const struct board *board)
{
    return (uint32_t *)(void *)(costs(board) + cost_count(board->study));
}

struct layer *board_layers(const struct board *board)
{
    return (struct layer *)(void *)(proofs(board) + proven_count(board->study));
}

static unsigned char *done(const struct board *board)
{
    return (unsigned char *)(board_layers(board) + board->study->layer_count);
}

static size_t board_bytes(const struct study *study)
{
    return sizeof(struct page) + cost_count(study) * sizeof(struct cost) +
           proven_count(study) * sizeof(uint32_t) + (size_t)study->layer_count * sizeof(struct layer) +
           done_count(study) + (size_t)study_groups(study) * sizeof(bool);
}

/* The seals: whoever maps the file can rely on its length, whatever another process does to it. */
int board_file(const struct study *study)
{
    const int file = memfd_create("tripass", MFD_ALLOW_SEALING);
    if (file >= 0 && !ftruncate(file, (off_t)board_bytes(study)) &&
        !fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return file;
    if (file >= 0)
        close(file);
    return -1;
}

bool board_open(struct board *board, const struct study *study, int file)
{
    struct stat status;
    *board = (struct board){.study = study, .bytes = board_bytes(study)};
    if (file >= 0 && (fstat(file, &status) || status.st_size != (off_t)board->bytes)) {
        errno = EINVAL;
        return false;
    }
    board->memory = mmap(NULL, board->bytes, PROT_READ | PROT_WRITE,
                         file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, file, 0);
    board->page = board->memory;
    return board->memory != MAP_FAILED;
}

void board_close(struct board *board)
{
    munmap(board->memory, board->bytes);
}

void board_publish(const struct board *to, const struct board *from)
{
    const char *begin = (const char *)board_layers(from);
    memcpy(board_layers(to), begin, from->bytes - (size_t)(begin - (const char *)from->memory));
}

static size_t group_place(const struct board *board, int thread_index, int group)
{
    return ((size_t)thread_index * (size_t)study_groups(board->study) + (size_t)group) *
           (size_t)board->study->impl_count;
}

unsigned char *board_done(const struct board *board, int rep, int thread_index, int group)
{
    return done(board) + (size_t)rep * proven_count(board->study) + group_place(board, thread_index, group);
}

bool *board_lone(const struct board *board, int group)
{
    return (bool *)(done(board) + done_count(board->study)) + group;
}

uint32_t *board_proven(const struct board *board, int thread_index, int group)
{
    return proofs(board) + group_place(board, thread_index, group);
}

struct cost *board_cost(const struct board *board, int rep, int thread_index, int group)
{
    const size_t half = cost_count(board->study) / 2;
    return costs(board) + (rep > 0 ? half : 0) + group_place(board, thread_index, group) +
           (size_t)thread_index * (size_t)study_groups(board->study) + (size_t)group;
}
