/* The command line of podfs: see options.h. */
#include "tools/options.h"

#include "runtime/base/users.h"
#include "runtime/base/util.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* What mount(8) and FUSE file systems take. set and clear are flags of mount(2); a row with
 * neither is accepted and means nothing here: it is for mount(8), for systemd, or is always so
 * (allow_other, default_permissions). dev and suid are what mount.fuse3 adds for root; podfs
 * stays nodev and nosuid: there is nothing in its tree to be either. */
static const struct mount_option {
	const char *name;
	unsigned long set, clear;
} mount_options[] = {
	{ "rw", 0, MS_RDONLY },           { "ro", MS_RDONLY, 0 },
	{ "exec", 0, MS_NOEXEC },         { "noexec", MS_NOEXEC, 0 },
	{ "atime", 0, MS_NOATIME },       { "noatime", MS_NOATIME, 0 },
	{ "relatime", MS_RELATIME, 0 },   { "norelatime", 0, MS_RELATIME },
	{ "diratime", 0, MS_NODIRATIME }, { "nodiratime", MS_NODIRATIME, 0 },
	{ "sync", MS_SYNCHRONOUS, 0 },    { "async", 0, MS_SYNCHRONOUS },
	{ "dirsync", MS_DIRSYNC, 0 },
	{ "suid", 0, 0 },  { "nosuid", 0, 0 }, { "dev", 0, 0 },      { "nodev", 0, 0 },
	{ "auto", 0, 0 },  { "noauto", 0, 0 }, { "user", 0, 0 },     { "nouser", 0, 0 },
	{ "users", 0, 0 }, { "nousers", 0, 0 }, { "owner", 0, 0 },   { "group", 0, 0 },
	{ "nofail", 0, 0 }, { "_netdev", 0, 0 }, { "defaults", 0, 0 }, { "strictatime", 0, 0 },
	{ "nostrictatime", 0, 0 }, { "iversion", 0, 0 }, { "noiversion", 0, 0 }, { "silent", 0, 0 }, { "loud", 0, 0 },
	{ "lazytime", 0, 0 }, { "nolazytime", 0, 0 }, { "mand", 0, 0 }, { "nomand", 0, 0 },
	{ "allow_other", 0, 0 }, { "default_permissions", 0, 0 }, { "auto_unmount", 0, 0 }, { "nonempty", 0, 0 },
};

/* With a value behind '=': for others too. */
static const char *const ignored_with_value[] = { "subtype", "comment", "user", "helper", "uhelper", "setuid" };

/* What other FUSE file systems hand to libfuse or the kernel: how to cache, how many threads, how to move bytes. None of it changes
 * what a user sees, and podfs has decided all of it; '=': with a value. */
static const char *const hints[] = {
	"kernel_cache", "auto_cache", "noauto_cache", "direct_io", "big_writes", "large_read", "async_read", "sync_read",
	"attr_timeout=", "entry_timeout=", "negative_timeout=", "ac_attr_timeout=", "remember=", "noforget", "hard_remove",
	"use_ino", "readdir_ino", "intr", "nointr", "intr_signal=", "clone_fd", "max_idle_threads=", "max_threads=",
	"max_write=", "max_readahead=", "max_background=", "congestion_threshold=",
	"splice_read", "splice_write", "splice_move", "no_splice_read", "no_splice_write", "no_splice_move",
	"no_remote_lock", "no_remote_flock", "no_remote_posix_lock",
};

/* They say of owners and modes what would not be so. */
static const char *const untrue[] = { "uid", "gid", "umask", "fmask", "dmask", "allow_root" };

static bool is(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && !memcmp(word, name, len);
}

static bool plain_option(struct options *o, const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(mount_options); i++)
		if (!strcmp(text, mount_options[i].name)) {
			o->flags = (o->flags | mount_options[i].set) & ~mount_options[i].clear;
			return true;
		}
	return false;
}

static bool is_hint(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(hints); i++)
		if (is(text, len, hints[i]))
			return true;
	return false;
}

static bool is_untrue(const char *text, size_t key)
{
	for (size_t i = 0; i < ARRAY_LEN(untrue); i++)
		if (is(text, key, untrue[i]))
			return true;
	return false;
}

static bool valued_option(struct options *o, const char *text, size_t key)
{
	const char *value = text + key + 1;
	for (size_t i = 0; i < ARRAY_LEN(ignored_with_value); i++)
		if (is(text, key, ignored_with_value[i]))
			return true;
	if (is(text, key, "max_read")) {
		buf_printf(&o->data, ",max_read=%s", value);
		return true;
	}
	return false;
}

static int set_string(char **to, const char *value)
{
	char *copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static int one_option(struct options *o, const char *text, struct err *e)
{
	const char *eq = strchr(text, '=');
	size_t key = eq ? (size_t)(eq - text) : strlen(text);
	/* x-… and X-… are for others: mount(8). */
	if (!*text || !strncasecmp(text, "x-", 2) || (eq ? valued_option(o, text, key) : plain_option(o, text)))
		return 0;
	if (is_hint(text, eq ? key + 1 : key))
		return 0;
	if (is_untrue(text, key))
		return err_set(e, EINVAL, "option %.*s: podfs shows true owners and modes: chown and chmod of a pod say who may look",
			       (int)key, text);
	if (eq && is(text, key, "fsname"))
		return set_string(&o->fsname, eq + 1);
	if (eq && is(text, key, "config"))
		return set_string(&o->config, eq + 1);
	if (!eq)
		return err_set(e, EINVAL, "unknown option %s", text);
	return strs_add(&o->set, text, strlen(text));
}

/* Splits at commas; `\,` is a comma of a value, as in libfuse. */
static int split_options(struct options *o, const char *list, struct err *e)
{
	_cleanup_buf_ struct buf one = { 0 };
	for (const char *p = list;; p++) {
		if (*p && *p != ',') {
			if (*p == '\\' && p[1])
				p++;
			buf_putc(&one, *p);
			continue;
		}
		int r = buf_status(&one);
		if (!r)
			r = one_option(o, buf_str(&one), e);
		if (r || !*p)
			return r;
		buf_reset(&one);
	}
}

static int read_argv(struct options *o, int argc, char **argv, struct err *e)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ "foreground", no_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	int c, r;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "fo:hV", longs, NULL)) != -1) {
		switch (c) {
		case 'h': o->help = true; return 0;
		case 'V': o->version = true; return 0;
		case 'f': o->foreground = true; break;
		case 'o':
			r = split_options(o, optarg, e);
			if (r)
				return r;
			break;
		default:
			return err_set(e, EINVAL, "unknown argument %s (see podfs --help)", argv[optind - 1]);
		}
	}
	/* mount.fuse3 puts the source before the mount point. */
	int left = argc - optind;
	if (left == 2 && *argv[optind] && !o->fsname) {
		r = set_string(&o->fsname, argv[optind]);
		if (r)
			return r;
	}
	if (left != 1 && left != 2)
		return err_set(e, EINVAL, left ? "too many arguments (see podfs --help)" : "no mount point was given (see podfs --help)");
	o->mountpoint = argv[argc - 1];
	return 0;
}

/* The server's cwd is /, so the name that it gets is absolute. */
static int config_path(struct options *o, struct err *e)
{
	struct stat st;
	if (!o->config)
		return !stat(o->cfg.config, &st) || errno != ENOENT ? set_string(&o->config, o->cfg.config) : 0;
	char *full = realpath(o->config, NULL);
	if (!full)
		return err_sys(e, errno, "config %s", o->config);
	free(o->config);
	o->config = full;
	return 0;
}

static int apply_set(struct options *o, struct err *e)
{
	for (size_t i = 0; i < o->set.n; i++) {
		_cleanup_free_ char *key = strdup(o->set.v[i]);
		if (!key)
			return -ENOMEM;
		char *value = strchr(key, '=');
		*value++ = 0;
		int r = config_set(&o->cfg, key, value, e);
		if (r == -ENOENT)
			return err_set(e, EINVAL, "unknown option %s", key);
		if (r)
			return err_prefix(e, "option");
	}
	return 0;
}

int options_read(struct options *o, int argc, char **argv, struct err *e)
{
	*o = (struct options){ .flags = MS_NOSUID | MS_NODEV };
	int r = config_defaults(&o->cfg);
	o->cfg.has_user = user_exists;
	if (!r)
		r = read_argv(o, argc, argv, e);
	if (r || o->help || o->version)
		return r;
	r = config_path(o, e);
	if (!r && o->config)
		r = config_read_file(&o->cfg, o->config, e);
	if (!r)
		r = apply_set(o, e);
	if (!r)
		r = config_finish(&o->cfg, e);
	if (!r && !o->fsname)
		r = set_string(&o->fsname, "podfs");
	return r ? r : buf_status(&o->data);
}

void options_free(struct options *o)
{
	free(o->fsname);
	free(o->config);
	buf_free(&o->data);
	strs_free(&o->set);
	config_free(&o->cfg);
}
