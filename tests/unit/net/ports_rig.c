/* A host and a pod for the tests of published ports: see ports_rig.h. */
#include "tests/unit/net/ports_rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct loop *rig_loop;
unsigned rig_rounds;
static pid_t pod_pid;
static int ready_pipe[2] = { -1, -1 }, go_pipe[2] = { -1, -1 };

void rig_fail(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: peer: %s (%s)\n", file, line, what, strerror(errno));
	_exit(1);
}

static void enter(pid_t pid)
{
	char path[40];
	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0 && !setns(fd, CLONE_NEWNET));
}

static int sit(void *arg)
{
	NEED(!unshare(CLONE_NEWNET));
	alarm(0);
	rig_ready();
	pause();
	return 0;
}

int rig_enter(void **state)
{
	char cmd[1024];
	signal(SIGPIPE, SIG_IGN);
	if (unshare(CLONE_NEWNET)) {
		fprintf(stderr, "no right to make network namespaces\n");
		return -1;
	}
	pod_pid = rig_start(ON_HOST, sit, NULL);
	snprintf(cmd, sizeof cmd,
		 "set -e; exec 2>&1; P=%d; ip link set lo up; ip link add veth0 type veth peer name eth0 netns $P; "
		 "ip addr add " HOST4 "/24 dev veth0; ip addr add " HOST6 "/64 dev veth0 nodad; ip link set veth0 up; "
		 "in_pod() { nsenter -t $P -n \"$@\"; }; in_pod ip link set lo up; in_pod ip addr add " POD4 "/24 dev eth0; "
		 "in_pod ip addr add " POD6 "/64 dev eth0 nodad; in_pod ip link set eth0 up; "
		 "in_pod ip route add default via " HOST4 "; in_pod ip -6 route add default via " HOST6, (int)pod_pid);
	return system(cmd);
}

int rig_leave(void **state)
{
	rig_end(pod_pid);
	return 0;
}

void rig_ready(void)
{
	NEED(write(ready_pipe[1], "", 1) == 1);
}

void rig_wait_go(void)
{
	char c;
	NEED(read(go_pipe[0], &c, 1) == 0);
}

void rig_go(void)
{
	close_fd(&go_pipe[1]);
	close_fd(&go_pipe[0]);
}

/* What the host holds is not to live on in a peer. */
static void close_inherited(void)
{
	for (int fd = 3; fd < 4096; fd++)
		if (fd != ready_pipe[1] && fd != go_pipe[0])
			close(fd);
}

static pid_t spawn(enum where w, int (*run)(void *), void *arg)
{
	if (go_pipe[1] < 0)
		assert_int_equal(pipe2(go_pipe, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_inherited();
	alarm(60);
	if (w == IN_POD)
		enter(pod_pid);
	_exit(run(arg));
}

static void turn(int fd, short events)
{
	struct pollfd p[2] = { { .fd = fd, .events = events }, { .fd = rig_loop ? rig_loop->epfd : -1, .events = POLLIN } };
	int timeout = rig_loop && rig_loop->timers ? 10 : -1;
	poll(p, 2, timeout);
	if (rig_loop && (p[1].revents || timeout > 0)) {
		rig_rounds += p[1].revents != 0;
		loop_once(rig_loop, 0);
	}
}

static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, 0) == 1;
}

pid_t rig_start(enum where w, int (*run)(void *), void *arg)
{
	char c;
	assert_int_equal(pipe2(ready_pipe, O_CLOEXEC), 0);
	pid_t pid = spawn(w, run, arg);
	close_fd(&ready_pipe[1]);
	while (!is_readable(ready_pipe[0]))
		turn(ready_pipe[0], POLLIN);
	assert_int_equal(read(ready_pipe[0], &c, 1), 1);
	close_fd(&ready_pipe[0]);
	return pid;
}

int rig_wait(pid_t pid)
{
	siginfo_t si = { 0 };
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(fd >= 0);
	while (!is_readable(fd))
		turn(fd, POLLIN);
	assert_int_equal(waitid(P_PID, (id_t)pid, &si, WEXITED), 0);
	return si.si_code == CLD_EXITED ? si.si_status : 128 + si.si_status;
}

void rig_end(pid_t pid)
{
	kill(pid, SIGKILL);
	rig_wait(pid);
}

int rig_run(enum where w, int (*run)(void *), void *arg)
{
	return rig_wait(spawn(w, run, arg));
}

void rig_spin(unsigned ms)
{
	uint64_t until = now_mono_ns() + ms * 1000000u;
	for (uint64_t now; (now = now_mono_ns()) < until;) {
		struct pollfd p = { .fd = rig_loop->epfd, .events = POLLIN };
		uint64_t left = (until - now) / 1000000 + 1;
		rig_rounds += poll(&p, 1, (int)(rig_loop->timers && left > 5 ? 5 : left)) == 1;
		loop_once(rig_loop, 0);
	}
}

union net_sockaddr rig_addr(const char *address, uint16_t port)
{
	union net_sockaddr a = { .any.sa_family = strchr(address, ':') ? AF_INET6 : AF_INET };
	if (a.any.sa_family == AF_INET) {
		a.in.sin_port = htons(port);
		NEED(inet_pton(AF_INET, address, &a.in.sin_addr) == 1);
	} else {
		a.in6.sin6_port = htons(port);
		NEED(inet_pton(AF_INET6, address, &a.in6.sin6_addr) == 1);
	}
	return a;
}

int rig_listen(int type, const char *address, uint16_t port)
{
	int on = 1;
	union net_sockaddr a = rig_addr(address, port);
	_cleanup_close_ int fd = socket(a.any.sa_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (a.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, &a.any, net_sockaddr_len(&a)) || (type == SOCK_STREAM && listen(fd, 4096)))
		return -errno;
	return take_fd(&fd);
}

int rig_connect(int type, const char *address, uint16_t port)
{
	union net_sockaddr a = rig_addr(address, port);
	_cleanup_close_ int fd = socket(a.any.sa_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, &a.any, net_sockaddr_len(&a)))
		return -errno;
	return take_fd(&fd);
}

void rig_reset(int fd)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	close(fd);
}

unsigned rig_open_files(void)
{
	unsigned n = 0;
	_cleanup_dir_ DIR *d = opendir("/proc/self/fd");
	while (d && readdir(d))
		n++;
	return n;
}
