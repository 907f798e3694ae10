/*
 * tune_explain.h - what explain knows before it says anything: the workload, the shape that is
 * there, the best that could be, and the closed forms beside them.
 *
 * Path:   a spec or a database -> omt_explain_make -> tune_explain_text.c, or JSON
 * Units:  costs are in random page reads an operation, by the prices; pages of 4 KiB.
 * Errors: bool functions have told the cause on stderr.
 */
#ifndef OMT_TUNE_EXPLAIN_H
#define OMT_TUNE_EXPLAIN_H

#include "compaction/tune_choose.h"
#include "tools/tune.h"

enum { OMT_EXPLAIN_TOP_MAX = 20, OMT_EXPLAIN_SUBJECT = 256 };

struct omt_explain_shape {
    struct omi_point point;
    struct omi_cost_tree tree;
    struct omi_cost cost; /* by the theory */
    double theory;        /* of the mix */
    double j, log_sd;     /* what is expected: the model's, or the theory's with log_sd 0 */
};

struct omt_explain {
    char subject[OMT_EXPLAIN_SUBJECT]; /* "workload W5", "the database DIR" */
    struct omi_tune_workload workload;
    struct omi_cost_curve curve; /* what workload.curve points to, if anything */
    bool is_live;                /* now.tree is what lies there, not what the shape leads to */
    bool has_model;              /* struct model */
    struct omi_tune_model model;
    struct omt_explain_shape now, live;
    struct omt_explain_shape best[OMT_EXPLAIN_TOP_MAX]; /* one a (T, K, Z), cheapest first */
    uint32_t best_count, space_count;
    /* Closed forms: T of leveling and tiering, the square-root rule at the best shape's T, bits a
     * key at T of leveling. */
    double ratio_leveling, ratio_tiering, runs_prior, bits_prior;
    double rho; /* of robust, in nats */
    struct omt_explain_shape robust;
    double robust_cost, best_robust_cost; /* worst mix within rho: of robust, of best[0] */
};

/* Takes subject, workload, model, now.point (and live.tree if is_live), rho; fills in the rest.
 * restrict_text: of tune_space.h, or NULL. top: how many shapes. */
OMEN_MUST_CHECK omen_err omt_explain_make(struct omt_explain *e, const char *restrict_text,
                                          uint32_t top);
/* Subject, workload and the shape now of a database. Returns an exit code; told. tune_explain_db.c */
int omt_explain_db(const char *path, const struct omi_cost_prices *prices, struct omt_explain *e);
void omt_explain_print(const struct omt_explain *e);
void omt_explain_json(const struct omt_explain *e);
/* "T 6, K 4, last level 1, 10 bits, no cache" */
enum { OMT_SHAPE_TEXT = 80 };
const char *omt_shape_text(char out[static OMT_SHAPE_TEXT], const struct omi_point *point);

#endif
