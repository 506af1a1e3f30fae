/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's types, as little of them as is used. CO-RE puts the fields where the running kernel
 * has them, so no kernel headers are needed. A name with ___ is another form of the type before it.
 */
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;

enum { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERCPU_ARRAY = 6, BPF_MAP_TYPE_LRU_HASH = 9, BPF_MAP_TYPE_RINGBUF = 27 };
enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_F_NO_PREALLOC = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum bpf_func_id { BPF_FUNC_get_current_task_btf = 158, BPF_FUNC_task_pt_regs = 175 };

struct qstr { const unsigned char *name; } __attribute__((preserve_access_index));
struct super_block {
	__u32 s_dev;
	unsigned long s_magic, s_flags;
	struct dentry *s_root;
	void *s_fs_info;
} __attribute__((preserve_access_index));
struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
} __attribute__((preserve_access_index));
struct timespec64 { __s64 tv_sec; long tv_nsec; } __attribute__((preserve_access_index));
typedef struct { int counter; } atomic_t;
struct address_space { struct inode *host; atomic_t i_mmap_writable; } __attribute__((preserve_access_index));
struct inode {
	__u16 i_mode;
	struct address_space *i_mapping;
	atomic_t i_writecount;
	struct super_block *i_sb;
	unsigned long i_ino;
	__s64 i_size;
	__s64 i_mtime_sec, i_ctime_sec;
	__u32 i_mtime_nsec, i_ctime_nsec;
	__u32 i_generation;
	atomic_t i_count;
	__u8 i_blkbits;
	__u32 i_flags;
} __attribute__((preserve_access_index));
struct folio { struct address_space *mapping; } __attribute__((preserve_access_index));
struct buffer_head { struct folio *b_folio; } __attribute__((preserve_access_index));
struct percpu_counter { __s64 count; } __attribute__((preserve_access_index));
struct ext4_sb_info {
	unsigned int s_mount_opt;
	struct percpu_counter s_freeclusters_counter, s_dirtyclusters_counter;
} __attribute__((preserve_access_index));
struct ext4_inode_info { unsigned long i_flags; struct inode vfs_inode; } __attribute__((preserve_access_index));
/* Before 6.11 one struct held the time, under two names. */
struct inode___v6_6 { struct timespec64 __i_mtime, __i_ctime; } __attribute__((preserve_access_index));
struct inode___old { struct timespec64 i_mtime, i_ctime; } __attribute__((preserve_access_index));
struct ovl_entry { unsigned int __numlower; } __attribute__((preserve_access_index));
struct ovl_inode {
	struct inode vfs_inode;
	struct dentry *__upperdentry;
	struct ovl_entry *oe;
} __attribute__((preserve_access_index));
struct vfsmount { struct dentry *mnt_root; struct super_block *mnt_sb; } __attribute__((preserve_access_index));
/* From 5.12 until 6.2. */
struct vfsmount___v5_12 { struct user_namespace *mnt_userns; } __attribute__((preserve_access_index));
/* Since 6.3. */
struct mnt_idmap { int unused; } __attribute__((preserve_access_index));
struct iattr { unsigned int ia_valid; } __attribute__((preserve_access_index));
struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
} __attribute__((preserve_access_index));
struct path { struct vfsmount *mnt; struct dentry *dentry; } __attribute__((preserve_access_index));
struct callback_head { struct callback_head *next; } __attribute__((preserve_access_index));
struct file {
	unsigned int f_mode, f_flags;
	const struct cred *f_cred;
	struct path f_path;
	struct inode *f_inode;
	struct callback_head f_task_work;
} __attribute__((preserve_access_index));
/* Around a file that overlay has opened in a layer, since 6.8 with the path that it was opened by. */
struct backing_file { struct path user_path; } __attribute__((preserve_access_index));
struct kiocb { struct file *ki_filp; } __attribute__((preserve_access_index));
struct file___v6_0 { struct callback_head f_rcuhead; } __attribute__((preserve_access_index));
/* Before 6.0: the first of this union's members is the same. */
struct file___old { struct { int unused; } f_u; } __attribute__((preserve_access_index));
struct inode___v6_12 { __u32 i_state; } __attribute__((preserve_access_index));
enum inode_state_flags_t { I_DIRTY_SYNC = 1, I_DIRTY_PAGES = 4, I_DIRTY_TIME = 2048 };
struct fdtable { unsigned int max_fds; struct file **fd; } __attribute__((preserve_access_index));
struct files_struct { struct fdtable *fdt; } __attribute__((preserve_access_index));
struct fs_struct { struct path root; struct path pwd; } __attribute__((preserve_access_index));
struct ns_common { unsigned int inum; } __attribute__((preserve_access_index));
struct ns_common___v6_18 { __u64 ns_id; } __attribute__((preserve_access_index));
struct mnt_namespace { struct ns_common ns; } __attribute__((preserve_access_index));
struct mnt_namespace___v6_18 { struct ns_common___v6_18 ns; } __attribute__((preserve_access_index));
struct mnt_namespace___old { __u64 seq; } __attribute__((preserve_access_index));
struct nsproxy { struct mnt_namespace *mnt_ns; } __attribute__((preserve_access_index));
struct kernfs_node { const char *name; __u64 id; struct kernfs_node *__parent; } __attribute__((preserve_access_index));
struct kernfs_node___old { struct kernfs_node *parent; } __attribute__((preserve_access_index));
struct cgroup_root { int hierarchy_id; } __attribute__((preserve_access_index));
struct cgroup { int level; struct kernfs_node *kn; struct cgroup_root *root; } __attribute__((preserve_access_index));
/* Since 6.1: from its hierarchy's root to itself. */
struct cgroup___v6_1 { struct cgroup *ancestors[1]; } __attribute__((preserve_access_index));
struct cgroup_subsys_state { struct cgroup *cgroup; } __attribute__((preserve_access_index));
struct css_set { struct cgroup_subsys_state *subsys[4]; struct cgroup *dfl_cgrp; } __attribute__((preserve_access_index));
struct pid_namespace { struct ns_common ns; struct task_struct *child_reaper; } __attribute__((preserve_access_index));
struct upid { int nr; struct pid_namespace *ns; } __attribute__((preserve_access_index));
struct pid { unsigned int level; struct upid numbers[1]; } __attribute__((preserve_access_index));
struct mm_struct { unsigned long arg_start, arg_end, env_start, env_end; struct file *exe_file; } __attribute__((preserve_access_index));
/* Before 6.1 the mappings were a list. */
struct vm_area_struct { struct file *vm_file; } __attribute__((preserve_access_index));
struct vm_area_struct___v6_0 { struct vm_area_struct___v6_0 *vm_next; struct file *vm_file; } __attribute__((preserve_access_index));
struct mm_struct___v6_0 { struct vm_area_struct___v6_0 *mmap; } __attribute__((preserve_access_index));
struct pt_regs;
struct pt_regs___x86 { unsigned long ip, orig_ax; } __attribute__((preserve_access_index));
struct pt_regs___arm64 { __s32 syscallno; } __attribute__((preserve_access_index));
struct user_pt_regs { __u64 pc; } __attribute__((preserve_access_index));
struct signal_struct { atomic_t live; } __attribute__((preserve_access_index));
struct task_struct {
	int pid, tgid;
	unsigned int ptrace;
	__u64 parent_exec_id;
	__u64 self_exec_id;
	struct task_struct *real_parent, *group_leader;
	struct pid *thread_pid;
	__u64 start_boottime;
	struct mm_struct *mm;
	struct callback_head *task_works;
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct css_set *cgroups;
	struct signal_struct *signal;
	char comm[16];
} __attribute__((preserve_access_index));
/* Before 5.5. */
struct task_struct___old { __u64 real_start_time; } __attribute__((preserve_access_index));
struct linux_binprm {
	struct file *file;
	const char *filename;
	const char *interp;
	char buf[256];
} __attribute__((preserve_access_index));


/* What the tracepoint syscalls/sys_enter_mmap gives: its format file in tracefs. */
struct mmap_arguments { __u64 common; __s64 number; __u64 address, length, protection, flags, fd, offset; };
