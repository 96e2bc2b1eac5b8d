//! Which objects a configuration is for.

use gateway_meta::record::ConfigFilter;
use gateway_object::check_bucket_tags;

use super::super::configuration;
use crate::{
    error::{Code, Failure, Outcome},
    xml::{Element, Writer},
};

/// Reads the filter of a document, if it has one: one predicate, or a conjunction of several.
///
/// # Errors
/// `MalformedXML`, `InvalidTag`.
pub(super) fn read(root: &Element, by_access_point: bool) -> Outcome<Option<ConfigFilter>> {
    let Some(element) = root.at_most_one("Filter")? else { return Ok(None) };
    let [chosen] = element.children.as_slice() else {
        return Err(Failure::new(Code::MalformedXml));
    };
    let is_conjunction = chosen.name == "And";
    let predicates = if is_conjunction { chosen } else { element };
    let known: &[&str] = match by_access_point {
        true => &["Prefix", "Tag", "AccessPointArn"],
        false => &["Prefix", "Tag"],
    };
    predicates.knows_only(known)?;
    // A conjunction of one is that one, and S3 wants it written so.
    if is_conjunction && predicates.children.len() < 2 {
        return Err(Failure::new(Code::MalformedXml));
    }
    let tags: Vec<(String, String)> =
        predicates.all("Tag").map(configuration::tag).collect::<Outcome<_>>()?;
    check_bucket_tags(&tags).map_err(|reason| Failure::with_message(Code::InvalidTag, reason))?;
    let access_point = predicates.only_text("AccessPointArn")?.map(str::trim);
    if access_point.is_some_and(|arn| !arn.starts_with("arn:")) {
        return Err(Failure::new(Code::MalformedXml));
    }
    Ok(Some(ConfigFilter {
        is_conjunction,
        prefix: predicates.only_text("Prefix")?.map(str::to_owned),
        tags,
        access_point: access_point.map(str::to_owned),
    }))
}

/// Writes a filter, if there is one.
pub(super) fn write(filter: Option<&ConfigFilter>, xml: &mut Writer) {
    let Some(filter) = filter else { return };
    xml.open("Filter");
    if filter.is_conjunction {
        xml.open("And");
    }
    xml.text_if("Prefix", filter.prefix.as_deref());
    for (key, value) in &filter.tags {
        xml.open("Tag");
        xml.text("Key", key);
        xml.text("Value", value);
        xml.close("Tag");
    }
    xml.text_if("AccessPointArn", filter.access_point.as_deref());
    if filter.is_conjunction {
        xml.close("And");
    }
    xml.close("Filter");
}
