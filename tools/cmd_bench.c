/* cmd_bench.c - bench: the list of benchmarks, run in order against one database. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/bench_report.h"
#include "tools/bench_work.h"
#include "tools/cmd.h"

enum {                           /* bench_case.flags */
       CASE_FRESH = 1 << 0,      /* destroys the database first */
       CASE_SYNC = 1 << 1,       /* every write durable */
       CASE_WRITER = 1 << 2,     /* one more thread that writes until the others end */
       CASE_ORDER = 1 << 3,      /* keys in order */
       CASE_UNIQUE = 1 << 4,     /* each key once, shuffled */
       CASE_SINGLE = 1 << 5,     /* one thread whatever --threads */
       CASE_STEPS = 1 << 6,      /* cheap operations: the clock would cost as much */
       CASE_LONGER = 1 << 7,     /* keys one byte longer than the database's */
       CASE_FOUND = 1 << 8,      /* message "(F of N found)" */
       CASE_FOUND_LINE = 1 << 9, /* the same and a line break, as RocksDB has it */
       CASE_UPDATES = 1 << 10,   /* message "( updates:U found:F)" */
       CASE_META = 1 << 11       /* no result line: done by meta_run */
};

struct bench_case {
    const char *name;
    bench_method method;
    unsigned flags;
    uint64_t divisor;     /* of num, reads and writes; 0: 1 */
    uint64_t batch;       /* 0: --batch_size */
    uint64_t value_bytes; /* 0: --value_size */
    const char *skip;     /* why it does not run */
};

static const struct bench_case cases[] = {
    {"fillseq", bench_write, CASE_FRESH | CASE_ORDER, 0, 0, 0, NULL},
    {"fillrandom", bench_write, CASE_FRESH, 0, 0, 0, NULL},
    {"fillbatch", bench_write, CASE_FRESH | CASE_ORDER, 0, 1000, 0, NULL},
    {"fillsync", bench_write, CASE_FRESH | CASE_SYNC, 1000, 1, 0, NULL},
    {"fill100K", bench_write, CASE_FRESH, 1000, 1, 100000, NULL},
    {"fill100k", bench_write, CASE_FRESH, 1000, 1, 100000, NULL},
    {"filluniquerandom", bench_write, CASE_FRESH | CASE_UNIQUE | CASE_SINGLE, 0, 0, 0, NULL},
    {"overwrite", bench_write, 0, 0, 0, 0, NULL},
    {"updaterandom", bench_update, CASE_UPDATES, 0, 0, 0, NULL},
    {"deleteseq", bench_delete, CASE_ORDER, 0, 0, 0, NULL},
    {"deleterandom", bench_delete, 0, 0, 0, 0, NULL},
    {"timeseries", bench_timeseries, 0, 0, 0, 0, NULL},
    {"readrandom", bench_read_random, CASE_FOUND_LINE, 0, 0, 0, NULL},
    {"readmissing", bench_read_random, CASE_LONGER | CASE_FOUND_LINE, 0, 0, 0, NULL},
    {"readrandomsmall", bench_read_random, CASE_FOUND_LINE, 1000, 0, 0, NULL},
    {"readhot", bench_read_hot, CASE_FOUND_LINE, 0, 0, 0, NULL},
    {"readseq", bench_read_forward, CASE_STEPS, 0, 0, 0, NULL},
    {"readtocache", bench_read_forward, CASE_STEPS | CASE_SINGLE, 0, 0, 0, NULL},
    {"readreverse", bench_read_backward, CASE_STEPS, 0, 0, 0, NULL},
    {"multireadrandom", bench_multi_read, CASE_FOUND, 0, 0, 0, NULL},
    {"seekrandom", bench_seek, CASE_FOUND_LINE, 0, 0, 0, NULL},
    {"seekordered", bench_seek, CASE_FOUND_LINE | CASE_ORDER, 0, 0, 0, NULL},
    {"readwhilewriting", bench_read_while_writing, CASE_WRITER | CASE_FOUND_LINE, 0, 0, 0, NULL},
    {"seekrandomwhilewriting", bench_seek_while_writing, CASE_WRITER | CASE_FOUND_LINE, 0, 0, 0,
     NULL},
    {"readrandomwriterandom", bench_read_write, 0, 0, 0, 0, NULL},
    {"open", bench_open, CASE_SINGLE, 10000, 0, 0, NULL},
    {"compact", bench_compact, CASE_SINGLE, 0, 0, 0, NULL},
    {"compactall", bench_compact, CASE_SINGLE, 0, 0, 0, NULL},
    {"verifychecksum", bench_verify, CASE_SINGLE, 0, 0, 0, NULL},
    {"waitforcompaction", NULL, CASE_META, 0, 0, 0, NULL},
    {"flush", NULL, CASE_META, 0, 0, 0, NULL},
    {"stats", NULL, CASE_META, 0, 0, 0, NULL},
    {"resetstats", NULL, CASE_META, 0, 0, 0, NULL},
    {"levelstats", NULL, CASE_META, 0, 0, 0, NULL},
    {"memstats", NULL, CASE_META, 0, 0, 0, NULL},
    {"sstables", NULL, CASE_META, 0, 0, 0, NULL},
    {"crc32c", NULL, 0, 0, 0, 0, "tables carry XXH3 checksums, no CRC32C"},
    {"mergerandom", NULL, 0, 0, 0, 0, "no merge operators"},
    {"readrandommergerandom", NULL, 0, 0, 0, 0, "no merge operators"},
    {"readwhilemerging", NULL, 0, 0, 0, 0, "no merge operators"},
    {"seekrandomwhilemerging", NULL, 0, 0, 0, 0, "no merge operators"},
    {"mixgraph", NULL, 0, 0, 0, 0, "not built; see omendb ycsb"},
    {"randomtransaction", NULL, 0, 0, 0, 0, "no transactions"},
    {"backup", NULL, 0, 0, 0, 0, "no backup engine"},
    {"restore", NULL, 0, 0, 0, 0, "no backup engine"},
    {"replay", NULL, 0, 0, 0, 0, "no trace files"},
};
enum { CASE_COUNT = sizeof(cases) / sizeof(cases[0]) };

/* The whole session. */
struct session {
    struct bench_flags flags;
    omen_options options;
    const struct bench_engine *engine;
    enum bench_compat compat;
    char path[4096];
    struct bench_keys keys;
    void *db;
    omen_stats opened, since; /* counters at the opening, and at the last stats or resetstats */
    uint64_t seed, runs;
    unsigned traces;              /* begun */
    struct bench_result *results; /* without warm-ups */
    size_t result_count;
    int exit_code;
};

static const char *case_name(const void *context, size_t index)
{
    return ((const struct bench_case *)context)[index].name;
}

/* ---- the database ---------------------------------------------------------------------------- */

static bool session_tell(struct session *s, const char *what, omen_err err)
{
    omt_tell(what, err);
    s->exit_code = omt_exit_of(err) == OMT_EXIT_PROBLEM ? OMT_EXIT_ERROR : omt_exit_of(err);
    return false;
}

/* Recorded whole: a bench may wait for the disk. */
static bool trace_start(struct session *s)
{
    char path[4096];
    if (s->flags.trace == NULL || s->engine != &bench_engine_omendb)
        return true;
    int n = s->traces++ == 0 ? snprintf(path, sizeof(path), "%s", s->flags.trace)
                             : snprintf(path, sizeof(path), "%s.%u", s->flags.trace, s->traces);
    omen_err err =
        n < (int)sizeof(path) ? omen_trace_start(s->db, path, OMEN_TRACE_WAIT) : OMEN_INVALID;
    return err == OMEN_OK || session_tell(s, "--trace", err);
}

static bool trace_stop(struct session *s)
{
    omen_trace_report r = {.struct_bytes = sizeof(r)};
    if (s->flags.trace == NULL || s->db == NULL || s->engine != &bench_engine_omendb)
        return true;
    omen_err err = omen_trace_stop(s->db, &r);
    if (err == OMEN_INVALID) /* the benchmark "open" has closed the database it was of */
        return true;
    if (err != OMEN_OK)
        return session_tell(s, "--trace", err);
    fprintf(stderr, "omendb: bench: %s: %" PRIu64 " operations, %" PRIu64 " bytes\n",
            s->flags.trace, r.operations, r.bytes);
    return true;
}

static bool db_close(struct session *s)
{
    bool traced = trace_stop(s);
    omen_err err = s->db == NULL ? OMEN_OK : s->engine->close(s->db);
    s->db = NULL;
    return (err == OMEN_OK || session_tell(s, "close", err)) && traced;
}

static bool db_open(struct session *s)
{
    static const char *const names[] = {"omendb", "RocksDB", "LevelDB"};
    const char *name = names[s->compat];
    if (s->compat != BENCH_LEVELDB)
        printf("Initializing %s Options from the specified file\n"
               "Initializing %s Options from command-line flags\n",
               name, name);
    omen_err err = s->engine->open(s->path, &s->options, &s->db);
    if (err != OMEN_OK)
        return session_tell(s, s->path, err);
    s->opened = (omen_stats){.struct_bytes = sizeof(s->opened)};
    err = s->engine->stats(s->db, &s->opened);
    if (err != OMEN_OK)
        return session_tell(s, "stats", err);
    s->since = bench_stats_less(&s->opened, &s->opened);
    return trace_start(s);
}

static bool db_fresh(struct session *s)
{
    if (!db_close(s))
        return false;
    omen_err err = s->engine->destroy(s->path);
    return err == OMEN_OK ? db_open(s) : session_tell(s, s->path, err);
}

/* ---- one benchmark --------------------------------------------------------------------------- */

static bool stats_now(struct session *s, omen_stats *out)
{
    omen_stats now = {.struct_bytes = sizeof(now)};
    omen_err err = s->engine->stats(s->db, &now);
    if (err != OMEN_OK)
        return session_tell(s, "stats", err);
    *out = bench_stats_less(&now, &s->opened);
    return true;
}

static bool meta_run(struct session *s, const char *name)
{
    omen_stats now;
    if (strcmp(name, "waitforcompaction") == 0) {
        printf("waitforcompaction(%s): started\n", s->path);
        omen_err err = s->engine->wait_idle(s->db);
        if (err != OMEN_OK)
            return session_tell(s, name, err);
        printf("waitforcompaction(%s): finished\n", s->path);
        return true;
    }
    if (strcmp(name, "flush") == 0) {
        omen_err err = s->engine->flush(s->db);
        printf("flush memtable\n");
        return err == OMEN_OK || session_tell(s, name, err);
    }
    if (!stats_now(s, &now))
        return false;
    if (strcmp(name, "sstables") == 0)
        bench_print_tables(s->engine, s->db);
    else if (strcmp(name, "levelstats") == 0)
        bench_print_levelstats(&now);
    else if (strcmp(name, "memstats") == 0)
        bench_print_memstats(&now);
    else if (strcmp(name, "stats") == 0)
        bench_print_stats(&now, &s->since);
    if (strcmp(name, "stats") == 0 || strcmp(name, "resetstats") == 0)
        s->since = now;
    return true;
}

static uint64_t count_of(int64_t given, uint64_t otherwise)
{
    return given < 0 ? otherwise : (uint64_t)given;
}

/* The stats table of --stats_per_interval, told by thread 0. */
static void interval_stats(struct bench_run *run)
{
    static const omen_stats zero;
    omen_stats now = {.struct_bytes = sizeof(now)};
    if (run->flags->stats_per_interval && run->engine->stats(run->db, &now) == OMEN_OK)
        bench_print_stats(&now, &zero);
}

static bool load_make(struct session *s, const struct bench_case *c, const char *name,
                      struct bench_load *load)
{
    static const char *const sizes[] = {"fixed", "uniform", "normal"};
    const struct bench_flags *f = &s->flags;
    uint64_t by = c->divisor == 0 ? 1 : c->divisor;
    uint64_t num = (uint64_t)f->num;
    struct bench_run *run = &load->run;
    memset(load, 0, sizeof(*load));
    run->flags = f;
    run->engine = s->engine;
    run->db = s->db;
    run->keys = &s->keys;
    run->name = name;
    run->path = s->path;
    run->options = &s->options;
    run->interval = interval_stats;
    run->seed = s->seed + 1000 * ++s->runs; /* repeats must not walk the same keys again */
    run->reads = count_of(f->reads, num) / by;
    run->writes = count_of(f->writes, num) / by;
    run->deletes = count_of(f->deletes, num) / by;
    /* RocksDB's fillsync and fill100K shrink the key range too; reads keep it. */
    run->num = (c->flags & CASE_FRESH) != 0 ? num / by : num;
    run->num = run->num == 0 ? 1 : run->num;
    run->reads = run->reads == 0 && by > 1 ? 1 : run->reads;
    run->writes = run->writes == 0 && by > 1 ? 1 : run->writes;
    run->threads = (c->flags & CASE_SINGLE) != 0 ? 1 : (uint32_t)f->threads;
    run->writer = (c->flags & CASE_WRITER) != 0;
    run->threads += run->writer ? 1 : 0;
    run->batch = c->batch != 0 ? c->batch : (uint64_t)f->batch_size;
    run->sync = f->sync || (c->flags & CASE_SYNC) != 0;
    run->sequential = (c->flags & CASE_ORDER) != 0;
    run->unique = (c->flags & CASE_UNIQUE) != 0;
    run->key_more = (c->flags & CASE_LONGER) != 0 ? 1 : 0;
    run->sample = f->latency_sample > 0 ? (uint32_t)f->latency_sample
                                        : ((c->flags & CASE_STEPS) != 0 ? 64 : 1);
    enum bench_sizes kind = BENCH_SIZE_FIXED;
    for (int i = 0; i < 3; i++)
        if (strcasecmp(f->value_size_distribution_type, sizes[i]) == 0)
            kind = (enum bench_sizes)i;
    uint64_t bytes = c->value_bytes != 0        ? c->value_bytes
                     : kind == BENCH_SIZE_FIXED ? (uint64_t)f->value_size
                                                : (uint64_t)f->value_size_max;
    run->value_bytes = bytes;
    if (!bench_values_init(&load->values, bytes, f->compression_ratio)) {
        fprintf(stderr, "omendb: %s: out of memory; use a smaller --value_size\n", name);
        s->exit_code = OMT_EXIT_ERROR;
        return false;
    }
    load->values.sizes = c->value_bytes != 0 ? BENCH_SIZE_FIXED : kind;
    load->values.bytes_min = (uint64_t)f->value_size_min;
    load->values.checked = f->verify_values && c->method != bench_timeseries;
    return true;
}

static void message_make(const struct bench_case *c, struct bench_result *r)
{
    if ((c->flags & (CASE_FOUND | CASE_FOUND_LINE)) != 0)
        snprintf(r->message, sizeof(r->message), "(%" PRIu64 " of %" PRIu64 " found)%s", r->found,
                 r->total, (c->flags & CASE_FOUND_LINE) != 0 ? "\n" : "");
    else if ((c->flags & CASE_UPDATES) != 0)
        snprintf(r->message, sizeof(r->message), "( updates:%" PRIu64 " found:%" PRIu64 ")",
                 r->total, r->found);
}

static bool case_once(struct session *s, const struct bench_case *c, const char *name, bool warmup)
{
    struct bench_load load;
    struct bench_result result = {0};
    if (!load_make(s, c, name, &load))
        return false;
    bool ok = bench_run_threads(&load.run, c->method, &result);
    s->db = load.run.db; /* open has put another one there */
    if (ok) {
        message_make(c, &result);
        bench_print_result(&result, s->compat, s->flags.histogram && !warmup);
        if (result.failed)
            s->exit_code = OMT_EXIT_ERROR;
        bench_result_fini(&result);
        if (!warmup && !result.failed) {
            s->results = omt_realloc(s->results, (s->result_count + 1) * sizeof(*s->results));
            s->results[s->result_count++] = result;
        }
    } else {
        s->exit_code = OMT_EXIT_ERROR;
    }
    bench_values_fini(&load.values);
    return ok && !result.failed;
}

static bool case_run(struct session *s, const struct bench_case *c, uint64_t repeats,
                     uint64_t warmups)
{
    if (c->skip != NULL) {
        printf("%-12s : skipped (%s)\n", c->name, c->skip);
        return true;
    }
    if ((c->flags & CASE_FRESH) != 0 && s->flags.use_existing_db) {
        printf("%-12s : skipped (--use_existing_db is true)\n", c->name);
        return true;
    }
    if ((c->flags & CASE_META) != 0)
        return meta_run(s, c->name);
    if (warmups > 0)
        printf("Warming up benchmark by running %" PRIu64 " times\n", warmups);
    size_t first = s->result_count;
    for (uint64_t i = 0; i < warmups + repeats; i++) {
        if (i == warmups && repeats > 1)
            printf("Running benchmark for %" PRIu64 " times\n", repeats);
        if ((c->flags & CASE_FRESH) != 0 && !db_fresh(s))
            return false;
        printf("DB path: [%s]\n", s->path);
        fflush(stdout);
        if (!case_once(s, c, c->name, i < warmups))
            return false;
    }
    bench_print_repeats(s->results + first, s->result_count - first,
                        s->flags.confidence_interval_only);
    return true;
}

/* "readrandom[W1-X3]": the name alone is left in word. */
static bool suffix_parse(char *word, uint64_t *repeats, uint64_t *warmups)
{
    *repeats = 1;
    *warmups = 0;
    char *open = strchr(word, '[');
    if (open == NULL)
        return true;
    size_t len = strlen(open);
    if (open[len - 1] != ']')
        return false;
    open[len - 1] = '\0';
    *open = '\0';
    char *save = NULL;
    for (char *part = strtok_r(open + 1, "-", &save); part != NULL;
         part = strtok_r(NULL, "-", &save)) {
        uint64_t *into = *part == 'X' || *part == 'x'   ? repeats
                         : *part == 'W' || *part == 'w' ? warmups
                                                        : NULL;
        if (into == NULL || !omt_parse_u64(part + 1, into) || *into > 1000 || *repeats == 0)
            return false;
    }
    return true;
}

static const struct bench_case *case_find(struct session *s, const char *name)
{
    for (size_t i = 0; i < CASE_COUNT; i++)
        if (strcmp(cases[i].name, name) == 0)
            return &cases[i];
    const char *near = omt_nearest(name, CASE_COUNT, case_name, cases);
    fprintf(stderr, "omendb: unknown benchmark '%s'%s%s; see omendb bench --help\n", name,
            near != NULL ? "; did you mean " : "", near != NULL ? near : "");
    s->exit_code = OMT_EXIT_USAGE;
    return NULL;
}

/* ---- the session ----------------------------------------------------------------------------- */

static bool flags_check(const struct bench_flags *f)
{
    const struct {
        const char *name;
        int64_t v, min, max;
    } ranges[] = {
        {"num", f->num, 1, INT64_MAX / 65536},
        {"threads", f->threads, 1, 1024},
        {"batch_size", f->batch_size, 1, 1 << 20},
        {"key_size", f->key_size, 1, BENCH_KEY_ROOM - 256},
        {"value_size", f->value_size, 0, OMEN_VALUE_BYTES_MAX},
        {"value_size_max", f->value_size_max, 0, OMEN_VALUE_BYTES_MAX},
        {"value_size_min", f->value_size_min, 0, f->value_size_max},
        {"readwritepercent", f->readwritepercent, 0, 100},
        {"key_id_range", f->key_id_range, 1, INT64_MAX},
        {"time_range", f->time_range, 1, INT64_MAX},
        {"duration", f->duration, 0, INT32_MAX},
        {"latency_sample", f->latency_sample, 0, INT32_MAX},
        {"report_interval_seconds", f->report_interval_seconds, 0, INT32_MAX},
        {"stats_interval_seconds", f->stats_interval_seconds, 0, INT32_MAX},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (ranges[i].v < ranges[i].min || ranges[i].v > ranges[i].max) {
            fprintf(stderr,
                    "omendb: bench: --%s=%" PRId64 " is out of range; give %" PRId64 " to %" PRId64
                    "\n",
                    ranges[i].name, ranges[i].v, ranges[i].min, ranges[i].max);
            return false;
        }
    }
    static const char *const sizes[] = {"fixed", "uniform", "normal"};
    for (int i = 0; i < 3; i++)
        if (strcasecmp(f->value_size_distribution_type, sizes[i]) == 0)
            return true;
    fprintf(stderr,
            "omendb: bench: --value_size_distribution_type=%s; give fixed, uniform or "
            "normal\n",
            f->value_size_distribution_type);
    return false;
}

static bool session_init(struct session *s)
{
    const struct bench_flags *f = &s->flags;
    s->exit_code = OMT_EXIT_USAGE;
    s->engine = &bench_engine_omendb;
    if (!flags_check(f) || !bench_options_make(f, &s->options))
        return false;
    if (strcmp(f->compat, "omendb") != 0 && strcmp(f->compat, "rocksdb") != 0 &&
        strcmp(f->compat, "leveldb") != 0) {
        fprintf(stderr, "omendb: bench: --compat=%s; give omendb, rocksdb or leveldb\n", f->compat);
        return false;
    }
    s->compat = f->compat[0] == 'o'   ? BENCH_OMENDB
                : f->compat[0] == 'r' ? BENCH_ROCKSDB
                                      : BENCH_LEVELDB;
    const char *tmp = getenv("TMPDIR");
    int n = f->db != NULL ? snprintf(s->path, sizeof(s->path), "%s", f->db)
                          : snprintf(s->path, sizeof(s->path), "%s/omendb-bench-%ld",
                                     tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp", (long)getuid());
    if (n < 0 || (size_t)n >= sizeof(s->path)) {
        fprintf(stderr, "omendb: bench: the path of --db is too long; give a shorter one\n");
        return false;
    }
    if (!bench_keys_init(&s->keys, f->key_dist, f->key_prefix, (uint64_t)f->key_size,
                         (uint64_t)f->num))
        return false;
    s->seed = f->seed;
    if (s->seed == 0) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        s->seed = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
        printf("Set seed to %" PRIu64 " because --seed was 0\n", s->seed);
    }
    s->exit_code = OMT_EXIT_OK;
    return true;
}

static void session_run(struct session *s)
{
    /* All names are looked at before anything is destroyed. */
    char *words[2] = {strdup(s->flags.benchmarks), strdup(s->flags.benchmarks)};
    for (int pass = 0; pass < 2 && s->exit_code == OMT_EXIT_OK; pass++) {
        char *save = NULL;
        if (words[pass] == NULL) {
            fprintf(stderr, "omendb: bench: out of memory; close programs\n");
            s->exit_code = OMT_EXIT_ERROR;
            break;
        }
        if (pass == 1) {
            bool fresh = strncmp(words[1], "fill", 4) == 0 && !s->flags.use_existing_db;
            if (!fresh && !db_open(s)) /* a fill opens its own */
                break;
            bench_print_header(&s->flags, s->engine, s->compat, bench_keys_size(&s->keys),
                               (uint64_t)s->flags.value_size);
        }
        for (char *word = strtok_r(words[pass], ",", &save); word != NULL;
             word = strtok_r(NULL, ",", &save)) {
            uint64_t repeats, warmups;
            if (!suffix_parse(word, &repeats, &warmups)) {
                fprintf(stderr,
                        "omendb: bench: bad suffix of benchmark %s; write %s[X3], [W1] or "
                        "[W1-X3]\n",
                        word, word);
                s->exit_code = OMT_EXIT_USAGE;
                break;
            }
            const struct bench_case *c = case_find(s, word);
            if (c == NULL)
                break;
            if (pass == 1 && s->db == NULL && (c->flags & CASE_FRESH) == 0 && !db_open(s))
                break;
            if (pass == 1 && !case_run(s, c, repeats, warmups))
                break;
        }
    }
    free(words[0]);
    free(words[1]);
}

int omt_cmd_bench(int argc, char **argv)
{
    static struct session s; /* large, and one a program */
    int parsed = bench_flags_parse(&s.flags, argc, argv);
    if (parsed != 0)
        return parsed - 1;
    if (!session_init(&s))
        return s.exit_code;
    session_run(&s);
    omen_stats now;
    if (s.db != NULL && s.flags.statistics && stats_now(&s, &now))
        bench_print_statistics(&now);
    db_close(&s);
    if (s.flags.json != NULL && s.exit_code != OMT_EXIT_USAGE &&
        !bench_write_json(s.flags.json, s.results, s.result_count) && s.exit_code == OMT_EXIT_OK)
        s.exit_code = OMT_EXIT_ERROR;
    free(s.results);
    bench_keys_fini(&s.keys);
    bench_flags_fini(&s.flags);
    return omt_stdout_end(s.exit_code);
}
