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
 *   stamped    the same, once the page was read, and the file's times were set in the same tick of the clock
 *   written    by pwrite
 *   sent       by sendfile of the whole content
 *   ranged     by copy_file_range of the whole content
 *   spliced    by splice of the whole content through a pipe
 *   direct     by a write past the page cache
 *   ring       by io_uring
 *   poked      through the shared mapping of another process, by process_vm_writev
 *   remembered through the same, by its /proc/PID/mem
 *   evicted    through a mapping of its own, with as many files mapped before it runs as the record of writers holds
 *   looped     through a loop device that is made of it
 *   exchanged  by an ioctl that takes a block out of it (EXT4_IOC_MOVE_EXT); before, it is run as `clean TURN`
 *   bound      by a patched copy that is bound over it while it runs
 *   cloned     by sharing the blocks of a patched copy (FICLONE)
 *   cut        cut to nothing, and written anew
 *   submitted  by asynchronous I/O (io_submit)
 *   renamed    by a copy that is renamed over it
 *   swapped    by a copy that changes places with it (RENAME_EXCHANGE), and again
 *   unnamed    by one that has no name before it is linked (O_TMPFILE), and is renamed over it
 *   clean      not at all: it is run, opened for writing as touch(1) does, and its times are set, each turn
 *   moved      not at all: it is renamed and renamed back before it runs, each turn
 *   same       not at all: what it holds is written over it before it runs, each turn
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "uring.h"

#define AT 12
#define BLOCK 4096
#define RECORDS 40000

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

/* A block of the content as it is to be, where a whole one must be written. */
static char *block(char byte)
{
	static char *aligned;

	if (!aligned)
		need(!posix_memalign((void **)&aligned, BLOCK, BLOCK), "memory");
	memcpy(aligned, content, BLOCK);
	aligned[AT] = byte;
	return aligned;
}

static void put_directly(const char *path, char byte)
{
	int fd = open_to_write(path, O_WRONLY | O_DIRECT | O_SYNC);

	need(pwrite(fd, block(byte), BLOCK, 0) == BLOCK, "direct write");
	close(fd);
}

static void submit(int fd, char byte)
{
	aio_context_t context = 0;
	struct iocb write_byte = { 0 }, *all[] = { &write_byte };
	struct io_event done;

	write_byte.aio_fildes = fd;
	write_byte.aio_lio_opcode = IOCB_CMD_PWRITE;
	write_byte.aio_buf = (unsigned long)&byte;
	write_byte.aio_nbytes = 1;
	write_byte.aio_offset = AT;
	need(!syscall(SYS_io_setup, 1, &context), "io_setup");
	need(syscall(SYS_io_submit, context, 1, all) == 1, "io_submit");
	need(syscall(SYS_io_getevents, context, 1, 1, &done, 0) == 1 && done.res == 1, "io_getevents");
	syscall(SYS_io_destroy, context);
}

static void put_by_loop_device(char byte)
{
	int control = open("/dev/loop-control", O_RDWR), backing = open_to_write(file, O_RDWR), loop;
	char name[32];

	need(control >= 0, "loop-control");
	snprintf(name, sizeof(name), "/dev/loop%d", ioctl(control, LOOP_CTL_GET_FREE));
	loop = open(name, O_RDWR);
	need(loop >= 0 && !ioctl(loop, LOOP_SET_FD, backing), name);
	put_directly(name, byte);
	need(!ioctl(loop, LOOP_CLR_FD, 0), "loop");
	close(loop);
	close(backing);
	close(control);
}

/* Through the memory of a process that has the file mapped. */
static void put_by_another(char byte)
{
	char *area = mapping(file, PROT_READ | PROT_WRITE), name[32];
	struct iovec from = { &byte, 1 }, to = { area + AT, 1 };
	int memory, done = 0;
	pid_t child = fork();

	need(child >= 0, "fork");
	if (!child)
		for (;;)
			pause();
	munmap(area, size);
	if (!strcmp(way, "poked"))
		done = process_vm_writev(child, &from, 1, &to, 1, 0) == 1;
	else {
		snprintf(name, sizeof(name), "/proc/%d/mem", child);
		memory = open(name, O_RDWR);
		done = memory >= 0 && pwrite(memory, &byte, 1, (off_t)(to.iov_base)) == 1;
		close(memory);
	}
	need(done, way);
	kill(child, SIGKILL);
	waitpid(child, 0, 0);
}

/* As ext4's own header has it. */
struct move_extent {
	unsigned int reserved, donor;
	unsigned long long start, donor_start, blocks, moved;
};
#define MOVE_EXTENT _IOWR('f', 15, struct move_extent)

/*
 * The last whole block of the file is given to a copy, whose own has zeros: or comes back unwritten, which is the same. What of it is
 * in memory still, goes. Nothing is written.
 */
static void put_by_exchange(int is_back)
{
	size_t at = size / BLOCK * BLOCK - BLOCK;
	int copy = open_to_write(other, O_RDWR | O_CREAT | O_TRUNC), fd = open_to_write(file, O_RDWR);
	struct move_extent move = { .donor = fd, .start = at / BLOCK, .donor_start = at / BLOCK, .blocks = 1 };

	if (is_back)
		need(pwrite(fd, content + at, BLOCK, at) == BLOCK && !fsync(fd), "write");
	else {
		need(!ftruncate(copy, size) && pwrite(copy, content, BLOCK, at) == BLOCK, "copy");
		need(pwrite(copy, (char[BLOCK]){ 0 }, BLOCK, at) == BLOCK && !fsync(copy) && !fsync(fd), "copy");
		need(!ioctl(copy, MOVE_EXTENT, &move) && move.moved == 1, "EXT4_IOC_MOVE_EXT");
		need(!posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "fadvise");
	}
	close(copy);
	close(fd);
}

static void put_in_one_tick(char byte)
{
	char *area = mapping(file, PROT_READ | PROT_WRITE);

	content[AT] = ((volatile char *)area)[AT];
	need(!utimensat(AT_FDCWD, file, 0, 0), "utimensat");
	area[AT] = byte;
	munmap(area, size);
}

static void splice_all(int source, int target)
{
	int ends[2];
	loff_t from = 0, to = 0;

	need(!pipe(ends), "pipe");
	while (to < (loff_t)size) {
		ssize_t read_now = splice(source, &from, ends[1], 0, 65536, 0);

		need(read_now > 0, "splice");
		need(splice(ends[0], 0, target, &to, read_now, 0) == read_now, "splice");
	}
	close(ends[0]);
	close(ends[1]);
}

static void write_other(char byte)
{
	int fd = open_to_write(other, O_WRONLY | O_CREAT | O_TRUNC);

	content[AT] = byte;
	need(write(fd, content, size) == (ssize_t)size, "write");
	close(fd);
}

/* A patched copy over the file, or what is there taken away. */
static void bind_over(char byte)
{
	if (!byte) {
		need(!umount2(file, MNT_DETACH), "umount");
		return;
	}
	write_other(byte);
	need(!mount(other, file, 0, MS_BIND, 0), "mount");
}

static void swap_names(char byte)
{
	if (byte)
		write_other(byte);
	need(!renameat2(AT_FDCWD, other, AT_FDCWD, file, RENAME_EXCHANGE), "renameat2");
}

/* Write to more files, also through mappings, than the kernel program remembers. */
static void write_to_many(void)
{
	char name[] = "/tmp/many";
	char *area;
	int fd;

	for (int number = 0; number < RECORDS; number++) {
		fd = open_to_write(name, O_RDWR | O_CREAT | O_TRUNC);
		need(!ftruncate(fd, BLOCK), "ftruncate");
		area = mmap(0, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		need(area != MAP_FAILED, "mmap");
		area[0] = 1;
		munmap(area, BLOCK);
		close(fd);
		need(!unlink(name), name);
	}
}

/* A file without a name, beside the other one. */
static int unnamed(void)
{
	char directory[4096];
	int fd;

	snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(file, '/') - file), file);
	fd = open(directory, O_TMPFILE | O_WRONLY, 0755);
	need(fd >= 0, "O_TMPFILE");
	return fd;
}

static void link_unnamed(int fd)
{
	char link_name[64];

	snprintf(link_name, sizeof(link_name), "/proc/self/fd/%d", fd);
	unlink(other);
	need(!linkat(AT_FDCWD, link_name, AT_FDCWD, other, AT_SYMLINK_FOLLOW), "linkat");
}

/* Ways that take no copy of the content; whether it was one. */
static int put_byte(char byte)
{
	int fd;

	if (!strcmp(way, "direct"))
		put_directly(file, byte);
	else if (!strcmp(way, "exchanged"))
		put_by_exchange(!byte);
	else if (!strcmp(way, "stamped"))
		put_in_one_tick(byte);
	else if (!strcmp(way, "looped"))
		put_by_loop_device(byte);
	else if (!strcmp(way, "bound"))
		bind_over(byte);
	else if (!strcmp(way, "swapped"))
		swap_names(byte);
	else if (!strcmp(way, "poked") || !strcmp(way, "remembered"))
		put_by_another(byte);
	else if (!strcmp(way, "evicted")) {
		char *area = mapping(file, PROT_READ | PROT_WRITE);

		area[AT] = byte;
		munmap(area, size);
		write_to_many();
	} else if (!strcmp(way, "submitted")) {
		fd = open_to_write(file, O_WRONLY);
		submit(fd, byte);
		close(fd);
	} else if (!strcmp(way, "ring")) {
		fd = open_to_write(file, O_WRONLY);
		need(uring_write(fd, &byte, 1, AT) == 1, "io_uring");
		close(fd);
	} else
		return 0;
	return 1;
}

static void put(char byte)
{
	int fd, source, is_renamed = !strcmp(way, "renamed") || !strcmp(way, "unnamed");
	char *area;

	if (put_byte(byte))
		return;

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
	if (!strcmp(way, "unnamed"))
		fd = unnamed();
	else if (is_renamed)
		fd = open_to_write(other, O_WRONLY | O_CREAT | O_TRUNC);
	else
		fd = open_to_write(file, O_WRONLY | (strcmp(way, "cut") ? 0 : O_TRUNC));
	if (!strcmp(way, "ranged"))
		need(copy_file_range(source, 0, fd, 0, size, 0) == (ssize_t)size, "copy_file_range");
	else if (!strcmp(way, "cloned"))
		need(!ioctl(fd, FICLONE, source), "FICLONE");
	else if (!strcmp(way, "spliced"))
		splice_all(source, fd);
	else
		need(sendfile(fd, source, 0, size) == (ssize_t)size, "sendfile");
	if (!strcmp(way, "unnamed"))
		link_unnamed(fd);
	close(fd);
	close(source);
	if (is_renamed)
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

/* Ways that change nothing; whether it was one. */
static int run_unchanged(int turn)
{
	int fd;

	if (!strcmp(way, "clean")) {
		run("clean", turn);
		close(open_to_write(file, O_WRONLY));
		need(!utimensat(AT_FDCWD, file, 0, 0), "utimensat");
		return 1;
	}
	if (!strcmp(way, "moved"))
		need(!rename(file, other) && !rename(other, file), "rename");
	else if (!strcmp(way, "same")) {
		fd = open_to_write(file, O_WRONLY);
		need(write(fd, content, size) == (ssize_t)size, "write");
		close(fd);
	} else
		return 0;
	run("clean", turn);
	return 1;
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
		if (run_unchanged(turn))
			continue;
		if (!strcmp(way, "exchanged"))
			run("clean", turn);
		put(turn);
		run("patched", turn);
		put(0);
	}
	return end();
}
