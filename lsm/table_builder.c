/*
 * table_builder.c - a whole file's entries are kept until the end, so that the index can be fitted
 * to all of them; then blocks are cut where the index says, encoded and written.
 */
#include "io/base/coding.h"
#include "io/base/hash.h"
#include "io/base/mutant.h"
#include "lsm/custom_filter.h"
#include "lsm/table_format.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 1 << 20, WRITE_BYTES = 1 << 20, PAGE = 4096 };

/* Entry bytes live in chunks, so that pointers to them stay good. */
struct chunk {
    struct chunk *next;
    size_t capacity, used;
    uint8_t bytes[];
};

/* The file being written: full pieces of the aligned buffer go out as they fill. */
struct writer {
    struct omi_file *file;
    uint8_t *buffer; /* WRITE_BYTES, page-aligned */
    size_t held;
    uint64_t written;
};

struct omi_table_builder {
    struct omi_table_env *tenv;
    struct omi_table_params params;
    struct chunk *chunks, *chunk; /* all; the one being filled */
    struct omi_index_key *keys;
    uint64_t *hashes; /* of keys */
    uint32_t count, capacity;
    uint64_t raw_bytes;
    uint64_t deletes, min_seq, max_seq;
    struct omi_entry *entries; /* of one block */
    uint32_t entries_capacity;
    struct omi_codec_state codec;
    struct omi_buf block, sections;
    struct writer out;
};

/* ---- begin and end --------------------------------------------------------------------------- */

omen_err omi_table_builder_create(struct omi_table_env *tenv, const struct omi_table_params *params,
                                  struct omi_table_builder **builder_out)
{
    *builder_out = NULL;
    struct omi_table_builder *b = calloc(1, sizeof(*b));
    if (b == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a table builder");
    b->tenv = tenv;
    b->params = *params;
    if (!omi_order_is_bytewise(&tenv->order))
        b->params.filter_bits = 0,
        b->params.plan_filter = NULL; /* equal keys need not hash alike */
    if (!omi_order_is_bytewise(&tenv->order))
        b->params.plan_range = NULL;
    b->out.buffer = aligned_alloc(PAGE, WRITE_BYTES);
    if (b->out.buffer == NULL) {
        free(b);
        return omi_fail(OMEN_NO_MEMORY, 0, "a table builder");
    }
    omi_table_builder_reset(b);
    *builder_out = b;
    return OMEN_OK;
}

void omi_table_builder_destroy(struct omi_table_builder *b)
{
    if (b == NULL)
        return;
    while (b->chunks != NULL) {
        struct chunk *next = b->chunks->next;
        free(b->chunks);
        b->chunks = next;
    }
    free(b->keys);
    free(b->hashes);
    free(b->entries);
    free(b->out.buffer);
    omi_codec_state_fini(&b->codec);
    omi_buf_fini(&b->block);
    omi_buf_fini(&b->sections);
    free(b);
}

/* Chunks of the usual size are kept; those made for a large entry are not. */
static void chunks_reset(struct omi_table_builder *b)
{
    struct chunk **at = &b->chunks;
    while (*at != NULL) {
        struct chunk *c = *at;
        if (c->capacity > CHUNK_BYTES) {
            *at = c->next;
            free(c);
        } else {
            c->used = 0;
            at = &c->next;
        }
    }
    b->chunk = b->chunks;
}

void omi_table_builder_reset(struct omi_table_builder *b)
{
    chunks_reset(b);
    b->count = 0;
    b->raw_bytes = 0;
    b->deletes = 0;
    b->min_seq = UINT64_MAX;
    b->max_seq = 0;
}

uint64_t omi_table_builder_raw_bytes(const struct omi_table_builder *b)
{
    return b->raw_bytes;
}

uint64_t omi_table_builder_memory(const struct omi_table_builder *b)
{
    uint64_t bytes = sizeof(*b) + WRITE_BYTES + b->block.capacity + b->sections.capacity;
    for (const struct chunk *c = b->chunks; c != NULL; c = c->next)
        bytes += c->capacity;
    return bytes + (uint64_t)b->capacity * (sizeof(*b->keys) + sizeof(*b->hashes));
}

/* ---- adding ---------------------------------------------------------------------------------- */

static uint8_t *chunk_take(struct omi_table_builder *b, size_t size)
{
    while (b->chunk != NULL && b->chunk->capacity - b->chunk->used < size && b->chunk->next != NULL)
        b->chunk = b->chunk->next;
    if (b->chunk == NULL || b->chunk->capacity - b->chunk->used < size) {
        size_t capacity = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        struct chunk *c = malloc(sizeof(*c) + capacity);
        if (c == NULL)
            return NULL;
        c->capacity = capacity;
        c->used = 0;
        c->next = b->chunk != NULL ? b->chunk->next : NULL;
        if (b->chunk != NULL)
            b->chunk->next = c;
        else
            b->chunks = c;
        b->chunk = c;
    }
    uint8_t *p = b->chunk->bytes + b->chunk->used;
    b->chunk->used += size;
    return p;
}

static omen_err slots_grow(struct omi_table_builder *b)
{
    uint32_t capacity = b->capacity + b->capacity / 2 + 1024;
    struct omi_index_key *keys = realloc(b->keys, capacity * sizeof(*keys));
    if (keys != NULL)
        b->keys = keys;
    uint64_t *hashes = realloc(b->hashes, capacity * sizeof(*hashes));
    if (hashes != NULL)
        b->hashes = hashes;
    if (keys == NULL || hashes == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a table of %u entries", capacity);
    b->capacity = capacity;
    return OMEN_OK;
}

static bool has_filter(const struct omi_table_builder *b)
{
    return b->params.filter_bits != 0 || b->params.plan_filter != NULL;
}

omen_err omi_table_builder_add(struct omi_table_builder *b, const struct omi_entry *e)
{
    if (b->count == b->capacity) {
        omen_err err = slots_grow(b);
        if (err != OMEN_OK)
            return err;
    }
    size_t size = (size_t)e->key_size + e->value_size;
    uint8_t *p = chunk_take(b, size);
    if (p == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a table's buffer");
    if (e->key_size != 0)
        memcpy(p, e->key, e->key_size);
    if (e->value_size != 0)
        memcpy(p + e->key_size, e->value, e->value_size);
    uint32_t raw = (uint32_t)size + OMI_ENTRY_OVERHEAD_BYTES;
    b->keys[b->count] = (struct omi_index_key){p, e->trailer, e->key_size, raw};
    if (has_filter(b))
        b->hashes[b->count] = omi_key_hash(e->key, e->key_size);
    b->count++;
    b->raw_bytes += raw;
    uint64_t seq = omi_trailer_seq(e->trailer);
    b->deletes += omi_trailer_kind(e->trailer) == OMI_KIND_DELETE;
    b->min_seq = seq < b->min_seq ? seq : b->min_seq;
    b->max_seq = seq > b->max_seq ? seq : b->max_seq;
    return OMEN_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static omen_err write_held(struct writer *w, size_t size)
{
    omen_err err = omi_file_pwrite(w->file, w->buffer, size, w->written);
    if (err != OMEN_OK)
        return err;
    if (!w->file->env->ops->file_direct(w->file))
        w->file->env->ops->file_write_back(w->file, w->written, size);
    w->written += size;
    w->held = 0;
    return OMEN_OK;
}

static omen_err write_bytes(struct writer *w, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        size_t n = WRITE_BYTES - w->held < size ? WRITE_BYTES - w->held : size;
        memcpy(w->buffer + w->held, bytes, n);
        w->held += n;
        bytes += n;
        size -= n;
        if (w->held == WRITE_BYTES) {
            omen_err err = write_held(w, WRITE_BYTES);
            if (err != OMEN_OK)
                return err;
        }
    }
    return OMEN_OK;
}

static uint64_t write_position(const struct writer *w)
{
    return w->written + w->held;
}

/* Zeros up to a multiple of align. */
static omen_err write_padding(struct writer *w, size_t align)
{
    static const uint8_t zeros[OMI_BLOCK_ALIGN];
    size_t over = write_position(w) % align;
    return over != 0 ? write_bytes(w, zeros, align - over) : OMEN_OK;
}

/* The rest of the buffer; a direct file takes whole pages and is cut to size after. */
static omen_err write_end(struct writer *w)
{
    uint64_t size = write_position(w);
    size_t held = w->held;
    if (held == 0)
        return OMEN_OK;
    if (!w->file->env->ops->file_direct(w->file))
        return write_held(w, held);
    size_t padded = (held + PAGE - 1) / PAGE * PAGE;
    memset(w->buffer + held, 0, padded - held);
    omen_err err = write_held(w, padded);
    return err == OMEN_OK ? w->file->env->ops->file_truncate(w->file, size) : err;
}

static void entry_of(const struct omi_index_key *k, struct omi_entry *out)
{
    *out = (struct omi_entry){.key = k->key,
                              .value = k->key + k->key_size,
                              .trailer = k->trailer,
                              .key_size = k->key_size,
                              .value_size = k->raw_bytes - k->key_size - OMI_ENTRY_OVERHEAD_BYTES};
}

static omen_err entries_reserve(struct omi_table_builder *b, uint32_t count)
{
    if (count <= b->entries_capacity)
        return OMEN_OK;
    struct omi_entry *entries = realloc(b->entries, count * sizeof(*entries));
    if (entries == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a block of %u entries", count);
    b->entries = entries;
    b->entries_capacity = count;
    return OMEN_OK;
}

static omen_err write_block(struct omi_table_builder *b, uint64_t file_id, uint32_t first,
                            uint32_t end)
{
    omen_err err = entries_reserve(b, end - first);
    if (err != OMEN_OK)
        return err;
    for (uint32_t i = first; i < end; i++)
        entry_of(&b->keys[i], &b->entries[i - first]);
    b->block.size = 0;
    err = omi_block_encode(b->entries, end - first, omi_order_is_bytewise(&b->tenv->order),
                           b->params.codec, &b->codec, file_id, write_position(&b->out), &b->block);
    return err == OMEN_OK ? write_bytes(&b->out, b->block.data, b->block.size) : err;
}

/* All data blocks; offsets gets blocks + 1 file offsets. */
static omen_err write_blocks(struct omi_table_builder *b, const struct omi_index_plan *plan,
                             uint64_t file_id, uint64_t *offsets)
{
    uint32_t blocks = omi_index_plan_blocks(plan);
    const uint32_t *first = omi_index_plan_first(plan);
    for (uint32_t i = 0; i < blocks; i++) {
        offsets[i] = write_position(&b->out);
        omen_err err = write_block(b, file_id, first[i], i + 1 < blocks ? first[i + 1] : b->count);
        if (err != OMEN_OK)
            return err;
    }
    offsets[blocks] = write_position(&b->out);
    return OMEN_OK;
}

/* Writes what sections holds as one section. */
static omen_err write_section(struct omi_table_builder *b, uint64_t file_id,
                              struct omi_section_place *place)
{
    omen_err err = write_padding(&b->out, OMI_BLOCK_ALIGN);
    place->off = write_position(&b->out);
    place->size = b->sections.size;
    place->check = omi_checksum(b->sections.data, b->sections.size, file_id ^ place->off);
    if (err == OMEN_OK)
        err = write_bytes(&b->out, b->sections.data, b->sections.size);
    b->sections.size = 0;
    return err;
}

static omen_err bounds_copy(const struct omi_table_builder *b, struct omi_table_props *props)
{
    const struct omi_index_key *first = &b->keys[0], *last = &b->keys[b->count - 1];
    omen_err err = omi_buf_append(&props->smallest, first->key, first->key_size);
    return err == OMEN_OK ? omi_buf_append(&props->largest, last->key, last->key_size) : err;
}

static omen_slice key_at(const struct omi_table_builder *b, uint32_t i)
{
    return omi_slice(b->keys[i].key, b->keys[i].key_size);
}

/* The filter section, or nothing. */
static omen_err build_filter(struct omi_table_builder *b, const char *name)
{
    struct omi_filter_input input = {b->keys, b->hashes, b->count};
    omen_err (*make)(const struct omi_filter_input *, struct omi_buf *) =
        atomic_load(&b->tenv->make_filter);
    if (make != NULL)
        return make(&input, &b->sections);
    if (b->tenv->filter_policy != NULL)
        return omi_custom_filter_build(b->tenv, name, &input, &b->sections);
    struct omi_filter_params params = {.kind = OMI_FILTER_PLAIN, .bits = b->params.filter_bits};
    omen_err err = OMEN_OK;
    if (b->params.plan_filter != NULL)
        err = b->params.plan_filter(b->params.plan_ctx, key_at(b, 0), key_at(b, b->count - 1),
                                    b->count, &params);
    if (err == OMEN_OK && params.kind != OMI_FILTER_NONE)
        err = omi_filter_build(&input, &params, &b->sections, NULL);
    return err;
}

/* The range filter's section, or nothing. */
static omen_err build_range_filter(struct omi_table_builder *b, uint64_t file_id)
{
    struct omi_range_params params = {0};
    struct omi_range_info info;
    omen_err err = b->params.plan_range(b->params.range_ctx, key_at(b, 0), key_at(b, b->count - 1),
                                        b->count, &params);
    if (err != OMEN_OK || params.bits == 0 || b->count > OMI_RANGE_KEYS_MAX)
        return err;
    params.seed = file_id;
    return omi_range_filter_build(b->keys, b->count, &params, &b->sections, &info);
}

static omen_err write_filters(struct omi_table_builder *b, const char *name,
                              struct omi_table_footer *footer, struct omi_table_props *props)
{
    omen_err err = OMEN_OK;
    b->sections.size = 0;
    if (has_filter(b))
        err = build_filter(b, name);
    props->filter_bytes = b->sections.size;
    if (err == OMEN_OK && b->sections.size != 0 &&
        !omi_custom_filter_is(b->sections.data, b->sections.size))
        omi_filter_bind(b->sections.data, b->sections.size, props->file_id);
    if (err == OMEN_OK && b->sections.size != 0)
        err = write_section(b, props->file_id, &footer->sections[OMI_SECTION_FILTER]);
    if (err == OMEN_OK && b->params.plan_range != NULL)
        err = build_range_filter(b, props->file_id);
    props->range_filter_bytes = b->sections.size;
    if (err == OMEN_OK && b->sections.size != 0)
        err = write_section(b, props->file_id, &footer->sections[OMI_SECTION_RANGE_FILTER]);
    return err;
}

static omen_err write_table(struct omi_table_builder *b, struct omi_index_plan *plan,
                            const char *name, uint64_t *offsets, struct omi_table_props *props)
{
    struct omi_table_footer footer = {.file_id = props->file_id};
    uint8_t header[OMI_TABLE_HEADER_BYTES], end[OMI_TABLE_FOOTER_BYTES];
    omi_table_header_encode(props->file_id, props->created_us, header);
    omen_err err = write_bytes(&b->out, header, sizeof(header));
    if (err == OMEN_OK)
        err = write_blocks(b, plan, props->file_id, offsets);
    footer.data_end = write_position(&b->out);
    if (err == OMEN_OK)
        err = write_filters(b, name, &footer, props);
    if (err == OMEN_OK)
        err = omi_index_plan_encode(plan, offsets, &b->sections, &props->index);
    if (err == OMEN_OK)
        err = write_section(b, props->file_id, &footer.sections[OMI_SECTION_INDEX]);
    if (err == OMEN_OK)
        err = omi_table_props_encode(props, &b->sections);
    if (err == OMEN_OK)
        err = write_section(b, props->file_id, &footer.sections[OMI_SECTION_PROPERTIES]);
    if (err != OMEN_OK)
        return err;
    props->data_bytes = footer.data_end;
    omi_table_footer_encode(&footer, end);
    err = write_bytes(&b->out, end, sizeof(end));
    props->file_bytes = write_position(&b->out);
    if (err == OMEN_OK)
        err = write_end(&b->out);
    if (err == OMEN_OK && !OMI_MUTANT(OMI_MUTANT_NO_TABLE_SYNC))
        err = omi_file_sync(b->out.file);
    return err;
}

static omen_err write_file(struct omi_table_builder *b, struct omi_index_plan *plan,
                           const char *name, struct omi_table_props *props)
{
    uint64_t *offsets = calloc(omi_index_plan_blocks(plan) + UINT64_C(1), sizeof(*offsets));
    if (offsets == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: block offsets", name);
    b->out.held = 0;
    b->out.written = 0;
    omen_err err = omi_file_open(b->tenv->dir, name, OMI_OPEN_CREATE,
                                 b->tenv->direct ? OMI_OPEN_DIRECT : 0, &b->out.file);
    if (err == OMEN_OK) {
        err = write_table(b, plan, name, offsets, props);
        omen_err closed = omi_file_close(b->out.file);
        if (err == OMEN_OK)
            err = closed;
        if (err != OMEN_OK)
            (void)omi_dir_unlink(b->tenv->dir, name); /* an orphan at worst */
    }
    free(offsets);
    return err;
}

omen_err omi_table_builder_finish(struct omi_table_builder *b, uint64_t number,
                                  struct omi_table_props *props)
{
    char name[OMI_FILE_NAME_BYTES];
    assert(b->count > 0);
    omi_table_name(number, name);
    *props = (struct omi_table_props){.raw_bytes = b->raw_bytes,
                                      .entries = b->count,
                                      .deletes = b->deletes,
                                      .min_seq = b->min_seq,
                                      .max_seq = b->max_seq,
                                      .created_us = b->tenv->env->ops->wall_us(b->tenv->env)};
    b->tenv->env->ops->random(b->tenv->env, &props->file_id, sizeof(props->file_id));
    struct omi_index_params params = {.order = &b->tenv->order,
                                      .block_bytes = b->params.block_bytes};
    struct omi_index_plan *plan = NULL;
    omen_err err = bounds_copy(b, props);
    if (err == OMEN_OK)
        err = omi_index_plan_create(b->keys, b->count, &params, &plan);
    if (err == OMEN_OK) {
        err = write_file(b, plan, name, props);
        omi_index_plan_destroy(plan);
    }
    if (err == OMEN_OK) {
        atomic_fetch_add(&b->tenv->table_bytes_written, props->file_bytes);
        if (props->index.certificate_failed)
            atomic_fetch_add(&b->tenv->certificate_failures, 1);
    } else {
        omi_table_props_fini(props);
    }
    omi_table_builder_reset(b);
    return err;
}
