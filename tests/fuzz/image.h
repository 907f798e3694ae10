/*
 * image.h - a directory as one input: files one behind the other.
 *   0 1 kind | 1 1 number | 2 2 size | 4 size bytes; a larger size than is left means what is left
 * A log's bytes are packed, for most of its first page are zeros: flags u8 (below), a header of 64
 * bytes, frames. Other files are as they are on the disk.
 */
#ifndef OMI_FUZZ_IMAGE_H
#define OMI_FUZZ_IMAGE_H

#include "tests/fuzz/fuzz.h"

enum image_kind { IMAGE_MANIFEST, IMAGE_TABLE, IMAGE_LOG, IMAGE_CURRENT, IMAGE_OTHER, IMAGE_KINDS };
enum { IMAGE_FILES_MAX = 16, IMAGE_HEAD_BYTES = 4, IMAGE_FILE_BYTES_MAX = 65535 };
enum {
    IMAGE_LOG_HEADER = 1 << 0, /* the header is there */
    IMAGE_LOG_COPY = 1 << 1,   /* its copy is there */
    IMAGE_LOG_SHORT = 1 << 2   /* the file ends inside its first page */
};
enum { IMAGE_LOG_PACKED = 65 };

struct image_file {
    enum image_kind kind;
    unsigned number;
    uint8_t *bytes; /* into the input */
    size_t size;
};

/* Returns how many files there are. */
uint32_t image_cut(uint8_t *data, size_t size, struct image_file files[static IMAGE_FILES_MAX]);
/* Writes a file into the directory, under the name that its kind and number give. */
void image_write(struct omi_dir *dir, const struct image_file *file);
/* Appends a file; false when there is no room. bytes as on the disk. */
bool image_append(uint8_t *data, size_t *size, size_t max_size, enum image_kind kind,
                  unsigned number, const uint8_t *bytes, size_t count);

/* Mutates one of the files (or which files there are) and mends the checks of all, at times of
 * none. */
size_t image_mutate(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#endif
