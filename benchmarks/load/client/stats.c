/* Latencies: a log-linear histogram that costs the same for one delivery as for a billion. And what is amiss. */
#include "load.h"

static uint32_t bucket_of(uint64_t ns) {
    if (ns < (2u << STEP_BITS)) return (uint32_t)ns;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(ns) - STEP_BITS;
    uint32_t found = ((shift + 1) << STEP_BITS) + (uint32_t)((ns >> shift) & ((1u << STEP_BITS) - 1));
    return found < BUCKETS ? found : BUCKETS - 1;
}

static uint64_t middle_of(uint32_t bucket) {
    if (bucket < (2u << STEP_BITS)) return bucket;
    uint32_t shift = (bucket >> STEP_BITS) - 1;
    uint64_t low = ((uint64_t)(1u << STEP_BITS) + (bucket & ((1u << STEP_BITS) - 1))) << shift;
    return low + (1ull << shift) / 2;
}

void record(histogram_t *h, uint64_t ns) {
    h->bucket[bucket_of(ns)]++;
    h->count++;
    if (ns > h->max) h->max = ns;
}

void merge(histogram_t *into, const histogram_t *from) {
    for (uint32_t i = 0; i < BUCKETS; i++) into->bucket[i] += from->bucket[i];
    into->count += from->count;
    if (from->max > into->max) into->max = from->max;
}

double percentile_us(const histogram_t *h, double share) {
    if (h->count == 0) return 0;
    if (share >= 1) return (double)h->max / 1e3;
    uint64_t wanted = (uint64_t)(share * (double)h->count), seen = 0;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen > wanted) return (double)middle_of(i) / 1e3;
    }
    return (double)h->max / 1e3;
}

void compare(uint32_t wanted, uint32_t got, uint64_t *missing, uint64_t *duplicates) {
    if (got < wanted) *missing += wanted - got;
    else *duplicates += got - wanted;
}
