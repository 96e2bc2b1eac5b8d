//! Who pays for requests to a bucket.
//!
//! | Field | Encoding |
//! | --- | --- |
//! | `requester_pays` | bool |

use serde::{Deserialize, Serialize};

use super::Record;

/// Who pays for requests; the owner where there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestPaymentRecord {
    /// Whether those who ask pay, and have to say that they know.
    pub requester_pays: bool,
}

impl Record for RequestPaymentRecord {
    const NAME: &'static str = "request payment record";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_payment_has_golden_bytes() {
        let record = RequestPaymentRecord { requester_pays: true };
        assert_eq!(record.encode()[..], [1, 1]);
        assert_eq!(RequestPaymentRecord::decode(&[1, 1]), Ok(record));
        RequestPaymentRecord::decode(&[1, 2]).unwrap_err();
    }
}
