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
#define CGROUP_LEVELS 32      /* that are looked at, from the top: a container may make any number below its own */
#define MAX_CGROUP_STEPS 2048 /* up to those, where the kernel has no array of ancestors */

#define TMPFS_MAGIC 0x01021994
#define OVERLAY_MAGIC 0x794c7630
#define S_IFMT 0170000
#define S_IFREG 0100000
#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20
#define CTIME_QUERIED 0x80000000u   /* a flag that newer kernels keep in the nanoseconds */

/* Keys of the map `state`; the others are user space's own. */
enum { STATE_DETECT = 3, DETECT_INTERPRETER = 1, STATE_SENSOR = 4, STATE_HOLD_SERVER = 5, STATE_RECORD = 6, STATE_SESSIONS = 7, STATE_SESSIONS_SINCE = 8, STATE_CHANGES = 9, STATE_MAPPERS_CHANGED = 10, STATE_FAULTS_SINCE = 11 };
enum stat { STAT_EXECS, STAT_SENT, STAT_LOST, STAT_COUNT };

/* Of a container: whether all in its cgroup is, for that has the container's name. */
enum { CONTAINER = 1, CONTAINER_BY_CGROUP = 2 };

/*
 * What user space says of a mount namespace: no container, or the filesystem of its image; root_dev 0 where that is no
 * overlay: then every exec is sent. `owner` of the track that keeps the container's execs; 0 where none does.
 */
struct registration { __u32 root_dev; __u32 is_container; __u64 owner; __u32 track; __u32 unused; };

/* One entry per possible CPU (user space sets how many); a per-CPU map's value is limited to 32 KiB. */
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, struct scratch); } scratch SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, STAT_COUNT); __type(key, __u32); __type(value, __u64); } stats SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 16384); __type(key, __u64); __type(value, struct registration); } namespaces SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 16); __type(key, __u32); __type(value, __u64); } state SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 1 << 24); } ring SEC(".maps");

const volatile __u32 host_namespace_inum = 0;
/* The pid namespace of user space, where that is not the machine's first: 0 there, and nothing is translated. */
const volatile __u32 nested_pid_namespace = 0;
/* Free clusters of an ext4 below which it may allocate blocks at once: user space knows how many CPUs count them. */
const volatile __u32 spare_clusters = 16384;

/*
 * An index, masked right where it is used: older kernels' verifiers (such as 6.1's) forget a number's bounds once it was
 * spilled to the stack. barrier_var keeps the compiler from dropping a mask that it considers redundant.
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

/* A pointer that the kernel knows, as the number that alone can be given to a function. */
static __always_inline __u64 address_of(const void *pointer)
{
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &pointer);
	return address;
}

#include "paths.h"
#include "pids.h"

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

/* The same of one that is known by its address alone. */
static __always_inline __u64 namespace_at(__u64 address)
{
	struct mnt_namespace *ns = (struct mnt_namespace *)address;
	struct mnt_namespace___v6_18 *newer = (void *)ns;
	struct mnt_namespace___old *older = (void *)ns;

	if (bpf_core_field_exists(newer->ns.ns_id))
		return BPF_CORE_READ(newer, ns.ns_id);
	if (bpf_core_field_exists(older->seq))
		return BPF_CORE_READ(older, seq);
	return BPF_CORE_READ(ns, ns.inum);
}

#include "names.h"

/* The same where user space wants interpreters; a dynamic loader may run one. */
static __always_inline bool is_interpreter(struct name_start *name)
{
	__u32 key = STATE_DETECT;
	__u64 *detect = bpf_map_lookup_elem(&state, &key);

	return detect && *detect & DETECT_INTERPRETER && (is_loader_name(name) || has_interpreter_name(name));
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

#include "processes.h"
#include "writes.h"
#include "function_writes.h"
#include "traced_writes.h"
#include "origin.h"

/* Whether user space must look at an image's file all the same: the flags that say why. */
static __always_inline __u32 suspect_flags(struct linux_binprm *bprm, struct name_start *name, struct inode *inode)
{
	__u32 flags = 0;

	if (inode->i_sb->s_magic == OVERLAY_MAGIC && upper_of(inode))
		flags |= FLAG_UPPER;
	if (bprm->interp != bprm->filename)
		flags |= FLAG_SCRIPT;
	if (is_loader_name(name))
		flags |= FLAG_LOADER;
	if (is_interpreter(name))
		flags |= FLAG_INTERPRETER;
	return flags;
}

static __always_inline __u32 file_flags(struct dentry *dentry, struct inode *inode)
{
	unsigned long magic = BPF_CORE_READ(inode, i_sb, s_magic);

	if (magic == OVERLAY_MAGIC)
		return lower_flag(inode);
	/* A memfd is in no directory: its dentry is its own parent. */
	return magic == TMPFS_MAGIC && BPF_CORE_READ(dentry, d_parent) == dentry ? FLAG_MEMFD : 0;
}

#include "opened.h"
#include "facts.h"

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
#include "sessions.h"
#include "lives.h"

/* The arguments are trusted pointers: their fields are read without a call. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct mnt_namespace *ns = task->nsproxy->mnt_ns;
	struct file *file = bprm->file;
	struct registration *known;
	struct process *process;
	struct name_start name;
	struct scratch *s;
	__u32 flags;

	if (ns->ns.inum == host_namespace_inum)
		return 0;
	known = registration_of(ns);
	if (known && !known->is_container)
		return 0;
	count(STAT_EXECS);
	process = process_at_exec(task, ns, known);
	s = scratch_of_cpu();
	if (!s)
		return 0;
	s->header.time_ns = bpf_ktime_get_boot_ns();
	s->keeping.owner = known ? known->owner : 0;
	s->keeping.track = known ? known->track : 0;
	name = start_of_name(file->f_path.dentry->d_name.name);
	flags = suspect_flags(bprm, &name, file->f_inode);
	flags |= look_at_opened(&s->files, task, old_pid, address_of(file), flags & FLAG_SCRIPT, known);
	if (process)
		process->origin = origin_of_exec(s, task, file, &name, flags, known, process);
	if (process && is_entry(process, task, s->header.time_ns))
		flags |= FLAG_ENTRY;
	if (known && file->f_inode->i_sb->s_dev == known->root_dev && !flags && !s->files.interpreter.dentry)
		return 0;
	s = begin(ns, known, flags);
	if (s) {
		put_own_state(address_of(file->f_inode), flags & FLAG_UPPER);
		s->header.flags |= block(s, task, thread_of(task, old_pid), file, known);
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

/* A file that becomes code of a running program: LD_PRELOAD, dlopen. Loaded only on request. */
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
	/* Without an overlay nothing here tells an image's library from another: every one would be sent. */
	if (known && !known->root_dev)
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
	if (s) {
		s->files.script_count = 0;
		s->files.interpreter.dentry = 0;
		put_own_state((__u64)BPF_CORE_READ(file, f_inode), flags & FLAG_UPPER);
		send(s, task, 0, file);
	}
	return 0;
}

#include "interpreters.h"
#include "recorder.h"
