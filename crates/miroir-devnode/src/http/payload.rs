//! Documents as clients send them, JSON, NDJSON or CSV, turned into the stream of JSON objects the engine reads.

use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use crate::error::{ApiError, Result};

/// How the documents are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    NdJson,
    Csv { delimiter: u8 },
}

/// A stream of objects, one a line, and how many there are.
#[derive(Debug, PartialEq, Eq)]
pub struct Documents {
    pub stream: Vec<u8>,
    pub count: u64,
}

/// Reads the body; what is not a document refuses it as a whole.
pub fn read(format: Format, body: &[u8]) -> Result<Documents> {
    if body.is_empty() {
        let name = format.name();
        return Err(ApiError::new("missing_payload", format!("A {name} payload is missing.")));
    }
    match format {
        Format::Json => read_json(body),
        Format::NdJson => read_ndjson(body),
        Format::Csv { delimiter } => read_csv(body, delimiter),
    }
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::NdJson => "ndjson",
            Self::Csv { .. } => "csv",
        }
    }

    fn malformed(self, cause: impl std::fmt::Display) -> ApiError {
        let name = self.name();
        let message = match self {
            Self::Csv { .. } => format!("The `{name}` payload provided is malformed: `{cause}`."),
            _ => format!(
                "The `{name}` payload provided is malformed. `Couldn't serialize document value: {cause}`."
            ),
        };
        ApiError::new("malformed_payload", message)
    }
}

fn read_json(body: &[u8]) -> Result<Documents> {
    let format = Format::Json;
    // Like Meilisearch, only the first value of the body is looked at.
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
    let first = values.next().transpose().map_err(|error| format.malformed(error))?;
    let first = first.ok_or_else(|| format.malformed("EOF while parsing a value at line 1 column 0"))?;
    match first.get().as_bytes().first() {
        Some(b'{') => collect([first]),
        Some(b'[') => {
            let items: Vec<&RawValue> =
                serde_json::from_str(first.get()).map_err(|error| format.malformed(error))?;
            collect(items)
        }
        _ => Err(format.malformed("data are neither an object nor a list of objects")),
    }
}

fn read_ndjson(body: &[u8]) -> Result<Documents> {
    let values = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
    let values = values.collect::<Result<Vec<_>, _>>().map_err(|error| Format::NdJson.malformed(error))?;
    collect(values)
}

fn collect<'a>(values: impl IntoIterator<Item = &'a RawValue>) -> Result<Documents> {
    let mut documents = Documents { stream: Vec::new(), count: 0 };
    for value in values {
        let text = value.get();
        // Also finds what only shows when the text is taken apart, as half of a surrogate pair.
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(_)) => {}
            Ok(other) => return Err(not_an_object(&other)),
            Err(error) => return Err(Format::Json.malformed(error)),
        }
        documents.stream.extend_from_slice(text.as_bytes());
        documents.stream.push(b'\n');
        documents.count += 1;
    }
    Ok(documents)
}

/// Meilisearch answers this one as a failure of its own.
fn not_an_object(value: &Value) -> ApiError {
    let kind = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(boolean) => format!("boolean `{boolean}`"),
        Value::Number(number) if number.is_f64() => format!("floating point `{number}`"),
        Value::Number(number) => format!("integer `{number}`"),
        Value::String(text) => format!("string {text:?}"),
        Value::Array(_) => "sequence".to_owned(),
        Value::Object(_) => "map".to_owned(),
    };
    ApiError::new("internal", format!("invalid type: {kind}, expected a map at line 1 column 2"))
}

/// The type a column's header asks for.
#[derive(Clone, Copy)]
enum Column {
    Text,
    Number,
    Boolean,
}

fn read_csv(body: &[u8], delimiter: u8) -> Result<Documents> {
    let format = Format::Csv { delimiter };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(body);
    let csv_error = |error: csv::Error| format.malformed(error);
    let columns: Vec<(String, Column)> =
        reader.headers().map_err(csv_error)?.iter().map(parse_header).collect();
    let mut documents = Documents { stream: Vec::new(), count: 0 };
    for (row, record) in reader.records().enumerate() {
        let record = record.map_err(csv_error)?;
        let mut document = Map::new();
        for ((name, column), text) in columns.iter().zip(&record) {
            let value = parse_cell(*column, text).map_err(|reason| {
                let reason = reason.replace("{line}", &(row + 1).to_string());
                format.malformed(reason)
            })?;
            document.insert(name.clone(), value);
        }
        serde_json::to_writer(&mut documents.stream, &document)?;
        documents.stream.push(b'\n');
        documents.count += 1;
    }
    Ok(documents)
}

fn parse_header(header: &str) -> (String, Column) {
    match header.rsplit_once(':') {
        Some((name, "string")) => (name.to_owned(), Column::Text),
        Some((name, "number")) => (name.to_owned(), Column::Number),
        Some((name, "boolean")) => (name.to_owned(), Column::Boolean),
        _ => (header.to_owned(), Column::Text),
    }
}

/// The value, or why there is none, with `{line}` where the row's number belongs.
fn parse_cell(column: Column, text: &str) -> Result<Value, String> {
    let trimmed = text.trim();
    match column {
        _ if trimmed.is_empty() => Ok(Value::Null),
        Column::Text => Ok(Value::from(text)),
        Column::Number => {
            if let Ok(integer) = trimmed.parse::<i64>() {
                return Ok(Value::from(integer));
            }
            let float = trimmed.parse::<f64>().map_err(|error| error.to_string());
            float
                .map(|float| Number::from_f64(float).map_or(Value::Null, Value::Number))
                .map_err(|error| format!("Error parsing number {text:?} at line {{line}}: {error}"))
        }
        Column::Boolean => trimmed
            .parse::<bool>()
            .map(Value::from)
            .map_err(|error| format!("Error parsing boolean {text:?} at line {{line}}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(format: Format, body: &str) -> Result<(String, u64)> {
        let documents = read(format, body.as_bytes())?;
        Ok((String::from_utf8_lossy(&documents.stream).into_owned(), documents.count))
    }

    #[test]
    fn one_object_and_a_list_are_both_documents() {
        assert_eq!(read_text(Format::Json, r#"{"id": 1}"#), Ok(("{\"id\": 1}\n".to_owned(), 1)));
        assert_eq!(read_text(Format::Json, r#"[{"id":1},{"id":2}]"#).map(|(_, count)| count), Ok(2));
        assert_eq!(read_text(Format::Json, "[]"), Ok((String::new(), 0)));
    }

    #[test]
    fn objects_may_follow_each_other_without_a_line_break() {
        assert_eq!(read_text(Format::NdJson, r#"{"id":1}{"id":2}"#).map(|(_, count)| count), Ok(2));
    }

    #[test]
    fn what_is_not_an_object_fails_the_whole_body() {
        let code = |format, body| read_text(format, body).map_err(|error| error.code);
        assert_eq!(code(Format::NdJson, "{\"id\":1}\n42"), Err("internal".to_owned()));
        assert_eq!(code(Format::Json, "12"), Err("malformed_payload".to_owned()));
        assert_eq!(code(Format::Json, ""), Err("missing_payload".to_owned()));
    }

    #[test]
    fn columns_have_the_types_of_their_headers() {
        let csv = "id,title:string,price:number,ok:boolean,a:colour\n1,007,12.5,true,\n";
        let expected = "{\"id\":\"1\",\"title\":\"007\",\"price\":12.5,\"ok\":true,\"a:colour\":null}\n";
        assert_eq!(read_text(Format::Csv { delimiter: b',' }, csv), Ok((expected.to_owned(), 1)));
        let error = read_text(Format::Csv { delimiter: b',' }, "id,price:number\n6,cheap\n").unwrap_err();
        let expected = "The `csv` payload provided is malformed: `Error parsing number \"cheap\" at line 1: invalid \
                        float literal`.";
        assert_eq!(error.message, expected);
    }
}
