/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Of each process in a container how its line came there, and whether its program is the image's own.
 *
 * A container's own first process makes the container's mount namespace; whoever enters a container later joins it
 * (setns). That is noted once, of the process that crosses, and every child inherits it, whatever it does to its
 * parents, sessions and namespaces. What can't be said for sure is unknown.
 */
#pragma once

#include "kernel.h"
#include "record.h"
#include "processes.h"

#define PTRACE_MODE_ATTACH 2

/* Whether a mount namespace is no container's: the node's, or one that user space knows as such. A process that ends has none. */
static __always_inline bool is_outside(struct mnt_namespace *ns)
{
	struct registration *known;
	__u64 id;

	if (!ns)
		return 0;
	if (BPF_CORE_READ(ns, ns.inum) == host_namespace_inum)
		return 1;
	id = namespace_at((__u64)ns);
	known = bpf_map_lookup_elem(&namespaces, &id);
	return known && !known->is_container;
}

/* The first process of a pid namespace of its own: the container's first one, unless it shares its pod's or the node's. */
static __always_inline bool is_first_process(struct task_struct *leader)
{
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid *number = (void *)((char *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid));

	return level && BPF_CORE_READ(number, nr) == 1;
}

/* Whether the first process of its pid namespace is in the same container: then this one, which is another, has entered it. */
static __always_inline bool is_beside_first_process(struct task_struct *leader, __u64 ns_address)
{
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid *number = (void *)((char *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid));

	return level && (__u64)BPF_CORE_READ(number, ns, child_reaper, nsproxy, mnt_ns) == ns_address;
}

/*
 * Whether a process was started from outside of any container: by its parent, or by that one's, where the parent has joined the
 * container itself and run nothing there, as nsenter(1) does before it forks. What has its parent in a container came with it.
 */
static __always_inline bool is_from_outside(struct task_struct *leader)
{
	struct task_struct *parent = BPF_CORE_READ(leader, real_parent, group_leader);
	__u32 key = BPF_CORE_READ(parent, tgid);

	if (is_outside(BPF_CORE_READ(parent, nsproxy, mnt_ns)))
		return 1;
	if (bpf_map_lookup_elem(&processes, &key) || is_first_process(parent))
		return 0;
	return start_of(parent) >= state_value(STATE_SESSIONS_SINCE) && is_outside(BPF_CORE_READ(parent, real_parent, nsproxy, mnt_ns));
}

/*
 * The session of a process that has none yet, at its exec in a mount namespace: it came from outside a moment ago, or it
 * was lost, or is older than the sensor.
 */
__attribute__((noinline)) __u32 new_session(__u64 leader_address, __u64 ns_address)
{
	struct task_struct *leader = (struct task_struct *)leader_address;
	__u64 how = state_value(STATE_SESSIONS), id = namespace_at(ns_address);
	bool is_known = bpf_map_lookup_elem(&namespaces, &id) != 0;

	if (!how || start_of(leader) < state_value(STATE_SESSIONS_SINCE) || !is_from_outside(leader))
		return SESSION_UNKNOWN;
	if (how == SESSIONS_BY_PARENTS) {
		if (is_first_process(leader))
			return is_known ? SESSION_UNKNOWN : SESSION_WORKLOAD;
		return is_beside_first_process(leader, ns_address) ? SESSION_EXEC : SESSION_UNKNOWN;
	}
	/* It has not joined, so it has made its mount namespace: a container's, unless one of that cgroup did so. */
	if (is_first_process(leader) || (!is_known && !root_by_cgroup((__u64)cgroup_of(leader), id, 1)))
		return SESSION_WORKLOAD;
	return SESSION_UNKNOWN;
}

/* At an exec in a container: what is known of the process, noted now where it crossed. NULL where there is no room. */
static __always_inline struct process *process_at_exec(struct task_struct *task, struct mnt_namespace *ns, struct registration *here)
{
	struct process *found = process_of(task);
	__u64 id = namespace_id(ns);
	struct process first = { .namespace_id = id };
	__u32 key = task->tgid;
	struct registration *known;

	if (found && found->session == SESSION_ENTERING && found->namespace_id == id) {
		found->session = SESSION_EXEC;
		return found;
	}
	if (found && found->session != SESSION_ENTERING) {
		if (found->namespace_id == id)
			return found;
		/* Not where it was noted outside of any container, which is known only later. */
		known = bpf_map_lookup_elem(&namespaces, &found->namespace_id);
		/* In another container: it may be one of its own, or one that it has joined unseen. */
		if (known && known->is_container && here && known->root_dev != here->root_dev && state_value(STATE_SESSIONS) != SESSIONS_BY_JOINS)
			found->session = SESSION_UNKNOWN;
		if (!known || known->is_container)
			return found;
	}
	first.start_ns = own_start(task->group_leader);
	first.session = new_session(address_of(task->group_leader), address_of(ns));
	bpf_map_update_elem(&processes, &key, &first, BPF_ANY);
	return bpf_map_lookup_elem(&processes, &key);
}

/* Whether this exec is the first one of a process that has entered its container; noted for its children. */
static __always_inline bool is_entry(struct process *process, struct task_struct *task, __u64 now_ns)
{
	if (process->session != SESSION_EXEC || process->entered_ns)
		return 0;
	process->entered_ns = now_ns;
	process->entered_pid = own_pid(task->group_leader);
	return 1;
}

static __always_inline bool is_of_root(__u64 dentry_address, struct registration *root)
{
	return is_of_image(BPF_CORE_READ((struct dentry *)dentry_address, d_inode), root);
}

static __always_inline bool is_env(struct name_start *name)
{
	char *head = name->bytes;

	return head[0] == 'e' && head[1] == 'n' && head[2] == 'v' && !head[3];
}

/* The filesystem of the task's root, for a container that user space has not registered yet; 0 where that is no overlay. */
static __always_inline __u32 first_root_dev(struct task_struct *task)
{
	struct super_block *root = BPF_CORE_READ(task, fs, root.mnt, mnt_sb);

	return BPF_CORE_READ(root, s_magic) == OVERLAY_MAGIC ? BPF_CORE_READ(root, s_dev) : 0;
}

/*
 * What a process is as a writer from this exec on. An interpreter is the image's only where its script is: one that is given
 * on its command line is not looked at. env(1) runs what the script's first line says, and that alone.
 */
static __always_inline __u32 origin_of_exec(struct scratch *s, struct task_struct *task, struct file *file, struct name_start *name, __u32 flags, struct registration *known, struct process *before)
{
	struct registration own = { .root_dev = file->f_inode->i_sb->s_dev, .is_container = CONTAINER };
	__u32 root_dev = 0;

	/* User space has not registered a container yet at its first exec. Any other mount namespace may have a root that its maker chose. */
	if (known)
		root_dev = known->root_dev;
	else if (before->namespace_id == namespace_id(task->nsproxy->mnt_ns))
		root_dev = first_root_dev(task);
	if (!root_dev)
		return ORIGIN_UNKNOWN;
	if (flags & FLAG_UPPER || own.root_dev != root_dev)
		return ORIGIN_DRIFT;
	if (s->files.interpreter.dentry && !is_of_root(s->files.interpreter.dentry, &own))
		return ORIGIN_DRIFT;
	if (flags & (FLAG_LOADER | FLAG_UNSEEN) || task->ptrace)
		return ORIGIN_UNKNOWN;
	if (!(flags & FLAG_SCRIPT))
		return !has_interpreter_name(name) || before->origin & ORIGIN_ENV ? ORIGIN_IMAGE : ORIGIN_UNKNOWN;
	for (__u32 i = 0; i < MAX_SCRIPTS; i++) {
		if (i >= s->files.script_count)
			continue;
		if (!is_of_root(s->files.scripts[i].dentry, &own))
			return ORIGIN_DRIFT;
	}
	return is_env(name) ? ORIGIN_IMAGE | ORIGIN_ENV : ORIGIN_IMAGE;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 parent_pid = parent->tgid, key = child->tgid;
	struct mnt_namespace *ns;
	struct process *found;
	struct process copy;

	if (parent_pid == key)
		return 0;
	ns = parent->nsproxy->mnt_ns;
	if (ns->ns.inum == host_namespace_inum)
		return 0;
	found = process_of(parent);
	if (!found)
		return 0;
	copy = *found;
	if (copy.session == SESSION_ENTERING) {
		/* Another thread of it may have joined, and not this one. */
		if (copy.namespace_id != namespace_id(ns))
			return 0;
		copy.session = SESSION_EXEC;
	}
	copy.start_ns = own_start(child);
	bpf_map_update_elem(&processes, &key, &copy, BPF_ANY);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	__u32 key = task->tgid;

	if (task->signal->live.counter)
		return 0;
	bpf_map_delete_elem(&processes, &key);
	if (state_value(STATE_DETECT) & DETECT_INTERPRETER)
		bpf_map_delete_elem(&readers, &key);
	return 0;
}

/* Whether two mount namespaces are those of different containers. */
static __always_inline bool are_apart(__u64 one_id, __u64 other_id)
{
	struct registration *one = bpf_map_lookup_elem(&namespaces, &one_id), *other = bpf_map_lookup_elem(&namespaces, &other_id);

	return one && other && one->is_container && other->is_container && one->root_dev != other->root_dev;
}

/*
 * setns(2) to a mount namespace. One that is in a container already keeps what it is, unless it enters another container: of that
 * it is not the workload.
 */
SEC("fentry/mntns_install")
int on_join(__u64 *arguments)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct ns_common *common = (struct ns_common *)ARGUMENT(arguments, 1);
	struct mnt_namespace *ns = (void *)((char *)common - bpf_core_field_offset(struct mnt_namespace, ns));
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct process entering = { .start_ns = start_of(leader), .namespace_id = namespace_at((__u64)ns), .session = SESSION_ENTERING, .origin = ORIGIN_RUNTIME };
	__u32 key = bpf_get_current_pid_tgid() >> 32;
	struct process *found;

	if (is_outside(ns))
		return 0;
	if (!is_outside(BPF_CORE_READ(task, nsproxy, mnt_ns))) {
		found = bpf_map_lookup_elem(&processes, &key);
		if (found && are_apart(found->namespace_id, entering.namespace_id)) {
			found->session = SESSION_EXEC;
			found->entered_ns = ENTERED_UNSEEN;
			note_change(found);
		}
		return 0;
	}
	bpf_map_update_elem(&processes, &key, &entering, BPF_ANY);
	return 0;
}

/* Who traces a process may make it do anything: also by its memory in /proc. So it is of the workload only if the tracer is. */
SEC("fentry/security_ptrace_access_check")
int BPF_PROG(on_trace, struct task_struct *child, unsigned int mode)
{
	__u32 key, tracer = bpf_get_current_pid_tgid() >> 32;
	struct process *found, *by;

	if (!(mode & PTRACE_MODE_ATTACH))
		return 0;
	key = child->tgid;
	if (key == tracer)
		return 0;
	found = bpf_map_lookup_elem(&processes, &key);
	if (!found)
		return 0;
	if (found->origin & (ORIGIN_IMAGE | ORIGIN_ENV))
		found->origin = ORIGIN_UNKNOWN;
	by = bpf_map_lookup_elem(&processes, &tracer);
	if (!by || by->session != found->session)
		found->session = SESSION_UNKNOWN;
	note_change(found);
	return 0;
}
