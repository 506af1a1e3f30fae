/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stops an exec of drift before it runs a single instruction of its own.
 *
 * User space says beforehand, container by container, what is blocked whatever its name, content and
 * parent; or, of one exec that it holds, that this one is. Everything fails open: without an entry for
 * the container, or past the deadline that user space renews, nothing is stopped.
 *
 * An image's file is never hit: in the container's own layer only an exec is killed whose file has a name that no file of
 * the image has, in any directory. A name that the image has is left to user space, which can
 * compare the content.
 */
#pragma once

#include "kernel.h"
#include "record.h"

#define SIGKILL 9
#define MAX_DEVICES 32
#define FILTER_WORDS 2048          /* 64 bits each: 16 KiB an image */
#define FILTER_HASHES 4
#define FNV_OFFSET 0xcbf29ce484222325ull
#define FNV_PRIME 0x100000001b3ull

enum blocked_kind {
	BLOCK_NEW = 1 << 0,        /* in the container's own layer, by a name that the image has nowhere */
	BLOCK_FILELESS = 1 << 1,
	BLOCK_FOREIGN = 1 << 2,    /* on a filesystem that the runtime did not mount */
	BLOCK_VOLUME = 1 << 3,     /* on one that it did */
	BLOCK_SCRIPT = 1 << 4,     /* a script of a `#!` chain that is one of the first three */
	BLOCK_VOLUME_SCRIPT = 1 << 5,
	BLOCK_MAPPED = 1 << 6,     /* in the container's own layer, and mapped shared and writable by somebody */
};

#define SESSION_MASK 3         /* of `enum session`, as an index */

/* Of the container whose root filesystem has this device number. */
struct enforcement {
	__u64 upper_ino;           /* of its own layer: device numbers are given away again */
	__u64 image;
	__u32 kinds[SESSION_MASK + 1]; /* by session */
	__u32 device_count;
	__u32 unused;
	__u32 devices[MAX_DEVICES]; /* that the runtime mounted */
};

struct name_filter { __u64 words[FILTER_WORDS]; };

enum mark_what { MARK_KILL = 1, MARK_LATE = 2, MARK_CHECKED = 3 };

/*
 * What user space found of a file that a thread opened to execute: by the file itself, for one exec opens several
 * (a script, its interpreter, the loader), and not by its times, which anybody may change while the exec waits.
 * Inode 0 stands for a script that the kernel program can no longer find. What was checked may run with the data that it
 * had at the check, and no others.
 */
struct mark_key { __u64 ino; __u32 thread; __u32 unused; };
struct mark {
	__u64 until_ns, begun_ns, opened_ns, written_ns;
	/*
	 * Four bits of `enum mark_what` for each session: of a file whose writers are not known where it is executed, and behind
	 * these of one with the very writers that user space knows.
	 */
	__u64 what;
	__u32 origins;             /* the record's at the check */
	__u32 by_writers;          /* the two differ */
};
#define WHAT_BITS 4
#define KNOWN_WRITERS (WHAT_BITS * (SESSION_MASK + 1))

struct guard { __u64 deadline_ns; };

struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4096); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, __u32); __type(value, struct enforcement); } enforcement SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1024); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, __u64); __type(value, struct name_filter); } image_names SEC(".maps");
/* Nothing pushes a mark out: a container could make more of them, by execs that fail. User space removes what is left behind. */
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 16384); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, struct mark_key); __type(value, struct mark); } marks SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, struct guard); } guard SEC(".maps");
/*
 * By cgroup the mount namespace of the first exec in it: the container's own, once user space has registered it. Not of a memfd's
 * exec: that is a runtime's hook, and there may be another.
 */
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 16384); __type(key, __u64); __type(value, __u64); } first_namespaces SEC(".maps");

/*
 * The root filesystem of the container that a process is in by its cgroup, or by one above that; 0 where there is none
 * yet but that of this mount namespace. So a mount namespace that a process in a container makes for itself is not a new
 * container, whatever root it has there; while what a runtime runs before the container's first exec, such as hooks from
 * a memfd, is in none.
 */
__attribute__((noinline)) __u32 root_by_cgroup(__u64 cgroup_address, __u64 namespace, bool is_memfd)
{
	struct cgroup *cgroup = (struct cgroup *)cgroup_address;
	struct kernfs_node *node = (struct kernfs_node *)outer_node(cgroup_address);
	/* Each hierarchy of cgroups numbers its own. */
	__u64 hierarchy = (__u64)BPF_CORE_READ(cgroup, root, hierarchy_id) << 56;
	__u64 own = BPF_CORE_READ(node, id) ^ hierarchy;

	for (int step = 0; step < CGROUP_LEVELS && node; step++) {
		__u64 id = BPF_CORE_READ(node, id) ^ hierarchy;
		__u64 *first = bpf_map_lookup_elem(&first_namespaces, &id);
		struct registration *known = first ? bpf_map_lookup_elem(&namespaces, first) : 0;

		if (known && known->is_container == CONTAINER_BY_CGROUP && *first != namespace)
			return known->root_dev;
		node = parent_of(node);
	}
	if (!is_memfd)
		bpf_map_update_elem(&first_namespaces, &own, &namespace, BPF_ANY);
	return 0;
}

/* Whether any file of the image may have this name. Without a filter: it may. */
static __always_inline bool image_may_have(__u64 image, const unsigned char *name, struct scratch *s)
{
	struct name_filter *filter = bpf_map_lookup_elem(&image_names, &image);
	__u64 hash = FNV_OFFSET;
	long length = bpf_probe_read_kernel_str(s->data, NAME_BYTES, name);

	if (!filter || length <= 0)
		return 1;
#pragma clang loop unroll(disable)
	for (int i = 0; i < NAME_BYTES; i++) {
		if (!s->data[i])
			break;
		hash = (hash ^ s->data[i]) * FNV_PRIME;
	}
	for (int i = 0; i < FILTER_HASHES; i++) {
		__u32 bit = (hash >> (16 * i)) & (FILTER_WORDS * 64 - 1);

		if (!(filter->words[bit / 64] >> (bit % 64) & 1))
			return 0;
	}
	return 1;
}

/* Whether the entry is for this very filesystem, as far as the task still shows it. */
static __always_inline bool is_same_root(struct enforcement *e, __u32 dev, struct super_block *root)
{
	struct inode *inode;
	struct dentry *upper;

	if (BPF_CORE_READ(root, s_dev) != dev || BPF_CORE_READ(root, s_magic) != OVERLAY_MAGIC)
		return 1;
	inode = BPF_CORE_READ(root, s_root, d_inode);
	upper = upper_of(inode);
	return upper && BPF_CORE_READ(upper, d_inode, i_ino) == e->upper_ino;
}

/* Whether it is in the container's own layer: an unchanged file of the image is stopped by no mark. */
static __always_inline bool is_in_own_layer(struct inode *inode, __u32 root_dev)
{
	return BPF_CORE_READ(inode, i_sb, s_dev) == root_dev && BPF_CORE_READ(inode, i_sb, s_magic) == OVERLAY_MAGIC && upper_of(inode);
}

enum of_exec { EXEC_IS_WARM = 1, EXEC_IS_SCRIPT = 2 };

/* What kind of drift a file is, as far as the kernel can tell, by the addresses of its path; 0 where it may be the image's. */
__attribute__((noinline)) __u32 kind_of(__u64 mnt_address, __u64 dentry_address, __u32 root_dev, __u32 of_exec)
{
	struct dentry *dentry = (struct dentry *)dentry_address;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	struct enforcement *e = bpf_map_lookup_elem(&enforcement, &root_dev);
	__u32 dev = BPF_CORE_READ(inode, i_sb, s_dev);
	__u32 of_file = file_flags(dentry, inode);
	struct scratch *s = scratch_of_cpu();

	if (!e || !s)
		return 0;
	/* Before its first exec of its own, a runtime's hooks may run in a container, from a memfd. */
	if (of_file & FLAG_MEMFD)
		return of_exec & EXEC_IS_WARM ? BLOCK_FILELESS : 0;
	if (dev == root_dev) {
		if (!is_in_own_layer(inode, root_dev) || of_file & FLAG_LOWER)
			return 0;
		return image_may_have(e->image, BPF_CORE_READ(dentry, d_name.name), s) ? 0 : BLOCK_NEW;
	}
	for (__u32 i = 0; i < MAX_DEVICES && i < e->device_count; i++)
		if (e->devices[i] == dev)
			return BLOCK_VOLUME;
	return of_exec & EXEC_IS_WARM && !(of_exec & EXEC_IS_SCRIPT && is_of_host(mnt_address)) ? BLOCK_FOREIGN : 0;
}

/* The kinds of all files that were opened for an exec. */
static __always_inline __u32 kinds_of_exec(struct scratch *s, struct file *program, __u32 blocked, __u32 root_dev, bool is_warm)
{
	__u32 of_exec = (is_warm ? EXEC_IS_WARM : 0) | (s->header.flags & FLAG_SCRIPT ? EXEC_IS_SCRIPT : 0);
	__u32 kinds = kind_of((__u64)BPF_CORE_READ(program, f_path.mnt), (__u64)BPF_CORE_READ(program, f_path.dentry), root_dev, of_exec);
	struct opened_path *path = &s->files.interpreter;
	__u32 of_script;

	if (path->dentry)
		kinds |= kind_of(path->mnt, path->dentry, root_dev, of_exec);
	if (!(blocked & (BLOCK_SCRIPT | BLOCK_VOLUME_SCRIPT)))
		return kinds;
	for (__u32 i = 0; i < MAX_SCRIPTS; i++) {
		if (i >= s->files.script_count)
			continue;
		path = &s->files.scripts[i];
		of_script = kind_of(path->mnt, path->dentry, root_dev, of_exec);
		if (of_script)
			kinds |= of_script & BLOCK_VOLUME ? BLOCK_VOLUME_SCRIPT : BLOCK_SCRIPT;
	}
	return kinds;
}

/* Take what user space found of a file that this thread opened; it serves once. As of a file whose writers are not known. */
static __always_inline __u32 take_mark(struct mark *mark, __u32 thread, __u64 ino, __u64 now, __u32 session)
{
	struct mark_key key = { .ino = ino, .thread = thread };
	struct mark *found = bpf_map_lookup_elem(&marks, &key);

	if (!found) {
		mark->by_writers = 0;
		return 0;
	}
	*mark = *found;
	bpf_map_delete_elem(&marks, &key);
	if (now > mark->until_ns) {
		mark->by_writers = 0;
		return 0;
	}
	return mark->what >> (WHAT_BITS * (session & SESSION_MASK)) & ((1 << WHAT_BITS) - 1);
}

/* The same where its writers are known here. If there are others by now than at the check, it is as if nobody had looked in time. */
static __always_inline __u32 by_writers(struct mark *mark, struct file_state *now, __u32 session, __u32 unknown)
{
	if ((now->origins & (ORIGIN_WHOLE | ORIGIN_OTHER)) != ORIGIN_WHOLE)
		return unknown;
	if (now->origins != mark->origins || now->begun_ns != mark->begun_ns || now->opened_ns != mark->opened_ns || now->written_ns != mark->written_ns)
		return unknown == MARK_KILL || unknown == MARK_CHECKED ? MARK_KILL : MARK_LATE;
	return mark->what >> (KNOWN_WRITERS + WHAT_BITS * (session & SESSION_MASK)) & ((1 << WHAT_BITS) - 1);
}

/* Whether a file has the data that user space has checked. Where nothing shows that, it is believed: blocking fails open. */
static __always_inline bool is_as_checked(struct mark *mark, struct file_state *now)
{
	if (now->flags & STATE_MAPPED)
		return 0;
	if (now->flags & STATE_WRITES_SEEN)
		return now->begun_ns == mark->begun_ns && now->written_ns == mark->written_ns;
	return !(now->flags & STATE_OPENS_SEEN) || (now->begun_ns == mark->begun_ns && now->opened_ns == mark->opened_ns);
}

__attribute__((noinline)) __u32 mark_of(__u64 dentry_address, __u32 root_dev, __u32 thread, __u64 now, __u32 session)
{
	struct inode *inode = BPF_CORE_READ((struct dentry *)dentry_address, d_inode);
	struct file_state state;
	struct enforcement *e;
	struct mark mark = {};
	__u32 what = take_mark(&mark, thread, BPF_CORE_READ(inode, i_ino), now, session);

	if (!is_in_own_layer(inode, root_dev))
		return what == MARK_LATE ? what : 0;
	if (what == MARK_KILL && !mark.by_writers)
		return what;
	put_state(&state, real_inode(inode), 1);
	if (mark.by_writers)
		what = by_writers(&mark, &state, session, what);
	if (what == MARK_KILL)
		return what;
	if (what == MARK_CHECKED)
		return is_as_checked(&mark, &state) ? 0 : MARK_KILL;
	/* Who holds execs is told of writes, but not of those through a mapping: such a file may not have been held at all. */
	e = bpf_map_lookup_elem(&enforcement, &root_dev);
	return e && e->kinds[session & SESSION_MASK] & BLOCK_MAPPED && state.flags & (STATE_MAPPED | STATE_WAS_MAPPED) ? MARK_KILL : what;
}

/* What user space found of the files of this very exec: one that it could not look at in time spares no other. */
static __always_inline __u32 marked(struct scratch *s, struct file *program, __u32 root_dev, __u32 thread, __u64 now, __u32 session)
{
	__u32 what = mark_of((__u64)BPF_CORE_READ(program, f_path.dentry), root_dev, thread, now, session), other;
	struct mark mark = {};

	if (s->files.interpreter.dentry) {
		other = mark_of(s->files.interpreter.dentry, root_dev, thread, now, session);
		what = what == MARK_KILL || !other ? what : other;
	}
	if (s->header.flags & FLAG_SCRIPT && !s->files.script_count) {
		other = take_mark(&mark, thread, 0, now, session);
		what = what == MARK_KILL || !other ? what : other;
	}
	for (__u32 i = 0; i < MAX_SCRIPTS; i++) {
		if (i >= s->files.script_count)
			continue;
		other = mark_of(s->files.scripts[i].dentry, root_dev, thread, now, session);
		what = what == MARK_KILL || !other ? what : other;
	}
	return what;
}

/* Stop the current exec where that is wanted; what was done, as flags of its record. */
static __always_inline __u32 block(struct scratch *s, struct task_struct *task, __u32 thread, struct file *file, struct registration *known)
{
	struct super_block *root = BPF_CORE_READ(task, fs, root.mnt, mnt_sb);
	bool is_memfd = file_flags(BPF_CORE_READ(file, f_path.dentry), BPF_CORE_READ(file, f_inode)) & FLAG_MEMFD;
	__u32 dev = known ? known->root_dev : root_by_cgroup((__u64)cgroup_of(task), s->header.namespace_id, is_memfd);
	__u64 now = bpf_ktime_get_boot_ns();
	struct enforcement *e;
	struct guard *g;
	__u32 zero = 0, what, met, session, blocked;
	bool is_warm = 1;

	g = bpf_map_lookup_elem(&guard, &zero);
	if (!g || now > g->deadline_ns)
		return g && g->deadline_ns ? FLAG_LATE : 0;
	e = bpf_map_lookup_elem(&enforcement, &dev);
	if (!e && s->header.flags & FLAG_UNKNOWN_NAMESPACE) {
		dev = BPF_CORE_READ(root, s_dev);
		e = bpf_map_lookup_elem(&enforcement, &dev);
		is_warm = 0;
	}
	if (!e || !is_same_root(e, dev, root))
		return 0;
	met = is_warm ? FLAG_ENFORCED | FLAG_WARM : FLAG_ENFORCED;
	session = session_of(task);
	blocked = e->kinds[session & SESSION_MASK];
	what = marked(s, file, dev, thread, now, session);
	/* What needs no look is stopped also where user space had no time for one. */
	if (what != MARK_KILL && !(blocked & kinds_of_exec(s, file, blocked, dev, is_warm)))
		return what == MARK_LATE ? met | FLAG_LATE : met;
	return bpf_send_signal(SIGKILL) ? met : met | FLAG_KILLED;
}
