/*
 * lab_filter_work.h - keys of a file and lookups of absent keys, of shapes that filters can or cannot
 * learn from; made from a seed, or read from files.
 * Owner: omt_filter_work_free frees what make and load gave; asked keys are freed by omt_asked_free.
 */
#ifndef OMT_LAB_FILTER_WORK_H
#define OMT_LAB_FILTER_WORK_H

#include "learned/filter.h"

/* An absent key. */
struct omt_asked {
    const uint8_t *data;
    uint32_t size;
    uint64_t hash;
};
struct omt_asked_list {
    struct omt_asked *at;
    size_t count;
    uint8_t *bytes; /* of made keys */
};

enum omt_asking {
    OMT_ASK_AS_EVER,  /* as the shape's clients do */
    OMT_ASK_DRIFTED,  /* as they would when others become hot, or come nearer to the keys */
    OMT_ASK_LIKE_KEYS /* spread like the keys: beside one of them each */
};

struct omt_filter_work {
    const char *name, *what;    /* "B2", "keys in clusters ..." */
    struct omi_index_key *keys; /* ascending, distinct */
    uint64_t *hashes;           /* of the keys */
    uint32_t count;

    /* The rest is the maker's. */
    int shape;
    uint64_t state;
    uint64_t *numbers; /* of made keys */
    uint8_t *bytes;
    uint32_t *metrics, metrics_known, metrics_all;
    uint64_t *pool; /* of absent keys that are asked for again and again */
    double *zipf;   /* cumulated */
    uint32_t *order, zipf_count;
    struct omt_asked_list lookups; /* of a file */
    size_t lookups_next;
};

/* "A A2 B ...", for messages. */
const char *omt_filter_work_names(void);
/* About count keys. 0, or -1 with static text in *why_out. */
int omt_filter_work_make(const char *name, uint32_t count, uint64_t seed,
                         struct omt_filter_work *out, const char **why_out);
/* Keys from one file, lookups from another (NULL: beside keys), one a line; lookups of keys that are
 * there are left out. */
int omt_filter_work_load(const char *keys, const char *lookups, uint64_t seed,
                         struct omt_filter_work *out, const char **why_out);
/* Keys of even steps with a little chance, without a sort: for filters larger than caches. */
int omt_filter_work_even(uint32_t count, uint64_t seed, struct omt_filter_work *out,
                         const char **why_out);
void omt_filter_work_free(struct omt_filter_work *w);

/* The next lookups, count of them or what the file still has; at is NULL when memory is short. */
struct omt_asked_list omt_filter_work_ask(struct omt_filter_work *w, enum omt_asking how,
                                          size_t count);
void omt_asked_free(struct omt_asked_list *list);
/* As the database would have remembered them; NULL when memory is short. */
struct omi_filter_sample *omt_asked_samples(const struct omt_asked_list *list);

#endif
