/* file_kind.h - the names of a database's files, and what each is. */
#ifndef OMI_FILE_KIND_H
#define OMI_FILE_KIND_H

#include <stdint.h>

enum omi_file_kind {
    OMI_FILE_OTHER,    /* not the database's */
    OMI_FILE_TABLE,    /* NNNNNN.sst */
    OMI_FILE_LOG,      /* NNNNNN.log */
    OMI_FILE_MANIFEST, /* MANIFEST-NNNNNN */
    OMI_FILE_OURS,     /* the fixed names, and what a replacement left */
    OMI_FILE_BAD       /* one of these, set aside by a repair: NAME.bad */
};
/* number_out: of a name with one, set aside or not; 0 otherwise. */
enum omi_file_kind omi_file_kind(const char *name, uint64_t *number_out);

/* What a repair renames a damaged file to: opening leaves it alone, omen_destroy removes it. */
#define OMI_BAD_SUFFIX ".bad"

#endif
