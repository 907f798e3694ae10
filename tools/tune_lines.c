#include "tools/tune_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/tune.h"

bool omt_lines_path(char path[static 4096], const char *dir, const char *name)
{
    int n = snprintf(path, 4096, "%s/%s", dir, name);
    if (n > 0 && n < 4096)
        return true;
    fprintf(stderr, "omendb: tune: the path of %s is too long\n", name);
    return false;
}

static bool tell_errno(const char *path)
{
    fprintf(stderr, "omendb: tune: %s: %s; check the path, its permissions and the disk\n", path,
            strerror(errno));
    return false;
}

static bool line_take(const char *path, unsigned number, const char *text, size_t size,
                      bool (*line)(void *context, const struct omt_node *node,
                                   char why[static OMT_JSON_WHY]),
                      void *context)
{
    struct omt_json_doc doc;
    char why[OMT_JSON_WHY];
    if (!omt_json_parse(text, size, &doc)) {
        fprintf(stderr, "omendb: tune: %s, line %u: %s; remove that line\n", path, number, doc.why);
        return false;
    }
    bool ok = line(context, doc.root, why);
    omt_json_free(&doc);
    if (!ok)
        fprintf(stderr, "omendb: tune: %s, line %u: %s\n", path, number, why);
    return ok;
}

bool omt_lines_read(const char *path,
                    bool (*line)(void *context, const struct omt_node *node,
                                 char why[static OMT_JSON_WHY]),
                    void *context, uint64_t *whole_out)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t got;
    unsigned number = 0;
    uint64_t whole = 0;
    bool ok = true;
    FILE *in = fopen(path, "rb");
    if (whole_out != NULL)
        *whole_out = 0;
    if (in == NULL)
        return errno == ENOENT || tell_errno(path);
    while (ok && (got = getline(&text, &room, in)) > 0 && text[got - 1] == '\n') {
        whole += (uint64_t)got;
        number++;
        ok = line_take(path, number, text, (size_t)got - 1, line, context);
    }
    if (ok && ferror(in))
        ok = tell_errno(path);
    free(text);
    fclose(in);
    if (whole_out != NULL)
        *whole_out = whole;
    return ok;
}

bool omt_lines_replace(const char *path, void (*write)(void *context, FILE *out), void *context)
{
    char tmp[OMT_TUNE_PATH + 8];
    snprintf(tmp, sizeof(tmp), "%s.tmp", path);
    FILE *out = fopen(tmp, "wb");
    if (out == NULL)
        return tell_errno(tmp);
    write(context, out);
    bool failed = ferror(out) != 0;
    failed |= fclose(out) != 0;
    if (failed || rename(tmp, path) != 0) {
        tell_errno(path);
        unlink(tmp);
        return false;
    }
    return true;
}
