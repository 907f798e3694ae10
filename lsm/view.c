/* view.c - what a reader holds on to while the tree changes under it. */
#include "lsm/db.h"

#include <stdlib.h>

struct omi_view *omi_view_ref(omen_db *db)
{
    omi_mutex_lock(&db->mu);
    struct omi_view *view = db->view;
    atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
    omi_mutex_unlock(&db->mu);
    return view;
}

void omi_view_unref(struct omi_view *view)
{
    if (view == NULL || atomic_fetch_sub_explicit(&view->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < view->mem_count; i++)
        omi_memtable_unref(view->mems[i]);
    omi_version_unref(view->version);
    free(view);
}

omen_err omi_view_create(struct omi_view **out)
{
    *out = calloc(1, sizeof(**out));
    return *out != NULL ? OMEN_OK : omi_fail(OMEN_NO_MEMORY, 0, "a view of the database");
}

void omi_view_publish_locked(omen_db *db, struct omi_version *version, struct omi_view *view)
{
    atomic_init(&view->refs, 1);
    if (db->active.table != NULL)
        view->mems[view->mem_count++] = db->active.table;
    for (uint32_t i = db->immutable_count; i-- > 0;)
        view->mems[view->mem_count++] = db->immutables[i].table;
    for (uint32_t i = 0; i < view->mem_count; i++)
        omi_memtable_ref(view->mems[i]);
    omi_version_ref(version);
    view->version = version;
    struct omi_view *old = db->view;
    db->view = view;
    /* Cheap under mu: whoever changes the tree holds references of its own on what left the view.
     */
    omi_view_unref(old);
}
