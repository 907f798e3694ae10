#include "tools/stats_workload.h"

#include <inttypes.h>
#include <stdio.h>

#include "tools/cmd.h"

enum { HOT_SHOWN = 3, POINTS_SHOWN = 4 };

static double share(uint64_t part, uint64_t of)
{
    return of == 0 ? 0 : 100 * (double)part / (double)of;
}

static void mix_print(const omen_window *w, uint64_t ops)
{
    char count[OMT_HUMAN_LEN];
    printf("  %s operations: %.1f%% gets that find, %.1f%% that do not, %.1f%% scans, %.1f%% puts, "
           "%.1f%% deletes\n",
           omt_human_count(count, ops), share(w->get_hits, ops), share(w->get_misses, ops),
           share(w->scans, ops), share(w->puts, ops), share(w->deletes, ops));
    if (w->scans != 0)
        printf("  %.1f entries a scan on average\n", (double)w->scan_entries / (double)w->scans);
    if (w->block_asks != 0)
        printf("  %.1f%% of the blocks asked for were not in the cache\n",
               share(w->block_reads, w->block_asks));
}

static void hot_print(const omen_telemetry *t)
{
    uint32_t shown = 0;
    for (; shown < t->hot_count && shown < HOT_SHOWN && t->hot[shown].share_min >= 0.001; shown++) {
        const omen_hot_key *h = &t->hot[shown];
        struct omt_bytes text = {0};
        uint32_t n = h->key_bytes < OMEN_HOT_KEY_BYTES ? h->key_bytes : OMEN_HOT_KEY_BYTES;
        omt_encode(OMT_ESCAPE, (omen_slice){h->key, n}, &text);
        printf("%s%s%s %.1f%%", shown == 0 ? "  hot keys: " : ", ", text.data,
               n < h->key_bytes ? "..." : "", 100 * h->share_min);
        omt_bytes_free(&text);
    }
    if (shown != 0)
        printf(" of all operations, at least\n");
}

/* The curve at a few sizes, evenly between its ends. */
static void misses_print(const omen_telemetry *t)
{
    if (t->miss_count == 0)
        return;
    printf("  blocks missed by a cache of");
    for (uint32_t i = 0, n = t->miss_count < POINTS_SHOWN ? t->miss_count : POINTS_SHOWN; i < n;
         i++) {
        char size[OMT_HUMAN_LEN];
        const omen_miss_point *p = &t->miss[n == 1 ? 0 : i * (t->miss_count - 1) / (n - 1)];
        printf("%s %s: %.1f%%", i == 0 ? "" : ",", omt_human_bytes(size, p->cache_bytes),
               100 * p->misses);
    }
    printf("\n");
}

void omt_workload_print(const omen_telemetry *t)
{
    const omen_window *w = &t->all;
    uint64_t ops = w->get_hits + w->get_misses + w->scans + w->puts + w->deletes;
    printf("%sworkload of late%s\n", omt_bold(), omt_plain());
    if (ops == 0) {
        printf("  fewer than 10,000 operations so far\n");
        return;
    }
    mix_print(w, ops);
    printf("  keys: skew %.2f (Zipf exponent), %.0f%% sorted at flushes\n", t->skew,
           100 * t->sorted);
    hot_print(t);
    misses_print(t);
}
