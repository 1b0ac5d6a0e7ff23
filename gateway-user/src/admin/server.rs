//! The daemon's side of the control socket.

use super::{
    Lock,
    message::{ConnectView, Reloaded, Request, Response, Status, TagRequest, Upgraded, WorkloadView, legal_cgroup},
};
use crate::limits::{CONTROL_CONNECTIONS_MAX, CONTROL_REQUEST_BYTES_MAX, CONTROL_SERVER_TIMEOUT};
use anyhow::{Context as _, bail};
use std::{
    fs::{self, Permissions},
    io::ErrorKind,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    task::JoinSet,
    time::timeout,
};

/// What the control socket may do to the daemon. Calls come from a blocking thread, several at a time.
pub(crate) trait Authority: Send + Sync + 'static {
    /// # Errors
    /// When the cgroup does not exist, is tagged as something else, or the kernel refuses.
    fn tag(&self, request: &TagRequest) -> anyhow::Result<WorkloadView>;
    /// The workload as it was.
    ///
    /// # Errors
    /// When the cgroup is not tagged, or the kernel refuses.
    fn untag(&self, cgroup: &Path) -> anyhow::Result<WorkloadView>;
    fn workloads(&self) -> Vec<WorkloadView>;
    fn status(&self) -> Status;
    /// Reads the policies anew. Blocks for as long as that takes.
    fn reload_policies(&self) -> Reloaded;
    /// Starts a successor and hands over to it. Blocks until it serves.
    ///
    /// # Errors
    /// It does not serve; the daemon goes on.
    fn upgrade(&self, binary: Option<&Path>) -> anyhow::Result<Upgraded>;
    /// Ends the sessions of a cgroup, and says how many there were.
    fn end_sessions(&self, cgroup: &Path) -> u64;
    /// Refused and redirected connects with a number above `after`, and how many of them are gone.
    fn connects(&self, after: u64) -> (Vec<ConnectView>, u64);
}

/// A socket (mode 0600) that listens, and is not at its place yet: until then a daemon before answers there.
#[derive(Debug)]
pub(crate) struct Waiting {
    listener: UnixListener,
    at: PathBuf,
    socket: PathBuf,
}

/// Listens for what will be at `socket`. The [`Lock`] proves that nobody else makes one: a socket that is there already is dead,
/// or the predecessor's.
///
/// # Errors
/// When the socket cannot be made. Must be called within a tokio runtime.
pub(crate) fn listen(socket: &Path, _held: &Lock) -> anyhow::Result<Waiting> {
    let named = || format!("cannot listen on the control socket `{}`", socket.display());
    if socket.is_dir() {
        return Err(std::io::Error::from(ErrorKind::IsADirectory)).with_context(named);
    }
    let at = socket.with_extension("new");
    let listener = listen_at(&at).with_context(named)?;
    Ok(Waiting { listener, at, socket: socket.to_owned() })
}

/// Listens at a path (mode 0600) that is this process's alone.
///
/// # Errors
/// As [`listen`].
pub(crate) fn listen_at(at: &Path) -> anyhow::Result<UnixListener> {
    match fs::remove_file(at) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let listener = UnixListener::bind(at)?;
    // Between bind and here the folder's mode and the check of the peer's uid guard it.
    fs::set_permissions(at, Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Waiting {
    /// Takes its place, by one rename.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) fn appear(self) -> anyhow::Result<UnixListener> {
        fs::rename(&self.at, &self.socket)
            .with_context(|| format!("cannot listen on the control socket `{}`", self.socket.display()))?;
        Ok(self.listener)
    }
}

/// Serves until dropped. One connection's failure is logged and ends that connection only.
pub(crate) async fn serve(listener: UnixListener, authority: Arc<dyn Authority>) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= CONTROL_CONNECTIONS_MAX {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, Arc::clone(&authority)));
            }
            Err(error) => {
                // Out of file descriptors, most likely: at once again would spin.
                tracing::warn!(%error, "control socket: cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(mut stream: UnixStream, authority: Arc<dyn Authority>) {
    if let Err(error) = check_peer(&stream) {
        tracing::warn!("control socket: {error:#}");
        // Best effort: the peer has no right to an answer.
        let _ = timeout(CONTROL_SERVER_TIMEOUT, answer(&mut stream, &refused(&error))).await;
        return;
    }
    if let Err(error) = requests(stream, authority).await {
        tracing::warn!("control socket: {error:#}");
    }
}

fn check_peer(stream: &UnixStream) -> anyhow::Result<()> {
    let uid = stream.peer_cred().context("cannot tell who is connected")?.uid();
    let own = nix::unistd::geteuid().as_raw();
    if uid != 0 && uid != own {
        bail!("user {uid} may not control this daemon: run the command as root or as user {own}");
    }
    Ok(())
}

async fn requests(mut stream: UnixStream, authority: Arc<dyn Authority>) -> anyhow::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    loop {
        let line = match timeout(CONTROL_SERVER_TIMEOUT, line(&mut reader)).await.context("no request came in time")? {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(()),
            Err(error) => {
                timeout(CONTROL_SERVER_TIMEOUT, answer(&mut writer, &refused(&error)))
                    .await
                    .context("the answer was not taken")??;
                return Err(error);
            }
        };
        let authority = Arc::clone(&authority);
        let response =
            tokio::task::spawn_blocking(move || respond(&line, authority.as_ref())).await.unwrap_or_else(|error| {
                refused(&anyhow::Error::new(error).context("the daemon failed at this request; see its log"))
            });
        timeout(CONTROL_SERVER_TIMEOUT, answer(&mut writer, &response)).await.context("the answer was not taken")??;
    }
}

/// One request without its newline; `None` when the peer has no more.
async fn line(reader: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> anyhow::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let room = u64::try_from(CONTROL_REQUEST_BYTES_MAX).unwrap_or(u64::MAX);
    reader.take(room).read_until(b'\n', &mut line).await.context("cannot read the request")?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() + 1 >= CONTROL_REQUEST_BYTES_MAX => {
            bail!("the request is longer than {CONTROL_REQUEST_BYTES_MAX} bytes: give fewer groups")
        }
        Some(_) => bail!("the request ends without a newline: send one JSON object per line"),
    }
}

fn respond(line: &[u8], authority: &dyn Authority) -> Response {
    let done = || -> anyhow::Result<Response> {
        let request = serde_json::from_slice(line)
            .context("the request is not one this version knows: are command and daemon of one version?")?;
        Ok(match request {
            Request::Tag(tag) => Response::Tagged { workload: authority.tag(&tag)? },
            Request::Untag { cgroup } => Response::Untagged { workload: authority.untag(&legal_cgroup(&cgroup)?)? },
            Request::Workloads {} => Response::Workloads { workloads: authority.workloads() },
            Request::Status {} => Response::Status { status: Box::new(authority.status()) },
            Request::ReloadPolicies {} => Response::Reloaded { reloaded: authority.reload_policies() },
            Request::Upgrade { binary } => Response::Upgraded { upgraded: authority.upgrade(binary.as_deref())? },
            Request::EndSessions { cgroup } => {
                Response::EndedSessions { sessions: authority.end_sessions(&legal_cgroup(&cgroup)?) }
            }
            Request::Connects { after } => {
                let (connects, missed) = authority.connects(after);
                Response::Connects { connects, missed }
            }
        })
    };
    done().unwrap_or_else(|error| refused(&error))
}

fn refused(error: &anyhow::Error) -> Response {
    Response::Refused { message: format!("{error:#}") }
}

async fn answer(writer: &mut (impl tokio::io::AsyncWrite + Unpin), response: &Response) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(response).context("cannot write the answer as JSON")?;
    line.push(b'\n');
    writer.write_all(&line).await.context("cannot send the answer")?;
    writer.flush().await.context("cannot send the answer")
}
