/* A message from the other side of the socket: every field that is handed out lies within it.
 *
 * The input is the message; an odd last byte sends a descriptor along. */
#include "runtime/base/util.h"
#include "runtime/wire/wire.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static char mem[WIRE_MAX];

static void send_message(int sock, const void *data, size_t len, bool with_fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (with_fd) {
		m.msg_control = control;
		m.msg_controllen = sizeof control;
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &sock, sizeof sock);
	}
	PROMISE(sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len);
}

static void walk(const struct wire_in *in)
{
	size_t pos = 0, len, sum = 0;
	uint16_t key;
	const char *data;
	while (wire_next(in, &pos, &key, &data, &len)) {
		PROMISE(data >= mem && data + len < mem + sizeof mem && !data[len]);
		for (size_t i = 0; i < len; i++)
			sum += (unsigned char)data[i];
		const char *s = wire_get_str(in, key);
		PROMISE(!s || strlen(s) < sizeof mem);
		wire_get_u64(in, key, sum);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int sv[2];
	struct wire_in in;
	if (!size || size > WIRE_MAX)
		return 0;
	PROMISE(!wire_socketpair(sv));
	send_message(sv[0], data, size, data[size - 1] & 1);
	int r = wire_recv(sv[1], mem, sizeof mem, &in);
	PROMISE(r == 1 || r == -EPROTO);
	if (r == 1) {
		walk(&in);
		wire_in_close(&in);
	}
	close(sv[0]);
	close(sv[1]);
	return 0;
}
