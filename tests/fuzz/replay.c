/*
 * replay.c - a fuzz target without a fuzzer: its corpus, once through. Linked once for each target.
 *
 *   replay_NAME [--mutants N] [--seed S] FILE|DIRECTORY...
 *   --mutants: N changed copies of each input as well, changed as the fuzzer would, only more simply
 */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/plain_mutate.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#pragma weak LLVMFuzzerCustomMutator
/* The sanitizers' runtime has it, and only that. */
void __sanitizer_set_death_callback(void (*callback)(void));
#pragma weak __sanitizer_set_death_callback

enum { INPUT_MAX = 1 << 20 };

static uint64_t inputs, mutants, mutants_each;
static char saying[1200]; /* what dies with this input */

/* ---- when an input kills --------------------------------------------------------------------- */

static void say_input(void)
{
    ssize_t written = write(STDERR_FILENO, saying, strlen(saying));
    (void)written;
}

static void on_signal(int number)
{
    say_input();
    signal(number, SIG_DFL);
    raise(number);
}

/* ---- mutating -------------------------------------------------------------------------------- */

static size_t mutate(uint8_t *data, size_t size)
{
    if (LLVMFuzzerCustomMutator != NULL)
        return LLVMFuzzerCustomMutator(data, size, INPUT_MAX, (unsigned)rng_next(&plain_dice));
    return LLVMFuzzerMutate(data, size, INPUT_MAX);
}

/* ---- inputs ---------------------------------------------------------------------------------- */

/* In memory of exactly that size, so that a sanitizer sees every byte too many. */
static void run(const uint8_t *bytes, size_t size)
{
    uint8_t *exact = malloc(size != 0 ? size : 1);
    if (exact == NULL)
        fail_now("no memory");
    memcpy(exact, bytes, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void replay_file(const char *path)
{
    static uint8_t bytes[INPUT_MAX], changed[INPUT_MAX];
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        fail_now("%s cannot be read", path);
    size_t size = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    snprintf(saying, sizeof(saying), "\nFAILED: input %s\n", path);
    run(bytes, size);
    inputs++;
    if (mutants_each == 0)
        return;
    uint64_t seed = plain_dice.state;
    snprintf(saying, sizeof(saying),
             "\nFAILED: a mutant of %s\nreplay: --mutants %llu --seed %llu %s\n", path,
             (unsigned long long)mutants_each, (unsigned long long)seed, path);
    for (uint64_t i = 0; i < mutants_each; i++) {
        memcpy(changed, bytes, size);
        size_t now = size;
        for (uint64_t times = 1 + rng_below(&plain_dice, 3); times > 0; times--)
            now = mutate(changed, now);
        run(changed, now);
        mutants++;
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void replay_path(const char *path);

/* In the order of the names, so that mutants replay. */
static void replay_directory(const char *path)
{
    struct dirent **items;
    int count = scandir(path, &items, NULL, NULL);
    if (count < 0)
        fail_now("%s cannot be listed", path);
    char **names = calloc((size_t)count + 1, sizeof(*names));
    if (names == NULL)
        fail_now("no memory");
    size_t kept = 0;
    for (int i = 0; i < count; i++) {
        if (items[i]->d_name[0] != '.' &&
            asprintf(&names[kept], "%s/%s", path, items[i]->d_name) > 0)
            kept++;
        free(items[i]);
    }
    free(items);
    qsort(names, kept, sizeof(*names), compare_names);
    for (size_t i = 0; i < kept; i++) {
        replay_path(names[i]);
        free(names[i]);
    }
    free(names);
}

static void replay_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        fail_now("%s is not there", path);
    if (S_ISDIR(st.st_mode))
        replay_directory(path);
    else
        replay_file(path);
}

int main(int argc, char **argv)
{
    plain_dice.state = 1;
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(say_input);
    else
        signal(SIGSEGV, on_signal);
    signal(SIGABRT, on_signal);
    replay_set("%s ...", argv[0]);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--mutants") == 0 && i + 1 < argc)
            mutants_each = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            plain_dice.state = strtoull(argv[++i], NULL, 10);
        else
            replay_path(argv[i]);
    }
    const char *slash = strrchr(argv[0], '/');
    printf("%s: %llu inputs, %llu mutants, 0 findings\n", slash != NULL ? slash + 1 : argv[0],
           (unsigned long long)inputs, (unsigned long long)mutants);
    return inputs > 0 ? 0 : 1; /* an empty corpus tests nothing */
}
