/* One client connection: upgrade, Pusher handshake, subscription, and the frames that arrive afterwards.
 *
 * Parses no JSON: what it looks for stands at a known place.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

enum { OPCODE_TEXT = 1, OPCODE_CLOSE = 8, OPCODE_PING = 9, OPCODE_PONG = 10, MAX_MESSAGE = 4096 };

/* --- out */

static int ws_send(conn_t *c, int opcode, const char *payload, size_t size) {
    char frame[MAX_MESSAGE + 8];
    size_t at = 0;
    if (size > MAX_MESSAGE) die("message too long for the load client");
    frame[at++] = (char)(0x80 | opcode);
    if (size < 126) {
        frame[at++] = (char)(0x80 | size);
    } else {
        frame[at++] = (char)(0x80 | 126);
        frame[at++] = (char)(size >> 8);
        frame[at++] = (char)size;
    }
    memset(frame + at, 0, 4); /* masked with zeros: as valid as any other mask, and free of work for us */
    memcpy(frame + at + 4, payload, size);
    return put(c, frame, at + 4 + size);
}

int ws_text(conn_t *c, const char *text, size_t size) { return ws_send(c, OPCODE_TEXT, text, size); }

static void writable(conn_t *c) {
    char head[1024];
    if (c->state != STATE_DIALING) return;
    int size = snprintf(head, sizeof head,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                        opt.path, opt.port);
    c->state = STATE_UPGRADING;
    put(c, head, (size_t)size);
}

int ws_subscribe(conn_t *c) {
    char channel[64], text[512], auth[65], message[1024];
    int size, n = snprintf(channel, sizeof channel, "%s%u", opt.prefix, c->channel);
    if (strncmp(channel, "presence-", 9) == 0) {
        n = snprintf(text, sizeof text, "%s:%s:{\"user_id\":\"u%u\"}", c->socket_id, channel, c->index);
        hmac_sha256_hex(opt.secret, text, (size_t)n, auth);
        size = snprintf(message, sizeof message,
                        "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"%s\",\"auth\":\"%s:%s\","
                        "\"channel_data\":\"{\\\"user_id\\\":\\\"u%u\\\"}\"}}",
                        channel, opt.key, auth, c->index);
    } else if (strncmp(channel, "private-", 8) == 0) {
        n = snprintf(text, sizeof text, "%s:%s", c->socket_id, channel);
        hmac_sha256_hex(opt.secret, text, (size_t)n, auth);
        size = snprintf(message, sizeof message,
                        "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"%s\",\"auth\":\"%s:%s\"}}", channel,
                        opt.key, auth);
    } else {
        size = snprintf(message, sizeof message, "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"%s\"}}", channel);
    }
    c->state = STATE_SUBSCRIBING;
    return ws_text(c, message, (size_t)size);
}

int ws_unsubscribe(conn_t *c) {
    char message[256];
    int size = snprintf(message, sizeof message,
                        "{\"event\":\"pusher:unsubscribe\",\"data\":{\"channel\":\"%s%u\"}}", opt.prefix, c->channel);
    c->state = STATE_LEAVING;
    return ws_text(c, message, (size_t)size);
}

/* --- in */

static void ready(conn_t *c, uint64_t now) {
    c->state = STATE_READY;
    if (shared->phase == PHASE_CONNECT) {
        record(&mine->answer, now - c->since);
        mine->ready++;
    }
}

/* The number that stands after `name` in a frame's payload; 0 when it is not there. */
int ws_number_after(const char *text, size_t size, const char *name, size_t length, uint32_t *number) {
    const char *end = text + size, *at = memmem(text, size, name, length);
    if (at == NULL) return 0;
    for (at += length; at < end && (*at < '0' || *at > '9'); at++) {}
    *number = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) *number = *number * 10 + (uint32_t)(*at - '0');
    return 1;
}

static void delivered(conn_t *c, uint32_t slot, uint64_t now) {
    mine->deliveries++;
    if (slot >= slots || slot % opt.channels != c->channel) {
        mine->duplicates++; /* an event of another channel is as wrong as one too many */
        return;
    }
    if (c->seen != NULL) c->seen[slot / opt.channels]++;
    uint64_t due = sent_at[slot];
    if (measuring() && due >= shared->measure_from) record(&mine->delivery, now - due);
    if (load->received != NULL) load->received(c, slot);
}

static void event(conn_t *c, const char *text, size_t size, uint64_t now) {
    uint32_t number;
    /* Frames of one channel differ in the number only, so it stands where it stood last time. */
    if (c->seq_at + 4 < size && memcmp(text + c->seq_at, "seq", 3) == 0) {
        if (ws_number_after(text + c->seq_at, size - c->seq_at, "seq", 3, &number)) delivered(c, number, now);
        return;
    }
    const char *at = memmem(text, size, "seq", 3);
    if (at != NULL && ws_number_after(at, (size_t)(text + size - at), "seq", 3, &number)) {
        c->seq_at = (uint32_t)(at - text);
        delivered(c, number, now);
        return;
    }
    if (load->told != NULL && load->told(c, text, size, now)) return;
    if (memmem(text, size, "pusher:ping", 11) != NULL) {
        const char *pong = "{\"event\":\"pusher:pong\",\"data\":{}}";
        ws_text(c, pong, strlen(pong));
    } else if (memmem(text, size, "pusher:error", 12) != NULL) {
        if (mine->rejected++ == 0) fprintf(stderr, "load client: the server says %.*s\n", (int)size, text);
    }
}

/* One text message. -1: give the connection up. */
static int message(conn_t *c, char *text, size_t size, uint64_t now) {
    if (load->plain) {
        mine->deliveries++;
        return 0;
    }
    if (c->state == STATE_READY || c->state == STATE_LEAVING) {
        event(c, text, size, now);
        return 0;
    }
    if (c->state == STATE_GREETED) {
        char *id = memmem(text, size, "socket_id", 9);
        if (id == NULL) {
            fprintf(stderr, "load client: not greeted but told %.*s\n", (int)size, text);
            return -1;
        }
        for (id += 9; *id < '0' || *id > '9'; id++) {}
        size_t length = strspn(id, "0123456789.");
        if (length >= sizeof c->socket_id) return -1;
        memcpy(c->socket_id, id, length);
        c->socket_id[length] = 0;
        if (shared->phase == PHASE_CONNECT) record(&mine->greeted, now - c->since);
        if (opt.subscribe && (load->stays_out == NULL || !load->stays_out(c))) return ws_subscribe(c);
        ready(c, now);
        return 0;
    }
    if (memmem(text, size, "subscription_succeeded", 22) != NULL) {
        ready(c, now);
        if (load->subscribed != NULL) load->subscribed(c, now);
        return 0;
    }
    event(c, text, size, now); /* while a churner joins, others' coming and going may be told already */
    return 0;
}

static int answer_ping(conn_t *c, int opcode, const char *payload, size_t size) {
    if (opcode == OPCODE_PING) return ws_send(c, OPCODE_PONG, payload, size);
    return opcode == OPCODE_CLOSE ? -1 : 0;
}

static long input(conn_t *c, char *data, size_t size, uint64_t now) {
    size_t at = 0;
    if (c->state == STATE_UPGRADING) {
        char *end = memmem(data, size, "\r\n\r\n", 4);
        if (end == NULL) return 0;
        if (size < 12 || memcmp(data + 9, "101", 3) != 0) {
            fprintf(stderr, "load client: upgrade refused: %.*s\n", (int)(size < 300 ? size : 300), data);
            return -1;
        }
        at = (size_t)(end + 4 - data);
        c->state = STATE_GREETED;
        if (load->plain) ready(c, now);
    }
    while (size - at >= 2) {
        unsigned char *head = (unsigned char *)data + at;
        size_t header = 2, length = head[1] & 127;
        if (length == 126) {
            if (size - at < 4) break;
            length = (size_t)head[2] << 8 | head[3];
            header = 4;
        } else if (length == 127) {
            if (size - at < 10) break;
            length = 0;
            for (int i = 2; i < 10; i++) length = length << 8 | head[i];
            header = 10;
        }
        if (size - at < header + length) break;
        char *payload = data + at + header;
        if ((head[0] & 15) == OPCODE_TEXT) {
            char kept = payload[length]; /* the buffer has room for one byte more */
            payload[length] = 0;
            if (message(c, payload, length, now) < 0) return -1;
            payload[length] = kept;
        } else if (answer_ping(c, head[0] & 15, payload, length) < 0) {
            return -1;
        }
        at += header + length;
    }
    return (long)at;
}

static void closed(conn_t *c) {
    if (c->state != STATE_GONE && mine->lost++ == 0) fprintf(stderr, "load client: connection %u was lost\n", c->index);
    c->state = STATE_GONE;
}

const protocol_t websocket = {.writable = writable, .input = input, .closed = closed};

void ws_count(uint64_t *missing, uint64_t *duplicates) {
    for (uint32_t i = 0; i < opt.conns; i++) {
        conn_t *c = by_index[i];
        if (c == NULL || c->seen == NULL) continue;
        for (uint32_t slot = c->channel; slot < slots; slot += opt.channels) {
            if (load->own_events && slot % opt.conns == i) continue;
            compare(sent[slot], c->seen[slot / opt.channels], missing, duplicates);
        }
    }
}
