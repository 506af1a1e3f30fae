/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a program may be by how its name starts: a dynamic loader, an interpreter.
 */
#pragma once

#include "kernel.h"

/* How a program's name starts. */
struct name_start { char bytes[8]; };

static __always_inline struct name_start start_of_name(const unsigned char *name)
{
	struct name_start start = {};

	bpf_probe_read_kernel_str(start.bytes, sizeof(start.bytes), name);
	return start;
}

/* ld-linux-x86-64.so.2, ld-2.31.so, ld-musl-x86_64.so.1, ld.so, ld64.so.2; musl's libc.so */
static __always_inline bool is_loader_name(struct name_start *name)
{
	char *head = name->bytes;

	if (head[0] != 'l')
		return 0;
	if (head[1] == 'd')
		return head[2] == '-' || head[2] == '.' || head[2] == '6';
	return head[1] == 'i' && head[2] == 'b' && head[3] == 'c' && head[4] == '.' && head[5] == 's' && head[6] == 'o';
}

#define START(a, b, c) ((a) | (b) << 8 | (c) << 16)
#define START4(a, b, c, d) (START(a, b, c) | (__u32)(d) << 24)

/* Whether a program may be an interpreter, by how its name starts. User space looks at the whole name. */
static __always_inline bool has_interpreter_name(struct name_start *name)
{
	char *head = name->bytes;

	switch (START(head[0], head[1], head[2])) {
	case START('s', 'h', 0):
	case START('a', 's', 'h'):
	case START('b', 'a', 's'):
	case START('d', 'a', 's'):
	case START('k', 's', 'h'):
	case START('z', 's', 'h'):
	case START('b', 'u', 's'): /* busybox */
	case START('p', 'e', 'r'):
	case START('p', 'y', 't'):
	case START('p', 'y', 'p'): /* pypy */
	case START('p', 'h', 'p'):
	case START('r', 'u', 'b'):
	case START('n', 'o', 'd'):
	case START('b', 'u', 'n'):
	case START('d', 'e', 'n'):
	case START('l', 'u', 'a'):
	case START('a', 'w', 'k'):
	case START('g', 'a', 'w'):
	case START('m', 'a', 'w'):
	case START('n', 'a', 'w'):
	case START('j', 'a', 'v'):
	case START('d', 'o', 't'): /* dotnet */
	case START('p', 'w', 's'): /* pwsh */
	case START('m', 'k', 's'): /* mksh */
	case START('r', 'b', 'a'): /* rbash */
	case START('h', 'u', 's'): /* hush */
	case START('t', 'c', 'l'):
	case START('c', 's', 'h'):
	case START('t', 'c', 's'):
	case START('r', 's', 'h'):
	case START('r', 'k', 's'):
	case START('y', 'a', 's'): /* yash */
	case START('i', 'r', 'b'):
	case START('i', 'e', 'x'):
	case START('e', 'r', 'l'):
	case START('e', 's', 'c'): /* escript */
	case START('q', 'j', 's'):
	case START('g', 'j', 's'):
	case START('t', 's', 'x'):
	case START('o', 's', 'h'):
	case START('R', 0, 0):
	case START('R', 's', 'c'):
		return 1;
	}
	/* Those whose first three letters are also those of programs that install others. */
	switch (START(head[0], head[1], head[2]) | (__u32)head[3] << 24) {
	case START4('b', 's', 'd', '-'): /* bsd-csh, not bsdtar */
	case START4('s', 'h', '-', 's'): /* sh-static */
	case START4('f', 'i', 's', 'h'):
	case START4('e', 'x', 'p', 'e'): /* expect */
	case START4('w', 'i', 's', 'h'):
	case START4('g', 'u', 'i', 'l'):
	case START4('o', 'c', 'a', 'm'):
	case START4('j', 'u', 'l', 'i'):
	case START4('e', 'l', 'i', 'x'):
	case START4('e', 'l', 'v', 'i'):
	case START4('g', 'r', 'o', 'o'): /* groovy */
	case START4('s', 'c', 'a', 'l'):
	case START4('k', 'o', 't', 'l'):
	case START4('s', 'w', 'i', 'p'):
	case START4('r', 'a', 'c', 'k'):
	case START4('s', 'b', 'c', 'l'):
	case START4('c', 'l', 'i', 's'):
	case START4('o', 'c', 't', 'a'):
	case START4('j', 's', 'h', 'e'):
	case START4('j', 'r', 'u', 'b'):
	case START4('j', 'y', 't', 'h'):
	case START4('i', 'p', 'y', 't'):
	case START4('m', 'o', 'n', 'o'):
	case START4('r', 'a', 'k', 'u'):
	case START4('x', 'o', 'n', 's'):
	case START4('h', 'h', 'v', 'm'):
	case START4('t', 's', '-', 'n'): /* ts-node */
		return 1;
	}
	return 0;
}
