/*
 * tune_build.h - a configuration with data in it, and the states that runs start from.
 *
 * A label must not hang on where in a round of merging it happened to fall: one merge into the last
 * level costs more than thousands of lookups. So writes are priced, and trees visited, over a whole
 * cycle: after loading, a stream of writes as the workload's goes through a copy of the build; what it
 * reads and writes for each write is the price of a write, and at eight moments of it, evenly
 * spread (fewer of large data), the database is forked by hard links: runs start from those, a part of the
 * operations from each. Workloads whose writes are alike share one stream. Without writes, all
 * starts from the settled build.
 *
 * A cycle is twice as many writes as there are entries. Filling the level above the last twice is
 * not enough: with a few rounds a cycle, whether one more falls into it moves the price of a write
 * by a third; over two turnovers of the data it is within a twelfth of what it is in the long run
 * (all shapes of the grid, replayed), and omi_cost_replay averages over as many.
 */
#ifndef OMT_TUNE_BUILD_H
#define OMT_TUNE_BUILD_H

#include "tools/tune_work.h"

enum { OMT_STATIONS_MAX = 8, OMT_STREAMS_MAX = 16 };

struct omt_station {
    char dir[OMT_TUNE_PATH];
    omen_db *db; /* open, to be forked; never written */
    struct omi_ops ops;
    struct omt_gone gone;
};

struct omt_stream {
    uint64_t id;
    uint32_t count; /* of stations */
    struct omt_station station[OMT_STATIONS_MAX];
    uint64_t writes;
    bool whole;
    double read_pages, written_pages, write_us; /* of one write */
};

struct omt_build {
    struct omt_run_options options;
    struct omi_workload data; /* of which the entries are */
    struct omi_point point;
    struct omi_space_limits limits;
    uint64_t keys_ops;
    char dir[OMT_TUNE_PATH], base_dir[OMT_TUNE_PATH];
    omen_db *base;
    double build_us;
    char build_id[OMT_TUNE_NAME];
    uint32_t levels, stations, stream_count, forks;
    struct omt_stream stream[OMT_STREAMS_MAX];
};

/* Opens a database as the build's are. */
OMEN_MUST_CHECK omen_err omt_build_open(const struct omt_build *build, const char *dir,
                                        omen_db **db_out);
/* The workload's stream, made if it is the first of its kind. */
OMEN_MUST_CHECK omen_err omt_build_stream(struct omt_build *build,
                                          const struct omi_workload *workload,
                                          const struct omt_stream **stream_out);
/* A fork of the station, open; its directory into dir. */
OMEN_MUST_CHECK omen_err omt_build_fork(struct omt_build *build, const struct omt_station *station,
                                        char dir[static OMT_TUNE_PATH], omen_db **db_out);
/* Closes and removes (unless kept). Returns so_far, with its words, unless that is OMEN_OK. */
omen_err omt_build_drop(struct omt_build *build, const char *dir, omen_db *db, omen_err so_far);

#endif
