/*
 * Storms of execs, for bench/sensor.py; run in a container. Each prints the nanoseconds that it took.
 *   storm same N FILE        runs FILE N times, one after the other
 *   storm each N FILE        runs FILE0 to FILE(N-1), once each; on a second line how many of them were killed
 *   storm killed N FILE      as same; on a second line how many of them were killed
 *   storm distinct N FILE    writes FILE with another ending N times, under N names, and runs each
 *   storm unlink N FILE      writes it N times under one name, and unlinks it as soon as it runs
 *   storm write N            writes a file of N MiB, page by page
 *   storm create N           makes N files of one page
 * Built with SMALL it is a program that ends at once, without a C library.
 */
#ifdef SMALL
void _start(void)
{
#ifdef __aarch64__
	__asm__ volatile("mov x8, #93; mov x0, #0; svc #0");
#else
	__asm__ volatile("mov $60, %eax; xor %edi, %edi; syscall");
#endif
}
#else
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char page[4096];
static long killed;
static char *none[] = { 0 };

static void run(const char *file, int unlinked)
{
	char *argv[] = { (char *)file, "true", 0 };
	pid_t child;
	int status;

	/* Returns once the child has run the file, or failed. */
	if (posix_spawn(&child, file, 0, 0, argv, none))
		exit(1);
	if (unlinked)
		unlink(file);
	if (waitpid(child, &status, 0) == child && WIFSIGNALED(status))
		killed++;
}

static void copy(const char *from, const char *to, long number)
{
	int source = open(from, O_RDONLY | O_CLOEXEC), target = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	struct stat facts;

	if (source < 0 || target < 0 || fstat(source, &facts))
		exit(1);
	while (sendfile(target, source, 0, facts.st_size) > 0)
		;
	if (write(target, &number, sizeof(number)) != sizeof(number))
		exit(1);
	close(source);
	close(target);
}

static void one(const char *what, long number, const char *file)
{
	char name[64] = "/tmp/storm-unlinked";

	if (!strcmp(what, "same") || !strcmp(what, "killed")) {
		run(file, 0);
	} else if (!strcmp(what, "each")) {
		snprintf(name, sizeof(name), "%s%ld", file, number);
		run(name, 0);
	} else if (!strcmp(what, "create")) {
		snprintf(name, sizeof(name), "/tmp/storm-%ld", number);
		int target = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (target < 0 || write(target, page, sizeof(page)) != sizeof(page))
			exit(1);
		close(target);
	} else {
		if (!strcmp(what, "distinct"))
			snprintf(name, sizeof(name), "/tmp/storm-%ld", number);
		copy(file, name, number);
		run(name, !strcmp(what, "unlink"));
	}
}

static void fill(long mebibytes)
{
	int target = open("/tmp/storm-big", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	for (long i = 0; i < mebibytes * 256; i++)
		if (write(target, page, sizeof(page)) != sizeof(page))
			exit(1);
	close(target);
}

int main(int argc, char **argv)
{
	struct timespec begun, ended;
	long count = argc > 2 ? atol(argv[2]) : 0;

	if (argc < 3)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	if (!strcmp(argv[1], "write"))
		fill(count);
	else
		for (long i = 0; i < count; i++)
			one(argv[1], i, argc > 3 ? argv[3] : "");
	clock_gettime(CLOCK_MONOTONIC, &ended);
	printf("%lld\n", (ended.tv_sec - begun.tv_sec) * 1000000000ll + ended.tv_nsec - begun.tv_nsec);
	if (!strcmp(argv[1], "each") || !strcmp(argv[1], "killed"))
		printf("%ld\n", killed);
	return 0;
}
#endif
