/* The yardstick of the data-plane benchmarks: a source, a relay and a sink in C that speak overlaycast's data link.
 *
 *   yardstick source PORT RECORD_BYTES TOTAL_BYTES RATE_MBIT     one child; RATE 0: as fast as possible
 *   yardstick relay  PORT PARENT_HOST PARENT_PORT CHILDREN RING_MB
 *   yardstick sink   HOST PORT GRANT_HEX RANK                    prints one JSON line at END
 *
 * The relay is what a careful C programmer writes first: epoll, one mirrored ring, a cursor per child, one send() per
 * wake-up and child. It knows no coordinator: it takes any grant and starts when CHILDREN children have come, so it
 * is a fixture to measure against, not a product. Layout of frames: overlaycast/wire/frames.py.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 24, HELLO = 1, DATA = 4, HEARTBEAT = 5, END = 6, MAX_RECORD = 65536, CHUNK = 1 << 20, MOST_CHILDREN = 64, SEEK = 2 };
static const uint64_t OLDEST = UINT64_MAX - 2;

static void die(const char *what) { perror(what); exit(1); }

static uint64_t wall_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static double mono(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void put_header(uint8_t *p, int kind, uint32_t length, uint64_t seq, uint64_t time_us) {
    p[0] = kind; p[1] = 0; p[2] = p[3] = 0;
    length = htobe32(length); memcpy(p + 4, &length, 4);
    seq = htobe64(seq); memcpy(p + 8, &seq, 8);
    time_us = htobe64(time_us); memcpy(p + 16, &time_us, 8);
}

static uint32_t get_length(const uint8_t *p) { uint32_t v; memcpy(&v, p + 4, 4); return be32toh(v); }
static uint64_t get_u64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return be64toh(v); }

static void tune(int fd) {
    int one = 1, unsent = 256 * 1024;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = INADDR_ANY };
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 64)) die("listen");
    return fd;
}

static int dial(const char *host, int port) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1) { fprintf(stderr, "not an address: %s\n", host); exit(2); }
    for (int tries = 0; tries < 500; tries++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (!connect(fd, (struct sockaddr *)&a, sizeof a)) { tune(fd); return fd; }
        close(fd);
        usleep(20000);
    }
    die("connect");
    return -1;
}

static void write_all(int fd, const uint8_t *p, size_t n) {
    while (n) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent < 0) { if (errno == EINTR) continue; die("send"); }
        p += sent; n -= sent;
    }
}

static void read_all(int fd, uint8_t *p, size_t n) {
    while (n) {
        ssize_t got = recv(fd, p, n, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) die("recv");
        p += got; n -= got;
    }
}

static void send_hello(int fd, const char *grant_hex, uint64_t rank) {
    uint8_t hello[HEADER + 32] = { 0 };
    put_header(hello, HELLO, 32, OLDEST, 0);
    memcpy(hello + HEADER, "OCST", 4);
    hello[HEADER + 4] = 1;
    rank = htobe64(rank); memcpy(hello + HEADER + 8, &rank, 8);
    for (int i = 0; i < 16; i++) { unsigned byte; if (sscanf(grant_hex + 2 * i, "%2x", &byte) != 1) die("grant"); hello[HEADER + 16 + i] = byte; }
    write_all(fd, hello, sizeof hello);
}

static void send_heartbeat(int fd, uint64_t next_seq) {
    uint8_t beat[HEADER + 8] = { 0 };
    put_header(beat, HEARTBEAT, 8, next_seq, 0);
    beat[1] = SEEK;
    write_all(fd, beat, sizeof beat);
}

static int accept_child(int listener) {
    int fd = accept(listener, NULL, NULL);
    uint8_t hello[HEADER + 32];
    if (fd < 0) die("accept");
    tune(fd);
    read_all(fd, hello, sizeof hello);
    send_heartbeat(fd, 0);
    return fd;
}

static int source(int port, uint32_t record, uint64_t total, double rate_mbit) {
    int child = accept_child(listen_on(port));
    int batch = rate_mbit > 0 ? 1 : CHUNK / (record + HEADER) + 1;
    size_t frame = record + HEADER;
    uint8_t *buffer = malloc(frame * batch), end[HEADER + 40] = { 0 };
    uint64_t seq = 0, sent = 0;
    double begun = mono();
    for (size_t i = 0; i < frame * batch; i++) buffer[i] = i * 2654435761u >> 24;
    while (sent < total) {
        if (rate_mbit > 0) {
            double due = begun + sent * 8 / (rate_mbit * 1e6) - mono();
            if (due > 0) usleep(due * 1e6);
        }
        int n = 0;
        for (; n < batch && sent < total; n++, sent += record)
            put_header(buffer + n * frame, DATA, record, seq++, wall_us());
        write_all(child, buffer, n * frame);
    }
    put_header(end, END, 40, seq, wall_us());
    write_all(child, end, sizeof end);
    for (uint8_t rest[4096]; recv(child, rest, sizeof rest, 0) > 0;) {}
    return 0;
}

/* The ring's memory is mapped twice in a row, so that no record is ever cut at the edge. */
static uint8_t *mirrored(size_t size) {
    int fd = memfd_create("ring", 0);
    if (fd < 0 || ftruncate(fd, size)) die("memfd");
    uint8_t *at = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
        mmap(at + size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) die("mmap");
    return at;
}

static int relay(int port, const char *host, int parent_port, int children, size_t ring_bytes) {
    int listener = listen_on(port), fds[MOST_CHILDREN], waiting[MOST_CHILDREN] = { 0 }, poller = epoll_create1(0);
    uint64_t cursor[MOST_CHILDREN] = { 0 }, head = 0, whole = 0, oldest = 0;
    uint8_t *ring = mirrored(ring_bytes);
    int parent = dial(host, parent_port), ended = 0, parent_on = 1;
    if (children > MOST_CHILDREN) { fprintf(stderr, "at most %d children\n", MOST_CHILDREN); return 2; }
    for (int i = 0; i < children; i++) { fds[i] = accept_child(listener); fcntl(fds[i], F_SETFL, O_NONBLOCK); }
    send_hello(parent, "00000000000000000000000000000000", 1000);
    fcntl(parent, F_SETFL, O_NONBLOCK);
    struct epoll_event watch = { .events = EPOLLIN, .data.u32 = MOST_CHILDREN };
    epoll_ctl(poller, EPOLL_CTL_ADD, parent, &watch);
    for (;;) {
        struct epoll_event ready[MOST_CHILDREN + 1];
        int n = epoll_wait(poller, ready, MOST_CHILDREN + 1, -1);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.u32 < MOST_CHILDREN) {
                waiting[ready[i].data.u32] = 0;
                epoll_ctl(poller, EPOLL_CTL_DEL, fds[ready[i].data.u32], NULL);
                continue;
            }
            size_t room = ring_bytes - (head - oldest);
            ssize_t got = recv(parent, ring + head % ring_bytes, room < CHUNK ? room : CHUNK, 0);
            if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
            if (got <= 0) { fprintf(stderr, "parent gone before END\n"); return 1; }
            head += got;
            while (head - whole >= HEADER) {
                uint8_t *p = ring + whole % ring_bytes;
                size_t size = HEADER + get_length(p);
                if (head - whole < size) break;
                if (p[0] == HEARTBEAT) { memmove(p, p + size, head - whole - size); head -= size; continue; }
                if (p[0] == END) ended = 1;
                whole += size;
            }
        }
        oldest = whole;
        for (int i = 0; i < children; i++) {
            while (!waiting[i] && cursor[i] < whole) {
                ssize_t sent = send(fds[i], ring + cursor[i] % ring_bytes, whole - cursor[i], MSG_NOSIGNAL);
                if (sent > 0) { cursor[i] += sent; continue; }
                if (errno != EAGAIN) die("child");
                struct epoll_event room = { .events = EPOLLOUT, .data.u32 = i };
                epoll_ctl(poller, EPOLL_CTL_ADD, fds[i], &room);
                waiting[i] = 1;
            }
            if (cursor[i] < oldest) oldest = cursor[i];
        }
        if (ended && oldest == whole) break;
        /* a benchmark's children all keep up or hold the source back: nothing is evicted */
        int want = ring_bytes - (head - oldest) >= CHUNK;
        if (want != parent_on) {
            epoll_ctl(poller, want ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, parent, &watch);
            parent_on = want;
        }
    }
    for (int i = 0; i < children; i++) {
        shutdown(fds[i], SHUT_WR);
        fcntl(fds[i], F_SETFL, 0);
        for (uint8_t rest[4096]; recv(fds[i], rest, sizeof rest, 0) > 0;) {}
    }
    return 0;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int sink(const char *host, int port, const char *grant, uint64_t rank) {
    int parent = dial(host, port);
    size_t have = 0, kept = 0, most = 1 << 22;
    uint8_t *buffer = malloc(CHUNK + HEADER + MAX_RECORD);
    uint32_t *latency = malloc(most * sizeof *latency);
    uint64_t next = UINT64_MAX, bytes = 0, records = 0, lost = 0, doubled = 0;
    double begun = 0, last = 0, gap = 0;
    send_hello(parent, grant, rank);
    for (int ended = 0; !ended;) {
        ssize_t got = recv(parent, buffer + have, CHUNK, 0);
        if (got <= 0) { fprintf(stderr, "relay gone before END\n"); return 1; }
        double now = mono();
        uint64_t wall = wall_us();
        size_t at = 0;
        have += got;
        while (have - at >= HEADER && have - at >= HEADER + get_length(buffer + at)) {
            uint8_t *p = buffer + at;
            uint64_t seq = get_u64(p + 8);
            at += HEADER + get_length(p);
            if (p[0] == END) ended = 1;
            if (p[0] != DATA) continue;
            if (next == UINT64_MAX) { begun = last = now; next = seq; }
            if (seq < next) { doubled++; continue; }
            lost += seq - next;
            next = seq + 1;
            records++;
            bytes += get_length(p);
            if (now - last > gap) gap = now - last;
            last = now;
            if (kept < most) latency[kept++] = wall - get_u64(p + 16);
        }
        memmove(buffer, buffer + at, have - at);
        have -= at;
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    qsort(latency, kept, sizeof *latency, by_value);
    printf("{\"bytes\": %lu, \"records\": %lu, \"lost\": %lu, \"duplicated\": %lu, \"seconds\": %.6f, "
           "\"longest_gap_ms\": %.3f, \"latency_p50_us\": %u, \"latency_p99_us\": %u}\n",
           bytes, records, lost, doubled, last - begun, gap * 1e3, kept ? latency[kept / 2] : 0,
           kept ? latency[kept * 99 / 100] : 0);
    return lost || doubled;
}

int main(int argc, char **argv) {
    if (argc == 6 && !strcmp(argv[1], "source")) return source(atoi(argv[2]), atoi(argv[3]), strtoull(argv[4], 0, 10), atof(argv[5]));
    if (argc == 7 && !strcmp(argv[1], "relay")) return relay(atoi(argv[2]), argv[3], atoi(argv[4]), atoi(argv[5]), strtoull(argv[6], 0, 10) << 20);
    if (argc == 6 && !strcmp(argv[1], "sink")) return sink(argv[2], atoi(argv[3]), argv[4], strtoull(argv[5], 0, 10));
    fprintf(stderr, "usage: see the head of yardstick.c\n");
    return 2;
}
