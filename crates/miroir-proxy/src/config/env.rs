//! Environment variables over the file: `MIROIR_` and the key's path in capitals, `.` as `_`. A list is given as YAML
//! or JSON text. A variable that sets nothing is warned about, because a typo in one is invisible otherwise.

use super::error::{Origin, Problem, Reason, Warning};
use super::keys::{self, KEYS};
use super::raw::{Raw, RawIndexShards, RawNode, Setting, read_as};

/// Beginnings of variables that belong to Miroir but not to its configuration.
const OTHER_USES: [&str; 3] = ["MIROIR_TEST_", "MIROIR_LOG", "MIROIR_CONFIG"];

/// Lays the variables over what the file says.
pub(super) fn apply(
    raw: &mut Raw,
    variables: impl IntoIterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Warning>,
) {
    let mut variables: Vec<_> = variables.into_iter().filter(|(name, _)| is_ours(name)).collect();
    variables.sort();
    for (name, text) in variables {
        match name.as_str() {
            "MIROIR_NODES" => raw.nodes = list("nodes", &name, &text, problems),
            "MIROIR_INDEX_SHARDS" => raw.index_shards = list("index_shards", &name, &text, problems),
            _ => match slot(raw, &name) {
                Some(slot) => *slot = Some(Setting { value: text, origin: Origin::Variable(name) }),
                None => warnings.push(unknown(name)),
            },
        }
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with("MIROIR_") && !OTHER_USES.iter().any(|other| name.starts_with(other))
}

/// The place of a plain value.
fn slot<'a>(raw: &'a mut Raw, name: &str) -> Option<&'a mut Option<Setting>> {
    let key = KEYS.iter().find(|key| !key.contains("[]") && keys::variable(key) == name)?;
    Some(match *key {
        "master_key" => &mut raw.master_key,
        "node_master_key" => &mut raw.node_master_key,
        "open_without_master_key" => &mut raw.open_without_master_key,
        "shards" => &mut raw.shards,
        "replication_factor" => &mut raw.replication_factor,
        "replica_groups" => &mut raw.replica_groups,
        "server.bind" => &mut raw.server.bind,
        "server.port" => &mut raw.server.port,
        "server.max_body_bytes" => &mut raw.server.max_body_bytes,
        "server.max_concurrent_requests" => &mut raw.server.max_concurrent_requests,
        "server.max_connections" => &mut raw.server.max_connections,
        "server.header_timeout_ms" => &mut raw.server.header_timeout_ms,
        "server.request_timeout_ms" => &mut raw.server.request_timeout_ms,
        "scatter.node_timeout_ms" => &mut raw.scatter.node_timeout_ms,
        "scatter.unavailable_shard_policy" => &mut raw.scatter.unavailable_shard_policy,
        "health.interval_ms" => &mut raw.health.interval_ms,
        "health.timeout_ms" => &mut raw.health.timeout_ms,
        "health.unhealthy_threshold" => &mut raw.health.unhealthy_threshold,
        "health.recovery_threshold" => &mut raw.health.recovery_threshold,
        "health.max_lag_ms" => &mut raw.health.max_lag_ms,
        "task_store.backend" => &mut raw.task_store.backend,
        "task_store.path" => &mut raw.task_store.path,
        "metrics.enabled" => &mut raw.metrics.enabled,
        "metrics.bind" => &mut raw.metrics.bind,
        "metrics.port" => &mut raw.metrics.port,
        "settings_broadcast.strategy" => &mut raw.settings_broadcast.strategy,
        "settings_broadcast.verify_timeout_s" => &mut raw.settings_broadcast.verify_timeout_s,
        "settings_broadcast.max_repair_retries" => &mut raw.settings_broadcast.max_repair_retries,
        "settings_broadcast.freeze_writes_on_unrepairable" => {
            &mut raw.settings_broadcast.freeze_writes_on_unrepairable
        }
        "settings_drift_check.interval_s" => &mut raw.settings_drift_check.interval_s,
        "settings_drift_check.auto_repair" => &mut raw.settings_drift_check.auto_repair,
        "admin.api_key" => &mut raw.admin.api_key,
        _ => return None,
    })
}

/// A list as YAML; what is wrong in it is blamed on the variable, not on a line of it.
fn list<T>(key: &str, name: &str, text: &str, problems: &mut Vec<Problem>) -> Option<Vec<Setting<T>>>
where
    T: Relabel + for<'de> serde::Deserialize<'de> + Default,
{
    let origin = Origin::Variable(name.to_owned());
    let (items, found) = read_as::<Vec<Setting<T>>>(text, key);
    problems.extend(found.into_iter().map(|problem| blame(problem, key, &origin)));
    let mut items = items?;
    for item in &mut items {
        item.origin = origin.clone();
        item.value.relabel(&origin);
    }
    Some(items)
}

fn blame(problem: Problem, key: &str, origin: &Origin) -> Problem {
    let Problem { key: found_key, value, reason, .. } = problem;
    let (key, reason) = match reason {
        Reason::UnknownKey { .. } => (found_key, reason),
        Reason::Syntax(found) => (key.to_owned(), Reason::NotAList { example: example(key), found }),
        reason => (key.to_owned(), reason),
    };
    Problem { key, value, origin: origin.clone(), reason }
}

/// What a variable with this list may hold.
fn example(key: &str) -> &'static str {
    match key {
        "nodes" => r#"[{"id": "node-1", "address": "http://10.0.0.1:7700"}]"#,
        _ => r#"[{"pattern": "small*", "shards": 1}]"#,
    }
}

/// An item of a list that can be told where it came from.
trait Relabel {
    fn relabel(&mut self, origin: &Origin);
}

impl Relabel for RawNode {
    fn relabel(&mut self, origin: &Origin) {
        for setting in [&mut self.id, &mut self.address, &mut self.replica_group].into_iter().flatten() {
            setting.origin = origin.clone();
        }
    }
}

impl Relabel for RawIndexShards {
    fn relabel(&mut self, origin: &Origin) {
        for setting in [&mut self.pattern, &mut self.shards].into_iter().flatten() {
            setting.origin = origin.clone();
        }
    }
}

fn unknown(name: String) -> Warning {
    let names: Vec<String> = KEYS.iter().map(|key| keys::variable(key)).collect();
    let nearest = keys::nearest(&name, names.iter().map(String::as_str)).map(str::to_owned);
    Warning::UnknownVariable { name, nearest }
}
