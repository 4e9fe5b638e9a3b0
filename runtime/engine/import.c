/* podfs-image processes: pulls, imports and removals of images, one each.
 *
 * Owns struct import: the pipe to the process, its pidfd, and the pipe with its lines (image.h). The server
 * touches no archive and no registry: bytes go through a pipe, progress and verdict are lines.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#define LINE_MAX_LEN 1024
#define PIPE_SIZE (1024 * 1024)

struct import {
	struct watch lines; /* its pipe */
	struct engine *en;
	enum image_verb verb;
	int in;             /* the archive goes here; -1: closed or none */
	int pidfd;          /* -1: not known */
	char *reference;
	struct buf line;    /* as far as it has come; at the end: the verdict */
	bool said;          /* the verdict is complete */
	bool ended;         /* the process has closed its end */
	import_progress_fn *progress;
	void *progress_arg;
	done_fn *done;      /* asked for */
	void *arg;
	struct import *next;
};

static const struct verb {
	const char *name;
	const char *did;   /* for an event; NULL: nothing to tell */
	bool fed;          /* an archive comes through its stdin */
	bool max, stall;   /* arguments behind the reference */
	bool environment;  /* gets the server's: proxies, credentials */
} verbs[] = {
	[IMAGE_PULL] = { "pull", .max = true, .stall = true, .environment = true },
	[IMAGE_IMPORT] = { "import", "imported", .fed = true, .max = true },
	[IMAGE_REMOVE] = { "remove", "removed" },
	[IMAGE_CLEAN] = { "clean" },
};

static void import_free(struct import *i)
{
	for (struct import **at = &i->en->priv->imports; *at; at = &(*at)->next)
		if (*at == i) {
			*at = i->next;
			break;
		}
	loop_del(i->en->loop, &i->lines);
	close_fd(&i->lines.fd);
	close_fd(&i->in);
	close_fd(&i->pidfd);
	buf_free(&i->line);
	free(i->reference);
	free(i);
}

/* "0" or "ERRNO SENTENCE"; anything else: it crashed. */
static int read_verdict(const struct import *i, struct err *e)
{
	const char *s = buf_str(&i->line);
	char *end;
	long code = strtol(s, &end, 10);
	if (!i->said || end == s || code < 0 || code > 4095)
		return err_set(e, EIO, "%s: podfs-image ended without a verdict", i->reference);
	return code ? err_set(e, (int)code, "%s", *end == ' ' ? end + 1 : end) : 0;
}

static void conclude(struct import *i)
{
	struct engine *en = i->en;
	enum image_verb verb = i->verb;
	struct err e = { 0 }, of_scan = { 0 };
	int r = read_verdict(i, &e);
	/* Also when it failed: it may have died behind its commit. */
	int scan = images_rescan(en->images, &of_scan);
	if (!r && scan) {
		r = scan;
		e = of_scan;
	}
	if (!r && verbs[verb].did)
		engine_event(en, NULL, NULL, "image %s %s", i->reference, verbs[verb].did);
	done_fn *done = i->done;
	void *arg = i->arg;
	_cleanup_free_ char *reference = take_ptr(i->reference);
	import_free(i);
	done(arg, r, &e);
	if (!r && verb == IMAGE_IMPORT)
		pulls_imported(en, reference);
	if (verb == IMAGE_PULL)
		pulls_next(en);
	gc_after(en, verb, r);
	engine_changed(en, NULL, CHANGE_IMAGES);
}

/* Progress is told and forgotten; another line is the verdict, which nothing follows. */
static void end_line(struct import *i)
{
	struct import_progress p;
	const char *s = buf_str(&i->line);
	if (*s != 'P') {
		i->said = true;
		return;
	}
	if (i->progress && sscanf(s, "P %u %u %" SCNu64 " %" SCNu64, &p.layers_done, &p.layers, &p.bytes, &p.total) == 4)
		i->progress(i->progress_arg, &p);
	buf_reset(&i->line);
}

/* What a registry or an archive says of itself may end up on a terminal. */
static char plain(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f ? '?' : c;
}

static void take(struct import *i, const char *data, size_t n)
{
	for (size_t k = 0; k < n && !i->said; k++)
		if (data[k] == '\n')
			end_line(i);
		else if (i->line.len < LINE_MAX_LEN)
			buf_putc(&i->line, plain(data[k]));
}

static void on_lines(struct watch *w, uint32_t events UNUSED)
{
	struct import *i = container_of(w, struct import, lines);
	char chunk[512];
	ssize_t n = read(w->fd, chunk, sizeof chunk);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		take(i, chunk, (size_t)n);
		return;
	}
	i->ended = true;
	loop_del(i->en->loop, w);
	close_fd(&w->fd);
	close_fd(&i->in);
	if (i->done)
		conclude(i);
}

/* --- starting it --- */

static int open_pipes(bool fed, int in[2], int lines[2])
{
	in[0] = in[1] = -1;
	if (pipe2(lines, O_CLOEXEC))
		return -errno;
	if (fed && pipe2(in, O_CLOEXEC)) {
		int r = -errno;
		close(lines[0]);
		close(lines[1]);
		return r;
	}
	fcntl(lines[0], F_SETFL, O_NONBLOCK);
	if (fed) {
		fcntl(in[1], F_SETFL, O_NONBLOCK);
		fcntl(in[1], F_SETPIPE_SZ, PIPE_SIZE);
	}
	return 0;
}

static int spawn(struct import *i, struct err *e)
{
	const struct verb *v = &verbs[i->verb];
	struct engine *en = i->en;
	int in[2], lines[2], n = 0;
	int r = open_pipes(v->fed, in, lines);
	if (r)
		return err_sys(e, -r, "%s", i->reference);
	char max[24], stall[16], *argv[8];
	snprintf(max, sizeof max, "%llu", (unsigned long long)en->cfg->image_max);
	snprintf(stall, sizeof stall, "%u", en->cfg->pull_stall);
	argv[n++] = (char *)"podfs-image";
	argv[n++] = (char *)(uintptr_t)v->name;
	argv[n++] = en->cfg->state;
	if (*i->reference)
		argv[n++] = i->reference;
	if (v->max)
		argv[n++] = max;
	if (v->stall)
		argv[n++] = stall;
	argv[n] = NULL;
	struct spawn how = {
		.program = "podfs-image", .argv = argv, .fds = { in[0], -1, 2, lines[1] }, .nfds = 4, .environment = v->environment,
	};
	pid_t pid = engine_spawn(en, &how, &i->pidfd);
	close_fd(&in[0]);
	close(lines[1]);
	i->in = in[1];
	i->lines = (struct watch){ .fd = lines[0], .fn = on_lines };
	r = pid < 0 ? pid : loop_add(en->loop, &i->lines, EPOLLIN);
	return r ? err_sys(e, -r, "podfs-image") : 0;
}

int import_launch(struct engine *en, enum image_verb verb, const char *reference, struct import **out, struct err *e)
{
	struct import *i = calloc(1, sizeof *i);
	if (!i)
		return err_set(e, ENOMEM, "%s: out of memory", reference);
	*i = (struct import){
		.en = en, .verb = verb, .lines.fd = -1, .in = -1, .pidfd = -1, .reference = strdup(reference), .next = en->priv->imports,
	};
	en->priv->imports = i;
	int r = i->reference ? spawn(i, e) : err_set(e, ENOMEM, "%s: out of memory", reference);
	if (r)
		import_free(i);
	else
		*out = i;
	return r;
}

int engine_import_begin(struct engine *en, const char *reference, struct import **out, struct err *e)
{
	struct image_ref ref;
	int r = parse_reference(reference, strlen(reference), &ref, e);
	if (r)
		return r;
	bool dir = ref.dir, local = ref.local;
	image_ref_free(&ref);
	if (dir)
		return err_set(e, EINVAL, "%s: a folder is not imported, it is used where it is", reference);
	if (local)
		return err_set(e, EINVAL, "%s: names a place on the host, which an archive cannot replace", reference);
	return import_launch(en, IMAGE_IMPORT, reference, out, e);
}

int import_fd(const struct import *i)
{
	return i->in;
}

void import_watch(struct import *i, import_progress_fn *fn, void *arg)
{
	i->progress = fn;
	i->progress_arg = arg;
}

void import_finish(struct import *i, done_fn *done, void *arg)
{
	i->done = done;
	i->arg = arg;
	close_fd(&i->in);
	if (i->ended)
		conclude(i);
}

static void nobody_asks(void *arg UNUSED, int result UNUSED, const struct err *e UNUSED)
{
}

static void ask_to_stop(const struct import *i)
{
	if (i->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, i->pidfd, SIGTERM, NULL, 0);
}

/* It cleans up and says ECANCELED, or was quicker: then the image is there. */
void import_cancel(struct import *i)
{
	ask_to_stop(i);
	import_watch(i, NULL, NULL);
	import_finish(i, nobody_asks, NULL);
}

void import_abort(struct import *i)
{
	ask_to_stop(i);
	import_free(i);
}

unsigned imports_running(const struct engine *en, enum image_verb verb)
{
	unsigned n = 0;
	for (const struct import *i = en->priv->imports; i; i = i->next)
		n += i->verb == verb && !i->ended;
	return n;
}

/* --- who uses an image --- */

/* Containers that use it; *first: one of them. */
static unsigned find_users(struct engine *en, const struct image *im, const struct container **first)
{
	unsigned n = 0;
	for (size_t i = 0; i < en->npods; i++)
		for (size_t k = 0; k < en->pods[i]->ncontainers; k++) {
			const struct container *c = en->pods[i]->containers[k];
			if (c->spec->image && images_find(en->images, c->spec->image) == im && !n++)
				*first = c;
		}
	return n;
}

unsigned engine_image_users(struct engine *en, const struct image *im)
{
	const struct container *first;
	return find_users(en, im, &first);
}

int engine_image_remove(struct engine *en, const char *reference, done_fn *done, void *arg, struct err *e)
{
	const struct image *im = images_find(en->images, reference);
	if (!im)
		return err_set(e, ENOENT, "%s: is not on this node", reference);
	const struct container *by = NULL;
	unsigned users = find_users(en, im, &by);
	if (users)
		return err_set(e, EBUSY, "%s: used by container %s of pod %s%s", reference, by->spec->name, by->pod->spec->name,
			       users > 1 ? " and others" : "");
	struct import *i;
	int r = import_launch(en, IMAGE_REMOVE, im->canonical, &i, e);
	if (!r)
		import_finish(i, done, arg);
	return r;
}
