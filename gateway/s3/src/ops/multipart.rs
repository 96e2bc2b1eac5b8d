//! Multipart uploads.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway_iam::canonical_id;
use gateway_meta::record::ChecksumAlgorithm;
use gateway_object::{
    CompletePart, CompleteUpload, CreateUpload, ListParts, MultipartError, PartInfo, UploadPart,
};
use http::StatusCode;

use super::{
    lifecycle,
    object_write::{set_checksum, set_version, write_checksum},
};
use crate::{
    answer::Answer,
    body::declared_algorithm,
    call::Call,
    convert::{self, CHECKSUM_ALGORITHMS},
    error::{Code, Failure, Outcome},
    header, percent, sse,
    xml::{Element, Writer},
};

/// Most parts of one page, which is S3's limit.
const PARTS_PER_PAGE_MAX: usize = 1000;
/// Most parts of an upload, which is S3's limit.
const PARTS_MAX: usize = 10_000;

pub(super) async fn create_multipart_upload(call: Call<'_>) -> Outcome<Answer> {
    header::refuse_unsupported(&call.headers)?;
    let algorithm = declared_algorithm(&call.headers)?;
    let kind = checksum_type(&call)?;
    if kind.is_some() && algorithm.is_none() {
        return Err(Failure::invalid_request(
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm \
             header.",
        ));
    }
    let request = CreateUpload {
        target: call.object(),
        initiator: call.caller(),
        attributes: header::attributes(&call.headers)?,
        checksum: algorithm.map(|algorithm| (algorithm, kind)),
    };
    let made = call.gateway.service.create_upload(request).await?;
    let upload = made.upload;
    let mut xml = Writer::rooted("InitiateMultipartUploadResult");
    xml.text("Bucket", call.target.bucket());
    xml.text("Key", call.target.key());
    xml.text("UploadId", &upload.to_string());
    xml.close("InitiateMultipartUploadResult");
    let mut answer = Answer::document(xml.finish());
    sse::tell_writer(&call, &made.encryption, &mut answer)?;
    if let Some(algorithm) = algorithm {
        answer.set("x-amz-checksum-algorithm", convert::checksum_name(algorithm))?;
        answer.set_if("x-amz-checksum-type", kind.map(convert::checksum_type_name))?;
    }
    lifecycle::tell_abort(&call, upload, &mut answer)?;
    Ok(answer)
}

fn checksum_type(call: &Call<'_>) -> Outcome<Option<gateway_meta::record::ChecksumType>> {
    let Some(text) = header::text(&call.headers, "x-amz-checksum-type")? else {
        return Ok(None);
    };
    let kind = convert::parse_checksum_type(text);
    kind.map(Some)
        .ok_or_else(|| Failure::invalid_request("Value for x-amz-checksum-type header is invalid."))
}

pub(super) async fn upload_part(call: Call<'_>) -> Outcome<Answer> {
    // A number that no upload can have is told as such, whatever the upload.
    let number = call.part_number()?.unwrap_or_default();
    let request = UploadPart {
        upload: call.upload()?,
        number,
        body: call.take_payload()?.into_object_body(&call.headers)?,
        customer_key: sse::customer_key(&call.headers)?,
    };
    let receipt = call.gateway.service.upload_part(request).await?;
    let mut answer = Answer::empty(StatusCode::OK);
    sse::tell(&call, &receipt.encryption, &mut answer)?;
    answer.set("etag", &format!("\"{}\"", convert::md5_hex(&receipt.md5)))?;
    if let Some(checksum) = &receipt.checksum {
        set_checksum(checksum, &mut answer)?;
    }
    Ok(answer)
}

pub(super) async fn complete_multipart_upload(mut call: Call<'_>) -> Outcome<Answer> {
    let checksum = object_checksum(&call)?;
    // The headers describe the object; they are not about the bytes of the document.
    for algorithm in CHECKSUM_ALGORITHMS {
        call.headers.remove(convert::checksum_header(algorithm));
    }
    let document = call.document().await?;
    let Some(root) = document.root else {
        return Err(Failure::new(Code::MalformedXml));
    };
    if root.name != "CompleteMultipartUpload" {
        return Err(Failure::new(Code::MalformedXml));
    }
    let parts: Vec<CompletePart> = root.all("Part").map(part).collect::<Outcome<_>>()?;
    if parts.len() > PARTS_MAX {
        return Err(Failure::new(Code::MalformedXml));
    }
    let request = CompleteUpload {
        upload: call.upload()?,
        parts,
        condition: header::write_condition(&call.headers)?,
        checksum,
        checksum_type: checksum_type(&call)?,
        object_len_bytes: header::number(&call.headers, "x-amz-mp-object-size")?,
        customer_key: sse::customer_key(&call.headers)?,
    };
    let completed = call.gateway.service.complete_upload(request).await;
    let receipt = completed.map_err(|error| refused(error, &root))?;
    let (bucket, key) = (call.target.bucket(), call.target.key());
    let mut xml = Writer::rooted("CompleteMultipartUploadResult");
    xml.text("Location", &format!("{}/{bucket}/{}", call.origin, percent::encode(key)));
    xml.text("Bucket", bucket);
    xml.text("Key", key);
    xml.text("ETag", &convert::quoted_etag(&receipt.etag));
    write_checksum(receipt.checksum.as_ref(), &mut xml);
    xml.close("CompleteMultipartUploadResult");
    let mut answer = Answer::document(xml.finish());
    sse::tell(&call, &receipt.encryption, &mut answer)?;
    set_version(receipt.version, &mut answer)?;
    lifecycle::tell_expiry_of_written(&call, key, &receipt, &mut answer)?;
    Ok(answer)
}

/// Why a completion was refused, with the ETag that the document names.
fn refused(error: MultipartError, root: &Element) -> Failure {
    let number = match &error {
        MultipartError::InvalidPart(part) => part.number,
        _ => return error.into(),
    };
    let is_it = |part: &&Element| {
        let text = part.child_text("PartNumber").unwrap_or_default();
        text.trim().parse() == Ok(number)
    };
    let part = root.all("Part").find(is_it);
    let etag = part.and_then(|part| part.child_text("ETag")).unwrap_or_default();
    Failure::from(error).detail("ETag", etag.trim())
}

/// The object's checksum as the client computed it.
fn object_checksum(call: &Call<'_>) -> Outcome<Option<(ChecksumAlgorithm, Vec<u8>)>> {
    let mut found = None;
    for algorithm in CHECKSUM_ALGORITHMS {
        let name = convert::checksum_header(algorithm);
        let Some(text) = header::given(&call.headers, name)? else {
            continue;
        };
        let value = convert::parse_checksum_value(algorithm, text);
        let value = value.ok_or_else(|| {
            Failure::invalid_request(format!("Value for {name} header is invalid."))
        })?;
        if found.replace((algorithm, value)).is_some() {
            return Err(Failure::invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not \
                 allowed.",
            ));
        }
    }
    Ok(found)
}

fn part(element: &Element) -> Outcome<CompletePart> {
    let malformed = || Failure::new(Code::MalformedXml);
    let number = element.child_text("PartNumber").ok_or_else(malformed)?;
    let number = number.trim().parse().map_err(|_| malformed())?;
    let etag = element.child_text("ETag").ok_or_else(malformed)?;
    let mut checksum = None;
    for algorithm in CHECKSUM_ALGORITHMS {
        if let Some(text) = element.child_text(convert::checksum_element(algorithm)) {
            let value = convert::parse_checksum_value(algorithm, text);
            let value = value.ok_or_else(|| {
                Failure::new(Code::InvalidPart).detail("PartNumber", format!("{number}"))
            })?;
            checksum = Some((algorithm, value));
        }
    }
    Ok(CompletePart { number, etag: etag.trim().trim_matches('"').to_owned(), checksum })
}

pub(super) async fn abort_multipart_upload(call: Call<'_>) -> Outcome<Answer> {
    call.gateway.service.abort_upload(call.upload()?).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn list_parts(call: Call<'_>) -> Outcome<Answer> {
    let after = call.query.count("part-number-marker", usize::from(u16::MAX));
    let after = match call.query.get_nonempty("part-number-marker") {
        Some(_) => u16::try_from(after?).unwrap_or(u16::MAX),
        None => 0,
    };
    let limit = call.query.count("max-parts", PARTS_PER_PAGE_MAX)?;
    let upload = call.upload()?;
    let request = ListParts { upload: upload.clone(), after, limit };
    let page = call.gateway.service.list_parts(request).await?;
    let url = super::list::wants_url(&call)?;
    let mut xml = Writer::rooted("ListPartsResult");
    xml.text("Bucket", call.target.bucket());
    xml.text("Key", &super::list::shown(url, call.target.key()));
    xml.text_if("EncodingType", url.then_some("url"));
    xml.text("UploadId", &upload.upload.to_string());
    if let Some(record) = &page.record {
        let initiator = canonical_id(record.initiator);
        let owner = call.bucket.as_ref().map(|bucket| canonical_id(bucket.owner));
        for (element, id) in [("Initiator", Some(initiator)), ("Owner", owner)] {
            xml.open(element);
            xml.text_if("ID", id.as_deref());
            xml.close(element);
        }
        let class = record.storage_class.as_str();
        xml.text("StorageClass", if class.is_empty() { "STANDARD" } else { class });
        if let Some((algorithm, kind)) = record.checksum {
            xml.text("ChecksumAlgorithm", convert::checksum_name(algorithm));
            xml.text("ChecksumType", convert::checksum_type_name(kind));
        }
    }
    xml.value("PartNumberMarker", after);
    let last = page.parts.last().map_or(after, |part| part.number);
    xml.value("NextPartNumberMarker", last);
    xml.value("MaxParts", limit);
    xml.value("IsTruncated", page.truncated);
    page.parts.iter().for_each(|part| write_part(part, &mut xml));
    xml.close("ListPartsResult");
    let mut answer = Answer::document(xml.finish());
    lifecycle::tell_abort(&call, upload.upload, &mut answer)?;
    Ok(answer)
}

fn write_part(part: &PartInfo, xml: &mut Writer) {
    xml.open("Part");
    xml.value("PartNumber", part.number);
    let modified = part.modified.map(convert::iso_8601);
    xml.text_if("LastModified", modified.as_deref());
    let etag = part.md5.map(|md5| format!("\"{}\"", convert::md5_hex(&md5)));
    xml.text_if("ETag", etag.as_deref());
    xml.value("Size", part.len_bytes);
    if let Some((algorithm, value)) = &part.checksum {
        xml.text(convert::checksum_element(*algorithm), &STANDARD.encode(value));
    }
    xml.close("Part");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> Result<CompletePart, Code> {
        part(&crate::xml::parse(xml.as_bytes()).unwrap()).map_err(|failure| failure.code())
    }

    #[test]
    fn parts_are_read_with_their_checksum() {
        let part = read(
            "<Part><ETag>&quot;ab&quot;</ETag><PartNumber> 7 </PartNumber>\
             <ChecksumCRC32>AAAAAQ==</ChecksumCRC32></Part>",
        )
        .unwrap();
        assert_eq!((part.number, part.etag.as_str()), (7, "ab"));
        assert_eq!(part.checksum, Some((ChecksumAlgorithm::Crc32, vec![0, 0, 0, 1])));
    }

    #[test]
    fn parts_without_number_or_etag_are_malformed() {
        for xml in [
            "<Part><ETag>a</ETag></Part>",
            "<Part><PartNumber>1</PartNumber></Part>",
            "<Part><PartNumber>x</PartNumber><ETag>a</ETag></Part>",
            "<Part><PartNumber>70000</PartNumber><ETag>a</ETag></Part>",
        ] {
            assert_eq!(read(xml).map(|_| ()), Err(Code::MalformedXml), "{xml}");
        }
        let bad =
            "<Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumSHA1>!</ChecksumSHA1></Part>";
        assert_eq!(read(bad).map(|_| ()), Err(Code::InvalidPart));
    }
}
