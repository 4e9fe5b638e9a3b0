/* A layer applied to a folder: whatever the archive says, nothing outside of the folder changes, no attribute
 * in it speaks to overlayfs but the mark of an opaque folder, no descriptor stays open, and all of it can be removed.
 *
 * Works on a tmpfs in a mount namespace of its own and has that as its root meanwhile, so that an escape would meet
 * the files set out below and not the machine's. Needs root; without it nothing is tried.
 */
#include "runtime/base/util.h"
#include "runtime/image/unpack.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define BYTES_MAX (1 << 20)
#define ENTRIES_MAX 300
#define BLOCK 512

static const char place[] = "/mnt";
/* What an escape would change; a folder ends with a slash. */
static const char *const canaries[] = {
	"", "etc/", "etc/passwd", "etc/suid", "tmp/", "store/", "store/near", "store/near-dir/", "x", "a", "f", "d/",
};
static struct stat before[ARRAY_LEN(canaries)];
static int machine = -1, inside = -1; /* the two roots */
static int home = -1; /* where libFuzzer writes */

static void set_out(void)
{
	for (size_t i = 0; i < ARRAY_LEN(canaries); i++) {
		const char *name = canaries[i];
		size_t len = strlen(name);
		if (len && name[len - 1] == '/') {
			PROMISE(!mkdirat(inside, name, 0755));
		} else if (len) {
			int fd = openat(inside, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 04755);
			PROMISE(fd >= 0 && write(fd, "before\n", 7) == 7);
			close(fd);
		}
	}
	/* Its own folders, once: their making is not to be seen as a change. */
	PROMISE(!mkdirat(inside, "store/scratch", 0700) && !mkdirat(inside, "store/in", 0700));
	for (size_t i = 0; i < ARRAY_LEN(canaries); i++)
		PROMISE(!fstatat(inside, *canaries[i] ? canaries[i] : ".", &before[i], AT_SYMLINK_NOFOLLOW));
}

static bool begin(void)
{
	if (inside >= 0)
		return true;
	if (geteuid() || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("fuzz", place, "tmpfs", 0, "size=64m,nr_inodes=20000"))
		return false;
	machine = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	inside = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	PROMISE(machine >= 0 && home >= 0 && inside >= 0);
	set_out();
	return true;
}

static void nothing_changed(void)
{
	for (size_t i = 0; i < ARRAY_LEN(canaries); i++) {
		struct stat now;
		PROMISE(!fstatat(inside, *canaries[i] ? canaries[i] : ".", &now, AT_SYMLINK_NOFOLLOW));
		PROMISE(now.st_ino == before[i].st_ino && now.st_nlink == before[i].st_nlink);
		PROMISE(now.st_mode == before[i].st_mode && now.st_uid == before[i].st_uid);
		PROMISE(now.st_size == before[i].st_size);
		PROMISE(!memcmp(&now.st_ctim, &before[i].st_ctim, sizeof now.st_ctim));
	}
}

/* Only folders of the layer can carry what overlayfs reads. */
static void no_orders(int folder)
{
	char list[4096], value[8];
	ssize_t n = flistxattr(folder, list, sizeof list);
	for (const char *p = list; n > 0 && p < list + n; p += strlen(p) + 1)
		if (!strncmp(p, "trusted.", 8))
			PROMISE(!strcmp(p, "trusted.overlay.opaque") && fgetxattr(folder, p, value, sizeof value) == 1 &&
				*value == 'y');
}

static void look(int folder, int depth)
{
	no_orders(folder);
	_cleanup_dir_ DIR *d = fdopendir(folder);
	PROMISE(d);
	struct dirent *de;
	while (depth && (de = readdir(d))) {
		if (de->d_type != DT_DIR || !strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		int sub = openat(folder, de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		PROMISE(sub >= 0);
		look(sub, depth - 1);
	}
}

static uint64_t octal(const uint8_t *p, size_t len)
{
	uint64_t v = 0;
	for (size_t i = 0; i < len && p[i] >= '0' && p[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(p[i] - '0');
	return v;
}

/* Gives each header its checksum: else a change of one is always found there and never behind it. */
static void mend(uint8_t *tar, size_t size)
{
	static const uint8_t blank[8] = "        ";
	for (size_t at = 0; size - at >= BLOCK;) {
		uint8_t *h = tar + at, *sum = h + 148;
		at += BLOCK;
		if (!*h)
			continue;
		unsigned n = 0;
		memcpy(sum, blank, sizeof blank);
		for (size_t i = 0; i < BLOCK; i++)
			n += h[i];
		snprintf((char *)sum, 8, "%06o", n);
		uint64_t body = (octal(h + 124, 12) + BLOCK - 1) / BLOCK * BLOCK;
		at += body < size - at ? body : size - at;
	}
}

static int layer_fd(const uint8_t *data, size_t size)
{
	int fd = memfd_create("layer", MFD_CLOEXEC);
	PROMISE(fd >= 0 && !ftruncate(fd, (off_t)size));
	if (!size)
		return fd;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	PROMISE(p != MAP_FAILED);
	memcpy(p, data, size);
	mend(p, size);
	munmap(p, size);
	return fd;
}

static int unpack(int fd, int store, struct err *e)
{
	_cleanup_tar_ struct tar *t = NULL;
	uint64_t bytes = BYTES_MAX, entries = ENTRIES_MAX;
	_cleanup_close_ int root = openat(store, "in/layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int scratch = openat(store, "scratch", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	PROMISE(root >= 0 && scratch >= 0);
	struct tar_source src = { .fd = fd, .left = &bytes };
	int r = tar_open(&src, &t, e);
	if (!r)
		r = unpack_layer(root, scratch, t, &entries, e);
	look(openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), 20);
	return r;
}

static int lowest_free(void)
{
	int fd = open("/", O_PATH | O_CLOEXEC);
	PROMISE(fd >= 0);
	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = { 0 };
	if (!begin())
		return 0;
	int first = lowest_free();
	int fd = layer_fd(data, size);
	int store = openat(inside, "store", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	PROMISE(store >= 0 && !mkdirat(store, "in/layer", 0755));
	PROMISE(!fchdir(inside) && !chroot("."));
	int r = unpack(fd, store, &e);
	PROMISE(!fchdir(machine) && !chroot(".") && !fchdir(home));
	PROMISE(!r || (r < 0 && e.code == -r && *e.text));
	nothing_changed();
	PROMISE(!remove_tree_at(store, "in/layer") && !remove_tree_at(store, "scratch/times"));
	close(store);
	close(fd);
	PROMISE(lowest_free() == first);
	return 0;
}
