//! Renaming objects.

use gateway_iam::Action;
use gateway_object::{ReadCondition, RenameObject};
use http::StatusCode;

use crate::{
    answer::Answer,
    call::Call,
    error::{Code, Failure, Outcome},
    header, percent,
};

/// Longest client token, in characters, which is S3's limit.
const TOKEN_LEN_MAX: usize = 64;

pub(super) async fn rename_object(call: Call<'_>) -> Outcome<Answer> {
    let request = RenameObject {
        target: call.object(),
        source: source(&call)?,
        condition: condition(&call)?,
        source_condition: header::rename_condition(&call.headers)?,
        token: token(&call)?,
    };
    // The old key goes, and its object can be read under the new one.
    for action in [Action::GetObject, Action::DeleteObject] {
        call.allow_on(action, &request.source, None).await?;
    }
    call.gateway.service.rename_object(request).await?;
    Ok(Answer::empty(StatusCode::OK))
}

/// The key so far: by itself, or behind the bucket's name as copies have their source.
fn source(call: &Call<'_>) -> Outcome<String> {
    const NAME: &str = "x-amz-rename-source";
    let text = header::text(&call.headers, NAME)?.ok_or_else(|| {
        Failure::invalid_request("Missing required header for this request: x-amz-rename-source")
    })?;
    let refused = |message: &'static str| Failure::invalid_argument(NAME, text, message);
    let path = percent::decode(text).ok_or_else(|| refused("The source is not URL encoded."))?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let behind = path.strip_prefix(call.target.bucket()).and_then(|rest| rest.strip_prefix('/'));
    match behind.unwrap_or(path) {
        "" => Err(refused("The source has no key.")),
        key => Ok(key.to_owned()),
    }
}

/// Conditions on the object that the new key names so far.
fn condition(call: &Call<'_>) -> Outcome<ReadCondition> {
    // For its refusal of anything but a star.
    header::write_condition(&call.headers)?;
    header::read_condition(&call.headers)
}

fn token(call: &Call<'_>) -> Outcome<Option<String>> {
    const NAME: &str = "x-amz-client-token";
    let Some(text) = header::text(&call.headers, NAME)? else { return Ok(None) };
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    match printable && text.len() <= TOKEN_LEN_MAX {
        true => Ok(Some(text.to_owned())),
        false => Err(Failure::with_message(
            Code::InvalidArgument,
            "A client token has at most 64 visible ASCII characters.",
        )),
    }
}
