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

#include <stdbool.h>
#include <stdint.h>

struct link_sock;
struct nft;

#define UID_LEN 36
#define NAME_MAX_LEN 63 /* a DNS label */

/* A pod on the bridge. */
struct attachment {
	struct attachment *next;
	char uid[UID_LEN + 1], pod[NAME_MAX_LEN + 1], veth[IFNAMSIZ];
	struct net_addr addr[2]; /* IPv4, IPv6; AF_UNSPEC: none */
	uint64_t rate_in, rate_out;
};

/* The connection to the server (server_link.c). */
struct server {
	struct watch watch;
	unsigned number; /* which connection this is; a reply to another is dropped */
	struct queued *queue, **queue_tail;
	size_t queued;
};

/* Whom to answer, also later. */
struct asker {
	unsigned server;
	uint32_t seq;
};

struct net {
	struct loop loop;
	const char *run, *bridge, *table;
	struct net_addr subnet[2];  /* IPv4, IPv6 */
	struct net_addr gateway[2]; /* host number 1 of each */
	int run_fd, lock_fd;
	struct watch listener;
	struct server server;
	struct link_sock *links;    /* rtnetlink of the host */
	struct nft *nft;
	struct attachment *pods;
	unsigned npods;
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

/* --- requests.c --- */
void request_handle(struct net *n, struct wire_in *in);

/* --- attach.c --- */
struct attachment *attachment_find(struct net *n, const char *uid);

#endif
