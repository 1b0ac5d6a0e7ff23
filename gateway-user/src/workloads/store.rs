//! Tags made at run time, on disk.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::Workload;
use crate::config::{self, Config, Egress};

/// Which workload a cgroup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tag {
    /// Below the cgroup v2 mount.
    pub(crate) cgroup: PathBuf,
    pub(crate) workload: String,
    pub(crate) groups: Vec<String>,
    pub(crate) spiffe_id: String,
    #[serde(default)]
    pub(crate) egress: Egress,
}

impl Tag {
    pub(super) fn of(workload: &Workload) -> Self {
        Self {
            cgroup: workload.cgroup.clone(),
            workload: workload.name.clone(),
            groups: workload.groups.clone(),
            spiffe_id: workload.spiffe_id.clone(),
            egress: workload.egress.clone(),
        }
    }

    /// The tags that the configuration asks for.
    pub(crate) fn configured(config: &Config) -> Vec<Self> {
        config.workloads.iter().filter_map(Self::of_config).collect()
    }
}

impl Tag {
    /// None for a workload that only selectors choose.
    pub(crate) fn of_config(workload: &config::Workload) -> Option<Self> {
        workload.cgroup.as_ref().map(|cgroup| Self::of_selected(workload, cgroup.clone()))
    }

    /// A cgroup that the workload's selectors chose.
    pub(super) fn of_selected(workload: &config::Workload, cgroup: PathBuf) -> Self {
        // Uids are the configuration's alone: `app` hands them to the kernel programs. Selectors are the scan's.
        let config::Workload { name, cgroup: _, selects: _, groups, spiffe_id, egress, uids: _ } = workload;
        let (workload, groups) = (name.clone(), groups.clone());
        Self { cgroup, workload, groups, spiffe_id: spiffe_id.clone(), egress: egress.clone() }
    }
}

/// `<state_dir>/tags.json`.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
}

impl Store {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join("tags.json") }
    }

    /// # Errors
    /// The file is there and cannot be read: starting without its tags would let those workloads pass by.
    pub(super) fn load(&self) -> Result<Vec<Tag>> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", self.path.display())),
        };
        serde_json::from_slice(&text).with_context(|| {
            format!("{} is damaged; repair or remove it, then tag its workloads again", self.path.display())
        })
    }

    /// Replaces the file by one rename, so that a crash leaves the old tags or the new ones.
    pub(super) fn save(&self, tags: &[Tag]) -> Result<()> {
        let fresh = self.path.with_extension("json.new");
        let write = || -> io::Result<()> {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(&serde_json::to_vec_pretty(tags)?)?;
            file.sync_all()?;
            fs::rename(&fresh, &self.path)
        };
        write().with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(name: &str) -> Store {
        let dir = std::env::temp_dir().join(format!("portreeve-store-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Store::new(&dir)
    }

    #[test]
    fn tags_are_read_back_as_saved() {
        let store = store("saved");
        assert_eq!(store.load().unwrap(), []);
        let tag = Tag {
            cgroup: "agents/one".into(),
            workload: "one".into(),
            groups: vec!["g".into()],
            spiffe_id: "spiffe://example.org/one".into(),
            egress: Egress::Listed(vec![config::Match::parse("10.0.0.0/8:443").unwrap()]),
        };
        store.save(std::slice::from_ref(&tag)).unwrap();
        assert_eq!(store.load().unwrap(), [tag]);
        fs::remove_dir_all(store.path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_damaged_file_is_an_error_not_an_empty_list() {
        let store = store("damaged");
        fs::write(&store.path, b"[{").unwrap();
        assert!(format!("{:#}", store.load().unwrap_err()).contains("is damaged"));
        fs::remove_dir_all(store.path.parent().unwrap()).unwrap();
    }
}
