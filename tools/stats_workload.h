/* stats_workload.h - what a database is asked of late, for people. */
#ifndef OMT_STATS_WORKLOAD_H
#define OMT_STATS_WORKLOAD_H

#include "lsm/omendb.h"

/* A few lines to stdout. */
void omt_workload_print(const omen_telemetry *t);

#endif
