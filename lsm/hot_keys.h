/*
 * hot_keys.h - which keys come often in a stream, in bounded memory, with bounds on how often.
 * The space-saving algorithm (Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and
 * top-k elements in data streams", 2005): a key that is not listed takes the place of the least, and
 * that one's count as what it may have had.
 * Threads: one at a time.
 */
#ifndef OMI_HOT_KEYS_H
#define OMI_HOT_KEYS_H

#include "io/base/fail.h"

/* Listed; handed out are OMEN_HOT_KEYS_MAX, and the others keep the error small. */
enum { OMI_HOT_LIST = 512, OMI_HOT_SKEW_MAX = 5000 };

/* The key came at most count times, and error less at least. */
struct omi_hot_key {
    uint64_t hash;
    uint32_t count, error;
    uint16_t key_size; /* of the whole key */
    uint8_t head[OMEN_HOT_KEY_BYTES];
};

/* What is handed out and kept. */
struct omi_hot_top {
    uint32_t count;
    uint64_t total, floor; /* keys that came; one that is not among keys came at most so often */
    struct omi_hot_key keys[OMEN_HOT_KEYS_MAX]; /* the one that came most often for certain first */
};

struct omi_hot_keys;
OMEN_MUST_CHECK omen_err omi_hot_create(struct omi_hot_keys **out);
void omi_hot_destroy(struct omi_hot_keys *h); /* NULL is fine */
uint64_t omi_hot_bytes(void);
/* key->count and error are not looked at. */
void omi_hot_add(struct omi_hot_keys *h, const struct omi_hot_key *key);
/* What came so far counts half. */
void omi_hot_halve(struct omi_hot_keys *h);
void omi_hot_top(const struct omi_hot_keys *h, struct omi_hot_top *out);
/* In place of all that is listed. */
void omi_hot_restore(struct omi_hot_keys *h, const struct omi_hot_top *top);
/* Thousandths of the Zipf exponent that the counts show; 0: even, or too few. */
uint32_t omi_hot_skew(const struct omi_hot_keys *h);

#endif
