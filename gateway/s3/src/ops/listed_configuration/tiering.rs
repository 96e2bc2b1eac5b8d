//! Intelligent tiering.

use gateway_meta::record::{ArchiveTier, IntelligentTieringRecord, Tiering};

use super::{super::configuration, Document, filter};
use crate::{
    error::{Code, Failure, Outcome},
    xml::{Element, Writer},
};

/// Fewest days without access before the archive tier, and before the deep archive tier, and most
/// days before either. S3's limits.
const ARCHIVE_DAYS_MIN: u16 = 90;
const DEEP_ARCHIVE_DAYS_MIN: u16 = 180;
const DAYS_MAX: u16 = 730;

impl Document for IntelligentTieringRecord {
    const ROOT: &'static str = "IntelligentTieringConfiguration";
    const LIST: &'static str = "ListBucketIntelligentTieringConfigurationsOutput";

    fn read(root: &Element) -> Outcome<Self> {
        root.knows_only(&["Id", "Filter", "Status", "Tiering"])?;
        let tierings: Vec<Tiering> =
            root.all("Tiering").map(read_tiering).collect::<Outcome<_>>()?;
        if tierings.is_empty() {
            return Err(Failure::new(Code::MalformedXml));
        }
        let repeats = |(index, tiering): (usize, &Tiering)| {
            tierings[..index].iter().any(|earlier| earlier.tier == tiering.tier)
        };
        if tierings.iter().enumerate().any(repeats) {
            let message = "Each access tier may be named once.";
            return Err(Failure::with_message(Code::InvalidArgument, message));
        }
        Ok(Self {
            filter: filter::read(root, false)?,
            enabled: configuration::either(root, "Status", "Enabled", "Disabled")?,
            tierings,
        })
    }

    fn write(&self, id: &str, xml: &mut Writer) {
        xml.text("Id", id);
        filter::write(self.filter.as_ref(), xml);
        xml.text("Status", if self.enabled { "Enabled" } else { "Disabled" });
        for tiering in &self.tierings {
            xml.open("Tiering");
            xml.value("Days", tiering.days);
            let tier = match tiering.tier {
                ArchiveTier::Archive => "ARCHIVE_ACCESS",
                ArchiveTier::DeepArchive => "DEEP_ARCHIVE_ACCESS",
            };
            xml.text("AccessTier", tier);
            xml.close("Tiering");
        }
    }
}

fn read_tiering(element: &Element) -> Outcome<Tiering> {
    element.knows_only(&["Days", "AccessTier"])?;
    let (tier, days_min) = match configuration::required(element, "AccessTier")? {
        "ARCHIVE_ACCESS" => (ArchiveTier::Archive, ARCHIVE_DAYS_MIN),
        "DEEP_ARCHIVE_ACCESS" => (ArchiveTier::DeepArchive, DEEP_ARCHIVE_DAYS_MIN),
        _ => return Err(Failure::new(Code::MalformedXml)),
    };
    let text = configuration::required(element, "Days")?;
    let days: i32 = text.parse().map_err(|_| Code::MalformedXml)?;
    match u16::try_from(days).ok().filter(|days| (days_min..=DAYS_MAX).contains(days)) {
        Some(days) => Ok(Tiering { days, tier }),
        None => {
            let message = format!("The days of this access tier are {days_min} to {DAYS_MAX}.");
            Err(Failure::invalid_argument("Days", text, message))
        }
    }
}
