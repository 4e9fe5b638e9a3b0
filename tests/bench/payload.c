/* What runs in the containers that are compared, by the name it is called by:
 *   pause          does nothing until a signal ends it
 *   true           ends
 *   lines BYTES    writes BYTES in lines of 100 bytes, in pieces of 64 KiB
 * As PID 1 of the place (tests/bench/place.sh) pause also lets what is left to it be reaped.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void end(int sig)
{
	(void)sig;
	_exit(0);
}

static _Noreturn void pause_for_ever(void)
{
	signal(SIGTERM, end);
	signal(SIGINT, end);
	signal(SIGCHLD, SIG_IGN);
	for (;;)
		pause();
}

static int lines(size_t total)
{
	enum { LINE = 100, PIECE = 65536 / LINE * LINE };
	static char mem[PIECE];
	memset(mem, 'x', sizeof mem);
	for (size_t i = LINE - 1; i < sizeof mem; i += LINE)
		mem[i] = '\n';
	while (total) {
		ssize_t n = write(1, mem, total < sizeof mem ? total : sizeof mem);
		if (n < 0)
			return 1;
		total -= (size_t)n;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	name = name ? name + 1 : argv[0];
	if (!strcmp(name, "true"))
		return 0;
	if (!strcmp(name, "lines"))
		return lines(argc > 1 ? strtoul(argv[1], NULL, 10) : 0);
	pause_for_ever();
}
