#include "io/env_path.h"
#include "io/sim.h"

#include <errno.h>
#include <stdlib.h>

static struct omi_sim_dir_handle *handle_of(struct omi_dir *dir)
{
    return (struct omi_sim_dir_handle *)dir;
}

struct omi_sim_directory *omi_sim_directory_find_locked(struct omi_sim_env *s, const char *path)
{
    size_t size = omi_path_trimmed_bytes(path);
    for (struct omi_sim_directory *d = s->directories; d != NULL; d = d->next)
        if (!d->removed && strlen(d->path) == size && memcmp(d->path, path, size) == 0)
            return d;
    return NULL;
}

struct omi_sim_directory *omi_sim_directory_make_locked(struct omi_sim_env *s, const char *path)
{
    size_t size = strlen(path);
    struct omi_sim_directory *d = calloc(1, sizeof(*d) + size + 1);
    if (d == NULL)
        return NULL;
    memcpy(d->path, path, size);
    d->id = s->ids++;
    struct omi_sim_directory **at = &s->directories;
    while (*at != NULL)
        at = &(*at)->next;
    *at = d;
    return d;
}

/* The last component of a path without trailing slashes. */
static const char *last_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool is_parent(const struct omi_sim_directory *of, const char *path)
{
    size_t parent = omi_path_parent_bytes(path, strlen(path));
    if (parent == 0)
        return strcmp(of->path, ".") == 0;
    return strlen(of->path) == parent && memcmp(path, of->path, parent) == 0;
}

static bool is_child(const struct omi_sim_directory *d, const struct omi_sim_directory *of)
{
    return !d->removed && d != of && is_parent(of, d->path);
}

static bool child_exists_locked(struct omi_sim_env *s, const struct omi_sim_directory *d,
                                const char *name) OMI_REQUIRES(s->mu)
{
    for (const struct omi_sim_directory *c = s->directories; c != NULL; c = c->next)
        if (is_child(c, d) && strcmp(last_of(c->path), name) == 0)
            return true;
    return false;
}

void omi_sim_directory_free_locked(struct omi_sim_env *s, struct omi_sim_directory *d)
{
    omi_sim_name_ops_cut_locked(s, d, 0);
    free(d->ops);
    omi_sim_names_fini_locked(s, &d->current);
    omi_sim_names_fini_locked(s, &d->durable);
    free(d);
}

static omen_err no_memory(const struct omi_sim_directory *d)
{
    return omi_fail(OMEN_NO_MEMORY, 0, "simulated directory %s", d->path);
}

/* What an armed fault says of a change of path/name, or of path when name is NULL; grows: the
 * change takes room on the disk. */
static omen_err name_fault_locked(struct omi_sim_env *s, const char *path, const char *name,
                                  bool grows, const char *doing) OMI_REQUIRES(s->mu)
{
    const char *slash = name != NULL ? "/" : "", *last = name != NULL ? name : "";
    if (omi_sim_trapped_locked(s, OMI_FAULT_NAME))
        return omi_fail(OMEN_IO, EIO, "%s%s%s: %s (injected)", path, slash, last, doing);
    if (grows && omi_sim_trapped_locked(s, OMI_FAULT_NO_SPACE))
        return omi_fail(OMEN_FULL, ENOSPC, "%s%s%s: %s (injected)", path, slash, last, doing);
    return OMEN_OK;
}

/* "/" and "." are there from the start; anything else needs its parent. Names of directories are
 * durable when made, as dir_open syncs the parent. */
static omen_err directory_open_locked(struct omi_sim_env *s, const char *path, bool create,
                                      struct omi_sim_directory **out) OMI_REQUIRES(s->mu)
{
    omen_err err = omi_sim_open_fault_locked(s, path);
    if (err != OMEN_OK)
        return err;
    *out = omi_sim_directory_find_locked(s, path);
    if (*out != NULL)
        return OMEN_OK;
    const struct omi_sim_directory *above = s->directories;
    while (above != NULL && (above->removed || !is_parent(above, path)))
        above = above->next;
    if (above != NULL && omi_sim_names_find(&above->current, last_of(path)) != NULL)
        return omi_fail(OMEN_INVALID, 0, "%s is a file, not a directory", path);
    if (!create)
        return omi_fail(OMEN_NOT_FOUND, 0, "directory %s does not exist", path);
    if (above == NULL)
        return omi_fail(OMEN_NOT_FOUND, 0, "directory %s: its parent directory does not exist",
                        path);
    err = name_fault_locked(s, path, NULL, true, "making the directory");
    if (err != OMEN_OK)
        return err;
    *out = omi_sim_directory_make_locked(s, path);
    if (*out == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "simulated directory %s", path);
    return OMEN_OK;
}

omen_err omi_sim_dir_open(struct omi_env *env, const char *path, bool create, struct omi_dir **out)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    *out = NULL;
    if (path[0] == '\0')
        return omi_fail(OMEN_INVALID, 0, "the path of the directory is empty");
    char *trimmed = strndup(path, omi_path_trimmed_bytes(path));
    struct omi_sim_dir_handle *handle = calloc(1, sizeof(*handle));
    omen_err err = OMEN_OK;
    if (trimmed == NULL || handle == NULL) {
        err = omi_fail(OMEN_NO_MEMORY, 0, "directory %s", path);
        goto free_handle;
    }
    omi_mutex_lock(&s->mu);
    bool there = omi_sim_directory_find_locked(s, trimmed) != NULL;
    omi_mutex_unlock(&s->mu);
    if (create && !there)
        omi_sim_step(s);
    else
        omi_sim_delay(s);
    handle->base.env = env;
    omi_mutex_lock(&s->mu);
    err = directory_open_locked(s, trimmed, create, &handle->at);
    omi_mutex_unlock(&s->mu);
    if (err != OMEN_OK)
        goto free_handle;
    free(trimmed);
    *out = &handle->base;
    return OMEN_OK;

free_handle:
    free(trimmed);
    free(handle);
    return err;
}

void omi_sim_dir_close(struct omi_dir *dir)
{
    free(handle_of(dir));
}

omen_err omi_sim_dir_sync(struct omi_dir *dir)
{
    struct omi_sim_env *s = omi_sim_env_of(dir->env);
    struct omi_sim_directory *d = handle_of(dir)->at;
    omi_sim_step(s);
    omi_mutex_lock(&s->mu);
    omen_err err = name_fault_locked(s, d->path, NULL, false, "syncing the directory");
    if (err == OMEN_OK && !s->ignore_dir_sync) {
        for (size_t i = 0; i < d->op_count && err == OMEN_OK; i++) {
            const struct omi_sim_name_op *op = &d->ops[i];
            if (!omi_sim_names_change_locked(s, &d->durable, op->clear, op->set, op->inode))
                err = no_memory(d); /* the operations stay: applying them again is harmless */
        }
        if (err == OMEN_OK)
            omi_sim_name_ops_cut_locked(s, d, 0);
    }
    omi_mutex_unlock(&s->mu);
    return err;
}

/* ---- listing: from a copy, since each may change the directory ------------------------------- */

struct listing {
    struct listed {
        char *name;
        uint64_t bytes;
        bool regular;
    } * items;
    size_t count;
};

static void listing_fini(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i].name);
    free(l->items);
}

static bool listing_add(struct listing *l, const char *name, uint64_t bytes, bool regular)
{
    char *own = strdup(name);
    if (own != NULL)
        l->items[l->count++] = (struct listed){own, bytes, regular};
    return own != NULL;
}

static bool listing_fill_locked(struct omi_sim_env *s, const struct omi_sim_directory *d,
                                struct listing *l) OMI_REQUIRES(s->mu)
{
    size_t count = d->current.count;
    for (const struct omi_sim_directory *c = s->directories; c != NULL; c = c->next)
        count += is_child(c, d);
    *l = (struct listing){.items = calloc(count != 0 ? count : 1, sizeof(*l->items))};
    if (l->items == NULL)
        return false;
    for (size_t i = 0; i < d->current.count; i++) {
        const struct omi_sim_name *n = &d->current.items[i];
        if (!listing_add(l, n->name, n->inode->current->size, true))
            return false;
    }
    for (const struct omi_sim_directory *c = s->directories; c != NULL; c = c->next) {
        if (is_child(c, d) && !listing_add(l, last_of(c->path), 0, false))
            return false;
    }
    return true;
}

omen_err omi_sim_dir_list(struct omi_dir *dir,
                          omen_err (*each)(void *ctx, const struct omi_dir_entry *e), void *ctx)
{
    struct omi_sim_env *s = omi_sim_env_of(dir->env);
    struct omi_sim_directory *d = handle_of(dir)->at;
    struct listing l = {0};
    omi_sim_delay(s);
    omi_mutex_lock(&s->mu);
    omen_err err = omi_sim_open_fault_locked(s, d->path);
    if (err == OMEN_OK && !listing_fill_locked(s, d, &l))
        err = no_memory(d);
    omi_mutex_unlock(&s->mu);
    for (size_t i = 0; i < l.count && err == OMEN_OK; i++) {
        struct omi_dir_entry entry = {l.items[i].name, l.items[i].bytes, l.items[i].regular};
        err = each(ctx, &entry);
    }
    listing_fini(&l);
    return err;
}

/* ---- changes of names ------------------------------------------------------------------------ */

/* Now in the current names, later, by dir_sync, in the durable ones. */
static omen_err change_locked(struct omi_sim_env *s, struct omi_sim_directory *d, const char *clear,
                              const char *set, struct omi_sim_inode *inode) OMI_REQUIRES(s->mu)
{
    if (!omi_sim_name_op_add_locked(s, d, clear, set, inode))
        return no_memory(d);
    if (!omi_sim_names_change_locked(s, &d->current, clear, set, inode)) {
        omi_sim_name_ops_cut_locked(s, d, d->op_count - 1);
        return no_memory(d);
    }
    return OMEN_OK;
}

omen_err omi_sim_name_create_locked(struct omi_sim_env *s, struct omi_sim_directory *d,
                                    const char *name, struct omi_sim_inode **inode_out)
{
    *inode_out = NULL;
    if (d->removed)
        return OMEN_NOT_FOUND;
    omen_err err = name_fault_locked(s, d->path, name, true, "creating");
    if (err != OMEN_OK)
        return err;
    if (omi_sim_names_find(&d->current, name) != NULL || child_exists_locked(s, d, name))
        return omi_fail(OMEN_EXISTS, 0, "%s/%s: creating: it is there already", d->path, name);
    struct omi_sim_inode *inode = omi_sim_inode_make_locked(s);
    if (inode == NULL)
        return no_memory(d);
    err = change_locked(s, d, NULL, name, inode);
    if (err != OMEN_OK) {
        omi_sim_inode_unref_locked(s, inode);
        return err;
    }
    *inode_out = inode; /* with the count of its making, for the handle */
    return OMEN_OK;
}

static omen_err rename_locked(struct omi_sim_env *s, struct omi_sim_directory *d, const char *from,
                              const char *to) OMI_REQUIRES(s->mu)
{
    omen_err err = name_fault_locked(s, d->path, from, true, "renaming");
    if (err != OMEN_OK)
        return err;
    struct omi_sim_inode *inode = omi_sim_names_find(&d->current, from);
    if (inode == NULL)
        return OMEN_NOT_FOUND;
    if (child_exists_locked(s, d, to))
        return omi_fail(OMEN_IO, EISDIR, "%s/%s: renaming", d->path, to);
    if (omi_sim_names_find(&d->current, to) == inode) /* also from == to: POSIX changes nothing */
        return OMEN_OK;
    return change_locked(s, d, from, to, inode);
}

omen_err omi_sim_dir_rename(struct omi_dir *dir, const char *from, const char *to)
{
    struct omi_sim_env *s = omi_sim_env_of(dir->env);
    struct omi_sim_directory *d = handle_of(dir)->at;
    omen_err err = omi_name_check(d->path, from);
    if (err == OMEN_OK)
        err = omi_name_check(d->path, to);
    if (err != OMEN_OK)
        return err;
    omi_sim_step(s);
    omi_mutex_lock(&s->mu);
    err = rename_locked(s, d, from, to);
    omi_mutex_unlock(&s->mu);
    return err;
}

static omen_err unlink_locked(struct omi_sim_env *s, struct omi_sim_directory *d, const char *name)
    OMI_REQUIRES(s->mu)
{
    omen_err err = name_fault_locked(s, d->path, name, false, "deleting");
    if (err != OMEN_OK)
        return err;
    if (child_exists_locked(s, d, name))
        return omi_fail(OMEN_IO, EISDIR, "%s/%s: deleting", d->path, name);
    if (omi_sim_names_find(&d->current, name) == NULL)
        return OMEN_NOT_FOUND;
    return change_locked(s, d, name, NULL, NULL);
}

omen_err omi_sim_dir_unlink(struct omi_dir *dir, const char *name)
{
    struct omi_sim_env *s = omi_sim_env_of(dir->env);
    struct omi_sim_directory *d = handle_of(dir)->at;
    omen_err err = omi_name_check(d->path, name);
    if (err != OMEN_OK)
        return err;
    omi_sim_step(s);
    omi_mutex_lock(&s->mu);
    err = unlink_locked(s, d, name);
    omi_mutex_unlock(&s->mu);
    return err;
}

static omen_err link_locked(struct omi_sim_env *s, const struct omi_sim_directory *f,
                            const char *from, struct omi_sim_directory *t, const char *to)
    OMI_REQUIRES(s->mu)
{
    omen_err err = name_fault_locked(s, t->path, to, true, "linking");
    if (err != OMEN_OK)
        return err;
    struct omi_sim_inode *inode = omi_sim_names_find(&f->current, from);
    if (inode == NULL || t->removed)
        return OMEN_NOT_FOUND;
    if (omi_sim_names_find(&t->current, to) != NULL || child_exists_locked(s, t, to))
        return omi_fail(OMEN_EXISTS, 0, "%s/%s: linking: it is there already", t->path, to);
    return change_locked(s, t, NULL, to, inode);
}

omen_err omi_sim_dir_link(struct omi_dir *from_dir, const char *from, struct omi_dir *to_dir,
                          const char *to)
{
    struct omi_sim_env *s = omi_sim_env_of(from_dir->env);
    struct omi_sim_directory *f = handle_of(from_dir)->at, *t = handle_of(to_dir)->at;
    if (to_dir->env != from_dir->env)
        return omi_fail(OMEN_UNSUPPORTED, EXDEV, "linking %s/%s into %s", f->path, from, t->path);
    omen_err err = omi_name_check(f->path, from);
    if (err == OMEN_OK)
        err = omi_name_check(t->path, to);
    if (err != OMEN_OK)
        return err;
    omi_sim_step(s);
    omi_mutex_lock(&s->mu);
    err = link_locked(s, f, from, t, to);
    omi_mutex_unlock(&s->mu);
    return err;
}

static omen_err remove_locked(struct omi_sim_env *s, const char *path) OMI_REQUIRES(s->mu)
{
    omen_err err = name_fault_locked(s, path, NULL, false, "removing the directory");
    if (err != OMEN_OK)
        return err;
    struct omi_sim_directory *d = omi_sim_directory_find_locked(s, path);
    if (d == NULL)
        return OMEN_NOT_FOUND;
    if (is_parent(d, d->path)) /* "/" and "." are their own parents */
        return omi_fail(OMEN_IO, EBUSY, "%s: removing the directory", path);
    bool empty = d->current.count == 0;
    for (const struct omi_sim_directory *c = s->directories; c != NULL && empty; c = c->next)
        empty = !is_child(c, d);
    if (!empty)
        return omi_fail(OMEN_EXISTS, 0, "directory %s is not empty", path);
    d->removed = true;
    return OMEN_OK;
}

omen_err omi_sim_dir_remove(struct omi_env *env, const char *path)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    omi_sim_step(s);
    omi_mutex_lock(&s->mu);
    omen_err err = remove_locked(s, path);
    omi_mutex_unlock(&s->mu);
    return err;
}
