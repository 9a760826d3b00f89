//! The tables, as a list of steps: a database at version `n` has had the first `n` of them. Steps are only ever added.
//!
//! The SQL keeps to what `PostgreSQL` also understands. Times are nanoseconds since 1970, so that they compare as numbers.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::StoreError;

const STEPS: &[&str] = &[
    "
    CREATE TABLE counters (
        name TEXT PRIMARY KEY,
        value BIGINT NOT NULL
    );
    -- next_task: the number of the next task. next_undecided: the first entry that nothing was decided about.
    INSERT INTO counters (name, value) VALUES ('next_task', 0), ('next_undecided', 0);

    -- What clients see. Kept until they delete it.
    CREATE TABLE tasks (
        uid BIGINT PRIMARY KEY,
        index_uid TEXT,
        kind TEXT NOT NULL,
        status TEXT NOT NULL,
        canceled_by BIGINT,
        details TEXT,
        error TEXT,
        enqueued_at BIGINT NOT NULL,
        started_at BIGINT,
        finished_at BIGINT,
        custom_metadata TEXT
    );
    CREATE INDEX tasks_by_status ON tasks (status, uid);
    CREATE INDEX tasks_by_index ON tasks (index_uid, uid);

    -- What the log keeps of a write until every node that it concerns has done it.
    CREATE TABLE entries (
        task_uid BIGINT PRIMARY KEY,
        mutation TEXT NOT NULL,
        decision TEXT
    );
    CREATE TABLE payloads (
        task_uid BIGINT PRIMARY KEY,
        body BLOB NOT NULL
    );
    CREATE TABLE node_tasks (
        task_uid BIGINT NOT NULL,
        node_id TEXT NOT NULL,
        op BIGINT NOT NULL,
        node_task_uid BIGINT,
        result TEXT,
        PRIMARY KEY (task_uid, node_id, op)
    );

    CREATE TABLE nodes (
        id TEXT PRIMARY KEY,
        sync TEXT NOT NULL,
        next_undelivered BIGINT NOT NULL
    );

    CREATE TABLE indexes (
        uid TEXT PRIMARY KEY,
        physical_uid TEXT NOT NULL UNIQUE,
        primary_key TEXT,
        shards BIGINT NOT NULL,
        placement TEXT NOT NULL,
        settings TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    );
",
    "
    -- 1: the client has deleted the task, but some node still owes its share of the entry.
    ALTER TABLE tasks ADD COLUMN deleted BIGINT NOT NULL DEFAULT 0;
    CREATE TABLE features (
        name TEXT PRIMARY KEY,
        enabled BIGINT NOT NULL
    );
",
    "
    -- A key's value is not kept: it follows from the uid and the master key. expires_at is text, with the zone that the
    -- client wrote.
    CREATE TABLE api_keys (
        uid TEXT PRIMARY KEY,
        name TEXT,
        description TEXT,
        actions TEXT NOT NULL,
        indexes TEXT NOT NULL,
        expires_at TEXT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    );
",
    "
    -- The network that clients described: one row, or none before they did.
    CREATE TABLE network (
        version TEXT PRIMARY KEY,
        body TEXT NOT NULL
    );
",
    "
    -- Small things of the whole instance that clients set: webhooks, the settings of chat workspaces.
    CREATE TABLE records (
        collection TEXT NOT NULL,
        id TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (collection, id)
    );
",
    "
    -- The first number of the node's own queue that is not accounted for. NULL: the node was never met.
    ALTER TABLE nodes ADD COLUMN next_node_task BIGINT;
",
    "
    -- Changes of settings. Indexes are named as the nodes name them: a swap or a rename changes nothing here.
    -- settings_version: the last version of any index.
    INSERT INTO counters (name, value) VALUES ('settings_version', 0);
    CREATE TABLE settings_commits (
        version BIGINT PRIMARY KEY,
        index_uid TEXT NOT NULL,
        task_uid BIGINT NOT NULL,
        hash TEXT NOT NULL,
        committed_at BIGINT NOT NULL
    );
    CREATE INDEX settings_commits_by_index ON settings_commits (index_uid, version);
    CREATE TABLE node_settings_version (
        index_uid TEXT NOT NULL,
        node_id TEXT NOT NULL,
        version BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        PRIMARY KEY (index_uid, node_id)
    );
    CREATE TABLE settings_broadcasts (
        task_uid BIGINT PRIMARY KEY,
        index_uid TEXT NOT NULL,
        is_over BIGINT NOT NULL,
        state TEXT NOT NULL
    );
    CREATE INDEX settings_broadcasts_by_index ON settings_broadcasts (index_uid, task_uid);
",
    "
    -- A payload in parts, in order. Those of older versions are one part.
    CREATE TABLE payload_parts (
        task_uid BIGINT NOT NULL,
        part BIGINT NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (task_uid, part)
    );
    INSERT INTO payload_parts (task_uid, part, body) SELECT task_uid, 0, body FROM payloads;
    DROP TABLE payloads;
",
    "
    -- Decisions may leave documents of a part out (`replaced`), which older versions would send.
",
    "
    -- The log may hold exports, which older versions don't know.
",
    "
    -- The log may have changes of dynamic search rules, which stand among the records.
",
    "
    -- Changes of settings may be taken back, and nodes skipped by that, which older versions would send them.
",
    "
    -- The order in which the documents of small indexes arrived. Indexes are named as the nodes name them.
    CREATE TABLE arrival_books (
        index_uid TEXT PRIMARY KEY,
        book TEXT NOT NULL
    );
",
    "
    -- Nodes of which nobody knows which settings of an index they have: they must not answer together with others.
    CREATE TABLE settings_doubts (
        index_uid TEXT NOT NULL,
        node_id TEXT NOT NULL,
        why TEXT NOT NULL,
        PRIMARY KEY (index_uid, node_id)
    );
",
    "
    -- epoch: which process may take steps of the write path; each start takes the next one. next_relabelled: what earlier
    -- entries exchanged of names is done. The others: how often a collection of records has changed.
    INSERT INTO counters (name, value)
        VALUES ('epoch', 0), ('next_relabelled', 0), ('webhooks', 0), ('chatWorkspaces', 0);
    -- Steps that made a task, the last ones, so that one that is repeated is known again. details: where they don't follow
    -- from the step.
    CREATE TABLE steps_taken (
        task_uid BIGINT PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        details TEXT
    );
",
    "
    -- sent_ahead: an entry behind the cursor that the lane is about to send. covered_entries: entries from the cursor on
    -- that a node got with its data, when they were copied, and not from its lane.
    ALTER TABLE nodes ADD COLUMN sent_ahead BIGINT;
    CREATE TABLE covered_entries (
        task_uid BIGINT NOT NULL,
        node_id TEXT NOT NULL,
        PRIMARY KEY (task_uid, node_id)
    );
    -- Indexes of damaged nodes that are up to a place of the log, as CaughtUp says.
    CREATE TABLE caught_up_indexes (
        node_id TEXT NOT NULL,
        index_uid TEXT NOT NULL,
        line BIGINT NOT NULL,
        next_node_task BIGINT NOT NULL,
        PRIMARY KEY (node_id, index_uid)
    );
",
];

/// Brings a database to the newest version, all steps or none.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction
        .execute_batch("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")?;
    let found: Option<String> = transaction
        .query_row("SELECT value FROM meta WHERE name = 'schema_version'", [], |row| row.get(0))
        .optional()?;
    let found = found.map_or(Ok(0), |text| text.parse::<usize>()).map_err(|error| {
        StoreError::Corrupt(format!("the schema version of `{}` is no number: {error}", path.display()))
    })?;
    if found > STEPS.len() {
        return Err(StoreError::NewerSchema { place: path.display().to_string(), found, known: STEPS.len() });
    }
    for step in &STEPS[found..] {
        transaction.execute_batch(step)?;
    }
    transaction.execute(
        "INSERT INTO meta (name, value) VALUES ('schema_version', ?1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [STEPS.len().to_string()],
    )?;
    transaction.execute(
        "INSERT INTO meta (name, value) VALUES ('log_id', lower(hex(randomblob(8)))) ON CONFLICT (name) DO NOTHING",
        [],
    )?;
    transaction.execute(
        "INSERT INTO meta (name, value) VALUES ('cluster_id', lower(hex(randomblob(16)))) ON CONFLICT (name) DO NOTHING",
        [],
    )?;
    transaction.commit()?;
    Ok(())
}
