//! Chats: what a language model is asked, what it finds over a cluster, and what the client hears, as on one node. The model
//! is a server of the test's own that calls the search tool with what the client's last message says.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

mod model;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use miroir_testkit::client::{Client, Reply};
use miroir_testkit::sandbox::{Cluster, Node, Topology, nodes_are_real};
use serde_json::{Value, json};
use sha2::Sha256;

use self::model::{Model, ModelCall, TOOL};

const REPORTS: [&str; 3] = ["_meiliSearchProgress", "_meiliSearchSources", "_meiliAppendConversationMessage"];

/// One real node and Miroir over three nodes, or Miroir alone, each with a model of its own.
struct Sides {
    expected: Option<(Node, Model)>,
    cluster: Cluster,
    model: Model,
}

impl Sides {
    async fn start() -> Self {
        let cluster = Cluster::start(Topology { shards: 8, ..Topology::one_group(3, 2) }).await.unwrap();
        let model = Model::start().await;
        fill(cluster.client(), &model).await;
        let mut sides = Self { expected: None, cluster, model };
        if nodes_are_real() {
            let (node, model) = (Node::start_asking_around("expected").await.unwrap(), Model::start().await);
            fill(node.client(), &model).await;
            sides.expected = Some((node, model));
        }
        sides
    }

    /// The real node, if there is one, and Miroir.
    fn clients(&self) -> Vec<&Client> {
        let node = self.expected.iter().map(|(node, _)| node.client());
        node.chain([self.cluster.client()]).collect()
    }

    /// Chats with a key or token of each side, and returns what Miroir's model was asked.
    async fn chat_as(&self, keys: &[String], body: &Value) -> Vec<ModelCall> {
        let mut heard = Vec::new();
        for (client, key) in self.clients().into_iter().zip(keys) {
            let reply = client.with_key(key).post("/chats/open/chat/completions", body).await.unwrap();
            heard.push(known(&reply.text, &self.model));
        }
        assert!(heard.windows(2).all(|pair| pair[0] == pair[1]), "{heard:#?}");
        let asked = self.model.take_asked();
        if let Some((_, model)) = &self.expected {
            assert_eq!(asked, model.take_asked());
        }
        asked
    }

    /// Sends the same to both and returns what Miroir answers, and what its model was asked.
    async fn ask(&self, path: &str, body: &Value, key: Option<&str>) -> (Reply, Vec<ModelCall>) {
        let send = async |client: &Client| {
            let client = key.map_or_else(|| client.clone(), |key| client.with_key(key));
            client.post(path, body).await.unwrap()
        };
        let actual = send(self.cluster.client()).await;
        let asked = self.model.take_asked();
        if let Some((node, model)) = &self.expected {
            let expected = send(node.client()).await;
            assert_eq!(
                (actual.status, known(&actual.text, &self.model)),
                (expected.status, known(&expected.text, model)),
                "{path} {body}"
            );
            assert_eq!(asked, model.take_asked(), "{path} {body}");
        }
        (actual, asked)
    }

    async fn chat(&self, workspace: &str, body: &Value) -> (Reply, Vec<ModelCall>) {
        self.ask(&format!("/chats/{workspace}/chat/completions"), body, None).await
    }
}

/// The same text without what is fresh in it: ids, and where the model is.
fn known(text: &str, model: &Model) -> String {
    let text = text.replace(&model.url, "MODEL");
    let mut known = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(r#""id":""#).into_iter().chain(rest.find(r#""event_id":""#)).min() {
        let (before, after) = rest.split_at(at);
        let id = after.split('"').nth(3).unwrap();
        known.push_str(before);
        let (head, tail) = after.split_at(after.find(id).unwrap());
        known.push_str(head);
        known.push_str(if id.len() == 36 { "FRESH" } else { id });
        rest = &tail[id.len()..];
    }
    known + rest
}

async fn fill(client: &Client, model: &Model) {
    let features = json!({ "chatCompletions": true });
    client.patch("/experimental-features", &features).await.unwrap().success().unwrap();
    let genres = ["drama", "comedy"];
    let films: Vec<Value> = (0..40)
        .map(|id| {
            json!({
                "id": id, "title": format!("film {id}"), "genre": genres[id % 2], "year": 1990 + id % 12,
                "secret": format!("s{id}"), "seen": id % 3 == 0, "score": 0.5,
            })
        })
        .collect();
    let books: Vec<Value> = (0..3).map(|id| json!({ "id": id, "name": format!("book {id}") })).collect();
    for (path, body) in [("/indexes/films/documents", films), ("/indexes/books/documents", books)] {
        let reply = client.post(path, &json!(body)).await.unwrap();
        assert_eq!(client.wait_reply(reply).await.unwrap()["status"], "succeeded");
    }
    let settings = json!({
        "filterableAttributes": ["genre", "year"],
        "sortableAttributes": ["year"],
        "displayedAttributes": ["title", "id", "genre"],
        "chat": {
            "description": "All films.",
            "documentTemplate": "{{doc.title}} ({{doc.secret}})",
            "searchParameters": { "limit": 3, "sort": ["year:desc"] },
        },
    });
    let reply = client.patch("/indexes/films/settings", &settings).await.unwrap();
    assert_eq!(client.wait_reply(reply).await.unwrap()["status"], "succeeded");
    let prompts = json!({
        "system": "Be short.", "searchDescription": "Searches.", "searchQParam": "Words.",
        "searchFilterParam": "Filters.", "searchIndexUidParam": "Where.",
    });
    let url = &model.url;
    for (workspace, settings) in [
        (
            "open",
            json!({ "source": "openAi", "apiKey": "sk", "baseUrl": format!("{url}/v1"), "orgId": "o", "prompts": prompts }),
        ),
        (
            "azure",
            json!({
                "source": "azureOpenAi", "apiKey": "k", "baseUrl": url, "deploymentId": "d", "apiVersion": "v", "prompts": prompts,
            }),
        ),
        ("mistral", json!({ "source": "mistral", "apiKey": "m", "baseUrl": url, "prompts": prompts })),
    ] {
        client.patch(&format!("/chats/{workspace}/settings"), &settings).await.unwrap().success().unwrap();
    }
}

fn asking(said: &str, tools: &[&str]) -> Value {
    let tools: Vec<Value> =
        tools.iter().map(|name| json!({ "type": "function", "function": { "name": name } })).collect();
    json!({ "model": "gpt-4o", "stream": true, "tools": tools, "messages": [{ "role": "user", "content": said }] })
}

/// The JSON of every event, and whether the stream ends as it should.
fn events(reply: &Reply) -> (Vec<Value>, bool) {
    let mut data: Vec<&str> = reply.text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let done = data.last() == Some(&"[DONE]");
    data.retain(|data| *data != "[DONE]");
    (data.into_iter().map(|data| serde_json::from_str(data).unwrap()).collect(), done)
}

/// What the events say to the client's tools, by the tool.
fn reported(events: &[Value]) -> Vec<(String, Value)> {
    let calls = events.iter().filter_map(|event| {
        let function = &event["choices"][0]["delta"]["tool_calls"][0]["function"];
        Some((
            function["name"].as_str()?.to_owned(),
            serde_json::from_str(function["arguments"].as_str()?).unwrap(),
        ))
    });
    calls.collect()
}

#[tokio::test]
async fn a_model_is_asked_and_its_answer_comes_as_it_comes() {
    let sides = Sides::start().await;
    let body = json!({
        "model": "gpt-4o", "stream": true, "temperature": 0.7, "speed": 1,
        "messages": [{ "role": "user", "content": "Hello" }],
    });
    let (reply, asked) = sides.chat("open", &body).await;
    assert_eq!((reply.status, reply.headers["content-type"].to_str().unwrap()), (200, "text/event-stream"));
    assert!(reply.text.starts_with("retry: 10000\n\n"), "{}", reply.text);
    let (said, done) = events(&reply);
    let texts: Vec<&Value> = said.iter().map(|event| &event["choices"][0]["delta"]["content"]).collect();
    assert_eq!((json!(texts), done), (json!(["Found", " it."]), true));
    let [(path, who, sent)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(path, "/v1/chat/completions");
    assert_eq!(
        *who,
        json!({
            "authorization": "Bearer sk", "openai-organization": "o", "openai-beta": "assistants=v2",
        })
    );
    assert_eq!((&sent["temperature"], &sent["speed"]), (&json!(0.7), &Value::Null));
    assert_eq!(sent["messages"][0], json!({ "role": "system", "content": "Be short." }));
    let function = &sent["tools"][0]["function"];
    assert_eq!(function["description"], "Searches.\n\n - books: \n\n\n\n - films: All films.\n\n");
    let filter = function["parameters"]["properties"]["filter"]["description"].as_str().unwrap();
    let years = "year: 1993, 1992, 1991, 1990, 2001, 2000, 1999, 1998, 1997, 1996.\n";
    assert!(filter.contains(&format!("films index\ngenre: drama, comedy.\n{years}")), "{filter}");

    for (workspace, model, path, role) in [
        ("open", "o3", "/v1/chat/completions", "developer"),
        ("azure", "gpt-4.1-mini", "/openai/deployments/d/chat/completions?api-version=v", "system"),
        ("mistral", "o3", "/chat/completions", "system"),
    ] {
        let (_, asked) =
            sides.chat(workspace, &json!({ "model": model, "stream": true, "messages": [] })).await;
        assert_eq!((asked[0].0.as_str(), &asked[0].2["messages"][0]["role"]), (path, &json!(role)));
        assert_eq!(asked[0].2.get("stream_options").is_some(), workspace != "mistral");
    }
    let metrics = sides.cluster.metrics().get("/metrics").await.unwrap().text;
    assert!(
        metrics.contains(r#"miroir_chat_tokens_total{workspace="azure",kind="completion"} 4"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_model_searches_the_whole_cluster_and_the_client_is_told_what_it_wants_to_know() {
    let mut sides = Sides::start().await;
    let search = r#"{"index_uid":"films","q":"film","filter":"genre = drama"}"#;
    let (reply, asked) = sides.chat("open", &asking(search, &REPORTS)).await;
    let (told, done) = events(&reply);
    assert!(done, "{}", reply.text);
    let reports = reported(&told);
    let names: Vec<&str> = reports.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [REPORTS[0], REPORTS[2], REPORTS[1], REPORTS[2]]);
    assert_eq!(
        reports[0].1,
        json!({ "call_id": "call", "function_name": TOOL, "function_arguments": search })
    );
    let sources = json!([
        { "title": "film 10", "id": 10, "genre": "drama" },
        { "title": "film 22", "id": 22, "genre": "drama" },
        { "title": "film 34", "id": 34, "genre": "drama" },
    ]);
    assert_eq!(reports[2].1, json!({ "call_id": "call", "sources": sources }));
    // The template may show the model what clients don't see.
    let text = "film 10 (s10)\nfilm 22 (s22)\nfilm 34 (s34)";
    assert_eq!(reports[3].1, json!({ "role": "tool", "content": text, "tool_call_id": "call" }));
    let messages = asked[1].2["messages"].as_array().unwrap();
    assert_eq!(messages[3], reports[3].1);
    assert_eq!(messages[2]["tool_calls"][0]["function"]["arguments"], search);
    assert!(!reply.text.contains("_miroir_"), "{}", reply.text);

    let (reply, asked) = sides.chat("open", &asking(r#"{"index_uid":"books","q":null}"#, &[])).await;
    assert_eq!(reported(&events(&reply).0), []);
    let read = asked[1].2["messages"][3]["content"].as_str().unwrap();
    assert_eq!(read, "id: 0\nname: book 0\n\nid: 1\nname: book 1\n\nid: 2\nname: book 2\n");

    sides.cluster.kill_node(0).unwrap();
    let (_, asked) = sides.chat("open", &asking(search, &REPORTS)).await;
    assert_eq!(asked[1].2["messages"][3], reports[3].1, "a copy of every shard is left");
}

#[tokio::test]
async fn what_goes_wrong_in_a_chat_is_told_to_the_model_or_in_the_stream() {
    let sides = Sides::start().await;
    for (search, answered, streamed) in [
        (
            r#"{"index_uid":"nothing"}"#,
            "the search tool call failed with Index `nothing` not found.",
            Some("404"),
        ),
        (
            r#"{"index_uid":"films","filter":"year >"}"#,
            "the search tool call failed with Index `films`: Was",
            Some("400"),
        ),
        (r#"{"q":"a"}"#, "missing field `index_uid` at line 1 column 9", None),
        (r#"{"index_uid""#, "EOF while parsing an object at line 1 column 12", None),
    ] {
        let (reply, asked) = sides.chat("open", &asking(search, &REPORTS)).await;
        let (told, done) = events(&reply);
        let answer = asked[1].2["messages"][3]["content"].as_str().unwrap();
        assert!(done && answer.starts_with(answered), "{answer}");
        let error = told.iter().find(|event| event["type"] == "error");
        assert_eq!(error.and_then(|event| event["error"]["code"].as_str()), streamed, "{}", reply.text);
    }
    let (reply, _) =
        sides.chat("open", &asking(r#"{"index_uid":"films","filter":"secret = 1"}"#, &REPORTS)).await;
    let (told, _) = events(&reply);
    let answer = reported(&told).pop().unwrap().1["content"].as_str().unwrap().to_owned();
    assert!(answer.starts_with("Attribute `secret` is not filterable."), "{answer}");
    assert!(told.iter().all(|event| event["type"] != "error"), "{told:?}");

    for (model, kind) in
        [("refusing", "t"), ("broken", "json_deserialize_error"), ("breaking-off", "stream_ended")]
    {
        let body =
            json!({ "model": model, "stream": true, "messages": [{ "role": "user", "content": "?" }] });
        let reply = sides.cluster.client().post("/chats/open/chat/completions", &body).await.unwrap();
        let (told, done) = events(&reply);
        assert!(done, "{}", reply.text);
        assert_eq!(told.last().unwrap()["error"]["type"], kind, "{}", reply.text);
        if let Some((node, _)) = &sides.expected {
            let expected = node.client().post("/chats/open/chat/completions", &body).await.unwrap();
            assert_eq!(known(&reply.text, &sides.model), known(&expected.text, &sides.model));
        }
    }
}

#[tokio::test]
async fn a_wrong_chat_is_refused_like_by_one_node() {
    let sides = Sides::start().await;
    let good = asking("?", &[]);
    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    for (workspace, body, status, code) in [
        ("open", json!({}), 400, "bad_request"),
        ("open", json!([]), 400, "bad_request"),
        ("open", with("messages", json!([{ "role": "robot", "content": "a" }])), 400, "bad_request"),
        ("open", with("temperature", json!("hot")), 400, "bad_request"),
        ("open", with("reasoning_effort", json!(1)), 400, "malformed_payload"),
        ("open", with("stream", json!(false)), 501, "unimplemented_non_streaming_chat_completions"),
        ("open", with("n", json!(2)), 501, "unimplemented_multi_choice_chat_completions"),
        ("nobody", good.clone(), 404, "chat_not_found"),
        ("nobody", with("stream", json!(null)), 501, "unimplemented_non_streaming_chat_completions"),
        ("open", asking("?", &[TOOL]), 400, "bad_request"),
        ("open", asking("?", &["weather"]), 501, "unimplemented_external_function_calling"),
    ] {
        if body == json!([]) && !nodes_are_real() {
            continue;
        }
        let (reply, asked) = sides.chat(workspace, &body).await;
        assert_eq!((reply.status, reply.error_code()), (status, Some(code)), "{body}: {}", reply.text);
        assert_eq!(asked, []);
    }
    let (reply, _) = sides.ask("/chats/open/chat/completions", &good, Some("wrong")).await;
    assert_eq!((reply.status, reply.error_code()), (403, Some("invalid_api_key")));
    for client in sides.expected.iter().map(|(node, _)| node.client()).chain([sides.cluster.client()]) {
        let features = json!({ "chatCompletions": false });
        client.patch("/experimental-features", &features).await.unwrap().success().unwrap();
    }
    let (reply, _) = sides.chat("open", &good).await;
    assert_eq!((reply.status, reply.error_code()), (400, Some("feature_not_enabled")));
}

/// A token that a key has signed.
fn token(key: &Value, rules: &Value) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "searchRules": rules, "apiKeyUid": key["uid"] });
    let signed = format!("{}.{}", part(json!({ "typ": "JWT", "alg": "HS256" })), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(key["key"].as_str().unwrap().as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// A key of the same uid on both sides; its value differs with the master keys.
async fn key(sides: &Sides, uid: &str, actions: &[&str], indexes: &[&str]) -> Vec<Value> {
    let body = json!({ "uid": uid, "actions": actions, "indexes": indexes, "expiresAt": null });
    let mut keys = Vec::new();
    for client in sides.clients() {
        keys.push(client.post("/keys", &body).await.unwrap().success().unwrap());
    }
    keys
}

#[tokio::test]
async fn a_model_finds_what_the_callers_key_and_token_let_it_find() {
    let sides = Sides::start().await;
    let chat =
        key(&sides, "5f1d7c1e-94a8-4d0f-8d0a-0d4b9f7d3a11", &["chatCompletions", "search"], &["films"]).await;
    let no_search = key(&sides, "5f1d7c1e-94a8-4d0f-8d0a-0d4b9f7d3a12", &["chatCompletions"], &["*"]).await;
    let no_chat = key(&sides, "5f1d7c1e-94a8-4d0f-8d0a-0d4b9f7d3a13", &["search"], &["*"]).await;
    let values =
        |keys: &[Value]| keys.iter().map(|key| key["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let tokens = |rules: Value| chat.iter().map(|key| token(key, &rules)).collect::<Vec<_>>();
    let recent = tokens(json!({ "films": { "filter": "year > 1999" } }));
    let books = tokens(json!(["books"]));
    let (films, in_books) = (r#"{"index_uid":"films","filter":"genre = drama"}"#, r#"{"index_uid":"books"}"#);
    let failed = "the search tool call failed with ";
    for (keys, search, offered, answered) in [
        (values(&chat), films, Some("films"), "film 10 (s10)\nfilm 22 (s22)\nfilm 34 (s34)"),
        (
            values(&chat),
            in_books,
            Some("films"),
            &format!(
                "{failed}The API key cannot acces the index `books`, authorized indexes are [\"films\"]."
            ),
        ),
        (values(&no_search), films, None, &format!("{failed}The provided API key is invalid.")),
        (recent.clone(), films, Some("films"), "film 10 (s10)\nfilm 22 (s22)\nfilm 34 (s34)"),
        (recent, r#"{"index_uid":"films","filter":"year < 2000"}"#, Some("films"), ""),
        (
            books,
            films,
            Some(""),
            &format!(
                "{failed}The provided tenant token cannot acces the index `films`, allowed indexes are [\"books\"]."
            ),
        ),
    ] {
        let asked = sides.chat_as(&keys, &asking(search, &REPORTS)).await;
        let tool = &asked[0].2["tools"][0]["function"]["parameters"]["properties"];
        if let Some(offered) = offered {
            let offered: Vec<&str> = Some(offered).filter(|uid| !uid.is_empty()).into_iter().collect();
            assert_eq!(tool["index_uid"]["enum"], json!(offered), "{search}");
        }
        assert_eq!(asked[1].2["messages"][3]["content"], answered, "{search}");
        let filter = tool["filter"]["description"].as_str().unwrap();
        assert_eq!(
            filter.contains("year: 2001, 2000.\n"),
            keys[0].contains('.') && offered == Some("films"),
            "{filter}"
        );
    }
    for client in sides.clients() {
        let refused = client
            .with_key(&values(&no_chat)[0])
            .post("/chats/open/chat/completions", &asking("?", &[]))
            .await
            .unwrap();
        assert_eq!(
            (refused.status, refused.error_code()),
            (403, Some("invalid_api_key")),
            "{}",
            refused.text
        );
    }
}
