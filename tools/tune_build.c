#include "tools/tune_build.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/text.h"

enum { OPTIONS_TEXT = 1024, FILES_PER_BUILD = 128 };

/* ---- directories ------------------------------------------------------------------------------- */

static omen_err path_make(char out[static OMT_TUNE_PATH], const char *dir, const char *name)
{
    int n = snprintf(out, OMT_TUNE_PATH, "%s/%s", dir, name);
    if (n < 0 || n >= OMT_TUNE_PATH)
        return omi_fail(OMEN_INVALID, 0, "the path of the work directory is too long");
    return OMEN_OK;
}

static omen_err dir_make(const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return OMEN_OK;
    return omi_fail(OMEN_IO, errno, "%s cannot be made", path);
}

/* Every build keeps a handle for each station, and each some hundred files. */
static void files_allow(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* ---- options ----------------------------------------------------------------------------------- */

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Those that are not the point's: about as many files at every scale, so that trees are alike. */
static void fixed_options(const struct omt_build *build, char out[static OPTIONS_TEXT])
{
    uint64_t data = build->data.entries * build->data.entry_bytes;
    uint64_t file = max_u64(data / FILES_PER_BUILD, 1 << 20);
    file = file < (256 << 20) ? file : 256 << 20;
    const char *more = build->options.options;
    snprintf(out, OPTIONS_TEXT,
             "inline_work=true,codec_upper=none,codec_last=none,memory_bytes=%" PRIu64
             ",target_file_bytes=%" PRIu64 "%s%s",
             max_u64(build->limits.memory_bytes, 4 << 20), file, more != NULL ? "," : "",
             more != NULL ? more : "");
}

/* The block cache is the point's alone. Filters have the point's bits for every entry that is stored,
 * older versions too, as in all models of such trees: no limit makes some of them stay on the disk,
 * what they took is told in the label. */
static void point_options(const struct omt_build *build, char out[static OPTIONS_TEXT])
{
    char point[OMI_POINT_TEXT];
    uint64_t cache = omi_point_cache_bytes(&build->limits, &build->point);
    uint64_t filters = omi_point_filter_bytes(&build->limits, &build->point);
    omi_point_options(&build->limits, &build->point, point);
    int n = snprintf(out, OPTIONS_TEXT, "%s,filter_bytes=%" PRIu64 ",cache_bytes=", point,
                     8 * filters + (1 << 20));
    if (cache != 0)
        snprintf(out + n, OPTIONS_TEXT - (size_t)n, "%" PRIu64, cache);
    else
        snprintf(out + n, OPTIONS_TEXT - (size_t)n, "none");
}

static uint64_t text_hash(const char *text)
{
    uint64_t hash = 0;
    for (; *text != '\0'; text++)
        hash = omi_random_mix(hash ^ (unsigned char)*text);
    return hash;
}

omen_err omt_build_open(const struct omt_build *build, const char *dir, omen_db **db_out)
{
    omen_options o = {.struct_bytes = sizeof(o)};
    char fixed[OPTIONS_TEXT], point[OPTIONS_TEXT];
    fixed_options(build, fixed);
    point_options(build, point);
    omen_err err = omen_options_from_string(point, &o);
    if (err == OMEN_OK)
        err = omen_options_from_string(fixed, &o);
    if (err != OMEN_OK)
        return err;
    o.flags |= OMEN_CREATE_IF_MISSING;
    return omen_open(dir, &o, db_out);
}

/* ---- forks ------------------------------------------------------------------------------------- */

omen_err omt_build_fork(struct omt_build *build, const struct omt_station *station,
                        char dir[static OMT_TUNE_PATH], omen_db **db_out)
{
    char name[32];
    *db_out = NULL;
    snprintf(name, sizeof(name), "run%" PRIu32, build->forks++);
    omen_err err = path_make(dir, build->dir, name);
    if (err == OMEN_OK)
        err = omen_checkpoint(station->db, dir);
    if (err == OMEN_OK)
        err = omt_build_open(build, dir, db_out);
    return err;
}

omen_err omt_build_drop(struct omt_build *build, const char *dir, omen_db *db, omen_err so_far)
{
    char story[512];
    omen_err err = OMEN_OK;
    snprintf(story, sizeof(story), "%s", omen_last_error());
    if (db != NULL)
        err = omen_close(db);
    if (!build->options.keep && dir[0] != '\0' && access(dir, F_OK) == 0) {
        omen_err destroyed = omen_destroy(dir);
        err = err != OMEN_OK ? err : destroyed;
    }
    return so_far != OMEN_OK ? omi_fail_again(so_far, story) : err;
}

/* ---- streams of writes ------------------------------------------------------------------------- */

static bool has_writes(const struct omi_workload *w)
{
    double mix[OMI_TUNE_OPS];
    omi_workload_mix(w, mix);
    return mix[OMI_TUNE_WRITE] > 0;
}

static uint64_t keys_ops_of(const struct omi_workload *w)
{
    return w->inserts > 0 ? max_u64(4 * w->entries, w->entries + 2 * omi_workload_ops(w)) : 0;
}

static uint64_t stream_id(const struct omi_workload *w)
{
    uint64_t hash = 2;
    if (!has_writes(w))
        return 1;
    hash = omi_random_mix(hash ^ (uint64_t)w->dist);
    hash = omi_random_mix(hash ^ (uint64_t)(w->theta * 1e9));
    hash = omi_random_mix(hash ^ (uint64_t)(w->inserts * 1e9));
    return omi_random_mix(hash ^ (uint64_t)(w->deletes * 1e9));
}

static double pages(uint64_t bytes)
{
    return (double)bytes / 4096;
}

/* Whether the level above the last was filled twice at least. */
static bool cycle_whole(const struct omt_build *build, uint64_t writes)
{
    struct omi_shape shape;
    omi_point_shape(&build->limits, &build->point, &shape);
    uint32_t above = build->levels > 1 ? build->levels - 1 : 1;
    return omi_shape_capacity(&shape, above) / build->data.entry_bytes <= writes / 2;
}

static omen_err station_make(const struct omt_build *build, const char *name, omen_db *db,
                             const struct omt_work *work, struct omt_station *station)
{
    station->ops = work->ops;
    omt_gone_copy(&station->gone, &work->gone);
    omen_err err = path_make(station->dir, build->dir, name);
    if (err == OMEN_OK)
        err = omen_checkpoint(db, station->dir);
    if (err == OMEN_OK)
        err = omt_build_open(build, station->dir, &station->db);
    return err;
}

static omen_err cycle_run(struct omt_build *build, struct omt_stream *stream, omen_db *db,
                          struct omt_work *work)
{
    omen_stats before = {.struct_bytes = sizeof(before)}, after = before;
    struct omt_tally *tally = omt_realloc(NULL, sizeof(*tally));
    memset(tally, 0, sizeof(*tally));
    omen_err err = omen_get_stats(db, &before);
    uint64_t done = 0;
    for (uint32_t i = 0; i < build->stations && err == OMEN_OK; i++) {
        char name[32];
        uint64_t until = stream->writes * (2 * i + 1) / (2 * build->stations);
        err = omt_work_run(work, until - done, tally);
        done = until;
        snprintf(name, sizeof(name), "s%" PRIu32 "-%" PRIu32, build->stream_count, i);
        if (err == OMEN_OK) {
            stream->count++; /* even if it fails: what there is of it is to be closed */
            err = station_make(build, name, db, work, &stream->station[i]);
        }
    }
    if (err == OMEN_OK)
        err = omt_work_run(work, stream->writes - done, tally);
    double us = tally->us[OMI_OP_PUT] + tally->us[OMI_OP_DELETE];
    free(tally);
    if (err == OMEN_OK)
        err = omen_get_stats(db, &after);
    double n = (double)stream->writes;
    stream->read_pages = pages(after.merge_read_bytes - before.merge_read_bytes) / n;
    stream->written_pages = pages(after.merge_written_bytes - before.merge_written_bytes +
                                  after.flush_bytes - before.flush_bytes) /
                            n;
    stream->write_us = us / n;
    return err;
}

static omen_err stream_make(struct omt_build *build, const struct omi_workload *workload,
                            struct omt_stream *stream)
{
    struct omi_workload writer = *workload;
    struct omt_station base = {.db = build->base};
    struct omt_work *work = omt_realloc(NULL, sizeof(*work));
    char dir[OMT_TUNE_PATH] = "";
    omen_db *db = NULL;
    stream->writes = 2 * build->data.entries; /* as omi_cost_replay has it */
    stream->writes = max_u64(stream->writes, OMT_STATIONS_MAX);
    stream->whole = cycle_whole(build, stream->writes);
    writer.phase_count = 1;
    writer.phase[0] =
        (struct omi_phase){.from = {0, 0, 0, 1}, .to = {0, 0, 0, 1}, .ops = stream->writes};
    omt_work_init(work, &writer, build->keys_ops, 0, build->options.stop);
    omen_err err = omt_build_fork(build, &base, dir, &db);
    work->db = db;
    if (err == OMEN_OK)
        err = cycle_run(build, stream, db, work);
    err = omt_build_drop(build, dir, db, err);
    omt_work_fini(work);
    free(work);
    return err;
}

/* Without writes: the settled build itself. */
static omen_err stream_still(struct omt_build *build, const struct omi_workload *workload,
                             struct omt_stream *stream)
{
    struct omt_work *work = omt_realloc(NULL, sizeof(*work));
    char name[32];
    snprintf(name, sizeof(name), "s%" PRIu32, build->stream_count);
    omt_work_init(work, workload, build->keys_ops, 0, NULL);
    stream->count = 1;
    stream->whole = true;
    omen_err err = station_make(build, name, build->base, work, &stream->station[0]);
    omt_work_fini(work);
    free(work);
    return err;
}

omen_err omt_build_stream(struct omt_build *build, const struct omi_workload *workload,
                          const struct omt_stream **stream_out)
{
    uint64_t id = stream_id(workload);
    for (uint32_t i = 0; i < build->stream_count; i++)
        if (build->stream[i].id == id) {
            *stream_out = &build->stream[i];
            return OMEN_OK;
        }
    if (build->stream_count == OMT_STREAMS_MAX)
        return omi_fail(OMEN_UNSUPPORTED, 0, "more than %d kinds of writes on one build",
                        OMT_STREAMS_MAX);
    struct omt_stream *stream = &build->stream[build->stream_count];
    *stream = (struct omt_stream){.id = id};
    omen_err err = has_writes(workload) ? stream_make(build, workload, stream)
                                        : stream_still(build, workload, stream);
    build->stream_count++; /* also if it failed: what it opened is closed with the build */
    *stream_out = stream;
    return err;
}

/* ---- builds ------------------------------------------------------------------------------------ */

/* Each keeps tables of its own, about as many bytes as there are of data. */
static uint32_t stations_of(const struct omi_workload *w)
{
    uint64_t most = (UINT64_C(16) << 30) / (w->entries * w->entry_bytes);
    return most >= OMT_STATIONS_MAX ? OMT_STATIONS_MAX : most >= 2 ? (uint32_t)most : 2;
}

bool omt_build_shared(const struct omi_workload *a, const struct omi_workload *b)
{
    return a->entries == b->entries && a->entry_bytes == b->entry_bytes && a->seed == b->seed &&
           a->memory_bits == b->memory_bits && a->order == b->order &&
           keys_ops_of(a) == keys_ops_of(b);
}

static omen_err base_make(struct omt_build *build)
{
    struct omt_work *work = omt_realloc(NULL, sizeof(*work));
    omen_stats stats = {.struct_bytes = sizeof(stats)};
    double start = omt_now_s();
    omt_work_init(work, &build->data, build->keys_ops, 0, build->options.stop);
    work->db = build->base;
    omen_err err = omt_work_load(work);
    if (err == OMEN_OK)
        err = omen_flush(build->base);
    if (err == OMEN_OK)
        err = omen_wait_idle(build->base);
    if (err == OMEN_OK)
        err = omen_get_stats(build->base, &stats);
    build->levels = stats.levels;
    build->build_us = (omt_now_s() - start) * 1e6;
    omt_work_fini(work);
    free(work);
    return err;
}

omen_err omt_build_make(const struct omt_run_options *options, const struct omi_workload *workload,
                        const struct omi_point *point, struct omt_build **build_out)
{
    static unsigned made;
    char name[64], fixed[OPTIONS_TEXT];
    *build_out = NULL;
    struct omt_build *build = omt_realloc(NULL, sizeof(*build));
    memset(build, 0, sizeof(*build));
    build->options = *options;
    build->data = *workload;
    build->point = *point;
    build->limits = omt_spec_limits(workload);
    build->keys_ops = keys_ops_of(workload);
    build->stations = stations_of(workload);
    files_allow();
    fixed_options(build, fixed);
    snprintf(build->build_id, sizeof(build->build_id), "%s-%08" PRIx32, omen_version(),
             (uint32_t)text_hash(fixed));
    snprintf(name, sizeof(name), "%s-%ld-%u", options->session, (long)getpid(), made++);
    omen_err err = omi_point_check(&build->limits, point);
    if (err == OMEN_OK)
        err = dir_make(options->work);
    if (err == OMEN_OK)
        err = path_make(build->dir, options->work, name);
    if (err == OMEN_OK)
        err = dir_make(build->dir);
    if (err == OMEN_OK)
        err = path_make(build->base_dir, build->dir, "base");
    if (err == OMEN_OK)
        err = omt_build_open(build, build->base_dir, &build->base);
    if (err == OMEN_OK)
        err = base_make(build);
    if (err != OMEN_OK) {
        omt_build_destroy(build);
        return err;
    }
    *build_out = build;
    return OMEN_OK;
}

void omt_build_destroy(struct omt_build *build)
{
    char story[512];
    if (build == NULL)
        return;
    snprintf(story, sizeof(story), "%s", omen_last_error());
    /* Throw-away databases: what cannot be removed lies in work/, and the next run clears it. */
    for (uint32_t s = 0; s < build->stream_count; s++)
        for (uint32_t i = 0; i < build->stream[s].count; i++) {
            struct omt_station *station = &build->stream[s].station[i];
            omi_ignore(omt_build_drop(build, station->dir, station->db, OMEN_OK));
            omt_gone_fini(&station->gone);
        }
    omi_ignore(omt_build_drop(build, build->base_dir, build->base, OMEN_OK));
    if (!build->options.keep && build->dir[0] != '\0')
        rmdir(build->dir);
    omi_ignore(omi_fail_again(OMEN_OK, story));
    free(build);
}
