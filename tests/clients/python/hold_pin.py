"""Holds a pinned link or program of the kernel's open until it is killed; prints a line once it does (bpf(2), BPF_OBJ_GET).

usage: hold_pin.py PATH
"""
import ctypes
import platform
import struct
import sys
import time

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_OBJ_GET = 7

path = ctypes.create_string_buffer(sys.argv[1].encode())
attr = ctypes.create_string_buffer(struct.pack("QIIi", ctypes.addressof(path), 0, 0, 0))
fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_BPF, BPF_OBJ_GET, attr, 20)
if fd < 0:
    sys.exit(f"cannot open {sys.argv[1]}: errno {ctypes.get_errno()}")
print("held", flush=True)
time.sleep(1000)
