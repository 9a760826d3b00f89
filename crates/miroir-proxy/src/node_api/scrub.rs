//! What a node says, freed of what only Miroir says to it.

use miroir_core::error::{hide_attributes, scrub_message};
use miroir_core::view::IndexEntry;
use serde_json::Value;

use super::NodeReply;

/// Makes of every index's name one that no index has.
pub const ABSENT_SUFFIX: &str = "-miroir-has-no-such-index";

/// The same answer with Miroir's own names taken out of its message, and the attributes that the client hides.
pub fn scrub_reply(reply: NodeReply, entry: &IndexEntry) -> NodeReply {
    let Ok(Value::Object(mut body)) = serde_json::from_slice(&reply.body) else { return reply };
    let about_search = body.get("code").and_then(Value::as_str).is_some_and(|code| code.contains("_search_"));
    if let Some(Value::String(message)) = body.get_mut("message") {
        *message = scrub_message(message, &entry.physical, &entry.uid).replace(ABSENT_SUFFIX, "");
        let displayed = entry.settings.list("displayedAttributes").filter(|list| !list.contains(&"*"));
        if let Some(displayed) = displayed.filter(|_| about_search) {
            *message = hide_attributes(message, &displayed);
        }
    }
    NodeReply { body: Value::Object(body).to_string().into(), ..reply }
}
