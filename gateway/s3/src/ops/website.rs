//! Documents that say how a bucket is served as a website. Who serves it is `crate::website`.

use gateway_meta::record::{RedirectKey, RoutingRule, WebsiteProtocol, WebsiteRecord};
use http::StatusCode;

use crate::{
    answer::Answer,
    body,
    call::Call,
    error::{Code, Failure, Outcome},
    xml::{Element, Writer},
};

/// Most routing rules of a bucket, which is S3's limit.
const RULE_COUNT_MAX: usize = 50;
/// Longest document, which is S3's limit.
const DOCUMENT_LEN_BYTES_MAX: usize = 128 << 10;

pub(super) async fn get_bucket_website(call: Call<'_>) -> Outcome<Answer> {
    let website = call.bucket.as_ref().and_then(|bucket| bucket.configs.website.as_ref());
    let website = website.ok_or_else(|| {
        Failure::new(Code::NoSuchWebsiteConfiguration).detail("BucketName", call.target.bucket())
    })?;
    Ok(Answer::document(written(website)))
}

pub(super) async fn put_bucket_website(call: Call<'_>) -> Outcome<Answer> {
    let max_bytes = call.gateway.config.document_len_bytes_max.min(DOCUMENT_LEN_BYTES_MAX);
    let document = body::read_document(call.take_payload()?, &call.headers, max_bytes).await?;
    let website = read(&document.root("WebsiteConfiguration")?)?;
    call.gateway.service.put_config(call.target.bucket(), website).await?;
    Ok(Answer::empty(StatusCode::OK))
}

pub(super) async fn delete_bucket_website(call: Call<'_>) -> Outcome<Answer> {
    call.gateway.service.delete_config::<WebsiteRecord>(call.target.bucket()).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn written(website: &WebsiteRecord) -> String {
    let mut xml = Writer::rooted("WebsiteConfiguration");
    match website {
        WebsiteRecord::RedirectAll { host, protocol } => {
            xml.open("RedirectAllRequestsTo");
            xml.text("HostName", host);
            xml.text_if("Protocol", protocol.map(protocol_name));
            xml.close("RedirectAllRequestsTo");
        }
        WebsiteRecord::Pages { index_suffix, error_key, rules } => {
            xml.open("IndexDocument");
            xml.text("Suffix", index_suffix);
            xml.close("IndexDocument");
            if let Some(key) = error_key {
                xml.open("ErrorDocument");
                xml.text("Key", key);
                xml.close("ErrorDocument");
            }
            if !rules.is_empty() {
                xml.open("RoutingRules");
                rules.iter().for_each(|rule| write_rule(&mut xml, rule));
                xml.close("RoutingRules");
            }
        }
    }
    xml.close("WebsiteConfiguration");
    xml.finish()
}

fn write_rule(xml: &mut Writer, rule: &RoutingRule) {
    xml.open("RoutingRule");
    let status = |status: Option<u16>| status.map(|status| status.to_string());
    if rule.key_prefix.is_some() || rule.error_status.is_some() {
        xml.open("Condition");
        xml.text_if("HttpErrorCodeReturnedEquals", status(rule.error_status).as_deref());
        xml.text_if("KeyPrefixEquals", rule.key_prefix.as_deref());
        xml.close("Condition");
    }
    xml.open("Redirect");
    xml.text_if("HostName", rule.host.as_deref());
    xml.text_if("HttpRedirectCode", status(rule.status).as_deref());
    xml.text_if("Protocol", rule.protocol.map(protocol_name));
    match &rule.key {
        RedirectKey::Keep => {}
        RedirectKey::Prefix(prefix) => xml.text("ReplaceKeyPrefixWith", prefix),
        RedirectKey::Whole(key) => xml.text("ReplaceKeyWith", key),
    }
    xml.close("Redirect");
    xml.close("RoutingRule");
}

/// How S3 writes a protocol.
pub(crate) fn protocol_name(protocol: WebsiteProtocol) -> &'static str {
    match protocol {
        WebsiteProtocol::Http => "http",
        WebsiteProtocol::Https => "https",
    }
}

fn read(root: &Element) -> Outcome<WebsiteRecord> {
    root.knows_only(&["IndexDocument", "ErrorDocument", "RedirectAllRequestsTo", "RoutingRules"])?;
    if let Some(all) = root.at_most_one("RedirectAllRequestsTo")? {
        if root.children.len() > 1 {
            return Err(Failure::invalid_argument(
                "RedirectAllRequestsTo",
                "not null",
                "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
            ));
        }
        all.knows_only(&["HostName", "Protocol"])?;
        let host = all.only_text("HostName")?.ok_or(Code::MalformedXml)?;
        let host = checked_host(host)?;
        return Ok(WebsiteRecord::RedirectAll { host, protocol: read_protocol(all)? });
    }
    let index_suffix = read_index(root)?;
    let error_key = match root.at_most_one("ErrorDocument")? {
        None => None,
        Some(error) => {
            error.knows_only(&["Key"])?;
            let key = error.only_text("Key")?.filter(|key| !key.is_empty());
            Some(key.ok_or(Code::MalformedXml)?.to_owned())
        }
    };
    let rules = match root.at_most_one("RoutingRules")? {
        None => Vec::new(),
        Some(rules) => read_rules(rules)?,
    };
    Ok(WebsiteRecord::Pages { index_suffix, error_key, rules })
}

fn read_index(root: &Element) -> Outcome<String> {
    let index = root.at_most_one("IndexDocument")?.ok_or_else(|| {
        let message =
            "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty";
        Failure::invalid_argument("IndexDocument", "null", message)
    })?;
    index.knows_only(&["Suffix"])?;
    let suffix = index.only_text("Suffix")?.unwrap_or_default();
    if suffix.is_empty() || suffix.contains('/') {
        let message = "The IndexDocument Suffix is not well formed";
        return Err(Failure::invalid_argument("IndexDocument", suffix, message));
    }
    Ok(suffix.to_owned())
}

fn read_rules(rules: &Element) -> Outcome<Vec<RoutingRule>> {
    rules.knows_only(&["RoutingRule"])?;
    let count = rules.children.len();
    if count == 0 {
        return Err(Code::MalformedXml.into());
    }
    if count > RULE_COUNT_MAX {
        return Err(Failure::invalid_request(format!(
            "{count} routing rules provided, the number of routing rules in a website \
             configuration is limited to {RULE_COUNT_MAX}."
        )));
    }
    rules.children.iter().map(read_rule).collect()
}

fn read_rule(rule: &Element) -> Outcome<RoutingRule> {
    rule.knows_only(&["Condition", "Redirect"])?;
    let (key_prefix, error_status) = match rule.at_most_one("Condition")? {
        None => (None, None),
        Some(condition) => read_condition(condition)?,
    };
    let redirect = rule.at_most_one("Redirect")?.ok_or(Code::MalformedXml)?;
    redirect.knows_only(&[
        "HostName",
        "HttpRedirectCode",
        "Protocol",
        "ReplaceKeyPrefixWith",
        "ReplaceKeyWith",
    ])?;
    let prefix = redirect.only_text("ReplaceKeyPrefixWith")?;
    let key = match (prefix, redirect.only_text("ReplaceKeyWith")?) {
        (Some(_), Some(_)) => {
            let message = "You can only define ReplaceKeyPrefix or ReplaceKey but not both.";
            return Err(Failure::invalid_request(message));
        }
        (Some(prefix), None) => RedirectKey::Prefix(prefix.to_owned()),
        (None, Some(key)) => RedirectKey::Whole(key.to_owned()),
        (None, None) => RedirectKey::Keep,
    };
    let status = redirect.only_text("HttpRedirectCode")?.map(read_redirect_status);
    let host = redirect.only_text("HostName")?.filter(|host| !host.is_empty());
    Ok(RoutingRule {
        key_prefix,
        error_status,
        protocol: read_protocol(redirect)?,
        host: host.map(checked_host).transpose()?,
        key,
        status: status.transpose()?,
    })
}

fn read_condition(condition: &Element) -> Outcome<(Option<String>, Option<u16>)> {
    condition.knows_only(&["HttpErrorCodeReturnedEquals", "KeyPrefixEquals"])?;
    if condition.children.is_empty() {
        return Err(Failure::invalid_request(
            "Condition cannot be empty. To redirect all requests without a condition, the \
             condition element shouldn't be present.",
        ));
    }
    let prefix = condition.only_text("KeyPrefixEquals")?.map(str::to_owned);
    let status = condition.only_text("HttpErrorCodeReturnedEquals")?.map(read_error_status);
    Ok((prefix, status.transpose()?))
}

fn read_error_status(text: &str) -> Outcome<u16> {
    let status = text.trim().parse().ok().filter(|status| (400..=599).contains(status));
    status.ok_or_else(|| {
        let message = format!(
            "The provided HTTP error code ({text}) is not valid. Valid codes are 4XX or 5XX."
        );
        Failure::invalid_request(message)
    })
}

fn read_redirect_status(text: &str) -> Outcome<u16> {
    let status = text.trim().parse().ok().filter(|status| (301..=399).contains(status));
    status.ok_or_else(|| {
        let message = format!(
            "The provided HTTP redirect code ({text}) is not valid. Valid codes are 3XX except 300."
        );
        Failure::invalid_request(message)
    })
}

fn read_protocol(element: &Element) -> Outcome<Option<WebsiteProtocol>> {
    match element.only_text("Protocol")? {
        None | Some("") => Ok(None),
        Some("http") => Ok(Some(WebsiteProtocol::Http)),
        Some("https") => Ok(Some(WebsiteProtocol::Https)),
        Some(_) => Err(Failure::invalid_request(
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be \
             selected automatically.",
        )),
    }
}

/// A host as it is written into `Location`, so anything that would end it is refused.
fn checked_host(text: &str) -> Outcome<String> {
    let ends = |byte: u8| byte.is_ascii_whitespace() || byte.is_ascii_control() || byte == b'/';
    if text.is_empty() || text.bytes().any(ends) {
        return Err(Failure::invalid_request("The HostName of a redirect is not a host."));
    }
    Ok(text.to_owned())
}
