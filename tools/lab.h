/* lab.h - experiments that measure the insides of the engine. */
#ifndef OMT_LAB_H
#define OMT_LAB_H

#include <stdbool.h>
#include <stdint.h>

/* omendb lab index ...: argv[0] is the experiment. Returns an exit code. */
int omt_lab_index(int argc, char **argv);
int omt_lab_filter(int argc, char **argv);
int omt_lab_range(int argc, char **argv);

/* lab filter --accept: the checks whose numbers stand in list ("9,10"; "": all), one line each. */
int omt_lab_filter_accept(const char *list, uint32_t keys, uint32_t samples, uint64_t seed,
                          bool json);

#endif
