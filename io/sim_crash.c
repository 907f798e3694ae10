/*
 * sim_crash.c - what a crash leaves: durable bytes and names, and a part of what was pending.
 * Every choice is a draw from (seed, id of the file or directory, place), so that a seed replays.
 *
 * OMI_CRASH_KEEP_ALL asked for as such is the death of the process alone: the system lives on, so
 * the clone keeps what is pending *as pending*, and a power loss after it still takes that away.
 * In the other modes the machine went down, and whatever the clone has is on its disk.
 */
#include "io/sim.h"

#include <stdlib.h>
#include <string.h>

struct crash {
    struct omi_sim_env *from, *to;
    enum omi_crash_mode mode;
    uint64_t seed;
};

/* Places of draws that are no sector or page number. */
enum { DRAW_MODE = 1, DRAW_COUNT, DRAW_SIZE, DRAW_CUT, DRAW_UNIT, DRAW_FILL, DRAW_NAME };

static uint64_t draw(const struct crash *c, uint64_t id, unsigned what, uint64_t place)
{
    return omi_sim_draw(c->seed ^ (uint64_t)what << 56, id, place);
}

static enum omi_crash_mode mode_of(const struct crash *c, uint64_t id)
{
    if (c->mode != OMI_CRASH_MIXED)
        return c->mode;
    return (enum omi_crash_mode)(draw(c, id, DRAW_MODE, 0) % OMI_CRASH_MIXED);
}

/* ---- bytes of one file; each function gives a counted image, NULL when memory is short --------
 */

static struct omi_sim_image *image_prefix(const struct omi_sim_inode *inode, size_t count)
{
    struct omi_sim_image *image = omi_sim_image_ref(inode->durable);
    for (size_t i = 0; i < count; i++) {
        if (!omi_sim_op_apply(inode, &inode->ops[i], &image)) {
            omi_sim_image_unref(image);
            return NULL;
        }
    }
    return image;
}

static struct omi_sim_image *image_all(const struct omi_sim_inode *inode)
{
    if (!inode->lost)
        return omi_sim_image_ref(inode->current);
    return image_prefix(inode, inode->op_count);
}

/* The size when all is done. */
static uint64_t size_all(const struct omi_sim_inode *inode)
{
    uint64_t size = inode->durable->size;
    for (size_t i = 0; i < inode->op_count; i++) {
        const struct omi_sim_op *op = &inode->ops[i];
        if (op->kind == OMI_SIM_TRUNCATE || op->off + op->size > size)
            size = op->off + op->size;
    }
    return size;
}

/* How many of the pending operations a unit has seen: none, all, or those until the system happened
 * to write it. */
static size_t unit_op_count(const struct crash *c, const struct omi_sim_inode *inode, uint64_t unit)
{
    uint64_t pick = draw(c, inode->id, DRAW_UNIT, unit);
    if (pick % 3 == 0)
        return 0;
    return pick % 3 == 1 ? inode->op_count : (size_t)(pick / 3 % (inode->op_count + 1));
}

/* The parts of write number index in units that have seen it. */
static bool units_write(const struct crash *c, const struct omi_sim_inode *inode, size_t index,
                        size_t unit_bytes, struct omi_sim_image **image)
{
    struct omi_sim_op part = inode->ops[index];
    for (uint64_t end = part.off + part.size; part.off < end;) {
        uint64_t unit = part.off / unit_bytes, next = (unit + 1) * unit_bytes;
        part.size = (size_t)((next < end ? next : end) - part.off);
        if (index < unit_op_count(c, inode, unit) && !omi_sim_op_apply(inode, &part, image))
            return false;
        part.off += part.size;
        part.log_off += part.size;
    }
    return true;
}

/* The size is one thing on its own, old or new, and with it the truncates. */
static bool units_mix(const struct crash *c, const struct omi_sim_inode *inode, size_t unit_bytes,
                      struct omi_sim_image **image)
{
    bool resized = draw(c, inode->id, DRAW_SIZE, 0) % 4 != 0;
    for (size_t i = 0; i < inode->op_count; i++) {
        bool done = true;
        if (inode->ops[i].kind == OMI_SIM_WRITE)
            done = units_write(c, inode, i, unit_bytes, image);
        else if (resized)
            done = omi_sim_op_apply(inode, &inode->ops[i], image);
        if (!done)
            return false;
    }
    return omi_sim_image_resize(image, resized ? size_all(inode) : inode->durable->size);
}

static struct omi_sim_image *image_units(const struct crash *c, const struct omi_sim_inode *inode,
                                         size_t unit_bytes)
{
    struct omi_sim_image *image = omi_sim_image_ref(inode->durable);
    if (units_mix(c, inode, unit_bytes, &image))
        return image;
    omi_sim_image_unref(image);
    return NULL;
}

/* The last write up to one of the sector ends inside it, or not at all. */
static size_t torn_bytes(const struct crash *c, const struct omi_sim_inode *inode,
                         const struct omi_sim_op *op)
{
    uint64_t first = op->off / OMI_SIM_SECTOR + 1;
    uint64_t last = (op->off + op->size - 1) / OMI_SIM_SECTOR;
    uint64_t ends = last >= first ? last - first + 1 : 0;
    uint64_t pick = draw(c, inode->id, DRAW_CUT, 0) % (ends + 1);
    return pick == 0 ? 0 : (size_t)((first + pick - 1) * OMI_SIM_SECTOR - op->off);
}

static struct omi_sim_image *image_torn(const struct crash *c, const struct omi_sim_inode *inode)
{
    size_t torn = inode->op_count;
    while (torn > 0 && inode->ops[torn - 1].kind != OMI_SIM_WRITE)
        torn--;
    if (torn == 0)
        return image_all(inode);
    torn--;
    struct omi_sim_image *image = image_prefix(inode, torn);
    for (size_t i = torn; i < inode->op_count && image != NULL; i++) {
        struct omi_sim_op op = inode->ops[i];
        if (i == torn)
            op.size = torn_bytes(c, inode, &op);
        if (!omi_sim_op_apply(inode, &op, &image)) {
            omi_sim_image_unref(image);
            return NULL;
        }
    }
    return image;
}

/* Zeros or garbage over the bytes [off, off+size) of one sector. */
static bool sector_spoil(const struct crash *c, const struct omi_sim_inode *inode, uint64_t off,
                         size_t size, struct omi_sim_image **image)
{
    uint8_t bytes[OMI_SIM_SECTOR] = {0};
    uint64_t sector = off / OMI_SIM_SECTOR;
    if ((draw(c, inode->id, DRAW_UNIT, sector) & 1) != 0)
        for (size_t i = 0; i < size; i += 8) {
            uint64_t garbage = draw(c, inode->id, DRAW_FILL, off + i);
            memcpy(bytes + i, &garbage, size - i < 8 ? size - i : 8);
        }
    if (!omi_sim_image_prepare(image, off, size))
        return false;
    omi_sim_image_write(*image, off, bytes, size);
    return true;
}

static bool ops_spoil(const struct crash *c, const struct omi_sim_inode *inode,
                      struct omi_sim_image **image)
{
    for (size_t i = 0; i < inode->op_count; i++) {
        const struct omi_sim_op *op = &inode->ops[i];
        uint64_t end = op->off + op->size < (*image)->size ? op->off + op->size : (*image)->size;
        for (uint64_t off = op->off; op->kind == OMI_SIM_WRITE && off < end;) {
            uint64_t next = (off / OMI_SIM_SECTOR + 1) * OMI_SIM_SECTOR;
            if (next > end)
                next = end;
            if (!sector_spoil(c, inode, off, (size_t)(next - off), image))
                return false;
            off = next;
        }
    }
    return true;
}

static struct omi_sim_image *image_grown(const struct crash *c, const struct omi_sim_inode *inode)
{
    struct omi_sim_image *image = omi_sim_image_ref(inode->durable);
    uint64_t size = size_all(inode) > image->size ? size_all(inode) : image->size;
    if (omi_sim_image_resize(&image, size) && ops_spoil(c, inode, &image))
        return image;
    omi_sim_image_unref(image);
    return NULL;
}

static struct omi_sim_image *image_left(const struct crash *c, const struct omi_sim_inode *inode)
{
    if (inode->op_count == 0)
        return omi_sim_image_ref(inode->durable);
    switch (mode_of(c, inode->id)) {
    case OMI_CRASH_STRICT:
        return omi_sim_image_ref(inode->durable);
    case OMI_CRASH_PREFIX:
        return image_prefix(inode, draw(c, inode->id, DRAW_COUNT, 0) % (inode->op_count + 1));
    case OMI_CRASH_PAGES:
        return image_units(c, inode, OMI_SIM_PAGE);
    case OMI_CRASH_SECTORS:
        return image_units(c, inode, OMI_SIM_SECTOR);
    case OMI_CRASH_TORN:
        return image_torn(c, inode);
    case OMI_CRASH_SIZE:
        return image_grown(c, inode);
    default:
        return image_all(inode);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool pending_copy(const struct omi_sim_inode *from, struct omi_sim_inode *to)
{
    to->lost = from->lost;
    to->late = from->late;
    if (from->op_count == 0)
        return true;
    to->ops = malloc(from->op_count * sizeof(*to->ops));
    to->log = malloc(from->log_size != 0 ? from->log_size : 1);
    if (to->ops == NULL || to->log == NULL)
        return false;
    memcpy(to->ops, from->ops, from->op_count * sizeof(*to->ops));
    if (from->log_size != 0)
        memcpy(to->log, from->log, from->log_size);
    to->op_count = to->op_capacity = from->op_count;
    to->log_size = to->log_capacity = from->log_size;
    return true;
}

static bool twin_fill(const struct crash *c, const struct omi_sim_inode *from,
                      struct omi_sim_inode *to)
{
    struct omi_sim_image *current, *durable;
    if (c->mode == OMI_CRASH_KEEP_ALL) {
        if (!pending_copy(from, to))
            return false;
        current = omi_sim_image_ref(from->current);
        durable = omi_sim_image_ref(from->durable);
    } else {
        current = image_left(c, from);
        if (current == NULL)
            return false;
        durable = omi_sim_image_ref(current);
    }
    omi_sim_image_unref(to->current);
    omi_sim_image_unref(to->durable);
    omi_sim_image_unref(to->before);
    to->current = current;
    to->durable = durable;
    to->before = omi_sim_image_ref(from->before);
    to->allocated_bytes = from->allocated_bytes;
    return true;
}

/* The clone's file for one of the original's, made when first met; NULL when memory is short. */
static struct omi_sim_inode *twin_locked(struct crash *c, struct omi_sim_inode *inode)
    OMI_REQUIRES(c->to->mu)
{
    if (inode->twin != NULL)
        return inode->twin;
    struct omi_sim_inode *twin = omi_sim_inode_make_locked(c->to);
    if (twin == NULL)
        return NULL;
    if (!twin_fill(c, inode, twin)) {
        omi_sim_inode_unref_locked(c->to, twin);
        return NULL;
    }
    inode->twin = twin;
    return twin;
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool names_twin_locked(struct crash *c, struct omi_sim_names *to,
                              const struct omi_sim_names *from) OMI_REQUIRES(c->to->mu)
{
    for (size_t i = 0; i < from->count; i++) {
        struct omi_sim_inode *twin = twin_locked(c, from->items[i].inode);
        if (twin == NULL || !omi_sim_names_set_locked(c->to, to, from->items[i].name, twin))
            return false;
    }
    return true;
}

/* Names whose earlier change was lost: changes of one name keep their order. */
struct blocked {
    const char **names;
    size_t count;
};

static bool blocked_has(const struct blocked *b, const char *name)
{
    for (size_t i = 0; i < b->count && name != NULL; i++)
        if (strcmp(b->names[i], name) == 0)
            return true;
    return false;
}

static bool name_op_kept(const struct crash *c, const struct omi_sim_directory *d, size_t index,
                         enum omi_crash_mode mode, struct blocked *b)
{
    const struct omi_sim_name_op *op = &d->ops[index];
    switch (mode) {
    case OMI_CRASH_STRICT:
        return false;
    case OMI_CRASH_PREFIX:
        return index < draw(c, d->id, DRAW_COUNT, 0) % (d->op_count + 1);
    case OMI_CRASH_NAMES:
        if (!blocked_has(b, op->clear) && !blocked_has(b, op->set) &&
            (draw(c, d->id, DRAW_NAME, index) & 1) != 0)
            return true;
        if (op->clear != NULL)
            b->names[b->count++] = op->clear;
        if (op->set != NULL)
            b->names[b->count++] = op->set;
        return false;
    default:
        return true;
    }
}

static bool name_ops_keep_locked(struct crash *c, const struct omi_sim_directory *from,
                                 struct omi_sim_names *names) OMI_REQUIRES(c->to->mu)
{
    if (from->op_count == 0)
        return true;
    struct blocked b = {.names = malloc(2 * from->op_count * sizeof(*b.names))};
    if (b.names == NULL)
        return false;
    enum omi_crash_mode mode = mode_of(c, from->id);
    bool done = true;
    for (size_t i = 0; i < from->op_count && done; i++) {
        if (!name_op_kept(c, from, i, mode, &b))
            continue;
        const struct omi_sim_name_op *op = &from->ops[i];
        struct omi_sim_inode *twin = op->inode != NULL ? twin_locked(c, op->inode) : NULL;
        done = (op->inode == NULL || twin != NULL) &&
               omi_sim_names_change_locked(c->to, names, op->clear, op->set, twin);
    }
    free(b.names);
    return done;
}

static bool name_ops_twin_locked(struct crash *c, const struct omi_sim_directory *from,
                                 struct omi_sim_directory *to) OMI_REQUIRES(c->to->mu)
{
    for (size_t i = 0; i < from->op_count; i++) {
        const struct omi_sim_name_op *op = &from->ops[i];
        struct omi_sim_inode *twin = op->inode != NULL ? twin_locked(c, op->inode) : NULL;
        if ((op->inode != NULL && twin == NULL) ||
            !omi_sim_name_op_add_locked(c->to, to, op->clear, op->set, twin))
            return false;
    }
    return true;
}

static bool directory_leave_locked(struct crash *c, const struct omi_sim_directory *from)
    OMI_REQUIRES(c->to->mu)
{
    struct omi_sim_directory *to = omi_sim_directory_make_locked(c->to, from->path);
    if (to == NULL || !names_twin_locked(c, &to->durable, &from->durable))
        return false;
    if (c->mode == OMI_CRASH_KEEP_ALL)
        return names_twin_locked(c, &to->current, &from->current) &&
               name_ops_twin_locked(c, from, to);
    return name_ops_keep_locked(c, from, &to->durable) &&
           omi_sim_names_copy_locked(c->to, &to->current, &to->durable);
}

/* ---- the env --------------------------------------------------------------------------------- */

struct omi_env *omi_sim_crash(struct omi_env *env, enum omi_crash_mode mode, uint64_t seed)
{
    struct crash c = {
        .from = omi_sim_env_of(env), .to = omi_sim_env_make(seed), .mode = mode, .seed = seed};
    if (c.to == NULL)
        return NULL;
    bool done = true;
    omi_mutex_lock(&c.from->mu);
    omi_mutex_lock(&c.to->mu);
    c.to->now_ns = c.from->now_ns;
    c.to->capacity = c.from->capacity;
    for (const struct omi_sim_directory *d = c.from->directories; d != NULL && done; d = d->next)
        done = d->removed || directory_leave_locked(&c, d);
    for (struct omi_sim_inode *i = c.from->inodes; i != NULL; i = i->next) {
        omi_sim_inode_unref_locked(c.to, i->twin); /* the names hold what is left */
        i->twin = NULL;
    }
    omi_mutex_unlock(&c.to->mu);
    omi_mutex_unlock(&c.from->mu);
    if (!done) {
        omi_sim_destroy(&c.to->base);
        return NULL;
    }
    return &c.to->base;
}
