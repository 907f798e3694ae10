#include "tools/json.h"

#include <inttypes.h>
#include <string.h>

#include "tools/text.h"

static void string_write(FILE *out, const char *s, size_t n)
{
    putc('"', out);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", out);
        else if (c == '\t')
            fputs("\\t", out);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\u%04x", c);
        else
            putc(c, out);
    }
    putc('"', out);
}

static void line_break(const struct omt_json *j)
{
    if (j->lines)
        return;
    putc('\n', j->out);
    for (unsigned i = 0; i < j->depth; i++)
        fputs("  ", j->out);
}

static void member(struct omt_json *j, const char *name)
{
    if (j->more)
        putc(',', j->out);
    if (j->depth > 0)
        line_break(j);
    if (name != NULL) {
        string_write(j->out, name, strlen(name));
        fputs(j->lines ? ":" : ": ", j->out);
    }
    j->more = true;
}

static void open_with(struct omt_json *j, const char *name, char c)
{
    member(j, name);
    putc(c, j->out);
    j->depth++;
    j->more = false;
}

static void close_with(struct omt_json *j, char c)
{
    j->depth--;
    if (j->more)
        line_break(j);
    putc(c, j->out);
    j->more = true;
}

void omt_json_object(struct omt_json *j, const char *name)
{
    open_with(j, name, '{');
}

void omt_json_object_end(struct omt_json *j)
{
    close_with(j, '}');
}

void omt_json_array(struct omt_json *j, const char *name)
{
    open_with(j, name, '[');
}

void omt_json_array_end(struct omt_json *j)
{
    close_with(j, ']');
}

void omt_json_text(struct omt_json *j, const char *name, const char *text)
{
    member(j, name);
    string_write(j->out, text, strlen(text));
}

void omt_json_bytes(struct omt_json *j, const char *name, omen_slice bytes)
{
    if (omt_utf8_valid(bytes)) {
        member(j, name);
        string_write(j->out, bytes.data, bytes.size);
        return;
    }
    char longer[64];
    snprintf(longer, sizeof(longer), "%s_base64", name);
    member(j, longer);
    struct omt_bytes text = {0};
    omt_encode(OMT_BASE64, bytes, &text);
    string_write(j->out, text.data, text.size);
    omt_bytes_free(&text);
}

void omt_json_u64(struct omt_json *j, const char *name, uint64_t v)
{
    member(j, name);
    fprintf(j->out, "%" PRIu64, v);
}

void omt_json_f64(struct omt_json *j, const char *name, double v, int digits)
{
    member(j, name);
    if (v != v || v > 1e300 || v < -1e300)
        fputs("null", j->out); /* JSON has no infinities */
    else
        fprintf(j->out, "%.*f", digits, v);
}

void omt_json_bool(struct omt_json *j, const char *name, bool v)
{
    member(j, name);
    fputs(v ? "true" : "false", j->out);
}

void omt_json_end(struct omt_json *j)
{
    putc('\n', j->out);
    j->more = false;
}
