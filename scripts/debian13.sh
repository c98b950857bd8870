#!/usr/bin/env bash
# The tests on a newer Debian, and so with oneDNN 3: scripts/debian13.sh [--suite=trixie|sid] DIR. Makes DIR a Debian
# tree with what scripts/test.sh needs (one that is there already is used again), copies the source in, and runs
# scripts/test.sh there. Needs root. TRIPASS_TEST_PROBLEMS goes along.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

fail() {
  echo "debian13.sh: $*" >&2
  exit 2
}

suite=trixie dir=
for argument in "$@"; do
  case $argument in
    --suite=*) suite=${argument#*=} ;;
    -*) fail "no option $argument; try --suite=trixie or --suite=sid" ;;
    *) [[ -z $dir ]] || fail "one directory, not '$dir' and '$argument'"; dir=$(realpath -m "$argument") ;;
  esac
done
[[ -n $dir ]] || fail "no directory for the tree; try scripts/debian13.sh build/debian13"
[[ $(id -u) == 0 ]] || fail "a Debian tree needs root; try sudo"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ! -e $dir ]]; then
  command -v debootstrap >/dev/null || scripts/install.sh check
  # automake: debootstrap does not resolve the virtual automake-1.17 that libhwloc-dev's libltdl-dev depends on.
  packages=$(awk '$1 == "build" || $1 == "plot" { print $2 }' scripts/packages.txt | paste -sd,),automake
  mkdir -p "$dir"
  debootstrap --variant=minbase --include="$packages" "$suite" "$dir" >"$dir.log" ||
    fail "debootstrap failed: see $dir.log and $dir/debootstrap/debootstrap.log, then remove $dir"
fi
[[ -e $dir/etc/debian_version && ! -e $dir/debootstrap ]] || fail "$dir is no finished Debian tree; try another directory"

rm -rf "$dir/tripass"
mkdir "$dir/tripass"
tar -c --exclude=./.git --exclude=./build --exclude=./results . | tar -x -C "$dir/tripass"
# The mounts are in a name space of their own and go with it.
# shellcheck disable=SC2016 # the inner shell expands $0
unshare --mount bash -euc '
  mount -t proc proc "$0/proc"
  mount -t sysfs -o ro sys "$0/sys"
  exec chroot "$0" env -i PATH=/usr/bin:/bin HOME=/root LC_ALL=C.UTF-8 TRIPASS_INSTALL=no \
    ${TRIPASS_TEST_PROBLEMS:+TRIPASS_TEST_PROBLEMS=$TRIPASS_TEST_PROBLEMS} /tripass/scripts/test.sh -LE system
' "$dir"
