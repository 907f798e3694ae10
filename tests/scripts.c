/* scripts.c - the scripts: each short, each another part of the engine's life. */
#include "tests/scripts.h"

#include <stdio.h>

static void put_some(struct script_run *s, uint32_t first, uint32_t count)
{
    for (uint32_t k = first; k < first + count; k++)
        script_put(s, k % SCRIPT_KEYS, false);
}

static void open_new(struct script_run *s)
{
    put_some(s, 0, 3);
    script_read_all(s);
}

static void put_sync(struct script_run *s)
{
    for (uint32_t k = 0; k < 6; k++)
        script_put(s, k % 4, k % 2 == 0);
    script_sync(s);
    script_put(s, 9, false);
    script_read_all(s);
}

static void batches(struct script_run *s)
{
    script_batch(s, 0, 8, false);
    script_batch(s, 4, 8, true);
    script_batch(s, 20, 12, false);
    script_batch(s, 1, 3, false);
    script_read_all(s);
}

static void overwrite_delete(struct script_run *s)
{
    put_some(s, 0, 8);
    script_flush(s);
    for (uint32_t k = 0; k < 8; k += 2)
        script_delete(s, k, k == 4);
    put_some(s, 1, 3);
    script_read_all(s);
    script_flush(s);
    script_delete(s, 1, false);
    script_read_all(s);
}

static void flush(struct script_run *s)
{
    put_some(s, 0, 12);
    script_flush(s);
    put_some(s, 8, 12);
    script_put(s, 30, true);
    script_flush(s);
    put_some(s, 0, 2);
    script_read_all(s);
}

static void merge(struct script_run *s)
{
    for (uint32_t i = 0; i < 5; i++) {
        put_some(s, i * 5, 9);
        script_delete(s, i * 5, false);
        script_flush(s);
    }
    script_compact(s);
    script_read_all(s);
    put_some(s, 3, 4);
    script_compact(s);
    script_idle(s);
    script_read_all(s);
}

/* Memtables of 64 KiB fill by themselves. */
static void log_roll(struct script_run *s)
{
    uint64_t before = s->db != NULL ? omi_wal_segment(s->db->wal) : 0;
    for (uint32_t i = 0; i < 90; i++)
        script_put(s, i * 7 % SCRIPT_KEYS, i % 40 == 39);
    script_expect(s, s->db != NULL && omi_wal_segment(s->db->wal) >= before + 2,
                  "the log is switched twice");
    script_read_all(s);
}

/* With little slack a manifest is soon too large. */
static void manifest_roll(struct script_run *s)
{
    uint64_t before = s->db != NULL ? omi_manifest_number(s->db->manifest) : 0;
    for (uint32_t i = 0; i < 4; i++) {
        if (s->db != NULL)
            s->db->manifest_slack_bytes = 1024;
        put_some(s, i * 4, 4);
        for (uint32_t j = 0; j < 6; j++)
            script_set_option(s, "size_ratio", j % 2 == 0 ? "3" : "2");
        script_flush(s);
    }
    script_expect(s, s->db != NULL && omi_manifest_number(s->db->manifest) != before,
                  "the manifest is replaced");
    put_some(s, 2, 2);
    script_read_all(s);
}

/* Readers hold on to files that merges have made obsolete. */
static void delete_obsolete(struct script_run *s)
{
    for (uint32_t i = 0; i < 3; i++) {
        put_some(s, i * 6, 10);
        script_flush(s);
    }
    script_iter(s);
    script_compact(s);
    script_iter_walk(s, 4);
    script_iter_end(s);
    put_some(s, 0, 3);
    script_compact(s);
    script_read_all(s);
}

static void reopen_clean(struct script_run *s)
{
    put_some(s, 0, 6);
    script_close(s);
    script_open(s);
    script_read_all(s);
    put_some(s, 4, 6);
    script_flush(s);
    script_put(s, 20, true);
    script_close(s);
    script_open(s);
    script_delete(s, 20, false);
    script_close(s);
    script_open(s);
    script_read_all(s);
}

static void reopen_killed(struct script_run *s)
{
    put_some(s, 0, 6);
    script_put(s, 7, true);
    script_put(s, 8, false);
    script_kill(s);
    script_open(s);
    script_read_all(s);
    script_batch(s, 10, 5, false);
    script_flush(s);
    script_put(s, 1, false);
    script_kill(s);
    script_open(s);
    script_put(s, 2, true);
    script_read_all(s);
}

static void crash_in_recovery(struct script_run *s)
{
    put_some(s, 0, 5);
    script_flush(s);
    put_some(s, 3, 5);
    script_kill(s);
    script_crash_recovery(s, 9, OMI_CRASH_KEEP_ALL);
    script_put(s, 11, true);
    script_put(s, 12, false);
    script_kill(s);
    script_crash_recovery(s, 14, OMI_CRASH_STRICT);
    put_some(s, 2, 2);
    script_crash_recovery(s, 4, OMI_CRASH_NAMES);
    script_read_all(s);
}

static void disk_full(struct script_run *s)
{
    put_some(s, 0, 20);
    script_flush(s);
    s->full = true;
    script_pause(s);
    omi_sim_capacity(s->env, omi_sim_used(s->env) + (60u << 10));
    script_resume(s);
    uint64_t errors = s->errors;
    for (uint32_t i = 0; i < 40 && !s->gave_up; i++)
        script_put(s, i, i % 16 == 7);
    script_expect(s, s->errors > errors || script_fired(s), "the disk gets full");
    script_flush(s);
    script_read_all(s);
    omi_sim_capacity(s->env, UINT64_MAX);
    s->full = false;
    s->env->ops->sleep_us(s->env, 1000000);
    script_put(s, 0, true); /* by itself, in the same handle */
    script_flush(s);
    script_read_all(s);
}

static void index_rebuild(struct script_run *s)
{
    put_some(s, 0, 24);
    script_flush(s);
    put_some(s, 12, 24);
    script_close(s);
    script_damage_indexes(s);
    script_open(s);
    script_expect(s, s->db != NULL && s->db->tenv.index_rebuilt > 0, "an index is rebuilt");
    script_read_all(s);
    script_compact(s);
    script_read_all(s);
}

static void checkpoint(struct script_run *s)
{
    put_some(s, 0, 10);
    script_flush(s);
    put_some(s, 5, 4);
    script_checkpoint(s);
    put_some(s, 0, 3);
    script_read_all(s);
}

static void snapshot(struct script_run *s)
{
    put_some(s, 0, 14);
    script_flush(s);
    script_snapshot(s);
    script_iter(s);
    script_iter_walk(s, 3);
    put_some(s, 4, 10);
    script_delete(s, 2, false);
    script_flush(s);
    script_read_all(s);
    script_compact(s);
    script_iter_walk(s, SCRIPT_KEYS + 1);
    script_read_all(s);
    script_snapshot_end(s);
    script_compact(s);
    script_read_all(s);
}

static void set_option(struct script_run *s)
{
    put_some(s, 0, 4);
    script_set_option(s, "size_ratio", "4");
    put_some(s, 2, 4);
    script_set_option(s, "filter_bits", "6");
    script_flush(s);
    script_close(s);
    script_open(s);
    script_set_option(s, "runs_upper", "1");
    script_put(s, 1, true);
    script_stats(s);
    script_read_all(s);
}

const struct script scripts[] = {
    {"open-new", open_new, 0, 100},
    {"put-sync", put_sync, 0, 200},
    {"reopen-killed", reopen_killed, 0, 200},
    {"batch", batches, 0, 200},
    {"overwrite-delete", overwrite_delete, 0, 200},
    {"flush", flush, 0, 600},
    {"merge", merge, 0, 600},
    {"log-roll", log_roll, 0, 3800},
    {"manifest-roll", manifest_roll, 0, 100},
    {"delete-obsolete", delete_obsolete, 0, 600},
    {"reopen-clean", reopen_clean, 0, 200},
    {"crash-in-recovery", crash_in_recovery, 0, 200},
    {"disk-full", disk_full, 0, 3800},
    {"index-rebuild", index_rebuild, SCRIPT_DAMAGES, 600},
    {"checkpoint", checkpoint, 0, 600},
    {"snapshot", snapshot, 0, 600},
    {"set-option", set_option, 0, 100},
};
const uint32_t script_count = sizeof(scripts) / sizeof(scripts[0]);
