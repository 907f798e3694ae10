#include "lsm/scratch.h"

#include <pthread.h>
#include <stdlib.h>

enum { ALIGN = 4096 };

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool key_made;
static _Thread_local struct omi_scratch *mine;

static void scratch_free(void *p)
{
    struct omi_scratch *s = p;
    omi_codec_state_fini(&s->codec);
    free(s->bytes);
    free(s);
}

static void key_make(void)
{
    key_made = pthread_key_create(&key, scratch_free) == 0;
}

/* The main thread runs no key destructors when it returns from main. */
__attribute__((destructor)) static void main_thread_end(void)
{
    if (key_made && mine != NULL) {
        scratch_free(mine);
        mine = NULL;
        pthread_setspecific(key, NULL);
    }
}

struct omi_scratch *omi_scratch_get(void)
{
    if (mine != NULL)
        return mine;
    pthread_once(&key_once, key_make);
    struct omi_scratch *s = key_made ? calloc(1, sizeof(*s)) : NULL;
    if (s == NULL)
        return NULL;
    if (pthread_setspecific(key, s) != 0) {
        free(s);
        return NULL;
    }
    mine = s;
    return s;
}

bool omi_scratch_reserve(struct omi_scratch *s, size_t size)
{
    if (size <= s->capacity)
        return true;
    size = (size + ALIGN - 1) / ALIGN * ALIGN;
    uint8_t *bytes = aligned_alloc(ALIGN, size);
    if (bytes == NULL)
        return false;
    free(s->bytes);
    s->bytes = bytes;
    s->capacity = size;
    return true;
}
