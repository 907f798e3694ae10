#include "io/sim.h"

#include <stdlib.h>
#include <string.h>

/* The index of name, or of where it belongs. */
static size_t names_search(const struct omi_sim_names *names, const char *name, bool *found)
{
    size_t low = 0, high = names->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = strcmp(names->items[middle].name, name);
        if (c == 0) {
            *found = true;
            return middle;
        }
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct omi_sim_inode *omi_sim_names_find(const struct omi_sim_names *names, const char *name)
{
    bool found;
    size_t at = names_search(names, name, &found);
    return found ? names->items[at].inode : NULL;
}

static bool names_reserve(struct omi_sim_names *names, size_t count)
{
    if (count <= names->capacity)
        return true;
    size_t capacity = names->capacity * 2 > count ? names->capacity * 2 : count;
    struct omi_sim_name *items = realloc(names->items, capacity * sizeof(*items));
    if (items == NULL)
        return false;
    names->items = items;
    names->capacity = capacity;
    return true;
}

bool omi_sim_names_set_locked(struct omi_sim_env *s, struct omi_sim_names *names, const char *name,
                              struct omi_sim_inode *inode)
{
    bool found;
    size_t at = names_search(names, name, &found);
    if (!found) {
        if (!names_reserve(names, names->count + 1))
            return false;
        char *own = strdup(name);
        if (own == NULL)
            return false;
        memmove(names->items + at + 1, names->items + at,
                (names->count - at) * sizeof(*names->items));
        names->items[at] = (struct omi_sim_name){.name = own, .inode = NULL};
        names->count++;
    }
    struct omi_sim_inode *before = names->items[at].inode;
    inode->refs++;
    names->items[at].inode = inode;
    omi_sim_inode_unref_locked(s, before);
    return true;
}

void omi_sim_names_clear_locked(struct omi_sim_env *s, struct omi_sim_names *names,
                                const char *name)
{
    bool found;
    size_t at = names_search(names, name, &found);
    if (!found)
        return;
    free(names->items[at].name);
    omi_sim_inode_unref_locked(s, names->items[at].inode);
    names->count--;
    memmove(names->items + at, names->items + at + 1, (names->count - at) * sizeof(*names->items));
}

bool omi_sim_names_copy_locked(struct omi_sim_env *s, struct omi_sim_names *to,
                               const struct omi_sim_names *from)
{
    *to = (struct omi_sim_names){0};
    if (!names_reserve(to, from->count))
        return false;
    for (size_t i = 0; i < from->count; i++) {
        char *own = strdup(from->items[i].name);
        if (own == NULL) {
            omi_sim_names_fini_locked(s, to);
            return false;
        }
        from->items[i].inode->refs++;
        to->items[to->count++] = (struct omi_sim_name){own, from->items[i].inode};
    }
    return true;
}

void omi_sim_names_fini_locked(struct omi_sim_env *s, struct omi_sim_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->items[i].name);
        omi_sim_inode_unref_locked(s, names->items[i].inode);
    }
    free(names->items);
    *names = (struct omi_sim_names){0};
}

bool omi_sim_names_change_locked(struct omi_sim_env *s, struct omi_sim_names *names,
                                 const char *clear, const char *set, struct omi_sim_inode *inode)
{
    /* set first: it alone can fail, and the names differ. */
    if (set != NULL && !omi_sim_names_set_locked(s, names, set, inode))
        return false;
    if (clear != NULL)
        omi_sim_names_clear_locked(s, names, clear);
    return true;
}

bool omi_sim_name_op_add_locked(struct omi_sim_env *s, struct omi_sim_directory *d,
                                const char *clear, const char *set, struct omi_sim_inode *inode)
{
    (void)s;
    if (d->op_count == d->op_capacity) {
        size_t capacity = d->op_capacity != 0 ? d->op_capacity * 2 : 8;
        struct omi_sim_name_op *ops = realloc(d->ops, capacity * sizeof(*ops));
        if (ops == NULL)
            return false;
        d->ops = ops;
        d->op_capacity = capacity;
    }
    struct omi_sim_name_op own = {.inode = inode};
    own.clear = clear != NULL ? strdup(clear) : NULL;
    own.set = set != NULL ? strdup(set) : NULL;
    if ((clear != NULL && own.clear == NULL) || (set != NULL && own.set == NULL)) {
        free(own.clear);
        free(own.set);
        return false;
    }
    if (inode != NULL)
        inode->refs++;
    d->ops[d->op_count++] = own;
    return true;
}

void omi_sim_name_ops_cut_locked(struct omi_sim_env *s, struct omi_sim_directory *d, size_t count)
{
    while (d->op_count > count) {
        struct omi_sim_name_op *op = &d->ops[--d->op_count];
        free(op->clear);
        free(op->set);
        omi_sim_inode_unref_locked(s, op->inode);
    }
}
