#include "lsm/table_filter.h"

#include "io/base/hash.h"
#include "lsm/table_open.h"

#include <stdlib.h>

static const struct omi_section_place *place(const struct omi_table *t)
{
    return &t->footer.sections[OMI_SECTION_FILTER];
}

/* ---- the head -------------------------------------------------------------------------------- */

static omen_err extent_read(struct omi_table *t, uint64_t off, size_t size, struct omi_extent **out)
{
    omen_err err = omi_extent_create(&t->tenv->extents, OMI_EXTENT_FILTER, size, out);
    if (err == OMEN_OK)
        err = omi_table_read(t, off, size, omi_extent_bytes(*out));
    if (err != OMEN_OK) {
        omi_extent_destroy(*out);
        *out = NULL;
    }
    return err;
}

/* Sections whose parts have no checks of their own are read and kept whole. */
static omen_err whole_read(struct omi_table *t, struct omi_extent **out)
{
    const struct omi_section_place *s = place(t);
    omen_err err = extent_read(t, s->off, (size_t)s->size, out);
    if (err == OMEN_OK && omi_checksum(omi_extent_bytes(*out), (size_t)s->size,
                                       t->footer.file_id ^ s->off) != s->check) {
        omi_extent_destroy(*out);
        *out = NULL;
        err = omi_fail(OMEN_CORRUPT, 0,
                       "%s: the filter section at offset %" PRIu64 " does not match its check",
                       t->name, s->off);
    }
    return err;
}

static omen_err custom_open(struct omi_table *t, struct omi_table_filter *f)
{
    omen_err err = whole_read(t, &f->head);
    if (err == OMEN_OK)
        err = omi_custom_filter_open(t->tenv, t->name, omi_extent_bytes(f->head),
                                     omi_extent_size(f->head), &f->custom);
    f->foreign = err == OMEN_OK && f->custom.policy == NULL;
    f->filter.kind = f->custom.policy != NULL ? OMI_FILTER_CUSTOM : OMI_FILTER_NONE;
    return err;
}

static omen_err head_open(struct omi_table *t, struct omi_table_filter *f,
                          const uint8_t header[static OMI_FILTER_HEADER_BYTES])
{
    const struct omi_section_place *s = place(t);
    uint32_t head_bytes = 0;
    bool parts = header[0] != 1 /* format 1 */;
    omen_err err = omi_filter_head_bytes(header, s->size, &head_bytes);
    if (err == OMEN_OK)
        err = parts ? extent_read(t, s->off, head_bytes, &f->head) : whole_read(t, &f->head);
    if (err == OMEN_OK)
        err = omi_filter_open_bound(omi_extent_bytes(f->head), head_bytes, s->size,
                                    t->footer.file_id, &f->filter);
    f->part_count = err == OMEN_OK && parts ? f->filter.part_count : 0;
    return err;
}

static omen_err filter_read(struct omi_table *t)
{
    struct omi_table_filter *f = &t->filter;
    uint8_t header[OMI_FILTER_HEADER_BYTES];
    omi_extent_destroy(f->head);
    f->head = NULL;
    if (place(t)->size < sizeof(header))
        return omi_fail(OMEN_CORRUPT, 0, "%s: a filter section of %" PRIu64 " bytes", t->name,
                        place(t)->size);
    omen_err err = omi_table_read(t, place(t)->off, sizeof(header), header);
    if (err != OMEN_OK)
        return err;
    return omi_custom_filter_is(header, sizeof(header)) ? custom_open(t, f)
                                                        : head_open(t, f, header);
}

static void filter_drop(struct omi_table_filter *f)
{
    omi_extent_destroy(f->head);
    f->head = NULL;
    f->filter = (struct omi_filter){0};
    f->custom = (struct omi_custom_filter){0};
    f->part_count = 0;
}

static omen_err side_arrays(struct omi_table *t, size_t *heap_bytes)
{
    struct omi_table_filter *f = &t->filter;
    size_t parts = f->part_count * sizeof(*f->parts);
    size_t regions = f->filter.region_count > 1
                         ? 2 * (size_t)f->filter.region_count * sizeof(*f->sampled_region)
                         : 0;
    f->parts = calloc(1, parts + 1);
    f->sampled_region = regions != 0 ? calloc(1, regions) : NULL;
    if (f->parts == NULL || (regions != 0 && f->sampled_region == NULL))
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: its filter", t->name);
    *heap_bytes += parts + regions;
    return OMEN_OK;
}

omen_err omi_table_filter_open(struct omi_table *t, size_t *heap_bytes)
{
    struct omi_table_filter *f = &t->filter;
    if (place(t)->size == 0 || !omi_order_is_bytewise(&t->tenv->order))
        return OMEN_OK;
    omen_err err = omi_table_twice(t, filter_read);
    bool damaged = err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED;
    if (damaged || f->foreign) { /* without it "maybe": slower, never wrong */
        filter_drop(f);
        atomic_fetch_add(&t->tenv->filters_dropped, damaged ? 1 : 0);
        return OMEN_OK;
    }
    if (err == OMEN_OK)
        err = side_arrays(t, heap_bytes);
    for (uint32_t p = 0; err == OMEN_OK && p < f->part_count; p++)
        if (!omi_table_part_load(t, p))
            break; /* on demand, then */
    return err;
}

void omi_table_filter_close(struct omi_table *t)
{
    struct omi_table_filter *f = &t->filter;
    for (uint32_t p = 0; f->parts != NULL && p < f->part_count; p++)
        omi_extent_destroy(f->parts[p].extent);
    free(f->parts);
    free(f->sampled_region);
    omi_extent_destroy(f->head);
}

/* ---- parts ----------------------------------------------------------------------------------- */

uint64_t omi_table_part_bytes(const struct omi_table *t, uint32_t part)
{
    uint64_t off;
    uint32_t size;
    omi_filter_part(&t->filter.filter, part, &off, &size);
    return size;
}

/* Memory for a part, if the limit leaves room for it. */
static struct omi_extent *room_take(struct omi_table *t, uint32_t size)
{
    struct omi_filter_memory *m = &t->tenv->filter_memory;
    struct omi_extent *extent = NULL;
    omi_mutex_lock(&m->mu);
    uint64_t limit = atomic_load(&m->limit_bytes);
    if (limit == 0 ||
        atomic_load(&t->tenv->extents.bytes[OMI_EXTENT_FILTER]) + (uint64_t)size <= limit)
        omi_ignore(omi_extent_create(&t->tenv->extents, OMI_EXTENT_FILTER, size, &extent));
    omi_mutex_unlock(&m->mu);
    return extent;
}

static omen_err part_read(struct omi_table *t, uint32_t part, struct omi_extent *extent)
{
    uint64_t off;
    uint32_t size;
    omi_filter_part(&t->filter.filter, part, &off, &size);
    omen_err err = omi_table_read(t, place(t)->off + off, size, omi_extent_bytes(extent));
    if (err == OMEN_OK && !omi_filter_part_sound(&t->filter.filter, part, omi_extent_bytes(extent)))
        err = omi_fail(OMEN_CORRUPT, 0, "%s: part %u of its filter does not match its check",
                       t->name, part);
    return err;
}

bool omi_table_part_load(struct omi_table *t, uint32_t part)
{
    struct omi_table_part *p = &t->filter.parts[part];
    uint32_t size = (uint32_t)omi_table_part_bytes(t, part);
    if (p->damaged || p->extent != NULL || size == 0)
        return true;
    struct omi_extent *extent = room_take(t, size);
    if (extent == NULL)
        return false;
    omen_err err = part_read(t, part, extent);
    if (err == OMEN_CORRUPT) { /* a bit may have flipped on the way */
        t->tenv->env->ops->file_advise(t->file, OMI_ADVISE_DROP);
        err = part_read(t, part, extent);
    }
    if (err != OMEN_OK) {
        omi_extent_destroy(extent);
        p->damaged = err == OMEN_CORRUPT; /* "maybe" from now on */
        atomic_fetch_add(&t->tenv->filter_memory.damaged, p->damaged ? 1 : 0);
        return p->damaged;
    }
    p->extent = extent;
    atomic_store(&p->bytes, omi_extent_bytes(extent));
    atomic_fetch_add_explicit(&t->tenv->filter_memory.loads, 1, memory_order_relaxed);
    return true;
}

uint64_t omi_table_part_evict(struct omi_table *t, uint32_t part)
{
    struct omi_table_part *p = &t->filter.parts[part];
    if (p->extent == NULL)
        return 0;
    uint64_t bytes = omi_extent_size(p->extent);
    atomic_store(&p->bytes, NULL);
    omi_extent_retire(p->extent, &t->tenv->filter_memory.grace);
    p->extent = NULL;
    atomic_fetch_add_explicit(&t->tenv->filter_memory.evictions, 1, memory_order_relaxed);
    return bytes;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void part_want(struct omi_table *t, struct omi_table_part *p)
{
    struct omi_filter_memory *m = &t->tenv->filter_memory;
    atomic_fetch_add_explicit(&m->absent, 1, memory_order_relaxed);
    if (atomic_load_explicit(&p->wanted, memory_order_relaxed) == 0 &&
        atomic_exchange_explicit(&p->wanted, 1, memory_order_relaxed) == 0)
        atomic_fetch_add_explicit(&m->wanted, 1, memory_order_relaxed);
}

static bool part_ask(struct omi_table *t, const struct omi_filter_route *route, uint64_t hash)
{
    struct omi_table_filter *f = &t->filter;
    if (f->part_count == 0) { /* format 1: behind the head */
        return omi_filter_probe(&f->filter, route,
                                omi_extent_bytes(f->head) + OMI_FILTER_HEADER_BYTES, hash);
    }
    struct omi_table_part *p = &f->parts[route->part];
    const uint8_t *bytes = atomic_load(&p->bytes);
    if (bytes == NULL) {
        if (!p->damaged)
            part_want(t, p);
        return true;
    }
    if (atomic_load_explicit(&p->used, memory_order_relaxed) == 0)
        atomic_store_explicit(&p->used, 1, memory_order_relaxed);
    return omi_filter_probe(&f->filter, route, bytes, hash);
}

bool omi_table_filter_may_hold(struct omi_table *t, omen_slice key, uint64_t hash,
                               struct omi_filter_route *route_out)
{
    struct omi_table_filter *f = &t->filter;
    struct omi_filter_route route = {0};
    bool may = true;
    if (f->filter.kind == OMI_FILTER_CUSTOM) {
        may = omi_custom_filter_may_hold(&f->custom, key);
    } else if (f->filter.kind != OMI_FILTER_NONE) {
        enum omi_filter_answer answer = omi_filter_route(&f->filter, key, hash, &route);
        may = answer == OMI_FILTER_PROBE ? part_ask(t, &route, hash) : answer == OMI_FILTER_MAYBE;
    }
    if (route_out != NULL)
        *route_out = route;
    return may;
}
