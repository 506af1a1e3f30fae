/*
 * Runs programs in ways that a shell can't:
 *   run [WAY…] memfd FILE [ARGUMENT…]    the content of FILE, from a memfd called payload; of a script it stays open
 *   run [WAY…] kept FILE PROGRAM [ARGUMENT…]  PROGRAM, with the content of FILE in a memfd as descriptor 3
 *   run [WAY…] deleted FILE [ARGUMENT…]  FILE, after it was unlinked
 *   run [WAY…] -- FILE [ARGUMENT…]       FILE, as a container's init does
 * with one or more of
 *   namespace    in a mount namespace of its own
 *   elsewhere    with another root directory, from which FILE is not to be seen
 *   touching     while another process changes its mode, again and again
 *   closing      together with more files to be closed than the kernel program looks at; by its path
 *   idly         by a thread that runs only when no other wants to, beside others that always do
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANY 1100
#define BUSY 4

static int in_memory(int source)
{
	char start[2] = "";
	int memory = memfd_create("payload", pread(source, start, 2, 0) == 2 && !memcmp(start, "#!", 2) ? 0 : MFD_CLOEXEC);
	struct stat facts;

	if (memory < 0 || fstat(source, &facts))
		return -1;
	for (off_t done = 0; done < facts.st_size;)
		if (sendfile(memory, source, &done, facts.st_size - done) < 0)
			return -1;
	return memory;
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
	return !strcmp(word, "closing");
}

int main(int argc, char **argv, char **environment)
{
	int how = 1, file;

	while (how < argc - 2 && strcmp(argv[how], "--") && strcmp(argv[how], "memfd") && strcmp(argv[how], "deleted") && strcmp(argv[how], "kept"))
		how++;
	file = how < argc - 1 ? open(argv[how + 1], O_RDONLY | O_CLOEXEC) : -1;
	if (file >= 0 && !strcmp(argv[how], "kept")) {
		dup2(in_memory(file), 3);
		execve(argv[how + 2], argv + how + 2, environment);
		return 1;
	}
	if (file >= 0 && !strcmp(argv[how], "memfd"))
		file = in_memory(file);
	if (file >= 0 && !strcmp(argv[how], "deleted"))
		unlink(argv[how + 1]);
	for (int n = 1; n < how; n++)
		if (!is_way(argv[n], argv[how + 1]))
			return 2;
	if (how > 1 && !strcmp(argv[how - 1], "closing"))
		execve(argv[how + 1], argv + how + 1, environment);
	if (file >= 0)
		fexecve(file, argv + how + 1, environment);
	return 1;
}
