/*
 * manifest.c - the file of edits. docs/format-manifest.md shows the bytes:
 *   header, 32 bytes: 0 8 magic | 8 4 format | 12 4 zero | 16 8 id | 24 8 check: XXH3 of [0,24)
 *   record: 0 4 size of the payload | 4 4 number, from 1 | 8 8 check | 16 payload, an edit
 *           check: XXH3 of the payload, seeded with XXH3 of [0,8) seeded with the id
 */
#include "lsm/manifest.h"

#include "io/base/coding.h"
#include "io/base/hash.h"
#include "io/base/mutant.h"

#include <stdio.h>
#include <stdlib.h>

#define MAGIC UINT64_C(0x31304e414d4d4f23) /* "#OMMAN01" */

enum {
    FORMAT = 1,
    HEADER_BYTES = 32,
    RECORD_BYTES = 16,
    NAME_BYTES = 40,
    PAYLOAD_MAX = 256 << 20,
    CURRENT_MAX = 256,
    CURRENT_READINGS = 4
};

struct omi_manifest {
    struct omi_dir *dir;
    struct omi_file *file;
    char name[NAME_BYTES];
    uint64_t number, id, bytes;
    uint32_t records;
    bool sealed;
    struct omi_buf record;
};

static void manifest_name(uint64_t number, char name[static NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "MANIFEST-%06" PRIu64, number);
}

static uint64_t record_check(const uint8_t *record, const uint8_t *payload, size_t size,
                             uint64_t id)
{
    return omi_checksum(payload, size, omi_checksum(record, 8, id));
}

/* ---- writing --------------------------------------------------------------------------------- */

static omen_err record_append(struct omi_manifest *m, const struct omi_edit *edit)
{
    static const uint8_t space[RECORD_BYTES];
    m->record.size = 0;
    omen_err err = omi_buf_append(&m->record, space, sizeof(space));
    if (err == OMEN_OK)
        err = omi_edit_encode(edit, &m->record);
    if (err != OMEN_OK)
        return err;
    size_t size = m->record.size - RECORD_BYTES;
    if (size > PAYLOAD_MAX)
        return omi_fail(OMEN_FULL, 0, "%s: an edit of %zu bytes", m->name, size);
    uint8_t *p = m->record.data;
    omi_put_u32(p, (uint32_t)size);
    omi_put_u32(p + 4, m->records + 1);
    omi_put_u64(p + 8, record_check(p, p + RECORD_BYTES, size, m->id));
    err = omi_file_pwrite(m->file, p, m->record.size, m->bytes);
    if (err != OMEN_OK) {
        m->sealed =
            err != OMEN_FULL || m->file->env->ops->file_truncate(m->file, m->bytes) != OMEN_OK;
        return err;
    }
    m->bytes += m->record.size;
    m->records++;
    return OMEN_OK;
}

static omen_err header_append(struct omi_manifest *m)
{
    uint8_t h[HEADER_BYTES] = {0};
    m->dir->env->ops->random(m->dir->env, &m->id, sizeof(m->id));
    omi_put_u64(h, MAGIC);
    omi_put_u32(h + 8, FORMAT);
    omi_put_u64(h + 16, m->id);
    omi_put_u64(h + 24, omi_checksum(h, 24, 0));
    m->bytes = sizeof(h);
    return omi_file_pwrite(m->file, h, sizeof(h), 0);
}

static omen_err current_set(struct omi_manifest *m)
{
    char line[NAME_BYTES + 1];
    int n = snprintf(line, sizeof(line), "%s\n", m->name);
    return omi_file_replace(m->dir, "CURRENT", line, (size_t)n);
}

omen_err omi_manifest_create(struct omi_dir *dir, uint64_t number, const struct omi_edit *snapshot,
                             struct omi_manifest **manifest_out)
{
    *manifest_out = NULL;
    struct omi_manifest *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "the manifest");
    m->dir = dir;
    m->number = number;
    manifest_name(number, m->name);
    omen_err err = omi_file_open(dir, m->name, OMI_OPEN_CREATE, 0, &m->file);
    if (err == OMEN_OK)
        err = header_append(m);
    if (err == OMEN_OK)
        err = record_append(m, snapshot);
    if (err == OMEN_OK)
        err = omi_file_sync(m->file);
    /* The name before CURRENT points to it; replacing CURRENT syncs the directory again. */
    if (err == OMEN_OK)
        err = omi_dir_sync(dir);
    if (err == OMEN_OK)
        err = current_set(m);
    if (err != OMEN_OK) {
        omi_ignore(omi_manifest_close(m));
        return err;
    }
    *manifest_out = m;
    return OMEN_OK;
}

omen_err omi_manifest_close(struct omi_manifest *m)
{
    omen_err err = omi_file_close(m->file);
    omi_buf_fini(&m->record);
    free(m);
    return err;
}

omen_err omi_manifest_append(struct omi_manifest *m, const struct omi_edit *edit)
{
    if (m->sealed)
        return omi_fail(OMEN_READ_ONLY, 0, "%s is sealed after a failed write or sync", m->name);
    omen_err err = record_append(m, edit);
    if (err != OMEN_OK || OMI_MUTANT(OMI_MUTANT_NO_MANIFEST_SYNC))
        return err;
    err = omi_file_sync(m->file);
    m->sealed = err != OMEN_OK;
    return err;
}

bool omi_manifest_sealed(const struct omi_manifest *m)
{
    return m->sealed;
}

uint64_t omi_manifest_bytes(const struct omi_manifest *m)
{
    return m->bytes;
}

uint64_t omi_manifest_number(const struct omi_manifest *m)
{
    return m->number;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* CURRENT carries no check, and with a wrong bit it may name an older manifest: it is believed when
 * two readings agree. */
static omen_err current_line(struct omi_dir *dir, char line[static CURRENT_MAX + 1],
                             size_t *size_out)
{
    struct omi_file *file;
    uint64_t size;
    char before[CURRENT_MAX + 1] = {0};
    bool agree = false;
    omen_err err = omi_file_open(dir, "CURRENT", OMI_OPEN_READ, 0, &file);
    if (err != OMEN_OK)
        return err;
    err = omi_file_size(file, &size);
    if (err == OMEN_OK && size > CURRENT_MAX)
        err = omi_fail(OMEN_CORRUPT, 0, "CURRENT has %" PRIu64 " bytes", size);
    for (int i = 0; i < CURRENT_READINGS && err == OMEN_OK && !agree; i++) {
        memset(line, 0, sizeof(before));
        err = omi_file_pread(file, line, CURRENT_MAX, 0, size_out);
        agree = i > 0 && memcmp(line, before, sizeof(before)) == 0;
        memcpy(before, line, sizeof(before));
        dir->env->ops->file_advise(file, OMI_ADVISE_DROP);
    }
    (void)omi_file_close(file);
    return err == OMEN_OK && !agree
               ? omi_fail(OMEN_CORRUPT, 0, "CURRENT reads differently each time")
               : err;
}

static omen_err current_read(struct omi_dir *dir, char name[static NAME_BYTES],
                             uint64_t *number_out)
{
    char line[CURRENT_MAX + 1];
    size_t size;
    omen_err err = current_line(dir, line, &size);
    if (err != OMEN_OK)
        return err;
    size_t digits = strncmp(line, "MANIFEST-", 9) == 0 ? strspn(line + 9, "0123456789") : 0;
    if (digits < 6 || digits > 18 || strcmp(line + 9 + digits, "\n") != 0 || strlen(line) != size)
        return omi_fail(OMEN_CORRUPT, 0,
                        "CURRENT does not name a manifest; run omendb repair on the directory");
    *number_out = strtoull(line + 9, NULL, 10);
    manifest_name(*number_out, name);
    return OMEN_OK;
}

omen_err omi_manifest_current(struct omi_dir *dir, uint64_t *number_out)
{
    char name[NAME_BYTES];
    return current_read(dir, name, number_out);
}

/* A whole record with a right check at off? */
static bool record_open(const uint8_t *bytes, size_t size, size_t off, uint64_t id,
                        uint32_t *payload_size, uint32_t *number)
{
    if (size - off < RECORD_BYTES)
        return false;
    *payload_size = omi_get_u32(bytes + off);
    *number = omi_get_u32(bytes + off + 4);
    return *payload_size <= size - off - RECORD_BYTES &&
           record_check(bytes + off, bytes + off + RECORD_BYTES, *payload_size, id) ==
               omi_get_u64(bytes + off + 8);
}

/* A bad record at off: the torn last one, or damage before others? Any whole record behind it with
 * a later number tells. Only numbers that can be are hashed, so the work stays small. */
static bool record_follows(const uint8_t *bytes, size_t size, size_t off, uint64_t id,
                           uint32_t number)
{
    uint64_t hashed = 0;
    for (size_t at = off + 1; at + RECORD_BYTES <= size; at++) {
        uint32_t n = omi_get_u32(bytes + at + 4), payload = omi_get_u32(bytes + at);
        if (n <= number || n > number + 1024 || payload > size - at - RECORD_BYTES)
            continue;
        hashed += payload;
        if (record_open(bytes, size, at, id, &payload, &n) || hashed > 16 * (uint64_t)size)
            return true;
    }
    return false;
}

static omen_err header_check(const uint8_t *bytes, size_t size, const char *name)
{
    if (size < HEADER_BYTES || omi_get_u64(bytes) != MAGIC ||
        omi_get_u64(bytes + 24) != omi_checksum(bytes, 24, 0))
        return omi_fail(OMEN_CORRUPT, 0, "%s: its header is damaged", name);
    if (omi_get_u32(bytes + 8) != FORMAT)
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "%s: manifest format %u is not this build's %d; use a newer omendb", name,
                        omi_get_u32(bytes + 8), FORMAT);
    return OMEN_OK;
}

static omen_err records_read(const uint8_t *bytes, size_t size, const char *name,
                             omen_err (*each)(void *ctx, struct omi_edit *edit), void *ctx)
{
    uint64_t id = omi_get_u64(bytes + 16);
    uint32_t expected = 1;
    for (size_t off = HEADER_BYTES; off < size; expected++) {
        uint32_t payload, number;
        if (!record_open(bytes, size, off, id, &payload, &number) || number != expected) {
            /* The first record is synced before CURRENT names the file: it is never a torn tail. */
            if (expected == 1 || record_follows(bytes, size, off, id, expected))
                return omi_fail(OMEN_CORRUPT, 0, "%s: damaged at offset %zu", name, off);
            return OMEN_OK;
        }
        struct omi_edit edit;
        char where[NAME_BYTES + 32];
        snprintf(where, sizeof(where), "%s, offset %zu", name, off);
        omen_err err = omi_edit_decode(bytes + off + RECORD_BYTES, payload, where, &edit);
        if (err != OMEN_OK)
            return err;
        err = each(ctx, &edit);
        omi_edit_fini(&edit);
        if (err != OMEN_OK)
            return err;
        off += RECORD_BYTES + (size_t)payload;
    }
    return OMEN_OK;
}

/* Does every record check to the very end? */
static bool records_whole(const uint8_t *bytes, size_t size)
{
    uint32_t payload, number, expected = 1;
    size_t off = HEADER_BYTES;
    if (size < HEADER_BYTES || omi_get_u64(bytes + 24) != omi_checksum(bytes, 24, 0))
        return false;
    while (off < size &&
           record_open(bytes, size, off, omi_get_u64(bytes + 16), &payload, &number) &&
           number == expected++)
        off += RECORD_BYTES + (size_t)payload;
    return off == size;
}

static omen_err manifest_load(struct omi_dir *dir, const char *name, uint8_t **bytes, size_t *size)
{
    omen_err err = omi_file_read_all(dir, name, SIZE_MAX, bytes, size);
    if (err == OMEN_OK && !records_whole(*bytes, *size)) { /* a bit may have flipped on the way */
        free(*bytes);
        err = omi_file_read_all(dir, name, SIZE_MAX, bytes, size);
    }
    return err;
}

omen_err omi_manifest_read(struct omi_dir *dir, omen_err (*each)(void *ctx, struct omi_edit *edit),
                           void *ctx, uint64_t *number_out)
{
    char name[NAME_BYTES];
    uint8_t *bytes;
    size_t size;
    omen_err err = current_read(dir, name, number_out);
    if (err != OMEN_OK)
        return err;
    err = manifest_load(dir, name, &bytes, &size);
    if (err == OMEN_NOT_FOUND)
        return omi_fail(OMEN_CORRUPT, 0, "CURRENT names %s, which is not there", name);
    if (err != OMEN_OK)
        return err;
    err = header_check(bytes, size, name);
    if (err == OMEN_OK)
        err = records_read(bytes, size, name, each, ctx);
    free(bytes);
    return err;
}

/* What the device cannot read is zeros. */
static omen_err manifest_load_around(struct omi_dir *dir, const char *name, uint8_t **bytes,
                                     size_t *size_out)
{
    struct omi_file *file = NULL;
    uint64_t size = 0, unread;
    *bytes = NULL;
    omen_err err = omi_file_open(dir, name, OMI_OPEN_READ, 0, &file);
    if (err == OMEN_OK)
        err = omi_file_size(file, &size);
    if (err == OMEN_OK && (*bytes = malloc((size_t)size + 1)) == NULL)
        err = omi_fail(OMEN_NO_MEMORY, 0, "%s: %" PRIu64 " bytes", name, size);
    if (err == OMEN_OK)
        err = omi_file_read_around(file, *bytes, (size_t)size, &unread);
    (void)omi_file_close(file);
    if (err != OMEN_OK)
        free(*bytes);
    *size_out = (size_t)size;
    return err;
}

omen_err omi_manifest_salvage(struct omi_dir *dir, uint64_t number,
                              omen_err (*each)(void *ctx, struct omi_edit *edit), void *ctx,
                              bool *complete_out)
{
    char name[NAME_BYTES];
    uint8_t *bytes;
    size_t size;
    uint32_t payload, first;
    *complete_out = false;
    manifest_name(number, name);
    omen_err err = manifest_load(dir, name, &bytes, &size);
    if (err == OMEN_IO)
        err = manifest_load_around(dir, name, &bytes, &size);
    if (err != OMEN_OK)
        return err;
    err = header_check(bytes, size, name);
    bool headless = err == OMEN_CORRUPT;
    /* Of a damaged header the id is enough, and the first record tells whether it is right. */
    if (headless && size >= HEADER_BYTES &&
        record_open(bytes, size, HEADER_BYTES, omi_get_u64(bytes + 16), &payload, &first))
        err = OMEN_OK;
    if (err == OMEN_OK)
        err = records_read(bytes, size, name, each, ctx);
    *complete_out = err == OMEN_OK;
    if (err == OMEN_OK && headless)
        err = header_check(bytes, size, name);
    free(bytes);
    return err;
}
