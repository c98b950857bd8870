#!/usr/bin/env bash
# Installs what the named steps need, by Debian package name: scripts/install.sh build plot check. The list is
# packages.txt; what is installed already stays as it is. Without root or a sudo that asks for no password it only
# says what is missing: status 2. TRIPASS_INSTALL=no trusts you to have it all (another distribution, a cluster).
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

list=$(dirname "${BASH_SOURCE[0]}")/packages.txt
[[ ${TRIPASS_INSTALL:-yes} != no ]] || exit 0

fail() {
  echo "install.sh: $*" >&2
  exit 2
}

for step in "$@"; do
  grep -q "^$step " "$list" || fail "no step named '$step'; try build, plot, learn or check"
done
command -v dpkg-query >/dev/null ||
  fail "this is no Debian system; install the equivalents of $list, then set TRIPASS_INSTALL=no"

missing=()
while read -r step package; do
  [[ " $* " == *" $step "* ]] || continue
  # shellcheck disable=SC2016 # dpkg-query expands the field, not the shell
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done < <(grep -v '^#' "$list")
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=()
if [[ $(id -u) != 0 ]]; then
  as_root=(sudo -n)
  sudo -n true 2>/dev/null || fail "missing packages, and no root to install them: ${missing[*]}"
fi

echo "Installing: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq -o Acquire::Retries=3 </dev/null >&2
"${as_root[@]}" apt-get install -qq -y --no-install-recommends --no-upgrade -o Acquire::Retries=3 "${missing[@]}" </dev/null >&2
