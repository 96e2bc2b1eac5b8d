//! Storage class analysis.

use gateway_meta::record::{AnalyticsExport, AnalyticsRecord};

use super::{super::configuration, Document, filter};
use crate::{
    error::{Code, Failure, Outcome},
    xml::{Element, Writer},
};

/// The only version of an export's schema.
const SCHEMA: &str = "V_1";
/// The only format of an export.
const FORMAT: &str = "CSV";

impl Document for AnalyticsRecord {
    const ROOT: &'static str = "AnalyticsConfiguration";
    const LIST: &'static str = "ListBucketAnalyticsConfigurationResult";

    fn read(root: &Element) -> Outcome<Self> {
        root.knows_only(&["Id", "Filter", "StorageClassAnalysis"])?;
        let analysis = root.at_most_one("StorageClassAnalysis")?.ok_or(Code::MalformedXml)?;
        analysis.knows_only(&["DataExport"])?;
        let export = analysis.at_most_one("DataExport")?;
        Ok(Self {
            filter: filter::read(root, false)?,
            export: export.map(read_export).transpose()?,
        })
    }

    fn write(&self, id: &str, xml: &mut Writer) {
        xml.text("Id", id);
        filter::write(self.filter.as_ref(), xml);
        xml.open("StorageClassAnalysis");
        if let Some(export) = &self.export {
            write_export(export, xml);
        }
        xml.close("StorageClassAnalysis");
    }
}

fn read_export(element: &Element) -> Outcome<AnalyticsExport> {
    let only =
        |element: &Element, name: &str, wanted: &str| match configuration::required(element, name)?
            == wanted
        {
            true => Ok(()),
            false => Err(Failure::new(Code::MalformedXml)),
        };
    element.knows_only(&["OutputSchemaVersion", "Destination"])?;
    only(element, "OutputSchemaVersion", SCHEMA)?;
    let destination = element.at_most_one("Destination")?.ok_or(Code::MalformedXml)?;
    destination.knows_only(&["S3BucketDestination"])?;
    let bucket = destination.at_most_one("S3BucketDestination")?.ok_or(Code::MalformedXml)?;
    bucket.knows_only(&["Format", "BucketAccountId", "Bucket", "Prefix"])?;
    only(bucket, "Format", FORMAT)?;
    let arn = configuration::required(bucket, "Bucket")?;
    if !arn.strip_prefix("arn:").is_some_and(|rest| rest.contains(":s3:::")) {
        let message = "The bucket must be given as the ARN of a bucket.";
        return Err(Failure::invalid_argument("Bucket", arn, message));
    }
    Ok(AnalyticsExport {
        account: bucket.only_text("BucketAccountId")?.map(|account| account.trim().to_owned()),
        bucket: arn.to_owned(),
        prefix: bucket.only_text("Prefix")?.map(str::to_owned),
    })
}

fn write_export(export: &AnalyticsExport, xml: &mut Writer) {
    xml.open("DataExport");
    xml.text("OutputSchemaVersion", SCHEMA);
    xml.open("Destination");
    xml.open("S3BucketDestination");
    xml.text("Format", FORMAT);
    xml.text_if("BucketAccountId", export.account.as_deref());
    xml.text("Bucket", &export.bucket);
    xml.text_if("Prefix", export.prefix.as_deref());
    xml.close("S3BucketDestination");
    xml.close("Destination");
    xml.close("DataExport");
}
