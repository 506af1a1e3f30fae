/*
 * Runs a program again and again, patched and as it was, in ways that leave as little trace of the patch as can be:
 *   patch WAY TURNS FILE
 * Each turn patches FILE at byte 12, which the kernel ignores in a program, with the number of the turn, runs it with the
 * arguments `patched TURN`, and restores it; at the end it prints how many runs were killed. WAY is one of
 *   held       through one shared mapping for all turns; before, FILE is run once as `clean 0`, and mapped then
 *   shared     the same, by a process that lives on, and has the mapping from its parent
 *   protected  the same, through a mapping that was made to be read only, and allowed to be written to later
 *   mapped     through a mapping of its own each time, gone when FILE runs
 *   linked     the same, by another name of the file
 *   written    by pwrite
 *   sent       by sendfile of the whole content
 *   ranged     by copy_file_range of the whole content
 *   cut        cut to nothing, and written anew
 *   renamed    by a copy that is renamed over it
 *   clean      not at all: it is run, opened for writing as touch(1) does, and its times are set, each turn
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT 12

static const char *way, *file;
static char other[4096];
static char *content;
static size_t size;
static int killed;

static void need(int holds, const char *what)
{
	if (!holds) {
		perror(what);
		exit(1);
	}
}

static void run(const char *state, int turn)
{
	char number[16];
	int status;
	pid_t child;

	snprintf(number, sizeof(number), "%d", turn);
	child = fork();
	need(child >= 0, "fork");
	if (!child) {
		execl(file, file, state, number, (char *)0);
		perror("exec");
		_exit(127);
	}
	waitpid(child, &status, 0);
	killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	need(!WIFEXITED(status) || WEXITSTATUS(status) != 127, "run");
}

/* A sensor that looks at the process that has just ended may keep its program from being written to for a moment. */
static int open_to_write(const char *path, int flags)
{
	int fd;

	do
		fd = open(path, flags, 0755);
	while (fd < 0 && errno == ETXTBSY);
	need(fd >= 0, path);
	return fd;
}

static char *mapping(const char *path, int protection)
{
	int fd = open_to_write(path, O_RDWR);
	char *area = mmap(0, size, protection, MAP_SHARED, fd, 0);

	need(area != MAP_FAILED, "mmap");
	close(fd);
	return area;
}

/* The whole content with another byte, in a file without a name. */
static int patched_content(char byte)
{
	char name[] = "/tmp/patchXXXXXX";
	int fd = mkstemp(name);

	need(fd >= 0 && !unlink(name), "mkstemp");
	content[AT] = byte;
	need(write(fd, content, size) == (ssize_t)size, "write");
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void put(char byte)
{
	int fd, source;
	char *area;

	if (!strcmp(way, "mapped") || !strcmp(way, "linked")) {
		area = mapping(!strcmp(way, "linked") ? other : file, PROT_READ | PROT_WRITE);
		area[AT] = byte;
		munmap(area, size);
		return;
	}
	if (!strcmp(way, "written")) {
		fd = open_to_write(file, O_WRONLY);
		need(pwrite(fd, &byte, 1, AT) == 1, "pwrite");
		close(fd);
		return;
	}
	source = patched_content(byte);
	if (!strcmp(way, "renamed"))
		fd = open_to_write(other, O_WRONLY | O_CREAT | O_TRUNC);
	else
		fd = open_to_write(file, O_WRONLY | (strcmp(way, "cut") ? 0 : O_TRUNC));
	if (!strcmp(way, "ranged"))
		need(copy_file_range(source, 0, fd, 0, size, 0) == (ssize_t)size, "copy_file_range");
	else
		need(sendfile(fd, source, 0, size) == (ssize_t)size, "sendfile");
	close(fd);
	close(source);
	if (!strcmp(way, "renamed"))
		need(!rename(other, file), "rename");
}

static void read_content(void)
{
	struct stat facts;
	int fd = open(file, O_RDONLY);

	need(fd >= 0 && !fstat(fd, &facts), file);
	size = facts.st_size;
	content = malloc(size);
	need(read(fd, content, size) == (ssize_t)size, "read");
	close(fd);
}

static void turns_through_a_mapping(int turns)
{
	int is_protected = !strcmp(way, "protected");
	char *area = mapping(file, is_protected ? PROT_READ : PROT_READ | PROT_WRITE);

	if (is_protected)
		need(!mprotect(area, size, PROT_READ | PROT_WRITE), "mprotect");
	run("clean", 0);
	for (int turn = 1; turn <= turns; turn++) {
		if (strcmp(way, "shared"))
			area[AT] = turn;
		else if (!fork()) {
			area[AT] = turn;
			_exit(0);
		} else
			wait(0);
		run("patched", turn);
		area[AT] = 0;
	}
}

static int end(void)
{
	printf("killed %d\n", killed);
	return 0;
}

int main(int count, char **arguments)
{
	int turns;

	if (count != 4)
		return 2;
	way = arguments[1];
	turns = atoi(arguments[2]);
	file = arguments[3];
	snprintf(other, sizeof(other), "%s.other", file);
	read_content();
	unlink(other);
	if (!strcmp(way, "linked"))
		need(!link(file, other), "link");
	if (!strcmp(way, "held") || !strcmp(way, "shared") || !strcmp(way, "protected")) {
		turns_through_a_mapping(turns);
		return end();
	}
	for (int turn = 1; turn <= turns; turn++) {
		if (!strcmp(way, "clean")) {
			run("clean", turn);
			close(open_to_write(file, O_WRONLY));
			need(!utimensat(AT_FDCWD, file, 0, 0), "utimensat");
			continue;
		}
		put(turn);
		run("patched", turn);
		put(0);
	}
	return end();
}
