/* The store's folders and its lock: see disk.h. */
#include "runtime/image/disk.h"

#include "runtime/base/util.h"
#include "runtime/image/record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

static int open_folder(int at, const char *name, int *out, struct err *e)
{
	if (mkdirat(at, name, 0700) && errno != EEXIST)
		return err_sys(e, errno, "cannot make the folder %s", name);
	*out = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *out < 0 ? err_sys(e, errno, "cannot open the folder %s", name) : 0;
}

/* Below n->root. */
static int open_parts(struct disk *n, struct err *e)
{
	int r = open_folder(n->root, "layers", &n->layers, e);
	if (!r)
		r = open_folder(n->root, "refs", &n->refs, e);
	if (!r)
		r = open_folder(n->root, "tmp", &n->tmp, e);
	if (!r) {
		n->lock = openat(n->root, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (n->lock < 0)
			r = err_sys(e, errno, "cannot open the store's lock");
	}
	return r;
}

int disk_open(const char *state, struct disk *d, struct err *e)
{
	struct disk n = { -1, -1, -1, -1, -1 };
	_cleanup_close_ int at = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return err_sys(e, errno, "cannot open the state directory %s", state);
	int r = open_folder(at, "images", &n.root, e);
	if (!r)
		r = open_parts(&n, e);
	if (r)
		disk_close(&n);
	else
		*d = n;
	return r;
}

int disk_open_again(struct disk *d, struct work *w, struct err *e)
{
	struct disk n = { open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), -1, -1, -1, -1 };
	int r = n.root < 0 ? err_sys(e, errno, "cannot open the store") : open_parts(&n, e), work = -1;
	if (!r && w && w->fd >= 0)
		r = open_folder(n.tmp, w->name, &work, e);
	if (r) {
		disk_close(&n);
		return r;
	}
	disk_close(d);
	*d = n;
	if (work >= 0) {
		close_fd(&w->fd);
		w->fd = work;
	}
	return 0;
}

void disk_close(struct disk *d)
{
	close_fd(&d->lock);
	close_fd(&d->tmp);
	close_fd(&d->refs);
	close_fd(&d->layers);
	close_fd(&d->root);
}

DIR *disk_list(int fd)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	if (!d && own >= 0)
		close(own);
	return d;
}

static int lock_fd(int fd, int how, struct err *e)
{
	return flock(fd, how) ? err_sys(e, errno, "cannot lock the image store") : 0;
}

int disk_lock_shared(struct disk *d, struct err *e)
{
	return lock_fd(d->lock, LOCK_SH, e);
}

int disk_lock_exclusive(struct disk *d, struct err *e)
{
	return lock_fd(d->lock, LOCK_EX, e);
}

void disk_unlock(struct disk *d)
{
	flock(d->lock, LOCK_UN);
}

static void random_name(char out[33])
{
	unsigned char b[16] = { 0 };
	if (getrandom(b, sizeof b, 0) != sizeof b)
		memcpy(b, &(uint64_t[]){ now_mono_ns(), (uint64_t)getpid() }, sizeof b);
	for (size_t i = 0; i < sizeof b; i++)
		sprintf(out + 2 * i, "%02x", b[i]);
}

static int make_work(struct disk *d, struct work *w, struct err *e)
{
	struct work n = { .fd = -1, .lock = -1 };
	random_name(n.name);
	int r = open_folder(d->tmp, n.name, &n.fd, e);
	if (r)
		return r;
	n.lock = openat(n.fd, "lock", O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	r = n.lock < 0 ? err_sys(e, errno, "cannot lock a work folder") : lock_fd(n.lock, LOCK_EX | LOCK_NB, e);
	if (r) {
		work_close(d, &n);
		return r;
	}
	*w = n;
	return 0;
}

int work_open(struct disk *d, struct work *w, struct err *e)
{
	/* A sweep runs under the exclusive lock, so it never meets a folder that is not yet held. */
	struct work aside = { .fd = -1 };
	int r = 0;
	if (!flock(d->lock, LOCK_EX | LOCK_NB))
		r = disk_sweep(d, &aside, e);
	else
		r = disk_lock_shared(d, e);
	if (!r)
		r = make_work(d, w, e);
	disk_unlock(d);
	work_close(d, &aside);
	return r;
}

void work_close(struct disk *d, struct work *w)
{
	if (w->fd < 0)
		return;
	remove_tree_at(d->tmp, w->name);
	close_fd(&w->fd);
	close_fd(&w->lock);
}

/* 1: dead or no work folder at all, 0: somebody works in it. */
static int is_dead(int tmp, const char *name)
{
	_cleanup_close_ int dir = openat(tmp, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int fd = dir < 0 ? -1 : openat(dir, "lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 || !flock(fd, LOCK_EX | LOCK_NB);
}

/* On a disk that has no room for one more folder. */
static int remove_now(struct disk *d, int from, const char *name)
{
	char to[33];
	random_name(to);
	return renameat(from, name, d->tmp, to) ? -errno : remove_tree_at(d->tmp, to);
}

/* Who has just ended removes its work folder without the lock, and may be quicker. */
static int move_aside(struct disk *d, int from, const char *name, struct work *aside, struct err *e)
{
	int r;
	if (aside->fd < 0 && make_work(d, aside, NULL))
		r = remove_now(d, from, name);
	else
		r = renameat(from, name, aside->fd, name) ? -errno : 0;
	return r && r != -ENOENT ? err_sys(e, -r, "cannot remove %s", name) : 0;
}

int disk_sweep(struct disk *d, struct work *aside, struct err *e)
{
	_cleanup_dir_ DIR *dir = disk_list(d->tmp);
	if (!dir)
		return err_sys(e, errno, "cannot list the folder tmp");
	struct dirent *de;
	int r = 0;
	while (!r && (de = readdir(dir)))
		if (de->d_name[0] != '.' && is_dead(d->tmp, de->d_name))
			r = move_aside(d, d->tmp, de->d_name, aside, e);
	return r;
}

static int add_layers(struct strs *used, const struct image *img, struct err *e)
{
	for (size_t i = 0; i < img->layers.n; i++)
		if (strs_add(used, img->layers.v[i], strlen(img->layers.v[i])))
			return err_set(e, ENOMEM, "not enough memory");
	return 0;
}

static int layers_in_use(struct disk *d, struct strs *used, struct err *e)
{
	_cleanup_dir_ DIR *dir = disk_list(d->refs);
	if (!dir)
		return err_sys(e, errno, "cannot list the folder refs");
	struct dirent *de;
	while ((de = readdir(dir))) {
		if (!record_is_name(de->d_name))
			continue;
		struct image *img;
		int r = record_load(d->refs, de->d_name, &img, e);
		if (!r) {
			r = add_layers(used, img, e);
			image_free(img);
		}
		if (r)
			return r;
	}
	return 0;
}

/* By rename: what is in layers/ is whole, also after a crash in here. Whoever uses it goes on doing so. */
static int take_out(struct disk *d, const char *name, struct work *aside, struct err *e)
{
	_cleanup_close_ int fd = openat(d->layers, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? 0 : err_sys(e, errno, "cannot lock layer %s", name);
	return move_aside(d, d->layers, name, aside, e);
}

static bool has(const struct strs *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->v[i], s))
			return true;
	return false;
}

static int take_unused(struct disk *d, const struct strs *used, const struct strs *only, struct work *aside,
		       struct err *e)
{
	_cleanup_dir_ DIR *dir = disk_list(d->layers);
	if (!dir)
		return err_sys(e, errno, "cannot list the folder layers");
	struct dirent *de;
	while ((de = readdir(dir))) {
		bool keep = de->d_name[0] == '.' || has(used, de->d_name) || (only && !has(only, de->d_name));
		int r = keep ? 0 : take_out(d, de->d_name, aside, e);
		if (r)
			return r;
	}
	return 0;
}

int disk_collect(struct disk *d, const struct strs *only, struct work *aside, struct err *e)
{
	struct strs used = { 0 };
	int r = layers_in_use(d, &used, e);
	if (!r)
		r = take_unused(d, &used, only, aside, e);
	strs_free(&used);
	return r;
}
