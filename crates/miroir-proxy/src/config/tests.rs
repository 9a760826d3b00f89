use miroir_core::cover::UnavailableShardPolicy;
use miroir_core::ids::IndexUid;

use super::keys::KEYS;
use super::*;

const MINIMAL: &str = "
master_key: a-master-key-of-some-length
nodes:
  - id: node-1
    address: http://127.0.0.1:7701
";

fn load_text(text: &str) -> Result<Loaded, Vec<Problem>> {
    parse(text, [])
}

fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Vec<Problem>> {
    parse(text, variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
}

/// The messages as printed, for a file named `miroir.yaml`.
fn messages(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let problems = load_with(text, variables).expect_err("the configuration is wrong");
    let printed = ConfigErrors::new(Some(Path::new("miroir.yaml")), problems).to_string();
    printed.lines().map(str::to_owned).collect()
}

fn minimal_and(more: &str) -> String {
    format!("{MINIMAL}{more}\n")
}

#[test]
fn the_default_configuration_is_valid() {
    let loaded = load_text(MINIMAL).unwrap();
    let config = loaded.config;
    assert_eq!(loaded.warnings, []);
    assert_eq!(config.shards.get(), 64);
    assert_eq!((config.replication_factor, config.replica_groups), (1, 1));
    assert_eq!(config.server.bind.to_string(), "127.0.0.1");
    assert_eq!((config.server.port, config.server.max_body_bytes), (7700, 100_000_000));
    assert_eq!(config.server.max_concurrent_requests, 1024);
    assert_eq!((config.server.max_connections, config.server.header_timeout.as_millis()), (4096, 10_000));
    assert_eq!(config.server.request_timeout.as_millis(), 60_000);
    assert_eq!(config.scatter.node_timeout.as_millis(), 15_000);
    assert_eq!(config.scatter.unavailable_shard_policy, UnavailableShardPolicy::Stale);
    assert_eq!(config.health.interval.as_millis(), 1000);
    assert_eq!((config.health.unhealthy_threshold, config.health.recovery_threshold), (2, 1));
    assert_eq!(config.task_store, TaskStoreConfig::Sqlite { path: "./miroir-data/miroir.sqlite".into() });
    assert!(config.node_master_key.is_none() && config.admin.api_key.is_none());
    assert!(config.metrics.enabled);
    assert_eq!((config.metrics.bind.to_string().as_str(), config.metrics.port), ("127.0.0.1", 9090));
}

#[test]
fn the_example_file_is_valid_and_shows_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/miroir.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let loaded = load(Some(&path), []).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.nodes.len(), 3);
    for key in KEYS {
        let name = key.rsplit('.').next().unwrap();
        assert!(text.contains(&format!("{name}:")), "the example does not show `{key}`");
    }
}

#[test]
fn every_key_can_be_written_in_a_file_and_every_plain_key_set_by_a_variable() {
    let plain = KEYS.iter().filter(|key| !key.contains("[]"));
    let variables: Vec<(String, String)> =
        plain.map(|key| (keys::variable(key), "nothing any key accepts\u{0}".to_owned())).collect();
    let mut raw = raw::read(MINIMAL).0.unwrap();
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    env::apply(&mut raw, variables, &mut problems, &mut warnings);
    assert_eq!((problems, warnings), (vec![], vec![]));
    for key in KEYS {
        assert_eq!(keys::find_unknown(&yaml_with(key), "").unwrap(), []);
        let raw = format!("{:?}", raw::read(&yaml_with(key)).0.unwrap());
        assert!(raw.contains("\"x\""), "`{key}` is not a field of the raw configuration: {raw}");
    }
}

/// A file that sets only this key.
fn yaml_with(key: &str) -> String {
    match (key.split_once("[]."), key.split_once('.')) {
        (Some((list, name)), _) => format!("{list}:\n  - {name}: x\n"),
        (None, Some((section, name))) => format!("{section}:\n  {name}: x\n"),
        (None, None) => format!("{key}: x\n"),
    }
}

#[test]
fn all_unknown_keys_are_named_with_their_line_and_the_key_that_was_meant() {
    let text =
        minimal_and("shard: 12\nserver:\n  prot: 1\nport: 80\n  # x\nzzz: {a: 1}\nreplication_factor: none");
    assert_eq!(
        messages(&text, &[]),
        [
            "miroir.yaml:6: `shard`: unknown key, did you mean `shards`?",
            "miroir.yaml:8: `server.prot`: unknown key, did you mean `port`?",
            "miroir.yaml:9: `port`: unknown key, did you mean `server.port`?",
            "miroir.yaml:11: `zzz`: unknown key",
            "miroir.yaml:12: `replication_factor` is `none`: must be a whole number from 1 to 1000",
        ]
    );
}

#[test]
fn an_unknown_key_of_a_node_names_the_node() {
    let text = "master_key: k\nnodes:\n  - id: a\n    adress: http://a\n";
    assert_eq!(
        messages(text, &[]),
        ["miroir.yaml:4: `nodes[0].adress`: unknown key, did you mean `address`?"]
    );
}

#[test]
fn text_that_is_not_yaml_names_its_line_and_shows_no_neighbouring_secret() {
    let printed = messages("master_key: s3cret\nnodes: [1\nfoo: bar: x", &[]);
    assert_eq!(printed.len(), 1);
    assert!(printed[0].starts_with("miroir.yaml:"), "{printed:?}");
    assert!(!printed[0].contains("s3cret"), "{printed:?}");
}

#[test]
fn a_list_where_a_value_belongs_names_its_line() {
    let printed = messages(&minimal_and("shards: [1]"), &[]);
    assert_eq!(printed.len(), 1);
    assert!(printed[0].starts_with("miroir.yaml:6: "), "{printed:?}");
}

#[test]
fn what_is_written_in_another_shape_is_told_in_plain_words() {
    for (text, end) in [
        (minimal_and("shards: 4\nshards: 8"), "`shards` is set twice in one place: take one of them out"),
        (minimal_and("server: 7700"), "here must be keys with values, such as `port: 7700`, one in a line"),
        (
            "master_key: k\nnodes: http://a:1\n".to_owned(),
            "here must be a list, each of its items after a `-`",
        ),
        (minimal_and("shards: {a: 1}"), "here must be a single value, neither a list nor keys"),
    ] {
        let printed = messages(&text, &[]);
        assert_eq!(printed.len(), 1, "{printed:?}");
        assert!(printed[0].starts_with("miroir.yaml:") && printed[0].ends_with(end), "{printed:?}");
    }
    for nodes in ["http://127.0.0.1:7701", "{a: 1}", "5"] {
        let printed = messages("master_key: k", &[("MIROIR_NODES", nodes)]);
        assert_eq!(
            printed,
            [
                r#"MIROIR_NODES: `nodes`: must be a list as YAML or JSON, such as '[{"id": "node-1", "address": "http://10.0.0.1:7700"}]' (here must be a list, each of its items after a `-`)"#
            ]
        );
    }
}

#[test]
fn all_wrong_values_are_reported_at_once() {
    let text = minimal_and(
        "shards: 0\nreplication_factor: 0\nserver: {port: 65536, bind: localhost, max_body_bytes: -1}\n\
         scatter: {unavailable_shard_policy: maybe}\nhealth: {interval_ms: 0}\ntask_store: {backend: redis}",
    );
    let printed = messages(&text, &[]);
    assert_eq!(
        printed,
        [
            "miroir.yaml:6: `shards` is `0`: must be a whole number from 1 to 1000",
            "miroir.yaml:7: `replication_factor` is `0`: must be a whole number from 1 to 1000",
            "miroir.yaml:8: `server.bind` is `localhost`: must be an IP address, such as 127.0.0.1, 0.0.0.0 or ::1",
            "miroir.yaml:8: `server.port` is `65536`: must be a whole number from 0 to 65535",
            "miroir.yaml:8: `server.max_body_bytes` is `-1`: must be a whole number from 1 to 17179869184",
            "miroir.yaml:9: `scatter.unavailable_shard_policy` is `maybe`: must be one of stale, partial, error",
            "miroir.yaml:10: `health.interval_ms` is `0`: must be a whole number from 1 to 3600000",
            "miroir.yaml:11: `task_store.backend` is `redis`: must be one of sqlite",
        ]
    );
}

#[test]
fn a_missing_key_or_node_list_says_how_to_set_it() {
    assert_eq!(
        messages("", &[]),
        [
            "miroir.yaml: `master_key`: is missing: set it in the file, or as the variable MIROIR_MASTER_KEY",
            "miroir.yaml: `nodes`: is missing: set it in the file, or as the variable MIROIR_NODES",
        ]
    );
    assert_eq!(
        messages("master_key: k\nnodes:\n  - replica_group: 0\n", &[]),
        ["miroir.yaml:3: `nodes[0].id`: is missing", "miroir.yaml:3: `nodes[0].address`: is missing"]
    );
}

#[test]
fn an_empty_master_key_is_refused_and_a_short_one_draws_a_warning() {
    let text = MINIMAL.replace("a-master-key-of-some-length", "''");
    assert_eq!(
        messages(&text, &[]),
        ["miroir.yaml:2: `master_key`: must not be empty"]
            .map(|_| { "miroir.yaml:2: `master_key` is ``: must not be empty".to_owned() })
    );
    let text = MINIMAL.replace("a-master-key-of-some-length", "short");
    assert_eq!(load_text(&text).unwrap().warnings, [Warning::ShortMasterKey { bytes: 5 }]);
}

#[test]
fn a_miroir_without_a_master_key_has_to_be_asked_for() {
    let text = MINIMAL.replace("master_key: a-master-key-of-some-length", "open_without_master_key: true");
    let loaded = load_text(&text).unwrap();
    assert!(loaded.config.master_key.is_none());
    assert_eq!(loaded.warnings, [Warning::NoMasterKey]);
    let closed = text.replace("true", "false");
    assert!(messages(&closed, &[])[0].starts_with("miroir.yaml: `master_key`: is missing"));
    assert_eq!(
        messages(&minimal_and("open_without_master_key: true"), &[]),
        ["miroir.yaml:6: `open_without_master_key` is `true`: `master_key` is set: take one of them out"]
    );
    assert!(load_text(&minimal_and("open_without_master_key: false")).is_ok());
}

#[test]
fn two_nodes_never_share_an_id_or_an_address() {
    let text = minimal_and(
        "  - {id: node-1, address: 'http://127.0.0.1:7702'}\n  - {id: b, address: 'http://127.0.0.1:7701/'}",
    );
    assert_eq!(
        messages(&text, &[]),
        [
            "miroir.yaml:6: `nodes[1].id` is `node-1`: another node has this id already (line 4): give each its own",
            "miroir.yaml:7: `nodes[2].address` is `http://127.0.0.1:7701/`: node `node-1` has this address already: each node is a server of its own",
        ]
    );
}

#[test]
fn a_node_address_must_be_a_plain_http_url() {
    for (address, why) in [
        ("127.0.0.1:7701", "it has no http:// or https:// in front"),
        ("localhost:7701", "it has no http:// or https:// in front"),
        ("ftp://a", "it has no http:// or https:// in front"),
        ("http://", "empty host"),
        ("http://a:99999", "invalid port number"),
        ("http://u:p@a", "it holds a user or password"),
        ("http://a/?x=1", "it has a `?` or `#` part"),
    ] {
        let problems =
            load_text(&format!("master_key: k\nnodes: [{{id: a, address: '{address}'}}]\n")).unwrap_err();
        assert_eq!(problems.len(), 1, "{address}");
        assert_eq!(problems[0].key, "nodes[0].address");
        assert!(
            matches!(&problems[0].reason, Reason::NotANodeAddress(said) if said.contains(why)),
            "{problems:?}"
        );
    }
}

#[test]
fn a_node_address_loses_its_final_slash_so_that_paths_can_be_appended() {
    let text = MINIMAL.replace("7701", "7701/search/");
    assert_eq!(load_text(&text).unwrap().config.nodes[0].address.as_str(), "http://127.0.0.1:7701/search");
}

#[test]
fn a_node_in_a_group_that_does_not_exist_is_refused() {
    assert_eq!(
        messages(&minimal_and("    replica_group: 1"), &[]),
        [
            "miroir.yaml:6: `nodes[0].replica_group` is `1`: there are 1 replica groups, numbered from 0: must be at most 0"
        ]
    );
}

#[test]
fn a_group_without_nodes_and_more_copies_than_nodes_are_refused() {
    assert_eq!(
        messages(&minimal_and("replica_groups: 2\nreplication_factor: 3"), &[]),
        [
            "miroir.yaml:6: `replica_groups` is `2`: replica group 1 has no node: each group must hold a full copy of everything",
            "miroir.yaml:7: `replication_factor` is `3`: replica group 0 has only 1 node(s): a node holds at most one copy of a shard",
        ]
    );
}

#[test]
fn the_first_index_pattern_that_matches_decides_the_shards() {
    let text =
        minimal_and("index_shards:\n  - {pattern: logs-1, shards: 3}\n  - {pattern: 'logs-*', shards: 8}");
    let config = load_text(&text).unwrap().config;
    let shards = |name: &str| config.shard_rules().shards_for(&IndexUid::new(name)).get();
    assert_eq!((shards("logs-1"), shards("logs-12"), shards("movies")), (3, 8, 64));
}

#[test]
fn a_star_inside_a_pattern_and_zero_shards_are_refused() {
    let text = minimal_and("index_shards:\n  - {pattern: 'a*b', shards: 0}\n  - {pattern: ''}");
    assert_eq!(
        messages(&text, &[]),
        [
            "miroir.yaml:7: `index_shards[0].pattern` is `a*b`: must be an index uid (letters, digits, `-`, `_`), with an optional `*` at the end",
            "miroir.yaml:7: `index_shards[0].shards` is `0`: must be a whole number from 1 to 1000",
            "miroir.yaml:8: `index_shards[1].pattern` is ``: must be an index uid (letters, digits, `-`, `_`), with an optional `*` at the end",
            "miroir.yaml:8: `index_shards[1].shards`: is missing",
        ]
    );
}

#[test]
fn variables_win_over_the_file() {
    let config = load_with(
        &minimal_and("shards: 3"),
        &[
            ("MIROIR_MASTER_KEY", "12345678901234567890"),
            ("MIROIR_SHARDS", "5"),
            ("MIROIR_SERVER_PORT", "0"),
            ("MIROIR_SCATTER_UNAVAILABLE_SHARD_POLICY", "error"),
            ("MIROIR_NODES", r#"[{"id":"x","address":"http://x:1"},{"id":"y","address":"https://y"}]"#),
            ("MIROIR_INDEX_SHARDS", "- pattern: one\n  shards: 1"),
        ],
    )
    .unwrap()
    .config;
    assert_eq!(config.master_key.as_ref().unwrap().expose(), "12345678901234567890");
    assert_eq!((config.shards.get(), config.server.port), (5, 0));
    assert_eq!(config.scatter.unavailable_shard_policy, UnavailableShardPolicy::Error);
    assert_eq!(config.nodes.iter().map(|node| node.id.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(config.shard_rules().shards_for(&IndexUid::new("one")).get(), 1);
}

#[test]
fn a_wrong_variable_is_named_instead_of_a_line() {
    let variables = [("MIROIR_SHARDS", "many"), ("MIROIR_NODES", "- {id: a, adress: x}")];
    assert_eq!(
        messages(MINIMAL, &variables),
        [
            "MIROIR_NODES: `nodes[0].adress`: unknown key, did you mean `address`?",
            "MIROIR_SHARDS: `shards` is `many`: must be a whole number from 1 to 1000",
        ]
    );
    assert_eq!(
        messages(MINIMAL, &variables[..1]),
        ["MIROIR_SHARDS: `shards` is `many`: must be a whole number from 1 to 1000"]
    );
    assert_eq!(
        messages(MINIMAL, &[("MIROIR_NODES", "- {id: a, address: x}")]),
        [
            "MIROIR_NODES: `nodes[0].address` is `x`: must be a node's URL, such as http://10.0.0.1:7700 (it has no http:// or https:// in front)"
        ]
    );
}

#[test]
fn a_list_that_cannot_be_read_is_not_called_missing_too() {
    let printed = messages("master_key: k", &[("MIROIR_NODES", "[{")]);
    assert_eq!(printed.len(), 1, "{printed:?}");
    assert!(printed[0].starts_with("MIROIR_NODES: `nodes`"), "{printed:?}");
}

#[test]
fn an_unknown_variable_draws_a_warning_unless_it_is_for_tests_or_logs() {
    let variables = [("MIROIR_SHARD", "1"), ("MIROIR_TEST_X", "1"), ("MIROIR_LOG", "debug"), ("OTHER", "1")];
    assert_eq!(
        load_with(MINIMAL, &variables).unwrap().warnings,
        [Warning::UnknownVariable { name: "MIROIR_SHARD".into(), nearest: Some("MIROIR_SHARDS".into()) }]
    );
}

#[test]
fn a_section_with_every_key_commented_out_means_its_defaults() {
    let config = load_text(&minimal_and("server:\n  # port: 1\nindex_shards:")).unwrap().config;
    assert_eq!(config.server.port, 7700);
    assert!(config.index_shards.is_empty());
}

#[test]
fn debug_output_shows_no_secret() {
    let text = minimal_and("node_master_key: node-key-1\nadmin: {api_key: admin-key-1}");
    let shown = format!("{:?}", load_text(&text).unwrap());
    for secret in ["a-master-key-of-some-length", "node-key-1", "admin-key-1"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn metrics_can_be_turned_off_or_moved_and_a_wrong_value_names_its_key() {
    let text = minimal_and("metrics: {enabled: false, bind: 0.0.0.0, port: 9191}");
    let metrics = load_text(&text).unwrap().config.metrics;
    assert!(!metrics.enabled);
    assert_eq!((metrics.bind.to_string().as_str(), metrics.port), ("0.0.0.0", 9191));
    assert_eq!(
        messages(&minimal_and("metrics: {enabled: perhaps, bind: here, port: 70000}"), &[]),
        [
            "miroir.yaml:6: `metrics.enabled` is `perhaps`: must be one of true, false",
            "miroir.yaml:6: `metrics.bind` is `here`: must be an IP address, such as 127.0.0.1, 0.0.0.0 or ::1",
            "miroir.yaml:6: `metrics.port` is `70000`: must be a whole number from 0 to 65535",
        ]
    );
}

#[test]
fn one_server_under_two_names_and_miroir_itself_are_no_two_nodes() {
    let text = "master_key: a-master-key-of-some-length
server: {port: 7700}
metrics: {port: 9090}
nodes:
  - {id: a, address: 'http://127.0.0.1:7970'}
  - {id: b, address: 'http://localhost:7970/'}
  - {id: c, address: 'http://[::1]:7970'}
  - {id: d, address: 'http://localhost:7971'}
  - {id: e, address: 'http://127.0.0.2:7970'}
  - {id: f, address: 'http://localhost:7700'}
  - {id: g, address: 'http://127.0.0.1:9090'}
  - {id: h, address: 'http://10.0.0.1:7700'}
";
    let found: Vec<_> = messages(text, &[]);
    let expected = ["nodes[1]", "nodes[2]", "nodes[5]", "nodes[6]"];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (message, node) in found.iter().zip(expected) {
        assert!(message.contains(node), "{message}");
    }
    assert!(found[0].contains("node `a` has this address already"), "{}", found[0]);
    assert!(
        found[2].contains("is where Miroir itself listens (`server.bind`, `server.port`)"),
        "{}",
        found[2]
    );
    assert!(found[3].contains("`metrics.port`"), "{}", found[3]);
}

#[test]
fn a_node_at_an_address_of_its_own_may_have_miroirs_port() {
    let node = |address: &str| {
        format!("master_key: a-master-key-of-some-length\nnodes:\n  - {{id: a, address: '{address}'}}\n")
    };
    let is_own = |text: &str, variables: &[(&str, &str)]| load_with(text, variables).is_err();
    let everywhere = [("MIROIR_SERVER_BIND", "0.0.0.0")];
    let elsewhere = [("MIROIR_SERVER_BIND", "10.0.0.1")];
    assert!(is_own(&node("http://127.0.0.1:7700"), &[]));
    assert!(is_own(&node("http://127.0.0.1:7700"), &everywhere));
    assert!(!is_own(&node("http://127.0.0.1:7700"), &elsewhere));
    assert!(is_own(&node("http://10.0.0.1:7700"), &elsewhere));
    assert!(!is_own(&node("http://10.0.0.2:7700"), &everywhere));
    assert!(!is_own(&node("http://search.example:7700"), &everywhere));
}

#[test]
fn two_listeners_need_two_ports_where_their_addresses_meet() {
    let refused = |more: &str| {
        let found = load_text(&minimal_and(more)).err().unwrap_or_default();
        found.iter().map(|problem| format!("`{}`: {}", problem.key, problem.reason)).collect::<Vec<_>>()
    };
    let metrics =
        ["`metrics.port`: `server.port` has this port already, at the same address: choose another one"];
    assert_eq!(refused("server: {port: 9100}\nmetrics: {port: 9100}"), metrics);
    assert_eq!(refused("metrics: {port: 7700}"), metrics);
    assert_eq!(refused("metrics: {port: 7700, bind: 0.0.0.0}"), metrics);
    let server =
        ["`server.port`: `metrics.port` has this port already, at the same address: choose another one"];
    assert_eq!(refused("server: {port: 9090}"), server);
    for fine in [
        "server: {port: 9090}\nmetrics: {enabled: false}",
        "server: {port: 0}\nmetrics: {port: 0}",
        "server: {port: 9090, bind: 10.0.0.1}",
    ] {
        assert!(refused(fine).is_empty(), "{fine}");
    }
}
