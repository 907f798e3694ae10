/*
 * plain_mutate.h - LLVMFuzzerMutate where there is no fuzzer: simple changes, drawn from plain_dice.
 */
#ifndef OMI_FUZZ_PLAIN_MUTATE_H
#define OMI_FUZZ_PLAIN_MUTATE_H

#include "tests/model.h"

extern struct rng plain_dice;

#endif
