//! Hazards for programs. Upholds: reports and the log show them in one form, which both schemas
//! describe.

use serde::Serialize;

use super::object_json::BytesJson;
use crate::model::Hazard;

#[derive(Serialize)]
pub(super) struct HazardJson<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<BytesJson>,
    detail: &'a str,
    /// Absent for a kind that only a newer isconf knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

impl<'a> HazardJson<'a> {
    pub(super) fn of(hazard: &'a Hazard) -> Self {
        let row = hazard.code.row();
        Self {
            code: hazard.code.as_str(),
            path: hazard.path.as_ref().map(BytesJson::path),
            detail: &hazard.detail,
            reason: row.map(|row| row.reason),
            remedy: row.map(|row| row.remedy),
        }
    }
}
