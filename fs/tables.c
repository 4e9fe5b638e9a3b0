/* The rows of the tree: see row.h. A new file is one row here. */
#include "fs/row.h"

#include "runtime/base/util.h"

#include <string.h>

#define DIR_(p, s, n) { .name = n, .parent = p, .scope = s, .mode = S_IFDIR | 0755 }
#define FILE_(p, s, n, m, k, ...) { .name = n, .parent = p, .scope = s, .mode = S_IFREG | (m), .kind = &kind_##k, __VA_ARGS__ }
#define LINK_(p, s, n, a) { .name = n, .parent = p, .scope = s, .mode = S_IFLNK | 0777, .arg = a }

#define NODE_TEXT(n, f) FILE_(R_NODE, SCOPE_NODE, n, 0444, text, .show = f)
#define NODE_RING(n, a) FILE_(R_NODE, SCOPE_NODE, n, 0444, ring, .arg = a)
#define POD_TEXT(n, f) FILE_(R_POD, SCOPE_POD, n, 0444, text, .show = f)
#define POD_SET(n) FILE_(R_POD, SCOPE_POD, n, 0644, setting)
#define POD_NET(n) FILE_(R_POD, SCOPE_POD, n, 0644, setting, .fresh = true)
#define CON_TEXT(n, f) FILE_(R_CONTAINER, SCOPE_CONTAINER, n, 0444, text, .show = f)
#define CON_SET(n) FILE_(R_CONTAINER, SCOPE_CONTAINER, n, 0644, setting)
#define LOG_(a) { .parent = R_LOGS, .scope = SCOPE_CONTAINER, .mode = S_IFREG | 0444, .kind = &kind_log, .arg = a }

/* A text without a show function is a cgroup file: show_use. */
const struct row rows[ROWS] = {
	[R_ROOT] = { .scope = SCOPE_NODE, .mode = S_IFDIR | 0755 },

	[R_NODE] = DIR_(R_ROOT, SCOPE_NODE, ".node"),
	[R_IMAGES] = DIR_(R_NODE, SCOPE_NODE, "images"),
	[R_IMAGE_DIR] = { .scope = SCOPE_IMAGE, .mode = S_IFDIR | 0755 },
	[R_IMAGE] = { .scope = SCOPE_IMAGE, .mode = S_IFREG | 0644, .kind = &kind_image, .fresh = true },
	[6] = NODE_TEXT("help", show_help),
	[7] = NODE_TEXT("version", show_version),
	[8] = NODE_TEXT("config", show_config),
	[9] = NODE_TEXT("pods", show_pods),
	[10] = NODE_TEXT("wide", show_wide),
	[11] = NODE_TEXT("top", show_top),
	[12] = NODE_RING("events", RING_EVENTS),
	[13] = FILE_(R_NODE, SCOPE_NODE, "leaks", 0644, ring, .arg = RING_LEAKS),
	[14] = NODE_TEXT("leaving", show_leaving),
	[15] = NODE_RING("error", RING_ERROR),
	[16] = FILE_(R_NODE, SCOPE_NODE, "pull", 0644, pull, .show = show_pull),
	[17] = NODE_TEXT("df", show_df),
	[18] = NODE_TEXT("network", show_network),

	[R_POD] = { .parent = R_ROOT, .scope = SCOPE_POD, .mode = S_IFDIR | 0777 },
	[R_CONTAINERS] = DIR_(R_POD, SCOPE_POD, "containers"),
	[R_LOGS] = DIR_(R_POD, SCOPE_POD, "logs"),
	[R_EXEC] = DIR_(R_POD, SCOPE_POD, "exec"),
	[R_WAIT] = DIR_(R_POD, SCOPE_POD, "wait"),
	[R_NS] = DIR_(R_POD, SCOPE_POD, "ns"),
	[R_NS_PID] = LINK_(R_NS, SCOPE_POD, "pid", 0),
	[27] = LINK_(R_NS, SCOPE_POD, "ipc", 0),
	[28] = LINK_(R_NS, SCOPE_POD, "net", 0),
	[29] = LINK_(R_NS, SCOPE_POD, "uts", 0),
	[30] = POD_TEXT("status", show_status),
	[31] = POD_TEXT("describe", show_describe),
	[32] = POD_TEXT("pod.yaml", show_yaml),
	[33] = POD_TEXT("why", show_why),
	[34] = FILE_(R_POD, SCOPE_POD, "events", 0444, ring, .arg = RING_EVENTS),
	[35] = FILE_(R_POD, SCOPE_POD, "error", 0444, ring, .arg = RING_ERROR),
	[36] = FILE_(R_WAIT, SCOPE_POD, "running", 0444, wait, .arg = WAIT_RUNNING),
	[37] = FILE_(R_WAIT, SCOPE_POD, "ready", 0444, wait, .arg = WAIT_READY),
	[38] = FILE_(R_WAIT, SCOPE_POD, "ended", 0444, wait, .arg = WAIT_ENDED),
	[39] = POD_TEXT("ip", show_ip),
	[40] = POD_SET("hostname"),
	[41] = FILE_(R_POD, SCOPE_POD, "ctl", 0200, ctl),
	[42] = FILE_(R_POD, SCOPE_POD, "image", 0644, setting, .arg = SHORTHAND, .fresh = true),
	[43] = FILE_(R_POD, SCOPE_POD, "command", 0644, setting, .arg = SHORTHAND),
	[44] = POD_SET("memory.max"),
	[45] = POD_SET("memory.high"),
	[46] = POD_SET("cpu.max"),
	[47] = POD_SET("cpu.weight"),
	[48] = POD_SET("pids.max"),
	[49] = POD_TEXT("memory.current", NULL),
	[50] = POD_TEXT("memory.peak", NULL),
	[51] = POD_TEXT("memory.events", NULL),
	[52] = POD_TEXT("cpu.stat", NULL),
	[53] = POD_TEXT("pids.current", NULL),
	[54] = POD_SET("labels"),
	[55] = POD_SET("annotations"),
	[56] = POD_SET("grace"),
	[57] = POD_SET("restart"),
	[58] = POD_SET("share"),
	[59] = FILE_(R_POD, SCOPE_POD, "pull", 0644, setting, .arg = SHORTHAND),
	[60] = POD_NET("network"),
	[61] = POD_NET("ports"),
	[62] = POD_SET("hosts"),
	[63] = POD_SET("resolv.conf"),
	[64] = POD_NET("net.ingress"),
	[65] = POD_NET("net.egress"),
	[66] = POD_TEXT("net.stat", show_net_stat),

	[R_CONTAINER] = { .parent = R_CONTAINERS, .scope = SCOPE_CONTAINER, .mode = S_IFDIR | 0755 },
	[R_CWAIT] = DIR_(R_CONTAINER, SCOPE_CONTAINER, "wait"),
	[R_LOG + LOG_ALL] = LOG_(LOG_ALL),
	[R_LOG + LOG_VIEW_STDOUT] = LOG_(LOG_VIEW_STDOUT),
	[R_LOG + LOG_VIEW_STDERR] = LOG_(LOG_VIEW_STDERR),
	[R_LOG + LOG_TIMESTAMPS] = LOG_(LOG_TIMESTAMPS),
	[R_LOG + LOG_PREVIOUS] = LOG_(LOG_PREVIOUS),
	[R_SHELL] = { .parent = R_EXEC, .scope = SCOPE_CONTAINER, .mode = S_IFREG | 0600, .kind = &kind_shell, .fresh = true },
	[98] = FILE_(R_CONTAINER, SCOPE_CONTAINER, "image", 0644, setting, .fresh = true),
	[99] = CON_SET("command"),
	[100] = CON_SET("args"),
	[101] = CON_SET("env"),
	[102] = CON_SET("workdir"),
	[103] = CON_SET("user"),
	[104] = CON_SET("memory.max"),
	[105] = CON_SET("memory.high"),
	[106] = CON_SET("cpu.max"),
	[107] = CON_SET("cpu.weight"),
	[108] = CON_SET("pids.max"),
	[109] = CON_TEXT("memory.current", NULL),
	[110] = CON_TEXT("memory.peak", NULL),
	[111] = CON_TEXT("memory.events", NULL),
	[112] = CON_TEXT("cpu.stat", NULL),
	[113] = CON_TEXT("pids.current", NULL),
	[114] = FILE_(R_CONTAINER, SCOPE_CONTAINER, "ctl", 0200, ctl),
	[115] = CON_TEXT("state", show_state),
	[116] = CON_TEXT("pid", show_pid),
	[117] = CON_TEXT("exitcode", show_exitcode),
	[118] = CON_TEXT("restarts", show_restarts),
	[119] = CON_TEXT("why", show_why),
	[120] = FILE_(R_CONTAINER, SCOPE_CONTAINER, "error", 0444, ring, .arg = RING_ERROR),
	[121] = FILE_(R_CWAIT, SCOPE_CONTAINER, "running", 0444, wait, .arg = WAIT_RUNNING),
	[122] = FILE_(R_CWAIT, SCOPE_CONTAINER, "ready", 0444, wait, .arg = WAIT_READY),
	[123] = FILE_(R_CWAIT, SCOPE_CONTAINER, "ended", 0444, wait, .arg = WAIT_ENDED),
	[124] = LINK_(R_CONTAINER, SCOPE_CONTAINER, "root", 0),
	[125] = CON_SET("pull"),

	[R_SESSION] = { .parent = R_EXEC, .scope = SCOPE_SESSION, .mode = S_IFDIR | 0755 },
	[151] = FILE_(R_SESSION, SCOPE_SESSION, "container", 0644, option, .arg = OPTION_CONTAINER),
	[152] = FILE_(R_SESSION, SCOPE_SESSION, "tty", 0644, option, .arg = OPTION_TTY),
	[153] = FILE_(R_SESSION, SCOPE_SESSION, "winsize", 0644, option, .arg = OPTION_WINSIZE),
	[154] = FILE_(R_SESSION, SCOPE_SESSION, "cmd", 0644, cmd),
	[155] = FILE_(R_SESSION, SCOPE_SESSION, "in", 0200, stream, .arg = STREAM_IN, .fresh = true),
	[156] = FILE_(R_SESSION, SCOPE_SESSION, "out", 0400, stream, .arg = STREAM_OUT),
	[157] = FILE_(R_SESSION, SCOPE_SESSION, "err", 0400, stream, .arg = STREAM_ERR),
	[158] = FILE_(R_SESSION, SCOPE_SESSION, "exit", 0444, exit),
};

unsigned row_number(const struct row *r)
{
	return (unsigned)(r - rows);
}

const struct row *row_next(unsigned folder, unsigned after)
{
	for (unsigned i = after + 1; i < ROWS; i++)
		if (rows[i].parent == folder && rows[i].name)
			return &rows[i];
	return NULL;
}

const struct row *row_find(unsigned folder, const char *name)
{
	for (const struct row *r = row_next(folder, 0); r; r = row_next(folder, row_number(r)))
		if (!strcmp(r->name, name))
			return r;
	return NULL;
}
