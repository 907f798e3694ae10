#include "tools/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void *omt_realloc(void *old, size_t bytes)
{
    void *p = realloc(old, bytes == 0 ? 1 : bytes);
    if (p == NULL) {
        fprintf(stderr, "omendb: out of memory (%zu bytes); close programs or use smaller sizes\n",
                bytes);
        exit(3);
    }
    return p;
}

void omt_bytes_append(struct omt_bytes *b, const void *data, size_t size)
{
    if (b->room - b->size <= size) {
        size_t room = b->room < 64 ? 64 : b->room;
        while (room - b->size <= size)
            room *= 2;
        b->data = omt_realloc(b->data, room);
        b->room = room;
    }
    if (size != 0)
        memcpy(b->data + b->size, data, size);
    b->size += size;
    b->data[b->size] = '\0';
}

void omt_bytes_free(struct omt_bytes *b)
{
    free(b->data);
    *b = (struct omt_bytes){NULL, 0, 0};
}

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode_escape(const unsigned char *p, size_t n, struct omt_bytes *out)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = p[i];
        char s[4] = {'\\', 'x', hex_digits[c >> 4], hex_digits[c & 15]};
        size_t len = 4;
        if (c == '\t' || c == '\n' || c == '\r' || c == '\\') {
            s[1] = c == '\t' ? 't' : c == '\n' ? 'n' : c == '\r' ? 'r' : '\\';
            len = 2;
        } else if (c >= 0x20 && c < 0x7f) {
            s[0] = (char)c;
            len = 1;
        }
        omt_bytes_append(out, s, len);
    }
}

static void encode_base64(const unsigned char *p, size_t n, struct omt_bytes *out)
{
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)p[i] << 16;
        v |= left > 1 ? (uint32_t)p[i + 1] << 8 : 0;
        v |= left > 2 ? (uint32_t)p[i + 2] : 0;
        char s[4] = {base64_digits[v >> 18], base64_digits[v >> 12 & 63],
                     left > 1 ? base64_digits[v >> 6 & 63] : '=',
                     left > 2 ? base64_digits[v & 63] : '='};
        omt_bytes_append(out, s, 4);
    }
}

void omt_encode(enum omt_form form, omen_slice in, struct omt_bytes *out)
{
    const unsigned char *p = in.data;
    switch (form) {
    case OMT_RAW:
        omt_bytes_append(out, p, in.size);
        return;
    case OMT_HEX:
        omt_bytes_append(out, "", 0);
        for (size_t i = 0; i < in.size; i++) {
            char s[2] = {hex_digits[p[i] >> 4], hex_digits[p[i] & 15]};
            omt_bytes_append(out, s, 2);
        }
        return;
    case OMT_ESCAPE:
        omt_bytes_append(out, "", 0);
        encode_escape(p, in.size, out);
        return;
    case OMT_BASE64:
        omt_bytes_append(out, "", 0);
        encode_base64(p, in.size, out);
        return;
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool decode_hex(const char *s, size_t n, struct omt_bytes *out, const char **why)
{
    if (n >= 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        s += 2;
        n -= 2;
    }
    if (n % 2 != 0) {
        *why = "an odd number of hex digits";
        return false;
    }
    for (size_t i = 0; i < n; i += 2) {
        int hi = hex_value(s[i]), lo = hex_value(s[i + 1]);
        if (hi < 0 || lo < 0) {
            *why = "a character that is no hex digit";
            return false;
        }
        char c = (char)(hi << 4 | lo);
        omt_bytes_append(out, &c, 1);
    }
    return true;
}

static bool decode_escape(const char *s, size_t n, struct omt_bytes *out, const char **why)
{
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (c == '\\') {
            if (++i == n) {
                *why = "a lone backslash at the end";
                return false;
            }
            switch (s[i]) {
            case 't':
                c = '\t';
                break;
            case 'n':
                c = '\n';
                break;
            case 'r':
                c = '\r';
                break;
            case '0':
                c = '\0';
                break;
            case '\\':
                break;
            case 'x':
                if (n - i < 3 || hex_value(s[i + 1]) < 0 || hex_value(s[i + 2]) < 0) {
                    *why = "\\x without two hex digits";
                    return false;
                }
                c = (char)(hex_value(s[i + 1]) << 4 | hex_value(s[i + 2]));
                i += 2;
                break;
            default:
                *why = "an unknown escape (known: \\t \\n \\r \\0 \\\\ \\xNN)";
                return false;
            }
        }
        omt_bytes_append(out, &c, 1);
    }
    return true;
}

static bool decode_base64(const char *s, size_t n, struct omt_bytes *out, const char **why)
{
    while (n > 0 && s[n - 1] == '=')
        n--;
    uint32_t v = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < n; i++) {
        const char *at = s[i] == '\0' ? NULL : strchr(base64_digits, s[i]);
        if (at == NULL) {
            *why = "a character that is no base64 digit";
            return false;
        }
        v = v << 6 | (uint32_t)(at - base64_digits);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            char c = (char)(v >> bits & 0xff);
            omt_bytes_append(out, &c, 1);
        }
    }
    if (bits == 6) {
        *why = "a base64 length that is no whole number of bytes";
        return false;
    }
    return true;
}

bool omt_decode(enum omt_form form, const char *text, size_t size, struct omt_bytes *out,
                const char **why)
{
    omt_bytes_append(out, "", 0);
    switch (form) {
    case OMT_HEX:
        return decode_hex(text, size, out, why);
    case OMT_ESCAPE:
        return decode_escape(text, size, out, why);
    case OMT_BASE64:
        return decode_base64(text, size, out, why);
    case OMT_RAW:
        break;
    }
    omt_bytes_append(out, text, size);
    return true;
}

bool omt_utf8_valid(omen_slice in)
{
    const unsigned char *p = in.data;
    for (size_t i = 0; i < in.size;) {
        unsigned char c = p[i];
        size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : 3;
        if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || in.size - i <= more)
            return false;
        for (size_t k = 1; k <= more; k++)
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
        /* over-long forms, surrogates, past U+10FFFF */
        if ((c == 0xe0 && p[i + 1] < 0xa0) || (c == 0xed && p[i + 1] > 0x9f) ||
            (c == 0xf0 && p[i + 1] < 0x90) || (c == 0xf4 && p[i + 1] > 0x8f))
            return false;
        i += 1 + more;
    }
    return true;
}

const char *omt_human_bytes(char out[static OMT_HUMAN_LEN], uint64_t bytes)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    size_t u = 0;
    while (v >= 1023.95 && u < 6) {
        v /= 1024;
        u++;
    }
    snprintf(out, OMT_HUMAN_LEN, u == 0 ? "%.0f %s" : "%.1f %s", v, unit[u]);
    return out;
}

const char *omt_human_count(char out[static OMT_HUMAN_LEN], uint64_t count)
{
    static const char *const unit[] = {"", " k", " M", " G", " T", " P", " E"};
    double v = (double)count;
    size_t u = 0;
    if (count < 10000) {
        snprintf(out, OMT_HUMAN_LEN, "%" PRIu64, count);
        return out;
    }
    while (v >= 999.95 && u < 6) {
        v /= 1000;
        u++;
    }
    snprintf(out, OMT_HUMAN_LEN, "%.1f%s", v, unit[u]);
    return out;
}

static bool stdout_in_colour(void)
{
    const char *no = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) == 1 && (no == NULL || no[0] == '\0');
}

const char *omt_bold(void)
{
    return stdout_in_colour() ? "\033[1m" : "";
}

const char *omt_plain(void)
{
    return stdout_in_colour() ? "\033[0m" : "";
}

double omt_now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void omt_progress_start(struct omt_progress *p, const char *what)
{
    double now = omt_now_s();
    *p = (struct omt_progress){what, isatty(STDERR_FILENO) == 1, now, now};
}

void omt_progress_update(struct omt_progress *p, uint64_t done, uint64_t bytes, uint64_t bytes_all)
{
    if (!p->on)
        return;
    double now = omt_now_s();
    if (now - p->shown_s < 0.2)
        return;
    p->shown_s = now;
    char n[OMT_HUMAN_LEN], r[OMT_HUMAN_LEN], size[OMT_HUMAN_LEN];
    double spent = now - p->start_s;
    omt_human_count(n, done);
    omt_human_count(r, (uint64_t)((double)done / spent));
    omt_human_bytes(size, bytes);
    if (bytes_all != 0 && bytes != 0 && bytes <= bytes_all) {
        double part = (double)bytes / (double)bytes_all;
        int bar = (int)(part * 20);
        fprintf(stderr, "\r[%-20.*s] %3.0f%%  %s %s, %s/s, %.0f s left \033[K", bar,
                "####################", part * 100, n, p->what, r, spent / part - spent);
    } else {
        fprintf(stderr, "\r%s %s, %s, %s/s \033[K", n, p->what, size, r);
    }
    fflush(stderr);
}

void omt_progress_end(struct omt_progress *p)
{
    if (p->on)
        fprintf(stderr, "\r\033[K");
    p->on = false;
}
