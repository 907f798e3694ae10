/* The JSON reader: what it takes, what it refuses, and where it says that the trouble is. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tools/json.h"
#include "tools/json_read.h"
#include "tools/text.h"

TestSuite(json_read, .timeout = 20);

static struct omt_json_doc parsed(const char *text)
{
    struct omt_json_doc doc;
    cr_assert(omt_json_parse(text, strlen(text), &doc), "%s: %s", text, doc.why);
    return doc;
}

static void refused(const char *text, const char *why)
{
    struct omt_json_doc doc;
    cr_assert(!omt_json_parse(text, strlen(text), &doc), "%s was taken", text);
    cr_assert_str_eq(doc.why, why, "%s: \"%s\"", text, doc.why);
}

Test(json_read, values_of_all_kinds)
{
    struct omt_json_doc doc = parsed(
        " {\"a\":1.5,\"b\":[true,false,null],\"c\":{\"d\":\"x\"},\"e\":18446744073709551615}");
    double f;
    uint64_t u;
    bool t;
    cr_assert(omt_node_f64(omt_node_member(doc.root, "a"), &f));
    cr_assert_eq(f, 1.5);
    cr_assert(!omt_node_u64(omt_node_member(doc.root, "a"), &u), "a fraction is no count");
    const struct omt_node *b = omt_node_member(doc.root, "b");
    cr_assert_eq(b->count, 3);
    cr_assert(omt_node_bool(b->first, &t) && t);
    cr_assert_eq(b->first->next->next->kind, OMT_NODE_NULL);
    cr_assert_str_eq(omt_node_text(omt_node_member(omt_node_member(doc.root, "c"), "d")), "x");
    cr_assert(omt_node_u64(omt_node_member(doc.root, "e"), &u));
    cr_assert_eq(u, UINT64_MAX);
    cr_assert_null(omt_node_member(doc.root, "f"));
    cr_assert_null(omt_node_member(b, "a"), "an array has no members");
    cr_assert(!omt_node_f64(NULL, &f));
    omt_json_free(&doc);
}

Test(json_read, strings_with_escapes)
{
    struct omt_json_doc doc = parsed("\"a\\n\\\"\\\\\\/\\u00e4\\u20ac\\ud83d\\ude00\"");
    cr_assert_str_eq(omt_node_text(doc.root), "a\n\"\\/\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    omt_json_free(&doc);
    doc = parsed("\"a\\u0000b\"");
    cr_assert_eq(doc.root->size, 3);
    cr_assert_arr_eq(doc.root->text, "a\0b", 3);
    omt_json_free(&doc);
}

Test(json_read, refuses_what_is_not_json)
{
    refused("", "line 1, column 1: the text ends where a value must stand");
    refused("{\"a\":1,}", "line 1, column 8: a string must stand here");
    refused("[1 2]", "line 1, column 4: a comma or ] must stand here");
    refused("{\"a\" 1}", "line 1, column 6: a colon must stand here");
    refused("{'a':1}", "line 1, column 2: a string must stand here");
    refused("[1]\n\n x", "line 3, column 2: text after the end of the value");
    refused("01", "line 1, column 2: a number may not start with 0");
    refused("1.", "line 1, column 3: a digit must stand here");
    refused("-", "line 1, column 2: a digit must stand here");
    refused("1e+", "line 1, column 4: a digit must stand here");
    refused("NaN", "line 1, column 1: a value must stand here");
    refused("truf", "line 1, column 1: a value must stand here");
    refused("\"a", "line 1, column 3: the text ends inside a string");
    refused("\"\\x\"", "line 1, column 3: an unknown escape");
    refused("\"\\ud800\"", "line 1, column 8: half a surrogate pair");
    refused("\"\\udc00\"", "line 1, column 8: half a surrogate pair");
    refused("\"\\u12g4\"", "line 1, column 6: \\u needs four hex digits");
    refused("\"\xff\"", "line 1, column 4: a string that is not UTF-8");
    refused("\"a\nb\"",
            "line 1, column 3: a control character inside a string; write it as \\uXXXX");
    refused("{\"a\":1,\n \"a\":2}", "line 2, column 2: \"a\" stands twice in this object");
    refused("{\"a\\u0000b\":1}", "line 1, column 2: a name that holds a NUL");
}

Test(json_read, a_nul_in_the_text_is_no_end)
{
    struct omt_json_doc doc;
    cr_assert(!omt_json_parse("1\0002", 3, &doc));
    cr_assert_str_eq(doc.why, "line 1, column 2: text after the end of the value");
}

Test(json_read, depth_and_members_are_bounded)
{
    struct omt_bytes text = {0};
    struct omt_json_doc doc;
    for (int i = 0; i < OMT_JSON_DEPTH_MAX; i++)
        omt_bytes_append(&text, "[", 1);
    for (int i = 0; i < OMT_JSON_DEPTH_MAX; i++)
        omt_bytes_append(&text, "]", 1);
    cr_assert(omt_json_parse(text.data, text.size, &doc), "%s", doc.why);
    omt_json_free(&doc);
    text.size = 0;
    for (int i = 0; i < 1000000; i++)
        omt_bytes_append(&text, "[", 1);
    cr_assert(!omt_json_parse(text.data, text.size, &doc));
    cr_assert_str_eq(doc.why, "line 1, column 34: nested too deep");
    text.size = 0;
    for (int i = 0; i < 2000; i++) {
        char member[32];
        int n = snprintf(member, sizeof(member), "%s\"m%d\":0", i == 0 ? "{" : ",", i);
        omt_bytes_append(&text, member, (size_t)n);
    }
    cr_assert(!omt_json_parse(text.data, text.size, &doc));
    cr_assert(strstr(doc.why, "more than 1024 members") != NULL, "%s", doc.why);
    omt_bytes_free(&text);
}

Test(json_read, numbers_out_of_range_are_no_numbers)
{
    struct omt_json_doc doc = parsed("[1e999,-1,18446744073709551616,1e3]");
    double f;
    uint64_t u;
    const struct omt_node *n = doc.root->first;
    cr_assert(!omt_node_f64(n, &f));
    n = n->next;
    cr_assert(omt_node_f64(n, &f) && f == -1);
    cr_assert(!omt_node_u64(n, &u));
    n = n->next;
    cr_assert(!omt_node_u64(n, &u));
    n = n->next;
    cr_assert(omt_node_f64(n, &f) && f == 1000);
    omt_json_free(&doc);
}

Test(json_read, reads_what_the_writer_wrote)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct omt_json j = {.out = out};
    omt_json_object(&j, NULL);
    omt_json_text(&j, "text", "a \"b\" \\ \n \t \x01 \xc3\xa4");
    omt_json_f64(&j, "number", 0.1, 3);
    omt_json_array(&j, "list");
    omt_json_u64(&j, NULL, 7);
    omt_json_array_end(&j);
    omt_json_object_end(&j);
    omt_json_end(&j);
    fclose(out);
    struct omt_json_doc doc;
    cr_assert(omt_json_parse(text, size, &doc), "%s", doc.why);
    cr_assert_str_eq(omt_node_text(omt_node_member(doc.root, "text")),
                     "a \"b\" \\ \n \t \x01 \xc3\xa4");
    omt_json_free(&doc);
    free(text);
}
