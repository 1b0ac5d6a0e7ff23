//! The policies in force, exchanged while sessions run.
//!
//! A set is read, validated and only then put in place of the one before, whole: sessions see one or the other. They ask
//! for it at each command, without a lock; everything else here is for the few who load.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use arc_swap::ArcSwap;
use portreeve_policy::Policies;
use sha2::{Digest as _, Sha256};

use crate::hex::hex;

use super::{PolicyError, Texts, read, validate};

/// A valid set.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// From 1, one more with each set.
    pub(crate) generation: u64,
    pub(crate) policies: Policies,
    /// SHA-256 of the files' names and texts, in hexadecimal.
    pub(crate) sha256: String,
    loaded_at: SystemTime,
}

/// Why the last load came to nothing.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) at: SystemTime,
    pub(crate) error: Arc<PolicyError>,
}

/// How policies are, for `portreeve status`.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Policies in force.
    pub(crate) ids: u64,
    pub(crate) generation: u64,
    pub(crate) loaded_at: SystemTime,
    /// Loads that were refused since the daemon started.
    pub(crate) failed_loads: u64,
    /// Of the files as they are now; none when the set in force is theirs.
    pub(crate) failure: Option<Failure>,
}

/// The set in force, and where it came from.
#[derive(Debug)]
pub(crate) struct Live {
    current: ArcSwap<Loaded>,
    paths: Vec<PathBuf>,
    /// Held while a set is loaded, so that an older one cannot overtake a newer.
    attempt: Mutex<Attempt>,
}

/// What the last load found.
#[derive(Debug)]
struct Attempt {
    /// None where it could not be read.
    texts: Option<Texts>,
    failure: Option<Failure>,
    failed: u64,
}

impl Live {
    /// Loads the first set.
    ///
    /// # Errors
    /// As [`super::load`].
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self, PolicyError> {
        let texts = read(paths)?;
        let policies = validate(&texts)?;
        let first = Loaded { generation: 1, policies, sha256: sha256(&texts), loaded_at: SystemTime::now() };
        Ok(Self {
            current: ArcSwap::from_pointee(first),
            paths: paths.to_vec(),
            attempt: Mutex::new(Attempt { texts: Some(texts), failure: None, failed: 0 }),
        })
    }

    /// The set in force. Never waits.
    pub(crate) fn current(&self) -> Arc<Loaded> {
        self.current.load_full()
    }

    /// Takes the set in force over into `held`, if that is an older one. Never waits; allocates nothing.
    pub(crate) fn renew(&self, held: &mut Arc<Loaded>) {
        let current = self.current.load();
        if current.generation != held.generation {
            *held = Arc::clone(&current);
        }
    }

    /// Where policies are read from.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }

    /// Reads and validates all files anew, and puts what they say in force. Blocks, for some milliseconds.
    ///
    /// # Errors
    /// Every problem; the set in force stays.
    pub(crate) fn reload(&self) -> Result<Arc<Loaded>, Arc<PolicyError>> {
        let mut attempt = self.attempt();
        self.take(read(&self.paths), &mut attempt)
    }

    /// As [`Live::reload`], if the files say something else than at the last load; else none.
    pub(crate) fn reload_if_changed(&self) -> Option<Result<Arc<Loaded>, Arc<PolicyError>>> {
        let mut attempt = self.attempt();
        let texts = read(&self.paths);
        let is_known = match (&texts, &attempt.texts) {
            (Ok(texts), Some(known)) => texts == known,
            (Err(_), None) => true,
            _ => false,
        };
        (!is_known).then(|| self.take(texts, &mut attempt))
    }

    pub(crate) fn standing(&self) -> Standing {
        let attempt = self.attempt();
        let current = self.current();
        Standing {
            ids: current.policies.ids().count() as u64,
            generation: current.generation,
            loaded_at: current.loaded_at,
            failed_loads: attempt.failed,
            failure: attempt.failure.clone(),
        }
    }

    fn take(&self, read: Result<Texts, PolicyError>, attempt: &mut Attempt) -> Result<Arc<Loaded>, Arc<PolicyError>> {
        let (texts, validated) = match read {
            Ok(texts) => {
                let validated = validate(&texts).map(|policies| (policies, sha256(&texts)));
                (Some(texts), validated)
            }
            Err(error) => (None, Err(error)),
        };
        attempt.texts = texts;
        match validated {
            Ok((policies, sha256)) => {
                let generation = self.current.load().generation.saturating_add(1);
                let loaded = Arc::new(Loaded { generation, policies, sha256, loaded_at: SystemTime::now() });
                self.current.store(Arc::clone(&loaded));
                attempt.failure = None;
                tracing::info!(generation, "{} policies are in force", loaded.policies.ids().count());
                Ok(loaded)
            }
            Err(error) => {
                let error = Arc::new(error);
                attempt.failure = Some(Failure { at: SystemTime::now(), error: Arc::clone(&error) });
                attempt.failed = attempt.failed.saturating_add(1);
                tracing::error!("the policies in force stay as they are: {error}");
                Err(error)
            }
        }
    }

    /// A load that panicked left the set in force as it was, and its attempt is overwritten by the next.
    fn attempt(&self) -> MutexGuard<'_, Attempt> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With the lengths, so that no text goes over into the next name.
fn sha256(texts: &Texts) -> String {
    let mut hasher = Sha256::new();
    for part in texts.iter().flat_map(|(name, text)| [name, text]) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PERMIT: &str = "@id(\"a\") permit (principal, action, resource);\n";
    const BOTH: &str =
        "@id(\"a\") permit (principal, action, resource);\n@id(\"b\") forbid (principal, action, resource);\n";

    /// A folder of policies, gone at the end of the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("portreeve-live-{}-{name}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.join(name), text).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_valid_set_comes_into_force_whole_and_an_invalid_one_leaves_it() {
        let folder = Folder::new("whole");
        folder.write("a.cedar", PERMIT);
        let live = Live::open(std::slice::from_ref(&folder.0)).unwrap();
        let mut held = live.current();
        assert!(live.reload_if_changed().is_none(), "nothing changed");

        folder.write("b.cedar", "@id(\"b\") forbid (principal, action == Action::\"nonsense\", resource);\n");
        let error = live.reload_if_changed().unwrap().unwrap_err();
        assert!(error.to_string().contains("b.cedar"), "{error}");
        live.renew(&mut held);
        assert_eq!((held.generation, held.policies.ids().count()), (1, 1));
        assert!(live.reload_if_changed().is_none(), "the same mistake is told once");
        let standing = live.standing();
        assert_eq!((standing.failed_loads, standing.failure.is_some()), (1, true));

        fs::remove_file(folder.0.join("b.cedar")).unwrap();
        folder.write("a.cedar", BOTH);
        assert!(live.reload_if_changed().unwrap().is_ok());
        live.renew(&mut held);
        assert_eq!((held.generation, held.policies.ids().count()), (2, 2));
        assert!(live.standing().failure.is_none());
    }

    #[test]
    fn files_that_are_gone_are_a_problem_and_the_set_in_force_stays() {
        let folder = Folder::new("gone");
        folder.write("a.cedar", PERMIT);
        let file = folder.0.join("a.cedar");
        let live = Live::open(std::slice::from_ref(&file)).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(live.reload().is_err());
        assert!(live.reload_if_changed().is_none());
        assert_eq!(live.standing().ids, 1);
        folder.write("a.cedar", PERMIT);
        assert!(live.reload_if_changed().unwrap().is_ok(), "as it was, but read again");
    }
}
