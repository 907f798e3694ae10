/*
 * output.c - the sink of flush and merge: entries into tables of the target size, cut only between
 * user keys, synced, and handed to an edit.
 */
#include "io/base/mutant.h"
#include "lsm/db.h"

#include <stdlib.h>

struct made_table {
    uint64_t number;
    struct omi_table_props props;
};

struct omi_output {
    struct omi_merge_sink sink; /* first */
    omen_db *db;
    struct omi_table_builder *builder;
    struct omi_filter_params_source filters;
    uint32_t level;
    uint64_t age, target_bytes, bytes, memory;
    bool empty; /* nothing in the builder */
    struct omi_range_plan range_plan;
    struct made_table *made;
    uint32_t made_count, made_capacity;
};

static void account_memory(struct omi_output *o)
{
    uint64_t now = o->builder != NULL ? omi_table_builder_memory(o->builder) : 0;
    atomic_fetch_add(&o->db->build_bytes, now - o->memory); /* wraps back when it shrinks */
    o->memory = now;
}

static omen_err made_reserve(struct omi_output *o)
{
    if (o->made_count < o->made_capacity)
        return OMEN_OK;
    uint32_t capacity = o->made_capacity * 2 + 8;
    struct made_table *made = realloc(o->made, capacity * sizeof(*made));
    if (made == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a list of %u tables", capacity);
    o->made = made;
    o->made_capacity = capacity;
    return OMEN_OK;
}

omen_err omi_output_cut(struct omi_output *o)
{
    if (o->empty)
        return OMEN_OK;
    omen_err err = made_reserve(o);
    if (err != OMEN_OK)
        return err;
    account_memory(o);
    struct made_table *m = &o->made[o->made_count];
    *m = (struct made_table){.number = omi_db_next_number(o->db)};
    err = omi_table_builder_finish(o->builder, m->number, &m->props);
    o->empty = true;
    if (err != OMEN_OK)
        return err;
    o->made_count++;
    o->bytes += m->props.file_bytes;
    return OMEN_OK;
}

static omen_err output_emit(struct omi_merge_sink *sink, const struct omi_entry *entry,
                            bool first_of_key)
{
    struct omi_output *o = (struct omi_output *)(void *)sink;
    if ((first_of_key || OMI_MUTANT(OMI_MUTANT_CUT_WITHIN_KEY)) && !o->empty &&
        omi_table_builder_raw_bytes(o->builder) >= o->target_bytes) {
        omen_err err = omi_output_cut(o);
        if (err != OMEN_OK)
            return err;
    }
    o->empty = false;
    return omi_table_builder_add(o->builder, entry);
}

static omen_err output_quantum(struct omi_merge_sink *sink)
{
    struct omi_output *o = (struct omi_output *)(void *)sink;
    account_memory(o);
    omi_mutex_lock(&o->db->mu);
    bool stop = o->db->closing || o->db->fatal.code != OMEN_OK;
    omi_mutex_unlock(&o->db->mu);
    return stop ? omi_fail(OMEN_ABORTED, 0, "the database is closing") : OMEN_OK;
}

omen_err omi_output_create(omen_db *db, uint32_t level, uint64_t age, bool last_level,
                           uint64_t new_keys, struct omi_output **out)
{
    *out = NULL;
    struct omi_output *o = calloc(1, sizeof(*o));
    if (o == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a merge's output");
    o->sink = (struct omi_merge_sink){.emit = output_emit, .quantum = output_quantum};
    o->db = db;
    o->level = level;
    o->age = age;
    o->empty = true;
    o->target_bytes = db->settings.split.target_file_bytes;
    omi_filter_params_begin(db, level, age, last_level, (double)new_keys, &o->filters);
    omi_mutex_lock(&db->mu);
    o->range_plan =
        (struct omi_range_plan){.mode = db->settings.range_filter, .upper = !last_level};
    struct omi_table_params params = {
        .block_bytes = db->settings.split.block_bytes,
        .codec = (omen_codec)(last_level ? db->settings.split.codec_last
                                         : db->settings.split.codec_upper),
        .plan_filter = db->settings.filter_bits != 0 ? omi_filter_params_fill : NULL,
        .plan_ctx = &o->filters,
        .plan_range = omi_range_plan,
        .range_ctx = &o->range_plan,
    };
    omi_mutex_unlock(&db->mu);
    omi_range_plan_begin(&o->range_plan, db);
    omen_err err = omi_table_builder_create(&db->tenv, &params, &o->builder);
    if (err != OMEN_OK) {
        omi_filter_params_end(&o->filters);
        omi_range_plan_end(&o->range_plan);
        free(o);
        return err;
    }
    *out = o;
    return OMEN_OK;
}

void omi_output_replaces(struct omi_output *o, const struct omi_job *job)
{
    omi_filter_params_replaces(&o->filters, job);
}

struct omi_merge_sink *omi_output_sink(struct omi_output *o)
{
    return &o->sink;
}

uint64_t omi_output_bytes(const struct omi_output *o)
{
    return o->bytes;
}

omen_err omi_output_finish(struct omi_output *o, struct omi_edit *edit)
{
    omen_err err = omi_output_cut(o);
    if (err == OMEN_OK)
        omi_filter_params_done(&o->filters);
    if (err == OMEN_OK && o->made_count > 0 && !OMI_MUTANT(OMI_MUTANT_NO_DIR_SYNC))
        err = omi_dir_sync(o->db->dir);
    while (err == OMEN_OK && o->made_count > 0) {
        struct made_table *m = &o->made[o->made_count - 1];
        err = omi_edit_add(edit, o->level, o->age, m->number, &m->props);
        if (err == OMEN_OK)
            o->made_count--;
    }
    return err;
}

void omi_output_destroy(struct omi_output *o)
{
    if (o == NULL)
        return;
    for (uint32_t i = 0; i < o->made_count; i++) {
        char name[OMI_FILE_NAME_BYTES];
        omi_table_name(o->made[i].number, name);
        (void)omi_dir_unlink(o->db->dir, name); /* an orphan otherwise: removed at the next open */
        omi_table_props_fini(&o->made[i].props);
    }
    omi_table_builder_destroy(o->builder);
    omi_filter_params_end(&o->filters);
    o->builder = NULL;
    account_memory(o);
    omi_range_plan_end(&o->range_plan);
    free(o->made);
    free(o);
}
