//! Reading policy files, for the daemon and for `portreeve policy`.

mod live;
mod watch;

pub(crate) use live::{Failure, Live, Loaded};
pub(crate) use watch::Watch;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use portreeve_policy::{Policies, PolicyProblem, Source};

use crate::config::Problem;

/// Why no policy set could be made: every reason found.
#[derive(Debug)]
pub(crate) enum PolicyError {
    /// A file or folder cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The files were read, and are not a valid set.
    Invalid(Vec<PolicyProblem>),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "policies at `{}` cannot be read: {error}", path.display()),
            Self::Invalid(problems) => {
                write!(f, "the policies are not valid:")?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for PolicyError {}

impl PolicyError {
    /// In the shape of the problems of the configuration.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Unreadable(file, error) => {
                let message = format!("cannot read the policies: {error}; create them or correct the path");
                vec![Problem { file: file.clone(), line: None, column: None, key: String::new(), message }]
            }
            Self::Invalid(problems) => problems.iter().map(invalid).collect(),
        }
    }
}

fn invalid(found: &PolicyProblem) -> Problem {
    let help = found.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    Problem {
        file: PathBuf::from(&found.file),
        line: found.line,
        column: found.column,
        key: String::new(),
        message: format!("{}{help}", found.message),
    }
}

/// Loads the policies at `paths`: files, and the `*.cedar` files of folders in the order of their names.
///
/// # Errors
/// A path that cannot be read, or every problem of the set as a whole: no part of an invalid set is used.
pub(crate) fn load(paths: &[PathBuf]) -> Result<Policies, PolicyError> {
    validate(&read(paths)?)
}

/// Names and texts of policy files, in order.
type Texts = Vec<(String, String)>;

fn read(paths: &[PathBuf]) -> Result<Texts, PolicyError> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, "cedar", &mut files).map_err(|error| PolicyError::Unreadable(path.clone(), error))?;
    }
    let mut texts = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|error| PolicyError::Unreadable(file.clone(), error))?;
        texts.push((file.display().to_string(), text));
    }
    Ok(texts)
}

fn validate(texts: &Texts) -> Result<Policies, PolicyError> {
    let sources: Vec<Source<'_>> = texts.iter().map(|(name, text)| Source { name, text }).collect();
    Policies::load(&sources).map_err(PolicyError::Invalid)
}

/// The file, or the files of the folder with this extension in the order of their names.
pub(crate) fn collect(path: &Path, extension: &str, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut found = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    // Hidden files are what editors leave beside the one that is being written.
    found.retain(|path| {
        path.extension().is_some_and(|found| found == extension)
            && path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."))
    });
    found.sort();
    files.extend(found);
    Ok(())
}
