/* A server in miniature for the tests of podfs-net, driven by a shell.
 *
 *   netctl start PROGRAM RUN STATE BRIDGE SUBNET4 SUBNET6 TABLE   makes RUN/net.sock, starts the program with it, prints its pid
 *   netctl RUN                                              connects, does what stdin says, line by line:
 *
 *     attach UID POD HOST [in=BITS] [out=BITS] [port=LINE]… [ns=FILE] [keep=FILE]   FILE: of a network namespace; keep binds it there
 *     setup WORD…           N_SETUP, each a line; -: an empty one
 *     info                  prints N_INFO as it was told last
 *     leave UID | detach UID | ports UID [LINE]… | rate UID IN OUT | sync [UID]…
 *     raw OP [KEY=TEXT]… [ns=FILE] [keep=FILE]   any message, keys as numbers       junk TEXT   bytes that are no message
 *     event MS              waits for an event; they are printed as they come anyway
 *     bench N [MS [PID]]    attaches N pods, host numbers from 1000, so long apart, and says what each took, and what podfs-net (PID)
 *                           had of that on a processor; detaches them
 *
 * A reply is a line `ok [ADDRESS]… [dns ADDRESS]…` or `error ERRNO WORDS`, an event `event OP UID WORDS`. Ends with the first error's status.
 */
#include "runtime/base/util.h"
#include "runtime/net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>

#define PATIENCE_MS 20000
#define WORDS 1100

static int sock = -1, failed;
static uint32_t seq;
static bool quiet;
static char message[WIRE_MAX], info[1024];

static void die(const char *what)
{
	fprintf(stderr, "netctl: %s: %s\n", what, strerror(errno));
	exit(2);
}

static int start(char **arg)
{
	char num[12];
	int run = open(arg[1], O_PATH | O_DIRECTORY | O_CLOEXEC), fd = wire_listen(run, "net.sock");
	pid_t pid;
	if (run < 0 || fd < 0 || fcntl(fd, F_SETFD, 0))
		die(arg[1]);
	snprintf(num, sizeof num, "%d", fd);
	char *const argv[] = { arg[0], arg[1], arg[2], arg[3], arg[4], arg[5], arg[6], num, NULL };
	if (posix_spawn(&pid, arg[0], NULL, NULL, argv, environ))
		die(arg[0]);
	printf("%d\n", pid);
	return 0;
}

static void put_word(struct wire_out *o, int key, const char *text)
{
	wire_str(o, (enum wire_key)key, text);
}

static void put_number(struct wire_out *o, int key, const char *text)
{
	wire_u64(o, (enum wire_key)key, strtoull(text, NULL, 10));
}

/* --- replies and events --- */

static const char *text_of(const struct wire_in *in, int key)
{
	const char *s = wire_get_str(in, (enum wire_key)key);
	return s ? s : "-";
}

static void print_event(const struct wire_in *in)
{
	static const char *const names[] = { "leak", "freed", "event" };
	unsigned i = in->head.op - N_LEAK;
	if (in->head.op == N_INFO) {
		snprintf(info, sizeof info, "%s", text_of(in, K_TEXT));
		return;
	}
	printf("event %s %s %s\n", i < 3 ? names[i] : "?", text_of(in, K_UID), text_of(in, K_TEXT));
}

/* One message; false: none came within the time. */
static bool step(struct wire_in *in, int ms)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	if (poll(&p, 1, ms) <= 0)
		return false;
	int r = wire_recv(sock, message, sizeof message, in);
	if (r <= 0) {
		puts("closed");
		exit(3);
	}
	return true;
}

static int keep_fd(const char *file, int fd)
{
	char link[40];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	return mount(link, file, NULL, MS_BIND, NULL);
}

static void print_reply(struct wire_in *in, const char *keep)
{
	const char *data;
	size_t pos = 0, len;
	uint16_t key;
	if (in->head.result < 0) {
		failed = 1;
		printf("error %s %s\n", strerrorname_np(-in->head.result), text_of(in, K_ERROR));
		return;
	}
	if (quiet)
		return;
	printf("ok");
	while (wire_next(in, &pos, &key, &data, &len))
		if (key == K_ADDR || key == K_DNS)
			printf(key == K_ADDR ? " %s" : " dns %s", data);
	printf("\n");
	if (keep && in->nfds && keep_fd(keep, in->fds[0]))
		die(keep);
}

/* Sends, prints events until the reply has come. The reply's descriptor, if there is one and nobody keeps it, or -1. */
static int call(struct wire_out *o, const char *keep)
{
	struct wire_in in;
	if (wire_send(sock, o))
		die("send");
	wire_free(o);
	for (;;) {
		if (!step(&in, PATIENCE_MS)) {
			puts("no answer");
			exit(4);
		}
		if (in.head.op == W_REPLY && in.head.seq == seq)
			break;
		print_event(&in);
		wire_in_close(&in);
	}
	print_reply(&in, keep);
	int fd = in.nfds ? in.fds[0] : -1;
	in.nfds = 0;
	if (!quiet)
		close_fd(&fd);
	return fd;
}

/* --- commands --- */

static void begin(struct wire_out *o, int op)
{
	wire_begin(o, (enum wire_op)op, ++seq);
}

static void attach(char **w, int n)
{
	struct wire_out o = { 0 };
	const char *keep = NULL;
	int ns = -1;
	begin(&o, N_ATTACH);
	put_word(&o, K_UID, w[1]);
	put_word(&o, K_POD, w[2]);
	put_number(&o, K_HOST, w[3]);
	for (int i = 4; i < n; i++) {
		char *value = strchr(w[i], '=') ? strchr(w[i], '=') + 1 : w[i];
		switch (w[i][0]) {
		case 'i': put_number(&o, K_RATE_IN, value); break;
		case 'o': put_number(&o, K_RATE_OUT, value); break;
		case 'p': put_word(&o, K_PORT, value); break;
		case 'k': keep = value; break;
		case 'n':
			ns = open(value, O_RDONLY | O_CLOEXEC);
			if (ns < 0)
				die(value);
			wire_fd(&o, ns);
			break;
		}
	}
	call(&o, keep);
	close_fd(&ns);
}

static void with_uid(int op, char **w, int n)
{
	struct wire_out o = { 0 };
	begin(&o, op);
	for (int i = 1; i < n; i++)
		if (op == N_RATE && i > 1)
			put_number(&o, i == 2 ? K_RATE_IN : K_RATE_OUT, w[i]);
		else
			put_word(&o, op == N_SYNC || i == 1 ? K_UID : K_PORT, w[i]);
	call(&o, NULL);
}

static void raw(char **w, int n)
{
	struct wire_out o = { 0 };
	const char *keep = NULL;
	int ns = -1;
	begin(&o, atoi(w[1]));
	for (int i = 2; i < n; i++) {
		const char *value = strchr(w[i], '=') ? strchr(w[i], '=') + 1 : "";
		if (w[i][0] == 'k') {
			keep = value;
			continue;
		}
		if (w[i][0] != 'n') {
			put_word(&o, atoi(w[i]), value);
			continue;
		}
		ns = open(value, O_RDONLY | O_CLOEXEC);
		if (ns < 0)
			die(value);
		wire_fd(&o, ns);
	}
	call(&o, keep);
	close_fd(&ns);
}

static void setup(char **w, int n)
{
	struct wire_out o = { 0 };
	_cleanup_buf_ struct buf lines = { 0 };
	for (int i = 1; i < n; i++)
		buf_printf(&lines, "%s\n", strcmp(w[i], "-") ? w[i] : "");
	begin(&o, N_SETUP);
	wire_str(&o, K_TEXT, buf_str(&lines));
	call(&o, NULL);
}

static void wait_event(int ms)
{
	struct wire_in in;
	if (!step(&in, ms)) {
		puts("no event");
		return;
	}
	print_event(&in);
	wire_in_close(&in);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(const double *t, int from, int to)
{
	double copy[64];
	int n = to - from;
	memcpy(copy, t + from, (size_t)n * sizeof *copy);
	qsort(copy, (size_t)n, sizeof *copy, by_value);
	return copy[n / 2];
}

static void bench_uid(int i, char uid[40])
{
	snprintf(uid, 40, "%08x-%04x-4000-8000-0000000000be", 0xbe0000 + i, i);
}

static double bench_attach(int i, int *fd)
{
	struct wire_out o = { 0 };
	char uid[40], pod[16];
	bench_uid(i, uid);
	snprintf(pod, sizeof pod, "bench%d", i);
	begin(&o, N_ATTACH);
	put_word(&o, K_UID, uid);
	put_word(&o, K_POD, pod);
	wire_u64(&o, (enum wire_key)K_HOST, 1000 + (uint64_t)i);
	uint64_t t = now_mono_ns();
	*fd = call(&o, NULL);
	return (double)(now_mono_ns() - t) / 1000;
}

static double bench_detach(int i)
{
	struct wire_out o = { 0 };
	char uid[40];
	bench_uid(i, uid);
	begin(&o, N_DETACH);
	put_word(&o, K_UID, uid);
	uint64_t t = now_mono_ns();
	call(&o, NULL);
	return (double)(now_mono_ns() - t) / 1000;
}

/* Time that a process had on a processor: says more than the clock where the machine has other things to do. */
static double cpu_us(int pid)
{
	char path[40], text[64] = "0";
	snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, text, sizeof text - 1) > 0 ? strtod(text, NULL) / 1000 : 0;
}

/* Between two attaches there is a pause in which spare namespaces are made again, and a longer one before the last 21. */
static void bench(int n, int pause_ms, int pid)
{
	double *t = calloc((size_t)n, sizeof *t), *d = calloc((size_t)n, sizeof *d), *c = calloc((size_t)n, sizeof *c), before;
	int *fd = calloc((size_t)n, sizeof *fd);
	struct pollfd none = { .fd = -1 };
	quiet = true;
	for (int i = 0; i < n; i++) {
		if (i == n - 21)
			poll(&none, 1, 3000);
		before = cpu_us(pid);
		t[i] = bench_attach(i, &fd[i]);
		c[i] = cpu_us(pid) - before;
		poll(&none, 1, pause_ms);
	}
	for (int i = 0; i < n; i++) {
		d[i] = bench_detach(i);
		close(fd[i]);
	}
	int m = n < 21 ? n : 21;
	printf("attach us: first %.0f, second %.0f, median of the first %d %.0f, of the last %d %.0f\n", t[0], n > 1 ? t[1] : 0, m,
		median(t, 0, m), m, median(t, n - m, n));
	printf("of that on a processor: median of the first %d %.0f, of the last %d %.0f\n", m, median(c, 0, m), m, median(c, n - m, n));
	printf("detach us: median of the first %d %.0f, of the last %d %.0f\n", m, median(d, 0, m), m, median(d, n - m, n));
	quiet = false;
	free(t);
	free(c);
	free(d);
	free(fd);
}

static void command(char *line)
{
	char *w[WORDS], *save = NULL;
	int n = 0;
	for (char *s = strtok_r(line, " \t\n", &save); s && n < WORDS; s = strtok_r(NULL, " \t\n", &save))
		w[n++] = s;
	if (!n)
		return;
	static const struct { const char *word; int op, least; } simple[] = {
		{ "leave", N_LEAVE, 2 }, { "detach", N_DETACH, 2 }, { "ports", N_PORTS, 2 }, { "rate", N_RATE, 4 }, { "sync", N_SYNC, 1 },
	};
	for (size_t i = 0; i < ARRAY_LEN(simple); i++)
		if (!strcmp(w[0], simple[i].word) && n >= simple[i].least) {
			with_uid(simple[i].op, w, n);
			return;
		}
	if (!strcmp(w[0], "attach") && n >= 4)
		attach(w, n);
	else if (!strcmp(w[0], "raw") && n >= 2)
		raw(w, n);
	else if (!strcmp(w[0], "junk") && n == 2)
		send(sock, w[1], strlen(w[1]), MSG_NOSIGNAL);
	else if (!strcmp(w[0], "setup"))
		setup(w, n);
	else if (!strcmp(w[0], "info"))
		printf("%sok\n", info);
	else if (!strcmp(w[0], "event") && n == 2)
		wait_event(atoi(w[1]));
	else if (!strcmp(w[0], "bench") && n >= 2)
		bench(atoi(w[1]), n > 2 ? atoi(w[2]) : 4, n > 3 ? atoi(w[3]) : 0);
	else
		printf("what is %s?\n", w[0]);
}

/* The next line of stdin; events are printed while it is waited for. NULL: end of file. */
static char *next_line(void)
{
	static char line[65536];
	static size_t len, taken;
	struct pollfd p[] = { { .events = POLLIN }, { .fd = sock, .events = POLLIN } };
	memmove(line, line + taken, len -= taken);
	for (;;) {
		char *end = memchr(line, '\n', len);
		if (end) {
			*end = 0;
			taken = (size_t)(end + 1 - line);
			return line;
		}
		poll(p, 2, -1);
		if (p[1].revents)
			wait_event(0);
		ssize_t n = p[0].revents ? read(0, line + len, sizeof line - len) : 1;
		if (n <= 0)
			return NULL;
		len += p[0].revents ? (size_t)n : 0;
	}
}

int main(int argc, char **argv)
{
	char *line;
	if (argc == 9 && !strcmp(argv[1], "start"))
		return start(argv + 2);
	if (argc != 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	int run = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	sock = wire_connect(run, "net.sock");
	if (sock < 0) {
		errno = -sock;
		die(argv[1]);
	}
	while ((line = next_line()))
		command(line);
	return failed;
}
