// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads and attaches the sensor's kernel program in one of its ways, as the sensor does, and tries it with one exec and
 * one write of its own. See scripts/vm-load.sh.
 *
 *   load OBJECT LABEL PROGRAM...     a program as NAME, or NAME:FUNCTION where it is for kernels with that function
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXECS, SENT, STATE_RECORD = 6, BY_TRACEPOINTS = 1, BY_FUNCTIONS = 2, CURRENT_TASK = 158, FIND_MAPPING = 180, MOST_ARGUMENTS = 6 };

static const char *label;

static int print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return level == LIBBPF_WARN ? vfprintf(stdout, format, arguments) : 0;
}

static void failed(const char *what, const char *name)
{
	printf("RESULT %s: %s %s failed: %m\n", label, what, name);
	exit(1);
}

static int tells_sums(void)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = 1},
		{.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 10, .src_reg = 1, .off = -8, .imm = BPF_ADD | BPF_FETCH},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_TRACEPOINT, "probe", "GPL", code, sizeof(code) / sizeof(code[0]), 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Whether this kernel is to have a program; its name is cut out of the argument. */
static int wanted(char *program)
{
	char *function = strchr(program, ':');

	if (function)
		*function++ = 0;
	if (!strcmp(program, "on_mapping"))
		return libbpf_probe_bpf_helper(BPF_PROG_TYPE_TRACEPOINT, FIND_MAPPING, 0) == 1;
	if (!strcmp(program, "on_mapping_list"))
		return libbpf_probe_bpf_helper(BPF_PROG_TYPE_TRACEPOINT, FIND_MAPPING, 0) != 1;
	if (!strcmp(program, "on_write") || !strcmp(program, "on_mmap") || !strncmp(program, "on_read", 7) || !strcmp(program, "on_interpreter"))
		if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_TRACEPOINT, CURRENT_TASK, 0) != 1)
			return 0;
	/* Since 5.12 the kernel adds and tells the sum, and compares and exchanges. */
	if (!strncmp(program, "on_keep", 7) || !strncmp(program, "on_fork", 7) || !strncmp(program, "on_exit", 7))
		return tells_sums() == !strstr(program, "_old");
	/* Only one of these two can be traced: 5.19 took an argument away from the one, and gave the other its request. */
	if (!strncmp(program, "on_memfd_write", 14)) {
		struct btf *btf = btf__load_vmlinux_btf();
		const struct btf_type *type = btf__type_by_id(btf, libbpf_find_vmlinux_btf_id("shmem_write_begin", BPF_TRACE_FENTRY));
		int is_old = btf_vlen(btf__type_by_id(btf, type->type)) > MOST_ARGUMENTS;

		return is_old == !strcmp(program, "on_memfd_write_old");
	}
	return !function || libbpf_find_vmlinux_btf_id(function, BPF_TRACE_FENTRY) > 0;
}

static unsigned long long stat_of(struct bpf_object *object, unsigned key)
{
	int cpus = libbpf_num_possible_cpus();
	unsigned long long values[cpus], sum = 0;

	if (bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(object, "stats"), &key, values))
		return 0;
	for (int i = 0; i < cpus; i++)
		sum += values[i];
	return sum;
}

static int count(struct bpf_object *object, const char *map)
{
	int fd = bpf_object__find_map_fd_by_name(object, map), found = 0;
	unsigned char key[16], *before = 0;

	for (; !bpf_map_get_next_key(fd, before, key); before = key)
		found++;
	return found;
}

/* In a mount namespace of its own, as a container: write a file and run it. */
static void drift(void)
{
	char path[] = "/tmp/drift";
	pid_t child = fork();

	if (!child) {
		if (unshare(CLONE_NEWNS) || system(": > /tmp/drift; sleep 1; cat /bin/busybox >> /tmp/drift; sleep 1; chmod 755 /tmp/drift"))
			_exit(126);
		execl(path, "true", (char *)0);
		_exit(127);
	}
	int status;
	waitpid(child, &status, 0);
	if (status)
		printf("the exec failed: %x\n", status);
}

int main(int count_of_arguments, char **arguments)
{
	struct bpf_object *object;
	struct bpf_program *program;
	struct stat root;
	size_t size;
	unsigned *constants, key = STATE_RECORD;
	unsigned long long how;
	int attached = 0;

	setvbuf(stdout, 0, _IONBF, 0);
	label = arguments[2];
	libbpf_set_print(print);
	object = bpf_object__open_file(arguments[1], 0);
	if (!object)
		failed("opening", arguments[1]);
	stat("/proc/1/ns/mnt", &root);
	constants = (unsigned *)bpf_map__initial_value(bpf_object__find_map_by_name(object, ".rodata"), &size);
	constants[0] = root.st_ino;
	bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "scratch"), libbpf_num_possible_cpus());
	bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "ring"), 65536);
	bpf_object__for_each_program(program, object)
		bpf_program__set_autoload(program, 0);
	for (int i = 3; i < count_of_arguments; i++) {
		int is_wanted = wanted(arguments[i]);

		program = bpf_object__find_program_by_name(object, arguments[i]);
		if (!program)
			failed("finding", arguments[i]);
		if (is_wanted)
			bpf_program__set_autoload(program, 1);
		else
			printf("%s: without %s\n", label, arguments[i]);
	}
	if (bpf_object__load(object))
		failed("loading", "the object");
	bpf_object__for_each_program(program, object) {
		if (!bpf_program__autoload(program))
			continue;
		if (!bpf_program__attach(program))
			failed("attaching", bpf_program__name(program));
		attached++;
	}
	how = strstr(label, "functions") ? BY_FUNCTIONS : strstr(label, "tracepoints") ? BY_TRACEPOINTS : 0;
	bpf_map_update_elem(bpf_object__find_map_fd_by_name(object, "state"), &key, &how, 0);
	key = 3, how = 1; /* interpreters too */
	bpf_map_update_elem(bpf_object__find_map_fd_by_name(object, "state"), &key, &how, 0);
	drift();
	printf("RESULT %s: attached %d; execs %llu, sent %llu, files with a record %d, writers %d, interpreters left %d\n", label, attached,
	       stat_of(object, EXECS), stat_of(object, SENT), count(object, "write_records"), count(object, "writers"), count(object, "readers"));
	return !stat_of(object, SENT);
}
