//! Deciding about names: which index is called what. No node hears of it, since nodes know indexes by names of their own.

use super::{Decision, Effect, Judgement, Swap, Verdict};
use crate::error::{ErrorCode, ResponseError};
use crate::ids::IndexUid;

/// Decides about swaps, all or none. `exists` tells which indexes there are after everything before.
pub fn judge_swap(swaps: &[Swap], exists: impl Fn(&IndexUid) -> bool) -> Judgement {
    match fault(swaps, exists) {
        Some(error) => Judgement::refused(error),
        None => Judgement::of(Decision {
            verdict: Verdict::Accepted,
            target: None,
            steps: Vec::new(),
            effects: vec![Effect::Swap { swaps: swaps.to_vec() }],
            indexed_documents: 0,
        }),
    }
}

/// The error of giving an index a name that another one has.
pub fn judge_rename(new_uid: &IndexUid, exists: impl Fn(&IndexUid) -> bool) -> Option<ResponseError> {
    exists(new_uid).then(|| {
        ResponseError::new(ErrorCode::IndexAlreadyExists, format!("Index `{new_uid}` already exists."))
    })
}

/// What is wrong with the swaps; missing indexes are named before taken names, as Meilisearch does.
fn fault(swaps: &[Swap], exists: impl Fn(&IndexUid) -> bool) -> Option<ResponseError> {
    let mut missing: Vec<&IndexUid> = Vec::new();
    let mut taken = None;
    for Swap { indexes: (first, second), rename } in swaps {
        if !exists(first) {
            missing.push(first);
        }
        match (rename, exists(second)) {
            (false, false) => missing.push(second),
            (true, true) => taken = taken.or(Some((first, second))),
            _ => {}
        }
    }
    missing.sort_unstable();
    match (missing.as_slice(), taken) {
        ([], None) => None,
        ([], Some((first, second))) => Some(ResponseError::new(
            ErrorCode::IndexAlreadyExists,
            format!(
                "Cannot rename `{first}` to `{second}` as the index already exists. Hint: You can remove `{second}` \
                 first and then do your remove."
            ),
        )),
        ([one], _) => Some(not_found(format!("Index `{one}` not found."))),
        (several, _) => {
            let names = several.iter().map(|uid| format!("`{uid}`")).collect::<Vec<_>>().join(", ");
            Some(not_found(format!("Indexes {names} not found.")))
        }
    }
}

fn not_found(message: String) -> ResponseError {
    ResponseError::new(ErrorCode::IndexNotFound, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swap(first: &str, second: &str, rename: bool) -> Swap {
        Swap { indexes: (IndexUid::new(first), IndexUid::new(second)), rename }
    }

    fn error_of(swaps: &[Swap]) -> Option<String> {
        let judged = judge_swap(swaps, |uid| ["a", "b", "c"].contains(&uid.as_str()));
        assert_eq!(judged.decision.target, None);
        match judged.decision.verdict {
            Verdict::Accepted => None,
            Verdict::Refused(error) => {
                assert!(judged.decision.effects.is_empty());
                Some(error.message)
            }
        }
    }

    #[test]
    fn a_swap_of_what_is_there_only_changes_names() {
        assert_eq!(error_of(&[swap("a", "b", false), swap("c", "new", true)]), None);
        assert_eq!(error_of(&[]), None);
    }

    #[test]
    fn one_missing_index_refuses_all_swaps() {
        let one = error_of(&[swap("a", "b", false), swap("c", "gone", false)]);
        assert_eq!(one.as_deref(), Some("Index `gone` not found."));
        let two = error_of(&[swap("y", "x", false)]);
        assert_eq!(two.as_deref(), Some("Indexes `x`, `y` not found."));
        let renamed = error_of(&[swap("x", "y", true)]);
        assert_eq!(renamed.as_deref(), Some("Index `x` not found."));
    }

    #[test]
    fn nothing_is_renamed_onto_a_name_in_use() {
        let error = error_of(&[swap("a", "b", true)]);
        assert!(error.is_some_and(|text| text.starts_with("Cannot rename `a` to `b`")));
        assert!(judge_rename(&IndexUid::new("x"), |_| false).is_none());
        assert_eq!(
            judge_rename(&IndexUid::new("x"), |_| true).map(|error| error.code),
            Some(ErrorCode::IndexAlreadyExists)
        );
    }
}
