"""Opens TCP connections in ways that a driver does not, and prints what came of each, one JSON line per connection.

usage: dial.py WAY ADDRESS PORT [ARGUMENT...]
Each line has `pid`, `elapsed_ms` (of the connection), and one of
  "greeting": the server's version (and `peer`, what getpeername says)
  "closed": the number of bytes that came before the end of the stream
  "errno": the name of the error that the system call gave
"""
import ctypes
import errno
import json
import os
import select
import socket
import sys
import time

PATIENCE_S = 10


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
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.connect(sock.fileno(), bytes(16), 16):
            raise OSError(ctypes.get_errno(), "cannot dissolve the association")
        sock.connect((address, port))
        return said(sock)


def unprivileged(address, port):
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
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
        with open(path, "w") as file:
            file.write("0")
    return plain(address, port)


def created_elsewhere(address, port, procs):
    """The socket is made before the move into the cgroup, and connected after it."""
    with open_socket(address) as sock:
        with open(procs, "w") as file:
            file.write("0")
        sock.connect((address, port))
        return said(sock)


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


def datagram(address, port):
    """Sends a datagram and waits for its answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect((address, port))
        sock.send(b"ping")
        return {"greeting": sock.recv(16).decode(), "peer": list(sock.getpeername())}


way, address, port, *arguments = sys.argv[1:]
tell(globals()[way], address, int(port), *arguments)
