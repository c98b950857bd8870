#!/usr/bin/env bash
# A real SLURM on this machine alone (munged, slurmctld, slurmd in the foreground, all files in a temporary directory)
# runs scripts/slurm.sh as a job array, one task of which is killed and requeued; then the parts are merged.
# usage: test_slurm.sh PATH/TO/tripass. SPDX-License-Identifier: Apache-2.0
set -euo pipefail
tripass=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dir=$(mktemp -d)
host=$(hostname -s)
daemons=()

finish() {
  local status=$?
  [[ $status == 0 ]] || tail -n 15 "$dir"/*.log "$dir"/job-*.txt 2>/dev/null || true
  [[ ${#daemons[@]} == 0 ]] || kill "${daemons[@]}" 2>/dev/null || true
  wait
  rm -rf "$dir"
  exit "$status"
}
trap finish EXIT

# wait_for WHAT COMMAND...: until the command succeeds, a minute at most.
wait_for() {
  local try
  for ((try = 0; try < 300; try++)); do
    ! "${@:2}" >/dev/null 2>&1 || return 0
    sleep 0.2
  done
  echo "waited a minute in vain for $1"
  return 1
}

umask 077
chmod 755 "$dir"
mkdir "$dir/state" "$dir/spool" "$dir/munge"
chmod 755 "$dir/munge"
head -c 1024 /dev/urandom >"$dir/munge.key"
cat >"$dir/slurm.conf" <<END
ClusterName=tripass
SlurmctldHost=$host(localhost)
SlurmctldPort=$((20000 + $$ % 10000))
SlurmdPort=$((30000 + $$ % 10000))
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
CredType=cred/munge
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
JobRequeue=1
ReturnToService=2
SchedulerParameters=sched_interval=1,batch_sched_delay=1
NodeName=$host NodeAddr=localhost CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
export SLURM_CONF=$dir/slurm.conf

munged --foreground --force --socket="$dir/munge/socket" --key-file="$dir/munge.key" --pid-file="$dir/munged.pid" \
  --log-file="$dir/munged.log" --seed-file="$dir/munge.seed" 2>"$dir/munged.log" &
daemons+=($!)
wait_for munged munge --no-input --socket="$dir/munge/socket"
slurmctld -D >"$dir/slurmctld.log" 2>&1 &
daemons+=($!)
wait_for slurmctld scontrol ping
slurmd -D -N "$host" >"$dir/slurmd.log" 2>&1 &
daemons+=($!)
wait_for "the node" bash -c 'sinfo --noheader --format=%T | grep -q idle'

study=('--impl=direct,im2col' --threads=1 --samples=2 --reps=2 --mb=1:4 mb1ic16ih14oc16kh3ph1)
job=$(TRIPASS=$tripass sbatch --parsable --array=1-2 --exclusive --requeue --open-mode=append \
  --output="$dir/job-%a.txt" --chdir="$PWD" scripts/slurm.sh "$dir/out" "${study[@]}")
wait_for "a first row" bash -c "[[ \$(cat '$dir/out/part-1/points.csv' | wc -l) -gt 1 ]]"
scontrol requeue "${job}_1"
ended() {
  scontrol update job="${job}_1" starttime=now || true # a requeued task would wait for two minutes
  [[ -z $(squeue --noheader --job="$job") ]]
}
wait_for "the array" ended

scripts/merge.py "$dir/merged" "$dir"/out/part-*
points=$((4 * 3 * 2 * 2)) # problems, passes, implementations, processes
[[ $(wc -l <"$dir/merged/points.csv") == $((points + 1)) ]]
[[ $(wc -l <"$dir/merged/samples.csv") == $((2 * points + 1)) ]]
grep -q '"resumed": 1' "$dir/out/part-1/machine.json"
echo "slurm: $points points by two tasks, one of them requeued"
