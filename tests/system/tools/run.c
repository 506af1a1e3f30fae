/*
 * Runs programs in ways that a shell can't:
 *   run [WAY…] memfd FILE [ARGUMENT…]    the content of FILE, from a memfd called payload; of a script it stays open
 *   run [WAY…] kept FILE PROGRAM [ARGUMENT…]  PROGRAM, with the content of FILE in a memfd as descriptor 3
 *   run [WAY…] deleted FILE [ARGUMENT…]  FILE, after it was unlinked
 *   run [WAY…] unnamed FILE [ARGUMENT…]  the content of FILE, from a file in /tmp that never had a name
 *   run [WAY…] -- FILE [ARGUMENT…]       FILE, as a container's init does
 * with one or more of
 *   namespace    in a mount namespace of its own
 *   elsewhere    with another root directory, from which FILE is not to be seen
 *   touching     while another process changes its mode, again and again
 *   detached     in a copy of a directory's mount that is mounted nowhere: FILE is DIRECTORY//FILE
 *   closing      together with more files to be closed than the kernel program looks at; by its path
 *   threaded     by another thread than the first
 *   idly         by a thread that runs only when no other wants to, beside others that always do
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MANY 1100
#define BUSY 4

static int copied(int source, int target)
{
	struct stat facts;

	if (target < 0 || fstat(source, &facts))
		return -1;
	for (off_t done = 0; done < facts.st_size;)
		if (sendfile(target, source, &done, facts.st_size - done) < 0)
			return -1;
	return target;
}

static int in_memory(int source)
{
	char start[2] = "";

	return copied(source, memfd_create("payload", pread(source, start, 2, 0) == 2 && !memcmp(start, "#!", 2) ? 0 : MFD_CLOEXEC));
}

/* Open for reading alone: what is open for writing can't be executed. */
static int unnamed(int source)
{
	int target = copied(source, open("/tmp", O_TMPFILE | O_RDWR, 0755)), file;
	char name[32];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", target);
	file = open(name, O_RDONLY | O_CLOEXEC);
	close(target);
	return file;
}

/* A path with `//` behind the directory that is the root of the copy. */
static int detached(const char *path)
{
	const char *below = strstr(path, "//");
	char directory[256];

	if (!below)
		return -1;
	snprintf(directory, sizeof(directory), "%.*s/", (int)(below - path), path);
	return openat(syscall(SYS_open_tree, AT_FDCWD, directory, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), below + 2, O_RDONLY | O_CLOEXEC);
}

/* Until its parent ends, however that ends. */
static void touch(const char *path, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int turn = 0; getppid() == parent; turn ^= 1)
		chmod(path, turn ? 0755 : 0775);
	_exit(0);
}

/* Until its parent ends. */
static void keep_busy(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		;
	_exit(0);
}

static int is_idle(pid_t self)
{
	struct sched_param none = { 0 };

	for (int n = 0; n < BUSY; n++)
		if (!fork())
			keep_busy(self);
	return !sched_setscheduler(0, SCHED_IDLE, &none);
}

static int is_way(const char *word, const char *path)
{
	pid_t self = getpid();

	if (!strcmp(word, "namespace"))
		return !unshare(CLONE_NEWNS);
	if (!strcmp(word, "elsewhere"))
		return (mkdir("/elsewhere", 0755) || 1) && !chroot("/elsewhere") && !chdir("/");
	if (!strcmp(word, "touching")) {
		if (!fork())
			touch(path, self);
		return !usleep(20000);
	}
	if (!strcmp(word, "idly"))
		return is_idle(self);
	if (!strcmp(word, "closing"))
		for (int n = 0; n < MANY; n++)
			open("/", O_PATH | O_CLOEXEC);
	return !strcmp(word, "closing") || !strcmp(word, "threaded") || !strcmp(word, "detached");
}

struct program {
	int file;
	char **argv, **environment;
};

static void *execute(void *program)
{
	struct program *it = program;

	fexecve(it->file, it->argv, it->environment);
	_exit(1);
}

static int is_source(const char *word)
{
	static const char *words[] = { "--", "memfd", "deleted", "kept", "unnamed" };

	for (size_t n = 0; n < sizeof(words) / sizeof(*words); n++)
		if (!strcmp(word, words[n]))
			return 1;
	return 0;
}

int main(int argc, char **argv, char **environment)
{
	int how = 1, file;
	pthread_t other;

	while (how < argc - 2 && !is_source(argv[how]))
		how++;
	file = how < argc - 1 ? open(argv[how + 1], O_RDONLY | O_CLOEXEC) : -1;
	if (file >= 0 && !strcmp(argv[how], "kept")) {
		dup2(in_memory(file), 3);
		execve(argv[how + 2], argv + how + 2, environment);
		return 1;
	}
	if (file >= 0 && !strcmp(argv[how], "memfd"))
		file = in_memory(file);
	if (file >= 0 && !strcmp(argv[how], "unnamed"))
		file = unnamed(file);
	if (file >= 0 && !strcmp(argv[how], "deleted"))
		unlink(argv[how + 1]);
	for (int n = 1; n < how; n++)
		if (!is_way(argv[n], argv[how + 1]))
			return 2;
	if (how > 1 && !strcmp(argv[how - 1], "detached"))
		file = detached(argv[how + 1]);
	if (how > 1 && !strcmp(argv[how - 1], "closing"))
		execve(argv[how + 1], argv + how + 1, environment);
	if (how > 1 && !strcmp(argv[how - 1], "threaded")) {
		struct program program = { file, argv + how + 1, environment };

		if (!pthread_create(&other, 0, execute, &program))
			pthread_join(other, 0);
	}
	if (file >= 0)
		fexecve(file, argv + how + 1, environment);
	return 1;
}
