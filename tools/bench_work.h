/*
 * bench_work.h - the workloads: one function each, called once a thread (bench_run.h).
 */
#ifndef OMT_BENCH_WORK_H
#define OMT_BENCH_WORK_H

#include "tools/bench_keys.h"
#include "tools/bench_run.h"
#include "tools/bench_values.h"

/* The values of a run lie beside it, so that bench_run.h need not know them. */
struct bench_load {
    struct bench_run run; /* first: a run's workloads cast back to their load */
    struct bench_values values;
};

void bench_write(struct bench_thread *t);
void bench_delete(struct bench_thread *t);
void bench_update(struct bench_thread *t);
void bench_timeseries(struct bench_thread *t);
void bench_read_random(struct bench_thread *t);
void bench_read_hot(struct bench_thread *t); /* 1 % of the keys */
void bench_read_forward(struct bench_thread *t);
void bench_read_backward(struct bench_thread *t);
void bench_multi_read(struct bench_thread *t);
void bench_seek(struct bench_thread *t);
void bench_read_while_writing(struct bench_thread *t);
void bench_seek_while_writing(struct bench_thread *t);
void bench_read_write(struct bench_thread *t);
void bench_open(struct bench_thread *t);
void bench_compact(struct bench_thread *t);
void bench_verify(struct bench_thread *t);

#endif
