/* One write by io_uring, with the system calls alone. */
#pragma once

#include <linux/io_uring.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* With a registered file, a registered buffer, or a thread of the kernel that looks for what is submitted. */
enum { RING_FILES = 1, RING_BUFFERS = 2, RING_POLL = 4 };

/* Returns what the write returned, or -1 where there is no ring. */
static inline int uring_write_by(int fd, const void *data, unsigned int length, uint64_t at, int how)
{
	struct io_uring_params parameters = { .flags = how & RING_POLL ? IORING_SETUP_SQPOLL : 0, .sq_thread_idle = 1000 };
	struct iovec buffer = { (void *)data, length };
	int ring = syscall(SYS_io_uring_setup, 1, &parameters);
	size_t submitted, completed;
	char *submission, *completion;
	struct io_uring_sqe *entry;
	struct io_uring_cqe *done;
	int result;

	if (ring < 0)
		return -1;
	submitted = parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned int);
	completed = parameters.cq_off.cqes + parameters.cq_entries * sizeof(*done);
	submission = mmap(0, submitted, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	completion = mmap(0, completed, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	entry = mmap(0, sizeof(*entry), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (submission == MAP_FAILED || completion == MAP_FAILED || entry == MAP_FAILED)
		return -1;
	memset(entry, 0, sizeof(*entry));
	if (how & RING_FILES && syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1))
		return -1;
	if (how & RING_BUFFERS && syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1))
		return -1;
	entry->opcode = how & RING_BUFFERS ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE;
	entry->flags = how & RING_FILES ? IOSQE_FIXED_FILE : 0;
	entry->fd = how & RING_FILES ? 0 : fd;
	entry->addr = (uintptr_t)data;
	entry->len = length;
	entry->off = at;
	*(unsigned int *)(submission + parameters.sq_off.array) = 0;
	__atomic_store_n((unsigned int *)(submission + parameters.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS | (how & RING_POLL ? IORING_ENTER_SQ_WAKEUP : 0), 0, 0) != 1)
		return -1;
	done = (struct io_uring_cqe *)(completion + parameters.cq_off.cqes);
	result = done->res;
	munmap(submission, submitted);
	munmap(completion, completed);
	munmap(entry, sizeof(*entry));
	close(ring);
	return result;
}

static inline int uring_write(int fd, const void *data, unsigned int length, uint64_t at)
{
	return uring_write_by(fd, data, length, at, 0);
}
