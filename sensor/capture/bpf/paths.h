/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names: of a file and the directories above it, and of the cgroups that a task is in.
 */
#pragma once

#include "kernel.h"
#include "record.h"

/*
 * Append the names from a dentry up to the top of its mount tree (or, without a mount, of its
 * filesystem), deepest first, each with its NUL. Returns the new end of the data, and in the
 * header how much of it is below the first mount on the way.
 */
__attribute__((noinline)) __u32 put_path(__u64 mount_address, __u64 dentry_address, __u32 start)
{
	struct dentry *dentry = (struct dentry *)dentry_address;
	struct mount *mount = (struct mount *)mount_address;
	struct scratch *s = scratch_of_cpu();
	__u32 end = start;
	bool crossed = 0;

	if (!s)
		return start;
	s->header.below_mount = 0;
	for (int step = 0; step < MAX_STEPS; step++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

		if (mount && dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);

			if (!crossed)
				s->header.below_mount = end - start;
			crossed = 1;
			if (above == mount)
				return end;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = above;
			continue;
		}
		if (parent == dentry || !parent)
			return end;
		if (end - start > MAX_PATH_BYTES)
			break;
		const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
		end = BOUNDED(end, DATA_MASK);
		long got = bpf_probe_read_kernel_str(&s->data[end], NAME_BYTES, name);
		if (got < 0 || got > NAME_BYTES)
			break;
		end += got;
		dentry = parent;
	}
	/* Too deep or too long: what is missing at the top is shown as a directory of this name. */
	end = BOUNDED(end, DATA_MASK);
	__builtin_memcpy(&s->data[end], CUT_NAME, sizeof(CUT_NAME));
	return end + sizeof(CUT_NAME);
}

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (struct mount *)((char *)mnt - bpf_core_field_offset(struct mount, mnt));
}

static __always_inline __u32 put_struct_path(struct path *path, __u32 start)
{
	return put_path((__u64)mount_of(BPF_CORE_READ(path, mnt)), (__u64)BPF_CORE_READ(path, dentry), start);
}

/* The name of a file that is in no directory: a memfd. */
static __always_inline __u32 put_name(struct scratch *s, struct dentry *dentry, __u32 start)
{
	long got = bpf_probe_read_kernel_str(&s->data[BOUNDED(start, DATA_MASK)], NAME_BYTES, BPF_CORE_READ(dentry, d_name.name));

	return got > 0 && got <= NAME_BYTES ? start + got : start;
}

static __always_inline struct kernfs_node *parent_of(struct kernfs_node *node)
{
	if (bpf_core_field_exists(node->__parent))
		return BPF_CORE_READ(node, __parent);
	return BPF_CORE_READ((struct kernfs_node___old *)node, parent);
}

/*
 * Where to start on the way up from a cgroup: at itself, or of a deeper one at its ancestor on the last level that is
 * looked at. A runtime's own are above that, whatever a container makes below.
 */
__attribute__((noinline)) __u64 outer_node(__u64 cgroup_address)
{
	struct cgroup *cgroup = (struct cgroup *)cgroup_address, *outer = 0;
	struct kernfs_node *node = BPF_CORE_READ(cgroup, kn);
	int level = BPF_CORE_READ(cgroup, level);

	if (level < CGROUP_LEVELS)
		return (__u64)node;
	if (bpf_core_field_exists(struct cgroup___v6_1, ancestors)) {
		__u64 offset = bpf_core_field_offset(struct cgroup___v6_1, ancestors) + (CGROUP_LEVELS - 1) * sizeof(outer);

		bpf_probe_read_kernel(&outer, sizeof(outer), (void *)(cgroup_address + offset));
		return (__u64)BPF_CORE_READ(outer, kn);
	}
#pragma clang loop unroll(disable)
	for (int step = 0; step < MAX_CGROUP_STEPS && level >= CGROUP_LEVELS; step++, level--)
		node = parent_of(node);
	return (__u64)node;
}

/* Names of the cgroup and those above it, deepest first. A container's id is one of them. */
__attribute__((noinline)) __u32 put_cgroup(__u64 cgroup_address, __u32 start)
{
	struct kernfs_node *node = (struct kernfs_node *)outer_node(cgroup_address);
	struct scratch *s = scratch_of_cpu();
	__u32 end = start;

	if (!s)
		return start;
	for (int step = 0; step < CGROUP_LEVELS && node; step++) {
		const char *name = BPF_CORE_READ(node, name);
		end = BOUNDED(end, DATA_MASK);
		long got = bpf_probe_read_kernel_str(&s->data[end], NAME_BYTES, name);
		if (got < 0 || got > NAME_BYTES)
			break;
		end += got;
		node = parent_of(node);
	}
	return end;
}

/* The unified cgroup, or where the runtime uses only v1, the first v1 cgroup that is not the root. */
static __always_inline struct cgroup *cgroup_of(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup *unified = BPF_CORE_READ(set, dfl_cgrp);

	if (BPF_CORE_READ(unified, level) > 0)
		return unified;
	for (int i = 0; i < 4; i++) {
		struct cgroup *cgroup = BPF_CORE_READ(set, subsys[i], cgroup);

		if (cgroup && BPF_CORE_READ(cgroup, level) > 0)
			return cgroup;
	}
	return unified;
}
