/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Start and end of processes: a child inherits what is noted of its parent (processes.h), and at its end that is forgotten.
 */
#pragma once

#include "kernel.h"
#include "record.h"
#include "sessions.h"

/* The child's own, of what is noted of its parent. False where nothing is, or nothing that the child inherits. */
static __always_inline bool inherited(struct process *copy, struct task_struct *parent, struct task_struct *child)
{
	struct mnt_namespace *ns;
	struct process *found;

	if (parent->tgid == child->tgid)
		return 0;
	ns = parent->nsproxy->mnt_ns;
	if (ns->ns.inum == host_namespace_inum)
		return 0;
	found = process_of(parent);
	if (!found)
		return 0;
	complete_note(found, parent, ns);
	*copy = *found;
	if (copy->session == SESSION_ENTERING) {
		if (copy->namespace_id == namespace_id(ns))
			copy->session = SESSION_EXEC;
		/* Another thread of it may have joined, and not this one. */
		else if (is_outside(ns))
			return 0;
		else
			copy->session = SESSION_UNKNOWN;
	}
	copy->start_ns = own_start(child);
	return 1;
}

/* Before the child runs, so nobody asks for it yet. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 pid = child->tgid;
	struct process copy;
	struct place *place;

	if (!inherited(&copy, parent, child))
		return 0;
	place = place_of(pid);
	if (place && !__sync_val_compare_and_swap(&place->pid, 0, TAKEN)) {
		place->process = copy;
		/* Exchanged, for it keeps the order: a place with a pid is written. */
		__sync_lock_test_and_set(&place->pid, pid);
		return 0;
	}
	note_process(pid, &copy);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork_old, struct task_struct *parent, struct task_struct *child)
{
	__u32 pid = child->tgid;
	struct process copy;

	if (inherited(&copy, parent, child))
		bpf_map_update_elem(&processes, &pid, &copy, BPF_ANY);
	return 0;
}

static __always_inline void forget_reader(__u32 pid)
{
	if (state_value(STATE_DETECT) & DETECT_INTERPRETER)
		bpf_map_delete_elem(&readers, &pid);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	__u32 pid = task->tgid;
	struct place *place;

	if (task->signal->live.counter)
		return 0;
	place = place_of(pid);
	/* Its last two threads may both be here, and another process have the place by now. */
	if (!place || place->pid != pid || __sync_val_compare_and_swap(&place->pid, pid, 0) != pid)
		bpf_map_delete_elem(&processes, &pid);
	forget_reader(pid);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit_old, struct task_struct *task)
{
	__u32 pid = task->tgid;

	if (task->signal->live.counter)
		return 0;
	bpf_map_delete_elem(&processes, &pid);
	forget_reader(pid);
	return 0;
}
