//! Which cgroups the selectors choose now: one walk over the tree.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{
    config,
    selector::{Place, Select},
};

/// A cgroup that selectors chose.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Below the mount.
    pub(super) cgroup: PathBuf,
    pub(super) cgroup_id: u64,
    /// Those that chose it, with their selectors that did. More than one: it is nobody's.
    pub(super) by: Vec<(usize, Vec<Select>)>,
}

/// The walk ends at whatever is chosen, and at what `is_tagged` says is somebody's already: who owns a cgroup names those
/// below it, so the outermost counts. `enters` is told of each folder before it is read.
pub(super) fn scan(
    mount: &Path,
    workloads: &[config::Workload],
    is_tagged: &dyn Fn(&Path) -> bool,
    enters: &dyn Fn(&Path),
) -> Vec<Found> {
    let mut found = Vec::new();
    if workloads.iter().any(|workload| !workload.selects.is_empty()) {
        Scan { mount, workloads, is_tagged, enters }.below(
            Path::new(""),
            false,
            portreeve_abi::limits::TAG_LEVEL_MAX - 1,
            &mut found,
        );
    }
    found
}

struct Scan<'s> {
    mount: &'s Path,
    workloads: &'s [config::Workload],
    is_tagged: &'s dyn Fn(&Path) -> bool,
    enters: &'s dyn Fn(&Path),
}

impl Scan<'_> {
    /// A folder that goes away meanwhile has nobody in it.
    fn below(&self, parent: &Path, is_delegated: bool, levels_left: u32, found: &mut Vec<Found>) {
        let Some(levels_left) = levels_left.checked_sub(1) else { return };
        let Ok((owner, children)) = self.children(parent) else { return };
        // Whoever owns a folder makes those in it.
        let is_delegated = is_delegated || owner != 0;
        for (cgroup, cgroup_id) in children {
            if (self.is_tagged)(&cgroup) {
                continue;
            }
            let by = self.chosen_by(&cgroup, is_delegated);
            if by.is_empty() {
                self.below(&cgroup, is_delegated, levels_left, found);
            } else {
                found.push(Found { cgroup, cgroup_id, by });
            }
        }
    }

    fn children(&self, parent: &Path) -> io::Result<(u32, Vec<(PathBuf, u64)>)> {
        let folder = self.mount.join(parent);
        (self.enters)(&folder);
        let owner = fs::metadata(&folder)?.uid();
        let entries = fs::read_dir(&folder)?.flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let children = folders.filter_map(|entry| {
            let cgroup_id = entry.metadata().ok()?.ino();
            Some((parent.join(entry.file_name()), cgroup_id))
        });
        Ok((owner, children.collect()))
    }

    fn chosen_by(&self, cgroup: &Path, is_delegated: bool) -> Vec<(usize, Vec<Select>)> {
        let place = Place::of(cgroup);
        let selects = |workload: &config::Workload| -> Vec<Select> {
            workload.selects.iter().filter(|select| select.chooses(cgroup, &place, is_delegated)).cloned().collect()
        };
        let all = self.workloads.iter().map(selects).enumerate();
        all.filter(|(_, selects)| !selects.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Egress, selector::Pattern};
    use std::os::unix::fs::chown;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, cgroups: &[&str]) -> Self {
            let root = std::env::temp_dir().join(format!("portreeve-scan-{}-{name}", std::process::id()));
            cgroups.iter().for_each(|cgroup| fs::create_dir_all(root.join(cgroup)).unwrap());
            Self(root)
        }

        fn chosen(&self, workloads: &[config::Workload], tagged: &str) -> Vec<(String, Vec<usize>)> {
            let found = scan(&self.0, workloads, &|cgroup| cgroup == Path::new(tagged), &|_| ());
            let mut found: Vec<_> = found
                .into_iter()
                .map(|found| (found.cgroup.display().to_string(), found.by.into_iter().map(|(who, _)| who).collect()))
                .collect();
            found.sort();
            found
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn workload(select: Select) -> config::Workload {
        config::Workload {
            name: "w".into(),
            cgroup: None,
            selects: vec![select],
            groups: vec![],
            spiffe_id: "spiffe://example.org/w".into(),
            egress: Egress::Open,
            uids: vec![],
        }
    }

    fn glob(pattern: &str) -> config::Workload {
        workload(Select { cgroup: Some(Pattern::new(pattern)), ..Select::default() })
    }

    #[test]
    fn the_outermost_counts_and_what_is_below_a_tag_is_not_looked_at() {
        let tree = Tree::new("outermost", &["a/x/a/x", "b/a/x", "c"]);
        let workloads = [glob("**/x"), glob("c")];
        let all = [("a/x".to_owned(), vec![0]), ("b/a/x".to_owned(), vec![0]), ("c".to_owned(), vec![1])];
        assert_eq!(tree.chosen(&workloads, ""), all);
        assert_eq!(tree.chosen(&workloads, "b"), [all[0].clone(), all[2].clone()]);
    }

    #[test]
    fn a_cgroup_that_two_workloads_choose_is_said_to_be_both() {
        let tree = Tree::new("both", &["a/x"]);
        assert_eq!(tree.chosen(&[glob("a/*"), glob("*/x")], ""), [("a/x".to_owned(), vec![0, 1])]);
    }

    #[test]
    fn whoever_owns_a_cgroup_cannot_name_those_below_it_into_a_workload() {
        let user = "user.slice/user-1000.slice/user@1000.service";
        let tree = Tree::new("owned", &["agents/evil/x", &format!("{user}/app.slice/x.service"), &format!("{user}/x")]);
        chown(tree.0.join("agents/evil"), Some(1000), None).expect("tests run as root");
        chown(tree.0.join(user), Some(1000), None).unwrap();
        assert_eq!(tree.chosen(&[glob("**/x")], ""), []);
        let own = workload(Select { user_unit: Some(Pattern::new("x.service")), uid: Some(1000), ..Select::default() });
        assert_eq!(tree.chosen(&[own], ""), [(format!("{user}/app.slice/x.service"), vec![0])]);
    }
}
