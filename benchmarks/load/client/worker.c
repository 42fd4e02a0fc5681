/* One process of the load client: its share of the connections, and the loop that reads them.
 *
 * Forked by main.c. Learns the phase from shared memory and tells its figures there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <signal.h>
#include <unistd.h>

#include "load.h"

stats_t *mine;
uint32_t process;
conn_t **by_index;
static int epoll, timer;
static uint32_t under_way; /* dialed and not ready yet */
static char *input;        /* of the connection that is being read */

int measuring(void) { return shared->phase == PHASE_MEASURE || shared->phase == PHASE_DRAIN; }
int sending(void) { return shared->phase == PHASE_LOAD || shared->phase == PHASE_MEASURE; }

static void watch(conn_t *c, int operation) {
    struct epoll_event event = {EPOLLIN | (c->writable_wanted ? EPOLLOUT : 0), {.ptr = c}};
    if (epoll_ctl(epoll, operation, c->fd, &event) < 0) die("epoll_ctl");
}

void dial(conn_t *c, int port) {
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket (is `ulimit -n` high enough?)");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->rest_len = c->out_len = 0;
    c->since = now_ns();
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) die("connect");
    c->writable_wanted = 1; /* the first thing to hear is that it is connected */
    watch(c, EPOLL_CTL_ADD);
}

void hang_up(conn_t *c) {
    close(c->fd);
    c->fd = -1;
    if (c->state == STATE_HTTP) {
        publish_closed(c);
        return;
    }
    if (c->state != STATE_GONE && mine->lost++ == 0) fprintf(stderr, "load client: connection %u was lost\n", c->index);
    c->state = STATE_GONE;
}

int put(conn_t *c, const char *data, size_t size) {
    if (c->fd < 0) return -1;
    if (c->out_len == 0 && !c->writable_wanted) {
        ssize_t taken = send(c->fd, data, size, MSG_NOSIGNAL);
        if (taken == (ssize_t)size) return 0;
        if (taken < 0 && errno != EAGAIN) return 0; /* reading finds out */
        if (taken > 0) data += taken, size -= (size_t)taken;
    }
    if (c->out_len + size > c->out_cap) {
        c->out_cap = c->out_len + (uint32_t)size;
        c->out = realloc(c->out, c->out_cap);
        if (c->out == NULL) die("realloc");
    }
    memcpy(c->out + c->out_len, data, size);
    c->out_len += (uint32_t)size;
    if (!c->writable_wanted) {
        c->writable_wanted = 1;
        watch(c, EPOLL_CTL_MOD);
    }
    return 0;
}

static void writable(conn_t *c) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0) {
        hang_up(c);
        return;
    }
    c->writable_wanted = 0;
    watch(c, EPOLL_CTL_MOD);
    if (c->state == STATE_DIALING) {
        ws_connected(c);
    } else if (c->out_len > 0) {
        char *out = c->out;
        uint32_t length = c->out_len;
        c->out = NULL;
        c->out_len = c->out_cap = 0;
        put(c, out, length);
        free(out);
    } else if (c->state == STATE_HTTP && c->inflight_count == 0) {
        publish_reopened(c);
    }
}

static void readable(conn_t *c) {
    memcpy(input, c->rest, c->rest_len);
    ssize_t got = recv(c->fd, input + c->rest_len, READ_BYTES - c->rest_len, 0);
    mine->reads++;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        hang_up(c);
        return;
    }
    mine->bytes_in += (uint64_t)got;
    size_t size = c->rest_len + (size_t)got;
    uint64_t now = now_ns();
    input[size] = 0;
    uint64_t ready_before = mine->ready;
    long used = c->state == STATE_HTTP ? publish_input(c, input, size, now) : ws_input(c, input, size, now);
    under_way -= (uint32_t)(mine->ready - ready_before);
    if (used < 0) {
        hang_up(c);
        return;
    }
    c->rest_len = (uint32_t)(size - (size_t)used);
    if (c->rest_len > c->rest_cap) {
        c->rest_cap = c->rest_len + 1024;
        if (c->rest_cap > READ_BYTES / 2) die("message too long");
        c->rest = realloc(c->rest, c->rest_cap);
        if (c->rest == NULL) die("realloc");
    }
    memcpy(c->rest, input + used, c->rest_len);
}

static void turn(int wait_ms) {
    struct epoll_event events[512];
    int count = epoll_wait(epoll, events, 512, wait_ms);
    for (int i = 0; i < count; i++) {
        conn_t *c = events[i].data.ptr;
        if (c == NULL) { /* the timer: something is due */
            uint64_t ticks;
            if (read(timer, &ticks, sizeof ticks) < 0) continue;
            continue;
        }
        if (c->fd >= 0 && events[i].events & EPOLLOUT) writable(c);
        if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
    }
}

static int is_mine(uint32_t index) {
    int together = opt.mode == MODE_CHAT || opt.mode == MODE_CHURN;
    return (together ? index % opt.channels : index) % opt.processes == process;
}

static void open_connections(void) {
    by_index = calloc(opt.conns, sizeof *by_index);
    if (by_index == NULL) die("calloc");
    for (uint32_t i = 0; i < opt.conns; i++) {
        if (!is_mine(i)) continue;
        conn_t *c = by_index[i] = calloc(1, sizeof *c);
        if (c == NULL) die("calloc");
        c->index = i;
        c->channel = i % opt.channels;
        if (slots > 0) c->seen = calloc(slots / opt.channels + 1, sizeof *c->seen);
        dial(c, opt.port);
        for (under_way++; under_way >= opt.window && shared->phase == PHASE_CONNECT;) turn(10);
        if (shared->phase != PHASE_CONNECT) break;
    }
}

/* A tick every so often that what is due at the rate asked for is at most a little late. */
static void set_timer(void) {
    double every = opt.rate > 0 ? 1e9 * opt.processes / opt.rate : 1e9;
    long ns = every < 100e3 ? 100000 : every > 1e8 ? 100000000 : (long)every;
    struct itimerspec when = {{0, ns}, {0, ns}};
    struct epoll_event event = {EPOLLIN, {.ptr = NULL}};
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer < 0 || timerfd_settime(timer, 0, &when, NULL) < 0) die("timerfd");
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event) < 0) die("epoll_ctl");
}

void worker(uint32_t number) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    process = number;
    mine = &shared->stats[number];
    epoll = epoll_create1(EPOLL_CLOEXEC);
    input = malloc(READ_BYTES + 1);
    if (epoll < 0 || input == NULL) die("epoll_create1");
    open_connections();
    while (shared->phase <= PHASE_HOLD) turn(5);
    if (shared->phase == PHASE_END) _exit(0);
    set_timer();
    if (opt.mode == MODE_PUBLISH) publish_start();
    if (opt.mode == MODE_CHAT) chat_start();
    if (opt.mode == MODE_CHURN) churn_start();
    while (shared->phase < PHASE_END) {
        uint64_t now = now_ns();
        if (opt.mode == MODE_PUBLISH) publish_due(now);
        if (opt.mode == MODE_CHAT) chat_due(now);
        if (opt.mode == MODE_CHURN) churn_due(now);
        turn(10);
    }
    uint64_t duplicates = mine->duplicates, missing = 0;
    if (opt.mode == MODE_CHURN) churn_count(&missing, &duplicates);
    else ws_count(&missing, &duplicates);
    mine->missing = missing;
    mine->duplicates = duplicates;
    _exit(0);
}
