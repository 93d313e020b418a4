/* See mutant.h. SPDX-License-Identifier: Apache-2.0 */
#include "schemas/mutant.h"

#ifdef ERRAND_MUTANTS
#include <stdlib.h>
#include <string.h>

bool mutant_is_on(const char *name)
{
    const char *chosen = getenv("ERRAND_MUTANT");
    return chosen && strcmp(chosen, name) == 0;
}
#else
typedef int mutant_none; /* a translation unit may not be empty */
#endif
