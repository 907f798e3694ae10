#include "io/env_path.h"
#include "io/sim.h"

#include <errno.h>
#include <stdlib.h>

static struct omi_sim_file_handle *handle_of(struct omi_file *file)
{
    return (struct omi_sim_file_handle *)file;
}

static omen_err no_memory(const struct omi_sim_file_handle *f)
{
    return omi_fail(OMEN_NO_MEMORY, 0, "simulated file %s", f->path);
}

/* ---- handles --------------------------------------------------------------------------------- */

static struct omi_sim_file_handle *handle_make(struct omi_dir *dir, const char *name, bool writable)
{
    const struct omi_sim_directory *d = ((struct omi_sim_dir_handle *)dir)->at;
    size_t dir_size = strlen(d->path), name_size = strlen(name);
    struct omi_sim_file_handle *f = calloc(1, sizeof(*f) + dir_size + name_size + 2);
    if (f == NULL)
        return NULL;
    f->base.env = dir->env;
    f->writable = writable;
    memcpy(f->path, d->path, dir_size);
    f->path[dir_size] = '/';
    memcpy(f->path + dir_size + 1, name, name_size);
    return f;
}

static omen_err open_locked(struct omi_sim_env *s, struct omi_sim_directory *d, const char *name,
                            enum omi_open_mode mode, struct omi_sim_inode **inode_out)
    OMI_REQUIRES(s->mu)
{
    if (mode == OMI_OPEN_CREATE) {
        omen_err err = omi_sim_name_create_locked(s, d, name, inode_out);
        if (err != OMEN_OK)
            return err;
    } else {
        *inode_out = omi_sim_names_find(&d->current, name);
        if (*inode_out == NULL)
            return OMEN_NOT_FOUND;
        (*inode_out)->refs++;
    }
    (*inode_out)->handles++;
    return OMEN_OK;
}

omen_err omi_sim_file_open(struct omi_dir *dir, const char *name, enum omi_open_mode mode,
                           unsigned flags, struct omi_file **out)
{
    (void)flags; /* no O_DIRECT here */
    struct omi_sim_env *s = omi_sim_env_of(dir->env);
    struct omi_sim_directory *d = ((struct omi_sim_dir_handle *)dir)->at;
    *out = NULL;
    omen_err err = omi_name_check(d->path, name);
    if (err != OMEN_OK)
        return err;
    struct omi_sim_file_handle *f = handle_make(dir, name, mode != OMI_OPEN_READ);
    if (f == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s/%s", d->path, name);
    if (mode == OMI_OPEN_CREATE)
        omi_sim_step(s);
    else
        omi_sim_delay(s);
    omi_mutex_lock(&s->mu);
    err = omi_sim_open_fault_locked(s, f->path);
    if (err == OMEN_OK)
        err = open_locked(s, d, name, mode, &f->inode);
    omi_mutex_unlock(&s->mu);
    if (err != OMEN_OK) {
        free(f);
        return err;
    }
    *out = &f->base;
    return OMEN_OK;
}

/* The pid is a constant, so that the same seed gives the same bytes. */
static omen_err lock_locked(struct omi_sim_env *s, struct omi_sim_directory *d,
                            struct omi_sim_file_handle *f, const char *name) OMI_REQUIRES(s->mu)
{
    static const uint8_t pid[] = {'1', '\n'};
    struct omi_sim_inode *inode = omi_sim_names_find(&d->current, name);
    if (inode != NULL && inode->locked)
        return omi_fail(OMEN_BUSY, 0, "%s: locked by process 1, this one", f->path);
    if (inode != NULL) {
        inode->refs++;
    } else {
        omen_err err = omi_sim_name_create_locked(s, d, name, &inode);
        if (err != OMEN_OK)
            return err;
        if (omi_sim_reach_locked(s, inode) >= sizeof(pid) && /* a lock without words is one, too */
            !omi_sim_inode_write_locked(s, inode, 0, pid, sizeof(pid))) {
            omi_sim_inode_unref_locked(s, inode);
            return no_memory(f);
        }
    }
    inode->handles++;
    inode->locked = true;
    f->inode = inode;
    return OMEN_OK;
}

omen_err omi_sim_dir_lock(struct omi_dir *dir, const char *name, struct omi_file **out)
{
    struct omi_sim_env *s = omi_sim_env_of(dir->env);
    struct omi_sim_directory *d = ((struct omi_sim_dir_handle *)dir)->at;
    *out = NULL;
    omen_err err = omi_name_check(d->path, name);
    if (err != OMEN_OK)
        return err;
    struct omi_sim_file_handle *f = handle_make(dir, name, true);
    if (f == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s/%s", d->path, name);
    f->lock = true;
    omi_mutex_lock(&s->mu);
    bool there = omi_sim_names_find(&d->current, name) != NULL;
    omi_mutex_unlock(&s->mu);
    if (!there)
        omi_sim_step(s);
    else
        omi_sim_delay(s);
    omi_mutex_lock(&s->mu);
    err = omi_sim_open_fault_locked(s, f->path);
    if (err == OMEN_OK)
        err = lock_locked(s, d, f, name);
    omi_mutex_unlock(&s->mu);
    if (err != OMEN_OK) {
        free(f);
        return err;
    }
    *out = &f->base;
    return OMEN_OK;
}

omen_err omi_sim_file_close(struct omi_file *file)
{
    struct omi_sim_file_handle *f = handle_of(file);
    struct omi_sim_env *s = omi_sim_env_of(file->env);
    omi_mutex_lock(&s->mu);
    if (f->lock)
        f->inode->locked = false;
    f->inode->handles--;
    omi_sim_inode_unref_locked(s, f->inode);
    omi_mutex_unlock(&s->mu);
    free(f);
    return OMEN_OK;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

omen_err omi_sim_file_pread(struct omi_file *file, void *buffer, size_t size, uint64_t off,
                            size_t *got_out)
{
    struct omi_sim_file_handle *f = handle_of(file);
    struct omi_sim_env *s = omi_sim_env_of(file->env);
    uint8_t *to = buffer;
    omen_err err = OMEN_OK;
    *got_out = 0;
    omi_sim_delay(s);
    omi_mutex_lock(&s->mu);
    if (omi_sim_trapped_locked(s, OMI_FAULT_READ))
        err = omi_fail(OMEN_IO, EIO, "%s: reading %zu bytes at %" PRIu64 " (injected)", f->path,
                       size, off);
    else if (size != 0)
        *got_out = omi_sim_image_read(f->inode->current, off, to, size);
    omi_sim_read_spoil_locked(s, f->inode, off, to, *got_out);
    omi_mutex_unlock(&s->mu);
    return err;
}

static omen_err write_check(const struct omi_sim_file_handle *f, uint64_t off, uint64_t size)
{
    if (!f->writable)
        return omi_fail(OMEN_IO, EBADF, "%s: writing", f->path);
    if (off > OMI_SIM_FILE_BYTES_MAX || size > OMI_SIM_FILE_BYTES_MAX - off)
        return omi_fail(OMEN_IO, EFBIG, "%s: writing %" PRIu64 " bytes at %" PRIu64, f->path, size,
                        off);
    return OMEN_OK;
}

/* What fails has written a part: half for an injected error, what fits on a full disk. */
static omen_err pwrite_locked(struct omi_sim_env *s, struct omi_sim_file_handle *f,
                              const uint8_t *bytes, size_t size, uint64_t off) OMI_REQUIRES(s->mu)
{
    bool fails = omi_sim_trapped_locked(s, OMI_FAULT_WRITE);
    bool full = omi_sim_trapped_locked(s, OMI_FAULT_NO_SPACE);
    size_t written = fails || full ? size / 2 : size;
    uint64_t reach = omi_sim_reach_locked(s, f->inode);
    uint64_t room = reach > off ? reach - off : 0;
    if (written > room) {
        written = (size_t)room;
        full = true;
    }
    if (!omi_sim_inode_write_locked(s, f->inode, off, bytes, written))
        return no_memory(f);
    if (fails)
        return omi_fail(OMEN_IO, EIO, "%s: writing %zu bytes at %" PRIu64 " (injected)", f->path,
                        size, off);
    if (full)
        return omi_fail(OMEN_FULL, ENOSPC, "%s: writing %zu bytes at %" PRIu64, f->path, size, off);
    return OMEN_OK;
}

omen_err omi_sim_file_pwrite(struct omi_file *file, const void *bytes, size_t size, uint64_t off)
{
    struct omi_sim_file_handle *f = handle_of(file);
    struct omi_sim_env *s = omi_sim_env_of(file->env);
    omi_sim_step(s);
    omen_err err = write_check(f, off, size);
    if (err != OMEN_OK)
        return err;
    omi_mutex_lock(&s->mu);
    err = pwrite_locked(s, f, bytes, size, off);
    omi_mutex_unlock(&s->mu);
    return err;
}

static omen_err sync_locked(struct omi_sim_env *s, struct omi_sim_file_handle *f)
    OMI_REQUIRES(s->mu)
{
    struct omi_sim_inode *inode = f->inode;
    bool fails = omi_sim_trapped_locked(s, OMI_FAULT_SYNC);
    bool reverts = omi_sim_trapped_locked(s, OMI_FAULT_SYNC_REVERT);
    bool lies = omi_sim_trapped_locked(s, OMI_FAULT_SYNC_LATE);
    bool late = inode->late;
    inode->late = lies;
    if (reverts)
        omi_sim_inode_revert_locked(s, inode);
    else if (fails || lies)
        omi_sim_inode_lose_locked(s, inode);
    else if (!s->ignore_file_sync && !omi_sim_inode_sync_locked(s, inode))
        return no_memory(f);
    if (reverts || fails || late)
        return omi_fail(OMEN_IO, EIO, "%s: syncing (injected)", f->path);
    return OMEN_OK;
}

omen_err omi_sim_file_sync(struct omi_file *file)
{
    struct omi_sim_file_handle *f = handle_of(file);
    struct omi_sim_env *s = omi_sim_env_of(file->env);
    omi_sim_step(s);
    omi_mutex_lock(&s->mu);
    omen_err err = sync_locked(s, f);
    omi_mutex_unlock(&s->mu);
    return err;
}

void omi_sim_file_write_back(struct omi_file *file, uint64_t off, uint64_t size)
{
    (void)file; /* pending writes may be kept by a crash anyway */
    (void)off;
    (void)size;
}

omen_err omi_sim_file_truncate(struct omi_file *file, uint64_t size)
{
    struct omi_sim_file_handle *f = handle_of(file);
    struct omi_sim_env *s = omi_sim_env_of(file->env);
    omi_sim_step(s);
    omen_err err = write_check(f, 0, size);
    if (err != OMEN_OK)
        return err;
    omi_mutex_lock(&s->mu);
    if (omi_sim_trapped_locked(s, OMI_FAULT_WRITE))
        err = omi_fail(OMEN_IO, EIO, "%s: setting its size (injected)", f->path);
    else if (size > omi_sim_reach_locked(s, f->inode))
        err = omi_fail(OMEN_FULL, ENOSPC, "%s: setting its size", f->path);
    else if (!omi_sim_inode_truncate_locked(s, f->inode, size))
        err = no_memory(f);
    omi_mutex_unlock(&s->mu);
    return err;
}

omen_err omi_sim_file_allocate(struct omi_file *file, uint64_t size)
{
    struct omi_sim_file_handle *f = handle_of(file);
    struct omi_sim_env *s = omi_sim_env_of(file->env);
    omen_err err = write_check(f, 0, size);
    if (err != OMEN_OK)
        return err;
    omi_sim_delay(s);
    omi_mutex_lock(&s->mu);
    if (omi_sim_trapped_locked(s, OMI_FAULT_NO_SPACE) || size > omi_sim_reach_locked(s, f->inode))
        err = omi_fail(OMEN_FULL, ENOSPC, "%s: reserving space", f->path);
    else if (size > f->inode->allocated_bytes)
        f->inode->allocated_bytes = size;
    omi_mutex_unlock(&s->mu);
    return err;
}

omen_err omi_sim_file_size(struct omi_file *file, uint64_t *size_out)
{
    struct omi_sim_env *s = omi_sim_env_of(file->env);
    omi_mutex_lock(&s->mu);
    *size_out = handle_of(file)->inode->current->size;
    omi_mutex_unlock(&s->mu);
    return OMEN_OK;
}

void omi_sim_file_advise(struct omi_file *file, enum omi_advice advice)
{
    (void)file;
    (void)advice;
}

bool omi_sim_file_direct(const struct omi_file *file)
{
    (void)file;
    return false;
}
