/* SPDX-License-Identifier: GPL-2.0-only */
/* Layout of a record in the ring; sensor/record.py decodes it and must match. */
#pragma once

#include "kernel.h"

#define RECORD_VERSION 7
#define MAX_PATH_BYTES 4096
#define MAX_ARGV_BYTES 4096
#define MAX_LOADER_ARGV_BYTES 32768
#define MAX_ENVIRON_BYTES 32768
#define MAX_ANCESTORS 16
#define MAX_LINEAGE 4
#define TRACKS 256            /* containers whose last execs are kept */
#define TRACK_EXECS 64        /* of each container, in turns */
#define EARLY_EXECS 16        /* of each container, from before the kernel program knew it: user space keeps them here */
#define KEPT_ANCESTORS 4
#define KEPT_UNREADABLE 0xffffffff
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
	FLAG_UNSEEN = 1 << 10,     /* a script, or the program interpreter, could not be found; with FLAG_READ: what it reads from now on is not sent */
	FLAG_READ = 1 << 11,       /* with FLAG_LIBRARY: read by an interpreter, not mapped */
	FLAG_INTERPRETER = 1 << 12, /* an interpreter, where those are wanted */
	FLAG_ROOT_BELOW = 1 << 13, /* the task's root directory is not the top of its filesystem: a directory of the node's */
	FLAG_STANDARD_INPUT = 1 << 14, /* with FLAG_READ */
	FLAG_KILLED = 1 << 16,     /* stopped before its first instruction */
	FLAG_ENFORCED = 1 << 18,   /* the kernel knew at the time what to block in this container */
	FLAG_LATE = 1 << 19,       /* user space did not finish with it in time, or is gone */
	FLAG_WARM = 1 << 20,       /* its container had been seen to run something of its own */
	FLAG_ENTRY = 1 << 21,      /* the first exec of a process that entered its container: ENVIRON has its environment */
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

enum state_flag {
	STATE_OPEN = 1 << 0,         /* somebody has it open for writing */
	STATE_MAPPED = 1 << 1,       /* somebody has it mapped, shared and writable */
	STATE_OPENS_SEEN = 1 << 2,   /* each open for writing is seen */
	STATE_WRITES_SEEN = 1 << 3,  /* each write of data is seen: an open alone is none */
	STATE_WAS_MAPPED = 1 << 4,   /* it was mapped so at some time since the record began */
};

/* What a program is as a writer, and who has opened a file for writing since its record began. */
enum origin {
	ORIGIN_IMAGE = 1 << 0,   /* unchanged from its container's image, with all code that it was started with */
	ORIGIN_RUNTIME = 1 << 1, /* a program of the node: also where it has entered a container */
	ORIGIN_UNKNOWN = 1 << 2, /* an interpreter that was given a command, a process that is traced, or was lost */
	ORIGIN_DRIFT = 1 << 3,
	ORIGIN_OTHER = 1 << 4,   /* somebody was in another mount namespace than the one that runs it */
	ORIGIN_WHOLE = 1 << 5,   /* the file was empty when the record began: nobody else wrote to it */
	ORIGIN_ENV = 1 << 6,     /* with ORIGIN_IMAGE: env(1) for a script of the image, which it runs next */
	ORIGIN_WORKLOAD = 1 << 7, /* somebody in the session of that name (`enum session`) */
	ORIGIN_EXEC = 1 << 8,
	ORIGIN_NO_SESSION = 1 << 9, /* somebody whose session is not known, as of the node's own programs */
	ORIGIN_SEVERAL = 1 << 10, /* more than one program */
};

/* How a process came into its container (sessions.h). */
enum session {
	SESSION_UNKNOWN,
	SESSION_WORKLOAD,     /* descends from the container's own first process */
	SESSION_EXEC,         /* somebody entered the container from outside */
	SESSION_ENTERING,     /* has joined the container's mount namespace, and run nothing there yet; not in a record */
};

/* What the record of writers knows of a file's data, and which inode that is. Times are since boot. */
struct file_state {
	__u64 ino;            /* overlay's upper file has one of its own */
	__u64 begun_ns;       /* 0 where there is no record */
	__u64 opened_ns;      /* for writing, the last time; 0 where that was not seen */
	__u64 written_ns;     /* 0 where no write was seen */
	__u32 dev;
	__u32 generation;     /* of an inode number that was given away again */
	__u32 flags;
	__u32 origins;        /* flags of `enum origin` */
};

/* The process that wrote a file last; all 0 where that was not seen. */
struct writer {
	__u64 at_ns;          /* since boot */
	__u32 pid;
	__u32 parent_pid;
	__u32 is_opener;      /* it is the one that opened the file for writing last */
	__u32 lineage_count;
	char comm[16];
	char parent_comm[16];
	char lineage[MAX_LINEAGE][16]; /* the programs above it that are known to be the image's, nearest first */
};

/* What the exec opened a file for. */
enum role {
	ROLE_SCRIPT,          /* a stage of a `#!` chain */
	ROLE_INTERPRETER,     /* the program interpreter, PT_INTERP */
};

/* A file that was opened for the exec besides the program; its three strings follow. */
struct opened_file {
	struct file_facts file;
	struct writer writer;
	struct file_state state;
	__u32 role;
	__u32 flags;          /* UPPER, LOWER and MEMFD, as of the program */
	__u32 path_bytes;
	__u32 inner_path_bytes;
	__u32 writer_path_bytes;
	__u32 unused;
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
	OPENED,       /* each `struct opened_file`, with its strings: path, inner path, writer's program */
	ARGV,
	ENVIRON,      /* of an entry alone, its first 32 KiB */
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
	__u64 entered_ns;     /* when the process's line entered its container, since boot; 0 where that was not seen */
	__u32 ctime_nsec;
	__u32 namespace_inum;
	__u32 dev;            /* of the file's superblock */
	__u32 root_dev;       /* of the task's root directory */
	__u32 pid;
	__u32 uid;
	__u32 ancestor_count;
	__u32 magic;          /* of the file's superblock: statfs(2) */
	__u32 below_mount;    /* bytes of PATH that lie below the file's own mount */
	__u32 session;        /* `enum session` */
	__u32 entered_pid;    /* the process that did */
	__u32 unused;
	__u32 length[SECTIONS];
	struct writer writer;
	struct file_state state;
	struct ancestor ancestors[MAX_ANCESTORS];
};

/* The addresses that a `struct path` has. */
struct opened_path { __u64 mnt, dentry; };

/*
 * An exec as the recorder keeps it in the kernel: sensor/exec_record.py reads it. Strings are cut to their fields.
 */
struct kept_ancestor { __u64 start_ns; __u32 pid; __u32 unused; };

struct kept_exec {
	__u64 begun;          /* its number in its track, from 1; 0 where there is none */
	__u64 time_ns;        /* since boot */
	__u64 start_ns;       /* of the process, since boot */
	__u32 pid;
	__u32 uid;
	__u32 argv_bytes;     /* all of them, also those that are cut off; KEPT_UNREADABLE */
	__u32 unused;
	struct kept_ancestor ancestors[4];
	char parent_comm[16];
	char path[192];       /* as it was given to execve */
	char argv[512];
	__u64 ended;          /* the same number: another one where it is being written */
};

/* The last execs of one container. */
struct track {
	__u64 owner;          /* random, of the container that it is given to; 0: free */
	__u64 count;          /* of execs since then */
	__u64 skipped;        /* others, that met too many at once on an old kernel */
	__u64 last_ns;        /* of the last one, since boot */
	char container_id[64];
};

/* What an exec has opened besides the program; user space does not see it. `dentry` 0: no interpreter that may be drift. */
struct exec_files {
	struct opened_path scripts[8]; /* innermost first */
	struct opened_path interpreter;
	__u32 script_count;
	__u32 thread;         /* whose interpreter it is */
	__u32 is_unseen;      /* the interpreter could not be looked for */
	__u32 unused;
};

/* The track that keeps the exec that is looked at; `owner` 0: none does. */
struct keeping { __u64 owner; __u32 track; __u32 unused; };

struct scratch {
	struct header header;
	unsigned char data[DATA_MASK + 1 + MAX_PATH_BYTES];
	struct exec_files files;
	struct keeping keeping;
};

