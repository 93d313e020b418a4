/* See version.h. The one file compiled with ERRAND_VERSION, so that a new commit recompiles nothing
 * else. SPDX-License-Identifier: Apache-2.0 */
#include "infra/version.h"

const char *version_text(void)
{
    return ERRAND_VERSION;
}
