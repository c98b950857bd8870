#!/usr/bin/env bash
# What continuous integration adds to the tests. scripts/check.sh runs every section, scripts/check.sh format asan just
# those. A section is a function check_NAME below. All of them run, even after one has failed; a table of results and
# times ends it.
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2317 # the sections are called by name
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

sections=(format text shell python tables report layers gcc clang asan avx512 nehalem readme slurm debian13)

# Sanitizers and emulators are slow: fewer random problems than the default in tests/support.h.
few_problems=30

# no_match WHAT PATTERN PATHSPEC...: tracked text files that match are shown and fail the section.
no_match() {
  local status=0
  git grep -nIP "$2" -- "${@:3}" || status=$?
  [[ $status == 1 ]] || { echo "found: $1"; return 1; } # 1: no line matches; more: git grep failed
}

# built PRESET OPTION...: configures and builds a preset.
built() {
  cmake --preset "$1" "${@:2}"
  cmake --build --preset "$1"
}

check_format() {
  git ls-files '*.[ch]' | xargs clang-format --dry-run -Werror
}

check_text() {
  no_match "tab, trailing blank or carriage return" '\t|\r| $' . ':!LICENSE' ':!results'
  local unlicensed
  unlicensed=$(git ls-files '*.[ch]' '*.sh' '*.py' | xargs grep -L 'SPDX-License-Identifier: Apache-2.0' || true)
  [[ -z $unlicensed ]] || { printf 'no license line: %s\n' "$unlicensed"; return 1; }
}

check_shell() {
  git ls-files '*.sh' .ci/run | xargs shellcheck
}

check_python() {
  git ls-files '*.py' | xargs pyflakes3
}

# The tables under results/ are what versus.py makes of the studies beside them.
check_tables() {
  local tables table
  tables=$(git ls-files 'results/*/versus.txt')
  [[ -n $tables ]] || { echo "no versus.txt under results/"; return 1; }
  for table in $tables; do
    echo "$table"
    scripts/versus.py "$(dirname "$table")" | diff "$table" -
  done
}

# In headless Chromium; where that is missing the test skips itself, here it must not.
check_report() {
  /usr/bin/python3 -B tests/test_report.py
}

# Data flows one way: impls includes nothing of harness, harness nothing of nn, nn nothing of bench. The include paths of CMakeLists.txt
# enforce it by not compiling; this catches a way around them.
check_layers() {
  local rooms=(bench nn harness impls) above=() room upward
  no_match "include by a relative path" '#\s*include\s*"[^"]*\.\./' "${rooms[@]}"
  for room in "${rooms[@]}"; do
    if [[ ${#above[@]} -gt 0 ]]; then
      upward=$(git ls-files "${above[@]/%//*.h}" | xargs -r -n1 basename | paste -sd '|')
      no_match "$room includes what stands above it" "#\s*include\s*\"($upward)\"" "$room"
    fi
    above+=("$room")
  done
}

check_gcc() {
  cmake -B build/gcc -G Ninja -DCMAKE_C_COMPILER=gcc -DTRIPASS_WERROR=ON
  cmake --build build/gcc
}

# Compiled and linked, not run: clang's libomp and the libgomp that Debian's oneDNN and OpenBLAS bring would be two
# OpenMP runtimes in one process.
check_clang() {
  cmake -B build/clang -G Ninja -DCMAKE_C_COMPILER=clang -DTRIPASS_WERROR=ON
  cmake --build build/clang
}

check_asan() {
  built asan
  TRIPASS_TEST_PROBLEMS=$few_problems ctest --preset asan -LE 'scripts|system' # Python is not compiled; whole studies are slow
}

# The AVX-512 bodies, 16 floats to a vector, compiled to AVX2 instructions.
check_avx512() {
  built avx512-emulated
  TRIPASS_TEST_PROBLEMS=$few_problems ctest --preset avx512-emulated -L 'registry|unit'
}

# A CPU without AVX: an instruction beyond the baseline outside the kernels of its ISA would be SIGILL.
check_nehalem() {
  built release
  local test
  for test in test_isa test_golden test_reference; do
    TRIPASS_TEST_PROBLEMS=5 OMP_WAIT_POLICY=passive qemu-x86_64 -cpu Nehalem "build/release/tests/$test"
  done
}

# The README's example of an implementation, added to a copy of the tree as the README says.
check_readme() {
  local copy=build/readme
  rm -rf "$copy"
  mkdir -p "$copy/impls/rows"
  git ls-files | grep -v '^results/' | tar -c -T - | tar -x -C "$copy"
  # shellcheck disable=SC2016 # the fences of a code block
  sed -n '/^```c$/,/^```$/{/^```/d;p}' README.md >"$copy/impls/rows/rows.c"
  clang-format --dry-run -Werror "$copy/impls/rows/rows.c"
  sed -i -e 's/^extern const struct conv_impl reference_impl;/&\nextern const struct conv_impl rows_impl;/' \
    -e 's/^    &reference_impl,/&\n    \&rows_impl,/' "$copy/impls/registry.c"
  (
    cd "$copy"
    built release -DTRIPASS_WERROR=ON
    build/release/tripass list | grep -w rows
    build/release/tripass check --impl=rows --batch=tails >check.csv
    grep -c '^rows,direct,fwd,.*,OK,' check.csv # none: status 1
    TRIPASS_TEST_FILTER='*rows*' ctest --preset release -L registry
  )
}

# A job array on a SLURM of one machine.
check_slurm() {
  built release
  tests/test_slurm.sh build/release/tripass
}

check_debian13() {
  TRIPASS_TEST_PROBLEMS=$few_problems scripts/debian13.sh build/debian13
}

wanted=("$@")
[[ $# -gt 0 ]] || wanted=("${sections[@]}")
for name in "${wanted[@]}"; do
  if [[ " ${sections[*]} " != *" $name "* ]]; then
    echo "check.sh: no section '$name'; try ${sections[*]}" >&2
    exit 2
  fi
done

scripts/install.sh build plot check
failed=0
summary=
for name in "${wanted[@]}"; do
  printf '\n== %s ==\n' "$name"
  start=$SECONDS
  set +e # a subshell of its own, not in a condition, so that it stops at its first error
  (
    set -e
    "check_$name"
  )
  status=$?
  set -e
  [[ $status == 0 ]] || failed=1
  summary+=$(printf '%-10s %-6s %4d s' "$name" "$([[ $status == 0 ]] && echo ok || echo FAILED)" $((SECONDS - start)))$'\n'
done
printf '\n%s' "$summary"
exit "$failed"
