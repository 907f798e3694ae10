/*
 * plan.h - a job under construction: files are added run by run, then cut into segments.
 *
 * Owner: the plan owns its arrays until omi_plan_finish hands them to the job or omi_plan_fini
 * frees them; files are borrowed from the tree.
 */
#ifndef OMI_PLAN_H
#define OMI_PLAN_H

#include "compaction/pick.h"

struct omi_plan {
    const struct omi_tree *tree;
    const struct omi_order *order;
    uint64_t target_file_bytes;
    struct omi_job job; /* reason, levels, age and joins are set by the caller */
    uint32_t capacity;  /* of job.inputs */
};

/* count files of run from index first. Also widens job.smallest and job.largest. */
OMEN_MUST_CHECK omen_err omi_plan_add(struct omi_plan *plan, uint32_t level,
                                      const struct omi_tree_run *run, uint32_t first,
                                      uint32_t count);
/* Cuts the inputs into segments and gives the job away. Files of the joined run that nothing
 * overlaps leave the job: they stay what and where they are. found_out false: none is left. */
OMEN_MUST_CHECK omen_err omi_plan_finish(struct omi_plan *plan, struct omi_job *job_out,
                                         bool *found_out);
void omi_plan_fini(struct omi_plan *plan);

#endif
