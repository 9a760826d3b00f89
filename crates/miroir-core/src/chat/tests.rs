use serde_json::{Map, Value, json};

use super::*;
use crate::settings::ClientSettings;

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("not an object: {value}") };
    object
}

fn request(body: &Value) -> ChatRequest {
    ChatRequest::parse(body.to_string().as_bytes()).unwrap()
}

fn asking(tools: &[&str]) -> ChatRequest {
    let tools: Vec<Value> =
        tools.iter().map(|name| json!({ "type": "function", "function": { "name": name } })).collect();
    request(&json!({ "model": "m", "messages": [{ "role": "user", "content": "?" }], "tools": tools }))
}

fn chunk(delta: &Value, finish: Option<&str>) -> Chunk {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    let chunk =
        json!({ "id": "c", "choices": [choice], "created": 1, "model": "m", "object": "chunk", "extra": 1 });
    serde_json::from_value(chunk).unwrap()
}

fn piece(call: &Value) -> Chunk {
    chunk(&json!({ "tool_calls": [call] }), None)
}

fn search_piece(id: &str, arguments: &str) -> Value {
    json!({ "index": 0, "id": id, "function": { "name": "_meiliSearchInIndex", "arguments": arguments } })
}

fn settings(patch: Value) -> ClientSettings {
    let mut settings = ClientSettings::default();
    settings.apply(&object(patch));
    settings
}

#[test]
fn a_request_is_passed_on_as_far_as_it_is_known() {
    let mut request = request(&json!({
        "speed": 1, "temperature": 0.7, "stream_options": { "include_usage": true }, "model": "m",
        "messages": [
            { "role": "user", "name": null, "content": [{ "type": "text", "text": "a", "more": 1 }] },
            { "role": "assistant", "tool_calls": [{ "id": "c", "function": { "name": "f", "arguments": "{}" } }] },
        ],
    }));
    let written = concat!(
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},"#,
        r#"{"role":"assistant","tool_calls":[{"id":"c","type":null,"function":{"name":"f","arguments":"{}"}}]}],"#,
        r#""model":"m","stream":true,"temperature":0.7}"#,
    );
    assert_eq!(request.written(false), written);
    assert!(request.written(true).contains(r#""stream_options":{"include_usage":true}"#));
}

#[test]
fn a_wrong_request_is_refused_with_its_place() {
    let refused = |text: &str| ChatRequest::parse(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(refused(r#"{"model":1}"#), "invalid type: integer `1`, expected a string at line 1 column 10");
    assert_eq!(refused(r#"{"model":"m"}"#), "missing field `messages` at line 1 column 13");
}

#[test]
fn the_clients_tools_are_heard_and_the_model_sees_only_the_search() {
    let mut request = asking(&["_meiliSearchProgress", "_meiliSearchSources"]);
    let reports = request.take_reports().unwrap();
    let (call, at) = (SearchCall { id: "c".to_owned(), arguments: "{}".to_owned() }, chunk(&json!({}), None));
    let events = reports.begun(&at, &call, || "fresh".to_owned());
    assert_eq!(events.len(), 1);
    let event: Value = serde_json::from_str(&events[0]).unwrap();
    assert_eq!(
        event["choices"][0]["delta"]["tool_calls"][0],
        json!({
            "index": 0, "id": "fresh", "type": "function", "function": {
                "name": "_meiliSearchProgress",
                "arguments": r#"{"call_id":"c","function_name":"_meiliSearchInIndex","function_arguments":"{}"}"#,
            },
        })
    );
    assert!(
        reports.found(&at, &call, &[], || "fresh".to_owned()).is_some_and(|event| event.contains("sources"))
    );
    assert_eq!(reports.answered(&at, &call, "text", || "fresh".to_owned()), None);

    let offer =
        IndexOffer { uid: "films".to_owned(), description: "Films".to_owned(), facets: "a: b.\n".to_owned() };
    request.offer_search(&Prompts::default(), true, &[offer]);
    let written: Value = serde_json::from_str(&request.written(false)).unwrap();
    assert_eq!(written["messages"][0], json!({ "role": "developer", "content": "" }));
    let function = &written["tools"][0]["function"];
    assert_eq!(function["description"], "\n\n - films: Films\n\n");
    let filter = &function["parameters"]["properties"]["filter"]["description"];
    assert_eq!(filter, "\n## Facet distributions of the films index\na: b.\n\n");
    assert_eq!(function["parameters"]["properties"]["index_uid"]["enum"], json!(["films"]));
}

#[test]
fn other_tools_are_refused_as_one_server_refuses_them() {
    let refused = |tool: &str| asking(&[tool]).take_reports().unwrap_err();
    assert_eq!((refused("weather").status(), refused("_meiliSearchInIndex").status()), (501, 400));
    assert_eq!(refused("weather").message, "weather: External functions are not supported yet.");
}

#[test]
fn pieces_of_a_call_are_put_together_and_answered_at_the_next_piece() {
    let mut turn = ModelAnswer::default();
    let more = json!({ "index": 0, "function": { "arguments": "}" } });
    assert_eq!(turn.take(&piece(&search_piece("c", "{"))), ModelStep::Wait);
    assert_eq!(turn.take(&piece(&more)), ModelStep::Wait);
    let call = SearchCall { id: "c".to_owned(), arguments: "{}".to_owned() };
    assert_eq!(turn.take(&chunk(&json!({}), Some("tool_calls"))), ModelStep::Search(vec![call]));
    let usage = json!({ "id": "c", "choices": [], "created": 1, "model": "m", "object": "chunk" });
    assert_eq!(turn.take(&serde_json::from_value(usage).unwrap()), ModelStep::Over);
    assert!(turn.goes_on());
    turn.begin();
    let written = concat!(
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"ab","function_call":null,"tool_calls":null,"role":null,"#,
        r#""refusal":null},"finish_reason":"stop","logprobs":null}],"created":1,"model":"m","service_tier":null,"#,
        r#""system_fingerprint":null,"object":"chunk","usage":null}"#,
    );
    let parts = json!({ "content": [{ "type": "text", "text": "a" }, { "type": "image" }, { "type": "text", "text": "b" }] });
    assert_eq!(turn.take(&chunk(&parts, Some("stop"))), ModelStep::Forward(written.to_owned()));
    assert!(!turn.goes_on());
}

#[test]
fn calls_of_other_tools_are_dropped_and_calls_out_of_form_are_told() {
    let mut turn = ModelAnswer::default();
    let other = json!({ "index": 0, "id": "c", "function": { "name": "weather", "arguments": "{" } });
    assert_eq!(turn.take(&piece(&other)), ModelStep::Wait);
    assert_eq!(turn.take(&piece(&other)), ModelStep::Wait);
    assert_eq!(turn.take(&chunk(&json!({}), Some("tool_calls"))), ModelStep::Search(Vec::new()));
    for broken in [
        json!({ "index": 0, "id": "c" }),
        json!({ "index": 0, "function": { "name": "_meiliSearchInIndex", "arguments": "" } }),
        json!({ "index": 0, "id": "c", "function": { "name": "_meiliSearchInIndex" } }),
    ] {
        assert!(matches!(ModelAnswer::default().take(&piece(&broken)), ModelStep::Broken(_)), "{broken}");
    }
}

#[test]
fn a_workspace_says_where_its_model_is_and_what_it_knows() {
    let at = |set: Value| {
        let workspace = Workspace::read(&set, &set).unwrap();
        (workspace.endpoint(), workspace.instructs_as_developer("o3"), workspace.tells_usage())
    };
    let (open, developer, usage) =
        at(json!({ "source": "openAi", "apiKey": "k", "orgId": "o", "baseUrl": null }));
    assert_eq!(open.url, "https://api.openai.com/v1/chat/completions");
    let headers =
        [("openai-organization", "o"), ("authorization", "Bearer k"), ("openai-beta", "assistants=v2")];
    assert_eq!(open.headers, headers.map(|(name, value)| (name, value.to_owned())));
    assert!(developer && usage);
    let azure = json!({ "source": "azureOpenAi", "apiKey": "k", "baseUrl": "http://a/", "deploymentId": "d", "apiVersion": "v" });
    let (azure, ..) = at(azure);
    assert_eq!(azure.url, "http://a/openai/deployments/d/chat/completions");
    assert_eq!(
        (azure.query, azure.headers),
        (vec![("api-version", "v".to_owned())], vec![("api-key", "k".to_owned())])
    );
    let (own, developer, usage) = at(json!({ "source": "vLlm", "baseUrl": "http://b/v1" }));
    assert_eq!((own.url.as_str(), developer, usage), ("http://b/v1/chat/completions", false, false));
}

#[test]
fn old_models_are_instructed_by_the_system() {
    let workspace = Workspace::default();
    for (model, developer) in [
        ("gpt-4o", false),
        ("gpt-4o-mini", false),
        ("gpt-4-0613", false),
        ("gpt-4.1-nano", false),
        ("gpt-5", true),
        ("gpt-4omega", true),
        ("o1", true),
    ] {
        assert_eq!(workspace.instructs_as_developer(model), developer, "{model}");
    }
}

#[test]
fn faults_are_told_in_one_form() {
    let event = |fault: StreamFault| serde_json::from_str::<Value>(&fault.written()).unwrap();
    let said = r#"{"error":{"message":"no","type":"invalid","param":null,"code":"key","more":1}}"#;
    let told = serde_json::from_str::<OpenAiFault>(said).unwrap();
    assert_eq!(
        event(StreamFault::of_model("id".to_owned(), told.into())),
        json!({ "event_id": "id", "type": "error", "error": {
            "type": "invalid", "code": "key", "message": "no", "param": null, "event_id": null,
        } })
    );
    let fault = |message: &str| {
        crate::error::ResponseError::new(crate::error::ErrorCode::InvalidSearchFilter, message)
    };
    let search = event(StreamFault::of_search("id".to_owned(), &fault("Index `a`: wrong")));
    assert_eq!(
        (search["error"]["code"].as_str(), search["error"]["type"].as_str()),
        (Some("400"), Some("response_error"))
    );
    let alone = |message: &str| for_the_model_alone(&fault(message), "a", Some("year > 1 AND x = 1"));
    let told = alone("Index `a`: Attribute `x` is not filterable.\n17:18 \"year\" > \"1\" AND \"x\" = \"1\"");
    assert_eq!(told.as_deref(), Some("Attribute `x` is not filterable.\n14:15 year > 1 AND x = 1"));
    assert_eq!(
        alone("Index `a`: Attribute `y` is not sortable."),
        Some("Attribute `y` is not sortable.".to_owned())
    );
    assert_eq!(alone("Index `a`: Was expecting a value but instead got nothing."), None);
    assert_eq!(as_chats_tell(fault("Was expecting"), "a").message, "Index `a`: Was expecting");
    assert_eq!(as_chats_tell(fault("Index `a`: wrong"), "a").message, "Index `a`: wrong");
}

#[test]
fn facets_are_shown_with_their_most_frequent_values() {
    let answer = object(json!({
        "facetDistribution": { "year": { "1990": 1, "1991": 3, "1992": 3 }, "empty": {}, "kind": { "b": 1, "A": 2 } },
        "facetStats": { "year": { "min": 1990.0, "max": 1992.0 } },
    }));
    assert_eq!(facet_lines(&answer), "empty: \nkind: A, b.\nyear: 1992, 1991, 1990.\n");
}

#[test]
fn without_a_template_the_model_reads_the_searchable_fields() {
    let document = object(json!({
        "id": 1, "rating": 3.0, "none": null, "ok": true, "no": false, "tags": ["a", 2], "info": { "x": 1, "a": "b" }, "_geo": { "lat": 1 },
    }));
    let text = |patch: Value| DocumentTemplate::of(&settings(patch)).unwrap().render("1", &document).unwrap();
    assert_eq!(text(json!({})), "id: 1\nrating: 3\nok: true\ntags: a2\ninfo: x1ab\n");
    assert_eq!(text(json!({ "searchableAttributes": ["tags", "info.x"] })), "tags: a2\n");
}

#[test]
fn a_template_sees_the_document_and_its_fields_in_their_order() {
    let document = object(json!({ "z": "first", "a": [1, 2], "m": { "x": null } }));
    let text = |template: &str| {
        let patch = json!({ "searchableAttributes": ["a"], "chat": { "documentTemplate": template } });
        DocumentTemplate::of(&settings(patch)).unwrap().render("7", &document)
    };
    assert_eq!(
        text("{{doc.z | upcase}} {{ doc.a[1] }}{% if doc.m.x == nil %}!{% endif %}").unwrap(),
        "FIRST 2!"
    );
    let fields =
        "{% for f in fields %}{{f.name}}{% if f.is_searchable %}+{% endif %} {% endfor %}{{ fields.size }}";
    assert_eq!(text(fields).unwrap(), "z a+ m 3");
    let fault = text("{{doc.nope}}").unwrap_err().to_string();
    assert!(fault.starts_with("user error: missing field in document `7`: liquid: Unknown index"), "{fault}");
    let unclosed = settings(json!({ "chat": { "documentTemplate": "{{doc" } }));
    assert!(DocumentTemplate::of(&unclosed).is_err());
}

#[test]
fn clients_see_of_a_document_what_is_displayed_by_its_own_name() {
    let document = object(json!({ "id": 1, "title": "a", "info": { "x": 1 } }));
    let seen = |patch: Value| Value::Object(displayed_only(&document, &settings(patch))).to_string();
    assert_eq!(seen(json!({ "displayedAttributes": ["title", "info.x", "id"] })), r#"{"title":"a","id":1}"#);
    assert_eq!(seen(json!({ "displayedAttributes": ["*"] })), r#"{"id":1,"title":"a","info":{"x":1}}"#);
}

#[test]
fn what_the_model_wants_is_laid_over_the_settings_for_chats() {
    let arguments: SearchArguments =
        serde_json::from_str(r#"{"index_uid":"a","q":"b","filter":null}"#).unwrap();
    let body = arguments.body(Some(&json!({ "limit": 3 })));
    assert_eq!(Value::Object(body), json!({ "limit": 3, "q": "b" }));
}
