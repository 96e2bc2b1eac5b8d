//! Object tags as documents.

use gateway_iam::Action;
use gateway_meta::VersionId;
use http::StatusCode;

use super::object_write::set_version;
use crate::{
    answer::Answer,
    authorization::tag_facts,
    call::Call,
    error::{Code, Failure, Outcome},
    header,
    xml::{Element, Writer},
};

pub(super) async fn get_object_tagging(call: Call<'_>) -> Outcome<Answer> {
    let version = call.version()?;
    let (version, tags) = call.gateway.service.object_tags(&call.object(), version).await?;
    let mut xml = Writer::rooted("Tagging");
    xml.open("TagSet");
    for (name, value) in &tags {
        xml.open("Tag");
        xml.text("Key", name);
        xml.text("Value", value);
        xml.close("Tag");
    }
    xml.close("TagSet");
    xml.close("Tagging");
    let mut answer = Answer::document(xml.finish());
    set_version(version, &mut answer)?;
    Ok(answer)
}

pub(super) async fn put_object_tagging(call: Call<'_>) -> Outcome<Answer> {
    let root = call.document().await?.root("Tagging")?;
    let tags = parse(&root)?;
    call.allow_with(Action::PutObjectTagging, |facts| {
        facts.forget("s3:RequestObjectTag");
        tag_facts(facts, &tags);
    })?;
    let version = call.version()?;
    let service = &call.gateway.service;
    let version = service.put_object_tags(&call.object(), version, tags).await?;
    answer(StatusCode::OK, version)
}

pub(super) async fn delete_object_tagging(call: Call<'_>) -> Outcome<Answer> {
    let version = call.version()?;
    let service = &call.gateway.service;
    let version = service.put_object_tags(&call.object(), version, Vec::new()).await?;
    answer(StatusCode::NO_CONTENT, version)
}

fn answer(status: StatusCode, version: VersionId) -> Outcome<Answer> {
    let mut answer = Answer::empty(status);
    set_version(version, &mut answer)?;
    Ok(answer)
}

/// Reads a `Tagging` document.
pub(super) fn parse(root: &Element) -> Outcome<Vec<(String, String)>> {
    let malformed = || Failure::new(Code::MalformedXml);
    let set = root.child("TagSet").ok_or_else(malformed)?;
    let tags: Vec<(String, String)> = set
        .all("Tag")
        .map(|tag| {
            let name = tag.child_text("Key").ok_or_else(malformed)?;
            let value = tag.child_text("Value").ok_or_else(malformed)?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect::<Outcome<_>>()?;
    header::few_tags(&tags)?;
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_documents_are_read() {
        let root = crate::xml::parse(
            b"<Tagging><TagSet><Tag><Key>a</Key><Value></Value></Tag>\
              <Tag><Value>2</Value><Key>b</Key></Tag></TagSet></Tagging>",
        );
        let pairs = [("a".to_owned(), String::new()), ("b".to_owned(), "2".to_owned())];
        assert_eq!(parse(&root.unwrap()).unwrap(), pairs);
        for bad in ["<Tagging/>", "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>"] {
            let failure = parse(&crate::xml::parse(bad.as_bytes()).unwrap()).unwrap_err();
            assert_eq!(failure.code(), Code::MalformedXml, "{bad}");
        }
    }
}
