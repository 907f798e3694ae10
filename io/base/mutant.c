#include "io/base/mutant.h"

#ifdef OMI_MUTANTS_BUILD
#include <stdlib.h>

int omi_mutant_is(enum omi_mutant m)
{
    static int chosen = -1;
    if (chosen < 0) {
        const char *text = getenv("OMENDB_MUTANT");
        chosen = text != NULL ? atoi(text) : 0;
    }
    return chosen == (int)m;
}
#else
typedef int omi_mutant_unused; /* a translation unit is never empty */
#endif
