/*
 * pace.c - debt to a permitted rate, bytes to a wait.
 *
 * The rate is measured in windows of at least WINDOW_NS: background bytes over time, taken as it is
 * while there is more debt than wanted (then the background is busy all the time) and only upwards
 * otherwise (an idle background is not a slow one).
 */
#include "compaction/pace.h"

#include <stdbool.h>
#include <string.h>

enum {
    RATE_FLOOR = 1 << 20,
    RATE_START = 64 << 20,
    WINDOW_NS = 100 * 1000 * 1000,
    WINDOW_STALE_FACTOR = 20, /* a window this many times too long says nothing about speed */
    AMP_PCT_MIN = 100,        /* background bytes for each ingested one: the flush at least */
    AMP_PCT_MAX = 6400,       /* a throttled writer must not look like an amplified one */
    AMP_PCT_START = 800,
    AMP_FORGET_BYTES = 64 << 20, /* ingest after which the sums are halved */
    BURST_NS = 1000 * 1000,      /* unused permission is kept this long */
    WAIT_NS_MIN = 50 * 1000,     /* a shorter sleep costs more than it waits: collected till due */
    WAIT_UNIT_BYTES = 1024,      /* OMI_PACE_WAIT_US_MAX for each */
    RAMP_SHARE = 4               /* times the drain's share is permitted just past the soft limit */
};

static uint64_t mul(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* a * b / c, c not 0, saturating: exact in 128 bits. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
    unsigned __int128 r = (unsigned __int128)a * b / c;
    return r > UINT64_MAX ? UINT64_MAX : (uint64_t)r;
}

void omi_pace_init(struct omi_pace *p, uint64_t capacity_bytes)
{
    memset(p, 0, sizeof(*p));
    p->soft_bytes = capacity_bytes;
    p->hard_bytes = mul(capacity_bytes, 4);
    p->drain_bytes_per_s = RATE_START;
    p->write_amp_pct = AMP_PCT_START;
    p->allowed_bytes_per_s = UINT64_MAX;
}

/* Thousandths of the drain's share of ingest that are permitted at debt: in the first eighth of the
 * way from soft to hard from RAMP_SHARE times to once, in the rest from once to a tenth. Debt comes
 * to rest where the permitted ingest is what drains, so mostly in the first part. */
static uint64_t permitted_mille(const struct omi_pace *p)
{
    uint64_t way = p->hard_bytes - p->soft_bytes, past = p->debt_bytes - p->soft_bytes;
    uint64_t ramp = way / 8;
    if (past >= way)
        return 100;
    if (past < ramp)
        return RAMP_SHARE * 1000 - scale(past, (RAMP_SHARE - 1) * 1000, ramp);
    return 1000 - scale(past - ramp, 900, way - ramp);
}

static void drain_measure(struct omi_pace *p, uint64_t now_ns)
{
    uint64_t elapsed = now_ns - p->window_start_ns;
    if (elapsed < WINDOW_NS)
        return;
    bool saturated = p->debt_bytes > p->soft_bytes;
    if (p->window_bytes != 0 && elapsed / WINDOW_STALE_FACTOR < WINDOW_NS) {
        uint64_t rate = scale(p->window_bytes, 1000 * 1000 * 1000, elapsed);
        if (rate > p->drain_bytes_per_s)
            p->drain_bytes_per_s += (rate - p->drain_bytes_per_s) / 8;
        else if (saturated)
            p->drain_bytes_per_s -= (p->drain_bytes_per_s - rate) / 8;
        if (p->drain_bytes_per_s < RATE_FLOOR)
            p->drain_bytes_per_s = RATE_FLOOR;
    }
    p->window_start_ns = now_ns;
    p->window_bytes = 0;
}

static void amp_measure(struct omi_pace *p, uint64_t worked_bytes, uint64_t ingested_bytes)
{
    p->amp_worked_bytes = add(p->amp_worked_bytes, worked_bytes);
    p->amp_ingested_bytes = add(p->amp_ingested_bytes, ingested_bytes);
    if (p->amp_ingested_bytes < AMP_FORGET_BYTES)
        return;
    uint64_t pct = scale(p->amp_worked_bytes, 100, p->amp_ingested_bytes);
    pct = pct < AMP_PCT_MIN ? AMP_PCT_MIN : pct > AMP_PCT_MAX ? AMP_PCT_MAX : pct;
    p->write_amp_pct = (3 * p->write_amp_pct + pct) / 4;
    p->amp_worked_bytes /= 2;
    p->amp_ingested_bytes /= 2;
}

void omi_pace_update(struct omi_pace *p, uint64_t debt_bytes, uint64_t worked_bytes,
                     uint64_t ingested_bytes, uint64_t now_ns)
{
    p->debt_bytes = debt_bytes;
    p->window_bytes = add(p->window_bytes, worked_bytes);
    if (now_ns < p->window_start_ns || p->window_start_ns == 0) {
        p->window_start_ns = now_ns;
        p->window_bytes = 0; /* when this work began is not known */
    }
    drain_measure(p, now_ns);
    amp_measure(p, worked_bytes, ingested_bytes);
    if (debt_bytes <= p->soft_bytes) {
        p->allowed_bytes_per_s = UINT64_MAX;
        return;
    }
    uint64_t share = scale(p->drain_bytes_per_s, 100, p->write_amp_pct);
    p->allowed_bytes_per_s = scale(share, permitted_mille(p), 1000);
    if (p->allowed_bytes_per_s == 0)
        p->allowed_bytes_per_s = 1;
}

uint64_t omi_pace_charge(struct omi_pace *p, uint64_t bytes, uint64_t now_ns)
{
    if (p->allowed_bytes_per_s == UINT64_MAX) {
        p->tokens_ns = 0;
        return 0;
    }
    uint64_t oldest = now_ns > BURST_NS ? now_ns - BURST_NS : 0;
    uint64_t start = p->tokens_ns > oldest ? p->tokens_ns : oldest;
    uint64_t cost = scale(bytes, 1000 * 1000 * 1000, p->allowed_bytes_per_s);
    p->tokens_ns = add(start, cost);
    if (p->tokens_ns < add(now_ns, WAIT_NS_MIN))
        return 0;
    uint64_t units = bytes / WAIT_UNIT_BYTES + (bytes % WAIT_UNIT_BYTES != 0);
    uint64_t wait_ns_max = mul(mul(units != 0 ? units : 1, OMI_PACE_WAIT_US_MAX), 1000);
    uint64_t wait_ns = p->tokens_ns - now_ns;
    if (wait_ns > wait_ns_max) { /* the rest is forgiven, or it would pile up for later calls */
        wait_ns = wait_ns_max;
        p->tokens_ns = add(now_ns, wait_ns);
    }
    return wait_ns / 1000;
}
