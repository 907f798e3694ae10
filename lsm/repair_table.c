/* repair_table.c - which tables are damaged, and what of them goes into new ones. */
#include "lsm/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- looking --------------------------------------------------------------------------------- */

static omen_err item_add(struct omi_repair *rp, const struct omi_repair_item *item)
{
    if (rp->item_count == rp->item_capacity) {
        uint32_t capacity = rp->item_capacity * 2 + 16;
        struct omi_repair_item *items = realloc(rp->items, capacity * sizeof(*items));
        if (items == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "the list of damaged tables");
        rp->items = items;
        rp->item_capacity = capacity;
    }
    rp->items[rp->item_count++] = *item;
    return OMEN_OK;
}

static struct omi_salvage salvage_of(struct omi_repair *rp, const struct omi_repair_item *item)
{
    return (struct omi_salvage){.tenv = &rp->db->tenv,
                                .name = item->name,
                                .number = item->number,
                                .file_id = item->file_id,
                                .data_end = item->data_end};
}

/* What a run goes by. */
static bool bounds_are(const struct omi_table_props *a, const struct omi_table_props *b)
{
    return omi_bytes_equal(a->smallest.data, a->smallest.size, b->smallest.data,
                           b->smallest.size) &&
           omi_bytes_equal(a->largest.data, a->largest.size, b->largest.data, b->largest.size);
}

/* Everything about a table that can be checked: is it sound, and the one that the manifest means? */
static omen_err table_check(struct omi_repair *rp, const struct omi_edit_file *f, bool *sound_out)
{
    struct omi_table *t = NULL;
    struct omi_table_verdict verdict = {0};
    *sound_out = false;
    omen_err err = omi_table_open(&rp->db->tenv, f->number, f->props.file_bytes, &t);
    if (err == OMEN_OK && f->props.file_id != omi_table_props(t)->file_id)
        err = omi_fail(OMEN_CORRUPT, 0, "it is another table than the manifest names");
    if (err == OMEN_OK && !bounds_are(&f->props, omi_table_props(t)))
        err = omi_fail(OMEN_CORRUPT, 0, "its keys are others than the manifest says");
    if (err == OMEN_OK)
        err = omi_table_verify(t, &verdict, NULL, NULL);
    omi_table_close(t, true);
    *sound_out = err == OMEN_OK;
    bool damaged = err == OMEN_CORRUPT || err == OMEN_IO || err == OMEN_NOT_FOUND;
    return damaged ? OMEN_OK : err;
}

static omen_err holds_id(struct omi_repair *rp, const char *name, uint64_t file_id, bool *yes_out)
{
    uint64_t ids[2];
    uint32_t count;
    omen_err err = omi_table_file_ids(rp->db->dir, name, ids, &count);
    *yes_out = false;
    for (uint32_t i = 0; i < count; i++)
        *yes_out = *yes_out || ids[i] == file_id;
    return err == OMEN_IO || err == OMEN_NOT_FOUND ? OMEN_OK : err;
}

/* The file that holds a table: the one of its name, unless another one has its id. */
static omen_err file_of(struct omi_repair *rp, const struct omi_edit_file *f, const char **name_out)
{
    char name[OMI_FILE_NAME_BYTES];
    bool yes;
    omi_table_name(f->number, name);
    struct omi_repair_file *own = omi_repair_find(rp, name);
    *name_out = own != NULL ? own->name : NULL;
    omen_err err = own != NULL ? holds_id(rp, name, f->props.file_id, &yes) : OMEN_OK;
    if (err != OMEN_OK || (own != NULL && yes))
        return err;
    for (size_t i = 0; i < rp->file_count && err == OMEN_OK; i++) {
        if (rp->files[i].kind != OMI_FILE_TABLE)
            continue;
        err = holds_id(rp, rp->files[i].name, f->props.file_id, &yes);
        if (err == OMEN_OK && yes) {
            *name_out = rp->files[i].name;
            return OMEN_OK;
        }
    }
    return err;
}

static void tell_lost_table(struct omi_repair *rp, const struct omi_edit_file *f, const char *what)
{
    char low[OMI_KEY_TEXT_BYTES], high[OMI_KEY_TEXT_BYTES];
    const struct omi_table_props *p = &f->props;
    rp->report.files_lost++;
    rp->report.entries_lost += p->entries;
    rp->report.blocks_lost += p->index.blocks;
    omi_repair_tell(rp,
                    "%06" PRIu64 ".sst %s: its %" PRIu64 " entries from %s to %s are lost; older "
                    "versions of these keys may show",
                    f->number, what, p->entries,
                    omi_repair_key(omi_slice(p->smallest.data, p->smallest.size), low),
                    omi_repair_key(omi_slice(p->largest.data, p->largest.size), high));
}

/* ", damaged at offset 1, 2, 3 and 5 more; lost between 'aa' and 'bb'" */
static void places_print(const struct omi_salvage *s, char *out, size_t size)
{
    char low[OMI_KEY_TEXT_BYTES], high[OMI_KEY_TEXT_BYTES];
    size_t used = (size_t)snprintf(out, size, " at offset");
    uint64_t shown = s->gaps < OMI_SALVAGE_GAPS_MAX ? s->gaps : OMI_SALVAGE_GAPS_MAX;
    for (uint64_t i = 0; i < shown; i++)
        used += (size_t)snprintf(out + used, size - used, "%s %" PRIu64, i != 0 ? "," : "",
                                 s->gap_off[i]);
    if (s->gaps > shown)
        used +=
            (size_t)snprintf(out + used, size - used, " and at %" PRIu64 " more", s->gaps - shown);
    snprintf(out + used, size - used, "; keys between %s and %s are lost",
             s->low_open ? "the first" : omi_repair_key(omi_slice(s->low.data, s->low.size), low),
             s->high_open ? "the last"
                          : omi_repair_key(omi_slice(s->high.data, s->high.size), high));
}

static uint64_t over(uint64_t expected, uint64_t found)
{
    return expected > found ? expected - found : 0;
}

static void tell_salvage(struct omi_repair *rp, const struct omi_edit_file *f,
                         const struct omi_salvage *s)
{
    char places[400] = "";
    uint64_t entries = over(f->props.entries, s->entries);
    uint64_t blocks = over(f->props.index.blocks, s->blocks);
    if (s->gaps != 0)
        places_print(s, places, sizeof(places));
    else
        snprintf(places, sizeof(places), " outside its blocks");
    if (blocks == 0)
        blocks = s->gaps;
    rp->report.files_damaged++;
    rp->report.blocks_lost += blocks;
    rp->report.entries_lost += entries;
    rp->report.entries_saved += s->entries;
    omi_repair_tell(rp,
                    "%s is damaged%s; %" PRIu64 " of its blocks with %" PRIu64
                    " entries are saved, %" PRIu64 " with %" PRIu64 " entries are lost",
                    s->name, places, s->blocks, s->entries, blocks, entries);
}

static omen_err look_at_item(struct omi_repair *rp, const struct omi_edit_file *f,
                             const struct omi_repair_item *item)
{
    struct omi_salvage s = salvage_of(rp, item);
    struct omi_table *t = NULL;
    omen_err err = omi_table_salvage(&s, &t);
    if (err == OMEN_NOT_FOUND) { /* gone since we looked */
        tell_lost_table(rp, f, "is missing");
        err = OMEN_OK;
    } else if (err == OMEN_OK && t == NULL) {
        tell_lost_table(rp, f, "is damaged as a whole");
    } else if (err == OMEN_OK) {
        tell_salvage(rp, f, &s);
        err = item_add(rp, item);
    }
    omi_table_close(t, false);
    omi_salvage_fini(&s);
    return err;
}

static omen_err look_at_table(struct omi_repair *rp, struct omi_edit_file *f)
{
    bool sound;
    char name[OMI_FILE_NAME_BYTES];
    omen_err err = table_check(rp, f, &sound);
    if (f->props.max_seq > rp->table_seq_max)
        rp->table_seq_max = f->props.max_seq;
    if (err != OMEN_OK)
        return err;
    if (sound) {
        rp->report.bytes_kept += f->props.file_bytes;
        err = omi_edit_add(&rp->tables, f->level, f->age, f->number, &f->props);
        if (err == OMEN_OK)
            f->props = (struct omi_table_props){0}; /* taken */
        return err;
    }
    struct omi_repair_item item = {.number = f->number,
                                   .file_id = f->props.file_id,
                                   .data_end = f->props.data_bytes,
                                   .age = f->age,
                                   .level = f->level};
    omi_table_name(f->number, name);
    omi_repair_set_aside(rp, omi_repair_find(rp, name));
    err = file_of(rp, f, &item.name);
    if (err == OMEN_OK && item.name == NULL) {
        tell_lost_table(rp, f, "is missing");
        return OMEN_OK;
    }
    return err == OMEN_OK ? look_at_item(rp, f, &item) : err;
}

/* Without a manifest there is nothing to compare with: what can be read is what there was. */
static void tell_unnamed(struct omi_repair *rp, struct omi_repair_file *file,
                         const struct omi_salvage *s)
{
    char places[400];
    rp->report.entries_saved += s->entries;
    rp->rebuild_bytes += s->file_bytes;
    if (s->max_seq > rp->table_seq_max)
        rp->table_seq_max = s->max_seq;
    if (s->gaps == 0 && s->end_known && s->blocks != 0)
        return;
    omi_repair_set_aside(rp, file);
    if (s->blocks == 0) {
        rp->report.files_lost++;
        omi_repair_tell(rp, "%s is damaged as a whole: nothing of it can be read", s->name);
        return;
    }
    rp->report.files_damaged++;
    rp->report.blocks_lost += s->gaps;
    if (s->gaps != 0) {
        places_print(s, places, sizeof(places));
        omi_repair_tell(rp,
                        "%s is damaged%s; %" PRIu64 " blocks with %" PRIu64 " entries are saved",
                        s->name, places, s->blocks, s->entries);
    }
    if (!s->end_known) {
        rp->report.files_doubtful++;
        omi_repair_tell(rp,
                        "%s is damaged at its end: %" PRIu64 " blocks with %" PRIu64
                        " entries are saved, and more may have followed",
                        s->name, s->blocks, s->entries);
    }
}

static omen_err look_at_unnamed(struct omi_repair *rp, struct omi_repair_file *file)
{
    struct omi_repair_item item = {.name = file->name, .number = file->number};
    struct omi_salvage s = salvage_of(rp, &item);
    struct omi_table *t = NULL;
    omen_err err = omi_table_salvage(&s, &t);
    if (err == OMEN_OK) {
        tell_unnamed(rp, file, &s);
        if (t != NULL)
            err = item_add(rp, &item);
    }
    omi_table_close(t, false);
    omi_salvage_fini(&s);
    return err;
}

omen_err omi_repair_look_at_tables(struct omi_repair *rp)
{
    omen_err err = OMEN_OK;
    struct omi_edit *named = &rp->replay.live.tables;
    for (size_t i = 0; rp->rebuild && i < rp->file_count && err == OMEN_OK; i++)
        if (rp->files[i].kind == OMI_FILE_TABLE)
            err = look_at_unnamed(rp, &rp->files[i]);
    for (uint32_t i = 0; !rp->rebuild && i < named->added_count && err == OMEN_OK; i++)
        err = look_at_table(rp, &named->added[i]);
    return err;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The newest version of each key is enough: no snapshot outlives a process. Deletes stay, since an
 * older version may be anywhere. */
static omen_err write_run(struct omi_repair *rp, struct omi_merge_source *const *sources,
                          uint32_t count, uint32_t level, uint64_t age, bool last)
{
    static const uint64_t all = OMI_SEQ_MAX;
    struct omi_merge_params params = {
        .order = &rp->db->tenv.order, .snapshots = &all, .snapshot_count = 1};
    struct omi_merge_stats stats;
    struct omi_output *output = NULL;
    uint32_t before = rp->tables.added_count;
    omen_err err = omi_output_create(rp->db, level, age, last, 0, &output);
    if (err == OMEN_OK)
        err = omi_merge_run(sources, count, omi_output_sink(output), &params, &stats);
    if (err == OMEN_OK)
        err = omi_output_finish(output, &rp->tables);
    omi_output_destroy(output);
    rp->report.tables_written += rp->tables.added_count - before;
    return err;
}

/* What is open for a merge: the tables that can be read in part, and the sources. */
struct opened {
    struct omi_table **tables;
    struct omi_merge_source **sources;
    uint32_t table_count, source_count, mem_count;
};

static omen_err opened_init(struct opened *o, uint32_t tables, uint32_t mems)
{
    *o = (struct opened){.tables = calloc(tables + UINT64_C(1), sizeof(*o->tables)),
                         .sources = calloc((uint64_t)tables + mems + 1, sizeof(*o->sources))};
    return o->tables != NULL && o->sources != NULL
               ? OMEN_OK
               : omi_fail(OMEN_NO_MEMORY, 0, "a merge of %u tables", tables);
}

static omen_err open_mem(struct opened *o, struct omi_memtable *m)
{
    omen_err err = omi_memtable_source_open(m, &o->sources[o->source_count]);
    if (err == OMEN_OK) {
        o->source_count++;
        o->mem_count++;
    }
    return err;
}

static omen_err open_item(struct omi_repair *rp, struct opened *o,
                          const struct omi_repair_item *item)
{
    struct omi_salvage s = salvage_of(rp, item);
    struct omi_table **t = &o->tables[o->table_count];
    omen_err err = omi_table_salvage(&s, t);
    omi_salvage_fini(&s);
    if (err == OMEN_OK && *t == NULL)
        err = omi_fail(OMEN_CORRUPT, 0, "%s can be read no more", item->name);
    if (err != OMEN_OK)
        return err;
    o->table_count++;
    err = omi_table_source_open(t, 1, 1, &o->sources[o->source_count]);
    if (err == OMEN_OK)
        o->source_count++;
    return err;
}

static void opened_fini(struct opened *o)
{
    for (uint32_t i = 0; i < o->mem_count; i++)
        omi_memtable_source_close(o->sources[i]);
    for (uint32_t i = o->mem_count; i < o->source_count; i++)
        omi_table_source_close(o->sources[i]);
    for (uint32_t i = 0; i < o->table_count; i++)
        omi_table_close(o->tables[i], false);
    free(o->tables);
    free(o->sources);
}

omen_err omi_repair_write_items(struct omi_repair *rp)
{
    omen_err err = OMEN_OK;
    for (uint32_t i = 0; i < rp->item_count && err == OMEN_OK; i++) {
        const struct omi_repair_item *item = &rp->items[i];
        struct opened o;
        err = opened_init(&o, 1, 0);
        if (err == OMEN_OK)
            err = open_item(rp, &o, item);
        if (err == OMEN_OK)
            err = write_run(rp, o.sources, o.source_count, item->level, item->age, false);
        opened_fini(&o);
    }
    return err;
}

/* The first level that has room for everything. */
static uint32_t level_for(const struct omi_repair *rp)
{
    uint32_t level = 1;
    while (level < OMEN_LEVELS_MAX &&
           omi_shape_capacity(&rp->db->settings.shape, level) < rp->rebuild_bytes)
        level++;
    return level;
}

/* Every entry says which version of its key it is, so one merge of everything is right in whatever
 * order its sources come. */
omen_err omi_repair_write_rebuilt(struct omi_repair *rp)
{
    struct opened o;
    omen_err err = opened_init(&o, rp->item_count, rp->mem_count);
    for (uint32_t i = 0; i < rp->mem_count && err == OMEN_OK; i++)
        err = open_mem(&o, rp->mems[i]);
    for (uint32_t i = 0; i < rp->item_count && err == OMEN_OK; i++)
        err = open_item(rp, &o, &rp->items[i]);
    if (err == OMEN_OK && o.source_count != 0)
        err = write_run(rp, o.sources, o.source_count, level_for(rp), rp->db->next_age++, true);
    opened_fini(&o);
    return err;
}
