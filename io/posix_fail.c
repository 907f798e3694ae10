#include "io/env_posix.h"

#include <errno.h>
#include <sys/resource.h>

static unsigned long long open_files_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    return (unsigned long long)limit.rlim_cur;
}

omen_err omi_posix_fail(int errnum, const char *path, const char *doing)
{
    switch (errnum) {
    case ENOENT:
        return OMEN_NOT_FOUND;
    case EEXIST:
        return omi_fail(OMEN_EXISTS, 0, "%s: %s: it is there already", path, doing);
    case ENOSPC:
    case EDQUOT:
        return omi_fail(OMEN_FULL, errnum, "%s: %s", path, doing);
    case EROFS:
        return omi_fail(OMEN_READ_ONLY, errnum, "%s: %s", path, doing);
    case ENOMEM:
        return omi_fail(OMEN_NO_MEMORY, errnum, "%s: %s", path, doing);
    case EMFILE:
        return omi_fail(OMEN_IO, 0,
                        "%s: %s: this process has reached its limit of %llu open files; raise it "
                        "(ulimit -n) or use larger table files",
                        path, doing, open_files_max());
    case ENFILE:
        return omi_fail(OMEN_IO, 0,
                        "%s: %s: the system has reached its limit of open files; raise it "
                        "(sysctl fs.file-max)",
                        path, doing);
    case ELOOP:
        return omi_fail(OMEN_IO, 0, "%s: %s: it is a symbolic link, which is refused", path, doing);
    case EACCES:
    case EPERM:
        return omi_fail(OMEN_IO, errnum, "%s: %s (check owner and mode)", path, doing);
    default:
        return omi_fail(OMEN_IO, errnum, "%s: %s", path, doing);
    }
}
