/* Memory that a supervisor shares with its workers, one after the other: what to measure, what runs right now, what is
 * done, and what earlier workers found out that later ones need not find again.
 *
 * An implementation may write anywhere in its process, so also here. The supervisor therefore keeps a board of its own
 * that no worker sees, decides by that alone, and writes what workers rely on into the shared one before each of them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TRIPASS_BOARD_H
#define TRIPASS_BOARD_H

#include "runner.h"

/* What a point takes, seconds: fixed_s for its plan, its memory, what is compared, 0: unknown; and a call. */
struct cost {
    double fixed_s, call_s;
};

/* The arrays are cut by the functions below; all is zero at first. */
struct board {
    const struct study *study;
    struct page *page;
    void *memory;
    size_t bytes;
};

/* A file without a name (memfd), as long as the study's board and never of another length. -1: errno says why. */
int board_file(const struct study *study);

/* Maps such a file; file -1: memory of this process alone. False: errno says why. */
bool board_open(struct board *board, const struct study *study, int file);
void board_close(struct board *board);

/* Copies the layers, what is done and who is no witness: what a worker must be able to rely on. */
void board_publish(const struct board *to, const struct board *from);

/* How many groups (layer, pass) a study has; a group's index is layer * passes + pass. */
int study_groups(const struct study *study);

/* The study's layers, study->layer_count of them. */
struct layer *board_layers(const struct board *board);

/* Per implementation of a group: how many of its rows are written, one an attempt. */
unsigned char *board_done(const struct board *board, int rep, int thread_index, int group);

/* Of a group: true if a process has died while it asked the second witness, which nobody shall ask again. */
bool *board_lone(const struct board *board, int group);

/* Per implementation of a group: the plan that passed the full check in some process, as a hash of its detail; 0:
 * none. */
uint32_t *board_proven(const struct board *board, int thread_index, int group);

/* Per implementation of a group, and behind the last for the truth, which is all fixed: what it took lately, or a pilot
 * run tells. The first repetition, which checks more, has its own. */
struct cost *board_cost(const struct board *board, int rep, int thread_index, int group);

#endif
