/* A pull, in its first process: see pull.h. */
#include "runtime/image/pull.h"

#include "runtime/base/util.h"
#include "runtime/image/failure.h"
#include "runtime/image/fetch.h"
#include "runtime/image/follow.h"
#include "runtime/image/source.h"
#include "runtime/parse/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SECOND 1000000000u
#define TOTALS_AFTER SECOND        /* of an attempt: a quick one needs no figures */
#define CANCEL_NS (10ull * SECOND) /* for what is finished to be kept */
#define END_NS (5ull * SECOND)     /* for killed processes to be gone */
#define STARTS_MAX 4               /* of skopeo, for layers that were removed meanwhile */

struct pull {
	const struct pull_job *job;
	struct disk *d;
	struct work w;
	struct image_ref ref;
	struct fetch copy, totals;
	pid_t unpacker;
	int link;
	sigset_t outside; /* the signals that were blocked before */
	unsigned starts, asked; /* asked: for manifests */
	bool loopback, plain;   /* plain: its registry speaks HTTP */
	char host[64];
	uint64_t stall_ns, totals_ns, end_ns; /* deadlines; 0: none */
	struct err failed; /* what ended it, as far as it is known in here */
};

/* --- the two children --- */

static int make_layout(int work, struct err *e)
{
	static const char *const folders[] = { FETCH_LAYOUT, FETCH_LAYOUT "/blobs", FETCH_LAYOUT "/blobs/sha256" };
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		if (mkdirat(work, folders[i], 0700))
			return err_sys(e, errno, "cannot make the folder %s", folders[i]);
	return 0;
}

static int start_unpacker(struct pull *p, struct err *e)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return err_sys(e, errno, "cannot start the unpacker");
	pid_t parent = getpid();
	p->unpacker = fork();
	if (!p->unpacker) {
		if (set_death_signal(SIGKILL) || getppid() != parent)
			_exit(1);
		close(pair[0]);
		sigprocmask(SIG_SETMASK, &p->outside, NULL);
		follow(p->d, &p->w, p->job, pair[1]);
		_exit(0);
	}
	int r = p->unpacker < 0 ? err_sys(e, errno, "cannot start the unpacker") : 0;
	close(pair[1]);
	p->link = pair[0];
	return r;
}

static int start_copy(struct pull *p, struct err *e)
{
	uint64_t now = now_mono_ns();
	p->stall_ns = p->ref.local ? 0 : now + p->job->stall * (uint64_t)SECOND;
	p->totals_ns = p->ref.local || p->asked ? 0 : now + TOTALS_AFTER;
	return fetch_copy(p->w.fd, p->ref.source, p->plain, &p->copy, e);
}

static void tell(struct pull *p, enum pull_word word)
{
	struct pull_message m = { .word = word, .err = p->failed };
	follow_say(p->link, &m);
}

/* The unpacker is told, keeps what is finished, and ends. */
static void fail(struct pull *p, const struct err *why)
{
	if (p->failed.code)
		return;
	p->failed = *why;
	fetch_kill(&p->copy);
	fetch_kill(&p->totals);
	p->stall_ns = p->totals_ns = 0;
	tell(p, PULL_FETCHED);
}

static void copied(struct pull *p)
{
	struct err e = { 0 };
	fetch_kill(&p->totals);
	p->stall_ns = p->totals_ns = 0;
	int r = fetch_result(&p->copy, p->job->reference, &e);
	if (r && p->loopback && !p->plain && failure_is_plain_http(buf_str(&p->copy.said), p->copy.said.len, p->host)) {
		p->plain = true;
		r = start_copy(p, &e);
		if (!r)
			return;
	}
	if (r)
		fail(p, &e);
	else
		tell(p, PULL_FETCHED);
}

/* --- figures for the progress; whatever goes wrong with them is passed over --- */

/* hex: of that manifest of the reference's repository, NULL: of the reference itself. */
static void ask_totals(struct pull *p, const char *hex)
{
	_cleanup_buf_ struct buf source = { 0 };
	const char *name = p->ref.source, *slash = strrchr(name, '/'), *at = strchr(name, '@'), *colon = strchr(slash, ':');
	const char *end = at ? at : colon ? colon : name + strlen(name);
	buf_put(&source, name, (size_t)(hex ? end - name : (ssize_t)strlen(name)));
	if (hex)
		buf_printf(&source, "@sha256:%s", hex);
	/* Unpackers can write here: what they may have put in its place does not make us wait. */
	const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	_cleanup_close_ int file = openat(p->w.fd, FOLLOW_MANIFEST, flags, 0600);
	p->totals_ns = 0;
	p->asked++;
	if (file >= 0 && !buf_status(&source))
		fetch_manifest(p->w.fd, buf_str(&source), p->plain, file, &p->totals, NULL);
}

static void totals_came(struct pull *p)
{
	if (!fetch_result(&p->totals, p->job->reference, NULL))
		tell(p, PULL_MANIFEST);
}

/* --- what the unpacker says: it has met foreign bytes --- */

static void take_verdict(struct pull *p, const struct pull_message *m)
{
	if (p->failed.code || !m->err.code)
		return;
	if (m->err.code < 0 || m->err.code > 4095)
		err_set(&p->failed, EIO, "the unpacker said something odd");
	else
		err_set(&p->failed, m->err.code, "%s", m->err.text);
}

/* 1: it is done. */
static int take_message(struct pull *p, const struct pull_message *m)
{
	struct err e = { 0 };
	switch (m->word) {
	case PULL_READY:
		if (!p->failed.code && !p->copy.pid && (p->starts++ >= STARTS_MAX ? err_set(&e, EIO, "the unpacker wants too much") :
									  start_copy(p, &e)))
			fail(p, &e);
		return 0;
	case PULL_ALIVE:
		if (p->stall_ns)
			p->stall_ns = now_mono_ns() + p->job->stall * (uint64_t)SECOND;
		return 0;
	case PULL_WANTED:
		if (p->copy.pid && !p->totals.pid && p->asked == 1 && digest_is_hex(m->hex, strlen(m->hex)))
			ask_totals(p, m->hex);
		return 0;
	default:
		take_verdict(p, m);
		return 1;
	}
}

static int hear(struct pull *p)
{
	struct pull_message m;
	int r;
	while ((r = follow_hear(p->link, &m)) > 0)
		if (take_message(p, &m))
			return 1;
	if (!r)
		return 0;
	if (!p->failed.code)
		err_set(&p->failed, EIO, "the unpacker ended without a word");
	return 1;
}

/* --- waiting --- */

static uint64_t earliest(const struct pull *p)
{
	const uint64_t all[] = { p->stall_ns, p->totals_ns, p->end_ns };
	uint64_t first = 0;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i] && (!first || all[i] < first))
			first = all[i];
	return first;
}

static void wait_for_any(struct pull *p, struct pollfd fds[5])
{
	uint64_t first = earliest(p), now = now_mono_ns(), left = first > now ? first - now : 0;
	struct timespec t = { .tv_sec = (time_t)(left / SECOND), .tv_nsec = (long)(left % SECOND) };
	const int all[] = { p->link, p->copy.pidfd, p->copy.words, p->totals.pidfd, p->totals.words };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		fds[i] = (struct pollfd){ .fd = all[i], .events = POLLIN };
	if (ppoll(fds, ARRAY_LEN(all), first ? &t : NULL, &p->outside) < 0)
		for (size_t i = 0; i < ARRAY_LEN(all); i++)
			fds[i].revents = 0;
}

static void cancel(struct pull *p)
{
	const struct err why = { ECANCELED, "cancelled" };
	fail(p, &why);
	if (!p->end_ns) {
		p->end_ns = now_mono_ns() + CANCEL_NS;
		kill(p->unpacker, SIGTERM);
	}
}

/* 1: it has taken too long to end. */
static int look_at_clock(struct pull *p)
{
	uint64_t now = now_mono_ns();
	struct err e = { 0 };
	if (p->end_ns && now >= p->end_ns)
		return 1;
	if (p->stall_ns && now >= p->stall_ns) {
		err_set(&e, ETIMEDOUT, "the registry has sent nothing for %u seconds", p->job->stall);
		fail(p, &e);
	}
	if (p->totals_ns && now >= p->totals_ns)
		ask_totals(p, NULL);
	return 0;
}

static void run(struct pull *p)
{
	struct pollfd fds[5];
	bool over = false;
	while (!over) {
		if (tar_cancelled)
			cancel(p);
		wait_for_any(p, fds);
		if (fds[2].revents)
			fetch_listen(&p->copy);
		if (fds[4].revents)
			fetch_listen(&p->totals);
		if (fds[3].revents && p->totals.pid)
			totals_came(p);
		if (fds[1].revents && p->copy.pid)
			copied(p);
		over = (fds[0].revents && hear(p)) || look_at_clock(p);
	}
}

/* The processes that are still there are ours or were left to us, and killed or about to be. */
static void reap_all(void)
{
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (uint64_t now, end = now_mono_ns() + END_NS; (now = now_mono_ns()) < end;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		struct timespec t = { .tv_sec = (time_t)((end - now) / SECOND), .tv_nsec = (long)((end - now) % SECOND) };
		if (pid < 0)
			return;
		if (!pid)
			sigtimedwait(&child, NULL, &t);
	}
}

static void finish(struct pull *p)
{
	fetch_free(&p->copy);
	fetch_free(&p->totals);
	if (p->link >= 0 && p->unpacker > 0) {
		/* Having said its last word it has nothing more to do than to exit. */
		kill(p->unpacker, SIGKILL);
		reap_all();
	}
	close_fd(&p->link);
	work_close(p->d, &p->w);
	image_ref_free(&p->ref);
	sigprocmask(SIG_SETMASK, &p->outside, NULL);
}

/* Signals come while it waits and at no other time; processes whose parent dies become its children. */
static void set_process(struct pull *p)
{
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, SIGTERM);
	sigaddset(&s, SIGINT);
	sigaddset(&s, SIGHUP);
	sigaddset(&s, SIGCHLD);
	sigprocmask(SIG_BLOCK, &s, &p->outside);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

int image_pull(struct disk *d, const struct pull_job *job, struct err *e)
{
	struct pull p = { .job = job, .d = d, .w.fd = -1, .link = -1, .copy = FETCH_NONE, .totals = FETCH_NONE };
	int r = fetch_available(e);
	if (!r)
		r = parse_reference(job->reference, strlen(job->reference), &p.ref, e);
	if (r)
		return r;
	p.loopback = fetch_is_loopback(p.ref.source, p.host);
	r = work_open(d, &p.w, e);
	set_process(&p);
	if (!r)
		r = make_layout(p.w.fd, e);
	if (!r)
		r = start_unpacker(&p, e);
	if (!r)
		run(&p);
	finish(&p);
	if (!r && p.failed.code)
		*e = p.failed;
	return r ? r : -p.failed.code;
}
