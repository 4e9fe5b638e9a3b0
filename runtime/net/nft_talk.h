/* The conversation with nftables: commands as text, one transaction each.
 *
 * Owns libnftables' context, which is made with the first command. Knows nothing of what the commands do.
 */
#ifndef PODFS_NET_NFT_TALK_H
#define PODFS_NET_NFT_TALK_H

#include "runtime/base/buf.h"
#include "runtime/base/err.h"

struct nft_ctx;

struct nft_talk {
	struct nft_ctx *ctx;
};

/* All or none of these commands; e has nft's own words. -ENOENT, -EEXIST, -EBUSY …; -EPROTONOSUPPORT: there is nobody to talk to. */
int nft_say(struct nft_talk *t, const struct buf *commands, struct err *e);
/* What nft prints for it, nothing if it fails; valid until the next command. */
const char *nft_hear(struct nft_talk *t, const struct buf *command);
void nft_talk_end(struct nft_talk *t);

#endif
