/*
 * merge.c - loser tree over batches, version retention, dropping of deletes.
 *
 * A batch is checked in one pass when it arrives: known types, the promised prefix, strict order,
 * and the heads are taken. The pass runs over keys in memory order, so that the selection below
 * touches heads alone and trusts them.
 *
 * The loser tree (Knuth, TAOCP volume 3, 5.4.1): node n has the loser of the match of its two
 * subtrees, node 0 does not exist, leaf i stands at k + i; the winner is kept in registers. A match
 * is decided without a branch when the heads differ, which a processor could not predict anyway.
 */
#include "compaction/merge.h"

#include "io/base/coding.h"

#include <stdlib.h>

enum { QUANTUM_BYTES = 256 << 10, PREFETCH_KEYS = 4 };

struct cursor {
    const struct omi_entry *entries;
    uint32_t at, count; /* at == count: the source is at its end */
    uint32_t heads_capacity;
    uint64_t *heads; /* of entries */
    struct omi_merge_source *source;
};

struct node {
    uint64_t head;
    uint64_t cursor; /* index; 64 bits wide for the exchange of matches */
};

struct merge {
    const struct omi_merge_params *params;
    struct omi_merge_sink *sink;
    struct omi_merge_stats stats;
    uint64_t quantum_bytes, quantum_left;
    bool bytewise;
    uint32_t prefix; /* common to all keys; what it says is in prefix_bytes once prefix_known */
    bool prefix_known;
    uint8_t *prefix_bytes;

    struct cursor *cursors;
    struct node *losers;
    uint32_t cursor_count;

    /* The entry processed last. Its key is the batch's until that batch is given back, then
     * key_copy's: the order check of the next batch and the next entry's "same key?" both need it.
     */
    bool last_valid;
    uint64_t last_head, last_trailer;
    const uint8_t *last_key;
    uint32_t last_key_size;
    uint8_t *key_copy;
    uint32_t key_copy_capacity;
};

/* ---- batches --------------------------------------------------------------------------------- */

static uint64_t head_of(const struct merge *m, const struct omi_entry *e)
{
    if (!m->bytewise || e->key_size <= m->prefix)
        return 0; /* under a comparator every match is decided by it */
    return omi_head64(e->key + m->prefix, e->key_size - m->prefix);
}

/* Of user keys whose heads are known. */
static int compare_keys(const struct merge *m, uint64_t a_head, omen_slice a, uint64_t b_head,
                        omen_slice b)
{
    if (a_head != b_head)
        return a_head < b_head ? -1 : 1;
    return omi_key_compare(m->params->order, a, b);
}

static bool is_ascending(const struct merge *m, uint64_t a_head, omen_slice a, uint64_t a_trailer,
                         uint64_t b_head, omen_slice b, uint64_t b_trailer)
{
    int c = compare_keys(m, a_head, a, b_head, b);
    return c < 0 || (c == 0 && a_trailer > b_trailer);
}

static omen_err prefix_learn(struct merge *m, const struct omi_entry *e)
{
    m->prefix_known = true;
    if (e->key_size < m->prefix) /* batch_check says so */
        return OMEN_OK;
    m->prefix_bytes = malloc(m->prefix);
    if (m->prefix_bytes == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "merge: prefix of %" PRIu32 " bytes", m->prefix);
    memcpy(m->prefix_bytes, e->key, m->prefix);
    return OMEN_OK;
}

static bool has_prefix(const struct merge *m, const struct omi_entry *e)
{
    return e->key_size >= m->prefix && m->prefix_bytes != NULL &&
           memcmp(e->key, m->prefix_bytes, m->prefix) == 0;
}

static omen_err entry_refuse(const struct omi_entry *e)
{
    return omi_fail(OMEN_UNSUPPORTED, 0, "merge: entry of type 0x%02x at seq %" PRIu64,
                    (unsigned)(e->trailer & 0xff), omi_trailer_seq(e->trailer));
}

/* Checks the batch just arrived and takes its heads. */
static omen_err batch_check(struct merge *m, struct cursor *c, bool follows)
{
    uint64_t head = m->last_head, trailer = m->last_trailer;
    omen_slice key = omi_slice(m->last_key, m->last_key_size);
    if (m->prefix != 0 && !m->prefix_known) {
        omen_err err = prefix_learn(m, &c->entries[0]);
        if (err != OMEN_OK)
            return err;
    }
    for (uint32_t i = 0; i < c->count; i++) {
        const struct omi_entry *e = &c->entries[i];
        if (i + PREFETCH_KEYS < c->count)
            __builtin_prefetch(e[PREFETCH_KEYS].key);
        if (!omi_trailer_known(e->trailer))
            return entry_refuse(e);
        if (m->prefix != 0 && !has_prefix(m, e))
            return omi_fail(OMEN_CORRUPT, 0,
                            "merge: a key of %" PRIu32 " bytes lacks the %" PRIu32
                            " bytes common to its files' bounds",
                            e->key_size, m->prefix);
        uint64_t e_head = head_of(m, e);
        if ((i != 0 || follows) &&
            !is_ascending(m, head, key, trailer, e_head, omi_entry_key(e), e->trailer))
            return omi_fail(OMEN_CORRUPT, 0,
                            "merge: a source is out of order at entry %" PRIu32
                            " of a batch, seq %" PRIu64,
                            i, omi_trailer_seq(e->trailer));
        head = e_head;
        key = omi_entry_key(e);
        trailer = e->trailer;
        c->heads[i] = head;
    }
    return OMEN_OK;
}

static omen_err heads_reserve(struct cursor *c, uint32_t count)
{
    if (count <= c->heads_capacity)
        return OMEN_OK;
    free(c->heads);
    c->heads_capacity = 0;
    c->heads = malloc((size_t)count * sizeof(*c->heads));
    if (c->heads == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "merge: heads of %" PRIu32 " entries", count);
    c->heads_capacity = count;
    return OMEN_OK;
}

/* follows: the entry processed last was this source's, so the batch must lie after it. */
static omen_err batch_take(struct merge *m, struct cursor *c, bool follows)
{
    c->entries = c->source->entries;
    c->count = c->source->count;
    c->at = 0;
    if (c->count == 0)
        return OMEN_OK;
    omen_err err = heads_reserve(c, c->count);
    return err != OMEN_OK ? err : batch_check(m, c, follows);
}

static omen_err last_key_save(struct merge *m)
{
    if (m->last_key_size > m->key_copy_capacity) {
        uint32_t want = m->last_key_size < 256 ? 256 : m->last_key_size;
        uint8_t *grown = malloc(want);
        if (grown == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "merge: key of %" PRIu32 " bytes", want);
        free(m->key_copy);
        m->key_copy = grown;
        m->key_copy_capacity = want;
    }
    if (m->last_key_size != 0)
        memcpy(m->key_copy, m->last_key, m->last_key_size);
    m->last_key = m->key_copy;
    return OMEN_OK;
}

/* The next batch of the source whose last entry was just processed. */
static omen_err batch_next(struct merge *m, struct cursor *c)
{
    omen_err err = last_key_save(m);
    if (err == OMEN_OK)
        err = c->source->refill(c->source);
    return err != OMEN_OK ? err : batch_take(m, c, true);
}

/* ---- which versions survive --------------------------------------------------------------------
 */

/* The index of the oldest snapshot that sees seq; snapshot_count if none does yet. */
static uint32_t stripe_of(const struct omi_merge_params *params, uint64_t seq)
{
    if (seq <= params->snapshots[0])
        return 0;
    uint32_t low = 1, high = params->snapshot_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (params->snapshots[mid] < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Is a version hidden from everybody by the next newer one of its key? What no snapshot sees yet is
 * never hidden: one may still be taken between the two. */
static bool is_shadowed(const struct merge *m, uint64_t newer_trailer, uint64_t trailer)
{
    if (newer_trailer == trailer)
        return true; /* the same entry from an older source */
    uint32_t stripe = stripe_of(m->params, omi_trailer_seq(trailer));
    return stripe < m->params->snapshot_count &&
           stripe == stripe_of(m->params, omi_trailer_seq(newer_trailer));
}

static bool is_needless_delete(const struct merge *m, const struct omi_entry *e)
{
    const struct omi_merge_params *params = m->params;
    return omi_trailer_kind(e->trailer) == OMI_KIND_DELETE &&
           omi_trailer_seq(e->trailer) <= params->snapshots[0] && params->older_may_hold != NULL &&
           !params->older_may_hold(params->older_ctx, omi_entry_key(e));
}

static omen_err quantum_end(struct merge *m)
{
    m->quantum_left = m->quantum_bytes;
    return m->sink->quantum != NULL ? m->sink->quantum(m->sink) : OMEN_OK;
}

/* The next entry in order over all sources. */
static inline omen_err entry_process(struct merge *m, const struct omi_entry *e, uint64_t head)
{
    uint64_t bytes = (uint64_t)e->key_size + e->value_size + sizeof(e->trailer);
    omen_err err = OMEN_OK;
    bool same_key = m->last_valid && head == m->last_head &&
                    omi_key_compare(m->params->order, omi_entry_key(e),
                                    omi_slice(m->last_key, m->last_key_size)) == 0;
    m->stats.entries_in++;
    m->stats.bytes_in += bytes;
    if (same_key && is_shadowed(m, m->last_trailer, e->trailer)) {
        m->stats.dropped_shadowed++;
    } else if (is_needless_delete(m, e)) {
        m->stats.dropped_deletes++;
    } else {
        m->stats.entries_out++;
        m->stats.bytes_out += bytes;
        err = m->sink->emit(m->sink, e, !same_key);
    }
    m->last_valid = true;
    m->last_head = head;
    m->last_trailer = e->trailer;
    m->last_key = e->key;
    m->last_key_size = e->key_size;
    if (m->quantum_left > bytes) {
        m->quantum_left -= bytes;
        return err;
    }
    return err != OMEN_OK ? err : quantum_end(m);
}

/* ---- one source ------------------------------------------------------------------------------ */

static omen_err merge_one(struct merge *m)
{
    struct cursor *c = &m->cursors[0];
    while (c->count != 0) {
        for (; c->at < c->count; c->at++) {
            omen_err err = entry_process(m, &c->entries[c->at], c->heads[c->at]);
            if (err != OMEN_OK)
                return err;
        }
        omen_err err = batch_next(m, c);
        if (err != OMEN_OK)
            return err;
    }
    return OMEN_OK;
}

/* ---- many sources ---------------------------------------------------------------------------- */

static struct node node_of(const struct merge *m, uint32_t cursor)
{
    const struct cursor *c = &m->cursors[cursor];
    return (struct node){c->at < c->count ? c->heads[c->at] : UINT64_MAX, cursor};
}

/* Does a come before b, their heads being equal? A source at its end comes last, whatever head
 * stands for it. */
static bool wins_tie(const struct merge *m, uint64_t a, uint64_t b)
{
    const struct cursor *ca = &m->cursors[a], *cb = &m->cursors[b];
    if (ca->at == ca->count || cb->at == cb->count)
        return ca->at < ca->count;
    const struct omi_entry *ea = &ca->entries[ca->at], *eb = &cb->entries[cb->at];
    int c = omi_internal_compare(m->params->order, omi_entry_key(ea), ea->trailer,
                                 omi_entry_key(eb), eb->trailer);
    return c != 0 ? c < 0 : a < b; /* sources are given newest first */
}

static bool node_wins(const struct merge *m, struct node a, struct node b)
{
    return a.head != b.head ? a.head < b.head : wins_tie(m, a.cursor, b.cursor);
}

/* Plays all matches of the subtree at n; its winner is returned. Depth: log2 of the sources. */
static struct node tree_build(struct merge *m, uint32_t n)
{
    if (n >= m->cursor_count)
        return node_of(m, n - m->cursor_count);
    struct node a = tree_build(m, 2 * n), b = tree_build(m, 2 * n + 1);
    bool a_wins = node_wins(m, a, b);
    m->losers[n] = a_wins ? b : a;
    return a_wins ? a : b;
}

/* The winner's source has moved on: plays its matches again, from its leaf to the root. */
static inline struct node tree_replay(struct merge *m, struct node winner)
{
    for (uint64_t n = (winner.cursor + m->cursor_count) / 2; n != 0; n /= 2) {
        struct node *loser = &m->losers[n];
        uint64_t lost = loser->head < winner.head;
        if (__builtin_expect(loser->head == winner.head, 0))
            lost = wins_tie(m, loser->cursor, winner.cursor);
        uint64_t mask = 0 - lost;
        uint64_t head = (loser->head ^ winner.head) & mask;
        uint64_t cursor = (loser->cursor ^ winner.cursor) & mask;
        loser->head ^= head;
        winner.head ^= head;
        loser->cursor ^= cursor;
        winner.cursor ^= cursor;
    }
    return winner;
}

static omen_err merge_many(struct merge *m)
{
    struct node winner = tree_build(m, 1);
    for (;;) {
        struct cursor *c = &m->cursors[winner.cursor];
        if (c->at == c->count)
            return OMEN_OK; /* it lost to nobody: all are at their ends */
        omen_err err = entry_process(m, &c->entries[c->at], winner.head);
        if (err != OMEN_OK)
            return err;
        if (++c->at == c->count) {
            err = batch_next(m, c);
            if (err != OMEN_OK)
                return err;
        }
        winner.head = c->at < c->count ? c->heads[c->at] : UINT64_MAX;
        winner = tree_replay(m, winner);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static omen_err cursors_open(struct merge *m, struct omi_merge_source *const *sources,
                             uint32_t source_count)
{
    m->cursors = calloc(source_count, sizeof(*m->cursors));
    m->losers = calloc(source_count, sizeof(*m->losers));
    if (m->cursors == NULL || m->losers == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "merge: %" PRIu32 " sources", source_count);
    for (uint32_t i = 0; i < source_count; i++) {
        struct cursor *c = &m->cursors[m->cursor_count];
        omen_err err = OMEN_OK;
        c->source = sources[i];
        if (sources[i]->count == 0)
            err = sources[i]->refill(sources[i]);
        if (err == OMEN_OK)
            err = batch_take(m, c, false);
        if (c->count != 0 || err != OMEN_OK)
            m->cursor_count++; /* counted, so that its heads are freed */
        if (err != OMEN_OK)
            return err;
    }
    return OMEN_OK;
}

static void merge_fini(struct merge *m)
{
    for (uint32_t i = 0; i < m->cursor_count; i++)
        free(m->cursors[i].heads);
    free(m->cursors);
    free(m->losers);
    free(m->prefix_bytes);
    free(m->key_copy);
}

omen_err omi_merge_run(struct omi_merge_source *const *sources, uint32_t source_count,
                       struct omi_merge_sink *sink, const struct omi_merge_params *params,
                       struct omi_merge_stats *stats_out)
{
    *stats_out = (struct omi_merge_stats){0};
    if (params->snapshot_count == 0)
        return omi_fail(OMEN_INVALID, 0, "merge: no snapshot, not even the newest visible seq");
    if (source_count == 0)
        return OMEN_OK;
    struct merge m = {.params = params, .sink = sink};
    m.quantum_bytes = params->quantum_bytes != 0 ? params->quantum_bytes : QUANTUM_BYTES;
    m.quantum_left = m.quantum_bytes;
    m.bytewise = omi_order_is_bytewise(params->order);
    m.prefix = m.bytewise ? params->common_prefix : 0;

    omen_err err = cursors_open(&m, sources, source_count);
    if (err == OMEN_OK && m.cursor_count == 1)
        err = merge_one(&m);
    else if (err == OMEN_OK && m.cursor_count > 1)
        err = merge_many(&m);
    if (err == OMEN_OK)
        *stats_out = m.stats;
    merge_fini(&m);
    return err;
}
