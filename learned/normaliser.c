#include "learned/normaliser.h"

enum {
    WINDOWS = 256,  /* block ends looked at to choose the number of positions */
    SAMPLES = 8192, /* keys looked at to choose the symbols */
    POSITIONS_MAX = OMI_NORM_POSITIONS_MAX,
    RANGES_MAX = OMI_NORM_RANGES_MAX
};
/* How many codes there may be: of an index, and with every bit in use. */
#define CODES_MAX ((unsigned __int128)1 << 63)
#define CODES_ALL ((unsigned __int128)1 << 64)

/* Weights and bases from ranges and radices. False when there would be more codes than most. */
static bool positions_finish(struct omi_norm_position *positions, uint32_t count,
                             unsigned __int128 most)
{
    unsigned __int128 weight = 1;
    for (uint32_t i = count; i-- > 0;) {
        struct omi_norm_position *at = &positions[i];
        uint32_t rank = at->has_end;
        for (uint32_t r = 0; r < at->range_count; r++) {
            at->base[r] = (uint16_t)rank;
            rank += at->span[r] + 1u;
        }
        at->radix = (uint16_t)rank;
        at->weight = (uint64_t)weight;
        weight *= rank;
        if (weight > most)
            return false;
    }
    return true;
}

/* Where, after the prefix, the neighbours differ first that a block starting at entry start could
 * be cut between; POSITIONS_MAX when only later or nowhere. */
static uint32_t window_depth(const struct omi_index_key *keys, uint32_t count, uint32_t start,
                             uint32_t block_bytes, uint32_t prefix_size)
{
    uint64_t bytes = 0, from = block_bytes - block_bytes / 10u,
             to = block_bytes + block_bytes / 10u;
    size_t depth = POSITIONS_MAX;
    for (uint32_t i = start + 1; i < count; i++) {
        bytes += keys[i - 1].raw_bytes;
        if (bytes < from)
            continue;
        const struct omi_index_key *a = &keys[i - 1], *b = &keys[i];
        size_t common = omi_bytes_common(a->key, a->key_size, b->key, b->key_size);
        if (common == a->key_size && common == b->key_size)
            common = SIZE_MAX; /* versions of one key: no code tells them apart */
        else
            common = common > prefix_size ? common - prefix_size : 0;
        if (common < depth)
            depth = common;
        if (bytes > to)
            break;
    }
    return (uint32_t)depth;
}

/* The fewest positions that split block ends nearly as well as the most would. */
static uint32_t positions_needed(const struct omi_index_key *keys, uint32_t count,
                                 uint32_t block_bytes, uint32_t prefix_size)
{
    uint32_t by_depth[POSITIONS_MAX + 1] = {0}, windows = count < WINDOWS ? count : WINDOWS;
    for (uint32_t w = 0; w < windows; w++) {
        uint32_t start = (uint32_t)((uint64_t)w * count / windows);
        by_depth[window_depth(keys, count, start, block_bytes, prefix_size)]++;
    }
    uint32_t needed = POSITIONS_MAX, lost = 0;
    while (needed > 1 && (lost += by_depth[needed - 1]) <= windows / 200)
        needed--;
    return needed;
}

struct symbols {
    uint64_t bytes[4];
    bool has_end;
};

static void symbols_of_key(struct symbols *symbols, uint32_t position_count,
                           const struct omi_index_key *k, uint32_t prefix_size)
{
    uint32_t left = k->key_size - prefix_size;
    uint32_t count = left < position_count ? left : position_count;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t byte = k->key[prefix_size + i];
        symbols[i].bytes[byte >> 6] |= UINT64_C(1) << (byte & 63);
    }
    if (count < position_count)
        symbols[count].has_end = true;
}

static bool symbols_are_none(const struct symbols *s)
{
    return (s->bytes[0] | s->bytes[1] | s->bytes[2] | s->bytes[3]) == 0;
}

static bool symbols_have(const struct symbols *s, uint32_t byte)
{
    return (s->bytes[byte >> 6] >> (byte & 63) & 1) != 0;
}

/* Where not all bytes are printable they count as digits of a number: all between the least and the
 * largest are symbols, and one more on either side, so that what was not seen shares no code with
 * what was. Text keeps to the symbols it uses. */
static void symbols_fill(struct symbols *s)
{
    uint32_t least = 256, largest = 0;
    for (uint32_t byte = 0; byte < 256; byte++)
        if (symbols_have(s, byte)) {
            least = least < byte ? least : byte;
            largest = byte;
        }
    if (least == 256 || (least >= 0x20 && largest <= 0x7e))
        return;
    least -= least > 0;
    largest += largest < 255;
    for (uint32_t byte = least; byte <= largest; byte++)
        s->bytes[byte >> 6] |= UINT64_C(1) << (byte & 63);
}

/* The runs of used bytes; past RANGES_MAX of them the narrowest gaps are closed. */
static void ranges_of_symbols(const struct symbols *s, struct omi_norm_position *at)
{
    uint8_t low[128], last[128];
    uint32_t count = 0;
    for (uint32_t byte = 0; byte < 256; byte++) {
        if (!symbols_have(s, byte))
            continue;
        if (count != 0 && last[count - 1] + 1u == byte) {
            last[count - 1] = (uint8_t)byte;
        } else {
            low[count] = last[count] = (uint8_t)byte;
            count++;
        }
    }
    if (count == 0) { /* only ends were seen; one byte more does no harm */
        low[0] = last[0] = 0;
        count = 1;
    }
    while (count > RANGES_MAX) {
        uint32_t narrow = 1;
        for (uint32_t r = 2; r < count; r++)
            if (low[r] - last[r - 1] < low[narrow] - last[narrow - 1])
                narrow = r;
        last[narrow - 1] = last[narrow];
        count--;
        memmove(low + narrow, low + narrow + 1, count - narrow);
        memmove(last + narrow, last + narrow + 1, count - narrow);
    }
    *at = (struct omi_norm_position){.has_end = s->has_end, .range_count = (uint8_t)count};
    for (uint32_t r = 0; r < count; r++) {
        at->low[r] = low[r];
        at->span[r] = (uint8_t)(last[r] - low[r]);
    }
}

static void prefix_fit(struct omi_normaliser *n, const struct omi_index_key *keys, uint32_t count)
{
    const struct omi_index_key *first = &keys[0], *last = &keys[count - 1];
    n->prefix = first->key;
    n->prefix_size =
        (uint32_t)omi_bytes_common(first->key, first->key_size, last->key, last->key_size);
}

static void symbols_collect(const struct omi_normaliser *n, const struct omi_index_key *keys,
                            uint32_t count, struct symbols symbols[static POSITIONS_MAX])
{
    memset(symbols, 0, POSITIONS_MAX * sizeof(symbols[0]));
    symbols_of_key(symbols, n->position_count, &keys[count - 1], n->prefix_size);
    /* One key of each stride, at a scrambled place in it: regular steps would see only some of the
     * digits of a counter. */
    uint32_t stride = count / SAMPLES + 1;
    for (uint64_t from = 0; from < count; from += stride) {
        uint64_t scrambled = (from + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 32;
        uint64_t i = from + scrambled * stride / ((uint64_t)1 << 32);
        symbols_of_key(symbols, n->position_count, &keys[i < count ? i : count - 1],
                       n->prefix_size);
    }
    symbols_of_key(symbols, n->position_count, &keys[0], n->prefix_size);
}

static void positions_fit(struct omi_normaliser *n, const struct symbols *symbols,
                          unsigned __int128 most)
{
    for (uint32_t i = 0; i < n->position_count; i++)
        ranges_of_symbols(&symbols[i], &n->positions[i]);
    while (!positions_finish(n->positions, n->position_count, most))
        n->position_count--; /* one position has at most 257 symbols: ends before 0 */
}

void omi_normaliser_fit(struct omi_normaliser *n, const struct omi_index_key *keys, uint32_t count,
                        uint32_t block_bytes)
{
    struct symbols symbols[POSITIONS_MAX];
    prefix_fit(n, keys, count);
    n->position_count = positions_needed(keys, count, block_bytes, n->prefix_size);
    symbols_collect(n, keys, count, symbols);
    positions_fit(n, symbols, CODES_MAX);
}

void omi_normaliser_fit_whole(struct omi_normaliser *n, const struct omi_index_key *keys,
                              uint32_t count)
{
    struct symbols symbols[POSITIONS_MAX];
    prefix_fit(n, keys, count);
    n->position_count = POSITIONS_MAX;
    symbols_collect(n, keys, count, symbols);
    while (n->position_count > 1 && symbols_are_none(&symbols[n->position_count - 1]))
        n->position_count--; /* no key comes so far */
    for (uint32_t i = 0; i < n->position_count; i++)
        symbols_fill(&symbols[i]);
    positions_fit(n, symbols, CODES_ALL);
}

/* Byte by byte the symbols of the code's digits, up to the last that is not 0: a key below them is
 * smaller at one of these, and so is its digit, or it ends before the last. A digit 0 that means the
 * end with more behind it stands for bytes less than all symbols; the least of those will do. */
size_t omi_denormalise(const struct omi_normaliser *n, uint64_t code,
                       uint8_t out[static OMI_NORM_POSITIONS_MAX])
{
    size_t size = 0;
    for (uint32_t i = 0; i < n->position_count && code != 0; i++) {
        const struct omi_norm_position *at = &n->positions[i];
        uint64_t digit = code / at->weight;
        uint32_t r = 0;
        code %= at->weight;
        if (digit == 0 && at->has_end) {
            out[size++] = 0;
            break;
        }
        while (r + 1 < at->range_count && at->base[r + 1] <= digit)
            r++;
        out[size++] = (uint8_t)(at->low[r] + (digit - at->base[r]));
    }
    return size;
}

/* A position: u8 has_end << 7 | ranges, then first and last byte of each range. */
omen_err omi_normaliser_encode(const struct omi_normaliser *n, struct omi_buf *out)
{
    for (uint32_t i = 0; i < n->position_count; i++) {
        const struct omi_norm_position *at = &n->positions[i];
        uint8_t bytes[1 + 2 * RANGES_MAX];
        bytes[0] = (uint8_t)(at->has_end << 7 | at->range_count);
        for (uint32_t r = 0; r < at->range_count; r++) {
            bytes[1 + 2 * r] = at->low[r];
            bytes[2 + 2 * r] = (uint8_t)(at->low[r] + at->span[r]);
        }
        omen_err err = omi_buf_append(out, bytes, 1 + 2 * (size_t)at->range_count);
        if (err != OMEN_OK)
            return err;
    }
    return OMEN_OK;
}

static bool position_decode(struct omi_norm_position *at, struct omi_reader *r)
{
    uint8_t head = omi_take_u8(r);
    *at = (struct omi_norm_position){.has_end = head >> 7, .range_count = head & 0x7f};
    if (at->range_count == 0 || at->range_count > RANGES_MAX)
        return false;
    for (uint32_t k = 0, least = 0; k < at->range_count; k++) {
        uint8_t low = omi_take_u8(r), last = omi_take_u8(r);
        if (r->failed || low < least || last < low)
            return false;
        at->low[k] = low;
        at->span[k] = (uint8_t)(last - low);
        least = last + 1u;
    }
    return true;
}

static omen_err decode(struct omi_normaliser *n, uint32_t position_count, const uint8_t *bytes,
                       size_t size, unsigned __int128 most)
{
    struct omi_reader r = omi_reader_of(bytes, size);
    n->position_count = position_count;
    bool good = position_count >= 1 && position_count <= POSITIONS_MAX;
    for (uint32_t i = 0; good && i < position_count; i++)
        good = position_decode(&n->positions[i], &r);
    if (!good || omi_reader_left(&r) != 0 || !positions_finish(n->positions, position_count, most))
        return omi_fail(OMEN_CORRUPT, 0, "the symbols of a key position do not parse");
    return OMEN_OK;
}

omen_err omi_normaliser_decode(struct omi_normaliser *n, uint32_t position_count,
                               const uint8_t *bytes, size_t size)
{
    return decode(n, position_count, bytes, size, CODES_MAX);
}

omen_err omi_normaliser_decode_whole(struct omi_normaliser *n, uint32_t position_count,
                                     const uint8_t *bytes, size_t size)
{
    return decode(n, position_count, bytes, size, CODES_ALL);
}
