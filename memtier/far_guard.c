#include "memtier/far_guard.h"

#include "io/base/sync.h"
#include "memtier/place.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#ifndef BUS_MCEERR_AR
#define BUS_MCEERR_AR 4
#define BUS_MCEERR_AO 5
#endif

/* ---- the table ------------------------------------------------------------------------------- */

enum { SLOTS = 2048 };

/* A version before and after, odd while the slot changes: the handler skips what changes under it,
 * which is never the chunk that somebody is reading in. */
struct slot {
    _Atomic uint32_t version;
    _Atomic(uint8_t *) bytes;
    _Atomic size_t size, unit_bytes;
    _Atomic(struct omi_guard_unit *) units;
    _Atomic(struct omi_guard_losses *) losses;
};

static struct {
    struct slot slot[SLOTS];
    _Atomic uint32_t used; /* no slot at or after it was ever set */
    _Atomic uint32_t page_bytes;
} table;

static struct omi_mutex table_mu = {PTHREAD_MUTEX_INITIALIZER};

static void slot_set(struct slot *s, const struct omi_guard_chunk *c)
{
    atomic_fetch_add(&s->version, 1);
    atomic_store(&s->bytes, c->bytes);
    atomic_store(&s->size, c->size);
    atomic_store(&s->unit_bytes, c->unit_bytes);
    atomic_store(&s->units, c->units);
    atomic_store(&s->losses, c->losses);
    atomic_fetch_add(&s->version, 1);
}

static bool slot_get(struct slot *s, struct omi_guard_chunk *c)
{
    uint32_t version = atomic_load(&s->version);
    c->bytes = atomic_load(&s->bytes);
    c->size = atomic_load(&s->size);
    c->unit_bytes = atomic_load(&s->unit_bytes);
    c->units = atomic_load(&s->units);
    c->losses = atomic_load(&s->losses);
    return version % 2 == 0 && atomic_load(&s->version) == version && c->size != 0;
}

int omi_guard_add(const struct omi_guard_chunk *chunk)
{
    int found = -1;
    omi_mutex_lock(&table_mu);
    atomic_store(&table.page_bytes, (uint32_t)omi_place_page_bytes());
    for (int i = 0; i < SLOTS && found < 0; i++)
        if (atomic_load(&table.slot[i].size) == 0)
            found = i;
    if (found >= 0) {
        slot_set(&table.slot[found], chunk);
        if (atomic_load(&table.used) <= (uint32_t)found)
            atomic_store(&table.used, (uint32_t)found + 1);
    }
    omi_mutex_unlock(&table_mu);
    return found;
}

void omi_guard_drop(int slot)
{
    if (slot < 0)
        return;
    omi_mutex_lock(&table_mu);
    slot_set(&table.slot[slot], &(struct omi_guard_chunk){0});
    omi_mutex_unlock(&table_mu);
}

/* ---- repair ---------------------------------------------------------------------------------- */

static bool chunk_find(uintptr_t address, struct omi_guard_chunk *out)
{
    uint32_t used = atomic_load(&table.used);
    for (uint32_t i = 0; i < used; i++)
        if (slot_get(&table.slot[i], out) && address >= (uintptr_t)out->bytes &&
            address - (uintptr_t)out->bytes < out->size)
            return true;
    return false;
}

/* In one step where the system can: readers see the lost page or 0xFF, never anything between. */
static bool page_replace(uint8_t *at, size_t page)
{
    uint8_t *fresh = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED)
        return false;
    memset(fresh, 0xff, page);
    if (mremap(fresh, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, at) != MAP_FAILED)
        return true;
    munmap(fresh, page);
    return false;
}

static void units_mark(const struct omi_guard_chunk *c, size_t from, size_t to)
{
    for (size_t u = from / c->unit_bytes; u < (to + c->unit_bytes - 1) / c->unit_bytes; u++) {
        _Atomic uint8_t *damaged = atomic_load(&c->units[u].damaged);
        if (damaged != NULL && atomic_exchange(damaged, 1) == 0)
            atomic_fetch_add(&c->losses->extents, 1);
        if (atomic_exchange(&c->units[u].lost, 1) == 0)
            atomic_fetch_add(&c->losses->bytes, c->unit_bytes);
    }
}

bool omi_guard_repair(const void *address, size_t length)
{
    struct omi_guard_chunk c;
    size_t page = atomic_load(&table.page_bytes);
    if (page == 0 || !chunk_find((uintptr_t)address, &c))
        return false;
    if (length < page)
        length = page;
    if (length > c.size)
        length = c.size;
    size_t off = (uintptr_t)address - (uintptr_t)c.bytes;
    size_t from = off / length * length, to = from + length < c.size ? from + length : c.size;
    units_mark(&c, from, to);
    for (size_t at = from; at < to; at += page)
        if (!page_replace(c.bytes + at, page))
            return false;
    return true;
}

/* ---- the handler ----------------------------------------------------------------------------- */

static struct sigaction before; /* what was there; set before the handler is, never while it is */
static uint32_t installed;      /* by so many; table_mu */
static bool standing;           /* it is somewhere in the chain of handlers; table_mu */

/* As if the handler were not there. */
static void chain(int signum, siginfo_t *info, void *context)
{
    if ((before.sa_flags & SA_SIGINFO) != 0) {
        before.sa_sigaction(signum, info, context);
    } else if (before.sa_handler == SIG_IGN && info->si_code <= 0) {
        return; /* a signal that somebody sent; one from an access cannot be ignored */
    } else if (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN) {
        signal(signum, SIG_DFL);
        raise(signum); /* comes when this handler returns */
    } else {
        before.sa_handler(signum);
    }
}

static void on_sigbus(int signum, siginfo_t *info, void *context)
{
    int saved = errno;
    bool ours = false;
    struct omi_guard_chunk c;
    if (info->si_code == BUS_MCEERR_AR)
        ours = omi_guard_repair(info->si_addr, (size_t)1 << info->si_addr_lsb % 32);
    else if (info->si_code == BUS_MCEERR_AO) /* a warning: nobody has run into it yet */
        ours = chunk_find((uintptr_t)info->si_addr, &c);
    if (!ours)
        chain(signum, info, context);
    errno = saved;
}

bool omi_guard_install(void)
{
    struct sigaction mine = {.sa_sigaction = on_sigbus,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&mine.sa_mask);
    omi_mutex_lock(&table_mu);
    if (!standing)
        standing = sigaction(SIGBUS, NULL, &before) == 0 && sigaction(SIGBUS, &mine, NULL) == 0;
    bool ok = standing;
    installed += ok;
    omi_mutex_unlock(&table_mu);
    return ok;
}

/* Somebody who installed a handler after this one chains to it: then it stays, and serves again when it
 * is next installed. */
void omi_guard_remove(void)
{
    struct sigaction now;
    omi_mutex_lock(&table_mu);
    if (installed == 1 && sigaction(SIGBUS, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 &&
        now.sa_sigaction == on_sigbus)
        standing = sigaction(SIGBUS, &before, NULL) != 0;
    installed -= installed != 0;
    omi_mutex_unlock(&table_mu);
}
