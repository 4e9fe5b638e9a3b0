/* Requests of the server: the fields are checked here, what they ask for is done elsewhere. */
#include "runtime/net/bridge.h"
#include "runtime/net/cni.h"
#include "runtime/net/names.h"
#include "runtime/net/ports.h"
#include "runtime/net/rate.h"

#include <errno.h>
#include <string.h>

static bool is_uid(const char *s)
{
	return s && strlen(s) == UID_LEN && strspn(s, "0123456789abcdef-") == UID_LEN;
}

static bool is_label(const char *s)
{
	return s && *s && strlen(s) <= NAME_MAX_LEN && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s) && *s != '-';
}

static const char *str_of(const struct wire_in *in, enum net_key key)
{
	return wire_get_str(in, (enum wire_key)key);
}

static uint64_t u64_of(const struct wire_in *in, enum net_key key)
{
	return wire_get_u64(in, (enum wire_key)key, 0);
}

static int malformed(struct err *e, const char *what)
{
	return err_set(e, EINVAL, "malformed request: %s", what);
}

static int uid_of(const struct wire_in *in, const char **uid, struct err *e)
{
	const char *s = str_of(in, K_UID);
	if (!is_uid(s))
		return malformed(e, "K_UID");
	*uid = s;
	return 0;
}

static struct attachment *attached(struct net *n, const struct wire_in *in, struct err *e)
{
	const char *uid;
	if (uid_of(in, &uid, e))
		return NULL;
	struct attachment *a = attachment_find(n, uid);
	if (!a)
		err_set(e, ENOENT, "pod %s is not attached", uid);
	return a;
}

/* The lines point into the message. */
static int set_ports(struct net *n, const struct attachment *a, const struct wire_in *in, struct err *e)
{
	const char *lines[PORTS_MAX], *data;
	size_t count = 0, pos = 0, len;
	uint16_t key;
	while (wire_next(in, &pos, &key, &data, &len)) {
		if (key != K_PORT)
			continue;
		if (strlen(data) != len || count == PORTS_MAX)
			return err_set(e, count == PORTS_MAX ? E2BIG : EINVAL, "more than %d ports, or not text", PORTS_MAX);
		lines[count++] = data;
	}
	int r = count ? table_ensure(n, e) : 0;
	if (!r)
		r = ports_publish(n, a->uid, a->addr, lines, count, e);
	watch_pass(n);
	return r;
}

static void reply_attached(struct net *n, const struct asker *who, const struct attachment *a, int netns)
{
	struct wire_out o = { 0 };
	char text[NET_ADDR_TEXT];
	if (!server_reply_begin(n, who, &o))
		return;
	for (int i = 0; i < 2; i++)
		if (addr_is(&a->addr[i]))
			wire_str(&o, (enum wire_key)K_ADDR, addr_text_prefix(&a->addr[i], text));
	for (int i = 0; i < 2 && names_served(); i++)
		if (addr_is(&n->gateway[i]))
			wire_str(&o, (enum wire_key)K_DNS, addr_text(&n->gateway[i], text));
	if (netns >= 0)
		wire_fd(&o, netns);
	server_send(n, &o);
}

static void on_attach(struct net *n, const struct asker *who, struct wire_in *in)
{
	struct err e = { 0 };
	struct attach_request q = {
		.pod = str_of(in, K_POD), .host = u64_of(in, K_HOST), .rate_in = u64_of(in, K_RATE_IN), .rate_out = u64_of(in, K_RATE_OUT),
		.netns = in->nfds ? in->fds[0] : -1,
	};
	_cleanup_close_ int netns = -1;
	int r = uid_of(in, &q.uid, &e);
	if (!r && !is_label(q.pod))
		r = malformed(&e, "K_POD");
	if (!r)
		r = attach(n, &q, &netns, &e);
	if (r) {
		server_reply(n, who, r, &e);
		return;
	}
	const struct attachment *a = attachment_find(n, q.uid);
	if (set_ports(n, a, in, &e))
		server_event(n, N_EVENT, q.uid, "ports of pod %s: %s", q.pod, e.text);
	reply_attached(n, who, a, netns);
}

/* A pod that is not here has neither name nor ports here. */
static void on_leave(struct net *n, const struct asker *who, struct wire_in *in)
{
	struct err e = { 0 };
	const char *uid;
	int r = uid_of(in, &uid, &e);
	struct attachment *a = r ? NULL : attachment_find(n, uid);
	if (a)
		attachment_leave(n, a);
	server_reply(n, who, r, &e);
}

static void on_detach(struct net *n, const struct asker *who, struct wire_in *in)
{
	struct err e = { 0 };
	const char *uid;
	int r = uid_of(in, &uid, &e);
	if (!r)
		detach(n, uid);
	server_reply(n, who, r, &e);
}

static void on_ports(struct net *n, const struct asker *who, struct wire_in *in)
{
	struct err e = { 0 };
	const struct attachment *a = attached(n, in, &e);
	server_reply(n, who, a ? set_ports(n, a, in, &e) : -e.code, &e);
}

static void on_rate(struct net *n, const struct asker *who, struct wire_in *in)
{
	struct err e = { 0 };
	struct attachment *a = attached(n, in, &e);
	server_reply(n, who, a ? rate_set(n, a, u64_of(in, K_RATE_IN), u64_of(in, K_RATE_OUT), &e) : -e.code, &e);
}

static bool is_listed(void *arg, const char *uid)
{
	const struct wire_in *in = arg;
	const char *data;
	size_t pos = 0, len;
	uint16_t key;
	while (wire_next(in, &pos, &key, &data, &len))
		if (key == K_UID && !strcmp(data, uid))
			return true;
	return false;
}

static void on_sync(struct net *n, const struct asker *who, struct wire_in *in)
{
	for (struct attachment *a = n->pods, *next; a; a = next) {
		next = a->next;
		if (!is_listed(in, a->uid))
			detach(n, a->uid);
	}
	sync_strangers(n, is_listed, in);
	cni_sync(n, is_listed, in);
	server_reply(n, who, 0, NULL);
}

static void on_setup(struct net *n, const struct asker *who, struct wire_in *in)
{
	const char *lines = wire_get_str(in, K_TEXT);
	struct err e = { 0 };
	if (lines && setup_is(lines)) {
		server_reply(n, who, 0, NULL);
		return;
	}
	err_set(&e, ESTALE, "podfs-net was started with other settings");
	server_reply(n, who, -ESTALE, &e);
	leave_at_once(n);
}

static const struct {
	uint16_t op;
	void (*fn)(struct net *n, const struct asker *who, struct wire_in *in);
} ops[] = {
	{ N_ATTACH, on_attach }, { N_LEAVE, on_leave }, { N_DETACH, on_detach }, { N_PORTS, on_ports }, { N_RATE, on_rate }, { N_SYNC, on_sync },
	{ N_CNI_ADD, cni_add }, { N_CNI_DEL, cni_del }, { N_SETUP, on_setup },
};

void request_handle(struct net *n, struct wire_in *in)
{
	struct asker who = server_asker(n, in->head.seq);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (ops[i].op == in->head.op) {
			ops[i].fn(n, &who, in);
			return;
		}
	server_reply(n, &who, -EOPNOTSUPP, NULL);
}
