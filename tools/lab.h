/* lab.h - experiments that measure the insides of the engine. */
#ifndef OMT_LAB_H
#define OMT_LAB_H

/* omendb lab index ...: argv[0] is "index". Returns an exit code. */
int omt_lab_index(int argc, char **argv);

#endif
