"""The options with which libbpf opens the kernel object."""

from __future__ import annotations

import ctypes

from sensor.capture.libbpf import _opening, _OpenOptions


def test_without_access_to_modules_only_the_kernel_s_own_types_are_read() -> None:
    assert _opening(may_read_modules=False).btf_custom_path == b"/sys/kernel/btf/vmlinux"
    assert _opening(may_read_modules=True).btf_custom_path is None


def test_the_options_have_the_layout_that_libbpf_reads() -> None:
    """The layout of libbpf.h since 1.0, on every 64-bit machine."""
    assert (_OpenOptions.kconfig.offset, _OpenOptions.btf_custom_path.offset) == (40, 48)
    assert _opening(may_read_modules=False).size == ctypes.sizeof(_OpenOptions) == 56
