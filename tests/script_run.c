/* script_run.c - the calls that scripts are made of, and what is known after each. */
#include "io/base/turns.h"
#include "lsm/table_format.h"
#include "tests/filter_mix.h"
#include "tests/scripts.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPENS_MAX = 6, OPEN_TRIES = 2, TURN_ONE_IN = 8, RUN_SECONDS = 120 };

_Thread_local bool script_in_engine;

int script_find(const char *name)
{
    for (uint32_t i = 0; i < script_count; i++)
        if (strcmp(scripts[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* ---- faults ---------------------------------------------------------------------------------- */

bool script_fired(struct script_run *s)
{
    return s->faults != NULL && s->faults->fired(s->faults->ctx, s);
}

/* No other thread may get the turn between looking at the faults and changing them. */
void script_pause(struct script_run *s)
{
    struct omi_turns *turns = omi_turns_here;
    omi_turns_here = NULL;
    if (s->faults != NULL)
        s->faults->pause(s->faults->ctx, s);
    omi_turns_here = turns;
}

void script_resume(struct script_run *s)
{
    struct omi_turns *turns = omi_turns_here;
    omi_turns_here = NULL;
    if (s->faults != NULL)
        s->faults->resume(s->faults->ctx, s);
    omi_turns_here = turns;
}

bool script_judge(struct script_run *s, omen_err err, const char *what)
{
    if (err == OMEN_OK)
        return true;
    s->errors++;
    if (getenv("OMENDB_TEST_VERBOSE") != NULL)
        fprintf(stderr, "  %s (write %" PRIu32 "): %s: %s\n", what, s->issued, omen_err_name(err),
                omen_last_error());
    bool explained = (err == OMEN_FULL && s->full) ||
                     (script_fired(s) && s->faults->allows(s->faults->ctx, s, err));
    if (!explained)
        fail_now("%s: %s: %s: %s", s->script->name, what, omen_err_name(err), omen_last_error());
    return false;
}

void script_expect(struct script_run *s, bool fact, const char *words)
{
    if (!fact && !script_fired(s) && s->errors == 0)
        fail_now("%s: the script is not what it says: %s", s->script->name, words);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void say(void *ctx, int level, const char *line)
{
    (void)ctx;
    (void)level;
    fprintf(stderr, "    %s\n", line);
}

/* The seed picks what else the database is opened with. */
static const char *options_of(const struct script_run *s)
{
    static const char *const options[] = {"", "codec_upper=zstd-fast,codec_last=zstd",
                                          "filter_bits=none,runs_upper=1", "goal=space"};
    return options[s->seed % (sizeof(options) / sizeof(options[0]))];
}

omen_err script_db_open(struct script_run *s, struct omi_env *env, bool threads, omen_db **db)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | (threads ? 0 : OMEN_INLINE_WORK),
                      .background_jobs = 1,
                      .memory_bytes = 4u << 20,
                      .memtable_bytes = 64u << 10,
                      .target_file_bytes = 64u << 10,
                      .cache_bytes = 64u << 10,
                      .block_bytes = 1024,
                      .size_ratio = 2,
                      .runs_upper = 2};
    if (getenv("OMENDB_TEST_VERBOSE") != NULL)
        o.log = say;
    CHECK_OK(omen_options_from_string(options_of(s), &o));
    filter_mix_choose(s->seed, &o);
    omen_err err;
    SCRIPT_CALL(err, omi_db_open(env, "/db", &o, db));
    if (err == OMEN_OK)
        filter_mix_install(s->seed, *db);
    return err;
}

struct omi_env *script_clone(struct script_run *s, enum omi_crash_mode mode)
{
    struct rng rng = {s->seed + ++s->clones};
    struct omi_turns *turns = omi_turns_here;
    omi_turns_here = NULL; /* the clone's locks are none of the run's */
    struct omi_env *clone = omi_sim_crash(s->env, mode, rng_next(&rng));
    omi_turns_here = turns;
    if (clone == NULL)
        fail_now("no memory for a crash clone");
    return clone;
}

static void run_step(void *ctx, uint64_t number)
{
    struct script_run *s = ctx;
    bool in_engine = script_in_engine;
    (void)number;
    script_in_engine = false;
    if (s->on_step != NULL)
        s->on_step(s->on_step_ctx, s);
    if (s->crash_left > 0 && --s->crash_left == 0)
        s->crashed = script_clone(s, s->crash_mode);
    script_in_engine = in_engine;
}

static bool lies(struct script_run *s)
{
    return script_fired(s) && s->faults->lies;
}

/* The run goes on in another file system. Nothing that the old one still does matters. */
static void env_replace(struct script_run *s, struct omi_env *env)
{
    omi_sim_on_step(s->env, NULL, NULL);
    omi_ignore(omen_close(s->db));
    omi_sim_destroy(s->env);
    s->db = NULL;
    s->env = env;
    if (s->threads)
        omi_sim_turns(env, s->seed + s->clones, TURN_ONE_IN);
    s->crashed_on_lie = s->crashed_on_lie || lies(s);
    omi_sim_on_step(env, run_step, s);
}

/* What is found is where the history begins anew. */
static void history_begin(struct script_run *s, uint32_t at)
{
    s->states[0] = s->states[at];
    s->issued = s->acked = s->synced = 0;
}

static void recovery_crashed(struct script_run *s)
{
    script_pause(s);
    struct omi_env *left = s->crashed;
    s->crashed = NULL;
    if (left == NULL) /* recovery was shorter */
        left = script_clone(s, s->crash_mode);
    s->crash_left = 0;
    env_replace(s, left);
    bool lost = s->crash_mode != OMI_CRASH_KEEP_ALL ||
                (script_fired(s) && (s->faults->loses_pending || s->faults->loses_pages));
    if (lost) /* what was acknowledged alone may be gone now */
        s->acked = s->synced;
    script_resume(s);
}

static omen_err open_plainly(struct script_run *s)
{
    omen_err err = script_db_open(s, s->env, s->threads, &s->db);
    if (script_fired(s) && s->faults->spoils) /* recovery may have taken the log for torn */
        s->acked = s->synced = 0;
    return err;
}

static omen_err open_once(struct script_run *s)
{
    bool crash = s->crash_left > 0;
    omen_err err = open_plainly(s);
    if (!crash)
        return err;
    (void)script_judge(s, err, "opening, to crash in it");
    recovery_crashed(s);
    return open_plainly(s);
}

void script_open(struct script_run *s)
{
    if (s->gave_up || s->db != NULL)
        return;
    omen_err err = OMEN_OK;
    for (int i = 0; i < OPEN_TRIES; i++) {
        err = open_once(s);
        s->gave_up = err == OMEN_CORRUPT && s->crashed_on_lie;
        if (s->gave_up)
            return;
        if (script_judge(s, err, "opening"))
            break;
        s->opens++;
    }
    if (err != OMEN_OK) {
        s->gave_up = s->opens >= OPENS_MAX;
        return;
    }
    script_pause(s);
    bool lost = script_fired(s) && s->faults->loses_pages;
    history_begin(s, script_match(s, s->db, lost ? s->synced : s->acked, "reopened"));
    script_resume(s);
}

void script_close(struct script_run *s)
{
    script_snapshot_end(s);
    script_iter_end(s);
    if (s->db == NULL)
        return;
    omen_err err;
    SCRIPT_CALL(err, omen_close(s->db));
    s->db = NULL;
    if (script_judge(s, err, "closing") && !lies(s))
        s->synced = s->acked;
}

/* Is there a handle to go on with? */
static bool ready(struct script_run *s)
{
    if (s->db == NULL)
        script_open(s);
    return s->db != NULL && !s->gave_up;
}

/* A log or manifest that failed takes nothing more, until the database is opened again. */
static void over_check(struct script_run *s)
{
    omen_err err;
    SCRIPT_CALL(err, omen_put(s->db, NULL, omi_slice("probe", 5), omi_slice("x", 1)));
    if (err != OMEN_READ_ONLY)
        fail_now("%s: after a write or sync that said OMEN_UNKNOWN another answers %s",
                 s->script->name, omen_err_name(err));
}

/* Judges, and when writes are over, closes and opens again. */
static bool goes_on(struct script_run *s, omen_err err, const char *what)
{
    if (script_judge(s, err, what))
        return true;
    if (err == OMEN_UNKNOWN)
        over_check(s);
    if (err == OMEN_UNKNOWN || err == OMEN_READ_ONLY) {
        script_close(s);
        script_open(s);
    }
    return false;
}

/* ---- writing --------------------------------------------------------------------------------- */

struct change {
    uint32_t key, id; /* 0: a delete */
};

static struct change change_put(struct script_run *s, uint32_t key)
{
    return (struct change){key, ++s->next_id};
}

static omen_err batch_fill(struct script_run *s, omen_batch *b, const struct change *changes,
                           uint32_t count)
{
    uint8_t value[SCRIPT_VALUE_MAX + 16];
    char key[16];
    omen_err err = OMEN_OK;
    for (uint32_t i = 0; i < count && err == OMEN_OK; i++) {
        omen_slice k = script_key(changes[i].key, key);
        err = changes[i].id == 0 ? omen_batch_delete(b, k)
                                 : omen_batch_put(b, k, script_value(s, changes[i].id, value));
    }
    return err;
}

static omen_err write_batch(struct script_run *s, const omen_write_options *wo,
                            const struct change *changes, uint32_t count)
{
    omen_batch *b;
    omen_err err;
    SCRIPT_CALL(err, omen_batch_create(&b));
    if (err != OMEN_OK)
        return err;
    SCRIPT_CALL(err, batch_fill(s, b, changes, count));
    if (err == OMEN_OK)
        SCRIPT_CALL(err, omen_write(s->db, wo, b));
    omen_batch_destroy(b);
    return err;
}

static omen_err write_one(struct script_run *s, const omen_write_options *wo, struct change c)
{
    uint8_t value[SCRIPT_VALUE_MAX + 16];
    char key[16];
    omen_err err;
    omen_slice k = script_key(c.key, key);
    if (c.id == 0)
        SCRIPT_CALL(err, omen_delete(s->db, wo, k));
    else
        SCRIPT_CALL(err, omen_put(s->db, wo, k, script_value(s, c.id, value)));
    return err;
}

static void write_changes(struct script_run *s, const struct change *changes, uint32_t count,
                          bool sync)
{
    omen_write_options wo = {.struct_bytes = sizeof(wo), .flags = sync ? OMEN_SYNC : 0};
    if (!ready(s))
        return;
    if (s->issued == SCRIPT_WRITES)
        fail_now("%s: too long a script", s->script->name);
    struct script_state *next = &s->states[s->issued + 1];
    *next = s->states[s->issued];
    for (uint32_t i = 0; i < count; i++)
        next->ids[changes[i].key] = changes[i].id;
    s->issued++;
    omen_err err = count == 1 ? write_one(s, &wo, changes[0]) : write_batch(s, &wo, changes, count);
    if (err == OMEN_OK) {
        s->acked = s->issued;
        if (sync && !lies(s))
            s->synced = s->acked;
    } else if (err != OMEN_UNKNOWN) {
        s->issued--; /* refused: certainly not there */
    }
    (void)goes_on(s, err, "a write");
}

void script_put(struct script_run *s, uint32_t key, bool sync)
{
    struct change c = change_put(s, key);
    write_changes(s, &c, 1, sync);
}

void script_delete(struct script_run *s, uint32_t key, bool sync)
{
    struct change c = {key, 0};
    write_changes(s, &c, 1, sync);
}

void script_batch(struct script_run *s, uint32_t first, uint32_t count, bool sync)
{
    struct change changes[SCRIPT_KEYS + 1];
    for (uint32_t i = 0; i < count; i++)
        changes[i] = change_put(s, first + i);
    changes[count] = (struct change){(first + SCRIPT_KEYS - 1) % SCRIPT_KEYS, 0};
    write_changes(s, changes, count + 1, sync);
}

void script_sync(struct script_run *s)
{
    omen_err err;
    if (!ready(s))
        return;
    SCRIPT_CALL(err, omen_sync(s->db));
    if (err == OMEN_OK && !lies(s))
        s->synced = s->acked;
    (void)goes_on(s, err, "omen_sync");
}

/* ---- upkeep ---------------------------------------------------------------------------------- */

void script_flush(struct script_run *s)
{
    omen_err err;
    if (!ready(s))
        return;
    SCRIPT_CALL(err, omen_flush(s->db));
    if (goes_on(s, err, "omen_flush") && !lies(s))
        s->synced = s->acked;
}

void script_compact(struct script_run *s)
{
    omen_err err;
    if (!ready(s))
        return;
    SCRIPT_CALL(err, omen_compact(s->db, NULL, NULL));
    if (goes_on(s, err, "omen_compact") && !lies(s))
        s->synced = s->acked;
}

void script_idle(struct script_run *s)
{
    omen_err err;
    if (!ready(s))
        return;
    SCRIPT_CALL(err, omen_wait_idle(s->db));
    (void)goes_on(s, err, "omen_wait_idle");
}

void script_set_option(struct script_run *s, const char *name, const char *value)
{
    omen_err err;
    if (!ready(s))
        return;
    SCRIPT_CALL(err, omen_set_option(s->db, name, value));
    (void)goes_on(s, err, "omen_set_option");
}

static omen_err checkpoint_once(struct script_run *s)
{
    omen_err err;
    SCRIPT_CALL(err, omen_checkpoint(s->db, "/copy"));
    if (err == OMEN_OK) {
        s->copied = true;
        s->copy_state = s->states[s->acked];
        if (!lies(s))
            s->synced = s->acked;
    }
    return err;
}

/* A half-made one is taken away, and then another try may have the same name. */
void script_checkpoint(struct script_run *s)
{
    omen_err err;
    if (!ready(s) || goes_on(s, checkpoint_once(s), "omen_checkpoint"))
        return;
    SCRIPT_CALL(err, omi_db_destroy(s->env, "/copy"));
    if (script_judge(s, err, "omen_destroy") && ready(s))
        (void)goes_on(s, checkpoint_once(s), "omen_checkpoint again");
}

/* ---- reading --------------------------------------------------------------------------------- */

void script_read_all(struct script_run *s)
{
    if (ready(s))
        script_read(s, NULL, &s->states[s->acked]);
    if (s->db != NULL && s->snapshot != NULL)
        script_read(s, s->snapshot, &s->snapshot_state);
}

static void text_check(struct script_run *s, char *text)
{
    if (text == NULL)
        (void)script_judge(s, OMEN_NO_MEMORY, "a text");
    omen_free(text);
}

void script_stats(struct script_run *s)
{
    omen_stats stats = {.struct_bytes = sizeof(stats)};
    omen_err err;
    char *text;
    if (!ready(s))
        return;
    SCRIPT_CALL(err, omen_get_stats(s->db, &stats));
    (void)goes_on(s, err, "omen_get_stats");
    if (s->db == NULL)
        return;
    SCRIPT_DO(text = omen_stats_json(s->db));
    text_check(s, text);
    SCRIPT_DO(text = omen_stats_prometheus(s->db));
    text_check(s, text);
    SCRIPT_DO(text = omen_options_describe());
    text_check(s, text);
}

void script_snapshot(struct script_run *s)
{
    omen_err err;
    if (!ready(s))
        return;
    SCRIPT_CALL(err, omen_snapshot_create(s->db, &s->snapshot));
    if (!goes_on(s, err, "omen_snapshot_create"))
        s->snapshot = NULL;
    s->snapshot_state = s->states[s->acked];
}

void script_snapshot_end(struct script_run *s)
{
    if (s->snapshot != NULL)
        omen_snapshot_release(s->snapshot);
    s->snapshot = NULL;
}

void script_iter(struct script_run *s)
{
    omen_err err;
    if (!ready(s))
        return;
    SCRIPT_CALL(err, omen_iter_open(s->db, NULL, &s->iter));
    if (!goes_on(s, err, "omen_iter_open")) {
        s->iter = NULL;
        return;
    }
    s->iter_state = s->states[s->acked];
    s->iter_next = 0;
    SCRIPT_DO(omen_iter_seek_first(s->iter));
}

void script_iter_walk(struct script_run *s, uint32_t entries)
{
    uint8_t want[SCRIPT_VALUE_MAX + 16];
    char key[16];
    omen_err err;
    for (; s->iter != NULL && entries > 0; entries--) {
        while (s->iter_next < SCRIPT_KEYS && s->iter_state.ids[s->iter_next] == 0)
            s->iter_next++;
        uint32_t at = s->iter_next;
        if (!omen_iter_valid(s->iter)) {
            err = omen_iter_status(s->iter);
            if (script_judge(s, err, "an iterator held") && at < SCRIPT_KEYS)
                fail_now("%s: an iterator held ends before key %" PRIu32, s->script->name, at);
            script_iter_end(s);
            return;
        }
        if (at == SCRIPT_KEYS || !script_equal(omen_iter_key(s->iter), script_key(at, key)) ||
            !script_equal(omen_iter_value(s->iter), script_value(s, s->iter_state.ids[at], want)))
            fail_now("%s: an iterator held is wrong where key %" PRIu32 " should be",
                     s->script->name, at);
        s->iter_next++;
        SCRIPT_DO(omen_iter_next(s->iter));
    }
}

void script_iter_end(struct script_run *s)
{
    if (s->iter != NULL)
        omen_iter_close(s->iter);
    s->iter = NULL;
}

/* ---- crashes and damage ---------------------------------------------------------------------- */

void script_kill(struct script_run *s)
{
    script_snapshot_end(s);
    script_iter_end(s);
    script_pause(s);
    env_replace(s, script_clone(s, OMI_CRASH_KEEP_ALL));
    if (script_fired(s) && (s->faults->loses_pending || s->faults->loses_pages))
        s->acked = s->synced;
    script_resume(s);
}

void script_crash_recovery(struct script_run *s, uint64_t steps, enum omi_crash_mode mode)
{
    script_close(s);
    if (s->gave_up)
        return;
    s->crash_left = steps;
    s->crash_mode = mode;
    script_open(s);
}

struct tables {
    char names[32][OMI_FILE_NAME_BYTES];
    uint64_t bytes[32];
    uint32_t count;
};

static omen_err table_note(void *ctx, const struct omi_dir_entry *e)
{
    struct tables *t = ctx;
    size_t size = strlen(e->name);
    if (size < 4 || strcmp(e->name + size - 4, ".sst") != 0 || t->count == 32)
        return OMEN_OK;
    snprintf(t->names[t->count], sizeof(t->names[0]), "%.*s", OMI_FILE_NAME_BYTES - 1, e->name);
    t->bytes[t->count++] = e->bytes;
    return OMEN_OK;
}

static void index_damage(struct script_run *s, struct omi_dir *dir, const char *name,
                         uint64_t bytes)
{
    uint8_t footer[OMI_TABLE_FOOTER_BYTES];
    struct omi_table_footer f;
    struct omi_file *file;
    size_t got;
    CHECK_OK(omi_file_open(dir, name, OMI_OPEN_READ, 0, &file));
    CHECK_OK(omi_file_pread(file, footer, sizeof(footer), bytes - sizeof(footer), &got));
    CHECK_OK(omi_file_close(file));
    CHECK_OK(omi_table_footer_decode(footer, bytes, name, &f));
    const struct omi_section_place *index = &f.sections[OMI_SECTION_INDEX];
    CHECK_OK(omi_sim_damage(s->env, "/db", name, index->off + index->size / 2, 3));
}

void script_damage_indexes(struct script_run *s)
{
    struct tables t = {0};
    struct omi_dir *dir;
    if (s->gave_up)
        return;
    script_pause(s);
    if (omi_dir_open(s->env, "/db", false, &dir) == OMEN_OK) { /* else it was never made */
        CHECK_OK(omi_dir_list(dir, table_note, &t));
        for (uint32_t i = 0; i < t.count; i++)
            if (t.bytes[i] >= OMI_TABLE_FOOTER_BYTES)
                index_damage(s, dir, t.names[i], t.bytes[i]);
        omi_dir_close(dir);
    }
    script_resume(s);
}

/* ---- a whole run ----------------------------------------------------------------------------- */

/* No handler should print, but this is the end. */
static void dies(int signal_number)
{
    if (signal_number == SIGALRM)
        fail_now("no end in %d s", RUN_SECONDS);
    fail_now("aborted");
}

void script_watch(void)
{
    signal(SIGALRM, dies);
    signal(SIGABRT, dies);
    alarm(RUN_SECONDS);
}

struct script_run *script_begin(const struct script *script, uint64_t seed, bool threads)
{
    struct script_run *s = calloc(1, sizeof(*s));
    if (s == NULL || (s->env = omi_sim_create(seed)) == NULL)
        fail_now("no memory");
    s->script = script;
    s->seed = seed;
    s->threads = threads;
    if (threads)
        omi_sim_turns(s->env, seed, TURN_ONE_IN);
    omi_sim_on_step(s->env, run_step, s);
    return s;
}

void script_play(struct script_run *s, const struct script_faults *faults)
{
    s->faults = faults;
    script_resume(s);
    script_open(s);
    s->script->run(s);
    script_pause(s);
    script_check_end(s);
}

void script_end(struct script_run *s)
{
    omi_sim_on_step(s->env, NULL, NULL);
    omi_sim_destroy(s->env);
    free(s);
}
