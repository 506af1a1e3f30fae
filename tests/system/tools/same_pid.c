/*
 * Two processes with one pid, one after the other, write a file by halves: same_pid SOURCE TARGET. They are children of one
 * process and execute nothing, so that nothing but the times of their starts tells them apart. Takes CAP_SYS_ADMIN.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void need(int holds, const char *what)
{
	if (!holds) {
		perror(what);
		exit(1);
	}
}

/* Start a process with this pid, or any if it is 0. */
static pid_t start(pid_t pid)
{
	struct clone_args arguments = { .exit_signal = SIGCHLD, .set_tid = pid ? (__u64)&pid : 0, .set_tid_size = pid ? 1 : 0 };

	return syscall(SYS_clone3, &arguments, sizeof(arguments));
}

static void write_half(char *content, size_t size, const char *target, int flags)
{
	int fd = open(target, O_WRONLY | flags, 0755);

	need(fd >= 0 && write(fd, content, size) == (ssize_t)size, target);
	_exit(0);
}

int main(int count, char **arguments)
{
	int fd = count == 3 ? open(arguments[1], O_RDONLY) : -1, status;
	pid_t first, second;
	struct stat facts;
	char *content;

	need(fd >= 0 && !fstat(fd, &facts), "source");
	content = malloc(facts.st_size);
	need(read(fd, content, facts.st_size) == facts.st_size, "read");
	first = start(0);
	if (!first)
		write_half(content, facts.st_size / 2, arguments[2], O_CREAT | O_TRUNC);
	need(first > 0 && waitpid(first, &status, 0) == first && !status, "first");
	second = start(first);
	if (!second)
		write_half(content + facts.st_size / 2, facts.st_size - facts.st_size / 2, arguments[2], O_APPEND);
	need(second == first && waitpid(second, &status, 0) == second && !status, "second");
	return 0;
}
