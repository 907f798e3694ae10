/*
 * sim_space.c - how large the simulated disk is, and what its files take of it.
 * Counted anew each time: there are few files, and only a disk with a limit asks.
 */
#include "io/sim.h"

#define UNLIMITED_SPACE ((uint64_t)1 << 40) /* what an env without a limit says is free */

static uint64_t inode_bytes(const struct omi_sim_inode *inode)
{
    return inode->current->size > inode->allocated_bytes ? inode->current->size
                                                         : inode->allocated_bytes;
}

/* Durable names and pending changes hold inodes as well, but those are gone for the living. */
static uint64_t used_locked(struct omi_sim_env *s) OMI_REQUIRES(s->mu)
{
    uint64_t mark = ++s->marks, used = 0;
    for (const struct omi_sim_directory *d = s->directories; d != NULL; d = d->next)
        for (size_t i = 0; i < d->current.count; i++)
            d->current.items[i].inode->mark = mark;
    for (const struct omi_sim_inode *i = s->inodes; i != NULL; i = i->next)
        if (i->mark == mark || i->handles != 0)
            used += inode_bytes(i);
    return used;
}

uint64_t omi_sim_reach_locked(struct omi_sim_env *s, const struct omi_sim_inode *inode)
{
    if (s->capacity == UINT64_MAX)
        return UINT64_MAX;
    uint64_t own = inode_bytes(inode), used = used_locked(s);
    return used < s->capacity ? own + (s->capacity - used) : own;
}

uint64_t omi_sim_used(struct omi_env *env)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    omi_mutex_lock(&s->mu);
    uint64_t used = used_locked(s);
    omi_mutex_unlock(&s->mu);
    return used;
}

void omi_sim_capacity(struct omi_env *env, uint64_t bytes)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    omi_mutex_lock(&s->mu);
    s->capacity = bytes;
    omi_mutex_unlock(&s->mu);
}

omen_err omi_sim_dir_space(struct omi_dir *dir, uint64_t *free_bytes_out)
{
    struct omi_sim_env *s = omi_sim_env_of(dir->env);
    *free_bytes_out = UNLIMITED_SPACE;
    omi_mutex_lock(&s->mu);
    if (s->capacity != UINT64_MAX) {
        uint64_t used = used_locked(s);
        *free_bytes_out = used < s->capacity ? s->capacity - used : 0;
    }
    omi_mutex_unlock(&s->mu);
    return OMEN_OK;
}
