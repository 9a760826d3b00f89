//! What a node's answer to a request says about it.

use miroir_core::error::{ErrorCode, ErrorType, ResponseError};
use miroir_core::task::OpResult;
use miroir_core::task::lane::{NodeAnswer, Taken};
use serde_json::Value;

use crate::node_api::NodeReply;

/// Reads the answer to a write. What the client or the request is at fault for is final; what the node, its key or its
/// machine is at fault for is not.
pub(super) fn reception(reply: &NodeReply) -> NodeAnswer {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    if reply.status.is_success() {
        return match body["taskUid"].as_u64() {
            Some(task) => NodeAnswer::Final(Taken::Enqueued(task)),
            None => NodeAnswer::NotNow("the answer names no task".to_owned()),
        };
    }
    let error = read_error(&body);
    let is_final = reply.status.is_client_error() && error.code.family() == ErrorType::InvalidRequest;
    if is_final {
        NodeAnswer::Final(Taken::Refused(error))
    } else {
        NodeAnswer::NotNow(format!("HTTP {}: {}", reply.status.as_u16(), error.message))
    }
}

/// Whether the node refused a request for an experimental feature that is off.
pub(super) fn lacks_feature(reply: &NodeReply) -> bool {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    reply.status.is_client_error() && body["code"] == ErrorCode::FeatureNotEnabled.as_str()
}

/// An error as a node writes it. A code that Miroir does not know, or none, becomes `internal`.
fn read_error(error: &Value) -> ResponseError {
    let code = error["code"].as_str().and_then(ErrorCode::from_name).unwrap_or(ErrorCode::Internal);
    ResponseError::new(code, error["message"].as_str().unwrap_or("the node gave no reason"))
}

/// The end of a node's task; `None` for one that has not ended.
pub(super) fn op_result(task: &Value) -> Option<OpResult> {
    match task["status"].as_str()? {
        "succeeded" => Some(succeeded(&task["details"])),
        "failed" => Some(OpResult::Failed(read_error(&task["error"]))),
        "canceled" => {
            let message = "The node's task was canceled behind Miroir's back.";
            Some(OpResult::Failed(ResponseError::new(ErrorCode::Internal, message)))
        }
        _ => None,
    }
}

fn succeeded(details: &Value) -> OpResult {
    let received = details["receivedDocuments"].as_u64().unwrap_or(0);
    let indexed = details["indexedDocuments"].as_u64().unwrap_or(0);
    if received > 0 && indexed == 0 {
        return OpResult::Skipped;
    }
    OpResult::Done { deleted: details["deletedDocuments"].as_u64() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::StatusCode;
    use serde_json::json;

    use super::*;

    fn reply(status: u16, body: &Value) -> NodeReply {
        let status = StatusCode::from_u16(status).unwrap();
        NodeReply { status, content_type: None, body: Bytes::from(body.to_string()) }
    }

    #[test]
    fn what_the_request_is_at_fault_for_is_final_and_everything_else_is_tried_again() {
        let accepted = reception(&reply(202, &json!({ "taskUid": 7 })));
        assert_eq!(accepted, NodeAnswer::Final(Taken::Enqueued(7)));
        let refused = reception(&reply(413, &json!({ "code": "payload_too_large", "message": "too large" })));
        let error = ResponseError::new(ErrorCode::PayloadTooLarge, "too large");
        assert_eq!(refused, NodeAnswer::Final(Taken::Refused(error)));
        for (status, code) in [(403, "invalid_api_key"), (422, "no_space_left_on_device"), (500, "internal")]
        {
            let again = reception(&reply(status, &json!({ "code": code, "message": "no" })));
            assert!(matches!(again, NodeAnswer::NotNow(_)), "{code}: {again:?}");
        }
        assert!(matches!(reception(&reply(502, &Value::Null)), NodeAnswer::NotNow(_)));
        assert!(matches!(reception(&reply(200, &json!({}))), NodeAnswer::NotNow(_)));
    }

    #[test]
    fn an_import_that_reports_success_without_documents_was_skipped() {
        let ended = |details: Value| op_result(&json!({ "status": "succeeded", "details": details }));
        let done = |deleted| Some(OpResult::Done { deleted });
        assert_eq!(ended(json!({ "receivedDocuments": 2, "indexedDocuments": 2 })), done(None));
        assert_eq!(
            ended(json!({ "receivedDocuments": 2, "indexedDocuments": null })),
            Some(OpResult::Skipped)
        );
        assert_eq!(ended(json!({ "receivedDocuments": 2, "indexedDocuments": 0 })), Some(OpResult::Skipped));
        assert_eq!(ended(json!({ "deletedDocuments": 0 })), done(Some(0)));
        assert_eq!(op_result(&json!({ "status": "processing" })), None);
        let failed =
            op_result(&json!({ "status": "failed", "error": { "code": "unheard_of", "message": "no" } }));
        assert_eq!(failed, Some(OpResult::Failed(ResponseError::new(ErrorCode::Internal, "no"))));
    }
}
