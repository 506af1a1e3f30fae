/*
 * Runs programs in ways that a shell can't:
 *   run memfd FILE [ARGUMENT…]    the content of FILE, from a memfd called payload
 *   run deleted FILE [ARGUMENT…]  FILE, after it was unlinked
 *   run -- FILE [ARGUMENT…]       FILE, as a container's init does
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static int in_memory(int source)
{
	int memory = memfd_create("payload", MFD_CLOEXEC);
	struct stat facts;

	if (memory < 0 || fstat(source, &facts))
		return -1;
	for (off_t done = 0; done < facts.st_size;)
		if (sendfile(memory, source, &done, facts.st_size - done) < 0)
			return -1;
	return memory;
}

int main(int argc, char **argv, char **environment)
{
	int file = argc < 3 ? -1 : open(argv[2], O_RDONLY | O_CLOEXEC);

	if (file >= 0 && !strcmp(argv[1], "memfd"))
		file = in_memory(file);
	if (file >= 0 && !strcmp(argv[1], "deleted"))
		unlink(argv[2]);
	if (file >= 0)
		fexecve(file, argv + 2, environment);
	return 1;
}
