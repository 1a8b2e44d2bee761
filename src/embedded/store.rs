//! The state of the store and its single revision counter.
//!
//! Guarantees: every change has its own revision, greater than all before it; a change is durable
//! before anybody sees it; readers see whole transactions or nothing of them. Writers run one
//! after another; readers never wait for the disk.

use std::{collections::HashMap, sync::Arc};

use compact_str::CompactString;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::watch;

use super::{
    custom_resource::DEFINITIONS,
    definition::Definition,
    history::{Change, History, Objects},
    refusal::Refusal,
    registry::Registry,
    storage::{Disk, Record, Storage, StorageError},
    stored::StoredObject,
    transaction::Transaction,
};

/// Present objects and recent changes of one resource.
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) objects: Objects,
    pub(super) history: History,
}

/// All there is in memory.
pub(super) struct State {
    pub(super) revision: u64,
    pub(super) registry: Registry,
    resources: HashMap<CompactString, Resource>,
    /// The revision the store was opened at: nothing before it is known.
    opened_at: u64,
}

/// The store: state, disk, and the revision that watches wait on.
pub(super) struct Store {
    state: RwLock<State>,
    writer: Mutex<Disk>,
    revision: watch::Sender<u64>,
}

/// Whether a transaction is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commit {
    /// Make it durable and visible.
    Keep,
    /// `dryRun=All`: answer as if, change nothing.
    DryRun,
}

// === impl State ===

impl State {
    /// One resource; `None` when nothing was ever stored in it.
    pub(super) fn resource(&self, store: &str) -> Option<&Resource> {
        self.resources.get(store)
    }

    /// One object.
    pub(super) fn object(&self, store: &str, key: &str) -> Option<&Arc<StoredObject>> {
        self.resources.get(store)?.objects.get(key)
    }

    /// All stored objects with the name of their store.
    pub(super) fn objects(&self) -> impl Iterator<Item = (&CompactString, &Arc<StoredObject>)> {
        let resources = self.resources.iter();
        resources.flat_map(|(store, resource)| resource.objects.values().map(move |o| (store, o)))
    }

    /// The revision below which changes of a resource without history are unknown.
    pub(super) const fn opened_at(&self) -> u64 {
        self.opened_at
    }

    fn resource_mut(&mut self, store: &CompactString) -> &mut Resource {
        let opened_at = self.opened_at;
        self.resources.entry(store.clone()).or_insert_with(|| Resource {
            objects: Objects::new(),
            history: History::starting_at(opened_at),
        })
    }

    fn apply(&mut self, changes: Vec<(CompactString, Change)>) {
        let mut definitions_changed = false;
        for (store, change) in changes {
            definitions_changed |= Registry::depends_on(&store);
            self.revision = change.revision;
            let resource = self.resource_mut(&store);
            match &change.after {
                Some(after) => resource.objects.insert(change.key.clone(), Arc::clone(after)),
                None => resource.objects.remove(&change.key),
            };
            resource.history.push(change);
        }
        if definitions_changed {
            self.follow_definitions();
        }
    }

    fn follow_definitions(&mut self) {
        if let Some(crds) = self.resources.get(DEFINITIONS) {
            self.registry.follow(&crds.objects);
        }
    }
}

// === impl Store ===

impl Store {
    /// Opens the storage and reads everything in it.
    pub(super) fn open(storage: &Storage) -> Result<Self, StorageError> {
        let (disk, contents) = Disk::open(storage)?;
        let mut state = State {
            revision: contents.revision,
            registry: Registry::built_in(),
            resources: HashMap::new(),
            opened_at: contents.revision,
        };
        // Definitions come first: the other objects are rendered as these say.
        let (definitions, others): (Vec<_>, Vec<_>) =
            contents.objects.into_iter().partition(|(store, _)| store == DEFINITIONS);
        for objects in [definitions, others] {
            for (store, fields) in objects {
                state.load(&store, fields);
            }
            state.follow_definitions();
        }
        let (revision, _) = watch::channel(state.revision);
        Ok(Self { state: RwLock::new(state), writer: Mutex::new(disk), revision })
    }

    /// The state as it is now; holding it keeps writers from publishing, so not for long.
    pub(super) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// Tells of every new revision.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Runs `work` as one transaction: all its changes happen, or, on a refusal, none.
    pub(super) fn write<T>(
        &self,
        commit: Commit,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let disk = self.writer.lock();
        let (answer, changes) = {
            let state = self.state.read();
            let mut transaction = Transaction::new(&state, commit);
            let answer = work(&mut transaction)?;
            (answer, transaction.into_changes())
        };
        let Some((_, last)) = changes.last() else {
            return Ok(answer);
        };
        if commit == Commit::DryRun {
            return Ok(answer);
        }
        let revision = last.revision;
        disk.write(
            revision,
            changes.iter().map(|(store, change)| Record {
                store,
                key: change.key.as_str(),
                fields: change.after.as_ref().map(|object| &object.fields),
            }),
        )?;
        self.state.write().apply(changes);
        self.revision.send_replace(revision);
        Ok(answer)
    }
}

impl State {
    /// Takes an object over from disk. There is none without a definition: definitions serve at
    /// least one version and are deleted together with their objects.
    fn load(&mut self, store: &str, fields: super::definition::Fields) {
        let Some(definition) = self.definition_for(store) else { return };
        let revision = super::stored::metadata_text(&fields, "resourceVersion");
        let revision = revision.parse().unwrap_or(self.revision);
        let object = Arc::new(StoredObject::new(&definition, revision, fields));
        self.resource_mut(&definition.store).objects.insert(object.key.clone(), object);
    }

    fn definition_for(&self, store: &str) -> Option<Arc<Definition>> {
        self.registry.of_store(store).cloned()
    }
}
