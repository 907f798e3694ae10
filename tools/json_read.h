/*
 * json_read.h - reads JSON as RFC 8259 has it, and nothing else: no comments, no trailing commas,
 * no member twice in one object, no text after the value.
 *
 * Units:   line and column count from 1, columns in bytes.
 * Owner:   a document owns its nodes and their text; omt_json_free gives them back.
 * Errors:  in words, "line 3, column 7: ...". Depth is bounded, so hostile text does no harm.
 */
#ifndef OMT_JSON_READ_H
#define OMT_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OMT_JSON_WHY = 200, OMT_JSON_DEPTH_MAX = 32 };

enum omt_node_kind {
    OMT_NODE_NULL,
    OMT_NODE_BOOL,
    OMT_NODE_NUMBER,
    OMT_NODE_TEXT,
    OMT_NODE_ARRAY,
    OMT_NODE_OBJECT
};

struct omt_node {
    enum omt_node_kind kind;
    uint32_t line, column;
    const char *name; /* of a member; else NULL. Ends with a NUL; may not hold one */
    const char *text; /* of TEXT, escapes replaced, and of NUMBER as it stood; ends with a NUL */
    size_t size;      /* of text, in bytes */
    bool truth;       /* of BOOL */
    uint32_t count;   /* members or elements */
    struct omt_node *first, *next;
};

struct omt_json_doc {
    struct omt_node *root; /* NULL: nothing was read */
    struct omt_node *nodes;
    char *texts;
    char why[OMT_JSON_WHY];
};

/* False: doc_out->why says where and why; nothing is to be freed then. */
bool omt_json_parse(const char *text, size_t size, struct omt_json_doc *doc_out);
void omt_json_free(struct omt_json_doc *doc);
/* Of a whole file, at most 64 MiB; why names the file too. */
bool omt_json_load(const char *path, struct omt_json_doc *doc_out);

/* NULL when there is none, or object is no object. */
const struct omt_node *omt_node_member(const struct omt_node *object, const char *name);
/* False: node is NULL, of another kind, or out of range. A u64 may not have a fraction. */
bool omt_node_f64(const struct omt_node *node, double *out);
bool omt_node_u64(const struct omt_node *node, uint64_t *out);
bool omt_node_bool(const struct omt_node *node, bool *out);
const char *omt_node_text(const struct omt_node *node); /* NULL: no text */
const char *omt_node_kind_name(enum omt_node_kind kind);
/* "line L, column C: " and the rest, into why. Always false, to be returned. */
bool omt_node_fail(const struct omt_node *node, char why[static OMT_JSON_WHY], const char *format,
                   ...) __attribute__((format(printf, 3, 4)));

#endif
