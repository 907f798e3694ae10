/*
 * sim_image.h - the bytes of a simulated file, in pages that copies share until one is written.
 * Both an image and its pages are counted, so that a crash clone costs a pointer a file. Images of
 * two envs may share pages: the counts are atomic, and whoever counts 1 is alone.
 * Bytes at or past size are zeros.
 */
#ifndef OMI_SIM_IMAGE_H
#define OMI_SIM_IMAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OMI_SIM_PAGE = 4096, OMI_SIM_SECTOR = 512 };
#define OMI_SIM_FILE_BYTES_MAX ((uint64_t)4 << 30)

struct omi_sim_page;
struct omi_sim_image {
    atomic_uint refs;
    uint64_t size;
    struct omi_sim_page **pages; /* NULL: zeros */
    size_t page_count, page_capacity;
};

struct omi_sim_image *omi_sim_image_create(void); /* NULL when memory is short */
struct omi_sim_image *omi_sim_image_ref(struct omi_sim_image *image);
void omi_sim_image_unref(struct omi_sim_image *image); /* NULL is fine */

/* Makes *image this holder's alone, with pages of its own for [off, off+size). False when memory is
 * short: the bytes are as before. */
bool omi_sim_image_prepare(struct omi_sim_image **image, uint64_t off, uint64_t size);
/* After a prepare of the same range, or a larger one. */
void omi_sim_image_write(struct omi_sim_image *image, uint64_t off, const uint8_t *bytes,
                         size_t size);
/* A larger size adds zeros. False when memory is short: the bytes are as before. */
bool omi_sim_image_resize(struct omi_sim_image **image, uint64_t size);
/* Returns how many bytes there were. */
size_t omi_sim_image_read(const struct omi_sim_image *image, uint64_t off, uint8_t *to,
                          size_t size);

#endif
