/*
 * enter STEP... -- COMMAND...: enter namespaces step by step, then execute the command.
 *
 *   mnt:PID pid:PID uts:PID ipc:PID net:PID cgroup:PID user:PID   setns(2) to one namespace
 *   pidfd:PID:NAME,NAME   setns(2) to several at once
 *   newmnt newpid         unshare(2)
 *   fork                  go on in a child and wait for it
 *   orphan                go on in a child, whose parent ends at once
 *   sibling               go on in a child of the own parent (CLONE_PARENT), once this one ends
 *   setsid
 *   into:DIRECTORY        go on in a child that is made in this cgroup (CLONE_INTO_CGROUP), and wait for it
 *   moved:DIRECTORY       move to this cgroup
 *   root:PID              chroot(2) to the root of a process
 *
 * What is named is opened before the first step: the node's /proc is out of reach later.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_STEPS 32

static const struct { const char *name; int flag; } NAMESPACES[] = {
	{ "mnt", CLONE_NEWNS }, { "pid", CLONE_NEWPID }, { "uts", CLONE_NEWUTS }, { "ipc", CLONE_NEWIPC },
	{ "net", CLONE_NEWNET }, { "cgroup", CLONE_NEWCGROUP }, { "user", CLONE_NEWUSER },
};

static int flags_of(char *names)
{
	int flags = 0;

	for (char *name = strtok(names, ","); name; name = strtok(0, ","))
		for (size_t i = 0; i < sizeof(NAMESPACES) / sizeof(*NAMESPACES); i++)
			if (!strcmp(name, NAMESPACES[i].name))
				flags |= NAMESPACES[i].flag;
	return flags;
}

static int opened(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

/* What a step needs from the node. */
static int prepared(const char *step, const char *rest)
{
	char path[4096];

	if (!rest)
		return -1;
	if (!strncmp(step, "pidfd:", 6))
		return syscall(SYS_pidfd_open, atoi(rest), 0);
	if (!strncmp(step, "into:", 5))
		return opened(rest, O_RDONLY | O_DIRECTORY);
	if (!strncmp(step, "moved:", 6)) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", rest);
		return opened(path, O_WRONLY);
	}
	if (!strncmp(step, "root:", 5)) {
		snprintf(path, sizeof(path), "/proc/%s/root", rest);
		return opened(path, O_RDONLY | O_DIRECTORY);
	}
	snprintf(path, sizeof(path), "/proc/%s/ns/%.*s", rest, (int)(rest - 1 - step), step);
	return opened(path, O_RDONLY);
}

static void wait_for(pid_t child)
{
	int status;

	if (child < 0)
		err(1, "fork");
	if (waitpid(child, &status, 0) < 0)
		err(1, "waitpid");
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128);
}

static void take(const char *step, const char *rest, int fd)
{
	struct clone_args into = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = fd };
	struct clone_args sibling = { .flags = CLONE_PARENT };
	char names[128];
	long child;

	if (!strcmp(step, "fork")) {
		if ((child = fork()))
			wait_for(child);
	} else if (!strcmp(step, "orphan")) {
		if (fork())
			_exit(0);
	} else if (!strcmp(step, "sibling")) {
		if ((child = syscall(SYS_clone3, &sibling, sizeof(sibling)))) {
			if (child < 0)
				err(1, "clone3");
			_exit(0);
		}
	} else if (!strcmp(step, "setsid")) {
		setsid();
	} else if (!strcmp(step, "newmnt")) {
		if (unshare(CLONE_NEWNS))
			err(1, "unshare");
	} else if (!strcmp(step, "newpid")) {
		if (unshare(CLONE_NEWPID))
			err(1, "unshare");
	} else if (!strncmp(step, "pidfd:", 6)) {
		snprintf(names, sizeof(names), "%s", strchr(rest, ':') + 1);
		if (setns(fd, flags_of(names)))
			err(1, "setns");
	} else if (!strncmp(step, "into:", 5)) {
		if ((child = syscall(SYS_clone3, &into, sizeof(into))))
			wait_for(child);
	} else if (!strncmp(step, "moved:", 6)) {
		if (write(fd, "0", 1) != 1)
			err(1, "cgroup.procs");
	} else if (!strncmp(step, "root:", 5)) {
		if (fchdir(fd) || chroot(".") || chdir("/"))
			err(1, "chroot");
	} else if (setns(fd, 0)) {
		err(1, "setns %s", step);
	}
}

int main(int count, char **arguments)
{
	int fds[MAX_STEPS], steps = 0;

	while (steps + 1 < count && steps < MAX_STEPS && strcmp(arguments[steps + 1], "--")) {
		char *rest = strchr(arguments[steps + 1], ':');

		fds[steps] = prepared(arguments[steps + 1], rest ? rest + 1 : 0);
		steps++;
	}
	for (int i = 0; i < steps; i++) {
		char *rest = strchr(arguments[i + 1], ':');

		take(arguments[i + 1], rest ? rest + 1 : 0, fds[i]);
	}
	execv(arguments[steps + 2], arguments + steps + 2);
	err(1, "%s", arguments[steps + 2]);
}
