//! What every engine of the state store must do. An engine says how it is opened; each test gets a fresh one and may open
//! it again.

#![allow(clippy::unwrap_used)] // helpers of tests are tests too

mod suite;

mod sqlite {
    use std::sync::Arc;

    use miroir_store::{Log, SqliteStore, Store, StoreError};

    use super::suite::Engine;

    /// One file in a folder of its own.
    pub struct Sqlite(tempfile::TempDir);

    impl Sqlite {
        pub fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }
    }

    impl Engine for Sqlite {
        fn open(&self) -> Arc<dyn Store> {
            Arc::new(SqliteStore::open(&self.0.path().join("miroir.db")).unwrap())
        }

        fn another(&self) -> Self {
            Self::new()
        }

        fn open_again(&self) -> Arc<dyn Store> {
            Arc::new(SqliteStore::open_unlocked(&self.0.path().join("miroir.db")).unwrap())
        }
    }

    super::suite::conformance!(Sqlite::new());

    #[test]
    fn a_database_is_open_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("miroir.db");
        let first = SqliteStore::open(&path).unwrap();
        let refused = SqliteStore::open(&path).unwrap_err();
        assert!(
            matches!(&refused, StoreError::InUse { place } if *place == path.display().to_string()),
            "{refused}"
        );
        drop(first);
        SqliteStore::open(&path).unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_tells_whose_store_it_is_while_another_works_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("miroir.db");
        assert_eq!(SqliteStore::peek(&path).unwrap(), None);
        assert!(!path.exists());
        let store = SqliteStore::open(&path).unwrap();
        let seen = SqliteStore::peek(&path).unwrap().unwrap();
        assert_eq!(seen.cluster, Some(store.cluster_id().await.unwrap()));
        assert_eq!((seen.log_id, seen.indexes.len()), (store.log_id().await.unwrap(), 0));
        drop(store);
        assert_eq!(SqliteStore::peek(&path).unwrap().unwrap().cluster, seen.cluster);
        std::fs::write(&path, "no database at all, and long enough for the head of one").unwrap();
        assert!(SqliteStore::peek(&path).is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_of_before_there_were_identities_gets_one_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("miroir.db");
        drop(SqliteStore::open(&path).unwrap());
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute("DELETE FROM meta WHERE name = 'cluster_id'", []).unwrap();
        drop(db);
        assert_eq!(SqliteStore::peek(&path).unwrap().unwrap().cluster, None);
        let cluster = SqliteStore::open(&path).unwrap().cluster_id().await.unwrap();
        assert_eq!(SqliteStore::open(&path).unwrap().cluster_id().await.unwrap(), cluster);
    }

    #[test]
    fn a_database_of_a_newer_miroir_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("miroir.db");
        drop(SqliteStore::open(&path).unwrap());
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute("UPDATE meta SET value = '999' WHERE name = 'schema_version'", []).unwrap();
        let refused = SqliteStore::open(&path).unwrap_err();
        assert!(matches!(refused, StoreError::NewerSchema { found: 999, .. }), "{refused}");
        assert!(refused.to_string().contains("written by a newer Miroir"), "{refused}");
        let version: String = db
            .query_row("SELECT value FROM meta WHERE name = 'schema_version'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(version, "999");
    }
}
