/* How fast a container's output gets into its log and out of it: MB/s of log_pump() and log_cursor_read() beside bare copies.
 *
 * usage: logpump FOLDER [BYTES [ROUNDS [LINE]]]
 * A child writes lines of LINE bytes (100) into a pipe of 1 MiB in pieces of 64 KiB, the parent takes them out, each way in each round:
 *   file    no pipe: the child writes the file itself, the floor
 *   copy    read(2), write(2)
 *   splice  splice(2) alone
 *   pump    log_pump with its index, counts and rotation (10 MiB, 5 segments)
 *   large   the same without rotation
 * Then the last log is read in pieces of 128 KiB, in every view, beside read(2) of its segments. The log is of one stream.
 */
#include "runtime/base/util.h"
#include "runtime/log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum way { WAY_FILE, WAY_COPY, WAY_SPLICE, WAY_PUMP, WAY_LARGE, WAYS };
static const char *const names[WAYS] = { "file", "copy", "splice", "pump", "large" };
enum { READS = 4 }; /* the first is read(2); then LOG_ALL … LOG_TIMESTAMPS but for stderr, which is empty */
static const char *const reads[READS] = { "read(2)", "NAME", ".stdout", ".timestamps" };
static const enum log_view views[READS] = { 0, LOG_ALL, LOG_VIEW_STDOUT, LOG_TIMESTAMPS };
enum { MAX_ROUNDS = 101, PIPE = 1 << 20 };

static size_t total = 200 * 1000 * 1000, line = 100;

static void fill(int fd)
{
	static char b[65536];
	size_t n = sizeof b / line * line;
	memset(b, 'x', n);
	for (size_t i = line - 1; i < n; i += line)
		b[i] = '\n';
	for (size_t done = 0; done < total; done += n)
		if (write_all(fd, b, total - done < n ? total - done : n))
			_exit(1);
	_exit(0);
}

static void take_plain(int in, int out, enum way how)
{
	static char mem[PIPE];
	for (;;) {
		ssize_t n = how == WAY_COPY ? read(in, mem, sizeof mem) : splice(in, NULL, out, NULL, PIPE, SPLICE_F_MOVE);
		if (n <= 0)
			return;
		if (how == WAY_COPY && write_all(out, mem, (size_t)n))
			return;
	}
}

static void take_log(int in, int dir, uint64_t max)
{
	struct log_writer w;
	fcntl(in, F_SETFL, O_NONBLOCK);
	if (log_writer_open(&w, openat(dir, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC), max, 5))
		return;
	struct pollfd p = { .fd = in, .events = POLLIN };
	ssize_t n;
	while ((n = log_pump(&w, in, LOG_STDOUT, PIPE)) != 0)
		if (n < 0)
			poll(&p, 1, -1);
	if (w.dropped || w.broken)
		fprintf(stderr, "logpump: dropped %llu: %s\n", (unsigned long long)w.dropped, strerror(w.broken));
	log_writer_close(&w);
}

static double rate(uint64_t bytes, uint64_t since)
{
	return (double)bytes * 1e3 / (double)(now_mono_ns() - since);
}

static double read_plain(int logdir)
{
	static char mem[128 * 1024];
	_cleanup_close_ int fd = openat(logdir, "0000000000000000", O_RDONLY | O_CLOEXEC);
	uint64_t t = now_mono_ns(), sum = 0;
	for (ssize_t n; (n = read(fd, mem, sizeof mem)) > 0;)
		sum += (uint64_t)n;
	return rate(sum, t);
}

static double read_view(int logdir, enum log_view v)
{
	static char mem[128 * 1024];
	struct log_reader *r;
	struct log_cursor *c;
	if (log_reader_open(openat(logdir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), &r) || log_cursor_open(r, v, &c))
		return -1;
	uint64_t t = now_mono_ns(), sum = 0;
	for (ssize_t n; (n = log_cursor_read(c, sum, mem, sizeof mem)) > 0;)
		sum += (uint64_t)n;
	double d = rate(sum, t);
	if (sum != log_size(r, v))
		fprintf(stderr, "logpump: read %llu bytes\n", (unsigned long long)sum);
	log_cursor_free(c);
	log_reader_free(r);
	return d;
}

static void read_all(int dir, double mbs[READS][MAX_ROUNDS], int round)
{
	_cleanup_close_ int logdir = openat(dir, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mbs[0][round] = read_plain(logdir);
	for (int i = 1; i < READS; i++)
		mbs[i][round] = read_view(logdir, views[i]);
}

static double once(int dir, enum way how)
{
	int fds[2];
	_cleanup_close_ int out = openat(dir, "plain", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out < 0 || pipe2(fds, O_CLOEXEC) || mkdirat(dir, "log", 0700))
		return -1;
	fcntl(fds[0], F_SETPIPE_SZ, PIPE);
	uint64_t t = now_mono_ns();
	pid_t pid = fork();
	if (!pid) {
		close(fds[0]);
		fill(how == WAY_FILE ? out : fds[1]);
	}
	close(fds[1]);
	if (how >= WAY_PUMP)
		take_log(fds[0], dir, how == WAY_PUMP ? 10u << 20 : LOG_MAX_SEGMENT);
	else if (how != WAY_FILE)
		take_plain(fds[0], out, how);
	waitpid(pid, NULL, 0);
	t = now_mono_ns() - t;
	close(fds[0]);
	unlinkat(dir, "plain", 0);
	return (double)total * 1e3 / (double)t;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void print(const char *name, double *mbs, int rounds)
{
	qsort(mbs, (size_t)rounds, sizeof *mbs, by_size);
	printf("%-12s %8.0f %8.0f %8.0f\n", name, mbs[rounds / 2], mbs[0], mbs[rounds - 1]);
}

int main(int argc, char **argv)
{
	static double in[WAYS][MAX_ROUNDS], out[READS][MAX_ROUNDS];
	int rounds = argc > 3 ? atoi(argv[3]) : 11;
	if (argc < 2 || rounds < 1 || rounds > MAX_ROUNDS) {
		fprintf(stderr, "usage: logpump FOLDER [BYTES [ROUNDS [LINE]]]\n");
		return 2;
	}
	if (argc > 2)
		total = strtoul(argv[2], NULL, 10);
	if (argc > 4)
		line = strtoul(argv[4], NULL, 10);
	_cleanup_close_ int dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int r = 0; r < rounds; r++)
		for (enum way w = 0; w < WAYS; w++) {
			in[w][r] = once(dir, w);
			if (w == WAY_LARGE)
				read_all(dir, out, r);
			log_remove(dir, "log");
		}
	printf("%-12s %8s %8s %8s  MB/s, %d rounds of %zu bytes, lines of %zu\n", "written", "median", "min", "max", rounds, total, line);
	for (enum way w = 0; w < WAYS; w++)
		print(names[w], in[w], rounds);
	printf("%-12s\n", "read");
	for (int i = 0; i < READS; i++)
		print(reads[i], out[i], rounds);
	return 0;
}
