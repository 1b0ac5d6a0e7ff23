"""Starts a daemon as systemd does: hears what it says at NOTIFY_SOCKET, keeps the descriptors that it asks to be kept, and gives
them to the next one (sd_notify(3), sd_listen_fds(3)).

usage: service_manager.py COMMAND [ARGUMENT...]
Reads `restart`, `stop`, `kill` or `start` by line, and prints a JSON line for each thing that happens:
  {"event": "ready", "main": PID}     a main process serves
  {"event": "ended", "pid": PID}      the main process is gone
"""
import array
import ctypes
import json
import os
import select
import signal
import socket
import sys

PR_SET_CHILD_SUBREAPER = 36
LOOK_EVERY_S = 0.01
FIRST = 3


class Manager:
    def __init__(self, command):
        self.command = command
        self.main = None
        self.then_start = False
        # Name and descriptor, in the order in which they came.
        self.kept = []
        self.name = f"\0portreeve-manager-{os.getpid()}"
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.name)

    def start(self):
        pid = os.fork()
        if pid == 0:
            self.become_daemon()
        self.main = pid

    def become_daemon(self):
        environment = {**os.environ, "NOTIFY_SOCKET": "@" + self.name[1:]}
        if self.kept:
            environment["LISTEN_PID"] = str(os.getpid())
            environment["LISTEN_FDS"] = str(len(self.kept))
            environment["LISTEN_FDNAMES"] = ":".join(name for name, _ in self.kept)
        # First out of the way of the numbers that they get.
        copies = [os.dup2(fd, 100 + index) for index, (_, fd) in enumerate(self.kept)]
        for index, fd in enumerate(copies):
            os.dup2(fd, FIRST + index, inheritable=True)
            os.close(fd)
        os.execve(self.command[0], self.command, environment)

    def hear(self):
        message, ancillary, _, _ = self.notify.recvmsg(4096, socket.CMSG_SPACE(64))
        fds = array.array("i")
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(data)
        said = dict(line.split("=", 1) for line in message.decode().splitlines())
        name = said.get("FDNAME", "stored")
        if "FDSTOREREMOVE" in said:
            for fd in [fd for known, fd in self.kept if known == name]:
                os.close(fd)
            self.kept = [(known, fd) for known, fd in self.kept if known != name]
        for fd in fds:
            # The daemon gets copies of those that it is to have, and no others.
            os.set_inheritable(fd, False)
            if any(os.fstat(fd).st_ino == os.fstat(known).st_ino for _, known in self.kept):
                os.close(fd)
            else:
                self.kept.append((name, fd))
        if "MAINPID" in said:
            self.main = int(said["MAINPID"])
        if "READY" in said:
            tell(event="ready", main=self.main)

    def reap(self):
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid != 0 and pid == self.main:
            self.main = None
            tell(event="ended", pid=pid)
            if self.then_start:
                self.then_start = False
                self.start()

    def obey(self, word):
        if word == "start":
            self.start()
        elif word == "kill":
            # `Restart=always`
            self.then_start = True
            os.kill(self.main, signal.SIGKILL)
        else:
            self.then_start = word == "restart"
            os.kill(self.main, signal.SIGTERM)


def tell(**event):
    print(json.dumps(event), flush=True)


def main():
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    manager = Manager(sys.argv[1:])
    manager.start()
    while True:
        ready, _, _ = select.select([manager.notify, sys.stdin], [], [], LOOK_EVERY_S)
        if manager.notify in ready:
            manager.hear()
        elif sys.stdin in ready:
            word = sys.stdin.readline().strip()
            if not word:
                return
            manager.obey(word)
        else:
            manager.reap()


main()
