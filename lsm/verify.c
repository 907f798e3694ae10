/* verify.c - reads every table of the present version and checks all that can be checked. */
#include "lsm/db.h"

#include <stddef.h>
#include <string.h>

omen_err omen_verify(omen_db *db, omen_verify_report *report,
                     void (*problem)(void *context, const char *text), void *context)
{
    omen_verify_report total = {.struct_bytes = sizeof(total)};
    struct omi_view *view = omi_view_ref(db);
    omen_err err = OMEN_OK;
    for (uint32_t i = 0; i < view->version->run_count && err == OMEN_OK; i++) {
        const struct omi_run_view *run = &view->version->runs[i];
        for (uint32_t j = 0; j < run->table_count && err == OMEN_OK; j++) {
            struct omi_table_verdict verdict = {0};
            err = omi_table_verify(run->tables[j], &verdict, problem, context);
            total.files++;
            total.blocks += verdict.blocks;
            total.entries += verdict.entries;
            total.bytes += verdict.bytes;
            total.errors += verdict.errors;
            if (err == OMEN_CORRUPT)
                err = OMEN_OK; /* counted; the others are still to be read */
        }
    }
    omi_view_unref(view);
    if (report != NULL) {
        size_t size = report->struct_bytes < sizeof(total) ? report->struct_bytes : sizeof(total);
        total.struct_bytes = report->struct_bytes;
        memcpy(report, &total, size);
    }
    if (err == OMEN_OK && total.errors != 0)
        err = omi_fail(OMEN_CORRUPT, 0, "%s: %" PRIu64 " problems in %" PRIu64 " tables", db->path,
                       total.errors, total.files);
    return err;
}
