/*
 * tune_figure.h - figures as files: ID.csv with the numbers, ID.svg with the chart.
 */
#ifndef OMT_TUNE_FIGURE_H
#define OMT_TUNE_FIGURE_H

#include "tools/tune_report.h"

struct omt_figure_request {
    const char *out; /* directory */
    /* of F8 */
    uint64_t entries, entry_bytes, draws, seed;
    double bits;
    const char *space;
};

/* Opens out/ID.EXTENSION to write; NULL: told. */
FILE *omt_figure_file(const struct omt_figure_request *f, const char *id, const char *extension,
                      char path[static OMT_TUNE_PATH]);
bool omt_figure_end(FILE *file, const char *path); /* false: told */

/* Each returns an exit code, told. */
int omt_figure_study(const struct omt_figure_request *f); /* tune_figure_study.c */
/* tune_figure_scales.c; campaigns from the smallest scale up */
int omt_figure_scales(const struct omt_figure_request *f, const char *const *dirs, int count);
int omt_figure_memory(const struct omt_figure_request *f, const char *dir);

#endif
