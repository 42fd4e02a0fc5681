/* Publishes: replays signed requests over keep-alive connections, at a rate or as fast as answers come.
 *
 * The file holds records: four bytes of length, little-endian, then one whole HTTP request. Record s carries "seq":s.
 * It is replayed from its start when it is through; request s is never in flight twice, as the file is far longer.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

typedef struct {
    char *data;
    uint32_t size;
} request_t;

static const protocol_t http;
static request_t *requests;
static conn_t **publishers; /* this process' */
static uint32_t publisher_count, turn;
static uint64_t next_request, started_at, planned;

static void prepare(void) {
    const char *path = opt.requests;
    if (path == NULL) return;
    FILE *file = fopen(path, "rb");
    uint32_t size, capacity = 0;
    if (file == NULL) die(path);
    while (fread(&size, 4, 1, file) == 1) {
        if (slots == capacity) {
            capacity = capacity ? capacity * 2 : 1024;
            requests = realloc(requests, capacity * sizeof *requests);
            if (requests == NULL) die("realloc");
        }
        requests[slots] = (request_t){malloc(size), size};
        if (requests[slots].data == NULL || fread(requests[slots].data, 1, size, file) != size) die("request file");
        slots++;
    }
    fclose(file);
    if (slots % opt.processes != 0) slots -= slots % opt.processes; /* each process keeps to requests of its own */
    slots -= slots % opt.channels;
}

/* Sends the next requests of this process on an open connection, in one write. */
static void send_requests(conn_t *c, uint32_t count, uint64_t due) {
    static char joined[64 * 1024];
    size_t size = 0;
    while (count-- > 0 && c->inflight_count < opt.depth) {
        uint32_t slot = (uint32_t)(next_request % slots);
        request_t *request = &requests[slot];
        if (size + request->size > sizeof joined) {
            if (put(c, joined, size) < 0) return;
            size = 0;
        }
        if (request->size > sizeof joined) die("request too long");
        next_request += opt.processes;
        memcpy(joined + size, request->data, request->size);
        size += request->size;
        sent_at[slot] = due;
        sent[slot]++;
        mine->sent++;
        mine->unanswered++;
        c->inflight[(c->inflight_first + c->inflight_count++) % MAX_DEPTH] = slot;
    }
    if (size) put(c, joined, size);
}

static void start(void) {
    uint32_t first = process;
    next_request = process;
    started_at = now_ns();
    for (; first < opt.pubs; first += opt.processes) publisher_count++;
    if (publisher_count == 0) return;
    publishers = calloc(publisher_count, sizeof *publishers);
    for (uint32_t i = 0; i < publisher_count; i++) {
        conn_t *c = publishers[i] = calloc(1, sizeof *c);
        if (c == NULL) die("calloc");
        c->protocol = &http;
        dial(c, opt.publish_port);
    }
}

static void due_requests(uint64_t now) {
    if (publisher_count == 0 || !sending() || opt.rate <= 0) return;
    /* The moment at which request n of this process is due; a late sender does not make a fast server. */
    double every = 1e9 * opt.processes / opt.rate, offset = 1e9 * process / opt.rate;
    for (;;) {
        uint64_t due = started_at + (uint64_t)(offset + every * (double)planned);
        if (due > now) return;
        uint32_t tries = 0;
        while (tries < publisher_count && publishers[turn % publisher_count]->inflight_count > 0) turn++, tries++;
        conn_t *c = publishers[turn++ % publisher_count];
        if (tries == publisher_count && c->inflight_count >= opt.depth) return; /* all busy: it is sent late */
        send_requests(c, 1, due);
        planned++;
    }
}

static void answered(conn_t *c, const char *answer, size_t size, uint64_t now) {
    if (c->inflight_count == 0) return;
    uint32_t slot = c->inflight[c->inflight_first];
    c->inflight_first = (c->inflight_first + 1) % MAX_DEPTH;
    c->inflight_count--;
    mine->unanswered--;
    if (memcmp(answer + 9, "200", 3) == 0) {
        mine->answered++;
        if (measuring()) record(&mine->answer, now - sent_at[slot]);
    } else if (mine->rejected++ == 0) {
        fprintf(stderr, "load client: publish refused: %.*s\n", (int)(size < 400 ? size : 400), answer);
    }
}

/* Length of a whole answer at the start of the input; 0 when its end is missing. */
static size_t answer_length(char *data, size_t size, int *closes) {
    char *body = memmem(data, size, "\r\n\r\n", 4);
    if (body == NULL) return 0;
    body += 4;
    size_t head = (size_t)(body - data);
    char kept = data[head - 1];
    data[head - 1] = 0; /* the searches end where the head ends */
    char *length = strcasestr(data, "content-length:"), *chunked = strcasestr(data, "transfer-encoding: chunked");
    *closes = strcasestr(data, "connection: close") != NULL;
    size_t wanted = length != NULL ? strtoul(length + 15, NULL, 10) : 0;
    data[head - 1] = kept;
    if (chunked != NULL) {
        char *end = memmem(body, size - head, "0\r\n\r\n", 5);
        return end != NULL ? (size_t)(end + 5 - data) : 0;
    }
    return head + wanted <= size ? head + wanted : 0;
}

static long input(conn_t *c, char *data, size_t size, uint64_t now) {
    size_t at = 0;
    int closes = 0;
    while (at < size && !closes) {
        size_t length = answer_length(data + at, size - at, &closes);
        if (length == 0) {
            closes = 0;
            break;
        }
        answered(c, data + at, length, now);
        at += length;
    }
    if (closes) return -1;
    if (sending() && opt.rate <= 0 && at > 0) send_requests(c, opt.depth - c->inflight_count, now);
    return (long)at;
}

static void writable(conn_t *c) {
    if (c->inflight_count == 0 && sending() && opt.rate <= 0) send_requests(c, opt.depth, now_ns());
}

/* The server closes after each answer, or dropped the connection: dial again. What had no answer is lost. */
static void closed(conn_t *c) {
    mine->unanswered -= c->inflight_count;
    mine->rejected += c->inflight_count;
    c->inflight_count = c->inflight_first = 0;
    if (shared->phase >= PHASE_DRAIN) return;
    mine->redials++;
    dial(c, opt.publish_port);
}

static const protocol_t http = {.writable = writable, .input = input, .closed = closed};

const load_t publish = {
    .name = "publish", .prepare = prepare, .start = start, .due = due_requests, .count = ws_count,
};
