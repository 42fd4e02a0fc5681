/* One worker: opens its share of the connections, then does what the load asks for until the phase ends. */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "load.h"

static int is_mine(uint32_t index) {
    return (load->together ? index % opt.channels : index) % opt.processes == process;
}

/* At most `window` of them are dialed and not ready yet. */
static void open_connections(void) {
    uint32_t dialed = 0;
    by_index = calloc(opt.conns, sizeof *by_index);
    if (by_index == NULL) die("calloc");
    for (uint32_t i = 0; i < opt.conns; i++) {
        if (!is_mine(i)) continue;
        conn_t *c = by_index[i] = calloc(1, sizeof *c);
        if (c == NULL) die("calloc");
        c->protocol = &websocket;
        c->index = i;
        c->channel = i % opt.channels;
        if (slots > 0) c->seen = calloc(slots / opt.channels + 1, sizeof *c->seen);
        dial(c, opt.port);
        for (dialed++; dialed - mine->ready >= opt.window && shared->phase == PHASE_CONNECT;) connections_turn(10);
        if (shared->phase != PHASE_CONNECT) break;
    }
}

/* A tick every so often that what is due at the rate asked for is at most a little late. */
static void set_timer(void) {
    double every = opt.rate > 0 ? 1e9 * opt.processes / opt.rate : 1e9;
    tick(every < 100e3 ? 100000 : every > 1e8 ? 100000000 : (long)every);
}

void worker(uint32_t number) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    process = number;
    mine = &shared->stats[number];
    connections_open();
    open_connections();
    while (shared->phase <= PHASE_HOLD) connections_turn(5);
    if (shared->phase == PHASE_END) _exit(0);
    set_timer();
    if (load->start != NULL) load->start();
    while (shared->phase < PHASE_END) {
        if (load->due != NULL) load->due(now_ns());
        connections_turn(10);
    }
    uint64_t duplicates = mine->duplicates, missing = 0;
    load->count(&missing, &duplicates);
    mine->missing = missing;
    mine->duplicates = duplicates;
    _exit(0);
}
