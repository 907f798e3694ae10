#include "tools/json_read.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/text.h"

enum { FILE_BYTES_MAX = 64 << 20, MEMBERS_MAX = 1024 }; /* members are compared each with each */

struct parser {
    const char *at, *end, *line_start;
    uint32_t line;
    struct omt_node *nodes; /* one for each value; as many fit as the text can hold */
    size_t node_count;
    char *texts; /* what strings and numbers decode to: never longer than they stand */
    size_t text_used;
    char *why;
};

/* ---- where, and what went wrong --------------------------------------------------------------- */

static uint32_t column_of(const struct parser *p, const char *at)
{
    size_t column = (size_t)(at - p->line_start) + 1;
    return column < UINT32_MAX ? (uint32_t)column : UINT32_MAX;
}

static bool fail(struct parser *p, const char *what)
{
    snprintf(p->why, OMT_JSON_WHY, "line %u, column %u: %s", p->line, column_of(p, p->at), what);
    return false;
}

bool omt_node_fail(const struct omt_node *node, char why[static OMT_JSON_WHY], const char *format,
                   ...)
{
    va_list args;
    int n = snprintf(why, OMT_JSON_WHY, "line %u, column %u: ", node->line, node->column);
    va_start(args, format);
    vsnprintf(why + n, OMT_JSON_WHY - (size_t)n, format, args);
    va_end(args);
    return false;
}

static void space_skip(struct parser *p)
{
    for (; p->at < p->end; p->at++) {
        if (*p->at == '\n') {
            p->line++;
            p->line_start = p->at + 1;
        } else if (*p->at != ' ' && *p->at != '\t' && *p->at != '\r') {
            return;
        }
    }
}

static bool next_is(struct parser *p, char c)
{
    if (p->at == p->end || *p->at != c)
        return false;
    p->at++;
    return true;
}

/* ---- strings ----------------------------------------------------------------------------------- */

static bool hex4(struct parser *p, unsigned *out)
{
    *out = 0;
    if (p->end - p->at < 4)
        return fail(p, "\\u needs four hex digits");
    for (int i = 0; i < 4; i++, p->at++) {
        char c = *p->at;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 16;
        if (digit == 16)
            return fail(p, "\\u needs four hex digits");
        *out = *out << 4 | digit;
    }
    return true;
}

static void text_put(struct parser *p, unsigned c)
{
    p->texts[p->text_used++] = (char)c;
}

static void utf8_put(struct parser *p, unsigned c)
{
    if (c < 0x80) {
        text_put(p, c);
        return;
    }
    if (c < 0x800) {
        text_put(p, 0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            text_put(p, 0xe0 | c >> 12);
        } else {
            text_put(p, 0xf0 | c >> 18);
            text_put(p, 0x80 | (c >> 12 & 63));
        }
        text_put(p, 0x80 | (c >> 6 & 63));
    }
    text_put(p, 0x80 | (c & 63));
}

static bool unicode_take(struct parser *p)
{
    unsigned c, low;
    if (!hex4(p, &c))
        return false;
    if (c >= 0xdc00 && c < 0xe000)
        return fail(p, "half a surrogate pair");
    if (c >= 0xd800 && c < 0xdc00) {
        if (!next_is(p, '\\') || !next_is(p, 'u'))
            return fail(p, "half a surrogate pair");
        if (!hex4(p, &low))
            return false;
        if (low < 0xdc00 || low >= 0xe000)
            return fail(p, "half a surrogate pair");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    utf8_put(p, c);
    return true;
}

static bool escape_take(struct parser *p)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (p->at == p->end)
        return fail(p, "the text ends inside a string");
    char c = *p->at++;
    const char *at = c != '\0' ? strchr(from, c) : NULL;
    if (at != NULL) {
        text_put(p, (unsigned char)to[at - from]);
        return true;
    }
    if (c == 'u')
        return unicode_take(p);
    p->at--;
    return fail(p, "an unknown escape");
}

static bool string_take(struct parser *p, const char **text_out, size_t *size_out)
{
    size_t start = p->text_used;
    if (!next_is(p, '"'))
        return fail(p, "a string must stand here");
    for (;;) {
        if (p->at == p->end)
            return fail(p, "the text ends inside a string");
        unsigned char c = (unsigned char)*p->at;
        if (c < 0x20)
            return fail(p, "a control character inside a string; write it as \\uXXXX");
        p->at++;
        if (c == '"')
            break;
        if (c != '\\')
            text_put(p, c);
        else if (!escape_take(p))
            return false;
    }
    *text_out = p->texts + start;
    *size_out = p->text_used - start;
    if (!omt_utf8_valid((omen_slice){*text_out, *size_out}))
        return fail(p, "a string that is not UTF-8");
    text_put(p, 0);
    return true;
}

/* ---- numbers and words ------------------------------------------------------------------------- */

static bool digits_skip(struct parser *p)
{
    const char *start = p->at;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
        p->at++;
    return p->at != start || fail(p, "a digit must stand here");
}

static bool number_take(struct parser *p, struct omt_node *node)
{
    const char *start = p->at;
    next_is(p, '-');
    if (next_is(p, '0')) {
        if (p->at < p->end && *p->at >= '0' && *p->at <= '9')
            return fail(p, "a number may not start with 0");
    } else if (!digits_skip(p)) {
        return false;
    }
    if (next_is(p, '.') && !digits_skip(p))
        return false;
    if (next_is(p, 'e') || next_is(p, 'E')) {
        if (!next_is(p, '+'))
            next_is(p, '-');
        if (!digits_skip(p))
            return false;
    }
    node->kind = OMT_NODE_NUMBER;
    node->size = (size_t)(p->at - start);
    node->text = p->texts + p->text_used;
    memcpy(p->texts + p->text_used, start, node->size);
    p->text_used += node->size;
    text_put(p, 0);
    return true;
}

static bool word_take(struct parser *p, struct omt_node *node)
{
    static const struct {
        const char *word;
        enum omt_node_kind kind;
        bool truth;
    } words[] = {{"true", OMT_NODE_BOOL, true},
                 {"false", OMT_NODE_BOOL, false},
                 {"null", OMT_NODE_NULL, false}};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(words[i].word);
        if ((size_t)(p->end - p->at) >= n && memcmp(p->at, words[i].word, n) == 0) {
            p->at += n;
            node->kind = words[i].kind;
            node->truth = words[i].truth;
            return true;
        }
    }
    return fail(p, "a value must stand here");
}

/* ---- arrays and objects ------------------------------------------------------------------------ */

static bool value_take(struct parser *p, unsigned depth, struct omt_node **node_out);

static bool name_take(struct parser *p, const struct omt_node *object, const char **name_out)
{
    size_t size;
    const char *at = p->at;
    if (!string_take(p, name_out, &size))
        return false;
    if (strlen(*name_out) != size) {
        p->at = at;
        return fail(p, "a name that holds a NUL");
    }
    if (object->count == MEMBERS_MAX) {
        p->at = at;
        return fail(p, "an object of more than 1024 members");
    }
    if (omt_node_member(object, *name_out) != NULL) {
        char what[96];
        snprintf(what, sizeof(what), "\"%.60s\" stands twice in this object", *name_out);
        p->at = at;
        return fail(p, what);
    }
    space_skip(p);
    if (!next_is(p, ':'))
        return fail(p, "a colon must stand here");
    return true;
}

static bool group_take(struct parser *p, unsigned depth, struct omt_node *node, bool object)
{
    struct omt_node **link = &node->first;
    char close = object ? '}' : ']';
    p->at++;
    node->kind = object ? OMT_NODE_OBJECT : OMT_NODE_ARRAY;
    if (depth >= OMT_JSON_DEPTH_MAX)
        return fail(p, "nested too deep");
    space_skip(p);
    if (next_is(p, close))
        return true;
    for (;;) {
        const char *name = NULL;
        space_skip(p);
        if (object && !name_take(p, node, &name))
            return false;
        if (!value_take(p, depth + 1, link))
            return false;
        (*link)->name = name;
        link = &(*link)->next;
        node->count++;
        space_skip(p);
        if (next_is(p, close))
            return true;
        if (!next_is(p, ','))
            return fail(p,
                        object ? "a comma or } must stand here" : "a comma or ] must stand here");
    }
}

static bool value_take(struct parser *p, unsigned depth, struct omt_node **node_out)
{
    space_skip(p);
    if (p->at == p->end)
        return fail(p, "the text ends where a value must stand");
    struct omt_node *node = &p->nodes[p->node_count++];
    *node = (struct omt_node){.line = p->line, .column = column_of(p, p->at)};
    bool ok;
    char c = *p->at;
    if (c == '{' || c == '[') {
        ok = group_take(p, depth, node, c == '{');
    } else if (c == '"') {
        node->kind = OMT_NODE_TEXT;
        ok = string_take(p, &node->text, &node->size);
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        ok = number_take(p, node);
    } else {
        ok = word_take(p, node);
    }
    if (ok)
        *node_out = node;
    return ok;
}

/* At most one value starts at each of these, and one at the beginning. */
static size_t nodes_most(const char *text, size_t size)
{
    size_t n = 1;
    for (size_t i = 0; i < size; i++)
        n += text[i] == ',' || text[i] == '[' || text[i] == ':';
    return n;
}

bool omt_json_parse(const char *text, size_t size, struct omt_json_doc *doc_out)
{
    struct omt_node *root = NULL;
    *doc_out = (struct omt_json_doc){0};
    struct parser p = {.at = text, .end = text + size, .line_start = text, .line = 1};
    p.why = doc_out->why;
    p.nodes = omt_realloc(NULL, nodes_most(text, size) * sizeof(*p.nodes));
    p.texts = omt_realloc(NULL, 2 * size + 2); /* a digit is followed by a NUL of its own */
    bool ok = value_take(&p, 0, &root);
    if (ok) {
        space_skip(&p);
        if (p.at != p.end)
            ok = fail(&p, "text after the end of the value");
    }
    if (!ok) {
        free(p.nodes);
        free(p.texts);
        return false;
    }
    doc_out->root = root;
    doc_out->nodes = p.nodes;
    doc_out->texts = p.texts;
    return true;
}

void omt_json_free(struct omt_json_doc *doc)
{
    free(doc->nodes);
    free(doc->texts);
    *doc = (struct omt_json_doc){0};
}

bool omt_json_load(const char *path, struct omt_json_doc *doc_out)
{
    struct omt_bytes text = {0};
    char chunk[65536], why[OMT_JSON_WHY];
    size_t got;
    bool ok = true;
    *doc_out = (struct omt_json_doc){0};
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        snprintf(doc_out->why, OMT_JSON_WHY, "%.100s: %.60s", path, strerror(errno));
        return false;
    }
    while (ok && (got = fread(chunk, 1, sizeof(chunk), in)) != 0) {
        omt_bytes_append(&text, chunk, got);
        ok = text.size <= FILE_BYTES_MAX;
    }
    if (!ok)
        snprintf(doc_out->why, OMT_JSON_WHY, "%.100s: more than %d MiB", path,
                 FILE_BYTES_MAX >> 20);
    else if (ferror(in)) {
        ok = false;
        snprintf(doc_out->why, OMT_JSON_WHY, "%.100s: %.60s", path, strerror(errno));
    }
    fclose(in);
    if (ok && !omt_json_parse(text.data != NULL ? text.data : "", text.size, doc_out)) {
        ok = false;
        memcpy(why, doc_out->why, sizeof(why));
        snprintf(doc_out->why, OMT_JSON_WHY, "%.80s: %.110s", path, why);
    }
    omt_bytes_free(&text);
    return ok;
}

/* ---- looking things up ------------------------------------------------------------------------- */

const struct omt_node *omt_node_member(const struct omt_node *object, const char *name)
{
    if (object == NULL || object->kind != OMT_NODE_OBJECT)
        return NULL;
    for (const struct omt_node *n = object->first; n != NULL; n = n->next)
        if (n->name != NULL && strcmp(n->name, name) == 0)
            return n;
    return NULL;
}

bool omt_node_f64(const struct omt_node *node, double *out)
{
    if (node == NULL || node->kind != OMT_NODE_NUMBER)
        return false;
    double v = strtod(node->text, NULL);
    if (!isfinite(v))
        return false;
    *out = v;
    return true;
}

bool omt_node_u64(const struct omt_node *node, uint64_t *out)
{
    uint64_t v = 0;
    if (node == NULL || node->kind != OMT_NODE_NUMBER)
        return false;
    for (size_t i = 0; i < node->size; i++) {
        char c = node->text[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(c - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool omt_node_bool(const struct omt_node *node, bool *out)
{
    if (node == NULL || node->kind != OMT_NODE_BOOL)
        return false;
    *out = node->truth;
    return true;
}

const char *omt_node_text(const struct omt_node *node)
{
    return node != NULL && node->kind == OMT_NODE_TEXT ? node->text : NULL;
}

const char *omt_node_kind_name(enum omt_node_kind kind)
{
    static const char *const names[] = {"null",   "a boolean", "a number",
                                        "a text", "an array",  "an object"};
    return (unsigned)kind <= OMT_NODE_OBJECT ? names[kind] : "?";
}
