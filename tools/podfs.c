/* podfs: mounts the tree and keeps a server behind it.
 *
 * The order of a start and of going into the background; what each step does stands in
 * options.h, mount.h, claim.h and keep.h. Knows nothing of pods. Runs as podfs: first as the
 * command that somebody started, then as the keeper.
 */
#include "tools/again.h"
#include "tools/claim.h"
#include "tools/keep.h"
#include "tools/mount.h"
#include "tools/options.h"
#include "tools/provide.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_NAME "podfs.log"
#define LOG_MAX_BYTES (1 << 20)

static const char help[] =
	"usage: podfs [-f] [-o OPTIONS] MOUNTPOINT\n"
	"       mount -t fuse.podfs podfs MOUNTPOINT [-o OPTIONS]\n"
	"       umount MOUNTPOINT\n"
	"\n"
	"Mounts the tree of this node's pods. It returns when the tree is there.\n"
	"\n"
	"  -f, --foreground  stay, and end with the mount\n"
	"  -o OPTIONS        KEY=VALUE of the config's [node] section, and mount options,\n"
	"                    separated by commas:\n"
	"       config=FILE  the config (default /etc/podfs/podfs.conf)\n"
	"       state=DIR    records, images, logs (default /var/lib/podfs)\n"
	"       run=DIR      sockets (default /run/podfs)\n"
	"  -V, --version     print the version\n"
	"  -h, --help        print this\n"
	"\n"
	"First steps: cat MOUNTPOINT/.node/help\n";

struct start {
	struct options o;
	struct mount m;
	int lock_fd, log_fd;
};

static int fail(const struct err *e, int result)
{
	fprintf(stderr, "podfs: %s\n", e->text[0] ? e->text : strerror(-result));
	return result == -EINVAL ? 2 : 1;
}

/* What the server says in the background. One old one is kept. */
static int open_log(struct start *s, struct err *e)
{
	if (s->o.foreground) {
		s->log_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
		return s->log_fd < 0 ? err_sys(e, errno, "stderr") : 0;
	}
	_cleanup_close_ int dir = open(s->o.cfg.state, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	if (!fstatat(dir, LOG_NAME, &st, AT_SYMLINK_NOFOLLOW) && st.st_size > LOG_MAX_BYTES)
		renameat(dir, LOG_NAME, dir, LOG_NAME ".old");
	s->log_fd = openat(dir, LOG_NAME, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return s->log_fd < 0 ? err_sys(e, errno, "%s/" LOG_NAME, s->o.cfg.state) : 0;
}

/* Everything that can be refused before there is a mount. */
static int prepare(struct start *s, struct err *e)
{
	if (geteuid())
		return err_set(e, EPERM, "only root can mount pods");
	int r = mount_prepare(&s->m, s->o.mountpoint, e);
	if (r)
		return r;
	s->lock_fd = claim_take(&s->o.cfg, &s->m, e);
	if (s->lock_fd < 0)
		return s->lock_fd;
	return open_log(s, e);
}

/* Mount and server, or neither. */
static int start(struct start *s, struct keep **k, struct err *e)
{
	int r = mount_do(&s->m, s->o.fsname, s->o.flags, buf_str(&s->o.data), e);
	if (!r)
		r = claim_sign(s->lock_fd, &s->m);
	if (!r)
		r = keep_start(k, &s->o, &s->m, s->lock_fd, s->log_fd, e);
	if (r)
		mount_undo(&s->m);
	return r;
}

static void let_go_of_terminal(const struct start *s)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	dup2(s->log_fd, STDOUT_FILENO);
	dup2(s->log_fd, STDERR_FILENO);
	close_fd(&null);
}

/* Stays; another program may take this one's place meanwhile. */
static int stay(struct keep *k)
{
	struct again held;
	int r;
	while ((r = keep_run(k, &held)) == KEEP_HAND_OVER) {
		struct err e = { 0 };
		again_exec(&held, &e);
		keep_note(k, e.text);
	}
	return r ? 1 : 0;
}

/* What the program before this one held. Its server is told to end, and the new one goes on with the mount. */
static int resume(struct start *s, struct again *held, int argc, char **argv)
{
	struct err e = { 0 };
	struct keep *k;
	int r = options_read(&s->o, argc, argv, &e);
	s->m = (struct mount){ .path = take_ptr(held->path), .id = held->mount_id, .fd = held->fuse_fd };
	snprintf(s->m.dev, sizeof s->m.dev, "%s", held->dev);
	s->lock_fd = held->lock_fd;
	s->log_fd = held->log_fd;
	if (!r)
		r = chdir("/") ? -errno : keep_resume(&k, &s->o, &s->m, held, &e);
	if (r)
		return fail(&e, r);
	return stay(k);
}

static int keeper(struct start *s, int verdict)
{
	struct err e = { 0 };
	struct keep *k = NULL;
	if (verdict >= 0)
		setsid();
	int r = chdir("/") ? -errno : start(s, &k, &e);
	if (r) {
		fail(&e, r);
		return 1;
	}
	/* Whoever asked may have gone meanwhile (^C): then nobody wants the mount. */
	bool wanted = verdict < 0 || write(verdict, "0", 1) == 1;
	if (verdict >= 0)
		let_go_of_terminal(s);
	close_fd(&verdict);
	if (!wanted)
		raise(SIGTERM);
	return stay(k);
}

/* Stays until the keeper says that the tree is there. */
static int into_background(struct start *s)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC)) {
		perror("podfs: pipe");
		return 1;
	}
	pid_t pid = fork();
	if (pid < 0) {
		perror("podfs: fork");
		return 1;
	}
	if (!pid) {
		close(fds[0]);
		return keeper(s, fds[1]);
	}
	close(fds[1]);
	char word;
	ssize_t n;
	do
		n = read(fds[0], &word, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return 0;
	waitpid(pid, NULL, 0);
	return 1;
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	struct start s = { .m = { .fd = -1 }, .lock_fd = -1, .log_fd = -1 };
	struct again held;
	bool again = again_read(&held);
	again_note(argv);
	/* A caller's descriptors would live as long as the mount. */
	if (!again)
		close_range(3, ~0u, 0);
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	int r = again ? resume(&s, &held, argc, argv) : options_read(&s.o, argc, argv, &e);
	if (again)
		again_free(&held);
	else if (again_is_check())
		r = fail(&e, r ? r : provide_check(&s.o, &e));
	else if (!r && s.o.help)
		fputs(help, stdout);
	else if (!r && s.o.version)
		puts("podfs " PODFS_VERSION);
	else {
		if (!r)
			r = prepare(&s, &e);
		r = r ? fail(&e, r) : s.o.foreground ? keeper(&s, -1) : into_background(&s);
	}
	mount_free(&s.m);
	close_fd(&s.lock_fd);
	close_fd(&s.log_fd);
	options_free(&s.o);
	return r;
}
