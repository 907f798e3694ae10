/*
 * sampling.c - the database's sample of what is asked: its size, and the file SAMPLE, which is read
 * at opening, replaced now and then and at closing, and never worth an error.
 */
#include "lsm/db.h"

#include "lsm/sample_file.h"

#include <stdlib.h>

enum { MEMORY_SHARE = 128, GETS_MIN = 1024, GETS_MAX = 1 << 20, FILE_BYTES_MAX = 256 << 20 };

omen_err omi_sampling_begin(omen_db *db)
{
    uint64_t gets = db->settings.split.memory_bytes / MEMORY_SHARE / sizeof(struct omi_sampled_get);
    gets = gets < GETS_MIN ? GETS_MIN : gets > GETS_MAX ? GETS_MAX : gets;
    omen_err err = omi_sample_create((uint32_t)gets, (uint32_t)gets / 4, &db->sample);
    if (err == OMEN_OK)
        omi_sample_charge(db->sample, &db->tenv.open_metadata_bytes);
    return err;
}

/* ---- tables' counts -------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
    const struct omi_table_counts *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static omen_err counts_gather(const struct omi_version *v, struct omi_sample_image *image)
{
    image->tables = calloc(v->table_count + 1, sizeof(*image->tables));
    if (image->tables == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "what was counted of %" PRIu64 " tables",
                        v->table_count);
    for (uint32_t r = 0; r < v->run_count; r++)
        for (uint32_t i = 0; i < v->runs[r].table_count; i++) {
            struct omi_table_counts *c = &image->tables[image->table_count];
            omi_table_counts(v->runs[r].tables[i], c);
            image->table_count += (c->probes | c->negatives | c->false_positives) != 0;
        }
    qsort(image->tables, image->table_count, sizeof(*image->tables), compare_numbers);
    return OMEN_OK;
}

static void counts_spread(const struct omi_version *v, const struct omi_sample_image *image)
{
    for (uint32_t r = 0; r < v->run_count; r++)
        for (uint32_t i = 0; i < v->runs[r].table_count; i++) {
            struct omi_table *t = v->runs[r].tables[i];
            struct omi_table_counts key = {.number = omi_table_number(t)};
            const struct omi_table_counts *c =
                bsearch(&key, image->tables, image->table_count, sizeof(key), compare_numbers);
            if (c != NULL)
                omi_table_add_counts(t, c);
        }
}

/* ---- the file -------------------------------------------------------------------------------- */

void omi_sampling_load(omen_db *db)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct omi_sample_image image;
    omen_err err = omi_file_read_all(db->dir, "SAMPLE", FILE_BYTES_MAX, &bytes, &size);
    if (err == OMEN_NOT_FOUND)
        return;
    if (err == OMEN_OK)
        err = omi_sample_decode(bytes, size, &image);
    free(bytes);
    if (err != OMEN_OK) {
        omi_say(db->log_file, 1, "what was sampled before is lost, without harm: %s",
                omen_last_error());
        return;
    }
    omi_sample_restore(db->sample, &image.rings);
    struct omi_view *view = omi_view_ref(db);
    counts_spread(view->version, &image);
    omi_view_unref(view);
    omi_sample_image_fini(&image);
    db->sample_saved = omi_sample_recorded(db->sample);
}

void omi_sampling_save(omen_db *db, uint32_t share)
{
    struct omi_sample_image image = {0};
    struct omi_buf out = {0};
    uint64_t recorded = omi_sample_recorded(db->sample), gets, scans;
    omi_sample_held(db->sample, &gets, &scans);
    if (recorded == db->sample_saved ||
        (share != 0 && recorded - db->sample_saved < (gets + scans) / share))
        return;
    struct omi_view *view = omi_view_ref(db);
    omen_err err = counts_gather(view->version, &image);
    omi_view_unref(view);
    if (err == OMEN_OK)
        err = omi_sample_copy(db->sample, &image.rings);
    if (err == OMEN_OK)
        err = omi_sample_encode(&image, &out);
    if (err == OMEN_OK)
        err = omi_file_replace(db->dir, "SAMPLE", out.data, out.size);
    if (err == OMEN_OK)
        db->sample_saved = recorded;
    else
        omi_say(db->log_file, 1, "the SAMPLE file could not be replaced: %s", omen_last_error());
    omi_buf_fini(&out);
    omi_sample_image_fini(&image);
}
