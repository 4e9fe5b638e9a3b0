/* What the server and podfs-pod say to each other: see wire.h. */
#include "runtime/wire/wire.h"

#include "runtime/base/util.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct field {
	uint16_t key, zero;
	uint32_t len;
};

/* Each field is followed by a NUL and padding to eight bytes. */
static size_t padded(size_t len)
{
	return (len + 1 + 7) & ~(size_t)7;
}

void wire_begin(struct wire_out *o, enum wire_op op, uint32_t seq)
{
	buf_reset(&o->b);
	o->nfds = 0;
	struct wire_head h = { .version = WIRE_VERSION, .op = (uint16_t)op, .seq = seq };
	buf_put(&o->b, &h, sizeof h);
}

void wire_result(struct wire_out *o, int result)
{
	if (!o->b.failed)
		((struct wire_head *)(void *)o->b.data)->result = result;
}

void wire_put(struct wire_out *o, enum wire_key key, const void *data, size_t len)
{
	static const char zeros[8];
	if (len > WIRE_MAX) {
		o->b.failed = true;
		return;
	}
	struct field f = { .key = (uint16_t)key, .len = (uint32_t)len };
	buf_put(&o->b, &f, sizeof f);
	buf_put(&o->b, data, len);
	buf_put(&o->b, zeros, padded(len) - len);
}

void wire_str(struct wire_out *o, enum wire_key key, const char *s)
{
	if (s)
		wire_put(o, key, s, strlen(s));
}

void wire_u64(struct wire_out *o, enum wire_key key, uint64_t v)
{
	wire_put(o, key, &v, sizeof v);
}

void wire_fd(struct wire_out *o, int fd)
{
	if (o->nfds < WIRE_FDS)
		o->fds[o->nfds++] = fd;
}

void wire_free(struct wire_out *o)
{
	buf_free(&o->b);
	o->nfds = 0;
}

int wire_check(const struct wire_out *o)
{
	if (buf_status(&o->b))
		return -ENOMEM;
	return o->b.len > WIRE_MAX ? -EMSGSIZE : 0;
}

int wire_send(int sock, struct wire_out *o)
{
	int r = wire_check(o);
	if (r)
		return r;
	((struct wire_head *)(void *)o->b.data)->len = (uint32_t)(o->b.len - sizeof(struct wire_head));
	struct iovec iov = { .iov_base = o->b.data, .iov_len = o->b.len };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * WIRE_FDS)];
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (o->nfds) {
		memset(control, 0, sizeof control);
		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)o->nfds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)o->nfds);
		memcpy(CMSG_DATA(c), o->fds, sizeof(int) * (size_t)o->nfds);
	}
	for (;;) {
		if (sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

static void take_fds(struct msghdr *m, struct wire_in *in)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
			if (in->nfds < WIRE_FDS)
				in->fds[in->nfds++] = fd;
			else
				close(fd);
		}
	}
}

static bool well_formed(const struct wire_in *in)
{
	size_t pos = 0;
	while (pos < in->len) {
		struct field f;
		if (in->len - pos < sizeof f)
			return false;
		memcpy(&f, in->fields + pos, sizeof f);
		pos += sizeof f;
		if (f.len > in->len - pos || padded(f.len) > in->len - pos || in->fields[pos + f.len])
			return false;
		pos += padded(f.len);
	}
	return true;
}

int wire_recv(int sock, void *mem, size_t cap, struct wire_in *in)
{
	*in = (struct wire_in){ .fds = { -1, -1, -1 } };
	struct iovec iov = { .iov_base = mem, .iov_len = cap };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * WIRE_FDS)];
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
	};
	ssize_t n;
	/* ECONNRESET, once: the other side closed without having read all; what it had said itself before lies behind that. */
	do {
		n = recvmsg(sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n <= 0)
		return n < 0 ? -errno : 0;
	take_fds(&m, in);
	if ((m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || (size_t)n < sizeof in->head)
		goto malformed;
	memcpy(&in->head, mem, sizeof in->head);
	in->fields = (const char *)mem + sizeof in->head;
	in->len = (size_t)n - sizeof in->head;
	if (in->head.version != WIRE_VERSION || in->head.len != in->len || !well_formed(in))
		goto malformed;
	return 1;
malformed:
	wire_in_close(in);
	return -EPROTO;
}

void wire_in_close(struct wire_in *in)
{
	for (int i = 0; i < in->nfds; i++)
		close_fd(&in->fds[i]);
}

bool wire_next(const struct wire_in *in, size_t *pos, uint16_t *key, const char **data, size_t *len)
{
	if (*pos >= in->len)
		return false;
	struct field f;
	memcpy(&f, in->fields + *pos, sizeof f);
	*key = f.key;
	*data = in->fields + *pos + sizeof f;
	*len = f.len;
	*pos += sizeof f + padded(f.len);
	return true;
}

const char *wire_find(const struct wire_in *in, enum wire_key key, size_t *len)
{
	size_t pos = 0;
	uint16_t k;
	const char *data;
	while (wire_next(in, &pos, &k, &data, len))
		if (k == key)
			return data;
	return NULL;
}

uint64_t wire_get_u64(const struct wire_in *in, enum wire_key key, uint64_t dflt)
{
	size_t len;
	uint64_t v;
	const char *p = wire_find(in, key, &len);
	if (!p || len != sizeof v)
		return dflt;
	memcpy(&v, p, sizeof v);
	return v;
}

const char *wire_get_str(const struct wire_in *in, enum wire_key key)
{
	size_t len;
	const char *p = wire_find(in, key, &len);
	return p && strlen(p) == len ? p : NULL;
}

/* Room for one whole message; more than wmem_max needs CAP_NET_ADMIN (socket(7)). */
static void make_room(int fd)
{
	int room = 2 * WIRE_MAX;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}

int wire_socketpair(int sv[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv))
		return -errno;
	make_room(sv[0]);
	make_room(sv[1]);
	return 0;
}

/* A socket, and the address of dirfd/name for it. */
static int socket_for(int dirfd, const char *name, struct sockaddr_un *a)
{
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	int n = snprintf(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/%s", dirfd, name);
	if (n >= (int)sizeof a->sun_path)
		return -ENAMETOOLONG;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? -errno : fd;
}

int wire_listen(int dirfd, const char *name)
{
	struct sockaddr_un a;
	_cleanup_close_ int fd = socket_for(dirfd, name, &a);
	if (fd < 0)
		return fd;
	unlinkat(dirfd, name, 0);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) || fchmodat(dirfd, name, 0600, 0) || listen(fd, 4))
		return -errno;
	return take_fd(&fd);
}

int wire_connect(int dirfd, const char *name)
{
	struct sockaddr_un a;
	_cleanup_close_ int fd = socket_for(dirfd, name, &a);
	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&a, sizeof a))
		return -errno;
	make_room(fd);
	return take_fd(&fd);
}

int wire_accept(int listener)
{
	_cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return -errno;
	struct ucred peer;
	socklen_t n = sizeof peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n))
		return -errno;
	if (peer.uid != 0 && peer.uid != geteuid())
		return -EPERM;
	make_room(fd);
	return take_fd(&fd);
}
