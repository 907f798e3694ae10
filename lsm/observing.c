/*
 * observing.c - the database's telemetry: what it is counted from, when windows end, and the file
 * TELEMETRY, which is read at opening, replaced now and then and at closing, and never worth an error.
 */
#include "lsm/db.h"

#include "io/base/hash.h"
#include "lsm/telemetry_file.h"

#include <stdlib.h>
#include <string.h>

/* One block in 16 to 4096 is followed: so many that RESOLUTION of them fill the cache. */
enum { EVERY_BITS_MIN = 4, EVERY_BITS_MAX = 12, RESOLUTION = 128, FILE_BYTES_MAX = 1 << 20 };

static uint32_t every_bits(const omen_db *db)
{
    uint64_t blocks = db->settings.split.cache_bytes / db->settings.split.block_bytes;
    uint32_t bits = EVERY_BITS_MIN;
    while (bits < EVERY_BITS_MAX && blocks >> bits > RESOLUTION)
        bits++;
    return bits;
}

/* ---- counting -------------------------------------------------------------------------------- */

static uint64_t counted(const omen_db *db, enum omi_counter which)
{
    return omi_counter_sum(&db->counters, which);
}

static void tree_of_now(omen_db *db, omen_window *w)
{
    omi_mutex_lock(&db->mu);
    const struct omi_shape *shape = &db->settings.shape;
    w->size_ratio = shape->size_ratio;
    w->runs_upper = shape->runs_upper;
    w->runs_last = shape->runs_last;
    if (db->view != NULL) {
        w->levels = db->view->version->tree.level_count;
        w->debt_bytes = omi_tree_debt(&db->view->version->tree, shape);
    }
    omi_mutex_unlock(&db->mu);
}

/* What this handle has counted so far, as a window. */
static void counters_of_now(omen_db *db, omen_window *w)
{
    uint64_t gets = counted(db, OMI_COUNT_GETS);
    *w = (omen_window){
        .began_us = db->env->ops->wall_us(db->env),
        .us = omi_now_ns(db->env) / 1000,
        .get_hits = counted(db, OMI_COUNT_GET_HITS),
        .scans = counted(db, OMI_COUNT_SEEKS),
        .puts = counted(db, OMI_COUNT_PUTS),
        .deletes = counted(db, OMI_COUNT_DELETES),
        .overwrites = counted(db, OMI_COUNT_OVERWRITTEN),
        .bytes_in = counted(db, OMI_COUNT_USER_BYTES),
        .bytes_out = counted(db, OMI_COUNT_READ_BYTES),
        .scan_entries = counted(db, OMI_COUNT_SCAN_ENTRIES),
        .block_asks = counted(db, OMI_COUNT_GET_BLOCKS) + counted(db, OMI_COUNT_SCAN_BLOCKS),
        .block_reads =
            counted(db, OMI_COUNT_GET_BLOCK_READS) + counted(db, OMI_COUNT_SCAN_BLOCK_READS),
        .written_bytes =
            counted(db, OMI_COUNT_FLUSH_BYTES) + counted(db, OMI_COUNT_MERGE_WRITTEN_BYTES),
        .flushes = counted(db, OMI_COUNT_FLUSHES)};
    w->get_misses =
        gets > w->get_hits ? gets - w->get_hits : 0; /* they count at different moments */
    for (int i = 0; i < OMEN_SCAN_LENGTHS; i++)
        w->scan_lengths[i] = counted(db, (enum omi_counter)(OMI_COUNT_SCAN_LENGTHS + i));
    for (int i = 0; i < OMI_STALLS; i++)
        w->stall_us += counted(db, (enum omi_counter)(OMI_COUNT_STALL_US + i));
    tree_of_now(db, w);
}

omen_err omi_observing_begin(omen_db *db)
{
    omen_err err = omi_telemetry_create(every_bits(db), &db->telemetry);
    if (err != OMEN_OK)
        return err;
    db->tenv.telemetry = db->telemetry;
    db->tenv.follow_bits = omi_telemetry_every_bits(db->telemetry);
    atomic_fetch_add(&db->tenv.open_metadata_bytes, omi_telemetry_bytes());
    return OMEN_OK;
}

void omi_observing_look(omen_db *db)
{
    omen_window now;
    counters_of_now(db, &now);
    (void)omi_telemetry_tick(db->telemetry, &now, db->inline_work ? 0 : OMI_TELEMETRY_US);
}

void omi_observed_inline(omen_db *db, uint64_t ops)
{
    uint64_t before = atomic_fetch_add_explicit(&db->observed_ops, ops, memory_order_relaxed);
    if (before / OMI_TELEMETRY_OPS != (before + ops) / OMI_TELEMETRY_OPS)
        omi_observing_look(db);
}

uint64_t omi_observed_ops(const omen_db *db)
{
    return counted(db, OMI_COUNT_GETS) + counted(db, OMI_COUNT_SEEKS) +
           counted(db, OMI_COUNT_PUTS) + counted(db, OMI_COUNT_DELETES);
}

struct batch_sampler {
    omen_db *db;
    unsigned stripe;
    uint64_t n;
};

static omen_err batch_sample(void *ctx, const struct omi_entry *entry)
{
    struct batch_sampler *b = ctx;
    if (omi_sample_due(b->db->sample, b->n++))
        omi_telemetry_key(b->db->telemetry, b->stripe, omi_entry_key(entry),
                          omi_key_hash(entry->key, entry->key_size));
    return OMEN_OK;
}

void omi_observe_written(omen_db *db, unsigned stripe, uint64_t n, const struct omi_ops *ops)
{
    struct batch_sampler b = {.db = db, .stripe = stripe, .n = n};
    for (uint32_t i = 0; i < ops->count; i++) {
        if (!omi_sample_due(db->sample, n + i))
            continue;
        omi_ignore(omi_ops_each(ops, 1, batch_sample, &b)); /* they parsed a moment ago */
        return;
    }
}

/* ---- the file -------------------------------------------------------------------------------- */

void omi_observing_load(omen_db *db)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    omen_window now;
    struct omi_telemetry_image *image = malloc(sizeof(*image));
    omen_err err = image != NULL
                       ? omi_file_read_all(db->dir, "TELEMETRY", FILE_BYTES_MAX, &bytes, &size)
                       : omi_fail(OMEN_NO_MEMORY, 0, "the telemetry");
    if (err == OMEN_OK)
        err = omi_telemetry_decode(bytes, size, image);
    if (err == OMEN_OK)
        omi_telemetry_restore(db->telemetry, image);
    else if (err != OMEN_NOT_FOUND)
        omi_say(db->log_file, 1, "the telemetry of before is lost, without harm: %s",
                omen_last_error());
    free(bytes);
    free(image);
    counters_of_now(db, &now);
    omi_telemetry_begin(db->telemetry, &now);
    db->telemetry_saved = omi_telemetry_recorded(db->telemetry);
}

void omi_observing_save(omen_db *db)
{
    omen_window now, running;
    struct omi_buf out = {0};
    uint64_t recorded = omi_telemetry_recorded(db->telemetry);
    if (recorded == db->telemetry_saved)
        return;
    struct omi_telemetry_image *image = malloc(sizeof(*image));
    omen_err err = image != NULL ? OMEN_OK : omi_fail(OMEN_NO_MEMORY, 0, "the telemetry");
    if (err == OMEN_OK) {
        counters_of_now(db, &now);
        omi_telemetry_copy(db->telemetry, &now, image, &running);
        err = omi_telemetry_encode(image, &out);
    }
    if (err == OMEN_OK)
        err = omi_file_replace(db->dir, "TELEMETRY", out.data, out.size);
    if (err == OMEN_OK)
        db->telemetry_saved = recorded;
    else
        omi_say(db->log_file, 1, "the TELEMETRY file could not be replaced: %s", omen_last_error());
    omi_buf_fini(&out);
    free(image);
}

/* ---- telling --------------------------------------------------------------------------------- */

static double share(uint64_t part, uint64_t of)
{
    return of == 0 ? 0 : part >= of ? 1 : (double)part / (double)of;
}

static void tell_hot(const struct omi_hot_top *top, omen_telemetry *out)
{
    out->sampled_keys = top->total;
    out->hot_count = top->count;
    for (uint32_t i = 0; i < top->count; i++) {
        const struct omi_hot_key *h = &top->keys[i];
        out->hot[i] = (omen_hot_key){.hash = h->hash,
                                     .share = share(h->count, top->total),
                                     .share_min = share(h->count - h->error, top->total),
                                     .key_bytes = h->key_size};
        memcpy(out->hot[i].key, h->head, sizeof(h->head));
    }
}

static void tell(const struct omi_telemetry_image *image, omen_telemetry *out)
{
    out->window_count = image->window_count;
    for (uint32_t i = 0; i < image->window_count; i++) {
        out->window[i] = image->windows[i];
        omi_window_add(&out->all, &image->windows[i]);
    }
    omi_window_add(&out->all, &out->running);
    out->skew = out->running.skew_permille / 1000.0;
    out->sorted = out->all.sorted_permille / 1000.0;
    tell_hot(&image->hot, out);
    out->miss_count =
        omi_reuse_points(&image->curve, out->miss, OMEN_MISS_POINTS_MAX, &out->sampled_blocks);
}

omen_err omen_get_telemetry(omen_db *db, omen_telemetry *telemetry_out)
{
    size_t size = telemetry_out->struct_bytes;
    if (size < sizeof(size_t) || size > sizeof(omen_telemetry))
        return omi_fail(OMEN_INVALID, 0, "omen_telemetry.struct_bytes is %zu; set it to its sizeof",
                        size);
    struct omi_telemetry_image *image = malloc(sizeof(*image));
    omen_telemetry *t = calloc(1, sizeof(*t));
    omen_err err =
        image != NULL && t != NULL ? OMEN_OK : omi_fail(OMEN_NO_MEMORY, 0, "the telemetry");
    if (err == OMEN_OK) {
        omen_window now;
        counters_of_now(db, &now);
        omi_telemetry_copy(db->telemetry, &now, image, &t->running);
        tell(image, t);
        t->struct_bytes = size;
        memcpy(telemetry_out, t, size);
    }
    free(image);
    free(t);
    return err;
}
