//! Statements that a recorded session ran, run again: on a connection of the gateway's own, which can only read.
//!
//! What a statement does depends on who reads it. So it is analysed as this server reads it: in the version that it proves, in
//! modes that were set here, with the views and routines that it has.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use portreeve_mysql::response::Summary;
use portreeve_policy::{Catalogue, Context, Facts, Modes, analyse};
use tokio::time::timeout;

use super::{
    arrival::Route,
    aside::Aside,
    catalogue::{self, UTF8MB4},
    reading::Reading,
};
use crate::{
    config::{Account, Server},
    limits::{CATALOGUE_READ_MAX, REPEATED_ANSWER_MAX},
    tls::ServersTls,
};

/// The gateway's own attribute, in place of a session's id.
const WHOSE: &str = "replay";
const MODES: &str = "SELECT @@session.sql_mode";
/// The server then refuses what would change rows after all. A transaction that `init_connect` began would still be one that may.
const READ_ONLY: [&str; 2] = ["SET SESSION TRANSACTION READ ONLY", "ROLLBACK AND NO CHAIN NO RELEASE"];

/// An account, and its password.
type Held<'a> = (&'a Account, &'a [u8]);

/// Such a connection.
pub(crate) struct Again {
    aside: Aside,
    server: String,
    reading: Reading,
    catalogue: Catalogue,
}

impl Again {
    /// Logs in, with the credential that is given. `reader` is who reads the server's catalogue, where that is another account.
    ///
    /// # Errors
    /// Why not; also where the server does not say how it reads texts, or what its views and routines are.
    pub(crate) async fn open(
        servers_tls: &ServersTls,
        server: &Server,
        (account, password): Held<'_>,
        reader: Option<Held<'_>>,
        destination: SocketAddr,
    ) -> Result<Self, String> {
        let route = Route { destination, server, account, password, reader, from: None };
        let catalogue = timeout(CATALOGUE_READ_MAX, catalogue::read(servers_tls, &route, WHOSE, false)).await;
        let late = |_| Err(format!("they were not told within {} s", CATALOGUE_READ_MAX.as_secs()));
        let catalogue = catalogue.unwrap_or_else(late);
        let catalogue = catalogue.map_err(|why| format!("its views and routines cannot be read: {why}"))?;
        let mut aside = Aside::open_with(servers_tls, &route, WHOSE, Some(UTF8MB4)).await?;
        let reading = settle(&mut aside).await?;
        Ok(Self { aside, server: server.name.clone(), reading, catalogue })
    }

    /// What a text does here and now.
    pub(crate) fn facts(&self, sql: &str) -> Facts {
        let Self { aside, server, reading, catalogue } = self;
        let context = Context {
            default_schema: reading.schema.as_deref(),
            version: reading.version,
            utf8: reading.utf8,
            unreadable: reading.unreadable.as_deref(),
            lower_case_table_names: catalogue.lower_case_table_names(),
            catalogue,
            ..Context::new(server, aside.flavour)
        };
        analyse(sql.as_bytes(), &context.with_modes(reading.modes))
    }

    /// Selects a default schema; the code of the server's error, if that fails.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) async fn use_schema(&mut self, schema: &str) -> Result<Option<u16>, String> {
        if self.reading.schema.as_deref() == Some(schema) {
            return Ok(None);
        }
        let (used, _) = self.ask(&format!("USE `{}`", schema.replace('`', "``"))).await?;
        if used.error.is_none() {
            self.reading.schema = Some(schema.to_owned());
        }
        Ok(used.error.map(|error| error.code))
    }

    /// Asks, and sums the answer up; also how long it took.
    ///
    /// # Errors
    /// There is no answer; the server's own error is one.
    pub(crate) async fn ask(&mut self, sql: &str) -> Result<(Summary, Duration), String> {
        let sent = Instant::now();
        let summary = self.aside.summary(sql.as_bytes(), REPEATED_ANSWER_MAX).await?;
        Ok((summary, sent.elapsed()))
    }

    pub(crate) async fn close(self) {
        self.aside.close().await;
    }
}

/// Has the server read texts as usual whatever it is configured to, and write nothing. Says how it reads them then.
async fn settle(aside: &mut Aside) -> Result<Reading, String> {
    let modes = aside.value(MODES).await?.unwrap_or_default();
    let set_modes = format!("SET SESSION sql_mode = '{}'", plain_modes(&String::from_utf8_lossy(&modes)));
    for sql in ["SET NAMES utf8mb4", &set_modes].into_iter().chain(READ_ONLY) {
        aside.value(sql).await.map_err(|why| format!("it does not take `{sql}`: {why}"))?;
    }
    let reading = aside.reading().await?;
    match &reading.unreadable {
        Some(why) => Err(why.clone()),
        None => Ok(reading),
    }
}

/// The modes without those that decide how texts are read: what the session's were, is not recorded.
fn plain_modes(sql_mode: &str) -> String {
    let plain = sql_mode.split(',').filter(|mode| Modes::parse(mode) == Ok(Modes::default()));
    plain.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_that_change_how_texts_are_read_are_taken_off() {
        let strict = "STRICT_TRANS_TABLES,ONLY_FULL_GROUP_BY";
        assert_eq!(plain_modes(strict), strict);
        let ansi =
            "REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,NO_BACKSLASH_ESCAPES,HIGH_NOT_PRECEDENCE,ANSI";
        assert_eq!(plain_modes(ansi), "REAL_AS_FLOAT");
        assert_eq!(plain_modes("ORACLE,NEXT_YEARS_MODE',NO_ZERO_DATE"), "NO_ZERO_DATE");
        assert_eq!(plain_modes(""), "");
    }
}
