#include "tools/records.h"

#include <stdlib.h>
#include <string.h>

void omt_records_fini(struct omt_records *r)
{
    omt_bytes_free(&r->key);
    omt_bytes_free(&r->value);
    omt_bytes_free(&r->text[0]);
    omt_bytes_free(&r->text[1]);
    free(r->buffer);
    r->buffer = NULL;
}

static enum omt_record bad(struct omt_records *r, const char *why)
{
    r->why = why;
    return OMT_RECORD_BAD;
}

static enum omt_record both_decode(struct omt_records *r, const char *key, size_t key_len,
                                   const char *value, size_t value_len)
{
    r->key.size = r->value.size = 0;
    if (!omt_decode(r->form, key, key_len, &r->key, &r->why) ||
        !omt_decode(r->form, value, value_len, &r->value, &r->why))
        return OMT_RECORD_BAD;
    if (r->key.size > OMEN_KEY_BYTES_MAX)
        return bad(r, "a key over 65,535 bytes");
    if (r->value.size > OMEN_VALUE_BYTES_MAX)
        return bad(r, "a value over 256 MiB");
    return OMT_RECORD_OK;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* The next line without its line break. */
static enum omt_record line_read(struct omt_records *r, size_t *len_out)
{
    ssize_t n = getline(&r->buffer, &r->buffer_room, r->in);
    if (n < 0)
        return ferror(r->in) != 0 || feof(r->in) == 0 ? OMT_RECORD_IO : OMT_RECORD_END;
    r->line = ++r->lines_read;
    r->bytes += (uint64_t)n;
    if (n > 0 && r->buffer[n - 1] == '\n')
        n--;
    *len_out = (size_t)n;
    return OMT_RECORD_OK;
}

static enum omt_record lines_next(struct omt_records *r)
{
    size_t len = 0;
    enum omt_record got = line_read(r, &len);
    if (got != OMT_RECORD_OK)
        return got;
    const char *tab = memchr(r->buffer, '\t', len);
    if (tab == NULL)
        return bad(r, "no tab between key and value");
    size_t key_len = (size_t)(tab - r->buffer);
    return both_decode(r, r->buffer, key_len, tab + 1, len - key_len - 1);
}

/* ---- CSV (RFC 4180) -------------------------------------------------------------------------- */

static int csv_char(struct omt_records *r)
{
    int c = getc_unlocked(r->in);
    r->bytes += c != EOF;
    r->lines_read += c == '\n';
    return c;
}

/* One field into out; the character that ended it is returned: ',' '\n' or EOF. -2: bad quoting. */
static int csv_field(struct omt_records *r, int c, struct omt_bytes *out)
{
    out->size = 0;
    omt_bytes_append(out, "", 0);
    bool quoted = c == '"';
    if (quoted) {
        for (c = csv_char(r);; c = csv_char(r)) {
            if (c == EOF)
                return -2;
            if (c == '"') {
                c = csv_char(r);
                if (c != '"')
                    break;
            }
            char ch = (char)c;
            omt_bytes_append(out, &ch, 1);
        }
    }
    while (c != ',' && c != '\n' && c != EOF) {
        char ch = (char)c;
        if (c != '\r') {
            if (quoted)
                return -2;
            omt_bytes_append(out, &ch, 1);
        }
        c = csv_char(r);
    }
    return c;
}

static enum omt_record csv_next(struct omt_records *r)
{
    r->line = r->lines_read + 1;
    int c = csv_char(r);
    if (c == EOF)
        return ferror(r->in) != 0 ? OMT_RECORD_IO : OMT_RECORD_END;
    int end = csv_field(r, c, &r->text[0]);
    if (end == ',')
        end = csv_field(r, csv_char(r), &r->text[1]);
    else if (end != -2)
        return bad(r, "a single field; a record is KEY,VALUE");
    if (end == '\n' || end == EOF)
        return both_decode(r, r->text[0].data, r->text[0].size, r->text[1].data, r->text[1].size);
    while (end != EOF && c != '\n') /* to the next record */
        c = end = csv_char(r);
    return bad(r, "bad quoting, or more than two fields");
}

/* ---- JSON lines ------------------------------------------------------------------------------ */

struct cursor {
    const char *p, *end;
};

static void spaces_skip(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r'))
        c->p++;
}

static bool u16_read(struct cursor *c, uint32_t *out)
{
    if (c->end - c->p < 4)
        return false;
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char d = c->p[i];
        uint32_t x = d >= '0' && d <= '9'   ? (uint32_t)(d - '0')
                     : d >= 'a' && d <= 'f' ? (uint32_t)(d - 'a' + 10)
                     : d >= 'A' && d <= 'F' ? (uint32_t)(d - 'A' + 10)
                                            : 16;
        if (x == 16)
            return false;
        v = v << 4 | x;
    }
    c->p += 4;
    *out = v;
    return true;
}

static void utf8_append(struct omt_bytes *out, uint32_t u)
{
    unsigned char s[4];
    size_t n = u < 0x80 ? 1 : u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
    if (n == 1) {
        s[0] = (unsigned char)u;
    } else {
        static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
        for (size_t i = n; i-- > 1; u >>= 6)
            s[i] = (unsigned char)(0x80 | (u & 0x3f));
        s[0] = (unsigned char)(lead[n] | u);
    }
    omt_bytes_append(out, s, n);
}

/* At the opening quote; past the closing one afterwards. */
static bool string_read(struct cursor *c, struct omt_bytes *out)
{
    out->size = 0;
    omt_bytes_append(out, "", 0);
    for (c->p++; c->p < c->end && *c->p != '"';) {
        if (*c->p != '\\') {
            const char *run = c->p;
            while (c->p < c->end && *c->p != '"' && *c->p != '\\')
                c->p++;
            omt_bytes_append(out, run, (size_t)(c->p - run));
            continue;
        }
        if (c->end - c->p < 2)
            return false;
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        char e = c->p[1];
        c->p += 2;
        const char *at = e == '\0' ? NULL : strchr(from, e);
        if (at != NULL) {
            omt_bytes_append(out, &to[at - from], 1);
            continue;
        }
        uint32_t u = 0, low = 0;
        if (e != 'u' || !u16_read(c, &u))
            return false;
        if (u >= 0xd800 && u < 0xe000) { /* a surrogate pair, or nothing valid */
            if (u >= 0xdc00 || c->end - c->p < 6 || c->p[0] != '\\' || c->p[1] != 'u')
                return false;
            c->p += 2;
            if (!u16_read(c, &low) || low < 0xdc00 || low >= 0xe000)
                return false;
            u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
        }
        utf8_append(out, u);
    }
    if (c->p == c->end)
        return false;
    c->p++;
    return true;
}

/* Any other value: its own text is taken, brackets balanced. */
static bool value_text(struct cursor *c, struct omt_bytes *out)
{
    const char *start = c->p;
    size_t depth = 0;
    struct omt_bytes skip = {0};
    while (c->p < c->end) {
        char ch = *c->p;
        if (ch == '"') {
            if (!string_read(c, &skip))
                break;
            continue;
        }
        if (depth == 0 && (ch == ',' || ch == '}'))
            break;
        if (ch == '{' || ch == '[')
            depth++;
        if (ch == '}' || ch == ']')
            depth--; /* cannot be 0 here for '}'; a stray ']' is caught below */
        c->p++;
        if (depth == SIZE_MAX)
            break;
    }
    omt_bytes_free(&skip);
    const char *end = c->p;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    out->size = 0;
    omt_bytes_append(out, start, (size_t)(end - start));
    return depth == 0 && end > start;
}

/* A name may hold a NUL, and is then no word of ours. */
static bool name_is(const struct omt_bytes *name, const char *word)
{
    return name->size == strlen(word) && memcmp(name->data, word, name->size) == 0;
}

static enum omt_record jsonl_next(struct omt_records *r)
{
    size_t len = 0;
    enum omt_record got;
    struct cursor c;
    do { /* blank lines are nothing */
        got = line_read(r, &len);
        if (got != OMT_RECORD_OK)
            return got;
        c = (struct cursor){r->buffer, r->buffer + len};
        spaces_skip(&c);
    } while (c.p == c.end);
    if (*c.p++ != '{')
        return bad(r, "no JSON object");
    bool have[2] = {false, false};
    struct omt_bytes *name = &r->text[0], *text = &r->text[1];
    r->key.size = r->value.size = 0;
    for (;;) {
        spaces_skip(&c);
        if (c.p < c.end && *c.p == '}' && !have[0] && !have[1])
            break;
        if (c.p == c.end || *c.p != '"' || !string_read(&c, name))
            return bad(r, "a member without a quoted name");
        spaces_skip(&c);
        if (c.p == c.end || *c.p++ != ':')
            return bad(r, "a member without a colon");
        spaces_skip(&c);
        if (c.p == c.end || !(*c.p == '"' ? string_read(&c, text) : value_text(&c, text)))
            return bad(r, "a damaged value");
        bool b64_key = name_is(name, "key_base64");
        bool b64_value = name_is(name, "value_base64");
        bool is_key = b64_key || name_is(name, "key");
        if (is_key || b64_value || name_is(name, "value")) {
            struct omt_bytes *out = is_key ? &r->key : &r->value;
            out->size = 0;
            if (!omt_decode(b64_key || b64_value ? OMT_BASE64 : r->form, text->data, text->size,
                            out, &r->why))
                return OMT_RECORD_BAD;
            have[is_key ? 0 : 1] = true;
        }
        spaces_skip(&c);
        if (c.p < c.end && *c.p == ',') {
            c.p++;
            continue;
        }
        if (c.p == c.end || *c.p != '}')
            return bad(r, "no end of the object");
        break;
    }
    if (!have[0] || !have[1])
        return bad(r, "an object without key and value");
    if (r->key.size > OMEN_KEY_BYTES_MAX)
        return bad(r, "a key over 65,535 bytes");
    return r->value.size > OMEN_VALUE_BYTES_MAX ? bad(r, "a value over 256 MiB") : OMT_RECORD_OK;
}

enum omt_record omt_records_next(struct omt_records *r)
{
    switch (r->format) {
    case OMT_RECORD_CSV:
        return csv_next(r);
    case OMT_RECORD_JSONL:
        return jsonl_next(r);
    case OMT_RECORD_LINES:
        break;
    }
    return lines_next(r);
}
