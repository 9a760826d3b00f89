//! Changes of settings that stand as a test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use miroir_core::error::ResponseError;
use miroir_core::ids::TaskUid;

use super::ChangesOfSettings;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Changes(Mutex<Standings>);

/// Tasks that can't end, and those that fail with an error.
#[derive(Debug, Default)]
pub(super) struct Standings {
    pub(super) held: BTreeSet<TaskUid>,
    pub(super) taken_back: BTreeMap<TaskUid, ResponseError>,
}

impl Changes {
    pub(super) fn all(&self) -> MutexGuard<'_, Standings> {
        self.0.lock().unwrap()
    }
}

impl ChangesOfSettings for Changes {
    fn is_held(&self, task: TaskUid) -> bool {
        self.all().held.contains(&task)
    }

    fn taken_back(&self, task: TaskUid) -> Option<ResponseError> {
        self.all().taken_back.get(&task).cloned()
    }
}
