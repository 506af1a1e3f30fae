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

	if (is_outside(BPF_CORE_READ(parent, nsproxy, mnt_ns)))
		return 1;
	if (noted_process(BPF_CORE_READ(parent, tgid)) || is_first_process(parent))
		return 0;
	return start_of(parent) >= state_value(STATE_SESSIONS_SINCE) && is_outside(BPF_CORE_READ(parent, real_parent, nsproxy, mnt_ns));
}

/* What a process has as its root: an overlay, whatever directory of it, by its device; else that directory. */
static __always_inline __u64 root_of(struct task_struct *task)
{
	struct vfsmount *mount = BPF_CORE_READ(task, fs, root.mnt);
	struct super_block *sb = BPF_CORE_READ(mount, mnt_sb);

	return BPF_CORE_READ(sb, s_magic) == OVERLAY_MAGIC ? BPF_CORE_READ(sb, s_dev) : (__u64)BPF_CORE_READ(mount, mnt_root);
}

/* By root the first process that came there from outside of any container, as long as it lives: the container's own. */
struct first_process { __u64 start_ns; __u32 pid; __u32 unused; };

struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 16384); __type(key, __u64); __type(value, struct first_process); } first_processes SEC(".maps");

/* Whether a process from outside is the first with its root; noted if it is. Else it has entered, whatever namespaces it made. */
static __always_inline bool is_first_with_root(struct task_struct *leader, __u64 root)
{
	struct first_process now = { .start_ns = start_of(leader), .pid = BPF_CORE_READ(leader, tgid) };
	struct first_process *before = bpf_map_lookup_elem(&first_processes, &root);
	struct process *process;

	if (before && before->pid != now.pid) {
		process = noted_process(before->pid);
		if (process && process->start_ns == before->start_ns)
			return 0;
	}
	bpf_map_update_elem(&first_processes, &root, &now, BPF_ANY);
	return 1;
}

/*
 * The session of a process that has none yet, at its exec in a mount namespace: it came from outside a moment ago, or it
 * was lost, or is older than the sensor.
 */
__attribute__((noinline)) __u32 new_session(__u64 leader_address, __u64 ns_address)
{
	struct task_struct *leader = (struct task_struct *)leader_address;
	__u64 how = state_value(STATE_SESSIONS), id = namespace_at(ns_address), root;
	bool is_known = bpf_map_lookup_elem(&namespaces, &id) != 0, is_first, is_alone;

	if (!how || start_of(leader) < state_value(STATE_SESSIONS_SINCE) || !is_from_outside(leader))
		return SESSION_UNKNOWN;
	root = root_of(leader);
	is_first = is_first_process(leader);
	is_alone = is_first_with_root(leader, root);
	if (how == SESSIONS_BY_PARENTS && !is_first)
		return is_beside_first_process(leader, ns_address) ? SESSION_EXEC : SESSION_UNKNOWN;
	/* By joins: it has not joined, so it has made its mount namespace, where a hook of the runtime may have run before. */
	if (is_known && (how == SESSIONS_BY_PARENTS || !is_first))
		return SESSION_UNKNOWN;
	/* Nor has it the root of who started it, as one of the node that made namespaces, nor the cgroup of another container. */
	if (!is_alone || root == root_of(BPF_CORE_READ(leader, real_parent, group_leader)) || root_by_cgroup((__u64)cgroup_of(leader), id, 1))
		return SESSION_UNKNOWN;
	return SESSION_WORKLOAD;
}

/* Whether two mount namespaces are those of different containers. */
static __always_inline bool are_apart(struct registration *one, struct registration *other)
{
	return one && other && one->is_container && other->is_container && one->root_dev != other->root_dev;
}

/* One that is older than the sensor was noted by what /proc has. Only while it is where it was: else it may be anywhere. */
static __always_inline void complete_note(struct process *found, struct task_struct *task, struct mnt_namespace *ns)
{
	if (!(found->namespace_id & NOTED_BY_INUM))
		return;
	if (found->namespace_id == (NOTED_BY_INUM | BPF_CORE_READ(ns, ns.inum))) {
		found->root = root_of(task);
		found->namespace_id = namespace_at((__u64)ns);
	} else if (found->session == SESSION_WORKLOAD) {
		found->session = SESSION_UNKNOWN;
	}
}

/*
 * Whether a process may have joined another container than that where it was noted. Where user space has not registered both
 * namespaces yet, by its root: what it makes for itself has the same, unless it chose another.
 */
static __always_inline bool may_be_elsewhere(struct process *found, struct registration *noted, struct registration *here, struct task_struct *task)
{
	return noted && here ? are_apart(noted, here) : found->root && found->root != root_of(task);
}

/* At an exec in a container: what is known of the process, noted now where it crossed. NULL where there is no room. */
static __always_inline struct process *process_at_exec(struct task_struct *task, struct mnt_namespace *ns, struct registration *here)
{
	struct process *found = process_of(task);
	__u64 id = namespace_id(ns);
	struct process first = { .namespace_id = id };
	struct registration *known;

	if (found && found->session == SESSION_ENTERING) {
		/* In another namespace than the one that it joined: one of its own, where nothing shows whose root it has. */
		found->session = found->namespace_id == id ? SESSION_EXEC : SESSION_UNKNOWN;
		return found;
	}
	if (found) {
		complete_note(found, task, ns);
		if (found->namespace_id == id)
			return found;
		/* Not where it was noted outside of any container, which is known only later. */
		known = bpf_map_lookup_elem(&namespaces, &found->namespace_id);
		if (state_value(STATE_SESSIONS) != SESSIONS_BY_JOINS && may_be_elsewhere(found, known, here, task))
			found->session = SESSION_UNKNOWN;
		if (!known || known->is_container)
			return found;
	}
	first.root = root_of(task);
	first.start_ns = own_start(task->group_leader);
	first.session = new_session(address_of(task->group_leader), address_of(ns));
	note_process(task->tgid, &first);
	return noted_process(task->tgid);
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

/*
 * setns(2) to a mount namespace. One that is in a container already keeps what it is, unless it enters another container: of that
 * it is not the workload. Nor is it where that can't be told yet.
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
	struct registration *one, *other;
	struct process *found;

	if (is_outside(ns))
		return 0;
	if (!is_outside(BPF_CORE_READ(task, nsproxy, mnt_ns))) {
		found = noted_process(key);
		if (!found)
			return 0;
		complete_note(found, task, BPF_CORE_READ(task, nsproxy, mnt_ns));
		if (found->session == SESSION_ENTERING) {
			found->namespace_id = entering.namespace_id;
			return 0;
		}
		if (found->namespace_id == entering.namespace_id)
			return 0;
		one = bpf_map_lookup_elem(&namespaces, &found->namespace_id);
		other = bpf_map_lookup_elem(&namespaces, &entering.namespace_id);
		if (are_apart(one, other)) {
			found->session = SESSION_EXEC;
			found->entered_ns = ENTERED_UNSEEN;
			note_change(found);
		} else if (!(one && other) && found->session == SESSION_WORKLOAD) {
			found->session = SESSION_UNKNOWN;
			note_change(found);
		}
		return 0;
	}
	note_process(key, &entering);
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
	found = noted_process(key);
	if (!found)
		return 0;
	if (found->origin & (ORIGIN_IMAGE | ORIGIN_ENV))
		found->origin = ORIGIN_UNKNOWN;
	by = noted_process(tracer);
	if (!by || by->session != found->session)
		found->session = SESSION_UNKNOWN;
	note_change(found);
	return 0;
}
