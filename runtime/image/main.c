/* podfs-image: pulls or imports an image into the image store, removes one, cleans the store.
 *
 * One short process a job, started by the server (the end of image.h says how). Everything that takes long or
 * meets foreign bytes happens in here and not in the server: the worst that an archive can do is
 * to end this process, which leaves no lock and nothing but a work folder.
 */
#include "runtime/base/util.h"
#include "runtime/image/confine.h"
#include "runtime/image/import.h"
#include "runtime/image/pull.h"
#include "runtime/image/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define VERDICT_FD 3

struct job {
	const struct verb *verb;
	const char *state, *reference;
	uint64_t image_max, stall;
};

static void on_signal(int sig UNUSED)
{
	tar_cancelled = 1;
}

/* The server asks an import to stop with SIGTERM: it cleans up and says ECANCELED. No SA_RESTART: a read or a
 * wait for the lock ends. */
static void set_signals(void)
{
	struct sigaction stop = { .sa_handler = on_signal }, ignore = { .sa_handler = SIG_IGN };
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

/* A server that dies is as good as SIGTERM; one that was quicker has left the other end of the pipe. */
static void follow_server(void)
{
	struct pollfd server = { .fd = VERDICT_FD };
	set_death_signal(SIGTERM);
	if (poll(&server, 1, 0) > 0 && (server.revents & POLLERR))
		raise(SIGTERM);
}

static int do_import(struct disk *d, const struct job *j, struct err *e)
{
	return image_import(d, STDIN_FILENO, j->reference, j->image_max, e);
}

static int do_pull(struct disk *d, const struct job *j, struct err *e)
{
	return image_pull(d, &(struct pull_job){ j->reference, j->image_max, (uint32_t)j->stall }, e);
}

static int do_remove(struct disk *d, const struct job *j, struct err *e)
{
	return image_remove(d, j->reference, e);
}

static int do_clean(struct disk *d, const struct job *j UNUSED, struct err *e)
{
	return image_clean(d, e);
}

static const struct verb {
	const char *name, *args;
	int nargs;
	bool open; /* not confined: of a pull only the second process is */
	int (*fn)(struct disk *d, const struct job *j, struct err *e);
} verbs[] = {
	{ "pull", "STATE REFERENCE IMAGE_MAX STALL", 4, true, do_pull },
	{ "import", "STATE REFERENCE IMAGE_MAX", 3, false, do_import },
	{ "remove", "STATE REFERENCE", 2, false, do_remove },
	{ "clean", "STATE", 1, false, do_clean },
};

static int usage(void)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		fprintf(stderr, "%s podfs-image %s %s\n", i ? "      " : "usage:", verbs[i].name, verbs[i].args);
	fputs("The verdict goes to descriptor 3, which must be open; import reads the archive from 0.\n", stderr);
	return 2;
}

static int parse_number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno || end == text || *end || *out > max ? -EINVAL : 0;
}

static int parse_args(int argc, char **argv, struct job *j)
{
	const struct verb *v = verbs;
	while (v < verbs + ARRAY_LEN(verbs) && (argc < 2 || strcmp(argv[1], v->name)))
		v++;
	if (v == verbs + ARRAY_LEN(verbs) || argc != v->nargs + 2)
		return -EINVAL;
	*j = (struct job){ .verb = v, .state = argv[2], .reference = v->nargs > 1 ? argv[3] : NULL };
	if (v->nargs > 2 && parse_number(argv[4], UINT64_MAX, &j->image_max))
		return -EINVAL;
	return v->nargs > 3 ? parse_number(argv[5], UINT32_MAX, &j->stall) : 0;
}

static int run(const struct job *j, struct err *e)
{
	struct disk d;
	int r = disk_open(j->state, &d, e);
	if (r)
		return r;
	r = j->verb->open ? shield(&d, j->state, e) : confine(&d, NULL, e);
	if (!r)
		r = j->verb->fn(&d, j, e);
	disk_close(&d);
	return r;
}

static int say(const struct err *e)
{
	char line[sizeof e->text + 16];
	int n = e->code ? snprintf(line, sizeof line, "%d %s\n", e->code, e->text) :
		snprintf(line, sizeof line, "0\n");
	return write_all(VERDICT_FD, line, (size_t)n);
}

int main(int argc, char **argv)
{
	struct job j;
	if (parse_args(argc, argv, &j) || fcntl(VERDICT_FD, F_SETFD, FD_CLOEXEC))
		return usage();
	close_range(VERDICT_FD + 1, ~0u, 0);
	set_signals();
	follow_server();
	umask(0);
	/* For libarchive: names in pax headers are UTF-8 and stay the bytes they are. */
	setlocale(LC_CTYPE, "C.UTF-8");
	struct err e = { 0 };
	int r = run(&j, &e);
	if (r && !e.code)
		err_sys(&e, -r, "podfs-image");
	return say(&e) || r ? 1 : 0;
}
