/*
 * Map a file without a name as code, and live for a second:
 *   code_memory memfd NAME     generated code in a memfd, as a just-in-time compiler has it
 *   code_memory unlinked PATH  the same in an unlinked file
 *   code_memory … … FILE       the content of FILE instead, as a library would be loaded
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define RESERVED (2047u << 20)

int main(int argc, char **argv)
{
	static const unsigned char code[] = { 0xb8, 0x2a, 0, 0, 0, 0xc3 }; /* return 42 */
	int fd, source;

	if (argc < 3)
		return 2;
	if (!strcmp(argv[1], "memfd")) {
		fd = memfd_create(argv[2], MFD_CLOEXEC);
	} else {
		fd = open(argv[2], O_RDWR | O_CREAT | O_EXCL, 0700);
		unlink(argv[2]);
	}
	if (fd < 0)
		return 1;
	if (argc > 3) {
		source = open(argv[3], O_RDONLY);
		while (sendfile(fd, source, 0, 1 << 20) > 0)
			;
		if (mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
			return 1;
	} else {
		unsigned char *writable;
		int (*run)(void);

		if (ftruncate(fd, !strcmp(argv[1], "memfd") ? RESERVED : 65536))
			return 1;
		writable = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (writable == MAP_FAILED)
			return 1;
		memcpy(writable, code, sizeof(code));
		run = (int (*)(void))mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
		if (run == MAP_FAILED || run() != 42)
			return 1;
	}
	puts("mapped");
	fflush(stdout);
	sleep(1);
	return 0;
}
