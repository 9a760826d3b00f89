//! What lies where the store is to be: the one look that a check takes at the machine.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

/// With what every `SQLite` database begins (<https://www.sqlite.org/fileformat2.html>, 1.3).
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// Why no store can be at this path, as far as this can be seen without leaving anything.
pub(super) fn obstacle(path: &Path) -> Option<&'static str> {
    if path.is_dir() {
        return Some("it is a folder");
    }
    let folder = path.ancestors().skip(1).find(|folder| or_here(folder).exists());
    if folder.is_some_and(|folder| !or_here(folder).is_dir()) {
        return Some("what should be its folder is a file");
    }
    let is_missing = !path.exists();
    // SQLite makes files beside its own.
    if folder.is_some_and(|folder| !takes_files(or_here(folder))) {
        return Some(if is_missing {
            "nothing can be made in its folder by this user"
        } else {
            "its folder can't be written by this user"
        });
    }
    if !is_missing && access(path, AccessFlags::R_OK | AccessFlags::W_OK).is_err() {
        return Some("the file can't be read and written by this user");
    }
    let mut head = [0; SQLITE.len()];
    match File::open(path).map(|mut file| file.read_exact(&mut head)) {
        Ok(Ok(())) if head != *SQLITE => Some("the file there is something else"),
        // A file that is empty becomes the store.
        _ => None,
    }
}

/// An administrator may write everywhere, but not everything that looks like a folder takes files: a file without a name is
/// made there, and gone again.
fn takes_files(folder: &Path) -> bool {
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok() && tempfile::tempfile_in(folder).is_ok()
}

/// The folder of a path without one is the working directory.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// The permissions of the store or of what stands beside it, if others than its owner have any.
pub(super) fn open_to_others(path: &Path) -> Option<u32> {
    miroir_store::files_of(path).iter().find_map(|file| {
        let mode = file.metadata().ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::write;

    #[test]
    fn a_store_that_others_can_read_is_found_by_any_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("miroir.sqlite");
        assert_eq!(open_to_others(&path), None);
        for file in miroir_store::files_of(&path) {
            write(&file, "").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
            assert_eq!(open_to_others(&path), Some(0o640), "{}", file.display());
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert_eq!(open_to_others(&path), None);
        }
    }

    #[test]
    fn a_store_may_be_new_or_a_database_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(at("notes.txt"), "these are notes, and they are long enough").unwrap();
        write(at("old.sqlite"), [SQLITE.as_slice(), &[0; 100]].concat()).unwrap();
        write(at("empty.sqlite"), "").unwrap();
        for fine in ["new.sqlite", "sub/folder/new.sqlite", "old.sqlite", "empty.sqlite"] {
            assert_eq!(obstacle(&at(fine)), None, "{fine}");
        }
        assert_eq!(obstacle(folder.path()), Some("it is a folder"));
        assert_eq!(obstacle(&at("notes.txt")), Some("the file there is something else"));
        assert_eq!(obstacle(&at("notes.txt/new.sqlite")), Some("what should be its folder is a file"));
        assert_eq!(obstacle(Path::new("new.sqlite")), None);
    }

    #[test]
    fn what_only_looks_like_a_folder_is_no_place_for_a_store() {
        for path in ["/proc/miroir/x.sqlite", "/sys/x.sqlite"] {
            assert_eq!(obstacle(Path::new(path)), Some("nothing can be made in its folder by this user"));
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_no_place_for_a_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("miroir.sqlite");
        write(&path, "").unwrap();
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        };
        set(&path, 0o400);
        if access(&path, AccessFlags::W_OK).is_ok() {
            // An administrator may write everywhere.
            return assert_eq!(obstacle(&path), None);
        }
        assert_eq!(obstacle(&path), Some("the file can't be read and written by this user"));
        set(folder.path(), 0o500);
        assert_eq!(obstacle(&path), Some("its folder can't be written by this user"));
        assert_eq!(
            obstacle(&folder.path().join("new")),
            Some("nothing can be made in its folder by this user")
        );
        set(folder.path(), 0o700);
    }
}
