/* The way to the kernel: see fuse.h.
 *
 * The only includer of libfuse. Names are never cached by the kernel (timeout 0) and attributes no longer than one open(2)
 * takes: what it shows is asked of the engine each time, so nothing has to be taken back when it changes.
 */
#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse_lowlevel.h>
#include <linux/fuse.h>

#include "fs/fuse.h"
#include "fs/fs.h"
#include "fs/ledger.h"
#include "fs/op.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>

#define MAX_WRITE (1u << 20)
#define ROUND 64            /* requests taken before others on the loop have their turn */
#define NOTIFY_RESEND 7     /* include/uapi/linux/fuse.h of Linux 6.9; older headers lack it */
#define STEP 2                  /* between the numbers of requests: FUSE_REQ_ID_STEP of the kernel's fs/fuse */
#define ABORT_MAX 100000        /* numbers that are tried, 0.3 us each */
#define UNIQUE_RESEND (1ull << 63) /* likewise: in the number of a request that is sent again */

struct session_fd {
	struct fs *fs;
	struct fuse_session *se;
	struct loop *loop;
	struct watch watch;
	struct fuse_buf buf;
	uint64_t first; /* number of the first request that came here; those below are another server's */
	const struct waiting *adopted; /* but for these, the newest first */
	size_t nadopted;
};

/* Of each operation, which it begins: from here on it is known who asks. */
static struct fs *fs_of(fuse_req_t req)
{
	struct fs *fs = ((struct session_fd *)fuse_req_userdata(req))->fs;
	fs->req = req;
	return fs;
}

/* --- replies --- */

struct caller req_caller(struct fuse_req *req)
{
	const struct fuse_ctx *c = fuse_req_ctx(req);
	return (struct caller){ .uid = c->uid, .gid = c->gid, .pid = c->pid };
}

bool req_in_group(struct fuse_req *req, gid_t gid)
{
	gid_t list[256];
	if (fuse_req_ctx(req)->gid == gid)
		return true;
	int n = fuse_req_getgroups(req, ARRAY_LEN(list), list);
	for (int i = 0; i < n && i < (int)ARRAY_LEN(list); i++)
		if (list[i] == gid)
			return true;
	return false;
}

bool req_interrupted(struct fuse_req *req)
{
	return fuse_req_interrupted(req);
}

void req_on_interrupt(struct fuse_req *req, void (*fn)(struct fuse_req *req, void *arg), void *arg)
{
	fuse_req_interrupt_func(req, fn, arg);
}

void reply(struct fuse_req *req, int r)
{
	fuse_reply_err(req, -r);
}

void reply_data(struct fuse_req *req, const void *mem, size_t len)
{
	fuse_reply_buf(req, mem, len);
}

void reply_written(struct fuse_req *req, size_t len)
{
	fuse_reply_write(req, len);
}

/* Seconds. Each walk by a path asks anew (a lookup brings attributes along); this only spares the same open the questions
 * that the kernel would ask again for each permission check and fstat: 3 of 10 round trips of a `cat status`. */
#define ATTR_TIMEOUT 0.005

static double attr_timeout(unsigned flags)
{
	return flags & OPEN_OWNSIZE ? 0 : ATTR_TIMEOUT;
}

void reply_attr(struct fuse_req *req, const struct stat *st, unsigned flags)
{
	fuse_reply_attr(req, st, attr_timeout(flags));
}

void reply_entry(struct fuse_req *req, uint64_t ino, const struct stat *st, unsigned flags)
{
	struct fuse_entry_param p = { .ino = ino, .attr = *st, .attr_timeout = attr_timeout(flags) };
	fuse_reply_entry(req, &p);
}

void reply_link(struct fuse_req *req, const char *target)
{
	fuse_reply_readlink(req, target);
}

void reply_poll(struct fuse_req *req, unsigned revents)
{
	fuse_reply_poll(req, revents);
}

void reply_statfs(struct fuse_req *req, uint64_t files)
{
	struct statvfs st = { .f_bsize = 4096, .f_frsize = 4096, .f_files = files, .f_namemax = 255 };
	fuse_reply_statfs(req, &st);
}

static uint32_t wire_flags(unsigned flags)
{
	return (flags & OPEN_DIRECT ? FOPEN_DIRECT_IO : 0u) | (flags & OPEN_NOFLUSH ? FOPEN_NOFLUSH : 0u) |
	       (flags & OPEN_STREAM ? FOPEN_STREAM : 0u) | (flags & (OPEN_STREAM | OPEN_NOSEEK) ? FOPEN_NONSEEKABLE : 0u);
}

/* libfuse 3.14 has no field for FOPEN_STREAM, so the kernel's own struct is sent. */
bool reply_open(struct fuse_req *req, uint64_t fh, unsigned flags)
{
	struct fuse_open_out out = { .fh = fh, .open_flags = wire_flags(flags) };
	return fuse_reply_buf(req, (const char *)&out, sizeof out) != -ENOENT;
}

bool reply_create(struct fuse_req *req, uint64_t ino, const struct stat *st, uint64_t fh, unsigned flags)
{
	struct fuse_entry_param p = { .ino = ino, .attr = *st, .attr_timeout = attr_timeout(flags) };
	struct fuse_file_info fi = { .fh = fh, .direct_io = !!(flags & OPEN_DIRECT), .noflush = !!(flags & OPEN_NOFLUSH) };
	return fuse_reply_create(req, &p, &fi) != -ENOENT;
}

size_t dirent_put(struct fuse_req *req, char *mem, size_t room, const char *name, uint64_t ino, mode_t type, off_t off)
{
	struct stat st = { .st_ino = ino, .st_mode = type };
	return fuse_add_direntry(req, mem, room, name, &st, off);
}

void poll_notify(struct fuse_pollhandle *ph)
{
	fuse_lowlevel_notify_poll(ph);
}

void poll_destroy(struct fuse_pollhandle *ph)
{
	fuse_pollhandle_destroy(ph);
}

/* --- operations: libfuse's shape into ours --- */

static void do_init(void *arg UNUSED, struct fuse_conn_info *conn)
{
	conn->max_write = MAX_WRITE;
	conn->max_readahead = MAX_WRITE;
	/* A log read through one buffer comes at 3.5 GB/s, spliced through a pipe at 1. */
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	op_lookup(fs_of(req), req, parent, name);
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	op_getattr(fs_of(req), req, ino, fi ? fi->fh : 0);
}

static void do_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	struct attr_change c = {
		.has_mode = to_set & FUSE_SET_ATTR_MODE, .has_uid = to_set & FUSE_SET_ATTR_UID,
		.has_gid = to_set & FUSE_SET_ATTR_GID, .has_size = to_set & FUSE_SET_ATTR_SIZE,
		.mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid, .size = (uint64_t)st->st_size,
		.fh = fi ? fi->fh : 0,
	};
	op_setattr(fs_of(req), req, ino, &c);
}

static void do_readlink(fuse_req_t req, fuse_ino_t ino)
{
	op_readlink(fs_of(req), req, ino);
}

static void do_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode UNUSED, dev_t dev UNUSED)
{
	op_refused(fs_of(req), req, parent, name);
}

static void do_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	op_mkdir(fs_of(req), req, parent, name, mode);
}

static void do_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	op_unlink(fs_of(req), req, parent, name);
}

static void do_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	op_rmdir(fs_of(req), req, parent, name);
}

static void do_symlink(fuse_req_t req, const char *target UNUSED, fuse_ino_t parent, const char *name)
{
	op_refused(fs_of(req), req, parent, name);
}

static void do_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to UNUSED, const char *newname UNUSED,
		      unsigned flags UNUSED)
{
	op_refused(fs_of(req), req, parent, name);
}

static void do_link(fuse_req_t req, fuse_ino_t ino UNUSED, fuse_ino_t parent, const char *name)
{
	op_refused(fs_of(req), req, parent, name);
}

static void do_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode UNUSED, struct fuse_file_info *fi)
{
	op_create(fs_of(req), req, parent, name, fi->flags);
}

static void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	op_open(fs_of(req), req, ino, fi->flags);
}

static void do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	/* Only a read(2) that bypasses the page cache says who asks (fs/fuse/file.c, fuse_send_read); libfuse hands the flag
	 * down as this number alone. */
	op_read(fs_of(req), req, ino, fi->fh, fi->flags, !fi->lock_owner, size, (uint64_t)off);
}

static void do_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off, struct fuse_file_info *fi)
{
	op_write(fs_of(req), req, ino, fi->fh, fi->flags, data, size, (uint64_t)off);
}

static void do_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	op_flush(fs_of(req), req, ino, fi->fh);
}

static void do_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	op_release(fs_of(req), req, ino, fi->fh, fi->flags);
}

static void do_fsync(fuse_req_t req, fuse_ino_t ino UNUSED, int data UNUSED, struct fuse_file_info *fi UNUSED)
{
	fuse_reply_err(req, 0);
}

static void do_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi UNUSED)
{
	op_opendir(fs_of(req), req, ino);
}

static void do_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	op_readdir(fs_of(req), req, ino, fi->fh, size, (uint64_t)off);
}

static void do_releasedir(fuse_req_t req, fuse_ino_t ino UNUSED, struct fuse_file_info *fi)
{
	op_releasedir(fs_of(req), req, fi->fh);
}

static void do_statfs(fuse_req_t req, fuse_ino_t ino UNUSED)
{
	op_statfs(fs_of(req), req);
}

static void do_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	op_poll(fs_of(req), req, ino, fi->fh, ph);
}

/* What is missing is answered ENOSYS, which the kernel remembers and does itself or refuses: access (default_permissions),
 * extended attributes, locks, lseek, fallocate, ioctl. */
static const struct fuse_lowlevel_ops ops = {
	.init = do_init, .lookup = do_lookup, .getattr = do_getattr, .setattr = do_setattr, .readlink = do_readlink,
	.mknod = do_mknod, .mkdir = do_mkdir, .unlink = do_unlink, .rmdir = do_rmdir, .symlink = do_symlink,
	.rename = do_rename, .link = do_link, .open = do_open, .read = do_read, .write = do_write, .flush = do_flush,
	.release = do_release, .fsync = do_fsync, .fsyncdir = do_fsync, .opendir = do_opendir, .readdir = do_readdir,
	.releasedir = do_releasedir, .statfs = do_statfs, .create = do_create, .poll = do_poll,
};

/* --- session --- */

bool fuse_gone(const struct session_fd *s)
{
	return fuse_session_exited(s->se);
}

/* libfuse does not say the number. */
static void note_request(struct session_fd *s)
{
	const struct fuse_in_header *in = s->buf.mem;
	s->fs->request = in->unique & ~UNIQUE_RESEND;
	s->fs->again = in->unique & UNIQUE_RESEND;
	s->fs->message = in;
	if (in->opcode == FUSE_INTERRUPT)
		return; /* its number is that of the request it is about, plus one */
	if (!s->first)
		s->first = s->fs->request;
	if (s->fs->ledger)
		ledger_seen(s->fs->ledger, s->fs->request);
	const struct fuse_poll_in *poll = (const void *)(in + 1);
	if (in->opcode == FUSE_POLL && poll->flags & FUSE_POLL_SCHEDULE_NOTIFY && s->fs->ledger)
		ledger_poller(s->fs->ledger, poll->kh);
}

static bool answer_number(const struct session_fd *s, uint64_t number, int error)
{
	struct fuse_out_header out = { .len = sizeof out, .error = error, .unique = number };
	return write(s->watch.fd, &out, sizeof out) == sizeof out;
}

/* Of the server before, and taken over from the ledger. */
static bool is_adopted(const struct session_fd *s, uint64_t number)
{
	for (size_t i = 0; i < s->nadopted; i++)
		if (s->adopted[i].request == number)
			return true;
	return false;
}

/* A caller wants back what a server that is gone had taken and will never answer; not even SIGKILL would end the wait. */
static bool interrupts_another(struct session_fd *s)
{
	const struct fuse_in_header *in = s->buf.mem;
	const struct fuse_interrupt_in *it = (const void *)(in + 1);
	bool others = in->opcode == FUSE_INTERRUPT && (!s->first || it->unique < s->first) && !is_adopted(s, it->unique);
	return others && answer_number(s, it->unique, -EINTR);
}

static void on_readable(struct watch *w, uint32_t events UNUSED)
{
	struct session_fd *s = container_of(w, struct session_fd, watch);
	for (int i = 0; i < ROUND; i++) {
		int n = fuse_session_receive_buf(s->se, &s->buf);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		note_request(s);
		if (!interrupts_another(s))
			fuse_session_process_buf(s->se, &s->buf);
		s->fs->req = NULL;
	}
	if (fuse_session_exited(s->se))
		s->loop->stop = true;
}

/* The kernel sends INIT once a mount. A second server makes it up for libfuse; the answer goes to a request that the
 * kernel does not know (its numbers are even and small) and is dropped there. */
static void init_again(struct session_fd *s)
{
	struct {
		struct fuse_in_header head;
		struct fuse_init_in init;
	} msg = {
		.head = { .len = sizeof msg, .opcode = FUSE_INIT, .unique = ~1ull },
		.init = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_readahead = MAX_WRITE,
			  .flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_AUTO_INVAL_DATA |
				   FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV | FUSE_ASYNC_DIO | FUSE_MAX_PAGES },
	};
	struct fuse_buf b = { .size = sizeof msg, .mem = &msg };
	fuse_session_process_buf(s->se, &b);
}

static void abort_others(const struct session_fd *s)
{
	uint64_t newest = ledger_newest(s->fs->ledger);
	size_t next = 0;
	for (uint64_t i = 0; i < ABORT_MAX && newest > i * STEP; i++) {
		uint64_t number = newest - i * STEP;
		while (next < s->nadopted && s->adopted[next].request > number)
			next++;
		if (next == s->nadopted || s->adopted[next].request != number)
			answer_number(s, number, -ECONNABORTED);
	}
}

static void adopt_waiting(struct session_fd *s)
{
	for (size_t i = s->nadopted; i--;) {
		struct waiting w = s->adopted[i];
		const struct fuse_in_header *in = (const void *)w.message;
		struct fuse_buf b = { .size = in->len, .mem = w.message };
		s->fs->request = w.request;
		s->fs->again = true;
		s->fs->message = in;
		fuse_session_process_buf(s->se, &b);
	}
}

/* What the last server had taken and not answered comes again (Linux 6.9). Older kernels refuse the word: then what waits is taken
 * over from the ledger, and all else fails. */
static void ask_again(struct session_fd *s)
{
	if (answer_number(s, 0, NOTIFY_RESEND) || !s->fs->ledger)
		return;
	s->nadopted = ledger_waiting(s->fs->ledger, &s->adopted);
	abort_others(s);
	adopt_waiting(s);
}

/* Who polls has been promised a word by a server that is gone, and asks again when he gets it. */
static void wake_poller(void *arg, uint64_t kh)
{
	struct session_fd *s = arg;
	struct {
		struct fuse_out_header head;
		struct fuse_notify_poll_wakeup_out body;
	} msg = { { .len = sizeof msg, .error = FUSE_NOTIFY_POLL }, { .kh = kh } };
	if (write(s->watch.fd, &msg, sizeof msg) < 0)
		return; /* its file has been closed meanwhile */
}

static int attach(struct session_fd *s, int fd, bool again, struct err *e)
{
	char name[32];
	snprintf(name, sizeof name, "/dev/fd/%d", fd); /* libfuse's way to say: this is mounted already */
	if (fuse_session_mount(s->se, name))
		return err_set(e, EBADF, "descriptor %d is not /dev/fuse", fd);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	s->watch = (struct watch){ .fd = fd, .fn = on_readable };
	int r = loop_add(s->loop, &s->watch, EPOLLIN);
	if (r)
		return err_sys(e, -r, "descriptor %d", fd);
	if (again) {
		init_again(s);
		ask_again(s);
		if (s->fs->ledger)
			ledger_pollers(s->fs->ledger, wake_poller, s);
	}
	return 0;
}

int fuse_open(struct fs *fs, struct loop *loop, int fd, bool again, struct session_fd **out, struct err *e)
{
	struct session_fd *s = calloc(1, sizeof *s);
	char *argv[] = { (char[]){ "podfs" }, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	*s = (struct session_fd){ .fs = fs, .loop = loop, .watch.fd = -1 };
	s->se = fuse_session_new(&args, &ops, sizeof ops, s);
	fuse_opt_free_args(&args);
	if (!s->se) {
		free(s);
		return err_set(e, ENOMEM, "libfuse: no session");
	}
	int r = attach(s, fd, again, e);
	if (r)
		fuse_close(s);
	else
		*out = s;
	return r;
}

void fuse_close(struct session_fd *s)
{
	loop_del(s->loop, &s->watch);
	fuse_session_destroy(s->se);
	free(s->buf.mem);
	free(s);
}
