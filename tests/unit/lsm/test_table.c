#include "tests/unit/lsm/table_sample.h"

#include "io/base/coding.h"

#include <ftw.h>

TestSuite(table, .timeout = 60);

static void round_trip(uint32_t entries, size_t value_max, omen_codec codec, uint64_t cache_bytes)
{
    setup(cache_bytes);
    struct sample s = sample_create(entries, value_max);
    struct omi_table *one = build(&s, 0, s.count, 1, codec), *run[16];
    check_lookups(&s, one);
    check_walks(&s, &one, 1, true);
    check_source(&s, &one, 1);
    struct omi_table_verdict verdict = {0};
    cr_assert_eq(omi_table_verify(one, &verdict, NULL, NULL), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(verdict.entries, s.count);
    omi_table_close(one, true);
    uint32_t count = build_run(&s, 5, run, codec);
    check_walks(&s, run, count, true);
    check_source(&s, run, count);
    for (uint32_t i = 0; i < count; i++)
        omi_table_close(run[i], false);
    sample_destroy(&s);
    teardown();
}

Test(table, gives_back_every_entry_with_every_codec_with_and_without_a_cache)
{
    round_trip(3000, 60, OMEN_CODEC_NONE, 4 << 20);
    round_trip(3000, 60, OMEN_CODEC_ZSTD, 4 << 20);
    round_trip(2000, 3000, OMEN_CODEC_ZSTD_FAST, 0);
    round_trip(1, 10, OMEN_CODEC_NONE, 1 << 20);
}

static int reverse_compare(void *ctx, omen_slice a, omen_slice b)
{
    (void)ctx;
    return omi_bytes_compare(b.data, b.size, a.data, a.size);
}

Test(table, obeys_a_comparator)
{
    static const omen_comparator reverse = {"reverse", reverse_compare, NULL};
    setup(1 << 20);
    tenv.order.comparator = &reverse;
    struct sample s = sample_create(2000, 40);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    check_lookups(&s, t);
    check_walks(&s, &t, 1, true);
    check_source(&s, &t, 1);
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

/* The table again, after a bit of its file was flipped. */
static omen_err reopen_damaged(uint64_t number, uint64_t bytes, uint64_t off, struct omi_table **t)
{
    char name[OMI_FILE_NAME_BYTES];
    omi_table_name(number, name);
    cr_assert_eq(omi_sim_damage(env, "/t", name, off, 3), OMEN_OK, "%s", omen_last_error());
    return omi_table_open(&tenv, number, bytes, t);
}

Test(table, a_damaged_index_is_rebuilt_and_a_damaged_filter_dropped)
{
    setup(1 << 20);
    struct sample s = sample_create(2000, 40);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    uint64_t bytes = t->file_bytes;
    uint64_t index = t->footer.sections[OMI_SECTION_INDEX].off;
    uint64_t filter = t->footer.sections[OMI_SECTION_FILTER].off;
    omi_table_close(t, true);
    cr_assert_eq(reopen_damaged(1, bytes, index + 20, &t), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(tenv.index_rebuilt, 1);
    check_lookups(&s, t);
    check_walks(&s, &t, 1, true);
    check_source(&s, &t, 1);
    omi_table_close(t, true);
    cr_assert_eq(reopen_damaged(1, bytes, filter + 100, &t), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(tenv.filters_dropped, 0);
    cr_assert_eq(tenv.filter_memory.damaged, 1, "the head is sound, a part is not");
    check_lookups(&s, t);
    omi_table_close(t, true);
    cr_assert_eq(reopen_damaged(1, bytes, filter + 20, &t), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(tenv.filters_dropped, 1);
    cr_assert_not(omi_table_has_filter(t));
    check_lookups(&s, t);
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

static void count_problem(void *ctx, const char *text)
{
    (void)text;
    ++*(int *)ctx;
}

Test(table, a_damaged_block_is_corrupt_and_the_others_still_read)
{
    setup(0);
    struct sample s = sample_create(2000, 40);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    uint64_t off;
    uint32_t size;
    locate(t, 3, &off, &size);
    cr_assert_eq(omi_sim_damage(env, "/t", "000001.sst", off + 40, 1), OMEN_OK);
    for (uint32_t b = 0; b < omi_table_blocks(t); b++) {
        struct omi_frame *f = NULL;
        omen_err err = omi_table_load(t, b, true, &f);
        cr_assert_eq(err, b == 3 ? OMEN_CORRUPT : OMEN_OK, "block %u", b);
        if (b == 3)
            cr_assert(strstr(omen_last_error(), "000001.sst") != NULL, "%s", omen_last_error());
        if (f != NULL)
            omi_frame_release(f);
    }
    struct omi_table_verdict verdict = {0};
    int problems = 0;
    cr_assert_eq(omi_table_verify(t, &verdict, count_problem, &problems), OMEN_CORRUPT);
    cr_assert_gt(problems, 0);
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

Test(table, any_flipped_bit_of_its_ends_is_noticed_or_harmless)
{
    setup(0);
    struct sample s = sample_create(60, 30);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    uint64_t bytes = t->file_bytes, data_end = t->footer.data_end;
    omi_table_close(t, true);
    for (uint64_t off = 0; off < bytes; off++) {
        if (off == OMI_TABLE_HEADER_BYTES)
            off = data_end;
        omen_err err = reopen_damaged(1, bytes, off, &t);
        if (err == OMEN_OK) {
            check_lookups(&s, t);
            omi_table_close(t, true);
        } else {
            cr_assert(err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED, "offset %lu: %s", off,
                      omen_err_name(err));
        }
        cr_assert_eq(omi_sim_damage(env, "/t", "000001.sst", off, 3), OMEN_OK); /* and back */
    }
    sample_destroy(&s);
    teardown();
}

Test(table, a_failed_write_leaves_no_file_and_a_builder_that_works)
{
    setup(0);
    struct sample s = sample_create(500, 40);
    struct omi_table_params params = {.block_bytes = 1024, .filter_bits = 10};
    struct omi_table_builder *b;
    struct omi_table_props props;
    cr_assert_eq(omi_table_builder_create(&tenv, &params, &b), OMEN_OK);
    for (int kind = OMI_FAULT_WRITE; kind <= OMI_FAULT_SYNC; kind++) {
        for (uint32_t i = 0; i < s.count; i++)
            cr_assert_eq(omi_table_builder_add(b, &s.entries[i]), OMEN_OK);
        omi_sim_fail(env, (enum omi_sim_fault)kind, 1, false);
        cr_assert_eq(omi_table_builder_finish(b, 5, &props), OMEN_IO);
        omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
        struct omi_file *f;
        cr_assert_eq(omi_file_open(tenv.dir, "000005.sst", OMI_OPEN_READ, 0, &f), OMEN_NOT_FOUND);
        cr_assert_eq(omi_table_builder_raw_bytes(b), 0);
    }
    omi_table_builder_destroy(b);
    struct omi_table *t = build(&s, 0, s.count, 5, OMEN_CODEC_NONE);
    check_lookups(&s, t);
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

/* ---- extremes -------------------------------------------------------------------------------- */

/* Empty, shortest and longest keys, runs of 0x00 and 0xff, values from none to 1 MiB. */
static struct sample sample_extremes(void)
{
    enum { KEYS = 40 };
    struct sample s = {.entries = calloc(KEYS + 1, sizeof(struct omi_entry))};
    struct rng r = {seed_of()};
    cr_assert_eq(omi_buf_reserve(&s.bytes, (size_t)(KEYS + 1) * (OMEN_KEY_BYTES_MAX + (1 << 20))),
                 OMEN_OK);
    for (uint32_t i = 0; i <= KEYS; i++) {
        static const uint32_t key_sizes[] = {
            1, 2, 3, 5, 200, OMEN_KEY_BYTES_MAX - 1, OMEN_KEY_BYTES_MAX};
        static const uint32_t value_sizes[] = {0, 1, 0, 100, 5000, 70000, 1 << 20};
        uint32_t n = i == 0 ? 0 : key_sizes[i % 7];
        uint32_t value = value_sizes[rng_next(&r) % 7];
        uint8_t *key = s.bytes.data + s.bytes.size;
        memset(key, i % 3 == 0 ? 0 : 0xff, n);
        if (i % 2 == 0 && n > 4)
            memcpy(key + n - 4, &i, 4);
        memset(key + n, (int)i, value);
        s.entries[s.count++] =
            (struct omi_entry){key, key + n, omi_trailer(i + 1, OMI_KIND_PUT), n, value};
        s.bytes.size += n + value;
    }
    qsort(s.entries, s.count, sizeof(struct omi_entry), compare_entries);
    return s;
}

Test(table, takes_the_longest_keys_and_large_values_with_every_codec)
{
    for (int codec = OMEN_CODEC_NONE; codec <= OMEN_CODEC_ZSTD; codec++) {
        setup(8 << 20);
        struct sample s = sample_extremes();
        struct omi_table *t = build(&s, 0, s.count, 1, (omen_codec)codec);
        check_lookups(&s, t);
        check_walks(&s, &t, 1, true);
        check_source(&s, &t, 1);
        omi_table_close(t, true);
        sample_destroy(&s);
        teardown();
    }
}

Test(table, a_filter_counts_a_key_of_many_versions_once)
{
    setup(1 << 20);
    struct sample s = {.entries = calloc(3000, sizeof(struct omi_entry)), .count = 3000};
    for (uint32_t i = 0; i < s.count; i++)
        s.entries[i] = (struct omi_entry){(const uint8_t *)"key", NULL,
                                          omi_trailer(s.count - i, OMI_KIND_PUT), 3, 0};
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    cr_assert(omi_table_has_filter(t));
    cr_assert_lt(omi_table_props(t)->filter_bytes, 1000);
    check_lookups(&s, t);
    check_walks(&s, &t, 1, true);
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

/* ---- hostile files --------------------------------------------------------------------------- */

static struct omi_file *open_write(void)
{
    struct omi_file *f;
    cr_assert_eq(omi_file_open(tenv.dir, "000001.sst", OMI_OPEN_WRITE, 0, &f), OMEN_OK);
    return f;
}

Test(table, a_truncated_file_is_corrupt_at_every_length)
{
    setup(0);
    struct sample s = sample_create(60, 30);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    uint64_t bytes = t->file_bytes;
    omi_table_close(t, true);
    struct omi_file *f = open_write();
    for (uint64_t size = bytes - 1; size < bytes; size--) {
        cr_assert_eq(env->ops->file_truncate(f, size), OMEN_OK);
        cr_assert_eq(omi_table_open(&tenv, 1, bytes, &t), OMEN_CORRUPT, "%lu bytes", size);
        cr_assert_eq(omi_table_open(&tenv, 1, size, &t), OMEN_CORRUPT, "%lu bytes", size);
    }
    cr_assert_eq(omi_file_close(f), OMEN_OK);
    sample_destroy(&s);
    teardown();
}

Test(table, blocks_that_changed_places_are_corrupt)
{
    setup(0);
    struct sample s = sample_create(2000, 0);
    for (uint32_t i = 0; i < s.count; i++) /* one size for all, so that blocks can be exchanged */
        s.entries[i].key = (const uint8_t *)calloc(1, 16), s.entries[i].key_size = 16,
        snprintf((char *)(uintptr_t)s.entries[i].key, 16, "%012u", i);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    struct omi_frame *frame;
    uint64_t off[2];
    uint32_t size[2], block[2] = {3, 4};
    locate(t, block[0], &off[0], &size[0]);
    do
        locate(t, ++block[1], &off[1], &size[1]);
    while (size[1] != size[0] && block[1] + 1 < omi_table_blocks(t));
    cr_assert_eq(size[0], size[1]);
    uint8_t *first = malloc(size[0]), *second = malloc(size[1]);
    cr_assert_eq(omi_table_read(t, off[0], size[0], first), OMEN_OK);
    cr_assert_eq(omi_table_read(t, off[1], size[1], second), OMEN_OK);
    struct omi_file *f = open_write();
    cr_assert_eq(omi_file_pwrite(f, second, size[1], off[0]), OMEN_OK);
    cr_assert_eq(omi_file_pwrite(f, first, size[0], off[1]), OMEN_OK);
    cr_assert_eq(omi_file_close(f), OMEN_OK);
    cr_assert_eq(omi_table_load(t, block[0], true, &frame), OMEN_CORRUPT);
    cr_assert_eq(omi_table_load(t, block[1], true, &frame), OMEN_CORRUPT);
    omi_table_close(t, true);
    free(first);
    free(second);
    for (uint32_t i = 0; i < s.count; i++)
        free((void *)(uintptr_t)s.entries[i].key);
    sample_destroy(&s);
    teardown();
}

static void footer_sign(uint8_t bytes[static OMI_TABLE_FOOTER_BYTES])
{
    omi_put_u64(bytes + 240, omi_checksum(bytes, 240, 0));
}

Test(table, a_footer_that_lies_under_a_valid_check_names_nothing_outside_the_file)
{
    enum { FILE_BYTES = 100000 };
    struct omi_table_footer footer = {.file_id = 7, .data_end = 64 * 1000};
    uint8_t bytes[OMI_TABLE_FOOTER_BYTES];
    for (int i = 0; i < OMI_SECTION_RANGE_DELETES; i++)
        footer.sections[i] = (struct omi_section_place){64000 + 1000 * (uint64_t)i, 1000, 5};
    for (size_t at = 0; at < 240 * 8; at++) {
        struct omi_table_footer f;
        omi_table_footer_encode(&footer, bytes);
        bytes[at / 8] ^= (uint8_t)(1 << at % 8);
        cr_assert_eq(omi_table_footer_decode(bytes, FILE_BYTES, "t", &f), OMEN_CORRUPT);
        footer_sign(bytes);
        omen_err err = omi_table_footer_decode(bytes, FILE_BYTES, "t", &f);
        cr_assert(err == OMEN_OK || err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED);
        if (err != OMEN_OK)
            continue;
        cr_assert_leq(f.data_end, FILE_BYTES - OMI_TABLE_FOOTER_BYTES);
        for (int i = 0; i < OMI_SECTIONS; i++)
            if (f.sections[i].size != 0) {
                cr_assert_geq(f.sections[i].off, f.data_end);
                cr_assert_leq(f.sections[i].off, FILE_BYTES);
                cr_assert_leq(f.sections[i].size, FILE_BYTES - f.sections[i].off);
            }
    }
}

Test(table, a_newer_format_is_unsupported)
{
    struct omi_table_footer footer = {.file_id = 7, .data_end = 64}, f;
    uint8_t bytes[OMI_TABLE_FOOTER_BYTES], header[OMI_TABLE_HEADER_BYTES];
    uint64_t file_id;
    omi_table_footer_encode(&footer, bytes);
    cr_assert_eq(omi_table_footer_decode(bytes, 1000, "t", &f), OMEN_OK, "%s", omen_last_error());
    omi_put_u32(bytes + 232, OMI_TABLE_FORMAT + 1);
    footer_sign(bytes);
    cr_assert_eq(omi_table_footer_decode(bytes, 1000, "t", &f), OMEN_UNSUPPORTED);
    omi_table_header_encode(7, 1, header);
    cr_assert_eq(omi_table_header_decode(header, "t", &file_id), OMEN_OK);
    cr_assert_eq(file_id, 7);
    omi_put_u32(header + 8, OMI_TABLE_FORMAT + 1);
    omi_put_u64(header + 56, omi_checksum(header, 56, 0));
    cr_assert_eq(omi_table_header_decode(header, "t", &file_id), OMEN_UNSUPPORTED);
}

Test(table, properties_of_any_bytes_parse_or_are_corrupt)
{
    struct omi_table_props props = {.entries = 300, .deletes = 5, .min_seq = 1, .max_seq = 900}, p;
    struct omi_buf bytes = {0};
    cr_assert_eq(omi_buf_append(&props.smallest, "apple", 5), OMEN_OK);
    cr_assert_eq(omi_buf_append(&props.largest, "pear", 4), OMEN_OK);
    cr_assert_eq(omi_table_props_encode(&props, &bytes), OMEN_OK);
    cr_assert_eq(omi_table_props_decode(bytes.data, bytes.size, "t", &p), OMEN_OK);
    cr_assert(p.entries == 300 && p.max_seq == 900 && p.largest.size == 4);
    omi_table_props_fini(&p);
    for (size_t at = 0; at < bytes.size * 8; at++) {
        uint8_t *copy = malloc(bytes.size); /* of the exact size, for the sanitizer */
        memcpy(copy, bytes.data, bytes.size);
        copy[at / 8] ^= (uint8_t)(1 << at % 8);
        omen_err err = omi_table_props_decode(copy, bytes.size, "t", &p);
        if (err == OMEN_OK)
            omi_table_props_fini(&p);
        else
            cr_assert_eq(err, OMEN_CORRUPT);
        free(copy);
    }
    for (size_t size = 0; size < bytes.size; size++) {
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, bytes.data, size);
        omen_err err = omi_table_props_decode(copy, size, "t", &p);
        if (err == OMEN_OK)
            omi_table_props_fini(&p);
        else
            cr_assert_eq(err, OMEN_CORRUPT);
        free(copy);
    }
    omi_buf_fini(&bytes);
    omi_table_props_fini(&props);
}

Test(table, a_bit_that_flips_on_the_way_is_read_again)
{
    setup(0);
    struct sample s = sample_create(300, 40);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    uint64_t bytes = t->file_bytes;
    omi_table_close(t, true);
    for (uint64_t nth = 1; nth <= 40; nth++) {
        omi_sim_fail(env, OMI_FAULT_FLIP, nth, false);
        cr_assert_eq(omi_table_open(&tenv, 1, bytes, &t), OMEN_OK, "read %lu: %s", nth,
                     omen_last_error());
        check_lookups(&s, t);
        check_source(&s, &t, 1);
        omi_sim_fail(env, OMI_FAULT_FLIP, 0, false);
        omi_table_close(t, true);
    }
    cr_assert_eq(tenv.index_rebuilt, 0);
    cr_assert_eq(tenv.filters_dropped, 0);
    sample_destroy(&s);
    teardown();
}

/* ---- verifying ------------------------------------------------------------------------------- */

Test(table, verify_names_every_damaged_block_and_reads_the_others)
{
    setup(0);
    struct sample s = sample_create(2000, 40);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    static const uint32_t hurt[] = {0, 2, 3, 9};
    for (int i = 0; i < 4; i++) {
        uint64_t off;
        uint32_t size;
        locate(t, hurt[i], &off, &size);
        /* the header too: it no longer says where the next block is */
        cr_assert_eq(omi_sim_damage(env, "/t", "000001.sst", off + (i % 2 == 0 ? 1 : 40), 1),
                     OMEN_OK);
    }
    struct omi_table_verdict verdict = {0};
    int problems = 0;
    cr_assert_eq(omi_table_verify(t, &verdict, count_problem, &problems), OMEN_CORRUPT);
    cr_assert_eq(problems, 4);
    cr_assert_eq(verdict.errors, 4);
    cr_assert_eq(verdict.blocks, omi_table_blocks(t) - 4);
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

/* Writes changed properties of the same length into the table's file, all checks valid. */
static void props_rewrite(struct omi_table *t, const struct omi_table_props *props)
{
    uint8_t bytes[OMI_TABLE_FOOTER_BYTES];
    struct omi_buf section = {0};
    struct omi_table_footer footer = t->footer;
    struct omi_section_place *place = &footer.sections[OMI_SECTION_PROPERTIES];
    cr_assert_eq(omi_table_props_encode(props, &section), OMEN_OK);
    cr_assert_eq(section.size, place->size);
    place->check = omi_checksum(section.data, section.size, footer.file_id ^ place->off);
    omi_table_footer_encode(&footer, bytes);
    struct omi_file *f = open_write();
    cr_assert_eq(omi_file_pwrite(f, section.data, section.size, place->off), OMEN_OK);
    cr_assert_eq(omi_file_pwrite(f, bytes, sizeof(bytes), t->file_bytes - sizeof(bytes)), OMEN_OK);
    cr_assert_eq(omi_file_close(f), OMEN_OK);
    omi_buf_fini(&section);
}

Test(table, verify_finds_properties_that_lie)
{
    setup(0);
    struct sample s = sample_create(2000, 40);
    for (int lie = 0; lie < 7; lie++) {
        struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE), *lying;
        struct omi_table_props props = t->props;
        struct omi_table_verdict verdict = {0};
        uint8_t *key = lie == 5 ? t->props.smallest.data : t->props.largest.data;
        switch (lie) {
        case 0: /* none */
            break;
        case 1:
            props.entries--;
            break;
        case 2:
            props.deletes++;
            break;
        case 3:
            props.max_seq--;
            break;
        case 4:
            props.raw_bytes--;
            break;
        case 5:
            key[0]--;
            break;
        default:
            key[0]++;
            break;
        }
        props_rewrite(t, &props);
        cr_assert_eq(omi_table_open(&tenv, 1, t->file_bytes, &lying), OMEN_OK, "%s",
                     omen_last_error());
        cr_assert_eq(omi_table_verify(lying, &verdict, NULL, NULL),
                     lie == 0 ? OMEN_OK : OMEN_CORRUPT, "lie %d", lie);
        cr_assert_eq(verdict.errors, lie != 0);
        omi_table_close(lying, true);
        omi_table_close(t, true);
        cr_assert_eq(omi_dir_unlink(tenv.dir, "000001.sst"), OMEN_OK);
    }
    sample_destroy(&s);
    teardown();
}

/* ---- the real file system -------------------------------------------------------------------- */

static int path_remove(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void round_trip_on_disk(bool direct, size_t value_max)
{
    char path[256];
    const char *base = getenv("TMPDIR"); /* /tmp is often in memory, where nothing is direct */
    snprintf(path, sizeof(path), "%s/omendb-table-XXXXXX", base != NULL ? base : "/var/tmp");
    cr_assert_not_null(mkdtemp(path));
    memset(&tenv, 0, sizeof(tenv));
    tenv.env = omi_env_posix(OMEN_IO_ENGINE_AUTO);
    tenv.direct = direct;
    cr_assert_eq(omi_dir_open(tenv.env, path, false, &tenv.dir), OMEN_OK);
    cr_assert_eq(omi_cache_create(1 << 20, &tenv.cache), OMEN_OK);
    struct sample s = sample_create(3000, value_max);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    struct omi_table_verdict verdict = {0};
    check_lookups(&s, t);
    check_walks(&s, &t, 1, false);
    check_source(&s, &t, 1);
    cr_assert_eq(omi_table_verify(t, &verdict, NULL, NULL), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(verdict.entries, s.count);
    omi_table_close(t, true);
    sample_destroy(&s);
    cr_assert_eq(omi_cache_pinned(tenv.cache), 0);
    omi_cache_destroy(tenv.cache);
    omi_dir_close(tenv.dir);
    nftw(path, path_remove, 16, FTW_DEPTH | FTW_PHYS);
}

Test(table, is_the_same_on_disk_buffered_and_direct)
{
    round_trip_on_disk(false, 60);
    round_trip_on_disk(true, 60);
    round_trip_on_disk(true, 3000);
}
