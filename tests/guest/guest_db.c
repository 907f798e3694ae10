/*
 * guest_db.c - a whole database on a machine that has far memory: the same answers as without, its last
 * level's filters and models on the far node, page by page as the system tells, and again after pages of
 * it have gone bad.
 *   guest_db [--no-far] [CASE]...    0: all passed
 */
#include "lsm/far.h"
#include "lsm/table_open.h"

#include <errno.h>
#include <inttypes.h>
#include <numaif.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif

enum { KEYS = 50000, PAGE = 4096, NEAR_NODE = 0, FAR_NODE = 1 };
static const char far_path[] = "/tmp/guest-far", near_path[] = "/tmp/guest-near";

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("    ", stdout);
    vprintf(format, args);
    va_end(args);
    fputs("\n", stdout);
    fflush(stdout);
    _exit(1);
}

#define REQUIRE(condition, ...)                                                                    \
    do                                                                                             \
        if (!(condition))                                                                          \
            fail(__VA_ARGS__);                                                                     \
    while (0)

static void must(omen_err err)
{
    REQUIRE(err == OMEN_OK, "%s: %s", omen_err_name(err), omen_last_error());
}

/* ---- databases ------------------------------------------------------------------------------- */

static uint64_t draws = 42;

static uint64_t draw(uint64_t n)
{
    uint64_t z = (draws += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % n;
}

static omen_db *open_at(const char *path, const char *options)
{
    omen_db *db;
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING,
                      .memory_bytes = 8u << 20,
                      .memtable_bytes = 256u << 10,
                      .target_file_bytes = 512u << 10,
                      .size_ratio = 3,
                      .runs_upper = 2};
    must(omen_options_from_string(options, &o));
    must(omen_open(path, &o, &db));
    return db;
}

static omen_slice key_of(uint64_t i, char out[static 24])
{
    int n = snprintf(out, 24, "key%013" PRIu64, i * 10);
    return (omen_slice){out, (size_t)n};
}

static void put_one(omen_db *db, uint64_t i, uint64_t value)
{
    char key[24];
    must(omen_put(db, NULL, key_of(i, key), (omen_slice){&value, sizeof(value)}));
}

static omen_db *make_db(const char *options)
{
    must(omen_destroy(far_path));
    omen_db *db = open_at(far_path, options);
    for (uint64_t i = 0; i < KEYS; i++)
        put_one(db, i, i);
    must(omen_compact(db, NULL, NULL));
    must(omen_wait_idle(db));
    return db;
}

static void get_one(omen_db *db, uint64_t i, bool there)
{
    char key[24];
    omen_value v;
    omen_slice k = key_of(i, key);
    if (!there)
        key[k.size - 1]++;
    omen_err err = omen_get(db, NULL, k, &v);
    REQUIRE(err == (there ? OMEN_OK : OMEN_NOT_FOUND), "key %" PRIu64 ": %s %s", i,
            omen_err_name(err), omen_last_error());
    REQUIRE(err != OMEN_OK || (v.size == sizeof(i) && memcmp(v.data, &i, sizeof(i)) == 0),
            "key %" PRIu64 " has another value", i);
    omen_value_release(&v);
}

static void get_all(omen_db *db, uint64_t step)
{
    for (uint64_t i = 0; i < KEYS; i += step) {
        get_one(db, i, true);
        get_one(db, i, false);
    }
}

static omen_stats stats_of(omen_db *db)
{
    omen_stats s = {.struct_bytes = sizeof(s)};
    must(omen_get_stats(db, &s));
    return s;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- pages ----------------------------------------------------------------------------------- */

struct pages {
    uint64_t asked, on_node, extents;
};

/* Of the extents that say they are of the class. The database must be at rest. */
static void pages_add(struct pages *p, struct omi_extent *e, enum omi_extent_class place, int node)
{
    if (e == NULL || omi_extent_class(e) != place)
        return;
    uintptr_t from = (uintptr_t)omi_extent_bytes(e);
    p->extents++;
    for (uintptr_t at = from / PAGE * PAGE; at < from + omi_extent_size(e); at += PAGE) {
        void *page = (void *)at;
        int status = -1;
        REQUIRE(move_pages(0, 1, &page, NULL, &status, 0) == 0, "move_pages: %s", strerror(errno));
        p->asked++;
        p->on_node += status == node;
    }
}

static void each_extent(omen_db *db, void (*each)(void *ctx, struct omi_extent *e), void *ctx)
{
    struct omi_view *view = omi_view_ref(db);
    for (uint32_t r = 0; r < view->version->run_count; r++)
        for (uint32_t i = 0; i < view->version->runs[r].table_count; i++) {
            struct omi_table *t = view->version->runs[r].tables[i];
            for (uint32_t p = 0; p < t->filter.point_parts; p++)
                each(ctx, atomic_load(&t->filter.parts[p].extent));
            each(ctx, atomic_load(&t->lines));
        }
    omi_view_unref(view);
}

static void far_page(void *ctx, struct omi_extent *e)
{
    pages_add(ctx, e, OMI_EXTENT_FAR, FAR_NODE);
}

static void placement_line(void *ctx, const omen_table_info *t)
{
    (void)ctx;
    printf("    L%" PRIu32 " table %" PRIu64 ": near %" PRIu64 ", far %" PRIu64 " bytes\n",
           t->level, t->number, t->near_bytes, t->far_bytes);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void case_lies_far(void)
{
    omen_db *db = make_db("far=auto,near_model_bytes=none");
    omi_far_tick(db); /* what came down without a merge */
    struct pages p = {0};
    each_extent(db, far_page, &p);
    omen_stats s = stats_of(db);
    must(omen_list_tables(db, placement_line, NULL));
    printf("    node %" PRIu32 ": %" PRIu64 " extents, %" PRIu64 " of %" PRIu64
           " pages on it; verify: %" PRIu64 " of %" PRIu64 "\n",
           s.far_node, p.extents, p.on_node, p.asked, s.far_pages_on_node, s.far_pages_asked);
    REQUIRE(s.far == OMEN_FAR_NODE && s.far_node == FAR_NODE, "%s: %s", omen_far_name(s.far),
            s.far_why);
    REQUIRE(p.extents > 4 && p.on_node * 100 >= p.asked * 99, "fewer than 99 %%");
    REQUIRE(s.far_got[0][1] > s.far_got[0][0] && s.far_got[1][1] > s.far_got[1][0],
            "more is near than far");
    get_all(db, 5);
    must(omen_close(db));
}

static void random_op(omen_db *far, omen_db *near, uint64_t n)
{
    char key[24];
    omen_slice k = key_of(draw(KEYS), key);
    if (draw(3) == 0)
        key[k.size - 1]++;
    uint64_t what = draw(10);
    if (what < 5) {
        must(omen_put(far, NULL, k, (omen_slice){&n, sizeof(n)}));
        must(omen_put(near, NULL, k, (omen_slice){&n, sizeof(n)}));
        return;
    }
    if (what == 5) {
        must(omen_delete(far, NULL, k));
        must(omen_delete(near, NULL, k));
        return;
    }
    omen_value x, y;
    omen_err e = omen_get(far, NULL, k, &x), f = omen_get(near, NULL, k, &y);
    REQUIRE(e == f && x.size == y.size && (x.size == 0 || memcmp(x.data, y.data, x.size) == 0),
            "operation %" PRIu64 ": %s and %s", n, omen_err_name(e), omen_err_name(f));
    omen_value_release(&x);
    omen_value_release(&y);
}

static uint64_t scan_equal(omen_db *far, omen_db *near)
{
    omen_iter *x, *y;
    uint64_t n = 0;
    must(omen_iter_open(far, NULL, &x));
    must(omen_iter_open(near, NULL, &y));
    omen_iter_seek_first(x);
    omen_iter_seek_first(y);
    for (; omen_iter_valid(x) && omen_iter_valid(y); omen_iter_next(x), omen_iter_next(y), n++) {
        omen_slice a = omen_iter_key(x), b = omen_iter_key(y), c = omen_iter_value(x),
                   d = omen_iter_value(y);
        REQUIRE(a.size == b.size && memcmp(a.data, b.data, a.size) == 0 && c.size == d.size &&
                    memcmp(c.data, d.data, c.size) == 0,
                "entry %" PRIu64 " differs", n);
    }
    REQUIRE(!omen_iter_valid(x) && !omen_iter_valid(y), "one scan ends first");
    must(omen_iter_status(x));
    must(omen_iter_status(y));
    omen_iter_close(x);
    omen_iter_close(y);
    return n;
}

static void same_answers(const char *options, bool far_is_there)
{
    must(omen_destroy(far_path));
    must(omen_destroy(near_path));
    omen_db *far = open_at(far_path, options), *near = open_at(near_path, "far=none");
    for (uint64_t i = 0; i < KEYS; i++) {
        put_one(far, i, i);
        put_one(near, i, i);
    }
    for (uint64_t n = 0; n < 30000; n++) {
        random_op(far, near, n);
        if (n % 2000 == 0 && far_is_there)
            omi_far_tick(far);
    }
    must(omen_compact(far, NULL, NULL));
    uint64_t entries = scan_equal(far, near);
    omen_stats s = stats_of(far);
    omen_verify_report report = {.struct_bytes = sizeof(report)};
    must(omen_verify(far, &report, NULL, NULL));
    printf("    %s: %" PRIu64 " entries the same; filters asked far %" PRIu64 ", near %" PRIu64
           ", models %" PRIu64 " and %" PRIu64 "; %" PRIu64 " tables moved near, %" PRIu64
           " far; \"%s\"\n",
           options, entries, s.far_asked[0][1], s.far_asked[0][0], s.far_asked[1][1],
           s.far_asked[1][0], s.far_moved_tables[0], s.far_moved_tables[1], s.far_why);
    REQUIRE((s.far != OMEN_FAR_NONE) == far_is_there, "far memory: %s", omen_far_name(s.far));
    REQUIRE(!far_is_there || (s.far_asked[0][1] > 500 && s.far_asked[1][1] > 500),
            "hardly anything was far");
    REQUIRE(far_is_there || s.far_why[0] != 0, "nothing says why there is none");
    must(omen_close(far));
    must(omen_close(near));
}

static void case_same_answers(void)
{
    same_answers("far=auto,near_model_bytes=24K", true);
    same_answers("far=node:1,far_bytes=2M,near_model_bytes=none", true);
}

static void case_same_answers_without(void)
{
    same_answers("far=auto", false);
    same_answers("far=node:1,far_guard=on", false);
}

struct hot {
    struct pages near, far;
};

static void hot_page(void *ctx, struct omi_extent *e)
{
    struct hot *h = ctx;
    pages_add(&h->near, e, OMI_EXTENT_NEAR, NEAR_NODE);
    pages_add(&h->far, e, OMI_EXTENT_FAR, FAR_NODE);
}

static void case_the_hot_comes_near(void)
{
    omen_db *db = make_db("far=auto,near_model_bytes=24K");
    struct hot before = {0}, after = {0};
    omi_sample_set_every(db->sample, 0);
    for (int i = 0; i < 4; i++)
        omi_far_tick(db);
    each_extent(db, hot_page, &before);
    for (uint64_t i = 0; i < 3000; i++)
        get_one(db, 1000 + i, true);
    omi_far_tick(db);
    each_extent(db, hot_page, &after);
    omen_stats s = stats_of(db);
    printf("    extents far: %" PRIu64 ", then %" PRIu64 "; near by heat: %" PRIu64 " bytes\n",
           before.far.extents, after.far.extents, s.far_promoted_bytes);
    REQUIRE(s.far_promoted_bytes > 0 && after.far.extents < before.far.extents, "none came near");
    REQUIRE(after.near.on_node == after.near.asked, "some that are near lie elsewhere");
    REQUIRE(after.far.on_node * 100 >= after.far.asked * 99, "some that are far lie elsewhere");
    get_all(db, 7);
    must(omen_close(db));
}

/* ---- pages that go bad ------------------------------------------------------------------------- */

struct victims {
    struct omi_extent *filter, *model;
    uint64_t skip;
};

static void victim(void *ctx, struct omi_extent *e)
{
    struct victims *v = ctx;
    if (e == NULL || omi_extent_class(e) != OMI_EXTENT_FAR || omi_extent_damaged(e))
        return;
    if (v->skip > 0)
        v->skip--;
    else if (e->kind == OMI_EXTENT_FILTER)
        v->filter = v->filter == NULL ? e : v->filter;
    else
        v->model = v->model == NULL ? e : v->model;
}

static void poison(struct omi_extent *e)
{
    uintptr_t at = ((uintptr_t)omi_extent_bytes(e) + omi_extent_size(e) / 2) / PAGE * PAGE;
    REQUIRE(madvise((void *)at, PAGE, MADV_HWPOISON) == 0, "MADV_HWPOISON: %s", strerror(errno));
}

static void repaired_wait(omen_db *db, uint64_t count)
{
    double start = now_s();
    while (stats_of(db).far_repaired < count && now_s() - start < 10)
        get_all(db, 211);
    double took = now_s() - start;
    omen_stats s = stats_of(db);
    printf("    %" PRIu64 " damaged, %" PRIu64 " read again, the last after %.0f ms\n",
           s.far_damaged, s.far_repaired, took * 1e3);
    REQUIRE(s.far_repaired >= count && took < 1, "it takes longer than a second");
}

static void case_lost_pages(void)
{
    omen_db *db = make_db("far=auto,far_guard=on,near_model_bytes=none");
    REQUIRE(stats_of(db).far_guarded == 1, "not guarded: %s", stats_of(db).far_why);
    for (uint64_t round = 0; round < 3; round++) {
        struct victims v = {.skip = round};
        each_extent(db, victim, &v);
        REQUIRE(v.filter != NULL && v.model != NULL, "nothing is far");
        poison(v.filter);
        repaired_wait(db, 2 * round + 1);
        get_all(db, 7);
        poison(v.model);
        repaired_wait(db, 2 * round + 2);
        get_all(db, 7);
    }
    get_all(db, 1);
    omen_verify_report report = {.struct_bytes = sizeof(report)};
    must(omen_verify(db, &report, NULL, NULL));
    omen_stats s = stats_of(db);
    REQUIRE(s.far_damaged == 6 && s.far_lost_bytes >= 6 * PAGE && s.filters_damaged == 0,
            "%" PRIu64 " damaged, %" PRIu64 " bytes", s.far_damaged, s.far_lost_bytes);
    must(omen_compact(db, NULL, NULL));
    get_all(db, 5);
    must(omen_close(db));
}

static omen_db *shared;
static _Atomic bool stop;
static _Atomic uint64_t read_count;

static void *reader(void *arg)
{
    uint64_t at = (uintptr_t)arg * 7919;
    for (; !atomic_load(&stop); at += 17) {
        get_one(shared, at % KEYS, true);
        get_one(shared, at % KEYS, false);
        atomic_fetch_add(&read_count, 2);
    }
    return NULL;
}

static void case_lost_under_readers(void)
{
    enum { READERS = 3, ROUNDS = 10 };
    pthread_t threads[READERS];
    uint64_t poisoned = 0;
    shared = make_db("far=auto,far_guard=on,near_model_bytes=16K");
    for (uintptr_t i = 0; i < READERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, reader, (void *)i) == 0, "no thread");
    for (int round = 0; round < ROUNDS; round++) {
        struct victims v = {.skip = draw(4)};
        unsigned stripe = omi_counter_stripe();
        uint32_t grace = omi_grace_enter(&shared->tenv.filter_memory.grace, stripe);
        each_extent(shared, victim, &v);
        if (v.filter != NULL && round % 2 == 0) {
            poison(v.filter);
            poisoned++;
        }
        if (v.model != NULL && round % 2 != 0) {
            poison(v.model);
            poisoned++;
        }
        omi_grace_leave(&shared->tenv.filter_memory.grace, stripe, grace);
        usleep(300000);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    omen_stats s = stats_of(shared);
    printf("    %" PRIu64 " pages went bad under %" PRIu64 " lookups: %" PRIu64 " damaged, %" PRIu64
           " read again\n",
           poisoned, atomic_load(&read_count), s.far_damaged, s.far_repaired);
    REQUIRE(poisoned >= ROUNDS / 2 && s.far_damaged > 0 && s.far_repaired > 0,
            "hardly any was met");
    get_all(shared, 3);
    must(omen_close(shared));
}

/* ---- running --------------------------------------------------------------------------------- */

static const struct guest_case {
    const char *name;
    void (*run)(void);
    bool far; /* for machines with a far node; else for those without */
} cases[] = {
    {"lies_far", case_lies_far, true},
    {"same_answers", case_same_answers, true},
    {"the_hot_comes_near", case_the_hot_comes_near, true},
    {"lost_pages", case_lost_pages, true},
    {"lost_under_readers", case_lost_under_readers, true},
    {"same_answers_without", case_same_answers_without, false},
};

static bool case_run(const struct guest_case *c)
{
    double start = now_s();
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(90);
        c->run();
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    printf("%s %4.0f s  %s", ok ? "ok    " : "FAILED", now_s() - start, c->name);
    printf(WIFSIGNALED(status) ? ": signal %d\n" : "\n", WTERMSIG(status));
    return ok;
}

static bool asked_for(const struct guest_case *c, bool far, int argc, char **argv)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        any = any || argv[i][0] != '-';
        if (strcmp(argv[i], c->name) == 0)
            return true;
    }
    return !any && c->far == far;
}

int main(int argc, char **argv)
{
    bool far = argc < 2 || strcmp(argv[1], "--no-far") != 0;
    int failed = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (asked_for(&cases[i], far, argc, argv))
            failed += !case_run(&cases[i]);
    printf("%d failed\n", failed);
    return failed != 0;
}
