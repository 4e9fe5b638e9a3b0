/* One layer of the store: see layer.h. */
#include "runtime/image/layer.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* On the layer's root, which containers see without trusted attributes (xattr(7)). */
#define SIZE_XATTR "trusted.podfs.size" /* plain bytes, in digits */
#define BLOB_XATTR "trusted.podfs.blob" /* `HEX BYTES` of what it was unpacked from */

#define FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static bool is_there(int folder, const char *name)
{
	struct stat st;
	return !fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW);
}

bool layer_is_there(struct disk *d, struct work *w, const char *diff_id)
{
	return is_there(d->layers, diff_id) || is_there(w->fd, diff_id);
}

static int note(int root, const char *name, const char *text, struct err *e)
{
	return fsetxattr(root, name, text, strlen(text), 0) ? err_sys(e, errno, "cannot note what the layer is") : 0;
}

int layer_keep(struct work *w, const struct unpacked *u, struct err *e)
{
	char name[16], size[24], blob[DIGEST_HEX + 24];
	snprintf(name, sizeof name, "l.%u", u->id);
	snprintf(size, sizeof size, "%llu", (unsigned long long)u->size);
	snprintf(blob, sizeof blob, "%s %llu", u->blob, (unsigned long long)u->blob_size);
	_cleanup_close_ int root = openat(w->fd, name, FOLDER);
	if (root < 0)
		return err_sys(e, errno, "cannot open the layer's folder");
	int r = note(root, SIZE_XATTR, size, e);
	if (!r)
		r = note(root, BLOB_XATTR, blob, e);
	if (r || !renameat2(w->fd, name, w->fd, u->diff_id, RENAME_NOREPLACE))
		return r;
	if (errno != EEXIST)
		return err_sys(e, errno, "cannot keep layer %s", u->diff_id);
	r = remove_tree_at(w->fd, name);
	return r ? err_sys(e, -r, "cannot remove the second of two equal layers") : 0;
}

/* The value of an attribute, as text; empty when it has none. */
static void read_note(int root, const char *name, char *out, size_t room)
{
	ssize_t n = fgetxattr(root, name, out, room - 1);
	out[n < 0 ? 0 : n] = 0;
}

static bool read_digits(const char *text, uint64_t *out)
{
	char *end;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

static bool read_blob(int root, char hex[DIGEST_HEX + 1], uint64_t *size)
{
	char text[DIGEST_HEX + 24];
	read_note(root, BLOB_XATTR, text, sizeof text);
	char *blank = strchr(text, ' ');
	if (!blank || !digest_is_hex(text, (size_t)(blank - text)) || !read_digits(blank + 1, size))
		return false;
	memcpy(hex, text, DIGEST_HEX);
	hex[DIGEST_HEX] = 0;
	return true;
}

static bool is_layer_name(const char *name)
{
	return digest_is_hex(name, strlen(name));
}

int layer_each(struct disk *d, layer_fn *fn, void *arg, struct err *e)
{
	_cleanup_dir_ DIR *dir = disk_list(d->layers);
	if (!dir)
		return err_sys(e, errno, "cannot list the layers");
	struct dirent *de;
	int r = 0;
	while (!r && (de = readdir(dir))) {
		char blob[DIGEST_HEX + 1];
		uint64_t size;
		_cleanup_close_ int root = is_layer_name(de->d_name) ? openat(d->layers, de->d_name, FOLDER) : -1;
		if (root >= 0 && read_blob(root, blob, &size))
			r = fn(arg, de->d_name, blob, size);
	}
	return r;
}

/* EEXIST: another import was quicker. */
static int publish(struct disk *d, struct work *w, const char *diff_id, struct err *e)
{
	if (!renameat2(w->fd, diff_id, d->layers, diff_id, RENAME_NOREPLACE) || errno == EEXIST)
		return 0;
	return err_sys(e, errno, "cannot store layer %s", diff_id);
}

typedef int name_fn(struct disk *d, struct work *w, const char *diff_id, struct err *e);

/* fn for each whole layer of the work folder; returns how many, or what fn returned. */
static int each_kept(struct disk *d, struct work *w, name_fn *fn, struct err *e)
{
	_cleanup_dir_ DIR *dir = disk_list(w->fd);
	if (!dir)
		return err_sys(e, errno, "cannot list the unpacked layers");
	struct dirent *de;
	int n = 0, r = 0;
	while (!r && (de = readdir(dir)))
		if (is_layer_name(de->d_name)) {
			n++;
			r = fn(d, w, de->d_name, e);
		}
	return r ? r : n;
}

static int pass(struct disk *d UNUSED, struct work *w UNUSED, const char *diff_id UNUSED, struct err *e UNUSED)
{
	return 0;
}

int layer_publish_all(struct disk *d, struct work *w, struct err *e)
{
	int r = each_kept(d, w, pass, e);
	if (r <= 0)
		return r;
	/* All files are on disk before their layer gets its name. */
	if (syncfs(w->fd))
		return err_sys(e, errno, "cannot write the layers to disk");
	r = each_kept(d, w, publish, e);
	if (r >= 0 && fsync(d->layers))
		r = err_sys(e, errno, "cannot write the layers to disk");
	return r < 0 ? r : 0;
}

int layer_look(struct disk *d, struct work *w, const char *diff_id, uint64_t *size, bool *hides_below, struct err *e)
{
	_cleanup_close_ int fd = openat(w->fd, diff_id, FOLDER);
	if (fd < 0)
		fd = openat(d->layers, diff_id, FOLDER);
	if (fd < 0)
		return err_sys(e, errno, "cannot open layer %s", diff_id);
	char digits[24], opaque;
	read_note(fd, SIZE_XATTR, digits, sizeof digits);
	if (!read_digits(digits, size))
		*size = 0;
	*hides_below = fgetxattr(fd, "trusted.overlay.opaque", &opaque, 1) == 1 && opaque == 'y';
	return 0;
}
