# ruff: noqa: E501 (the programs are texts)
"""Programs that try to get out, to stay, to take too much, or to be judged better than they are.

Each is run in the sandbox by ``hostile_run.py``. It says "ESCAPED" where it had success, and "tried" at its end where it
is to get there: a program that breaks before its attack proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PRELUDE = """
import contextlib, ctypes, json, os, resource, signal, socket, struct, sys, threading, time
facts = json.loads(sys.stdin.readline())
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def escaped(what):
    os.write(1, f"ESCAPED: {what}\\n".encode())

@contextlib.contextmanager
def refused(what):
    try:
        yield
    except (OSError, ValueError, MemoryError, RuntimeError, AttributeError, ImportError, KeyError):
        return
    escaped(what)

def denied(number, *arguments):
    '''A system call of x86_64 that must fail.'''
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *words)
    if result >= 0:
        escaped(f"system call {number} gave {result}")

def fork(body):
    pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(0)
    return pid

"""
CODA = "\nprint('tried', flush=True)\n"

ENDS = frozenset({"exited", "killed"})
TIME = frozenset({"cpu time", "wall time"})
ANY = ENDS | TIME | {"memory", "output"}


@dataclass(frozen=True, slots=True)
class Hostile:
    """One program."""

    name: str
    source: str
    endings: frozenset[str] = frozenset({"exited"})
    """Those that are right; ``not compiled`` is one too."""
    finishes: bool = True
    """Whether it gets to its end."""
    language: str = "python"
    x86_64: bool = False
    """Whether it knows no other machine."""

    def text(self, facts: Mapping[str, object]) -> str:
        """What is run; C++ has no facts on its input, and is told here."""
        if self.language == "python":
            return PRELUDE + self.source + CODA
        return self.source.replace("@secret@", str(facts["secret"])).replace("@runner@", str(facts["runner"]))


def _python(name: str, source: str, endings: frozenset[str] = frozenset({"exited"}), finishes: bool = True) -> Hostile:
    return Hostile(name, source, endings, finishes)


def _calls(name: str, source: str) -> Hostile:
    return Hostile(name, source, x86_64=True)


def _cpp(name: str, source: str, endings: frozenset[str], finishes: bool = False, x86_64: bool = False) -> Hostile:
    return Hostile(name, source, endings, finishes, "cpp", x86_64)


PROCESSES = [
    _python("fork_bomb", "while True:\n    with contextlib.suppress(OSError): os.fork()", TIME, finishes=False),
    _python(
        "fork_bomb_that_exits",
        """
def bomb():
    while True:
        with contextlib.suppress(OSError):
            if os.fork(): os._exit(0)
fork(bomb)
time.sleep(60)
""",
        TIME,
        finishes=False,
    ),
    _python(
        "thread_bomb",
        """
threading.stack_size(64 << 10)
started = 0
with contextlib.suppress(RuntimeError):
    while started < 500:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        started += 1
if started > 64: escaped(f"{started} threads")
""",
    ),
    _python(
        "daemon",
        """
def first():
    with contextlib.suppress(OSError): os.setsid()
    def second():
        for descriptor in range(3): os.close(descriptor)
        time.sleep(60)
    fork(second)
os.waitpid(fork(first), 0)
""",
    ),
    _python(
        "child_that_ignores_signals",
        """
def stay():
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError): signal.signal(number, signal.SIG_IGN)
    time.sleep(60)
fork(stay)
""",
    ),
    _python(
        "children_share_the_work",
        "for _ in range(6):\n    fork(lambda: any(iter(lambda: False, True)))\ntime.sleep(60)",
        TIME,
        finishes=False,
    ),
    _python(
        "child_stopped_for_good",
        "pid = fork(lambda: time.sleep(60))\nwith contextlib.suppress(OSError): os.kill(pid, signal.SIGSTOP)",
    ),
    _python(
        "executes_itself_for_ever", "os.execv('/bin/sh', ['sh', '-c', 'exec \"$0\" -c \"exec $0\" sh'])", ANY, False
    ),
    _python(
        "shell_in_the_background",
        """
with contextlib.suppress(OSError):
    os.posix_spawn('/bin/sh', ['sh', '-c', '(trap "" HUP TERM; sleep 60) & sleep 60'], {'PATH': '/usr/bin:/bin'})
""",
    ),
    _python(
        "leaves_its_group",
        """
def leave():
    with contextlib.suppress(OSError): os.setpgid(0, 0)
    with contextlib.suppress(OSError): os.setsid()
    time.sleep(60)
fork(leave)
time.sleep(0.1)
""",
    ),
    _python("only_waits", "signal.pause()", frozenset({"wall time"}), finishes=False),
    _python("stops_itself", "os.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(60)", ANY, finishes=False),
    _python("waits_in_a_loop", "while True: time.sleep(0.001)", TIME, finishes=False),
]

SIGNALS = [
    _python(
        "kills_everyone",
        """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with contextlib.suppress(OSError): os.kill(-1, signal.SIGTERM)
with contextlib.suppress(OSError): os.kill(-1, signal.SIGKILL)
""",
        ENDS,
        finishes=False,
    ),
    _python("kills_process_one", "for n in (9, 15, 19, 11):\n    with contextlib.suppress(OSError): os.kill(1, n)"),
    _python(
        "kills_its_parent",
        """
for number in (1, 2, 9, 11, 15, 19, 31):
    with contextlib.suppress(OSError): os.kill(os.getppid(), number)
    with contextlib.suppress(OSError):
        if group := os.getpgid(os.getppid()): os.killpg(group, number)
""",
    ),
    _python(
        "kills_a_stranger",
        """
for pid in (facts['sentinel'], facts['runner']):
    with refused('signalled'): os.kill(pid, 0)
    with refused('killed'): os.kill(pid, signal.SIGKILL)
    with refused('killed its group'): os.killpg(pid, signal.SIGKILL)
    with refused('killed the group by its number'): os.kill(-pid, signal.SIGKILL)
""",
    ),
    _calls(
        "other_ways_to_signal",
        """
for pid in (facts['sentinel'], facts['runner'], os.getppid()):
    denied(200, pid, 9)                    # tkill
    denied(234, pid, pid, 9)               # tgkill
    denied(129, pid, 9, ctypes.create_string_buffer(128))   # rt_sigqueueinfo
    denied(297, pid, pid, 9, ctypes.create_string_buffer(128))
    denied(434, pid, 0)                    # pidfd_open
denied(424, 0, 9, None, 0)                 # pidfd_send_signal
""",
    ),
    _python(
        "signals_by_a_descriptor",
        """
import fcntl
ours, theirs = socket.socketpair()
for command, value in ((8, facts['sentinel']), (8, facts['runner']), (10, 9), (1026, 1), (1024, 0)):
    with refused(f'fcntl {command}'): fcntl.fcntl(ours, command, value)   # own, sig, notify, lease
with refused('asynchronous'): fcntl.ioctl(ours, 0x5452, struct.pack('i', 1))
""",
    ),
    _python(
        "limits_a_stranger",
        """
for pid in (facts['sentinel'], facts['runner'], os.getppid()):
    with refused('limited'): resource.prlimit(pid, resource.RLIMIT_CPU, (1, 1))
    with refused('asked'): resource.prlimit(pid, resource.RLIMIT_CPU)
""",
    ),
    _python(
        "raises_its_limits",
        """
for name in [n for n in dir(resource) if n.startswith('RLIMIT_')]:
    number = getattr(resource, name)
    soft, hard = resource.getrlimit(number)
    if hard not in (-1, resource.RLIM_INFINITY):
        with refused(f'raised {name}'): resource.setrlimit(number, (hard + 1, hard + 1))
        with refused(f'freed {name}'): resource.setrlimit(number, (-1, -1))
    elif name in ('RLIMIT_AS', 'RLIMIT_CPU', 'RLIMIT_FSIZE', 'RLIMIT_NOFILE', 'RLIMIT_CORE'):
        escaped(f'no {name}')
""",
    ),
    _python(
        "raises_its_priority",
        """
with refused('nicer'): os.setpriority(os.PRIO_PROCESS, 0, -10)
with refused('real time'): os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
with refused('a stranger'): os.setpriority(os.PRIO_PROCESS, facts['runner'], 19)
with refused('moved'): os.sched_setaffinity(facts['runner'], {0})
""",
    ),
]

MEMORY = [
    _python("one_large_block", "block = bytearray(1 << 30)\nescaped('allocated')", frozenset({"memory"}), False),
    _python(
        "many_blocks",
        "blocks = []\nwhile True: blocks.append(bytearray(1 << 20))",
        frozenset({"memory"}),
        finishes=False,
    ),
    _python(
        "swallows_the_error",
        """
blocks = []
while True:
    try: blocks.append(bytearray(1 << 22))
    except MemoryError: pass
""",
        TIME | {"memory"},
        finishes=False,
    ),
    _python(
        "children_share_the_memory",
        """
def grow():
    block = bytearray(facts['memory_mb'] * 2 // 3 << 20)
    time.sleep(60)
for _ in range(5): fork(grow)
time.sleep(60)
""",
        frozenset({"memory"}),
        finishes=False,
    ),
    _python(
        "mapped_memory",
        """
import mmap
maps = []
with contextlib.suppress(OSError, MemoryError, ValueError):
    while len(maps) < 64:
        maps.append(mmap.mmap(-1, 64 << 20))
        maps[-1].write(b'x' * (64 << 20))
if len(maps) * 64 > 4 * facts['memory_mb']: escaped(f'{len(maps)} maps')
""",
        frozenset({"memory", "exited"}),
        finishes=False,
    ),
    _python(
        "memory_in_pipes",
        """
import fcntl
kept, size = [], 0
with contextlib.suppress(OSError):
    while size < 1 << 30:
        ends = os.pipe()
        os.set_blocking(ends[1], False)
        with contextlib.suppress(OSError): fcntl.fcntl(ends[1], 1031, 1 << 20)
        kept.append(ends)
        with contextlib.suppress(BlockingIOError):
            while True: size += os.write(ends[1], bytes(65536))
if size > facts['memory_mb'] << 20: escaped(f'{size} bytes in pipes')
""",
    ),
    _calls(
        "memory_files",
        """
denied(319, b'x', 0)             # memfd_create
denied(447, 0)                   # memfd_secret
denied(29, 0, 1 << 26, 0o1600)   # shmget
denied(68, 0, 0o1600)            # msgget
denied(64, 0, 1, 0o1600)         # semget
denied(240, b'x', 0o102, 0o600, None)   # mq_open
denied(149, 4096, 4096)          # mlock
denied(151, 3)                   # mlockall
""",
    ),
    _python(
        "fills_its_folder",
        """
written = 0
for folder in ('.', '/tmp', '/dev/shm', '/var/tmp', '/run', os.environ['HOME']):
    with contextlib.suppress(OSError):
        with open(f'{folder}/large', 'wb') as file:
            while written < 1 << 30:
                written += file.write(bytes(1 << 20))
                file.flush()
if written > 2 * facts['file_bytes']: escaped(f'{written} bytes')
""",
        ENDS,
        finishes=False,
    ),
    _python(
        "many_small_files",
        """
made = 0
with contextlib.suppress(OSError):
    while made < 100000:
        os.close(os.open(f'file{made}', os.O_CREAT | os.O_WRONLY))
        made += 1
if made > 5000: escaped(f'{made} files')
""",
    ),
    _python(
        "many_descriptors",
        """
kept = []
with contextlib.suppress(OSError):
    while len(kept) < 10000: kept.append(os.dup(0))
count = len(kept)
for descriptor in kept: os.close(descriptor)
if count > 200: escaped(f'{count} descriptors')
""",
    ),
    _python(
        "endless_recursion",
        "sys.setrecursionlimit(10 ** 9)\ndef deeper(n): return deeper(n + 1) + [n][0]\ndeeper(0)",
        ENDS | {"memory"},
        finishes=False,
    ),
    _python(
        "deep_folders",
        "with contextlib.suppress(OSError):\n    while True:\n        os.mkdir('x'); os.chdir('x')",
        ANY,
        False,
    ),
    _python(
        "recursion_in_the_parser",
        "with refused('parsed'): compile('(' * 10 ** 6 + ')' * 10 ** 6, 'x', 'eval')\n",
        ENDS | {"memory", "output"},
        finishes=False,
    ),
    _python("huge_number", "print(len(str(7 ** (10 ** 9))))", TIME | {"exited", "memory"}, finishes=False),
]

OUTPUT = [
    _python("endless_output", "while True: sys.stdout.write('x' * 65536)", frozenset({"output"}), finishes=False),
    _python("endless_errors", "while True: sys.stderr.write('x' * 65536)", frozenset({"output"}), finishes=False),
    _python(
        "endless_output_ignoring_the_signal",
        """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
while True:
    with contextlib.suppress(OSError): os.write(1, bytes(65536))
""",
        TIME | {"output"},
        finishes=False,
    ),
    _python(
        "sparse_output",
        """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with contextlib.suppress(OSError): os.ftruncate(1, 1 << 40)
with contextlib.suppress(OSError): os.pwrite(1, b'x', 1 << 40)
if os.fstat(1).st_size > 4 * facts['output_bytes']: escaped('huge')
os._exit(0)
""",
        frozenset({"exited", "output"}),
        finishes=False,
    ),
    _python(
        "output_after_the_end",
        """
def late():
    time.sleep(0.3)
    while True: os.write(1, b'ESCAPED: late\\n')
fork(late)
""",
    ),
    _python(
        "output_by_another_name",
        """
names = ['/dev/tty', '/dev/console', '/dev/pts/0', '/dev/tty1', '/dev/log']
for pid in (1, os.getppid(), facts['runner'], facts['sentinel']):
    names += [f'/proc/{pid}/fd/{number}' for number in range(32)]
for name in names:
    with refused(name): os.open(name, os.O_WRONLY)
    with refused(name): os.open(name, os.O_RDONLY)
""",
    ),
    _python(
        "changes_its_source_and_input",
        """
for descriptor in range(3, 64):
    with contextlib.suppress(OSError): os.ftruncate(descriptor, 0)
    with contextlib.suppress(OSError): os.write(descriptor, b'print(1)')
with contextlib.suppress(OSError): os.ftruncate(0, 0)
""",
    ),
]

FILES = [
    _python(
        "reads_a_secret",
        """
name = facts['secret']
for path in (name, '../' * 30 + name[1:], f'/proc/self/root{name}', f'/proc/1/root{name}', f'/proc/self/cwd/../..{name}'):
    with refused(path): open(path).read()
""",
    ),
    _python(
        "through_a_link",
        """
for make in (os.symlink, os.link):
    with contextlib.suppress(OSError): make(facts['secret'], 'link')
    with refused('read'): open('link').read()
    with contextlib.suppress(OSError): open('link', 'a').write('x')
    with contextlib.suppress(OSError): os.truncate('link', 0)
    with contextlib.suppress(OSError): os.chmod('link', 0o700)
    with contextlib.suppress(OSError): os.unlink('link')
with contextlib.suppress(OSError): os.symlink('/', 'root')
with refused('from the root'): open('root' + facts['secret']).read()
with contextlib.suppress(OSError): os.rename(facts['secret'], 'mine')
with refused('moved'): open('mine').read()
""",
    ),
    _python(
        "reads_the_users_files",
        """
names = ['/etc/passwd', '/etc/shadow', '/etc/hostname', '/etc/hosts', '/etc/resolv.conf', '/root/.bashrc',
         '/root/.ssh/id_rsa', '/var/log/dpkg.log', '/proc/cpuinfo', '/proc/mounts', '/proc/self/environ',
         '/proc/self/maps', '/proc/self/status', '/proc/net/tcp', '/sys/kernel/notes', '/proc/kcore', '/dev/mem',
         facts['package'] + '/sandbox/judge.py']
for name in names:
    with refused(name): open(name, 'rb').read(1)
for name in ('/root', '/home', '/proc', '/sys', '/etc', os.path.dirname(facts['secret']), facts['package']):
    with refused(f'listed {name}'):
        shown = {'alternatives', 'ld.so.cache', 'localtime', *facts['python'].split('/')}
        if set(os.listdir(name)) <= shown: raise OSError
""",
    ),
    _python(
        "reads_the_environment",
        """
for name, value in os.environ.items():
    if 'secret' in value: escaped(name)
for pid in (os.getppid(), 1, facts['runner'], 'self', 'thread-self'):
    for what in ('environ', 'cmdline', 'maps', 'mem', 'fd', 'root', 'cwd'):
        with refused(f'{pid} {what}'): os.listdir(f'/proc/{pid}/{what}') if what == 'fd' else open(f'/proc/{pid}/{what}', 'rb').read(1)
""",
    ),
    _python(
        "writes_outside",
        """
folder = os.path.dirname(facts['secret'])
for name in (f'{folder}/new', '/usr/lib/new', '/etc/new', '/var/tmp/new', '/root/new', '/dev/new', '/new', '/run/new',
             '/tmp/../new', os.__file__, json.__file__, facts['package'] + '/errors.py', '/dev/sda', '/dev/kmsg',
             '/proc/sys/kernel/core_pattern', '/proc/self/oom_score_adj', '/sys/kernel/mm/ksm/run'):
    with refused(name): os.close(os.open(name, os.O_WRONLY | os.O_CREAT, 0o666))
for name in (f'{folder}/made', '/usr/made', '/made'):
    with refused(name): os.mkdir(name)
""",
    ),
    _python(
        "changes_what_is_outside",
        """
name, folder = facts['secret'], os.path.dirname(facts['secret'])
with refused('mode'): os.chmod(name, 0o777)
with refused('folder mode'): os.chmod(folder, 0o700)
with refused('owner'): os.chown(name, os.getuid(), os.getgid())
with refused('time'): os.utime(name, (0, 0))
with refused('size'): os.truncate(name, 0)
with refused('emptied'): os.open(name, os.O_RDONLY | os.O_TRUNC)
with refused('removed'): os.unlink(name)
with refused('renamed'): os.rename(name, folder + '/other')
with refused('attribute'): os.setxattr(name, 'user.x', b'x')
with refused('attribute read'): os.getxattr(name, 'user.x')
with refused('replaced'): os.rename(os.path.abspath(sys.argv[0]), name)
""",
    ),
    _python(
        "makes_devices",
        """
for name in ('device', '/dev/device'):
    with refused('block'): os.mknod(name, 0o60666, os.makedev(8, 0))
    with refused('character'): os.mknod(name, 0o20666, os.makedev(1, 1))
""",
    ),
    _python(
        "set_user_programs",
        """
for command in ('su', 'sudo', 'mount', 'passwd', 'newgrp', 'chsh', 'pkexec', 'unshare', 'nsenter'):
    for folder in ('/bin', '/usr/bin'):
        reader, writer = os.pipe()
        def run():
            os.dup2(writer, 1); os.dup2(writer, 2)
            os.execv(f'{folder}/{command}', [command, '-c', 'cat /etc/shadow'] if command == 'su' else [command, '-r', '-m', 'id'])
        pid = fork(run)
        os.close(writer)
        said = os.read(reader, 65536)
        os.close(reader)
        os.waitpid(pid, 0)
        if b'uid=0' in said or b'root:' in said: escaped(said)
if 0 in os.getresuid() or os.getgroups() not in ([], [65534]) and 0 in os.getgroups(): escaped('root')
for change in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgid(0), lambda: os.setgroups([0])):
    with refused('became root'): change()
""",
    ),
    _python(
        "own_set_user_program",
        """
with contextlib.suppress(OSError):
    with open('mine', 'w') as file: file.write('#!/bin/sh\\nid')
    os.chmod('mine', 0o6755)
    if os.stat('mine').st_mode & 0o6000 and os.stat('mine').st_uid == 0: escaped('set-uid root')
""",
    ),
    _python(
        "kept_descriptors",
        """
for descriptor in range(3, 4096):
    try: status = os.fstat(descriptor)
    except OSError: continue
    with refused(f'wrote to {descriptor}'): os.write(descriptor, b'x')
    with refused(f'read {descriptor}'): os.read(descriptor, 1)
    with refused(f'listed above {descriptor}'): os.open('../../../../../../..' + facts['secret'], os.O_RDONLY, dir_fd=descriptor)
    with refused(f'secret from {descriptor}'): os.open(facts['secret'], os.O_RDONLY, dir_fd=descriptor)
    with refused(f'went to {descriptor}'):
        os.fchdir(descriptor)
        os.chdir('../' * 20)
        open(facts['secret'][1:]).read()
""",
    ),
    _calls(
        "file_handles",
        """
handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))
denied(303, -100, facts['secret'].encode(), handle, ctypes.byref(ctypes.c_int()), 0)   # name_to_handle_at
denied(303, -100, b'/', handle, ctypes.byref(ctypes.c_int()), 0)
denied(304, 0, handle, 0)                 # open_by_handle_at
denied(437, -100, facts['secret'].encode(), ctypes.create_string_buffer(24), 24)  # openat2
denied(86, facts['secret'].encode(), b'x')
denied(300, 0, 0); denied(253); denied(294, 0)   # fanotify_init, inotify_init, inotify_init1
denied(92, facts['secret'].encode(), 0, 0)
""",
    ),
]

NAMESPACES = [
    _calls(
        "mounts",
        """
denied(165, b'tmpfs', b'/tmp', b'tmpfs', 0, None)      # mount
denied(165, b'none', b'/', None, 32 | 4096, None)      # remount writable
denied(165, b'/', b'/tmp', None, 4096, None)
denied(165, b'proc', b'/tmp', b'proc', 0, None)
denied(166, b'/tmp', 2); denied(166, b'/', 2); denied(166, b'/usr', 2)   # umount2
denied(155, b'.', b'.')                                 # pivot_root
denied(161, b'/usr')                                    # chroot
denied(428, -100, b'/', 0); denied(429, 0, b'', -100, b'/tmp', 0); denied(430, b'tmpfs', 0)
denied(432, 0, 0, 0); denied(442, -100, b'/', 0x8000, ctypes.create_string_buffer(32), 32)
""",
    ),
    _calls(
        "new_namespaces",
        """
for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x02000000, 0x80):
    denied(272, flag)                                   # unshare
    denied(56, flag | 17, 0, 0, 0, 0)                   # clone
denied(435, ctypes.create_string_buffer(struct.pack('Q', 0x10000000) + bytes(80)), 88)   # clone3
denied(308, 0, 0)                                       # setns
denied(56, 0x8000 | 17, 0, 0, 0, 0)                     # a sibling, which nobody waits for
""",
    ),
    _calls(
        "kernel_interfaces",
        """
page = ctypes.create_string_buffer(4096)
for number in (321, 298, 425, 426, 427, 323, 248, 249, 250, 317, 444, 445, 446, 438, 312, 440, 448):
    denied(number, 0, page, 4096, 0, 0, 0)
denied(175, page, 4096, b''); denied(176, b'x', 0); denied(313, 0, b'', 0)     # modules
denied(169, 0xfee1dead, 672274793, 0x01234567, 0)                              # reboot
denied(246, 0, 0, 0, 0); denied(320, 0, 0, 0, 0, 0)                            # kexec
denied(170, b'x', 1); denied(171, b'x', 1)                                     # names of the host
denied(164, page, None); denied(227, 0, page); denied(305, 0, page); denied(159, page)   # the clock
denied(167, b'/dev/sda', 0); denied(163, b'x'); denied(103, 5, 0, 0); denied(179, 0, b'', 0, page)
denied(172, 3); denied(173, 0, 1, 1); denied(135, 0x0040000); denied(134)
denied(237, page, 4096, 0, page, 0, 0); denied(279, 0, 0, page, page, page, 0); denied(256, 0, 0, page, page)
denied(251, 1, 0, 0); denied(314, 0, page, 0); denied(153)
""",
    ),
    _calls(
        "traces_others",
        """
page = ctypes.create_string_buffer(4096)
for pid in (os.getppid(), facts['sentinel'], facts['runner'], 1):
    for request in (16, 0x4206, 2, 12):
        denied(101, request, pid, 0, 0)                 # ptrace
    denied(310, pid, page, 1, page, 1, 0)               # process_vm_readv
    denied(311, pid, page, 1, page, 1, 0)               # process_vm_writev
    denied(312, pid, os.getpid(), 0, 0, 0)              # kcmp
denied(101, 0, 0, 0, 0)
pid = fork(lambda: time.sleep(0.2))
denied(101, 16, pid, 0, 0)
os.waitpid(pid, 0)
""",
    ),
    _calls(
        "capabilities",
        """
data = ctypes.create_string_buffer(24)
libc.syscall(ctypes.c_long(125), ctypes.create_string_buffer(struct.pack('Ii', 0x20080522, 0)), data)
if any(data.raw): escaped(data.raw.hex())
denied(126, ctypes.create_string_buffer(struct.pack('Ii', 0x20080522, 0)), ctypes.create_string_buffer(b'\\xff' * 24))
for option, value in ((4, 1), (8, 1), (24, 0), (28, 0), (22, 1), (22, 2), (36, 1), (47, 2), (1, 0), (35, 6), (0x59616d61, -1)):
    denied(157, option, value, 0, 0, 0)                 # prctl
denied(157, 47, 2, 21, 0, 0)
""",
    ),
    _calls(
        "own_filters",
        """
program = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fff0000))
header = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', 1, ctypes.addressof(program)))
for flags in (0, 1, 4, 8):
    denied(317, 1, flags, header)                       # seccomp
denied(157, 22, 2, header)
""",
    ),
    _cpp(
        "calls_of_the_32_bit_table",
        """
#include <cstdio>
int main() {
    long result;
    asm volatile("int $0x80" : "=a"(result) : "a"(39L), "b"("/tmp/x"), "c"(0777L) : "memory");
    std::puts("ESCAPED: a call of the 32-bit table");
}
""",
        frozenset({"killed"}),
        x86_64=True,
    ),
    _cpp(
        "calls_of_the_x32_table",
        """
#include <cstdio>
#include <unistd.h>
#include <sys/syscall.h>
int main() {
    syscall(0x40000000 | 39);
    std::puts("ESCAPED: a call of the x32 table");
}
""",
        frozenset({"killed"}),
        x86_64=True,
    ),
]

NETWORK = [
    _python(
        "reaches_loopback",
        """
for host in ('127.0.0.1', 'localhost', '0.0.0.0', '::1', '10.0.0.1'):
    with refused(host): socket.create_connection((host, facts['port']), timeout=0.2)
with refused('udp'):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock: sock.sendto(b'x', ('127.0.0.1', facts['udp']))
""",
    ),
    _python(
        "reaches_unix_sockets",
        """
for name in (facts['unix'], '\\0' + facts['abstract']):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        with refused(name):
            with socket.socket(socket.AF_UNIX, kind) as sock: sock.connect(name)
        with contextlib.suppress(OSError):
            ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
            with refused('sent'):
                if not ours.sendto(b'x', name): raise OSError
            with refused('connected again'): ours.connect(name)
""",
    ),
    _python(
        "listens",
        """
with refused('tcp'): socket.create_server(('127.0.0.1', 0))
with refused('unix'): socket.socket(socket.AF_UNIX).bind('name')
ours, theirs = socket.socketpair()
with refused('pair bound'): ours.bind('name')
with refused('pair listens'): ours.listen()
""",
    ),
    _python(
        "strange_sockets",
        """
for family in range(1, 46):
    for kind in (1, 2, 3, 5):
        with refused(f'family {family} kind {kind}'): socket.socket(family, kind)
with refused('netlink'): socket.socket(16, 3, 0)
""",
    ),
]

TAMPERING = [
    _python(
        "leaves_things_behind",
        """
import builtins, math, random, time as t
builtins.print = lambda *a, **k: os.write(1, b'ESCAPED: state')
math.sqrt = lambda x: 'ESCAPED: state'
json.loads = None
sys.modules['math'] = None
os.environ['LEFT'] = 'ESCAPED: state'
with contextlib.suppress(OSError): os.umask(0o777)
for folder in ('.', '/tmp', '/dev/shm', os.environ['HOME']):
    with contextlib.suppress(OSError):
        for name in ('math.py', 'sitecustomize.py', 'usercustomize.py', 'left'):
            with open(f'{folder}/{name}', 'w') as file: file.write('print("ESCAPED: state")')
os.write(1, b'tried\\n')
os._exit(0)
""",
    ),
    _python(
        "looks_for_the_harness",
        """
import gc
for module in list(sys.modules):
    if module.startswith('perilune'): escaped(module)
with refused('imported'): import perilune
with refused('imported a package'): import pydantic
gc.unfreeze() if hasattr(gc, 'unfreeze') else None
for thing in gc.get_objects():
    if type(thing).__name__ in ('Result', 'Run', 'Judge', 'Case', 'StdioTask') and 'perilune' in type(thing).__module__:
        escaped(type(thing).__name__)
    if type(thing) is socket.socket and thing.fileno() >= 0:
        with refused('a socket of ours'): thing.send(b'{}')
""",
    ),
    _python(
        "writes_over_its_own_memory",
        "ctypes.memset(id(None), 0x41, 4096)\nctypes.memset(id(sys), 0x41, 1 << 16)",
        ENDS | {"memory"},
        finishes=False,
    ),
    _python("jumps_to_nowhere", "ctypes.CFUNCTYPE(None)(1)()", ENDS, finishes=False),
    _python(
        "changes_how_it_ends",
        """
import atexit
os._exit = sys.exit = lambda *a: None
threading._shutdown = lambda: os.write(1, b'shutdown\\n')
sys.excepthook = lambda *a: os.write(1, b'hook\\n')
atexit.register(lambda: time.sleep(0.1))
sys.stdout.close()
os.write(1, b'tried\\n')
raise KeyError('the end')
""",
    ),
    _python(
        "never_ends_its_end",
        "import atexit\natexit.register(lambda: time.sleep(60))\nprint('tried', flush=True)",
        frozenset({"wall time"}),
    ),
    _python(
        "executes_shell_code",
        """
for path in ('/bin/sh', '/bin/bash', '/usr/bin/perl'):
    reader, writer = os.pipe()
    def run():
        os.dup2(writer, 1)
        os.execv(path, [path, '-c', f"cat {facts['secret']}; echo x > {facts['secret']}; kill -9 {facts['runner']}; ls /proc/1/"])
    pid = fork(run)
    os.close(writer)
    if b'secret' in os.read(reader, 65536): escaped('read')
    os.waitpid(pid, 0)
""",
    ),
]

COMPILER = [
    _cpp("includes_a_secret", '#include "@secret@"\nint main() {}', frozenset({"not compiled"})),
    _cpp("includes_a_users_file", '#include "/etc/passwd"\nint main() {}', frozenset({"not compiled"})),
    _cpp("includes_an_endless_file", '#include "/dev/zero"\nint main() {}', frozenset({"not compiled"})),
    _cpp("includes_its_own_input", '#include "/dev/stdin"\nint main() {}', ENDS | {"not compiled"}),
    _cpp("includes_itself", "#include __FILE__\nint main() {}", frozenset({"not compiled"})),
    _cpp(
        "assembles_a_secret_in",
        """
asm(".section .rodata\\nstart: .incbin \\"@secret@\\"\\nfinish:\\n.text");
extern "C" { extern const char start[], finish[]; }
#include <cstdio>
int main() { std::fwrite(start, 1, finish - start, stdout); }
""",
        frozenset({"not compiled"}),
    ),
    _cpp(
        "assembles_a_users_file_in",
        """
asm(".section .rodata\\n.globl start\\nstart: .incbin \\"/etc/passwd\\"\\n.text");
int main() {}
""",
        frozenset({"not compiled"}),
    ),
    _cpp(
        "templates_without_end",
        "template<int a, int b> struct T { static const int v = T<a - 1, b>::v + T<a, b - 1>::v; };\n"
        "template<int a> struct T<a, 0> { static const int v = 1; };\n"
        "int main() { return T<800, 800>::v; }",
        frozenset({"not compiled"}),
    ),
    _cpp(
        "macros_without_end",
        "#define A(x) x x x x x x x x\n#define B(x) A(A(A(x)))\n#define C(x) B(B(B(x)))\nint main() { C(C(;)) }",
        frozenset({"not compiled"}),
    ),
    _cpp(
        "huge_program",
        "long a[1 << 28] = {1};\nint main() { return a[0]; }",
        frozenset({"not compiled"}),
    ),
    _cpp(
        "endless_constant",
        "constexpr int f() { for (;;) ; return 0; }\nconstexpr int x = f();\nint main() {}",
        frozenset({"not compiled"}),
    ),
    _cpp(
        "before_main",
        """
#include <cstdio>
#include <unistd.h>
#include <fcntl.h>
#include <signal.h>
struct Early {
    Early() {
        if (open("@secret@", O_RDONLY) >= 0) std::puts("ESCAPED: read");
        if (open("@secret@", O_WRONLY | O_APPEND) >= 0) std::puts("ESCAPED: write");
        if (kill(@runner@, 0) == 0) std::puts("ESCAPED: signal");
        for (int fd = 3; fd < 1024; ++fd)
            if (fcntl(fd, F_GETFD) >= 0) std::printf("ESCAPED: descriptor %d\\n", fd);
        std::puts("tried");
        std::fflush(stdout);
        _exit(0);
    }
} early;
int main() {}
""",
        frozenset({"exited"}),
        finishes=True,
    ),
    _cpp(
        "fast_fork_bomb",
        "#include <unistd.h>\nint main() { for (;;) fork(); }",
        TIME,
    ),
    _cpp(
        "fast_memory",
        "#include <cstdlib>\n#include <cstring>\n"
        "int main() { for (;;) { char* p = (char*)malloc(1 << 24); if (!p) abort(); memset(p, 1, 1 << 24); } }",
        frozenset({"memory", "killed"}),
    ),
    _cpp(
        "overflows_the_stack",
        "int f(int n) { volatile char x[65536]; x[n % 7] = n; return f(n + 1) + x[n % 5]; }\nint main() { return f(0); }",
        frozenset({"killed", "memory"}),
    ),
    _cpp(
        "makes_pages_executable",
        """
#include <sys/mman.h>
#include <cstring>
#include <cstdio>
int main() {
    unsigned char code[] = {0xb8, 0x29, 0, 0, 0, 0xbf, 2, 0, 0, 0, 0xbe, 1, 0, 0, 0, 0x31, 0xd2, 0x0f, 0x05, 0xc3};
    void* page = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) {
        memcpy(page, code, sizeof code);
        if (((long (*)())page)() >= 0) std::puts("ESCAPED: a socket");
    }
    std::puts("tried");
}
""",
        frozenset({"exited"}),
        finishes=True,
        x86_64=True,
    ),
]

ALL = [*PROCESSES, *SIGNALS, *MEMORY, *OUTPUT, *FILES, *NAMESPACES, *NETWORK, *TAMPERING, *COMPILER]
