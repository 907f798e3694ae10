/* bench_table.c - the stats table of RocksDB 7.8 and its relations, filled from omen_stats. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/bench_report.h"

static const double GB = 1073741824.0;
static const double MB = 1048576.0;

static double over(double a, double b)
{
    return b > 0 ? a / b : 0;
}

/* RocksDB's short numbers: 9999, 2500K, 12M, 3G. */
static const char *short_count(char out[static OMT_HUMAN_LEN], uint64_t n)
{
    if (n < 10000)
        snprintf(out, OMT_HUMAN_LEN, "%" PRIu64, n);
    else if (n < 10000000)
        snprintf(out, OMT_HUMAN_LEN, "%" PRIu64 "K", n / 1000);
    else if (n < 10000000000)
        snprintf(out, OMT_HUMAN_LEN, "%" PRIu64 "M", n / 1000000);
    else
        snprintf(out, OMT_HUMAN_LEN, "%" PRIu64 "G", n / 1000000000);
    return out;
}

static const char *short_bytes(char out[static OMT_HUMAN_LEN], uint64_t bytes)
{
    double v = (double)bytes;
    if (v < MB)
        snprintf(out, OMT_HUMAN_LEN, "%.2f KB", v / 1024);
    else if (v < GB)
        snprintf(out, OMT_HUMAN_LEN, "%.2f MB", v / MB);
    else
        snprintf(out, OMT_HUMAN_LEN, "%.2f GB", v / GB);
    return out;
}

/* Counters of now less those of since; what is a state of now stays. */
static omen_level_stats level_since(const omen_level_stats *now, const omen_level_stats *since)
{
    omen_level_stats d = *now;
    d.read_bytes -= since->read_bytes;
    d.written_bytes -= since->written_bytes;
    d.moved_bytes -= since->moved_bytes;
    d.entries_in -= since->entries_in;
    d.entries_dropped -= since->entries_dropped;
    d.merges -= since->merges;
    d.merge_us -= since->merge_us;
    return d;
}

omen_stats bench_stats_less(const omen_stats *now, const omen_stats *base)
{
    omen_stats d = *now;
    uint64_t *const counters[] = {
        &d.puts,
        &d.deletes,
        &d.batches,
        &d.user_bytes,
        &d.log_bytes,
        &d.log_syncs,
        &d.device_bytes,
        &d.gets,
        &d.get_hits,
        &d.get_memtable_hits,
        &d.get_blocks,
        &d.get_block_reads,
        &d.multi_get_keys,
        &d.seeks,
        &d.nexts,
        &d.scan_blocks,
        &d.scan_opens,
        &d.scan_block_reads,
        &d.tombstones_skipped,
        &d.cache_hits,
        &d.cache_misses,
        &d.filter_probes,
        &d.filter_negatives,
        &d.filter_false_positives,
        &d.index_grid_hits,
        &d.index_keyed_compares,
        &d.flushes,
        &d.flush_bytes,
        &d.flush_us,
        &d.merges,
        &d.merge_read_bytes,
        &d.merge_written_bytes,
    };
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        /* the same field of base, by its place */
        size_t off = (size_t)((const char *)counters[i] - (const char *)&d);
        uint64_t before;
        memcpy(&before, (const char *)base + off, sizeof(before));
        *counters[i] -= before;
    }
    for (size_t i = 0; i < 4; i++) {
        d.stall_count[i] -= base->stall_count[i];
        d.stall_us[i] -= base->stall_us[i];
    }
    for (size_t i = 0; i < OMEN_LEVELS_MAX; i++)
        d.level[i] = level_since(&now->level[i], &base->level[i]);
    return d;
}

static void level_add(omen_level_stats *sum, const omen_level_stats *l)
{
    sum->files += l->files;
    sum->bytes += l->bytes;
    sum->read_bytes += l->read_bytes;
    sum->written_bytes += l->written_bytes;
    sum->moved_bytes += l->moved_bytes;
    sum->entries_in += l->entries_in;
    sum->entries_dropped += l->entries_dropped;
    sum->merges += l->merges;
    sum->merge_us += l->merge_us;
}

/* w_amp < 0: what the level wrote over what came into it from above. */
static void level_row(const char *name, const omen_level_stats *l, double w_amp)
{
    char size[OMT_HUMAN_LEN], in[OMT_HUMAN_LEN], drop[OMT_HUMAN_LEN];
    double seconds = (double)l->merge_us / 1e6;
    double read = (double)l->read_bytes, written = (double)l->written_bytes;
    double score = over((double)l->bytes, (double)l->capacity_bytes);
    if (w_amp < 0)
        w_amp = l->read_bytes == 0 ? (l->written_bytes != 0 ? 1.0 : 0.0) : over(written, read);
    printf("%4s %6" PRIu32 "/%-3d %8s %5.1f %8.1f %7.1f %8.1f %9.1f %8.1f %9.1f %5.1f %8.1f %8.1f "
           "%9.2f %17.2f %9" PRIu64 " %8.3f %7s %6s %9.1f %9.1f\n",
           name, l->files, 0, short_bytes(size, l->bytes), score, read / GB, 0.0, read / GB,
           written / GB, written / GB, (double)l->moved_bytes / GB, w_amp, over(read / MB, seconds),
           over(written / MB, seconds), seconds, seconds, l->merges,
           over(seconds, (double)l->merges), short_count(in, l->entries_in),
           short_count(drop, l->entries_dropped), 0.0, 0.0);
}

static void table_head(const char *first)
{
    static const char columns[] =
        "    Files   Size     Score Read(GB)  Rn(GB) Rnp1(GB) Write(GB) Wnew(GB) Moved(GB) W-Amp "
        "Rd(MB/s) Wr(MB/s) Comp(sec) CompMergeCPU(sec) Comp(cnt) Avg(sec) KeyIn KeyDrop Rblob(GB) "
        "Wblob(GB)";
    printf("\n** Compaction Stats [default] **\n%s%s\n", first, columns);
    for (size_t i = 0; i < strlen(first) + sizeof(columns) - 1; i++)
        putchar('-');
    putchar('\n');
}

static void stalls_print(const omen_stats *now, const omen_stats *since)
{
    /* Ours are by memtables, debt, runs and space; each stands under RocksDB's nearest name. */
    uint64_t total = 0;
    for (int i = 0; i < 4; i++)
        total += now->stall_count[i] - since->stall_count[i];
    printf(
        "Stalls(count): %" PRIu64 " level0_slowdown, 0 level0_slowdown_with_compaction, "
        "0 level0_numfiles, 0 level0_numfiles_with_compaction, "
        "%" PRIu64 " stop for pending_compaction_bytes, "
        "%" PRIu64 " slowdown for pending_compaction_bytes, "
        "%" PRIu64 " memtable_compaction, 0 memtable_slowdown, interval %" PRIu64 " total count\n",
        now->stall_count[2], now->stall_count[3], now->stall_count[1], now->stall_count[0], total);
}

static void stall_line(const char *label, uint64_t us, double seconds)
{
    uint64_t ms = us / 1000;
    printf("%s stall: %02" PRIu64 ":%02" PRIu64 ":%" PRIu64 ".%03" PRIu64 " H:M:S, %.1f percent\n",
           label, ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, ms % 1000,
           100 * over((double)us / 1e6, seconds));
}

struct flow { /* over some seconds */
    uint64_t written, read, us, writes, keys, user, log, syncs, stall_us;
};

static struct flow flow_of(const omen_stats *now, const omen_stats *since)
{
    struct flow f = {0};
    f.written = now->flush_bytes + now->merge_written_bytes - since->flush_bytes -
                since->merge_written_bytes;
    f.read = now->merge_read_bytes - since->merge_read_bytes;
    for (size_t i = 0; i < OMEN_LEVELS_MAX; i++)
        f.us += now->level[i].merge_us - since->level[i].merge_us;
    f.writes = now->batches - since->batches;
    f.keys = now->puts + now->deletes - since->puts - since->deletes;
    f.user = now->user_bytes - since->user_bytes;
    f.log = now->log_bytes - since->log_bytes;
    f.syncs = now->log_syncs - since->log_syncs;
    for (size_t i = 0; i < 4; i++)
        f.stall_us += now->stall_us[i] - since->stall_us[i];
    return f;
}

static void compaction_line(const char *label, const struct flow *f, double seconds)
{
    printf("%s compaction: %.2f GB write, %.2f MB/s write, %.2f GB read, %.2f MB/s read, "
           "%.1f seconds\n",
           label, (double)f->written / GB, over((double)f->written / MB, seconds),
           (double)f->read / GB, over((double)f->read / MB, seconds), (double)f->us / 1e6);
}

static void writes_lines(const char *label, const struct flow *f, double seconds, double unit,
                         const char *unit_name)
{
    char writes[OMT_HUMAN_LEN], keys[OMT_HUMAN_LEN], groups[OMT_HUMAN_LEN];
    printf("%s writes: %s writes, %s keys, %s commit groups, %.1f writes per commit group, "
           "ingest: %.2f %s, %.2f MB/s\n",
           label, short_count(writes, f->writes), short_count(keys, f->keys),
           short_count(groups, f->writes), f->writes == 0 ? 0.0 : 1.0, (double)f->user / unit,
           unit_name, over((double)f->user / MB, seconds));
    printf("%s WAL: %s writes, %" PRIu64 " syncs, %.2f writes per sync, written: %.2f GB, "
           "%.2f MB/s\n",
           label, writes, f->syncs, over((double)f->writes, (double)f->syncs), (double)f->log / GB,
           over((double)f->log / MB, seconds));
}

void bench_print_stats(const omen_stats *now, const omen_stats *since)
{
    static const omen_stats zero;
    double all_s = (double)now->uptime_us / 1e6;
    double part_s = now->uptime_us >= since->uptime_us
                        ? (double)(now->uptime_us - since->uptime_us) / 1e6
                        : all_s; /* the database was opened anew since */
    omen_level_stats sum = {0}, part = {0};
    table_head("Level");
    for (uint32_t i = 0; i < now->levels && i < OMEN_LEVELS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "L%" PRIu32, i);
        omen_level_stats d = level_since(&now->level[i], &since->level[i]);
        if (now->level[i].files != 0 || now->level[i].written_bytes != 0)
            level_row(name, &now->level[i], -1);
        level_add(&sum, &now->level[i]);
        level_add(&part, &d);
    }
    struct flow all = flow_of(now, &zero), interval = flow_of(now, since);
    uint64_t flushed = now->flush_bytes - since->flush_bytes;
    level_row(" Sum", &sum, over((double)all.written, (double)now->flush_bytes));
    part.files = 0;
    part.bytes = 0;
    level_row(" Int", &part, over((double)interval.written, (double)flushed));
    table_head("Priority");
    level_row("User", &part, 0);
    printf("\nBlob file count: 0, total size: 0.0 GB, garbage size: 0.0 GB, space amp: 0.0\n");
    printf("\nUptime(secs): %.1f total, %.1f interval\n", all_s, part_s);
    printf("Flush(GB): cumulative %.3f, interval %.3f\n", (double)now->flush_bytes / GB,
           (double)flushed / GB);
    printf("AddFile(GB): cumulative 0.000, interval 0.000\n"
           "AddFile(Total Files): cumulative 0, interval 0\n"
           "AddFile(L0 Files): cumulative 0, interval 0\n"
           "AddFile(Keys): cumulative 0, interval 0\n");
    compaction_line("Cumulative", &all, all_s);
    compaction_line("Interval", &interval, part_s);
    stalls_print(now, since);
    printf("\n** DB Stats **\nUptime(secs): %.1f total, %.1f interval\n", all_s, part_s);
    writes_lines("Cumulative", &all, all_s, GB, "GB");
    stall_line("Cumulative", all.stall_us, all_s);
    writes_lines("Interval", &interval, part_s, MB, "MB");
    stall_line("Interval", interval.stall_us, part_s);

    /* What RocksDB has no rows for. */
    printf("\n** omendb **\n");
    printf("Index: %" PRIu64 " bytes, %.3f bytes/key, %" PRIu64 " knots, %" PRIu64
           " keyed cuts, %" PRIu64 " explicit files, %" PRIu64 " certificate failures\n",
           now->index_bytes, over((double)now->index_bytes, (double)now->index_keys),
           now->index_knots, now->index_keyed_cuts, now->index_explicit_files,
           now->index_certificate_failures);
    printf("Filter: %" PRIu64 " bytes, %.2f bits/key, %" PRIu64 " probes, %" PRIu64
           " negatives, %" PRIu64 " false positives\n",
           now->filter_bytes, over(8 * (double)now->filter_bytes, (double)now->index_keys),
           now->filter_probes, now->filter_negatives, now->filter_false_positives);
    printf("Get: %" PRIu64 " gets, %.3f blocks/get, cache hits %.1f percent\n", now->gets,
           over((double)now->get_blocks, (double)now->gets),
           100 * over((double)now->cache_hits, (double)(now->cache_hits + now->cache_misses)));
    printf("Amplification: write %.2f (%.2f without the log)\n",
           over((double)now->device_bytes, (double)now->user_bytes),
           over((double)all.written, (double)now->user_bytes));
    for (size_t i = 0; i < 4; i++)
        if (omen_stall_name(i) != NULL)
            printf("Stall %s: %" PRIu64 " times, %.3f seconds\n", omen_stall_name(i),
                   now->stall_count[i], (double)now->stall_us[i] / 1e6);
    printf("IO: %.16s, %.112s\n", now->io_engine, now->io_why);
    if (now->far != OMEN_FAR_NONE)
        printf("Far memory: %s, %" PRIu64 " bytes of filters and %" PRIu64
               " of models far, %" PRIu64 " near as they are asked most; asked far %" PRIu64
               ", near %" PRIu64 "\n",
               omen_far_name(now->far), now->far_got[0][1], now->far_got[1][1],
               now->far_promoted_bytes, now->far_asked[0][1] + now->far_asked[1][1],
               now->far_asked[0][0] + now->far_asked[1][0]);
    fflush(stdout);
}

void bench_print_levelstats(const omen_stats *now)
{
    printf("\nLevel Files Size(MB)\n--------------------\n");
    for (uint32_t i = 0; i < now->levels && i < OMEN_LEVELS_MAX; i++)
        printf("%3" PRIu32 " %8" PRIu32 " %8.0f\n", i, now->level[i].files,
               (double)now->level[i].bytes / MB);
    printf("\n");
    fflush(stdout);
}

void bench_print_memstats(const omen_stats *now)
{
    printf("\nMemory (bytes)\n--------------------\n");
    printf("memtables %" PRIu64 "\ncache %" PRIu64 "\nfilters %" PRIu64 "\nmodels %" PRIu64
           "\nbuild %" PRIu64 "\nmetadata %" PRIu64 "\nlog %" PRIu64 "\n\n",
           now->memory_memtables, now->memory_cache, now->memory_filters, now->memory_models,
           now->memory_build, now->memory_metadata, now->memory_log);
    fflush(stdout);
}

void bench_print_statistics(const omen_stats *now)
{
    const struct {
        const char *name;
        uint64_t v;
    } rows[] = {
        {"puts", now->puts},
        {"deletes", now->deletes},
        {"batches", now->batches},
        {"user.bytes", now->user_bytes},
        {"log.bytes", now->log_bytes},
        {"log.syncs", now->log_syncs},
        {"device.bytes", now->device_bytes},
        {"gets", now->gets},
        {"get.hits", now->get_hits},
        {"get.memtable.hits", now->get_memtable_hits},
        {"get.blocks", now->get_blocks},
        {"multiget.keys", now->multi_get_keys},
        {"seeks", now->seeks},
        {"nexts", now->nexts},
        {"scan.opens", now->scan_opens},
        {"scan.blocks", now->scan_blocks},
        {"scan.block_reads", now->scan_block_reads},
        {"tombstones.skipped", now->tombstones_skipped},
        {"cache.hits", now->cache_hits},
        {"cache.misses", now->cache_misses},
        {"filter.probes", now->filter_probes},
        {"filter.negatives", now->filter_negatives},
        {"filter.false.positives", now->filter_false_positives},
        {"index.grid.hits", now->index_grid_hits},
        {"index.keyed.compares", now->index_keyed_compares},
        {"flushes", now->flushes},
        {"flush.bytes", now->flush_bytes},
        {"merges", now->merges},
        {"merge.read.bytes", now->merge_read_bytes},
        {"merge.written.bytes", now->merge_written_bytes},
    };
    printf("STATISTICS:\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        printf("omendb.%s COUNT : %" PRIu64 "\n", rows[i].name, rows[i].v);
    printf("\n");
    fflush(stdout);
}

static void table_line(void *context, const omen_table_info *t)
{
    uint32_t *level = context;
    if (t->level != *level)
        printf("--- level %" PRIu32 " ---\n", t->level - 1);
    *level = t->level;
    struct omt_bytes first = {0}, last = {0};
    omt_encode(OMT_HEX, t->first_key, &first);
    omt_encode(OMT_HEX, t->last_key, &last);
    printf(" %" PRIu64 ":%" PRIu64 "['%.64s' .. '%.64s']\n", t->number, t->bytes, first.data,
           last.data);
    omt_bytes_free(&first);
    omt_bytes_free(&last);
}

void bench_print_tables(const struct bench_engine *engine, void *db)
{
    uint32_t level = 0;
    printf("\n");
    omen_err err = engine->tables(db, table_line, &level);
    if (err != OMEN_OK)
        fprintf(stderr, "omendb: sstables: %s\n", omen_last_error());
    printf("\n");
    fflush(stdout);
}
