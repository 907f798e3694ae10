/* script_check.c - comparing what a database shows with what a script wrote. */
#include "io/base/turns.h"
#include "tests/scripts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECOVERY_STEPS = 24 };

omen_slice script_key(uint32_t key, char buffer[static 16])
{
    int n = snprintf(buffer, 16, "key%05" PRIu32, key);
    return omi_slice(buffer, (size_t)n);
}

bool script_equal(omen_slice a, omen_slice b)
{
    return omi_bytes_equal(a.data, a.size, b.data, b.size);
}

omen_slice script_value(const struct script_run *s, uint32_t id, uint8_t *buffer)
{
    size_t size = 8 + id * 131 % s->script->value_max;
    value_make(id, size, buffer);
    memcpy(buffer, &id, sizeof(id));
    return omi_slice(buffer, size);
}

/* The number of a value; a damaged one is the worst that can be found. */
static uint32_t value_id(const struct script_run *s, uint32_t key, omen_slice value)
{
    uint8_t want[SCRIPT_VALUE_MAX + 16];
    uint32_t id = 0;
    if (value.size >= sizeof(id))
        memcpy(&id, value.data, sizeof(id));
    omen_slice right = script_value(s, id, want);
    if (id == 0 || !script_equal(right, value))
        fail_now("%s: key %" PRIu32 ": %zu bytes that nobody wrote", s->script->name, key,
                 value.size);
    return id;
}

/* ---- whole states ---------------------------------------------------------------------------- */

/* Faults are off: every key by get, and a scan that must agree. */
static void state_read(struct script_run *s, omen_db *db, struct script_state *state,
                       const char *where)
{
    omen_read_options ro = {.struct_bytes = sizeof(ro), .flags = OMEN_NO_FILL_CACHE};
    char buffer[16];
    uint32_t at = 0;
    for (uint32_t k = 0; k < SCRIPT_KEYS; k++) {
        omen_value v;
        omen_err err = omen_get(db, &ro, script_key(k, buffer), &v);
        state->ids[k] = 0;
        if (err == OMEN_NOT_FOUND)
            continue;
        if (err != OMEN_OK)
            fail_now("%s, %s: key %" PRIu32 ": %s: %s", s->script->name, where, k,
                     omen_err_name(err), omen_last_error());
        state->ids[k] = value_id(s, k, omi_slice(v.data, v.size));
        omen_value_release(&v);
    }
    omen_iter *it;
    CHECK_OK(omen_iter_open(db, &ro, &it));
    for (omen_iter_seek_first(it); omen_iter_valid(it); omen_iter_next(it), at++) {
        while (at < SCRIPT_KEYS && state->ids[at] == 0)
            at++;
        if (at == SCRIPT_KEYS || !script_equal(omen_iter_key(it), script_key(at, buffer)) ||
            value_id(s, at, omen_iter_value(it)) != state->ids[at])
            fail_now("%s, %s: a scan and gets disagree at key %" PRIu32, s->script->name, where,
                     at);
    }
    CHECK_OK(omen_iter_status(it));
    omen_iter_close(it);
    while (at < SCRIPT_KEYS && state->ids[at] == 0)
        at++;
    if (at < SCRIPT_KEYS)
        fail_now("%s, %s: a scan ends before key %" PRIu32, s->script->name, where, at);
}

uint32_t script_match(struct script_run *s, omen_db *db, uint32_t low, const char *where)
{
    struct script_state state;
    state_read(s, db, &state, where);
    for (uint32_t p = s->issued + 1; p-- > low;)
        if (memcmp(&state, &s->states[p], sizeof(state)) == 0)
            return p;
    for (uint32_t p = 0; p < low; p++)
        if (memcmp(&state, &s->states[p], sizeof(state)) == 0)
            fail_now("%s, %s: write %" PRIu32 " is the last one there, but %" PRIu32
                     " must be (%" PRIu32 " issued)",
                     s->script->name, where, p, low, s->issued);
    fail_now("%s, %s: what is there is no prefix of the writes (%" PRIu32 " synced, %" PRIu32
             " acknowledged, %" PRIu32 " issued)",
             s->script->name, where, s->synced, s->acked, s->issued);
}

/* ---- crash clones ---------------------------------------------------------------------------- */

struct again { /* a crash during recovery */
    struct script_run *run;
    struct omi_env *clone;
    uint64_t at, seed, looked;
    enum omi_crash_mode mode;
    uint32_t low;
    int depth;
};

static uint64_t crash_check(struct script_run *s, struct omi_env *env, enum omi_crash_mode mode,
                            uint64_t seed, uint32_t low, int depth);

static void recovery_step(void *ctx, uint64_t number)
{
    struct again *a = ctx;
    if (number == a->at)
        a->looked +=
            crash_check(a->run, a->clone, a->mode, a->seed,
                        a->mode == OMI_CRASH_KEEP_ALL ? a->low : a->run->synced, a->depth - 1);
}

/* After a sync that lied a power loss may leave less than opens; what opens is still a prefix. */
static bool refused_after_lie(struct script_run *s, omen_err err)
{
    return err == OMEN_CORRUPT && script_fired(s) && s->faults->lies;
}

static uint64_t crash_check(struct script_run *s, struct omi_env *env, enum omi_crash_mode mode,
                            uint64_t seed, uint32_t low, int depth)
{
    static const char *const names[] = {"strict", "keep-all", "prefix", "pages", "sectors",
                                        "torn",   "size",     "names",  "mixed"};
    struct rng rng = {seed};
    struct omi_env *clone = omi_sim_crash(env, mode, rng_next(&rng));
    if (clone == NULL)
        fail_now("no memory for a crash clone");
    struct again a = {.run = s,
                      .clone = clone,
                      .at = omi_sim_steps(clone) + 1 + rng_below(&rng, RECOVERY_STEPS),
                      .mode = (enum omi_crash_mode)rng_below(&rng, OMI_CRASH_MODES),
                      .seed = rng_next(&rng),
                      .low = low,
                      .depth = depth};
    if (depth > 0)
        omi_sim_on_step(clone, recovery_step, &a);
    omen_db *db;
    omen_err err = script_db_open(s, clone, false, &db);
    if (err == OMEN_FULL && s->full) { /* somebody makes room */
        omi_sim_capacity(clone, UINT64_MAX);
        err = script_db_open(s, clone, false, &db);
    }
    omi_sim_on_step(clone, NULL, NULL);
    char where[48];
    snprintf(where, sizeof(where), "after a crash (%s)", names[mode]);
    if (err == OMEN_OK) {
        script_match(s, db, low, where);
        err = omen_close(db);
        if (err != OMEN_OK && !(s->full && err == OMEN_FULL))
            fail_now("%s, %s: closing: %s", s->script->name, where, omen_last_error());
    } else if (!refused_after_lie(s, err)) {
        fail_now("%s, %s: the database does not open: %s: %s", s->script->name, where,
                 omen_err_name(err), omen_last_error());
    }
    omi_sim_destroy(clone);
    return a.looked + 1;
}

static uint32_t low_after_kill(struct script_run *s)
{
    bool lost = script_fired(s) && (s->faults->loses_pending || s->faults->spoils);
    return lost ? s->synced : s->acked;
}

uint64_t script_check_crash(struct script_run *s, enum omi_crash_mode mode, uint64_t seed,
                            int depth)
{
    struct omi_turns *turns = omi_turns_here;
    omi_turns_here = NULL; /* all threads of the run stand still meanwhile */
    uint64_t looked = crash_check(
        s, s->env, mode, seed, mode == OMI_CRASH_KEEP_ALL ? low_after_kill(s) : s->synced, depth);
    omi_turns_here = turns;
    return looked;
}

/* ---- reads while things fail ----------------------------------------------------------------- */

static void one_check(struct script_run *s, uint32_t key, omen_err err, const omen_value *v,
                      uint32_t want, const char *how)
{
    uint32_t id = 0;
    if (err != OMEN_NOT_FOUND && !script_judge(s, err, how))
        return;
    if (err == OMEN_OK)
        id = value_id(s, key, omi_slice(v->data, v->size));
    if (id != want)
        fail_now("%s: %s of key %" PRIu32 " finds value %" PRIu32 ", not %" PRIu32, s->script->name,
                 how, key, id, want);
}

static void read_gets(struct script_run *s, const omen_read_options *ro,
                      const struct script_state *want)
{
    char buffer[16];
    for (uint32_t k = 0; k < SCRIPT_KEYS; k += 2) {
        omen_value v = {0};
        omen_err err;
        SCRIPT_CALL(err, omen_get(s->db, ro, script_key(k, buffer), &v));
        one_check(s, k, err, &v, want->ids[k], "a get");
        if (err == OMEN_OK)
            omen_value_release(&v);
    }
}

static void read_multi(struct script_run *s, const omen_read_options *ro,
                       const struct script_state *want)
{
    char buffers[SCRIPT_KEYS][16];
    omen_slice keys[SCRIPT_KEYS];
    omen_value values[SCRIPT_KEYS];
    omen_err errs[SCRIPT_KEYS], err;
    for (uint32_t k = 0; k < SCRIPT_KEYS; k++)
        keys[k] = script_key(k, buffers[k]);
    SCRIPT_CALL(err, omen_multi_get(s->db, ro, SCRIPT_KEYS, keys, values, errs));
    (void)script_judge(s, err, "a multi_get");
    bool any = err == OMEN_OK;
    for (uint32_t k = 0; k < SCRIPT_KEYS; k++) {
        any = any || (errs[k] != OMEN_OK && errs[k] != OMEN_NOT_FOUND);
        one_check(s, k, errs[k], &values[k], want->ids[k], "a multi_get");
        if (errs[k] == OMEN_OK)
            omen_value_release(&values[k]);
    }
    if (!any)
        fail_now("%s: a multi_get fails, and no key of it does", s->script->name);
}

/* Until it ends or fails; what it shows before it fails must be right, too. */
static void scan_forward(struct script_run *s, omen_iter *it, const struct script_state *want)
{
    char buffer[16];
    uint32_t at = 0;
    SCRIPT_DO(omen_iter_seek_first(it));
    for (; omen_iter_valid(it); at++) {
        while (at < SCRIPT_KEYS && want->ids[at] == 0)
            at++;
        if (at == SCRIPT_KEYS || !script_equal(omen_iter_key(it), script_key(at, buffer)) ||
            value_id(s, at, omen_iter_value(it)) != want->ids[at])
            fail_now("%s: a scan is wrong where key %" PRIu32 " should be", s->script->name, at);
        SCRIPT_DO(omen_iter_next(it));
    }
    while (at < SCRIPT_KEYS && want->ids[at] == 0)
        at++;
    if (script_judge(s, omen_iter_status(it), "a scan") && at < SCRIPT_KEYS)
        fail_now("%s: a scan ends before key %" PRIu32, s->script->name, at);
}

static void scan_backward(struct script_run *s, omen_iter *it, const struct script_state *want)
{
    char buffer[16];
    uint32_t at = SCRIPT_KEYS;
    SCRIPT_DO(omen_iter_seek_last(it));
    for (; omen_iter_valid(it); at--) {
        while (at > 0 && want->ids[at - 1] == 0)
            at--;
        if (at == 0 || !script_equal(omen_iter_key(it), script_key(at - 1, buffer)) ||
            value_id(s, at - 1, omen_iter_value(it)) != want->ids[at - 1])
            fail_now("%s: a scan back is wrong before key %" PRIu32, s->script->name, at);
        SCRIPT_DO(omen_iter_prev(it));
    }
    while (at > 0 && want->ids[at - 1] == 0)
        at--;
    if (script_judge(s, omen_iter_status(it), "a scan back") && at > 0)
        fail_now("%s: a scan back ends after key %" PRIu32, s->script->name, at - 1);
}

void script_read(struct script_run *s, const omen_snapshot *snapshot,
                 const struct script_state *want)
{
    omen_read_options ro = {.struct_bytes = sizeof(ro), .snapshot = snapshot};
    omen_iter *it;
    omen_err err;
    read_gets(s, &ro, want);
    read_multi(s, &ro, want);
    SCRIPT_CALL(err, omen_iter_open(s->db, &ro, &it));
    if (!script_judge(s, err, "opening an iterator"))
        return;
    scan_forward(s, it, want);
    scan_backward(s, it, want);
    omen_iter_close(it);
}

/* ---- at the end ------------------------------------------------------------------------------ */

struct count {
    uint64_t tables, logs, manifests, others;
};

static omen_err count_file(void *ctx, const struct omi_dir_entry *e)
{
    struct count *c = ctx;
    const char *dot = strrchr(e->name, '.');
    if (dot != NULL && strcmp(dot, ".sst") == 0)
        c->tables++;
    else if (dot != NULL && strcmp(dot, ".log") == 0)
        c->logs++;
    else if (strncmp(e->name, "MANIFEST-", 9) == 0)
        c->manifests++;
    else if (dot != NULL && strcmp(dot, ".tmp") == 0)
        c->others++;
    return OMEN_OK;
}

static void count_table(void *ctx, const omen_table_info *info)
{
    uint64_t *tables = ctx;
    (void)info;
    ++*tables;
}

/* A fresh opening leaves no file that nobody needs. */
static void leftovers_check(struct script_run *s, omen_db *db)
{
    struct count c = {0};
    struct omi_dir *dir;
    uint64_t tables = 0;
    CHECK_OK(omi_dir_open(s->env, "/db", false, &dir));
    CHECK_OK(omi_dir_list(dir, count_file, &c));
    omi_dir_close(dir);
    CHECK_OK(omen_list_tables(db, count_table, &tables));
    if (c.tables != tables || c.logs != 1 || c.manifests != 1 || c.others != 0)
        fail_now("%s: %" PRIu64 " table files for %" PRIu64 " tables, %" PRIu64 " logs, %" PRIu64
                 " manifests, %" PRIu64 " temporary files after opening",
                 s->script->name, c.tables, tables, c.logs, c.manifests, c.others);
}

static void problem_tell(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "    %s\n", text);
}

static void copy_check(struct script_run *s)
{
    omen_db *db;
    struct script_state found;
    if (!s->copied || (script_fired(s) && s->faults->lies))
        return;
    struct omi_env *clone = script_clone(s, OMI_CRASH_STRICT);
    omen_options o = {.struct_bytes = sizeof(o), .flags = OMEN_INLINE_WORK};
    CHECK_OK(omi_db_open(clone, "/copy", &o, &db));
    state_read(s, db, &found, "in the checkpoint");
    if (memcmp(&found, &s->copy_state, sizeof(found)) != 0)
        fail_now("%s: the checkpoint holds another state", s->script->name);
    CHECK_OK(omen_close(db));
    omi_sim_destroy(clone);
}

/* The database is still good for something. */
static void use_check(struct script_run *s, omen_db *db)
{
    static const char key[] = "after all";
    omen_write_options wo = {.struct_bytes = sizeof(wo), .flags = OMEN_SYNC};
    omen_value v;
    CHECK_OK(omen_put(db, &wo, omi_slice(key, sizeof(key)), omi_slice("x", 1)));
    CHECK_OK(omen_flush(db));
    CHECK_OK(omen_get(db, NULL, omi_slice(key, sizeof(key)), &v));
    omen_value_release(&v);
    omen_verify_report report = {.struct_bytes = sizeof(report)};
    if ((s->script->flags & SCRIPT_DAMAGES) == 0)
        CHECK_OK(omen_verify(db, &report, problem_tell, NULL));
}

void script_check_end(struct script_run *s)
{
    if (s->gave_up && s->crashed_on_lie)
        return; /* nothing is promised */
    omi_sim_capacity(s->env, UINT64_MAX);
    s->full = false;
    (void)script_check_crash(s, OMI_CRASH_STRICT, s->seed, 0);
    (void)script_check_crash(s, OMI_CRASH_KEEP_ALL, s->seed, 0);
    script_close(s);
    (void)script_check_crash(s, OMI_CRASH_STRICT, s->seed, 0);
    omen_db *db;
    omen_err err = script_db_open(s, s->env, false, &db);
    if (err == OMEN_CORRUPT && s->crashed_on_lie)
        return;
    if (err != OMEN_OK)
        fail_now("%s: at the end the database does not open: %s: %s", s->script->name,
                 omen_err_name(err), omen_last_error());
    bool lost = script_fired(s) && (s->faults->loses_pages || s->faults->spoils);
    (void)script_match(s, db, lost ? s->synced : s->acked, "at the end");
    s->on_step = NULL; /* from here on there are keys that are no script's */
    leftovers_check(s, db);
    use_check(s, db);
    copy_check(s);
    CHECK_OK(omen_close(db));
}
