"""Tries one thing on the machine: attempt.py WHAT [ARGUMENT ...]. Ends with 0, or with the errno."""

import array
import ctypes
import os
import platform
import socket
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"


def call(name, *arguments):
    """A system call by its numbers on x86-64 and on arm64."""
    numbers = {
        "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
        "rt_tgsigqueueinfo": (297, 240), "pidfd_open": (434, 434), "ptrace": (101, 117),
        "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
        "prlimit64": (302, 261), "setpriority": (141, 140), "ioprio_set": (251, 30),
        "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
        "sched_setaffinity": (203, 122), "sched_setattr": (314, 274),
        "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186),
        "mq_open": (240, 180), "kill": (62, 129), "openat2": (437, 437),
        "io_uring_setup": (425, 425), "kexec_load": (246, 104), "init_module": (175, 105),
        "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142),
        "clock_settime": (227, 112), "settimeofday": (164, 170), "swapon": (167, 224),
    }
    number = numbers[name][0 if X86 else 1]
    if LIBC.syscall(number, *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]) < 0:
        raise OSError(ctypes.get_errno(), name)


def on_process(name, pid):
    """A call that reaches for a process."""
    room = ctypes.create_string_buffer(256)
    vector = struct.pack("QQ", ctypes.addressof(room), 8)
    arguments = {
        "kill": (pid, 15), "look": (pid, 0), "group": (-pid, 15), "all": (-1, 0),
        "tkill": (pid, 15), "tgkill": (pid, pid, 15),
        "rt_sigqueueinfo": (pid, 15, room), "rt_tgsigqueueinfo": (pid, pid, 15, room),
        "pidfd_open": (pid, 0), "attach": (16, pid, 0, 0), "seize": (0x4206, pid, 0, 0),
        "process_vm_readv": (pid, vector, 1, vector, 1, 0),
        "process_vm_writev": (pid, vector, 1, vector, 1, 0),
        "user": (2, pid, 10), "kcmp": (pid, os.getpid(), 0, 0, 0), "prlimit64": (pid, 7, 0, room),
        "setpriority": (0, pid, 10), "ioprio_set": (1, pid, 0),
        "sched_setscheduler": (pid, 0, room), "sched_setparam": (pid, room),
        "sched_setaffinity": (pid, 8, room), "sched_setattr": (pid, room, 0),
    }[name]
    real = {"user": "setpriority", "look": "kill", "group": "kill", "all": "kill", "attach": "ptrace", "seize": "ptrace"}
    call(real.get(name, name), *arguments)


def address_of(name):
    """@abstract, /path, or host:port."""
    if name.startswith("@"):
        return socket.AF_UNIX, b"\0" + name[1:].encode()
    if name.startswith("/"):
        return socket.AF_UNIX, name
    host, port = name.rsplit(":", 1)
    return (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, int(port))


def on_socket(how, name):
    """Reaches for a peer: connect, or a datagram by sendto, sendmsg, sendmmsg."""
    family, address = address_of(name)
    kind = socket.SOCK_STREAM if how == "connect" else socket.SOCK_DGRAM
    peer = socket.socket(family, kind)
    if how in ("connect", "connect-datagram"):
        peer.connect(address)
    elif how == "sendto":
        peer.sendto(b"x", address)
    elif how == "sendmsg":
        peer.sendmsg([b"x"], [], 0, address)


def serve(name, kind):
    """Listens, or waits for datagrams, and connects to itself where that is possible."""
    family, address = address_of(name)
    server = socket.socket(family, getattr(socket, "SOCK_" + kind))
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(address)
    if kind == "STREAM":
        server.listen()
        client = socket.create_connection(server.getsockname()[:2]) if family != socket.AF_UNIX else None
        if family == socket.AF_UNIX:
            client = socket.socket(family, socket.SOCK_STREAM)
            client.connect(address)
        server.accept()[0].sendall(b"served")
        assert client.recv(6) == b"served"


def netlink(protocol, kind, how):
    """One empty message of a type to the kernel; fails with the error in the kernel's answer."""
    talk = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, int(protocol))
    body = b"\0" * 32
    message = struct.pack("=IHHII", 16 + len(body), int(kind, 0), 5, 1, 0) + body
    if how == "sendto":
        talk.sendto(message, (0, 0))
    elif how == "unnamed":
        talk.sendmsg([message])
    else:
        talk.sendmsg([message], [], 0, (0, 0))
    answer = talk.recv(8192)
    if struct.unpack_from("=H", answer, 4)[0] == 2:
        errno = -struct.unpack_from("=i", answer, 16)[0]
        if errno:
            raise OSError(errno, "netlink")


def interface(request):
    """An ioctl on a network interface."""
    import fcntl

    talk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(talk, int(request, 0), array.array("B", b"lo".ljust(64, b"\0")))


def open2(path):
    """openat2(2) for writing, then a write."""
    how = struct.pack("QQQ", os.O_WRONLY, 0, 0)
    number = 437
    opened = LIBC.syscall(number, -100, path.encode(), how, ctypes.c_long(len(how)))
    if opened < 0:
        raise OSError(ctypes.get_errno(), path)
    os.write(opened, b"1")


def main(what, *arguments):
    if what == "process":
        on_process(arguments[0], int(arguments[1]))
    elif what == "socket":
        on_socket(*arguments)
    elif what == "serve":
        serve(*arguments)
    elif what == "netlink":
        netlink(*arguments)
    elif what == "interface":
        interface(*arguments)
    elif what == "raw":
        socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)
    elif what == "key":
        size = {"shmget": [100], "semget": [1], "msgget": []}[arguments[0]]
        call(arguments[0], int(arguments[1], 0), *size, 0o1600)
    elif what == "queue":
        call("mq_open", arguments[0].encode(), 0o102, 0o600, 0)
    elif what == "write":
        with open(arguments[0], "r+b", buffering=0) as file:
            file.write(b"1")
    elif what == "open2":
        open2(*arguments)
    elif what == "hold":
        # A live daemon: binds, says so by a file, and stays until it is told to end.
        family, address = address_of(arguments[1])
        server = socket.socket(family, getattr(socket, "SOCK_" + arguments[0]))
        server.bind(address)
        if arguments[0] == "STREAM":
            server.listen()
        open(arguments[2], "w").close()
        server.recv(1) if arguments[0] == "DGRAM" else server.accept()
        open(arguments[2] + ".reached", "w").close()
    elif what == "call":
        numbers = [int(a, 0) if a.lstrip("-")[:1].isdigit() else a.encode() for a in arguments[1:]]
        call(arguments[0], *numbers)
    else:
        raise ValueError(what)


try:
    main(*sys.argv[1:])
except OSError as error:
    print(error, file=sys.stderr)
    sys.exit(error.errno)
