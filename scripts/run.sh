#!/usr/bin/env bash
# The main job, from a bare machine to figures: installs what is missing, builds, measures the default study, draws it.
#
#   scripts/run.sh [--budget=TIME] [-o DIR] [--build=DIR]
#
# The study: a 3x3 stride-1 layer at 28x28 with 16...512 channels at batch 4 and batch 1...32 at 64 channels, and the
# distinct layers of ResNet-50 at batch 2; all implementations, all passes. TIME is what the measuring may take: 10m
# unless given, 1h, or seconds; -o DIR where the results go (results/<machine>/<date>-<commit>), --build=DIR where the
# program is built (build/release). The tree itself is not written to if both are elsewhere.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
self=$(realpath "${BASH_SOURCE[0]}") called_from=$PWD
cd "$(dirname "$self")/.."

fail() {
  echo "run.sh: $*" >&2
  exit 2
}

# here DIRECTORY: as seen from where the script was called.
here() {
  (cd "$called_from" && realpath -m -- "$1")
}

budget=10m out='' build=$PWD/build/release
while [[ $# -gt 0 ]]; do
  case $1 in
  --budget=*) budget=${1#*=} ;;
  --build=?*) build=$(here "${1#*=}") ;;
  -o)
    [[ -n ${2:-} ]] || fail "-o: no directory given; try -o results/mine"
    out=$(here "$2")
    shift
    ;;
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$self"; exit ;;
  *) fail "unknown argument '$1'; try scripts/run.sh --help" ;;
  esac
  shift
done

[[ $budget =~ ^([0-9]{1,6}(\.[0-9]{1,3})?)([smh]?)$ ]] ||
  fail "--budget=$budget: not a time; try --budget=10m, 1.5h or a number of seconds"
declare -A seconds_of=([s]=1 [m]=60 [h]=3600)
seconds=$(awk -v n="${BASH_REMATCH[1]}" -v unit="${seconds_of[${BASH_REMATCH[3]:-s}]}" 'BEGIN { printf "%d", n * unit }')
# The checks and a first sample of everything take half a minute; who types 10 may mean minutes.
[[ $seconds -ge 60 ]] ||
  fail "--budget=$budget: a number alone is seconds, and the study needs 60 at least; try --budget=${BASH_REMATCH[1]}m"

if [[ -z $out ]]; then
  machine=$(LC_ALL=C lscpu | sed -n 's/^Model name: *//p' | tr '[:upper:]' '[:lower:]' | tr -cs '[:alnum:]' - | sed 's/-$//')
  commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
  out=$PWD/results/${machine:-unknown}-$(nproc)cpu/$(date -u +%Y-%m-%d)-$commit
fi
# writable DIRECTORY: makes it.
writable() {
  mkdir -p -- "$1" 2>/dev/null && [[ -w $1 ]]
}
writable "$build" || fail "$build: cannot be written; try --build=DIR, a directory to build in"
writable "$out" || fail "$out: cannot be written; try -o DIR, a directory for the results"

scripts/install.sh build plot
cmake --preset release -B "$build"
cmake --build "$build" --target tripass

# measure NAME SHARE ARGUMENTS...: one of the three studies, in SHARE percent of the time. A point that fails does not
# end the study: its row says why, and this script ends with status 1. Five processes, not eight: to begin a point again
# takes 0.1 s, and of eight the budget would leave out half of the points.
failed=0
measure() {
  local status=0
  "$build/tripass" run -o "$out/$1" --reps=5 --budget=$((seconds * $2 / 100)) "${@:3}" || status=$?
  [[ $status -le 1 ]] || exit "$status"
  failed=$((failed | status))
}
measure channels 30 --aa=direct,onednn --ic=16:512:x2 --oc=ic mb4ic16ih28oc16kh3ph1
measure batch 20 --aa=direct,onednn --mb=1:32:x2 mb1ic64ih28oc64kh3ph1
measure resnet50 50 --aa=direct --mb=2 --batch=resnet50-v1.5

scripts/plot.py "$out" >/dev/null
scripts/verdict.py "$out"
printf '\nPoints, samples and machine, a study each:\n'
ls "$out"/*/{points.csv,samples.csv,machine.json}
printf '\nFigures:\n'
ls "$out"/figures/*
printf '\nThe report, to be opened in a browser:\n'
scripts/report.py "$out"
exit "$failed"
