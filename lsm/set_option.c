/* set_option.c - options that change while the database is open: recorded first, then in force. */
#include "lsm/db.h"
#include "memtier/tier.h"

#include <string.h>

static omen_err record(omen_db *db, const omen_options *options,
                       const struct omi_settings *settings)
{
    struct omi_edit edit = {.has = OMI_EDIT_SHAPE | OMI_EDIT_OPTIONS};
    edit.shape = settings->shape;
    edit.shape_fixed = settings->shape_fixed;
    omen_err err = omi_options_store(options, &edit.options);
    if (err == OMEN_OK)
        err = omi_manifest_append(db->manifest, &edit);
    if (err == OMEN_OK)
        db->manifest_weight += omi_edit_weight(&edit);
    omi_edit_fini(&edit);
    if (err != OMEN_OK && omi_manifest_sealed(db->manifest))
        omi_db_fail(db, err);
    return err;
}

omen_err omen_set_option(omen_db *db, const char *name, const char *value)
{
    if (db->read_only)
        return omi_fail(OMEN_READ_ONLY, 0, "%s is open read-only; options cannot change", db->path);
    omen_err err = omi_db_check(db);
    if (err != OMEN_OK)
        return err;
    omi_mutex_lock(&db->install);
    omi_mutex_lock(&db->mu);
    omen_options options = db->options;
    omi_mutex_unlock(&db->mu);
    struct omi_settings settings;
    err = omi_options_set(&options, name, strlen(name), value, strlen(value), true);
    if (err == OMEN_OK)
        err = omi_options_resolve(&options, &settings);
    if (err == OMEN_OK)
        err = record(db, &options, &settings);
    if (err == OMEN_OK) {
        omi_mutex_lock(&db->mu);
        db->options = options;
        db->settings.shape = settings.shape;
        db->settings.shape_fixed = settings.shape_fixed;
        db->settings.filter_bits = settings.filter_bits;
        db->settings.filter = settings.filter;
        db->settings.filter_floor_permille = settings.filter_floor_permille;
        db->settings.range_filter = settings.range_filter;
        db->settings.filter_bytes = settings.filter_bytes;
        db->settings.cache_alone = settings.cache_alone;
        db->settings.near_model_bytes = settings.near_model_bytes;
        db->settings.sync_interval_ms = settings.sync_interval_ms;
        if (db->tenv.extents.tier != NULL)
            omi_tier_limit(db->tenv.extents.tier, options.far_bytes, settings.near_model_bytes);
        omi_filter_memory_limit(&db->tenv.filter_memory, settings.filter_bytes);
        omi_db_rebalance_locked(db, 0);
        omi_cond_broadcast(&db->work);
        omi_cond_broadcast(&db->upkeep);
        omi_mutex_unlock(&db->mu);
        omi_say(db->log_file, 2, "option %s is %s now", name, value);
    }
    omi_mutex_unlock(&db->install);
    return err;
}
