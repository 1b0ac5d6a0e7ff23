//! Cases: texts with the verdict that each must get from a set of policies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::analysis::analyse;
use crate::catalogue::{Catalogue, Relation};
use crate::context::{Context, Flavour};
use crate::judge::Subject;
use crate::policies::Policies;
use crate::problem::PolicyProblem;
use crate::reading::{Modes, version_number};
use crate::verdict::{Decision, Verdict};

/// What a file may say once for all of its cases, and each case for itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    policies: Option<Vec<String>>,
    workload: Option<String>,
    groups: Option<Vec<String>>,
    server: Option<String>,
    schema: Option<String>,
    flavour: Option<FlavourName>,
    version: Option<String>,
    sql_mode: Option<String>,
    prepared: Option<bool>,
    /// Columns of tables, by `schema.table`.
    tables: Option<BTreeMap<String, Vec<String>>>,
    now: Option<toml::value::Datetime>,
    sql: Option<Spanned<String>>,
    expect: Option<Decision>,
    ids: Option<Vec<String>>,
    lifted: Option<Vec<String>>,
    reason: Option<String>,
    #[serde(default)]
    case: Vec<Spanned<Settings>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FlavourName {
    Mysql,
    Mariadb,
}

/// One text with the verdict it must get.
#[derive(Debug, Clone)]
pub struct Case {
    pub sql: String,
    /// Line of the text in the file, from 1.
    pub line: usize,
    /// Files of policies, below the folder of which `cases/` is one; none: those that are being checked.
    pub policies: Vec<String>,
    subject: Subject,
    server: String,
    schema: Option<String>,
    flavour: Flavour,
    /// As in executable comments.
    version: u32,
    modes: Modes,
    prepared: bool,
    now_unix_ms: i64,
    /// The tables that were given.
    catalogue: Catalogue,
    expected: Outcome,
}

/// What came of a text, or should. What is not given is not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub decision: Decision,
    /// Ids of the policies that decide, sorted.
    pub ids: Option<Vec<String>>,
    /// Ids of the forbids that are lifted, sorted.
    pub lifted: Option<Vec<String>>,
    pub reason: Option<String>,
}

/// A case that got another verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub line: usize,
    pub sql: String,
    pub expected: Outcome,
    pub found: Outcome,
}

impl Case {
    /// Reads the cases of a file (TOML; `docs/policy.md` has the keys).
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn read_all(name: &str, text: &str) -> Result<Vec<Self>, PolicyProblem> {
        let file: Settings = toml::from_str(text).map_err(|error| {
            let at = error.span().map(|span| span.start);
            PolicyProblem::at(name, text, at, error.message().to_owned(), None)
        })?;
        let cases = file.case.iter().map(|case| {
            let read = Self::read(case.get_ref(), &file, text);
            read.map_err(|(message, help)| {
                PolicyProblem::at(name, text, Some(case.span().start), message, Some(help.to_owned()))
            })
        });
        cases.collect()
    }

    fn read(case: &Settings, file: &Settings, text: &str) -> Result<Self, (String, &'static str)> {
        let missing =
            |key: &str| (format!("`{key}` is missing"), "write it in the case, or above the first for all of them");
        let either = |of: fn(&Settings) -> Option<&String>| of(case).or_else(|| of(file)).cloned();
        let sql = case.sql.as_ref().ok_or_else(|| missing("sql"))?;
        let decision = case.expect.ok_or_else(|| missing("expect"))?;
        let workload = either(|settings| settings.workload.as_ref()).ok_or_else(|| missing("workload"))?;
        let now = case.now.or(file.now).map(|now| now.to_string());
        let now = now.map_or(Ok(0), |now| match now.parse::<jiff::Timestamp>() {
            Ok(now) => Ok(now.as_millisecond()),
            Err(_) => Err((format!("`{now}` is no moment"), "write date, time and offset: `2026-11-24T03:00:00Z`")),
        })?;
        let flavour = match case.flavour.or(file.flavour) {
            Some(FlavourName::Mariadb) => Flavour::MariaDb,
            Some(FlavourName::Mysql) | None => Flavour::MySql,
        };
        let (version, modes) = Self::reading(flavour, case, file)?;
        if !case.case.is_empty() {
            return Err(("a case in a case".to_owned(), "write `[[case]]`"));
        }
        Ok(Self {
            line: text.get(..sql.span().start).unwrap_or_default().matches('\n').count() + 1,
            sql: sql.get_ref().clone(),
            policies: case.policies.as_ref().or(file.policies.as_ref()).cloned().unwrap_or_default(),
            subject: Subject {
                spiffe_id: workload,
                groups: case.groups.as_ref().or(file.groups.as_ref()).cloned().unwrap_or_default(),
            },
            server: either(|settings| settings.server.as_ref()).ok_or_else(|| missing("server"))?,
            // The only way to have none in one case when the file has one.
            schema: either(|settings| settings.schema.as_ref()).filter(|schema| !schema.is_empty()),
            flavour,
            version,
            modes,
            prepared: case.prepared.or(file.prepared).unwrap_or(false),
            now_unix_ms: now,
            catalogue: catalogue(case.tables.as_ref().or(file.tables.as_ref()))?,
            expected: Outcome {
                decision,
                ids: case.ids.clone(),
                lifted: case.lifted.clone(),
                reason: case.reason.clone(),
            },
        })
    }

    /// The server's version, one of today where none is given, and the session's modes.
    fn reading(flavour: Flavour, case: &Settings, file: &Settings) -> Result<(u32, Modes), (String, &'static str)> {
        let version = match case.version.as_ref().or(file.version.as_ref()) {
            None => flavour.version_of_today(),
            Some(version) => version_number(version, flavour)
                .ok_or_else(|| (format!("`{version}` is no version"), "write three numbers: `10.11.14` or `9.7.0`"))?,
        };
        let sql_mode = case.sql_mode.as_ref().or(file.sql_mode.as_ref()).map_or("", String::as_str);
        let modes = Modes::parse(sql_mode).map_err(|mode| {
            (format!("the sql_mode `{mode}` is not read"), "leave it out: every text is `unparsed` in it")
        })?;
        Ok((version, modes))
    }

    fn context(&self) -> Context<'_> {
        Context {
            default_schema: self.schema.as_deref(),
            prepared: self.prepared,
            version: self.version,
            now_unix_ms: self.now_unix_ms,
            catalogue: &self.catalogue,
            ..Context::new(&self.server, self.flavour)
        }
        .with_modes(self.modes)
    }

    /// Judges the text. Pure.
    ///
    /// # Errors
    /// Another verdict than expected.
    pub fn check(&self, policies: &Policies) -> Result<(), Box<Failure>> {
        let context = self.context();
        let verdict = policies.judge(&self.subject, &analyse(self.sql.as_bytes(), &context), &context);
        let found = Outcome::of(verdict);
        if self.expected.is_met_by(&found) {
            return Ok(());
        }
        let (sql, expected) = (self.sql.clone(), self.expected.clone());
        Err(Box::new(Failure { line: self.line, sql, expected, found }))
    }
}

/// What the server of a case would say of its tables. A name without a table before it may be of any table that is not given.
fn catalogue(tables: Option<&BTreeMap<String, Vec<String>>>) -> Result<Catalogue, (String, &'static str)> {
    let mut catalogue = Catalogue::new(0).with_columns();
    for (name, columns) in tables.into_iter().flatten() {
        let Some((schema, table)) = name.split_once('.') else {
            return Err((
                format!("`{name}` is no table"),
                "write `\"schema.table\" = [\"column\", …]` below `[tables]`",
            ));
        };
        catalogue.add_relation(schema, table, Relation::Table);
        columns.iter().for_each(|column| catalogue.add_column(schema, table, column));
    }
    Ok(catalogue)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    tables: BTreeMap<String, Vec<String>>,
}

impl Catalogue {
    /// One with the tables and columns of a file (TOML; `docs/policy.md` has the form).
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn of_tables(name: &str, text: &str) -> Result<Self, PolicyProblem> {
        let Tables { tables } = toml::from_str(text).map_err(|error| {
            let at = error.span().map(|span| span.start);
            PolicyProblem::at(name, text, at, error.message().to_owned(), None)
        })?;
        let catalogue = catalogue(Some(&tables));
        catalogue.map_err(|(message, help)| PolicyProblem::at(name, text, None, message, Some(help.to_owned())))
    }
}

impl Outcome {
    fn of(verdict: Verdict) -> Self {
        let Verdict { decision, policies, reason, lifted, answers: _, approvals: _, depends_on_time: _ } = verdict;
        Self { decision, ids: Some(policies), lifted: Some(lifted), reason: Some(reason) }
    }

    fn is_met_by(&self, found: &Self) -> bool {
        fn fits<T: PartialEq>(expected: &Option<T>, found: &Option<T>) -> bool {
            expected.is_none() || expected == found
        }
        self.decision == found.decision
            && fits(&self.ids, &found.ids)
            && fits(&self.lifted, &found.lifted)
            && fits(&self.reason, &found.reason)
    }
}
