//! Request metrics.

use gateway_meta::record::MetricsRecord;

use super::{Document, filter};
use crate::{
    error::Outcome,
    xml::{Element, Writer},
};

impl Document for MetricsRecord {
    const ROOT: &'static str = "MetricsConfiguration";
    const LIST: &'static str = "ListMetricsConfigurationsResult";

    fn read(root: &Element) -> Outcome<Self> {
        root.knows_only(&["Id", "Filter"])?;
        Ok(Self { filter: filter::read(root, true)? })
    }

    fn write(&self, id: &str, xml: &mut Writer) {
        xml.text("Id", id);
        filter::write(self.filter.as_ref(), xml);
    }
}
