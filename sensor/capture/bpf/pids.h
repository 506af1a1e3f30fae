/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pids as user space's own /proc has them: a node may be a container itself (kind, minikube), with a pid namespace of
 * its own. Each process has a number in its pid namespace and in all above that.
 */
#pragma once

#include "kernel.h"

#define MAX_PID_LEVELS 8       /* namespaces from the first one down to user space's */

/* The number of a thread, or of a process by its first one. */
__attribute__((noinline)) __u32 nested_pid(__u64 task_address)
{
	struct task_struct *task = (struct task_struct *)task_address;
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < MAX_PID_LEVELS && i <= level; i++) {
		struct upid *number = (void *)((char *)pid + bpf_core_field_offset(struct pid, numbers) + i * bpf_core_type_size(struct upid));

		if (BPF_CORE_READ(number, ns, ns.inum) == nested_pid_namespace)
			return BPF_CORE_READ(number, nr);
	}
	return 0;
}

/* The pid of a process by its first thread; 0 where user space does not see it. */
static __always_inline __u32 pid_of(struct task_struct *leader)
{
	return nested_pid_namespace ? nested_pid((__u64)leader) : BPF_CORE_READ(leader, tgid);
}

/* The thread that user space saw open a file to execute it. Only of a process's first thread in a nested namespace. */
static __always_inline __u32 thread_of(struct task_struct *task, int old_pid)
{
	if (!nested_pid_namespace)
		return old_pid;
	return old_pid == BPF_CORE_READ(task, tgid) ? pid_of(BPF_CORE_READ(task, group_leader)) : 0;
}
