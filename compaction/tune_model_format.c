/*
 * tune_model_format.c - a model as bytes, format 1, little-endian, no padding.
 *   off len field
 *     0   4 magic      "OTUN"
 *     4   4 format     a larger number is OMEN_UNSUPPORTED, not OMEN_CORRUPT
 *     8   8 seed
 *    16   4 rows
 *    20   4 copies     6
 *    24     copies: 8 coefficients and the scale, each an f64 of 0 to 1e100; 4 trees, 0 to 40;
 *           trees: 7 features, a byte each (0 to 11, or 255: no split); 7 thresholds and 8 leaves,
 *           each an f32 of -1e6 to 1e6
 *   end-8 8 check      XXH3 of all before
 */
#include "compaction/tune_model.h"
#include "io/base/coding.h"
#include "io/base/hash.h"

#include <assert.h>

enum { MAGIC = 0x4e55544f, FORMAT = 1, HEADER = 24, CHECK = 8 };
enum {
    COPY_BYTES = (OMI_RIDGE_TERMS + 1) * 8 + 4,
    TREE_BYTES = OMI_BOOST_NODES * 5 + OMI_BOOST_LEAVES * 4
};
static_assert(HEADER + OMI_TUNE_COPIES * (COPY_BYTES + OMI_BOOST_TREES * TREE_BYTES) + CHECK <=
                  OMI_TUNE_MODEL_BYTES_MAX,
              "a model fits");

/* ---- encoding -------------------------------------------------------------------------------- */

static uint8_t *put_f32(uint8_t *p, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    omi_put_u32(p, bits);
    return p + 4;
}

static uint8_t *put_f64(uint8_t *p, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    omi_put_u64(p, bits);
    return p + 8;
}

size_t omi_tune_model_bytes(const struct omi_tune_model *model)
{
    size_t size = HEADER + CHECK;
    for (int c = 0; c < OMI_TUNE_COPIES; c++)
        size += COPY_BYTES + (size_t)model->copy[c].boost.count * TREE_BYTES;
    return size;
}

void omi_tune_model_encode(const struct omi_tune_model *model, uint8_t *out)
{
    uint8_t *p = out + HEADER;
    omi_put_u32(out, MAGIC);
    omi_put_u32(out + 4, FORMAT);
    omi_put_u64(out + 8, model->seed);
    omi_put_u32(out + 16, model->rows);
    omi_put_u32(out + 20, OMI_TUNE_COPIES);
    for (int c = 0; c < OMI_TUNE_COPIES; c++) {
        const struct omi_tune_copy *copy = &model->copy[c];
        for (int j = 0; j < OMI_RIDGE_TERMS; j++)
            p = put_f64(p, copy->coef[j]);
        p = put_f64(p, copy->scale);
        omi_put_u32(p, copy->boost.count);
        p += 4;
        for (uint32_t t = 0; t < copy->boost.count; t++) {
            const struct omi_boost_tree *tree = &copy->boost.tree[t];
            memcpy(p, tree->feature, OMI_BOOST_NODES);
            p += OMI_BOOST_NODES;
            for (int i = 0; i < OMI_BOOST_NODES; i++)
                p = put_f32(p, tree->threshold[i]);
            for (int i = 0; i < OMI_BOOST_LEAVES; i++)
                p = put_f32(p, tree->leaf[i]);
        }
    }
    omi_put_u64(p, omi_checksum(out, (size_t)(p - out), 0));
}

/* ---- decoding -------------------------------------------------------------------------------- */

static float take_f32(struct omi_reader *r, bool *sound)
{
    uint32_t bits = omi_take_u32(r);
    float v;
    memcpy(&v, &bits, 4);
    *sound = *sound && v >= -1e6f && v <= 1e6f; /* no NaN either */
    return v;
}

static double take_f64(struct omi_reader *r, bool *sound)
{
    uint64_t bits = omi_take_u64(r);
    double v;
    memcpy(&v, &bits, 8);
    *sound = *sound && v >= 0 && v <= 1e100;
    return v;
}

static void tree_take(struct omi_reader *r, struct omi_boost_tree *tree, bool *sound)
{
    for (int i = 0; i < OMI_BOOST_NODES; i++) {
        tree->feature[i] = omi_take_u8(r);
        *sound = *sound &&
                 (tree->feature[i] < OMI_BOOST_FEATURES || tree->feature[i] == OMI_BOOST_NO_SPLIT);
    }
    for (int i = 0; i < OMI_BOOST_NODES; i++)
        tree->threshold[i] = take_f32(r, sound);
    for (int i = 0; i < OMI_BOOST_LEAVES; i++)
        tree->leaf[i] = take_f32(r, sound);
}

static void copy_take(struct omi_reader *r, struct omi_tune_copy *copy, bool *sound)
{
    for (int j = 0; j < OMI_RIDGE_TERMS; j++)
        copy->coef[j] = take_f64(r, sound);
    copy->scale = take_f64(r, sound);
    copy->boost.count = omi_take_u32(r);
    if (copy->boost.count > OMI_BOOST_TREES) {
        copy->boost.count = 0;
        *sound = false;
    }
    for (uint32_t t = 0; t < copy->boost.count && *sound; t++)
        tree_take(r, &copy->boost.tree[t], sound);
}

omen_err omi_tune_model_decode(const void *bytes, size_t size, struct omi_tune_model *model_out)
{
    const uint8_t *p = bytes;
    bool sound = true;
    *model_out = (struct omi_tune_model){0};
    if (size < HEADER + CHECK || size > OMI_TUNE_MODEL_BYTES_MAX || omi_get_u32(p) != MAGIC)
        return omi_fail(OMEN_CORRUPT, 0, "%zu bytes are no model of the tuner", size);
    if (omi_checksum(p, size - CHECK, 0) != omi_get_u64(p + size - CHECK))
        return omi_fail(OMEN_CORRUPT, 0, "the tuner's model: its checksum is wrong");
    if (omi_get_u32(p + 4) > FORMAT)
        return omi_fail(OMEN_UNSUPPORTED, 0, "the tuner's model is of format %" PRIu32,
                        omi_get_u32(p + 4));
    struct omi_reader r = omi_reader_of(p + 4, size - CHECK - 4);
    if (omi_take_u32(&r) != FORMAT)
        sound = false;
    model_out->seed = omi_take_u64(&r);
    model_out->rows = omi_take_u32(&r);
    if (omi_take_u32(&r) != OMI_TUNE_COPIES)
        sound = false;
    for (int c = 0; c < OMI_TUNE_COPIES && sound; c++)
        copy_take(&r, &model_out->copy[c], &sound);
    if (!sound || r.failed || omi_reader_left(&r) != 0) {
        *model_out = (struct omi_tune_model){0};
        return omi_fail(OMEN_CORRUPT, 0, "the tuner's model: a number in it is out of range");
    }
    return OMEN_OK;
}
