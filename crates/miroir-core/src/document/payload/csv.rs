//! Turning CSV into JSON objects, as Meilisearch does: the header names the fields and, after a colon, their types.

use bytes::Bytes;
use csv::{ReaderBuilder, StringRecord};
use serde_json::{Map, Value};

use super::{Payload, PayloadError};
use crate::document::marker;

#[derive(Debug, Clone, Copy)]
enum ColumnType {
    String,
    Number,
    Boolean,
}

/// The documents of a CSV body, as JSON one after the other.
pub(super) fn convert(delimiter: u8, body: &[u8]) -> Result<Payload, PayloadError> {
    let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(body);
    let header = reader.headers().map_err(|error| malformed(&error))?.clone();
    let columns: Vec<_> = header.iter().map(read_column).collect();
    if let Some((name, _)) = columns.iter().find(|(name, _)| marker::is_reserved(name)) {
        return Err(PayloadError::ReservedField((*name).to_owned()));
    }

    let mut bytes = Vec::with_capacity(body.len());
    let mut documents = Vec::new();
    let mut document: Map<String, Value> =
        columns.iter().map(|(name, _)| ((*name).to_owned(), Value::Null)).collect();
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| malformed(&error))? {
        let line = documents.len() + 1;
        for ((name, column), text) in columns.iter().zip(&record) {
            document.insert((*name).to_owned(), read_value(*column, text, line)?);
        }
        let start = bytes.len();
        serde_json::to_writer(&mut bytes, &document).map_err(|error| malformed(&error))?;
        documents.push(start..bytes.len());
    }
    Ok(Payload::cut(&Bytes::from(bytes), documents))
}

/// A name and its type, split at the last colon; a type that doesn't exist belongs to the name.
fn read_column(header: &str) -> (&str, ColumnType) {
    match header.rsplit_once(':') {
        Some((name, "string")) => (name, ColumnType::String),
        Some((name, "number")) => (name, ColumnType::Number),
        Some((name, "boolean")) => (name, ColumnType::Boolean),
        _ => (header, ColumnType::String),
    }
}

/// An empty value is null, and so is a number that JSON can't write, such as `inf`. `line` counts records.
fn read_value(column: ColumnType, text: &str, line: usize) -> Result<Value, PayloadError> {
    let trimmed = text.trim();
    match column {
        ColumnType::String if text.is_empty() => Ok(Value::Null),
        ColumnType::String => Ok(text.into()),
        ColumnType::Number | ColumnType::Boolean if trimmed.is_empty() => Ok(Value::Null),
        ColumnType::Number => match trimmed.parse::<i64>() {
            Ok(integer) => Ok(integer.into()),
            Err(_) => trimmed.parse::<f64>().map(Value::from).map_err(|error| {
                PayloadError::MalformedCsv(format!("Error parsing number {text:?} at line {line}: {error}"))
            }),
        },
        ColumnType::Boolean => trimmed.parse::<bool>().map(Value::from).map_err(|error| {
            PayloadError::MalformedCsv(format!("Error parsing boolean {text:?} at line {line}: {error}"))
        }),
    }
}

fn malformed(error: &dyn std::error::Error) -> PayloadError {
    PayloadError::MalformedCsv(error.to_string())
}
