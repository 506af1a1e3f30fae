/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The last execs of each container, its image's own included: what happened around an alert. They stay in the kernel, and
 * are overwritten in turns; user space reads them where a container drifts. Nobody is woken.
 */
#pragma once

#include "kernel.h"
#include "record.h"

#define CLAIM_TRIES 8

struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, TRACKS); __type(key, __u32); __type(value, struct track); } tracks SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, TRACKS * (TRACK_EXECS + EARLY_EXECS)); __type(key, __u32); __type(value, struct kept_exec); } kept_execs SEC(".maps");
/* A key that is there is a track that a CPU counts in just now. */
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, TRACKS); __type(key, __u32); __type(value, __u32); } claims SEC(".maps");

/* The number of an exec in its track, where the kernel adds without telling the sum (before 5.12); 0 where too many try at once. */
static __always_inline __u64 claimed(struct track *track, __u32 number)
{
	__u64 count = 0;

	for (int i = 0; i < CLAIM_TRIES && !count; i++) {
		if (bpf_map_update_elem(&claims, &number, &number, BPF_NOEXIST))
			continue;
		count = ++track->count;
		bpf_map_delete_elem(&claims, &number);
	}
	if (!count)
		__sync_fetch_and_add(&track->skipped, 1);
	return count;
}

static __always_inline void keep_ancestors(struct kept_exec *kept, struct task_struct *leader)
{
	struct task_struct *parent = leader;

	for (int i = 0; i < KEPT_ANCESTORS; i++) {
		parent = parent->real_parent->group_leader;
		kept->ancestors[i].pid = own_pid(parent);
		kept->ancestors[i].start_ns = own_start(parent);
		if (!i)
			bpf_probe_read_kernel(kept->parent_comm, sizeof(kept->parent_comm), parent->comm);
	}
}

static __always_inline void keep_argv(struct kept_exec *kept, struct task_struct *task)
{
	unsigned long start = task->mm->arg_start;
	unsigned long length = task->mm->arg_end - start;

	kept->argv_bytes = length;
	if (length > sizeof(kept->argv) - 1)
		length = sizeof(kept->argv) - 1;
	if (bpf_probe_read_user(kept->argv, BOUNDED(length, sizeof(kept->argv) - 1), (void *)start))
		kept->argv_bytes = KEPT_UNREADABLE;
}

/* Runs after on_exec, which leaves the track, and the time of the exec: its record has the same. */
static __always_inline int keep_exec(struct task_struct *task, struct linux_binprm *bprm, bool tells_sums)
{
	struct task_struct *leader = task->group_leader;
	struct scratch *s = scratch_of_cpu();
	struct kept_exec *kept;
	struct track *track;
	__u32 number, slot;
	__u64 count, owner;

	if (!s || !s->keeping.owner)
		return 0;
	owner = s->keeping.owner;
	number = s->keeping.track;
	/* The next exec here may be in no container, where on_exec leaves nothing. */
	s->keeping.owner = 0;
	track = bpf_map_lookup_elem(&tracks, &number);
	if (!track || track->owner != owner)
		return 0;
	count = tells_sums ? __sync_fetch_and_add(&track->count, 1) + 1 : claimed(track, number);
	slot = number * (TRACK_EXECS + EARLY_EXECS) + ((count - 1) & (TRACK_EXECS - 1));
	kept = count ? bpf_map_lookup_elem(&kept_execs, &slot) : 0;
	/* The track may have been given to another container just now. */
	if (!kept || track->owner != owner)
		return 0;
	track->last_ns = s->header.time_ns;
	kept->begun = count;
	barrier();
	kept->time_ns = s->header.time_ns;
	kept->start_ns = own_start(leader);
	kept->pid = own_pid(leader);
	kept->uid = bpf_get_current_uid_gid();
	keep_ancestors(kept, leader);
	bpf_probe_read_kernel_str(kept->path, sizeof(kept->path), bprm->filename);
	keep_argv(kept, task);
	barrier();
	kept->ended = count;
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_keep, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	return keep_exec(task, bprm, 1);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_keep_old, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	return keep_exec(task, bprm, 0);
}
