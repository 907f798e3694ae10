/*
 * doctor.h - what this machine offers the engine: findings, gathered in order.
 * Each says what was found, what that costs where something is missing, and what to do about it. What the
 * engine itself would find (rings, far memory, memory limits) is asked of its own code.
 */
#ifndef OMT_DOCTOR_H
#define OMT_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum omt_state {
    OMT_GOOD,
    OMT_NOTE, /* the engine does without, at a price */
    OMT_BAD   /* it will not work, or not as anybody would want */
};

struct omt_finding {
    const char *name; /* static */
    enum omt_state state;
    char found[256], cost[256], advice[256]; /* one line each; the latter two may be empty */
};

enum { OMT_FINDINGS_MAX = 32 };
struct omt_doctor {
    struct omt_finding finding[OMT_FINDINGS_MAX];
    size_t count;
};

/* A finding to be filled with omt_say. */
struct omt_finding *omt_finding_add(struct omt_doctor *d, const char *name);
/* Sets found, GOOD. */
void omt_found(struct omt_finding *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Makes it a NOTE or BAD; what it costs, what to do. */
void omt_ails(struct omt_finding *f, enum omt_state state, const char *cost, const char *advice);

/* A small file's first line without its end; false: it cannot be read. */
bool omt_line_read(const char *path, char *line, size_t size);

void omt_doctor_machine(
    struct omt_doctor *d); /* doctor_machine.c: kernel, processors, memory, rings */
void omt_doctor_memory(struct omt_doctor *d); /* doctor_memory.c: far memory, huge pages */
/* doctor_dir.c. False, told on stderr: there is no such directory. Writes a file without a name (or with
 * one, which goes at once) to see what syncing costs. */
bool omt_doctor_dir(struct omt_doctor *d, const char *path);

#endif
