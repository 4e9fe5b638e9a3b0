/* A layer's archive applied to an empty folder: see unpack.h. */
#include "runtime/image/unpack.h"

#include "runtime/base/util.h"
#include "runtime/image/beneath.h"
#include "runtime/image/names.h"
#include "runtime/image/node.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct unpack {
	struct beneath at;
	struct tar *tar;
	FILE *notes; /* times of folders, set when nothing is put into them any more: struct note and name */
	uint64_t *entries;
};

struct note {
	struct timespec mtime;
	ino_t ino;
	size_t len; /* of the name behind it, without a NUL */
};

static int note_time(struct unpack *u, const char *name, ino_t ino, const struct tar_entry *te, struct err *e)
{
	struct note n = { te->mtime, ino, strlen(name) };
	if (fwrite(&n, sizeof n, 1, u->notes) != 1 || fwrite(name, 1, n.len, u->notes) != n.len)
		return err_sys(e, errno, "cannot store the times of folders");
	return 0;
}

/* By then a later entry may have put something else, or a link to elsewhere, in the folder's place. */
static int set_noted(struct unpack *u, const struct note *n, const char *name, struct err *e)
{
	const struct timespec times[2] = { n->mtime, n->mtime };
	struct stat st;
	int fd = beneath_folder(&u->at, name, false, NULL);
	if (fd < 0 || fstat(fd, &st) || st.st_ino != n->ino)
		return 0;
	return utimensat(fd, ".", times, 0) ? err_sys(e, errno, "%.200s: cannot set the time", name) : 0;
}

static int set_times(struct unpack *u, struct err *e)
{
	struct note n;
	char name[PATH_MAX];
	int r = 0;
	if (fflush(u->notes) || fseeko(u->notes, 0, SEEK_SET))
		return err_sys(e, errno, "cannot store the times of folders");
	while (!r && fread(&n, sizeof n, 1, u->notes) == 1) {
		if (n.len >= sizeof name || fread(name, 1, n.len, u->notes) != n.len)
			return err_set(e, EIO, "cannot read the times of folders");
		name[n.len] = 0;
		r = set_noted(u, &n, name, e);
	}
	if (!r && ferror(u->notes))
		r = err_set(e, EIO, "cannot read the times of folders");
	return r;
}

/* The folder that holds name's last part. */
static int parent_of(struct unpack *u, const char *name, bool create, struct err *e)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(name, '/');
	snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - name) : 0, name);
	return beneath_folder(&u->at, dir, create, e);
}

static int set_root(struct unpack *u, const struct tar_entry *te, struct err *e)
{
	if (te->type != S_IFDIR || te->link)
		return err_set(e, EINVAL, "the root is no folder");
	ino_t ino;
	int r = node_set_folder(u->at.root, u->tar, te, &ino, e);
	return r ? r : note_time(u, "", ino, te, e);
}

/* What the layer itself brings under that name stays (OCI layer.md: a whiteout hides lower layers only); a
 * folder of its own then has nothing of theirs in it. */
static int hide(struct unpack *u, const char *name, const char *base, struct err *e)
{
	bool replaced = false;
	int folder = parent_of(u, name, true, e);
	if (folder < 0)
		return folder;
	struct stat st;
	if (fstatat(folder, base, &st, AT_SYMLINK_NOFOLLOW)) {
		struct node_in n = { folder, base, &replaced };
		return node_whiteout(&n, e);
	}
	if (!S_ISDIR(st.st_mode))
		return 0;
	_cleanup_close_ int fd = openat(folder, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open the folder") : beneath_set_opaque(fd, e);
}

static int make_opaque(struct unpack *u, const char *name, struct err *e)
{
	int folder = parent_of(u, name, true, e);
	if (folder < 0)
		return folder;
	/* The attribute cannot be set through an O_PATH descriptor. */
	_cleanup_close_ int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open the folder") : beneath_set_opaque(fd, e);
}

/* The target is a name in the layer; some archives put a slash before it. */
static int hard_link(struct unpack *u, const char *name, const char *base, const char *link, struct err *e)
{
	char target[PATH_MAX];
	int r = name_clean(link + strspn(link, "/"), target, e);
	if (r)
		return err_prefix(e, "a hard link to");
	int folder = parent_of(u, target, false, e);
	if (folder < 0)
		return err_set(e, EINVAL, "a hard link to something that is not in the layer");
	/* Two folders at once: a descriptor of its own for the target's. */
	_cleanup_close_ int from = openat(folder, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return err_sys(e, errno, "cannot open the folder of %.200s", target);
	folder = parent_of(u, name, true, e);
	if (folder < 0)
		return folder;
	bool replaced = false;
	struct node_in n = { folder, base, &replaced };
	const char *slash = strrchr(target, '/');
	r = node_link(&n, from, slash ? slash + 1 : target, e);
	if (replaced)
		beneath_forget(&u->at);
	return r;
}

static int make_node(struct unpack *u, const char *name, const struct node_in *n, const struct tar_entry *te,
		     struct err *e)
{
	switch (te->type) {
	case S_IFREG:
		return node_file(n, u->tar, te, e);
	case S_IFDIR: {
		ino_t ino;
		int r = node_folder(n, u->tar, te, &ino, e);
		return r ? r : note_time(u, name, ino, te, e);
	}
	case S_IFLNK:
		return node_symlink(n, u->tar, te, e);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
		return node_special(n, u->tar, te, e);
	}
	return err_set(e, EINVAL, "neither file, folder, link, device nor FIFO");
}

static int plain(struct unpack *u, const char *name, const char *base, const struct tar_entry *te, struct err *e)
{
	if (!*name)
		return set_root(u, te, e);
	if (te->hardlink)
		return hard_link(u, name, base, te->link, e);
	int folder = parent_of(u, name, true, e);
	if (folder < 0)
		return folder;
	bool replaced = false;
	struct node_in n = { folder, base, &replaced };
	int r = make_node(u, name, &n, te, e);
	if (replaced)
		beneath_forget(&u->at);
	return r;
}

static int apply(struct unpack *u, const struct tar_entry *te, struct err *e)
{
	char name[PATH_MAX];
	const char *base;
	enum name_kind kind;
	int r = name_clean(te->name, name, e);
	if (!r)
		r = name_kind(name, &kind, &base, e);
	if (r)
		return r;
	switch (kind) {
	case NAME_PLAIN:
		r = plain(u, name, base, te, e);
		break;
	case NAME_WHITEOUT:
		r = hide(u, name, base, e);
		break;
	case NAME_OPAQUE:
		r = make_opaque(u, name, e);
		break;
	case NAME_AUFS:
		break;
	}
	return r ? err_prefix(e, "%.200s", *name ? name : ".") : 0;
}

static int apply_all(struct unpack *u, struct err *e)
{
	struct tar_entry te;
	int r = 0;
	while (!r && (r = tar_next(u->tar, &te, e)) > 0)
		r = tar_take(u->entries, 1) ? apply(u, &te, e) :
			err_set(e, E2BIG, "more than %d entries", UNPACK_ENTRIES_MAX);
	return r ? r : set_times(u, e);
}

/* Others may be at work in scratch; nobody else needs the file's name. */
static FILE *open_notes(int scratch)
{
	char name[32];
	snprintf(name, sizeof name, "notes.%d", (int)getpid());
	_cleanup_close_ int fd = openat(scratch, name, O_CREAT | O_TRUNC | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
	FILE *f = fd < 0 || unlinkat(scratch, name, 0) ? NULL : fdopen(fd, "w+e");
	if (f)
		take_fd(&fd);
	return f;
}

int unpack_layer(int root, int scratch, struct tar *t, uint64_t *entries, struct err *e)
{
	_cleanup_file_ FILE *notes = open_notes(scratch);
	if (!notes)
		return err_sys(e, errno, "cannot store the times of folders");
	struct unpack u = { .at = { .root = root, .folder = -1 }, .tar = t, .notes = notes, .entries = entries };
	int r = apply_all(&u, e);
	beneath_forget(&u.at);
	return r;
}
