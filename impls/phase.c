/* Off unless the harness says otherwise. SPDX-License-Identifier: Apache-2.0 */
#include "phase.h"

_Thread_local struct phase_clock *phase_clock;
