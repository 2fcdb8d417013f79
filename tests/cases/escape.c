/* Tries to reach the live machine from a scratchpad, by every way that a program of root's has, and
 * prints one line for each: what, and 0 or the errno. Some ways are tried by the system calls of
 * 32-bit programs as well. Argument 1 is the number of a live process. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void say(const char *what, long result)
{
    printf("%s %d\n", what, result < 0 ? errno : 0);
}

static long writing(const char *path)
{
    int fd = open(path, O_WRONLY);
    return fd < 0 ? fd : write(fd, "1", 1);
}

static long node(const char *path)
{
    if (mknod(path, S_IFBLK | 0600, makedev(7, 0)) < 0)
    	return -1;
    return open(path, O_RDWR);
}

static long unix_socket(const char *name, size_t length)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path, name, length);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return connect(fd, (struct sockaddr *)&address, sizeof(sa_family_t) + length);
}

#if defined(__x86_64__)
static long by_32_bits(long number, long a, long b)
{
    long result;
    __asm__ volatile("int $0x80"
    		 : "=a"(result)
    		 : "a"(number), "b"(a), "c"(b), "d"(0L), "S"(0L), "D"(0L)
    		 : "memory");
    errno = result < 0 ? (int)-result : 0;
    return result < 0 ? -1 : 0;
}
#endif

int main(int count, char **arguments)
{
    int live = count > 1 ? atoi(arguments[1]) : 1;
    struct timespec time = { 1, 0 };
    struct timeval old = { 1, 0 };
    struct timex step = { .modes = ADJ_OFFSET };
    char room[4096] = { 0 };
    setbuf(stdout, NULL);
    say("mount", mount("none", "/mnt", "tmpfs", 0, NULL));
    say("remount", mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND, NULL));
    say("umount", umount2("/proc", MNT_DETACH));
    say("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    say("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    say("pivot_root", syscall(SYS_pivot_root, "/", "/mnt"));
    say("disk", node("/srv/disk"));
    say("disk in memory", node("/tmp/disk"));
    say("disk in shm", node("/dev/shm/disk"));
    say("device", writing("/dev/sda"));
    say("sysctl", writing("/proc/sys/vm/swappiness"));
    say("sysctl above", writing("/proc/../proc/sys/./vm/swappiness"));
    say("irq", writing("/proc/irq/default_smp_affinity"));
    say("sysfs", writing("/sys/kernel/mm/transparent_hugepage/enabled"));
    say("host name", sethostname("evil", 4));
    say("domain name", setdomainname("evil", 4));
    say("clock", clock_settime(CLOCK_REALTIME, &time));
    say("time of day", syscall(SYS_settimeofday, &old, NULL));
    say("adjtimex", adjtimex(&step));
    say("reboot", reboot(RB_AUTOBOOT));
    say("ctrl-alt-del", reboot(RB_DISABLE_CAD));
    say("kexec", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    say("module", syscall(SYS_init_module, room, 1, ""));
    say("module file", syscall(SYS_finit_module, 0, "", 0));
    say("module gone", syscall(SYS_delete_module, "ext4", 0));
    say("swapon", swapon("/swap", 0));
    say("swapoff", swapoff("/swap"));
    say("acct", acct("/tmp/acct"));
    say("kernel log", klogctl(5, NULL, 0));
    say("quota", syscall(SYS_quotactl, 0x800001 << 8, NULL, 0, NULL));
    say("bpf", syscall(SYS_bpf, 0, NULL, 0));
    say("perf", syscall(SYS_perf_event_open, room, 0, -1, -1, 0));
    say("fanotify", syscall(SYS_fanotify_init, 0, 0));
    say("userfaultfd", syscall(SYS_userfaultfd, 0));
    say("io_uring", syscall(SYS_io_uring_setup, 4, room));
    say("add_key", syscall(SYS_add_key, "user", "d", "p", 1, -4));
    say("keyctl", syscall(SYS_keyctl, 0, -4, 0));
    say("handle", syscall(SYS_open_by_handle_at, AT_FDCWD, room, 0));
    say("vhangup", syscall(SYS_vhangup));
    say("network namespace", unshare(CLONE_NEWNET));
    say("namespace of init", setns(open("/proc/1/ns/mnt", O_RDONLY), 0));
    say("vsock", socket(40, SOCK_STREAM, 0));
    say("packet", socket(AF_PACKET, SOCK_RAW, 0));
    say("raw", socket(AF_INET, SOCK_RAW, 1));
    say("live socket", unix_socket("/run/live.sock", 14));
    say("kill", kill(live, SIGTERM));
    say("ptrace", ptrace(PTRACE_SEIZE, live, NULL, NULL));
    say("shared memory", shmget(0x4242, 100, 0));
    say("typing", ioctl(0, TIOCSTI, "x"));
#if defined(__x86_64__)
    say("iopl", syscall(SYS_iopl, 3));
    say("32 mount", by_32_bits(21, 0, 0));
    say("32 keyctl", by_32_bits(288, 0, -4));
    say("32 userfaultfd", by_32_bits(374, 0, 0));
    say("32 io_uring", by_32_bits(425, 4, 0));
    say("32 vsock", by_32_bits(359, 40, SOCK_STREAM));
    say("32 typing", by_32_bits(54, 0, TIOCSTI));
#endif
    return 0;
}
