/*
 * A program that names its loader (LOADER, by -Wl,--dynamic-linker), and that loader: whoever gets so far says so.
 */
static long call(long number, long a, const char *b, long c)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

void _start(void)
{
	call(1, 1, "RAN\n", 4);
	call(60, 0, 0, 0);
}
