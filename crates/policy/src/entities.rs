//! The few Cedar entities that a request is about.

use std::collections::{BTreeSet, HashSet};
use std::str::FromStr;

use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid};

use crate::action::Action;
use crate::facts::{Request, Resource, escape};
use crate::judge::Subject;
use crate::names::NamedResources;

/// The names of the schema's entity types, parsed once.
#[derive(Debug, Clone)]
pub(crate) struct EntityTypes {
    workload: EntityTypeName,
    group: EntityTypeName,
    server: EntityTypeName,
    schema: EntityTypeName,
    table: EntityTypeName,
    routine: EntityTypeName,
    column: EntityTypeName,
    action: EntityTypeName,
}

impl EntityTypes {
    pub(crate) fn new() -> Result<Self, String> {
        let name = |name: &str| EntityTypeName::from_str(name).map_err(|error| error.to_string());
        Ok(Self {
            workload: name("Workload")?,
            group: name("Group")?,
            server: name("Server")?,
            schema: name("Schema")?,
            table: name("Table")?,
            routine: name("Routine")?,
            column: name("Column")?,
            action: name("Action")?,
        })
    }

    pub(crate) fn workload(&self, subject: &Subject) -> EntityUid {
        uid(&self.workload, &subject.spiffe_id)
    }

    pub(crate) fn group(&self, group: &str) -> EntityUid {
        uid(&self.group, group)
    }

    pub(crate) fn action(&self, action: Action) -> EntityUid {
        uid(&self.action, action.as_str())
    }

    pub(crate) fn resource(&self, resource: &Resource, server: &str) -> EntityUid {
        let kind = match resource {
            Resource::Server => &self.server,
            Resource::Schema(_) => &self.schema,
            Resource::Table { .. } => &self.table,
            Resource::Routine { .. } => &self.routine,
            Resource::Column { .. } => &self.column,
        };
        uid(kind, &resource.id(server))
    }
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// Gathers entities, each once.
#[derive(Debug)]
pub(crate) struct Gathered<'p> {
    types: &'p EntityTypes,
    subject: &'p Subject,
    server: &'p str,
    known: HashSet<EntityUid>,
    entities: Vec<Entity>,
}

impl<'p> Gathered<'p> {
    /// With the subject, its groups and the server, once it is finished.
    pub(crate) fn new(types: &'p EntityTypes, subject: &'p Subject, server: &'p str) -> Self {
        Self { types, subject, server, known: HashSet::new(), entities: Vec::new() }
    }

    fn common(&mut self) {
        let groups: HashSet<_> = self.subject.groups.iter().map(|group| self.types.group(group)).collect();
        for group in &groups {
            self.add(group.clone(), HashSet::new());
        }
        self.add(self.types.workload(self.subject), groups);
        self.add(self.types.resource(&Resource::Server, self.server), HashSet::new());
    }

    fn add(&mut self, uid: EntityUid, parents: HashSet<EntityUid>) {
        if self.known.insert(uid.clone()) {
            self.entities.push(Entity::new_no_attrs(uid, parents));
        }
    }

    /// The action with its groups, from the schema's.
    pub(crate) fn action(&mut self, action: Action, actions: &Entities) {
        let uid = self.types.action(action);
        if self.known.insert(uid.clone()) {
            self.entities.extend(actions.get(&uid).cloned());
        }
    }

    /// The resource as the statement names it, in its schema, in the server.
    pub(crate) fn resource(&mut self, resource: &Resource) {
        let server = self.types.resource(&Resource::Server, self.server);
        match resource {
            Resource::Server => {}
            Resource::Schema(_) => self.add(self.types.resource(resource, self.server), [server].into()),
            Resource::Table { schema, .. } | Resource::Routine { schema, .. } => {
                let schema = self.types.resource(&Resource::Schema(schema.clone()), self.server);
                self.add(schema.clone(), [server].into());
                self.add(self.types.resource(resource, self.server), [schema].into());
            }
            Resource::Column { schema, table, .. } => {
                let table = Resource::Table { schema: schema.clone(), table: table.clone() };
                self.resource(&table);
                let table = self.types.resource(&table, self.server);
                self.add(self.types.resource(resource, self.server), [table].into());
            }
        }
    }

    /// The resource in every other case that a policy may name it in; gives what to ask about, nothing when there is one
    /// way to write it only. To be used on entities of its own: parents differ from those of `resource`.
    pub(crate) fn other_cases(&mut self, resource: &Resource, named: &NamedResources) -> Vec<EntityUid> {
        if let Resource::Column { schema, table, column } = resource {
            // Its own name is in lower case always.
            let tables = self.other_cases(&Resource::Table { schema: schema.clone(), table: table.clone() }, named);
            let columns = tables
                .iter()
                .map(|table| uid(&self.types.column, &format!("{}.{}", table.id().unescaped(), escape(column))));
            let columns: Vec<EntityUid> = columns.collect();
            for column in &columns {
                self.add(column.clone(), tables.iter().cloned().collect());
            }
            return columns;
        }
        if !named.has_others(&resource.id(self.server)) {
            return Vec::new();
        }
        let server = self.types.resource(&Resource::Server, self.server);
        let schema = match resource {
            Resource::Server | Resource::Column { .. } => return Vec::new(),
            Resource::Schema(schema) | Resource::Table { schema, .. } | Resource::Routine { schema, .. } => {
                Resource::Schema(schema.clone())
            }
        };
        let (schemas, schema_differs) = self.cases(&schema, &self.types.schema, named);
        for schema in &schemas {
            self.add(schema.clone(), [server.clone()].into());
        }
        let kind = match resource {
            Resource::Server | Resource::Schema(_) | Resource::Column { .. } => {
                return if schema_differs { schemas } else { Vec::new() };
            }
            Resource::Table { .. } => &self.types.table,
            Resource::Routine { .. } => &self.types.routine,
        };
        let (items, item_differs) = self.cases(resource, kind, named);
        for item in &items {
            self.add(item.clone(), schemas.iter().cloned().collect());
        }
        if schema_differs || item_differs { items } else { Vec::new() }
    }

    /// A routine by every way that a policy writes its name, whose case never counts, in the schema as the statement names it.
    /// As [`Gathered::other_cases`] otherwise; nothing for other resources.
    pub(crate) fn other_names(&mut self, resource: &Resource, named: &NamedResources) -> Vec<EntityUid> {
        let Resource::Routine { schema, .. } = resource else { return Vec::new() };
        self.resource(resource);
        let schema = self.types.resource(&Resource::Schema(schema.clone()), self.server);
        let in_schema = format!("{}.", schema.id().unescaped());
        let (forms, _) = self.cases(resource, &self.types.routine, named);
        let forms = forms.into_iter().filter(|form| form.id().unescaped().starts_with(&in_schema));
        let forms: Vec<_> = forms.collect();
        for form in &forms {
            self.add(form.clone(), [schema.clone()].into());
        }
        if forms.len() > 1 { forms } else { Vec::new() }
    }

    /// All forms of the resource's id, the given one first, and whether there is more than that one.
    fn cases(&self, resource: &Resource, kind: &EntityTypeName, named: &NamedResources) -> (Vec<EntityUid>, bool) {
        let id = resource.id(self.server);
        let others: BTreeSet<String> = named.others(&id);
        let differs = !others.is_empty();
        (std::iter::once(&id).chain(&others).map(|id| uid(kind, id)).collect(), differs)
    }

    /// Ready for Cedar.
    pub(crate) fn finish(mut self) -> Result<Entities, String> {
        self.common();
        let entities = Entities::from_entities(self.entities, None);
        entities.map_err(|error| format!("the request cannot be put to the policies: {error}"))
    }
}

/// What a request is called in reasons.
pub(crate) fn describe(request: &Request, server: &str) -> String {
    format!("`{}` on `{}`", request.action, request.resource.id(server))
}
