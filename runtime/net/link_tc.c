/* Queueing disciplines: see link_nl.h. Built by hand: libnl-route's objects for them count bytes a second in 32 bits. */
#include "runtime/net/link_lib.h"

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/tc_act/tc_mirred.h>

static struct nl_msg *tc_message(int type, const struct tcmsg *head, const char *kind)
{
	struct nl_msg *m = link_message(type, head, sizeof *head);
	if (m)
		nla_put_string(m, TCA_KIND, kind);
	return m;
}

static int tc_do(struct link_sock *s, const char *what, struct nl_msg *m, int flags, int passed, struct err *e)
{
	if (m)
		nlmsg_hdr(m)->nlmsg_flags |= (uint16_t)flags;
	link_plan(s, what, passed, 0, m);
	return link_commit(s, NULL, e);
}

int link_shape(struct link_sock *s, int index, uint64_t rate, uint32_t burst, uint32_t queue, struct err *e)
{
	struct tcmsg head = { .tcm_ifindex = index, .tcm_parent = TC_H_ROOT, .tcm_handle = TC_H_MAKE(1u << 16, 0) };
	struct tc_tbf_qopt q = { .limit = queue, .rate = { .linklayer = TC_LINKLAYER_ETHERNET } };
	q.rate.rate = rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate;
	struct nl_msg *m = tc_message(RTM_NEWQDISC, &head, "tbf");
	struct nlattr *o = m ? nla_nest_start(m, TCA_OPTIONS) : NULL;
	if (o) {
		nla_put(m, TCA_TBF_PARMS, sizeof q, &q);
		nla_put_u32(m, TCA_TBF_BURST, burst);
		if (rate > UINT32_MAX)
			nla_put_u64(m, TCA_TBF_RATE64, rate);
		nla_nest_end(m, o);
	}
	return tc_do(s, "tbf", m, NLM_F_CREATE | NLM_F_REPLACE, 0, e);
}

int link_unshape(struct link_sock *s, int index, struct err *e)
{
	struct tcmsg head = { .tcm_ifindex = index, .tcm_parent = TC_H_ROOT };
	return tc_do(s, "tbf", tc_message(RTM_DELQDISC, &head, "tbf"), 0, ENOENT, e);
}

/* u32 with a key that every packet has, not matchall: kernels are built without that. */
static void put_redirect(struct nl_msg *m, int to)
{
	struct {
		struct tc_u32_sel sel;
		struct tc_u32_key key;
	} all = { .sel = { .flags = TC_U32_TERMINAL, .nkeys = 1 } };
	struct tc_mirred redirect = { .action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)to };
	struct nlattr *o = nla_nest_start(m, TCA_OPTIONS), *acts, *act, *parms;
	nla_put(m, TCA_U32_SEL, sizeof all, &all);
	acts = nla_nest_start(m, TCA_U32_ACT);
	act = nla_nest_start(m, 1);
	nla_put_string(m, TCA_ACT_KIND, "mirred");
	parms = nla_nest_start(m, TCA_ACT_OPTIONS);
	nla_put(m, TCA_MIRRED_PARMS, sizeof redirect, &redirect);
	nla_nest_end(m, parms);
	nla_nest_end(m, act);
	nla_nest_end(m, acts);
	nla_nest_end(m, o);
}

int link_divert(struct link_sock *s, int index, int to, struct err *e)
{
	struct tcmsg ingress = { .tcm_ifindex = index, .tcm_parent = TC_H_INGRESS, .tcm_handle = TC_H_MAKE(TC_H_INGRESS, 0) };
	struct tcmsg filter = { .tcm_ifindex = index, .tcm_parent = TC_H_MAKE(TC_H_INGRESS, 0),
				.tcm_info = TC_H_MAKE(1u << 16, htons(ETH_P_ALL)) };
	int r = tc_do(s, "ingress", tc_message(RTM_NEWQDISC, &ingress, "ingress"), NLM_F_CREATE | NLM_F_EXCL, EEXIST, e);
	if (r)
		return r;
	struct nl_msg *m = tc_message(RTM_NEWTFILTER, &filter, "u32");
	if (m)
		put_redirect(m, to);
	return tc_do(s, "mirred", m, NLM_F_CREATE | NLM_F_EXCL, 0, e);
}

int link_undivert(struct link_sock *s, int index, struct err *e)
{
	struct tcmsg ingress = { .tcm_ifindex = index, .tcm_parent = TC_H_INGRESS, .tcm_handle = TC_H_MAKE(TC_H_INGRESS, 0) };
	return tc_do(s, "ingress", tc_message(RTM_DELQDISC, &ingress, "ingress"), 0, ENOENT, e);
}
