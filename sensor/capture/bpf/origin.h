/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a file that runs comes from: who wrote it.
 */
#pragma once

#include "kernel.h"
#include "record.h"

#define MAX_WRITER_NAMES 24
#define WRITER_NAME_BYTES 128
#define WRITER_NAMES_MASK 0xff

/*
 * What of an inode becomes dirty. Newer kernels have the flags in their type information; 6.12 moved them, when it made the
 * state of an inode 32 bits wide.
 */
#define DIRTY(flag, since_6_12, before) (bpf_core_enum_value_exists(enum inode_state_flags_t, flag) ? bpf_core_enum_value(enum inode_state_flags_t, flag) : bpf_core_field_size(struct inode___v6_12, i_state) == 4 ? (since_6_12) : (before))
#define DIRTY_SYNC DIRTY(I_DIRTY_SYNC, 8, 1)
#define DIRTY_PAGES DIRTY(I_DIRTY_PAGES, 32, 4)
#define DIRTY_TIME DIRTY(I_DIRTY_TIME, 2048, 2048)

struct writing {
	struct writer who;
	struct file_key key;
	__s64 mtime_sec;
	__u32 mtime_nsec;
	__u32 length;              /* of `names` in bytes */
	__u64 program;             /* `current_program` of the writer and `STATE_CHANGES`: what is above it is looked up once */
	__u64 changes;
	unsigned char names[WRITER_NAMES_MASK + 1 + WRITER_NAME_BYTES];
};

struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 8192); __type(key, struct file_key); __type(value, struct writing); } writers SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, struct writing); } writing_of_cpu SEC(".maps");

static __always_inline void put_file(struct file_facts *f, struct inode *inode)
{
	struct inode *real = real_inode(inode);

	f->dev = BPF_CORE_READ(inode, i_sb, s_dev);
	f->magic = BPF_CORE_READ(inode, i_sb, s_magic);
	f->ino = BPF_CORE_READ(inode, i_ino);
	f->size = BPF_CORE_READ(real, i_size);
	put_ctime(&f->ctime_sec, &f->ctime_nsec, real);
}

/* Who wrote a file, into `who`; and the path of its program appended to the data, whose new end is returned. */
static __always_inline __u32 put_writer(struct scratch *s, struct writer *who, struct inode *inode, __u32 end)
{
	struct file_key key = key_of(real_inode(inode));
	struct writing *found = bpf_map_lookup_elem(&writers, &key);
	struct write_record *record;
	__u32 length;

	__builtin_memset(who, 0, sizeof(*who));
	if (!found)
		return end;
	*who = found->who;
	record = bpf_map_lookup_elem(&write_records, &key);
	who->is_opener = record && record->opener_pid == who->pid;
	length = BOUNDED(found->length, WRITER_NAMES_MASK + WRITER_NAME_BYTES);
	end = BOUNDED(end, DATA_MASK);
	if (length > sizeof(found->names) || bpf_probe_read_kernel(&s->data[end], length, found->names))
		return end;
	return end + length;
}

/* The names from a program up to its root, deepest first, as `put_path` has them; what does not fit is left out. */
static __always_inline void put_names(struct writing *w, struct file *exe)
{
	struct dentry *dentry = BPF_CORE_READ(exe, f_path.dentry);
	struct mount *mount = mount_of(BPF_CORE_READ(exe, f_path.mnt));
	__u32 end = 0;

	for (int step = 0; step < MAX_WRITER_NAMES; step++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

		if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);

			if (above == mount)
				break;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = above;
			continue;
		}
		if (parent == dentry || !parent || end > WRITER_NAMES_MASK)
			break;
		const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
		end = BOUNDED(end, WRITER_NAMES_MASK);
		long got = bpf_probe_read_kernel_str(&w->names[end], WRITER_NAME_BYTES, name);
		if (got < 0 || got > WRITER_NAME_BYTES)
			break;
		end += got;
		dentry = parent;
	}
	w->length = end;
}

/* A trusted pointer: its fields are read without a helper call. */
static __always_inline void put_mtime(__s64 *seconds, __u32 *nanoseconds, struct inode *inode)
{
	struct inode___old *older = (void *)inode;
	struct inode___v6_6 *middle = (void *)inode;

	if (bpf_core_field_exists(inode->i_mtime_sec)) {
		*seconds = inode->i_mtime_sec;
		*nanoseconds = inode->i_mtime_nsec;
	} else if (bpf_core_field_exists(middle->__i_mtime)) {
		*seconds = middle->__i_mtime.tv_sec;
		*nanoseconds = middle->__i_mtime.tv_nsec;
	} else {
		*seconds = older->i_mtime.tv_sec;
		*nanoseconds = older->i_mtime.tv_nsec;
	}
}

static __always_inline void put_who(struct writer *who, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct task_struct *parent = BPF_CORE_READ(leader, real_parent);

	who->at_ns = bpf_ktime_get_boot_ns();
	who->pid = pid_of(leader);
	who->parent_pid = pid_of(BPF_CORE_READ(parent, group_leader));
	bpf_probe_read_kernel(who->comm, sizeof(who->comm), leader->comm);
	/* By its program: a process may give itself any comm. A kernel thread has none. */
	if (bpf_probe_read_kernel_str(who->parent_comm, sizeof(who->parent_comm), BPF_CORE_READ(parent, mm, exe_file, f_path.dentry, d_name.name)) <= 0)
		bpf_probe_read_kernel(who->parent_comm, sizeof(who->parent_comm), parent->comm);
}

/*
 * What is above a writer, as far as each program is known to be the image's own: a name alone can be anybody's. Nor is one named
 * that took the place of the program which started the one below. An interpreter that was given a command may do anything, so it
 * ends the row, as its nearest.
 */
static __always_inline void put_lineage(struct writer *who, struct task_struct *task)
{
	struct task_struct *below = BPF_CORE_READ(task, group_leader);

	who->lineage_count = 0;
	/* By tracepoints nobody sees what code they have loaded since they started, nor who traces them. */
	if (state_value(STATE_RECORD) != RECORD_BY_FUNCTIONS)
		return;
	for (int i = 0; i < MAX_LINEAGE; i++) {
		struct task_struct *above = BPF_CORE_READ(below, real_parent, group_leader);
		struct process *found = process_inside(above);
		struct name_start name;

		if (!found || BPF_CORE_READ(above, ptrace) || BPF_CORE_READ(above, self_exec_id) != BPF_CORE_READ(below, parent_exec_id))
			break;
		if (bpf_probe_read_kernel_str(who->lineage[i], sizeof(who->lineage[i]), BPF_CORE_READ(above, mm, exe_file, f_path.dentry, d_name.name)) <= 0)
			break;
		if (!(found->origin & ORIGIN_IMAGE)) {
			__builtin_memcpy(name.bytes, who->lineage[i], sizeof(name.bytes));
			if (!i && found->origin == ORIGIN_UNKNOWN && has_interpreter_name(&name))
				who->lineage_count = 1;
			break;
		}
		who->lineage_count = i + 1;
		below = above;
	}
}

static __always_inline bool is_off_host(struct task_struct *task)
{
	struct nsproxy *proxy = task->nsproxy;

	return proxy && proxy->mnt_ns->ns.inum != host_namespace_inum;
}

static __always_inline bool is_in_container(struct task_struct *task)
{
	struct registration *known = registration_of(task->nsproxy->mnt_ns);

	return !known || known->is_container;
}

/* Whether a write to the same file at the same time was noted already. */
static __always_inline bool is_noted(struct writing *noted, __s64 seconds, __u32 nanoseconds)
{
	return noted->mtime_sec == seconds && noted->mtime_nsec == nanoseconds;
}

static __always_inline bool is_same_file(struct file_key *one, struct file_key *other)
{
	return one->ino == other->ino && one->dev == other->dev && one->generation == other->generation;
}

/*
 * Somebody writes to a file: remember who. Page by page that comes with DIRTY_PAGES, where the filesystem
 * has a disk below; else, and for the first page of each clock tick, with the file's new times, as it also
 * does when only the file's mode, owner or time of access changes: then the time of the last write is not the
 * time of change, or the one known already.
 */
SEC("tp_btf/writeback_mark_inode_dirty")
int BPF_PROG(on_write, struct inode *inode, int flags)
{
	bool pages = flags == (int)DIRTY_PAGES;
	struct writing *known, *now;
	struct task_struct *task;
	__u32 changed_nsec, mtime_nsec, pid, zero = 0;
	__s64 changed_sec, mtime_sec;
	__u64 program, changes;
	struct file_key key;
	struct file *exe;

	if (!pages && flags != (int)DIRTY_SYNC && flags != (int)DIRTY_TIME)
		return 0;
	task = bpf_get_current_task_btf();
	if (!is_off_host(task) || (inode->i_mode & S_IFMT) != S_IFREG)
		return 0;
	now = bpf_map_lookup_elem(&writing_of_cpu, &zero);
	if (!now)
		return 0;
	key.ino = inode->i_ino;
	key.dev = inode->i_sb->s_dev;
	key.generation = inode->i_generation;
	pid = nested_pid_namespace ? pid_of(BPF_CORE_READ(task, group_leader)) : task->tgid;
	put_mtime(&mtime_sec, &mtime_nsec, inode);
	/* Page after page of one file, within one tick of the clock: what this CPU noted last. */
	if (now->who.pid == pid && is_same_file(&now->key, &key) && is_noted(now, mtime_sec, mtime_nsec))
		return 0;
	if (!is_in_container(task))
		return 0;
	known = bpf_map_lookup_elem(&writers, &key);
	if (known && is_noted(known, mtime_sec, mtime_nsec) && (!pages || known->who.pid == pid))
		return 0;
	put_ctime(&changed_sec, &changed_nsec, inode);
	if (!pages && (changed_sec != mtime_sec || changed_nsec != (mtime_nsec & ~CTIME_QUERIED)))
		return 0;
	put_who(&now->who, task);
	program = current_program(task);
	changes = state_value(STATE_CHANGES);
	if (now->program != program || now->changes != changes)
		put_lineage(&now->who, task);
	now->program = program;
	now->changes = changes;
	exe = BPF_CORE_READ(task, mm, exe_file);
	now->length = 0;
	if (exe)
		put_names(now, exe);
	now->key = key;
	now->mtime_sec = mtime_sec;
	now->mtime_nsec = mtime_nsec;
	bpf_map_update_elem(&writers, &key, now, BPF_ANY);
	return 0;
}
