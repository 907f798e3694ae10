/*
 * tune_prices.c - what a page, a seek, a probe cost, as JSON.
 */
#include <string.h>

#include "tools/tune.h"

struct price {
    const char *name;
    size_t off;
};
#define PRICE(m)                                                                                   \
    {                                                                                              \
#m, offsetof(struct omi_cost_prices, m)                                                    \
    }
static const struct price prices[] = {PRICE(read),       PRICE(seek),        PRICE(scan_page),
                                      PRICE(merge_read), PRICE(merge_write), PRICE(probe)};
enum { PRICES = sizeof(prices) / sizeof(prices[0]) };

void omt_prices_write(struct omt_json *json, const char *name, const struct omi_cost_prices *p)
{
    omt_json_object(json, name);
    for (size_t i = 0; i < PRICES; i++) {
        double v;
        memcpy(&v, (const uint8_t *)p + prices[i].off, sizeof(v));
        omt_json_f64(json, prices[i].name, v, 9);
    }
    omt_json_object_end(json);
}

bool omt_prices_read(const struct omt_node *node, struct omi_cost_prices *prices_out,
                     char why[static OMT_JSON_WHY])
{
    struct omi_cost_prices p = omi_cost_prices_default;
    if (node->kind != OMT_NODE_OBJECT)
        return omt_node_fail(node, why, "prices must be an object");
    for (const struct omt_node *n = node->first; n != NULL; n = n->next) {
        size_t i = 0;
        double v;
        while (i < PRICES && strcmp(prices[i].name, n->name) != 0)
            i++;
        if (i == PRICES)
            return omt_node_fail(n, why, "no price is called \"%.40s\"", n->name);
        if (!omt_node_f64(n, &v) || v < 0 || v > 1e6)
            return omt_node_fail(n, why, "%s must be a number from 0 to 1e6", n->name);
        memcpy((uint8_t *)&p + prices[i].off, &v, sizeof(v));
    }
    *prices_out = p;
    return true;
}

bool omt_prices_load(const char *path, struct omi_cost_prices *prices_out)
{
    struct omt_json_doc doc;
    char why[OMT_JSON_WHY];
    *prices_out = omi_cost_prices_default;
    if (path == NULL)
        return true;
    if (!omt_json_load(path, &doc)) {
        fprintf(stderr, "omendb: tune: prices: %s; omendb tune calibrate makes such a file\n",
                doc.why);
        return false;
    }
    const struct omt_node *node = omt_node_member(doc.root, "prices");
    bool ok = omt_prices_read(node != NULL ? node : doc.root, prices_out, why);
    omt_json_free(&doc);
    if (!ok)
        fprintf(stderr, "omendb: tune: prices: %s: %s\n", path, why);
    return ok;
}
