/* Rates: see rate.h. */
#include "runtime/net/rate.h"

#include "runtime/net/link_nl.h"

#include <errno.h>
#include <string.h>

#define NS_PER_S 1000000000u
#define RATE_MIN 8000u /* bits a second */

/* Long enough for what the scheduler delays, short enough that a small rate is not a row of spurts. */
#define BURST_MS 10
#define BURST_MIN 16384u
#define QUEUE_MS 50
#define QUEUE_MIN 65536u
#define BYTES_MAX (1u << 30)

static uint32_t bytes_in(uint64_t rate, unsigned ms, uint32_t least)
{
	uint64_t n = rate > UINT64_MAX / ms ? BYTES_MAX : rate * ms / 1000;
	return n < least ? least : n > BYTES_MAX ? BYTES_MAX : (uint32_t)n;
}

static int shape(struct net *n, int index, uint64_t bits, struct err *e)
{
	uint64_t rate = bits / 8;
	uint32_t burst = bytes_in(rate, BURST_MS, BURST_MIN);
	return link_shape(n->links, index, rate, burst, burst + bytes_in(rate, QUEUE_MS, QUEUE_MIN), e);
}

static int set_in(struct net *n, int veth, uint64_t bits, struct err *e)
{
	return bits ? shape(n, veth, bits, e) : link_unshape(n->links, veth, e);
}

/* The veth's ingress is the pod's egress; only a link's egress can wait, so it is an ifb that sends it. */
static int set_out(struct net *n, const struct attachment *a, int veth, uint64_t bits, struct err *e)
{
	char ifb[IFNAMSIZ], alias[LINK_ALIAS];
	net_ifb_name(a->uid, ifb);
	if (!bits) {
		int r = link_undivert(n->links, veth, e);
		return r ? r : link_delete(n->links, ifb, e);
	}
	net_alias(n, a, alias);
	int r = 0, index = link_index(n->links, ifb);
	bool diverted = index >= 0 && a->rate_out;
	if (index < 0) {
		r = link_add(n->links, "ifb", ifb, alias, NULL, e);
		index = link_index(n->links, ifb);
	}
	if (!r)
		r = shape(n, index, bits, e);
	if (!r && !diverted)
		r = link_undivert(n->links, veth, e);
	return r || diverted ? r : link_divert(n->links, veth, index, e);
}

int rate_set(struct net *n, struct attachment *a, uint64_t in, uint64_t out, struct err *e)
{
	if ((in && in < RATE_MIN) || (out && out < RATE_MIN))
		return err_set(e, ERANGE, "a rate is at least %u bits a second", RATE_MIN);
	int veth = link_index(n->links, a->veth);
	if (veth < 0)
		return err_sys(e, -veth, "link %s", a->veth);
	int r = in || a->rate_in ? set_in(n, veth, in, e) : 0;
	if (r)
		return r;
	r = out || a->rate_out ? set_out(n, a, veth, out, e) : 0;
	if (r) {
		set_in(n, veth, a->rate_in, NULL);
		return r;
	}
	a->rate_in = in;
	a->rate_out = out;
	return 0;
}

void rate_drop(struct net *n, struct attachment *a)
{
	char ifb[IFNAMSIZ];
	net_ifb_name(a->uid, ifb);
	if (a->rate_out)
		remove_later(n, a->uid, ifb);
}
