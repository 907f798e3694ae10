#include "learned/separators.h"

#include "io/base/coding.h"

enum { SHARED_ZERO = 7, SHARED_ESCAPE = 14, SHARED_VERSION = 15, SUFFIX_ESCAPE = 15 };

/* ---- writing --------------------------------------------------------------------------------- */

void omi_separator_writer_init(struct omi_separator_writer *w, struct omi_buf *out)
{
    *w = (struct omi_separator_writer){.out = out, .start = out->size};
}

void omi_separator_writer_fini(struct omi_separator_writer *w)
{
    omi_buf_fini(&w->restarts);
    omi_buf_fini(&w->last);
}

static omen_err put_head(struct omi_separator_writer *w, uint32_t shared, uint32_t suffix,
                         bool versioned)
{
    int64_t delta = (int64_t)shared - w->last_shared + SHARED_ZERO;
    uint8_t high = versioned                             ? SHARED_VERSION
                   : delta >= 0 && delta < SHARED_ESCAPE ? (uint8_t)delta
                                                         : SHARED_ESCAPE;
    uint8_t low = suffix < SUFFIX_ESCAPE ? (uint8_t)suffix : SUFFIX_ESCAPE;
    omen_err err = omi_buf_append_u8(w->out, (uint8_t)(high << 4 | low));
    if (err == OMEN_OK && high >= SHARED_ESCAPE)
        err = omi_buf_append_varint(w->out, shared);
    if (err == OMEN_OK && low == SUFFIX_ESCAPE)
        err = omi_buf_append_varint(w->out, suffix);
    return err;
}

omen_err omi_separator_add(struct omi_separator_writer *w, const uint8_t *key, uint32_t size,
                           uint64_t trailer)
{
    uint32_t shared = 0;
    omen_err err = OMEN_OK;
    if (w->count % OMI_SEPARATOR_RESTART == 0) {
        w->last_shared = 0;
        err = omi_buf_append_u32(&w->restarts, (uint32_t)(w->out->size - w->start));
    } else {
        shared = (uint32_t)omi_bytes_common(w->last.data, w->last.size, key, size);
    }
    bool versioned = trailer != UINT64_MAX;
    if (err == OMEN_OK)
        err = put_head(w, shared, size - shared, versioned);
    if (err == OMEN_OK)
        err = omi_buf_append(w->out, key + shared, size - shared);
    if (err == OMEN_OK && versioned)
        err = omi_buf_append_u64(w->out, trailer);
    w->last_shared = shared;
    w->last.size = 0;
    if (err == OMEN_OK)
        err = omi_buf_append(&w->last, key, size);
    w->count++;
    return err;
}

omen_err omi_separator_finish(struct omi_separator_writer *w)
{
    return omi_buf_append(w->out, w->restarts.data, w->restarts.size);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct item {
    const uint8_t *suffix;
    uint32_t shared, suffix_size;
    uint64_t trailer;
};

/* The next entry; the reader fails when it does not fit. */
static inline void item_take(struct omi_reader *r, uint32_t last_shared, struct item *out)
{
    uint8_t head = omi_take_u8(r);
    uint32_t high = head >> 4, low = head & 15;
    uint64_t shared =
        high < SHARED_ESCAPE ? (uint64_t)last_shared + high - SHARED_ZERO : omi_take_varint(r);
    uint64_t suffix = low < SUFFIX_ESCAPE ? low : omi_take_varint(r);
    if (shared > OMEN_KEY_BYTES_MAX || suffix > OMEN_KEY_BYTES_MAX)
        r->failed = true;
    out->shared = (uint32_t)shared;
    out->suffix_size = (uint32_t)suffix;
    out->suffix = omi_take_bytes(r, r->failed ? 0 : (size_t)suffix);
    out->trailer = high == SHARED_VERSION ? omi_take_u64(r) : UINT64_MAX;
}

static uint32_t restart_count(const struct omi_separators *s)
{
    return (s->count + OMI_SEPARATOR_RESTART - 1) / OMI_SEPARATOR_RESTART;
}

static struct omi_reader reader_at(const struct omi_separators *s, uint32_t restart)
{
    uint32_t off = omi_get_u32(s->restarts + (size_t)restart * 4);
    return omi_reader_of(s->entries + off, s->entries_size - off);
}

omen_err omi_separators_open(const uint8_t *bytes, size_t size, uint32_t count,
                             struct omi_separators *s)
{
    *s = (struct omi_separators){.entries = bytes, .count = count};
    uint64_t restarts = (uint64_t)restart_count(s) * 4;
    if (restarts > size || size - restarts > UINT32_MAX)
        return omi_fail(OMEN_CORRUPT, 0, "block index: %u separators in %zu bytes", count, size);
    s->entries_size = (uint32_t)(size - restarts);
    s->restarts = bytes + s->entries_size;
    struct omi_reader r = omi_reader_of(bytes, s->entries_size);
    struct item item = {0};
    uint64_t key_size = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i % OMI_SEPARATOR_RESTART == 0) {
            if (omi_get_u32(s->restarts + (size_t)(i / OMI_SEPARATOR_RESTART) * 4) !=
                (size_t)(r.next - bytes))
                r.failed = true;
            item.shared = 0;
            key_size = 0;
        }
        item_take(&r, item.shared, &item);
        if (!r.failed && (item.shared > key_size ||
                          (uint64_t)item.shared + item.suffix_size > OMEN_KEY_BYTES_MAX))
            r.failed = true;
        key_size = (uint64_t)item.shared + item.suffix_size;
        if (r.failed)
            return omi_fail(OMEN_CORRUPT, 0, "block index: separator %u does not parse", i);
    }
    return r.next == r.end ? OMEN_OK
                           : omi_fail(OMEN_CORRUPT, 0, "block index: bytes behind the separators");
}

/* Is the separator <= (key, trailer), their bytes being equal? */
static bool version_passed(uint64_t separator_trailer, uint64_t trailer)
{
    return trailer <= separator_trailer;
}

/* The last restart whose separator is <= the key; 0 when none is. */
static uint32_t restart_find(const struct omi_separators *s, const uint8_t *key, size_t key_size,
                             uint64_t trailer, uint32_t *compares)
{
    uint32_t low = 0, high = restart_count(s);
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        struct omi_reader r = reader_at(s, middle);
        struct item item;
        item_take(&r, 0, &item);
        int c = omi_bytes_compare(item.suffix, item.suffix_size, key, key_size);
        ++*compares;
        if (c < 0 || (c == 0 && version_passed(item.trailer, trailer)))
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* From a restart on, without putting keys together: common is how many bytes the key shares with
 * the last passed separator, which is smaller. A next one that shares more with that one is passed
 * as well, for the same reason; one that shares less is greater where the key still agrees. */
uint32_t omi_separators_rank(const struct omi_separators *s, const uint8_t *key, size_t key_size,
                             uint64_t trailer, uint32_t *compares)
{
    if (s->count == 0)
        return 0;
    uint32_t restart = restart_find(s, key, key_size, trailer, compares);
    uint32_t rank = restart * OMI_SEPARATOR_RESTART, end = rank + OMI_SEPARATOR_RESTART;
    if (end > s->count)
        end = s->count;
    struct omi_reader r = reader_at(s, restart);
    struct item item = {0};
    size_t common = 0;
    for (; rank < end; rank++) {
        item_take(&r, item.shared, &item);
        if (item.shared > common)
            continue;
        if (item.shared < common)
            break;
        ++*compares;
        size_t more =
            omi_bytes_common(item.suffix, item.suffix_size, key + common, key_size - common);
        if (more < item.suffix_size) {
            if (common + more == key_size || item.suffix[more] > key[common + more])
                break;
        } else if (common + more == key_size && !version_passed(item.trailer, trailer)) {
            break;
        }
        common += more;
    }
    return rank;
}

uint32_t omi_separators_rank_ordered(const struct omi_separators *s, const struct omi_order *order,
                                     omen_slice key, uint64_t trailer, uint32_t *compares)
{
    uint8_t buffer[OMEN_KEY_BYTES_MAX];
    uint32_t low = 0, high = restart_count(s);
    if (s->count == 0)
        return 0;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        struct omi_reader r = reader_at(s, middle);
        struct item item;
        item_take(&r, 0, &item);
        int c = omi_key_compare(order, omi_slice(item.suffix, item.suffix_size), key);
        ++*compares;
        if (c < 0 || (c == 0 && version_passed(item.trailer, trailer)))
            low = middle;
        else
            high = middle;
    }
    uint32_t rank = low * OMI_SEPARATOR_RESTART, end = rank + OMI_SEPARATOR_RESTART;
    if (end > s->count)
        end = s->count;
    struct omi_reader r = reader_at(s, low);
    struct item item = {0};
    for (; rank < end; rank++) {
        item_take(&r, item.shared, &item);
        memcpy(buffer + item.shared, item.suffix, item.suffix_size);
        int c =
            omi_key_compare(order, omi_slice(buffer, (size_t)item.shared + item.suffix_size), key);
        ++*compares;
        if (c > 0 || (c == 0 && !version_passed(item.trailer, trailer)))
            break;
    }
    return rank;
}
