/* Layers being unpacked, each by a process of its own: see workers.h.
 *
 * A worker is cloned with a pidfd: its end can be polled for, and signals to it need no right to send any to others. What it
 * found out it writes into memory shared with its parent before it exits.
 */
#include "runtime/image/workers.h"

#include "runtime/base/util.h"
#include "runtime/image/tar.h"
#include "runtime/image/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* What workers and their parent share. */
struct shared {
	uint64_t left, entries; /* that all of them may still unpack */
	uint64_t bytes;         /* of blobs, read by all of them */
	struct slot {
		struct growth growth;
		struct unpacked out; /* filled when it exits with 0 */
	} slots[WORKERS_MAX];
};

struct worker {
	unsigned id; /* 0: free */
	int pidfd, wake;
	bool killed;
};

struct workers {
	struct work *work;
	struct shared *shared;
	int epfd; /* has the pidfds, each with its place in v */
	unsigned last_id, running;
	struct worker v[WORKERS_MAX];
};

int workers_new(struct work *w, uint64_t max, struct workers **out, struct err *e)
{
	struct workers *ws = calloc(1, sizeof *ws);
	if (!ws)
		return err_set(e, ENOMEM, "not enough memory");
	ws->work = w;
	ws->epfd = epoll_create1(EPOLL_CLOEXEC);
	ws->shared = mmap(NULL, sizeof *ws->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ws->epfd < 0 || ws->shared == MAP_FAILED) {
		int r = err_sys(e, errno, "cannot watch processes");
		workers_free(ws);
		return r;
	}
	ws->shared->left = max;
	ws->shared->entries = UNPACK_ENTRIES_MAX;
	*out = ws;
	return 0;
}

bool workers_busy(const struct workers *ws)
{
	return ws->running == WORKERS_MAX;
}

unsigned workers_running(const struct workers *ws)
{
	return ws->running;
}

int workers_fd(const struct workers *ws)
{
	return ws->epfd;
}

uint64_t workers_bytes(const struct workers *ws)
{
	return __atomic_load_n(&ws->shared->bytes, __ATOMIC_RELAXED);
}

/* --- in the worker --- */

static int apply(struct workers *ws, struct tar *t, struct unpacked *u, struct err *e)
{
	char name[16];
	snprintf(name, sizeof name, "l.%u", u->id);
	if (mkdirat(ws->work->fd, name, 0755))
		return err_sys(e, errno, "cannot make its folder");
	_cleanup_close_ int root = openat(ws->work->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (root < 0)
		return err_sys(e, errno, "cannot open its folder");
	int r = unpack_layer(root, ws->work->fd, t, &ws->shared->entries, e);
	if (!r)
		r = tar_drain(t, e);
	if (!r)
		tar_sizes(t, &u->blob_size, &u->size);
	return r;
}

static int unpack(struct workers *ws, int fd, struct growth *growth, struct unpacked *u, struct err *e)
{
	_cleanup_digest_ struct digest blob = { 0 }, plain = { 0 };
	_cleanup_tar_ struct tar *t = NULL;
	int r = digest_begin(&blob, e);
	if (!r)
		r = digest_begin(&plain, e);
	struct tar_source src = {
		.fd = fd, .growth = growth, .blob = &blob, .count = &ws->shared->bytes, .left = &ws->shared->left, .plain = &plain,
	};
	if (!r)
		r = tar_open(&src, &t, e);
	if (!r)
		r = apply(ws, t, u, e);
	if (!r)
		r = digest_end(&blob, u->blob, e);
	return r ? r : digest_end(&plain, u->diff_id, e);
}

static void work(struct workers *ws, unsigned at, int fd, bool grows)
{
	struct slot *s = &ws->shared->slots[at];
	struct unpacked u = { .id = ws->v[at].id };
	int r = unpack(ws, fd, grows ? &s->growth : NULL, &u, &u.err);
	if (r && !u.err.code)
		err_sys(&u.err, -r, "cannot unpack it");
	s->out = u;
}

/* --- in its parent --- */

/* As fork does, with a pidfd. */
static pid_t clone_worker(int *pidfd)
{
	return (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, pidfd, NULL, NULL);
}

static int launch(struct workers *ws, unsigned at, int fd, bool grows)
{
	struct worker *w = &ws->v[at];
	pid_t parent = getpid(), pid = clone_worker(&w->pidfd);
	if (pid)
		return pid < 0 ? -errno : 0;
	/* It ends with its parent, and holds the lock of the work folder until then. */
	if (set_death_signal(SIGKILL) || getppid() != parent)
		_exit(1);
	work(ws, at, fd, grows);
	_exit(0);
}

static void forget(struct workers *ws, struct worker *w)
{
	if (w->pidfd >= 0)
		epoll_ctl(ws->epfd, EPOLL_CTL_DEL, w->pidfd, NULL);
	close_fd(&w->pidfd);
	close_fd(&w->wake);
	w->id = 0;
}

static int reap(struct worker *w, siginfo_t *si)
{
	int r;
	do {
		r = waitid(P_PIDFD, (id_t)w->pidfd, si, WEXITED);
	} while (r && errno == EINTR);
	return r;
}

static void end(struct workers *ws, struct worker *w)
{
	siginfo_t si;
	syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
	reap(w, &si);
	forget(ws, w);
	ws->running--;
}

static unsigned free_slot(const struct workers *ws)
{
	unsigned at = 0;
	while (at < WORKERS_MAX && ws->v[at].id)
		at++;
	return at;
}

int workers_start(struct workers *ws, int blob, bool grows, struct err *e)
{
	unsigned at = free_slot(ws);
	if (at == WORKERS_MAX)
		return err_set(e, EAGAIN, "%d layers are being unpacked", WORKERS_MAX);
	struct worker *w = &ws->v[at];
	*w = (struct worker){ .id = ++ws->last_id, .pidfd = -1, .wake = eventfd(0, EFD_CLOEXEC) };
	if (w->wake < 0) {
		w->id = 0;
		return err_sys(e, errno, "cannot start to unpack");
	}
	memset(&ws->shared->slots[at], 0, sizeof ws->shared->slots[at]);
	ws->shared->slots[at].growth.wake = w->wake;
	int r = launch(ws, at, blob, grows);
	if (r) {
		forget(ws, w);
		return err_sys(e, -r, "cannot start to unpack");
	}
	ws->running++;
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = at };
	if (epoll_ctl(ws->epfd, EPOLL_CTL_ADD, w->pidfd, &ev)) {
		r = err_sys(e, errno, "cannot watch an unpacker");
		end(ws, w);
		return r;
	}
	return (int)w->id;
}

static struct worker *find(struct workers *ws, unsigned id)
{
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		if (id && ws->v[i].id == id)
			return &ws->v[i];
	return NULL;
}

void workers_more(struct workers *ws, unsigned id)
{
	struct worker *w = find(ws, id);
	if (w)
		eventfd_write(w->wake, 1);
}

void workers_complete(struct workers *ws, unsigned id)
{
	struct worker *w = find(ws, id);
	if (!w)
		return;
	__atomic_store_n(&ws->shared->slots[w - ws->v].growth.complete, 1, __ATOMIC_RELEASE);
	eventfd_write(w->wake, 1);
}

void workers_kill(struct workers *ws, unsigned id)
{
	struct worker *w = find(ws, id);
	if (!w)
		return;
	w->killed = true;
	syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
}

/* What it left in shared memory, where others could write too. */
static bool is_sane(const struct unpacked *u, const struct worker *w)
{
	if (u->id != w->id || u->err.code < 0 || !memchr(u->err.text, 0, sizeof u->err.text))
		return false;
	return u->err.code || (digest_is_hex(u->blob, strnlen(u->blob, sizeof u->blob)) &&
			       digest_is_hex(u->diff_id, strnlen(u->diff_id, sizeof u->diff_id)));
}

static void conclude(struct workers *ws, struct worker *w, struct unpacked *out)
{
	siginfo_t si = { 0 };
	int r = reap(w, &si);
	*out = ws->shared->slots[w - ws->v].out;
	struct err *e = &out->err;
	if (w->killed)
		err_set(e, ECANCELED, "cancelled");
	else if (!r && si.si_code != CLD_EXITED)
		err_set(e, EIO, "the unpacker was ended by signal %d (%s)", si.si_status, strsignal(si.si_status));
	else if (r || si.si_status || !is_sane(out, w))
		err_set(e, EIO, "the unpacker ended without a word");
	out->id = w->id;
	forget(ws, w);
	ws->running--;
}

int workers_next(struct workers *ws, struct unpacked *out)
{
	struct epoll_event ev;
	if (epoll_wait(ws->epfd, &ev, 1, 0) != 1)
		return 0;
	conclude(ws, &ws->v[ev.data.u32], out);
	char name[16];
	snprintf(name, sizeof name, "l.%u", out->id);
	if (out->err.code)
		remove_tree_at(ws->work->fd, name);
	return 1;
}

void workers_free(struct workers *ws)
{
	if (!ws)
		return;
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		if (ws->v[i].id)
			end(ws, &ws->v[i]);
	close_fd(&ws->epfd);
	if (ws->shared != MAP_FAILED)
		munmap(ws->shared, sizeof *ws->shared);
	free(ws);
}
