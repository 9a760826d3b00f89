//! Which documents of a node in memory a filter selects. It knows the conditions that Miroir makes itself: `FIELD EXISTS` and
//! `FIELD NOT EXISTS`, all of a list, and any of a list in it.

use serde_json::{Map, Value};

use super::settings::is_filterable;
use super::state::{Index, error};

/// Whether the filter selects the document.
///
/// # Errors
/// What a node says against the filter.
pub(super) fn selects(index: &Index, filter: &Value, document: &Map<String, Value>) -> Result<bool, Value> {
    match filter {
        Value::Null => Ok(true),
        Value::String(condition) => holds(index, condition, document),
        Value::Array(all) => {
            let mut selected = true;
            for item in all {
                selected &= match item {
                    Value::Array(any) => {
                        let mut holds_one = false;
                        for condition in any {
                            holds_one |= selects(index, condition, document)?;
                        }
                        holds_one
                    }
                    condition => selects(index, condition, document)?,
                };
            }
            Ok(selected)
        }
        other => Err(refuse(&format!("`{other}` is no filter"))),
    }
}

fn holds(index: &Index, condition: &str, document: &Map<String, Value>) -> Result<bool, Value> {
    let Some(field) = condition.strip_suffix(" EXISTS") else {
        return Err(refuse(&format!("a node in memory does not know `{condition}`")));
    };
    let (field, wanted) = field.strip_suffix(" NOT").map_or((field, true), |field| (field, false));
    if !is_filterable(&index.settings, field) {
        return Err(refuse(&format!("Attribute `{field}` is not filterable.")));
    }
    Ok(document.contains_key(field) == wanted)
}

fn refuse(message: &str) -> Value {
    error("invalid_document_filter", message)
}
