/* Writes a pod.yaml full of hard values, and what they are, for tests/kubectl. */
#include "tests/unit/show/hard.h"
#include "tests/unit/show/pods.h"

#include "runtime/base/util.h"

#include <string.h>

static int print_manifest(void)
{
	struct node n;
	node_begin(&n);
	node_set(&n, NULL, "labels", "app=web\n");
	node_set(&n, NULL, "memory.max", "256M");
	node_set(&n, NULL, "ports", "8080-8081:80-81\n127.0.0.1:53:53/udp\n[::1]:53:53/udp\n");
	node_set(&n, NULL, "net.ingress", "8000");
	node_set(&n, NULL, "net.egress", "1e15");
	node_set(&n, NULL, "hosts", "10.0.0.1 DB my_db db.example.org # x\nfd00::9\tsix\n");
	node_set(&n, NULL, "resolv.conf", "nameserver 1.1.1.1\nnameserver ::1\nsearch Example.org. a_b\noptions ndots:2 rotate\n");
	node_set(&n, &n.c[0], "user", "www-data");
	node_set(&n, &n.c[0], "pids.max", "100");
	node_set(&n, &n.c[0], "pull", "Always");
	node_set(&n, &n.c[1], "user", "1000:1000");
	node_set(&n, &n.c[1], "cpu.max", "0.3");
	node_set(&n, &n.c[1], "args", "[]");
	n.c[1].status.state = C_TERMINATED;
	n.c[1].status.exit_code = 1;
	strcpy(n.c[1].status.message, "no: \"such\" thing # \\");
	for (size_t i = 0; i < ARRAY_LEN(hard_values); i++) {
		_cleanup_buf_ struct buf line = { 0 };
		buf_printf(&line, "V%zu=%s", i, hard_values[i]);
		if (strs_add(&n.c[0].spec->env, line.data, line.len))
			return 1;
	}
	char *text = shown(&n, NULL, show_yaml);
	fputs(text, stdout);
	free(text);
	node_end(&n);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "manifest"))
		return print_manifest();
	for (size_t i = 0; i < ARRAY_LEN(hard_values); i++)
		puts(hard_values[i]);
	return 0;
}
