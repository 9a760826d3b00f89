//! What a development cluster keeps in its data directory, so that the next start finds its data again: its shape, the
//! nodes' ports, the kind of engine and the master key. A lock keeps a second cluster out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use miroir_core::ids::{GroupId, NodeId};
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::topology::Topology;

/// The content of `dev.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevState {
    /// The shape of the cluster.
    pub topology: Topology,
    /// What the nodes run, which decides the format of their data.
    pub engine: Engine,
    /// The nodes' ports, in the order of the nodes.
    pub ports: Vec<u16>,
}

/// One node of a development cluster: where it listens and where its files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its name.
    pub id: NodeId,
    /// Its replica group.
    pub group: GroupId,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Its directory, absolute.
    pub dir: PathBuf,
}

impl NodeSpec {
    /// The base URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The engine's database. Absolute and the node's own, so that it tells the node's process from every other.
    pub fn database(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// What the process prints.
    pub fn log(&self) -> PathBuf {
        self.dir.join("node.log")
    }

    /// The number of the process.
    pub fn pid_file(&self) -> PathBuf {
        self.dir.join("pid")
    }
}

/// A data directory.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
}

/// Held as long as the cluster runs.
#[derive(Debug)]
pub struct DataDirLock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl DataDir {
    /// Opens the directory, which is made if it is missing.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path)
            .with_context(|| format!("cannot create the data directory {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self { path })
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps other clusters out of the directory.
    pub fn lock(&self) -> anyhow::Result<DataDirLock> {
        let path = self.path.join("dev.lock");
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(DataDirLock(file)),
            Err(TryLockError::WouldBlock) => bail!(
                "another development cluster runs on {}: stop it, or give another --data-dir",
                self.path.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    /// What an earlier start left, if there was one.
    pub fn load_state(&self) -> anyhow::Result<Option<DevState>> {
        let path = self.state_file();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let state = serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} is damaged or of another version: delete the data directory to start anew",
                path.display()
            )
        })?;
        Ok(Some(state))
    }

    /// Keeps the state for the next start; a crash leaves the old one or the new one.
    pub fn save_state(&self, state: &DevState) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(state).context("cannot write dev.json")?;
        let (path, draft) = (self.state_file(), self.path.join("dev.json.new"));
        fs::write(&draft, text).with_context(|| format!("cannot write {}", draft.display()))?;
        fs::rename(&draft, &path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The master key: the one given, which is kept; else the one kept; else a new one.
    pub fn master_key(&self, given: Option<&str>) -> anyhow::Result<String> {
        let path = self.path.join("master-key");
        let key = match given {
            Some(key) if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
                bail!("--master-key must be printable ASCII without spaces: it is sent in a header")
            }
            Some(key) => key.to_owned(),
            None => match fs::read_to_string(&path) {
                Ok(key) => return Ok(key.trim().to_owned()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    format!("{:032x}", rand::random::<u128>())
                }
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
            },
        };
        let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        written
            .and_then(|mut file| writeln!(file, "{key}"))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(key)
    }

    /// The nodes of a state, with their directories made.
    pub fn nodes(&self, state: &DevState) -> anyhow::Result<Vec<NodeSpec>> {
        let spec = |((id, group), &port): ((NodeId, GroupId), &u16)| {
            let dir = self.path.join("nodes").join(id.as_str());
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
            Ok(NodeSpec { id, group, port, dir })
        };
        state.topology.members().zip(&state.ports).map(spec).collect()
    }

    /// Where Miroir keeps its task log.
    pub fn task_store(&self) -> PathBuf {
        self.path.join("miroir.sqlite")
    }

    fn state_file(&self) -> PathBuf {
        self.path.join("dev.json")
    }
}

/// A free port for each node: the one it had if it is free, else one that the system picks.
pub fn pick_ports(count: u32, kept: &[u16]) -> anyhow::Result<Vec<u16>> {
    // All are held until the last is picked, so that none is picked twice.
    let mut held = Vec::new();
    for number in 0..count as usize {
        let kept = kept.get(number).and_then(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
        let listener = match kept {
            Some(listener) => listener,
            None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port for a node")?,
        };
        held.push(listener);
    }
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::engine::EngineKind;
    use std::time::{Duration, Instant};

    use super::*;

    fn state() -> DevState {
        DevState {
            topology: Topology { nodes: 2, replication_factor: 1, replica_groups: 2, shards: 4 },
            engine: Engine { kind: EngineKind::Embedded, program: "/bin/miroir-devnode".into() },
            ports: vec![41001, 41002],
        }
    }

    #[test]
    fn a_state_is_found_again_by_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        assert_eq!(data.load_state().unwrap(), None);
        data.save_state(&state()).unwrap();
        assert_eq!(data.load_state().unwrap(), Some(state()));
        let nodes = data.nodes(&state()).unwrap();
        assert_eq!((nodes[1].id.as_str(), nodes[1].group, nodes[1].port), ("node-2", GroupId(1), 41002));
        assert!(nodes[1].dir.is_dir());
    }

    #[test]
    fn a_damaged_state_is_refused_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        fs::write(data.path().join("dev.json"), "{").unwrap();
        let error = data.load_state().unwrap_err();
        assert!(error.to_string().contains("dev.json is damaged"), "{error}");
    }

    #[test]
    fn the_master_key_is_made_once_and_kept_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let made = data.master_key(None).unwrap();
        assert_eq!(made.len(), 32);
        assert_eq!(data.master_key(None).unwrap(), made);
        let permissions = fs::metadata(dir.path().join("master-key")).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o600);
        assert_eq!(data.master_key(Some("given")).unwrap(), "given");
        assert_eq!(data.master_key(None).unwrap(), "given");
        assert!(data.master_key(Some("two words")).is_err());
    }

    #[test]
    fn a_second_cluster_on_the_same_data_is_refused_until_the_first_ends() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let lock = data.lock().unwrap();
        let error = DataDir::open(dir.path()).unwrap().lock().unwrap_err();
        assert!(error.to_string().contains("another development cluster"), "{error}");
        drop(lock);
        // A process that another test is starting right now holds a copy of the lock until it has become that program.
        let deadline = Instant::now() + Duration::from_secs(10);
        while data.lock().is_err() {
            assert!(Instant::now() < deadline, "the lock outlived the cluster that held it");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_kept_port_is_used_again_unless_someone_else_has_it() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let picked = pick_ports(2, &[port]).unwrap();
        assert!(picked[0] != port && picked[0] != picked[1], "{picked:?}");
        drop(taken);
        assert_eq!(pick_ports(1, &[port]).unwrap(), [port]);
    }
}
