//! Whether pages of other origins may read answers: preflights and the headers of answers.
//!
//! Owns how a bucket's rules are matched. What they look like in a document is `ops::cors`'s
//! business.
//!
//! Invariants:
//! - rules never decide whether a request is let in: they tell browsers what pages may see;
//! - the first rule that matches counts, and nothing is told where none does;
//! - credentials are allowed only for an origin that is named, never for all.
//!
//! *Limits:* a preflight that asks for more than [`HEADER_NAMES_MAX`] headers is not allowed.

use gateway_meta::record::{CorsMethod, CorsRecord, CorsRule};
use gateway_object::BucketError;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::{
    answer::Answer,
    call::Gateway,
    error::{Code, Failure, Outcome},
    exchange::HEADER_COUNT_MAX,
    target::Target,
};

/// Most headers that a preflight may ask for. Chosen: no request may have more.
const HEADER_NAMES_MAX: usize = HEADER_COUNT_MAX;

/// What preflights are called in metrics and the access log.
pub(crate) const PREFLIGHT: &str = "CorsPreflight";

const NOT_ALLOWED: &str = "CORSResponse: This CORS request is not allowed. This is usually because \
                           the evalution of Origin, request method / Access-Control-Request-Method \
                           or Access-Control-Request-Headers are not whitelisted by the resource's \
                           CORS spec.";

/// The caches in front of a bucket keep apart what differs by these.
const VARY: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
);

/// The methods that rules can allow, by name.
pub(crate) const METHODS: [(CorsMethod, &str); 5] = [
    (CorsMethod::Get, "GET"),
    (CorsMethod::Put, "PUT"),
    (CorsMethod::Post, "POST"),
    (CorsMethod::Delete, "DELETE"),
    (CorsMethod::Head, "HEAD"),
];

/// The method of a name.
pub(crate) fn method(name: &str) -> Option<CorsMethod> {
    METHODS.iter().find(|(_, known)| *known == name).map(|(method, _)| *method)
}

/// The name of a method.
pub(crate) fn method_name(method: CorsMethod) -> &'static str {
    let found = METHODS.iter().find(|(known, _)| *known == method);
    found.map(|(_, name)| *name).expect("every method has a name")
}

/// What a page of another origin asks.
pub(crate) struct Crossing {
    origin: HeaderValue,
    method: Option<CorsMethod>,
    header_names: Vec<String>,
}

impl Crossing {
    /// What a request asks; `None` unless it comes from a page of another origin. A method and
    /// headers that it announces count rather than its own, as S3 has it.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        let origin = headers.get(header::ORIGIN)?.clone();
        let announced = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
        let name = announced.map_or(Some(method.as_str()), |value| value.to_str().ok());
        let header_names = headers
            .get_all(header::ACCESS_CONTROL_REQUEST_HEADERS)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty())
            .take(HEADER_NAMES_MAX + 1)
            .collect();
        Some(Self { origin, method: name.and_then(self::method), header_names })
    }

    /// Tells what the rules of `bucket` allow, in the headers of an answer.
    pub(crate) async fn tell(self, gateway: &Gateway, bucket: &str, answer: &mut HeaderMap) {
        let Ok(bucket) = gateway.service.bucket(bucket).await else { return };
        if let Some(cors) = &bucket.configs.cors {
            answer.extend(self.allowed_by(cors).into_iter().flatten());
        }
    }

    /// The headers that tell what is allowed; `None` when nothing is.
    fn allowed_by(&self, cors: &CorsRecord) -> Option<HeaderMap> {
        let origin = self.origin.to_str().ok()?;
        let method = self.method?;
        let (rule, pattern) = cors.rules.iter().find_map(|rule| {
            let pattern = rule.allowed_origins.iter().find(|pattern| matches(pattern, origin))?;
            let suits = rule.allowed_methods.contains(&method) && self.headers_suit(rule);
            suits.then_some((rule, pattern))
        })?;
        Some(self.told(rule, pattern == "*"))
    }

    fn headers_suit(&self, rule: &CorsRule) -> bool {
        let patterns: Vec<String> =
            rule.allowed_headers.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
        let suits = |name: &String| patterns.iter().any(|pattern| matches(pattern, name));
        self.header_names.len() <= HEADER_NAMES_MAX && self.header_names.iter().all(suits)
    }

    fn told(&self, rule: &CorsRule, any_origin: bool) -> HeaderMap {
        let mut told = HeaderMap::new();
        // What cannot stand in a header is nothing that a page could ask for.
        let mut tell = |name: HeaderName, text: String| {
            if let (false, Ok(value)) = (text.is_empty(), HeaderValue::try_from(text)) {
                told.insert(name, value);
            }
        };
        let methods: Vec<&str> = rule.allowed_methods.iter().copied().map(method_name).collect();
        tell(header::ACCESS_CONTROL_ALLOW_METHODS, methods.join(", "));
        tell(header::ACCESS_CONTROL_ALLOW_HEADERS, self.header_names.join(", "));
        tell(header::ACCESS_CONTROL_EXPOSE_HEADERS, rule.expose_headers.join(", "));
        let age = rule.max_age_seconds.map(|seconds| seconds.to_string());
        tell(header::ACCESS_CONTROL_MAX_AGE, age.unwrap_or_default());
        if any_origin {
            let any = HeaderValue::from_static("*");
            told.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
        } else {
            told.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
            let yes = HeaderValue::from_static("true");
            told.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        told.insert(header::VARY, VARY);
        told
    }
}

/// Whether `text` is `pattern`, in which one `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
    }
}

/// Answers a browser that asks whether a page may send a request.
///
/// # Errors
/// `BadRequest`, `AccessForbidden`, faults.
pub(crate) async fn preflight(
    gateway: &Gateway,
    headers: &HeaderMap,
    target: &Target,
) -> Outcome<Answer> {
    let Some(crossing) = Crossing::of(&Method::OPTIONS, headers) else {
        let message = "Insufficient information. Origin request header needed.";
        return Err(Failure::with_message(Code::BadRequest, message));
    };
    let announced = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
    let announced = announced.map(|value| String::from_utf8_lossy(value.as_bytes()));
    let announced = announced.as_deref().unwrap_or("null");
    if crossing.method.is_none() {
        let message = format!("Invalid Access-Control-Request-Method: {announced}");
        return Err(Failure::with_message(Code::BadRequest, message));
    }
    let forbidden = |message: &'static str| {
        let kind = if target.key().is_empty() { "BUCKET" } else { "OBJECT" };
        Failure::with_message(Code::AccessForbidden, message)
            .detail("Method", announced)
            .detail("ResourceType", kind)
    };
    let bucket = match gateway.service.bucket(target.bucket()).await {
        Ok(bucket) => bucket,
        Err(BucketError::NoSuchBucket { .. }) => {
            return Err(forbidden("CORSResponse: Bucket not found"));
        }
        Err(error) => return Err(error.into()),
    };
    let cors = bucket.configs.cors.as_ref();
    let cors = cors.ok_or_else(|| forbidden(Code::AccessForbidden.message()))?;
    let mut answer = Answer::empty(StatusCode::OK);
    answer.headers = crossing.allowed_by(cors).ok_or_else(|| forbidden(NOT_ALLOWED))?;
    Ok(answer)
}

#[cfg(test)]
mod tests;
