/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The record of writers where no function can be traced: by the tracepoints of ext4, direct access and the page cache.
 */
#pragma once

#include "kernel.h"
#include "record.h"
#include "writes.h"

/*
 * Of a write that a tracepoint shows. There a record begins with a write in a container: who has opened the file is not seen,
 * and does not count, for each write is.
 */
static __always_inline void note_traced_write(struct inode *inode)
{
	struct file_key key = { .ino = inode->i_ino, .dev = inode->i_sb->s_dev, .generation = inode->i_generation };
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct write_record *found = bpf_map_lookup_elem(&write_records, &key);
	struct write_record first = {};
	struct mnt_namespace *ns;

	if (!found) {
		ns = BPF_CORE_READ(task, nsproxy, mnt_ns);
		if (!ns || BPF_CORE_READ(ns, ns.inum) == host_namespace_inum)
			return;
		first.begun_ns = bpf_ktime_get_boot_ns();
		first.namespace_id = namespace_at((__u64)ns);
		first.is_whole = !inode->i_size && inode->i_mapping->i_mmap_writable.counter <= 0;
		/* Two may write to it at once: the second finds the first one's record. */
		bpf_map_update_elem(&write_records, &key, &first, BPF_NOEXIST);
		found = bpf_map_lookup_elem(&write_records, &key);
		if (!found)
			return;
	}
	if (!is_counted(found, task))
		put_opener(found, task);
	note_write(inode);
}

/* Somebody writes to a page of a shared mapping, or may from now on: who does later does not show. */
static __always_inline void note_page(struct inode *inode)
{
	struct file_key key = key_of(inode);
	struct write_record *found;

	note_mapping(inode);
	found = bpf_map_lookup_elem(&write_records, &key);
	if (found)
		found->by_unknown = found->in_unknown = 1;
}

/* A program for a tracepoint of ext4 whose first argument is the inode that is written to. */
#define TRACED_WRITE(program, tracepoint) \
	SEC("tp_btf/" #tracepoint) \
	int BPF_PROG(program, struct inode *inode) \
	{ \
		note_traced_write(inode); \
		return 0; \
	}

TRACED_WRITE(on_ext4_delayed_write, ext4_da_write_begin)
TRACED_WRITE(on_ext4_write, ext4_write_begin)
TRACED_WRITE(on_ext4_cut, ext4_truncate_enter)
TRACED_WRITE(on_ext4_allocate, ext4_fallocate_enter)
TRACED_WRITE(on_ext4_punch, ext4_punch_hole)
TRACED_WRITE(on_ext4_collapse, ext4_collapse_range)
TRACED_WRITE(on_ext4_insert, ext4_insert_range)
TRACED_WRITE(on_ext4_zero, ext4_zero_range)

SEC("tp_btf/iomap_dio_rw_begin")
int BPF_PROG(on_direct_access, struct kiocb *iocb)
{
	if (iocb->ki_filp->f_mode & FMODE_WRITE)
		note_traced_write(iocb->ki_filp->f_inode);
	return 0;
}

/*
 * Before somebody may write to a page of a mapping, ext4 marks its buffers, dirty or not, where it allocates blocks late
 * (`are_writes_traced`): and again once the page was written to disk.
 */
SEC("tp_btf/block_dirty_buffer")
int BPF_PROG(on_page_write, struct buffer_head *buffer)
{
	struct address_space *mapping = buffer->b_folio->mapping;

	if (mapping->i_mmap_writable.counter > 0)
		note_page(mapping->host);
	return 0;
}

/*
 * Blocks are taken out of a file before its end, as by ioctls that exchange them for another file's: what its pages hold may show
 * now or later. Not where a file is cut, nor of an inode that nobody has any more, which only leaves the kernel's memory.
 */
SEC("tp_btf/ext4_es_remove_extent")
int BPF_PROG(on_ext4_exchange, struct inode *inode, __u32 block)
{
	if (inode->i_count.counter > 0 && (__u64)block << inode->i_blkbits < (__u64)inode->i_size)
		note_page(inode);
	return 0;
}

/* The first touch of each page, by any filesystem's page cache: only while a container's files need it, for each exec has dozens. */
SEC("tp_btf/mm_filemap_fault")
int BPF_PROG(on_fault, struct address_space *mapping)
{
	if (mapping->i_mmap_writable.counter > 0)
		note_page(mapping->host);
	return 0;
}

SEC("tp_btf/mm_filemap_map_pages")
int BPF_PROG(on_map_pages, struct address_space *mapping)
{
	if (mapping->i_mmap_writable.counter > 0)
		note_page(mapping->host);
	return 0;
}
