/*
 * fuzz_tune_model.c - what the tuner reads: its model, and the texts of spaces and points. The input: a
 * byte, then for 0 a model as it is, for 1 what stands before its check, for 2 a restriction of the
 * space, for 3 a point's options (of the byte modulo 4).
 * A model that is read must be written the same again and have a finite answer; points that are taken
 * must be valid, and come back from their own text.
 */
#include "compaction/tune_model.h"
#include "io/base/coding.h"
#include "io/base/hash.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_BYTES = 8, TEXT_MAX = 512 };

static const struct omi_space_limits limits = {.memory_bytes = 1 << 20, .entries = 100000};

static void ask(const struct omi_tune_model *model)
{
    const struct omi_point points[] = {{2, 1, 1, 4, 0}, {6, 4, 1, 10, 20}, {16, 15, 15, 12, 60}};
    const struct omi_cost costs[] = {
        {.cost = {0, 1, 2, 3}}, {.cost = {0}}, {.cost = {9, 99, 1, 0}}};
    const double mix[OMI_TUNE_OPS] = {0.1, 0.2, 0.3, 0.4};
    for (int i = 0; i < 3; i++) {
        struct omi_tune_input input;
        omi_tune_input_make(mix, &points[i], 4, &costs[i], 0.99, 16, &input);
        struct omi_tune_guess guess = omi_tune_predict(model, &input);
        FUZZ_CHECK(isfinite(guess.log_mean) && isfinite(guess.log_sd) && guess.log_sd >= 0);
    }
}

static void read_model(const uint8_t *data, size_t size)
{
    struct omi_tune_model *model = malloc(sizeof(*model));
    FUZZ_CHECK(model != NULL);
    if (omi_tune_model_decode(data, size, model) == OMEN_OK) {
        FUZZ_CHECK(omi_tune_model_bytes(model) == size);
        uint8_t *again = malloc(size);
        FUZZ_CHECK(again != NULL);
        omi_tune_model_encode(model, again);
        FUZZ_CHECK(memcmp(again, data, size) == 0);
        free(again);
        ask(model);
    }
    free(model);
}

static void read_space(const char *text)
{
    struct omi_tune_space space;
    uint32_t near[OMI_NEIGHBOURS_MAX];
    if (omi_space_make(&limits, text, &space) != OMEN_OK) {
        FUZZ_CHECK(space.points == NULL);
        return;
    }
    FUZZ_CHECK(space.count != 0);
    for (uint32_t i = 0; i < space.count; i++)
        FUZZ_CHECK(omi_point_check(&limits, &space.points[i]) == OMEN_OK);
    uint32_t count = omi_space_neighbours(&space, space.count / 2, near);
    FUZZ_CHECK(count <= OMI_NEIGHBOURS_MAX);
    for (uint32_t i = 0; i < count; i++)
        FUZZ_CHECK(near[i] < space.count && near[i] != space.count / 2);
    omi_space_fini(&space);
}

static void read_point(const char *text)
{
    struct omi_point point, again;
    char told[OMI_POINT_TEXT];
    if (omi_point_parse(&limits, text, &point) != OMEN_OK)
        return;
    FUZZ_OK(omi_point_check(&limits, &point));
    omi_point_options(&limits, &point, told);
    FUZZ_OK(omi_point_parse(&limits, told, &again));
    FUZZ_CHECK(omi_point_same(&point, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    unsigned mode = data[0] % 4;
    data++;
    size--;
    if (mode == 0) {
        read_model(data, size);
        return 0;
    }
    if (mode == 1) {
        uint8_t *file = malloc(size + CHECK_BYTES);
        FUZZ_CHECK(file != NULL);
        memcpy(file, data, size);
        omi_put_u64(file + size, omi_checksum(file, size, 0));
        read_model(file, size + CHECK_BYTES);
        free(file);
        return 0;
    }
    char text[TEXT_MAX + 1];
    size = size < TEXT_MAX ? size : TEXT_MAX;
    memcpy(text, data, size);
    text[size] = 0;
    if (mode == 2)
        read_space(text);
    else
        read_point(text);
    return 0;
}
