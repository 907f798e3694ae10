/* repair_state.c - what is in a damaged directory, and which manifest to believe. */
#include "lsm/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the directory --------------------------------------------------------------------------- */

static omen_err survey_one(void *ctx, const struct omi_dir_entry *e)
{
    struct omi_repair *rp = ctx;
    uint64_t number;
    enum omi_file_kind kind = omi_file_kind(e->name, &number);
    rp->lock_there = rp->lock_there || strcmp(e->name, "LOCK") == 0;
    if (kind == OMI_FILE_OTHER || strlen(e->name) >= OMI_FILE_NAME_BYTES)
        return OMEN_OK;
    if (rp->file_count == rp->file_capacity) {
        size_t capacity = rp->file_capacity * 2 + 32;
        struct omi_repair_file *files = realloc(rp->files, capacity * sizeof(*files));
        if (files == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "the list of the database's files");
        rp->files = files;
        rp->file_capacity = capacity;
    }
    struct omi_repair_file *f = &rp->files[rp->file_count++];
    *f = (struct omi_repair_file){.kind = kind, .number = number, .bytes = e->bytes};
    snprintf(f->name, sizeof(f->name), "%s", e->name);
    if (number > atomic_load(&rp->db->next_number))
        atomic_store(&rp->db->next_number, number);
    return OMEN_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct omi_repair_file *x = a, *y = b;
    return strcmp(x->name, y->name);
}

omen_err omi_repair_survey(struct omi_repair *rp)
{
    omen_err err = omi_dir_list(rp->db->dir, survey_one, rp);
    if (err != OMEN_OK)
        return err;
    bool ours = omi_repair_find(rp, "CURRENT") != NULL;
    atomic_fetch_add(&rp->db->next_number, 1);
    for (size_t i = 0; i < rp->file_count; i++) {
        enum omi_file_kind kind = rp->files[i].kind;
        bool counts = kind == OMI_FILE_TABLE || kind == OMI_FILE_LOG || kind == OMI_FILE_MANIFEST;
        ours = ours || counts;
        rp->report.files += counts;
    }
    if (rp->file_count > 0)
        qsort(rp->files, rp->file_count, sizeof(*rp->files), by_name);
    return ours ? OMEN_OK
                : omi_fail(OMEN_INVALID, 0, "%s holds no database: there is nothing to repair",
                           rp->db->path);
}

struct omi_repair_file *omi_repair_find(const struct omi_repair *rp, const char *name)
{
    for (size_t i = 0; i < rp->file_count; i++)
        if (strcmp(rp->files[i].name, name) == 0)
            return &rp->files[i];
    return NULL;
}

/* ---- manifests ------------------------------------------------------------------------------- */

static bool replay_names(const struct omi_replay *r, uint64_t number)
{
    for (uint32_t i = 0; i < r->live.tables.added_count; i++)
        if (r->live.tables.added[i].number == number)
            return true;
    return false;
}

/* How the manifest's tables and those that are there differ. */
struct difference {
    uint32_t missing, unnamed;
    bool floor_there; /* the log segment from which the tables are to be completed */
};

static omen_err difference_of(const struct omi_repair *rp, struct difference *d)
{
    uint32_t named = 0;
    *d = (struct difference){.floor_there = rp->replay.log_floor == 0};
    for (size_t i = 0; i < rp->file_count; i++) {
        bool table = rp->files[i].kind == OMI_FILE_TABLE;
        bool is_named = table && replay_names(&rp->replay, rp->files[i].number);
        named += is_named;
        d->unnamed += table && !is_named;
    }
    d->missing = rp->replay.live.tables.added_count - named;
    return d->floor_there ? OMEN_OK
                          : omi_wal_holds(rp->db->dir, rp->replay.log_floor, &d->floor_there);
}

/* Is what the manifest says the state? A newest manifest that reads well to its end is believed,
 * unless the directory is ahead of it: a file cut between two records reads well. Any other is
 * believed if it names exactly the tables that are there: a flush or a merge that it does not know
 * of would have left another set, since numbers are never given twice. */
static omen_err is_believable(const struct omi_repair *rp, bool newest_and_complete, bool *yes_out)
{
    struct difference d;
    *yes_out = false;
    if (!rp->replay.have_identity)
        return OMEN_OK;
    omen_err err = difference_of(rp, &d);
    bool ahead = d.unnamed != 0 && (d.missing != 0 || !d.floor_there);
    *yes_out = newest_and_complete ? !ahead : d.missing == 0 && d.unnamed == 0;
    return err;
}

static void replay_clear(struct omi_repair *rp)
{
    omi_replay_fini(&rp->replay);
    omi_replay_init(&rp->replay, rp->db);
    rp->db->flushed_seq = 0;
}

/* Reads one manifest; *decided_out: the state, or that it is to be rebuilt, is settled by it. */
static omen_err try_manifest(struct omi_repair *rp, uint64_t number, bool newest, bool *decided_out)
{
    char name[OMI_FILE_NAME_BYTES], why[400];
    bool complete = false;
    snprintf(name, sizeof(name), "MANIFEST-%06" PRIu64, number);
    replay_clear(rp);
    omen_err err =
        omi_manifest_salvage(rp->db->dir, number, omi_replay_edit, &rp->replay, &complete);
    bool damaged = err == OMEN_CORRUPT || err == OMEN_NOT_FOUND || err == OMEN_IO;
    if (err != OMEN_OK && !damaged)
        return err;
    snprintf(why, sizeof(why), "%s", err == OMEN_NOT_FOUND ? "missing" : omen_last_error());
    bool usable;
    omen_err looked = is_believable(rp, complete && newest, &usable);
    if (looked != OMEN_OK)
        return looked;
    *decided_out = rp->replay.have_identity;
    rp->rebuild = !usable;
    if (err == OMEN_OK && usable)
        return OMEN_OK;
    if (err == OMEN_NOT_FOUND) {
        rp->report.files_damaged++; /* nothing of the data itself */
        omi_repair_tell(rp, "%s is missing", name);
        return OMEN_OK;
    }
    if (err == OMEN_OK) { /* cut between two records, or newer ones are damaged */
        omi_repair_set_aside(rp, omi_repair_find(rp, name));
        omi_repair_tell(rp, "%s is old: it names other tables or log segments than there are",
                        name);
        return OMEN_OK;
    }
    rp->report.files_damaged++;
    omi_repair_set_aside(rp, omi_repair_find(rp, name));
    omi_repair_tell(rp, "%s is damaged (%s); %s", name, why,
                    usable                     ? "what it says of the tables is known"
                    : rp->replay.have_identity ? "its options are kept, its tables are not known"
                                               : "nothing of it can be used");
    return OMEN_OK;
}

static int by_number_down(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

static omen_err current_told(struct omi_repair *rp, omen_err err)
{
    if (err == OMEN_OK || (err != OMEN_CORRUPT && err != OMEN_NOT_FOUND && err != OMEN_IO))
        return err;
    rp->report.manifest = OMEN_MANIFEST_FOUND;
    if (err == OMEN_NOT_FOUND) {
        omi_repair_tell(rp, "CURRENT is missing");
        return OMEN_OK;
    }
    rp->report.files_damaged++;
    omi_repair_set_aside(rp, omi_repair_find(rp, "CURRENT"));
    omi_repair_tell(rp, "CURRENT is damaged: it names no manifest");
    return OMEN_OK;
}

/* The one that CURRENT names, then all others, newest first. */
static omen_err candidates(struct omi_repair *rp, uint64_t **numbers_out, size_t *count_out)
{
    uint64_t *numbers = calloc(rp->file_count + 1, sizeof(*numbers));
    *numbers_out = numbers;
    *count_out = 0;
    if (numbers == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "the list of manifests");
    omen_err err = omi_manifest_current(rp->db->dir, &numbers[0]);
    if (err == OMEN_IO)
        err = omi_manifest_current(rp->db->dir, &numbers[0]);
    size_t first = err == OMEN_OK ? 1 : 0, count = first;
    for (size_t i = 0; i < rp->file_count; i++)
        if (rp->files[i].kind == OMI_FILE_MANIFEST &&
            (first == 0 || rp->files[i].number != numbers[0]))
            numbers[count++] = rp->files[i].number;
    if (count > first)
        qsort(numbers + first, count - first, sizeof(*numbers), by_number_down);
    *count_out = count;
    return current_told(rp, err);
}

static int by_place(const void *a, const void *b, void *ctx)
{
    const struct omi_edit_file *x = a, *y = b;
    const struct omi_order *order = ctx;
    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    if (x->age != y->age)
        return x->age < y->age ? -1 : 1;
    return omi_key_compare(order, omi_slice(x->props.smallest.data, x->props.smallest.size),
                           omi_slice(y->props.smallest.data, y->props.smallest.size));
}

/* A manifest may check and still put tables that overlap into one run, which does not open. Sorts
 * the tables of the replay, which are in no order and are not added to any more. */
static bool runs_fit(struct omi_repair *rp)
{
    struct omi_order *order = &rp->db->tenv.order;
    struct omi_edit *named = &rp->replay.live.tables;
    if (named->added_count != 0)
        qsort_r(named->added, named->added_count, sizeof(*named->added), by_place, order);
    for (uint32_t i = 1; i < named->added_count; i++) {
        const struct omi_edit_file *a = &named->added[i - 1], *b = &named->added[i];
        if (a->level == b->level && a->age == b->age &&
            omi_key_compare(order, omi_slice(a->props.largest.data, a->props.largest.size),
                            omi_slice(b->props.smallest.data, b->props.smallest.size)) >= 0)
            return false;
    }
    return true;
}

omen_err omi_repair_read_manifest(struct omi_repair *rp)
{
    uint64_t *numbers;
    size_t count;
    bool decided = false;
    omen_err err = candidates(rp, &numbers, &count);
    uint64_t problems = rp->report.problems;
    rp->rebuild = true;
    replay_clear(rp);
    for (size_t i = 0; i < count && err == OMEN_OK && !decided; i++)
        err = try_manifest(rp, numbers[i], i == 0, &decided);
    free(numbers);
    if (err != OMEN_OK)
        return err;
    if (!rp->rebuild && !runs_fit(rp)) {
        rp->rebuild = true;
        omi_repair_tell(rp, "the manifest puts tables into one run that overlap");
    }
    if (rp->rebuild) {
        rp->report.manifest = OMEN_MANIFEST_REBUILT;
        rp->db->next_age = 1;
        rp->db->flushed_seq = 0;
        omi_live_set_fini(&rp->replay.live);
        omi_repair_tell(rp,
                        "no manifest tells which tables belong to the database: all that are "
                        "there are merged into one run%s",
                        decided ? "" : ", with the options given");
    } else if (rp->report.problems != problems) {
        rp->report.manifest = OMEN_MANIFEST_FOUND;
    }
    return OMEN_OK;
}
