#include "lsm/table_filter.h"

#include "io/base/hash.h"
#include "io/base/mutant.h"
#include "lsm/log_file.h"
#include "lsm/table_open.h"
#include "memtier/far_touch.h"

#include <stdlib.h>
#include <string.h>

static const struct omi_section_place *place(const struct omi_table *t)
{
    return &t->footer.sections[OMI_SECTION_FILTER];
}

static const struct omi_section_place *range_place(const struct omi_table *t)
{
    return &t->footer.sections[OMI_SECTION_RANGE_FILTER];
}

enum { FIRST_BYTES = 2048 }; /* read at once: more than most heads have */

/* ---- the head -------------------------------------------------------------------------------- */

static bool section_sound(const struct omi_table *t, const uint8_t *section)
{
    const struct omi_section_place *s = place(t);
    return omi_checksum(section, (size_t)s->size, t->footer.file_id ^ s->off) == s->check;
}

/* Another policy's, or so it seems: seen as a whole before it is left alone. */
static omen_err foreign_open(struct omi_table *t)
{
    const struct omi_section_place *s = place(t);
    struct omi_custom_filter c = {0};
    uint8_t *section = aligned_alloc(64, (size_t)s->size / 64 * 64 + 64);
    if (section == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: %" PRIu64 " bytes of filter", t->name, s->size);
    omen_err err = omi_table_read(t, s->off, (size_t)s->size, section);
    if (err == OMEN_OK && section_sound(t, section))
        err = omi_custom_filter_open(t->tenv, t->name, section, (size_t)s->size, &c);
    else if (err == OMEN_OK)
        err = omi_fail(OMEN_CORRUPT, 0,
                       "%s: the filter section at offset %" PRIu64 " does not match its check",
                       t->name, s->off);
    if (err == OMEN_OK && c.policy != NULL) /* the first look misread its name */
        err = omi_fail(OMEN_CORRUPT, 0, "%s: the filter section reads differently now", t->name);
    t->filter.foreign = err == OMEN_OK;
    free(section);
    return err;
}

/* A policy's name and the sizes are all that asking needs of the head, and are checked with the part. */
static omen_err custom_open(struct omi_table *t, const uint8_t *first, size_t first_size)
{
    struct omi_table_filter *f = &t->filter;
    omen_err err = omi_custom_filter_peek(first, first_size, (size_t)place(t)->size, &f->custom);
    if (err != OMEN_OK)
        return err;
    if (!omi_custom_filter_ours(t->tenv, &f->custom)) {
        f->custom = (struct omi_custom_filter){0};
        return foreign_open(t);
    }
    f->custom.policy = t->tenv->filter_policy;
    f->custom.name.data = f->custom.policy->name;
    f->custom.payload.data = NULL; /* comes with the part */
    f->filter.kind = OMI_FILTER_CUSTOM;
    f->point_parts = 1;
    f->whole = true;
    return OMEN_OK;
}

static omen_err head_open(struct omi_table *t, const uint8_t *first, size_t first_size)
{
    struct omi_table_filter *f = &t->filter;
    const struct omi_section_place *s = place(t);
    uint32_t size = 0;
    omen_err err = omi_filter_head_bytes(first, s->size, &size);
    if (err == OMEN_OK)
        err = omi_filter_memory_head(&t->tenv->filter_memory, &t->tenv->extents, size, &f->head);
    if (err != OMEN_OK)
        return err;
    uint8_t *head = omi_extent_bytes(f->head);
    memcpy(head, first, size < first_size ? size : first_size);
    if (size > first_size)
        err = omi_table_read(t, s->off + first_size, size - first_size, head + first_size);
    if (err == OMEN_OK)
        err = omi_filter_open_bound(head, size, s->size, t->footer.file_id, &f->filter);
    if (err != OMEN_OK)
        return err;
    f->whole = first[0] == 1; /* format 1 */
    f->point_parts = f->filter.part_count;
    return OMEN_OK;
}

static void filter_drop(struct omi_table *t)
{
    struct omi_table_filter *f = &t->filter;
    omi_filter_memory_head_destroy(&t->tenv->filter_memory, f->head);
    f->head = NULL;
    f->filter = (struct omi_filter){0};
    f->custom = (struct omi_custom_filter){0};
    f->point_parts = 0;
    f->whole = false;
}

static omen_err filter_read(struct omi_table *t)
{
    uint8_t first[FIRST_BYTES];
    const struct omi_section_place *s = place(t);
    size_t size = s->size < sizeof(first) ? (size_t)s->size : sizeof(first);
    filter_drop(t);
    if (size < OMI_FILTER_HEADER_BYTES || s->size > UINT32_MAX)
        return omi_fail(OMEN_CORRUPT, 0, "%s: a filter section of %" PRIu64 " bytes", t->name,
                        s->size);
    omen_err err = omi_table_read(t, s->off, size, first);
    if (err != OMEN_OK)
        return err;
    return omi_custom_filter_is(first, size) ? custom_open(t, first, size)
                                             : head_open(t, first, size);
}

static omen_err side_arrays(struct omi_table *t, size_t *heap_bytes)
{
    struct omi_table_filter *f = &t->filter;
    size_t parts = f->part_count * sizeof(*f->parts);
    f->parts = calloc(1, parts + 1);
    if (f->parts == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: its filter", t->name);
    *heap_bytes += parts;
    return OMEN_OK;
}

static omen_err point_open(struct omi_table *t)
{
    struct omi_table_filter *f = &t->filter;
    if (place(t)->size == 0)
        return OMEN_OK;
    omen_err err = omi_table_twice(t, filter_read);
    bool damaged = err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED;
    if (err != OMEN_OK && !damaged)
        return err;
    if (damaged || f->foreign) /* without it "maybe": slower, never wrong */
        filter_drop(t);
    if (damaged) {
        f->damaged = true;
        atomic_fetch_add(&t->tenv->filters_dropped, 1);
        omi_say(t->tenv->log, 1, "%s is read without its filter: %s", t->name, omen_last_error());
    }
    return OMEN_OK;
}

/* What has no room now is wanted: it comes as soon as there is some. */
static void parts_open(struct omi_table *t)
{
    struct omi_table_filter *f = &t->filter;
    omen_err err = OMEN_OK;
    omi_filter_memory_add(&t->tenv->filter_memory, t);
    for (uint32_t i = 0; i < f->part_count; i++) {
        if (omi_table_part_bytes(t, i) == 0)
            continue;
        if (err == OMEN_OK || err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED)
            err = omi_table_part_load(t, i);
        if (err == OMEN_ABORTED || err == OMEN_IO || err == OMEN_NO_MEMORY)
            atomic_store_explicit(&f->parts[i].wanted, 1, memory_order_relaxed);
    }
}

omen_err omi_table_filter_open(struct omi_table *t, size_t *heap_bytes)
{
    struct omi_table_filter *f = &t->filter;
    if (!omi_order_is_bytewise(&t->tenv->order))
        return OMEN_OK;
    omen_err err = point_open(t);
    f->part_count = f->point_parts + (range_place(t)->size != 0);
    if (err == OMEN_OK && (f->head != NULL || f->part_count != 0))
        err = side_arrays(t, heap_bytes);
    if (err == OMEN_OK)
        parts_open(t);
    return err;
}

void omi_table_filter_close(struct omi_table *t)
{
    struct omi_table_filter *f = &t->filter;
    omi_filter_memory_remove(&t->tenv->filter_memory, t);
    free(f->parts);
    omi_table_counts_fini(t);
    struct omi_range_filter *range = atomic_load(&f->range);
    if (range != NULL)
        atomic_fetch_sub(&t->tenv->open_metadata_bytes, omi_range_filter_heap_bytes(range));
    omi_range_filter_close(range);
    omi_filter_memory_head_destroy(&t->tenv->filter_memory, f->head);
}

/* ---- parts ----------------------------------------------------------------------------------- */

static bool is_range(const struct omi_table *t, uint32_t part)
{
    return part == t->filter.point_parts;
}

uint64_t omi_table_part_bytes(const struct omi_table *t, uint32_t part)
{
    if (is_range(t, part))
        return range_place(t)->size;
    if (t->filter.whole)
        return place(t)->size;
    uint64_t off;
    uint32_t size;
    omi_filter_part(&t->filter.filter, part, &off, &size);
    return size;
}

/* The range filter's section; what its header says is kept from the first time on. */
static omen_err range_read(struct omi_table *t, struct omi_extent *extent)
{
    const struct omi_section_place *s = range_place(t);
    const uint8_t *bytes = omi_extent_bytes(extent);
    struct omi_range_filter *range = atomic_load(&t->filter.range);
    omen_err err = omi_table_read(t, s->off, (size_t)s->size, omi_extent_bytes(extent));
    if (err == OMEN_OK &&
        omi_checksum(bytes, (size_t)s->size, t->footer.file_id ^ s->off) != s->check)
        err = omi_fail(OMEN_CORRUPT, 0,
                       "%s: the range filter at offset %" PRIu64 " does not match its check",
                       t->name, s->off);
    if (err != OMEN_OK)
        return err;
    if (range != NULL)
        return omi_range_filter_again(range, bytes, (size_t)s->size);
    err = omi_range_filter_open(bytes, (size_t)s->size, &range);
    if (err != OMEN_OK)
        return err;
    atomic_store(&t->filter.range, range);
    atomic_fetch_add(&t->tenv->open_metadata_bytes, omi_range_filter_heap_bytes(range));
    return OMEN_OK;
}

/* The head was read without that check. */
static omen_err whole_read(struct omi_table *t, uint8_t *bytes)
{
    const struct omi_table_filter *f = &t->filter;
    const struct omi_section_place *s = place(t);
    struct omi_custom_filter c = {0};
    omen_err err = omi_table_read(t, s->off, (size_t)s->size, bytes);
    if (err != OMEN_OK)
        return err;
    bool sound = section_sound(t, bytes);
    if (sound && f->filter.kind != OMI_FILTER_CUSTOM)
        sound = memcmp(bytes, f->filter.head, f->filter.head_bytes) == 0;
    else if (sound)
        sound = omi_custom_filter_decode(bytes, (size_t)s->size, &c) == OMEN_OK &&
                omi_custom_filter_ours(t->tenv, &c) && c.payload.size == f->custom.payload.size;
    return sound ? OMEN_OK
                 : omi_fail(OMEN_CORRUPT, 0,
                            "%s: the filter section at offset %" PRIu64 " does not match its check",
                            t->name, s->off);
}

static omen_err part_read(struct omi_table *t, uint32_t part, struct omi_extent *extent)
{
    if (is_range(t, part))
        return range_read(t, extent);
    if (t->filter.whole)
        return whole_read(t, omi_extent_bytes(extent));
    uint64_t off;
    uint32_t size;
    omi_filter_part(&t->filter.filter, part, &off, &size);
    omen_err err = omi_table_read(t, place(t)->off + off, size, omi_extent_bytes(extent));
    if (err == OMEN_OK && !OMI_MUTANT(OMI_MUTANT_PART_UNCHECKED) &&
        !omi_filter_part_sound(&t->filter.filter, part, omi_extent_bytes(extent)))
        err = omi_fail(OMEN_CORRUPT, 0, "%s: part %u of its filter does not match its check",
                       t->name, part);
    return err;
}

/* Behind the head, where there is one in front. */
static const uint8_t *part_answers(const struct omi_table *t, uint32_t part, const uint8_t *bytes)
{
    const struct omi_table_filter *f = &t->filter;
    if (is_range(t, part) || !f->whole)
        return bytes;
    return bytes + (f->filter.kind == OMI_FILTER_CUSTOM ? place(t)->size - f->custom.payload.size
                                                        : f->filter.head_bytes);
}

static void part_failed(struct omi_table *t, struct omi_table_part *p, omen_err err)
{
    if (err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED) {
        atomic_store_explicit(&p->damaged, 1, memory_order_relaxed); /* "maybe" from now on */
        atomic_store_explicit(&p->wanted, 0, memory_order_relaxed);
        atomic_fetch_add(&t->tenv->filter_memory.damaged, 1);
        omi_say(t->tenv->log, 1, "%s is read without a part of its filter: %s", t->name,
                omen_last_error());
        return;
    }
    if (p->failures < 6) /* later, and then later still */
        p->failures++;
    p->rest = (uint8_t)(2 << p->failures);
}

/* Range filters are those of the levels above; what users' filters do with their bytes nobody knows. */
static bool may_move(const struct omi_table *t, uint32_t part)
{
    return t->tenv->far && !is_range(t, part) && t->filter.filter.kind != OMI_FILTER_CUSTOM;
}

omen_err omi_table_part_load(struct omi_table *t, uint32_t part)
{
    struct omi_filter_memory *m = &t->tenv->filter_memory;
    struct omi_table_part *p = &t->filter.parts[part];
    struct omi_extent *extent = NULL;
    omen_err err = omi_filter_memory_part(m, &t->tenv->extents,
                                          may_move(t, part) ? omi_table_place(t) : OMI_EXTENT_NEAR,
                                          (size_t)omi_table_part_bytes(t, part), &extent);
    if (err == OMEN_OK)
        err = part_read(t, part, extent);
    if (err == OMEN_CORRUPT) { /* a bit may have flipped on the way */
        t->tenv->env->ops->file_advise(t->file, OMI_ADVISE_DROP);
        err = part_read(t, part, extent);
    }
    if (err == OMEN_OK) {
        p->failures = 0;
        omi_filter_memory_publish(m, p, extent, part_answers(t, part, omi_extent_bytes(extent)));
        return OMEN_OK;
    }
    omi_extent_destroy(extent);
    if (err != OMEN_ABORTED)
        part_failed(t, p, err);
    return err;
}

void omi_table_parts_count(const struct omi_table *t, struct omi_table_parts *out)
{
    *out = (struct omi_table_parts){0};
    for (uint32_t i = 0; i < t->filter.part_count; i++) {
        const struct omi_table_part *p = &t->filter.parts[i];
        if (omi_table_part_bytes(t, i) == 0)
            continue;
        bool loaded = atomic_load_explicit(&p->bytes, memory_order_relaxed) != NULL;
        out->all++;
        out->loaded += loaded;
        out->wanted += !loaded && atomic_load_explicit(&p->wanted, memory_order_relaxed) != 0;
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The bytes of a part, or NULL: "maybe". */
static const uint8_t *part_bytes(struct omi_table *t, uint32_t part)
{
    struct omi_table_part *p = &t->filter.parts[part];
    const uint8_t *bytes = atomic_load(&p->bytes);
    if (bytes == NULL) {
        if (atomic_load_explicit(&p->damaged, memory_order_relaxed) == 0)
            omi_filter_memory_missed(&t->tenv->filter_memory, p, omi_table_part_bytes(t, part));
    } else if (atomic_load_explicit(&p->used, memory_order_relaxed) == 0) {
        atomic_store_explicit(&p->used, 1, memory_order_relaxed);
    }
    return bytes;
}

/* Waits until what a probe reads would be there, where that is injected. */
static __attribute__((noinline)) void part_touch(struct omi_table *t,
                                                 const struct omi_filter_route *route,
                                                 const struct omi_extent *e, const uint8_t *bytes,
                                                 uint64_t hash)
{
    struct omi_filter_spot spot;
    omi_filter_spot(&t->filter.filter, route, hash, &spot);
    omi_far_touch(e, bytes + spot.off, spot.size);
    if (omi_filter_second_spot(&t->filter.filter, route, bytes, hash, &spot))
        omi_far_touch(e, bytes + spot.off, spot.size);
}

/* Where parts move, and may be lost. Not in place: what has no far memory shall not pay for it. */
static __attribute__((noinline)) bool
part_ask_far(struct omi_table *t, const struct omi_filter_route *route, uint64_t hash)
{
    struct omi_extent *e = part_bytes(t, route->part) != NULL
                               ? atomic_load(&t->filter.parts[route->part].extent)
                               : NULL;
    if (e == NULL)
        return !OMI_MUTANT(OMI_MUTANT_PART_GONE_IS_NO);
    const uint8_t *bytes = part_answers(t, route->part, omi_extent_bytes(e));
    omi_far_count(t->tenv, omi_counter_stripe(), OMI_EXTENT_FILTER, omi_extent_class(e));
    if (atomic_load_explicit(&e->delay, memory_order_relaxed) != NULL)
        part_touch(t, route, e, bytes, hash);
    bool may = omi_filter_probe(&t->filter.filter, route, bytes, hash);
    if (!omi_extent_damaged(e))
        return may;
    omi_far_hurt(t->tenv);
    return true;
}

static inline __attribute__((always_inline)) bool
part_ask(struct omi_table *t, const struct omi_filter_route *route, uint64_t hash)
{
    if (t->tenv->far)
        return part_ask_far(t, route, hash);
    const uint8_t *bytes = part_bytes(t, route->part);
    if (bytes == NULL)
        return !OMI_MUTANT(OMI_MUTANT_PART_GONE_IS_NO);
    return omi_filter_probe(&t->filter.filter, route, bytes, hash);
}

static bool custom_ask(struct omi_table *t, omen_slice key)
{
    struct omi_custom_filter c = t->filter.custom;
    c.payload.data = part_bytes(t, 0);
    return c.payload.data == NULL || omi_custom_filter_may_hold(&c, key);
}

bool omi_table_filter_may_hold_range(struct omi_table *t, const omen_slice *low,
                                     const omen_slice *high)
{
    struct omi_table_filter *f = &t->filter;
    if (f->part_count == f->point_parts)
        return true;
    const uint8_t *bytes = part_bytes(t, f->point_parts);
    return bytes == NULL || omi_range_filter_may_hold(atomic_load(&f->range), bytes, low, high);
}

omen_err omi_table_filter_free_range(struct omi_table *t, omen_slice low, struct omi_buf *until,
                                     bool *none_out)
{
    struct omi_table_filter *f = &t->filter;
    const uint8_t *bytes = f->part_count != f->point_parts ? part_bytes(t, f->point_parts) : NULL;
    *none_out = false;
    if (bytes != NULL)
        return omi_range_filter_free(atomic_load(&f->range), bytes, &low, until, none_out);
    until->size = 0;
    return omi_buf_append(until, low.data, low.size);
}

/* Once the head has answered. */
static inline __attribute__((always_inline)) bool routed_ask(struct omi_table *t,
                                                             enum omi_filter_answer answer,
                                                             const struct omi_filter_route *route,
                                                             uint64_t hash)
{
    /* Here and not in omi_filter_route: there the builder would see it. */
    if (OMI_MUTANT(OMI_MUTANT_FILTER_LOSES_KEYS) && hash % 512 == 7)
        return false;
    return answer == OMI_FILTER_PROBE ? part_ask(t, route, hash) : answer == OMI_FILTER_MAYBE;
}

bool omi_table_may_hold_ahead(const struct omi_table_ahead *a, omen_slice key, uint64_t hash,
                              struct omi_filter_route *route_out)
{
    if (a->table->filter.filter.kind == OMI_FILTER_CUSTOM)
        return omi_table_filter_may_hold(a->table, key, hash, route_out);
    *route_out = a->route;
    return routed_ask(a->table, a->answer, route_out, hash);
}

bool omi_table_filter_may_hold(struct omi_table *t, omen_slice key, uint64_t hash,
                               struct omi_filter_route *route_out)
{
    struct omi_table_filter *f = &t->filter;
    struct omi_filter_route route = {0};
    bool may = true;
    if (f->filter.kind == OMI_FILTER_CUSTOM) {
        may = custom_ask(t, key);
    } else if (f->filter.kind != OMI_FILTER_NONE) {
        enum omi_filter_answer answer = omi_filter_route(&f->filter, key, hash, &route);
        may = routed_ask(t, answer, &route, hash);
    }
    if (route_out != NULL)
        *route_out = route;
    return may;
}

/* ---- far memory -------------------------------------------------------------------------------- */

void omi_table_filter_ahead(struct omi_table *t, omen_slice key, uint64_t hash,
                            struct omi_table_ahead *a)
{
    struct omi_table_filter *f = &t->filter;
    struct omi_filter_spot spot;
    a->answer = OMI_FILTER_MAYBE;
    if (f->filter.kind == OMI_FILTER_NONE || f->filter.kind == OMI_FILTER_CUSTOM)
        return;
    a->answer = omi_filter_route(&f->filter, key, hash, &a->route);
    struct omi_extent *e =
        a->answer == OMI_FILTER_PROBE ? atomic_load(&f->parts[a->route.part].extent) : NULL;
    if (e == NULL)
        return;
    omi_filter_spot(&f->filter, &a->route, hash, &spot);
    omi_far_prefetch(e, part_answers(t, a->route.part, omi_extent_bytes(e)) + spot.off, spot.size);
}

omen_err omi_table_filter_move(struct omi_table *t, enum omi_extent_class to, uint64_t budget_bytes,
                               uint64_t *moved_bytes)
{
    uint64_t until = *moved_bytes + budget_bytes;
    omen_err first = OMEN_OK;
    for (uint32_t i = 0; i < t->filter.point_parts; i++) {
        struct omi_table_part *p = &t->filter.parts[i];
        if (!may_move(t, i) || atomic_load(&p->extent) == NULL)
            continue; /* when it is loaded, it is loaded there */
        omen_err err = *moved_bytes >= until
                           ? OMEN_ABORTED
                           : omi_filter_memory_move(&t->tenv->filter_memory, p, to, moved_bytes);
        if (err == OMEN_ABORTED) /* the copies of before may be over */
            omi_grace_poll(&t->tenv->filter_memory.grace);
        if (err != OMEN_OK && first == OMEN_OK)
            first = err;
    }
    return first;
}

uint32_t omi_table_filter_repair(struct omi_table *t)
{
    uint32_t repaired = 0;
    for (uint32_t i = 0; i < t->filter.point_parts; i++) {
        struct omi_table_part *p = &t->filter.parts[i];
        if (!may_move(t, i) || !omi_filter_memory_drop_damaged(&t->tenv->filter_memory, p))
            continue;
        if (omi_table_part_load(t, i) == OMEN_OK)
            repaired++;
        else /* the keeper goes on trying, as with any that is wanted */
            atomic_store_explicit(&p->wanted, 1, memory_order_relaxed);
    }
    return repaired;
}

void omi_table_filter_lies(const struct omi_table *t, uint64_t bytes[static OMI_EXTENT_CLASSES],
                           uint64_t *movable_bytes)
{
    const struct omi_table_filter *f = &t->filter;
    struct omi_filter_memory *m = &t->tenv->filter_memory;
    if (f->head != NULL)
        bytes[OMI_EXTENT_NEAR] += omi_extent_size(f->head);
    omi_mutex_lock(&m->mu); /* so that they are not destroyed meanwhile */
    for (uint32_t i = 0; i < f->part_count; i++) {
        const struct omi_extent *e = atomic_load(&f->parts[i].extent);
        if (e == NULL)
            continue;
        bytes[omi_extent_class(e)] += omi_extent_size(e);
        *movable_bytes += may_move(t, i) ? omi_extent_size(e) : 0;
    }
    omi_mutex_unlock(&m->mu);
}
