/* skopeo, which speaks to registries: see fetch.h. */
#include "runtime/image/fetch.h"

#include "runtime/base/util.h"
#include "runtime/image/failure.h"
#include "runtime/image/json.h"
#include "runtime/parse/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define WORDS_MAX 65536
#define ARGS_MAX 24
#define END_MS 5000 /* for a killed one to be gone */
#define STORAGE "containers-storage:"

struct args {
	const char *v[ARGS_MAX];
	size_t n;
};

static void add(struct args *a, const char *arg)
{
	if (a->n < ARGS_MAX - 1) /* a NULL stays behind the last */
		a->v[a->n++] = arg;
}

int fetch_available(struct err *e)
{
	if (in_path("skopeo"))
		return 0;
	return err_set(e, ENOSYS, "skopeo is not installed (package skopeo): nothing can be pulled");
}

/* localhost, 127.0.0.0/8, [::1], each with a port or without. */
bool fetch_is_loopback(const char *source, char host[64])
{
	const char *s = reference_name(source);
	if (s == source)
		return false;
	size_t n = strcspn(s, "/"), name = *s == '[' ? strcspn(s, "]") + 1 : strcspn(s, ":/");
	unsigned b[4];
	int end = 0;
	bool ip = sscanf(s, "%3u.%3u.%3u.%3u%n", &b[0], &b[1], &b[2], &b[3], &end) == 4 && (size_t)end == name && b[0] == 127;
	bool loopback = ip || (name == 9 && !strncmp(s, "localhost", 9)) || (name == 5 && !strncmp(s, "[::1]", 5));
	if (!loopback || n >= 64)
		return false;
	memcpy(host, s, n);
	host[n] = 0;
	return true;
}

/* --- in the child --- */

/* What belongs to the user whose configuration it reads. */
static void set_home(void)
{
	struct passwd *pw = getenv("HOME") ? NULL : getpwuid(getuid());
	if (pw)
		setenv("HOME", pw->pw_dir, 1);
}

static void set_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Standard input, output and error, and nothing else. */
static int set_descriptors(int out, int err)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int high_out = fcntl(out < 0 ? null : out, F_DUPFD_CLOEXEC, 10), high_err = fcntl(err, F_DUPFD_CLOEXEC, 10);
	if (null < 0 || high_out < 0 || high_err < 0 || dup2(null, 0) < 0 || dup2(high_out, 1) < 0 || dup2(high_err, 2) < 0)
		return -errno;
	return close_range(3, ~0u, 0) ? -errno : 0;
}

static _Noreturn void become(const struct args *a, int work, int out, int err, pid_t parent)
{
	const struct rlimit one_file = { JSON_FILE_MAX, JSON_FILE_MAX };
	if (set_death_signal(SIGKILL) || getppid() != parent || setpgid(0, 0))
		_exit(126);
	if (fchdir(work) || (out >= 0 && setrlimit(RLIMIT_FSIZE, &one_file)) || set_descriptors(out, err)) {
		dprintf(err, "cannot start skopeo: %s\n", strerror(errno));
		_exit(126);
	}
	umask(077);
	set_home();
	set_signals();
	execvp(a->v[0], (char *const *)a->v);
	dprintf(2, "cannot start skopeo: %s\n", strerror(errno));
	_exit(127);
}

/* --- in its parent --- */

static int launch(const struct args *a, int work, int out, struct fetch *f, struct err *e)
{
	int words[2];
	if (pipe2(words, O_CLOEXEC))
		return err_sys(e, errno, "cannot start skopeo");
	fcntl(words[0], F_SETFL, O_NONBLOCK);
	pid_t parent = getpid(), pid = fork();
	if (!pid)
		become(a, work, out, words[1], parent);
	int r = pid < 0 ? -errno : 0;
	close(words[1]);
	if (!r) {
		setpgid(pid, pid); /* as the child does: whoever is first */
		f->pid = pid;
		f->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		r = f->pidfd < 0 ? -errno : 0;
	}
	f->words = words[0];
	buf_reset(&f->said);
	if (r)
		fetch_kill(f);
	return r ? err_sys(e, -r, "cannot start skopeo") : 0;
}

/* The node's configuration is skopeo's own to find, but for the variable that Podman reads and skopeo does not. */
static void add_common(struct args *a)
{
	const char *registries = getenv("CONTAINERS_REGISTRIES_CONF");
	add(a, "skopeo");
	add(a, "--tmpdir");
	add(a, ".");
	if (registries && *registries) {
		add(a, "--registries-conf");
		add(a, registries);
	}
}

/* The manifest stays what it is, byte for byte, so that its digest and the config's are those of the registry; so do layers that are
 * not compressed. (Storage keeps layers as folders: it no longer has what its manifests speak of.) Signatures are checked, but
 * a layout has no place for them. */
int fetch_copy(int work, const char *source, bool plain, struct fetch *out, struct err *e)
{
	struct args a = { 0 };
	add_common(&a);
	add(&a, "copy");
	add(&a, "-q");
	if (strncmp(source, STORAGE, strlen(STORAGE)))
		add(&a, "--preserve-digests");
	add(&a, "--remove-signatures");
	add(&a, "--dest-oci-accept-uncompressed-layers");
	if (plain)
		add(&a, "--src-tls-verify=false");
	add(&a, source);
	add(&a, "oci:" FETCH_LAYOUT ":pulled");
	return launch(&a, work, -1, out, e);
}

int fetch_manifest(int work, const char *source, bool plain, int file, struct fetch *out, struct err *e)
{
	struct args a = { 0 };
	add_common(&a);
	add(&a, "inspect");
	add(&a, "--raw");
	if (plain)
		add(&a, "--tls-verify=false");
	add(&a, source);
	return launch(&a, work, file, out, e);
}

void fetch_listen(struct fetch *f)
{
	char chunk[4096];
	ssize_t n;
	while (f->words >= 0 && (n = read(f->words, chunk, sizeof chunk)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			break;
		if (f->said.len + (size_t)n > WORDS_MAX)
			buf_drop_front(&f->said, f->said.len / 2);
		buf_put(&f->said, chunk, (size_t)n);
	}
	close_fd(&f->words);
}

/* Its status as waitpid gives it. */
static int reap(struct fetch *f)
{
	int status = W_EXITCODE(1, 0);
	kill(-f->pid, SIGKILL); /* helpers that it left behind, as long as the group's name cannot be another's */
	waitpid(f->pid, &status, WNOHANG); /* one that a dead disk holds is left to the end */
	f->pid = 0;
	fetch_listen(f);
	close_fd(&f->words);
	close_fd(&f->pidfd);
	return status;
}

int fetch_result(struct fetch *f, const char *reference, struct err *e)
{
	int status = reap(f);
	if (WIFSIGNALED(status))
		return err_set(e, EREMOTEIO, "skopeo was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	return WEXITSTATUS(status) ? failure_of(buf_str(&f->said), f->said.len, reference, e) : 0;
}

void fetch_kill(struct fetch *f)
{
	if (!f->pid)
		return;
	kill(-f->pid, SIGKILL);
	kill(f->pid, SIGKILL); /* it may not have its group yet */
	struct pollfd p = { .fd = f->pidfd, .events = POLLIN };
	poll(&p, 1, END_MS);
	reap(f);
}

void fetch_free(struct fetch *f)
{
	fetch_kill(f);
	buf_free(&f->said);
}
