"""The one kernel object is for every processor that the image is built for (docs/sensor.md#arm64)."""

from __future__ import annotations

import re
import struct
import tomllib
from pathlib import Path

import pytest

from scripts.same_bpf_object import loaded_sections
from sensor.capture.kernel_program import OBJECT

ROOT = Path(__file__).resolve().parents[4]
ELF = OBJECT.read_bytes()
LITTLE_ENDIAN, RELOCATABLE, BPF = 1, 1, 247
LOCKED = {each["name"]: each for each in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}


def test_it_is_for_the_bpf_machine_with_the_byte_order_of_x86_and_arm() -> None:
    kind, machine = struct.unpack_from("<HH", ELF, 16)
    assert (ELF[:4], ELF[5], kind, machine) == (b"\x7fELF", LITTLE_ENDIAN, RELOCATABLE, BPF)
    assert {".BTF", ".BTF.ext", "license", ".maps"} <= set(loaded_sections(ELF))


def test_it_attaches_to_no_function_that_only_one_processor_s_kernel_has() -> None:
    attached = [name for name in loaded_sections(ELF) if "/" in name]
    assert len(attached) > 20
    # Names such as __x64_sys_execve, and arguments read from registers, would be one processor's.
    assert [name for name in attached if "sys_" in name.replace("syscalls/sys_enter", "") or "probe" in name] == []


def test_registers_are_looked_up_for_either_processor_when_it_is_loaded() -> None:
    names = loaded_sections(ELF)[".BTF"]
    assert b"\0pt_regs___x86\0" in names
    assert b"\0user_pt_regs\0" in names
    source = "".join(path.read_text() for path in OBJECT.parent.glob("*.[ch]"))
    assert re.findall(r"__TARGET_ARCH_\w+|__x86_64__|__aarch64__|PT_REGS_\w+", source) == []


@pytest.mark.parametrize("image", ["portal", "sensor"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_package_of_an_image_has_a_wheel_for_the_processor(image: str, machine: str) -> None:
    text = (ROOT / "deploy" / image / "requirements.txt").read_text()
    names = re.findall(r"^([\w.-]+)==", text, re.MULTILINE)
    assert names
    python = re.search(r"python:3\.(\d+)", (ROOT / "deploy" / image / "Containerfile").read_text())
    assert python
    fits = re.compile(
        rf"-(?:py3|py2\.py3)-none-any|-(?:cp3{python[1]}-cp3{python[1]}|cp3\d+-abi3|py3-none)-\S*manylinux\S*_{machine}"
    )
    lacking = [
        name
        for name in names
        if not any(fits.search(wheel["url"].rpartition("/")[2]) for wheel in LOCKED[name]["wheels"])
    ]
    assert lacking == []
