use super::*;

fn checked(format: PayloadFormat, body: &str) -> Result<Vec<String>, PayloadError> {
    let payload = check_payload(format, &Bytes::copy_from_slice(body.as_bytes()))?;
    Ok(payload.iter().map(|document| String::from_utf8(document.to_vec()).unwrap()).collect())
}

fn refused(format: PayloadFormat, body: &str) -> (u16, &'static str, String) {
    let error = checked(format, body).unwrap_err();
    (error.code().status(), error.code().as_str(), error.to_string())
}

const CSV: PayloadFormat = PayloadFormat::Csv { delimiter: b',' };
const JSON: PayloadFormat = PayloadFormat::Json;
const NDJSON: PayloadFormat = PayloadFormat::Ndjson;

#[test]
fn an_array_is_cut_into_its_objects_and_not_copied() {
    let body = Bytes::from_static(b" [ {\"id\": 1},\n{\"id\": {\"a\": [2, \"}\"]} } ] anything");
    let payload = check_payload(JSON, &body.clone()).unwrap();
    let documents: Vec<_> = payload.iter().collect();
    assert_eq!(documents, [&b"{\"id\": 1}"[..], &b"{\"id\": {\"a\": [2, \"}\"]} }"[..]]);
    assert_eq!(payload.parts[0].bytes.as_ptr(), body[3..].as_ptr());
    assert_eq!(payload.len(), 2);
}

#[test]
fn one_object_is_one_document() {
    assert_eq!(checked(JSON, " {\"id\": 1, \"id\": 1e2} ").unwrap(), [r#"{"id":100.0}"#]);
}

#[test]
fn empty_lists_and_streams_are_accepted() {
    assert_eq!(checked(JSON, "[ ]").unwrap(), [""; 0]);
    assert_eq!(checked(NDJSON, " \n").unwrap(), [""; 0]);
    assert_eq!(checked(CSV, "id,title\n").unwrap(), [""; 0]);
}

#[test]
fn a_stream_needs_no_line_breaks_and_may_have_them_anywhere() {
    let documents = checked(NDJSON, "{\"id\":1}{\"id\":\n2}\n\n{\"id\":3,\"id\":4}").unwrap();
    assert_eq!(documents, ["{\"id\":1}", "{\"id\":\n2}", "{\"id\":3,\"id\":4}"]);
}

#[test]
fn the_last_of_repeated_fields_wins_in_an_array_where_the_first_stood() {
    let documents = checked(JSON, r#"[{"id":1},{"a\n":1,"b" : [ 2 ],"a\u000a":"é"},{"id":3}]"#).unwrap();
    assert_eq!(documents, [r#"{"id":1}"#, "{\"a\\n\":\"é\",\"b\":[ 2 ]}", r#"{"id":3}"#]);
}

#[test]
fn a_missing_body_is_named_by_its_format() {
    assert_eq!(refused(JSON, ""), (400, "missing_payload", "A json payload is missing.".to_owned()));
    assert_eq!(refused(NDJSON, ""), (400, "missing_payload", "A ndjson payload is missing.".to_owned()));
    assert_eq!(refused(CSV, ""), (400, "missing_payload", "A csv payload is missing.".to_owned()));
}

#[test]
fn broken_syntax_is_a_malformed_payload() {
    let (status, code, message) = refused(JSON, r#"[{"id":1},{"id"}]"#);
    assert_eq!((status, code), (400, "malformed_payload"));
    assert_eq!(
        message,
        "The `json` payload provided is malformed. \
         `Couldn't serialize document value: expected `:` at line 1 column 16`."
    );
    let (_, code, message) = refused(JSON, "\"text\"");
    assert_eq!(code, "malformed_payload");
    assert!(
        message.ends_with(
            "`Couldn't serialize document value: data are neither an object nor a list of objects`."
        )
    );
    assert_eq!(refused(JSON, r#"{"id":1}{"id":2}"#).1, "malformed_payload");
    assert_eq!(refused(NDJSON, "{\"id\":1}\n{").1, "malformed_payload");
}

#[test]
fn an_element_that_is_no_object_is_an_internal_error() {
    let expected =
        (500, "internal", "invalid type: integer `1`, expected a map at line 1 column 1".to_owned());
    assert_eq!(refused(JSON, "[1]"), expected);
    let expected =
        (500, "internal", "invalid type: integer `3`, expected a map at line 1 column 1".to_owned());
    assert_eq!(refused(NDJSON, r#"{"id":1} 3"#), expected);
    assert_eq!(refused(JSON, r#"[1,{"id":1}]"#).1, "malformed_payload");
}

#[test]
fn a_long_message_keeps_its_ends_and_no_half_characters() {
    assert_eq!(shortened("x".repeat(138)), "x".repeat(138));
    let long = shortened(format!("{}{}", "a".repeat(100), "z".repeat(100)));
    assert_eq!(long, format!("{}...{}{}", "a".repeat(50), "", "z".repeat(85)));
    let accents = shortened("é".repeat(200).replacen("é", "x", 1));
    assert!(accents.len() <= 138, "{}", accents.len());
    assert!(accents.starts_with('x') && accents.contains("..."));
}

#[test]
fn csv_columns_have_types_and_empty_values_are_null() {
    let body = "id:number,name:string,ok:boolean,a:b,plain\n 1 , x ,true,\"q,\"\"r\",\n2.5,,, , \n";
    assert_eq!(
        checked(CSV, body).unwrap(),
        [
            r#"{"id":1,"name":" x ","ok":true,"a:b":"q,\"r","plain":null}"#,
            r#"{"id":2.5,"name":null,"ok":null,"a:b":" ","plain":" "}"#,
        ]
    );
    assert_eq!(
        checked(PayloadFormat::Csv { delimiter: b';' }, "id;a,b\n1;2").unwrap(),
        [r#"{"id":"1","a,b":"2"}"#]
    );
    assert_eq!(checked(CSV, "a,a:number\nx,3").unwrap(), [r#"{"a":3}"#]);
}

#[test]
fn broken_csv_is_a_malformed_payload() {
    let (status, code, message) = refused(CSV, "id,name\n1\n");
    assert_eq!((status, code), (400, "malformed_payload"));
    assert_eq!(
        message,
        "The `csv` payload provided is malformed: `CSV error: record 1 (line: 2, byte: 8): \
         found record with 1 fields, but the previous record has 2 fields`."
    );
    let message = refused(CSV, "id:number\n1\nx\n").2;
    assert!(message.ends_with("`Error parsing number \"x\" at line 2: invalid float literal`."), "{message}");
    let message = refused(CSV, "ok:boolean\nyes\n").2;
    assert!(
        message
            .contains("Error parsing boolean \"yes\" at line 1: provided string was not `true` or `false`")
    );
}

#[test]
fn reserved_fields_are_refused_by_name_at_the_top_level_only() {
    for (format, body) in [
        (JSON, r#"[{"id":1},{"_miroir_shard_001":null,"_miroir_x":2}]"#),
        (JSON, r#"{"id":1,"_miroir_shard_001":null}"#),
        (NDJSON, "{\"_miro\\u0069r_shard_001\":1}"),
        (CSV, "id,_miroir_shard_001:number\n"),
    ] {
        let (status, code, message) = refused(format, body);
        assert_eq!((status, code), (400, "bad_request"));
        assert!(message.starts_with("Field `_miroir_shard_001` is reserved"), "{message}");
    }
    let nested = r#"{"id":{"_miroir_shard_001":1},"_miroir":2}"#;
    assert_eq!(checked(NDJSON, nested).unwrap(), [nested]);
}

#[test]
fn an_accepted_payload_is_found_again_in_its_bytes() {
    for (format, body) in [
        (JSON, " [{\"id\":1} , {\"id\":2,\"id\":3}] tail"),
        (JSON, "[{\"id\":1} ,\n{\"id\":2}]"),
        (JSON, "{\"id\": 1}"),
        (JSON, "[]"),
        (NDJSON, "{\"id\":1}{\"id\":2,\"id\":3}"),
        (NDJSON, " \n"),
        (CSV, "id,name\n1,x\n2,y\n"),
        (CSV, "id,name\n"),
    ] {
        let payload = check_payload(format, &Bytes::copy_from_slice(body.as_bytes())).unwrap();
        let parts = payload.parts.iter().map(|part| part.bytes.clone()).collect();
        assert_eq!(Payload::restore(parts).unwrap(), payload, "{body}");
    }
}
