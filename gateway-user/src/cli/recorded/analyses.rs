//! What recorded texts do, found as the daemon finds it, as far as a recording says what that depends on.

use std::collections::HashMap;
use std::rc::Rc;

use portreeve_policy::{Catalogue, Context, Facts, Flavour, analyse};
use portreeve_recording::Text;

use super::About;
use crate::limits::{FACTS_KEPT_BYTES_MAX, FACTS_KEPT_MAX};

/// Analyses texts, and remembers them: the same ones are asked again and again.
#[derive(Debug)]
pub(in crate::cli) struct Analyses {
    catalogue: Catalogue,
    /// The servers' variable.
    lower_case_table_names: u8,
    facts: HashMap<Asked, Rc<Facts>>,
    /// Of the texts that are remembered.
    bytes: usize,
}

/// A text and what its facts depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    sql: Vec<u8>,
    schema: Option<String>,
    server: String,
    flavour: Flavour,
    version: u32,
    prepared: bool,
}

impl Default for Analyses {
    fn default() -> Self {
        Self::new(Catalogue::EMPTY_WITH_COLUMNS.clone(), 0)
    }
}

impl Analyses {
    /// With what is known of the servers' tables.
    pub(in crate::cli) fn new(catalogue: Catalogue, lower_case_table_names: u8) -> Self {
        Self { catalogue, lower_case_table_names, facts: HashMap::new(), bytes: 0 }
    }

    /// The facts of a text in the usual modes: `sql_mode`, views and routines are not recorded.
    ///
    /// # Errors
    /// Why they cannot be found.
    pub(in crate::cli) fn of(
        &mut self,
        about: &About,
        sql: &Text<'_>,
        schema: Option<&str>,
        prepared: bool,
    ) -> Result<Rc<Facts>, &'static str> {
        if sql.truncated {
            return Err("only its beginning is recorded");
        }
        let context = self.context(about, schema, prepared)?;
        let asked = Asked {
            sql: sql.kept().to_vec(),
            schema: schema.map(str::to_owned),
            server: context.server.to_owned(),
            flavour: context.flavour,
            version: context.version,
            prepared,
        };
        if let Some(facts) = self.facts.get(&asked) {
            return Ok(Rc::clone(facts));
        }
        let facts = Rc::new(analyse(sql.kept(), &context));
        if self.facts.len() >= FACTS_KEPT_MAX || self.bytes > FACTS_KEPT_BYTES_MAX {
            self.facts.clear();
            self.bytes = 0;
        }
        self.bytes += asked.sql.len();
        self.facts.insert(asked, Rc::clone(&facts));
        Ok(facts)
    }

    /// The session's state, as far as it is recorded.
    ///
    /// # Errors
    /// What is not.
    pub(in crate::cli) fn context<'a>(
        &'a self,
        about: &'a About,
        schema: Option<&'a str>,
        prepared: bool,
    ) -> Result<Context<'a>, &'static str> {
        let (Some(server), Some(flavour)) = (about.server.as_deref(), about.flavour) else {
            return Err("which server it was for is not recorded");
        };
        Ok(Context {
            default_schema: schema,
            prepared,
            version: about.version,
            lower_case_table_names: self.lower_case_table_names,
            catalogue: &self.catalogue,
            ..Context::new(server, flavour)
        })
    }
}
