//! Entry points for fuzzing: everything a client can send.
//!
//! Each function takes any bytes and panics when a property does not hold. The targets of
//! `compat-tests/fuzz` call them, and a test replays every input that is kept there.
//!
//! | function | looks at |
//! | --- | --- |
//! | [`route`] | methods, paths, hosts and queries |
//! | [`value`] | tokens, ids, ranges, dates, digests, percent-encoding |
//! | [`header`] | headers of every kind |
//! | [`document`] | XML |
//! | [`chunked`] | chunked bodies that are not signed |
//! | [`request`] | whole requests to a gateway in memory, signed and not |
//! | [`signed_chunks`] | chunked bodies that are signed |
//! | [`form`] | browsers' forms and their policies |
//! | [`configuration`] | documents of bucket configurations |
//!
//! Deliberately absent: from every build but tests and the fuzz package's own. HTTP itself is
//! hyper's.

mod chunked;
mod configurations;
mod documents;
mod forms;
mod gateway;
mod headers;
mod requests;
mod routing;
mod signer;
mod uploads;
mod values;

pub use chunked::chunked;
pub use configurations::configuration;
pub use documents::document;
pub use forms::form;
pub use headers::header;
pub use requests::request;
pub use routing::route;
pub use uploads::signed_chunks;
pub use values::value;

#[cfg(test)]
#[path = "../../../compat-tests/fuzz/kept.rs"]
mod kept;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_inputs_of_parsers_hold() {
        kept::replay("s3_route", route);
        kept::replay("s3_value", value);
        kept::replay("s3_header", header);
        kept::replay("s3_document", document);
        kept::replay("s3_chunked", chunked);
    }

    #[test]
    fn kept_requests_hold() {
        kept::replay("s3_request", request);
        kept::replay("s3_signed_chunks", signed_chunks);
        kept::replay("s3_form", form);
        kept::replay("s3_configuration", configuration);
    }
}
