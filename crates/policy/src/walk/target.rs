//! The tables that a change may reach.

/// A table that a multi-table UPDATE or DELETE may change, with the name it goes by.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) alias: Option<String>,
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
}

impl Target {
    /// Whether `name` in the statement means this table. Without case: one too many is asked for rather than one too few.
    pub(crate) fn is_named(&self, schema: Option<&str>, name: &str) -> bool {
        match (&self.alias, schema) {
            (Some(alias), _) if alias.eq_ignore_ascii_case(name) => true,
            (Some(_), None) => false,
            (_, None) => self.table.eq_ignore_ascii_case(name),
            // A qualified name may also name the table behind an alias in some versions.
            (_, Some(schema)) => {
                let same_schema = self.schema.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(schema));
                same_schema && self.table.eq_ignore_ascii_case(name)
            }
        }
    }
}
