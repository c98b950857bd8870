# Writes HEADER with this build's version: git describe of SOURCE, or VERSION where there is no repository. At every
# build, not at configure time, and only if it changed. SPDX-License-Identifier: Apache-2.0
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --tags OUTPUT_VARIABLE described
  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(described)
  set(VERSION "${VERSION} (${described})")
endif()
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#define TRIPASS_VERSION \"${VERSION}\"\n")
