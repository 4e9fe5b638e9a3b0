/* The unpacker of a pull, its second process: see follow.h. */
#include "runtime/image/follow.h"

#include "runtime/base/util.h"
#include "runtime/image/arrive.h"
#include "runtime/image/choose.h"
#include "runtime/image/confine.h"
#include "runtime/image/fetch.h"
#include "runtime/image/import.h"
#include "runtime/image/json.h"
#include "runtime/image/layer.h"
#include "runtime/image/progress.h"
#include "runtime/image/source.h"
#include "runtime/parse/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define PLACEHOLDERS_MAX 4096
#define REPEATS_MAX 3          /* skopeo is run again for layers that were removed meanwhile */
#define MS 1000000u
#define ALIVE_NS (500 * MS)

struct follow {
	struct disk *d;
	struct work *w;
	const struct pull_job *job;
	int link, layout;
	struct workers *ws;
	struct arrivals blobs;
	struct strs placeholders, known; /* digests: of layers in the store, of blobs that were unpacked */
	struct manifest manifest;        /* for the totals; without layers as long as it is not known */
	uint64_t alive_ns, alive_bytes;
	bool fetched;
	struct err fetch_err;
};

/* --- messages --- */

int follow_say(int link, const struct pull_message *m)
{
	ssize_t n;
	do {
		n = send(link, m, sizeof *m, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int follow_hear(int link, struct pull_message *m)
{
	ssize_t n = recv(link, m, sizeof *m, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n != sizeof *m)
		return n ? -EPROTO : -ECONNRESET;
	m->err.text[sizeof m->err.text - 1] = 0;
	m->hex[DIGEST_HEX] = 0;
	return 1;
}

static void say(struct follow *f, enum pull_word word)
{
	struct pull_message m = { .word = word };
	follow_say(f->link, &m);
}

/* --- what was unpacked --- */

static int keep(struct follow *f, struct blob *b, const struct unpacked *u, struct err *e)
{
	if (!b->whole || strcmp(u->blob, b->hex)) {
		err_set(&b->err, EBADMSG, "its SHA-256 is %s, not that of its blob", u->blob);
		return 0;
	}
	int r = layer_keep(f->w, u, e);
	if (!r && strs_add(&f->known, b->hex, DIGEST_HEX))
		r = err_set(e, ENOMEM, "not enough memory");
	if (r)
		return r;
	char name[16 + DIGEST_HEX];
	snprintf(name, sizeof name, "blobs/sha256/%s", b->hex);
	blob_hollow(f->layout, name);
	strcpy(b->diff_id, u->diff_id);
	return 0;
}

/* Going on would end the same way. */
static bool is_final(int code)
{
	static const int codes[] = { ENOSPC, EDQUOT, EROFS, EFBIG, E2BIG, ENOMEM };
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (code == codes[i])
			return true;
	return false;
}

static int take_outcome(struct follow *f, const struct unpacked *u, struct err *e)
{
	struct blob *b = arrive_worker(&f->blobs, u->id);
	if (!b)
		return 0;
	bool passed = b->passed;
	b->worker = 0;
	b->passed = true;
	if (passed)
		return 0;
	if (!u->err.code)
		return keep(f, b, u, e);
	b->err = u->err;
	if (!is_final(u->err.code))
		return 0;
	if (e)
		*e = u->err;
	return -u->err.code;
}

static int take_outcomes(struct follow *f, struct err *e)
{
	struct unpacked u;
	int r = 0;
	while (!r && workers_next(f->ws, &u))
		r = take_outcome(f, &u, e);
	return r;
}

/* --- how far it is --- */

static bool is_placeholder(const struct follow *f, const char *hex)
{
	for (size_t i = 0; i < f->placeholders.n; i++)
		if (!strcmp(f->placeholders.v[i], hex))
			return true;
	return false;
}

/* A registry's index leads to the manifest for this host; it may say what it likes: these are figures. */
static void take_manifest(struct follow *f)
{
	_cleanup_buf_ struct buf text = { 0 };
	struct pull_message m = { .word = PULL_WANTED };
	if (f->manifest.layers.n || read_file_at(f->w->fd, FOLLOW_MANIFEST, JSON_FILE_MAX, &text))
		return;
	if (!json_manifest(buf_str(&text), text.len, &f->manifest, NULL)) {
		if (f->manifest.layers.n > LAYERS_MAX)
			manifest_free(&f->manifest);
	} else if (!choose_from_index(buf_str(&text), text.len, m.hex, NULL)) {
		follow_say(f->link, &m);
	}
}

static void say_progress(struct follow *f)
{
	struct progress p = { .done = (unsigned)f->known.n, .bytes = workers_bytes(f->ws) };
	for (size_t i = 0; i < f->manifest.layers.n; i++) {
		const struct descriptor *l = &f->manifest.layers.v[i];
		bool there = is_placeholder(f, l->hex);
		p.layers++;
		p.done += there;
		p.total += there ? 0 : l->size;
	}
	progress_say(&p);
	uint64_t now = now_mono_ns();
	if (now - f->alive_ns < ALIVE_NS || (!f->blobs.grown && p.bytes == f->alive_bytes))
		return;
	f->blobs.grown = false;
	f->alive_ns = now;
	f->alive_bytes = p.bytes;
	say(f, PULL_ALIVE);
}

/* --- waiting --- */

static int take_messages(struct follow *f)
{
	struct pull_message m;
	int r;
	while ((r = follow_hear(f->link, &m)) > 0) {
		if (m.word == PULL_MANIFEST)
			take_manifest(f);
		if (m.word != PULL_FETCHED)
			continue;
		f->fetched = true;
		f->fetch_err = m.err;
	}
	return r;
}

/* Waits, and does what has come up. */
static int turn(struct follow *f, struct err *e)
{
	uint64_t now = now_mono_ns();
	bool rests = now < f->blobs.rest_until && !f->fetched;
	struct pollfd p[] = {
		{ .fd = f->link, .events = POLLIN },
		{ .fd = workers_fd(f->ws), .events = POLLIN },
		{ .fd = rests ? -1 : f->blobs.inotify, .events = POLLIN },
	};
	poll(p, ARRAY_LEN(p), rests ? (int)((f->blobs.rest_until - now) / MS) + 1 : PROGRESS_MS);
	int r = take_messages(f);
	if (r)
		return err_sys(e, -r, "podfs-image");
	if (tar_cancelled)
		return err_set(e, ECANCELED, "cancelled");
	arrive_look(&f->blobs, f->ws);
	r = take_outcomes(f, e);
	if (!r)
		r = arrive_feed(&f->blobs, f->layout, f->ws, f->job->image_max, e);
	say_progress(f);
	return r;
}

/* Until skopeo has ended and what it has fetched is unpacked. */
static int follow_copy(struct follow *f, struct err *e)
{
	int r = 0;
	f->fetched = false;
	say(f, PULL_READY);
	while (!r && !f->fetched)
		r = turn(f, e);
	if (!r)
		arrive_look(&f->blobs, f->ws); /* all that it has written has come */
	arrive_pass(&f->blobs, f->ws, r || f->fetch_err.code == ECANCELED);
	while (!r && (workers_running(f->ws) || arrive_waiting(&f->blobs)))
		r = turn(f, e);
	if (!r && f->fetch_err.code) {
		*e = f->fetch_err;
		r = -e->code;
	}
	return r;
}

/* --- the image --- */

/* Layers that were unpacked on the way are those that the config names, or the image cannot be had. */
static int check_blobs(const struct follow *f, const struct chosen *c, struct err *e)
{
	for (size_t i = 0; i < c->diff_ids.n; i++) {
		if (layer_is_there(f->d, f->w, c->diff_ids.v[i]))
			continue;
		for (const struct blob *b = f->blobs.v; b < f->blobs.v + f->blobs.n; b++) {
			if (strcmp(b->hex, c->layers[i]->hex) || (!b->err.code && !*b->diff_id))
				continue;
			if (b->err.code)
				*e = b->err;
			else
				err_set(e, EBADMSG, "its content has the SHA-256 %s, not its diff id", b->diff_id);
			return err_prefix(e, "layer %zu of %zu (sha256:%.12s)", i + 1, c->diff_ids.n, c->diff_ids.v[i]);
		}
	}
	return 0;
}

static void drop_placeholder(struct follow *f, const struct member *m)
{
	struct strs *l = &f->placeholders;
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->v[i], m->hex)) {
			free(l->v[i]);
			l->v[i] = l->v[--l->n];
			break;
		}
	unlinkat(f->layout, m->file, 0);
}

static void drop_placeholders(struct follow *f, const struct chosen *c)
{
	for (size_t i = 0; i < c->diff_ids.n; i++)
		if (c->layers[i]->placeholder && !layer_is_there(f->d, f->w, c->diff_ids.v[i]))
			drop_placeholder(f, c->layers[i]);
}

/* -EAGAIN: a layer is gone from the store and must be fetched after all. */
static int store(struct follow *f, struct err *e)
{
	struct spool s = { .dir = -1 };
	struct chosen c = { 0 };
	size_t missing;
	int r = spool_layout(f->layout, &f->known, &f->placeholders, &s, e);
	if (!r)
		r = choose_pulled(&s, &c, e);
	if (!r)
		r = check_blobs(f, &c, e);
	if (!r)
		r = image_store(f->d, f->w, &s, &c, f->ws, reference_name(f->job->reference), &missing, e);
	if (r == -EAGAIN)
		drop_placeholders(f, &c);
	chosen_free(&c);
	spool_free(&s);
	return r;
}

static int pull(struct follow *f, struct err *e)
{
	int r = -EAGAIN;
	for (int i = 0; r == -EAGAIN && i <= REPEATS_MAX; i++) {
		r = follow_copy(f, e);
		if (!r)
			r = store(f, e);
	}
	return r == -EAGAIN ? err_set(e, EBUSY, "layers of the image are being removed again and again") : r;
}

/* --- the process --- */

static int put_placeholder(void *arg, const char *diff_id UNUSED, const char *blob, uint64_t size)
{
	struct follow *f = arg;
	char name[16 + DIGEST_HEX];
	if (f->placeholders.n == PLACEHOLDERS_MAX)
		return 1;
	snprintf(name, sizeof name, "blobs/sha256/%.64s", blob);
	_cleanup_close_ int fd = openat(f->layout, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	if (ftruncate(fd, (off_t)size))
		return -errno;
	return strs_add(&f->placeholders, blob, DIGEST_HEX);
}

static int begin(struct follow *f, struct err *e)
{
	int r = arrive_watch(&f->blobs, f->w->fd, e);
	if (!r)
		r = confine(f->d, f->w, e);
	if (r)
		return r;
	f->layout = openat(f->w->fd, FETCH_LAYOUT, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (f->layout < 0)
		return err_sys(e, errno, "cannot open the layout");
	r = layer_each(f->d, put_placeholder, f, e);
	if (r < 0)
		return e->code ? r : err_sys(e, -r, "cannot note what is there already");
	return workers_new(f->w, f->job->image_max, &f->ws, e);
}

void follow(struct disk *d, struct work *w, const struct pull_job *job, int link)
{
	static struct follow f;
	struct pull_message m = { .word = PULL_DONE };
	f = (struct follow){ .d = d, .w = w, .job = job, .link = link, .layout = -1 };
	int r = begin(&f, &m.err);
	if (!r)
		r = pull(&f, &m.err);
	workers_free(f.ws);
	if (r && f.layout >= 0)
		layer_publish_all(d, w, NULL);
	if (r && !m.err.code)
		err_sys(&m.err, -r, "podfs-image");
	follow_say(link, &m);
}
