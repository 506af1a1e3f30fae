// SPDX-License-Identifier: Apache-2.0
/*
 * Ways to write a file, and to be where a process is: scripts/vm-provenance.sh puts it into a container, under several names.
 *
 *   writers HOW ARGUMENT...
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <libgen.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *how;

static int is(const char *name) { return !strcmp(how, name); }

static int failed(const char *what)
{
	perror(what);
	return 1;
}

/* A container's first process: in namespaces of its own, below an overlay; it runs a shell that reads its input, and before that a hook of the runtime. */
static int box(const char *lower, const char *upper, const char *work, const char *root)
{
	char options[512], proc[256];

	if (unshare(CLONE_NEWNS | CLONE_NEWPID))
		return failed("unshare");
	mount(0, "/", 0, MS_REC | MS_PRIVATE, 0);
	if (fork()) {
		wait(0);
		return 0;
	}
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
	if (mount("overlay", root, "overlay", 0, options))
		return failed("overlay");
	snprintf(proc, sizeof(proc), "%s/proc", root);
	mount("proc", proc, "proc", 0, 0);
	/* An initial RAM filesystem can't be pivoted from. */
	if (chdir(root) || mount(root, "/", 0, MS_MOVE, 0) || chroot(".") || chdir("/"))
		return failed("root");
	setenv("PATH", "/bin", 1);
	if (!access("/bin/hook", X_OK)) {
		if (!fork())
			execl("/bin/hook", "hook", (char *)0);
		wait(0);
	}
	execl("/bin/sh", "sh", (char *)0);
	return failed("sh");
}

/* In a mount namespace and below an overlay of its own: a program of its own writes the target, which then runs. */
static int own_root(const char *lower, const char *target)
{
	char options[256];

	if (unshare(CLONE_NEWNS))
		return failed("unshare");
	mount(0, "/", 0, MS_REC | MS_PRIVATE, 0);
	mkdir("/tmp/own", 0755);
	if (mount("tmpfs", "/tmp/own", "tmpfs", 0, 0))
		return failed("tmpfs");
	mkdir("/tmp/own/upper", 0755);
	mkdir("/tmp/own/work", 0755);
	mkdir("/tmp/own/root", 0755);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=/tmp/own/upper,workdir=/tmp/own/work", lower);
	if (mount("overlay", "/tmp/own/root", "overlay", 0, options) || chroot("/tmp/own/root") || chdir("/"))
		return failed("overlay");
	mkdir("/tmp", 0755);
	if (!fork()) {
		execl("/bin/pkg", "pkg", "copy", "/bin/payload", target, (char *)0);
		_exit(failed("pkg"));
	}
	wait(0);
	execl(target, target, "run", (char *)0);
	return failed("target");
}

static int traced(char **command, int attach)
{
	pid_t child = fork();
	int status;

	if (!child) {
		if (!attach)
			ptrace(PTRACE_TRACEME, 0, 0, 0);
		execv(command[0], command);
		_exit(failed("execv"));
	}
	if (attach) {
		usleep(200000);
		if (ptrace(PTRACE_ATTACH, child, 0, 0))
			return failed("attach");
		waitpid(child, &status, 0);
		ptrace(PTRACE_DETACH, child, 0, 0);
		waitpid(child, &status, 0);
		return 0;
	}
	while (waitpid(child, &status, 0) > 0 && !WIFEXITED(status))
		ptrace(PTRACE_CONT, child, 0, 0);
	return 0;
}

/* A command below this program; which, given one, another program takes the place of meanwhile. */
static int below(const char *successor, char **command)
{
	if (!fork()) {
		execv(command[0], command);
		_exit(failed(command[0]));
	}
	if (successor) {
		execl(successor, successor, "wait", "for-all", (char *)0);
		return failed(successor);
	}
	wait(0);
	return 0;
}

static int join(const char *pid)
{
	char path[64];
	int ns;

	snprintf(path, sizeof(path), "/proc/%s/ns/mnt", pid);
	ns = open(path, O_RDONLY);
	return ns < 0 || setns(ns, CLONE_NEWNS) ? failed("setns") : 0;
}

static int write_file(const char *source, const char *target)
{
	int in = open(source, O_RDONLY), out;
	struct stat st;
	char *data, *mapped;
	off_t at = 0;

	if (in < 0 || fstat(in, &st))
		return failed(source);
	data = malloc(st.st_size);
	if (read(in, data, st.st_size) != st.st_size)
		return failed("read");
	if (is("truncate"))
		return truncate(target, st.st_size - 8);
	if (is("append")) {
		out = open(target, O_WRONLY | O_APPEND);
		return write(out, "x", 1) == 1 ? 0 : failed("append");
	}
	out = is("output") ? 1 : open(target, O_CREAT | O_RDWR | O_TRUNC, 0755);
	if (out < 0)
		return failed(target);
	/* From here on it is traced, or has mapped code that is not the image's. */
	if (is("held-copy"))
		usleep(600000);
	if (is("held-code") && mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, open("/tmp/p.so", O_RDONLY), 0) == MAP_FAILED)
		return failed("code");
	if (is("sendfile"))
		return sendfile(out, in, &at, st.st_size) == st.st_size ? 0 : failed("sendfile");
	if (is("mmap") || is("held-mmap")) {
		if (ftruncate(out, st.st_size))
			return failed("ftruncate");
		mapped = mmap(0, st.st_size, PROT_WRITE, MAP_SHARED, out, 0);
		if (is("held-mmap"))
			usleep(600000);
		memcpy(mapped, data, st.st_size);
		return 0;
	}
	return write(out, data, st.st_size) == st.st_size ? 0 : failed("write");
}

int main(int count, char **arguments)
{
	if (!strcmp(basename(arguments[0]), "env")) {
		execvp(arguments[1], arguments + 1);
		return failed(arguments[1]);
	}
	if (count < 3)
		return 0;
	how = arguments[1];
	if (is("box"))
		return box(arguments[2], arguments[3], arguments[4], arguments[5]);
	if (is("own-root"))
		return own_root(arguments[2], arguments[3]);
	if (is("traced") || is("attached"))
		return traced(arguments + 2, is("attached"));
	if (is("attach")) {
		if (ptrace(PTRACE_ATTACH, atoi(arguments[2]), 0, 0))
			return failed("attach");
		waitpid(atoi(arguments[2]), 0, 0);
		return 0;
	}
	if (is("late")) {
		usleep(10000000);
		execl(arguments[2], arguments[2], "run", (char *)0);
		return failed(arguments[2]);
	}
	if (is("given")) {
		dup2(open(arguments[2], O_CREAT | O_WRONLY | O_TRUNC, 0755), 1);
		execv(arguments[3], arguments + 3);
		return failed(arguments[3]);
	}
	if (is("wait")) {
		/* Of the program that it took the place of. */
		wait(0);
		return 0;
	}
	if (is("below"))
		return below(0, arguments + 2);
	if (count < 4)
		return 0;
	if (is("replaced"))
		return below(arguments[2], arguments + 3);
	if (is("slow-copy"))
		usleep(600000);
	if (is("joined"))
		return join(arguments[2]) ? 1 : write_file("/bin/payload", arguments[3]);
	return write_file(arguments[2], arguments[3]);
}
