/* Breaking the product on purpose: what its tests are worth is shown by what they catch. In the
 * build MODE=mutant, MUTANT(name) is true when ERRAND_MUTANT names it; in every other build it is
 * the constant false, and the compiler leaves the broken way out. docs/MUTANTS.md says what each
 * breaks and which test catches it; `make mutants` runs them. thread: any SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef SCHEMAS_MUTANT_H
#define SCHEMAS_MUTANT_H

#include <stdbool.h>

#ifdef ERRAND_MUTANTS
bool mutant_is_on(const char *name);
#define MUTANT(name) mutant_is_on(#name)
#else
#define MUTANT(name) false
#endif

#endif
