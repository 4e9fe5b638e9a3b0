/* What the files of podfs-net share: the process's one structure, and who answers whom.
 *
 * One thread, one loop. Everything here belongs to the process that runs main.c.
 */
#ifndef PODFS_NET_PRIVATE_H
#define PODFS_NET_PRIVATE_H

#include "runtime/base/err.h"
#include "runtime/base/loop.h"
#include "runtime/base/util.h"
#include "runtime/net/addr.h"
#include "runtime/net/net.h"
#include "runtime/wire/door.h"
#include "runtime/wire/queue.h"

#include <stdbool.h>
#include <stdint.h>

struct cni;
struct link_sock;
struct nft;
struct ports;

#define UID_LEN 36
#define NAME_MAX_LEN 63 /* a DNS label */

/* A pod on the bridge. */
struct attachment {
	struct attachment *next;
	char uid[UID_LEN + 1], pod[NAME_MAX_LEN + 1], veth[IFNAMSIZ];
	uint64_t host;           /* its number within the subnets */
	struct net_addr addr[2]; /* IPv4, IPv6; AF_UNSPEC: none */
	uint64_t rate_in, rate_out;
	bool left; /* N_LEAVE: its name and ports are others' */
	bool hurt; /* somebody may have changed its pair (watch_veth.c) */
};

/* The connection to the server (server_link.c). */
struct server {
	struct watch watch;
	unsigned number; /* which connection this is; a reply to another is dropped */
	struct wire_queue queue;
};

/* Whom to answer, also later. */
struct asker {
	unsigned server;
	uint32_t seq;
};

struct net {
	struct loop loop;
	const char *run, *state, *bridge, *table;
	struct net_addr subnet[2];  /* IPv4, IPv6; AF_UNSPEC also: not chosen yet */
	struct net_addr gateway[2]; /* host number 1 of each */
	struct subnet_choice {      /* subnet.c */
		bool automatic;
		bool adopted;           /* of a bridge from before: not what was asked for */
		struct net_addr wanted; /* as asked for; AF_UNSPEC also: automatic */
		unsigned number;        /* of the choice after this one */
		struct net_addr kept;   /* what STATE/net.ini has */
	} choice[2];
	bool subnets_loaded;
	bool subnets_used;          /* pods may have addresses of them: they stay as they are */
	int alive_fd;               /* never closed: base/alive.h */
	struct door door;
	struct server server;
	struct link_sock *links;    /* rtnetlink of the host */
	struct nft *nft;
	uint16_t dns_port;          /* where dnsmasq listens; 0: nowhere (dnsmasq.c) */
	int bridge_index;           /* 0: not made, or lost (bridge.c) */
	bool bridge_whole;
	struct attachment *pods;    /* the newest first */
	struct found *found;        /* whose links were there when we came (attach.c) */
	bool looked;                /* for them */
	struct leaving *leaving;    /* links (sync.c) */
	struct timer idle;          /* nothing is attached: the bridge goes (attach.c) */
	struct ports *ports;        /* ports.c; NULL: none yet */
	struct cni *cni;            /* cni.c; NULL: none yet */
};

extern struct net net_self;

/* --- server_link.c --- */
void server_open(struct net *n, int fd);
void server_close(struct net *n);
struct asker server_asker(const struct net *n, uint32_t seq);
/* Answers with result and, on failure, e's words. */
void server_reply(struct net *n, const struct asker *a, int result, const struct err *e);
/* A successful reply with fields: begin, put fields and descriptors, send. False: nobody waits for it, o is not begun. */
bool server_reply_begin(struct net *n, const struct asker *a, struct wire_out *o);
void server_send(struct net *n, struct wire_out *o); /* takes o's memory, borrows its descriptors; without a server it is dropped */
/* N_EVENT, N_LEAK, N_FREED; uid NULL: of no pod. */
void server_event(struct net *n, enum net_op op, const char *uid, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* --- info.c --- */
void info_tell(struct net *n);   /* N_INFO, if it is not what this server was told last */
void info_forget(struct net *n); /* it is another server */

/* --- main.c --- */
void server_gone(struct net *n); /* closes the connection; without pods the process ends, unless another server comes */
bool setup_is(const char *lines); /* what this process was started with */
void leave_at_once(struct net *n); /* all that is made stays */
void leave_later(struct net *n); /* looks whether there is still a reason to stay */

/* --- requests.c --- */
void request_handle(struct net *n, struct wire_in *in);

/* --- attach.c --- */
struct attachment *attachment_find(struct net *n, const char *uid);
struct attach_request {
	const char *uid, *pod;
	uint64_t host, rate_in, rate_out;
	int netns; /* -1: make one */
};
/* *netns: the pod's namespace, owned by the caller, where q had none; else -1. */
int attach(struct net *n, const struct attach_request *q, int *netns, struct err *e);
void attachment_leave(struct net *n, struct attachment *a); /* gives up name and ports */
void detach(struct net *n, const char *uid); /* not attached: only a link that is left of it goes */
/* Removes bridge and all if nothing is attached: at once, or in a while, in case another pod comes. */
void idle_now(struct net *n);
void idle_later(struct net *n);

/* --- alias.c: how what is ours is called --- */
void net_ifb_name(const char *uid, char out[IFNAMSIZ]);                       /* pg + 12 hex digits of uid */
void net_alias(const struct net *n, const struct attachment *a, char out[256]); /* BRIDGE: pod NAME UID HOST */
/* The uid and the host number (0: none) in an alias that net_alias made for this bridge; false: it is not ours. */
bool net_alias_uid(const struct net *n, const char *alias, char uid[UID_LEN + 1], uint64_t *host);
void net_mac(const struct net_addr addr[2], unsigned char out[6]);            /* 0a:58 and four bytes of the address, IPv4's first */
void net_link_local(const unsigned char mac[6], struct net_addr *out);        /* fe80::… as it follows from the MAC */
unsigned net_group(const struct net *n);                                      /* of the host's ends of the veth pairs (ip-link(8)) */

/* --- sync.c --- */
/* Everything that carries our names and belongs neither to an attachment nor to a uid that is listed goes; what does not is tried
 * again. */
void sync_strangers(struct net *n, bool (*listed)(void *arg, const char *uid), void *arg);
/* A link of a pod that is not attached any more: looked at a while later; what is then still there is removed, or a leak. */
void remove_later(struct net *n, const char *uid, const char *link);
void look_alone(struct net *n); /* from now on, while no server is connected, for pods that have gone */
void remove_now(struct net *n); /* all of these, and nobody is waiting: what is not gone is in n->leaving still */

/* --- watch_veth.c --- */
struct nlmsghdr;
void veth_told(struct net *n, const struct nlmsghdr *h); /* by rtnetlink, of a link of ours */

/* --- watch.c --- */
int watch_open(struct net *n, struct err *e); /* of what others do to the bridge, the pods' pairs and the table: it is repaired */
void watch_bridge(struct net *n);             /* n->bridge_index has changed */
void watch_pass(struct net *n);               /* what has been told of the bridge so far was our own doing, or is seen now */

#endif
