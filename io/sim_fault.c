/*
 * sim_fault.c - injected faults: which calls fail, how long slow ones take, and what a disk that
 * answers wrongly answers.
 */
#include "io/env_posix.h"
#include "io/sim.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { SLOW_US = 2000000, STUCK_US = 120000000, MORE_DRAWS = 8 };

/* ---- which calls ----------------------------------------------------------------------------- */

/* A rate draws from the call's number, so that it leaves the env's other draws as they are. */
bool omi_sim_trapped_locked(struct omi_sim_env *s, enum omi_sim_fault kind)
{
    struct omi_sim_trap *trap = &s->traps[kind];
    trap->calls++;
    bool fires = trap->left == 1;
    if (trap->left > 1 || (fires && !trap->persistent))
        trap->left--;
    if (trap->one_in != 0 &&
        omi_sim_draw(s->fault_seed, (uint64_t)kind, trap->calls) % trap->one_in == 0)
        fires = true;
    s->faults += fires;
    return fires;
}

void omi_sim_fail(struct omi_env *env, enum omi_sim_fault kind, uint64_t nth, bool persistent)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    assert((unsigned)kind < OMI_FAULT_KINDS && (kind != OMI_FAULT_NONE || nth == 0));
    omi_mutex_lock(&s->mu);
    for (unsigned i = 0; i < OMI_FAULT_KINDS && kind == OMI_FAULT_NONE; i++) {
        s->traps[i].left = 0;
        s->traps[i].one_in = 0;
    }
    s->traps[kind].left = nth;
    s->traps[kind].persistent = persistent;
    omi_mutex_unlock(&s->mu);
}

void omi_sim_fail_rate(struct omi_env *env, enum omi_sim_fault kind, uint64_t one_in)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    assert((unsigned)kind < OMI_FAULT_KINDS && kind != OMI_FAULT_NONE);
    omi_mutex_lock(&s->mu);
    s->traps[kind].one_in = one_in;
    omi_mutex_unlock(&s->mu);
}

uint64_t omi_sim_calls(const struct omi_env *env, enum omi_sim_fault kind)
{
    assert((unsigned)kind < OMI_FAULT_KINDS);
    return ((const struct omi_sim_env *)env)->traps[kind].calls;
}

uint64_t omi_sim_faults(const struct omi_env *env)
{
    return ((const struct omi_sim_env *)env)->faults;
}

void omi_sim_delay(struct omi_sim_env *s)
{
    uint64_t us = 0;
    omi_mutex_lock(&s->mu);
    if (omi_sim_trapped_locked(s, OMI_FAULT_SLOW))
        us += SLOW_US;
    if (omi_sim_trapped_locked(s, OMI_FAULT_STUCK))
        us += STUCK_US;
    omi_mutex_unlock(&s->mu);
    if (us != 0)
        s->base.ops->sleep_us(&s->base, us); /* other threads go on meanwhile */
}

omen_err omi_sim_open_fault_locked(struct omi_sim_env *s, const char *path)
{
    if (omi_sim_trapped_locked(s, OMI_FAULT_OPEN))
        return omi_posix_fail(EMFILE, path, "opening (injected)");
    return OMEN_OK;
}

/* ---- wrong answers --------------------------------------------------------------------------- */

/* The file itself, or as likely any file that has bytes. */
static const struct omi_sim_inode *inode_draw_locked(struct omi_sim_env *s,
                                                     const struct omi_sim_inode *inode)
    OMI_REQUIRES(s->mu)
{
    uint64_t count = 0, draw = omi_sim_random_locked(s);
    for (const struct omi_sim_inode *i = s->inodes; i != NULL; i = i->next)
        count += i->current->size != 0;
    if ((draw & 1) == 0 || count == 0)
        return inode;
    uint64_t pick = (draw >> 1) % count;
    const struct omi_sim_inode *i = s->inodes;
    while (i->current->size == 0 || pick-- != 0)
        i = i->next;
    return i;
}

/* What the disk says instead of sector number sector of a file. */
static void sector_wrong_locked(struct omi_sim_env *s, const struct omi_sim_inode *inode,
                                enum omi_sim_fault kind, uint64_t sector,
                                uint8_t out[static OMI_SIM_SECTOR]) OMI_REQUIRES(s->mu)
{
    const struct omi_sim_image *from = NULL;
    memset(out, 0, OMI_SIM_SECTOR);
    if (kind == OMI_FAULT_STALE) {
        from = inode->before;
    } else if (kind == OMI_FAULT_MISDIRECTED) {
        from = inode_draw_locked(s, inode)->current;
        uint64_t count = (from->size + OMI_SIM_SECTOR - 1) / OMI_SIM_SECTOR;
        sector = omi_sim_random_locked(s) % count;
    }
    if (from != NULL)
        (void)omi_sim_image_read(from, sector * OMI_SIM_SECTOR, out, OMI_SIM_SECTOR);
}

/* Puts it where the bytes [off, off+size) have it. False: that changes nothing. */
static bool sector_put(uint64_t sector, const uint8_t *wrong, uint64_t off, uint8_t *bytes,
                       size_t size)
{
    uint64_t at = sector * OMI_SIM_SECTOR, end = at + OMI_SIM_SECTOR;
    uint64_t from = at > off ? at : off, to = end < off + size ? end : off + size;
    uint8_t *here = bytes + (from - off);
    if (memcmp(here, wrong + (from - at), (size_t)(to - from)) == 0)
        return false;
    memcpy(here, wrong + (from - at), (size_t)(to - from));
    return true;
}

/* Of one sector of the bytes, where there is one that would show it. What is drawn from elsewhere
 * may be alike by chance, hence the turns beyond the first. */
static void sector_spoil_locked(struct omi_sim_env *s, const struct omi_sim_inode *inode,
                                enum omi_sim_fault kind, uint64_t off, uint8_t *bytes, size_t size)
    OMI_REQUIRES(s->mu)
{
    uint8_t wrong[OMI_SIM_SECTOR];
    uint64_t first = off / OMI_SIM_SECTOR, count = (off + size - 1) / OMI_SIM_SECTOR - first + 1;
    uint64_t start = omi_sim_random_locked(s);
    for (uint64_t i = 0; i < count + MORE_DRAWS; i++) {
        uint64_t sector = first + (start % count + i) % count;
        sector_wrong_locked(s, inode, kind, sector, wrong);
        if (sector_put(sector, wrong, off, bytes, size))
            return;
    }
}

void omi_sim_read_spoil_locked(struct omi_sim_env *s, const struct omi_sim_inode *inode,
                               uint64_t off, uint8_t *bytes, size_t size)
{
    static const enum omi_sim_fault kinds[] = {OMI_FAULT_ZERO, OMI_FAULT_STALE,
                                               OMI_FAULT_MISDIRECTED};
    if (omi_sim_trapped_locked(s, OMI_FAULT_FLIP) && size != 0) {
        uint64_t bit = omi_sim_random_locked(s) % ((uint64_t)size * 8);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (omi_sim_trapped_locked(s, kinds[i]) && size != 0)
            sector_spoil_locked(s, inode, kinds[i], off, bytes, size);
}

/* ---- damage that lasts ----------------------------------------------------------------------- */

/* Of what the image has of [off, off+size). */
static bool image_overwrite(struct omi_sim_image **image, uint64_t off, const uint8_t *bytes,
                            size_t size)
{
    if (off >= (*image)->size)
        return true;
    if (size > (*image)->size - off)
        size = (size_t)((*image)->size - off);
    if (!omi_sim_image_prepare(image, off, size))
        return false;
    omi_sim_image_write(*image, off, bytes, size);
    return true;
}

/* What is pending becomes durable later, so it is changed too. */
static void pending_overwrite(struct omi_sim_inode *inode, uint64_t off, const uint8_t *bytes,
                              size_t size)
{
    for (size_t i = 0; i < inode->op_count; i++) {
        const struct omi_sim_op *op = &inode->ops[i];
        uint64_t from = op->off > off ? op->off : off;
        uint64_t to = op->off + op->size < off + size ? op->off + op->size : off + size;
        if (op->kind == OMI_SIM_WRITE && from < to)
            memcpy(inode->log + op->log_off + (from - op->off), bytes + (from - off),
                   (size_t)(to - from));
    }
}

static omen_err overwrite_locked(struct omi_sim_env *s, const char *dir, const char *name,
                                 uint64_t off, const uint8_t *bytes, size_t size, uint8_t mask)
    OMI_REQUIRES(s->mu)
{
    struct omi_sim_directory *d = omi_sim_directory_find_locked(s, dir);
    struct omi_sim_inode *inode = d != NULL ? omi_sim_names_find(&d->current, name) : NULL;
    if (inode == NULL)
        return OMEN_NOT_FOUND;
    if (off > inode->current->size || size > inode->current->size - off)
        return omi_fail(OMEN_INVALID, 0, "%s/%s: damage at %" PRIu64 ", past its %" PRIu64 " bytes",
                        dir, name, off, inode->current->size);
    uint8_t flipped;
    if (bytes == NULL) { /* one byte, by mask */
        (void)omi_sim_image_read(inode->current, off, &flipped, 1);
        flipped ^= mask;
        bytes = &flipped;
    }
    if (!image_overwrite(&inode->current, off, bytes, size) ||
        !image_overwrite(&inode->durable, off, bytes, size))
        return omi_fail(OMEN_NO_MEMORY, 0, "%s/%s", dir, name);
    pending_overwrite(inode, off, bytes, size);
    return OMEN_OK;
}

omen_err omi_sim_damage(struct omi_env *env, const char *dir, const char *name, uint64_t off,
                        unsigned bit)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    omi_mutex_lock(&s->mu);
    omen_err err = overwrite_locked(s, dir, name, off, NULL, 1, (uint8_t)(1u << (bit & 7)));
    omi_mutex_unlock(&s->mu);
    return err;
}

omen_err omi_sim_overwrite(struct omi_env *env, const char *dir, const char *name, uint64_t off,
                           const void *bytes, size_t size)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    omi_mutex_lock(&s->mu);
    omen_err err = overwrite_locked(s, dir, name, off, bytes, size, 0);
    omi_mutex_unlock(&s->mu);
    return err;
}
