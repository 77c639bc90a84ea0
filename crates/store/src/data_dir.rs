//! The directory of one node: held by one process at a time, readable by its owner only.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::StoreError;

const SECRET_BYTES: usize = 32;

/// The held data directory; the lock is given back when the last clone is dropped, and by the kernel when the process dies.
#[derive(Clone, Debug)]
pub struct DataDir {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory where it is missing, and takes it for this process.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it, with that one's number.
    pub fn open(path: impl Into<PathBuf>) -> Result<DataDir, StoreError> {
        let path = path.into();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(StoreError::io("cannot make the data directory", &path))?;
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(StoreError::io("cannot open the lock file", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = lock.read_to_string(&mut pid);
                let holder = if pid.trim().is_empty() {
                    "another process".to_owned()
                } else {
                    format!("process {}", pid.trim())
                };
                return Err(StoreError::Locked { dir: path, holder });
            }
            Err(TryLockError::Error(error)) => {
                return Err(StoreError::io("cannot lock", &lock_path)(error));
            }
        }
        // Only for the message of the one who finds it locked.
        let _ = lock
            .set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(DataDir {
            held: Arc::new(Held { path, _lock: lock }),
        })
    }

    /// Whether some process holds the directory now.
    pub fn is_held(path: &Path) -> bool {
        let lock = File::open(path.join("lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    pub fn path(&self) -> &Path {
        &self.held.path
    }

    /// The node's secret, made on first use. `may_make` is false when there is already something that only the lost secret could open.
    pub(crate) fn secret(&self, may_make: bool) -> Result<[u8; SECRET_BYTES], StoreError> {
        let path = self.path().join("node.secret");
        match fs::read(&path) {
            Ok(bytes) => bytes.try_into().map_err(|_| {
                StoreError::Refused(format!(
                    "{} is not a node secret of {SECRET_BYTES} bytes; restore it from a backup",
                    path.display()
                ))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_make => {
                let mut secret = [0; SECRET_BYTES];
                getrandom::fill(&mut secret).map_err(|error| {
                    StoreError::Refused(format!("the system gives no random numbers: {error}"))
                })?;
                write_durably(&path, &[&secret])?;
                Ok(secret)
            }
            Err(error) => Err(StoreError::io(
                "the keys of persons cannot be used without the node secret: cannot read",
                &path,
            )(error)),
        }
    }
}

/// Replaces a file in one step: after this returns, and after a crash at any moment, there is either the old file or the whole new one.
pub(crate) fn write_durably(path: &Path, parts: &[&[u8]]) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_dir(path.parent().unwrap_or(Path::new(".")))
    };
    write().map_err(StoreError::io("cannot write", path))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes a directory below a durable one, durably.
pub(crate) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    let make = || {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        sync_dir(dir.parent().unwrap_or(Path::new(".")))
    };
    make().map_err(StoreError::io("cannot make", dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err();
        assert!(
            matches!(&error, StoreError::Locked { holder, .. } if holder.contains(&std::process::id().to_string())),
            "{error}"
        );
        let clone = first.clone();
        drop(first);
        assert!(DataDir::open(dir.path()).is_err(), "a clone still holds it");
        drop(clone);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn the_secret_stays_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        assert!(data.secret(false).is_err());
        let secret = data.secret(true).unwrap();
        assert_eq!(data.secret(false).unwrap(), secret);
        let mode = fs::metadata(dir.path().join("node.secret"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
