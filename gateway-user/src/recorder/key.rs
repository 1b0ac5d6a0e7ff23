//! The key that signs recordings: `<state_dir>/keys/recording.key`, which nobody else reads, and `recording.pub` beside it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use portreeve_recording::{PublicKey, SigningKey};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Bytes of the file that are read: a key has 32, more would be another file.
const KEY_BYTES_MAX: u64 = 33;
/// Bytes of a file with a public key: 64 digits and a line end.
const PUBLIC_BYTES_MAX: u64 = 1024;

/// The key of a state directory.
#[derive(Debug)]
pub(crate) struct KeyPair {
    pub(crate) signing: Arc<SigningKey>,
    pub(crate) public: PublicKey,
    /// Where the public key lies.
    pub(crate) public_path: PathBuf,
}

/// Where a state directory has its public key.
pub(crate) fn public_path(state_dir: &Path) -> PathBuf {
    state_dir.join("keys/recording.pub")
}

impl KeyPair {
    /// The key of a `state_dir`, made when there is none. Two processes that do so at once get the same.
    ///
    /// # Errors
    /// It cannot be read or written, or is no key.
    pub(crate) fn open(state_dir: &Path) -> Result<Self> {
        let folder = state_dir.join("keys");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot make `{}`", folder.display()))?;
        let path = folder.join("recording.key");
        check_is_owners(&folder, 0o022, "chmod 700")?;
        let public_path = public_path(state_dir);
        if !path.exists() {
            if let Ok(before) = read_public(&public_path) {
                tracing::warn!(
                    "the key that signed recordings until now is gone, and another is made: keep its public part, {before}, to verify them"
                );
            }
            make(&folder, &path).with_context(|| format!("cannot make `{}`", path.display()))?;
        }
        check_is_owners(&path, 0o077, "chmod 600")?;
        let signing = load(&path)?;
        let public = signing.public();
        if read_public(&public_path).ok() != Some(public) {
            let written = replace(&public_path, format!("{public}\n").as_bytes(), 0o644);
            written.with_context(|| format!("cannot write `{}`", public_path.display()))?;
        }
        Ok(Self { signing: Arc::new(signing), public, public_path })
    }
}

/// Who reads the key signs as the daemon does.
fn check_is_owners(path: &Path, others: u32, remedy: &str) -> Result<()> {
    let mode = fs::metadata(path).with_context(|| format!("cannot look at `{}`", path.display()))?.mode();
    if mode & others != 0 {
        bail!(
            "`{}` has mode {:o}, so that others than its owner have a say in the key that signs recordings: `{remedy}` it, and make a new key (remove the old one) if others may have read it",
            path.display(),
            mode & 0o777
        );
    }
    Ok(())
}

/// A public key in a file, as `portreeve key` prints it.
///
/// # Errors
/// It cannot be read or is none.
pub(crate) fn read_public(path: &Path) -> Result<PublicKey> {
    let mut text = String::new();
    let file = File::open(path).and_then(|file| file.take(PUBLIC_BYTES_MAX).read_to_string(&mut text));
    file.with_context(|| format!("cannot read the public key `{}`", path.display()))?;
    text.parse().with_context(|| format!("in `{}`", path.display()))
}

fn load(path: &Path) -> Result<SigningKey> {
    // As long as it ever gets, so that no copy stays behind in memory that was given back.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES_MAX as usize));
    let file = File::open(path).and_then(|file| file.take(KEY_BYTES_MAX).read_to_end(&mut bytes));
    file.with_context(|| format!("cannot read `{}`", path.display()))?;
    let seed = <&[u8; 32]>::try_from(bytes.as_slice()).ok().with_context(|| {
        format!("`{}` is no key: put the right one back, or remove it to have a new one made", path.display())
    })?;
    Ok(SigningKey::from_seed(seed))
}

/// Makes a key under its name in one step. Who is second keeps the first's.
fn make(folder: &Path, path: &Path) -> Result<()> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).context("no random numbers can be had")?;
    let fresh = folder.join(format!("recording.key.{}", Uuid::new_v4()));
    write(&fresh, seed.as_ref(), 0o600)?;
    let linked = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.and_then(|()| File::open(folder)?.sync_all()).map_err(Into::into),
    }
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let fresh = path.with_extension(format!("pub.{}", Uuid::new_v4()));
    write(&fresh, bytes, mode)?;
    fs::rename(&fresh, path)
}

/// A new file, written through to the disk.
fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::recorder::tests::directory;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let state_dir = directory("key");
        let made: Vec<_> = std::thread::scope(|scope| {
            let open = || scope.spawn(|| KeyPair::open(&state_dir).unwrap().public);
            let threads: Vec<_> = (0..4).map(|_| open()).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.iter().all(|key| *key == made[0]), "{made:?}");
        let mode = |path: &str| fs::metadata(state_dir.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("keys"), mode("keys/recording.key")), (0o700, 0o600));
        assert_eq!(read_public(&public_path(&state_dir)).unwrap(), made[0]);

        // What others may read is no key of this daemon's alone.
        let private = state_dir.join("keys/recording.key");
        fs::set_permissions(&private, fs::Permissions::from_mode(0o640)).unwrap();
        let error = KeyPair::open(&state_dir).unwrap_err().to_string();
        assert!(error.contains("has mode 640") && error.contains("`chmod 600` it"), "{error}");
        fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).unwrap();

        // The public key is made again, the private one is not.
        fs::remove_file(public_path(&state_dir)).unwrap();
        assert_eq!(KeyPair::open(&state_dir).unwrap().public, made[0]);
        assert!(public_path(&state_dir).exists());
        fs::write(state_dir.join("keys/recording.key"), [1; 33]).unwrap();
        let error = format!("{:#}", KeyPair::open(&state_dir).unwrap_err());
        assert!(error.contains("is no key: put the right one back"), "{error}");
        fs::remove_dir_all(state_dir).unwrap();
    }
}
