/* The connection to podfs-net (runtime/net/net.h): one is started where nobody listens at RUN/net.sock, and again when it dies.
 *
 * Owns the connection and what is asked over it. Nothing here blocks: what is asked waits until there is a podfs-net, and is asked
 * of the next one if the first died over it; what it asks of podfs-net can be asked twice. Runs in podfs-server.
 */
#ifndef PODFS_NET_LINK_H
#define PODFS_NET_LINK_H

#include "runtime/engine/private.h"
#include "runtime/net/net.h"

#define NET_ANSWER_S 10 /* of what takes podfs-net milliseconds */

int net_link_open(struct engine *en); /* 0 or -ENOMEM: nothing is connected yet */
void net_link_close(struct engine *en); /* who asked is told ENODEV */
/* Connects soon, if it is not. */
void net_link_want(struct engine *en);
bool net_link_up(const struct engine *en);
/* Sends o, as soon as that can be; takes its memory and duplicates its descriptors. fn is called once, and not before this has
 * returned: with the reply; or with in NULL and words, when no podfs-net can be had, two have died over it, or within_s seconds have passed.
 * fn NULL: nobody waits for it. -ENOMEM: fn is not called. */
int net_ask(struct engine *en, struct wire_out *o, unsigned within_s, reply_fn *fn, void *arg);
/* The same of this podfs-net only: -ENODEV and in NULL when it dies over it, the next one is told by net_connected. */
int net_ask_this(struct engine *en, struct wire_out *o, unsigned within_s, reply_fn *fn, void *arg);

/* wire.h's functions take its own keys. */
static inline void net_begin(struct wire_out *o, enum net_op op) { wire_begin(o, (enum wire_op)op, 0); }
static inline void net_str(struct wire_out *o, enum net_key key, const char *s) { wire_str(o, (enum wire_key)key, s); }
static inline void net_u64(struct wire_out *o, enum net_key key, uint64_t v) { wire_u64(o, (enum wire_key)key, v); }
static inline const char *net_get_str(const struct wire_in *in, enum net_key key) { return wire_get_str(in, (enum wire_key)key); }

#endif
