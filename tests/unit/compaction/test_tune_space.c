/* The list of shapes that the tuner chooses from. */
#include "compaction/tune_random.h"
#include "compaction/tune_space.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(tune_space, .timeout = 30);

static const struct omi_space_limits roomy = {.memory_bytes = 64 << 20, .entries = 1000000};

static struct omi_tune_space space_make(const struct omi_space_limits *limits, const char *text)
{
    struct omi_tune_space space;
    cr_assert_eq(omi_space_make(limits, text, &space), OMEN_OK, "%s", omen_last_error());
    return space;
}

Test(tune_space, all_points_are_distinct_valid_and_about_2450)
{
    struct omi_tune_space s = space_make(&roomy, NULL);
    cr_assert_eq(s.count, 2450);
    for (uint32_t i = 0; i < s.count; i++) {
        struct omi_shape shape;
        cr_assert_eq(omi_point_check(&roomy, &s.points[i]), OMEN_OK);
        omi_point_shape(&roomy, &s.points[i], &shape);
        cr_assert_eq(omi_shape_check(&shape), OMEN_OK);
        cr_assert_eq(omi_space_find(&s, &s.points[i]), i);
        cr_assert(s.points[i].runs_upper < s.points[i].size_ratio);
    }
    omi_space_fini(&s);
}

Test(tune_space, memory_is_dealt_out_whole)
{
    struct omi_tune_space s = space_make(&roomy, NULL);
    for (uint32_t i = 0; i < s.count; i++)
        cr_assert_eq(omi_point_memtable_bytes(&roomy, &s.points[i]) +
                         omi_point_filter_bytes(&roomy, &s.points[i]) +
                         omi_point_cache_bytes(&roomy, &s.points[i]),
                     roomy.memory_bytes);
    omi_space_fini(&s);
}

Test(tune_space, points_without_room_for_a_memtable_are_none)
{
    struct omi_space_limits tight = {.memory_bytes = 270000, .entries = 100000};
    struct omi_tune_space s = space_make(&tight, NULL);
    for (uint32_t i = 0; i < s.count; i++)
        cr_assert_geq(omi_point_memtable_bytes(&tight, &s.points[i]), 65536);
    struct omi_point p = {6, 4, 1, 12, 0}; /* 233 KB of filters */
    uint32_t at;
    cr_assert_eq(omi_space_add(&s, &p, &at), OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "memtable") != NULL, "%s", omen_last_error());
    p.filter_bits = 10;
    cr_assert_eq(omi_space_add(&s, &p, &at), OMEN_OK);
    cr_assert_eq(at, s.count - 1);
    cr_assert_eq(omi_space_add(&s, &p, &at), OMEN_OK, "a second time it is there");
    cr_assert_eq(at, s.count - 1);
    omi_space_fini(&s);
    tight.memory_bytes = 60000;
    cr_assert_eq(omi_space_make(&tight, NULL, &s), OMEN_INVALID);
    tight.entries = UINT64_MAX;
    cr_assert_eq(omi_space_make(&tight, NULL, &s), OMEN_INVALID);
}

Test(tune_space, restrictions_replace_an_axis)
{
    struct omi_tune_space s = space_make(&roomy, "T=4,10;K=1,T-1,T/2;Z=1;h=7;cache=0,33");
    cr_assert_eq(s.count, 2 * 3 * 2);
    for (uint32_t i = 0; i < s.count; i++) {
        cr_assert_eq(s.points[i].filter_bits, 7);
        cr_assert_eq(s.points[i].runs_last, 1);
    }
    omi_space_fini(&s);
    s = space_make(&roomy, "T=4,4;K=1,1,9;Z=1;h=0;cache=0");
    cr_assert_eq(s.count, 2, "K=9 is K=3 at T=4, and nothing is listed twice");
    omi_space_fini(&s);
    s = space_make(&roomy, "");
    cr_assert_eq(s.count, 2450);
    omi_space_fini(&s);
}

Test(tune_space, wrong_restrictions_are_named)
{
    static const struct {
        const char *text, *told;
    } wrong[] = {{"T=1", "T=1"},      {"T=", "T="},       {"K=65", "K=65"},
                 {"X=3", "X=3"},      {"T", "\"T\""},     {"h=4,x", "h=x"},
                 {"T=T-1", "T=T-1"},  {"cache=96", "96"}, {"T=4;;K=1", "\"\""},
                 {"T=4,", "T="},      {"K=T-2", "K=T-2"}, {"T=99999999999999999999", "T=9999"},
                 {"T=4 ;K=1", "T=4 "}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct omi_tune_space s;
        cr_assert_eq(omi_space_make(&roomy, wrong[i].text, &s), OMEN_INVALID, "%s", wrong[i].text);
        cr_assert(strstr(omen_last_error(), wrong[i].told) != NULL, "%s: %s", wrong[i].text,
                  omen_last_error());
        cr_assert_null(s.points);
    }
    char many[400] = "T=2";
    for (int i = 0; i < 40; i++)
        strcat(many, ",3");
    struct omi_tune_space s;
    cr_assert_eq(omi_space_make(&roomy, many, &s), OMEN_INVALID);
}

Test(tune_space, options_come_back_as_the_point)
{
    struct omi_space_limits odd = {.memory_bytes = 12345677, .entries = 777777};
    const struct omi_space_limits *both[] = {&roomy, &odd};
    for (int k = 0; k < 2; k++) {
        struct omi_tune_space s = space_make(both[k], k == 0 ? "h=0,4,10" : NULL);
        for (uint32_t i = 0; i < s.count; i++) {
            char text[OMI_POINT_TEXT];
            struct omi_point p;
            omi_point_options(both[k], &s.points[i], text);
            cr_assert_eq(omi_point_parse(both[k], text, &p), OMEN_OK, "%s: %s", text,
                         omen_last_error());
            cr_assert(omi_point_same(&p, &s.points[i]), "%s", text);
        }
        omi_space_fini(&s);
    }
}

Test(tune_space, wrong_options_are_named)
{
    static const struct {
        const char *text, *told;
    } wrong[] = {
        {"size_ratio=6", "runs_upper is missing"},
        {"size_ratio=6,size_ratio=6", "twice"},
        {"size_ratio=six", "size_ratio is \"six\""},
        {"goal=reads", "goal"},
        {"size_ratio", "size_ratio is \"\""},
        {"size_ratio=1,runs_upper=1,runs_last=1,filter_bits=10,cache_bytes=1", "T is 1"},
        {"size_ratio=4,runs_upper=1,runs_last=1,filter_bits=10,cache_bytes=99999999999", "memory"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct omi_point p;
        cr_assert_eq(omi_point_parse(&roomy, wrong[i].text, &p), OMEN_INVALID, "%s", wrong[i].text);
        cr_assert(strstr(omen_last_error(), wrong[i].told) != NULL, "%s: %s", wrong[i].text,
                  omen_last_error());
    }
}

Test(tune_space, neighbours_are_one_step_away_and_mutual_on_plain_axes)
{
    struct omi_tune_space s = space_make(&roomy, NULL);
    struct omi_point p = {6, 2, 1, 8, 20};
    uint32_t at = omi_space_find(&s, &p), out[OMI_NEIGHBOURS_MAX];
    cr_assert_neq(at, UINT32_MAX);
    static const struct omi_point want[] = {{5, 2, 1, 8, 20},  {8, 2, 1, 8, 20}, {6, 1, 1, 8, 20},
                                            {6, 3, 1, 8, 20},  {6, 2, 2, 8, 20}, {6, 2, 1, 6, 20},
                                            {6, 2, 1, 10, 20}, {6, 2, 1, 8, 10}, {6, 2, 1, 8, 40}};
    uint32_t count = omi_space_neighbours(&s, at, out);
    cr_assert_eq(count, 9);
    for (uint32_t i = 0; i < count; i++)
        cr_assert(omi_point_same(&s.points[out[i]], &want[i]), "%u", i);

    /* tiering stays tiering when T moves */
    p = (struct omi_point){6, 5, 5, 8, 20};
    count = omi_space_neighbours(&s, omi_space_find(&s, &p), out);
    cr_assert_eq(s.points[out[0]].size_ratio, 5);
    cr_assert_eq(s.points[out[0]].runs_upper, 4);
    cr_assert_eq(s.points[out[0]].runs_last, 4);
    cr_assert_eq(s.points[out[1]].runs_upper, 7);
    omi_space_fini(&s);
}

Test(tune_space, every_point_can_be_reached)
{
    struct omi_tune_space s = space_make(&roomy, NULL);
    static uint32_t queue[4096];
    static bool seen[4096];
    uint32_t head = 0, tail = 0;
    seen[queue[tail++] = 17] = true;
    while (head < tail) {
        uint32_t out[OMI_NEIGHBOURS_MAX], count = omi_space_neighbours(&s, queue[head++], out);
        for (uint32_t i = 0; i < count; i++)
            if (!seen[out[i]])
                seen[queue[tail++] = out[i]] = true;
    }
    cr_assert_eq(tail, s.count);
    omi_space_fini(&s);
}

Test(tune_space, the_grid_has_96_points_and_the_root_rule)
{
    struct omi_cost_data data = {.entries = 1e6,
                                 .entry_bytes = 1000,
                                 .page_bytes = 4096,
                                 .scan_entries = 4,
                                 .filter_bits = 10,
                                 .filters = OMI_COST_MONKEY,
                                 .prices = omi_cost_prices_default};
    const double mix[OMI_TUNE_OPS] = {0.01, 0.01, 0.09, 0.89};
    struct omi_tune_space s;
    cr_assert_eq(omi_space_grid(&roomy, &data, mix, &s), OMEN_OK);
    /* T=2 has one shape; at T=4 the rule says K=3 of 1, 3, 3, 3x3 */
    cr_assert_eq(omi_cost_runs_prior(&data, 6, mix, 0) > 3, true);
    cr_assert_leq(s.count, 96);
    cr_assert_geq(s.count, 60);
    struct omi_point p = {10, (uint16_t)(omi_cost_runs_prior(&data, 10, mix, 0) + 0.5), 1, 6, 20};
    cr_assert_neq(omi_space_find(&s, &p), UINT32_MAX);
    cr_assert(p.runs_upper > 1 && p.runs_upper < 9, "K %u", p.runs_upper);
    omi_space_fini(&s);
}

Test(tune_space, hostile_texts_do_no_harm)
{
    static const char letters[] = "TKZhcache=,;-/0123456789 runs_upper size_ratio";
    struct omi_random rng = {20261125};
    for (int round = 0; round < 20000; round++) {
        char text[64];
        size_t size = omi_random_below(&rng, sizeof(text) - 1);
        for (size_t i = 0; i < size; i++)
            text[i] = letters[omi_random_below(&rng, sizeof(letters) - 1)];
        text[size] = 0;
        struct omi_tune_space s;
        struct omi_point p;
        if (omi_space_make(&roomy, text, &s) == OMEN_OK)
            omi_space_fini(&s);
        (void)!omi_point_parse(&roomy, text, &p);
    }
}
