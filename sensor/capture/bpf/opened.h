/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The files that the kernel opened for an exec besides the program, as its tracepoint still shows them: each script of a
 * `#!` chain, and the program interpreter (PT_INTERP).
 */
#pragma once

#include "kernel.h"
#include "record.h"

#define MAX_SCRIPTS 8              /* a power of two for the verifier; the kernel gives up after five (fs/exec.c) */
#define MAX_CLOSED_FILES 1024      /* that one exec may close before its scripts can't be found any more */
#define MAX_MAPPINGS 2048          /* of a program that is just being started */
#define OPENED_FOR_EXEC 0x20       /* in f_flags: __FMODE_EXEC of the kernel */
#define ELF_MAGIC 0x464c457f
#define ELF_64 2
#define PT_INTERP 3
#define INTERNAL_MOUNT (-22ull)     /* in mnt_ns: MNT_NS_INTERNAL of the kernel */

/* The start of an ELF file, as elf(5) has it: its header, and the first program headers where they follow at once. */
struct elf_start {
	__u32 magic;
	unsigned char class, rest_of_ident[11];
	__u32 type_and_machine, version;
	__u64 entry, headers, sections;
	__u32 flags, sizes[3];
	struct { __u32 type, flags; __u64 offsets[3], sizes[2], align; } programs[3];
};

static __always_inline bool is_of_image(struct inode *inode, struct registration *known)
{
	struct super_block *sb = BPF_CORE_READ(inode, i_sb);

	if (!known || BPF_CORE_READ(sb, s_dev) != known->root_dev)
		return 0;
	return BPF_CORE_READ(sb, s_magic) != OVERLAY_MAGIC || !upper_of(inode);
}

/* Where a file in a list of work is in its struct. */
static __always_inline __u64 work_offset(void)
{
	if (bpf_core_field_exists(struct file, f_task_work))
		return bpf_core_field_offset(struct file, f_task_work);
	if (bpf_core_field_exists(struct file___v6_0, f_rcuhead))
		return bpf_core_field_offset(struct file___v6_0, f_rcuhead);
	return bpf_core_field_offset(struct file___old, f_u);
}

static __always_inline void keep_script(struct exec_files *files, struct file *file)
{
	struct opened_path *script = &files->scripts[BOUNDED(files->script_count, MAX_SCRIPTS - 1)];

	script->mnt = (__u64)BPF_CORE_READ(file, f_path.mnt);
	script->dentry = (__u64)BPF_CORE_READ(file, f_path.dentry);
	files->script_count++;
}

/* Whether it was opened in the node's own mount namespace: so is the interpreter of a binfmt_misc handler with flag F. */
static __always_inline bool is_of_host(__u64 mnt_address)
{
	struct mount *mount = mount_of((struct vfsmount *)mnt_address);

	return BPF_CORE_READ(mount, mnt_ns, ns.inum) == host_namespace_inum;
}

/*
 * The scripts of a `#!` exec, innermost first. The kernel has dropped its references by now, but closes a file only when
 * the thread goes back to user space: until then it waits in the task's list of work, newest first, with all else that the exec
 * closed. What was opened to be executed is marked so, as no descriptor of a program's is. Of these, what the thread ran until
 * now waits there too, with its program interpreter, where nobody else runs it, as of a runtime that starts a container:
 * that was closed after the scripts, and opened with other credentials, as each exec makes new ones. The scripts have those
 * of the program, unless a binfmt_misc handler opened that beforehand. The count stays 0 where the
 * list is too long, or was worked off already, as of a thread with an io_uring.
 */
__attribute__((noinline)) int find_scripts(__u64 work_address, __u64 program_address)
{
	struct callback_head *work = (struct callback_head *)work_address;
	struct file *program = (struct file *)program_address;
	struct scratch *s = scratch_of_cpu();
	__u64 offset = work_offset(), credentials = 0;

	if (!s)
		return 0;
	s->files.script_count = 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_CLOSED_FILES && work; i++) {
		struct file *file = (struct file *)((__u64)work - offset);
		struct inode *inode = BPF_CORE_READ(file, f_inode);

		/* Other work may wait there too: this can be no file unless its parts agree. */
		if (inode && BPF_CORE_READ(file, f_flags) & OPENED_FOR_EXEC && BPF_CORE_READ(file, f_path.dentry, d_inode) == inode) {
			if ((__u64)BPF_CORE_READ(file, f_cred) != credentials)
				s->files.script_count = 0;
			credentials = (__u64)BPF_CORE_READ(file, f_cred);
			keep_script(&s->files, file);
		}
		work = BPF_CORE_READ(work, next);
	}
	if (work || s->files.script_count > MAX_SCRIPTS)
		s->files.script_count = 0;
	if (credentials != (__u64)BPF_CORE_READ(program, f_cred) && !is_of_host((__u64)BPF_CORE_READ(program, f_path.mnt)))
		s->files.script_count = 0;
	return 0;
}

/* As `pid_of`, by a trusted pointer, which is read without a call. */
static __always_inline __u32 own_pid(struct task_struct *leader)
{
	return nested_pid_namespace ? nested_pid(address_of(leader)) : leader->tgid;
}

/*
 * Look at what an exec has opened besides the program. An interpreter that is the image's is left out. Returns FLAG_UNSEEN where
 * there may be a file that can't be found.
 */
static __always_inline __u32 look_at_opened(struct exec_files *files, struct task_struct *task, __u32 thread, __u64 program, bool is_script, struct registration *known)
{
	struct dentry *interpreter;
	__u32 flags = 0;

	files->script_count = 0;
	if (is_script)
		find_scripts((__u64)BPF_CORE_READ(task, task_works), program);
	if (is_script && !files->script_count)
		flags = FLAG_UNSEEN;
	if (files->thread != thread)
		files->interpreter.dentry = 0;
	else if (files->is_unseen)
		flags = FLAG_UNSEEN;
	files->thread = 0;
	interpreter = (struct dentry *)files->interpreter.dentry;
	if (interpreter && is_of_image(BPF_CORE_READ(interpreter, d_inode), known))
		files->interpreter.dentry = 0;
	return flags;
}

/* Append what is known of a file that was opened for the exec, and its strings. Returns the new end of the data. */
__attribute__((noinline)) __u32 put_opened(__u64 mnt_address, __u64 dentry_address, __u32 role, __u32 start)
{
	struct mount *mount = mount_of((struct vfsmount *)mnt_address);
	struct dentry *dentry = (struct dentry *)dentry_address;
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	struct scratch *s = scratch_of_cpu();
	struct opened_file *opened;
	__u32 end, flags, at;

	if (!s || start > DATA_MASK - MAX_PATH_BYTES)
		return start;
	opened = (struct opened_file *)&s->data[BOUNDED(start, DATA_MASK)];
	put_file(&opened->file, inode);
	flags = file_flags(dentry, inode);
	if (BPF_CORE_READ(inode, i_sb, s_magic) == OVERLAY_MAGIC && upper_of(inode))
		flags |= FLAG_UPPER;
	opened->role = role;
	opened->flags = flags;
	opened->unused = 0;
	put_state(&opened->state, real_inode(inode), flags & FLAG_UPPER);
	at = start + sizeof(*opened);
	s->header.below_mount = 0;
	if (flags & FLAG_MEMFD)
		end = put_name(s, dentry, at);
	else
		end = put_path((__u64)mount, dentry_address, at);
	opened->file.below_mount = s->header.below_mount;
	opened->path_bytes = end - at;
	at = end;
	if (flags & FLAG_UPPER || !(s->header.flags & FLAG_OVERLAY_ROOT))
		end = put_path(0, dentry_address, at);
	opened->inner_path_bytes = end - at;
	at = end;
	end = put_writer(s, &opened->writer, inode, at);
	opened->writer_path_bytes = end - at;
	return end;
}

/*
 * The path by which a mapped file was opened. Overlay has the layer's own file mapped: that has the path as its own or, since
 * Linux 6.8, in a struct around it. Such a file is on a mount of overlay's own, as nothing else is but files in no directory.
 */
static __always_inline void mapped_path(struct opened_path *path, struct file *file)
{
	struct backing_file *backing = (struct backing_file *)(__u64)file;
	struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);

	if (bpf_core_field_exists(struct backing_file, user_path) && (__u64)BPF_CORE_READ(mount_of(mnt), mnt_ns) == INTERNAL_MOUNT
	    && BPF_CORE_READ(dentry, d_parent) != dentry) {
		mnt = BPF_CORE_READ(backing, user_path.mnt);
		dentry = BPF_CORE_READ(backing, user_path.dentry);
	}
	path->mnt = (__u64)mnt;
	path->dentry = (__u64)dentry;
}

/* Note a file that is mapped, if it is not the program itself: then it is the program's interpreter. Nothing else is mapped yet. */
static __always_inline bool is_interpreter_mapping(struct exec_files *files, struct file *file, __u64 program)
{
	struct opened_path path;

	mapped_path(&path, file);
	if (path.dentry == program)
		return 0;
	files->interpreter = path;
	return 1;
}

/*
 * Whether a program surely names no interpreter, by its first bytes: PT_INTERP comes before all that is loaded. Who could make a
 * program that hides it has a program that is drift itself.
 */
static __always_inline bool is_static(struct linux_binprm *bprm)
{
	struct elf_start start;

	bpf_probe_read_kernel(&start, sizeof(start), bprm->buf);
	return start.magic == ELF_MAGIC && start.class == ELF_64 && start.headers == sizeof(start) - sizeof(start.programs)
	       && start.programs[0].type != PT_INTERP && start.programs[1].type != PT_INTERP && start.programs[2].type != PT_INTERP;
}

/* Where to note the interpreter of an exec; NULL where it has none, or is not in a container. */
static __always_inline struct exec_files *begin_mappings(struct task_struct *task, __u32 thread, struct linux_binprm *bprm)
{
	struct scratch *s;

	if (task->nsproxy->mnt_ns->ns.inum == host_namespace_inum)
		return 0;
	s = scratch_of_cpu();
	if (!s)
		return 0;
	s->files.thread = thread;
	s->files.interpreter.dentry = 0;
	s->files.is_unseen = !is_static(bprm);
	return s->files.is_unseen ? &s->files : 0;
}

struct search { __u64 program; };

static long on_mapping_found(struct task_struct *task, struct vm_area_struct *area, struct search *search)
{
	struct scratch *s = scratch_of_cpu();

	if (s && area->vm_file && is_interpreter_mapping(&s->files, area->vm_file, search->program))
		s->files.is_unseen = 0;
	return 0;
}

/* Since Linux 5.17: the file whose code runs first. One that lets the program's own code run first stays unseen, and is reported so. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_mapping, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct exec_files *files = begin_mappings(task, old_pid, bprm);
	struct search search;
	struct pt_regs *registers;
	__u64 start;

	if (!files)
		return 0;
	search.program = (__u64)bprm->file->f_path.dentry;
	registers = (struct pt_regs *)bpf_task_pt_regs(task);
	if (bpf_core_field_exists(struct pt_regs___x86, ip))
		start = BPF_CORE_READ((struct pt_regs___x86 *)registers, ip);
	else
		start = BPF_CORE_READ((struct user_pt_regs *)registers, pc);
	bpf_find_vma(task, start, on_mapping_found, &search, 0);
	return 0;
}

/* Before Linux 5.17: the mappings are a list. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_mapping_list, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct exec_files *files = begin_mappings(task, old_pid, bprm);
	__u64 program = (__u64)bprm->file->f_path.dentry;
	struct vm_area_struct___v6_0 *area;
	struct mm_struct___v6_0 *mm;
	struct file *file;

	if (!files || !bpf_core_field_exists(struct mm_struct___v6_0, mmap))
		return 0;
	mm = (struct mm_struct___v6_0 *)BPF_CORE_READ(task, mm);
	area = BPF_CORE_READ(mm, mmap);
	files->is_unseen = 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_MAPPINGS && area; i++) {
		file = BPF_CORE_READ(area, vm_file);
		if (file && is_interpreter_mapping(files, file, program))
			return 0;
		area = BPF_CORE_READ(area, vm_next);
	}
	files->is_unseen = area != 0;
	return 0;
}
