/* Imports and removals of images: one podfs-image process each.
 *
 * Owns struct import: the pipe to the process and the pipe with its verdict (image.h). The server
 * touches no archive: bytes go through a pipe, the verdict is one line.
 */
#include "runtime/engine/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define VERDICT_MAX 1024
#define PIPE_SIZE (1024 * 1024)

struct import {
	struct watch verdict; /* its pipe */
	struct engine *en;
	int in;               /* the archive goes here; -1: closed or none */
	char *reference;
	struct buf words;     /* the verdict as far as it has come */
	bool ended;           /* the verdict is complete */
	const char *did;      /* "imported", "removed", or NULL: nothing to tell */
	done_fn *done;        /* asked for */
	void *arg;
	struct import *next;
};

static void import_free(struct import *i)
{
	for (struct import **at = &i->en->priv->imports; *at; at = &(*at)->next)
		if (*at == i) {
			*at = i->next;
			break;
		}
	loop_del(i->en->loop, &i->verdict);
	close_fd(&i->verdict.fd);
	close_fd(&i->in);
	buf_free(&i->words);
	free(i->reference);
	free(i);
}

/* "0" or "ERRNO SENTENCE"; anything else: it crashed. */
static int read_verdict(struct import *i, struct err *e)
{
	const char *s = buf_str(&i->words);
	char *end;
	long code = strtol(s, &end, 10);
	char *nl = strchr(end, '\n');
	if (end == s || !nl || code < 0 || code > 4095)
		return err_set(e, EIO, "%s: podfs-image ended without a verdict", i->reference);
	*nl = 0;
	return code ? err_set(e, (int)code, "%s", *end == ' ' ? end + 1 : end) : 0;
}

static void conclude(struct import *i)
{
	struct engine *en = i->en;
	struct err e = { 0 };
	int r = read_verdict(i, &e);
	if (!r)
		r = images_rescan(en->images, &e);
	if (!r && i->did)
		engine_event(en, NULL, NULL, "image %s %s", i->reference, i->did);
	done_fn *done = i->done;
	void *arg = i->arg;
	import_free(i);
	done(arg, r, &e);
	engine_changed(en, NULL, CHANGE_IMAGES);
}

static void on_verdict(struct watch *w, uint32_t events UNUSED)
{
	struct import *i = container_of(w, struct import, verdict);
	char chunk[512];
	ssize_t n = read(w->fd, chunk, sizeof chunk);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		if (i->words.len < VERDICT_MAX)
			buf_put(&i->words, chunk, (size_t)n);
		return;
	}
	i->ended = true;
	loop_del(i->en->loop, w);
	close_fd(&w->fd);
	close_fd(&i->in);
	if (i->done)
		conclude(i);
}

static int open_pipes(int in[2], int verdict[2])
{
	if (pipe2(in, O_CLOEXEC))
		return -errno;
	if (pipe2(verdict, O_CLOEXEC)) {
		int r = -errno;
		close(in[0]);
		close(in[1]);
		return r;
	}
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	fcntl(verdict[0], F_SETFL, O_NONBLOCK);
	fcntl(in[1], F_SETPIPE_SZ, PIPE_SIZE);
	return 0;
}

static int launch(struct engine *en, const char *verb, const char *reference, struct import **out, struct err *e)
{
	struct import *i = calloc(1, sizeof *i);
	if (!i || !(i->reference = strdup(reference))) {
		free(i);
		return err_set(e, ENOMEM, "%s: out of memory", reference);
	}
	int in[2], verdict[2];
	int r = open_pipes(in, verdict);
	if (r) {
		free(i->reference);
		free(i);
		return err_sys(e, -r, "%s", reference);
	}
	char max[32];
	snprintf(max, sizeof max, "%llu", (unsigned long long)en->cfg->image_max);
	bool import = !strcmp(verb, "import");
	char *argv[] = {
		(char *)"podfs-image", (char *)verb, en->cfg->state, *reference ? i->reference : NULL, import ? max : NULL, NULL,
	};
	int fds[] = { in[0], -1, 2, verdict[1] };
	pid_t pid = engine_spawn(en, "podfs-image", argv, fds, ARRAY_LEN(fds));
	close(in[0]);
	close(verdict[1]);
	i->en = en;
	i->in = in[1];
	i->verdict = (struct watch){ .fd = verdict[0], .fn = on_verdict };
	i->did = import ? "imported" : *reference ? "removed" : NULL;
	i->next = en->priv->imports;
	en->priv->imports = i;
	r = pid < 0 ? pid : loop_add(en->loop, &i->verdict, EPOLLIN);
	if (r) {
		import_free(i);
		return err_sys(e, -r, "podfs-image");
	}
	*out = i;
	return 0;
}

int engine_import_begin(struct engine *en, const char *reference, struct import **out, struct err *e)
{
	struct image_ref ref;
	int r = parse_reference(reference, strlen(reference), &ref, e);
	if (r)
		return r;
	bool dir = ref.dir;
	image_ref_free(&ref);
	if (dir)
		return err_set(e, EINVAL, "%s: a folder is not imported, it is used where it is", reference);
	return launch(en, "import", reference, out, e);
}

int import_fd(const struct import *i)
{
	return i->in;
}

void import_finish(struct import *i, done_fn *done, void *arg)
{
	i->done = done;
	i->arg = arg;
	close_fd(&i->in);
	if (i->ended)
		conclude(i);
}

/* The archive is then cut short, which podfs-image finds out and cleans up. */
void import_abort(struct import *i)
{
	import_free(i);
}

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
	int r = launch(en, "remove", im->canonical, &i, e);
	if (!r)
		import_finish(i, done, arg);
	return r;
}

static void on_cleaned(void *arg, int result, const struct err *e)
{
	if (result)
		ring_line(&((struct engine *)arg)->leaks, e->text);
}

void images_clean(struct engine *en)
{
	struct import *i;
	struct err e = { 0 };
	if (launch(en, "clean", "", &i, &e))
		ring_line(&en->leaks, e.text);
	else
		import_finish(i, on_cleaned, en);
}
