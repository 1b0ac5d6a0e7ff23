//! The commands' side of the control socket: one request, one response, without a runtime.

use super::message::{Request, Response};
use crate::limits::{CONTROL_CLIENT_TIMEOUT, CONTROL_RESPONSE_BYTES_MAX};
use anyhow::{Context as _, bail};
use std::{
    fs,
    io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

/// What the sockets of draining daemons are called in the `run_dir`, before their process ids.
pub(crate) const DRAINING: &str = "draining-";

/// Nobody answers at the control socket.
#[derive(Debug, thiserror::Error)]
#[error("no portreeve answers at `{socket}`: start it with `portreeve run`, or name its configuration with `--config`")]
pub(crate) struct DaemonAbsent {
    pub(crate) socket: String,
}

/// Asks the daemon behind `socket`.
///
/// # Errors
/// [`DaemonAbsent`] when nobody listens there; otherwise when the daemon refuses, or does not answer in 10 s.
pub(crate) fn ask(socket: &Path, request: &Request) -> anyhow::Result<Response> {
    ask_for(socket, request, CONTROL_CLIENT_TIMEOUT)
}

/// [`ask`] with another patience.
///
/// # Errors
/// As [`ask`].
pub(crate) fn ask_for(socket: &Path, request: &Request, patience: Duration) -> anyhow::Result<Response> {
    let stream = connect(socket)?;
    // Text, not the source error: a broken pipe here must not look like a reader that left our standard output.
    let line = exchange(&stream, request, patience).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            anyhow::anyhow!("portreeve did not answer in {} s: look at its log", patience.as_secs())
        }
        _ => anyhow::anyhow!("the connection to portreeve broke ({error}): look at its log"),
    })?;
    if line.is_empty() {
        bail!("portreeve closed the connection without an answer: look at its log");
    }
    match serde_json::from_slice(&line)
        .context("cannot read portreeve's answer: are command and daemon of one version?")?
    {
        Response::Refused { message } => bail!("{message}"),
        response => Ok(response),
    }
}

/// The sockets of daemons that have handed over and drain, and of those that were killed while they did.
pub(crate) fn draining(run_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run_dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let is_one =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(DRAINING));
    entries.filter(is_one).collect()
}

/// Whether somebody listens at a socket.
pub(crate) fn is_alive(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

fn connect(socket: &Path) -> anyhow::Result<UnixStream> {
    match UnixStream::connect(socket) {
        Ok(stream) => Ok(stream),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            Err(DaemonAbsent { socket: socket.display().to_string() }.into())
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error)
            .with_context(|| format!("cannot reach portreeve at `{}`: run the command as root", socket.display())),
        Err(error) => Err(error).with_context(|| format!("cannot reach portreeve at `{}`", socket.display())),
    }
}

fn exchange(mut stream: &UnixStream, request: &Request, patience: Duration) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    match stream.write_all(&line) {
        // A daemon that refuses the peer answers without reading: its reason is worth more than our broken pipe.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut answer = Vec::new();
    BufReader::new(stream.take(CONTROL_RESPONSE_BYTES_MAX)).read_until(b'\n', &mut answer)?;
    Ok(answer)
}
