/* Times commands in turn: each round runs every one once, beginning with another each time, so that
 * whatever else the machine does hits all alike.
 *
 * usage: interleave [-n ROUNDS] [-g MS] [-v] TEST < LINES
 * A line: NAME|PREPARE|COMMAND|AFTER. PREPARE and AFTER are run by sh, not timed; COMMAND is timed from vfork to
 * wait and run by sh only if it needs one. @U in any of them is a number that no other run has.
 * -g: so many ms of quiet before each timed command: what a call costs that comes alone (cgroup v1 lets such a one
 * wait for an RCU grace period, which back-to-back runs hide). -v: the commands' output is shown.
 * Prints TEST NAME MEDIAN MIN MAX RUNS ERRORS, tabs between, times in ms. A run that fails is counted, not timed.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_LINES = 64, MAX_ROUNDS = 1000 };

struct line {
	char *name, *prepare, *command, *after;
	double ms[MAX_ROUNDS];
	int runs, errors;
};

static struct line lines[MAX_LINES];
static int nlines, rounds = 21, quiet_ms;
static bool verbose;
static unsigned long serial;

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* text with @U replaced; to be freed. */
static char *numbered(const char *text)
{
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);
	if (!f)
		exit(1);
	for (; *text; text++) {
		if (text[0] == '@' && text[1] == 'U') {
			fprintf(f, "%lu", serial);
			text++;
		} else {
			fputc(*text, f);
		}
	}
	fclose(f);
	return out;
}

static void redirect(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, 0);
	dup2(verbose ? 2 : null, 1);
	if (!verbose)
		dup2(null, 2);
}

/* Splits at blanks into words. false: a shell has to do it. */
static bool split(char *text, char **words, size_t max)
{
	if (strpbrk(text, "|&;<>()$`\\\"'*?[#~={}"))
		return false;
	size_t n = 0;
	for (char *w = strtok(text, " "); w && n + 1 < max; w = strtok(NULL, " "))
		words[n++] = w;
	words[n] = NULL;
	return n;
}

static int spawn(char *const *argv)
{
	int status = -1;
	pid_t pid = vfork();
	if (!pid) {
		redirect();
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	return status;
}

/* Returns the wait status; *ms: how long it took. */
static int run(const char *text, double *ms)
{
	char *words[128], *copy = strdup(text), sh[] = "/bin/sh", c[] = "-c";
	char *whole[] = { sh, c, (char *)(uintptr_t)text, NULL };
	char *const *argv = split(copy, words, 128) ? words : whole;
	double begin = now_ms();
	int status = spawn(argv);
	if (ms)
		*ms = now_ms() - begin;
	free(copy);
	return status;
}

static void run_part(const char *text)
{
	char *t = numbered(text);
	if (*t)
		run(t, NULL);
	free(t);
}

static void once(struct line *l, bool counts)
{
	double ms;
	serial++;
	run_part(l->prepare);
	if (quiet_ms)
		poll(NULL, 0, quiet_ms); /* the quiet is what is measured */
	char *command = numbered(l->command);
	int status = run(command, &ms);
	if (counts && !status)
		l->ms[l->runs++] = ms;
	if (status && l->errors++ < 2)
		fprintf(stderr, "interleave: %s: status %d: %s\n", l->name, status, command);
	free(command);
	run_part(l->after);
}

/* The next field of *rest, where \| stands for |. */
static char *field(char **rest)
{
	char *out = *rest, *to = out, *from = out;
	for (; *from && *from != '|'; *to++ = *from++)
		if (from[0] == '\\' && from[1] == '|')
			from++;
	*rest = *from ? from + 1 : from;
	*to = 0;
	return strdup(out);
}

static void read_lines(void)
{
	char text[8192];
	while (nlines < MAX_LINES && fgets(text, sizeof text, stdin)) {
		text[strcspn(text, "\n")] = 0;
		if (!*text || *text == '#')
			continue;
		char *rest = text;
		struct line *l = &lines[nlines++];
		l->name = field(&rest);
		l->prepare = field(&rest);
		l->command = field(&rest);
		l->after = field(&rest);
	}
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void print(const char *test, struct line *l)
{
	qsort(l->ms, (size_t)l->runs, sizeof *l->ms, by_size);
	double median = l->runs ? l->ms[l->runs / 2] : 0;
	printf("%s\t%s\t%.3f\t%.3f\t%.3f\t%d\t%d\n", test, l->name, median, l->runs ? l->ms[0] : 0,
	       l->runs ? l->ms[l->runs - 1] : 0, l->runs, l->errors);
}

int main(int argc, char **argv)
{
	for (int o; (o = getopt(argc, argv, "n:g:v")) != -1;) {
		if (o == 'n')
			rounds = atoi(optarg);
		else if (o == 'g')
			quiet_ms = atoi(optarg);
		else if (o == 'v')
			verbose = true;
		else
			return 2;
	}
	if (optind + 1 != argc || rounds < 1 || rounds > MAX_ROUNDS) {
		fprintf(stderr, "usage: interleave [-n ROUNDS] [-g MS] [-v] TEST < LINES\n");
		return 2;
	}
	read_lines();
	serial = (unsigned long)getpid() * 100000;
	for (int r = -1; r < rounds; r++) /* one round to warm up */
		for (int i = 0; i < nlines; i++)
			once(&lines[(i + r + 1) % nlines], r >= 0);
	for (int i = 0; i < nlines; i++)
		print(argv[optind], &lines[i]);
	return 0;
}
