//! A node in memory, for tests: it has a task queue, settings and documents, answers what Miroir asks, and does what a
//! [`FaultPlan`] says. Time is tokio's, so that it can be paused.

mod faults;
mod filter;
mod routes;
mod settings;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use miroir_core::ids::NodeId;
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

pub use self::faults::{Fault, FaultPlan};
use self::state::State;
use super::{Node, NodeError, NodeReply, NodeRequest, Transport};

/// See the module. Clones are one node.
#[derive(Debug, Clone)]
pub struct FakeNode {
    id: NodeId,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: State,
    faults: FaultPlan,
    /// Method and path of each request that was seen.
    seen: Vec<String>,
}

/// The data directory of a node.
#[derive(Debug, Clone)]
pub struct Data(State);

impl FakeNode {
    /// An empty node, whose tasks end at once.
    pub fn new(id: &str) -> Self {
        Self { id: NodeId::new(id), shared: Arc::default() }
    }

    /// The connection that Miroir has to it.
    pub fn node(&self) -> Node {
        Node::over(self.id.clone(), Arc::new(self.clone()))
    }

    /// Each task takes so long from now on.
    pub fn take_time(&self, per_task: Duration) {
        self.shared().state.per_task = per_task;
    }

    /// The next task of a type, such as `settingsUpdate`, fails.
    pub fn fail_next(&self, kind: &'static str, code: &str, message: &str) {
        self.shared().state.failing.push((kind, state::error(code, message)));
    }

    /// Every change of a setting to this value fails.
    pub fn refuse_setting(&self, key: &str, value: Value, code: &str, message: &str) {
        self.shared().state.refused.push((key.to_owned(), value, state::error(code, message)));
    }

    /// A setting stays as it is, though tasks that change it succeed; or not any more.
    pub fn hold_setting(&self, key: &str, is_held: bool) {
        let stuck = &mut self.shared().state.stuck;
        stuck.retain(|held| held != key);
        if is_held {
            stuck.push(key.to_owned());
        }
    }

    /// Somebody changes the settings of an index on the node itself.
    pub fn change_settings(&self, index: &str, changes: Value) {
        let Value::Object(changes) = changes else { panic!("settings are an object") };
        let mut shared = self.shared();
        shared.state.enqueue(index, None, state::Work::Settings(changes));
        shared.state.work();
    }

    /// What becomes of requests from now on.
    pub fn plan(&self, faults: FaultPlan) {
        self.shared().faults = faults;
    }

    /// The data directory is empty from now on.
    pub fn forget_everything(&self) {
        let mut shared = self.shared();
        let per_task = shared.state.per_task;
        shared.state = State { per_task, ..State::default() };
    }

    /// What is in the data directory.
    pub fn data(&self) -> Data {
        Data(self.shared().state.clone())
    }

    /// The data directory is this one from now on.
    pub fn put_back(&self, data: Data) {
        self.shared().state = data.0;
    }

    /// Somebody deletes the records of all tasks that are over.
    pub fn delete_tasks(&self) {
        self.shared().state.delete_tasks();
    }

    /// Method and path of each request that it saw, in order.
    pub fn seen(&self) -> Vec<String> {
        self.shared().seen.clone()
    }

    /// The ids of an index's documents.
    pub fn ids(&self, index: &str) -> Vec<String> {
        let mut shared = self.shared();
        shared.state.work();
        shared
            .state
            .indexes
            .get(index)
            .map(|index| index.documents.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Everything in its indexes: primary keys, settings and documents.
    pub fn contents(&self) -> Value {
        let mut shared = self.shared();
        shared.state.work();
        let shown = |index: &state::Index| {
            let (key, documents) = (&index.primary_key, &index.documents);
            json!({ "primaryKey": key, "settings": settings::show(&index.settings), "documents": documents })
        };
        let indexes = shared.state.indexes.iter().map(|(uid, index)| (uid.clone(), shown(index)));
        Value::Object(indexes.collect::<Map<_, _>>())
    }

    /// One of an index's settings; none without the index.
    pub fn setting(&self, index: &str, key: &str) -> Option<Value> {
        self.contents().get(index).map(|index| index["settings"][key].clone())
    }

    /// Its tasks in order: index, type, how they ended, and the text that came with them.
    pub fn tasks(&self) -> Vec<(String, &'static str, &'static str, Option<String>)> {
        let mut shared = self.shared();
        shared.state.work();
        let tasks = shared.state.tasks.iter();
        tasks.map(|it| (it.index.clone(), it.work.kind(), it.status, it.metadata.clone())).collect()
    }

    /// The uids of its dynamic search rules.
    pub fn rules(&self) -> Vec<String> {
        let mut shared = self.shared();
        shared.state.work();
        shared.state.rules.keys().cloned().collect()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: NodeRequest) -> Result<NodeReply, NodeError> {
        let fault = self.shared().faults.next(&request);
        let lost = |reason: &str| NodeError::NoAnswer { node: self.id.clone(), reason: reason.to_owned() };
        match fault {
            Some(Fault::Unreachable) => {
                Err(NodeError::Unreachable { node: self.id.clone(), reason: "connection refused".to_owned() })
            }
            Some(Fault::LoseRequest) => Err(lost("the connection broke")),
            Some(Fault::LoseAnswer) => {
                self.act(&request);
                Err(lost("the connection broke"))
            }
            Some(Fault::Refuse(status, body)) => {
                Ok(NodeReply { status, content_type: None, body: body.to_string().into() })
            }
            Some(Fault::ComeLate(delay)) => {
                let (late, request) = (self.clone(), request);
                tokio::spawn(async move {
                    sleep(delay).await;
                    late.act(&request);
                });
                Err(lost("it did not end in time"))
            }
            Some(Fault::Delay(delay)) => {
                sleep(delay).await;
                Ok(self.act(&request))
            }
            None => Ok(self.act(&request)),
        }
    }

    fn act(&self, request: &NodeRequest) -> NodeReply {
        let mut shared = self.shared();
        shared.seen.push(format!("{} {}", request.method, request.path.path()));
        shared.state.work();
        routes::answer(&mut shared.state, request)
    }
}

impl Transport for FakeNode {
    fn exchange(
        &self,
        request: NodeRequest,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<NodeReply, NodeError>> {
        async move {
            timeout(deadline, self.answer(request)).await.unwrap_or_else(|_| {
                Err(NodeError::NoAnswer { node: self.id.clone(), reason: "operation timed out".to_owned() })
            })
        }
        .boxed()
    }
}
