/*
 * fuzz_filter.c - filters, opened and asked. The input: a byte, whose two lowest bits say what follows:
 *   0, 2   a section of any bytes
 *   1      keys of eight bytes, in any order, to build a filter of
 *   3      a seed (8 bytes), then keys, each with its length before it: sorted, and laid out by dice
 * A filter that was made may deny no key; a section that opens may not lead anywhere.
 */
#include "tests/filter_cases.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mend.h"

enum { ASKED = 256, KEYS_MAX = 2048 };

/* As lsm/ asks: by parts, and of those alone that match their checks. */
static void ask_parts(const struct omi_filter *f, const uint8_t *section, size_t size, uint64_t i)
{
    struct omi_filter_route route;
    uint64_t off, hash = omi_key_hash(&i, sizeof(i));
    uint32_t bytes;
    enum omi_filter_answer answer = omi_filter_route(f, omi_slice(&i, sizeof(i)), hash, &route);
    FUZZ_CHECK(route.part < f->part_count && route.region < f->region_count);
    omi_filter_part(f, route.part, &off, &bytes);
    FUZZ_CHECK(off % 64 == 0 && off + bytes <= size);
    if (answer == OMI_FILTER_PROBE && omi_filter_part_sound(f, route.part, section + off)) {
        omi_filter_prefetch(f, &route, section + off, hash);
        (void)omi_filter_probe(f, &route, section + off, hash);
    }
}

static void describe(const struct omi_filter *f)
{
    struct omi_filter_info info;
    uint32_t digest, before = 0;
    int class_code;
    omi_filter_describe(f, &info);
    FUZZ_CHECK(info.regions >= 1 && info.parts >= 1 && info.gaps <= info.regions);
    for (uint32_t r = 0; r < f->region_count; r++) {
        omi_filter_region(f, r, &digest, &class_code);
        FUZZ_CHECK((r == 0 ? digest == 0 : digest > before) && class_code >= -1);
        before = digest;
    }
}

static void ask_section(const uint8_t *data, size_t size)
{
    struct omi_filter f;
    uint32_t head_bytes;
    uint8_t *section = aligned_alloc(64, size / 64 * 64 + 64);
    FUZZ_CHECK(section != NULL);
    memcpy(section, data, size);
    if (omi_filter_open(section, size, size, &f) == OMEN_OK) {
        FUZZ_CHECK(omi_filter_head_bytes(section, size, &head_bytes) == OMEN_OK &&
                   head_bytes == f.head_bytes);
        describe(&f);
        for (uint64_t i = 0; i < ASKED; i++) {
            ask_parts(&f, section, size, i << 56 | i);
            (void)omi_filter_may_hold(&f, section, omi_slice(data, i % (size + 1)), i << 55);
        }
        (void)omi_filter_may_hold(&f, section, omi_slice(NULL, 0), UINT64_MAX);
    } else {
        FUZZ_CHECK(f.kind == OMI_FILTER_NONE &&
                   omi_filter_may_hold(&f, section, omi_slice(NULL, 0), 0)); /* none: maybe */
    }
    free(section);
}

/* ---- keys -------------------------------------------------------------------------------------- */

static struct omi_index_key keys[KEYS_MAX];
static uint64_t hashes[KEYS_MAX];

static void expect_all(const struct omi_buf *out, uint32_t count)
{
    struct case_keys k = {keys, hashes, count, NULL};
    struct case_filter c = case_filter_open(out);
    FUZZ_CHECK(case_denied(&c, &k) == 0 && case_sound(&c));
    case_filter_free(&c);
}

static void build(const uint8_t *data, size_t size, uint32_t bits)
{
    uint32_t count = size / 8 < KEYS_MAX ? (uint32_t)(size / 8) : KEYS_MAX;
    struct omi_filter_input input = {keys, hashes, count};
    struct omi_filter_params params = {
        .kind = OMI_FILTER_PLAIN, .bits = bits, .part_bytes = bits % 3 * 128};
    struct omi_buf out = {0};
    if (count == 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = (struct omi_index_key){data + i * (size_t)8, 1, 8, 20};
        hashes[i] = omi_key_hash(data + i * (size_t)8, 8);
    }
    omen_err err = omi_filter_build(&input, &params, &out, NULL);
    if (err == OMEN_OK)
        expect_all(&out, count);
    else /* out of order they cannot be cut into parts */
        FUZZ_CHECK(params.part_bytes != 0 && out.size == 0);
    omi_buf_fini(&out);
}

static uint32_t keys_take(struct omi_reader *r)
{
    uint32_t count = 0;
    while (omi_reader_left(r) != 0 && count < KEYS_MAX) {
        size_t size = omi_take_u8(r);
        const uint8_t *key = omi_take_bytes(r, size);
        if (key == NULL)
            break;
        keys[count++] = (struct omi_index_key){key, 1, (uint32_t)size, 20};
    }
    qsort(keys, count, sizeof(keys[0]), case_key_compare); /* equal ones: versions */
    for (uint32_t i = 0; i < count; i++)
        hashes[i] = omi_key_hash(keys[i].key, keys[i].key_size);
    return count;
}

static void lay_out(const uint8_t *data, size_t size)
{
    static struct case_layout l;
    struct omi_reader r = omi_reader_of(data, size);
    struct dice d = {omi_take_u64(&r)};
    struct omi_buf out = {0};
    struct omi_filter_sample samples[64];
    uint32_t count = keys_take(&r), denied = dice_below(&d, 65);
    struct case_keys k = {keys, hashes, count, NULL};
    struct omi_filter_input input = case_input(&k);
    if (count == 0)
        return;
    for (uint32_t i = 0; i < denied; i++) {
        const struct omi_index_key *key = &keys[dice_below(&d, count)];
        uint64_t hash = dice_below(&d, 2) != 0 ? hashes[dice_below(&d, count)] : dice_next(&d);
        case_sample_of(key->key, key->key_size, hash, &samples[i]);
    }
    case_layout_make(&k, &d, samples, denied, &l);
    FUZZ_OK(omi_filter_encode(&input, &l.layout, &out, NULL));
    expect_all(&out, count);
    omi_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if ((data[0] & 3) == 1)
        build(data + 1, size - 1, 1 + (data[0] >> 2) % 64);
    else if ((data[0] & 3) == 3)
        lay_out(data + 1, size - 1);
    else
        ask_section(data + 1, size - 1);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size == 0 || seed % 8 == 0 || (data[0] & 1) != 0)
        return size;
    size = 1 + (size - 1) / 64 * 64;
    mend_filter(data + 1, size - 1, 0);
    return size;
}
