#include "io/sim_image.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct omi_sim_page {
    atomic_uint refs;
    uint8_t bytes[OMI_SIM_PAGE];
};

static void page_unref(struct omi_sim_page *page)
{
    if (page != NULL && atomic_fetch_sub_explicit(&page->refs, 1, memory_order_acq_rel) == 1)
        free(page);
}

struct omi_sim_image *omi_sim_image_create(void)
{
    struct omi_sim_image *image = calloc(1, sizeof(*image));
    if (image != NULL)
        atomic_init(&image->refs, 1);
    return image;
}

struct omi_sim_image *omi_sim_image_ref(struct omi_sim_image *image)
{
    atomic_fetch_add_explicit(&image->refs, 1, memory_order_relaxed);
    return image;
}

void omi_sim_image_unref(struct omi_sim_image *image)
{
    if (image == NULL || atomic_fetch_sub_explicit(&image->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < image->page_count; i++)
        page_unref(image->pages[i]);
    free(image->pages);
    free(image);
}

static bool image_own(struct omi_sim_image **image)
{
    struct omi_sim_image *old = *image;
    if (atomic_load_explicit(&old->refs, memory_order_acquire) == 1)
        return true;
    struct omi_sim_image *own = omi_sim_image_create();
    if (own == NULL)
        return false;
    if (old->page_count != 0) {
        own->pages = malloc(old->page_count * sizeof(*own->pages));
        if (own->pages == NULL) {
            free(own);
            return false;
        }
        own->page_capacity = old->page_count;
    }
    own->page_count = old->page_count;
    own->size = old->size;
    for (size_t i = 0; i < old->page_count; i++) {
        own->pages[i] = old->pages[i];
        if (own->pages[i] != NULL)
            atomic_fetch_add_explicit(&own->pages[i]->refs, 1, memory_order_relaxed);
    }
    omi_sim_image_unref(old);
    *image = own;
    return true;
}

static bool pages_reserve(struct omi_sim_image *image, size_t count)
{
    if (count > image->page_capacity) {
        size_t capacity = image->page_capacity * 2 > count ? image->page_capacity * 2 : count;
        struct omi_sim_page **pages = realloc(image->pages, capacity * sizeof(*pages));
        if (pages == NULL)
            return false;
        image->pages = pages;
        image->page_capacity = capacity;
    }
    while (image->page_count < count)
        image->pages[image->page_count++] = NULL;
    return true;
}

static bool page_own(struct omi_sim_page **at)
{
    struct omi_sim_page *old = *at;
    if (old != NULL && atomic_load_explicit(&old->refs, memory_order_acquire) == 1)
        return true;
    struct omi_sim_page *own = malloc(sizeof(*own));
    if (own == NULL)
        return false;
    atomic_init(&own->refs, 1);
    if (old != NULL)
        memcpy(own->bytes, old->bytes, OMI_SIM_PAGE);
    else
        memset(own->bytes, 0, OMI_SIM_PAGE);
    page_unref(old);
    *at = own;
    return true;
}

bool omi_sim_image_prepare(struct omi_sim_image **image, uint64_t off, uint64_t size)
{
    assert(off <= OMI_SIM_FILE_BYTES_MAX && size <= OMI_SIM_FILE_BYTES_MAX - off);
    if (!image_own(image))
        return false;
    if (size == 0)
        return true;
    size_t first = (size_t)(off / OMI_SIM_PAGE), last = (size_t)((off + size - 1) / OMI_SIM_PAGE);
    if (!pages_reserve(*image, last + 1))
        return false;
    for (size_t i = first; i <= last; i++)
        if (!page_own(&(*image)->pages[i]))
            return false;
    return true;
}

void omi_sim_image_write(struct omi_sim_image *image, uint64_t off, const uint8_t *bytes,
                         size_t size)
{
    if (size != 0 && off + size > image->size)
        image->size = off + size;
    while (size > 0) {
        size_t at = (size_t)(off % OMI_SIM_PAGE);
        size_t step = size < OMI_SIM_PAGE - at ? size : OMI_SIM_PAGE - at;
        memcpy(image->pages[off / OMI_SIM_PAGE]->bytes + at, bytes, step);
        off += step;
        bytes += step;
        size -= step;
    }
}

bool omi_sim_image_resize(struct omi_sim_image **image, uint64_t size)
{
    if (!image_own(image))
        return false;
    struct omi_sim_image *own = *image;
    size_t keep = (size_t)((size + OMI_SIM_PAGE - 1) / OMI_SIM_PAGE);
    size_t at = (size_t)(size % OMI_SIM_PAGE);
    if (size < own->size && at != 0 && keep <= own->page_count && own->pages[keep - 1] != NULL) {
        if (!page_own(&own->pages[keep - 1]))
            return false;
        memset(own->pages[keep - 1]->bytes + at, 0, OMI_SIM_PAGE - at);
    }
    while (own->page_count > keep)
        page_unref(own->pages[--own->page_count]);
    own->size = size;
    return true;
}

size_t omi_sim_image_read(const struct omi_sim_image *image, uint64_t off, uint8_t *to, size_t size)
{
    if (off >= image->size)
        return 0;
    if (size > image->size - off)
        size = (size_t)(image->size - off);
    for (size_t done = 0; done < size;) {
        uint64_t from = off + done;
        size_t at = (size_t)(from % OMI_SIM_PAGE), index = (size_t)(from / OMI_SIM_PAGE);
        size_t step = size - done < OMI_SIM_PAGE - at ? size - done : OMI_SIM_PAGE - at;
        if (index < image->page_count && image->pages[index] != NULL)
            memcpy(to + done, image->pages[index]->bytes + at, step);
        else
            memset(to + done, 0, step);
        done += step;
    }
    return size;
}
