/* table_reader.c - opening a table, and the stages of a point lookup in it. */
#include "io/base/hash.h"
#include "lsm/block_format.h"
#include "lsm/scratch.h"
#include "lsm/table_open.h"
#include "lsm/telemetry.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { SECTOR = 512, SCRATCH_MAX = 1 << 20 };

/* ---- reading --------------------------------------------------------------------------------- */

static omen_err short_file(const struct omi_table *t, uint64_t off, size_t got, size_t size)
{
    return omi_fail(OMEN_CORRUPT, 0,
                    "%s: %zu bytes at offset %" PRIu64 " where %zu should be: the file is cut",
                    t->name, got, off, size);
}

/* Widens [off, off + size) to sectors when the file is direct. */
static uint64_t read_from(const struct omi_table *t, uint64_t off)
{
    return t->direct ? off / SECTOR * SECTOR : off;
}

static size_t read_size(const struct omi_table *t, uint64_t off, size_t size)
{
    if (!t->direct)
        return size;
    uint64_t end = (off + size + SECTOR - 1) / SECTOR * SECTOR;
    return (size_t)(end - read_from(t, off));
}

omen_err omi_table_read(struct omi_table *t, uint64_t off, size_t size, uint8_t *out)
{
    size_t got = 0;
    if (!t->direct) {
        omen_err err = omi_file_pread(t->file, out, size, off, &got);
        return err == OMEN_OK && got < size ? short_file(t, off, got, size) : err;
    }
    size_t wide = read_size(t, off, size), skip = (size_t)(off - read_from(t, off));
    uint8_t *bytes = aligned_alloc(4096, (wide + 4095) / 4096 * 4096);
    if (bytes == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: %zu bytes to read", t->name, wide);
    omen_err err = omi_file_pread(t->file, bytes, wide, off - skip, &got);
    if (err == OMEN_OK && got < skip + size)
        err = short_file(t, off, got, size);
    if (err == OMEN_OK)
        memcpy(out, bytes + skip, size);
    free(bytes);
    return err;
}

omen_err omi_table_twice(struct omi_table *t, omen_err (*step)(struct omi_table *t))
{
    omen_err err = step(t);
    if (err != OMEN_CORRUPT)
        return err;
    t->tenv->env->ops->file_advise(t->file, OMI_ADVISE_DROP);
    return step(t);
}

/* ---- opening --------------------------------------------------------------------------------- */

static omen_err open_footer(struct omi_table *t)
{
    uint8_t bytes[OMI_TABLE_FOOTER_BYTES], header[OMI_TABLE_HEADER_BYTES];
    uint64_t actual, file_id;
    omen_err err = omi_file_size(t->file, &actual);
    if (err != OMEN_OK)
        return err;
    if (actual != t->file_bytes ||
        actual < OMI_TABLE_HEADER_BYTES + (uint64_t)OMI_TABLE_FOOTER_BYTES)
        return omi_fail(OMEN_CORRUPT, 0, "%s has %" PRIu64 " bytes, the manifest says %" PRIu64,
                        t->name, actual, t->file_bytes);
    err = omi_table_read(t, actual - sizeof(bytes), sizeof(bytes), bytes);
    if (err == OMEN_OK)
        err = omi_table_footer_decode(bytes, actual, t->name, &t->footer);
    if (err == OMEN_OK)
        err = omi_table_read(t, 0, sizeof(header), header);
    if (err == OMEN_OK)
        err = omi_table_header_decode(header, t->name, &file_id);
    if (err == OMEN_OK && file_id != t->footer.file_id)
        err = omi_fail(OMEN_CORRUPT, 0, "%s: header and footer are of different tables", t->name);
    return err;
}

static omen_err open_props(struct omi_table *t)
{
    const struct omi_section_place *s = &t->footer.sections[OMI_SECTION_PROPERTIES];
    uint8_t *bytes = malloc((size_t)s->size + 1);
    if (bytes == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: properties", t->name);
    omen_err err = omi_table_read(t, s->off, (size_t)s->size, bytes);
    if (err == OMEN_OK && (s->size == 0 || omi_checksum(bytes, (size_t)s->size,
                                                        t->footer.file_id ^ s->off) != s->check))
        err = omi_fail(OMEN_CORRUPT, 0,
                       "%s: the properties at offset %" PRIu64 " do not match their check", t->name,
                       s->off);
    if (err == OMEN_OK)
        err = omi_table_props_decode(bytes, (size_t)s->size, t->name, &t->props);
    free(bytes);
    if (err != OMEN_OK)
        return err;
    t->props.file_id = t->footer.file_id;
    t->props.file_bytes = t->file_bytes;
    t->props.data_bytes = t->footer.data_end;
    t->props.filter_bytes = t->footer.sections[OMI_SECTION_FILTER].size;
    t->props.range_filter_bytes = t->footer.sections[OMI_SECTION_RANGE_FILTER].size;
    if (omi_key_compare(&t->tenv->order, omi_slice(t->props.smallest.data, t->props.smallest.size),
                        omi_slice(t->props.largest.data, t->props.largest.size)) > 0) {
        omi_table_props_fini(&t->props);
        return omi_fail(OMEN_CORRUPT, 0, "%s: its smallest key lies after its largest", t->name);
    }
    return OMEN_OK;
}

static void table_free(struct omi_table *t)
{
    omi_table_model_close(t);
    omi_table_filter_close(t);
    omi_table_props_fini(&t->props);
    (void)omi_file_close(t->file);
    free(t);
}

omen_err omi_table_open(struct omi_table_env *tenv, uint64_t number, uint64_t file_bytes,
                        struct omi_table **table_out)
{
    return omi_table_open_in(tenv, number, file_bytes, OMI_EXTENT_NEAR, table_out);
}

omen_err omi_table_open_in(struct omi_table_env *tenv, uint64_t number, uint64_t file_bytes,
                           enum omi_extent_class place, struct omi_table **table_out)
{
    *table_out = NULL;
    struct omi_table *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "table %06" PRIu64, number);
    t->tenv = tenv;
    t->number = number;
    t->file_bytes = file_bytes;
    atomic_init(&t->place, (uint8_t)place);
    t->id = 1 + atomic_fetch_add_explicit(&tenv->next_table_id, 1, memory_order_relaxed);
    omi_table_name(number, t->name);
    omen_err err = omi_file_open(tenv->dir, t->name, OMI_OPEN_READ,
                                 tenv->direct ? OMI_OPEN_DIRECT : 0, &t->file);
    if (err == OMEN_OK) {
        t->direct = tenv->env->ops->file_direct(t->file);
        tenv->env->ops->file_advise(t->file, OMI_ADVISE_RANDOM);
        err = omi_table_twice(t, open_footer);
    }
    if (err == OMEN_OK)
        err = omi_table_twice(t, open_props);
    if (err == OMEN_OK)
        err = omi_table_filter_open(t, &t->heap_bytes);
    if (err == OMEN_OK)
        err = omi_table_model_open(t);
    if (err != OMEN_OK) {
        table_free(t);
        return err;
    }
    t->heap_bytes += sizeof(*t) + t->props.smallest.capacity + t->props.largest.capacity;
    atomic_fetch_add(&tenv->open_metadata_bytes, t->heap_bytes);
    *table_out = t;
    return OMEN_OK;
}

void omi_table_close(struct omi_table *t, bool forget)
{
    if (t == NULL)
        return;
    if (forget)
        omi_cache_forget(t->tenv->cache, t->id, t->blocks);
    atomic_fetch_sub(&t->tenv->open_metadata_bytes, t->heap_bytes);
    table_free(t);
}

const struct omi_table_props *omi_table_props(const struct omi_table *t)
{
    return &t->props;
}

uint64_t omi_table_number(const struct omi_table *t)
{
    return t->number;
}

uint32_t omi_table_blocks(const struct omi_table *t)
{
    return t->blocks;
}

/* ---- looking up ------------------------------------------------------------------------------ */

void omi_table_ahead(struct omi_table *t, omen_slice key, uint64_t hash, struct omi_table_ahead *a)
{
    a->table = NULL;
    if (omi_table_place(t) != OMI_EXTENT_FAR)
        return;
    a->table = t;
    omi_table_filter_ahead(t, key, hash, a);
    if (a->answer != OMI_FILTER_NO)
        omi_table_model_ahead(t, key, &a->way);
}

bool omi_table_has_filter(const struct omi_table *t)
{
    return t->filter.filter.kind != OMI_FILTER_NONE;
}

bool omi_table_may_hold(struct omi_table *t, omen_slice key, uint64_t key_hash,
                        struct omi_filter_route *route_out)
{
    return omi_table_filter_may_hold(t, key, key_hash, route_out);
}

void omi_table_filter_info(const struct omi_table *t, struct omi_filter_info *info)
{
    if (t->filter.filter.kind == OMI_FILTER_CUSTOM)
        omi_custom_filter_describe(&t->filter.custom, info);
    else
        omi_filter_describe(&t->filter.filter, info);
}

bool omi_table_has_range_filter(const struct omi_table *t)
{
    return t->filter.part_count != t->filter.point_parts;
}

bool omi_table_may_hold_range(struct omi_table *t, const omen_slice *low, const omen_slice *high)
{
    omen_slice smallest = omi_slice(t->props.smallest.data, t->props.smallest.size);
    omen_slice largest = omi_slice(t->props.largest.data, t->props.largest.size);
    if ((high != NULL && omi_key_compare(&t->tenv->order, *high, smallest) < 0) ||
        (low != NULL && omi_key_compare(&t->tenv->order, *low, largest) > 0))
        return false;
    return omi_table_filter_may_hold_range(t, low, high);
}

struct omi_frame *omi_table_cached(struct omi_table *t, uint32_t block)
{
    struct omi_frame *f = omi_cache_get(t->tenv->cache, t->id, block);
    atomic_fetch_add_explicit(f != NULL ? &t->tenv->cache_hits : &t->tenv->cache_misses, 1,
                              memory_order_relaxed);
    return f;
}

static uint64_t followed_hash(const struct omi_frame *f)
{
    uint64_t hash =
        (f->table * UINT64_C(0x9e3779b97f4a7c15) + f->index + 1) * UINT64_C(0xff51afd7ed558ccd);
    return (hash ^ hash >> 32) * UINT64_C(0xc4ceb9fe1a85ec53);
}

omen_err omi_table_frame(struct omi_table *t, uint32_t block, const uint8_t *stored,
                         struct omi_frame **frame_out)
{
    uint64_t off;
    uint32_t size;
    struct omi_block_header header;
    struct omi_scratch *scratch = omi_scratch_get();
    *frame_out = NULL;
    omen_err err = omi_table_locate(t, block, &off, &size);
    if (err != OMEN_OK)
        return err;
    if (size < OMI_BLOCK_HEADER_BYTES)
        return omi_fail(OMEN_CORRUPT, 0, "%s: block %u is shorter than its header", t->name, block);
    err = omi_block_header_decode(stored, size, off, t->name, &header);
    if (err == OMEN_OK && omi_block_swells(&header))
        err = omi_block_verify(stored, &header, t->footer.file_id, off, t->name);
    if (err != OMEN_OK)
        return err;
    struct omi_frame *f = omi_frame_create(t->tenv->cache, t->id, block, header.raw_bytes);
    if (f == NULL || scratch == NULL) {
        if (f != NULL)
            omi_frame_release(f);
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: a block of %u bytes", t->name, header.raw_bytes);
    }
    err = omi_block_decode(stored, &header, t->footer.file_id, off, t->name, &scratch->codec,
                           f->body, &f->block);
    if (err != OMEN_OK) {
        omi_frame_release(f);
        return err;
    }
    f->followed =
        t->tenv->telemetry != NULL && omi_telemetry_follows(t->tenv->follow_bits, followed_hash(f));
    atomic_fetch_add_explicit(&t->tenv->blocks_read, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->tenv->block_bytes_read, size, memory_order_relaxed);
    *frame_out = f;
    return OMEN_OK;
}

static omen_err load_once(struct omi_table *t, uint32_t block, struct omi_frame **frame_out)
{
    uint64_t off;
    uint32_t size;
    size_t got = 0;
    omen_err err = omi_table_locate(t, block, &off, &size);
    if (err != OMEN_OK)
        return err;
    size_t wide = read_size(t, off, size), skip = (size_t)(off - read_from(t, off));
    /* A large value's bytes do not stay with the thread. */
    struct omi_scratch *scratch = wide <= SCRATCH_MAX ? omi_scratch_get() : NULL;
    uint8_t *large = wide > SCRATCH_MAX ? aligned_alloc(4096, (wide + 4095) / 4096 * 4096) : NULL;
    uint8_t *bytes = large;
    if (scratch != NULL && omi_scratch_reserve(scratch, wide))
        bytes = scratch->bytes;
    if (bytes == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: %zu bytes to read", t->name, wide);
    err = omi_file_pread(t->file, bytes, wide, off - skip, &got);
    if (err == OMEN_OK && got < skip + size)
        err = short_file(t, off, got, size);
    if (err == OMEN_OK)
        err = omi_table_frame(t, block, bytes + skip, frame_out);
    free(large);
    return err;
}

omen_err omi_table_load_told(struct omi_table *t, uint32_t block, bool fill_cache,
                             struct omi_frame **frame_out, bool *read_out)
{
    *frame_out = omi_table_cached(t, block);
    *read_out = *frame_out == NULL;
    if (*frame_out != NULL)
        return OMEN_OK;
    omen_err err = load_once(t, block, frame_out);
    if (err ==
        OMEN_CORRUPT) { /* a bit may have flipped on the way: look once more, at the device */
        t->tenv->env->ops->file_advise(t->file, OMI_ADVISE_DROP);
        err = load_once(t, block, frame_out);
    }
    if (err == OMEN_OK)
        *frame_out = omi_cache_insert(t->tenv->cache, *frame_out, fill_cache);
    return err;
}

omen_err omi_table_load(struct omi_table *t, uint32_t block, bool fill_cache,
                        struct omi_frame **frame_out)
{
    bool was_read;
    return omi_table_load_told(t, block, fill_cache, frame_out, &was_read);
}

void omi_table_tell_asked(struct omi_table *t, const struct omi_frame *f)
{
    omi_telemetry_block(t->tenv->telemetry, omi_counter_stripe(), followed_hash(f), f->charge);
}

omen_err omi_table_load_start(struct omi_table *t, uint32_t block, struct omi_read *read)
{
    uint64_t off;
    uint32_t size;
    omen_err err = omi_table_locate(t, block, &off, &size);
    *read = (struct omi_read){.file = t->file};
    if (err != OMEN_OK)
        return err;
    size_t wide = read_size(t, off, size);
    *read = (struct omi_read){.file = t->file, .off = read_from(t, off), .size = wide};
    read->buffer = t->direct ? aligned_alloc(4096, (wide + 4095) / 4096 * 4096) : malloc(wide);
    return read->buffer != NULL
               ? OMEN_OK
               : omi_fail(OMEN_NO_MEMORY, 0, "%s: %zu bytes to read", t->name, wide);
}

omen_err omi_table_load_finish(struct omi_table *t, uint32_t block, bool fill_cache,
                               struct omi_read *read, struct omi_frame **frame_out)
{
    uint64_t off;
    uint32_t size;
    *frame_out = NULL;
    omen_err err = omi_table_locate(t, block, &off, &size);
    size_t skip = (size_t)(off - read->off);
    if (err != OMEN_OK) {
        free(read->buffer);
        read->buffer = NULL;
        return err;
    }
    if (read->err != OMEN_OK)
        err = omi_fail(read->err, 0, "%s: reading block %u at offset %" PRIu64 " failed", t->name,
                       block, off);
    else if (read->got < skip + size)
        err = short_file(t, off, read->got, size);
    else
        err = omi_table_frame(t, block, (const uint8_t *)read->buffer + skip, frame_out);
    free(read->buffer);
    read->buffer = NULL;
    if (err == OMEN_CORRUPT || err == OMEN_IO) /* once more, alone */
        return omi_table_load(t, block, fill_cache, frame_out);
    if (err == OMEN_OK)
        *frame_out = omi_cache_insert(t->tenv->cache, *frame_out, fill_cache);
    return err;
}
