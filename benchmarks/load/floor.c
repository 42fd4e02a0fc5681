/* floor: the least that a kernel lets a broadcast server do, as the limit to measure against.
 *
 * One epoll thread. Answers upgrades and any subscribe with canned frames, takes POST requests, wraps the body in one
 * text frame and sends it to every WebSocket of the channel with one send() each; a client's event to all but its sender.
 * A channel is the number at the end of its name, and a client is in the one that it has asked for last. It checks
 * nothing: no JSON, no signature. Requests that are read in one epoll round leave as one buffer per socket.
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

#define MOST_CHANNELS 8192

typedef struct channel {
    struct conn **members;
    unsigned count;
    char *out; /* frames of this round */
    size_t out_length, out_capacity;
    struct channel *next_due;
} channel_t;

typedef struct conn {
    int fd, is_websocket;
    channel_t *channel;
    unsigned slot; /* in its members */
    size_t length;
    char input[8192];
} conn_t;

static channel_t channels[MOST_CHANNELS], *due;

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

/* The channel whose name stands in a message. */
static channel_t *channel_in(const char *text, size_t size) {
    char *name = memmem(text, size, "bench-", 6);
    return &channels[name != NULL ? strtoul(name + 6, NULL, 10) % MOST_CHANNELS : 0];
}

static void queue_frame(channel_t *to, const char *body, size_t size) {
    if (to->out_length + size + 4 > to->out_capacity) {
        to->out_capacity = (to->out_length + size + 4) * 2;
        to->out = realloc(to->out, to->out_capacity);
    }
    if (to->out_length == 0) {
        to->next_due = due;
        due = to;
    }
    to->out_length += header((unsigned char *)to->out + to->out_length, size);
    memcpy(to->out + to->out_length, body, size);
    to->out_length += size;
}

static void flush(channel_t *to) {
    for (unsigned i = 0; i < to->count; i++) {
        for (size_t at = 0; at < to->out_length;) {
            ssize_t taken = send(to->members[i]->fd, to->out + at, to->out_length - at, MSG_NOSIGNAL);
            if (taken >= 0) {
                at += (size_t)taken;
            } else if (errno == EAGAIN) {
                struct pollfd full = {to->members[i]->fd, POLLOUT, 0};
                poll(&full, 1, 100);
            } else {
                break;
            }
        }
    }
    to->out_length = 0;
}

static void tell_others(conn_t *sender, const char *text, size_t size) {
    unsigned char frame[sizeof sender->input + 4];
    size_t skip = header(frame, size);
    memcpy(frame + skip, text, size);
    for (unsigned i = 0; i < sender->channel->count; i++) {
        conn_t *other = sender->channel->members[i];
        if (other != sender && send(other->fd, frame, skip + size, MSG_NOSIGNAL) < 0) perror("send");
    }
}

static void leave(conn_t *c) {
    if (c->channel == NULL) return;
    conn_t *last = c->channel->members[--c->channel->count];
    c->channel->members[last->slot = c->slot] = last;
    c->channel = NULL;
}

static void join(conn_t *c, channel_t *to) {
    leave(c);
    if ((to->count & (to->count - 1)) == 0) to->members = realloc(to->members, (to->count * 2 + 1) * sizeof(conn_t *));
    c->channel = to;
    to->members[c->slot = to->count++] = c;
}

static void drop(conn_t *c) {
    leave(c);
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
    c->length = 0; /* no client speaks before it is greeted */
}

/* The bytes of the first frame, unmasked in place; 0 before all of it is there. */
static size_t read_frame(conn_t *c, char **text, size_t *size) {
    unsigned char *in = (unsigned char *)c->input;
    size_t skip = 6;
    if (c->length < 8) return 0;
    *size = in[1] & 127;
    if (*size == 126) {
        *size = (size_t)in[2] << 8 | in[3];
        skip = 8;
    }
    if (c->length < skip + *size) return 0;
    for (size_t i = 0; i < *size; i++) in[skip + i] ^= in[skip - 4 + i % 4];
    *text = c->input + skip;
    return skip + *size;
}

static void on_frames(conn_t *c) {
    char *text;
    for (size_t size, used; (used = read_frame(c, &text, &size)) > 0;) {
        if (memmem(text, size, "\"client-", 8) != NULL && c->channel != NULL) {
            tell_others(c, text, size);
        } else { /* whatever else it said, it wants to subscribe */
            join(c, channel_in(text, size));
            send_text(c->fd, "{\"event\":\"pusher_internal:subscription_succeeded\",\"channel\":\"bench-0\",\"data\":\"{}\"}");
        }
        c->length -= used;
        memmove(c->input, c->input + used, c->length);
    }
}

static void on_input(conn_t *c) {
    ssize_t got = read(c->fd, c->input + c->length, sizeof c->input - c->length - 1);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) drop(c);
        return;
    }
    c->length += (size_t)got;
    c->input[c->length] = 0;
    if (c->is_websocket) {
        on_frames(c);
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
        queue_frame(channel_in(c->input + head, body), c->input + head, body);
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
        for (; due != NULL; due = due->next_due) flush(due);
    }
}
