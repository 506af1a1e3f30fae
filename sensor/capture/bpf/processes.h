/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Of each process in a container how its line came there (sessions.h), and whether its program is the image's own: so
 * that whoever writes a file can be told.
 */
#pragma once

#include "kernel.h"
#include "record.h"

/*
 * An argument of a traced function. The verifier accepts it only at a fixed place, and not at every one: the compiler must
 * neither compute the place nor read arguments of other kernels.
 */
#define ARGUMENT(arguments, index) ({ __u64 value; asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(value) : "r"(arguments), "i"(8 * (index))); value; })

static __always_inline __u64 state_value(__u32 key)
{
	__u64 *value = bpf_map_lookup_elem(&state, &key);

	return value ? *value : 0;
}

static __always_inline __u64 start_of(struct task_struct *leader)
{
	struct task_struct___old *older = (void *)leader;

	if (bpf_core_field_exists(leader->start_boottime))
		return BPF_CORE_READ(leader, start_boottime);
	return BPF_CORE_READ(older, real_start_time);
}

#define MAX_PROCESSES 32768

struct process {
	__u64 start_ns;            /* pids are given away again; 0 of one that is older than the sensor */
	__u64 namespace_id;        /* the mount namespace where it was noted; NOTED_BY_INUM of one that is older than the sensor */
	__u64 root;                /* `root_of` it there; 0 where that is not known */
	__u64 entered_ns;          /* of an exec session: the first exec of the process that entered; 0 before it */
	__u32 session;
	__u32 origin;
	__u32 entered_pid;
	__u32 has_mapped;          /* a file shared and writable: it, or one that it descends from */
};

/* Beside the inode number of a mount namespace: that alone is in /proc. */
#define NOTED_BY_INUM (1ull << 63)

/* Of a process that entered before it was watched, or from another container: its next exec is not how it entered. */
#define ENTERED_UNSEEN 1

/* By process, not by thread. One that finds no room is unknown, and so are its children. */
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, MAX_PROCESSES); __type(key, __u32); __type(value, struct process); } processes SEC(".maps");

/*
 * Most processes, each at a place that its pid has: those of neighbours lie side by side and nothing is locked, so that fork and
 * exit take a fraction of what they take above. One that finds its place taken is in `processes`; none is in both. Only a fork
 * takes a free place, and only where the kernel can compare and exchange (Linux 5.12): before that all are free.
 */
#define PLACES 32768
#define TAKEN 0xffffffffu          /* in place of the pid, while its process is being written */

struct place { __u32 pid; __u32 unused; struct process process; };

struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, PLACES); __type(key, __u32); __type(value, struct place); } places SEC(".maps");

/* By process: that runs an interpreter, and began to a moment ago (interpreters.h). Nothing pushes one out. */
struct reader { __u64 until_ns; __u64 latest; __u32 left; __u32 unused; };

struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, MAX_PROCESSES); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, __u32); __type(value, struct reader); } readers SEC(".maps");

static __always_inline struct place *place_of(__u32 pid)
{
	__u32 key = pid & (PLACES - 1);

	return bpf_map_lookup_elem(&places, &key);
}

/* What is noted of a process, or of one that had its pid before. */
static __always_inline struct process *noted_process(__u32 pid)
{
	struct place *place = place_of(pid);

	/* A free place says pid 0, as the parent of the node's first process does. */
	return place && pid && place->pid == pid ? &place->process : bpf_map_lookup_elem(&processes, &pid);
}

/* Note a process, in the place of what is noted of it. */
static __always_inline void note_process(__u32 pid, struct process *process)
{
	struct place *place = place_of(pid);

	if (place && place->pid == pid)
		place->process = *process;
	else
		bpf_map_update_elem(&processes, &pid, process, BPF_ANY);
}

static __always_inline bool is_same_process(struct process *found, struct task_struct *leader)
{
	return !found->start_ns || found->start_ns == start_of(leader);
}

/* Of a trusted pointer, which is read without a call. */
static __always_inline __u64 own_start(struct task_struct *leader)
{
	return bpf_core_field_exists(leader->start_boottime) ? leader->start_boottime : start_of(leader);
}

static __always_inline struct process *process_of(struct task_struct *task)
{
	struct process *found = noted_process(task->tgid);

	return found && (!found->start_ns || found->start_ns == own_start(task->group_leader)) ? found : 0;
}

/* Spreads small numbers over 64 bits. */
#define SPREAD 0x9e3779b97f4a7c15ull

static __always_inline __u64 program_number(__u64 start_ns, __u64 execs)
{
	return start_ns ^ bpf_get_current_pid_tgid() >> 32 << 40 ^ execs * SPREAD;
}

/*
 * What tells the current process from others, also from one that had its pid before, and the program that it runs from those
 * that it ran before.
 */
static __always_inline __u64 current_program(struct task_struct *task)
{
	struct task_struct *own;

	/* Since 5.11, without calls. */
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf)) {
		own = bpf_get_current_task_btf();
		return program_number(own_start(own->group_leader), own->self_exec_id);
	}
	return program_number(start_of(BPF_CORE_READ(task, group_leader)), BPF_CORE_READ(task, self_exec_id));
}

/*
 * A process is not what it was: what it writes from now on counts anew, also to files that it has open. Of what it, or a child of
 * its, writes through a mapping nothing is seen: all files that were mapped before have writers that are not known.
 */
static __always_inline void note_change(struct process *process)
{
	__u32 key = STATE_CHANGES;
	__u64 *value = bpf_map_lookup_elem(&state, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
	key = STATE_MAPPERS_CHANGED;
	value = process->has_mapped ? bpf_map_lookup_elem(&state, &key) : 0;
	if (value)
		*value = bpf_ktime_get_boot_ns();
}

/* How the sessions are kept: `state` at STATE_SESSIONS; 0 where they are not. */
enum { SESSIONS_BY_PARENTS = 1, SESSIONS_BY_JOINS = 2 };

/* Of which origin the current process is as a writer: a flag of `enum origin`. */
static __always_inline __u32 origin_of_current(struct task_struct *task, bool is_on_host)
{
	struct process *found;

	/* The kernel's own threads write for whoever made a loop device. */
	if (!BPF_CORE_READ(task, mm))
		return ORIGIN_UNKNOWN;
	if (is_on_host)
		return ORIGIN_RUNTIME;
	found = noted_process(bpf_get_current_pid_tgid() >> 32);
	if (!found || !is_same_process(found, BPF_CORE_READ(task, group_leader)))
		return ORIGIN_UNKNOWN;
	if (found->origin == ORIGIN_IMAGE && BPF_CORE_READ(task, group_leader, ptrace))
		return ORIGIN_UNKNOWN;
	return found->origin ? found->origin & ~ORIGIN_ENV : ORIGIN_UNKNOWN;
}

/* What is noted of a task's process; NULL where that is nothing, or where it has run nothing in its container yet. */
static __always_inline struct process *process_inside(struct task_struct *task)
{
	struct process *found = noted_process(BPF_CORE_READ(task, tgid));

	return found && found->session != SESSION_ENTERING && is_same_process(found, BPF_CORE_READ(task, group_leader)) ? found : 0;
}

static __always_inline __u32 session_of(struct task_struct *task)
{
	struct process *found = process_inside(task);

	return found ? found->session : SESSION_UNKNOWN;
}

/* The session of a task, for its record, and how its line entered the container. */
static __always_inline void put_session(struct header *h, struct task_struct *task)
{
	struct process *found = process_inside(task);

	h->session = SESSION_UNKNOWN;
	h->entered_ns = 0;
	h->entered_pid = 0;
	if (!found)
		return;
	h->session = found->session;
	if (found->session != SESSION_EXEC || found->entered_ns <= ENTERED_UNSEEN)
		return;
	h->entered_ns = found->entered_ns;
	h->entered_pid = found->entered_pid;
}
