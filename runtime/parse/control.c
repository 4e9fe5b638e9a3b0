/* Short commands: the verbs of `ctl`, signal names, `winsize`. */
#include "runtime/base/util.h"
#include "runtime/parse/parse.h"
#include "runtime/parse/text.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

#define SIGNAL_MAX 64 /* signal(7): Linux numbers 1 to 64 */
#define RT_MIN 34     /* glibc's SIGRTMIN: the kernel's first two are its own (nptl(7)) */

#define SIG(name) [SIG##name] = "SIG" #name
static const char *const names[] = {
	SIG(HUP), SIG(INT), SIG(QUIT), SIG(ILL), SIG(TRAP), SIG(ABRT), SIG(BUS), SIG(FPE), SIG(KILL), SIG(USR1),
	SIG(SEGV), SIG(USR2), SIG(PIPE), SIG(ALRM), SIG(TERM), SIG(STKFLT), SIG(CHLD), SIG(CONT), SIG(STOP),
	SIG(TSTP), SIG(TTIN), SIG(TTOU), SIG(URG), SIG(XCPU), SIG(XFSZ), SIG(VTALRM), SIG(PROF), SIG(WINCH),
	SIG(IO), SIG(PWR), SIG(SYS),
};
#undef SIG

static bool same_name(struct span s, const char *name)
{
	return s.n == strlen(name) && !strncasecmp(s.p, name, s.n);
}

static int by_name(struct span s)
{
	for (size_t i = 1; i < ARRAY_LEN(names); i++)
		if (names[i] && (same_name(s, names[i]) || same_name(s, names[i] + 3)))
			return (int)i;
	if (same_name(s, "IOT") || same_name(s, "SIGIOT"))
		return SIGABRT;
	if (same_name(s, "POLL") || same_name(s, "SIGPOLL"))
		return SIGIO;
	if (same_name(s, "CLD") || same_name(s, "SIGCLD"))
		return SIGCHLD;
	return 0;
}

static bool take_prefix(struct span *s, const char *prefix)
{
	size_t n = strlen(prefix);
	if (s->n < n || strncasecmp(s->p, prefix, n))
		return false;
	s->p += n;
	s->n -= n;
	return true;
}

/* RTMIN, RTMIN+N, RTMAX, RTMAX-N, with or without SIG; 0: it is none. */
static int realtime(struct span s)
{
	uint64_t n = 0;
	take_prefix(&s, "SIG");
	bool up = take_prefix(&s, "RTMIN");
	if (!up && !take_prefix(&s, "RTMAX"))
		return 0;
	if (s.n) {
		if (s.p[0] != (up ? '+' : '-') || span_number((struct span){ s.p + 1, s.n - 1 }, &n))
			return 0;
	}
	if (n > SIGNAL_MAX - RT_MIN)
		return 0;
	return up ? RT_MIN + (int)n : SIGNAL_MAX - (int)n;
}

int parse_signal(const char *text, size_t len, int *out, struct err *e)
{
	struct span s = span_trim(text, len);
	uint64_t n;
	int sig = 0;
	if (!span_number(s, &n))
		sig = n <= SIGNAL_MAX ? (int)n : 0;
	else if (!(sig = by_name(s)))
		sig = realtime(s);
	if (!sig)
		return err_set(e, EINVAL, "%s is not a signal (try TERM, HUP, 9, RTMIN+3)", clip(s).s);
	*out = sig;
	return 0;
}

const char *signal_name(int sig)
{
	static char numbered[SIGNAL_MAX + 1][8];
	if (sig < 1 || sig > SIGNAL_MAX)
		return "SIG?";
	if (sig < (int)ARRAY_LEN(names) && names[sig])
		return names[sig];
	snprintf(numbered[sig], sizeof numbered[sig], "SIG%d", sig);
	return numbered[sig];
}

int parse_ctl(const char *text, size_t len, struct ctl *out, struct err *e)
{
	static const char *const verbs[] = {
		[CTL_START] = "start", [CTL_STOP] = "stop",       [CTL_RESTART] = "restart",
		[CTL_PAUSE] = "pause", [CTL_UNPAUSE] = "unpause", [CTL_KILL] = "kill",
	};
	struct span all = span_trim(text, len), rest = all;
	struct span verb = span_word(&rest), arg = span_word(&rest);
	struct ctl c = { .signal = SIGKILL };
	size_t i = 0;
	while (i < ARRAY_LEN(verbs) && !span_is(verb, verbs[i]))
		i++;
	if (i == ARRAY_LEN(verbs))
		return err_set(e, EINVAL, "%s is not a verb (start stop restart pause unpause kill [SIGNAL])",
			       clip(all).s);
	c.verb = (enum ctl_verb)i;
	if (rest.n || (arg.n && c.verb != CTL_KILL))
		return err_set(e, EINVAL, "%s: too many words", clip(all).s);
	if (arg.n) {
		int r = parse_signal(arg.p, arg.n, &c.signal, e);
		if (r)
			return r;
	}
	*out = c;
	return 0;
}

int parse_winsize(const char *text, size_t len, unsigned *rows, unsigned *cols, struct err *e)
{
	struct span all = span_trim(text, len), rest = all;
	struct span first = span_word(&rest), second = span_word(&rest);
	uint64_t r, c;
	if (span_number(first, &r) || span_number(second, &c) || rest.n || !r || !c || r > 65535 || c > 65535)
		return err_set(e, EINVAL, "%s is not ROWS COLS (try 24 80)", clip(all).s);
	*rows = (unsigned)r;
	*cols = (unsigned)c;
	return 0;
}
