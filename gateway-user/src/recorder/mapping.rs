//! A piece of a recording's file, mapped to be written, and what keeps the daemon alive where the kernel cannot take what is written.
//!
//! Space is allocated before it is mapped, but that is no promise: a disk may fail, a file system that copies on write be full, and
//! somebody with the right to do so may cut the file. A store into such a page raises SIGBUS, which ends the process and with it
//! every session. Here it becomes an error of this one file.

use std::fs::File;
use std::io;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, compiler_fence};

use memmap2::{MmapMut, MmapOptions};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction, signal};

/// A mapping that is written from front to back and never read.
#[derive(Debug)]
pub(super) struct Mapping {
    map: MmapMut,
    /// Where in the file it begins.
    start: u64,
    /// A page of it is no longer the file's.
    is_lost: bool,
}

impl Mapping {
    /// Maps `from..to` of the file, which must be allocated.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn new(file: &File, from: u64, to: u64) -> io::Result<Self> {
        survive_faults()?;
        let length = usize::try_from(to - from).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        // SAFETY: a mapping is sound while nobody changes the mapped bytes behind its back and nobody cuts the file below it. The
        // file was made by this process (`create_new`), with mode 0600 in a directory of mode 0700, and is locked; readers read it,
        // they do not write. Bytes that somebody changes or cuts all the same are never read here, and `write` survives their loss.
        let map = unsafe { MmapOptions::new().offset(from).len(length).map_mut(file)? };
        Ok(Self { map, start: from, is_lost: false })
    }

    /// Whether `write` failed: then the same piece must be mapped anew.
    pub(super) const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Writes a frame to where it lies in the file. Its length field, by which readers see it, goes last.
    ///
    /// # Errors
    /// The kernel could not take it: the file has no such frame then. The mapping is lost.
    pub(super) fn write(&mut self, position: u64, frame: &[u8]) -> io::Result<()> {
        let start = position.checked_sub(self.start).and_then(|start| usize::try_from(start).ok());
        let place = start.and_then(|start| self.map.get_mut(start..)?.get_mut(..frame.len()));
        let Some(place) = place else {
            return Err(io::Error::other("the mapping ends before the allocated space; please report this"));
        };
        let addresses = place.as_ptr_range();
        let watched = Watched::begin(addresses.start.addr(), addresses.end.addr());
        let written = copy(place, frame, &watched);
        self.is_lost = watched.end();
        if self.is_lost {
            return Err(io::Error::other(
                "the kernel could not take what was written (SIGBUS): the disk failed or is full, or somebody cut the file",
            ));
        }
        written
    }
}

fn copy(place: &mut [u8], frame: &[u8], watched: &Watched) -> io::Result<()> {
    let Some(((place_of_length, place), (length, rest))) = place.split_first_chunk_mut().zip(frame.split_first_chunk())
    else {
        return Err(io::Error::other("a frame is shorter than its length field; please report this"));
    };
    place.copy_from_slice(rest);
    // A frame that arrived in part is never seen.
    if watched.has_failed() { Ok(()) } else { publish(place_of_length, *length) }
}

/// Makes a frame visible by its length field: all else of the frame is written before it (release).
fn publish(place: &mut [u8; 4], length: [u8; 4]) -> io::Result<()> {
    let place = place.as_mut_ptr().cast::<u32>();
    if !place.is_aligned() {
        return Err(io::Error::other("a frame does not begin at a multiple of 16; please report this"));
    }
    // SAFETY: `place` comes from a mutable reference to four bytes, so it is valid for reads and writes and nothing else
    // in this process touches it meanwhile; it was just found aligned. Other processes read the file, by system calls.
    let place = unsafe { AtomicU32::from_ptr(place) };
    place.store(u32::from_ne_bytes(length), Ordering::Release);
    Ok(())
}

/// What a thread writes at this moment, for the handler of SIGBUS on the same thread.
struct Writing {
    /// Addresses; both 0 while nothing is written.
    from: AtomicUsize,
    to: AtomicUsize,
    has_failed: AtomicBool,
}

thread_local! {
    // Without a destructor and made by the compiler: a signal handler may use it.
    static WRITING: Writing =
        const { Writing { from: AtomicUsize::new(0), to: AtomicUsize::new(0), has_failed: AtomicBool::new(false) } };
}

/// As long as it lives, a fault at its addresses is not the end of the process.
struct Watched;

impl Watched {
    fn begin(from: usize, to: usize) -> Self {
        WRITING.with(|writing| {
            writing.has_failed.store(false, Ordering::Relaxed);
            writing.from.store(from, Ordering::Relaxed);
            writing.to.store(to, Ordering::Relaxed);
        });
        // The handler runs on this thread: what it sees is a matter of the compiler's order alone.
        compiler_fence(Ordering::SeqCst);
        Self
    }

    /// Whether there was a fault so far.
    fn has_failed(&self) -> bool {
        compiler_fence(Ordering::SeqCst);
        WRITING.with(|writing| writing.has_failed.load(Ordering::Relaxed))
    }

    /// Whether there was a fault.
    fn end(self) -> bool {
        let has_failed = self.has_failed();
        WRITING.with(|writing| {
            writing.from.store(0, Ordering::Relaxed);
            writing.to.store(0, Ordering::Relaxed);
        });
        has_failed
    }
}

/// Bytes of a page of this kernel.
static PAGE_LEN: AtomicUsize = AtomicUsize::new(0);

/// Takes the two signals by which the kernel ends a process that writes to a file it cannot write to. Once for the process.
fn survive_faults() -> io::Result<()> {
    static TAKEN: OnceLock<Result<(), Errno>> = OnceLock::new();
    TAKEN.get_or_init(take_signals).map_err(io::Error::from)
}

fn take_signals() -> Result<(), Errno> {
    // SAFETY: the call reads a number that the kernel told this process.
    let page_len = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    PAGE_LEN.store(usize::try_from(page_len).map_err(|_| Errno::EINVAL)?, Ordering::Relaxed);
    let handler = SigHandler::SigAction(on_bus_error);
    let action = SigAction::new(handler, SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK, SigSet::empty());
    // SAFETY: the handler makes system calls and uses atomics only.
    unsafe { sigaction(Signal::SIGBUS, &action)? };
    // Over RLIMIT_FSIZE, `fallocate` then fails with EFBIG.
    // SAFETY: no handler runs.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn)? };
    Ok(())
}

extern "C" fn on_bus_error(_signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel hands the handler what it knows of this signal (sigaction(2)); for SIGBUS that has an address.
    let address = unsafe { (*info).si_addr() }.addr();
    if WRITING.with(|writing| writing.replace_page(address)) {
        return;
    }
    // Not a recording's: it ends the process, as it would without this handler.
    let by_default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is set.
    let _ = unsafe { sigaction(Signal::SIGBUS, &by_default) };
    let _ = raise(Signal::SIGBUS);
}

impl Writing {
    /// Puts memory of our own in the place of a page that the kernel has no room for, so that the write goes on, to nowhere. False
    /// where no recording is written.
    fn replace_page(&self, address: usize) -> bool {
        let is_ours = (self.from.load(Ordering::Relaxed)..self.to.load(Ordering::Relaxed)).contains(&address);
        if !is_ours {
            return false;
        }
        let page_len = PAGE_LEN.load(Ordering::Relaxed);
        let page = ptr::with_exposed_provenance_mut(address - address % page_len);
        let (access, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
        // SAFETY: a mapping consists of whole pages, so that this one belongs to the `Mapping` that the thread writes at this
        // moment, by the only reference to it. What was in it nobody reads through the mapping; readers have the file.
        let replaced = unsafe { libc::mmap(page, page_len, access, flags, -1, 0) };
        self.has_failed.store(true, Ordering::Relaxed);
        replaced != libc::MAP_FAILED
    }
}
