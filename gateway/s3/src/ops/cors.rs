//! Documents that say which pages of other origins may use a bucket. How they are matched is
//! `crate::cors`'s business.

use std::collections::HashSet;

use gateway_meta::record::{CorsMethod, CorsRecord, CorsRule};
use http::StatusCode;

use crate::{
    answer::Answer,
    body,
    call::Call,
    cors,
    error::{Code, Failure, Outcome},
    xml::{Element, Writer},
};

/// Most rules of a bucket, which is S3's limit.
const RULE_COUNT_MAX: usize = 100;
/// Longest document, which is S3's limit.
const DOCUMENT_LEN_BYTES_MAX: usize = 64 << 10;
/// Longest name of a rule, in characters, which is S3's limit.
const ID_LEN_CHARS_MAX: usize = 255;

pub(super) async fn get_bucket_cors(call: Call<'_>) -> Outcome<Answer> {
    let cors = call.bucket.as_ref().and_then(|bucket| bucket.configs.cors.as_ref());
    let cors = cors.ok_or_else(|| {
        Failure::new(Code::NoSuchCorsConfiguration).detail("BucketName", call.target.bucket())
    })?;
    Ok(Answer::document(written(cors)))
}

pub(super) async fn put_bucket_cors(call: Call<'_>) -> Outcome<Answer> {
    let max_bytes = call.gateway.config.document_len_bytes_max.min(DOCUMENT_LEN_BYTES_MAX);
    let document = body::read_document(call.take_payload()?, &call.headers, max_bytes).await?;
    let cors = read(&document.root("CORSConfiguration")?)?;
    call.gateway.service.put_config(call.target.bucket(), cors).await?;
    Ok(Answer::empty(StatusCode::OK))
}

pub(super) async fn delete_bucket_cors(call: Call<'_>) -> Outcome<Answer> {
    call.gateway.service.delete_config::<CorsRecord>(call.target.bucket()).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn written(cors: &CorsRecord) -> String {
    let mut xml = Writer::rooted("CORSConfiguration");
    for rule in &cors.rules {
        xml.open("CORSRule");
        xml.text_if("ID", rule.id.as_deref());
        let mut all = |name, texts: &[String]| texts.iter().for_each(|text| xml.text(name, text));
        all("AllowedHeader", &rule.allowed_headers);
        for method in &rule.allowed_methods {
            xml.text("AllowedMethod", cors::method_name(*method));
        }
        let mut all = |name, texts: &[String]| texts.iter().for_each(|text| xml.text(name, text));
        all("AllowedOrigin", &rule.allowed_origins);
        all("ExposeHeader", &rule.expose_headers);
        if let Some(seconds) = rule.max_age_seconds {
            xml.value("MaxAgeSeconds", seconds);
        }
        xml.close("CORSRule");
    }
    xml.close("CORSConfiguration");
    xml.finish()
}

fn read(root: &Element) -> Outcome<CorsRecord> {
    root.knows_only(&["CORSRule"])?;
    if root.children.is_empty() {
        return Err(Code::MalformedXml.into());
    }
    if root.children.len() > RULE_COUNT_MAX {
        return Err(Failure::invalid_request(format!(
            "The number of CORS rules should not exceed allowed limit of {RULE_COUNT_MAX} rules."
        )));
    }
    let rules: Vec<CorsRule> = root.children.iter().map(read_rule).collect::<Outcome<_>>()?;
    let mut ids = HashSet::new();
    match rules.iter().filter_map(|rule| rule.id.as_deref()).find(|id| !ids.insert(*id)) {
        None => Ok(CorsRecord { rules }),
        Some(id) => Err(Failure::invalid_argument(
            "ID",
            id,
            "Rule ID must be unique. Found same ID for more than one rule",
        )),
    }
}

fn read_rule(rule: &Element) -> Outcome<CorsRule> {
    rule.knows_only(&[
        "ID",
        "AllowedOrigin",
        "AllowedMethod",
        "AllowedHeader",
        "ExposeHeader",
        "MaxAgeSeconds",
    ])?;
    let id = rule.only_text("ID")?.filter(|id| !id.is_empty());
    if let Some(id) = id.filter(|id| id.chars().count() > ID_LEN_CHARS_MAX) {
        let message = format!("ID length should not exceed allowed limit of {ID_LEN_CHARS_MAX}");
        return Err(Failure::invalid_argument("ID", id, message));
    }
    let allowed_methods: Vec<CorsMethod> =
        rule.all("AllowedMethod").map(read_method).collect::<Outcome<_>>()?;
    let allowed_origins = patterns(rule, "AllowedOrigin")?;
    if allowed_methods.is_empty() || allowed_origins.is_empty() {
        return Err(Code::MalformedXml.into());
    }
    let max_age = rule.only_text("MaxAgeSeconds")?.map(|text| text.trim().parse());
    Ok(CorsRule {
        id: id.map(str::to_owned),
        allowed_origins,
        allowed_methods,
        allowed_headers: patterns(rule, "AllowedHeader")?,
        expose_headers: exposed(rule)?,
        max_age_seconds: max_age.transpose().map_err(|_| Code::MalformedXml)?,
    })
}

fn read_method(element: &Element) -> Outcome<CorsMethod> {
    let name = element.plain_text()?;
    cors::method(name).ok_or_else(|| {
        Failure::invalid_request(format!(
            "Found unsupported HTTP method in CORS config. Unsupported method is {name}"
        ))
    })
}

/// Texts of which each may hold one `*`.
fn patterns(rule: &Element, name: &str) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    for element in rule.all(name) {
        let text = nonempty(element)?;
        if text.matches('*').count() > 1 {
            let message = format!("{name} \"{text}\" can not have more than one wildcard.");
            return Err(Failure::invalid_request(message));
        }
        found.push(text.to_owned());
    }
    Ok(found)
}

fn exposed(rule: &Element) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    for element in rule.all("ExposeHeader") {
        let text = nonempty(element)?;
        if text.contains('*') {
            return Err(Failure::invalid_request(format!(
                "ExposeHeader \"{text}\" contains wildcard. We currently do not support wildcard \
                 for ExposeHeader."
            )));
        }
        found.push(text.to_owned());
    }
    Ok(found)
}

fn nonempty(element: &Element) -> Outcome<&str> {
    let text = element.plain_text()?;
    if text.is_empty() { Err(Code::MalformedXml.into()) } else { Ok(text) }
}
