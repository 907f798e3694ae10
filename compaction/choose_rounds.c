/*
 * choose_rounds.c - one knob after the other, as CAMAL samples (Yu, Luo, Yu, Cong, 2024).
 *
 * For leveling, then for tiering: T with 8 bits a key and the least cache; bits a key with the best
 * T; the cache with both. Of twelve runs for a policy, five, five and two; other budgets in
 * proportion. A round begins at the closed forms' optimum; the first workload goes on to its
 * neighbours, later ones draw with chances inverse to the predicted cost. At its end a round keeps
 * what the model, fitted on all rows so far, predicts to be cheapest.
 */
#include "compaction/choose_state.h"
#include "compaction/cost_optimum.h"

#include <math.h>

enum { BITS_FIRST = 8 };
enum round_kind { ROUND_RATIO, ROUND_BITS, ROUND_CACHE };

/* Where a workload stands after so many rows. */
struct stand {
    int policy; /* 0 leveling, 1 tiering */
    enum round_kind round;
    uint32_t at; /* of the round */
    bool last;   /* the round ends with this one */
};

static struct stand stand_of(uint32_t budget, uint32_t rows)
{
    uint32_t first = (budget + 1) / 2, runs = rows < first ? first : budget - first;
    uint32_t at = rows < first ? rows : rows - first;
    uint32_t cache = runs < 3 ? 0 : runs < 12 ? 1 : runs / 6;
    uint32_t ratio = (runs - cache + 1) / 2, bits = runs - cache - ratio;
    struct stand s = {.policy = rows < first ? 0 : 1};
    if (at < ratio) {
        s = (struct stand){s.policy, ROUND_RATIO, at, at + 1 == ratio};
    } else if (at < ratio + bits) {
        s = (struct stand){s.policy, ROUND_BITS, at - ratio, at + 1 == ratio + bits};
    } else {
        s = (struct stand){s.policy, ROUND_CACHE, at - ratio - bits, false};
    }
    return s;
}

/* ---- candidates ------------------------------------------------------------------------------ */

/* Which points a round may take; 0: any. */
struct wanted {
    int policy;
    uint16_t size_ratio;
    bool bits_given, cache_given;
    uint16_t filter_bits, cache_pct;
};

/* At T = 2 both are the same; it counts as leveling. */
static bool is_policy(const struct omi_point *p, int policy)
{
    uint16_t runs = policy == 0 ? 1 : (uint16_t)(p->size_ratio - 1);
    return p->runs_upper == runs && p->runs_last == runs && (policy == 0 || p->size_ratio > 2);
}

static bool is_wanted(const void *context, const struct omi_point *p)
{
    const struct wanted *w = context;
    return is_policy(p, w->policy) && (w->size_ratio == 0 || p->size_ratio == w->size_ratio) &&
           (!w->bits_given || p->filter_bits == w->filter_bits) &&
           (!w->cache_given || p->cache_pct == w->cache_pct);
}

static double apart(double a, double b)
{
    return a > b ? a - b : b - a;
}

/* The bits nearest to BITS_FIRST and the least cache that the space has. */
static struct wanted wanted_of(const struct omi_choose_work *work, const struct stand *s)
{
    const struct omi_choose_rounds *settled = &work->rounds[s->policy];
    struct wanted w = {.policy = s->policy,
                       .size_ratio = s->round == ROUND_RATIO ? 0 : settled->size_ratio,
                       .bits_given = s->round != ROUND_BITS,
                       .cache_given = s->round != ROUND_CACHE,
                       .filter_bits = UINT16_MAX,
                       .cache_pct = UINT16_MAX};
    for (uint32_t i = 0; i < work->choosable; i++) {
        const struct omi_point *p = &work->space.points[i];
        if (!is_policy(p, s->policy) || (w.size_ratio != 0 && p->size_ratio != w.size_ratio))
            continue;
        if (p->cache_pct < w.cache_pct)
            w.cache_pct = p->cache_pct;
        if (apart(p->filter_bits, BITS_FIRST) < apart(w.filter_bits, BITS_FIRST))
            w.filter_bits = p->filter_bits;
    }
    if (s->round == ROUND_CACHE)
        w.filter_bits = settled->filter_bits;
    return w;
}

/* ---- where the first samples go -------------------------------------------------------------- */

static double optimum_of(const struct omi_choose_work *work, const struct stand *s)
{
    const struct omi_tune_workload *w = &work->workload;
    double bits = BITS_FIRST, memory = (double)w->limits.memory_bytes;
    double memtable = memory - bits * w->data.entries / 8;
    double per_bit = 0.69314718055994530942 / (w->data.halving > 0 ? w->data.halving : 1.4427);
    if (s->round == ROUND_BITS)
        return omi_cost_bits_best(&w->data, w->mix, work->rounds[s->policy].size_ratio,
                                  s->policy == 1, memory);
    if (s->policy == 0)
        return omi_cost_ratio_leveling(&w->data, w->mix);
    return omi_cost_ratio_tiering(&w->data, w->mix, memtable > 65536 ? memtable : 65536,
                                  exp(-bits * per_bit));
}

/* Not measured, wanted, and nearest to the optimum. */
static uint32_t nearest_find(const struct omi_choose_work *work, const struct wanted *wanted,
                             enum round_kind round, double optimum)
{
    uint32_t best = UINT32_MAX;
    double least = INFINITY;
    for (uint32_t i = 0; i < work->choosable; i++) {
        const struct omi_point *p = &work->space.points[i];
        double value = round == ROUND_RATIO ? p->size_ratio : p->filter_bits;
        if (work->tallies[i].count != 0 || !is_wanted(wanted, p))
            continue;
        if (apart(value, optimum) < least) {
            least = apart(value, optimum);
            best = i;
        }
    }
    return best;
}

omen_err omi_choose_rounds_next(struct omi_choose *choose, struct omi_choose_work *work,
                                uint32_t *index_out)
{
    struct stand s = stand_of(choose->config.budget, work->rows);
    struct wanted w = wanted_of(work, &s);
    bool first = work == choose->works; /* its neighbours, not draws */
    *index_out = UINT32_MAX;
    omen_err err = omi_choose_fit(choose);
    if (err != OMEN_OK)
        return err;
    if (s.round != ROUND_CACHE && (s.at == 0 || first))
        *index_out = nearest_find(work, &w, s.round, optimum_of(work, &s));
    if (*index_out == UINT32_MAX)
        *index_out = omi_choose_draw(choose, work, is_wanted, &w, false);
    if (*index_out == UINT32_MAX) { /* the space is too small for the round: the rest of it then */
        struct wanted loose = {.policy = s.policy, .size_ratio = w.size_ratio};
        *index_out = omi_choose_draw(choose, work, is_wanted, &loose, false);
    }
    if (*index_out == UINT32_MAX)
        *index_out =
            omi_choose_draw(choose, work, is_wanted, &(struct wanted){.policy = s.policy}, false);
    if (*index_out == UINT32_MAX)
        *index_out = omi_choose_draw(choose, work, NULL, NULL, false);
    return OMEN_OK;
}

omen_err omi_choose_rounds_settle(struct omi_choose *choose, struct omi_choose_work *work)
{
    struct stand s = stand_of(choose->config.budget, work->rows - 1);
    if (!s.last)
        return OMEN_OK;
    omen_err err = omi_choose_fit(choose);
    if (err != OMEN_OK)
        return err;
    struct wanted w = wanted_of(work, &s);
    double least = INFINITY;
    for (uint32_t i = 0; i < work->choosable; i++) {
        const struct omi_point *p = &work->space.points[i];
        if (!is_wanted(&w, p))
            continue;
        double mean = omi_choose_predicted(choose, work, i).log_mean;
        if (mean >= least)
            continue;
        least = mean;
        if (s.round == ROUND_RATIO) {
            work->rounds[s.policy].size_ratio = p->size_ratio;
            work->rounds[s.policy].filter_bits = p->filter_bits;
        } else {
            work->rounds[s.policy].filter_bits = p->filter_bits;
        }
    }
    return OMEN_OK;
}
