//! What survives a restart: every object and the revision counter, in one redb database.
//!
//! One write is one durable redb transaction. Objects are kept as JSON text; which of them exist
//! is all the store knows after opening, the history of changes is not kept.

use std::{
    fs,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    backends::{FileBackend, InMemoryBackend},
};

use super::definition::Fields;

const OBJECTS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("objects");
const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
const REVISION: &str = "revision";
const FORMAT: &str = "format";
const FORMAT_VERSION: u64 = 1;
const FILE: &str = "embedded-store.redb";

/// Where the store keeps its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In a file below this directory, which is made when missing; changes are durable.
    Directory(PathBuf),
    /// In memory, gone with the process.
    Memory,
}

/// Why the store could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The directory or the file cannot be made or opened.
    #[error("embedded store: cannot open {path}: {source}")]
    Open {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process, or another server of this one, has the database open.
    #[error(
        "embedded store: another watchgate has {path} open; end it, or give --data-dir another \
         directory, or --in-memory"
    )]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The file is not a database, or a damaged one.
    #[error(
        "embedded store: {path} cannot be read: {source}; move it away to begin with an empty store"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: Box<redb::Error>,
    },
    /// The database failed.
    #[error("embedded store: the database failed: {0}")]
    Database(#[source] Box<redb::Error>),
    /// The file was written by another release.
    #[error("embedded store: data has format {found}, this release reads format {FORMAT_VERSION}")]
    Format {
        /// The format found.
        found: u64,
    },
    /// The namespaces that every cluster has cannot be made.
    #[error("embedded store: cannot make the initial namespaces: {0}")]
    Namespaces(String),
    /// A stored object is not JSON.
    #[error("embedded store: stored object {store}/{key} cannot be read: {source}")]
    Object {
        /// Resource of the object.
        store: String,
        /// Key of the object.
        key: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// One object to be written or removed.
pub(super) struct Record<'a> {
    pub(super) store: &'a str,
    pub(super) key: &'a str,
    pub(super) fields: Option<&'a Fields>,
}

/// Everything found on opening.
pub(super) struct Contents {
    pub(super) revision: u64,
    pub(super) objects: Vec<(String, Fields)>,
}

/// The open database.
pub(super) struct Disk {
    database: Database,
}

// === impl Disk ===

impl Disk {
    /// Opens or makes the database and reads all of it.
    pub(super) fn open(storage: &Storage) -> Result<(Self, Contents), StorageError> {
        let opened = match storage {
            Storage::Memory => Builder::new().create_with_backend(InMemoryBackend::new()),
            Storage::Directory(directory) => FileBackend::new(file_in(directory)?)
                .and_then(|file| Builder::new().create_with_backend(file)),
        };
        let database = opened.map_err(|error| match (error, storage) {
            (DatabaseError::DatabaseAlreadyOpen, Storage::Directory(directory)) => {
                StorageError::InUse { path: directory.join(FILE) }
            }
            (error, Storage::Directory(directory)) => {
                StorageError::Damaged { path: directory.join(FILE), source: Box::new(error.into()) }
            }
            (error, Storage::Memory) => failed(error),
        })?;
        let disk = Self { database };
        let contents = disk.read()?;
        Ok((disk, contents))
    }

    fn read(&self) -> Result<Contents, StorageError> {
        let write = self.database.begin_write().map_err(failed)?;
        {
            write.open_table(OBJECTS).map_err(failed)?;
            let mut counters = write.open_table(COUNTERS).map_err(failed)?;
            let found = counters.get(FORMAT).map_err(failed)?.map(|format| format.value());
            match found {
                None => drop(counters.insert(FORMAT, FORMAT_VERSION).map_err(failed)?),
                Some(FORMAT_VERSION) => {}
                Some(found) => return Err(StorageError::Format { found }),
            }
        }
        write.commit().map_err(failed)?;
        let read = self.database.begin_read().map_err(failed)?;
        let counters = read.open_table(COUNTERS).map_err(failed)?;
        let revision = counters.get(REVISION).map_err(failed)?.map_or(1, |value| value.value());
        let mut objects = Vec::new();
        for entry in read.open_table(OBJECTS).map_err(failed)?.iter().map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            let (store, key) = key.value();
            let fields = serde_json::from_slice(value.value()).map_err(|source| {
                StorageError::Object { store: store.into(), key: key.into(), source }
            })?;
            objects.push((store.to_owned(), fields));
        }
        Ok(Contents { revision, objects })
    }

    /// Writes all records and the revision they lead to, or nothing.
    pub(super) fn write<'a>(
        &self,
        revision: u64,
        records: impl Iterator<Item = Record<'a>>,
    ) -> Result<(), StorageError> {
        let write = self.database.begin_write().map_err(failed)?;
        {
            let mut objects = write.open_table(OBJECTS).map_err(failed)?;
            for record in records {
                let key = (record.store, record.key);
                match record.fields {
                    Some(fields) => {
                        let text = super::stored::go_json(fields);
                        objects.insert(key, text.as_slice()).map_err(failed)?;
                    }
                    None => drop(objects.remove(key).map_err(failed)?),
                }
            }
            let mut counters = write.open_table(COUNTERS).map_err(failed)?;
            counters.insert(REVISION, revision).map_err(failed)?;
        }
        write.commit().map_err(failed)
    }
}

/// The database's file, which is made when missing.
fn file_in(directory: &Path) -> Result<fs::File, StorageError> {
    let at = |path: PathBuf| move |source| StorageError::Open { path, source };
    fs::create_dir_all(directory).map_err(at(directory.to_owned()))?;
    let path = directory.join(FILE);
    // Secrets are stored inside: nobody but the owner may read the file.
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(at(path))
}

fn failed(error: impl Into<redb::Error>) -> StorageError {
    StorageError::Database(Box::new(error.into()))
}
