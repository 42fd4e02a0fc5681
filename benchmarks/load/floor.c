/* floor: the least that a kernel lets a broadcast server do, as the limit to measure against.
 *
 * One epoll thread. Answers upgrades and any subscribe with canned frames, takes POST requests, wraps the body in one
 * text frame and sends it to every WebSocket with one send() each. It checks nothing: no JSON, no signature, no
 * channels. Requests that are read in one epoll round leave as one buffer per socket.
 *
 *     floor PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    int fd, is_websocket;
    unsigned slot; /* in subscribers */
    size_t length;
    char input[8192];
} conn_t;

static conn_t **subscribers;
static unsigned count, capacity;
static char *out; /* frames of this round */
static size_t out_length, out_capacity;

static size_t header(unsigned char *h, size_t size) {
    h[0] = 0x81;
    if (size < 126) {
        h[1] = (unsigned char)size;
        return 2;
    }
    h[1] = 126;
    h[2] = (unsigned char)(size >> 8);
    h[3] = (unsigned char)size;
    return 4;
}

static void send_text(int fd, const char *text) {
    unsigned char frame[1024];
    size_t size = strlen(text), skip = header(frame, size);
    memcpy(frame + skip, text, size);
    if (send(fd, frame, skip + size, MSG_NOSIGNAL) < 0) perror("send");
}

static void queue_frame(const char *body, size_t size) {
    if (out_length + size + 4 > out_capacity) {
        out_capacity = (out_length + size + 4) * 2;
        out = realloc(out, out_capacity);
    }
    out_length += header((unsigned char *)out + out_length, size);
    memcpy(out + out_length, body, size);
    out_length += size;
}

static void flush_all(void) {
    for (unsigned i = 0; i < count; i++) {
        for (size_t at = 0; at < out_length;) {
            ssize_t taken = send(subscribers[i]->fd, out + at, out_length - at, MSG_NOSIGNAL);
            if (taken >= 0) {
                at += (size_t)taken;
            } else if (errno == EAGAIN) {
                struct pollfd full = {subscribers[i]->fd, POLLOUT, 0};
                poll(&full, 1, 100);
            } else {
                break;
            }
        }
    }
    out_length = 0;
}

static void drop(conn_t *c) {
    if (c->is_websocket) {
        subscribers[c->slot] = subscribers[--count];
        subscribers[c->slot]->slot = c->slot;
    }
    close(c->fd);
    free(c);
}

static void upgrade(conn_t *c) {
    const char *answer =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    if (send(c->fd, answer, strlen(answer), MSG_NOSIGNAL) < 0) perror("send");
    send_text(c->fd, "{\"event\":\"pusher:connection_established\","
                     "\"data\":\"{\\\"socket_id\\\":\\\"1.1\\\",\\\"activity_timeout\\\":120}\"}");
    c->is_websocket = 1;
    c->length = 0;
    if (count == capacity) {
        capacity = capacity ? capacity * 2 : 1024;
        subscribers = realloc(subscribers, capacity * sizeof *subscribers);
    }
    c->slot = count;
    subscribers[count++] = c;
}

static void on_input(conn_t *c) {
    ssize_t got = read(c->fd, c->input + c->length, sizeof c->input - c->length - 1);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) drop(c);
        return;
    }
    c->length += (size_t)got;
    c->input[c->length] = 0;
    if (c->is_websocket) { /* whatever it said, it wants to subscribe */
        c->length = 0;
        send_text(c->fd, "{\"event\":\"pusher_internal:subscription_succeeded\",\"channel\":\"bench-0\",\"data\":\"{}\"}");
        return;
    }
    while (c->length > 0) {
        char *end = memmem(c->input, c->length, "\r\n\r\n", 4);
        if (end == NULL) return;
        if (strncmp(c->input, "GET /app/", 9) == 0) {
            upgrade(c);
            return;
        }
        char *given = strcasestr(c->input, "content-length:");
        size_t head = (size_t)(end + 4 - c->input), body = given != NULL ? strtoul(given + 15, NULL, 10) : 0;
        if (c->length < head + body) return;
        queue_frame(c->input + head, body);
        const char *answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        if (send(c->fd, answer, strlen(answer), MSG_NOSIGNAL) < 0) perror("send");
        c->length -= head + body;
        memmove(c->input, c->input + head + body, c->length + 1);
    }
}

int main(int argc, char **argv) {
    int one = 1, poller = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 0))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) {
        perror("floor");
        return 1;
    }
    struct epoll_event event = {EPOLLIN, {.ptr = NULL}}, events[512];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poller, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr != NULL) {
                on_input(events[i].data.ptr);
                continue;
            }
            for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                conn_t *c = calloc(1, sizeof *c);
                c->fd = fd;
                event.data.ptr = c;
                epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
            }
        }
        if (out_length > 0) flush_all();
    }
}
