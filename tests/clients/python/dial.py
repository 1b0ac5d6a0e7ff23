"""Opens TCP connections in ways that a driver does not, and prints what came of each, one JSON line per connection.

usage: dial.py WAY ADDRESS PORT [ARGUMENT...]
Each line has `pid`, `elapsed_ms` (of the connection), and one of
  "greeting": the server's version (and `peer`, what getpeername says)
  "closed": the number of bytes that came before the end of the stream
  "errno": the name of the error that the system call gave
"""
import ctypes
import errno
import fcntl
import json
import mmap
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time

PATIENCE_S = 10
NOBODY = 65534
LIBC = ctypes.CDLL(None, use_errno=True)


def open_socket(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE_S)
    return sock


def said(sock):
    """What the other side says first."""
    data = b""
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:3], "little"):
        try:
            more = sock.recv(4096)
        except ConnectionResetError:
            more = b""
        if not more:
            return {"closed": len(data)}
        data += more
    payload = data[4:]
    peer = sock.getpeername()
    return {"greeting": payload[1 : payload.index(b"\0", 1)].decode(), "peer": list(peer[:2])}


def tell(act, *arguments):
    """Does one connection and prints its line."""
    start = time.monotonic()
    try:
        outcome = act(*arguments)
    except OSError as error:
        outcome = {"errno": errno.errorcode.get(error.errno, str(error))}
    elapsed_ms = int((time.monotonic() - start) * 1000)
    print(json.dumps({"pid": os.getpid(), "elapsed_ms": elapsed_ms, **outcome}), flush=True)


def plain(address, port):
    with open_socket(address) as sock:
        sock.connect((address, port))
        return said(sock)


def nonblocking(address, port):
    with open_socket(address) as sock:
        sock.setblocking(False)
        code = sock.connect_ex((address, port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        select.select([], [sock], [], PATIENCE_S)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        sock.settimeout(PATIENCE_S)
        return said(sock)


def fastopen(address, port):
    """TCP Fast Open: connect(2) is never called."""
    with open_socket(address) as sock:
        sock.settimeout(None)
        sock.sendto(b"", socket.MSG_FASTOPEN, (address, port))
        return said(sock)


def fastopen_connect(address, port):
    """TCP_FASTOPEN_CONNECT: the connect is put off until the first byte is sent."""
    with open_socket(address) as sock:
        sock.settimeout(None)
        tcp_fastopen_connect = 30
        sock.setsockopt(socket.IPPROTO_TCP, tcp_fastopen_connect, 1)
        sock.connect((address, port))
        return said(sock)


def io_uring(address, port, flags=0):
    """The kernel connects for us, out of a submission queue (io_uring(7), x86-64 and arm64)."""
    setup, enter, opcode_connect, getevents, wakeup = 425, 426, 16, 1, 2
    params = (ctypes.c_uint32 * 30)()
    params[2] = int(flags)
    params[4] = 2000  # sq_thread_idle, ms
    ring = LIBC.syscall(setup, 4, params)
    if ring < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")
    sq_off, cq_off = params[10:20], params[20:30]
    queue = mmap.mmap(ring, 4096 * 4, offset=0)
    completions = mmap.mmap(ring, 4096 * 4, offset=0x8000000)
    entries = mmap.mmap(ring, 4 * 64, offset=0x10000000)
    with open_socket(address) as sock:
        name = struct.pack("=H", sock.family) + struct.pack("!H", port)
        if sock.family == socket.AF_INET:
            name += socket.inet_aton(address) + bytes(8)
        else:
            name += bytes(4) + socket.inet_pton(socket.AF_INET6, address) + bytes(4)
        name = ctypes.create_string_buffer(name, len(name))
        entry = struct.pack("=BBHiQQII", opcode_connect, 0, 0, sock.fileno(), len(name), ctypes.addressof(name), 0, 0)
        entries[0 : len(entry)] = entry
        # Index 0 of the entries, then the tail: head, tail, mask, entries, flags, dropped, array.
        struct.pack_into("=I", queue, sq_off[6], 0)
        struct.pack_into("=I", queue, sq_off[1], 1)
        if LIBC.syscall(enter, ring, 1, 1, getevents | wakeup, None, 0) < 0:
            raise OSError(ctypes.get_errno(), "io_uring_enter")
        # head, tail, mask, entries, overflow, cqes.
        result = struct.unpack_from("=Qi", completions, cq_off[5])[1]
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return said(sock)


def io_uring_polled(address, port):
    """IORING_SETUP_SQPOLL: a thread of the kernel's does it."""
    return io_uring(address, port, 2)


def after_failure(address, port):
    """The second connect of a socket whose first was refused by the other side."""
    with open_socket(address) as sock:
        # Blocking: a failed non-blocking connect leaves its error to the next one, whichever that is.
        sock.settimeout(None)
        code = sock.connect_ex((address, 1))
        if code != errno.ECONNREFUSED:
            raise OSError(code, os.strerror(code))
        sock.connect((address, port))
        return said(sock)


def redial(address, port, first, first_port=None):
    """Connects to `first` (at the same port unless another is given), dissolves the association (connect(2): AF_UNSPEC), and connects the same socket again."""
    with open_socket(address) as sock:
        tell(lambda: sock.connect((first, int(first_port or port))) or said(sock))
        if LIBC.connect(sock.fileno(), bytes(16), 16):
            raise OSError(ctypes.get_errno(), "cannot dissolve the association")
        sock.connect((address, port))
        return said(sock)


def become(uid):
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


def unprivileged(address, port, way="plain", *arguments):
    """Another way, without root's privileges."""
    become(NOBODY)
    return globals()[way](address, port, *arguments)


def as_user(address, port, uid):
    """The same by a user whom nobody else is."""
    become(int(uid))
    return plain(address, port)


def child(address, port):
    pid = os.fork()
    if pid == 0:
        tell(plain, address, port)
        os._exit(0)
    os.waitpid(pid, 0)
    return plain(address, port)


def device(address, port, name):
    with open_socket(address) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
        sock.connect((address, port))
        return said(sock)


def moving(address, port, *procs):
    """One connection before, and one after each move into the cgroup whose `cgroup.procs` is given."""
    for path in procs:
        tell(plain, address, port)
        enter(path)
    return plain(address, port)


def enter(procs):
    with open(procs, "w") as file:
        file.write("0")


def created_elsewhere(address, port, procs):
    """The socket is made before the move into the cgroup whose `cgroup.procs` is given, and connected after it."""
    with open_socket(address) as sock:
        enter(procs)
        become(NOBODY)
        sock.connect((address, port))
        return said(sock)


def handed_over(address, port, procs):
    """A child that moved to the cgroup whose `cgroup.procs` is given connects a socket that its parent made and sent it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    pid = os.fork()
    if pid == 0:
        ours.close()
        enter(procs)
        become(NOBODY)
        _, descriptors, _, _ = socket.recv_fds(theirs, 1, 1)
        sock = socket.socket(fileno=descriptors[0])
        tell(lambda: sock.connect((address, port)) or said(sock))
        os._exit(0)
    become(NOBODY)
    with open_socket(address) as sock:
        socket.send_fds(ours, [b"x"], [sock.fileno()])
        os.waitpid(pid, 0)
    sys.exit(0)


def of_protocol(address, port, kind, protocol):
    """A socket of another type and protocol than TCP's, by their numbers."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, int(kind), int(protocol)) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect((address, port))
        return said(sock)


def squatting(address, port):
    """Takes an address to listen at."""
    with open_socket(address) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        return {"closed": 0}


def many(address, port, number):
    """So many connections, open at the same time."""
    held = []
    for _ in range(int(number)):
        sock = open_socket(address)
        held.append(sock)
        tell(lambda: sock.connect((address, port)) or said(sock))
    sys.exit(0)


def own_namespaces():
    """Makes this process root of a user and a network namespace of its own: no privilege is needed for that."""
    prctl_set_dumpable, clone_newuser, clone_newnet = 4, 0x10000000, 0x40000000
    uid, gid = os.getuid(), os.getgid()
    # Who changed his uid does not own his files in /proc.
    LIBC.prctl(prctl_set_dumpable, 1, 0, 0, 0)
    if LIBC.unshare(clone_newuser | clone_newnet):
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    # `ip` would take long enough, on a slow machine, for the gateway to be here first.
    siocsifflags, iff_up = 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, siocsifflags, struct.pack("16sH22x", b"lo", iff_up))


def trap(port, address="127.0.0.1"):
    """Listens and greets as a server would, until the process ends."""
    server = socket.create_server((address, port))

    def greet():
        while True:
            peer, _ = server.accept()
            peer.sendall(b"\6\0\0\0\nTRAP\0")
            kept.append(peer)

    kept = []
    threading.Thread(target=greet, daemon=True).start()


def translated(address, port, seen):
    """Connects to `address`:`seen` in namespaces of its own, where the destination is translated to `port`."""
    own_namespaces()
    rules = f"add table ip t; add chain ip t o {{ type nat hook output priority -100; }}; add rule ip t o tcp dport {seen} dnat to {address}:{port}"
    subprocess.run(["nft", rules], check=True)
    trap(port)
    with open_socket(address) as sock:
        sock.settimeout(3)
        sock.connect((address, int(seen)))
        return said(sock)


def held(address, port, mark, where="here"):
    """Connects, makes the file `mark`, and waits for the connection's end; in namespaces of its own unless `here`."""
    with open(mark, "w") as file:
        become(NOBODY)
        if where != "here":
            own_namespaces()
            trap(port)
        with open_socket(address) as sock:
            sock.connect((address, port))
            said(sock)
            print("connected", file=file, flush=True)
            sock.settimeout(30)
            return {"closed": len(sock.recv(1))}


def from_port(address, port, source):
    """Binds 127.0.0.1:`source` first; the connection ends with RST, so that the port is free at once."""
    with open_socket(address) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.bind(("127.0.0.1", int(source)))
        sock.connect((address, port))
        return said(sock)


def listening(address, port, at):
    """Listens at 127.0.0.1:`at` itself while it connects."""
    with socket.create_server(("127.0.0.1", int(at))):
        return plain(address, port)


def with_cookie(address, port):
    """Tells as well what network namespace the socket is in."""
    so_netns_cookie = 71
    with open_socket(address) as sock:
        cookie = struct.unpack("=Q", sock.getsockopt(socket.SOL_SOCKET, so_netns_cookie, 8))[0]
        sock.connect((address, port))
        return {"netns_cookie": cookie, **said(sock)}


def impostor(address, port):
    """Takes the server's own address and port in a namespace of its own, and connects to them."""
    own_namespaces()
    subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True)
    trap(port, address)
    trap(port)
    return plain(address, port)


def squatting_there(address, port, at):
    """Listens at the gateway's port in namespaces of its own, before the gateway does."""
    own_namespaces()
    trap(int(at))
    return plain(address, port)


def misled(address, port, gateway):
    """In namespaces of its own, has NAT lead what goes to 127.0.0.1:`gateway` to a listener of its own instead."""
    own_namespaces()
    trap(4407)
    rules = f"add table ip t; add chain ip t o {{ type nat hook output priority -100; }}; add rule ip t o ip daddr 127.0.0.1 tcp dport {gateway} dnat to 127.0.0.1:4407"
    subprocess.run(["nft", rules], check=True)
    return plain(address, port)


def disguised(address, port, gateway):
    """In namespaces of its own, has NAT give what goes to 127.0.0.1:`gateway` another source: the one of a neighbour, say."""
    own_namespaces()
    rules = f"add table ip t; add chain ip t p {{ type nat hook postrouting priority 100; }}; add rule ip t p ip daddr 127.0.0.1 tcp dport {gateway} snat to 127.0.0.1:5555"
    subprocess.run(["nft", rules], check=True)
    return plain(address, port)


def routed_away(address, port, gateway):
    """In namespaces of its own, routes 127.0.0.1 to another device than the loopback interface."""
    own_namespaces()
    with open("/proc/sys/net/ipv4/conf/all/route_localnet", "w") as file:
        file.write("1")
    for line in (
        "link add d0 type veth peer name d1",
        "link set d1 up",
        "link set d0 up",
        "addr add 10.9.9.9/24 dev d0",
        "rule add pref 1000 lookup local",
        "rule del pref 0",
        "route add 127.0.0.1 dev d0 table 100",
        "rule add pref 10 to 127.0.0.1 lookup 100",
    ):
        subprocess.run(["ip", *line.split()], check=True)
    return plain(address, port)


def loopback_down(address, port):
    """Takes down the loopback interface of namespaces of its own, where the gateway listened."""
    own_namespaces()
    tell(plain, address, port)
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    return plain(address, port)


def go_to(netns):
    """The calling thread goes to the network namespace."""
    clone_newnet = 0x40000000
    with open(netns) as namespace:
        if LIBC.setns(namespace.fileno(), clone_newnet):
            raise OSError(ctypes.get_errno(), "setns")


def entering(address, port, netns, mark=None):
    """Goes to a network namespace and connects at once, before the gateway can have looked there; makes the file `mark` first."""
    if mark:
        open(mark, "w").close()
    go_to(netns)
    return plain(address, port)


def socket_from(address, port, netns, there):
    """The socket is made in one network namespace, and connected by a process that went to another."""
    go_to(netns)
    with open_socket(address) as sock:
        go_to(there)
        sock.connect((address, port))
        return said(sock)


def thread_elsewhere(address, port, there):
    """One thread alone goes to another network namespace and connects there."""
    def go():
        go_to(there)
        tell(plain, address, port)

    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    sys.exit(0)


def datagram(address, port):
    """Sends a datagram and waits for its answer."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect((address, port))
        sock.send(b"ping")
        return {"greeting": sock.recv(16).decode(), "peer": list(sock.getpeername()[:2])}


def datagram_to(address, port):
    """The same on a socket that is not connected."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.sendto(b"ping", (address, port))
        answer, peer = sock.recvfrom(16)
        return {"greeting": answer.decode(), "peer": list(peer[:2])}


way, address, port, *arguments = sys.argv[1:]
tell(globals()[way], address, int(port), *arguments)
