/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stops an exec of drift before it runs a single instruction of its own.
 *
 * User space says beforehand, container by container, what is blocked whatever its name, content and
 * parent; or, of one exec that it holds, that this one is. Everything fails open: without an entry for
 * the container, past the deadline that user space renews, or past the limit of kills, nothing is stopped.
 *
 * An image's file is never hit: in the container's own layer only a file is killed whose name no file of
 * the image has, in whatever folder. What the image has under that name is left to user space, which can
 * compare the content.
 */
#pragma once

#include "kernel.h"
#include "record.h"

#define SIGKILL 9
#define MAX_DEVICES 32
#define MINUTE_NS 60000000000ull
#define FILTER_WORDS 2048          /* 64 bits each: 16 KiB an image */
#define FILTER_HASHES 4
#define FNV_OFFSET 0xcbf29ce484222325ull
#define FNV_PRIME 0x100000001b3ull

enum blocked_kind {
	BLOCK_NEW = 1 << 0,        /* in the container's own layer, by a name that the image has nowhere */
	BLOCK_FILELESS = 1 << 1,
	BLOCK_FOREIGN = 1 << 2,    /* on a filesystem that the runtime did not mount */
	BLOCK_VOLUME = 1 << 3,     /* on one that it did */
};

/* Of the container whose root filesystem has this device number. */
struct enforcement {
	__u64 upper_ino;           /* of its own layer: device numbers are given away again */
	__u64 workload;            /* whose limit of kills it shares */
	__u64 image;
	__u32 kinds;
	__u32 device_count;
	__u32 devices[MAX_DEVICES]; /* that the runtime mounted */
};

struct name_filter { __u64 words[FILTER_WORDS]; };
struct budget { __u64 since_ns; __u32 kills; __u32 unused; };

enum mark_what { MARK_KILL = 1, MARK_KILL_SCRIPT = 2, MARK_LATE = 3 };

/* What user space found of the exec that a thread is about to make, by the file that it opened for it. */
struct mark {
	__u64 until_ns;
	__s64 ctime_ns;
	__u64 size;
	__u32 what;
	__u32 unused;
};

struct guard { __u64 deadline_ns; __u32 kills_per_minute; __u32 unused; };

struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4096); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, __u32); __type(value, struct enforcement); } enforcement SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1024); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, __u64); __type(value, struct name_filter); } image_names SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 4096); __type(key, __u64); __type(value, struct budget); } budgets SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 4096); __type(key, __u32); __type(value, struct mark); } marks SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, struct guard); } guard SEC(".maps");

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

static __always_inline bool within_limit(__u64 workload, __u64 now, __u32 most)
{
	struct budget *budget = bpf_map_lookup_elem(&budgets, &workload);
	struct budget first = { .since_ns = now, .kills = 1 };

	if (!budget) {
		bpf_map_update_elem(&budgets, &workload, &first, BPF_ANY);
		return 1;
	}
	if (now - budget->since_ns >= MINUTE_NS) {
		budget->since_ns = now;
		budget->kills = 0;
	}
	if (budget->kills >= most)
		return 0;
	__sync_fetch_and_add(&budget->kills, 1);
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

static __always_inline __u32 kind_of(struct enforcement *e, struct header *h, struct file *file, __u32 root_dev, struct scratch *s)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	bool is_known = !(h->flags & FLAG_UNKNOWN_NAMESPACE);
	__u32 dev = BPF_CORE_READ(inode, i_sb, s_dev);
	__u32 of_file = file_flags(dentry, inode);

	/* Before its first exec of its own, a runtime's hooks may run in a container, from a memfd. */
	if (of_file & FLAG_MEMFD)
		return is_known ? BLOCK_FILELESS : 0;
	if (dev == root_dev) {
		if (!(h->flags & FLAG_UPPER) || of_file & FLAG_LOWER)
			return 0;
		return image_may_have(e->image, BPF_CORE_READ(dentry, d_name.name), s) ? 0 : BLOCK_NEW;
	}
	for (__u32 i = 0; i < MAX_DEVICES && i < e->device_count; i++)
		if (e->devices[i] == dev)
			return BLOCK_VOLUME;
	return is_known ? BLOCK_FOREIGN : 0;
}

/* Whether user space found that this very exec is to be stopped; a mark serves once. */
static __always_inline __u32 marked(struct header *h, struct file *file, __u32 thread, __u64 now)
{
	struct mark *found = bpf_map_lookup_elem(&marks, &thread);
	struct mark mark;

	if (!found)
		return 0;
	mark = *found;
	bpf_map_delete_elem(&marks, &thread);
	if (now > mark.until_ns)
		return 0;
	if (mark.what == MARK_KILL_SCRIPT)
		return h->flags & FLAG_SCRIPT ? MARK_KILL : 0;
	put_inode(h, BPF_CORE_READ(file, f_inode));
	if (h->ctime_sec * 1000000000 + h->ctime_nsec != mark.ctime_ns || h->size != mark.size)
		return 0;
	return mark.what;
}

/* Stop the exec at hand where that is asked for; what was done, as flags of its record. */
static __always_inline __u32 block(struct scratch *s, struct task_struct *task, __u32 thread, struct file *file, struct registration *known)
{
	struct super_block *root = BPF_CORE_READ(task, fs, root.mnt, mnt_sb);
	__u32 dev = known ? known->root_dev : BPF_CORE_READ(root, s_dev);
	__u64 now = bpf_ktime_get_boot_ns();
	struct enforcement *e;
	struct guard *g;
	__u32 zero = 0, what;

	g = bpf_map_lookup_elem(&guard, &zero);
	if (!g || now > g->deadline_ns)
		return g && g->deadline_ns ? FLAG_LATE : 0;
	e = bpf_map_lookup_elem(&enforcement, &dev);
	if (!e || !is_same_root(e, dev, root))
		return 0;
	what = marked(&s->header, file, thread, now);
	if (what == MARK_LATE)
		return FLAG_ENFORCED | FLAG_LATE;
	if (what != MARK_KILL && !(e->kinds & kind_of(e, &s->header, file, dev, s)))
		return FLAG_ENFORCED;
	if (!within_limit(e->workload, now, g->kills_per_minute))
		return FLAG_ENFORCED | FLAG_KILL_LIMIT;
	return bpf_send_signal(SIGKILL) ? FLAG_ENFORCED : FLAG_ENFORCED | FLAG_KILLED;
}
