//! The registers of a process in a ptrace(2) stop, by what they mean for system calls (syscall(2),
//! "Architecture calling conventions"). Not for stopping it.

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::unistd::Pid;

/// The registers of a stopped process.
#[derive(Debug, Clone, Copy)]
pub struct Registers(libc::user_regs_struct);

/// Reads the registers of a process that this thread traces and that is stopped.
pub fn of(pid: Pid) -> Result<Registers, Errno> {
    #[cfg(target_arch = "x86_64")]
    let read = ptrace::getregs(pid)?;
    #[cfg(not(target_arch = "x86_64"))]
    let read = ptrace::getregset::<ptrace::regset::NT_PRSTATUS>(pid)?;
    Ok(Registers(read))
}

impl Registers {
    /// The stack pointer.
    pub fn stack(&self) -> u64 {
        #[cfg(target_arch = "x86_64")]
        return self.0.rsp;
        #[cfg(target_arch = "aarch64")]
        return self.0.sp;
    }

    /// Whether the process was stopped within a system call that it will make again when it goes on.
    ///
    /// The results `-ERESTARTSYS` to `-ERESTART_RESTARTBLOCK` (512 to 516, linux/errno.h) never reach a
    /// process; here they say that the kernel has the call begin anew.
    pub fn restarts(&self, number: i64) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.0.orig_rax as i64 == number && (-516..=-512).contains(&(self.0.rax as i64));
        // The kernel has put the arguments back already (do_signal in arch/arm64/kernel/signal.c).
        #[cfg(target_arch = "aarch64")]
        return self.0.regs[8] as i64 == number;
    }

    /// Changes an argument of the system call, from 0.
    pub fn set_argument(&mut self, index: usize, value: u64) {
        #[cfg(target_arch = "x86_64")]
        match index {
            0 => self.0.rdi = value,
            1 => self.0.rsi = value,
            2 => self.0.rdx = value,
            3 => self.0.r10 = value,
            4 => self.0.r8 = value,
            _ => self.0.r9 = value,
        }
        #[cfg(target_arch = "aarch64")]
        {
            self.0.regs[index] = value;
        }
    }

    /// Gives them to the process.
    pub fn put(self, pid: Pid) -> Result<(), Errno> {
        #[cfg(target_arch = "x86_64")]
        return ptrace::setregs(pid, self.0);
        #[cfg(not(target_arch = "x86_64"))]
        return ptrace::setregset::<ptrace::regset::NT_PRSTATUS>(pid, self.0);
    }
}
