/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The record of writers: of each file who opened it for writing, and when data was written last.
 *
 * What a file holds can be told later only if nobody wrote in between. Change times, sizes, dirty flags and i_version
 * are no evidence of that: a page of a shared mapping changes without a trace in any of them. Two things are: that
 * nobody had the file open for writing, nor mapped shared and writable; and that since then nobody opened it for
 * writing (where functions can be traced), or wrote to it, or touched a page of such a mapping for the first time
 * (on ext4, by tracepoints alone). A record that is missing, or began anew, says nothing.
 */
#pragma once

#include "kernel.h"
#include "record.h"
#include "processes.h"

#define FMODE_WRITE 2
#define FMODE_BACKING (1 << 25) /* opened by overlay in a layer */
#define F_UNLCK 2
#define EXT4_MAGIC 0xef53
#define EXT4_MOUNT_DELALLOC 0x8000000
#define EXT4_JOURNAL_DATA (1 << 14)
#define S_DAX (1 << 13) /* of an inode */
#define XFS_MAGIC 0x58465342

struct file_key { __u64 ino; __u32 dev; __u32 generation; };

/* All times are since boot. */
struct write_record {
	__u64 begun_ns;
	__u64 opened_ns;           /* for writing, by anybody; 0 before that, and where opens are not seen */
	__u64 written_ns;          /* 0 before the first write of data that was seen */
	__u64 mapped_ns;           /* first seen mapped, shared and writable; 0 where it was not */
	__u64 latest;              /* who `by_…` counts last (`current_program`) */
	__u64 latest_changes;      /* and how many processes were not what they had been, by then */
	__u32 opener_pid;          /* that opened it last */
	/* Who has opened it for writing, or written to it, since the record began: a byte for each, for a bit could get lost. */
	__u8 by_image, by_runtime, by_unknown, by_drift;
	__u8 by_other;             /* in another mount namespace than the first */
	__u8 is_whole;             /* it was empty when the record began */
	__u8 in_workload, in_exec, in_unknown; /* the sessions of all these */
	__u8 by_several;
	__u8 unused[2];
	__u64 namespace_id;        /* of the first, 0 where nobody was seen */
};

struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 32768); __type(key, struct file_key); __type(value, struct write_record); } write_records SEC(".maps");
/* By thread of the sensor or its hold server: the file that it looked at last, and who opened that for writing last. */
struct look { struct file_state state; __u32 opener_pid; __u32 unused; };
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 1024); __type(key, __u32); __type(value, struct look); } observed SEC(".maps");

/* How the record is kept: `state` at STATE_RECORD; 0 where it is not. */
enum { RECORD_BY_TRACEPOINTS = 1, RECORD_BY_FUNCTIONS = 2 };

/* The inode that has the data: overlay's own is not written to. */
static __always_inline struct inode *real_inode(struct inode *inode)
{
	struct dentry *upper = BPF_CORE_READ(inode, i_sb, s_magic) == OVERLAY_MAGIC ? upper_of(inode) : 0;

	return upper ? BPF_CORE_READ(upper, d_inode) : inode;
}

static __always_inline struct file_key key_of(struct inode *real)
{
	struct file_key key = {
		.ino = BPF_CORE_READ(real, i_ino), .dev = BPF_CORE_READ(real, i_sb, s_dev), .generation = BPF_CORE_READ(real, i_generation),
	};

	return key;
}

/* Without a branch, and one after the other: old verifiers follow each branch, and stacks are small. */
#define SEEN(field, flag) (*(volatile __u8 *)&record->field * (flag))

/* Whether a time is not 0, and not after another. */
static __always_inline __u32 is_before(__u64 time, __u64 other)
{
	__u64 is_set = (time | -time) >> 63, is_after = (other - time) >> 63;

	barrier_var(is_set);
	barrier_var(is_after);
	return is_set & ~is_after;
}

/* Who wrote it, as flags of `enum origin`; the current task's container is the one that asks. */
static __always_inline __u32 origins_of(struct write_record *record)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u64 own = namespace_at((__u64)BPF_CORE_READ(task, nsproxy, mnt_ns));
	__u32 origins = record->namespace_id == own ? 0 : ORIGIN_OTHER;

	barrier_var(origins);
	origins |= SEEN(by_image, ORIGIN_IMAGE);
	origins |= SEEN(by_runtime, ORIGIN_RUNTIME);
	origins |= SEEN(by_unknown, ORIGIN_UNKNOWN);
	origins |= SEEN(by_drift, ORIGIN_DRIFT);
	origins |= SEEN(by_other, ORIGIN_OTHER);
	origins |= SEEN(is_whole, ORIGIN_WHOLE);
	origins |= SEEN(in_workload, ORIGIN_WORKLOAD);
	origins |= SEEN(in_exec, ORIGIN_EXEC);
	origins |= SEEN(in_unknown, ORIGIN_NO_SESSION);
	origins |= SEEN(by_several, ORIGIN_SEVERAL);
	origins |= is_before(record->mapped_ns, state_value(STATE_MAPPERS_CHANGED)) * (ORIGIN_UNKNOWN | ORIGIN_NO_SESSION);
	return origins;
}

/*
 * Whether tracepoints show each write to a file of ext4, also through a mapping: where the filesystem allocates blocks late, a page
 * of a mapping that becomes writable is seen (`on_page_write`); it does not do so when it is nearly full, or is told not to. Then
 * only page faults show such writes, while they are traced.
 */
__attribute__((noinline)) int are_writes_traced(__u64 inode_address, __u64 begun_ns)
{
	struct inode *inode = (struct inode *)inode_address;
	__u64 since = state_value(STATE_FAULTS_SINCE);
	struct ext4_inode_info *ext4;
	struct ext4_sb_info *of;
	__s64 free, dirty;

	/* Straight to persistent memory (DAX): neither its writes nor its page faults are traced. */
	if (BPF_CORE_READ(inode, i_flags) & S_DAX)
		return 0;
	if (since && begun_ns >= since)
		return 1;
	if (!bpf_core_type_exists(struct ext4_sb_info) || !bpf_core_type_exists(struct ext4_inode_info))
		return 0;
	of = (struct ext4_sb_info *)BPF_CORE_READ(inode, i_sb, s_fs_info);
	ext4 = (struct ext4_inode_info *)((char *)inode - bpf_core_field_offset(struct ext4_inode_info, vfs_inode));
	if (!(BPF_CORE_READ(of, s_mount_opt) & EXT4_MOUNT_DELALLOC) || BPF_CORE_READ(ext4, i_flags) & EXT4_JOURNAL_DATA)
		return 0;
	free = BPF_CORE_READ(of, s_freeclusters_counter.count);
	dirty = BPF_CORE_READ(of, s_dirtyclusters_counter.count);
	return free > spare_clusters && (free >> 2) > dirty;
}

/*
 * What is known of a file's data now; a record begins where there is none. The times are read before the counts: who
 * opens it in between is counted, or raises the time later.
 */
static __always_inline void put_state(struct file_state *state, struct inode *real, bool is_upper)
{
	struct file_key key = key_of(real);
	struct write_record *found = bpf_map_lookup_elem(&write_records, &key);
	unsigned long magic = BPF_CORE_READ(real, i_sb, s_magic);
	__u64 how = state_value(STATE_RECORD);

	__builtin_memset(state, 0, sizeof(*state));
	state->ino = key.ino;
	state->dev = key.dev;
	state->generation = key.generation;
	if (!how)
		return;
	if (!found) {
		struct write_record first = { .begun_ns = bpf_ktime_get_boot_ns() };

		bpf_map_update_elem(&write_records, &key, &first, BPF_NOEXIST);
		found = bpf_map_lookup_elem(&write_records, &key);
	}
	if (found) {
		state->begun_ns = found->begun_ns;
		state->opened_ns = *(volatile __u64 *)&found->opened_ns;
		state->written_ns = *(volatile __u64 *)&found->written_ns;
		if (found->mapped_ns)
			state->flags |= STATE_WAS_MAPPED;
		state->origins = origins_of(found);
	}
	if (how == RECORD_BY_FUNCTIONS)
		state->flags |= STATE_OPENS_SEEN;
	/* Beside overlay there are ioctls that exchange the data of two files: only tracepoints show them. */
	if (how == RECORD_BY_TRACEPOINTS ? magic == EXT4_MAGIC && are_writes_traced(address_of(real), state->begun_ns) : is_upper && (magic == EXT4_MAGIC || magic == XFS_MAGIC || magic == TMPFS_MAGIC))
		state->flags |= STATE_WRITES_SEEN;
	if (BPF_CORE_READ(real, i_writecount.counter) > 0)
		state->flags |= STATE_OPEN;
	if (BPF_CORE_READ(real, i_mapping, i_mmap_writable.counter) > 0)
		state->flags |= STATE_MAPPED;
}

static __always_inline void put_opener(struct write_record *record, struct task_struct *task)
{
	record->opener_pid = pid_of(BPF_CORE_READ(task, group_leader));
}

static __always_inline void raise(struct write_record *record, __u64 now)
{
	__u64 before = record->opened_ns;

	record->opened_ns = now > before ? now : before + 1;
}

/*
 * The current process has opened it for writing, or writes to it. To be called before the time of that is noted: who reads
 * the record reads the times first.
 */
static __always_inline void put_origin(struct write_record *record, struct task_struct *task)
{
	struct mnt_namespace *ns = BPF_CORE_READ(task, nsproxy, mnt_ns);
	bool is_on_host = BPF_CORE_READ(ns, ns.inum) == host_namespace_inum;

	__u64 program = current_program(task);

	/* Before it is looked at what the process is: who changes in between is counted at the next write. */
	record->latest_changes = state_value(STATE_CHANGES);
	barrier();
	if (record->latest && record->latest != program)
		record->by_several = 1;
	record->latest = program;
	switch (is_on_host ? SESSION_UNKNOWN : session_of(task)) {
	case SESSION_WORKLOAD:
		record->in_workload = 1;
		break;
	case SESSION_EXEC:
		record->in_exec = 1;
		break;
	default:
		record->in_unknown = 1;
	}
	switch (origin_of_current(task, is_on_host)) {
	case ORIGIN_IMAGE:
		/* By tracepoints nobody sees what code it has loaded since it started, nor who traces it. */
		if (state_value(STATE_RECORD) == RECORD_BY_FUNCTIONS)
			record->by_image = 1;
		else
			record->by_unknown = 1;
		break;
	case ORIGIN_RUNTIME:
		record->by_runtime = 1;
		break;
	case ORIGIN_DRIFT:
		record->by_drift = 1;
		break;
	default:
		record->by_unknown = 1;
	}
	/* The node's own programs are in no container. */
	if (!is_on_host && record->namespace_id != namespace_at((__u64)ns))
		record->by_other = 1;
}

/* Whether the current process was counted last, as what it is now. */
static __always_inline bool is_counted(struct write_record *record, struct task_struct *task)
{
	return record->latest == current_program(task) && record->latest_changes == state_value(STATE_CHANGES);
}

/* The sensor looks at a file that it has open: it unlocks it, though it has locked nothing. */
SEC("tp_btf/locks_get_lock_context")
int BPF_PROG(on_look, struct inode *inode, int type)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u32 key = thread, process = thread >> 32;
	struct write_record *found;
	struct task_struct *task;
	struct look now = {};
	struct inode *real;
	struct file_key of;

	if (type != F_UNLCK)
		return 0;
	if (nested_pid_namespace) {
		task = (struct task_struct *)bpf_get_current_task();
		key = nested_pid((__u64)task);
		process = nested_pid((__u64)BPF_CORE_READ(task, group_leader));
	}
	if (process != state_value(STATE_SENSOR) && process != state_value(STATE_HOLD_SERVER))
		return 0;
	real = real_inode(inode);
	of = key_of(real);
	put_state(&now.state, real, 0);
	found = bpf_map_lookup_elem(&write_records, &of);
	if (found) {
		now.opener_pid = found->opener_pid;
		/* The sensor asks for whatever container it is. */
		if (!found->by_other)
			now.state.origins &= ~ORIGIN_OTHER;
	}
	bpf_map_update_elem(&observed, &key, &now, BPF_ANY);
	return 0;
}

/*
 * Whether the current thread submits asynchronous I/O: by its system call's number, on x86 that of 64 bits, of 32 or of x32, on ARM64
 * that of 64 or of 32; none of these numbers writes to a file by another way. Since Linux 5.15.
 */
static __always_inline bool is_io_submitted(void)
{
	struct pt_regs *registers;
	__u64 number;

	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return 0;
	registers = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	if (bpf_core_field_exists(struct pt_regs___x86, orig_ax)) {
		number = BPF_CORE_READ((struct pt_regs___x86 *)registers, orig_ax);
		return number == 209 || number == 248 || number == (0x40000000 | 544);
	}
	number = BPF_CORE_READ((struct pt_regs___arm64 *)registers, syscallno);
	return number == 2 || number == 246;
}

static __always_inline void note_write(struct inode *inode)
{
	struct file_key key = { .ino = inode->i_ino, .dev = inode->i_sb->s_dev, .generation = inode->i_generation };
	struct write_record *found = bpf_map_lookup_elem(&write_records, &key);
	struct task_struct *task;

	if (!found)
		return;
	task = (struct task_struct *)bpf_get_current_task();
	/* Also who was given the file open: by another process, or by what the same one ran before, as nohup(1) does. */
	if (!is_counted(found, task))
		put_origin(found, task);
	found->written_ns = bpf_ktime_get_boot_ns();
	/*
	 * A loop device writes by the kernel's own threads: who holds execs is told of that no more than of a mapping's writes, nor of
	 * those of io_submit(2).
	 */
	if (!found->mapped_ns && (!BPF_CORE_READ(task, mm) || is_io_submitted()))
		found->mapped_ns = found->written_ns;
}

static __always_inline void note_mapping(struct inode *real)
{
	struct file_key key = key_of(real);
	struct write_record *found = bpf_map_lookup_elem(&write_records, &key);
	__u64 now = bpf_ktime_get_boot_ns();
	struct write_record first = { .begun_ns = now, .written_ns = now, .mapped_ns = now };

	if (!found) {
		bpf_map_update_elem(&write_records, &key, &first, BPF_NOEXIST);
		return;
	}
	found->written_ns = now;
	if (!found->mapped_ns)
		found->mapped_ns = now;
}
