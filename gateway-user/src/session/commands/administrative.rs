//! Commands that are one action on the server, a schema or another session: policy decides, nobody may by default.

use portreeve_mysql::{command::Command, response::Expect};
use portreeve_policy::{Action as PolicyAction, Resource, Verdict};
use portreeve_recording::{Command as Recorded, Text};

use super::{Action, Commands, Forwarded};
use crate::{
    gateway::Gateway,
    session::{Ended, journal::Journal},
};

/// What a command asks of policy, and how it goes on when that is permitted.
struct Asked<'a> {
    byte: u8,
    action: PolicyAction,
    resource: Resource,
    /// What is recorded beside the command.
    text: &'a [u8],
    then: Then,
}

enum Then {
    Answer(Expect),
    /// The server's stream of events, and nothing else.
    Stream,
}

impl Commands {
    /// The verdict on ending a connection: of the same workload, or of somebody else.
    pub(super) fn judge_kill(&self, gateway: &Gateway, connection_id: u64) -> Verdict {
        let key = &self.scope.key;
        let own = gateway.connections.is_of(self.server, connection_id, &key.spiffe_id);
        self.policies().judge_kill(self.scope.subject(), own, &key.context(false))
    }

    pub(super) fn process_kill(
        &self,
        gateway: &Gateway,
        journal: &mut Journal,
        connection_id: u32,
    ) -> Result<Action, Ended> {
        const COM_PROCESS_KILL: u8 = 0x0C;
        let verdict = self.judge_kill(gateway, connection_id.into());
        let id = connection_id.to_string();
        let arrived = self.arrived(Recorded::Admin { code: COM_PROCESS_KILL }, Text::of_bytes(id.as_bytes()));
        let number = journal.judged(arrived, PolicyAction::Kill.as_str(), &verdict)?;
        Ok(self.by_verdict(gateway, &verdict, || Forwarded::plain(number, Expect::Simple)))
    }

    pub(super) fn administrative(
        &self,
        gateway: &Gateway,
        journal: &mut Journal,
        command: &Command<'_>,
    ) -> Result<Action, Ended> {
        if let Command::CreateDb { schema } | Command::DropDb { schema } = command
            && std::str::from_utf8(schema).is_err()
        {
            let why = "a schema's name that is not UTF-8";
            return self.refuse_with(gateway, journal, Recorded::Refused { code: 0 }, None, why);
        }
        let Some(Asked { byte, action, resource, text, then }) = asked(command) else {
            return self.refuse_with(gateway, journal, Recorded::Refused { code: 0 }, None, "this command");
        };
        let key = &self.scope.key;
        let verdict = self.policies().judge_command(self.scope.subject(), action, resource, &key.context(false));
        let arrived = self.arrived(Recorded::Admin { code: byte }, Text::of_bytes(text));
        let number = journal.judged(arrived, action.as_str(), &verdict)?;
        let action = self.by_verdict(gateway, &verdict, || Forwarded::plain(number, Expect::Simple));
        Ok(match (action, then) {
            (Action::Forward(_), Then::Stream) => Action::Replicate { number },
            (Action::Forward(forwarded), Then::Answer(expect)) => {
                let changes_definitions = matches!(command, Command::CreateDb { .. } | Command::DropDb { .. });
                Action::Forward(Forwarded { expect, changes_definitions, ..forwarded })
            }
            (refused, Then::Stream | Then::Answer(_)) => refused,
        })
    }
}

fn asked<'a>(command: &Command<'a>) -> Option<Asked<'a>> {
    let simple = Then::Answer(Expect::Simple);
    let server = |byte, action, then| Asked { byte, action, resource: Resource::Server, text: &[], then };
    let schema = |byte, action, schema: &'a [u8]| {
        let resource = Resource::Schema(String::from_utf8_lossy(schema).into_owned());
        Asked { byte, action, resource, text: schema, then: Then::Answer(Expect::Simple) }
    };
    Some(match *command {
        Command::CreateDb { schema: name } => schema(0x05, PolicyAction::Create, name),
        Command::DropDb { schema: name } => schema(0x06, PolicyAction::Drop, name),
        Command::Refresh { .. } => server(0x07, PolicyAction::Flush, simple),
        Command::Shutdown { .. } => server(0x08, PolicyAction::Shutdown, simple),
        Command::ProcessInfo => server(0x0A, PolicyAction::Processlist, Then::Answer(Expect::Query)),
        Command::Debug => server(0x0D, PolicyAction::Debug, simple),
        Command::BinlogDump { .. } => server(0x12, PolicyAction::Replication, Then::Stream),
        Command::TableDump { .. } => server(0x13, PolicyAction::Replication, Then::Stream),
        Command::RegisterSlave { .. } => server(0x15, PolicyAction::Replication, simple),
        Command::BinlogDumpGtid { .. } => server(0x1E, PolicyAction::Replication, Then::Stream),
        Command::Query { .. }
        | Command::InitDb { .. }
        | Command::Ping
        | Command::Quit
        | Command::FieldList { .. }
        | Command::Statistics
        | Command::StmtPrepare { .. }
        | Command::StmtExecute(_)
        | Command::StmtBulkExecute(_)
        | Command::StmtSendLongData { .. }
        | Command::StmtClose { .. }
        | Command::StmtReset { .. }
        | Command::StmtFetch { .. }
        | Command::SetOption { .. }
        | Command::ResetConnection
        | Command::ChangeUser { .. }
        | Command::ProcessKill { .. }
        | Command::Unsupported { .. }
        | Command::Unknown { .. } => return None,
    })
}
