//! Child processes that cannot outlive the harness.
//!
//! The kernel's parent-death signal fires when the *thread* that forked ends (prctl(2)), and test threads end early.
//! So one thread, the keeper, starts every child and lives as long as the process. Mount namespaces belong to threads as
//! well: what touches the pins in `/sys/fs/bpf` runs on the keeper too, see [`on_keeper`].

use crate::limits::{END_WAIT_MAX, POLL_EVERY};
use anyhow::{Context as _, Result, bail};
use nix::{
    sys::{
        prctl::set_pdeathsig,
        signal::{SigSet, Signal, kill},
    },
    unistd::{Gid, Pid, Uid, getppid, setgid, setgroups, setuid},
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

type Job = Box<dyn FnOnce() + Send>;

static KEEPER: OnceLock<Sender<Job>> = OnceLock::new();
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Runs `job` on the keeper thread and waits for its value. Must not be called from within a job.
pub fn on_keeper<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let keeper = KEEPER.get_or_init(|| {
        let (sender, jobs) = channel::<Job>();
        thread::spawn(move || jobs.into_iter().for_each(|job| job()));
        sender
    });
    let (sender, answer) = channel();
    let job = Box::new(move || drop(sender.send(job())));
    keeper.send(job).ok().context("the keeper thread has ended")?;
    answer.recv().context("a job of the keeper thread panicked")
}

/// Starts `command` in a process group of its own (Ctrl-C is ours to handle), killed when this process dies.
pub fn spawn(mut command: Command) -> Result<Child> {
    let shown = shown(&command);
    let parent = Pid::this();
    command.process_group(0);
    // Last of the child's preparations: changing the user id clears the death signal (prctl(2)).
    before_exec(&mut command, move || {
        // Children would inherit what `catch_interrupts` blocks (std resets no mask since Rust 1.66), and never end when
        // they are asked to.
        SigSet::empty().thread_set_mask()?;
        set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the call above; nobody would send the signal then.
        if getppid() != parent { Err(io::Error::from(io::ErrorKind::NotFound)) } else { Ok(()) }
    });
    on_keeper(move || command.spawn())?.with_context(|| format!("cannot start `{shown}`"))
}

/// The command enters the cgroup whose `cgroup.procs` is given, then becomes `uid` if there is one, before it is
/// executed: no socket of it is ever created outside.
pub(crate) fn enter_cgroup(command: &mut Command, procs: &Path, uid: Option<u32>) -> Result<()> {
    let mut procs: File =
        OpenOptions::new().write(true).open(procs).with_context(|| format!("cannot open `{}`", procs.display()))?;
    before_exec(command, move || {
        // cgroups(7): 0 stands for the writing process.
        procs.write_all(b"0")?;
        if let Some(uid) = uid {
            setgroups(&[])?;
            setgid(Gid::from_raw(uid))?;
            setuid(Uid::from_raw(uid))?;
        }
        Ok(())
    });
    Ok(())
}

#[expect(unsafe_code, reason = "the harness's only unsafe: std offers no safe way to act between fork and exec")]
fn before_exec(command: &mut Command, action: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    // SAFETY: the two closures above make system calls only (write, setgroups, setgid, setuid, sigprocmask, prctl,
    // getppid) on a file opened before the fork: no allocation, no lock.
    unsafe {
        command.pre_exec(action);
    }
}

/// Runs the command to its end and returns what it printed; after `patience`, or when the user interrupts, its whole
/// process group is killed and the call is an error.
pub fn output(mut command: Command, patience: Duration) -> Result<Output> {
    let shown = shown(&command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(command)?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = match wait(&mut child, patience) {
        Ok(Some(status)) => status,
        ended => {
            kill_group(&mut child);
            ended?;
            let said = stderr.join().unwrap_or_default();
            bail!("`{shown}` did not end within {patience:?}; it said: {}", String::from_utf8_lossy(&said));
        }
    };
    let stdout = stdout.join().ok().context("reading stdout panicked")?;
    let stderr = stderr.join().ok().context("reading stderr panicked")?;
    Ok(Output { status, stdout, stderr })
}

/// The status of the child, or none if it still runs after `patience`. An interrupt is an error.
pub fn wait(child: &mut Child, patience: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a child")? {
            return Ok(Some(status));
        }
        check_interrupt()?;
        if start.elapsed() >= patience {
            return Ok(None);
        }
        thread::sleep(POLL_EVERY);
    }
}

/// SIGTERM, some patience, then SIGKILL. The child is reaped when this returns; one that has ended already is no error.
pub fn terminate(child: &mut Child) -> Result<ExitStatus> {
    // The pid of a reaped child may be another process's by now.
    if let Some(status) = child.try_wait().context("cannot wait for a child")? {
        return Ok(status);
    }
    signal(child, Signal::SIGTERM)?;
    let start = Instant::now();
    while start.elapsed() < END_WAIT_MAX {
        if let Some(status) = child.try_wait().context("cannot wait for a child")? {
            return Ok(status);
        }
        thread::sleep(POLL_EVERY);
    }
    child.kill().context("cannot kill a child")?;
    child.wait().context("cannot wait for a child")
}

/// Sends a signal to a child that was not reaped yet.
pub fn signal(child: &Child, signal: Signal) -> Result<()> {
    kill(pid(child)?, signal).with_context(|| format!("cannot send {signal} to process {}", child.id()))
}

/// Sends a signal to a process that is nobody's child here.
pub fn signal_pid(pid: u32, signal: Signal) -> Result<()> {
    let number = Pid::from_raw(i32::try_from(pid).context("a pid does not fit")?);
    kill(number, signal).with_context(|| format!("cannot send {signal} to process {pid}"))
}

fn kill_group(child: &mut Child) {
    if let Ok(pid) = pid(child) {
        // The group may be gone already.
        let _ = nix::sys::signal::killpg(pid, Signal::SIGKILL);
    }
    let _ = child.wait();
}

fn pid(child: &Child) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(child.id()).context("a pid does not fit")?))
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// The command as a person would type it.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// From now on Ctrl-C and SIGTERM end what this process waits for with an error, so that every `Drop` runs.
///
/// Call it in `main`, before other threads start: they inherit the blocked signals. Children do not: [`spawn`] unblocks them.
pub fn catch_interrupts() -> Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_block().context("cannot block signals")?;
    thread::spawn(move || {
        while signals.wait().is_ok() {
            INTERRUPTED.store(true, Ordering::Relaxed);
        }
    });
    Ok(())
}

/// Errors after an interrupt that [`catch_interrupts`] saw.
pub fn check_interrupt() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted")
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{env, fs};

    #[test]
    fn commands_are_shown_as_typed() {
        let mut command = Command::new("mariadb");
        command.args(["-h", "127.0.0.2", "-e", "SELECT 'a'"]);
        assert_eq!(shown(&command), r"mariadb -h 127.0.0.2 -e 'SELECT '\''a'\'''");
    }

    #[test]
    fn a_slow_child_is_killed_with_its_children_and_is_an_error() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo waiting >&2; sleep 1000 & echo $! >&2; wait"]);
        let error = format!("{:#}", output(command, Duration::from_millis(300)).unwrap_err());
        assert!(error.contains("did not end") && error.contains("waiting"), "{error}");
        let pid = error.lines().last().unwrap().trim().parse::<u32>().unwrap();
        assert!(gone(pid), "the grandchild {pid} still runs");
    }

    /// A test runs in a thread that ends before the process does: a child that was started there must live on.
    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let mut sleep = Command::new("sleep");
        sleep.arg("1000");
        let mut child = thread::spawn(move || spawn(sleep).unwrap()).join().unwrap();
        thread::sleep(Duration::from_millis(50));
        assert!(child.try_wait().unwrap().is_none());
        assert!(!terminate(&mut child).unwrap().success());
    }

    /// The harness is killed outright: nothing that it started stays.
    #[test]
    fn a_child_dies_with_the_process() {
        const MARK: &str = "PORTREEVE_TEST_CHILD_FILE";
        if let Some(file) = env::var_os(MARK) {
            let mut sleep = Command::new("sleep");
            sleep.arg("1000");
            let mut child = spawn(sleep).unwrap();
            fs::write(file, child.id().to_string()).unwrap();
            // No destructor may help: this is the harness being killed.
            kill(Pid::this(), Signal::SIGKILL).unwrap();
            child.wait().unwrap();
        }
        let file = env::temp_dir().join(format!("portreeve-process-{}", std::process::id()));
        let mut again = Command::new(env::current_exe().unwrap());
        again.args(["--exact", "process::tests::a_child_dies_with_the_process"]).env(MARK, &file);
        let ended = output(again, Duration::from_secs(20)).unwrap();
        assert!(!ended.status.success());
        let pid = fs::read_to_string(&file).unwrap().parse::<u32>().unwrap();
        fs::remove_file(&file).unwrap();
        assert!(gone(pid), "process {pid} still runs");
    }

    fn gone(pid: u32) -> bool {
        (0..200).any(|_| {
            thread::sleep(POLL_EVERY);
            // A zombie that init has not reaped yet is as good as gone.
            fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
        })
    }
}
