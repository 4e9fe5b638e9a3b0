/* What runs in the containers of the chaos test; says so exactly that afterwards every line can be accounted for.
 *
 *   payload lines TAG N USEC CODE        N numbered lines (0: until a signal), USEC apart, then CODE; SIGTERM: 7
 *   payload flaky TAG FILE TIMES CODE    the first TIMES runs end with CODE, the next one with 0; FILE counts them
 *   payload exec TOKEN N CODE            N numbered lines and one on stderr, then CODE; the token goes into /execs
 *
 * A line is `TAG RUN STREAM NUMBER`, written by one write(2). RUN is the time of the start: it tells runs apart and in order.
 * The last line of a run that ended by itself has `end` or `term` for STREAM, and how many there were. Runs in a container.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TERMINATED = 7, STDERR_EVERY = 5 };

static const char *tag;
static unsigned long long run;
static volatile sig_atomic_t term;

static void on_term(int sig)
{
	(void)sig;
	term = 1;
}

static void say(int fd, const char *stream, unsigned long n)
{
	char line[200];
	int len = snprintf(line, sizeof line, "%s %016llx %s %lu\n", tag, run, stream, n);
	if (write(fd, line, (size_t)len) != len)
		_exit(99);
}

static int end(const char *how, unsigned long n, int code)
{
	say(1, how, n);
	return code;
}

static int lines(unsigned long n, unsigned long usec, int code)
{
	const struct timespec pause = { (time_t)(usec / 1000000), (long)(usec % 1000000) * 1000 };
	for (unsigned long i = 1; !n || i <= n; i++) {
		say(1, "out", i);
		if (i % STDERR_EVERY == 0)
			say(2, "err", i / STDERR_EVERY);
		if (usec && !term)
			nanosleep(&pause, NULL);
		if (term)
			return end("term", i, TERMINATED);
	}
	return end("end", n, code);
}

/* Says so before it ends: who has seen the count has seen the line. */
static int flaky(const char *file, unsigned long times, int code)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1)
		return 98;
	long ran = (long)lseek(fd, 0, SEEK_END);
	say(1, "out", 1);
	return end("end", 1, (unsigned long)ran <= times ? code : 0);
}

static int command(const char *token, unsigned long n, int code)
{
	char line[200];
	int fd = open("/execs", O_WRONLY | O_CREAT | O_APPEND, 0600);
	int len = snprintf(line, sizeof line, "%s\n", token);
	if (fd < 0 || write(fd, line, (size_t)len) != len)
		return 98;
	for (unsigned long i = 1; i <= n; i++)
		printf("%s %lu\n", token, i);
	if (fflush(stdout)) /* first: both may be one stream */
		return 99;
	fprintf(stderr, "%s err\n", token);
	return code;
}

int main(int argc, char **argv)
{
	struct timespec now;
	struct sigaction act = { .sa_handler = on_term };
	clock_gettime(CLOCK_BOOTTIME, &now);
	run = (unsigned long long)now.tv_sec * 1000000000u + (unsigned long long)now.tv_nsec;
	if (argc < 5)
		return 97;
	tag = argv[2];
	if (!strcmp(argv[1], "exec"))
		return command(tag, strtoul(argv[3], NULL, 10), atoi(argv[4]));
	if (argc < 6)
		return 97;
	sigaction(SIGTERM, &act, NULL);
	if (!strcmp(argv[1], "lines"))
		return lines(strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10), atoi(argv[5]));
	return flaky(argv[3], strtoul(argv[4], NULL, 10), atoi(argv[5]));
}
