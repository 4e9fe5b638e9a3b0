/* The conversation with nftables: see nft_talk.h. The only file that includes libnftables.
 *
 * A transaction costs about 90 µs, whatever the number of elements; more where the host has hundreds of chains and sets of its
 * own, as libnftables looks at all of them first.
 */
#include "runtime/net/nft_talk.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <string.h>
#include <sys/socket.h>

/* libnftables ends the process when it gets no socket of netfilter's. */
static int check_kernel(struct err *e)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	return fd < 0 ? err_sys(e, errno, "nftables") : 0;
}

static int begin(struct nft_talk *t, struct err *e)
{
	int r = t->ctx ? 0 : check_kernel(e);
	if (r || t->ctx)
		return r;
	struct nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!ctx || nft_ctx_buffer_output(ctx) || nft_ctx_buffer_error(ctx)) {
		if (ctx)
			nft_ctx_free(ctx);
		return err_set(e, ENOMEM, "nftables: no context");
	}
	nft_ctx_output_set_flags(ctx, NFT_CTX_OUTPUT_NUMERIC_PROTO);
	t->ctx = ctx;
	return 0;
}

/* nft's first line has the reason behind `Error: `. */
static int refused(struct nft_talk *t, struct err *e)
{
	static const struct { const char *words; int code; } known[] = {
		{ "No such file or directory", ENOENT }, { "File exists", EEXIST }, { "Device or resource busy", EBUSY },
		{ "Operation not permitted", EPERM }, { "Operation not supported", EOPNOTSUPP },
		{ "Protocol not supported", EPROTONOSUPPORT }, { "cache initialization failed", EPROTONOSUPPORT },
	};
	char line[256];
	const char *text = nft_ctx_get_error_buffer(t->ctx), *at = strstr(text, "Error: ");
	snprintf(line, sizeof line, "%s", at ? at + strlen("Error: ") : text);
	line[strcspn(line, "\n")] = 0;
	int code = EIO;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strstr(line, known[i].words))
			code = known[i].code;
	return err_set(e, code, "nftables: %s", line);
}

int nft_say(struct nft_talk *t, const struct buf *commands, struct err *e)
{
	int r = buf_status(commands) ? err_set(e, ENOMEM, "no memory") : begin(t, e);
	if (r)
		return r;
	return nft_run_cmd_from_buffer(t->ctx, buf_str(commands)) ? refused(t, e) : 0;
}

const char *nft_hear(struct nft_talk *t, const struct buf *command)
{
	return nft_say(t, command, NULL) ? "" : nft_ctx_get_output_buffer(t->ctx);
}

void nft_talk_end(struct nft_talk *t)
{
	if (t->ctx)
		nft_ctx_free(t->ctx);
	t->ctx = NULL;
}
