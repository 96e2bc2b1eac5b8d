//! What browsers are shown where there is no page: S3's errors as HTML.
//!
//! Invariants:
//! - everything that the request said is escaped.

use std::fmt::Write as _;

use http::{HeaderName, HeaderValue};

use crate::{
    answer::Answer,
    error::{ErrorPlace, Failure},
    xml::Writer,
};

/// The type of these pages.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

const ERROR_CODE: HeaderName = HeaderName::from_static("x-amz-error-code");
const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-amz-error-message");
const ERROR_KEY: HeaderName = HeaderName::from_static("x-amz-error-detail-key");

/// An answer that tells of a failure, and of `custom`, for which the error document was not shown.
pub(super) fn answer(
    failure: &Failure,
    custom: Option<&Failure>,
    place: &ErrorPlace<'_>,
) -> Answer {
    let mut answer = Answer::empty(failure.code().status());
    super::document(&mut answer, error(failure, custom, place));
    mark(failure, &mut answer);
    answer
}

/// Tells a failure in the headers, whatever the page shows.
pub(super) fn mark(failure: &Failure, answer: &mut Answer) {
    let key = failure.details().iter().find(|(element, _)| *element == "Key");
    let told = [
        (ERROR_CODE, Some(failure.code().name())),
        (ERROR_MESSAGE, Some(failure.message())),
        (ERROR_KEY, key.map(|(_, key)| key.as_str())),
    ];
    for (name, text) in told {
        // What cannot stand in a header is on the page.
        if let Some(Ok(value)) = text.map(HeaderValue::from_str) {
            answer.headers.insert(name, value);
        }
    }
    answer.headers.extend(failure.headers().clone());
}

/// The page of a failure.
pub(super) fn error(failure: &Failure, custom: Option<&Failure>, place: &ErrorPlace<'_>) -> String {
    let status = failure.code().status().to_string();
    let mut html = Writer::undeclared();
    html.open("html");
    html.open("head");
    html.text("title", &status);
    html.close("head");
    html.open("body");
    html.text("h1", &status);
    html.open("ul");
    items(failure, &mut html);
    html.text("li", &format!("RequestId: {}", place.request_id));
    html.text("li", &format!("HostId: {}", place.host_id));
    html.close("ul");
    if let Some(custom) = custom {
        let title = "An Error Occurred While Attempting to Retrieve a Custom Error Document";
        html.text("h3", title);
        html.open("ul");
        items(custom, &mut html);
        html.close("ul");
    }
    html.open("hr");
    html.close("body");
    html.close("html");
    let mut page = html.finish();
    let _ = writeln!(page);
    page
}

fn items(failure: &Failure, html: &mut Writer) {
    html.text("li", &format!("Code: {}", failure.code().name()));
    html.text("li", &format!("Message: {}", failure.message()));
    for (element, value) in failure.details() {
        html.text("li", &format!("{element}: {value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn page_of_an_error_has_golden_text() {
        let place = ErrorPlace { resource: "/a", request_id: "R", host_id: "H" };
        let failure = Failure::new(Code::NoSuchKey).detail("Key", "<script>&");
        let custom = Failure::new(Code::AccessDenied);
        assert_eq!(
            error(&failure, Some(&custom), &place),
            "<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1><ul>\
             <li>Code: NoSuchKey</li><li>Message: The specified key does not exist.</li>\
             <li>Key: &lt;script&gt;&amp;</li><li>RequestId: R</li><li>HostId: H</li></ul>\
             <h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3><ul>\
             <li>Code: AccessDenied</li><li>Message: Access Denied</li></ul><hr></body></html>\n"
        );
    }

    #[test]
    fn headers_tell_the_failure_as_far_as_they_can() {
        let mut answer = Answer::empty(http::StatusCode::NOT_FOUND);
        mark(&Failure::new(Code::NoSuchKey).detail("Key", "a\nb"), &mut answer);
        assert_eq!(answer.headers["x-amz-error-code"], "NoSuchKey");
        assert!(!answer.headers.contains_key("x-amz-error-detail-key"));
    }
}
