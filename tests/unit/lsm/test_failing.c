/* What calls say when the disk or the memory fails, and what is left behind. */
#include "io/env_sim.h"
#include "lsm/db.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(failing, .timeout = 60);

static struct omi_env *env;

static void setup(void)
{
    env = omi_sim_create(5);
    cr_assert(env != NULL);
}

static void teardown(void)
{
    omi_sim_destroy(env);
}

static omen_slice text(const char *s)
{
    return omi_slice(s, strlen(s));
}

static omen_db *open_it(void)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memory_bytes = 4u << 20};
    omen_db *db;
    cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK, "%s", omen_last_error());
    return db;
}

Test(failing, words_are_of_the_call_and_not_of_the_diary, .init = setup, .fini = teardown)
{
    omen_db *db = open_it();
    omi_sim_fail(env, OMI_FAULT_WRITE, 1, true);
    cr_assert_eq(omen_put(db, NULL, text("a"), text("1")), OMEN_UNKNOWN);
    cr_assert(strstr(omen_last_error(), ".log") != NULL, "%s", omen_last_error());
    omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
    omi_ignore(omen_close(db));
}

Test(failing, a_close_that_leaves_writes_unsynced_says_so, .init = setup, .fini = teardown)
{
    omen_db *db = open_it();
    cr_assert_eq(omen_put(db, NULL, text("a"), text("1")), OMEN_OK);
    omi_sim_fail(env, OMI_FAULT_WRITE, 1, false);
    cr_assert_eq(omen_put(db, NULL, text("b"), text("2")), OMEN_UNKNOWN);
    cr_assert_eq(omen_close(db), OMEN_READ_ONLY);
}

Test(failing, a_close_after_a_failed_write_is_fine_when_all_was_synced, .init = setup,
     .fini = teardown)
{
    omen_write_options sync = {.struct_bytes = sizeof(sync), .flags = OMEN_SYNC};
    omen_db *db = open_it();
    cr_assert_eq(omen_put(db, &sync, text("a"), text("1")), OMEN_OK);
    omi_sim_fail(env, OMI_FAULT_WRITE, 1, false);
    cr_assert_eq(omen_put(db, NULL, text("b"), text("2")), OMEN_UNKNOWN);
    cr_assert_eq(omen_close(db), OMEN_OK);
}

/* CURRENT has no check of its own. */
Test(failing, a_bit_flipped_on_the_way_from_current_does_no_harm, .init = setup, .fini = teardown)
{
    for (uint64_t nth = 1; nth <= 4; nth++) {
        omen_db *db = open_it();
        cr_assert_eq(omen_put(db, NULL, text("a"), text("1")), OMEN_OK);
        cr_assert_eq(omen_close(db), OMEN_OK);
        omi_sim_fail(env, OMI_FAULT_FLIP, nth, false);
        db = open_it();
        omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
        cr_assert_eq(omen_close(db), OMEN_OK);
    }
}
