/* runtime/parse/control and kv: verbs, signals, window sizes, KEY=VALUE lines. */
#include "runtime/base/util.h"
#include "runtime/parse/parse.h"
#include "tests/unit/unit.h"

#include <signal.h>

#define OF(s) s, sizeof(s) - 1
#define W63 "aaaaaaaaabaaaaaaaaabaaaaaaaaabaaaaaaaaabaaaaaaaaabaaaaaaaaabaaa"

static void verbs(void **state)
{
	static const struct { const char *text; enum ctl_verb verb; int signal; } good[] = {
		{ "start", CTL_START, SIGKILL },     { "stop\n", CTL_STOP, SIGKILL },
		{ " restart ", CTL_RESTART, SIGKILL }, { "pause", CTL_PAUSE, SIGKILL },
		{ "unpause", CTL_UNPAUSE, SIGKILL }, { "kill", CTL_KILL, SIGKILL },
		{ "kill TERM\n", CTL_KILL, SIGTERM }, { "kill  15", CTL_KILL, SIGTERM },
	};
	EACH(good, i) {
		size_t len = strlen(good[i].text);
		_cleanup_free_ char *text = exact(good[i].text, len);
		struct ctl c;
		assert_int_equal(parse_ctl(text, len, &c, NULL), 0);
		assert_int_equal(c.verb, good[i].verb);
		assert_int_equal(c.signal, good[i].signal);
	}
}

static void bad_verbs(void **state)
{
	static const struct { const char *text; size_t len; } bad[] = {
		{ OF("") }, { OF("Start") }, { OF("starting") }, { OF("stop now") }, { OF("kill TERM HUP") },
		{ OF("kill NOSUCH") }, { OF("kill 0") }, { OF("kill -9") }, { OF("stop\0") }, { OF("stop\nstart") },
	};
	EACH(bad, i) {
		_cleanup_free_ char *text = exact(bad[i].text, bad[i].len);
		struct ctl c;
		struct err e = { 0 };
		if (parse_ctl(text, bad[i].len, &c, &e) != -EINVAL)
			fail_msg("%s: taken", bad[i].text);
		assert_int_equal(e.code, EINVAL);
	}
	_cleanup_free_ char *mega = filled(1 << 20, 'k');
	struct ctl c;
	assert_int_equal(parse_ctl(mega, 1 << 20, &c, NULL), -EINVAL);
}

static void signals(void **state)
{
	static const struct { const char *text; int sig; } t[] = {
		{ "TERM", 15 }, { "SIGTERM", 15 }, { "sigterm", 15 }, { "15", 15 }, { "HUP\n", 1 }, { "KILL", 9 },
		{ "STKFLT", 16 }, { "CLD", 17 }, { "SYS", 31 }, { "IOT", 6 }, { "POLL", 29 }, { "RTMIN", 34 },
		{ "SIGRTMIN+3", 37 }, { "RTMIN+30", 64 }, { "RTMAX", 64 }, { "RTMAX-14", 50 }, { "64", 64 }, { "32", 32 },
		{ "", 0 }, { "0", 0 }, { "65", 0 }, { "-1", 0 }, { "SIG", 0 }, { "SIGSIGTERM", 0 }, { "RTMIN+31", 0 },
		{ "RTMIN-1", 0 }, { "RTMIN+", 0 }, { "RTMAX+1", 0 }, { "TERM KILL", 0 }, { "99999999999999999999", 0 },
	};
	EACH(t, i) {
		size_t len = strlen(t[i].text);
		_cleanup_free_ char *text = exact(t[i].text, len);
		int sig = 0, r = parse_signal(text, len, &sig, NULL);
		if (sig != t[i].sig || r != (t[i].sig ? 0 : -EINVAL))
			fail_msg("%s: %d, signal %d", t[i].text, r, sig);
	}
}

static void signals_have_names(void **state)
{
	for (int i = 1; i <= 64; i++) {
		int sig = 0;
		const char *name = signal_name(i);
		if (i < 32)
			assert_int_equal(parse_signal(name, strlen(name), &sig, NULL), 0);
		else
			sig = atoi(name + 3);
		assert_int_equal(sig, i);
	}
	assert_string_equal(signal_name(15), "SIGTERM");
	assert_string_equal(signal_name(34), "SIG34");
	assert_string_equal(signal_name(35), "SIG35");
	assert_string_equal(signal_name(0), "SIG?");
	assert_string_equal(signal_name(65), "SIG?");
}

static void window_sizes(void **state)
{
	static const struct { const char *text; unsigned rows, cols; } t[] = {
		{ "24 80", 24, 80 }, { " 1\t65535\n", 1, 65535 }, { "", 0 }, { "24", 0 }, { "24 80 1", 0 },
		{ "0 80", 0 }, { "24 0", 0 }, { "65536 80", 0 }, { "-24 80", 0 }, { "24x80", 0 }, { "a b", 0 },
	};
	EACH(t, i) {
		size_t len = strlen(t[i].text);
		_cleanup_free_ char *text = exact(t[i].text, len);
		unsigned rows = 0, cols = 0;
		assert_int_equal(parse_winsize(text, len, &rows, &cols, NULL), t[i].rows ? 0 : -EINVAL);
		assert_int_equal(rows, t[i].rows);
		assert_int_equal(cols, t[i].cols);
	}
}

#define ENV 1
#define LABEL 2
#define ANNOTATION 4

static void lines(void **state)
{
	static const struct { const char *text; size_t len; unsigned fits; } t[] = {
		{ OF("A=b"), ENV | LABEL | ANNOTATION },
		{ OF("A="), ENV | LABEL | ANNOTATION },
		{ OF("app.kubernetes.io/name=web"), ENV | LABEL | ANNOTATION },
		{ OF("a.b-c_d=x.y-z_1"), ENV | LABEL | ANNOTATION },
		{ OF(W63 "=" W63), ENV | LABEL | ANNOTATION },
		{ OF(W63 "x=" W63), ENV },
		{ OF("a=" W63 "x"), ENV | ANNOTATION },
		{ OF("A=b=c d; \xc3\xa4"), ENV | ANNOTATION },
		{ OF("a=-b"), ENV | ANNOTATION },
		{ OF("a=\xff"), ENV },
		{ OF("-a=b"), ENV },
		{ OF("a b=c"), ENV },
		{ OF("/a=b"), ENV },
		{ OF("x/=b"), ENV },
		{ OF("a/b/c=d"), ENV },
		{ OF("Prefix/a=b"), ENV },
		{ OF("-x.y/a=b"), ENV },
		{ OF("x..y/a=b"), ENV },
		{ OF("x-.y/a=b"), ENV },
		{ OF(""), 0 },
		{ OF("="), 0 },
		{ OF("=b"), 0 },
		{ OF("A"), 0 },
		{ OF("A=b\n"), 0 },
		{ OF("A=b\0"), 0 },
		{ OF("\0=b"), 0 },
	};
	static const enum kv_kind kinds[] = { KV_ENV, KV_LABEL, KV_ANNOTATION };
	EACH(t, i) EACH(kinds, k) {
		_cleanup_free_ char *text = exact(t[i].text, t[i].len);
		struct err e = { 0 };
		int r = check_kv(kinds[k], text, t[i].len, &e);
		if (r != (t[i].fits & 1u << k ? 0 : -EINVAL))
			fail_msg("%s as %zu: %d %s", t[i].text, k, r, e.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verbs),
		cmocka_unit_test(bad_verbs),
		cmocka_unit_test(signals),
		cmocka_unit_test(signals_have_names),
		cmocka_unit_test(window_sizes),
		cmocka_unit_test(lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
