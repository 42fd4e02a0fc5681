/* Presence churn: in each channel some connections stay and watch, the others join, leave, and join again.
 *
 * A churner leaves as soon as it has joined, and joins again when the channel's first observer has heard that it left:
 * so every joining and every leaving must reach every observer exactly once, and the counts can be checked. All
 * connections of a channel live in one process.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static conn_t **idle; /* churners that may join; a queue */
static uint32_t idle_first, idle_count;
static uint64_t started_at, planned;

static int is_observer(const conn_t *c) { return c->index / opt.channels < opt.observers; }

static int stays_out(const conn_t *c) { return !is_observer(c); }

static void join_next(uint64_t due) {
    if (idle_count == 0) return;
    conn_t *c = idle[idle_first];
    idle_first = (idle_first + 1) % opt.conns;
    idle_count--;
    c->since = due;
    mine->sent++;
    mine->unanswered++;
    ws_subscribe(c);
}

static void rest(conn_t *c) { idle[(idle_first + idle_count++) % opt.conns] = c; }

static void start(void) {
    idle = calloc(opt.conns, sizeof *idle);
    if (idle == NULL) die("calloc");
    for (uint32_t i = 0; i < opt.conns; i++)
        if (by_index[i] != NULL && !is_observer(by_index[i])) rest(by_index[i]);
    started_at = now_ns();
    if (opt.rate <= 0)
        while (idle_count > 0) join_next(started_at);
}

static void due_joins(uint64_t now) {
    if (!sending() || opt.rate <= 0) return;
    double every = 1e9 * opt.processes / opt.rate, offset = 1e9 * process / opt.rate;
    while (idle_count > 0) {
        uint64_t due = started_at + (uint64_t)(offset + every * (double)planned);
        if (due > now) return;
        join_next(due);
        planned++;
    }
}

static void subscribed(conn_t *c, uint64_t now) {
    if (is_observer(c)) return;
    mine->answered++;
    c->joins++;
    if (measuring()) record(&mine->answer, now - c->since);
    ws_unsubscribe(c);
}

/* An observer was told that a member came or went. */
static void member(conn_t *observer, int added, uint32_t user, uint64_t now) {
    conn_t *c = user < opt.conns ? by_index[user] : NULL;
    if (c == NULL || c->channel != observer->channel || is_observer(c)) return;
    if (added) c->told_added++;
    else c->told_removed++;
    if (added && measuring()) record(&mine->delivery, now - c->since);
    if (added || observer->index / opt.channels != 0 || c->state != STATE_LEAVING) return;
    c->state = STATE_READY;
    mine->unanswered--;
    rest(c);
    if (opt.rate <= 0 && sending()) join_next(now);
}

static int told(conn_t *c, const char *text, size_t size, uint64_t now) {
    uint32_t user;
    const char *at = memmem(text, size, ":member_", 8);
    if (at == NULL || !ws_number_after(text, size, "user_id", 7, &user)) return 0;
    mine->deliveries++;
    if (is_observer(c)) member(c, at[8] == 'a', user, now);
    return 1;
}

static void count(uint64_t *missing, uint64_t *duplicates) {
    for (uint32_t i = 0; i < opt.conns; i++) {
        const conn_t *c = by_index[i];
        if (c == NULL || is_observer(c)) continue;
        compare(c->joins * opt.observers, c->told_added, missing, duplicates);
        compare(c->joins * opt.observers, c->told_removed, missing, duplicates);
    }
}

const load_t churn = {
    .name = "churn", .together = 1, .until_quiet = 1, .start = start, .due = due_joins, .stays_out = stays_out,
    .subscribed = subscribed, .told = told, .count = count,
};
