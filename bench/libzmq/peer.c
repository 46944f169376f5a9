/* The two sides of the comparison for libzmq, used as its guide tells: PUB and
 * SUB sockets, zmq_send and zmq_msg_recv, one socket one thread, one I/O
 * thread a context. See doc.go, child.go (the lines on stdin and stdout),
 * spec.go (the arguments) and counters.go (the shared memory and what a payload
 * begins with): this file does the same in C.
 *
 * Lossless: ZMQ_XPUB_NODROP lets a PUB wait for a subscriber whose queue is at
 * its high-water mark; the subscriber's own mark stops its reading.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <zmq.h>

enum { MAX_PUBS = 8, META = 36 };

/* The default high-water mark. Larger ones made it slower: the queue then holds
 * more than the caches do. */
#define HWM 1000
/* Threads that read where there are many subscribers; 1 and 4 are no better. */
#define READERS 2

/* ---- the shared counters ------------------------------------------------ */

typedef union {
    struct { _Atomic uint64_t delivered, seen, broken, syncs; } sub;
    _Atomic uint64_t published;
    _Atomic uint64_t stop;
    char size[128];
} slot_t;

static slot_t *slots; /* the header, MAX_PUBS publishers, the subscribers */
static int sub_slots;

static uint64_t get(_Atomic uint64_t *p) { return atomic_load_explicit(p, memory_order_acquire); }
static void set(_Atomic uint64_t *p, uint64_t v) { atomic_store_explicit(p, v, memory_order_release); }

static const uint64_t CONTROL = 1ull << 63, PROBE = 1ull << 48, END = 2ull << 48, SYNC = 3ull << 48,
                      PING = 4ull << 48, KIND = 0xffull << 48, SEQUENCE = (1ull << 56) - 1;

/* ---- arguments ---------------------------------------------------------- */

static char *role, *transport, *dir, *shared, *prefix, *ask, *filter, *unused;
static long long size, frames, pubs, subs, slot, topics, cold, window, rate, warm_ns, time_ns;

static struct { const char *key; char **text; long long *number; } arguments[] = {
    {"system", &unused, 0}, {"role", &role, 0}, {"transport", &transport, 0}, {"dir", &dir, 0},
    {"shared", &shared, 0}, {"server", &unused, 0}, {"size", 0, &size}, {"frames", 0, &frames},
    {"pubs", 0, &pubs}, {"subs", 0, &subs}, {"slot", 0, &slot}, {"topics", 0, &topics},
    {"prefix", &prefix, 0}, {"ask", &ask, 0}, {"filter", &filter, 0}, {"cold", 0, &cold},
    {"window", 0, &window}, {"rate", 0, &rate}, {"warm_ns", 0, &warm_ns}, {"time_ns", 0, &time_ns},
};

static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;

static void say(const char *format, ...) {
    va_list values;
    va_start(values, format);
    pthread_mutex_lock(&output);
    vprintf(format, values);
    putchar('\n');
    fflush(stdout);
    pthread_mutex_unlock(&output);
    va_end(values);
}

static void die(const char *what) {
    say("error %s: %s", what, zmq_strerror(errno));
    _exit(1);
}

static int is(const char *a, const char *b) { return strcmp(a, b) == 0; }

static void *allocate(size_t n) {
    void *p = calloc(1, n);
    if (!p) die("allocate");
    return p;
}

/* ---- time --------------------------------------------------------------- */

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void nap_us(long us) {
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

/* ---- publishers --------------------------------------------------------- */

static void *context;

typedef struct {
    void *socket;
    char endpoint[256];
    uint64_t id, seq, limit, quota; /* as in Source */
    char *payload;
} publisher_t;

static publisher_t publishers[MAX_PUBS];
static char **topic_names;
static size_t *topic_sizes;

static void option(void *socket, int name, int value) {
    if (zmq_setsockopt(socket, name, &value, sizeof value) != 0) die("set option");
}

static void open_publisher(int i) {
    publisher_t *p = &publishers[i];
    p->id = (uint64_t)i << 56;
    p->payload = allocate(size);
    p->socket = zmq_socket(context, ZMQ_PUB);
    if (!p->socket) die("open PUB");
    option(p->socket, ZMQ_SNDHWM, HWM);
    option(p->socket, ZMQ_XPUB_NODROP, 1);
    option(p->socket, ZMQ_LINGER, 0);
    option(p->socket, ZMQ_BACKLOG, 4096);
    char at[256] = "tcp://127.0.0.1:*";
    if (is(transport, "ipc")) snprintf(at, sizeof at, "ipc://%s/libzmq-%s-%d", dir, role, i);
    if (is(transport, "inproc")) snprintf(at, sizeof at, "inproc://bench-%d", i);
    if (zmq_bind(p->socket, at) != 0) die("bind");
    size_t n = sizeof p->endpoint;
    if (zmq_getsockopt(p->socket, ZMQ_LAST_ENDPOINT, p->endpoint, &n) != 0) die("ask for the endpoint");
}

static void send_event(publisher_t *p, const char *topic, size_t topic_size, const void *payload) {
    static const char meta[META];
    if (zmq_send(p->socket, topic, topic_size, ZMQ_SNDMORE) < 0 ||
        zmq_send(p->socket, payload, size, frames == 3 ? ZMQ_SNDMORE : 0) < 0 ||
        (frames == 3 && zmq_send(p->socket, meta, META, 0) < 0))
        die("send");
}

static void send_control(publisher_t *p, uint64_t kind, uint64_t value) {
    char payload[size];
    memset(payload, 0, size);
    uint64_t number = CONTROL | p->id | kind;
    memcpy(payload, &number, 8);
    memcpy(payload + 8, &value, 8);
    send_event(p, ask, strlen(ask), payload);
}

static int stopped(void) { return get(&slots[0].stop) != 0; }

static int more(publisher_t *p) {
    set(&slots[1 + (p->id >> 56)].published, p->seq);
    uint64_t room = 4096 / subs;
    if (room < 1) room = 1;
    if (room > 64) room = 64;
    if (p->quota && room > p->quota - p->seq) room = p->quota - p->seq;
    if (room == 0 || stopped()) return 0;
    p->limit += room;
    return 1;
}

/* Publishes until the quota is reached or the parent says stop. */
static void run(publisher_t *p) {
    while (p->seq < p->limit || more(p)) {
        p->seq++;
        uint64_t number = p->id | p->seq;
        memcpy(p->payload, &number, 8);
        size_t topic = topics > 1 ? (uint64_t)(uint32_t)(p->seq * 2654435761u) * topics >> 32 : 0;
        send_event(p, topic_names[topic], topic_sizes[topic], p->payload);
    }
}

/* ---- subscribers -------------------------------------------------------- */

typedef struct {
    void *socket;
    slot_t *slot;
    uint64_t next[MAX_PUBS], got, mask; /* as in Sink */
} subscriber_t;

/* What to do with a probe or a ping; NULL: nothing. */
static void (*on_control)(uint64_t kind, const void *payload);

static void open_subscriber(subscriber_t *s, int at, const char *endpoints) {
    s->slot = &slots[1 + MAX_PUBS + at];
    for (int i = 0; i < MAX_PUBS; i++) s->next[i] = (uint64_t)i << 56 | 1;
    s->mask = subs <= 8 ? 63 : subs <= 64 ? 7 : 0;
    s->socket = zmq_socket(context, ZMQ_SUB);
    if (!s->socket) die("open SUB");
    option(s->socket, ZMQ_RCVHWM, HWM);
    /* On connecting, subscriptions past this mark would be dropped silently. */
    option(s->socket, ZMQ_SNDHWM, 0);
    option(s->socket, ZMQ_LINGER, 0);
    for (long long i = 0; i < cold; i++) {
        char name[32];
        int n = snprintf(name, sizeof name, "aside.%06lld", i);
        if (zmq_setsockopt(s->socket, ZMQ_SUBSCRIBE, name, n) != 0) die("subscribe");
    }
    if (zmq_setsockopt(s->socket, ZMQ_SUBSCRIBE, filter, strlen(filter)) != 0) die("subscribe");
    char list[strlen(endpoints) + 1], *rest;
    strcpy(list, endpoints);
    for (char *e = strtok_r(list, ",", &rest); e; e = strtok_r(NULL, ",", &rest))
        if (zmq_connect(s->socket, e) != 0) die("connect");
}

static void take(subscriber_t *s, const void *payload) {
    uint64_t number;
    memcpy(&number, payload, 8);
    uint64_t *next = &s->next[number >> 56 & (MAX_PUBS - 1)];
    if (number == *next) {
        ++*next;
        if ((++s->got & s->mask) == 0) set(&s->slot->sub.delivered, s->got);
        return;
    }
    if (!(number & CONTROL)) {
        atomic_fetch_add(&s->slot->sub.broken, 1);
        s->got++;
        *next = number + 1;
        return;
    }
    uint64_t kind = number & KIND;
    if (kind == PROBE) atomic_fetch_or(&s->slot->sub.seen, 1ull << (number >> 56 & (MAX_PUBS - 1)));
    if (kind == END) {
        uint64_t last;
        memcpy(&last, (const char *)payload + 8, 8);
        if ((*next & SEQUENCE) != last + 1) atomic_fetch_add(&s->slot->sub.broken, 1);
        set(&s->slot->sub.delivered, s->got);
    }
    if (kind == SYNC) atomic_fetch_add(&s->slot->sub.syncs, 1);
    if (on_control) on_control(kind, payload);
}

/* Takes one event; 0 if there is none and the caller does not want to wait. */
static int receive(subscriber_t *s, zmq_msg_t *m, int flags) {
    int n;
    do n = zmq_msg_recv(m, s->socket, flags);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        if (errno == EAGAIN) return 0;
        die("receive a topic");
    }
    for (int frame = 1; zmq_msg_more(m); frame++) {
        if (zmq_msg_recv(m, s->socket, 0) < 0) die("receive");
        if (frame == 1) take(s, zmq_msg_data(m));
    }
    return 1;
}

typedef struct { subscriber_t *first; int count; } share_t;

/* A reading thread: one subscriber, or a share of many. */
static void *read_all(void *argument) {
    share_t *share = argument;
    zmq_msg_t m;
    zmq_msg_init(&m);
    if (share->count == 1)
        for (;;) receive(share->first, &m, 0);
    zmq_pollitem_t *items = allocate(share->count * sizeof *items);
    for (int i = 0; i < share->count; i++)
        items[i] = (zmq_pollitem_t){share->first[i].socket, 0, ZMQ_POLLIN, 0};
    for (;;) {
        if (zmq_poll(items, share->count, -1) < 0 && errno != EINTR) die("poll");
        for (int i = 0; i < share->count; i++)
            if (items[i].revents)
                /* Drain, but not one of them for ever. */
                for (int n = 0; n < 256 && receive(&share->first[i], &m, ZMQ_DONTWAIT); n++) {}
    }
    return NULL;
}

static void start(void *(*run_in_thread)(void *), void *argument) {
    pthread_t thread;
    if ((errno = pthread_create(&thread, NULL, run_in_thread, argument)) != 0) die("start a thread");
    pthread_detach(thread);
}

/* Opens all subscribers of the case and reads them in READERS threads. */
static void subscribe_all(const char *endpoints) {
    subscriber_t *all = allocate(subs * sizeof *all);
    for (int i = 0; i < subs; i++) {
        open_subscriber(&all[i], slot + i, endpoints);
        if (i % 100 == 99) nap_us(5000); /* the publisher's backlog is finite */
    }
    int readers = subs < READERS ? subs : READERS;
    for (int i = 0; i < readers; i++) {
        share_t *share = allocate(sizeof *share);
        share->first = all + subs * i / readers;
        share->count = all + subs * (i + 1) / readers - share->first;
        start(read_all, share);
    }
}

/* ---- the parent --------------------------------------------------------- */

static pthread_mutex_t told = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told_more = PTHREAD_COND_INITIALIZER;
static char *told_endpoints;

static void *listen_to_parent(void *nothing) {
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    while ((n = getline(&line, &room, stdin)) > 0) {
        if (line[n - 1] == '\n') line[n - 1] = 0;
        if (strncmp(line, "connect ", 8) == 0) {
            pthread_mutex_lock(&told);
            told_endpoints = strdup(line + 8);
            pthread_cond_signal(&told_more);
            pthread_mutex_unlock(&told);
        } else if (is(line, "settle")) {
#ifdef __GLIBC__
            malloc_trim(0);
#endif
            say("settled");
        }
    }
    _exit(0);
    return nothing;
}

static char *await_endpoints(void) {
    pthread_mutex_lock(&told);
    while (!told_endpoints) pthread_cond_wait(&told_more, &told);
    pthread_mutex_unlock(&told);
    return told_endpoints;
}

/* ---- the roles ---------------------------------------------------------- */

static int ready(void) {
    for (int i = 0; i < sub_slots; i++)
        if (get(&slots[1 + MAX_PUBS + i].sub.seen) != (1ull << pubs) - 1) return 0;
    return 1;
}

static void await_ready(void) {
    while (!ready()) {
        for (int i = 0; i < pubs; i++) send_control(&publishers[i], PROBE, 0);
        nap_us(5000 + subs * 20);
    }
    say("ready");
}

static void *publish_one(void *p) {
    run(p);
    send_control(p, END, ((publisher_t *)p)->seq);
    return NULL;
}

static void publish(void) {
    await_ready();
    pthread_t threads[MAX_PUBS];
    for (int i = 0; i < pubs; i++)
        if ((errno = pthread_create(&threads[i], NULL, publish_one, &publishers[i])) != 0) die("start a thread");
    for (int i = 0; i < pubs; i++) pthread_join(threads[i], NULL);
    say("done");
}

static void cost(void) {
    enum { MOST = 4096, AHEAD = 4 };
    await_ready();
    publisher_t *p = &publishers[0];
    uint64_t batch = 1;
    for (uint64_t n = 1; !stopped(); n++) {
        int64_t begin = now_ns();
        p->quota += batch;
        run(p);
        send_control(p, SYNC, 0);
        while (get(&slots[1 + MAX_PUBS].sub.syncs) + AHEAD < n && !stopped()) nap_us(20);
        if (batch < MOST && now_ns() - begin < 5000000) batch *= 2;
    }
    say("done");
}

/* Times between two moments, collected by one thread. */
static int64_t from_ns, until_ns, *times;
static size_t times_count, times_room;

static void add_time(int64_t sent, int64_t now) {
    if (sent < from_ns || sent >= until_ns) return;
    if (times_count == times_room) {
        times_room = times_room ? 2 * times_room : 1 << 20;
        times = realloc(times, times_room * sizeof *times);
        if (!times) die("allocate");
    }
    times[times_count++] = now - sent;
}

static int by_time(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double at_share(double share) {
    size_t i = share * times_count;
    return times[i < times_count ? i : times_count - 1] / 1e3;
}

static void report_times(void) {
    if (times_count == 0) {
        say("error nothing was completed in the window");
        _exit(1);
    }
    qsort(times, times_count, sizeof *times, by_time);
    say("result p50 %.3f p99 %.3f p99.9 %.3f max %.3f", at_share(.5), at_share(.99), at_share(.999), at_share(1));
}

static _Atomic int over;

/* Both run in the thread that reads. */
static void pong_came(uint64_t kind, const void *payload) {
    if (kind != PING) return;
    int64_t sent, now = now_ns();
    memcpy(&sent, (const char *)payload + 8, 8);
    if (!over) add_time(sent, now);
}

static void ping_came(uint64_t kind, const void *payload) {
    if (kind == PING) send_event(&publishers[0], ask, strlen(ask), payload);
}

static subscriber_t only;

static void *read_pongs(void *nothing) {
    zmq_msg_t m;
    zmq_msg_init(&m);
    while (!over) receive(&only, &m, 0);
    report_times();
    return nothing;
}

static void ping(void) {
    zmq_msg_t m;
    zmq_msg_init(&m);
    on_control = pong_came;
    open_subscriber(&only, slot, await_endpoints());
    publisher_t *p = &publishers[0];
    while (!ready()) {
        send_control(p, PROBE, 0);
        nap_us(5000);
        while (receive(&only, &m, ZMQ_DONTWAIT)) {}
    }
    say("ready");
    nap_us(20000);

    int64_t begin = now_ns(), next = begin;
    from_ns = begin + warm_ns;
    until_ns = from_ns + time_ns;
    if (rate == 0) {
        /* The next ping leaves when the last one is back. */
        for (int64_t now; (now = now_ns()) < until_ns;) {
            size_t before = times_count;
            send_control(p, PING, now);
            if (now < from_ns) {
                /* Warming up: nothing is noted, any event is the answer. */
                receive(&only, &m, 0);
                continue;
            }
            while (times_count == before) receive(&only, &m, 0);
        }
        report_times();
        return;
    }
    start(read_pongs, NULL);
    for (int64_t now; (now = now_ns()) < until_ns;) {
        uint64_t due = (double)(now - begin) * rate / 1e9;
        if (due > p->quota) {
            p->quota = due;
            run(p);
        }
        if (now > next) {
            next = now + 1000000;
            send_control(p, PING, now_ns());
        }
        nap_us(50);
    }
    nap_us(200000); /* for the last pongs */
    over = 1;
    send_control(p, PING, now_ns()); /* wakes the reader */
}

static void echo(void) {
    zmq_msg_t m;
    zmq_msg_init(&m);
    on_control = ping_came;
    open_subscriber(&only, slot, await_endpoints());
    while (!ready()) {
        send_control(&publishers[0], PROBE, 0);
        nap_us(5000);
        while (receive(&only, &m, ZMQ_DONTWAIT)) {}
    }
    for (;;) receive(&only, &m, 0);
}

static void first(void) {
    enum { MOST = 50 };
    char *endpoints = await_endpoints();
    int64_t begin = now_ns();
    from_ns = begin + warm_ns;
    until_ns = INT64_MAX;
    while (times_count == 0 || (times_count < MOST && now_ns() < from_ns + time_ns)) {
        zmq_msg_t m;
        zmq_msg_init(&m);
        int64_t start_ns = now_ns();
        subscriber_t s = {0};
        open_subscriber(&s, slot, endpoints);
        receive(&s, &m, 0);
        add_time(start_ns, now_ns());
        zmq_close(s.socket);
        zmq_msg_close(&m);
    }
    report_times();
}

static void steady(void) {
    for (;;) {
        send_control(&publishers[0], PROBE, 0);
        nap_us(100);
    }
}

int main(int count, char **list) {
    if (count == 2 && is(list[1], "version")) {
        int a, b, c;
        zmq_version(&a, &b, &c);
        printf("%d.%d.%d\n", a, b, c);
        return 0;
    }
    for (int i = 1; i < count; i++) {
        char *value = strchr(list[i], '=');
        if (!value) continue;
        *value++ = 0;
        for (size_t k = 0; k < sizeof arguments / sizeof *arguments; k++) {
            if (!is(arguments[k].key, list[i])) continue;
            if (arguments[k].text) *arguments[k].text = value;
            else *arguments[k].number = atoll(value);
        }
    }
    int file = open(shared, O_RDWR);
    struct stat info;
    if (file < 0 || fstat(file, &info) != 0) die("open the counters");
    slots = mmap(NULL, info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (slots == MAP_FAILED) die("map the counters");
    sub_slots = info.st_size / sizeof *slots - 1 - MAX_PUBS;

    context = zmq_ctx_new();
    if (!context || zmq_ctx_set(context, ZMQ_MAX_SOCKETS, subs + pubs + 64) != 0) die("open a context");
    start(listen_to_parent, NULL);
    if (is(role, "subscribe")) {
        say("up -");
        subscribe_all(await_endpoints());
        for (;;) pause();
    }
    if (is(role, "first")) {
        say("up -");
        first();
        for (;;) pause();
    }

    topic_names = allocate(topics * sizeof *topic_names);
    topic_sizes = allocate(topics * sizeof *topic_sizes);
    for (int i = 0; i < topics; i++) topic_sizes[i] = asprintf(&topic_names[i], "%s%d", prefix, i);
    char endpoints[MAX_PUBS * 257] = "";
    for (int i = 0; i < pubs; i++) {
        open_publisher(i);
        if (i > 0) strcat(endpoints, ",");
        strcat(endpoints, publishers[i].endpoint);
    }
    say("up %s", endpoints);
    if (is(role, "publish")) publish();
    else if (is(role, "both")) subscribe_all(endpoints), publish();
    else if (is(role, "cost")) cost();
    else if (is(role, "ping")) ping();
    else if (is(role, "echo")) echo();
    else if (is(role, "steady")) steady();
    else if (is(role, "idle")) await_ready();
    else say("error unknown role %s", role);
    for (;;) pause();
}
