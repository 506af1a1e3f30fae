/*
 * Runs many programs one after the other, each from a file of its own that is removed afterwards, and prints how many it tried:
 *   many WAY FIRST LAST [WRITER]
 * with the numbers FIRST to LAST. WAY is one of
 *   file     a new file, /tmp/busybox-nNUMBER
 *   named    a new file with the name of one of the image's, /tmp/dNUMBER/busybox-tool
 *   memfd    a memfd with the same content
 *   written  a copy that WRITER makes (WRITER cp FROM TO), /tmp/busybox-wNUMBER
 *   image    the program of the image itself
 * Each program is /opt/say, which prints what it was built to say, with its number at its end; that of `written` is /opt/say as it is.
 * Built with SAY it is that program, without a C library.
 */
#ifdef SAY
static const char said[] = SAY "\n";

void _start(void)
{
#ifdef __aarch64__
	register long number __asm__("x8") = 64, out __asm__("x0") = 1;
	register const char *text __asm__("x1") = said;
	register long length __asm__("x2") = sizeof(said) - 1;

	__asm__ volatile("svc #0" : "+r"(out) : "r"(number), "r"(text), "r"(length) : "memory");
	__asm__ volatile("mov x8, #93; mov x0, #0; svc #0");
#else
	long number = 1;

	__asm__ volatile("syscall"
			 : "+a"(number)
			 : "D"(1L), "S"(said), "d"(sizeof(said) - 1)
			 : "rcx", "r11", "memory");
	__asm__ volatile("mov $60, %eax; xor %edi, %edi; syscall");
#endif
	__builtin_unreachable();
}
#else
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAYS "/opt/say"

extern char **environ;
static char content[1 << 20];
static size_t size;

static void need(int holds, const char *what)
{
	if (!holds) {
		perror(what);
		exit(1);
	}
}

/* Whatever becomes of it: it may be killed, or never start. */
static void run(char *const *argv)
{
	pid_t child;

	if (!posix_spawn(&child, argv[0], 0, 0, argv, environ))
		waitpid(child, 0, 0);
}

static void fill(int target, int number)
{
	need(target >= 0, "open");
	need(write(target, content, size) == (ssize_t)size, "write");
	need(write(target, &number, sizeof(number)) == sizeof(number), "write");
}

static void run_in_memory(int number)
{
	int memory = memfd_create("payload", MFD_CLOEXEC);
	char *argv[] = { SAYS, 0 };
	pid_t child;

	fill(memory, number);
	child = vfork();
	if (!child) {
		fexecve(memory, argv, environ);
		_exit(127);
	}
	waitpid(child, 0, 0);
	close(memory);
}

static void run_new(const char *path, int number)
{
	int target = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	char *argv[] = { (char *)path, 0 };

	fill(target, number);
	close(target);
	run(argv);
	unlink(path);
}

static void run_named(int number)
{
	char directory[64], path[96];

	snprintf(directory, sizeof(directory), "/tmp/d%d", number);
	snprintf(path, sizeof(path), "%s/busybox-tool", directory);
	need(!mkdir(directory, 0755), directory);
	run_new(path, number);
	rmdir(directory);
}

static void run_written(const char *writer, const char *path)
{
	char *copy[] = { (char *)writer, "cp", SAYS, (char *)path, 0 }, *argv[] = { (char *)path, 0 };

	run(copy);
	need(!chmod(path, 0755), path);
	run(argv);
	unlink(path);
}

static void run_one(const char *way, int number, const char *writer)
{
	char path[64], *image[] = { SAYS, 0 };

	if (!strcmp(way, "file")) {
		snprintf(path, sizeof(path), "/tmp/busybox-n%d", number);
		run_new(path, number);
	} else if (!strcmp(way, "named")) {
		run_named(number);
	} else if (!strcmp(way, "memfd")) {
		run_in_memory(number);
	} else if (!strcmp(way, "image")) {
		run(image);
	} else {
		need(!strcmp(way, "written") && writer, way);
		snprintf(path, sizeof(path), "/tmp/busybox-w%d", number);
		run_written(writer, path);
	}
}

int main(int count, char **arguments)
{
	int file = open(SAYS, O_RDONLY | O_CLOEXEC), first, last;

	if (count < 4)
		return 2;
	first = atoi(arguments[2]);
	last = atoi(arguments[3]);
	need(file >= 0, SAYS);
	size = read(file, content, sizeof(content));
	need(size > 0 && size < sizeof(content), SAYS);
	close(file);
	for (int number = first; number <= last; number++)
		run_one(arguments[1], number, arguments[4]);
	printf("tried %d\n", last - first + 1);
	return 0;
}
#endif
