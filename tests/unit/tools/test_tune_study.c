/* The study of robust against nominal choices: what must hold whatever the cost model says. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tune_study.h"

static struct omt_study *study_of(uint64_t seed)
{
    struct omt_study *s = calloc(1, sizeof(*s));
    cr_assert(s != NULL);
    s->entries = 1000000;
    s->entry_bytes = 1000;
    s->memory_bits = 36;
    s->draws = 2000;
    s->space = "T=2,6,12;K=1,T-1;Z=1,T-1;h=6,10;cache=0,20"; /* all of them take seconds */
    s->seed = seed;
    cr_assert_eq(omt_study_run(s), OMEN_OK, "%s", omen_last_error());
    return s;
}

Test(study, rho_of_zero_is_the_nominal_choice)
{
    struct omt_study *s = study_of(1);
    for (unsigned m = 0; m < OMT_STUDY_MIXES; m++) {
        cr_assert(omi_point_same(&s->nominal[m], &s->robust[m][0]));
        for (unsigned b = 0; b < OMT_STUDY_BINS; b++)
            cr_assert_eq(s->bin[m][0][b].mean, 0);
    }
    free(s);
}

Test(study, every_draw_is_counted_once_and_percentiles_hold_the_mean_of_one)
{
    struct omt_study *s = study_of(7);
    for (unsigned m = 0; m < OMT_STUDY_MIXES; m++)
        for (unsigned r = 0; r < OMT_STUDY_RHOS; r++) {
            uint32_t sum = 0;
            for (unsigned b = 0; b < OMT_STUDY_BINS; b++) {
                const struct omt_study_bin *bin = &s->bin[m][r][b];
                sum += bin->count;
                cr_assert(bin->low <= bin->high);
                cr_assert(bin->count != 1 || fabs(bin->mean - bin->low) < 1e-12);
            }
            cr_assert_eq(sum, s->draws);
        }
    free(s);
}

Test(study, robust_choices_gain_far_from_the_expected_mix)
{
    struct omt_study *s = study_of(3);
    uint64_t near_count, far_count;
    double near_gain = omt_study_gain(s, 4, 0, 0.25, &near_count);
    double far_gain = omt_study_gain(s, 4, 1, INFINITY, &far_count);
    cr_assert(near_count > 0 && far_count > 0);
    cr_assert(far_gain > 0.05, "%g", far_gain);
    cr_assert(far_gain > near_gain);
    free(s);
}

Test(study, the_same_seed_gives_the_same_study)
{
    struct omt_study *a = study_of(5), *b = study_of(5), *c = study_of(6);
    cr_assert_eq(memcmp(a->bin, b->bin, sizeof(a->bin)), 0);
    cr_assert_neq(memcmp(a->bin, c->bin, sizeof(a->bin)), 0);
    free(a);
    free(b);
    free(c);
}

Test(study, memory_that_holds_no_memtable_is_refused)
{
    struct omt_study s = {.entries = 1000, .entry_bytes = 100, .memory_bits = 1, .draws = 100};
    cr_assert_eq(omt_study_run(&s), OMEN_INVALID);
}
