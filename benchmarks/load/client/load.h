/* The load client's vocabulary: options, connections, kinds of load, and what its processes share.
 *
 * main.c forks one worker for each process asked for; every worker has its own epoll and its own share of the
 * connections, and tells the parent through shared memory only. Loopback IPv4 only. A file calls those that stand
 * before it here; what comes later it reaches through the two tables, `protocol_t` and `load_t`.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum phase { PHASE_CONNECT, PHASE_HOLD, PHASE_LOAD, PHASE_MEASURE, PHASE_DRAIN, PHASE_END };

enum state {
    STATE_DIALING,
    STATE_UPGRADING,
    STATE_GREETED, /* upgraded; connection_established is due */
    STATE_SUBSCRIBING,
    STATE_READY,
    STATE_LEAVING, /* churn: unsubscribed; an observer has not heard of it yet */
    STATE_GONE,
};

enum { MAX_DEPTH = 64, MAX_PROCESSES = 64, READ_BYTES = 256 * 1024 };

typedef struct {
    int port, publish_port;
    uint32_t conns, channels, pubs, depth, processes, window, observers;
    int subscribe; /* 0: connect only */
    double rate;   /* per second over all processes; 0: as fast as answers come */
    double warmup_s, seconds, connect_timeout_s;
    const char *path, *prefix, *requests, *key, *secret;
    const char *event_data; /* chat: padding of an event's data */
} options_t;

typedef struct conn conn_t;

/* What is spoken on a connection. */
typedef struct {
    void (*writable)(conn_t *c); /* it is connected, or all that waited is written */
    long (*input)(conn_t *c, char *data, size_t size, uint64_t now); /* how much is used up; -1: it is to be closed */
    void (*closed)(conn_t *c);
} protocol_t;

struct conn {
    int fd;
    const protocol_t *protocol;
    enum state state;
    int writable_wanted;
    uint32_t index, channel;
    uint32_t seq_at;  /* where "seq" stood in the last frame: it stands there in the next one */
    uint64_t since;   /* ns: when it was dialed, or when it last asked to join or leave */
    char socket_id[40];
    char *rest;       /* input of which the end is missing */
    uint32_t rest_len, rest_cap;
    char *out;        /* output the kernel has not taken */
    uint32_t out_len, out_cap;
    uint16_t *seen;   /* how often each event of its channel arrived */
    uint32_t joins;   /* churner: how often it joined, and what all observers were told of it */
    uint32_t told_added, told_removed;
    uint32_t inflight[MAX_DEPTH], inflight_first, inflight_count; /* publisher: requests without an answer */
};

/* One kind of load, which `--mode` names. NULL where it has nothing to do. */
typedef struct {
    const char *name;
    int together;    /* all connections of a channel live in one process */
    int plain;       /* no Pusher protocol: upgrade, then count frames */
    int own_events;  /* slot s is sent by connection s % conns, to which it does not come back */
    int until_quiet; /* how many events are to come is not known beforehand */
    void (*prepare)(void);           /* in the parent: how many slots there are */
    void (*start)(void);             /* all connections stand; what follows is called in a worker, too */
    void (*due)(uint64_t now);       /* open loop: send what is due */
    int (*stays_out)(const conn_t *c); /* whether it does not subscribe by itself */
    void (*subscribed)(conn_t *c, uint64_t now);
    void (*received)(conn_t *c, uint32_t slot);
    int (*told)(conn_t *c, const char *text, size_t size, uint64_t now); /* no event of a slot; 0: nor for this load */
    void (*count)(uint64_t *missing, uint64_t *duplicates);
} load_t;

/* Log-linear: 128 steps for each power of two of nanoseconds, so below 1 % off anywhere. */
enum { STEP_BITS = 7, BUCKETS = (42 << STEP_BITS) };
typedef struct {
    uint64_t count, max;
    uint64_t bucket[BUCKETS];
} histogram_t;

/* What one worker tells; written by it alone. */
typedef struct {
    _Atomic uint64_t ready, deliveries, sent, answered, rejected, redials, lost, reads, bytes_in, unanswered;
    uint64_t missing, duplicates; /* set at the end */
    histogram_t delivery;         /* event sent -> event received */
    histogram_t greeted;          /* dial -> connection_established */
    histogram_t answer;           /* request -> answer: publish, subscribe, or dial -> subscribed while connecting */
} __attribute__((aligned(64))) stats_t;

typedef struct {
    _Atomic int phase;
    _Atomic uint64_t measure_from; /* ns */
    stats_t stats[MAX_PROCESSES];
} shared_t;

/* common.c */
extern options_t opt;
extern const load_t *load;
extern shared_t *shared;
extern uint32_t slots;            /* events that differ; slot s belongs to channel s % channels */
extern _Atomic uint64_t *sent_at; /* slot -> ns when it was last due */
extern _Atomic uint32_t *sent;    /* slot -> how often it was sent */
extern stats_t *mine;             /* this worker's */
extern uint32_t process;
extern conn_t **by_index; /* of the whole run; NULL where another process has it */
uint64_t now_ns(void);
void die(const char *what) __attribute__((noreturn));
int measuring(void);
int sending(void);

/* stats.c */
void record(histogram_t *h, uint64_t ns);
void merge(histogram_t *into, const histogram_t *from);
double percentile_us(const histogram_t *h, double share);
void compare(uint32_t wanted, uint32_t got, uint64_t *missing, uint64_t *duplicates);

/* sha256.c */
void hmac_sha256_hex(const char *key, const char *text, size_t size, char out[65]);

/* connection.c */
void connections_open(void);
void dial(conn_t *c, int port);
int put(conn_t *c, const char *data, size_t size); /* -1: the peer is gone */
void connections_turn(int wait_ms);                /* wait for that long, and do what connections ask for */
void tick(long every_ns);                          /* have `connections_turn` return that often */

/* websocket.c */
extern const protocol_t websocket;
int ws_text(conn_t *c, const char *text, size_t size);
int ws_subscribe(conn_t *c);
int ws_unsubscribe(conn_t *c);
int ws_number_after(const char *text, size_t size, const char *name, size_t length, uint32_t *number);
void ws_count(uint64_t *missing, uint64_t *duplicates);

/* publish.c, chat.c, churn.c, plain.c */
extern const load_t publish, chat, churn, plain;

/* worker.c */
void worker(uint32_t number) __attribute__((noreturn));

#endif
