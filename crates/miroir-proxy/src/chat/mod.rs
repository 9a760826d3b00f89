//! The way of a chat: the model is asked, what it says goes to the client as it comes, and whenever it wants to search, its
//! search is made over the cluster and the model is asked again, with what was found.

mod lookup;
mod metrics;
mod model;
mod offer;

use std::ops::ControlFlow;

use miroir_core::chat::{
    ChatRequest, Chunk, ModelAnswer, ModelStep, SearchArguments, SearchCall, StreamFault, ToolReports,
    Workspace,
};
use tokio::sync::mpsc::Sender;
use uuid::Uuid;

use self::lookup::{ToolFindings, look_up};
use crate::auth::{Bearer, Keyring};
use crate::cluster::Cluster;
use crate::write::Records;

pub use self::metrics::ChatMetrics;
pub use self::model::Models;
pub use self::offer::{Offers, offer_indexes};

/// So often a model is asked for one request (Meilisearch 1.50).
const MAX_TURNS: usize = 20;

/// So many searches a model may ask for in one answer.
const MAX_SEARCHES: usize = 100;

/// How the stream of a chat ends.
const DONE: &str = "[DONE]";

/// What chats are held with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ChatParts {
    /// The nodes that are searched.
    pub cluster: Cluster,
    /// Who knows which features are on.
    pub records: Records,
    /// What callers are known by.
    pub keys: Keyring,
    /// The way to the models.
    pub models: Models,
    /// What chats cost.
    pub metrics: ChatMetrics,
}

/// One request of a client, while a model works on it.
#[derive(Debug)]
pub struct Conversation {
    /// What it is worked on with.
    pub parts: ChatParts,
    /// Who asks: the model may search what this caller may search.
    pub caller: Bearer,
    /// The workspace by its name.
    pub name: String,
    /// Which model, where.
    pub workspace: Workspace,
    /// What the model is asked.
    pub request: ChatRequest,
    /// What the client wants to know of searches.
    pub reports: ToolReports,
    /// Where events for the client go.
    pub events: Sender<String>,
}

/// The client is gone.
struct Gone;

type Said = Result<(), Gone>;

impl Conversation {
    /// Goes on until the model is done, or the client gone. May be dropped at any point: then the model's server and the
    /// nodes are hung up on.
    pub async fn run(mut self) {
        let events = self.events.clone();
        tokio::select! {
            () = events.closed() => {}
            _ = self.talk() => {}
        }
    }

    async fn talk(&mut self) -> Said {
        let mut answer_so_far = ModelAnswer::default();
        for _ in 0..MAX_TURNS {
            answer_so_far.begin();
            match self.listen(&mut answer_so_far).await? {
                ControlFlow::Continue(()) => {}
                ControlFlow::Break(()) => break,
            }
        }
        self.say(DONE.to_owned()).await
    }

    /// One answer of the model.
    async fn listen(&mut self, answer_so_far: &mut ModelAnswer) -> Result<ControlFlow<()>, Gone> {
        let body = self.request.written(self.workspace.tells_usage());
        let mut answer = match self.parts.models.ask(&self.workspace, body).await {
            Ok(answer) => answer,
            Err(fault) => return self.fail(fault).await,
        };
        while let Some(piece) = answer.next().await {
            let chunk = match piece {
                Ok(chunk) => chunk,
                Err(fault) => return self.fail(fault).await,
            };
            if let Some(usage) = chunk.usage() {
                self.parts.metrics.note_usage(&self.name, usage);
            }
            match answer_so_far.take(&chunk) {
                ModelStep::Forward(event) => self.say(event).await?,
                ModelStep::Wait => {}
                ModelStep::Search(calls) if calls.len() > MAX_SEARCHES => {
                    let message = format!("the model wants to search more than {MAX_SEARCHES} times at once");
                    return self.fail(StreamFault::of_kind(fresh(), "too_many_searches", message)).await;
                }
                ModelStep::Search(calls) => self.search(&chunk, calls).await?,
                ModelStep::Over => break,
                ModelStep::Broken(fault) => {
                    return self.fail(StreamFault::of_kind(fresh(), "parser_error", fault.to_owned())).await;
                }
            }
        }
        Ok(if answer_so_far.goes_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }

    /// Makes the searches that the model asked for, one after the other.
    async fn search(&mut self, at: &Chunk, calls: Vec<SearchCall>) -> Said {
        self.request.note_calls(&calls);
        for call in calls {
            for event in self.reports.begun(at, &call, fresh) {
                self.say(event).await?;
            }
            let (text, fault) = match serde_json::from_str::<SearchArguments>(&call.arguments) {
                Err(error) => (error.to_string(), None),
                Ok(arguments) => match look_up(&self.parts, &self.caller, &arguments).await {
                    Ok(ToolFindings { documents, text }) => {
                        if let Some(event) = self.reports.found(at, &call, &documents, fresh) {
                            self.say(event).await?;
                        }
                        (text, None)
                    }
                    Err(error) => (format!("the search tool call failed with {error}"), Some(error)),
                },
            };
            if let Some(event) = self.reports.answered(at, &call, &text, fresh) {
                self.say(event).await?;
            }
            self.request.note_answer(&call, &text);
            if let Some(fault) = fault {
                self.say(StreamFault::of_search(fresh(), &fault).written()).await?;
            }
        }
        Ok(())
    }

    async fn fail(&self, fault: StreamFault) -> Result<ControlFlow<()>, Gone> {
        let told = fault.written();
        let logged = self.workspace.without_key(&told);
        tracing::warn!(workspace = %self.name, fault = %logged, "a model's answer broke off");
        self.say(told).await?;
        Ok(ControlFlow::Break(()))
    }

    async fn say(&self, event: String) -> Said {
        self.events.send(event).await.map_err(|_| Gone)
    }
}

fn fresh() -> String {
    Uuid::new_v4().to_string()
}
