//! Writes to an index wait for the operator while one of its nodes can't be brought to its settings.

use miroir_core::error::{ErrorCode, ResponseError};
use miroir_core::ids::IndexUid;
use miroir_core::settings::{Broadcast, Phase};
use miroir_core::task::Mutation;

use super::Broadcasts;

impl Broadcasts {
    /// The indexes that are frozen, by the names that clients use, each with the error that a write gets.
    pub fn frozen(&self) -> Vec<(IndexUid, ResponseError)> {
        let frozen = self.on_their_way().into_iter().filter(|(_, it)| it.phase == Phase::Frozen);
        frozen.map(|(uid, broadcast)| (uid.clone(), error(&uid, &broadcast))).collect()
    }

    /// Refuses a write that concerns a frozen index.
    pub fn check_writable(&self, index: &IndexUid, mutation: &Mutation) -> Result<(), ResponseError> {
        let concerns = |uid: &IndexUid| match mutation {
            Mutation::SwapIndexes { swaps } => {
                swaps.iter().any(|swap| swap.indexes.0 == *uid || swap.indexes.1 == *uid)
            }
            Mutation::RenameIndex { old_uid, new_uid, .. } => old_uid == uid || new_uid == uid,
            _ => index == uid,
        };
        self.frozen().into_iter().find(|(uid, _)| concerns(uid)).map_or(Ok(()), |(_, error)| Err(error))
    }
}

fn error(uid: &IndexUid, broadcast: &Broadcast) -> ResponseError {
    ResponseError::new(
        ErrorCode::MiroirIndexFrozen,
        format!(
            "Index `{uid}` takes no writes: its settings of task {} did not reach every node ({}). Whoever runs the cluster \
             can have them tried again.",
            broadcast.task,
            who_differs(broadcast)
        ),
    )
}

/// Which nodes were given up, and in which settings they differ.
fn who_differs(broadcast: &Broadcast) -> String {
    let node = |(node, keys): (_, &[String])| match keys {
        [] => format!("node `{node}` does not say its settings"),
        keys => format!("node `{node}` differs in `{}`", keys.join("`, `")),
    };
    let nodes: Vec<String> = broadcast.differing().map(node).collect();
    nodes.join("; ")
}

/// What the task of a change fails with that is taken back because nodes did not come to it.
pub fn taken_back_error(broadcast: &Broadcast) -> ResponseError {
    let message =
        format!("The settings did not reach every node ({}), and were taken back.", who_differs(broadcast));
    ResponseError::new(ErrorCode::Internal, message)
}
