//! A virtual machine that sees this machine's files, does a job and is gone.

use super::{archive::Kernel, initramfs, job};
use crate::limits::KERNEL_PROCESSORS;
use anyhow::{Context as _, Result, bail};
use portreeve_tests::{host, limits::POLL_EVERY, process};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What runs the virtual processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Accelerator {
    /// Software: everywhere, some ten times slower.
    Tcg,
    /// Hardware.
    Kvm,
}

pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) accel: Accelerator,
    pub(super) memory_mib: u32,
    /// It may ask the network for what this machine may (`network.sh`).
    pub(super) network: bool,
}

/// What a job printed, and whether it came to its end.
pub(super) struct Ran {
    pub(super) log: String,
    pub(super) took: Duration,
    /// Why it did not come to its end.
    pub(super) broken: Option<String>,
}

impl Machine<'_> {
    /// Boots, runs the script and shows `line` each line that it prints, as it comes. The console is in `console.log`, the job's
    /// output in `job.log` of the kernel's folder.
    ///
    /// # Errors
    /// The machine cannot be made, or the user interrupts. A kernel that fails is no error.
    pub(super) fn run(&self, script: &str, patience: Duration, mut line: impl FnMut(&str)) -> Result<Ran> {
        let folder = self.kernel.folder();
        let (job, console, log) = (folder.join("job.sh"), folder.join("console.log"), folder.join("job.log"));
        fs::write(&job, script).context("cannot write the job")?;
        for file in [&console, &log] {
            fs::write(file, "").with_context(|| format!("cannot write `{}`", file.display()))?;
        }
        let initramfs = initramfs::make(self.kernel, &job)?;
        let start = Instant::now();
        let mut emulator = Emulator(process::spawn(self.command(&initramfs, &console, &log))?);
        let mut shown = 0;
        let broken = loop {
            let ended = emulator.0.try_wait().context("cannot wait for QEMU")?;
            let text = printed(&log)?;
            shown += show(text.get(shown..).unwrap_or_default(), &mut line);
            if let Some(status) = ended {
                let is_whole = text.lines().any(|line| line == job::DONE);
                break (!is_whole).then(|| format!("QEMU ended ({status}): {}", end_of(&console)));
            }
            if start.elapsed() > patience {
                break Some(format!("it did not end within {} s: {}", patience.as_secs(), end_of(&console)));
            }
            process::check_interrupt()?;
            thread::sleep(POLL_EVERY * 20);
        };
        Ok(Ran { log: printed(&log)?, took: start.elapsed(), broken })
    }

    fn command(&self, initramfs: &Path, console: &Path, log: &Path) -> Command {
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        match self.accel {
            Accelerator::Tcg => command.args(["-accel", "tcg", "-cpu", "max"]),
            // A nested host may not let guests read what this flag promises.
            Accelerator::Kvm => command.args(["-accel", "kvm", "-cpu", "host,-arch-capabilities"]),
        };
        command.args(["-smp", &KERNEL_PROCESSORS.to_string(), "-m", &format!("{}M", self.memory_mib)]);
        command.arg("-kernel").arg(self.kernel.image()).arg("-initrd").arg(initramfs);
        command.args(["-append", "console=ttyS0 panic=-1 quiet mitigations=off"]);
        for file in [console, log] {
            command.arg("-serial").arg(format!("file:{}", file.display()));
        }
        command.args(["-virtfs", "local,path=/,mount_tag=root,security_model=passthrough,readonly=on,multidevs=remap"]);
        if self.network {
            command.args(["-nic", "user,model=virtio-net-pci"]);
        }
        command.stdin(Stdio::null());
        command
    }
}

/// Killed when it goes out of scope: what it ran lives in its memory.
struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A serial line ends its lines as a teletype would.
fn printed(log: &PathBuf) -> Result<String> {
    let bytes = fs::read(log).with_context(|| format!("cannot read `{}`", log.display()))?;
    Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
}

/// Shows the whole lines and returns their length in bytes.
fn show(text: &str, line: &mut impl FnMut(&str)) -> usize {
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    text.get(..whole).unwrap_or_default().lines().for_each(line);
    whole
}

fn end_of(console: &Path) -> String {
    let tail = host::log_tail(console);
    let lines: Vec<_> = tail.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let end = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join(" | ");
    if end.is_empty() { "the console is empty".into() } else { end }
}

/// Errors when something of the machine's cannot be had here.
pub(super) fn check(accel: Accelerator) -> Result<()> {
    if accel == Accelerator::Kvm && fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
        bail!("/dev/kvm cannot be opened: leave `--accel kvm` out");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_waits_for_its_end() {
        let mut seen = Vec::new();
        assert_eq!(show("one\ntwo\nth", &mut |line: &str| seen.push(line.to_owned())), 8);
        assert_eq!(seen, ["one", "two"]);
        assert_eq!(show("th", &mut |line: &str| seen.push(line.to_owned())), 0);
        assert_eq!(seen.len(), 2);
    }
}
