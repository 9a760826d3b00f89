//! Hits that are ordered by their similarity, and equally near ones by their primary key.

use serde_json::{Map, Value};

use super::details::RuleScore;
use super::hits::{RankedHit, read_hits};
use super::tie::Tie;
use super::{present, reply_total};
use crate::search::{MergePlan, Window};

/// The client's window of the nodes' hits, and the total. A threshold cuts as it does on one Meilisearch (1.50,
/// `search/similar.rs`): the first hit of the window below it ends the list, and then the total is what came before.
pub(in crate::search) fn merge_near(
    plan: &MergePlan,
    window: Window,
    threshold: Option<f64>,
    mut replies: Vec<Map<String, Value>>,
) -> (Vec<Value>, u64) {
    let hits = replies.iter_mut().flat_map(read_hits);
    let keyed = |hit: RankedHit| Some((similarity(&hit)?, Tie::of(plan, &hit), hit));
    let mut near: Vec<(f64, Tie, RankedHit)> = hits.filter_map(keyed).collect();
    near.sort_by(|(a, tie_a, _), (b, tie_b, _)| b.total_cmp(a).then_with(|| tie_a.cmp(tie_b)));
    let mut total = replies.iter().map(reply_total).sum::<u64>().min(plan.max_total_hits as u64);
    let mut shown = Vec::new();
    for (place, (similarity, _, hit)) in near.into_iter().enumerate() {
        if !window.range().contains(&place) {
            continue;
        }
        if threshold.is_some_and(|threshold| similarity < threshold) {
            total = place as u64;
            break;
        }
        shown.push(Value::Object(present(plan, hit)));
    }
    (shown, total)
}

fn similarity(hit: &RankedHit) -> Option<f64> {
    hit.rules().find_map(|(_, rule)| match rule {
        RuleScore::Vector(similarity) => *similarity,
        _ => None,
    })
}
