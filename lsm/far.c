#include "lsm/far.h"

#include "lsm/far_move.h"
#include "lsm/table_open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_LOOKUPS = 1 << 16, MOVE_BYTES = 64 << 20 };

/* ---- beginning and end ----------------------------------------------------------------------- */

static struct omi_tier *tier_of(const omen_db *db)
{
    return db->tenv.extents.tier;
}

/* What OMENDB_FAR says wins over AUTO, so that any program can be tried with it. */
static omen_err environment_asked(omen_options *o)
{
    static const char variable[] = "OMENDB_FAR";
    const char *text = getenv(variable);
    if (o->far != OMEN_FAR_AUTO || text == NULL || text[0] == 0)
        return OMEN_OK;
    omen_err err = omi_options_set(o, "far", strlen("far"), text, strlen(text), false);
    return err == OMEN_OK ? err
                          : omi_fail(OMEN_INVALID, 0,
                                     "%s is \"%.40s\"; it takes auto, none, node:N, heap or "
                                     "delay:NS",
                                     variable, text);
}

omen_err omi_far_open(omen_db *db)
{
    static const enum omi_far_mode modes[] = {[OMEN_FAR_AUTO] = OMI_FAR_AUTO,
                                              [OMEN_FAR_NONE] = OMI_FAR_NONE,
                                              [OMEN_FAR_NODE] = OMI_FAR_NODE,
                                              [OMEN_FAR_HEAP] = OMI_FAR_HEAP,
                                              [OMEN_FAR_DELAY] = OMI_FAR_DELAY};
    omen_options copy = db->options;
    const omen_options *o = &copy;
    omen_err err = environment_asked(&copy);
    if (err != OMEN_OK)
        return err;
    struct omi_tier_settings settings = {
        .mode = modes[o->far],
        .node = o->far == OMEN_FAR_NODE ? (int)o->far_value : -1,
        .delay_ns = o->far == OMEN_FAR_DELAY ? o->far_value : 0,
        .far_bytes = o->far_bytes,
        .near_model_bytes = db->settings.near_model_bytes,
        .guard = (o->flags & OMEN_FAR_GUARD) != 0,
    };
    db->far.tick_lookups = TICK_LOOKUPS;
    db->far.move_bytes = MOVE_BYTES;
    if (o->far == OMEN_FAR_NONE)
        return OMEN_OK;
    err = omi_tier_open(&settings, &db->tenv.extents.tier);
    if (err != OMEN_OK)
        return err;
    db->tenv.far = omi_tier_has_far(tier_of(db));
    struct omi_tier_stats s;
    omi_tier_get_stats(tier_of(db), &s);
    if (db->tenv.far)
        omi_say(db->log_file, 2,
                "far memory: %s (node %d), at most %" PRIu64 " bytes; %" PRIu64
                " bytes of the last level near%s",
                omen_far_name(omi_far_kind(s.mode)), s.node, s.far_limit_bytes, s.near_model_bytes,
                s.guarded ? ", guarded" : "");
    else if (o->far != OMEN_FAR_AUTO)
        omi_say(db->log_file, 1, "there is no far memory: %s", s.why);
    if (settings.guard && db->tenv.far && !s.guarded)
        omi_say(db->log_file, 1, "far memory is not guarded: %s", s.why);
    return OMEN_OK;
}

void omi_far_close(omen_db *db)
{
    omi_tier_close(tier_of(db));
    db->tenv.extents.tier = NULL;
}

/* ---- lookups --------------------------------------------------------------------------------- */

void omi_far_ahead(omen_db *db, const struct omi_version *v, omen_slice key, uint64_t hash,
                   struct omi_far_way *way)
{
    way->run = NULL;
    way->ahead.table = NULL;
    for (uint32_t i = v->run_count; i > 0; i--) {
        const struct omi_run_view *run = &v->runs[i - 1];
        struct omi_table_ahead other;
        if (run->level < v->tree.level_count)
            return; /* near, but for what has just become so */
        int64_t at = omi_run_find(run, &db->tenv.order, key);
        if (at >= 0)
            omi_table_ahead(run->tables[at], key, hash, way->run == NULL ? &way->ahead : &other);
        if (way->run == NULL) {
            way->run = run;
            way->at = at;
        }
    }
}

void omi_far_looked_up(omen_db *db, uint64_t n, uint64_t count)
{
    uint64_t every = db->far.tick_lookups;
    if (db->upkeep_thread == NULL && n / every != (n + count) / every)
        omi_far_tick(db);
}

/* ---- inheriting -------------------------------------------------------------------------------- */

static struct omi_live_table *live_of(const struct omi_tree_file *file)
{
    return (struct omi_live_table *)(void *)(uintptr_t)file;
}

static uint32_t heat_of(const struct omi_table *t)
{
    return atomic_load_explicit(&t->heat, memory_order_relaxed);
}

static int number_compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Numbers of tables, sorted. */
struct numbers {
    uint64_t *at;
    size_t count;
};

static bool numbers_have(const struct numbers *n, uint64_t number)
{
    return bsearch(&number, n->at, n->count, sizeof(number), number_compare) != NULL;
}

static void numbers_sort(struct numbers *n)
{
    qsort(n->at, n->count, sizeof(*n->at), number_compare);
}

/* The first table of the run that does not end before key. */
static uint32_t first_behind(const struct omi_run_view *run, const struct omi_order *order,
                             omen_slice key)
{
    uint32_t low = 0, high = run->table_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (omi_key_compare(order, run->files[middle]->largest, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Of the removed tables that overlap it. */
static uint32_t mean_heat(const struct omi_version *base, const struct numbers *removed,
                          const struct omi_tree_file *of, const struct omi_order *order)
{
    uint64_t sum = 0, count = 0;
    for (uint32_t r = 0; r < base->run_count; r++) {
        const struct omi_run_view *run = &base->runs[r];
        for (uint32_t i = first_behind(run, order, of->smallest);
             i < run->table_count &&
             omi_key_compare(order, run->files[i]->smallest, of->largest) <= 0;
             i++)
            if (numbers_have(removed, run->files[i]->number)) {
                sum += heat_of(run->tables[i]);
                count++;
            }
    }
    return count != 0 ? (uint32_t)(sum / count) : 0;
}

static void inherit(const struct omi_version *base, const struct numbers *removed,
                    const struct numbers *added, struct omi_version *next)
{
    for (uint32_t r = 0; r < next->run_count; r++)
        for (uint32_t i = 0; i < next->runs[r].table_count; i++) {
            const struct omi_tree_file *f = next->runs[r].files[i];
            if (!numbers_have(added, f->number))
                continue;
            uint32_t heat = mean_heat(base, removed, f, &live_of(f)->tenv->order);
            atomic_store_explicit(&next->runs[r].tables[i]->heat, heat, memory_order_relaxed);
        }
}

void omi_far_inherit(const struct omi_version *base, const struct omi_edit *edit,
                     struct omi_version *next)
{
    struct numbers removed = {.count = edit->removed_count}, added = {.count = edit->added_count};
    if (removed.count == 0 || added.count == 0)
        return;
    removed.at = malloc(removed.count * sizeof(*removed.at));
    added.at = malloc(added.count * sizeof(*added.at));
    if (removed.at != NULL && added.at != NULL) { /* else they begin cold */
        for (size_t i = 0; i < removed.count; i++)
            removed.at[i] = edit->removed[i].number;
        for (size_t i = 0; i < added.count; i++)
            added.at[i] = edit->added[i].number;
        numbers_sort(&removed);
        numbers_sort(&added);
        inherit(base, &removed, &added, next);
    }
    free(removed.at);
    free(added.at);
}

/* ---- ticks ------------------------------------------------------------------------------------- */

struct lying {
    struct omi_table *table;
    uint64_t movable_bytes, far_bytes; /* as the tick began */
};

struct tick {
    omen_db *db;
    struct lying *last; /* tables of the last level, in the order of the version */
    struct omi_far_choice *choices;
    uint32_t count;
    struct lying *strays; /* others that lie far */
    uint32_t stray_count;
    uint64_t moved_bytes;
};

static struct lying lying_of(struct omi_table *t)
{
    uint64_t bytes[OMI_EXTENT_CLASSES] = {0}, movable = 0;
    omi_table_filter_lies(t, bytes, &movable);
    omi_table_model_lies(t, bytes, &movable);
    return (struct lying){t, movable, bytes[OMI_EXTENT_FAR]};
}

static void tick_gather(struct tick *k, const struct omi_version *v)
{
    for (uint32_t r = 0; r < v->run_count; r++) {
        bool last = v->runs[r].level >= v->tree.level_count;
        for (uint32_t i = 0; i < v->runs[r].table_count; i++) {
            struct omi_table *t = v->runs[r].tables[i];
            struct lying lies = lying_of(t);
            uint32_t heat = heat_of(t);
            atomic_store_explicit(&t->heat, heat / 2, memory_order_relaxed);
            if (!last && lies.far_bytes != 0)
                k->strays[k->stray_count++] = lies;
            if (!last)
                continue;
            k->choices[k->count] =
                (struct omi_far_choice){.bytes = lies.movable_bytes,
                                        .heat = heat,
                                        .is_near = omi_table_place(t) == OMI_EXTENT_NEAR,
                                        .index = k->count};
            k->last[k->count++] = lies;
        }
    }
}

/* As far as the tick's bytes go. What finds no room tries again with the next tick. */
static void table_move(struct tick *k, const struct lying *l, enum omi_extent_class to)
{
    uint64_t before = k->moved_bytes, most = k->db->far.move_bytes;
    bool there = to == OMI_EXTENT_NEAR ? l->far_bytes == 0 : l->far_bytes == l->movable_bytes;
    if (before >= most || there)
        return;
    atomic_store_explicit(&l->table->place, (uint8_t)to, memory_order_relaxed);
    omen_err err = omi_table_filter_move(l->table, to, most - before, &k->moved_bytes);
    if (err == OMEN_OK)
        err = omi_table_model_move(l->table, to, &k->moved_bytes);
    if (err != OMEN_OK)
        atomic_fetch_add_explicit(&k->db->far.unmoved, 1, memory_order_relaxed);
    if (k->moved_bytes != before)
        atomic_fetch_add_explicit(&k->db->far.moved_tables[to], 1, memory_order_relaxed);
}

/* First those that make room: what is near stays chosen while there is some for it. */
static void tick_move(struct tick *k)
{
    for (uint32_t i = 0; i < k->count; i++)
        if (!k->choices[i].near)
            table_move(k, &k->last[k->choices[i].index], OMI_EXTENT_FAR);
    omi_grace_poll(&k->db->tenv.filter_memory.grace);
    for (uint32_t i = 0; i < k->count; i++)
        if (k->choices[i].near)
            table_move(k, &k->last[k->choices[i].index], OMI_EXTENT_NEAR);
    for (uint32_t i = 0; i < k->stray_count; i++)
        table_move(k, &k->strays[i], OMI_EXTENT_NEAR);
    omi_grace_poll(&k->db->tenv.filter_memory.grace);
}

static void fit_cache(omen_db *db)
{
    omi_mutex_lock(&db->mu);
    omi_db_fit_cache_locked(db);
    omi_mutex_unlock(&db->mu);
}

static uint64_t near_model_bytes(omen_db *db)
{
    omi_mutex_lock(&db->mu);
    uint64_t bytes = db->settings.near_model_bytes;
    omi_mutex_unlock(&db->mu);
    return bytes;
}

static void tick_all(omen_db *db, const struct omi_version *v)
{
    size_t n = (size_t)v->table_count + 1;
    struct tick k = {.db = db,
                     .last = calloc(n, sizeof(*k.last)),
                     .choices = calloc(n, sizeof(*k.choices)),
                     .strays = calloc(n, sizeof(*k.strays))};
    if (k.last != NULL && k.strays != NULL && k.choices != NULL) {
        tick_gather(&k, v);
        omi_far_choose(k.choices, k.count, near_model_bytes(db));
        tick_move(&k);
        if (k.moved_bytes != 0)
            fit_cache(db);
    }
    free(k.last);
    free(k.strays);
    free(k.choices);
}

/* One thread at a time, with a view that holds the tables. */
static bool keeping_begin(omen_db *db)
{
    return db->tenv.far && !atomic_exchange_explicit(&db->far.keeping, true, memory_order_acquire);
}

static void keeping_end(omen_db *db)
{
    atomic_store_explicit(&db->far.keeping, false, memory_order_release);
}

void omi_far_tick(omen_db *db)
{
    char text[512]; /* what this thread failed with before is still to be told */
    if (!keeping_begin(db))
        return;
    snprintf(text, sizeof(text), "%s", omen_last_error());
    struct omi_view *view = omi_view_ref(db);
    tick_all(db, view->version);
    omi_view_unref(view);
    atomic_fetch_add_explicit(&db->far.ticks, 1, memory_order_relaxed);
    omi_ignore(omi_fail_again(OMEN_IO, text));
    keeping_end(db);
}

/* ---- repairs ----------------------------------------------------------------------------------- */

static void table_repair(omen_db *db, struct omi_table *t, uint32_t *repaired)
{
    struct omi_extent *lines = atomic_load(&t->lines);
    bool damaged = lines != NULL && omi_extent_damaged(lines);
    *repaired += omi_table_filter_repair(t);
    if (omi_table_model_repair(t) == OMEN_OK) {
        *repaired += damaged;
        return;
    }
    if (!atomic_exchange(&db->far.lost_told, true))
        omi_say(db->log_file, 1, "far memory was lost, and is not back yet: %s", omen_last_error());
    atomic_store_explicit(&db->tenv.far_damaged, true, memory_order_relaxed);
}

bool omi_far_repair(omen_db *db)
{
    uint32_t repaired = 0;
    if (!atomic_load_explicit(&db->tenv.far_damaged, memory_order_relaxed) || !keeping_begin(db))
        return false;
    atomic_store_explicit(&db->tenv.far_damaged, false, memory_order_relaxed);
    struct omi_view *view = omi_view_ref(db);
    for (uint32_t i = 0; i < view->version->run_count; i++)
        for (uint32_t j = 0; j < view->version->runs[i].table_count; j++)
            table_repair(db, view->version->runs[i].tables[j], &repaired);
    omi_view_unref(view);
    atomic_fetch_add_explicit(&db->far.repaired, repaired, memory_order_relaxed);
    if (repaired != 0)
        omi_say(
            db->log_file, 1,
            "far memory failed under %u filters and models; they were read again from their tables",
            repaired);
    keeping_end(db);
    return repaired != 0;
}
