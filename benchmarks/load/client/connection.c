/* The sockets of one worker: dialed, read and written without ever waiting for one of them.
 *
 * What is said on them is their protocol's concern.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "load.h"

static int epoll, timer;
static char *input; /* of the connection that is being read */

void connections_open(void) {
    epoll = epoll_create1(EPOLL_CLOEXEC);
    input = malloc(READ_BYTES + 1);
    if (epoll < 0 || input == NULL) die("epoll_create1");
}

static void watch(conn_t *c, int operation) {
    struct epoll_event event = {EPOLLIN | (c->writable_wanted ? EPOLLOUT : 0), {.ptr = c}};
    if (epoll_ctl(epoll, operation, c->fd, &event) < 0) die("epoll_ctl");
}

/* Each process dials from an address of its own: the kernel has 28,000 ports for one address to another's port. */
static void bind_source(int fd) {
    int one = 1;
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + process);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0) die("bind");
}

void dial(conn_t *c, int port) {
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket (is `ulimit -n` high enough?)");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (process > 0) bind_source(c->fd);
    c->rest_len = c->out_len = 0;
    c->since = now_ns();
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) die("connect");
    c->writable_wanted = 1; /* the first thing to hear is that it is connected */
    watch(c, EPOLL_CTL_ADD);
}

static void hang_up(conn_t *c) {
    close(c->fd);
    c->fd = -1;
    c->protocol->closed(c);
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
    if (c->out_len > 0) {
        char *out = c->out;
        uint32_t length = c->out_len;
        c->out = NULL;
        c->out_len = c->out_cap = 0;
        put(c, out, length);
        free(out);
    } else {
        c->protocol->writable(c);
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
    long used = c->protocol->input(c, input, size, now);
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

void connections_turn(int wait_ms) {
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

void tick(long every_ns) {
    struct itimerspec when = {{0, every_ns}, {0, every_ns}};
    struct epoll_event event = {EPOLLIN, {.ptr = NULL}};
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer < 0 || timerfd_settime(timer, 0, &when, NULL) < 0) die("timerfd");
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event) < 0) die("epoll_ctl");
}
