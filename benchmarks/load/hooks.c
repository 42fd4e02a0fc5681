/* hooks: a webhook endpoint that is never the limit. Answers 200 to every request and counts requests and events.
 *
 *     hooks PORT
 *
 * Each line on stdin is answered with {"requests":…,"events":…,"bytes":…} so far; ends at the end of stdin. An event is
 * an object with a "name"; the batches of the Pusher protocol have no other one.
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
#include <unistd.h>

enum { MAX_REQUEST = 1 << 20 };

typedef struct {
    int fd;
    size_t length, capacity;
    char *input;
} conn_t;

static unsigned long requests, events, bytes;

static void drop(conn_t *c) {
    close(c->fd);
    free(c->input);
    free(c);
}

static void count(const char *body, size_t size) {
    const char *end = body + size;
    requests++;
    bytes += size;
    for (const char *at = body; (at = memmem(at, (size_t)(end - at), "\"name\":", 7)) != NULL; at += 7) events++;
}

static void on_input(conn_t *c) {
    if (c->capacity - c->length < 65536) {
        c->capacity += 131072;
        if (c->capacity > MAX_REQUEST || (c->input = realloc(c->input, c->capacity)) == NULL) exit(1);
    }
    ssize_t got = read(c->fd, c->input + c->length, c->capacity - c->length - 1);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) drop(c);
        return;
    }
    c->length += (size_t)got;
    size_t at = 0;
    for (;;) {
        char *end = memmem(c->input + at, c->length - at, "\r\n\r\n", 4);
        if (end == NULL) break;
        *end = 0;
        char *given = strcasestr(c->input + at, "content-length:");
        *end = '\r';
        size_t head = (size_t)(end + 4 - c->input), body = given != NULL ? strtoul(given + 15, NULL, 10) : 0;
        if (c->length < head + body) break;
        count(c->input + head, body);
        at = head + body;
        const char *answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        if (send(c->fd, answer, strlen(answer), MSG_NOSIGNAL) < 0) break;
    }
    c->length -= at;
    memmove(c->input, c->input + at, c->length);
}

int main(int argc, char **argv) {
    int one = 1, poller = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 0))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1024) < 0) {
        perror("hooks");
        return 1;
    }
    static int stdin_mark;
    struct epoll_event event = {EPOLLIN, {.ptr = NULL}}, ready[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    event.data.ptr = &stdin_mark;
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event);
    for (;;) {
        int found = epoll_wait(poller, ready, 256, -1);
        for (int i = 0; i < found; i++) {
            char line[256];
            if (ready[i].data.ptr == &stdin_mark) {
                if (read(0, line, sizeof line) <= 0) return 0;
                printf("{\"requests\":%lu,\"events\":%lu,\"bytes\":%lu}\n", requests, events, bytes);
                fflush(stdout);
            } else if (ready[i].data.ptr != NULL) {
                on_input(ready[i].data.ptr);
            } else {
                for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    conn_t *c = calloc(1, sizeof *c);
                    if (c == NULL) return 1;
                    c->fd = fd;
                    event.data.ptr = c;
                    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
                }
            }
        }
    }
}
