#include "tests/fuzz/image.h"

#include "io/base/coding.h"
#include "lsm/wal_format.h"
#include "tests/fuzz/mend.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_BYTES = 64 };

/* ---- files ----------------------------------------------------------------------------------- */

uint32_t image_cut(uint8_t *data, size_t size, struct image_file files[static IMAGE_FILES_MAX])
{
    uint32_t count = 0;
    for (size_t at = 0; size - at > IMAGE_HEAD_BYTES && count < IMAGE_FILES_MAX;) {
        size_t left = size - at - IMAGE_HEAD_BYTES, bytes = omi_get_u16(data + at + 2);
        bytes = bytes < left ? bytes : left;
        files[count++] = (struct image_file){.kind = (enum image_kind)(data[at] % IMAGE_KINDS),
                                             .number = data[at + 1],
                                             .bytes = data + at + IMAGE_HEAD_BYTES,
                                             .size = bytes};
        at += IMAGE_HEAD_BYTES + bytes;
    }
    return count;
}

static void file_name(const struct image_file *f, char name[static NAME_BYTES])
{
    static const char *const others[] = {"LOCK",  "LOG",         "LOG.old",   "RESERVE",
                                         "STATS", "CURRENT.tmp", "STATS.tmp", "stranger"};
    switch (f->kind) {
    case IMAGE_MANIFEST:
        snprintf(name, NAME_BYTES, "MANIFEST-%06u", f->number);
        break;
    case IMAGE_TABLE:
        snprintf(name, NAME_BYTES, "%06u.sst", f->number);
        break;
    case IMAGE_LOG:
        snprintf(name, NAME_BYTES, "%06u.log", f->number);
        break;
    case IMAGE_CURRENT:
        snprintf(name, NAME_BYTES, "CURRENT");
        break;
    default:
        snprintf(name, NAME_BYTES, "%s", others[f->number % (sizeof(others) / sizeof(others[0]))]);
        break;
    }
}

static void log_write(struct omi_dir *dir, const char *name, const struct image_file *f)
{
    uint8_t flags = f->size > 0 ? f->bytes[0] : 0;
    size_t frames = f->size > IMAGE_LOG_PACKED ? f->size - IMAGE_LOG_PACKED : 0;
    size_t header = f->size == 0 ? 0 : f->size - 1 < 64 ? f->size - 1 : 64;
    uint8_t *bytes = calloc(1, OMI_WAL_FIRST_FRAME + frames);
    FUZZ_CHECK(bytes != NULL);
    if ((flags & IMAGE_LOG_HEADER) != 0)
        memcpy(bytes, f->bytes + 1, header);
    if ((flags & IMAGE_LOG_COPY) != 0)
        memcpy(bytes + OMI_WAL_HEADER_COPY, f->bytes + 1, header);
    if (frames != 0)
        memcpy(bytes + OMI_WAL_FIRST_FRAME, f->bytes + IMAGE_LOG_PACKED, frames);
    bool is_short = (flags & IMAGE_LOG_SHORT) != 0;
    fuzz_file_write(dir, name, bytes,
                    is_short ? frames % OMI_WAL_FIRST_FRAME : OMI_WAL_FIRST_FRAME + frames);
    free(bytes);
}

void image_write(struct omi_dir *dir, const struct image_file *f)
{
    char name[NAME_BYTES];
    file_name(f, name);
    if (f->kind == IMAGE_LOG)
        log_write(dir, name, f);
    else
        fuzz_file_write(dir, name, f->bytes, f->size);
}

bool image_append(uint8_t *data, size_t *size, size_t max_size, enum image_kind kind,
                  unsigned number, const uint8_t *bytes, size_t count)
{
    bool packed = kind == IMAGE_LOG;
    if (packed && count < OMI_WAL_FIRST_FRAME)
        return false;
    size_t stored = packed ? count - OMI_WAL_FIRST_FRAME + IMAGE_LOG_PACKED : count;
    if (stored > IMAGE_FILE_BYTES_MAX || *size + IMAGE_HEAD_BYTES + stored > max_size)
        return false;
    uint8_t *p = data + *size;
    *p++ = (uint8_t)kind;
    *p++ = (uint8_t)number;
    omi_put_u16(p, (uint16_t)stored);
    p += 2;
    if (packed) {
        *p++ = IMAGE_LOG_HEADER | IMAGE_LOG_COPY;
        memcpy(p, bytes, OMI_WAL_HEADER_BYTES);
        p += OMI_WAL_HEADER_BYTES;
        bytes += OMI_WAL_FIRST_FRAME;
        count -= OMI_WAL_FIRST_FRAME;
    }
    memcpy(p, bytes, count);
    *size += IMAGE_HEAD_BYTES + stored;
    return true;
}

/* ---- mutating -------------------------------------------------------------------------------- */

static void image_mend(uint8_t *data, size_t size)
{
    struct image_file files[IMAGE_FILES_MAX];
    uint32_t count = image_cut(data, size, files);
    uint64_t chain = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct image_file *f = &files[i];
        if (f->kind == IMAGE_MANIFEST)
            mend_manifest(f->bytes, f->size);
        else if (f->kind == IMAGE_TABLE)
            mend_table(f->bytes, f->size);
        else if (f->kind == IMAGE_LOG && f->size >= IMAGE_LOG_PACKED)
            mend_log(f->bytes + 1, f->bytes + IMAGE_LOG_PACKED, f->size - IMAGE_LOG_PACKED, &chain);
    }
}

/* The bytes of a table are a whole of their own: they are mutated in a place of their own. */
static size_t table_mutate(uint8_t *data, size_t size, size_t max_size, const struct image_file *f,
                           struct fuzz_dice *dice)
{
    size_t from = (size_t)(f->bytes - data), rest = size - from - f->size;
    size_t room = max_size - from - rest;
    if (room > IMAGE_FILE_BYTES_MAX)
        room = IMAGE_FILE_BYTES_MAX;
    if (room < f->size || room == 0)
        return size;
    uint8_t *copy = malloc(room);
    FUZZ_CHECK(copy != NULL);
    memcpy(copy, f->bytes, f->size);
    size_t now = mutate_table(copy, f->size, room, dice);
    memmove(data + from + now, data + from + f->size, rest);
    memcpy(data + from, copy, now);
    omi_put_u16(data + from - 2, (uint16_t)now);
    free(copy);
    return from + now + rest;
}

static size_t file_mutate(uint8_t *data, size_t size, size_t max_size, const struct image_file *f,
                          struct fuzz_dice *dice)
{
    size_t from = (size_t)(f->bytes - data), now;
    if (f->kind == IMAGE_TABLE)
        return table_mutate(data, size, max_size, f, dice);
    if (f->kind == IMAGE_LOG && f->size > IMAGE_LOG_PACKED && fuzz_below(dice, 4) != 0) {
        size = fuzz_mutate_part(data, size, max_size, from + IMAGE_LOG_PACKED,
                                f->size - IMAGE_LOG_PACKED, IMAGE_FILE_BYTES_MAX - IMAGE_LOG_PACKED,
                                &now);
        now += IMAGE_LOG_PACKED;
    } else {
        size = fuzz_mutate_part(data, size, max_size, from, f->size, IMAGE_FILE_BYTES_MAX, &now);
    }
    omi_put_u16(data + from - 2, (uint16_t)now);
    return size;
}

/* Takes a file out. */
static size_t file_drop(uint8_t *data, size_t size, const struct image_file *f)
{
    uint8_t *from = f->bytes - IMAGE_HEAD_BYTES, *to = f->bytes + f->size;
    memmove(from, to, (size_t)(data + size - to));
    return size - IMAGE_HEAD_BYTES - f->size;
}

/* Appends a file's bytes once more, under another number. */
static size_t file_repeat(uint8_t *data, size_t size, size_t max_size, const struct image_file *f,
                          struct fuzz_dice *dice)
{
    size_t whole = IMAGE_HEAD_BYTES + f->size;
    if (whole > max_size - size)
        return size;
    memcpy(data + size, f->bytes - IMAGE_HEAD_BYTES, whole);
    data[size + 1] = (uint8_t)fuzz_below(dice, 16);
    return size + whole;
}

size_t image_mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    struct fuzz_dice dice = {seed};
    struct image_file files[IMAGE_FILES_MAX];
    uint32_t count = image_cut(data, size, files);
    uint32_t what = fuzz_below(&dice, 32);
    if (count == 0 || what == 0) {
        size = LLVMFuzzerMutate(data, size, max_size);
    } else {
        const struct image_file *f = &files[fuzz_below(&dice, count)];
        if (what == 1 && count > 1)
            size = file_drop(data, size, f);
        else if (what == 2)
            size = file_repeat(data, size, max_size, f, &dice);
        else if (what == 3)
            f->bytes[-3] = (uint8_t)fuzz_below(&dice, 16); /* its number */
        else
            size = file_mutate(data, size, max_size, f, &dice);
    }
    if (fuzz_below(&dice, 8) != 0)
        image_mend(data, size);
    return size;
}
