//! Bounds and patience of the chores.

use std::time::Duration;

/// A long step says every so often what it is at.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_secs(15);
/// A package mirror or registry gets this many tries.
pub(crate) const NETWORK_TRIES_MAX: u32 = 3;
/// Between two tries.
pub(crate) const NETWORK_PAUSE: Duration = Duration::from_secs(5);
/// Lines of a Rust file; style.md, "Sizes that read well".
pub(crate) const FILE_LINES_MAX: usize = 800;
/// Lines of a `main.rs`.
pub(crate) const MAIN_LINES_MAX: usize = 100;
/// Each fuzz target runs this long in `cargo xtask test --fuzz`.
pub(crate) const FUZZ_SECONDS: u32 = 60;
/// A kernel under test, with all interception tests; by software on a busy machine they take some minutes.
pub(crate) const KERNEL_RUN_MAX: Duration = Duration::from_secs(30 * 60);
/// The same with what `cargo xtask test` runs of them.
pub(crate) const KERNEL_RUN_QUICK_MAX: Duration = Duration::from_secs(10 * 60);
/// A virtual machine that provisions itself or is booted as a host: by software, on a busy machine.
pub(crate) const KERNEL_SCENARIO_MAX: Duration = Duration::from_secs(40 * 60);
/// Memory of a virtual machine: half of it for the files that are written there.
pub(crate) const KERNEL_MEMORY_MIB: u32 = 2048;
/// The same of one that provisions itself; vagrant/Vagrantfile asks for as much.
pub(crate) const KERNEL_PROVISION_MEMORY_MIB: u32 = 4096;
/// Its processors.
pub(crate) const KERNEL_PROCESSORS: u32 = 2;
