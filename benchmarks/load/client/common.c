/* What every file of the load client reads: the options, what its processes share, and what one worker has for itself.
 *
 * Calls none of the others.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "load.h"

options_t opt = {
    .conns = 1000, .channels = 1, .pubs = 8, .depth = 1, .processes = 1, .window = 200, .observers = 10,
    .subscribe = 1, .seconds = 5, .warmup_s = 1, .connect_timeout_s = 120,
    .path = "/app/app-key?protocol=7&client=js&version=8.4.0", .prefix = "bench-", .key = "app-key",
    .secret = "app-secret", .event_data = "",
};
const load_t *load = &publish;
shared_t *shared;
uint32_t slots;
_Atomic uint64_t *sent_at;
_Atomic uint32_t *sent;
stats_t *mine;
uint32_t process;
conn_t **by_index;

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

void die(const char *what) {
    fprintf(stderr, "load client: %s: %s\n", what, strerror(errno));
    exit(1);
}

int measuring(void) { return shared->phase == PHASE_MEASURE || shared->phase == PHASE_DRAIN; }
int sending(void) { return shared->phase == PHASE_LOAD || shared->phase == PHASE_MEASURE; }
