//! Writing a small file so that readers, and a crash, see the old content or the new, never a
//! part; and so that a secret is at no moment readable by others.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

/// Who may read a file; only the owner may write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The owner alone: mode 0600.
    Owner,
    /// All users: mode 0644.
    Everyone,
}

/// Makes a directory and those above it, readable by the owner only; fine if it exists.
pub fn create_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Replaces a file's content, durably, with the given mode from the first byte on.
pub fn replace(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mode = match access {
        Access::Owner => 0o600,
        Access::Everyone => 0o644,
    };
    // Created for the owner only, whatever the process's file mode mask.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    fs::set_permissions(file.path(), Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The new name is durable once the directory is.
    File::open(directory)?.sync_all()
}
