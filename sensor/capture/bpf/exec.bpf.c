// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every exec in a container that may be drift, with its facts, into a ring buffer.
 *
 * An exec is dropped here, in the kernel, when its mount namespace is known and its file lies on
 * the root filesystem registered for that namespace, has no copy in overlay's upper layer, and is
 * neither a `#!` script nor a dynamic loader. The first exec of an unknown mount namespace is
 * always sent, so that user space can register it.
 */

#include "kernel.h"
#include "record.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

#define MAX_STEPS 96          /* names and mounts on the way from a file up to the root */
#define NAME_BYTES 256
#define CUT_NAME "\xe2\x80\xa6" /* an ellipsis */
#define MAX_CGROUP_STEPS 32   /* a container may make cgroups below its own */

#define TMPFS_MAGIC 0x01021994
#define OVERLAY_MAGIC 0x794c7630
#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20
#define CTIME_QUERIED 0x80000000u   /* a flag that newer kernels keep in the nanoseconds */

/* Keys of the map `state`; the others are user space's own. */
enum { STATE_DETECT = 3, DETECT_INTERPRETER = 1 };
enum stat { STAT_EXECS, STAT_SENT, STAT_LOST, STAT_COUNT };

/* Of a container: whether all in its cgroup is, for that has the container's name. */
enum { CONTAINER = 1, CONTAINER_BY_CGROUP = 2 };

/* What user space says of a mount namespace: no container (root_dev 0), or its image's filesystem. */
struct registration { __u32 root_dev; __u32 is_container; };

/* One entry per possible CPU (user space sets how many); a per-CPU map's value is limited to 32 KiB. */
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, struct scratch); } scratch SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, STAT_COUNT); __type(key, __u32); __type(value, __u64); } stats SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 16384); __type(key, __u64); __type(value, struct registration); } namespaces SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 8); __type(key, __u32); __type(value, __u64); } state SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 1 << 24); } ring SEC(".maps");

const volatile __u32 host_namespace_inum = 0;

/*
 * An index, brought within its bounds right where it is used: older kernels' verifiers (6.1's, for one) forget
 * what a comparison or a mask told of a number that went over the stack since. The compiler must not know better.
 */
#define BOUNDED(index, mask) ({ __u32 bounded = (index); barrier_var(bounded); bounded & (mask); })

static __always_inline void count(enum stat which)
{
	__u32 key = which;
	__u64 *value = bpf_map_lookup_elem(&stats, &key);

	if (value)
		*value += 1;
}

static __always_inline struct scratch *scratch_of_cpu(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&scratch, &cpu);
}

/*
 * Append the names from a dentry up to the top of its mount tree (or, without a mount, of its
 * filesystem), deepest first, each with its NUL. Returns the new end of the data, and in the
 * header how much of it is below the first mount on the way.
 */
__attribute__((noinline)) __u32 put_path(__u64 mount_address, __u64 dentry_address, __u32 start)
{
	struct dentry *dentry = (struct dentry *)dentry_address;
	struct mount *mount = (struct mount *)mount_address;
	struct scratch *s = scratch_of_cpu();
	__u32 end = start;
	bool crossed = 0;

	if (!s)
		return start;
	s->header.below_mount = 0;
	for (int step = 0; step < MAX_STEPS; step++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

		if (mount && dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);

			if (!crossed)
				s->header.below_mount = end - start;
			crossed = 1;
			if (above == mount)
				return end;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = above;
			continue;
		}
		if (parent == dentry || !parent)
			return end;
		if (end - start > MAX_PATH_BYTES)
			break;
		const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
		end = BOUNDED(end, DATA_MASK);
		long got = bpf_probe_read_kernel_str(&s->data[end], NAME_BYTES, name);
		if (got < 0 || got > NAME_BYTES)
			break;
		end += got;
		dentry = parent;
	}
	/* Too deep or too long: what is missing at the top is shown as a folder of this name. */
	end = BOUNDED(end, DATA_MASK);
	__builtin_memcpy(&s->data[end], CUT_NAME, sizeof(CUT_NAME));
	return end + sizeof(CUT_NAME);
}

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (struct mount *)((char *)mnt - bpf_core_field_offset(struct mount, mnt));
}

static __always_inline __u32 put_struct_path(struct path *path, __u32 start)
{
	return put_path((__u64)mount_of(BPF_CORE_READ(path, mnt)), (__u64)BPF_CORE_READ(path, dentry), start);
}

/* The name of a file that is in no folder: a memfd. */
static __always_inline __u32 put_name(struct scratch *s, struct dentry *dentry)
{
	long got = bpf_probe_read_kernel_str(s->data, NAME_BYTES, BPF_CORE_READ(dentry, d_name.name));

	return got > 0 && got <= NAME_BYTES ? got : 0;
}

static __always_inline struct kernfs_node *parent_of(struct kernfs_node *node)
{
	if (bpf_core_field_exists(node->__parent))
		return BPF_CORE_READ(node, __parent);
	return BPF_CORE_READ((struct kernfs_node___old *)node, parent);
}

/* Names of the cgroup and those above it, deepest first. A container's id is one of them. */
__attribute__((noinline)) __u32 put_cgroup(__u64 cgroup_address, __u32 start)
{
	struct kernfs_node *node = BPF_CORE_READ((struct cgroup *)cgroup_address, kn);
	struct scratch *s = scratch_of_cpu();
	__u32 end = start;

	if (!s)
		return start;
	for (int step = 0; step < MAX_CGROUP_STEPS && node; step++) {
		const char *name = BPF_CORE_READ(node, name);
		end = BOUNDED(end, DATA_MASK);
		long got = bpf_probe_read_kernel_str(&s->data[end], NAME_BYTES, name);
		if (got < 0 || got > NAME_BYTES)
			break;
		end += got;
		node = parent_of(node);
	}
	return end;
}

/* The unified cgroup, or where the runtime uses only v1, the first v1 cgroup that is not the root. */
static __always_inline struct cgroup *cgroup_of(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup *unified = BPF_CORE_READ(set, dfl_cgrp);

	if (BPF_CORE_READ(unified, level) > 0)
		return unified;
	for (int i = 0; i < 4; i++) {
		struct cgroup *cgroup = BPF_CORE_READ(set, subsys[i], cgroup);

		if (cgroup && BPF_CORE_READ(cgroup, level) > 0)
			return cgroup;
	}
	return unified;
}

static __always_inline __u64 namespace_id(struct mnt_namespace *ns)
{
	struct mnt_namespace___v6_18 *newer = (void *)ns;
	struct mnt_namespace___old *older = (void *)ns;

	if (bpf_core_field_exists(newer->ns.ns_id))
		return newer->ns.ns_id;
	if (bpf_core_field_exists(older->seq))
		return older->seq;
	return ns->ns.inum;
}

/* ld-linux-x86-64.so.2, ld-2.31.so, ld-musl-x86_64.so.1, ld.so, ld64.so.2; musl's libc.so */
static __always_inline bool is_loader_name(const unsigned char *name)
{
	char head[8] = {};

	bpf_probe_read_kernel_str(head, sizeof(head), name);
	if (head[0] != 'l')
		return 0;
	if (head[1] == 'd')
		return head[2] == '-' || head[2] == '.' || head[2] == '6';
	return head[1] == 'i' && head[2] == 'b' && head[3] == 'c' && head[4] == '.' && head[5] == 's' && head[6] == 'o';
}

#define START(a, b, c) ((a) | (b) << 8 | (c) << 16)

/* Whether user space asks for interpreters, and it may be one: how their names start. It looks closer itself. */
static __always_inline bool is_interpreter(const unsigned char *name)
{
	__u32 key = STATE_DETECT;
	__u64 *detect = bpf_map_lookup_elem(&state, &key);
	char head[4] = {};

	if (!detect || !(*detect & DETECT_INTERPRETER))
		return 0;
	bpf_probe_read_kernel_str(head, sizeof(head), name);
	switch (START(head[0], head[1], head[2])) {
	case START('s', 'h', 0):
	case START('a', 's', 'h'):
	case START('b', 'a', 's'):
	case START('d', 'a', 's'):
	case START('k', 's', 'h'):
	case START('z', 's', 'h'):
	case START('b', 'u', 's'): /* busybox */
	case START('p', 'e', 'r'):
	case START('p', 'y', 't'):
	case START('p', 'y', 'p'): /* pypy */
	case START('p', 'h', 'p'):
	case START('r', 'u', 'b'):
	case START('n', 'o', 'd'):
	case START('b', 'u', 'n'):
	case START('d', 'e', 'n'):
	case START('l', 'u', 'a'):
		return 1;
	}
	return 0;
}

static __always_inline struct dentry *upper_of(struct inode *inode)
{
	struct dentry *upper = 0;

	/* Overlay as a module: its types are not in the kernel's BTF, but the pointer follows the inode. */
	if (bpf_core_type_exists(struct ovl_inode))
		upper = BPF_CORE_READ((struct ovl_inode *)((char *)inode - bpf_core_field_offset(struct ovl_inode, vfs_inode)), __upperdentry);
	else
		bpf_probe_read_kernel(&upper, sizeof(upper), (char *)inode + bpf_core_type_size(struct inode));
	return upper;
}

static __always_inline __u32 lower_flag(struct inode *inode)
{
	struct ovl_inode *ovl;

	if (!bpf_core_type_exists(struct ovl_inode) || !bpf_core_field_exists(struct ovl_inode, oe))
		return 0;
	ovl = (struct ovl_inode *)((char *)inode - bpf_core_field_offset(struct ovl_inode, vfs_inode));
	return BPF_CORE_READ(ovl, oe, __numlower) ? FLAG_LOWER : 0;
}

static __always_inline void put_ctime(__s64 *seconds, __u32 *nanoseconds, struct inode *inode)
{
	struct inode___v6_6 *middle = (void *)inode;
	struct inode___old *older = (void *)inode;

	if (bpf_core_field_exists(inode->i_ctime_sec)) {
		*seconds = BPF_CORE_READ(inode, i_ctime_sec);
		*nanoseconds = BPF_CORE_READ(inode, i_ctime_nsec) & ~CTIME_QUERIED;
	} else if (bpf_core_field_exists(middle->__i_ctime)) {
		*seconds = BPF_CORE_READ(middle, __i_ctime.tv_sec);
		*nanoseconds = BPF_CORE_READ(middle, __i_ctime.tv_nsec) & ~CTIME_QUERIED;
	} else {
		*seconds = BPF_CORE_READ(older, i_ctime.tv_sec);
		*nanoseconds = BPF_CORE_READ(older, i_ctime.tv_nsec);
	}
}

static __always_inline struct registration *registration_of(struct mnt_namespace *ns)
{
	__u64 id = namespace_id(ns);

	return bpf_map_lookup_elem(&namespaces, &id);
}

#include "origin.h"

/* Whether user space must look at an image's file all the same: the flags that say why. */
static __always_inline __u32 suspect_flags(struct linux_binprm *bprm, struct dentry *dentry, struct inode *inode)
{
	__u32 flags = 0;

	if (inode->i_sb->s_magic == OVERLAY_MAGIC && upper_of(inode))
		flags |= FLAG_UPPER;
	if (bprm->interp != bprm->filename)
		flags |= FLAG_SCRIPT;
	if (is_loader_name(dentry->d_name.name))
		flags |= FLAG_LOADER;
	else if (is_interpreter(dentry->d_name.name))
		flags |= FLAG_INTERPRETER;
	return flags;
}

static __always_inline __u32 file_flags(struct dentry *dentry, struct inode *inode)
{
	unsigned long magic = BPF_CORE_READ(inode, i_sb, s_magic);

	if (magic == OVERLAY_MAGIC)
		return lower_flag(inode);
	/* In no folder: its own parent. */
	return magic == TMPFS_MAGIC && BPF_CORE_READ(dentry, d_parent) == dentry ? FLAG_MEMFD : 0;
}

/* The real file's size and change time: overlay's own inode is not told of writes through mmap. */
static __always_inline void put_inode(struct header *h, struct inode *inode)
{
	struct inode *real = inode;

	h->ino = BPF_CORE_READ(inode, i_ino);
	if (h->flags & FLAG_UPPER)
		real = BPF_CORE_READ(upper_of(inode), d_inode);
	h->size = BPF_CORE_READ(real, i_size);
	put_ctime(&h->ctime_sec, &h->ctime_nsec, real);
}

static __always_inline void put_task(struct header *h, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct task_struct *parent = BPF_CORE_READ(leader, real_parent);
	struct task_struct___old *older = (void *)leader;

	h->pid = BPF_CORE_READ(task, tgid);
	if (bpf_core_field_exists(leader->start_boottime))
		h->start_ns = BPF_CORE_READ(leader, start_boottime);
	else
		h->start_ns = BPF_CORE_READ(older, real_start_time);
	h->uid = bpf_get_current_uid_gid();
	h->ancestor_count = 0;
	for (int i = 0; i < MAX_ANCESTORS; i++) {
		h->ancestors[i].pid = BPF_CORE_READ(parent, tgid);
		if (!h->ancestors[i].pid)
			break;
		parent = BPF_CORE_READ(parent, group_leader);
		bpf_probe_read_kernel(h->ancestors[i].comm, sizeof(parent->comm), parent->comm);
		h->ancestor_count = i + 1;
		parent = BPF_CORE_READ(parent, real_parent);
	}
}

static __always_inline __u32 put_argv(struct scratch *s, struct task_struct *task, __u32 end)
{
	unsigned long start = BPF_CORE_READ(task, mm, arg_start);
	unsigned long length = BPF_CORE_READ(task, mm, arg_end) - start;
	long failed;

	/* A loader's program may come late in its arguments. */
	if (s->header.flags & FLAG_LOADER && end < MAX_LOADER_ARGV_BYTES) {
		if (length > MAX_LOADER_ARGV_BYTES - 1) {
			s->header.flags |= FLAG_ARGV_CUT;
			length = MAX_LOADER_ARGV_BYTES - 1;
		}
		length = BOUNDED(length, MAX_LOADER_ARGV_BYTES - 1);
		end = BOUNDED(end, MAX_LOADER_ARGV_BYTES - 1);
		failed = bpf_probe_read_user(&s->data[end], length, (void *)start);
	} else {
		if (length > MAX_ARGV_BYTES - 1) {
			s->header.flags |= FLAG_ARGV_CUT;
			length = MAX_ARGV_BYTES - 1;
		}
		end = BOUNDED(end, DATA_MASK);
		length = BOUNDED(length, MAX_ARGV_BYTES - 1);
		failed = bpf_probe_read_user(&s->data[end], length, (void *)start);
	}
	if (failed) {
		s->header.flags |= FLAG_ARGV_UNREADABLE;
		return end;
	}
	return end + length;
}

/* What the kernel itself opened as the script of a `#!` exec, if that can be told: facts and paths. */
static __always_inline __u32 put_script(struct scratch *s, struct task_struct *task, __u32 start)
{
	struct header *h = &s->header;
	struct file *script = h->flags & FLAG_SCRIPT ? script_of(task) : 0;
	__u32 end = start;

	__builtin_memset(&h->script, 0, sizeof(h->script));
	__builtin_memset(&h->script_writer, 0, sizeof(h->script_writer));
	h->length[SCRIPT_PATH] = h->length[SCRIPT_INNER] = h->length[SCRIPT_WRITER_PATH] = 0;
	if (!script)
		return start;
	h->flags |= FLAG_SCRIPT_SEEN;
	put_file(&h->script, BPF_CORE_READ(script, f_inode));
	if (h->script.magic == OVERLAY_MAGIC && upper_of(BPF_CORE_READ(script, f_inode)))
		h->flags |= FLAG_SCRIPT_UPPER;
	end = put_struct_path(&script->f_path, start);
	h->script.below_mount = h->below_mount;
	h->length[SCRIPT_PATH] = end - start;
	start = end;
	if (h->flags & FLAG_SCRIPT_UPPER)
		end = put_path(0, (__u64)BPF_CORE_READ(script, f_path.dentry), start);
	h->length[SCRIPT_INNER] = end - start;
	start = end;
	end = put_writer(s, &h->script_writer, BPF_CORE_READ(script, f_inode), start);
	h->length[SCRIPT_WRITER_PATH] = end - start;
	return end;
}

/* All texts; each section's length is known once the next begins. */
static __always_inline __u32 put_texts(struct scratch *s, struct task_struct *task, const char *filename, struct file *file)
{
	struct file *parent_exe = BPF_CORE_READ(task, group_leader, real_parent, mm, exe_file);
	struct header *h = &s->header;
	__u32 start = 0, end, below_mount;

	if (h->flags & FLAG_MEMFD)
		end = put_name(s, BPF_CORE_READ(file, f_path.dentry));
	else
		end = put_struct_path(&file->f_path, 0);
	below_mount = h->below_mount;
	h->length[PATH] = end - start;
	start = end;
	if (h->flags & FLAG_UPPER)
		end = put_path(0, (__u64)BPF_CORE_READ(file, f_path.dentry), start);
	h->length[INNER_PATH] = end - start;
	start = end;
	end = put_struct_path(&BPF_CORE_READ(task, fs)->pwd, start);
	h->length[CWD] = end - start;
	start = end;
	end = put_struct_path(&BPF_CORE_READ(task, fs)->root, start);
	h->length[ROOT] = end - start;
	start = end;
	if (parent_exe)
		end = put_struct_path(&parent_exe->f_path, start);
	h->length[PARENT_PATH] = end - start;
	start = end;
	end = put_cgroup((__u64)cgroup_of(task), start);
	h->length[CGROUP] = end - start;
	start = end & DATA_MASK;
	end = start;
	if (h->flags & FLAG_SCRIPT) {
		long got = bpf_probe_read_kernel_str(&s->data[BOUNDED(start, DATA_MASK)], MAX_PATH_BYTES, filename);
		if (got > 0 && got <= MAX_PATH_BYTES)
			end += got;
	}
	h->length[FILENAME] = end - start;
	start = end;
	if (h->flags & FLAG_LIBRARY)
		end = put_struct_path(&BPF_CORE_READ(task, mm, exe_file)->f_path, start);
	h->length[LOADED_BY] = end - start;
	start = end;
	end = put_writer(s, &h->writer, BPF_CORE_READ(file, f_inode), start);
	h->length[WRITER_PATH] = end - start;
	end = put_script(s, task, end);
	start = end & DATA_MASK;
	end = put_argv(s, task, start);
	h->length[ARGV] = end - start;
	h->below_mount = below_mount;
	return end;
}

static __always_inline void send(struct scratch *s, struct task_struct *task, const char *filename, struct file *file)
{
	struct super_block *root = BPF_CORE_READ(task, fs, root.mnt, mnt_sb);
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct header *h = &s->header;
	__u32 end;

	h->version = RECORD_VERSION;
	h->time_ns = bpf_ktime_get_boot_ns();
	h->magic = BPF_CORE_READ(inode, i_sb, s_magic);
	h->dev = BPF_CORE_READ(inode, i_sb, s_dev);
	h->root_dev = BPF_CORE_READ(root, s_dev);
	h->flags |= file_flags(BPF_CORE_READ(file, f_path.dentry), inode);
	if (BPF_CORE_READ(root, s_magic) == OVERLAY_MAGIC)
		h->flags |= FLAG_OVERLAY_ROOT;
	put_inode(h, inode);
	put_task(h, task);
	end = put_texts(s, task, filename, file) & DATA_MASK;
	if (bpf_ringbuf_output(&ring, s, sizeof(struct header) + end, BPF_RB_FORCE_WAKEUP))
		count(STAT_LOST);
	else
		count(STAT_SENT);
}

static __always_inline struct scratch *begin(struct mnt_namespace *ns, struct registration *known, __u32 flags)
{
	struct scratch *s = scratch_of_cpu();

	if (s) {
		s->header.flags = flags | (known ? 0 : FLAG_UNKNOWN_NAMESPACE);
		s->header.namespace_id = namespace_id(ns);
		s->header.namespace_inum = ns->ns.inum;
	}
	return s;
}

#include "block.h"

/* The arguments are trusted pointers: their fields are read without a call. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct mnt_namespace *ns = task->nsproxy->mnt_ns;
	struct file *file = bprm->file;
	struct registration *known;
	struct scratch *s;
	__u32 flags;

	if (ns->ns.inum == host_namespace_inum)
		return 0;
	known = registration_of(ns);
	if (known && !known->is_container)
		return 0;
	count(STAT_EXECS);
	flags = suspect_flags(bprm, file->f_path.dentry, file->f_inode);
	if (known && file->f_inode->i_sb->s_dev == known->root_dev && !flags)
		return 0;
	s = begin(ns, known, flags);
	if (s) {
		s->header.flags |= block(s, task, old_pid, file, known);
		send(s, task, bprm->filename, file);
	}
	return 0;
}

static __always_inline struct file *file_of(struct task_struct *task, __u32 fd)
{
	struct fdtable *table = task->files->fdt;
	struct file *file = 0;

	if (fd < table->max_fds)
		bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
	return file;
}

/* A file that becomes code of a running program: LD_PRELOAD, dlopen. Loaded only where asked for. */
SEC("tracepoint/syscalls/sys_enter_mmap")
int on_mmap(struct mmap_arguments *arguments)
{
	struct task_struct *task;
	struct registration *known;
	struct mnt_namespace *ns;
	struct super_block *sb;
	struct scratch *s;
	struct file *file;
	__u32 flags = FLAG_LIBRARY;

	if (!(arguments->protection & PROT_EXEC) || arguments->flags & MAP_ANONYMOUS)
		return 0;
	task = bpf_get_current_task_btf();
	ns = task->nsproxy->mnt_ns;
	if (ns->ns.inum == host_namespace_inum)
		return 0;
	known = registration_of(ns);
	if (known && !known->is_container)
		return 0;
	file = file_of(task, arguments->fd);
	if (!file)
		return 0;
	sb = BPF_CORE_READ(file, f_inode, i_sb);
	if (BPF_CORE_READ(sb, s_magic) == OVERLAY_MAGIC && upper_of(BPF_CORE_READ(file, f_inode)))
		flags |= FLAG_UPPER;
	if (flags == FLAG_LIBRARY && BPF_CORE_READ(sb, s_dev) == (known ? known->root_dev : BPF_CORE_READ(task, fs, root.mnt, mnt_sb, s_dev)))
		return 0;
	s = begin(ns, known, flags);
	if (s)
		send(s, task, 0, file);
	return 0;
}
