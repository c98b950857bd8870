#!/usr/bin/env bash
# The main job, from a bare machine to figures: installs what is missing, builds, measures the default study, draws it.
#
#   scripts/run.sh [--budget=MINUTES] [-o DIR]
#
# The study: a 3x3 stride-1 layer at 28x28 with 16...512 channels at batch 4 and batch 1...32 at 64 channels, and the
# distinct layers of ResNet-50 at batch 2; all implementations, all passes. MINUTES is what the measuring may take
# (10 unless given), DIR where the results go (results/<machine>/<date>-<commit>).
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
self=$(realpath "${BASH_SOURCE[0]}") called_from=$PWD
cd "$(dirname "$self")/.."

fail() {
  echo "run.sh: $*; try scripts/run.sh --help" >&2
  exit 2
}

minutes=10 out=
while [[ $# -gt 0 ]]; do
  case $1 in
  --budget=*) minutes=${1#*=} ;;
  -o)
    [[ $# -gt 1 ]] || fail "-o: no directory given"
    out=$(cd "$called_from" && realpath -m "$2")
    shift
    ;;
  -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$self"; exit ;;
  *) fail "unknown argument '$1'" ;;
  esac
  shift
done
[[ $minutes =~ ^[1-9][0-9]{0,3}$ ]] || fail "--budget=$minutes: not a whole number of minutes, 1 to 9999"

scripts/install.sh build plot
cmake --preset release
cmake --build --preset release

if [[ -z $out ]]; then
  machine=$(LC_ALL=C lscpu | sed -n 's/^Model name: *//p' | tr '[:upper:]' '[:lower:]' | tr -cs '[:alnum:]' - | sed 's/-$//')
  commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
  out=results/${machine:-unknown}-$(nproc)cpu/$(date -u +%Y-%m-%d)-$commit
fi

# measure NAME SHARE ARGUMENTS...: one of the three studies, in SHARE percent of the time. A point that fails does not
# end the study: its row says why, and this script ends with status 1. Five processes, not eight: to begin a point again
# takes 0.1 s, and of eight the budget would leave out half of the points.
failed=0
measure() {
  local status=0
  build/release/tripass run -o "$out/$1" --reps=5 --budget=$((minutes * 60 * $2 / 100)) "${@:3}" || status=$?
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
