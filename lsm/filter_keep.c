/*
 * filter_keep.c - brings in the parts of filters that lookups missed: on the upkeep thread, or, where
 * there is none, after a lookup, on its thread. A part that does not come is no error; its keys are
 * looked for in the blocks.
 */
#include "lsm/db.h"
#include "lsm/far.h"
#include "lsm/table_open.h"

#include <stdio.h>

enum {
    WISHES_MAX = 64,    /* of a call */
    SWAPS_MAX = 8,      /* of them, those that other parts go for */
    SWAP_WANTED_MIN = 4 /* in one turn */
};

struct wish {
    struct omi_table *table;
    uint32_t part;
    uint8_t wanted;
};
struct wishes { /* the most wanted first */
    struct wish at[WISHES_MAX];
    uint32_t count, max;
};

static void wish_add(struct wishes *w, struct wish wish)
{
    uint32_t at = w->count;
    if (at == w->max && (at == 0 || wish.wanted <= w->at[at - 1].wanted))
        return;
    if (at == w->max)
        at--;
    else
        w->count++;
    for (; at > 0 && w->at[at - 1].wanted < wish.wanted; at--)
        w->at[at] = w->at[at - 1];
    w->at[at] = wish;
}

static void wishes_of_table(struct omi_table *t, bool turn, struct wishes *w)
{
    for (uint32_t i = 0; i < t->filter.part_count; i++) {
        struct omi_table_part *p = &t->filter.parts[i];
        uint8_t wanted = atomic_load_explicit(&p->wanted, memory_order_relaxed);
        if (wanted == 0 || atomic_load_explicit(&p->bytes, memory_order_relaxed) != NULL)
            continue;
        if (turn)
            atomic_store_explicit(&p->wanted, 0, memory_order_relaxed);
        if (p->rest > 0)
            p->rest--;
        else
            wish_add(w, (struct wish){t, i, wanted});
    }
}

static void wishes_gather(const struct omi_version *v, bool turn, struct wishes *w)
{
    for (uint32_t r = 0; r < v->run_count; r++)
        for (uint32_t i = 0; i < v->runs[r].table_count; i++)
            wishes_of_table(v->runs[r].tables[i], turn, w);
}

/* True: it is here. Others go for it when a turn has shown that it is wanted and they are not. */
static bool fulfil(omen_db *db, const struct wish *w, bool turn, uint32_t *swaps)
{
    struct omi_filter_memory *m = &db->tenv.filter_memory;
    omen_err err = omi_table_part_load(w->table, w->part);
    if (err != OMEN_ABORTED || !turn || w->wanted < SWAP_WANTED_MIN || *swaps == SWAPS_MAX ||
        !omi_filter_memory_make_room(m, (size_t)omi_table_part_bytes(w->table, w->part)))
        return err == OMEN_OK;
    ++*swaps;
    err = omi_table_part_load(w->table, w->part);
    if (err == OMEN_ABORTED) { /* what went is still being read: the next call finds the room */
        atomic_store_explicit(&w->table->filter.parts[w->part].wanted, w->wanted,
                              memory_order_relaxed);
        atomic_store_explicit(&m->call, OMI_FILTER_CALL_RAISED, memory_order_relaxed);
    }
    return err == OMEN_OK;
}

static void fit_cache(omen_db *db)
{
    omi_mutex_lock(&db->mu);
    omi_db_fit_cache_locked(db);
    omi_mutex_unlock(&db->mu);
}

static bool keep_some(omen_db *db, uint32_t loads_max)
{
    struct omi_filter_memory *m = &db->tenv.filter_memory;
    struct wishes w = {.max = loads_max < WISHES_MAX ? loads_max : WISHES_MAX};
    uint32_t swaps = 0, loads = 0;
    atomic_store_explicit(&m->call, OMI_FILTER_CALL_NONE, memory_order_relaxed);
    omi_grace_poll(&m->grace);
    bool turn = omi_filter_memory_turn(m);
    struct omi_view *view = omi_view_ref(db); /* holds the tables while their parts are loaded */
    wishes_gather(view->version, turn, &w);
    for (uint32_t i = 0; i < w.count; i++)
        loads += fulfil(db, &w.at[i], turn, &swaps);
    omi_view_unref(view);
    if (loads != 0)
        fit_cache(db);
    return loads != 0 && loads == w.max;
}

bool omi_filter_memory_keep(omen_db *db, uint32_t loads_max)
{
    struct omi_filter_memory *m = &db->tenv.filter_memory;
    char text[512]; /* what this thread failed with before is still to be told */
    if (atomic_exchange_explicit(&m->keeping, true, memory_order_acquire))
        return false;
    snprintf(text, sizeof(text), "%s", omen_last_error());
    bool more = keep_some(db, loads_max);
    more = omi_far_repair(db) || more;
    omi_ignore(omi_fail_again(OMEN_IO, text));
    atomic_store_explicit(&m->keeping, false, memory_order_release);
    return more;
}

void omi_filter_memory_wanted(omen_db *db)
{
    struct omi_filter_memory *m = &db->tenv.filter_memory;
    uint32_t raised = OMI_FILTER_CALL_RAISED;
    if (atomic_load_explicit(&m->call, memory_order_relaxed) != OMI_FILTER_CALL_RAISED)
        return;
    if (db->upkeep_thread == NULL) {
        (void)omi_filter_memory_keep(db, 1);
        return;
    }
    if (!atomic_compare_exchange_strong_explicit(&m->call, &raised, OMI_FILTER_CALL_TOLD,
                                                 memory_order_relaxed, memory_order_relaxed))
        return;
    omi_mutex_lock(&db->mu);
    omi_cond_signal(&db->upkeep);
    omi_mutex_unlock(&db->mu);
}
