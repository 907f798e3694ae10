/*
 * multi_get.c - many point lookups from one view, in rounds: each round asks, for every key still
 * open, the next run that may hold it, and reads all missing blocks of the round in one batch.
 */
#include "io/base/hash.h"
#include "lsm/db.h"
#include "lsm/far.h"

#include <stdlib.h>

enum { ROUND_KEYS = 32 };

/* One key on its way down the runs. */
struct probe {
    omen_slice key;
    uint64_t hash;
    uint32_t run; /* the next run to ask */
    bool sampled;
    bool open;    /* no answer yet */
    omen_err err; /* the answer */
    struct omi_found found;
    /* this round */
    struct omi_table *table;
    uint32_t block;
    struct omi_frame *frame;
    struct omi_filter_route route;
    int32_t read; /* index of the batch's read that brings the block, or -1 */
    bool filtered;
    struct omi_far_way way; /* of the first round */
};

struct group {
    omen_db *db;
    const struct omi_view *view;
    uint64_t seq;
    bool fill_cache;
    unsigned stripe;
    struct probe probes[ROUND_KEYS];
    uint32_t count, asked; /* asked: so many probes' far memory */
    struct omi_read reads[ROUND_KEYS];
    uint32_t readers[ROUND_KEYS]; /* the probe that started the read */
    uint32_t read_count;
};

static void settle(struct group *g, struct probe *p, omen_err err)
{
    p->open = false;
    p->err = err;
    if (err != OMEN_OK)
        return;
    omi_count_at(&g->db->counters, g->stripe, OMI_COUNT_GET_HITS, 1);
    omi_count_at(&g->db->counters, g->stripe, OMI_COUNT_READ_BYTES, p->found.value.size);
}

static void ask_memtables(struct group *g, struct probe *p)
{
    struct omi_entry entry;
    for (uint32_t i = 0; i < g->view->mem_count; i++) {
        if (omi_memtable_get(g->view->mems[i], p->key, p->hash, g->seq, &entry) != OMEN_OK)
            continue;
        omi_count_at(&g->db->counters, g->stripe, OMI_COUNT_GET_MEMTABLE_HITS, 1);
        p->found = (struct omi_found){NULL, omi_slice(entry.value, entry.value_size)};
        settle(g, p, omi_trailer_kind(entry.trailer) == OMI_KIND_PUT ? OMEN_OK : OMEN_NOT_FOUND);
        return;
    }
}

static void count_level(struct group *g, uint32_t level, enum omi_level_counter which)
{
    omi_count_level(&g->db->counters, g->stripe, level, which, 1);
}

/* The level of the run that was asked last. */
static uint32_t asked_level(const struct group *g, const struct probe *p)
{
    return g->view->version->runs[p->run - 1].level;
}

/* The next run whose filter says maybe; names the block. */
static void next_run(struct group *g, struct probe *p)
{
    const struct omi_version *v = g->view->version;
    for (; p->run < v->run_count; p->run++) {
        const struct omi_run_view *run = &v->runs[p->run];
        int64_t at = omi_far_run_find(&p->way, run, &g->db->tenv.order, p->key);
        if (at < 0)
            continue;
        p->table = run->tables[at];
        p->filtered = omi_table_has_filter(p->table);
        if (p->sampled)
            omi_table_warm(p->table);
        if (p->filtered) {
            count_level(g, run->level, OMI_LEVEL_FILTER_PROBES);
            if (p->way.ahead.table == p->table
                    ? !omi_table_may_hold_ahead(&p->way.ahead, p->key, p->hash, &p->route)
                    : !omi_table_may_hold(p->table, p->key, p->hash, &p->route)) {
                count_level(g, run->level, OMI_LEVEL_FILTER_NEGATIVES);
                if (p->sampled)
                    omi_table_count_sampled(p->table, &p->route, OMI_SAMPLED_NEGATIVE);
                continue;
            }
        }
        struct omi_index_trace trace = {0};
        uint64_t trailer = omi_trailer_seek(g->seq);
        omen_err err =
            p->way.ahead.table == p->table
                ? omi_table_find_block_ahead(&p->way.ahead, p->key, trailer, &trace, &p->block)
                : omi_table_find_block(p->table, p->key, trailer, &trace, &p->block);
        if (err != OMEN_OK) {
            settle(g, p, err);
            return;
        }
        omi_count_at(&g->db->counters, g->stripe, OMI_COUNT_INDEX_GRID_HITS, trace.grid_hits);
        omi_count_at(&g->db->counters, g->stripe, OMI_COUNT_INDEX_KEYED_COMPARES,
                     trace.keyed_compares);
        p->run++;
        return;
    }
    p->table = NULL;
    if (p->sampled)
        omi_sample_get(g->db->sample, g->stripe, p->key, p->hash, OMI_SAMPLE_MISS, 0);
    settle(g, p, OMEN_NOT_FOUND);
}

/* The block from the cache, from a read another key of the round started, or by a read of its own.
 */
static void want_block(struct group *g, struct probe *p, uint32_t index)
{
    p->read = -1;
    p->frame = omi_table_cached(p->table, p->block);
    if (p->frame != NULL)
        return;
    for (uint32_t r = 0; r < g->read_count; r++) {
        const struct probe *other = &g->probes[g->readers[r]];
        if (other->table == p->table && other->block == p->block) {
            p->read = (int32_t)r;
            return;
        }
    }
    omen_err err = omi_table_load_start(p->table, p->block, &g->reads[g->read_count]);
    if (err != OMEN_OK) {
        settle(g, p, err);
        return;
    }
    count_level(g, asked_level(g, p), OMI_LEVEL_GET_BLOCK_READS);
    g->readers[g->read_count] = index;
    p->read = (int32_t)g->read_count++;
}

static void run_reads(struct group *g)
{
    struct omi_frame *frames[ROUND_KEYS];
    omen_err errs[ROUND_KEYS];
    if (g->read_count == 0)
        return;
    g->db->env->ops->read_batch(g->db->env, g->reads, g->read_count);
    for (uint32_t r = 0; r < g->read_count; r++) {
        struct probe *owner = &g->probes[g->readers[r]];
        frames[r] = NULL;
        errs[r] = omi_table_load_finish(owner->table, owner->block, g->fill_cache, &g->reads[r],
                                        &frames[r]);
        owner->frame = frames[r];
    }
    for (uint32_t i = 0; i < g->count; i++) {
        struct probe *p = &g->probes[i];
        if (!p->open || p->read < 0)
            continue;
        uint32_t r = (uint32_t)p->read;
        if (errs[r] != OMEN_OK) {
            settle(g, p, errs[r]);
        } else if (g->readers[r] != i) { /* shares another's block: a pin of its own */
            bool was_read = false;       /* the cache may have no room for it */
            omen_err err =
                omi_table_load_told(p->table, p->block, g->fill_cache, &p->frame, &was_read);
            if (was_read)
                count_level(g, asked_level(g, p), OMI_LEVEL_GET_BLOCK_READS);
            if (err != OMEN_OK)
                settle(g, p, err);
        }
    }
}

/* p->run is the run after the one that was asked. */
static void sampled_tell(struct group *g, struct probe *p, omen_err err)
{
    const struct omi_run_view *run = &g->view->version->runs[p->run - 1];
    if (p->filtered)
        omi_table_count_sampled(p->table, &p->route,
                                err == OMEN_ABORTED ? OMI_SAMPLED_FALSE_POSITIVE
                                                    : OMI_SAMPLED_HELD);
    if (err == OMEN_OK || err == OMEN_NOT_FOUND)
        omi_sample_get(g->db->sample, g->stripe, p->key, p->hash, run->level, run->age);
}

static void search_block(struct group *g, struct probe *p)
{
    count_level(g, asked_level(g, p), OMI_LEVEL_GET_BLOCKS);
    omi_table_asked(p->table, p->frame);
    omen_err err =
        omi_block_answer(&p->frame->block, &g->db->tenv.order, p->key, g->seq, &p->found.value);
    if (p->sampled)
        sampled_tell(g, p, err);
    if (err == OMEN_OK) {
        p->found.frame = p->frame;
        settle(g, p, OMEN_OK);
    } else {
        omi_frame_release(p->frame);
        if (err == OMEN_ABORTED && p->filtered) {
            count_level(g, asked_level(g, p), OMI_LEVEL_FILTER_FALSE_POSITIVES);
            omi_filter_costs_count(&g->db->pricing.costs, asked_level(g, p), p->read < 0);
        }
        if (err != OMEN_ABORTED)
            settle(g, p, err);
    }
    p->frame = NULL;
}

/* The first time round, before probe i: far memory is asked for what a few probes on will read; no more,
 * since a processor waits for ten or so lines at a time. */
static void ahead(struct group *g, uint32_t i)
{
    enum { KEYS = 5 };
    if (!g->db->tenv.far || g->asked == g->count)
        return;
    for (; g->asked < g->count && g->asked <= i + KEYS; g->asked++)
        if (g->probes[g->asked].open)
            omi_far_ahead(g->db, g->view->version, g->probes[g->asked].key,
                          g->probes[g->asked].hash, &g->probes[g->asked].way);
}

static void group_run(struct group *g)
{
    for (uint32_t i = 0; i < g->count; i++)
        ask_memtables(g, &g->probes[i]);
    for (bool more = true; more;) {
        more = false;
        g->read_count = 0;
        uint32_t grace = omi_grace_enter(&g->db->tenv.filter_memory.grace, g->stripe);
        for (uint32_t i = 0; i < g->count; i++) {
            ahead(g, i);
            if (g->probes[i].open)
                next_run(g, &g->probes[i]);
        }
        omi_grace_leave(&g->db->tenv.filter_memory.grace, g->stripe, grace);
        for (uint32_t i = 0; i < g->count; i++)
            if (g->probes[i].open)
                want_block(g, &g->probes[i], i);
        run_reads(g);
        for (uint32_t i = 0; i < g->count; i++) {
            struct probe *p = &g->probes[i];
            if (p->open)
                search_block(g, p);
            more = more || p->open;
        }
    }
}

static void trace_keys(const struct group *g, size_t count, const omen_slice *keys,
                       const omen_value *values, const omen_err *errs)
{
    struct omi_trace *t = omi_tracing(g->db);
    size_t end = t != NULL ? count : 0;
    while (end > 0 && errs[end - 1] != OMEN_OK && errs[end - 1] != OMEN_NOT_FOUND)
        end--;
    for (size_t i = 0; i < end; i++)
        if (errs[i] == OMEN_OK || errs[i] == OMEN_NOT_FOUND)
            omi_trace_one(t, g->stripe, errs[i] == OMEN_OK ? OMI_TRACE_GET_HIT : OMI_TRACE_GET_MISS,
                          keys[i], values[i].size, i + 1 < end);
}

omen_err omen_multi_get(omen_db *db, const omen_read_options *options, size_t count,
                        const omen_slice *keys, omen_value *values, omen_err *errs)
{
    omen_err first = omi_read_options_check(db, options);
    if (first != OMEN_OK)
        return first;
    struct omi_view *view = omi_view_ref(db);
    struct group g = {.db = db,
                      .view = view,
                      .seq = omi_read_seq(db, options),
                      .fill_cache = options == NULL || (options->flags & OMEN_NO_FILL_CACHE) == 0,
                      .stripe = omi_counter_stripe()};
    omi_count_at(&db->counters, g.stripe, OMI_COUNT_MULTI_GET_KEYS, count);
    uint64_t n = omi_count_at(&db->counters, g.stripe, OMI_COUNT_GETS, count);
    for (size_t done = 0; done < count; done += g.count) {
        g.count = count - done < ROUND_KEYS ? (uint32_t)(count - done) : ROUND_KEYS;
        for (uint32_t i = 0; i < g.count; i++)
            g.probes[i] =
                (struct probe){.key = keys[done + i],
                               .hash = omi_key_hash(keys[done + i].data, keys[done + i].size),
                               .sampled = omi_sample_due(db->sample, n + done + i),
                               .open = true,
                               .read = -1};
        for (uint32_t i = 0; i < g.count; i++)
            if (g.probes[i].sampled)
                omi_telemetry_key(db->telemetry, g.stripe, g.probes[i].key, g.probes[i].hash);
        g.asked = 0;
        group_run(&g);
        omi_filter_memory_wanted(db);
        if (db->tenv.far)
            omi_far_looked_up(db, n + done, g.count);
        for (uint32_t i = 0; i < g.count; i++) {
            omen_value *value = &values[done + i];
            *value = (omen_value){NULL, 0, NULL};
            omen_err err = g.probes[i].err;
            if (err == OMEN_OK)
                err = omi_value_make(&g.probes[i].found, value);
            errs[done + i] = err;
            if (err != OMEN_OK && err != OMEN_NOT_FOUND && first == OMEN_OK)
                first = err;
        }
    }
    omi_view_unref(view);
    trace_keys(&g, count, keys, values, errs);
    omi_observed(db, count);
    return first;
}
