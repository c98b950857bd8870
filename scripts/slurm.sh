#!/usr/bin/env bash
# A study on a cluster, as a SLURM job array: each task measures one part (--shard), the last command puts the parts
# together. Build first (cmake --preset release), then, from the top of the tree:
#
#   sbatch --array=1-4 --exclusive scripts/slurm.sh DIR ARGUMENTS...
#   scripts/merge.py DIR/merged DIR/part-*
#
# ARGUMENTS are those of tripass run but for -o, --shard and --resume; --budget is each part's. A task that SLURM
# stops and requeues goes on where it was (sbatch --requeue --open-mode=append). Nodes should be of one kind, whole
# (--exclusive), and named by --constraint or --nodelist where a cluster mixes kinds. TRIPASS=PATH names another program.
#
#SBATCH --job-name=tripass
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --hint=nomultithread
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

fail() {
  echo "slurm.sh: $*" >&2
  exit 2
}

[[ $# -ge 2 ]] || fail "no directory or no study given; try sbatch --array=1-4 scripts/slurm.sh DIR --batch=resnet50-v1.5"
[[ -n ${SLURM_ARRAY_TASK_ID:-} ]] || fail "not in a job array; try sbatch --array=1-4 scripts/slurm.sh ..."
[[ ${SLURM_ARRAY_TASK_MIN:-} == 1 && ${SLURM_ARRAY_TASK_MAX:-} == "${SLURM_ARRAY_TASK_COUNT:=1}" ]] ||
  fail "the array must count from 1 without gaps; try --array=1-$SLURM_ARRAY_TASK_COUNT"
out=$1
shift
exec "${TRIPASS:-build/release/tripass}" run "$@" --shard="$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
  -o "$out/part-$SLURM_ARRAY_TASK_ID" --resume
