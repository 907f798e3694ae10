#include "lsm/version.h"

#include "io/base/coding.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- tables ---------------------------------------------------------------------------------- */

omen_err omi_live_table_open(struct omi_table_env *tenv, uint64_t number, uint64_t file_bytes,
                             struct omi_live_table **out)
{
    return omi_live_table_open_in(tenv, number, file_bytes, OMI_EXTENT_NEAR, out);
}

omen_err omi_live_table_open_in(struct omi_table_env *tenv, uint64_t number, uint64_t file_bytes,
                                enum omi_extent_class place, struct omi_live_table **out)
{
    *out = NULL;
    struct omi_live_table *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "table %06" PRIu64, number);
    omen_err err = omi_table_open_in(tenv, number, file_bytes, place, &t->table);
    if (err != OMEN_OK) {
        free(t);
        return err;
    }
    const struct omi_table_props *p = omi_table_props(t->table);
    t->meta = (struct omi_tree_file){
        .number = number,
        .bytes = p->file_bytes,
        .entries = p->entries,
        .deletes = p->deletes,
        .min_seq = p->min_seq,
        .max_seq = p->max_seq,
        .smallest = omi_slice(p->smallest.data, p->smallest.size),
        .largest = omi_slice(p->largest.data, p->largest.size),
    };
    atomic_init(&t->refs, 1);
    t->tenv = tenv;
    *out = t;
    return OMEN_OK;
}

void omi_live_table_unref(struct omi_live_table *t)
{
    if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    bool obsolete = atomic_load(&t->obsolete);
    uint64_t number = t->meta.number;
    omi_table_close(t->table, obsolete);
    if (obsolete) {
        char name[OMI_FILE_NAME_BYTES];
        omi_table_name(number, name);
        /* A failure leaves an orphan, which the next open removes. */
        (void)omi_dir_unlink(t->tenv->dir, name);
    }
    free(t);
}

/* ---- building a version ---------------------------------------------------------------------- */

/* The tables of a version under construction, flat. */
struct placed {
    uint32_t level;
    uint64_t age;
    struct omi_live_table *table;
};
struct placement {
    struct placed *items;
    size_t count, capacity;
    const struct omi_order *order;
};

static omen_err place(struct placement *p, uint32_t level, uint64_t age, struct omi_live_table *t)
{
    if (level < 1 || level > OMEN_LEVELS_MAX)
        return omi_fail(OMEN_CORRUPT, 0, "the manifest puts table %06" PRIu64 " in level %u",
                        t->meta.number, level);
    assert(p->count < p->capacity);
    p->items[p->count++] = (struct placed){level, age, t};
    return OMEN_OK;
}

static size_t placed_find(const struct placement *p, uint32_t level, uint64_t age, uint64_t number)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->items[i].table->meta.number == number)
            return p->items[i].level == level && p->items[i].age == age ? i : SIZE_MAX;
    return SIZE_MAX;
}

static omen_err placement_edit(struct placement *p, const struct omi_edit *edit)
{
    for (uint32_t i = 0; i < edit->moved_count; i++) {
        const struct omi_edit_move *m = &edit->moved[i];
        size_t at = placed_find(p, m->from_level, m->from_age, m->number);
        if (at == SIZE_MAX || m->to_level < 1 || m->to_level > OMEN_LEVELS_MAX)
            return omi_fail(OMEN_CORRUPT, 0,
                            "the manifest moves table %06" PRIu64 " from level %u, where it is not",
                            m->number, m->from_level);
        p->items[at].level = m->to_level;
        p->items[at].age = m->to_age;
    }
    for (uint32_t i = 0; i < edit->removed_count; i++) {
        const struct omi_edit_removal *r = &edit->removed[i];
        size_t at = placed_find(p, r->level, r->age, r->number);
        if (at == SIZE_MAX)
            return omi_fail(OMEN_CORRUPT, 0,
                            "the manifest removes table %06" PRIu64
                            " from level %u, where it is not",
                            r->number, r->level);
        omi_live_table_unref(p->items[at].table);
        p->items[at] = p->items[--p->count];
    }
    return OMEN_OK;
}

/* Two tables of one size under each other's name would open, and answer with the wrong versions. */
static omen_err check_identity(const struct omi_edit_file *f, const struct omi_live_table *t)
{
    uint64_t file_id = omi_table_props(t->table)->file_id;
    if (f->props.file_id == file_id)
        return OMEN_OK;
    return omi_fail(OMEN_CORRUPT, 0,
                    "%06" PRIu64 ".sst is another table than the one that the manifest names so",
                    f->number);
}

/* Once the edit is applied. */
static uint32_t last_level(const struct placement *p, const struct omi_edit *edit)
{
    uint32_t last = 0;
    for (size_t i = 0; i < p->count; i++)
        last = p->items[i].level > last ? p->items[i].level : last;
    for (uint32_t i = 0; i < edit->added_count; i++)
        last = edit->added[i].level > last ? edit->added[i].level : last;
    return last;
}

static omen_err placement_add(struct placement *p, const struct omi_edit *edit,
                              struct omi_table_env *tenv, struct omi_live_table *const *opened)
{
    omen_err err = OMEN_OK;
    uint32_t last = tenv->far ? last_level(p, edit) : UINT32_MAX;
    for (uint32_t i = 0; i < edit->added_count; i++) {
        const struct omi_edit_file *f = &edit->added[i];
        enum omi_extent_class born = f->level >= last ? OMI_EXTENT_FAR : OMI_EXTENT_NEAR;
        struct omi_live_table *t = opened != NULL ? opened[i] : NULL;
        if (err == OMEN_OK && t == NULL)
            err = omi_live_table_open_in(tenv, f->number, f->props.file_bytes, born, &t);
        if (err == OMEN_OK)
            err = check_identity(f, t);
        if (err == OMEN_OK)
            err = place(p, f->level, f->age, t);
        if (err != OMEN_OK && t != NULL)
            omi_live_table_unref(t);
    }
    return err;
}

static int placed_compare(const void *a, const void *b, void *ctx)
{
    const struct placed *x = a, *y = b;
    const struct omi_order *order = ctx;
    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    if (x->age != y->age)
        return x->age > y->age ? -1 : 1;
    return omi_key_compare(order, x->table->meta.smallest, y->table->meta.smallest);
}

/* The first eight key bytes after the run's prefix; any key that does not start with the prefix is
 * told apart before heads are looked at. */
static uint64_t head_after(omen_slice key, size_t prefix_size)
{
    omen_slice rest = omi_slice_behind(key, prefix_size);
    return omi_head64(rest.data, rest.size);
}

static omen_err run_fill(struct omi_run_view *run, struct placed *items, uint32_t count,
                         const struct omi_order *order)
{
    run->tables = calloc(count, sizeof(*run->tables));
    run->files = calloc(count, sizeof(*run->files));
    run->largest_heads = calloc(count, sizeof(*run->largest_heads));
    if (run->tables == NULL || run->files == NULL || run->largest_heads == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a run of %u tables", count);
    run->level = items[0].level;
    run->age = items[0].age;
    run->table_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct omi_live_table *t = items[i].table;
        run->tables[i] = t->table;
        run->files[i] = &t->meta;
        run->has_range_filter = run->has_range_filter || omi_table_has_range_filter(t->table);
        if (i > 0 && omi_key_compare(order, run->files[i - 1]->largest, t->meta.smallest) >= 0)
            return omi_fail(OMEN_CORRUPT, 0,
                            "tables %06" PRIu64 " and %06" PRIu64
                            " of one run in level %u overlap: the manifest is damaged",
                            run->files[i - 1]->number, t->meta.number, run->level);
    }
    if (!omi_order_is_bytewise(order))
        return OMEN_OK;
    omen_slice low = run->files[0]->smallest, high = run->files[count - 1]->largest;
    run->prefix = low.data;
    run->prefix_size = omi_bytes_common(low.data, low.size, high.data, high.size);
    for (uint32_t i = 0; i < count; i++)
        run->largest_heads[i] = head_after(run->files[i]->largest, run->prefix_size);
    return OMEN_OK;
}

static void run_free(struct omi_run_view *run)
{
    free(run->tables);
    free(run->files);
    free(run->largest_heads);
}

static void version_free(struct omi_version *v)
{
    for (uint32_t i = 0; i < v->run_count; i++) {
        for (uint32_t j = 0; j < v->runs[i].table_count; j++)
            omi_live_table_unref((struct omi_live_table *)(void *)v->runs[i].files[j]);
        run_free(&v->runs[i]);
    }
    for (uint32_t l = 0; l < OMEN_LEVELS_MAX; l++)
        free(v->tree.levels[l].runs);
    free(v->runs);
    free(v);
}

static uint32_t run_length(const struct placement *p, size_t from)
{
    size_t i = from + 1;
    while (i < p->count && p->items[i].level == p->items[from].level &&
           p->items[i].age == p->items[from].age)
        i++;
    return (uint32_t)(i - from);
}

/* The tree that picking sees, from the runs. */
static omen_err tree_fill(struct omi_version *v)
{
    for (uint32_t i = 0; i < v->run_count; i++)
        v->tree.levels[v->runs[i].level - 1].run_count++;
    for (uint32_t l = 0; l < OMEN_LEVELS_MAX; l++) {
        struct omi_tree_level *level = &v->tree.levels[l];
        if (level->run_count == 0)
            continue;
        v->tree.level_count = l + 1;
        level->runs = calloc(level->run_count, sizeof(*level->runs));
        if (level->runs == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "a level of %u runs", level->run_count);
        level->run_count = 0;
    }
    for (uint32_t i = 0; i < v->run_count; i++) {
        struct omi_run_view *run = &v->runs[i];
        struct omi_tree_level *level = &v->tree.levels[run->level - 1];
        struct omi_tree_run *r = &level->runs[level->run_count++];
        r->age = run->age;
        r->file_count = run->table_count;
        r->files = run->files;
        for (uint32_t j = 0; j < run->table_count; j++) {
            r->bytes += run->files[j]->bytes;
            v->entries += run->files[j]->entries;
        }
        level->bytes += r->bytes;
        v->bytes += r->bytes;
        v->table_count += run->table_count;
    }
    return OMEN_OK;
}

static omen_err version_make(struct placement *p, struct omi_version **out)
{
    if (p->count > 0)
        qsort_r(p->items, p->count, sizeof(*p->items), placed_compare, (void *)(uintptr_t)p->order);
    struct omi_version *v = calloc(1, sizeof(*v));
    struct omi_run_view *runs = calloc(p->count + 1, sizeof(*runs));
    if (v == NULL || runs == NULL) {
        free(v);
        free(runs);
        return omi_fail(OMEN_NO_MEMORY, 0, "a version of %zu tables", p->count);
    }
    atomic_init(&v->refs, 1);
    v->runs = runs;
    omen_err err = OMEN_OK;
    size_t taken = 0;
    while (taken < p->count && err == OMEN_OK) {
        uint32_t count = run_length(p, taken);
        err = run_fill(&runs[v->run_count], &p->items[taken], count, p->order);
        if (err == OMEN_OK) {
            v->run_count++;
            taken += count;
        } else {
            run_free(&runs[v->run_count]);
        }
    }
    if (err == OMEN_OK)
        err = tree_fill(v);
    /* The version owns the references of the runs it filled; the caller's placement keeps the rest.
     */
    if (err != OMEN_OK) {
        p->count -= taken;
        memmove(p->items, p->items + taken, p->count * sizeof(*p->items));
        version_free(v);
        return err;
    }
    p->count = 0;
    *out = v;
    return OMEN_OK;
}

omen_err omi_version_apply(const struct omi_version *base, const struct omi_edit *edit,
                           struct omi_table_env *tenv, struct omi_live_table *const *opened,
                           struct omi_version **out)
{
    *out = NULL;
    struct placement p = {.order = &tenv->order};
    p.capacity = (base != NULL ? base->table_count : 0) + edit->added_count;
    p.items = calloc(p.capacity + 1, sizeof(*p.items));
    if (p.items == NULL) {
        for (uint32_t i = 0; opened != NULL && i < edit->added_count; i++)
            omi_live_table_unref(opened[i]);
        return omi_fail(OMEN_NO_MEMORY, 0, "a version of %zu tables", p.capacity);
    }
    for (uint32_t i = 0; base != NULL && i < base->run_count; i++)
        for (uint32_t j = 0; j < base->runs[i].table_count; j++) {
            struct omi_live_table *t = (struct omi_live_table *)(void *)base->runs[i].files[j];
            atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
            p.items[p.count++] = (struct placed){base->runs[i].level, base->runs[i].age, t};
        }
    omen_err err = placement_edit(&p, edit);
    omen_err added = placement_add(&p, edit, tenv, opened);
    if (err == OMEN_OK)
        err = added;
    if (err == OMEN_OK)
        err = version_make(&p, out);
    for (size_t i = 0; i < p.count; i++)
        omi_live_table_unref(p.items[i].table);
    free(p.items);
    return err;
}

void omi_version_ref(struct omi_version *v)
{
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
}

void omi_version_unref(struct omi_version *v)
{
    if (v != NULL && atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) == 1)
        version_free(v);
}

static struct omi_live_table *version_table(const struct omi_version *v, uint64_t number)
{
    for (uint32_t i = 0; i < v->run_count; i++)
        for (uint32_t j = 0; j < v->runs[i].table_count; j++)
            if (v->runs[i].files[j]->number == number)
                return (struct omi_live_table *)(void *)v->runs[i].files[j];
    return NULL;
}

void omi_version_retire(const struct omi_version *base, const struct omi_edit *edit)
{
    for (uint32_t i = 0; i < edit->removed_count; i++) {
        struct omi_live_table *t = version_table(base, edit->removed[i].number);
        if (t != NULL)
            atomic_store(&t->obsolete, true);
    }
}

static omen_err props_copy(const struct omi_table_props *from, struct omi_table_props *to)
{
    *to = *from;
    to->smallest = (struct omi_buf){0};
    to->largest = (struct omi_buf){0};
    omen_err err = omi_buf_append(&to->smallest, from->smallest.data, from->smallest.size);
    if (err == OMEN_OK)
        err = omi_buf_append(&to->largest, from->largest.data, from->largest.size);
    if (err != OMEN_OK)
        omi_table_props_fini(to);
    return err;
}

omen_err omi_version_snapshot(const struct omi_version *v, struct omi_edit *edit)
{
    for (uint32_t i = 0; i < v->run_count; i++) {
        const struct omi_run_view *run = &v->runs[i];
        for (uint32_t j = 0; j < run->table_count; j++) {
            struct omi_table_props props;
            omen_err err = props_copy(omi_table_props(run->tables[j]), &props);
            if (err != OMEN_OK)
                return err;
            err = omi_edit_add(edit, run->level, run->age, run->files[j]->number, &props);
            if (err != OMEN_OK) {
                omi_table_props_fini(&props);
                return err;
            }
        }
    }
    return OMEN_OK;
}

/* ---- finding a table ------------------------------------------------------------------------- */

static int64_t find_by_compare(const struct omi_run_view *run, const struct omi_order *order,
                               omen_slice key, uint32_t low, uint32_t high)
{
    while (low < high) { /* first table whose largest >= key */
        uint32_t middle = low + (high - low) / 2;
        if (omi_key_compare(order, run->files[middle]->largest, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == run->table_count || omi_key_compare(order, key, run->files[low]->smallest) < 0)
        return -1;
    return low;
}

int64_t omi_run_find(const struct omi_run_view *run, const struct omi_order *order, omen_slice key)
{
    if (!omi_order_is_bytewise(order) || run->table_count < 4)
        return find_by_compare(run, order, key, 0, run->table_count);
    size_t n = run->prefix_size;
    if (key.size < n || (n != 0 && memcmp(key.data, run->prefix, n) != 0))
        return -1; /* every key of the run starts with the prefix */
    uint64_t head = head_after(key, n);
    uint32_t low = 0, high = run->table_count;
    while (low < high) { /* first table whose largest head >= head; before it all are smaller */
        uint32_t middle = low + (high - low) / 2;
        if (run->largest_heads[middle] < head)
            low = middle + 1;
        else
            high = middle;
    }
    return find_by_compare(run, order, key, low, run->table_count);
}
