//! Another build's programs over the same maps, exchanged in place: each link goes from the old program to the new in one step
//! (`BPF_LINK_UPDATE`), so that no connect meets both or neither. What the maps hold stays: origins, records on their way, who
//! made which socket. aya 0.14 does not offer it for cgroup links.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use anyhow::{Context as _, Result, anyhow};
use aya::{Ebpf, EbpfLoader, programs::Program};

use super::{
    maps, pins,
    programs::{self, PACKET, PROGRAMS},
};

/// This build's programs, loaded over the pinned maps and not in force yet.
#[derive(Debug)]
pub(super) struct Fresh(Ebpf);

impl Fresh {
    /// # Errors
    /// A map is not there, or the verifier rejects a program (with its log): what is in force stays.
    pub(super) fn load(dir: &Path) -> Result<Self> {
        let mut loader = EbpfLoader::new();
        for name in maps::PINNED {
            loader.map_pin_path(name, dir.join(name));
        }
        let mut ebpf = loader.load(programs::OBJECT).map_err(programs::explain_load)?;
        for name in PROGRAMS.into_iter().chain([PACKET]) {
            let program = ebpf.program_mut(name).ok_or_else(|| anyhow!("the kernel object has no program {name}"))?;
            programs::load(program).with_context(|| format!("kernel program {name}"))?;
        }
        Ok(Self(ebpf))
    }

    /// Exchanges program after program. Again after a crash half-way, it does the rest: the pins are signed last.
    ///
    /// # Errors
    /// A link cannot be exchanged: some programs are then this build's and some the other's, over maps that both read.
    pub(super) fn put_in_force(mut self, dir: &Path) -> Result<()> {
        for name in PROGRAMS {
            update(&programs::link_pin(dir, name), self.program(name)?.fd()?.as_fd())
                .with_context(|| format!("kernel program {name} cannot be exchanged"))?;
        }
        // Cgroups that are tagged from here on get the new one as well.
        let (fresh, pinned) = (dir.join(format!("fresh_{PACKET}")), programs::packet_program_pin(dir));
        // Left by a start that was killed here.
        let _ = fs::remove_file(&fresh);
        self.program(PACKET)?.pin(&fresh).context("the packet program cannot be pinned")?;
        fs::rename(&fresh, &pinned).context("the packet program's pin cannot be exchanged")?;
        for link in programs::packet_pins(dir)? {
            match update(&link, self.program(PACKET)?.fd()?.as_fd()) {
                // The link of a cgroup that was removed: there is nothing left to look at.
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOLINK) => {}
                updated => updated.with_context(|| format!("{} cannot be exchanged", link.display()))?,
            }
        }
        pins::sign(dir)
    }

    fn program(&mut self, name: &str) -> Result<&mut Program> {
        self.0.program_mut(name).ok_or_else(|| anyhow!("the kernel object has no program {name}"))
    }
}

/// `bpf_attr` of `BPF_OBJ_GET` (`linux/bpf.h`).
#[repr(C)]
struct ObjectGet {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// `bpf_attr` of `BPF_LINK_UPDATE`.
#[repr(C)]
struct LinkUpdate {
    link_fd: u32,
    new_prog_fd: u32,
    flags: u32,
    old_prog_fd: u32,
}

fn update(link_pin: &Path, program: BorrowedFd<'_>) -> io::Result<()> {
    const LINK_UPDATE: u32 = 29;
    let link = open_pin(link_pin)?;
    let attr = LinkUpdate {
        link_fd: link.as_raw_fd().cast_unsigned(),
        new_prog_fd: program.as_raw_fd().cast_unsigned(),
        flags: 0,
        old_prog_fd: 0,
    };
    // SAFETY: the attribute is that command's, holds no pointers, and both descriptors are open throughout.
    unsafe { bpf(LINK_UPDATE, &attr) }.map(drop)
}

fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    const OBJ_GET: u32 = 7;
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attr = ObjectGet { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags: 0 };
    // SAFETY: the attribute is that command's; the path outlives the call and ends with a NUL.
    let fd = unsafe { bpf(OBJ_GET, &attr) }?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// # Safety
/// `attr` must be what `command` takes; what it points to must outlive the call.
unsafe fn bpf<T>(command: u32, attr: &T) -> io::Result<RawFd> {
    // SAFETY: as the caller promises; the kernel reads as many bytes as it is told.
    let result = unsafe { nix::libc::syscall(nix::libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(result).map_err(io::Error::other)
}
