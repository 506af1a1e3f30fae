/* SPDX-License-Identifier: GPL-2.0-only */
/* Layout of a record in the ring; sensor/record.py decodes it and must match. */
#pragma once

#include "kernel.h"

#define RECORD_VERSION 2
#define MAX_PATH_BYTES 4096
#define MAX_ARGV_BYTES 4096
#define MAX_LOADER_ARGV_BYTES 32768
#define MAX_ANCESTORS 16
#define DATA_MASK 0xffff      /* 64 KiB of names and argv, a power of two for the verifier */

enum flag {
	FLAG_UNKNOWN_NAMESPACE = 1 << 0,
	FLAG_UPPER = 1 << 1,       /* overlay has a copy in the upper layer */
	FLAG_LOWER = 1 << 2,       /* overlay has it in a lower layer, as far as the kernel shows that */
	FLAG_SCRIPT = 1 << 3,      /* started by a #! line: the file is the interpreter */
	FLAG_LOADER = 1 << 4,
	FLAG_MEMFD = 1 << 5,
	FLAG_ARGV_CUT = 1 << 6,
	FLAG_ARGV_UNREADABLE = 1 << 7,
	FLAG_OVERLAY_ROOT = 1 << 8, /* the task's root directory is on an overlay */
	FLAG_LIBRARY = 1 << 9,     /* no exec: the file is mapped into a running program */
	FLAG_SCRIPT_SEEN = 1 << 10, /* the script's file was found: `script` describes it */
	FLAG_SCRIPT_UPPER = 1 << 11, /* overlay has the script in its upper layer */
	FLAG_INTERPRETER = 1 << 12, /* an interpreter, where those are wanted */
	FLAG_ROOT_BELOW = 1 << 13, /* the task's root directory is not the top of its filesystem: a directory of the node's */
	FLAG_KILLED = 1 << 16,     /* stopped before its first instruction */
	FLAG_ENFORCED = 1 << 18,   /* the kernel knew at the time what to block in this container */
	FLAG_LATE = 1 << 19,       /* user space did not finish with it in time, or is gone */
	FLAG_WARM = 1 << 20,       /* its container had been seen to run something of its own */
};

struct ancestor { __u32 pid; char comm[16]; };

/* One file, as the exec found it. */
struct file_facts {
	__u64 ino;
	__u64 size;
	__s64 ctime_sec;
	__u32 ctime_nsec;
	__u32 dev;            /* of its superblock */
	__u32 magic;
	__u32 below_mount;    /* bytes of its path that lie below its own mount */
};

/* The process that wrote a file last; all 0 where that was not seen. */
struct writer {
	__u64 at_ns;          /* since boot */
	__u32 pid;
	__u32 parent_pid;
	char comm[16];
	char parent_comm[16];
};

/* Sections of `data` come in this order; each length in bytes. */
enum section {
	PATH,         /* as the mount namespace shows it */
	INNER_PATH,   /* within its filesystem: what overlay looks up in its layers; also where the root is no overlay */
	CWD,
	ROOT,         /* the task's root directory: not / after a chroot */
	PARENT_PATH,  /* the parent's executable */
	CGROUP,
	FILENAME,     /* of a script, as it was given to execve */
	LOADED_BY,    /* the executable of the program that maps a library */
	WRITER_PATH,  /* the program that wrote the file */
	SCRIPT_PATH,  /* of a script that was seen, without symlinks */
	SCRIPT_INNER, /* within its filesystem, where INNER_PATH would be there too */
	SCRIPT_WRITER_PATH,
	ARGV,
	SECTIONS
};

struct header {
	__u32 version;
	__u32 flags;
	__u64 time_ns;        /* since boot */
	__u64 start_ns;       /* of the process, since boot */
	__u64 namespace_id;   /* of the mount namespace: unique, never used again */
	__u64 ino;
	__u64 size;
	__s64 ctime_sec;
	__u32 ctime_nsec;
	__u32 namespace_inum;
	__u32 dev;            /* of the file's superblock */
	__u32 root_dev;       /* of the task's root directory */
	__u32 pid;
	__u32 uid;
	__u32 ancestor_count;
	__u32 magic;          /* of the file's superblock: statfs(2) */
	__u32 below_mount;    /* bytes of PATH that lie below the file's own mount */
	__u32 length[SECTIONS];
	struct file_facts script;
	struct writer writer;
	struct writer script_writer;
	struct ancestor ancestors[MAX_ANCESTORS];
};

struct scratch {
	struct header header;
	unsigned char data[DATA_MASK + 1 + MAX_PATH_BYTES];
};

