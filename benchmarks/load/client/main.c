/* The load client's parent: reads the options, forks the workers, leads them through the phases, sums up.
 *
 * Talks to its driver in lines: prints {"event":"ready"} when all connections stand, waits for a line on stdin, prints
 * {"event":"started"} and {"event":"stopped"} around the measured time, {"event":"done"} with the figures at the end.
 * The line is "go"; any other one is answered with the count of what has arrived.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

static const load_t *const loads[] = {&publish, &chat, &churn, &plain};

/* A drain ends when all has come, when nothing has come for this long, or after the second time at the latest. */
enum { QUIET_MS = 1500, DRAIN_MS = 20000 };

static const load_t *load_of(const char *name) {
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++)
        if (strcmp(loads[i]->name, name) == 0) return loads[i];
    fprintf(stderr, "load client: no mode %s\n", name);
    exit(2);
}

static void read_options(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        uint32_t number = (uint32_t)strtoul(value, NULL, 10);
        if (!strcmp(name, "--mode")) load = load_of(value);
        else if (!strcmp(name, "--port")) opt.port = (int)number;
        else if (!strcmp(name, "--publish-port")) opt.publish_port = (int)number;
        else if (!strcmp(name, "--conns")) opt.conns = number;
        else if (!strcmp(name, "--channels")) opt.channels = number;
        else if (!strcmp(name, "--pubs")) opt.pubs = number;
        else if (!strcmp(name, "--depth")) opt.depth = number;
        else if (!strcmp(name, "--processes")) opt.processes = number;
        else if (!strcmp(name, "--window")) opt.window = number;
        else if (!strcmp(name, "--observers")) opt.observers = number;
        else if (!strcmp(name, "--subscribe")) opt.subscribe = (int)number;
        else if (!strcmp(name, "--rate")) opt.rate = atof(value);
        else if (!strcmp(name, "--warmup")) opt.warmup_s = atof(value);
        else if (!strcmp(name, "--seconds")) opt.seconds = atof(value);
        else if (!strcmp(name, "--path")) opt.path = value;
        else if (!strcmp(name, "--prefix")) opt.prefix = value;
        else if (!strcmp(name, "--requests")) opt.requests = value;
        else if (!strcmp(name, "--key")) opt.key = value;
        else if (!strcmp(name, "--secret")) opt.secret = value;
        else if (!strcmp(name, "--event-data")) opt.event_data = value;
        else {
            fprintf(stderr, "load client: no option %s\n", name);
            exit(2);
        }
    }
    if (opt.publish_port == 0) opt.publish_port = opt.port;
    if (opt.conns == 0 || opt.channels == 0 || opt.conns % opt.channels != 0 || opt.depth == 0 ||
        opt.depth > MAX_DEPTH || opt.processes == 0 || opt.processes > MAX_PROCESSES || opt.window == 0) {
        fprintf(stderr, "load client: connections must be a multiple of channels, depth at most %d\n", MAX_DEPTH);
        exit(2);
    }
}

static void *share(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) die("mmap");
    return memory;
}

static void prepare(void) {
    if (load->prepare != NULL) load->prepare();
    shared = share(sizeof *shared);
    sent_at = share(slots * sizeof *sent_at + 1);
    sent = share(slots * sizeof *sent + 1);
}

#define SUM(field)                                                                                      \
    ({                                                                                                  \
        uint64_t sum_ = 0;                                                                              \
        for (uint32_t p_ = 0; p_ < opt.processes; p_++) sum_ += shared->stats[p_].field;                \
        sum_;                                                                                           \
    })

static histogram_t *merged(size_t offset) {
    histogram_t *all = calloc(1, sizeof *all);
    if (all == NULL) die("calloc");
    for (uint32_t p = 0; p < opt.processes; p++) merge(all, (histogram_t *)((char *)&shared->stats[p] + offset));
    return all;
}

static void print_histogram(const char *name, size_t offset) {
    histogram_t *all = merged(offset);
    printf(",\"%s\":{\"count\":%lu,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f}", name,
           (unsigned long)all->count, percentile_us(all, .5), percentile_us(all, .99), percentile_us(all, .999),
           percentile_us(all, 1));
    free(all);
}

static void wait_ms(int ms) { usleep((useconds_t)ms * 1000); }

/* Whether all connections stand. A worker ends before its time only when it failed. */
static int connect_all(uint64_t began) {
    for (;;) {
        if (SUM(ready) == opt.conns) return 1;
        int failed = waitpid(-1, NULL, WNOHANG) != 0 || SUM(lost) > 0;
        if (failed || now_ns() - began > (uint64_t)(opt.connect_timeout_s * 1e9)) {
            fprintf(stderr, "load client: %lu of %u connections are ready\n", (unsigned long)SUM(ready), opt.conns);
            return 0;
        }
        wait_ms(1);
    }
}

/* Events that must arrive for what was sent so far. */
static uint64_t expected(void) {
    uint64_t each = opt.conns / opt.channels - (uint64_t)load->own_events, all = 0;
    for (uint32_t s = 0; s < slots; s++) all += sent[s];
    return all * each;
}

static void drain(void) {
    uint64_t until = now_ns() + DRAIN_MS * 1000000ull, seen = 0, quiet_since = now_ns();
    while (now_ns() < until) {
        uint64_t got = SUM(deliveries);
        if (got != seen) seen = got, quiet_since = now_ns();
        int quiet = now_ns() - quiet_since > QUIET_MS * 1000000ull;
        if (quiet || (SUM(unanswered) == 0 && !load->until_quiet && got >= expected())) return;
        wait_ms(20);
    }
}

static void run(void) {
    uint64_t sent0, answered0, deliveries0, bytes0, reads0;
    shared->phase = PHASE_LOAD;
    wait_ms((int)(opt.warmup_s * 1e3));
    sent0 = SUM(sent), answered0 = SUM(answered), deliveries0 = SUM(deliveries), bytes0 = SUM(bytes_in);
    reads0 = SUM(reads);
    uint64_t from = now_ns();
    shared->measure_from = from;
    shared->phase = PHASE_MEASURE;
    printf("{\"event\":\"started\"}\n");
    wait_ms((int)(opt.seconds * 1e3));
    uint64_t sent1 = SUM(sent), answered1 = SUM(answered), deliveries1 = SUM(deliveries), bytes1 = SUM(bytes_in);
    uint64_t reads1 = SUM(reads);
    double wall = (double)(now_ns() - from) / 1e9;
    printf("{\"event\":\"stopped\"}\n");
    shared->phase = PHASE_DRAIN;
    drain();
    shared->phase = PHASE_END;
    while (waitpid(-1, NULL, 0) > 0) {}
    printf("{\"event\":\"done\",\"wall_s\":%.4f,\"sent_in_all\":%lu,\"sent\":%lu,\"answered\":%lu,\"deliveries\":%lu,\"bytes_in\":%lu,"
           "\"reads\":%lu,\"rejected\":%lu,\"redials\":%lu,\"lost\":%lu,\"missing\":%lu,\"duplicates\":%lu",
           wall, (unsigned long)SUM(sent), (unsigned long)(sent1 - sent0), (unsigned long)(answered1 - answered0),
           (unsigned long)(deliveries1 - deliveries0), (unsigned long)(bytes1 - bytes0),
           (unsigned long)(reads1 - reads0), (unsigned long)SUM(rejected), (unsigned long)SUM(redials),
           (unsigned long)SUM(lost), (unsigned long)SUM(missing), (unsigned long)SUM(duplicates));
    print_histogram("delivery", offsetof(stats_t, delivery));
    print_histogram("answer", offsetof(stats_t, answer));
    printf("}\n");
}

int main(int argc, char **argv) {
    char line[64];
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_options(argc, argv);
    prepare();
    uint64_t began = now_ns();
    for (uint32_t p = 0; p < opt.processes; p++) {
        pid_t child = fork();
        if (child < 0) die("fork");
        if (child == 0) worker(p);
    }
    int connected = connect_all(began);
    double setup = (double)(now_ns() - began) / 1e9;
    shared->phase = connected ? PHASE_HOLD : PHASE_END;
    if (!connected) return 1; /* the workers end with the phase, or with us */
    printf("{\"event\":\"ready\",\"conns\":%u,\"setup_s\":%.4f", opt.conns, setup);
    print_histogram("greeted", offsetof(stats_t, greeted));
    print_histogram("connect", offsetof(stats_t, answer));
    printf("}\n");
    for (uint32_t p = 0; p < opt.processes; p++)
        memset(&shared->stats[p].answer, 0, sizeof shared->stats[p].answer);
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strncmp(line, "go", 2) == 0) {
            run();
            return 0;
        }
        printf("{\"event\":\"count\",\"deliveries\":%lu}\n", (unsigned long)SUM(deliveries));
    }
    shared->phase = PHASE_END;
    while (waitpid(-1, NULL, 0) > 0) {}
    return 0;
}
