/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an interpreter of the image reads: its standard input, and the files that it opens in its first moments. Its
 * arguments do not show modules, start-up files, or what an environment variable names. User space knows which of these
 * files are code. Only while a policy wants interpreters.
 */
#pragma once

#include "kernel.h"
#include "record.h"

#define PROC_MAGIC 0x9fa0
#define SYSFS_MAGIC 0x62656572
#define FIRST_MOMENTS_NS 5000000000ull
#define MAX_READ_FILES 64          /* that are looked at of one process; one more is sent, to say so */

#define MAX_READ_DESCRIPTORS 20   /* a shell reads a script by its tenth */

/* Whether a file may not be the image's: 0, or the flags that a record of it has. */
static __always_inline __u32 read_flags(struct task_struct *task, struct file *file, struct registration *known)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	__u64 magic = BPF_CORE_READ(inode, i_sb, s_magic);
	__u32 root_dev = known ? known->root_dev : BPF_CORE_READ(task, fs, root.mnt, mnt_sb, s_dev);

	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFREG || magic == PROC_MAGIC || magic == SYSFS_MAGIC)
		return 0;
	/* Without an overlay nothing here tells an image's file from another: every one would be sent. */
	if (known && !known->root_dev)
		return 0;
	if (magic == OVERLAY_MAGIC && upper_of(inode))
		return FLAG_READ | FLAG_LIBRARY | FLAG_UPPER;
	return BPF_CORE_READ(inode, i_sb, s_dev) == root_dev ? 0 : FLAG_READ | FLAG_LIBRARY;
}

/* Send a file that the current process reads: a function of its own, for the kernel verifies it once then. */
__attribute__((noinline)) int send_file(__u64 file_address)
{
	struct file *file = (struct file *)file_address;
	struct scratch *s = scratch_of_cpu();

	if (!s)
		return 0;
	s->files.script_count = 0;
	s->files.interpreter.dentry = 0;
	put_own_state((__u64)BPF_CORE_READ(file, f_inode), s->header.flags & FLAG_UPPER);
	send(s, (struct task_struct *)bpf_get_current_task(), 0, file);
	return 1;
}

static __always_inline int send_read(struct task_struct *task, struct file *file, __u32 more)
{
	struct mnt_namespace *ns = task->nsproxy->mnt_ns;
	struct registration *known = registration_of(ns);
	__u32 flags;

	if (ns->ns.inum == host_namespace_inum || (known && !known->is_container))
		return 0;
	flags = read_flags(task, file, known);
	if (!flags || !begin(ns, known, flags | more))
		return 0;
	return send_file(address_of(file));
}

/* Of an interpreter whose reads can't be followed, for want of room, its own program is sent: to say that, and of which container. */
static __always_inline int send_unfollowed(struct task_struct *task, struct file *program)
{
	struct mnt_namespace *ns = task->nsproxy->mnt_ns;
	struct registration *known = registration_of(ns);

	if (!known || known->is_container)
		if (begin(ns, known, FLAG_READ | FLAG_LIBRARY | FLAG_UNSEEN))
			send_file(address_of(program));
	return 0;
}

/* After `on_exec`, at the same tracepoint. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_interpreter, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct reader reader = { .left = MAX_READ_FILES + 1 };
	__u32 process = task->tgid;
	struct name_start name;
	struct file *input;

	if (!(state_value(STATE_DETECT) & DETECT_INTERPRETER) || task->nsproxy->mnt_ns->ns.inum == host_namespace_inum)
		return 0;
	name = start_of_name(bprm->file->f_path.dentry->d_name.name);
	if (!is_interpreter(&name)) {
		bpf_map_delete_elem(&readers, &process);
		return 0;
	}
	reader.until_ns = bpf_ktime_get_boot_ns() + FIRST_MOMENTS_NS;
	if (bpf_map_update_elem(&readers, &process, &reader, BPF_ANY))
		return send_unfollowed(task, bprm->file);
	input = file_of(task, 0);
	if (input)
		send_read(task, input, FLAG_STANDARD_INPUT);
	return 0;
}

/* The last one that is sent says that no more are. */
static __always_inline __u32 end_of_reads(struct reader *reader)
{
	return reader->left == 1 ? FLAG_UNSEEN : 0;
}

/* This process where it is an interpreter that began a moment ago. */
static __always_inline struct reader *current_reader(void)
{
	__u32 process = bpf_get_current_pid_tgid() >> 32;
	struct reader *reader;

	if (!(state_value(STATE_DETECT) & DETECT_INTERPRETER))
		return 0;
	reader = bpf_map_lookup_elem(&readers, &process);
	if (reader && (!reader->left || bpf_ktime_get_boot_ns() > reader->until_ns)) {
		bpf_map_delete_elem(&readers, &process);
		return 0;
	}
	return reader;
}

SEC("fentry/security_file_open")
int BPF_PROG(on_read_open, struct file *file)
{
	struct reader *reader = current_reader();

	if (!reader)
		return 0;
	/* Below overlay's file another one is opened, on the layer's filesystem. */
	if (file->f_mode & (FMODE_WRITE | FMODE_BACKING) || file->f_flags & OPENED_FOR_EXEC || file->f_path.dentry->d_inode != file->f_inode)
		return 0;
	if (send_read(bpf_get_current_task_btf(), file, end_of_reads(reader)))
		reader->left--;
	return 0;
}

/* Where no function can be traced: the first read of each file. Not of one on a tmpfs, which has no such tracepoint. */
SEC("tp_btf/mm_filemap_get_pages")
int BPF_PROG(on_read_pages, struct address_space *mapping)
{
	struct reader *reader = current_reader();
	struct task_struct *task;

	if (!reader || reader->latest == (__u64)mapping->host)
		return 0;
	reader->latest = (__u64)mapping->host;
	task = bpf_get_current_task_btf();
	/* Not standard input, which was looked at when the program began. */
#pragma clang loop unroll(disable)
	for (__u32 fd = 1; fd < MAX_READ_DESCRIPTORS; fd++) {
		struct file *file = file_of(task, fd);

		if (!file || real_inode(BPF_CORE_READ(file, f_inode)) != mapping->host)
			continue;
		if (send_read(task, file, end_of_reads(reader)))
			reader->left--;
		return 0;
	}
	return 0;
}
