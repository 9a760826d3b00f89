//! What a node answers, be it nonsense, is refused or merged, and never breaks anything. Markers are in no merged answer's
//! hits.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use miroir_core::ids::{GroupId, IndexUid, NodeId, PhysicalUid, ShardCount};
use miroir_core::placement::{ReplicationFactor, assign};
use miroir_core::search::{SearchPlan, SearchRequest, check_rules, is_answer, merge_replies, plan_search, read_reply};
use miroir_core::settings::ClientSettings;
use miroir_core::view::{IndexEntry, View};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

static PLANS: LazyLock<Vec<SearchPlan>> = LazyLock::new(|| {
    let bodies = [
        json!({ "q": "tea" }),
        json!({ "q": "tea", "sort": ["price:asc"], "facets": ["brand", "price"], "hitsPerPage": 3, "page": 2 }),
        json!({ "distinct": "brand", "facets": ["*"], "rankingScoreThreshold": 0.2 }),
        json!({ "q": "tea", "hybrid": { "embedder": "m", "semanticRatio": 0.5 }, "vector": [1.0], "offset": 1 }),
    ];
    bodies.into_iter().map(plan).collect()
});

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("not an object") };
    object
}

/// The plan of a search over three nodes.
fn plan(body: Value) -> SearchPlan {
    let members: BTreeMap<NodeId, GroupId> = (0..3).map(|node| (NodeId::new(format!("n{node}")), GroupId(0))).collect();
    let (shards, physical) = (ShardCount::new(8).expect("it is not zero"), PhysicalUid::new("goods"));
    let factor = ReplicationFactor::new(1).expect("it is not zero");
    let placement = assign(&physical, shards, factor, &members).expect("there are nodes");
    let mut settings = ClientSettings::default();
    settings.apply(&object(json!({ "sortableAttributes": ["price"], "filterableAttributes": ["brand", "price"] })));
    let now = OffsetDateTime::UNIX_EPOCH;
    let (uid, primary_key) = (IndexUid::new("goods"), Some("id".to_owned()));
    let entry = IndexEntry { uid, physical, primary_key, shards, placement, settings, created_at: now, updated_at: now };
    let usable: BTreeSet<NodeId> = members.into_keys().collect();
    let request = SearchRequest::parse(object(body)).expect("it is understood");
    plan_search(&request, &entry, &View { usable, ..View::default() })
}

fuzz_target!(|input: (u8, Vec<String>)| {
    let (which, answers) = input;
    let plan = &PLANS[usize::from(which) % PLANS.len()];
    let answers = plan.parts.iter().zip(&answers).filter_map(|(part, answer)| {
        read_reply(answer.as_bytes()).ok().filter(|answer| is_answer(part, answer))
    });
    let answers: Vec<_> = answers.collect();
    if check_rules(&plan.merge, &answers).is_ok() {
        let merged = merge_replies(&plan.merge, answers);
        let hits = merged.body.get("hits").and_then(Value::as_array).into_iter().flatten();
        for hit in hits.filter_map(Value::as_object) {
            assert!(!hit.contains_key("_miroir_shard_001"), "a marker is shown");
        }
    }
});
