/*
 * tune_calibrate.c - calibrate: what this disk and this processor charge, as prices for J_io.
 *
 * A scratch file is written and read past the page cache where the file system allows it; the
 * price of everything is then told in random reads of 4 KiB.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compaction/tune_random.h"
#include "tools/tune_flags.h"
#include "tools/tune_lines.h"

enum { PAGE = 4096, CHUNK = 1 << 20, PROBE_KEYS = 20000 };

struct figures {
    double random_us, read_us, write_us, probe_us; /* of a page; of a probe */
    bool direct;
};

struct scratch {
    char path[OMT_TUNE_PATH];
    int fd;
    bool direct;
    uint64_t bytes;
    uint8_t *buffer; /* CHUNK, aligned */
};

static bool tell(const char *path)
{
    fprintf(stderr,
            "omendb: tune calibrate: %s: %s; check the path, its permissions and the disk\n", path,
            strerror(errno));
    return false;
}

static bool scratch_open(struct scratch *s, const char *dir)
{
    char name[64];
    void *buffer = NULL;
    s->fd = -1;
    s->buffer = NULL;
    snprintf(name, sizeof(name), "omendb-calibrate-%ld", (long)getpid());
    if (!omt_lines_path(s->path, dir, name))
        return false;
    if (posix_memalign(&buffer, PAGE, CHUNK) != 0)
        return tell("a buffer");
    s->buffer = buffer;
    struct omi_random r = {1};
    for (size_t i = 0; i < CHUNK; i += 8) {
        uint64_t v = omi_random_next(&r);
        memcpy(s->buffer + i, &v, 8);
    }
    s->direct = true;
    s->fd = open(s->path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
    if (s->fd < 0 && errno == EINVAL) {
        s->direct = false;
        s->fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    }
    return s->fd >= 0 || tell(s->path);
}

static void scratch_close(struct scratch *s)
{
    if (s->fd >= 0) {
        close(s->fd);
        unlink(s->path);
    }
    free(s->buffer);
}

static void cache_drop(const struct scratch *s)
{
    if (!s->direct)
        posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* Each for seconds, or until the file is done; us of a page. */
static bool write_measure(struct scratch *s, uint64_t bytes, double seconds, double *us_out)
{
    double start = omt_now_s();
    for (s->bytes = 0; s->bytes < bytes; s->bytes += CHUNK) {
        if (s->bytes >= 16 * CHUNK && omt_now_s() - start > seconds)
            break;
        if (pwrite(s->fd, s->buffer, CHUNK, (off_t)s->bytes) != CHUNK)
            return tell(s->path);
    }
    if (fdatasync(s->fd) != 0)
        return tell(s->path);
    *us_out = (omt_now_s() - start) * 1e6 / ((double)s->bytes / PAGE);
    return true;
}

static bool read_measure(struct scratch *s, double seconds, double *us_out)
{
    uint64_t done = 0;
    cache_drop(s);
    double start = omt_now_s();
    for (uint64_t off = 0; off < s->bytes && omt_now_s() - start < seconds; off += CHUNK) {
        if (pread(s->fd, s->buffer, CHUNK, (off_t)off) != CHUNK)
            return tell(s->path);
        done += CHUNK;
    }
    *us_out = (omt_now_s() - start) * 1e6 / ((double)done / PAGE);
    return true;
}

static bool random_measure(struct scratch *s, double seconds, uint64_t seed, double *us_out)
{
    struct omi_random r = {seed};
    uint64_t done = 0, pages = s->bytes / PAGE;
    cache_drop(s);
    double start = omt_now_s(), now = start;
    for (; now - start < seconds; now = omt_now_s(), done++) {
        off_t off = (off_t)(omi_random_below(&r, pages) * PAGE);
        if (pread(s->fd, s->buffer, PAGE, off) != PAGE)
            return tell(s->path);
    }
    *us_out = (now - start) * 1e6 / (double)done;
    return true;
}

/* ---- the processor ------------------------------------------------------------------------------- */

/* Lookups of absent keys in a tree of many runs that lies in the cache: what they cost beyond a tree
 * of one run is the other runs' probes. */
static omen_err misses_time(omen_db *db, double seconds, double *us_out, double *probes_out)
{
    omen_stats before = {.struct_bytes = sizeof(before)}, after = before;
    char key[16] = "miss-----------";
    struct omi_random r = {7};
    uint64_t done = 0;
    size_t size;
    omen_err err = omen_get_stats(db, &before);
    double start = omt_now_s();
    while (err == OMEN_OK && omt_now_s() - start < seconds) {
        for (int i = 0; i < 64 && err == OMEN_OK; i++) {
            uint64_t n = omi_random_next(&r);
            memcpy(key, &n, 8);
            err = omen_get_into(db, NULL, (omen_slice){key, sizeof(key)}, NULL, 0, &size);
            err = err == OMEN_NOT_FOUND ? OMEN_OK : err;
            done++;
        }
    }
    double us = (omt_now_s() - start) * 1e6;
    if (err == OMEN_OK)
        err = omen_get_stats(db, &after);
    if (err == OMEN_OK) {
        *us_out = us / (double)done;
        *probes_out = (double)(after.filter_probes - before.filter_probes) / (double)done;
    }
    return err;
}

static omen_err keys_put(omen_db *db)
{
    struct omi_random r = {3};
    char key[16], value[100] = {0};
    omen_err err = OMEN_OK;
    for (uint32_t i = 0; i < PROBE_KEYS && err == OMEN_OK; i++) {
        uint64_t n = omi_random_next(&r);
        memcpy(key, &n, 8);
        memcpy(key + 8, &i, 4);
        memset(key + 12, 0, 4);
        err =
            omen_put(db, NULL, (omen_slice){key, sizeof(key)}, (omen_slice){value, sizeof(value)});
        if (err == OMEN_OK && i % (PROBE_KEYS / 16) == PROBE_KEYS / 16 - 1)
            err = omen_flush(db);
    }
    return err;
}

static omen_err probe_measure(const char *dir, double seconds, double *us_out)
{
    char path[OMT_TUNE_PATH];
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK | OMEN_NO_AUTO_COMPACT,
                      .memory_bytes = 64 << 20};
    omen_db *db = NULL;
    double many_us = 0, many = 0, one_us = 0, one = 0;
    int n = snprintf(path, sizeof(path), "%s/omendb-calibrate-%ld.db", dir, (long)getpid());
    if (n < 0 || n >= (int)sizeof(path))
        return omi_fail(OMEN_INVALID, 0, "the directory's path is too long");
    omen_err err = omen_open(path, &o, &db);
    if (err == OMEN_OK)
        err = keys_put(db);
    if (err == OMEN_OK)
        err = misses_time(db, seconds / 2, &many_us, &many);
    if (err == OMEN_OK)
        err = omen_compact(db, NULL, NULL);
    if (err == OMEN_OK)
        err = misses_time(db, seconds / 2, &one_us, &one);
    if (db != NULL) {
        omen_err closed = omen_close(db);
        omen_err gone = omen_destroy(path);
        err = err != OMEN_OK ? err : closed != OMEN_OK ? closed : gone;
    }
    *us_out = many > one && many_us > one_us ? (many_us - one_us) / (many - one) : 0;
    return err;
}

/* ---- the verb ------------------------------------------------------------------------------------ */

static bool figures_measure(const char *dir, uint64_t bytes, double seconds, uint64_t seed,
                            struct figures *f)
{
    struct scratch s;
    bool ok = scratch_open(&s, dir) && write_measure(&s, bytes, seconds * 0.4, &f->write_us) &&
              read_measure(&s, seconds * 0.2, &f->read_us) &&
              random_measure(&s, seconds * 0.25, seed, &f->random_us);
    f->direct = s.direct;
    scratch_close(&s);
    if (!ok)
        return false;
    omen_err err = probe_measure(dir, seconds * 0.1, &f->probe_us);
    if (err != OMEN_OK)
        omt_tell("tune calibrate", err);
    return err == OMEN_OK;
}

static void prices_of(const struct figures *f, struct omi_cost_prices *p)
{
    *p = omi_cost_prices_default;
    if (!(f->random_us > 0))
        return;
    p->scan_page = f->read_us / f->random_us;
    p->merge_read = f->read_us / f->random_us;
    p->merge_write = f->write_us / f->random_us;
    p->probe = f->probe_us / f->random_us;
}

struct answer {
    const struct figures *figures;
    struct omi_cost_prices prices;
};

static void answer_write(void *context, FILE *out)
{
    const struct answer *a = context;
    struct omt_json j = {.out = out};
    omt_json_object(&j, NULL);
    omt_json_text(&j, "what", "omendb tune prices");
    omt_json_f64(&j, "random_read_us", a->figures->random_us, 3);
    omt_json_f64(&j, "sequential_read_us", a->figures->read_us, 3);
    omt_json_f64(&j, "sequential_write_us", a->figures->write_us, 3);
    omt_json_f64(&j, "probe_us", a->figures->probe_us, 4);
    omt_json_bool(&j, "direct", a->figures->direct);
    omt_prices_write(&j, "prices", &a->prices);
    omt_json_object_end(&j);
    omt_json_end(&j);
}

static void answer_print(const struct answer *a, const char *path)
{
    const struct figures *f = a->figures;
    printf("of a page of 4 KiB%s:\n", f->direct ? "" : " (through the page cache: no direct I/O)");
    printf("  read at random       %8.2f us  %s1%s\n", f->random_us, omt_bold(), omt_plain());
    printf("  read in sequence     %8.2f us  %s%.4f%s\n", f->read_us, omt_bold(),
           a->prices.merge_read, omt_plain());
    printf("  written in sequence  %8.2f us  %s%.4f%s\n", f->write_us, omt_bold(),
           a->prices.merge_write, omt_plain());
    printf("a run asked            %8.4f us  %s%.6f%s\n", f->probe_us, omt_bold(), a->prices.probe,
           omt_plain());
    printf("written to %s; give it to the other verbs with --prices\n", path);
}

int omt_tune_calibrate(int argc, char **argv)
{
    double seconds = 15;
    uint64_t bytes = 512 << 20, seed = 1;
    const char *out = "prices.json";
    bool json = false;
    const struct omt_flag flags[] = {
        {"out", OMT_TEXT, &out, "FILE", "where the prices go (prices.json)", NULL},
        {"seconds", OMT_F64, &seconds, NULL, "about so long, 1 to 30 (15)", NULL},
        {"size", OMT_SIZE, &bytes, NULL, "of the scratch file (512M)", NULL},
        {"seed", OMT_U64, &seed, NULL, "of the places read (1)", NULL},
        {"json", OMT_BOOL, &json, NULL, "the file's text on stdout", NULL}};
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "tune calibrate",
        .usage = "omendb tune calibrate [flags] DIR",
        .text = "Measures what reading and writing pages costs on the disk of the directory DIR, "
                "and\nwhat asking a run costs the processor. Without such prices every page "
                "counts alike.",
        .examples = "  omendb tune calibrate /var/lib/mydata\n"
                    "  omendb tune calibrate . --seconds=5 --out=ssd.json\n"
                    "  omendb tune learn /tmp/t --workloads=W1 --prices=ssd.json\n"};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed != OMT_PARSE_OK) {
        omt_args_free(&args);
        return parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
    }
    int result = OMT_EXIT_USAGE;
    struct figures f = {0};
    if (args.word_count != 1)
        omt_usage("tune calibrate", "name a directory on the disk that is meant");
    else if (!(seconds >= 1 && seconds <= 30) || bytes < (16 << 20) || bytes > UINT64_C(64) << 30)
        omt_usage("tune calibrate", "--seconds is 1 to 30, --size 16M to 64G");
    else {
        result = OMT_EXIT_ERROR;
        if (figures_measure(args.words[0], bytes, seconds, seed, &f)) {
            struct answer a = {.figures = &f};
            prices_of(&f, &a.prices);
            result = omt_lines_replace(out, answer_write, &a) ? OMT_EXIT_OK : OMT_EXIT_ERROR;
            if (result == OMT_EXIT_OK && json)
                answer_write(&a, stdout);
            else if (result == OMT_EXIT_OK)
                answer_print(&a, out);
        }
    }
    omt_args_free(&args);
    return omt_stdout_end(result);
}
