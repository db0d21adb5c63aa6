"""The time slice that a thread asks of the scheduler: `sched_runtime` of SCHED_OTHER, since Linux 6.12.

Older kernels take the call and ignore the value, so it is read back. See sched_setattr(2) and the kernel's
Documentation/scheduler/sched-eevdf.rst.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

_NUMBERS = {"x86_64": (314, 315), "aarch64": (274, 275), "riscv64": (274, 275)}
"""Of sched_setattr and sched_getattr, by machine."""
_TRIED_US = 5000


class KnobError(Exception):
    """This system has no such knob, or refuses it. The message says what is missing."""


class _Attributes(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def set_slice(thread: int, slice_us: int) -> None:
    """Ask for this slice, and see that it holds; `thread` 0 is the calling one.

    Raises:
        KnobError: it does not hold.
    """
    attributes = _Attributes(size=ctypes.sizeof(_Attributes), runtime=slice_us * 1000)
    _call(0, thread, ctypes.byref(attributes), 0)
    if (held := slice_of(thread)) != slice_us:
        raise KnobError(
            f"a slice of {slice_us} µs was asked for, the kernel holds {held}: it needs Linux 6.12 or newer"
        )


def slice_of(thread: int) -> int:
    """The slice in force, in microseconds.

    Raises:
        KnobError: it cannot be read.
    """
    attributes = _Attributes()
    _call(1, thread, ctypes.byref(attributes), ctypes.sizeof(_Attributes), 0)
    return int(attributes.runtime) // 1000


def why_not() -> str | None:
    """Why there is no knob here; None where there is one."""
    try:
        before = slice_of(0)
        set_slice(0, _TRIED_US)
        set_slice(0, before)
    except KnobError as error:
        return str(error)
    return None


def _call(which: int, *arguments: object) -> None:
    if sys.platform != "linux" or platform.machine() not in _NUMBERS:
        raise KnobError(f"{sys.platform} on {platform.machine()} has no EEVDF slice")
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(_NUMBERS[platform.machine()][which], *arguments) != 0:
        raise KnobError(f"the scheduler refused: {os.strerror(ctypes.get_errno())}")
