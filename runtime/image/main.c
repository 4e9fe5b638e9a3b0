/* podfs-image: imports an archive into the image store, removes an image, cleans the store.
 *
 * One short process a job, started by the server (the end of image.h says how). Everything that takes long or
 * meets foreign bytes happens in here and not in the server: the worst that an archive can do is
 * to end this process, which leaves no lock and nothing but a work folder.
 */
#include "runtime/base/util.h"
#include "runtime/image/confine.h"
#include "runtime/image/import.h"
#include "runtime/image/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define VERDICT_FD 3

struct job {
	const char *verb, *state, *reference;
	uint64_t image_max;
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

static int parse_args(int argc, char **argv, struct job *j)
{
	const char *verb = argc > 1 ? argv[1] : "";
	int want = !strcmp(verb, "import") ? 5 : !strcmp(verb, "remove") ? 4 : !strcmp(verb, "clean") ? 3 : -1;
	if (argc != want)
		return -EINVAL;
	*j = (struct job){ .verb = verb, .state = argv[2], .reference = argc > 3 ? argv[3] : NULL };
	if (want == 5) {
		char *end;
		errno = 0;
		j->image_max = strtoull(argv[4], &end, 10);
		if (errno || end == argv[4] || *end)
			return -EINVAL;
	}
	return 0;
}

static int do_job(const struct job *j, struct disk *d, struct err *e)
{
	if (!strcmp(j->verb, "import"))
		return image_import(d, STDIN_FILENO, j->reference, j->image_max, e);
	if (!strcmp(j->verb, "remove"))
		return image_remove(d, j->reference, e);
	return image_clean(d, e);
}

static int run(const struct job *j, struct err *e)
{
	struct disk d;
	int r = disk_open(j->state, &d, e);
	if (r)
		return r;
	r = confine(&d, NULL, e);
	if (!r)
		r = do_job(j, &d, e);
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
	if (parse_args(argc, argv, &j) || fcntl(VERDICT_FD, F_SETFD, FD_CLOEXEC)) {
		fputs("usage: podfs-image import STATE REFERENCE IMAGE_MAX | remove STATE REFERENCE | clean STATE\n"
		      "The verdict goes to descriptor 3, which must be open; import reads the archive from 0.\n", stderr);
		return 2;
	}
	close_range(VERDICT_FD + 1, ~0u, 0);
	set_signals();
	umask(0);
	/* For libarchive: names in pax headers are UTF-8 and stay the bytes they are. */
	setlocale(LC_CTYPE, "C.UTF-8");
	struct err e = { 0 };
	int r = run(&j, &e);
	if (r && !e.code)
		err_sys(&e, -r, "podfs-image");
	return say(&e) || r ? 1 : 0;
}
