/* What an implementation does to its process. SPDX-License-Identifier: Apache-2.0 */
#include "bad.h"

#include <stdlib.h>

BAD(abort, abort());
