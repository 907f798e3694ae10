/* filter_memory.c - which parts of filters are in memory: a clock over all of them. */
#include "lsm/db.h"
#include "lsm/table_open.h"

void omi_filter_memory_init(struct omi_filter_memory *m)
{
    omi_grace_init(&m->grace);
    omi_mutex_init(&m->mu);
}

void omi_filter_memory_fini(struct omi_filter_memory *m)
{
    omi_grace_fini(&m->grace);
    omi_mutex_fini(&m->mu);
}

/* ---- the clock ------------------------------------------------------------------------------- */

/* All parts of a version, one after the other. */
struct clock {
    const struct omi_version *version;
    struct omi_filter_memory *memory;
    uint64_t parts;            /* of all tables */
    uint32_t run, table, part; /* where it stands */
};

static struct omi_table *clock_table(const struct clock *c)
{
    return c->version->runs[c->run].tables[c->table];
}

static bool clock_settle(struct clock *c)
{
    while (c->run < c->version->run_count) {
        if (c->table == c->version->runs[c->run].table_count) {
            c->run++;
            c->table = 0;
        } else if (c->part >= clock_table(c)->filter.part_count) {
            c->table++;
            c->part = 0;
        } else {
            return true;
        }
    }
    return false;
}

static void clock_start(struct clock *c)
{
    c->run = c->table = c->part = 0;
    (void)clock_settle(c);
}

/* From part to part, round and round; there is one at least. */
static void clock_next(struct clock *c)
{
    c->part++;
    c->memory->hand++;
    if (!clock_settle(c))
        clock_start(c);
}

static void clock_init(struct clock *c, struct omi_filter_memory *m, const struct omi_version *v)
{
    *c = (struct clock){.version = v, .memory = m};
    for (uint32_t r = 0; r < v->run_count; r++)
        for (uint32_t i = 0; i < v->runs[r].table_count; i++)
            c->parts += v->runs[r].tables[i]->filter.part_count;
    if (c->parts == 0)
        return;
    uint64_t from = m->hand % c->parts;
    m->hand = from;
    clock_start(c);
    for (uint64_t i = 0; i < from; i++) {
        c->part++;
        if (!clock_settle(c))
            clock_start(c);
    }
}

static uint64_t charged(const omen_db *db)
{
    return atomic_load(&db->tenv.extents.bytes[OMI_EXTENT_FILTER]);
}

/* Evicts parts that were not used since the hand came by, at most once around, until there is room
 * for bytes more. Retired memory counts until its readers have left. */
static bool room_make(omen_db *db, struct clock *c, uint64_t bytes, bool force)
{
    uint64_t limit = atomic_load(&db->tenv.filter_memory.limit_bytes);
    for (uint64_t i = 0; i < (force ? 2 : 1) * c->parts && charged(db) + bytes > limit; i++) {
        struct omi_table_part *p = &clock_table(c)->filter.parts[c->part];
        if (atomic_exchange_explicit(&p->used, 0, memory_order_relaxed) == 0)
            (void)omi_table_part_evict(clock_table(c), c->part);
        clock_next(c);
    }
    omi_grace_poll(&db->tenv.filter_memory.grace);
    return charged(db) + bytes <= limit;
}

/* ---- keeping --------------------------------------------------------------------------------- */

static void load_wanted(omen_db *db, struct clock *hand, uint32_t loads)
{
    struct clock c = {.version = hand->version, .memory = hand->memory};
    struct omi_filter_memory *m = &db->tenv.filter_memory;
    uint64_t limit = atomic_load(&m->limit_bytes);
    clock_start(&c);
    for (uint64_t i = 0; i < hand->parts && loads > 0; i++) {
        struct omi_table *t = clock_table(&c);
        struct omi_table_part *p = &t->filter.parts[c.part];
        if (atomic_exchange_explicit(&p->wanted, 0, memory_order_relaxed) != 0) {
            uint64_t bytes = omi_table_part_bytes(t, c.part);
            if (bytes <= limit &&
                (charged(db) + bytes <= limit || room_make(db, hand, bytes, false)) &&
                omi_table_part_load(t, c.part)) {
                atomic_store_explicit(&p->used, 1, memory_order_relaxed);
                loads--;
            }
        }
        c.part++;
        if (!clock_settle(&c))
            break;
    }
}

void omi_filter_memory_keep(omen_db *db, uint32_t loads)
{
    struct omi_filter_memory *m = &db->tenv.filter_memory;
    uint64_t before = charged(db);
    if (atomic_exchange(&m->keeping, true))
        return;
    atomic_store(&m->wanted, 0);
    struct omi_view *view = omi_view_ref(db); /* holds the tables while their parts are changed */
    struct clock hand;
    clock_init(&hand, m, view->version);
    if (hand.parts != 0) {
        uint64_t limit = atomic_load(&m->limit_bytes);
        if (limit != 0 && before > limit)
            (void)room_make(db, &hand, 0, true);
        load_wanted(db, &hand, loads);
    }
    omi_view_unref(view);
    omi_grace_poll(&m->grace);
    atomic_store(&m->keeping, false);
    if (charged(db) != before) {
        omi_mutex_lock(&db->mu);
        omi_db_fit_cache_locked(db);
        omi_mutex_unlock(&db->mu);
    }
}

void omi_filter_memory_wanted(omen_db *db)
{
    if (atomic_load_explicit(&db->tenv.filter_memory.wanted, memory_order_relaxed) == 0)
        return;
    if (db->upkeep_thread == NULL) {
        omi_filter_memory_keep(db, 1);
        return;
    }
    if (atomic_exchange(&db->filters_asked, true))
        return;
    omi_mutex_lock(&db->mu);
    omi_cond_signal(&db->upkeep);
    omi_mutex_unlock(&db->mu);
}
