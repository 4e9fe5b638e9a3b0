/* CNI's JSON: what plugins print, networks of /etc/cni/net.d, cached records. What is taken can be handed on and read again. */
#include "runtime/net/cni_json.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

static void result(const char *text, size_t size)
{
	struct json_t *j = NULL;
	struct strs addrs = { 0 };
	struct err e = { 0 };
	if (cni_result_parse(text, size, &j, &e)) {
		PROMISE(e.code && *e.text && !j);
		return;
	}
	PROMISE(!cni_result_addrs(j, &addrs) && addrs.n <= 16);
	for (size_t i = 0; i < addrs.n; i++)
		PROMISE(strlen(addrs.v[i]) < 64 && strchr(addrs.v[i], '/') && !strchr(addrs.v[i], '\n'));
	strs_free(&addrs);
	cni_json_free(&j);
}

static void failure(const char *text, size_t size)
{
	unsigned code;
	struct buf words = { 0 };
	bool said = cni_failure_parse(text, size, &code, &words);
	PROMISE(said == (words.len > 0));
	buf_free(&words);
}

/* Its plugins get JSON, and it comes back from the disk as it was. */
static void hand_on(struct cni_record *r)
{
	struct cni_record again = { 0 };
	struct buf one = { 0 }, two = { 0 };
	struct err e = { 0 };
	for (size_t i = 0; i < r->net.n; i++) {
		struct buf in = { 0 };
		PROMISE(!strchr(cni_net_type(&r->net, i), '/'));
		PROMISE(!cni_stdin(r, i, r->result, "/proc/1/fd/2", &in) && in.len);
		buf_free(&in);
	}
	PROMISE(!cni_record_text(r, &one));
	if (!cni_record_parse(one.data, one.len, &again, &e)) {
		PROMISE(!cni_record_text(&again, &two));
		PROMISE(one.len == two.len && !memcmp(one.data, two.data, one.len));
		cni_record_free(&again);
	} else {
		PROMISE(e.code == E2BIG || e.code == EINVAL || e.code == EFBIG); /* one level and a few values more than it had */
	}
	buf_free(&one);
	buf_free(&two);
}

static void network(const char *text, size_t size, bool list)
{
	struct cni_record r = { .uid = "0", .pod = "web", .sandbox = "/proc/1/fd/1", .netns = "x" };
	struct port p = { .proto = IPPROTO_TCP, .host = 80, .pod = 80, .count = 2 };
	struct err e = { 0 };
	if (cni_net_parse(text, size, list, &r.net, &e)) {
		PROMISE(e.code && *e.text && !r.net.list);
		return;
	}
	PROMISE(r.net.n && *r.net.name && *r.net.version);
	cni_net_is_new(&r.net);
	cni_net_unchecked(&r.net);
	r.runtime = cni_runtime(&p, cni_net_can(&r.net, "portMappings"), 1, 0);
	PROMISE(r.runtime);
	hand_on(&r);
	cni_record_free(&r);
}

static void record(const char *text, size_t size)
{
	struct cni_record r = { 0 };
	struct err e = { 0 };
	if (cni_record_parse(text, size, &r, &e)) {
		PROMISE(e.code && *e.text && !r.runtime);
		return;
	}
	hand_on(&r);
	cni_record_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	result(text, size);
	failure(text, size);
	network(text, size, true);
	network(text, size, false);
	record(text, size);
	return 0;
}
