/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The record of writers where functions can be traced: each open for writing, and what changes data without one.
 */
#pragma once

#include "kernel.h"
#include "record.h"
#include "writes.h"

#define ATTR_SIZE (1 << 3)
#define MAP_TYPE 0x0f
#define MAP_SHARED 1
#define MAP_SHARED_VALIDATE 3
#define SB_NOUSER (1ul << 31)

/* A record begins with an open in a container; any other is noted where there is one. */
static __always_inline void note_open(struct inode *inode)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct file_key key = key_of(inode);
	struct write_record *found = bpf_map_lookup_elem(&write_records, &key);
	__u64 now = bpf_ktime_get_boot_ns();
	struct write_record first = { .begun_ns = now, .opened_ns = now };
	struct mnt_namespace *ns;

	if (!found) {
		ns = BPF_CORE_READ(task, nsproxy, mnt_ns);
		if (BPF_CORE_READ(ns, ns.inum) == host_namespace_inum)
			return;
		first.namespace_id = namespace_at((__u64)ns);
		/* Nor may anybody have it open or mapped from before, whose writes would not be seen. */
		first.is_whole = !BPF_CORE_READ(inode, i_size) && BPF_CORE_READ(inode, i_writecount.counter) <= 1
				 && BPF_CORE_READ(inode, i_mapping, i_mmap_writable.counter) <= 0;
		put_opener(&first, task);
		put_origin(&first, task);
		/* Two may open it at once: the second finds the first one's record. */
		if (!bpf_map_update_elem(&write_records, &key, &first, BPF_NOEXIST))
			return;
		found = bpf_map_lookup_elem(&write_records, &key);
		if (!found)
			return;
	}
	put_opener(found, task);
	put_origin(found, task);
	raise(found, now);
}

/* Every open on the node, once it is granted: of overlay's files the one below follows. */
SEC("fentry/security_file_open")
int BPF_PROG(on_open, struct file *file)
{
	struct inode *inode = file->f_inode;

	if (file->f_mode & FMODE_WRITE && (inode->i_mode & S_IFMT) == S_IFREG && inode->i_sb->s_magic != OVERLAY_MAGIC)
		note_open(inode);
	return 0;
}

/* Before data is written: one or the other, by filesystem and kernel. */
SEC("fentry/file_modified")
int BPF_PROG(on_modified, struct file *file)
{
	note_write(file->f_inode);
	return 0;
}

SEC("fentry/kiocb_modified")
int BPF_PROG(on_kiocb_modified, struct kiocb *iocb)
{
	note_write(iocb->ki_filp->f_inode);
	return 0;
}

SEC("fentry/file_update_time")
int BPF_PROG(on_update_time, struct file *file)
{
	note_write(file->f_inode);
	return 0;
}

SEC("fentry/vfs_fallocate")
int BPF_PROG(on_fallocate, struct file *file)
{
	note_write(file->f_inode);
	return 0;
}

/* Code that is not the image's, in a process of the image's program: LD_PRELOAD, dlopen. */
static __always_inline void note_code(struct file *file)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct process *found = noted_process(bpf_get_current_pid_tgid() >> 32);
	struct inode *inode;

	if (!found || !(found->origin & (ORIGIN_IMAGE | ORIGIN_ENV)))
		return;
	inode = file->f_inode;
	if (inode->i_sb->s_dev != BPF_CORE_READ(task, fs, root.mnt, mnt_sb, s_dev) || (inode->i_sb->s_magic == OVERLAY_MAGIC && upper_of(inode))) {
		found->origin = ORIGIN_DRIFT;
		note_change(found);
	}
}

/* The current process maps a file shared and writable: what it is at this time counts, as of who opened it. */
static __always_inline void note_mapper(struct inode *real)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct file_key key = key_of(real);
	struct process *found = noted_process(bpf_get_current_pid_tgid() >> 32);
	struct write_record *record;

	if (found)
		found->has_mapped = 1;
	record = bpf_map_lookup_elem(&write_records, &key);
	if (record && !is_counted(record, task))
		put_origin(record, task);
}

/* Of the writes through a shared mapping none is seen: that it is made counts as one. */
SEC("fentry/security_mmap_file")
int BPF_PROG(on_shared_map, struct file *file, unsigned long protection, unsigned long flags)
{
	unsigned long type = flags & MAP_TYPE;

	if (file && protection & PROT_EXEC)
		note_code(file);
	if (file && (type == MAP_SHARED || type == MAP_SHARED_VALIDATE) && file->f_mode & FMODE_WRITE) {
		note_mapper(real_inode(file->f_inode));
		note_mapping(real_inode(file->f_inode));
	}
	return 0;
}

/* Cut or lengthened: truncate(2) does so without opening it. The arguments begin with a mapping of ids since 5.12. */
SEC("fentry/notify_change")
int on_cut(__u64 *arguments)
{
	struct write_record *found;
	struct iattr *attributes;
	struct dentry *dentry;
	struct inode *inode;
	struct file_key key;

	if (bpf_core_type_exists(struct mnt_idmap) || bpf_core_field_exists(struct vfsmount___v5_12, mnt_userns)) {
		dentry = (struct dentry *)ARGUMENT(arguments, 1);
		attributes = (struct iattr *)ARGUMENT(arguments, 2);
	} else {
		dentry = (struct dentry *)ARGUMENT(arguments, 0);
		attributes = (struct iattr *)ARGUMENT(arguments, 1);
	}
	if (!(BPF_CORE_READ(attributes, ia_valid) & ATTR_SIZE))
		return 0;
	inode = BPF_CORE_READ(dentry, d_inode);
	key = key_of(inode);
	found = bpf_map_lookup_elem(&write_records, &key);
	if (found) {
		__u64 now = bpf_ktime_get_boot_ns();

		put_origin(found, (struct task_struct *)bpf_get_current_task());
		raise(found, now);
		found->written_ns = now;
	}
	return 0;
}

/* A memfd has writers that never opened it: only what is written shows them. */
static __always_inline void note_memfd_write(struct inode *inode)
{
	struct file_key key = { .ino = inode->i_ino, .dev = inode->i_sb->s_dev, .generation = inode->i_generation };
	struct write_record *found;

	if (!(inode->i_sb->s_flags & SB_NOUSER))
		return;
	found = bpf_map_lookup_elem(&write_records, &key);
	if (found) {
		put_origin(found, (struct task_struct *)bpf_get_current_task());
		raise(found, bpf_ktime_get_boot_ns());
	}
}

SEC("fentry/shmem_write_begin")
int BPF_PROG(on_memfd_write, void *unused, struct address_space *mapping)
{
	note_memfd_write(mapping->host);
	return 0;
}

/* Before 5.19, where that function has more arguments than can be traced. */
SEC("fentry/generic_perform_write")
int BPF_PROG(on_memfd_write_old, struct file *file)
{
	note_memfd_write(file->f_inode);
	return 0;
}
