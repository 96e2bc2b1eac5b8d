//! `GetObjectAttributes`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway_object::{GetObject, ObjectInfo, PartPage};

use super::object_write::{set_version, write_checksum};
use crate::{
    answer::Answer,
    call::Call,
    convert,
    error::{Code, Failure, Outcome},
    header, sse,
    xml::Writer,
};

/// Most parts of one page, which is S3's limit.
const PARTS_PER_PAGE_MAX: u64 = 1000;

/// What a client may ask for.
const ATTRIBUTES: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

pub(super) async fn get_object_attributes(call: Call<'_>) -> Outcome<Answer> {
    let wanted = wanted(&call)?;
    let wants = |name: &str| wanted.iter().any(|attribute| attribute == name);
    let limit = header::number(&call.headers, "x-amz-max-parts")?;
    let limit = limit.unwrap_or(PARTS_PER_PAGE_MAX).min(PARTS_PER_PAGE_MAX);
    let after = header::number(&call.headers, "x-amz-part-number-marker")?.unwrap_or_default();
    let after = u16::try_from(after).unwrap_or(u16::MAX);
    let request = GetObject {
        target: call.object(),
        version: call.version()?,
        range: None,
        part_number: None,
        condition: header::read_condition(&call.headers)?,
        customer_key: sse::customer_key(&call.headers)?,
    };
    // At most 1,000, so it fits.
    let limit = usize::try_from(limit).unwrap_or_default();
    let found = call.gateway.service.object_parts(request, after, limit).await;
    let (info, page) = found?;
    let metadata = &info.metadata;
    let mut xml = Writer::rooted("GetObjectAttributesResponse");
    if wants("ETag") {
        // Without quotes, unlike everywhere else in S3.
        xml.text("ETag", &convert::etag(&metadata.etag));
    }
    if wants("Checksum") && metadata.checksum.is_some() {
        xml.open("Checksum");
        write_whole_checksum(&info, &mut xml);
        xml.close("Checksum");
    }
    if wants("ObjectParts") && page.total_part_count.is_some() {
        write_parts(&page, after, limit, &mut xml);
    }
    if wants("StorageClass") {
        let class = metadata.storage_class.as_str();
        xml.text("StorageClass", if class.is_empty() { "STANDARD" } else { class });
    }
    if wants("ObjectSize") {
        xml.value("ObjectSize", metadata.len_bytes);
    }
    xml.close("GetObjectAttributesResponse");
    let mut answer = Answer::document(xml.finish());
    answer.set("last-modified", &convert::http_date(info.modified))?;
    set_version(info.version, &mut answer)?;
    Ok(answer)
}

fn write_whole_checksum(info: &ObjectInfo, xml: &mut Writer) {
    // A composite checksum's part count is told by `ObjectParts`, not by its value.
    let mut checksum = info.metadata.checksum.clone();
    if let Some(checksum) = &mut checksum {
        checksum.part_count = None;
    }
    write_checksum(checksum.as_ref(), xml);
}

fn wanted(call: &Call<'_>) -> Outcome<Vec<String>> {
    let mut wanted = Vec::new();
    for value in call.headers.get_all("x-amz-object-attributes") {
        let text = value.to_str().unwrap_or_default().split(',').map(str::trim);
        wanted.extend(text.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    let valid = wanted.iter().all(|name| ATTRIBUTES.contains(&name.as_str()));
    if wanted.is_empty() || !valid {
        return Err(Failure::with_message(
            Code::InvalidArgument,
            "Invalid attribute name specified.",
        ));
    }
    Ok(wanted)
}

fn write_parts(page: &PartPage, after: u16, limit: usize, xml: &mut Writer) {
    xml.open("ObjectParts");
    xml.value("PartsCount", page.total_part_count.unwrap_or_default());
    xml.value("PartNumberMarker", after);
    let last = page.parts.last().map_or(after, |part| part.number);
    xml.value("NextPartNumberMarker", last);
    xml.value("MaxParts", limit);
    xml.value("IsTruncated", page.truncated);
    for part in &page.parts {
        // S3 lists parts here only where they have checksums to tell.
        let Some((algorithm, value)) = &part.checksum else {
            continue;
        };
        xml.open("Part");
        xml.value("PartNumber", part.number);
        xml.value("Size", part.len_bytes);
        xml.text(convert::checksum_element(*algorithm), &STANDARD.encode(value));
        xml.close("Part");
    }
    xml.close("ObjectParts");
}
