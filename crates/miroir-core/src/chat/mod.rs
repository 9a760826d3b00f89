//! Chats: a language model answers a client's questions, and searches while it does so.
//!
//! ```text
//!  client                         Miroir                          the workspace's model
//!    | messages --> ChatRequest::parse, offer_search ------------------>|
//!    |                                   |<----------- Chunk, Chunk, ...|
//!    |<-- forwarded chunks -- ModelAnswer::take |                              |
//!    |<-- ToolReport events -- SearchCall: search, render               |
//!    |                                   |--- the same messages, the call and its answer -->|
//! ```
//!
//! All of it follows Meilisearch 1.50: which fields of OpenAI's form it knows and passes on, what it adds for the model,
//! and which events a client gets. Waiting for the model and for the nodes is done elsewhere.

mod chunk;
mod fault;
mod message;
mod request;
mod template;
mod tool;
mod turn;
mod unaided;
mod workspace;

pub use chunk::{Chunk, Usage};
pub use fault::{MistralFault, OpenAiFault, StreamFault, as_chats_tell, for_the_model_alone};
pub use request::ChatRequest;
pub use template::{DocumentTemplate, TemplateFault, displayed_only};
pub use tool::{IndexOffer, SearchArguments, ToolReports, facet_lines};
pub use turn::{ModelAnswer, ModelStep, SearchCall};
pub use unaided::shown_settings;
pub use workspace::{Endpoint, Prompts, Source, Workspace};

#[cfg(test)]
mod tests;
