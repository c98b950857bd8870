#!/usr/bin/env bash
# Installs what is missing, builds the release preset and runs all tests. Arguments go to ctest: scripts/test.sh -L unit
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install.sh build plot learn
cmake --preset release
cmake --build --preset release
ctest --preset release "$@"
