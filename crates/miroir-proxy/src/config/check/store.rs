//! What lies where the store is to be: the one look that a check takes at the machine.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// With what every `SQLite` database begins (<https://www.sqlite.org/fileformat2.html>, 1.3).
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// Why no store can be at this path, as far as this can be seen without writing anything.
pub(super) fn obstacle(path: &Path) -> Option<&'static str> {
    if path.is_dir() {
        return Some("it is a folder");
    }
    let folder = path.ancestors().skip(1).find(|folder| folder.exists());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Some("what should be its folder is a file");
    }
    let mut head = [0; SQLITE.len()];
    match File::open(path).map(|mut file| file.read_exact(&mut head)) {
        Ok(Ok(())) if head != *SQLITE => Some("the file there is something else"),
        // A file that is empty becomes the store; one that can't be read may be readable for whoever serves.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::write;

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
    }
}
