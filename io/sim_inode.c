#include "io/sim.h"

#include <stdlib.h>
#include <string.h>

enum { LOG_KEPT_BYTES = 1 << 20 }; /* a larger log is given back when it is empty */

struct omi_sim_inode *omi_sim_inode_make_locked(struct omi_sim_env *s)
{
    struct omi_sim_inode *inode = calloc(1, sizeof(*inode));
    if (inode == NULL)
        return NULL;
    inode->current = omi_sim_image_create();
    if (inode->current == NULL) {
        free(inode);
        return NULL;
    }
    inode->durable = omi_sim_image_ref(inode->current);
    inode->before = omi_sim_image_ref(inode->current);
    inode->id = s->ids++;
    inode->refs = 1;
    inode->next = s->inodes;
    if (s->inodes != NULL)
        s->inodes->prev = inode;
    s->inodes = inode;
    return inode;
}

void omi_sim_inode_unref_locked(struct omi_sim_env *s, struct omi_sim_inode *inode)
{
    if (inode == NULL || --inode->refs != 0)
        return;
    if (inode->next != NULL)
        inode->next->prev = inode->prev;
    if (inode->prev != NULL)
        inode->prev->next = inode->next;
    else
        s->inodes = inode->next;
    omi_sim_image_unref(inode->current);
    omi_sim_image_unref(inode->durable);
    omi_sim_image_unref(inode->before);
    free(inode->ops);
    free(inode->log);
    free(inode);
}

static bool op_reserve(struct omi_sim_inode *inode, size_t bytes)
{
    if (inode->op_count == inode->op_capacity) {
        size_t capacity = inode->op_capacity != 0 ? inode->op_capacity * 2 : 8;
        struct omi_sim_op *ops = realloc(inode->ops, capacity * sizeof(*ops));
        if (ops == NULL)
            return false;
        inode->ops = ops;
        inode->op_capacity = capacity;
    }
    if (bytes > inode->log_capacity - inode->log_size) {
        size_t capacity = inode->log_capacity * 2 + 256;
        if (capacity < inode->log_size + bytes)
            capacity = inode->log_size + bytes;
        uint8_t *log = realloc(inode->log, capacity);
        if (log == NULL)
            return false;
        inode->log = log;
        inode->log_capacity = capacity;
    }
    return true;
}

static void ops_drop(struct omi_sim_inode *inode)
{
    inode->op_count = 0;
    inode->log_size = 0;
    if (inode->log_capacity > LOG_KEPT_BYTES) {
        free(inode->log);
        inode->log = NULL;
        inode->log_capacity = 0;
    }
}

/* Only a write below the size, or where an earlier, larger file was written, has anything to keep. */
static bool before_keep(struct omi_sim_inode *inode, uint64_t off, const uint8_t *bytes,
                        size_t size)
{
    uint64_t had =
        inode->current->size > inode->before->size ? inode->current->size : inode->before->size;
    uint64_t end = off + size < had ? off + size : had;
    for (uint64_t at = off / OMI_SIM_SECTOR * OMI_SIM_SECTOR; at < end; at += OMI_SIM_SECTOR) {
        uint8_t old[OMI_SIM_SECTOR] = {0};
        uint64_t from = off > at ? off : at;
        uint64_t to = off + size < at + OMI_SIM_SECTOR ? off + size : at + OMI_SIM_SECTOR;
        (void)omi_sim_image_read(inode->current, at, old, sizeof(old));
        if (memcmp(old + (from - at), bytes + (from - off), (size_t)(to - from)) == 0)
            continue;
        if (!omi_sim_image_prepare(&inode->before, at, sizeof(old)))
            return false;
        omi_sim_image_write(inode->before, at, old, sizeof(old));
    }
    return true;
}

bool omi_sim_inode_write_locked(struct omi_sim_env *s, struct omi_sim_inode *inode, uint64_t off,
                                const uint8_t *bytes, size_t size)
{
    (void)s;
    if (size == 0)
        return true;
    if (!op_reserve(inode, size) || !omi_sim_image_prepare(&inode->current, off, size) ||
        !before_keep(inode, off, bytes, size))
        return false;
    memcpy(inode->log + inode->log_size, bytes, size);
    inode->ops[inode->op_count++] = (struct omi_sim_op){
        .off = off, .size = size, .log_off = inode->log_size, .kind = OMI_SIM_WRITE};
    inode->log_size += size;
    omi_sim_image_write(inode->current, off, bytes, size);
    return true;
}

bool omi_sim_inode_truncate_locked(struct omi_sim_env *s, struct omi_sim_inode *inode,
                                   uint64_t size)
{
    (void)s;
    if (!op_reserve(inode, 0) || !omi_sim_image_resize(&inode->current, size))
        return false;
    inode->allocated_bytes = 0; /* what is past the new size is given back */
    inode->ops[inode->op_count++] = (struct omi_sim_op){.off = size, .kind = OMI_SIM_TRUNCATE};
    return true;
}

bool omi_sim_op_apply(const struct omi_sim_inode *inode, const struct omi_sim_op *op,
                      struct omi_sim_image **image)
{
    if (op->kind == OMI_SIM_TRUNCATE)
        return omi_sim_image_resize(image, op->off);
    if (!omi_sim_image_prepare(image, op->off, op->size))
        return false;
    omi_sim_image_write(*image, op->off, inode->log + op->log_off, op->size);
    return true;
}

/* When memory runs out half-way the operations stay pending; applying them again is harmless. */
bool omi_sim_inode_sync_locked(struct omi_sim_env *s, struct omi_sim_inode *inode)
{
    (void)s;
    for (size_t i = 0; i < inode->op_count; i++)
        if (!omi_sim_op_apply(inode, &inode->ops[i], &inode->durable))
            return false;
    ops_drop(inode);
    return true;
}

void omi_sim_inode_lose_locked(struct omi_sim_env *s, struct omi_sim_inode *inode)
{
    (void)s;
    if (inode->op_count != 0)
        inode->lost = true;
    ops_drop(inode);
}

void omi_sim_inode_revert_locked(struct omi_sim_env *s, struct omi_sim_inode *inode)
{
    (void)s;
    ops_drop(inode);
    omi_sim_image_unref(inode->current);
    inode->current = omi_sim_image_ref(inode->durable);
    inode->lost = false;
}
