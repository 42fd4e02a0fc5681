/* Client events: every connection of a channel sends in turn, all others of the channel receive.
 *
 * Slot s is sent by connection s % conns, so a receiver knows from the slot alone what it must get. All connections of
 * a channel live in one process. At a rate the loop is open; without one, `depth` events are under way for each channel
 * and the next is sent when the last receiver has one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static conn_t **senders;
static uint32_t sender_count, turn;
static uint32_t *cycle;   /* by connection: how many it has sent */
static uint16_t *awaited; /* by slot: receivers that do not have it yet */
static uint64_t started_at, planned;

static void send_event(conn_t *c, uint64_t due) {
    char message[1024];
    uint32_t slot = c->index + opt.conns * (cycle[c->index]++ % (slots / opt.conns));
    int size = snprintf(message, sizeof message,
                        "{\"event\":\"client-tick\",\"channel\":\"%s%u\",\"data\":{\"seq\":%u,\"pad\":\"%s\"}}", opt.prefix,
                        c->channel, slot, opt.event_data);
    sent_at[slot] = due;
    sent[slot]++;
    mine->sent++;
    awaited[slot] = (uint16_t)(opt.conns / opt.channels - 1);
    ws_text(c, message, (size_t)size);
}

static void send_next(uint64_t due) {
    for (uint32_t tries = 0; tries < sender_count; tries++) {
        conn_t *c = senders[turn++ % sender_count];
        if (c->state == STATE_READY) {
            send_event(c, due);
            return;
        }
    }
}

static void prepare(void) { slots = opt.conns * (opt.conns < 4096 ? 4096 / opt.conns : 1); }

static void start(void) {
    uint32_t own_channels = 0;
    senders = calloc(opt.conns, sizeof *senders);
    cycle = calloc(opt.conns, sizeof *cycle);
    awaited = calloc(slots, sizeof *awaited);
    if (senders == NULL || cycle == NULL || awaited == NULL) die("calloc");
    for (uint32_t i = 0; i < opt.conns; i++)
        if (by_index[i] != NULL) senders[sender_count++] = by_index[i];
    for (uint32_t i = 0; i < opt.channels; i++) own_channels += i % opt.processes == process;
    started_at = now_ns();
    if (opt.rate <= 0)
        for (uint32_t i = 0; i < own_channels * opt.depth; i++) send_next(started_at);
}

static void due_events(uint64_t now) {
    if (!sending() || opt.rate <= 0 || sender_count == 0) return;
    double every = 1e9 * opt.processes / opt.rate, offset = 1e9 * process / opt.rate;
    for (;;) {
        uint64_t due = started_at + (uint64_t)(offset + every * (double)planned);
        if (due > now) return;
        send_next(due);
        planned++;
    }
}

static void received(conn_t *c, uint32_t slot) {
    (void)c;
    if (awaited == NULL || awaited[slot] == 0 || --awaited[slot] > 0) return;
    if (opt.rate <= 0 && sending()) send_next(now_ns());
}

const load_t chat = {
    .name = "chat", .together = 1, .own_events = 1, .prepare = prepare, .start = start, .due = due_events,
    .received = received, .count = ws_count,
};
