/* A heap that always costs the same, preloaded while instructions are counted.
 *
 * What a call of the C library's malloc executes depends on everything that was allocated before it, down to the length
 * of the folder's name. Here every block is of a power of two, taken from a list of its size and put back there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { SMALLEST = 5, CLASSES = 48, CHUNK = 64 << 20 };

/* Stands in front of every block; as long as the strictest alignment that malloc promises. */
typedef struct {
    size_t class;
    void *next; /* of a free block */
} head_t;

static head_t *unused[CLASSES];
static char *chunk;
static size_t chunk_left;
static atomic_flag busy = ATOMIC_FLAG_INIT;

static size_t class_of(size_t size) {
    size_t class = SMALLEST;
    while (((size_t)1 << class) < size + sizeof(head_t)) class++;
    return class;
}

static head_t *take(size_t class) {
    size_t size = (size_t)1 << class;
    head_t *found;
    while (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire)) {}
    found = unused[class];
    if (found != NULL) {
        unused[class] = found->next;
    } else {
        if (chunk_left < size) {
            chunk_left = size > CHUNK ? size : CHUNK;
            chunk = mmap(NULL, chunk_left, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (chunk == MAP_FAILED) chunk = NULL, chunk_left = 0;
        }
        if (chunk_left >= size) {
            found = (head_t *)chunk;
            chunk += size;
            chunk_left -= size;
        }
    }
    atomic_flag_clear_explicit(&busy, memory_order_release);
    if (found == NULL) errno = ENOMEM;
    else found->class = class;
    return found;
}

void *malloc(size_t size) {
    head_t *head = size < (size_t)1 << 46 ? take(class_of(size)) : NULL;
    return head != NULL ? head + 1 : NULL;
}

void free(void *block) {
    if (block == NULL) return;
    head_t *head = (head_t *)block - 1;
    while (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire)) {}
    head->next = unused[head->class];
    unused[head->class] = head;
    atomic_flag_clear_explicit(&busy, memory_order_release);
}

size_t malloc_usable_size(void *block) {
    return block != NULL ? ((size_t)1 << ((head_t *)block - 1)->class) - sizeof(head_t) : 0;
}

void *calloc(size_t count, size_t size) {
    size_t wanted;
    if (__builtin_mul_overflow(count, size, &wanted)) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = malloc(wanted);
    return block != NULL ? memset(block, 0, wanted) : NULL;
}

void *realloc(void *block, size_t size) {
    if (block == NULL) return malloc(size);
    size_t had = malloc_usable_size(block);
    if (size <= had) return block;
    void *larger = malloc(size);
    if (larger == NULL) return NULL;
    memcpy(larger, block, had);
    free(block);
    return larger;
}

/* Aligned blocks are rare here: they get a block of their own, with a head right in front of the aligned place. Its
 * class keeps it out of the way of others when it is freed, which costs the bytes before it. */
void *memalign(size_t alignment, size_t size) {
    if (alignment <= sizeof(head_t)) return malloc(size);
    char *block = malloc(size + alignment + sizeof(head_t));
    if (block == NULL) return NULL;
    uintptr_t place = ((uintptr_t)block + sizeof(head_t) + alignment - 1) & ~(uintptr_t)(alignment - 1);
    size_t class = SMALLEST;
    while (((size_t)2 << class) <= (uintptr_t)block + malloc_usable_size(block) - place + sizeof(head_t)) class++;
    ((head_t *)place - 1)->class = class;
    return (void *)place;
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size) {
    *out = memalign(alignment, size);
    return *out != NULL ? 0 : ENOMEM;
}
