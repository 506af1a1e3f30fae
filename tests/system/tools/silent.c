/*
 * silent NAME FILE FOLDER
 *   Serves a FUSE filesystem at FOLDER with one file, NAME, that has the content of FILE: to processes of its own pid
 *   namespace alone. Who asks from elsewhere, as a sensor does, waits for ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PROGRAM 2

static char request[1 << 18];
static char content[1 << 17];
static int device, source;
static struct stat facts;

static void reply(__u64 unique, int error, void *body, size_t size)
{
	struct fuse_out_header head = { .len = sizeof(head) + size, .error = error, .unique = unique };
	struct iovec parts[] = { { &head, sizeof(head) }, { body, size } };

	(void)!writev(device, parts, 2);
}

/* Nothing may be kept of these: each look asks again. */
static struct fuse_attr attributes(__u64 node)
{
	int is_program = node == PROGRAM;

	return (struct fuse_attr){
		.ino = node,
		.size = is_program ? facts.st_size : 0,
		.mode = is_program ? S_IFREG | 0755 : S_IFDIR | 0755,
		.nlink = 1,
		.blksize = 4096,
	};
}

static void look_up(struct fuse_in_header *in, const char *wanted, const char *name)
{
	struct fuse_entry_out out = { .nodeid = PROGRAM, .attr = attributes(PROGRAM) };

	if (strcmp(wanted, name))
		reply(in->unique, -ENOENT, 0, 0);
	else
		reply(in->unique, 0, &out, sizeof(out));
}

static void read_program(struct fuse_in_header *in, struct fuse_read_in *asked)
{
	size_t size = asked->size < sizeof(content) ? asked->size : sizeof(content);
	ssize_t got = pread(source, content, size, asked->offset);

	reply(in->unique, got < 0 ? -EIO : 0, content, got < 0 ? 0 : got);
}

static void answer(struct fuse_in_header *in, const char *name)
{
	void *body = in + 1;
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096 };
	struct fuse_attr_out attr = { .attr = attributes(in->nodeid) };
	struct fuse_open_out open = { .fh = 1 };
	struct fuse_statfs_out room = { .st = { .bsize = 4096, .frsize = 4096, .namelen = 255 } };

	if (in->opcode != FUSE_INIT && !in->pid)
		return;
	if (in->opcode == FUSE_INIT)
		reply(in->unique, 0, &init, sizeof(init));
	else if (in->opcode == FUSE_LOOKUP)
		look_up(in, body, name);
	else if (in->opcode == FUSE_GETATTR)
		reply(in->unique, 0, &attr, sizeof(attr));
	else if (in->opcode == FUSE_OPEN || in->opcode == FUSE_OPENDIR)
		reply(in->unique, 0, &open, sizeof(open));
	else if (in->opcode == FUSE_STATFS)
		reply(in->unique, 0, &room, sizeof(room));
	else if (in->opcode == FUSE_READ)
		read_program(in, body);
	else if (in->opcode != FUSE_FORGET && in->opcode != FUSE_BATCH_FORGET && in->opcode != FUSE_INTERRUPT)
		reply(in->unique, in->opcode == FUSE_FLUSH || in->opcode == FUSE_READDIR ? 0 : -ENOSYS, 0, 0);
}

int main(int argc, char **argv)
{
	char options[128];

	if (argc != 4 || (source = open(argv[2], O_RDONLY)) < 0 || fstat(source, &facts))
		return 1;
	device = open("/dev/fuse", O_RDWR);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
	if (device < 0 || mount("silent", argv[3], "fuse", 0, options))
		return 2;
	/* Whoever started it goes on once it serves. */
	if (fork())
		return 0;
	while (read(device, request, sizeof(request)) > 0)
		answer((struct fuse_in_header *)request, argv[1]);
	return 0;
}
