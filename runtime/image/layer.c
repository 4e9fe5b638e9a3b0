/* One layer: see layer.h. */
#include "runtime/image/layer.h"

#include "runtime/base/util.h"
#include "runtime/image/tar.h"
#include "runtime/image/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* The layer's uncompressed size, in digits: measured once, when it is unpacked. Containers do not see
 * trusted attributes (xattr(7)). */
#define SIZE_XATTR "trusted.podfs.size"

static bool is_there(int folder, const char *name)
{
	struct stat st;
	return !fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW);
}

static int unpack_blob(int root, struct work *w, int blob, const char *diff_id, struct layer_budget *budget,
		       struct err *e)
{
	_cleanup_digest_ struct digest plain = { 0 };
	_cleanup_tar_ struct tar *t = NULL;
	char hex[DIGEST_HEX + 1];
	int r = digest_begin(&plain, e);
	struct tar_source src = { .fd = blob, .left = &budget->bytes, .plain = &plain };
	if (!r)
		r = tar_open(&src, &t, e);
	if (!r)
		r = unpack_layer(root, w->fd, t, &budget->entries, e);
	if (!r)
		r = tar_drain(t, e);
	if (!r)
		r = digest_end(&plain, hex, e);
	if (!r && strcmp(hex, diff_id))
		r = err_set(e, EBADMSG, "its content has the SHA-256 %s, not its diff id", hex);
	return r;
}

static int note_size(int root, uint64_t size, struct err *e)
{
	char digits[24];
	int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)size);
	return fsetxattr(root, SIZE_XATTR, digits, (size_t)n, 0) ? err_sys(e, errno, "cannot note its size") : 0;
}

int layer_unpack(struct disk *d, struct work *w, const struct spool *s, const struct member *blob,
		 const char *diff_id, struct layer_budget *budget, struct err *e)
{
	if (is_there(d->layers, diff_id) || is_there(w->fd, diff_id))
		return 0;
	_cleanup_close_ int fd = spool_open(s, blob, e);
	if (fd < 0)
		return fd;
	if (mkdirat(w->fd, diff_id, 0755))
		return err_sys(e, errno, "cannot make its folder");
	_cleanup_close_ int root = openat(w->fd, diff_id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (root < 0)
		return err_sys(e, errno, "cannot open its folder");
	uint64_t before = budget->bytes;
	int r = unpack_blob(root, w, fd, diff_id, budget, e);
	if (!r)
		r = note_size(root, before - budget->bytes, e);
	if (r)
		return r;
	spool_drop(s, blob);
	return 1;
}

int layer_publish(struct disk *d, struct work *w, const char *diff_id, struct err *e)
{
	if (!renameat2(w->fd, diff_id, d->layers, diff_id, RENAME_NOREPLACE))
		return 0;
	/* ENOENT: it was in the store from the start; EEXIST: another import was quicker. */
	if ((errno == ENOENT || errno == EEXIST) && is_there(d->layers, diff_id))
		return 0;
	return err_sys(e, errno, "cannot store layer %s", diff_id);
}

int layer_look(struct disk *d, struct work *w, const char *diff_id, uint64_t *size, bool *hides_below, struct err *e)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	_cleanup_close_ int fd = openat(w->fd, diff_id, flags);
	if (fd < 0)
		fd = openat(d->layers, diff_id, flags);
	if (fd < 0)
		return err_sys(e, errno, "cannot open layer %s", diff_id);
	char digits[24] = "", opaque;
	if (fgetxattr(fd, SIZE_XATTR, digits, sizeof digits - 1) < 0)
		digits[0] = 0;
	*size = strtoull(digits, NULL, 10);
	*hides_below = fgetxattr(fd, "trusted.overlay.opaque", &opaque, 1) == 1 && opaque == 'y';
	return 0;
}
