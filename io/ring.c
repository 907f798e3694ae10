#include "io/ring.h"

#include "io/env_posix.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    DEPTH = 64,       /* in flight; the completion queue has twice the room, so never overflows */
    WAKE_MIN = 8,     /* completions worth a return to user space while more is to be submitted */
    RETRIES_MAX = 8,  /* of one interrupted read, then pread */
    STUCK_MAX = 1000, /* submissions in a row that neither took nor gave anything */
    RINGS_MAX = 512,  /* in this process; further threads use pread */
    WORKERS_MAX = 8,  /* kernel threads of a ring for reads that cannot wait asynchronously */
    SLOT_BITS = 8,
    ABANDON_MS_MAX = 30000
};
#define READ_BYTES_MAX ((size_t)1 << 30)

/* Set-up flags from the best down. A list of errnos that mean "try less" has been wrong in every
 * program that had one, so any error means it. */
static const struct {
    unsigned flags;
    const char *why;
} ladder[] = {
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
         IORING_SETUP_CLAMP,
     "single-issuer, deferred task run"},
    {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CLAMP, "cooperative task run"},
    {IORING_SETUP_CLAMP, "plain ring"},
};
enum { RUNGS = sizeof(ladder) / sizeof(ladder[0]) };

struct slot {
    struct omi_read *read; /* NULL: free */
    uint64_t tag;          /* of the one request in flight; never used twice */
    unsigned retries;
};

struct thread_ring {
    struct io_uring ring;
    uint64_t tag_last;
    unsigned free_count;
    bool broken; /* nothing may be submitted any more */
    uint8_t free[DEPTH];
    struct slot slots[DEPTH];
};

static pthread_once_t probe_once = PTHREAD_ONCE_INIT;
static int probe_rung = -1; /* written under probe_once; so is probe_why */
static char probe_why[128];
static pthread_key_t ring_key;
static atomic_bool forked;
static atomic_int ring_count;
static _Thread_local struct thread_ring *ring_mine;
static _Thread_local bool ring_refused;

/* ---- set-up ---------------------------------------------------------------------------------- */

/* 0 or an errno. */
static int ring_init(struct io_uring *ring, unsigned flags)
{
    struct io_uring_params params = {.flags = flags};
    int r = io_uring_queue_init_params(DEPTH, ring, &params);
    if (r < 0)
        return -r;
    if ((params.features & IORING_FEAT_NODROP) == 0 || params.sq_entries < DEPTH) {
        io_uring_queue_exit(ring);
        return EOPNOTSUPP;
    }
    return 0;
}

static bool ring_can_read(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool can = probe != NULL && io_uring_opcode_supported(probe, IORING_OP_READ) != 0;
    io_uring_free_probe(probe);
    return can;
}

/* The parent's rings are mapped here too, but belong to the parent's threads. */
static void fork_child(void)
{
    atomic_store(&forked, true);
}

static void thread_end(void *value)
{
    struct thread_ring *t = value;
    ring_mine = NULL;
    if (atomic_load(&forked))
        return;
    io_uring_queue_exit(&t->ring);
    free(t);
    atomic_fetch_sub(&ring_count, 1);
}

static void probe(void)
{
    int errnum = pthread_key_create(&ring_key, thread_end);
    if (errnum == 0)
        errnum = pthread_atfork(NULL, NULL, fork_child);
    if (errnum != 0) {
        snprintf(probe_why, sizeof(probe_why), "thread keys: %s", strerror(errnum));
        return;
    }
    for (int rung = 0; rung < RUNGS && probe_rung < 0; rung++) {
        struct io_uring ring;
        errnum = ring_init(&ring, ladder[rung].flags);
        if (errnum != 0)
            continue;
        if (ring_can_read(&ring))
            probe_rung = rung;
        else
            errnum = EOPNOTSUPP;
        io_uring_queue_exit(&ring);
    }
    if (probe_rung >= 0)
        snprintf(probe_why, sizeof(probe_why), "%s", ladder[probe_rung].why);
    else
        snprintf(probe_why, sizeof(probe_why), "io_uring_setup: %s", strerror(errnum));
}

bool omi_ring_usable(const char **why_out)
{
    pthread_once(&probe_once, probe);
    if (atomic_load(&forked)) {
        *why_out = "forked from a process that uses io_uring";
        return false;
    }
    *why_out = probe_why;
    return probe_rung >= 0;
}

static struct thread_ring *ring_make(void)
{
    if (atomic_fetch_add(&ring_count, 1) >= RINGS_MAX)
        goto uncount;
    struct thread_ring *t = calloc(1, sizeof(*t));
    if (t == NULL)
        goto uncount;
    if (ring_init(&t->ring, ladder[probe_rung].flags) != 0)
        goto free_ring;
    if (pthread_setspecific(ring_key, t) != 0)
        goto exit_ring;
    /* Both only make it cheaper. */
    (void)io_uring_register_ring_fd(&t->ring);
    unsigned workers[2] = {WORKERS_MAX, WORKERS_MAX};
    (void)io_uring_register_iowq_max_workers(&t->ring, workers);
    for (unsigned i = 0; i < DEPTH; i++)
        t->free[t->free_count++] = (uint8_t)i;
    return t;

exit_ring:
    io_uring_queue_exit(&t->ring);
free_ring:
    free(t);
uncount:
    atomic_fetch_sub(&ring_count, 1);
    return NULL;
}

static struct thread_ring *ring_of_thread(void)
{
    const char *why;
    if (ring_refused || !omi_ring_usable(&why))
        return NULL;
    if (ring_mine == NULL) {
        ring_mine = ring_make();
        ring_refused = ring_mine == NULL; /* for good: a limit that is reached stays so */
    }
    return ring_mine;
}

/* ---- one batch ------------------------------------------------------------------------------- */

static unsigned busy_count(const struct thread_ring *t)
{
    return DEPTH - t->free_count;
}

static void slot_submit(struct thread_ring *t, unsigned index)
{
    struct slot *s = &t->slots[index];
    const struct omi_read *read = s->read;
    size_t left = read->size - read->got;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&t->ring);
    assert(sqe != NULL); /* one request a slot, and as many entries as slots */
    io_uring_prep_read(sqe, omi_posix_file_of(read->file)->fd, (uint8_t *)read->buffer + read->got,
                       (unsigned)(left < READ_BYTES_MAX ? left : READ_BYTES_MAX),
                       read->off + read->got);
    s->tag = ++t->tag_last;
    io_uring_sqe_set_data64(sqe, s->tag << SLOT_BITS | index);
}

static void slot_free(struct thread_ring *t, unsigned index)
{
    t->slots[index].read = NULL;
    t->free[t->free_count++] = (uint8_t)index;
}

static void read_start(struct thread_ring *t, struct omi_read *read)
{
    read->got = 0;
    read->err = OMEN_OK;
    if (read->size == 0 || !omi_posix_range_fits(read->off, read->size)) {
        omi_posix_read_rest(read); /* has the words */
        return;
    }
    unsigned index = t->free[--t->free_count];
    t->slots[index] = (struct slot){.read = read};
    slot_submit(t, index);
}

static void read_fail(struct omi_read *read, int errnum)
{
    char doing[96];
    snprintf(doing, sizeof(doing), "reading %zu bytes at %" PRIu64, read->size, read->off);
    read->err = omi_posix_fail(errnum, omi_posix_file_of(read->file)->path, doing);
}

static void slot_complete(struct thread_ring *t, unsigned index, int res)
{
    struct slot *s = &t->slots[index];
    struct omi_read *read = s->read;
    bool again = false, by_hand = false;
    if (res > 0) {
        read->got += (size_t)res;
        /* A direct read ends unaligned only where the file does. */
        bool end = omi_posix_file_of(read->file)->direct && res % 512 != 0;
        again = read->got < read->size && !end;
    } else if (res == -EINTR || res == -EAGAIN) {
        again = ++s->retries <= RETRIES_MAX;
        by_hand = !again;
    } else if (res == -ECANCELED || res == -EOPNOTSUPP) {
        by_hand = true;
    } else if (res < 0) {
        read_fail(read, -res);
    }
    if (again && !t->broken) {
        slot_submit(t, index);
        return;
    }
    if (again || by_hand)
        omi_posix_read_rest(read);
    slot_free(t, index);
}

static unsigned reap(struct thread_ring *t)
{
    unsigned reaped = 0;
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&t->ring, &cqe) == 0 && cqe != NULL) {
        uint64_t data = io_uring_cqe_get_data64(cqe);
        int res = cqe->res;
        io_uring_cqe_seen(&t->ring, cqe);
        unsigned index = (unsigned)(data & ((1u << SLOT_BITS) - 1));
        /* A completion that is not of a live request must not touch anybody's buffer. */
        if (index >= DEPTH || t->slots[index].read == NULL ||
            t->slots[index].tag != data >> SLOT_BITS)
            continue;
        slot_complete(t, index, res);
        reaped++;
    }
    return reaped;
}

/* Entering the ring fails for good (a seccomp filter installed since, a descriptor closed by
 * mistake). What the kernel never took is ours again; what it has must end first, or it would write
 * into memory that its owner has reused. */
static void ring_abandon(struct thread_ring *t)
{
    t->broken = true;
    for (unsigned ms = 0; busy_count(t) > io_uring_sq_ready(&t->ring); ms++) {
        if (ms == ABANDON_MS_MAX) {
            fprintf(stderr,
                    "omendb: io_uring lost %u reads in flight; their buffers are not safe\n",
                    busy_count(t));
            abort();
        }
        (void)io_uring_get_events(&t->ring); /* deferred completions show only then */
        if (reap(t) == 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    for (unsigned i = 0; i < DEPTH; i++) {
        if (t->slots[i].read == NULL)
            continue;
        omi_posix_read_rest(t->slots[i].read);
        slot_free(t, i);
    }
    pthread_setspecific(ring_key, NULL);
    thread_end(t);
    ring_refused = true;
}

/* False when the ring is gone; *next_io reads were begun, and are done. */
static bool batch_run(struct thread_ring *t, struct omi_read *reads, size_t count, size_t *next_io)
{
    size_t next = 0;
    unsigned stuck = 0;
    while (next < count || busy_count(t) > 0) {
        while (next < count && t->free_count > 0)
            read_start(t, &reads[next++]);
        unsigned want = busy_count(t);
        if (want == 0)
            continue;
        if (next < count && want > WAKE_MIN)
            want = WAKE_MIN;
        int r = io_uring_submit_and_wait(&t->ring, want);
        unsigned reaped = reap(t);
        bool soft = r >= 0 || r == -EINTR || r == -EAGAIN || r == -EBUSY;
        stuck = reaped > 0 || r > 0 ? 0 : stuck + 1;
        if (!soft || (r != -EINTR && stuck > STUCK_MAX)) {
            *next_io = next;
            ring_abandon(t);
            return false;
        }
    }
    *next_io = next;
    return true;
}

bool omi_ring_read_batch(struct omi_read *reads, size_t count)
{
    struct thread_ring *t = ring_of_thread();
    if (t == NULL)
        return false;
    size_t next = 0;
    if (batch_run(t, reads, count, &next))
        return true;
    for (; next < count; next++) {
        reads[next].got = 0;
        omi_posix_read_rest(&reads[next]);
    }
    return true;
}
