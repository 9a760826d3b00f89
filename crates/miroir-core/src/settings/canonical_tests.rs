//! What nodes show, held against what clients set.

use serde_json::{Map, Value, json};

use super::*;

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("not an object: {value}") };
    object
}

fn client(patch: Value) -> ClientSettings {
    let mut settings = ClientSettings::default();
    settings.apply(&object(patch));
    settings
}

const CONTEXT: NodeContext<'static> = NodeContext { primary_key: Some("id"), scattered: true };

/// What a node says that was sent exactly this: sets sorted, parts filled in.
fn read_back(settings: &ClientSettings) -> Map<String, Value> {
    let mut node = whole_node_settings(settings, CONTEXT);
    for (key, value) in &mut node {
        if !["filterableAttributes", "localizedAttributes"].contains(&key.as_str()) {
            *value = defaults::normal(key, value);
        }
    }
    if node["stopWords"].is_object() {
        node["stopWords"] = settings.get("stopWords").cloned().unwrap_or_default();
    }
    if node["typoTolerance"]["disableOnWords"].is_object() {
        node["typoTolerance"]["disableOnWords"] = json!(["ete"]);
    }
    node
}

fn full() -> ClientSettings {
    client(json!({
        "displayedAttributes": ["title", "year", "title"],
        "searchableAttributes": ["title", "*"],
        "filterableAttributes": ["year", { "attributePatterns": ["tag*"] }],
        "sortableAttributes": ["year", "a"],
        "rankingRules": ["words", "year:desc"],
        "stopWords": ["the", "a", "the"],
        "synonyms": { "b": ["a"], "a": ["b"] },
        "typoTolerance": { "enabled": false, "disableOnWords": ["Été"] },
        "faceting": { "sortFacetValuesBy": { "year": "count" } },
        "embedders": { "e": { "source": "openAi", "apiKey": "secret", "model": "m" } },
        "localizedAttributes": [{ "attributePatterns": ["*_ja"], "locales": ["ja"] }],
        "searchCutoffMs": 20,
    }))
}

#[test]
fn what_a_node_reads_back_has_the_hash_of_what_the_client_set() {
    for settings in [ClientSettings::default(), full()] {
        let mut node = read_back(&settings);
        node.insert("foreignKeys".to_owned(), json!([]));
        if settings != ClientSettings::default() {
            node["embedders"]["e"]["documentTemplateMaxBytes"] = json!(400);
            node["localizedAttributes"][0]["locales"] = json!(["jpn"]);
            node["filterableAttributes"][2]["features"] =
                json!({ "filter": { "comparison": false, "equality": true }, "facetSearch": false });
        }
        let (set, found) = (Canonical::of_client(&settings), Canonical::of_node(&node, &settings, CONTEXT));
        assert_eq!(set.differing_keys(&found), Vec::<String>::new());
        assert_eq!(set.hash(), found.hash());
    }
}

#[test]
fn parts_of_a_new_embedder_that_are_null_are_left_to_the_node() {
    let settings = client(json!({
        "embedders": { "e": { "source": "openAi", "model": null, "apiKey": null, "dimensions": null } },
    }));
    assert_eq!(settings.get("embedders"), Some(&json!({ "e": { "source": "openAi" } })));
    let mut node = read_back(&settings);
    node["embedders"]["e"]["model"] = json!("text-embedding-3-small");
    node["embedders"]["e"]["documentTemplateMaxBytes"] = json!(400);
    let (set, found) = (Canonical::of_client(&settings), Canonical::of_node(&node, &settings, CONTEXT));
    assert_eq!(set.differing_keys(&found), Vec::<String>::new());
}

/// Which settings of a node differ that shows `found` where the client set `set`.
fn differing(set: Value, found: &Value) -> Vec<String> {
    let settings = client(set);
    let mut node = read_back(&settings);
    node.extend(object(found.clone()));
    Canonical::of_client(&settings).differing_keys(&Canonical::of_node(&node, &settings, CONTEXT))
}

#[test]
fn words_that_a_tokenizer_rewrites_are_counted_and_others_known() {
    let set = json!({ "typoTolerance": { "disableOnWords": ["Foo", "été", "a b", "Foo"] } });
    let shown = |words: Value| json!({ "typoTolerance": { "disableOnWords": words } });
    for words in [json!(["a b", "ete", "foo"]), json!(["foo", "x"]), json!(["foo"])] {
        assert_eq!(differing(set.clone(), &shown(words.clone())), Vec::<String>::new(), "{words}");
    }
    for words in [json!([]), json!(["a b", "ete"]), json!(["a b", "ete", "foo", "bar"])] {
        assert_eq!(differing(set.clone(), &shown(words.clone())), ["typoTolerance"], "{words}");
    }
    let plain = json!({ "typoTolerance": { "disableOnWords": ["B", "a"] } });
    assert_eq!(differing(plain.clone(), &shown(json!(["a", "b"]))), Vec::<String>::new());
    assert_eq!(differing(plain, &shown(json!(["a", "c"]))), ["typoTolerance"]);
}

#[test]
fn stop_words_that_nodes_show_decomposed_are_what_was_set() {
    let set = json!({ "stopWords": ["The", "l'été", "à", "ｔ"] });
    let shown = |words: Value| json!({ "stopWords": words });
    let decomposed = shown(json!(["The", "a\u{300}", "l'e\u{301}te\u{301}", "t"]));
    assert_eq!(differing(set.clone(), &decomposed), Vec::<String>::new());
    for words in [json!([]), json!(["the", "a\u{300}"]), json!(["The", "a", "b", "c", "d"])] {
        assert_eq!(differing(set.clone(), &shown(words.clone())), ["stopWords"], "{words}");
    }
    assert_eq!(
        differing(json!({ "stopWords": ["a b", "C"] }), &shown(json!(["C", "a b"]))),
        Vec::<String>::new()
    );
}

#[test]
fn an_embedder_is_compared_in_what_both_sides_show_of_it() {
    let embedder = json!({
        "source": "rest", "apiKey": "0123456789ab", "url": "http://e", "dimensions": 3, "request": { "a": "{{text}}" },
        "headers": { "X": "1" }, "distribution": { "mean": 0.123_456_789, "sigma": 0.2 }, "binaryQuantized": true,
    });
    let shown = json!({
        "source": "rest", "apiKey": "01XXXX...", "url": "http://e", "dimensions": 3, "request": { "a": "{{text}}" },
        "headers": { "X": "1" }, "distribution": { "mean": 0.123_456_79, "sigma": 0.2 }, "binaryQuantized": true,
        "documentTemplate": "the server's", "documentTemplateMaxBytes": 400,
    });
    let set = json!({ "embedders": { "e": embedder } });
    let differs_with = |part: &str, value: Value| {
        let mut shown = shown.clone();
        shown[part] = value;
        !differing(set.clone(), &json!({ "embedders": { "e": shown } })).is_empty()
    };
    assert!(!differs_with("revision", json!("1")), "it is filled in");
    assert!(!differs_with("apiKey", Value::Null), "it is dropped with its source");
    for (part, value) in [
        ("apiKey", json!("02XXXX...")),
        ("url", json!("http://f")),
        ("request", json!({ "a": "{{text}}", "b": 1 })),
        ("headers", json!({})),
        ("distribution", json!({ "mean": 0.5, "sigma": 0.2 })),
        ("binaryQuantized", json!(false)),
    ] {
        assert!(differs_with(part, value.clone()), "{part} {value}");
    }
    // A client that writes back what it was shown sets that.
    let masked = json!({ "embedders": { "e": { "source": "openAi", "apiKey": "01XXXX..." } } });
    let shown = json!({ "embedders": { "e": { "source": "openAi", "apiKey": "XXX..." } } });
    assert_eq!(differing(masked, &shown), Vec::<String>::new());
}

#[test]
fn settings_of_features_are_compared_where_nodes_show_them() {
    let set = json!({
        "chat": { "description": "d", "searchParameters": { "limit": 3, "hybrid": { "embedder": "x" } } },
        "foreignKeys": [{ "foreignIndexUid": "a", "fieldName": "b" }],
    });
    let shown = json!({
        "description": "d", "documentTemplate": "the server's", "documentTemplateMaxBytes": 400,
        "searchParameters": { "limit": 3, "hybrid": { "embedder": "x", "semanticRatio": 0.5 } },
    });
    assert_eq!(differing(set.clone(), &json!({ "chat": shown })), Vec::<String>::new());
    let mut other = shown;
    other["searchParameters"]["limit"] = json!(4);
    // Nodes are not told of relations.
    let told = json!({ "chat": other, "foreignKeys": set["foreignKeys"] });
    assert_eq!(differing(set.clone(), &told), ["foreignKeys", "chat"]);
    assert_eq!(differing(set.clone(), &json!({ "foreignKeys": [] })), Vec::<String>::new());
    let settings = client(set);
    let mut silent = read_back(&settings);
    silent.retain(|key, _| !["chat", "foreignKeys"].contains(&key.as_str()));
    let (set, found) = (Canonical::of_client(&settings), Canonical::of_node(&silent, &settings, CONTEXT));
    assert_eq!(set, found, "the feature is switched off");
}

#[test]
fn settings_of_a_wrong_type_have_a_hash_too() {
    for key in defaults::KEYS {
        for value in [json!("x"), json!(1), json!([1, null]), json!({ "a": [] }), json!(true)] {
            let settings = client(json!({ key: value }));
            let hash = Canonical::of_client(&settings).hash();
            let whole = whole_node_settings(&settings, CONTEXT);
            assert_eq!(Canonical::of_client(&settings).hash(), hash, "{key} {whole:?}");
            let keys = [key.to_owned()];
            assert_eq!(repair_patch(&keys, &whole, &settings, CONTEXT).len(), 1);
            let found = Canonical::of_node(&whole, &settings, CONTEXT);
            assert!(Canonical::of_client(&settings).differing_keys(&found).len() <= 2, "{key}");
        }
    }
}

#[test]
fn the_hash_is_the_same_for_ever_and_another_one_for_other_settings() {
    let hash = |settings: Value| Canonical::of_client(&client(settings)).hash().to_string();
    let default = hash(json!({}));
    assert_eq!(default, GOLDEN_DEFAULT_HASH);
    assert_eq!(hash(json!({ "stopWords": [], "typoTolerance": { "enabled": true } })), default);
    assert_eq!(hash(json!({ "stopWords": ["b", "a"] })), hash(json!({ "stopWords": ["a", "b", "a"] })));
    assert_ne!(hash(json!({ "stopWords": ["a"] })), default);
    assert_ne!(
        hash(json!({ "rankingRules": ["words", "typo"] })),
        hash(json!({ "rankingRules": ["typo", "words"] }))
    );
}

const GOLDEN_DEFAULT_HASH: &str = "ac1c4e502a7c5b62666a7111d20b240bacbacb610f4ae3c1712b79461c11adde";

#[test]
fn whatever_differs_is_named_also_where_miroirs_own_part_is_missing() {
    let settings = full();
    let differing = |key: &str, value: Value| {
        let mut node = read_back(&settings);
        node.insert(key.to_owned(), value);
        Canonical::of_client(&settings).differing_keys(&Canonical::of_node(&node, &settings, CONTEXT))
    };
    for (key, value) in [
        ("stopWords", json!(["the"])),
        ("synonyms", json!({})),
        ("filterableAttributes", json!(["year", { "attributePatterns": ["tag*"] }])),
        ("rankingRules", json!(["words", "year:desc"])),
        ("displayedAttributes", json!(["title", "year"])),
        ("faceting", json!({ "maxValuesPerFacet": 100, "sortFacetValuesBy": { "year": "count" } })),
        ("typoTolerance", json!({ "enabled": false, "disableOnWords": [] })),
        ("embedders", json!({})),
        ("embedders", json!({ "e": { "source": "openAi", "model": "other" } })),
        ("embedders", json!({ "e": { "source": "openAi", "model": "m", "apiKey": "abXXXX..." } })),
        ("typoTolerance", json!({ "enabled": false, "disableOnWords": ["ete", "hiver"] })),
        ("localizedAttributes", json!([{ "attributePatterns": ["*_ja"], "locales": ["kor"] }])),
        ("foreignKeys", json!([{ "foreignIndexUid": "a", "fieldName": "b" }])),
        ("chat", json!({ "description": "x", "documentTemplate": "t", "searchParameters": {} })),
        ("chat", json!({ "description": "", "searchParameters": { "limit": 1 } })),
        ("searchCutoffMs", Value::Null),
    ] {
        assert_eq!(differing(key, value.clone()), [key], "{value}");
    }
}

#[test]
fn a_repair_names_every_part_of_what_nodes_merge_and_takes_away_what_is_too_much() {
    let settings = client(json!({
        "typoTolerance": { "enabled": false },
        "embedders": { "mine": { "source": "userProvided", "dimensions": 3 } },
    }));
    let node = object(json!({
        "embedders": { "other": {} },
        "typoTolerance": { "disableOnNumbers": true },
        "chat": { "description": "d", "searchParameters": { "limit": 3 } },
    }));
    let keys = ["typoTolerance", "embedders", "stopWords", "chat"].map(str::to_owned);
    let patch = repair_patch(&keys, &node, &settings, CONTEXT);
    assert_eq!(
        Value::Object(patch),
        json!({
            "typoTolerance": {
                "enabled": false,
                "minWordSizeForTypos": { "oneTypo": 5, "twoTypos": 9 },
                "disableOnWords": [],
                "disableOnAttributes": [],
                "disableOnNumbers": false,
            },
            "embedders": { "mine": { "source": "userProvided", "dimensions": 3 }, "other": null },
            "stopWords": null,
            "chat": {
                "description": "",
                "documentTemplate": null,
                "documentTemplateMaxBytes": 400,
                "searchParameters": { "limit": null },
            },
        })
    );
}

#[test]
fn an_embedder_whose_vectors_can_not_become_whole_again_goes_before_it_comes_back() {
    let settings = client(json!({ "embedders": { "mine": { "source": "userProvided", "dimensions": 3 } } }));
    let keys = ["embedders".to_owned()];
    let mut node = whole_node_settings(&settings, CONTEXT);
    node["embedders"]["mine"]["binaryQuantized"] = json!(true);
    assert_eq!(repair_patch(&keys, &node, &settings, CONTEXT)["embedders"], json!({ "mine": null }));
    node["embedders"] = json!({});
    let patch = repair_patch(&keys, &node, &settings, CONTEXT);
    assert_eq!(patch["embedders"], json!({ "mine": { "source": "userProvided", "dimensions": 3 } }));
}

#[test]
fn an_embedder_loses_with_its_source_what_belonged_to_it_and_fragments_change_one_by_one() {
    let mut settings = client(json!({ "embedders": { "e": {
        "source": "rest", "url": "http://e", "dimensions": 3, "headers": { "A": "b" }, "apiKey": "k",
        "request": "{{fragment}}", "indexingFragments": { "a": { "value": 1 }, "b": { "value": 2 } },
        "documentTemplate": "t", "binaryQuantized": true,
    } } }));
    let mut change = |patch: Value| {
        settings.apply(&object(json!({ "embedders": { "e": patch } })));
        settings.get("embedders").unwrap()["e"].clone()
    };
    let fragments = change(json!({ "indexingFragments": { "a": null, "c": { "value": 3 } } }));
    assert_eq!(fragments["indexingFragments"], json!({ "b": { "value": 2 }, "c": { "value": 3 } }));
    assert_eq!(change(json!({ "source": "rest", "apiKey": "l" }))["url"], "http://e", "it is the same one");
    let model = json!({ "source": "ollama", "url": "http://o", "model": "m" });
    let rest = json!({ "apiKey": "l", "documentTemplate": "t", "binaryQuantized": true });
    let with_rest = |mut model: Value| {
        model.as_object_mut().unwrap().extend(object(rest.clone()));
        model
    };
    assert_eq!(change(model.clone()), with_rest(model));
    assert_eq!(change(json!({ "source": null })), rest, "that is the default source");
    let changed = change(json!({ "source": "openAi", "model": "n" }));
    assert_eq!(changed, with_rest(json!({ "source": "openAi", "model": "n" })));
    let own = json!({ "source": "userProvided", "dimensions": 2, "apiKey": "l", "binaryQuantized": true });
    assert_eq!(change(json!({ "source": "userProvided", "dimensions": 2 })), own);
}
