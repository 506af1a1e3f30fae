/*
 * overwrite WAY FILE [SOURCE]: change a file that somebody else wrote, in one of the ways that its writer must be known by; with
 * SOURCE, one that this very process has copied from that.
 *
 *   pwrite pwritev2 direct mmap sendfile splice copy_file_range       at byte 12, which the kernel ignores in a program
 *   ring ring-files ring-buffers ring-poll                           the same by io_uring
 *   cut punch zero collapse insert                                   in the 64 KiB at the file's end
 *   clone                                                            by the blocks of a copy (FICLONE)
 *   unnamed exchange rename                                          another file in its place: a changed copy
 *   held                                                             through a mapping, and again once its input ends
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "uring.h"

#define AT 12
#define BLOCK 4096

static const char *way, *file;
static char beside[4096];

static int is(const char *name) { return !strcmp(way, name); }

static void need(int holds, const char *what)
{
	if (!holds)
		err(1, "%s %s", way, what);
}

static int opened(const char *path, int flags)
{
	int fd = open(path, flags, 0755);

	need(fd >= 0, path);
	return fd;
}

static char *content(const char *path, off_t *size)
{
	int in = opened(path, O_RDONLY);
	struct stat st;
	char *data;

	fstat(in, &st);
	data = malloc(st.st_size);
	need(read(in, data, st.st_size) == st.st_size, "read");
	close(in);
	*size = st.st_size;
	return data;
}

static void put_copy(const char *source)
{
	off_t size;
	char *data = content(source, &size);
	int out = open(file, O_CREAT | O_WRONLY, 0755);

	need(out >= 0 && write(out, data, size) == size, "copy");
	close(out);
}

/* A descriptor of a copy whose byte 12 is another; it is at its beginning. */
static int changed_copy(int flags)
{
	off_t size;
	char *data = content(file, &size);
	int out;

	data[AT] ^= 1;
	if (flags & O_TMPFILE)
		out = open("/tmp", O_TMPFILE | O_RDWR, 0755);
	else
		out = open(beside, O_CREAT | O_TRUNC | O_RDWR, 0755);
	need(out >= 0 && write(out, data, size) == size, "copy");
	fchmod(out, 0755);
	lseek(out, 0, SEEK_SET);
	return out;
}

static void put_block(int fd)
{
	char *block = aligned_alloc(BLOCK, BLOCK);
	int in = opened(file, O_RDONLY);

	need(read(in, block, BLOCK) == BLOCK, "read");
	block[AT] ^= 1;
	need(pwrite(fd, block, BLOCK, 0) == BLOCK, "pwrite");
}

static void splice_all(int in, int out, off_t size)
{
	int ends[2];
	ssize_t got;

	need(!pipe(ends), "pipe");
	for (off_t done = 0; done < size; done += got) {
		got = splice(in, 0, ends[1], 0, BLOCK, 0);
		need(got > 0 && splice(ends[0], 0, out, 0, got, 0) == got, "splice");
	}
}

static void put_all(int out)
{
	int in = changed_copy(0);
	struct stat st;

	fstat(in, &st);
	if (is("sendfile"))
		for (off_t left = st.st_size; left > 0;) {
			ssize_t sent = sendfile(out, in, 0, left);

			need(sent > 0, "sendfile");
			left -= sent;
		}
	else if (is("splice"))
		splice_all(in, out, st.st_size);
	else
		for (off_t left = st.st_size; left > 0;) {
			ssize_t sent = copy_file_range(in, 0, out, 0, left, 0);

			need(sent > 0, "copy_file_range");
			left -= sent;
		}
}

static void allocate(int fd, int mode, off_t size)
{
	need(!fallocate(fd, mode, size, BLOCK), "fallocate");
}

int main(int count, char **arguments)
{
	struct stat st;
	char byte = 1, *area, path[64];
	struct iovec piece = { &byte, 1 };
	off_t tail;
	int fd;

	if (count < 3)
		errx(2, "overwrite WAY FILE");
	way = arguments[1];
	file = arguments[2];
	if (count > 3)
		put_copy(arguments[3]);
	snprintf(beside, sizeof(beside), "%s.beside", file);
	if (is("unnamed")) {
		fd = changed_copy(O_TMPFILE);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		unlink(beside);
		need(!linkat(AT_FDCWD, path, AT_FDCWD, beside, AT_SYMLINK_FOLLOW), "linkat");
		need(!rename(beside, file), "rename");
		return 0;
	}
	if (is("exchange") || is("rename")) {
		close(changed_copy(0));
		need(!renameat2(AT_FDCWD, beside, AT_FDCWD, file, is("exchange") ? RENAME_EXCHANGE : 0), "rename");
		return 0;
	}
	if (is("clone")) {
		fd = changed_copy(0);
		need(!ioctl(opened(file, O_WRONLY), FICLONE, fd), "FICLONE");
		return 0;
	}
	fd = opened(file, O_RDWR | (is("direct") ? O_DIRECT : 0));
	fstat(fd, &st);
	tail = st.st_size / BLOCK * BLOCK - 4 * BLOCK;
	if (is("pwrite"))
		need(pwrite(fd, &byte, 1, AT) == 1, "pwrite");
	else if (is("pwritev2"))
		need(pwritev2(fd, &piece, 1, AT, RWF_DSYNC) == 1, "pwritev2");
	else if (is("direct"))
		put_block(fd);
	else if (is("mmap") || is("held")) {
		area = mmap(0, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		need(area != MAP_FAILED, "mmap");
		area[AT] ^= 1;
		need(!msync(area, BLOCK, MS_SYNC), "msync");
		if (is("held") && !read(0, &byte, 1))
			area[AT + 1] ^= 1;
	} else if (!strncmp(way, "ring", 4)) {
		int how = is("ring-files") ? RING_FILES : is("ring-buffers") ? RING_BUFFERS : is("ring-poll") ? RING_POLL : 0;

		need(uring_write_by(fd, &byte, 1, AT, how) == 1, "io_uring");
	} else if (is("cut"))
		need(!ftruncate(fd, tail), "ftruncate");
	else if (is("punch"))
		allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, tail);
	else if (is("zero"))
		allocate(fd, FALLOC_FL_ZERO_RANGE, tail);
	else if (is("collapse"))
		allocate(fd, FALLOC_FL_COLLAPSE_RANGE, tail);
	else if (is("insert"))
		allocate(fd, FALLOC_FL_INSERT_RANGE, tail);
	else
		put_all(fd);
	return 0;
}
