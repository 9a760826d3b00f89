//! Whether a node may be talked to, and with which key.
//!
//! What Miroir does all day it does with a key that it made itself on the node, and that can do no more than that. The key
//! of the configuration makes and checks that one. A node that is not this cluster's is closed: nothing is sent to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use reqwest::header::{HeaderValue, InvalidHeaderValue};
use tokio::sync::Notify;

use super::{NodeError, NodeReply};

/// See the module. Shared by all who talk to the node.
#[derive(Debug, Default)]
pub(super) struct Access {
    configured: Option<HeaderValue>,
    own: ArcSwapOption<HeaderValue>,
    closed: ArcSwapOption<String>,
    is_doubted: AtomicBool,
    doubted: Notify,
}

/// The header that shows this key, and no log.
pub(super) fn bearer(key: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {key}"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Access {
    /// Open, with the key of the configuration.
    pub(super) fn new(key: Option<&str>) -> Result<Self, InvalidHeaderValue> {
        Ok(Self { configured: key.map(bearer).transpose()?, ..Self::default() })
    }

    /// The key of the configuration.
    pub(super) fn configured(&self) -> Option<HeaderValue> {
        self.configured.clone()
    }

    /// Miroir's own key, or that of the configuration where there is none.
    pub(super) fn everyday(&self) -> Option<HeaderValue> {
        self.own.load().as_deref().cloned().or_else(|| self.configured())
    }

    /// From now on this is Miroir's own key on the node.
    pub(super) fn set_own(&self, key: Option<HeaderValue>) {
        self.own.store(key.map(Arc::new));
    }

    /// Why nothing may be sent.
    pub(super) fn closed(&self) -> Option<Arc<String>> {
        self.closed.load_full()
    }

    pub(super) fn close(&self, reason: String) {
        self.closed.store(Some(Arc::new(reason)));
    }

    pub(super) fn open(&self) {
        self.closed.store(None);
    }

    /// Looks at an answer: another server may be at the node's address now, or the node was emptied.
    pub(super) fn note(&self, answer: &Result<NodeReply, NodeError>) {
        let is_doubtful = match answer {
            Err(NodeError::Unreachable { .. }) => true,
            Err(_) => false,
            Ok(reply) => self.own.load().is_some() && reply.refuses_key(),
        };
        if is_doubtful && !self.is_doubted.swap(true, Ordering::AcqRel) {
            self.doubted.notify_one();
        }
    }

    /// Returns when an answer was doubtful since this last returned.
    pub(super) async fn doubted(&self) {
        while !self.is_doubted.swap(false, Ordering::AcqRel) {
            self.doubted.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;
    use miroir_core::ids::NodeId;
    use reqwest::StatusCode;

    use super::*;

    fn reply(status: StatusCode) -> NodeReply {
        NodeReply { status, content_type: None, body: Bytes::new() }
    }

    #[test]
    fn the_own_key_is_used_where_there_is_one() {
        let access = Access::new(Some("master")).unwrap();
        assert_eq!(access.everyday(), access.configured());
        access.set_own(Some(bearer("own").unwrap()));
        assert_eq!(access.everyday(), Some(HeaderValue::from_static("Bearer own")));
        access.set_own(None);
        assert_eq!(access.everyday(), access.configured());
        assert!(!format!("{access:?}").contains("master"));
    }

    #[test]
    fn a_node_is_doubted_when_nobody_listens_or_when_miroirs_own_key_is_refused() {
        let access = Access::new(None).unwrap();
        let is_doubted = || access.doubted().now_or_never().is_some();
        access.note(&Ok(reply(StatusCode::OK)));
        access.note(&Ok(reply(StatusCode::FORBIDDEN)));
        let (node, reason) = (NodeId::new("a"), "late".to_owned());
        access.note(&Err(NodeError::NoAnswer { node: node.clone(), reason: reason.clone() }));
        assert!(!is_doubted());
        access.note(&Err(NodeError::Unreachable { node, reason }));
        assert!(is_doubted() && !is_doubted());
        access.set_own(Some(bearer("own").unwrap()));
        access.note(&Ok(reply(StatusCode::FORBIDDEN)));
        access.note(&Ok(reply(StatusCode::FORBIDDEN)));
        assert!(is_doubted() && !is_doubted());
    }
}
