/* See board.h. SPDX-License-Identifier: Apache-2.0 */
#include "board.h"

#include <sys/mman.h>
#include <unistd.h>

int study_groups(const struct study *study)
{
    return study->layer_count * study->output_count;
}

/* The page, then costs, uint32_t and char, so that each lies aligned. */
static size_t cost_count(const struct study *study)
{
    return 2 * (size_t)study->thread_count * (size_t)study_groups(study) * (size_t)(study->impl_count + 1);
}

static size_t proven_count(const struct study *study)
{
    return (size_t)study->thread_count * (size_t)study_groups(study) * (size_t)study->impl_count;
}

static struct cost *costs(const struct board *board)
{
    return (struct cost *)(void *)(board->page + 1);
}

static uint32_t *proofs(const struct board *board)
{
    return (uint32_t *)(void *)(costs(board) + cost_count(board->study));
}

bool board_open(struct board *board, const struct study *study, int file)
{
    const size_t proven = proven_count(study);
    *board = (struct board){.study = study,
                            .bytes = sizeof(struct page) + cost_count(study) * sizeof(struct cost) +
                                     proven * sizeof(uint32_t) + proven * (size_t)study->repetitions};
    if (file < 0 || ftruncate(file, (off_t)board->bytes))
        return false;
    board->memory = mmap(NULL, board->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    board->page = board->memory;
    return board->memory != MAP_FAILED;
}

void board_close(struct board *board)
{
    munmap(board->memory, board->bytes);
}

static size_t group_place(const struct board *board, int thread_index, int group)
{
    return ((size_t)thread_index * (size_t)study_groups(board->study) + (size_t)group) *
           (size_t)board->study->impl_count;
}

unsigned char *board_done(const struct board *board, int rep, int thread_index, int group)
{
    const size_t proven = proven_count(board->study);
    return (unsigned char *)(proofs(board) + proven) + (size_t)rep * proven +
           group_place(board, thread_index, group);
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
