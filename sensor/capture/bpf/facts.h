/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fill the record of an exec: facts of the file and the task, then the strings; and send it.
 */
#pragma once

#include "kernel.h"
#include "record.h"

/* The real file's size and change time: writes through mmap do not reach overlay's own inode. */
static __always_inline void put_inode(struct header *h, struct inode *inode)
{
	struct inode *real = inode;

	h->ino = BPF_CORE_READ(inode, i_ino);
	if (h->flags & FLAG_UPPER)
		real = BPF_CORE_READ(upper_of(inode), d_inode);
	h->size = BPF_CORE_READ(real, i_size);
	put_ctime(&h->ctime_sec, &h->ctime_nsec, real);
}

/* What is known of the data of the file that the record is about: a function of its own, for old verifiers and small stacks. */
__attribute__((noinline)) int put_own_state(__u64 inode_address, __u32 is_upper)
{
	struct scratch *s = scratch_of_cpu();

	if (s)
		put_state(&s->header.state, real_inode((struct inode *)inode_address), is_upper);
	return 0;
}

static __always_inline void put_task(struct header *h, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct task_struct *parent = BPF_CORE_READ(leader, real_parent);

	h->pid = pid_of(leader);
	h->start_ns = start_of(leader);
	h->uid = bpf_get_current_uid_gid();
	put_session(h, task);
	h->unused = 0;
	h->ancestor_count = 0;
	parent = BPF_CORE_READ(parent, group_leader);
	for (int i = 0; i < MAX_ANCESTORS; i++) {
		h->ancestors[i].pid = pid_of(parent);
		if (!h->ancestors[i].pid)
			break;
		bpf_probe_read_kernel(h->ancestors[i].comm, sizeof(parent->comm), parent->comm);
		h->ancestor_count = i + 1;
		parent = BPF_CORE_READ(parent, real_parent, group_leader);
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

/* The environment of a process that has just entered its container: what its runtime gave it. */
static __always_inline __u32 put_environ(struct scratch *s, struct task_struct *task, __u32 end)
{
	unsigned long start = BPF_CORE_READ(task, mm, env_start);
	unsigned long length = BPF_CORE_READ(task, mm, env_end) - start;

	if (!(s->header.flags & FLAG_ENTRY) || end >= MAX_ENVIRON_BYTES)
		return end;
	if (length > MAX_ENVIRON_BYTES - 1)
		length = MAX_ENVIRON_BYTES - 1;
	length = BOUNDED(length, MAX_ENVIRON_BYTES - 1);
	end = BOUNDED(end, MAX_ENVIRON_BYTES - 1);
	return bpf_probe_read_user(&s->data[end], length, (void *)start) ? end : end + length;
}

/* The scripts of a `#!` exec, outermost first, and a program interpreter that may not be the image's. */
static __always_inline __u32 put_all_opened(struct scratch *s, __u32 start)
{
	struct opened_path *path;
	__u32 end = start;

	for (__u32 i = 0; i < MAX_SCRIPTS; i++) {
		if (i >= s->files.script_count)
			continue;
		path = &s->files.scripts[BOUNDED(s->files.script_count - 1 - i, MAX_SCRIPTS - 1)];
		end = put_opened(path->mnt, path->dentry, ROLE_SCRIPT, end);
	}
	path = &s->files.interpreter;
	if (path->dentry)
		end = put_opened(path->mnt, path->dentry, ROLE_INTERPRETER, end);
	return end;
}

/* All strings; each section's length is known once the next begins. */
static __always_inline __u32 put_texts(struct scratch *s, struct task_struct *task, const char *filename, struct file *file)
{
	struct file *parent_exe = BPF_CORE_READ(task, group_leader, real_parent, mm, exe_file);
	struct header *h = &s->header;
	__u32 start = 0, end, below_mount;

	if (h->flags & FLAG_MEMFD)
		end = put_name(s, BPF_CORE_READ(file, f_path.dentry), 0);
	else
		end = put_struct_path(&file->f_path, 0);
	below_mount = h->below_mount;
	h->length[PATH] = end - start;
	start = end;
	/* Where the root is no overlay, this alone tells its files from a volume's on the same filesystem. */
	if (h->flags & FLAG_UPPER || !(h->flags & FLAG_OVERLAY_ROOT))
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
	start = end;
	end = put_all_opened(s, start);
	h->length[OPENED] = end - start;
	start = end & DATA_MASK;
	end = put_argv(s, task, start);
	h->length[ARGV] = end - start;
	start = end & DATA_MASK;
	end = put_environ(s, task, start);
	h->length[ENVIRON] = end - start;
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
	/* An exec has its time already: the one by which the recorder keeps it. */
	if (h->flags & FLAG_LIBRARY)
		h->time_ns = bpf_ktime_get_boot_ns();
	h->magic = BPF_CORE_READ(inode, i_sb, s_magic);
	h->dev = BPF_CORE_READ(inode, i_sb, s_dev);
	h->root_dev = BPF_CORE_READ(root, s_dev);
	h->flags |= file_flags(BPF_CORE_READ(file, f_path.dentry), inode);
	if (BPF_CORE_READ(root, s_magic) == OVERLAY_MAGIC)
		h->flags |= FLAG_OVERLAY_ROOT;
	if (BPF_CORE_READ(task, fs, root.dentry) != BPF_CORE_READ(root, s_root))
		h->flags |= FLAG_ROOT_BELOW;
	put_inode(h, inode);
	put_task(h, task);
	end = put_texts(s, task, filename, file) & DATA_MASK;
	if (bpf_ringbuf_output(&ring, s, sizeof(struct header) + end, BPF_RB_FORCE_WAKEUP))
		count(STAT_LOST);
	else
		count(STAT_SENT);
}
