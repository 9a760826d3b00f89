//! Telling others of finished tasks: who wants to be told ([`Webhook`]), and the telling ([`Courier`]).

mod courier;
mod model;

pub use courier::{Courier, WebhookQueue};
pub use model::{Webhook, WebhookFault, WebhookPatch};
